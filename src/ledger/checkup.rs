//! A look from beside, for `kiez doctor`: what stands where `database.url` points, whether a crash would lose what was
//! told, and who has the ledger. It only reads: it makes no file and no table, and takes no lock.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use kiez_protocol::time::Time;
use sqlx::migrate::{Migrate, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::either::{Arg, Session};
use super::schema::{self, Standing};
use super::{OpenError, Target, postgres};

/// What a look has found.
#[derive(Debug)]
pub struct Checkup {
    /// Where it was looked, without a password.
    pub place: Place,
    /// The engine and its version.
    pub engine: String,
    /// Where the schema stands, or why no server can start on it.
    pub schema: Result<Found, OpenError>,
    /// Settings that are off and without which a crash loses what was told; with SQLite kiez sets them itself.
    pub not_durable: Vec<String>,
    /// It only follows another database.
    pub is_replica: bool,
    /// The database's own clock, if it is another machine's.
    pub clock: Option<Time>,
    /// The row that says who may write.
    pub fence: Option<FenceRow>,
    /// Who has the lock.
    pub lock: Lock,
}

/// Where a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// A database of a server, in words.
    Server(String),
}

/// Where a schema stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is no file yet, or nothing in it: the first start makes what it needs.
    Nothing,
    /// What this binary wants.
    Current,
    /// It lacks migrations.
    Older,
}

/// The fence: the truth about who may write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceRow {
    /// It grows with every process that takes the ledger.
    pub epoch: i64,
    /// The name that process has made for itself; empty if it said goodbye.
    pub holder: String,
    /// Its last sign of life, by the database's clock.
    pub seen_at: Time,
    /// The database's clock when this was read.
    pub now: Time,
}

/// Who has the lock that keeps a second dispatcher out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Nobody.
    Free,
    /// Somebody, in words.
    Held(String),
    /// This machine does not tell.
    Unknown,
}

/// Looks at the database.
///
/// # Errors
/// [`OpenError`] when it cannot be read at all.
pub async fn checkup(url: &str) -> Result<Checkup, OpenError> {
    match Target::parse(url)? {
        Target::Sqlite(path) => of_file(&path).await,
        Target::Postgres(options) => of_server(&options).await,
    }
}

async fn of_file(path: &Path) -> Result<Checkup, OpenError> {
    let mut checkup = Checkup {
        place: Place::File(path.to_path_buf()),
        engine: "SQLite".to_owned(),
        schema: Ok(Found::Nothing),
        not_durable: Vec::new(),
        is_replica: false,
        clock: None,
        fence: None,
        lock: file_lock(path),
    };
    if std::fs::metadata(path).is_ok_and(|file| file.len() > 0) {
        let options = SqliteConnectOptions::new().filename(path).read_only(true).disable_statement_logging();
        let mut connection = options.connect().await.map_err(OpenError::database)?;
        let mut session = Session::Sqlite(&mut connection);
        let version = session.first("select sqlite_version() as version", []).await.map_err(OpenError::database)?;
        if let Some(version) = version {
            checkup.engine = format!("SQLite {}", version.text("version").map_err(OpenError::database)?);
        }
        let sql = "select 1 as one from sqlite_master where type = 'table' and name = '_sqlx_migrations'";
        if session.first(sql, []).await.map_err(OpenError::database)?.is_some() {
            checkup.schema = found(&mut connection, &schema::sqlite()).await;
            checkup.fence = fence(Session::Sqlite(&mut connection)).await;
        }
        connection.close().await.map_err(OpenError::database)?;
    }
    Ok(checkup)
}

