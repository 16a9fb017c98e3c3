//! The fence: one row that says who may write. Locks keep a second dispatcher out in the normal case; the fence is the
//! truth when a lock was lost unseen. Every commit names its epoch; whoever takes the ledger over raises it.
//!
//! `seen_at` is the holder's sign of life, by the database's clock, so that nobody compares two clocks: a standby only
//! looks whether it changes. An empty `holder` is a goodbye.

use uuid::Uuid;

use super::either::{Arg, Row, Session};
use crate::metrics;

/// A statement with the database's clock in its midst.
macro_rules! stamped {
    ($session:expr, $before:literal, $after:literal) => {
        match $session {
            Session::Sqlite(_) => concat!($before, "cast(unixepoch('subsec') * 1000 as integer)", $after),
            Session::Postgres(_) => concat!($before, "(extract(epoch from clock_timestamp()) * 1000)::bigint", $after),
        }
    };
}

/// Takes the ledger for `holder`, a name no other process has; the new epoch.
pub async fn take(mut session: Session<'_>, holder: Uuid) -> sqlx::Result<i64> {
    let sql = stamped!(
        session,
        "update fence set epoch = epoch + 1, holder = $1, batch = 0, seen_at = ",
        " where only_row = 1 returning epoch"
    );
    let taken = session.first(sql, [Arg::Text(&holder.to_string())]).await?.ok_or(sqlx::Error::RowNotFound)?;
    taken.int("epoch").inspect(|epoch| metrics::epoch(*epoch))
}

/// Takes the ledger again after a lost connection: the new epoch and the last batch that was committed. None if somebody
/// else has taken it meanwhile. May be repeated when its own reply is lost.
pub async fn take_again(mut session: Session<'_>, holder: Uuid) -> sqlx::Result<Option<(i64, i64)>> {
    let sql = stamped!(
        session,
        "update fence set epoch = epoch + 1, seen_at = ",
        " where holder = $1 returning epoch, batch"
    );
    let read = |row: Row| {
        let epoch = row.int("epoch").inspect(|epoch| metrics::epoch(*epoch))?;
        Ok((epoch, row.int("batch")?))
    };
    session.first(sql, [Arg::Text(&holder.to_string())]).await?.map(read).transpose()
}

/// Whether the ledger is still `holder`'s. To be asked before waiting for a lock: it may be somebody else's by right.
pub async fn is_held_by(mut session: Session<'_>, holder: Uuid) -> sqlx::Result<bool> {
    let held = session.first("select epoch from fence where holder = $1", [Arg::Text(&holder.to_string())]).await?;
    Ok(held.is_some())
}

/// Marks a commit with its batch. Returns whether the epoch still stands; the row stays locked until the commit, so
/// nobody can raise it in between.
pub async fn pass(mut session: Session<'_>, epoch: i64, batch: i64) -> sqlx::Result<bool> {
    let sql = stamped!(session, "update fence set batch = $2, seen_at = ", " where epoch = $1");
    Ok(session.run(sql, [Arg::Int(epoch), Arg::Int(batch)]).await? == 1)
}

/// A sign of life between commits. Returns whether the epoch still stands.
pub async fn renew(mut session: Session<'_>, epoch: i64) -> sqlx::Result<bool> {
    let sql = stamped!(session, "update fence set seen_at = ", " where epoch = $1");
    Ok(session.run(sql, [Arg::Int(epoch)]).await? == 1)
}

/// Whether the epoch still stands, without a sign of life: where nobody stands by, none is worth a write each second.
pub async fn stands(mut session: Session<'_>, epoch: i64) -> sqlx::Result<bool> {
    Ok(session.first("select epoch from fence where epoch = $1", [Arg::Int(epoch)]).await?.is_some())
}

/// Says goodbye: whoever stands by need not wait whether this process comes back.
pub async fn leave(mut session: Session<'_>, epoch: i64) -> sqlx::Result<()> {
    session.run("update fence set holder = '' where epoch = $1", [Arg::Int(epoch)]).await.map(|_| ())
}
