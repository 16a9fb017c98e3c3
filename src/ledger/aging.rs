//! Records of choices grow old: those who were not chosen shrink to counts after thirty days, and after twelve months the
//! record goes (rules of the trade, §4). A slice at a time, each a transaction of its own, so that whoever writes the jobs
//! waits for none of it. It goes beside the writer: no record that is open is touched, and twice is the same as once.

use kiez_protocol::time::Time;

use super::either::Arg;
use super::registry::{Registry, RegistryError, whole};
use crate::dispatch::decision::Decision;

/// What became of records in one slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aged {
    /// Those in which the others are counts now.
    pub shrunk: u64,
    /// Those that are gone.
    pub gone: u64,
}

impl Registry {
    /// Shrinks the oldest records of choices from before `whole_since`, and removes the oldest from before `kept_since`, at
    /// most `most` of each. A slice that did nothing leaves nothing to do. `now` is noted in those that shrink.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn age_choices(
        &self,
        whole_since: Time,
        kept_since: Time,
        most: u32,
        now: Time,
    ) -> Result<Aged, RegistryError> {
        let pool = self.pool();
        whole(async move {
            let mut work = pool.begin().await?;
            let session = &mut work.session();
            let gone = session
                .run(
                    "delete from decisions where id in (
                         select id from decisions where shrunk_at is not null and at < $1 order by at limit $2)",
                    [Arg::Int(kept_since.0), Arg::Int(most.into())],
                )
                .await?;
            let rows = session
                .all(
                    "select id, doc from decisions where shrunk_at is null and at < $1 order by at limit $2",
                    [Arg::Int(whole_since.0), Arg::Int(most.into())],
                )
                .await?;
            for row in &rows {
                let shrunk = row.doc::<Decision>("doc")?.shrink();
                let doc = serde_json::to_string(&shrunk).expect("a record is plain data");
                session
                    .run(
                        "update decisions set doc = $2, shrunk_at = $3 where id = $1",
                        [Arg::Int(row.int("id")?), Arg::Doc(doc), Arg::Int(now.0)],
                    )
                    .await?;
            }
            work.commit().await?;
            Ok(Aged { shrunk: rows.len() as u64, gone })
        })
        .await
    }
}
