//! REMEMBER FOREVER: the only room with sqlx.
//!
//! Two engines under one contract: SQLite inside the binary, so that one command starts everything, and Postgres for
//! production. The dispatcher's records go through one door, the [`writer`], which alone may write jobs. [`Reader`] is a
//! small read-only pool for what is no longer open; nobody decides from it. [`Registry`] takes what admins write,
//! beside a running server if need be.
//!
//! What holds in here:
//! - told means recorded: an outcome is sent only after the commit it speaks of;
//! - one dispatcher: a lock in the normal case, the fence always (`fence.rs`);
//! - what the constraints in `migrations/` refuse is never retried, everything else is, for ever.

mod documents;
mod either;
mod fence;
mod lines;
mod load;
mod pool;
pub mod postgres;
mod reader;
mod registry;
mod rows;
mod schema;
pub mod sqlite;
pub mod writer;

use std::future::Future;
use std::path::PathBuf;
use std::str::FromStr;

use kiez_protocol::ids::JobId;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::mpsc;
use uuid::Uuid;

pub use self::reader::{ReadError, Reader};
pub use self::registry::{DirectoryRows, Registry, RegistryError};
pub use self::writer::{Full, Health, Outcome, Submission, WriterHandle};
use crate::dispatch::effect::{Record, Stored, StoredJob};

/// One engine's side of the writer: a connection that is locked and fenced for this process. Used by one task, in order;
/// no call of it is ever cancelled.
pub trait Ledger: Send + 'static {
    /// Writes all records in one transaction that also names the batch, unless the fence was raised.
    ///
    /// # Errors
    /// [`Trouble`]; after [`Trouble::Unreachable`] the commit may have happened, and [`Ledger::written`] must be asked.
    fn write(&mut self, batch: i64, records: &[&Record]) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Connects anew, takes lock and fence again, and says whether `batch` was the last to be committed.
    ///
    /// # Errors
    /// [`Trouble::Fenced`] if another process has taken the ledger meanwhile; else to be tried again.
    fn written(&mut self, batch: i64) -> impl Future<Output = Result<bool, Trouble>> + Send;

    /// Everything `restore` needs.
    ///
    /// # Errors
    /// [`Trouble::Refused`] if something stored cannot be read.
    fn load(&mut self) -> impl Future<Output = Result<Stored, Trouble>> + Send;

    /// One job as it is stored.
    ///
    /// # Errors
    /// As [`Ledger::load`].
    fn load_job(&mut self, job: JobId) -> impl Future<Output = Result<Option<StoredJob>, Trouble>> + Send;

    /// Says goodbye to the database, which frees the lock.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Why the ledger could not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Another process has raised the epoch: this one must end.
    Fenced,
    /// The data is refused for good: trying again changes nothing. Why, without a value of the data.
    Refused(String),
    /// The database is away, busy, full or restarting: it passes. Why, as above.
    Unreachable(String),
}

/// What may be written down of a database's error, for ops: its code and the constraint or column it is about. Its words
/// may name values, which are names and addresses of people: they are told only where they speak of the server itself.
fn facts(error: &sqlx::Error) -> String {
    // Classes of SQLSTATE: connection, transaction state, authorization, database, rollback, resources, intervention, system.
    const OF_THE_SERVER: [&str; 9] = ["08", "25", "28", "3D", "40", "53", "57", "58", "XX"];
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            // SQLite's words are fixed: they name tables, columns and constraints.
            let plain = OF_THE_SERVER.iter().any(|class| code.starts_with(class))
                || database.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some();
            let words = plain.then(|| format!(": {}", database.message()));
            let constraint = database.constraint().map(|constraint| format!(", constraint {constraint}"));
            let table = database.table().map(|table| format!(", table {table}"));
            [Some(format!("database error {code}")), table, constraint, words].into_iter().flatten().collect()
        }
        sqlx::Error::ColumnDecode { index, .. } => format!("column {index} cannot be read"),
        sqlx::Error::Encode(_) => "a value cannot be written".to_owned(),
        sqlx::Error::Decode(_) => "a value cannot be read".to_owned(),
        other => other.to_string(),
    }
}

/// How to open the ledger.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions {
    /// Development: a Postgres that may lose commits in a crash is accepted.
    pub dev: bool,
}

/// An open ledger.
#[derive(Debug)]
pub struct Opened {
    /// To submit records.
    pub writer: WriterHandle,
    /// What became of them.
    pub outcomes: mpsc::Receiver<Outcome>,
    /// For what is no longer open.
    pub reader: Reader,
    /// For admins.
    pub registry: Registry,
    /// What was open when the ledger was opened.
    pub stored: Stored,
}

