//! REMEMBER FOREVER: the only room with sqlx.
//!
//! Two engines under one contract: SQLite inside the binary, so that one command starts everything, and Postgres for
//! production. The dispatcher's records go through one door, the [`writer`], which alone may write jobs. [`Reader`] is a
//! small read-only pool for what is no longer open; nobody decides from it. [`Registry`] takes what admins write,
//! beside a running server if need be. [`Outbox`] is the door of the room that tells the servers of others.
//!
//! What holds in here:
//! - told means recorded: an outcome is sent only after the commit it speaks of;
//! - one dispatcher: a lock in the normal case, the fence always (`fence.rs`); who takes over raises the fence;
//! - what the constraints in `migrations/` refuse is never retried, everything else is, for ever.

mod aging;
mod audit;
pub mod checkup;
mod desk;
mod documents;
mod either;
mod endpoints;
mod fence;
mod hindsight;
mod lines;
mod load;
mod open_error;
pub mod outbox;
mod photos;
mod pool;
pub mod postgres;
mod reader;
mod registry;
mod rows;
mod schema;
pub mod secret;
pub mod sqlite;
mod waits;
pub mod writer;

use std::future::Future;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use kiez_protocol::ids::JobId;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::mpsc;
use uuid::Uuid;

pub use self::aging::Aged;
pub use self::desk::{JobFile, JobFilter, ListedJob};
pub use self::endpoints::{DeliveryFilter, Endpoint, Resent, delivery_name, delivery_of};
pub use self::hindsight::{Around, Passed};
pub use self::open_error::OpenError;
use self::outbox::Bell;
pub use self::outbox::Outbox;
use self::pool::Pool;
pub use self::reader::AuditFilter;
pub use self::reader::{ReadError, Reader};
pub use self::registry::{DirectoryRows, Registry, RegistryError, Stored as StoredDocument};
pub use self::writer::{Full, Health, Outcome, Submission, WriterHandle};
use crate::dispatch::effect::{Record, Stored, StoredJob};

/// So long a look waits for a free connection of the reader's pool; the look itself has its own limit.
const READER_WAIT: Duration = Duration::from_secs(1);

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

    /// A sign of life between commits, and whether the fence still stands.
    ///
    /// # Errors
    /// [`Trouble::Fenced`] if another process has taken the ledger; else [`Ledger::written`] must be asked.
    fn beat(&mut self) -> impl Future<Output = Result<(), Trouble>> + Send;

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
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// Development: a Postgres that may lose commits in a crash is accepted.
    pub dev: bool,
    /// A process that has the ledger loses it: in Postgres its session is ended, in SQLite its lock file is replaced.
    pub take_over: bool,
    /// Records that may be unwritten at once.
    pub queue_len_max: usize,
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
    /// What is told to the servers of others.
    pub outbox: Outbox,
    /// What was open when the ledger was opened.
    pub stored: Stored,
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
            let ledger = sqlite::SqliteLedger::open(&path, holder, options.take_over).await?;
            let pools = [sqlite::reader(&path), sqlite::registry(&path), sqlite::registry(&path)];
            opened(ledger, pools.map(Pool::from), options.queue_len_max).await
        }
        Target::Postgres(target) => {
            let ledger = postgres::PostgresLedger::open(&target, holder, options.dev, options.take_over).await?;
            let pools = [postgres::reader(&target), postgres::registry(&target), postgres::outbox(&target)];
            opened(ledger, pools.map(Pool::from), options.queue_len_max).await
        }
    }
}

async fn opened(
    mut ledger: impl Ledger,
    [reader, registry, outbox]: [Pool; 3],
    queue_len_max: usize,
) -> Result<Opened, OpenError> {
    let stored = ledger.load().await?;
    let (writer, outcomes) = writer::start(ledger, queue_len_max);
    let (reader, bell) = (Reader::new(reader, writer.pulse()), writer.bell());
    let (registry, outbox) = (Registry::new(registry, bell.clone()), Outbox::new(outbox, bell));
    Ok(Opened { writer, outcomes, reader, registry, outbox, stored })
}

/// Waits beside a process that has the ledger until [`open`] is worth a try: it has said goodbye, it is gone, or it gave
/// no sign of life for `silence`, and then its session is ended. Never takes the lock itself. May be cancelled.
///
/// # Errors
/// [`OpenError::NoStandby`] for SQLite; at once, what [`open`] would say when the time has come; what the database says.
pub async fn stand_by(url: &str, silence: Duration, dev: bool) -> Result<(), OpenError> {
    match Target::parse(url)? {
        Target::Sqlite(_) => Err(OpenError::NoStandby),
        Target::Postgres(target) => postgres::standby::stand_by(&target, silence, dev).await,
    }
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
    let pool = match target {
        Target::Sqlite(path) => sqlite::registry(&path).into(),
        Target::Postgres(options) => postgres::registry(&options).into(),
    };
    Ok(Registry::new(pool, Bell::default()))
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
