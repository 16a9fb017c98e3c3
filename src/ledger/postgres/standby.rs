//! Waiting beside a dispatcher that has the ledger, to take its place when it ends or falls silent.
//!
//! Nobody's clock is compared with another's: a sign of life is that the fence's row changes, and silence is measured
//! here. Only the looks themselves count towards it: when this process stood still, or the database did, that is nobody's
//! silence. A session that vanished without a goodbye is given a moment to come back, since a database that was restarted
//! ends everybody's sessions, and the dispatcher's friends are still on its sockets.

use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

use super::{LOCK, WRITER, check_server, connect, session};
use crate::clock::Stopwatch;
use crate::ledger::OpenError;
use crate::ledger::schema::{self, Standing};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// One look counts for so long at most.
const LOOK_COUNTS: Duration = Duration::from_secs(1);
/// A dispatcher whose session is gone is given so long to come back: its own beat notices within a second.
const ABSENT: Duration = Duration::from_millis(1_250);

/// The session that has the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeper {
    pid: i64,
    name: String,
}

impl Keeper {
    /// Whether it is a dispatcher; else it is somebody who migrates, and is waited for.
    fn is_dispatcher(&self) -> bool {
        self.name.starts_with(WRITER)
    }
}

/// All that a look sees. While a dispatcher lives, it changes each second.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signs {
    keeper: Option<Keeper>,
    fence: Option<Fence>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Fence {
    epoch: i64,
    holder: String,
    batch: i64,
    seen_at: i64,
}

/// What a look leads to.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Wait,
    /// The lock is free, and nobody is expected back.
    Free,
    /// The dispatcher has been silent for too long.
    End(Keeper),
}

/// Waits until the lock is free, or ends the session of a dispatcher that was silent for `silence`. Reads only, but for
/// that; may be cancelled.
///
/// # Errors
/// Those of [`super::PostgresLedger::open`] that can be known before; what the database says, such as that it is away.
pub async fn stand_by(target: &PgConnectOptions, silence: Duration, dev: bool) -> Result<(), OpenError> {
    let options = session(target, "kiez-standby");
    let mut connection = connect(&options).await.map_err(OpenError::database)?;
    check_server(&mut connection, dev).await?;
    if look(&mut connection).await.map_err(OpenError::database)?.fence.is_some()
        && schema::standing(&mut connection, &schema::postgres()).await? == Standing::Older
    {
        return Err(OpenError::Older);
    }
    let mut watch = Watch::new(silence);
    let mut since = Stopwatch::start();
    loop {
        let signs = look(&mut connection).await.map_err(OpenError::database)?;
        let passed = std::mem::replace(&mut since, Stopwatch::start()).elapsed();
        match watch.seen(signs, passed) {
            Verdict::Wait => tokio::time::sleep(LOOK).await,
            Verdict::Free => return Ok(()),
            Verdict::End(keeper) => {
                tracing::warn!(
                    silent_ms = watch.quiet.as_millis(),
                    session = keeper.name,
                    "the dispatcher is silent: its session is ended"
                );
                end(&mut connection, &keeper).await.map_err(OpenError::database)?;
                return Ok(());
            }
        }
    }
}

/// What was seen last, and for how long it has not changed.
struct Watch {
    silence: Duration,
    last: Option<Signs>,
    quiet: Duration,
}

impl Watch {
    fn new(silence: Duration) -> Watch {
        Watch { silence, last: None, quiet: Duration::ZERO }
    }

    /// A look that came `passed` after the one before.
    fn seen(&mut self, signs: Signs, passed: Duration) -> Verdict {
        if self.last.as_ref() == Some(&signs) {
            self.quiet += passed.min(LOOK_COUNTS);
        } else {
            self.quiet = Duration::ZERO;
        }
        let verdict = match (&signs.keeper, &signs.fence) {
            // A new database, or a goodbye.
            (None, None) => Verdict::Free,
            (None, Some(fence)) if fence.holder.is_empty() || self.quiet >= ABSENT => Verdict::Free,
            (Some(keeper), _) if keeper.is_dispatcher() && self.quiet >= self.silence => Verdict::End(keeper.clone()),
            (None | Some(_), _) => Verdict::Wait,
        };
        self.last = Some(signs);
        verdict
    }
}