/// Why a ledger could not be opened, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is of no known kind.
    #[error("database.url must be sqlite:PATH or postgres://…: {why}")]
    Url {
        /// What is wrong with it, without the URL itself: it may hold a password.
        why: String,
    },
    /// Another process has the lock.
    #[error("{what} is held by another kiez: stop that one first, or give this one a database of its own")]
    Held {
        /// Which database.
        what: String,
    },
    /// The schema is older than the binary.
    #[error("the database has an older schema than this kiez: stop every kiez on it, back it up, run `kiez migrate`")]
    Older,
    /// The schema is newer than the binary.
    #[error(
        "the database has migration {version} in a form this kiez does not know: it was migrated by a newer kiez; \
         install that one (its `kiez migrate` brings every database up to date)"
    )]
    Newer {
        /// The migration.
        version: i64,
    },
    /// A migration broke off.
    #[error("migration {version} broke off half-way: restore the backup, then run `kiez migrate`")]
    HalfMigrated {
        /// The migration.
        version: i64,
    },
    /// Commits would not survive a crash.
    #[error(
        "Postgres runs with {setting} = off, and a crash would lose what was told: set it to on, or serve with --dev"
    )]
    NotDurable {
        /// Which setting.
        setting: String,
    },
    /// The database only follows another.
    #[error("the database is a replica: give database.url the primary")]
    Replica,
    /// It does not answer; it may later.
    #[error("the database cannot be reached: {why}")]
    Unreachable {
        /// What the driver says.
        why: String,
    },
    /// It answers, and says no.
    #[error("the database cannot be used: {why}")]
    Unfit {
        /// What it says.
        why: String,
    },
}

impl OpenError {
    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, OpenError::Unreachable { .. })
    }

    fn database(error: sqlx::Error) -> OpenError {
        // Too many connections, starting up or shutting down: SQLSTATE 53 and 57.
        let says_later = |code: &str| code.len() == 5 && (code.starts_with("53") || code.starts_with("57"));
        let why = error.to_string();
        match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => OpenError::Unreachable { why },
            sqlx::Error::Database(database) if database.code().is_some_and(|code| says_later(&code)) => {
                OpenError::Unreachable { why }
            }
            _ => OpenError::Unfit { why },
        }
    }
}

impl From<Trouble> for OpenError {
    fn from(trouble: Trouble) -> OpenError {
        match trouble {
            Trouble::Fenced => OpenError::Held { what: "the database".to_owned() },
            Trouble::Refused(why) => OpenError::Unfit { why },
            Trouble::Unreachable(why) => OpenError::Unreachable { why },
        }
    }
}

/// Opens the ledger for the one dispatcher: takes the lock, migrates a database that is empty, raises the fence, loads
/// what is open and starts the writer.
///
/// # Errors
/// [`OpenError`] in words that say what to do.
pub async fn open(url: &str, options: OpenOptions) -> Result<Opened, OpenError> {
    let holder = Uuid::new_v4();
    match Target::parse(url)? {
        Target::Sqlite(path) => {
            let ledger = sqlite::SqliteLedger::open(&path, holder).await?;
            let (reader, registry) = (sqlite::reader(&path).into(), sqlite::registry(&path).into());
            opened(ledger, Reader::new(reader), Registry::new(registry)).await
        }
        Target::Postgres(target) => {
            let ledger = postgres::PostgresLedger::open(&target, holder, options.dev).await?;
            let (reader, registry) = (postgres::reader(&target).into(), postgres::registry(&target).into());
            opened(ledger, Reader::new(reader), Registry::new(registry)).await
        }
    }
}

async fn opened(mut ledger: impl Ledger, reader: Reader, registry: Registry) -> Result<Opened, OpenError> {
    let stored = ledger.load().await?;
    let (writer, outcomes) = writer::start(ledger);
    Ok(Opened { writer, outcomes, reader, registry, stored })
}

/// Opens only the registry, for admin commands beside a running server. An empty database is migrated.
///
/// # Errors
/// [`OpenError`]; a held lock is none, unless the database is empty.
pub async fn open_registry(url: &str) -> Result<Registry, OpenError> {
    let target = Target::parse(url)?;
    let standing = match &target {
        Target::Sqlite(path) => sqlite::standing(path).await?,
        Target::Postgres(options) => postgres::standing(options).await?,
    };
    match standing {
        schema::Standing::Current => {}
        schema::Standing::Empty => migrate(url).await?,
        schema::Standing::Older => return Err(OpenError::Older),
    }
    Ok(Registry::new(match target {
        Target::Sqlite(path) => sqlite::registry(&path).into(),
        Target::Postgres(options) => postgres::registry(&options).into(),
    }))
}

/// Brings a database up to this binary's schema. No dispatcher may run on it.
///
/// # Errors
/// [`OpenError::Held`] while one does; what the database says.
pub async fn migrate(url: &str) -> Result<(), OpenError> {
    match Target::parse(url)? {
        Target::Sqlite(path) => sqlite::migrate(&path).await,
        Target::Postgres(options) => postgres::migrate(&options).await,
    }
}

enum Target {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

impl Target {
    fn parse(url: &str) -> Result<Target, OpenError> {
        let unfit = |why: &str| OpenError::Url { why: why.to_owned() };
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => Err(unfit("the path is missing")),
                ":memory:" => Err(unfit("a ledger in memory would forget; name a file")),
                path => Ok(Target::Sqlite(PathBuf::from(path))),
            };
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url).map_err(|_| unfit("the Postgres URL cannot be read"))?;
            return Ok(Target::Postgres(Box::new(options)));
        }
        Err(unfit("another scheme"))
    }
}
