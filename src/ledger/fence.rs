//! The fence: one row that says who may write. Locks keep a second dispatcher out in the normal case; the fence is the
//! truth when a lock was lost unseen. Every commit names its epoch; whoever takes the ledger over raises it.

use uuid::Uuid;

use super::either::{Arg, Session};
use crate::metrics;

/// Takes the ledger for `holder`, a name no other process has; the new epoch.
pub async fn take(mut session: Session<'_>, holder: Uuid) -> sqlx::Result<i64> {
    let now = session.now().await?;
    let holder = holder.to_string();
    let epoch = session
        .first(
            "update fence set epoch = epoch + 1, holder = $1, batch = 0, seen_at = $2 where only_row = 1
             returning epoch",
            [Arg::Text(&holder), Arg::Int(now.0)],
        )
        .await?
        .ok_or(sqlx::Error::RowNotFound)?
        .int("epoch")?;
    metrics::epoch(epoch);
    Ok(epoch)
}

/// Takes the ledger again after a lost connection: the new epoch and the last batch that was committed. None if somebody
/// else has taken it meanwhile. May be repeated when its own reply is lost.
pub async fn take_again(mut session: Session<'_>, holder: Uuid) -> sqlx::Result<Option<(i64, i64)>> {
    let now = session.now().await?;
    let holder = holder.to_string();
    session
        .first(
            "update fence set epoch = epoch + 1, seen_at = $2 where holder = $1 returning epoch, batch",
            [Arg::Text(&holder), Arg::Int(now.0)],
        )
        .await?
        .map(|row| {
            let (epoch, batch) = (row.int("epoch")?, row.int("batch")?);
            metrics::epoch(epoch);
            Ok((epoch, batch))
        })
        .transpose()
}

/// Marks a commit with its batch. Returns whether the epoch still stands; the row stays locked until the commit, so
/// nobody can raise it in between.
pub async fn pass(mut session: Session<'_>, epoch: i64, batch: i64) -> sqlx::Result<bool> {
    let changed =
        session.run("update fence set batch = $2 where epoch = $1", [Arg::Int(epoch), Arg::Int(batch)]).await?;
    Ok(changed == 1)
}
