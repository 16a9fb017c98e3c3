//! One way of asking two engines. Loads, reads and admin writes are written once, with `$1` parameters that both engines
//! know, and pass through here; only batches, locks and settings are spoken in each engine's own words.
//!
//! Ids are `uuid` in Postgres and text in SQLite, documents are `json` there and text here. That difference lives in
//! [`Arg`] and [`Row`] and nowhere else.

use kiez_protocol::time::Time;
use serde::de::DeserializeOwned;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgConnection, PgRow, PgTypeInfo, Postgres};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Encode, Row as _, Type};
use uuid::Uuid;

/// A connection of either engine, borrowed.
pub enum Session<'c> {
    /// SQLite.
    Sqlite(&'c mut SqliteConnection),
    /// Postgres.
    Postgres(&'c mut PgConnection),
}

/// A parameter.
#[derive(Clone, Debug)]
pub enum Arg<'a> {
    /// An id.
    Id(Uuid),
    /// An id, or null.
    MaybeId(Option<Uuid>),
    /// A whole number.
    Int(i64),
    /// A text.
    Text(&'a str),
    /// A text, or null.
    MaybeText(Option<&'a str>),
    /// A document.
    Doc(String),
    /// A file.
    Bytes(Vec<u8>),
}

/// A row of either engine. Columns are read by name; a column that is missing or of another type is a fault of the
/// statement, and comes back as an error like a broken document does.
pub enum Row {
    /// SQLite.
    Sqlite(SqliteRow),
    /// Postgres.
    Postgres(PgRow),
}

/// JSON text as a parameter of type `json`.
struct Json(String);

impl Type<Postgres> for Json {
    fn type_info() -> PgTypeInfo {
        // `json` in pg_type.dat: 114 in every Postgres.
        PgTypeInfo::with_oid(Oid(114))
    }
}

impl Encode<'_, Postgres> for Json {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

macro_rules! bound {
    ($sql:expr, $args:expr, $id:expr, $doc:expr) => {
        $args.into_iter().fold(sqlx::query($sql), |query, arg| match arg {
            Arg::Id(id) => query.bind($id(id)),
            Arg::MaybeId(id) => query.bind(id.map($id)),
            Arg::Int(number) => query.bind(number),
            Arg::Text(text) => query.bind(text.to_owned()),
            Arg::MaybeText(text) => query.bind(text.map(str::to_owned)),
            Arg::Doc(doc) => query.bind($doc(doc)),
            Arg::Bytes(bytes) => query.bind(bytes),
        })
    };
}

impl Session<'_> {
    /// All rows of a statement.
    pub async fn all<const N: usize>(&mut self, sql: &'static str, args: [Arg<'_>; N]) -> sqlx::Result<Vec<Row>> {
        match self {
            Session::Sqlite(connection) => {
                let query = bound!(sql, args, |id: Uuid| id.to_string(), |doc: String| doc);
                Ok(query.fetch_all(&mut **connection).await?.into_iter().map(Row::Sqlite).collect())
            }
            Session::Postgres(connection) => {
                let query = bound!(sql, args, |id: Uuid| id, Json);
                Ok(query.fetch_all(&mut **connection).await?.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// The first row of a statement, if there is one.
    pub async fn first<const N: usize>(&mut self, sql: &'static str, args: [Arg<'_>; N]) -> sqlx::Result<Option<Row>> {
        Ok(self.all(sql, args).await?.into_iter().next())
    }

    /// The number of rows a statement has changed.
    pub async fn run<const N: usize>(&mut self, sql: &'static str, args: [Arg<'_>; N]) -> sqlx::Result<u64> {
        match self {
            Session::Sqlite(connection) => {
                let query = bound!(sql, args, |id: Uuid| id.to_string(), |doc: String| doc);
                Ok(query.execute(&mut **connection).await?.rows_affected())
            }
            Session::Postgres(connection) => {
                let query = bound!(sql, args, |id: Uuid| id, Json);
                Ok(query.execute(&mut **connection).await?.rows_affected())
            }
        }
    }

    /// The database's clock, for what admins write; the trade's own instants come with its records.
    pub async fn now(&mut self) -> sqlx::Result<Time> {
        let sql = match self {
            Session::Sqlite(_) => "select cast(unixepoch('subsec') * 1000 as integer) as now",
            Session::Postgres(_) => "select (extract(epoch from clock_timestamp()) * 1000)::bigint as now",
        };
        self.first(sql, []).await?.ok_or(sqlx::Error::RowNotFound)?.time("now")
    }
}

macro_rules! get {
    ($row:expr, $column:expr, $type:ty) => {
        match $row {
            Row::Sqlite(row) => row.try_get::<$type, _>($column),
            Row::Postgres(row) => row.try_get::<$type, _>($column),
        }
    };
}

impl Row {
    /// An id.
    pub fn id(&self, column: &str) -> sqlx::Result<Uuid> {
        self.maybe_id(column)?.ok_or_else(|| broken(column, "null where an id belongs"))
    }

    /// An id, or null.
    pub fn maybe_id(&self, column: &str) -> sqlx::Result<Option<Uuid>> {
        match self {
            Row::Sqlite(row) => row
                .try_get::<Option<&str>, _>(column)?
                .map(|text| Uuid::parse_str(text).map_err(|why| broken(column, why)))
                .transpose(),
            Row::Postgres(row) => row.try_get(column),
        }
    }

    /// A number that must fit its type.
    pub fn int<T: TryFrom<i64>>(&self, column: &str) -> sqlx::Result<T> {
        let number = get!(self, column, i64)?;
        T::try_from(number).map_err(|_| broken(column, format_args!("{number} is out of range")))
    }

    /// A number, or null.
    pub fn maybe_int(&self, column: &str) -> sqlx::Result<Option<i64>> {
        get!(self, column, Option<i64>)
    }

    /// An instant.
    pub fn time(&self, column: &str) -> sqlx::Result<Time> {
        Ok(Time(self.int(column)?))
    }

    /// An instant, or null.
    pub fn maybe_time(&self, column: &str) -> sqlx::Result<Option<Time>> {
        Ok(self.maybe_int(column)?.map(Time))
    }

    /// Yes or no.
    pub fn flag(&self, column: &str) -> sqlx::Result<bool> {
        get!(self, column, bool)
    }

    /// A text, or null.
    pub fn maybe_text(&self, column: &str) -> sqlx::Result<Option<&str>> {
        get!(self, column, Option<&str>)
    }

    /// A text.
    pub fn text(&self, column: &str) -> sqlx::Result<&str> {
        get!(self, column, &str)
    }

    /// A text that stands for a value: a slug, a state, a currency.
    pub fn word<T: DeserializeOwned>(&self, column: &str) -> sqlx::Result<T> {
        self.maybe_word(column)?.ok_or_else(|| broken(column, "null where a word belongs"))
    }

    /// A text that stands for a value, or null.
    pub fn maybe_word<T: DeserializeOwned>(&self, column: &str) -> sqlx::Result<Option<T>> {
        let read = |text: &str| {
            let text = serde::de::value::StrDeserializer::<serde_json::Error>::new(text);
            T::deserialize(text).map_err(|why| broken(column, why))
        };
        self.maybe_text(column)?.map(read).transpose()
    }

    /// A file.
    pub fn bytes(&self, column: &str) -> sqlx::Result<Vec<u8>> {
        get!(self, column, Vec<u8>)
    }

    /// A document.
    pub fn doc<T: DeserializeOwned>(&self, column: &str) -> sqlx::Result<T> {
        let text = match self {
            Row::Sqlite(row) => row.try_get::<&str, _>(column)?,
            // The binary form of `json` is its text, which `try_get` would refuse for its type.
            Row::Postgres(row) => row.try_get_unchecked::<&str, _>(column)?,
        };
        serde_json::from_str(text).map_err(|why| broken(column, why))
    }
}

/// What a column holds cannot be read: a fault of ours, or of a hand that wrote into the database.
pub fn broken(column: &str, why: impl std::fmt::Display) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: why.to_string().into() }
}