async fn look(connection: &mut PgConnection) -> sqlx::Result<Signs> {
    let keeper = keeper(connection).await?;
    let is_there: bool =
        sqlx::query_scalar("select to_regclass('fence') is not null").fetch_one(&mut *connection).await?;
    let row: Option<(i64, String, i64, i64)> = if is_there {
        sqlx::query_as("select epoch, holder, batch, seen_at from fence").fetch_optional(connection).await?
    } else {
        None
    };
    Ok(Signs { keeper, fence: row.map(|(epoch, holder, batch, seen_at)| Fence { epoch, holder, batch, seen_at }) })
}

/// The session that has the lock, if one has.
///
/// # Errors
/// What the server says.
pub async fn keeper(connection: &mut PgConnection) -> sqlx::Result<Option<Keeper>> {
    let keeper: Option<(i64, String)> = sqlx::query_as(
        "select pg_locks.pid::bigint, coalesce(application_name, '')
         from pg_locks left join pg_stat_activity on pg_stat_activity.pid = pg_locks.pid
         where locktype = 'advisory' and granted and objsubid = 1
             and database = (select oid from pg_database where datname = current_database())
             and classid::bigint = $1 >> 32 and objid::bigint = $1 & 4294967295",
    )
    .bind(LOCK)
    .fetch_optional(connection)
    .await?;
    Ok(keeper.map(|(pid, name)| Keeper { pid, name }))
}

/// Ends a dispatcher's session, and with it its lock and what it had not committed. Nothing happens if it has ended by
/// itself, or is not a dispatcher's.
///
/// # Errors
/// What the server says.
pub async fn end(connection: &mut PgConnection, keeper: &Keeper) -> sqlx::Result<()> {
    if keeper.is_dispatcher() {
        // By the name as well: it is one process' own, a number may be somebody else's by now.
        sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and application_name = $2")
            .bind(i32::try_from(keeper.pid).map_err(|_| sqlx::Error::RowNotFound)?)
            .bind(&keeper.name)
            .execute(connection)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn signs(keeper: Option<&str>, holder: &str, seen_at: i64) -> Signs {
        let keeper = keeper.map(|name| Keeper { pid: 7, name: name.to_owned() });
        Signs { keeper, fence: Some(Fence { epoch: 3, holder: holder.to_owned(), batch: 5, seen_at }) }
    }

    #[test]
    fn silence_is_ended_and_life_is_left_alone() {
        let mut watch = Watch::new(10 * SECOND);
        for second in 0..30 {
            assert_eq!(watch.seen(signs(Some("kiez-writer-a"), "a", second), SECOND), Verdict::Wait);
        }
        let silent = signs(Some("kiez-writer-a"), "a", 29);
        for _ in 0..9 {
            assert_eq!(watch.seen(silent.clone(), SECOND), Verdict::Wait);
        }
        assert!(matches!(watch.seen(silent, SECOND), Verdict::End(keeper) if keeper.pid == 7));
    }

    #[test]
    fn a_pause_of_our_own_is_nobodys_silence() {
        let mut watch = Watch::new(10 * SECOND);
        let silent = signs(Some("kiez-writer-a"), "a", 1);
        watch.seen(silent.clone(), SECOND);
        assert_eq!(watch.seen(silent, 3_600 * SECOND), Verdict::Wait);
    }

    #[test]
    fn a_goodbye_frees_at_once_and_a_lost_session_after_a_moment() {
        let mut watch = Watch::new(10 * SECOND);
        assert_eq!(watch.seen(signs(None, "", 1), SECOND), Verdict::Free);
        let mut watch = Watch::new(10 * SECOND);
        let lost = signs(None, "a", 1);
        assert_eq!(watch.seen(lost.clone(), SECOND), Verdict::Wait);
        assert_eq!(watch.seen(lost.clone(), SECOND), Verdict::Wait);
        assert_eq!(watch.seen(signs(Some("kiez-writer-a"), "a", 2), SECOND), Verdict::Wait, "it came back");
        assert_eq!(watch.seen(lost.clone(), SECOND), Verdict::Wait);
        watch.seen(lost.clone(), SECOND);
        assert_eq!(watch.seen(lost, SECOND), Verdict::Free);
    }

    #[test]
    fn who_migrates_is_waited_for() {
        let mut watch = Watch::new(10 * SECOND);
        for _ in 0..100 {
            assert_eq!(watch.seen(signs(Some("kiez-migrate"), "a", 1), SECOND), Verdict::Wait);
        }
    }
}
