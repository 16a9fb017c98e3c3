//! The door of the room that tells the outside: what is due, and what came of it. Rows come into the table by the writer, in
//! the commit of what they tell of; everything else about them passes here. Only the process that has the ledger's lock
//! delivers, and what it does is idempotent: a row that was sent and not noted is sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kiez_protocol::ids::{EndpointId, JobId};
use kiez_protocol::time::Time;
use kiez_protocol::webhook::{DeliveryState, Outcome};
use serde::Serialize;
use tokio::sync::Notify;

use super::either::{Arg, Row, Session};
use super::facts;
use super::pool::Pool;
use super::rows::json;
use super::secret::{Keeper, Secret};

/// Endpoints of one look.
const ENDPOINTS_LEN: i64 = 256;
/// Rows that are swept or purged in one transaction: nobody waits long for the lock.
const SLICE: i64 = 1_000;

/// Rings when there is something to deliver.
#[derive(Clone, Debug, Default)]
pub struct Bell(Arc<Rope>);

#[derive(Debug, Default)]
struct Rope {
    notify: Notify,
    /// Grows when endpoints change: what was read of them is stale.
    edition: AtomicU64,
}

impl Bell {
    /// There is something to deliver.
    pub fn ring(&self) {
        self.0.notify.notify_one();
    }

    /// Endpoints have changed.
    pub fn ring_anew(&self) {
        self.0.edition.fetch_add(1, Ordering::AcqRel);
        self.ring();
    }

    /// How often endpoints have changed.
    pub fn edition(&self) -> u64 {
        self.0.edition.load(Ordering::Acquire)
    }

    /// Waits until it rings. What rang before counts.
    pub async fn rung(&self) {
        self.0.notify.notified().await;
    }
}

/// An endpoint with something due.
#[derive(Clone, Debug)]
pub struct Target {
    /// The id.
    pub id: EndpointId,
    /// Where to.
    pub url: String,
    /// What signs: the bytes, and until when. Empty where they were sealed under another key.
    pub secrets: Vec<(Vec<u8>, Option<Time>)>,
}

/// A row that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueRow {
    /// The row.
    pub number: i64,
    /// The header `webhook-id`.
    pub message: String,
    /// The job it tells of.
    pub job: JobId,
    /// What is sent.
    pub body: String,
    /// Tries so far.
    pub attempts: u32,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// The row.
    pub number: i64,
    /// Its tries before this one. A row that was changed meanwhile keeps the change.
    pub before: u32,
    /// Where it stands now.
    pub state: DeliveryState,
    /// When it is due again, in ms of real time; as it was where it is over.
    pub due_at: i64,
    /// When it was tried, in ms of real time.
    pub tried_at: i64,
    /// The answer's status.
    pub status: Option<u16>,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub took_ms: u32,
}

/// The database did not do it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OutboxError(String);

impl From<sqlx::Error> for OutboxError {
    fn from(error: sqlx::Error) -> OutboxError {
        OutboxError(facts(&error))
    }
}

/// The door.
#[derive(Clone, Debug)]
pub struct Outbox {
    pool: Pool,
    keeper: Keeper,
    bell: Bell,
}

impl Outbox {
    pub(super) fn new(pool: Pool, bell: Bell) -> Outbox {
        Outbox { pool, keeper: Keeper::default(), bell }
    }

    /// With the key that opens secrets.
    #[must_use]
    pub fn opening(self, keeper: Keeper) -> Outbox {
        Outbox { keeper, ..self }
    }

