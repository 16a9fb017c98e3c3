//! The ledger in Postgres. One dispatcher is held to by a session advisory lock on the writer's own connection, and by
//! the epoch in the fence row, which every commit checks: a session can lose its advisory lock without knowing.

pub mod standby;
mod write;

use std::time::Duration;

use kiez_protocol::ids::JobId;
use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{ConnectOptions, Connection, PgConnection};
use uuid::Uuid;

use super::either::Session;
use super::rows::Rows;
use super::schema::{self, Standing};
use super::{Ledger, OpenError, READER_WAIT, Trouble, facts, fence, load};
use crate::dispatch::effect::{Record, Stored, StoredJob};

/// The name of the lock: "kiez" in ASCII. Advisory locks belong to one database, so two ledgers on one server are fine.
pub(super) const LOCK: i64 = 0x6b69_657a;
/// How often, and at what distance, the lock is tried before it counts as held: a second in all.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// A server that does not greet within this is tried anew.
const CONNECT: Duration = Duration::from_secs(5);
/// Between two signs of life while what is open is loaded.
const BEAT: Duration = Duration::from_secs(1);
/// How the sessions of writers are named; the holder's own name follows.
const WRITER: &str = "kiez-writer-";

/// The writer's side of a Postgres ledger.
pub struct PostgresLedger {
    options: PgConnectOptions,
    /// None after a failure, until the next call connects anew.
    connection: Option<PgConnection>,
    holder: Uuid,
    epoch: i64,
}

impl PostgresLedger {
    /// Takes the lock, from another dispatcher if this is to `take_over`; migrates an empty database, raises the epoch.
    ///
    /// # Errors
    /// [`OpenError::Held`] if another process has the lock; [`OpenError::NotDurable`] unless `dev`;
    /// [`OpenError::Replica`]; those of the schema; what the server says.
    pub async fn open(
        target: &PgConnectOptions,
        holder: Uuid,
        dev: bool,
        take_over: bool,
    ) -> Result<PostgresLedger, OpenError> {
        let options = session(target, &writer_name(holder));
        let mut connection = connect(&options).await.map_err(OpenError::database)?;
        check_server(&mut connection, dev).await?;
        lock_soon(&mut connection, target, take_over).await?;
        let migrations = schema::postgres();
        match schema::standing(&mut connection, &migrations).await? {
            Standing::Current => {}
            Standing::Empty => schema::migrate(&mut connection, &migrations).await?,
            Standing::Older => return Err(OpenError::Older),
        }
        let epoch = fence::take(Session::Postgres(&mut connection), holder).await.map_err(OpenError::database)?;
        Ok(PostgresLedger { options, connection: Some(connection), holder, epoch })
    }

    async fn commit(&mut self, batch: i64, rows: &Rows) -> Result<(), Trouble> {
        let connection = self.connection.as_mut().ok_or_else(not_connected)?;
        let mut transaction = connection.begin().await.map_err(unknown)?;
        let written = async {
            if !fence::pass(Session::Postgres(&mut transaction), self.epoch, batch).await? {
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

impl Ledger for PostgresLedger {
    async fn write(&mut self, batch: i64, records: &[&Record]) -> Result<(), Trouble> {
        let result = self.commit(batch, &Rows::of(records.iter().copied())).await;
        if let Err(Trouble::Unreachable(_)) = result {
            self.connection = None;
        }
        result
    }

    async fn written(&mut self, batch: i64) -> Result<bool, Trouble> {
        self.connection = None;
        let mut connection = connect(&self.options).await.map_err(unknown)?;
        // First: who has taken over holds the lock by right, and to wait for it would be for ever.
        if !fence::is_held_by(Session::Postgres(&mut connection), self.holder).await.map_err(unknown)? {
            return Err(Trouble::Fenced);
        }
        if !lock(&mut connection).await.map_err(unknown)? {
            // Most likely our own old session, which the server has not yet seen end.
            end_namesakes(&mut connection, self.holder).await.map_err(unknown)?;
            return Err(Trouble::Unreachable("the lock is not yet free".to_owned()));
        }
        let taken = fence::take_again(Session::Postgres(&mut connection), self.holder).await.map_err(unknown)?;
        let (epoch, last) = taken.ok_or(Trouble::Fenced)?;
        self.epoch = epoch;
        self.connection = Some(connection);
        Ok(last == batch)
    }

    async fn beat(&mut self) -> Result<(), Trouble> {
        let connection = self.connection.as_mut().ok_or_else(not_connected)?;
        match fence::renew(Session::Postgres(connection), self.epoch).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Trouble::Fenced),
            Err(error) => {
                self.connection = None;
                Err(unknown(error))
            }
        }
    }

    async fn load(&mut self) -> Result<Stored, Trouble> {
        // The writer does not beat yet, and much may be open.
        let beats = tokio::spawn(beat_beside(self.options.clone().application_name("kiez-loading"), self.epoch));
        let connection = self.connection.as_mut().ok_or_else(not_connected)?;
        let loaded = load::load(Session::Postgres(connection)).await.map_err(trouble);
        beats.abort();
        loaded
    }

    async fn load_job(&mut self, job: JobId) -> Result<Option<StoredJob>, Trouble> {
        let connection = self.connection.as_mut().ok_or_else(not_connected)?;
        load::load_job(Session::Postgres(connection), job).await.map_err(trouble)
    }

    async fn close(self) {
        if let Some(mut connection) = self.connection {
            // The server frees the lock when the session ends, one way or the other.
            let _ = fence::leave(Session::Postgres(&mut connection), self.epoch).await;
            let _ = connection.close().await;
        }
    }
}

/// A pool that only reads.
pub fn reader(target: &PgConnectOptions) -> PgPool {
    let options = session(target, "kiez-reader").options([("default_transaction_read_only", "on")]);
    pool(4, READER_WAIT, options)
}

/// A pool for what admins write.
pub fn registry(target: &PgConnectOptions) -> PgPool {
    pool(2, Duration::from_secs(5), session(target, "kiez-registry"))
}

/// A pool for what is told to the servers of others.
pub fn outbox(target: &PgConnectOptions) -> PgPool {
    pool(2, Duration::from_secs(5), session(target, "kiez-outbox"))
}

/// Brings the database up to this binary's schema; it must not be in use.
///
/// # Errors
/// [`OpenError::Held`] while a dispatcher runs; those of the schema.
pub async fn migrate(target: &PgConnectOptions) -> Result<(), OpenError> {
    // No limit on idleness here: a migration may think for long between two statements.
    let mut connection =
        target.clone().application_name("kiez-migrate").connect().await.map_err(OpenError::database)?;
    lock_soon(&mut connection, target, false).await?;
    schema::migrate(&mut connection, &schema::postgres()).await?;
    connection.close().await.map_err(OpenError::database)
}

/// Where the database stands.
///
/// # Errors
/// Those of the schema.
pub async fn standing(target: &PgConnectOptions) -> Result<Standing, OpenError> {
    let mut connection = session(target, "kiez-registry").connect().await.map_err(OpenError::database)?;
    let standing = schema::standing(&mut connection, &schema::postgres()).await?;
    connection.close().await.map_err(OpenError::database)?;
    Ok(standing)
}

/// Which database it is, in words and without a password.
pub(super) fn described(target: &PgConnectOptions) -> String {
    let database = target.get_database().unwrap_or(target.get_username());
    format!("the database {database} at {}:{}", target.get_host(), target.get_port())
}

fn pool(size: u32, wait: Duration, options: PgConnectOptions) -> PgPool {
    PoolOptions::new()
        .max_connections(size)
        .acquire_timeout(wait)
        // A connection that went bad unseen does not stay for ever.
        .max_lifetime(Duration::from_secs(600))
        .connect_lazy_with(options)
}

fn session(target: &PgConnectOptions, name: &str) -> PgConnectOptions {
    target.clone().application_name(name).disable_statement_logging().options([
        // A session that was left inside a transaction ends, and with it its locks.
        ("idle_in_transaction_session_timeout", "5s"),
        // A peer that is gone is noticed within half a minute, not within hours.
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "4"),
    ])
}

fn writer_name(holder: Uuid) -> String {
    format!("{WRITER}{holder}")
}

/// A connection within five seconds: a machine that swallows what is sent to it would else be waited for for minutes.
async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let late = |_| sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the server does not greet"));
    tokio::time::timeout(CONNECT, options.connect()).await.map_err(late)?
}