async fn of_server(target: &PgConnectOptions) -> Result<Checkup, OpenError> {
    let options = target.clone().application_name("kiez-doctor").disable_statement_logging();
    let mut connection: PgConnection = options.connect().await.map_err(OpenError::database)?;
    let mut session = Session::Postgres(&mut connection);
    let sql = "select current_setting('server_version') as version, pg_is_in_recovery()::int::bigint as replica,
                      current_setting('fsync') as fsync, current_setting('full_page_writes') as full_page_writes,
                      current_setting('synchronous_commit') as synchronous_commit,
                      (to_regclass('_sqlx_migrations') is not null)::int::bigint as migrated";
    let row = session.first(sql, []).await.and_then(|row| row.ok_or(sqlx::Error::RowNotFound));
    let row = row.map_err(OpenError::database)?;
    let clock = session.now().await.map_err(OpenError::database)?;
    let lock = server_lock(&mut session).await.map_err(OpenError::database)?;
    let off = |setting: &&str| row.text(setting).is_ok_and(|value| value == "off");
    let settings = ["fsync", "full_page_writes", "synchronous_commit"];
    let mut checkup = Checkup {
        place: Place::Server(postgres::described(target)),
        engine: format!("Postgres {}", row.text("version").map_err(OpenError::database)?),
        schema: Ok(Found::Nothing),
        not_durable: settings.iter().filter(|setting| off(setting)).map(|setting| (*setting).to_owned()).collect(),
        is_replica: row.int::<i64>("replica").map_err(OpenError::database)? == 1,
        clock: Some(clock),
        fence: None,
        lock,
    };
    if row.int::<i64>("migrated").map_err(OpenError::database)? == 1 {
        checkup.schema = found(&mut connection, &schema::postgres()).await;
        checkup.fence = fence(Session::Postgres(&mut connection)).await;
    }
    connection.close().await.map_err(OpenError::database)?;
    Ok(checkup)
}

async fn found<C: Migrate>(connection: &mut C, migrator: &Migrator) -> Result<Found, OpenError> {
    Ok(match schema::compare(connection, migrator).await? {
        Standing::Empty => Found::Nothing,
        Standing::Current => Found::Current,
        Standing::Older => Found::Older,
    })
}

/// The fence, where the schema has one.
async fn fence(mut session: Session<'_>) -> Option<FenceRow> {
    let now = session.now().await.ok()?;
    let row = session.first("select epoch, holder, seen_at from fence", []).await.ok()??;
    Some(FenceRow {
        epoch: row.int("epoch").ok()?,
        holder: row.text("holder").ok()?.to_owned(),
        seen_at: Time(row.int("seen_at").ok()?),
        now,
    })
}

async fn server_lock(session: &mut Session<'_>) -> sqlx::Result<Lock> {
    let sql = "select pid::bigint as pid, coalesce(application_name, 'a session') as name,
                      coalesce(host(client_addr), 'the same machine') as address
               from pg_locks join pg_stat_activity using (pid)
               where locktype = 'advisory' and granted and objid::bigint = $1 and classid::bigint = 0
                   and pg_locks.database = (select oid from pg_database where datname = current_database())";
    let holder = session.first(sql, [Arg::Int(postgres::LOCK)]).await?;
    let Some(holder) = holder else { return Ok(Lock::Free) };
    let (name, address) = (holder.text("name")?, holder.text("address")?);
    Ok(Lock::Held(format!("{name} from {address}, backend {}", holder.int::<i64>("pid")?)))
}

/// Who has the lock file, as the system tells it: trying to lock it would keep a server out that starts meanwhile.
fn file_lock(path: &Path) -> Lock {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let Ok(file) = std::fs::metadata(PathBuf::from(beside)) else { return Lock::Free };
    let Ok(locks) = std::fs::read_to_string("/proc/locks") else { return Lock::Unknown };
    holder_among(&locks, file.ino()).map_or(Lock::Free, |pid| Lock::Held(format!("process {pid}")))
}

/// The process that has locked the whole file `inode`. A line reads `1: FLOCK ADVISORY WRITE 708 fe:01:1234 0 EOF`.
fn holder_among(locks: &str, inode: u64) -> Option<&str> {
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, file, ..] = fields.as_slice() else { return None };
        (file.rsplit(':').next() == Some(&inode.to_string())).then_some(*pid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_list_of_locks_names_the_holder() {
        let locks = "1: FLOCK  ADVISORY  WRITE 708 fe:01:1234 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 9 fe:01:1234 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 11 fe:01:77 0 EOF\n3: FLOCK  ADVISORY  READ 12 fe:01:78 0 EOF\n";
        assert_eq!(holder_among(locks, 1_234), Some("708"));
        assert_eq!((holder_among(locks, 77), holder_among(locks, 78), holder_among(locks, 234)), (None, None, None));
    }
}