    /// What rings when there is something to deliver.
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// Endpoints behind `after`, by id, for which something is due; at most 256.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn targets(&self, now: Time, after: Option<EndpointId>) -> Result<Vec<Target>, OutboxError> {
        let sql = "select id, url, secrets from endpoints
                   where off is null and ($1 is null or id > $1)
                       and exists (select 1 from outbox
                           where outbox.endpoint = endpoints.id and state = 'waiting' and due_at <= $2)
                   order by id limit $3";
        let mut lease = self.pool.lease().await?;
        let args = [Arg::MaybeId(after.map(|after| after.0)), Arg::Int(now.0), Arg::Int(ENDPOINTS_LEN)];
        let rows = lease.session().all(sql, args).await?;
        Ok(rows.iter().map(|row| self.read(row)).collect::<sqlx::Result<_>>()?)
    }

    /// An endpoint, unless it is switched off.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn target(&self, endpoint: EndpointId) -> Result<Option<Target>, OutboxError> {
        let sql = "select id, url, secrets from endpoints where id = $1 and off is null";
        let row = self.pool.lease().await?.session().first(sql, [Arg::Id(endpoint.0)]).await?;
        Ok(row.map(|row| self.read(&row)).transpose()?)
    }

    fn read(&self, row: &Row) -> sqlx::Result<Target> {
        let id = EndpointId(row.id("id")?);
        let secrets: Vec<Secret> = row.doc("secrets")?;
        let opened = secrets.iter().filter_map(|secret| Some((self.keeper.open(id, secret)?, secret.until)));
        Ok(Target { id, url: row.text("url")?.to_owned(), secrets: opened.collect() })
    }

    /// What is due for an endpoint, the longest due first, at most `limit`.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn due(&self, endpoint: EndpointId, now: Time, limit: usize) -> Result<Vec<DueRow>, OutboxError> {
        let sql = "select number, message, job, body, attempts from outbox
                   where endpoint = $1 and state = 'waiting' and due_at <= $2 order by due_at, number limit $3";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut lease = self.pool.lease().await?;
        let rows = lease.session().all(sql, [Arg::Id(endpoint.0), Arg::Int(now.0), Arg::Int(limit)]).await?;
        let due = |row: &Row| {
            Ok(DueRow {
                number: row.int("number")?,
                message: row.text("message")?.to_owned(),
                job: JobId(row.id("job")?),
                body: row.text("body")?.to_owned(),
                attempts: row.int("attempts")?,
            })
        };
        Ok(rows.iter().map(due).collect::<sqlx::Result<_>>()?)
    }

    /// Notes what came of tries; endpoints that want no more are switched off with it.
    ///
    /// # Errors
    /// [`OutboxError`]; then nothing is noted.
    pub async fn note(&self, attempts: Vec<Attempt>, gone: Vec<EndpointId>) -> Result<(), OutboxError> {
        let pool = self.pool.clone();
        // Whole, even when who waits for it goes away.
        let noted = tokio::spawn(async move {
            let mut work = pool.begin().await?;
            let session = &mut work.session();
            if !attempts.is_empty() {
                note(session, &attempts).await?;
            }
            for endpoint in gone {
                let sql = "update endpoints set off = 'gone' where id = $1 and off is null";
                session.run(sql, [Arg::Id(endpoint.0)]).await?;
            }
            work.commit().await
        });
        Ok(noted.await.expect("noting does not panic")?)
    }

    /// Gives up some of what waits for endpoints that are switched off. Whether there may be more.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn give_up(&self, now: Time) -> Result<bool, OutboxError> {
        let sql = "update outbox set state = 'dead', outcome = 'endpoint_off', ended_at = $1
                   where number in (select number from outbox
                       where state = 'waiting' and endpoint in (select id from endpoints where off is not null)
                       limit $2)";
        self.slice(sql, now).await
    }

    /// Forgets some of what was over before `before`. Whether there may be more.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn forget(&self, before: Time) -> Result<bool, OutboxError> {
        let sql = "delete from outbox where number in (select number from outbox where ended_at < $1 limit $2)";
        self.slice(sql, before).await
    }

    async fn slice(&self, sql: &'static str, at: Time) -> Result<bool, OutboxError> {
        let mut lease = self.pool.lease().await?;
        let rows = lease.session().run(sql, [Arg::Int(at.0), Arg::Int(SLICE)]).await?;
        Ok(rows >= SLICE.unsigned_abs())
    }
}

async fn note(session: &mut Session<'_>, attempts: &[Attempt]) -> sqlx::Result<()> {
    let sql = match session {
        Session::Sqlite(_) => {
            "update outbox set attempts = outbox.attempts + 1, state = line.state, due_at = line.due_at,
                 tried_at = line.tried_at, status = line.status, outcome = line.outcome, took_ms = line.took_ms,
                 ended_at = case when line.state = 'waiting' then null else line.tried_at end
             from (select value ->> 'number' as number, value ->> 'before' as before, value ->> 'state' as state,
                       value ->> 'due_at' as due_at, value ->> 'tried_at' as tried_at, value ->> 'status' as status,
                       value ->> 'outcome' as outcome, value ->> 'took_ms' as took_ms
                   from json_each($1)) as line
             where outbox.number = line.number and outbox.attempts = line.before and outbox.state = 'waiting'"
        }
        Session::Postgres(_) => {
            "update outbox set attempts = outbox.attempts + 1, state = line.state, due_at = line.due_at,
                 tried_at = line.tried_at, status = line.status, outcome = line.outcome, took_ms = line.took_ms,
                 ended_at = case when line.state = 'waiting' then null else line.tried_at end
             from json_to_recordset($1) as line (number bigint, before bigint, state text, due_at bigint,
                 tried_at bigint, status bigint, outcome text, took_ms bigint)
             where outbox.number = line.number and outbox.attempts = line.before and outbox.state = 'waiting'"
        }
    };
    session.run(sql, [Arg::Doc(json(&attempts))]).await.map(|_| ())
}