/// Signs of life on a connection of their own, until this is aborted.
async fn beat_beside(options: PgConnectOptions, epoch: i64) {
    tokio::time::sleep(BEAT).await;
    // What fails here is no loss: the load is on another connection, and the fence is asked at the first commit.
    let Ok(mut connection) = connect(&options).await else { return };
    while fence::renew(Session::Postgres(&mut connection), epoch).await.is_ok_and(|stands| stands) {
        tokio::time::sleep(BEAT).await;
    }
}

async fn check_server(connection: &mut PgConnection, dev: bool) -> Result<(), OpenError> {
    let (replica, fsync, pages, commit): (bool, String, String, String) = sqlx::query_as(
        "select pg_is_in_recovery(), current_setting('fsync'), current_setting('full_page_writes'),
                current_setting('synchronous_commit')",
    )
    .fetch_one(connection)
    .await
    .map_err(OpenError::database)?;
    if replica {
        return Err(OpenError::Replica);
    }
    for (setting, value) in [("fsync", fsync), ("full_page_writes", pages), ("synchronous_commit", commit)] {
        if value == "off" && !dev {
            return Err(OpenError::NotDurable { setting: setting.to_owned() });
        }
    }
    Ok(())
}

/// Tries to take the lock. Never after it succeeded on the same connection: it stacks.
async fn lock(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(LOCK).fetch_one(connection).await
}

/// Takes the lock, with a little patience: after a crash the server needs a moment to see that the old session is gone.
/// To `take_over` is to end the session of the dispatcher that has it, and each that comes back before us.
async fn lock_soon(connection: &mut PgConnection, target: &PgConnectOptions, take_over: bool) -> Result<(), OpenError> {
    for _ in 0..LOCK_TRIES {
        if lock(connection).await.map_err(OpenError::database)? {
            return Ok(());
        }
        if take_over && let Some(keeper) = standby::keeper(connection).await.map_err(OpenError::database)? {
            standby::end(connection, &keeper).await.map_err(OpenError::database)?;
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    Err(OpenError::Held { what: described(target) })
}

/// Ends sessions of this very process that the server still believes in. The name is the process' own: nobody else's
/// session bears it.
async fn end_namesakes(connection: &mut PgConnection, holder: Uuid) -> sqlx::Result<()> {
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 and pid <> pg_backend_pid()",
    )
    .bind(writer_name(holder))
    .execute(connection)
    .await?;
    Ok(())
}

/// What a failed statement means: a refusal of the data for good, or a fault that passes.
fn trouble(error: sqlx::Error) -> Trouble {
    // Classes of SQLSTATE: cardinality, data, integrity, program limits.
    const REFUSALS: [&str; 4] = ["21", "22", "23", "54"];
    match &error {
        sqlx::Error::Database(database) => {
            let refused = database.code().is_some_and(|code| REFUSALS.iter().any(|class| code.starts_with(class)));
            if refused { Trouble::Refused(facts(&error)) } else { unknown(error) }
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
