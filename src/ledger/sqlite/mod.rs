//! The ledger in one file beside the binary: SQLite with a write-ahead log, synced at every commit. One dispatcher is
//! held to by a lock on the file `<database>.lock`, which the system releases when the process ends, and by the epoch
//! in the fence row, which every commit checks.

mod lock;
mod write;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use kiez_protocol::ids::JobId;
use sqlx::pool::PoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use uuid::Uuid;

use super::either::Session;
use super::rows::Rows;
use super::schema::{self, Standing};
use super::{Ledger, OpenError, READER_WAIT, Trouble, facts, fence, load};
use crate::dispatch::effect::{Record, Stored, StoredJob};

/// How long a statement waits for another writer, an import for instance, before it is tried again.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// The writer's side of a SQLite ledger.
pub struct SqliteLedger {
    options: SqliteConnectOptions,
    /// None after a failure, until the next call connects anew.
    connection: Option<SqliteConnection>,
    holder: Uuid,
    epoch: i64,
    /// Locked while this lives.
    _lock: File,
}

impl SqliteLedger {
    /// Takes the lock, from another process if this is to `take_over`; migrates an empty database, raises the epoch.
    ///
    /// # Errors
    /// [`OpenError::Held`] if another process has the lock; those of the schema; what the file system says.
    pub async fn open(path: &Path, holder: Uuid, take_over: bool) -> Result<SqliteLedger, OpenError> {
        let lock = if take_over { lock::take_over(path)? } else { lock::take(path)? };
        let options = options(path);
        let mut connection = options.connect().await.map_err(OpenError::database)?;
        let migrations = schema::sqlite();
        match schema::standing(&mut connection, &migrations).await? {
            Standing::Current => {}
            Standing::Empty => schema::migrate(&mut connection, &migrations).await?,
            Standing::Older => return Err(OpenError::Older),
        }
        let epoch = fence::take(Session::Sqlite(&mut connection), holder).await.map_err(OpenError::database)?;
        Ok(SqliteLedger { options, connection: Some(connection), holder, epoch, _lock: lock })
    }

    async fn commit(&mut self, batch: i64, rows: &Rows) -> Result<(), Trouble> {
        let connection = self.connection.as_mut().ok_or_else(not_connected)?;
        let mut transaction = connection.begin_with("begin immediate").await.map_err(trouble)?;
        let written = async {
            if !fence::pass(Session::Sqlite(&mut transaction), self.epoch, batch).await? {
                return Ok(false);
            }
            write::write(&mut transaction, rows).await.map(|()| true)
        };
        match written.await {
            Ok(true) => transaction.commit().await.map_err(unknown),
            Ok(false) => {
                transaction.rollback().await.map_err(unknown)?;
                Err(Trouble::Fenced)
            }
            Err(error) => {
                transaction.rollback().await.map_err(unknown)?;
                Err(trouble(error))
            }
        }
    }
}

impl Ledger for SqliteLedger {
    async fn write(&mut self, batch: i64, records: &[&Record]) -> Result<(), Trouble> {
        let result = self.commit(batch, &Rows::of(records.iter().copied())).await;
        if let Err(Trouble::Unreachable(_)) = result {
            self.connection = None;
        }
        result
    }

    async fn written(&mut self, batch: i64) -> Result<bool, Trouble> {
        self.connection = None;
        let mut connection = self.options.connect().await.map_err(unknown)?;
        let taken = fence::take_again(Session::Sqlite(&mut connection), self.holder).await.map_err(unknown)?;
        let (epoch, last) = taken.ok_or(Trouble::Fenced)?;
        self.epoch = epoch;
        self.connection = Some(connection);
        Ok(last == batch)
    }

    /// Only looks: nobody stands by here, so the disk is left in peace.
    async fn beat(&mut self) -> Result<(), Trouble> {
        let connection = self.connection.as_mut().ok_or_else(not_connected)?;
        match fence::stands(Session::Sqlite(connection), self.epoch).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Trouble::Fenced),
            Err(error) => {
                self.connection = None;
                Err(unknown(error))
            }
        }
    }

    async fn load(&mut self) -> Result<Stored, Trouble> {
        let connection = self.connection.as_mut().ok_or_else(not_connected)?;
        load::load(Session::Sqlite(connection)).await.map_err(trouble)
    }

    async fn load_job(&mut self, job: JobId) -> Result<Option<StoredJob>, Trouble> {
        let connection = self.connection.as_mut().ok_or_else(not_connected)?;
        load::load_job(Session::Sqlite(connection), job).await.map_err(trouble)
    }

    async fn close(self) {
        if let Some(mut connection) = self.connection {
            // Nothing is owed any more; what fails here is mended by the log at the next open.
            let _ = fence::leave(Session::Sqlite(&mut connection), self.epoch).await;
            let _ = connection.close().await;
        }
    }
}

/// A pool that only reads.
pub fn reader(path: &Path) -> SqlitePool {
    PoolOptions::new()
        .max_connections(4)
        .acquire_timeout(READER_WAIT)
        .connect_lazy_with(options(path).read_only(true).create_if_missing(false))
}

/// A pool for what admins write: one connection, for SQLite has one writer at a time anyway.
pub fn registry(path: &Path) -> SqlitePool {
    PoolOptions::new().max_connections(1).connect_lazy_with(options(path))
}

/// Brings the database up to this binary's schema; it must not be in use.
///
/// # Errors
/// [`OpenError::Held`] while a dispatcher runs; those of the schema.
pub async fn migrate(path: &Path) -> Result<(), OpenError> {
    let _lock = lock::take(path)?;
    let mut connection = options(path).connect().await.map_err(OpenError::database)?;
    schema::migrate(&mut connection, &schema::sqlite()).await?;
    connection.close().await.map_err(OpenError::database)
}

/// Where the database stands.
///
/// # Errors
/// Those of the schema.
pub async fn standing(path: &Path) -> Result<Standing, OpenError> {
    let mut connection = options(path).connect().await.map_err(OpenError::database)?;
    let standing = schema::standing(&mut connection, &schema::sqlite()).await?;
    connection.close().await.map_err(OpenError::database)?;
    Ok(standing)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // A commit that is told must survive a power cut.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_WAIT)
        .disable_statement_logging()
}

/// What a failed statement means: a refusal of the data for good, or a fault that passes.
fn trouble(error: sqlx::Error) -> Trouble {
    // Primary result codes: too big, constraint, mismatch.
    const REFUSALS: [i32; 3] = [18, 19, 20];
    match &error {
        sqlx::Error::Database(database) => {
            let code = database.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0);
            if REFUSALS.contains(&(code & 0xff)) { Trouble::Refused(facts(&error)) } else { unknown(error) }
        }
        sqlx::Error::Encode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) => {
            Trouble::Refused(facts(&error))
        }
        _ => unknown(error),
    }
}

fn unknown(error: sqlx::Error) -> Trouble {
    Trouble::Unreachable(facts(&error))
}

fn not_connected() -> Trouble {
    Trouble::Unreachable("not connected".to_owned())
}
