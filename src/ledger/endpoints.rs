//! Where partners want to hear of their jobs, and what was sent there: what they set, what they see, what they send again.

use kiez_protocol::audit::SubjectKind;
use kiez_protocol::ids::{EndpointId, JobId, PartnerSlug};
use kiez_protocol::time::Time;
use kiez_protocol::webhook::{DeliveryState, DeliveryView, EndpointOff, WebhookType};

use super::audit::{self, AuditLine};
use super::either::{Arg, Row};
use super::reader::{ReadError, Reader};
use super::registry::{Registry, RegistryError, begin, whole};
use super::rows::json;
use super::secret::Secret;
use crate::dispatch::effect::By;

/// An endpoint as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The id.
    pub id: EndpointId,
    /// Where to.
    pub url: String,
    /// What is told there; empty: everything.
    pub events: Vec<WebhookType>,
    /// What signs, the newest first.
    pub secrets: Vec<Secret>,
    /// Why nothing is told there.
    pub off: Option<EndpointOff>,
    /// When it was made, in real time.
    pub created_at: Time,
}

/// Which deliveries are wanted; nothing set: all.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeliveryFilter {
    /// In this state.
    pub state: Option<DeliveryState>,
    /// To this endpoint.
    pub endpoint: Option<EndpointId>,
    /// About this job.
    pub job: Option<JobId>,
}

impl Endpoint {
    /// An endpoint with one secret that signs, these bytes in the clear. For tests and tools beside a server.
    pub fn new(id: EndpointId, url: &str, secret: &[u8], created_at: Time) -> Endpoint {
        let secret = Secret { text: super::secret::written(secret), made_at: created_at, until: None };
        Endpoint { id, url: url.to_owned(), events: Vec::new(), secrets: vec![secret], off: None, created_at }
    }

    pub(super) fn read(row: &Row) -> sqlx::Result<Endpoint> {
        Ok(Endpoint {
            id: EndpointId(row.id("id")?),
            url: row.text("url")?.to_owned(),
            events: row.doc("events")?,
            secrets: row.doc("secrets")?,
            off: row.maybe_word("off")?,
            created_at: row.time("created_at")?,
        })
    }
}

impl Reader {
    /// A partner's endpoints, in the order in which they were made.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn endpoints(&self, partner: &PartnerSlug) -> Result<Vec<Endpoint>, ReadError> {
        let sql = "select id, url, events, secrets, off, created_at from endpoints
                   where partner = $1 and (off is null or off <> 'removed') order by created_at, id";
        let rows = self.rows(sql, [Arg::Text(partner.as_str())]).await?;
        Ok(rows.iter().map(Endpoint::read).collect::<sqlx::Result<_>>()?)
    }

    /// What was sent to a partner's endpoints or will be, newest first, at most `limit`, those older than `after`. None if
    /// `after` is no delivery of theirs.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn deliveries(
        &self,
        partner: &PartnerSlug,
        filter: DeliveryFilter,
        limit: u32,
        after: Option<(&str, EndpointId)>,
    ) -> Result<Option<Vec<DeliveryView>>, ReadError> {
        let before = match after {
            None => i64::MAX,
            Some((message, endpoint)) => {
                let sql = "select number from outbox where message = $1 and endpoint = $2 and partner = $3";
                let args = [Arg::Text(message), Arg::Id(endpoint.0), Arg::Text(partner.as_str())];
                let Some(row) = self.row(sql, args).await? else { return Ok(None) };
                row.int("number")?
            }
        };
        let rows = self
            .rows(
                "select message, endpoint, type, job, sequence, at, state, attempts, due_at, tried_at, status, outcome,
                     took_ms
                 from outbox
                 where partner = $1 and ($2 is null or state = $2) and ($3 is null or endpoint = $3)
                     and ($4 is null or job = $4) and number < $5
                 order by number desc limit $6",
                [
                    Arg::Text(partner.as_str()),
                    Arg::MaybeText(filter.state.map(DeliveryState::as_str)),
                    Arg::MaybeId(filter.endpoint.map(|endpoint| endpoint.0)),
                    Arg::MaybeId(filter.job.map(|job| job.0)),
                    Arg::Int(before),
                    Arg::Int(limit.into()),
                ],
            )
            .await?;
        Ok(Some(rows.iter().map(delivery).collect::<sqlx::Result<_>>()?))
    }
}

/// The name of a delivery: the webhook's id and the endpoint's.
pub fn delivery_name(message: &str, endpoint: EndpointId) -> String {
    format!("{message}.{endpoint}")
}

/// The webhook's id and the endpoint of such a name.
pub fn delivery_of(name: &str) -> Option<(&str, EndpointId)> {
    let (message, endpoint) = name.split_once('.')?;
    Some((message, endpoint.parse().ok()?))
}

fn delivery(row: &Row) -> sqlx::Result<DeliveryView> {
    let endpoint = EndpointId(row.id("endpoint")?);
    let (message, state) = (row.text("message")?.to_owned(), row.word("state")?);
    let due_at = row.time("due_at")?;
    let number = |column| Ok::<_, sqlx::Error>(row.maybe_int(column)?.and_then(|number| u32::try_from(number).ok()));
    Ok(DeliveryView {
        id: delivery_name(&message, endpoint),
        webhook_id: message,
        endpoint,
        kind: row.word("type")?,
        job: JobId(row.id("job")?),
        sequence: row.int("sequence")?,
        state,
        attempts: row.int("attempts")?,
        timestamp: row.time("at")?,
        tried_at: row.maybe_time("tried_at")?,
        outcome: row.maybe_word("outcome")?,
        status: number("status")?.and_then(|status| u16::try_from(status).ok()),
        took_ms: number("took_ms")?,
        next_try_at: (state == DeliveryState::Waiting && due_at > Time(0)).then_some(due_at),
    })
}

/// What became of a wish to send something again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resent {
    /// It is due.
    Due,
    /// The endpoint is switched off.
    Off,
    /// There is no such delivery.
    Unknown,
}

impl Registry {
    /// Makes these the partner's endpoints, in one piece. `change` gets those that stand, and gives back all that are to
    /// stand; the others go away. What `change` refuses is not written.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn change_endpoints<E: Send + 'static>(
        &self,
        partner: PartnerSlug,
        change: impl FnOnce(Vec<Endpoint>) -> Result<Vec<Endpoint>, E> + Send + 'static,
        by: &By,
    ) -> Result<Result<Vec<Endpoint>, E>, RegistryError> {
        let (pool, by, bell) = (self.pool(), by.clone(), self.bell());
        let changed = whole(async move {
            let mut work = begin(&pool).await?;
            let session = &mut work.session();
            let sql = "select id, url, events, secrets, off, created_at from endpoints
                       where partner = $1 and (off is null or off <> 'removed') order by created_at, id";
            let rows = session.all(sql, [Arg::Text(partner.as_str())]).await?;
            let before = rows.iter().map(Endpoint::read).collect::<sqlx::Result<Vec<_>>>()?;
            let after = match change(before.clone()) {
                Ok(after) => after,
                Err(refused) => {
                    work.rollback().await?;
                    return Ok(Err(refused));
                }
            };
            for gone in before.iter().filter(|was| after.iter().all(|is| is.id != was.id)) {
                // The row stays, for the deliveries that name it; what signed there does not.
                session
                    .run("update endpoints set off = 'removed', secrets = '[]' where id = $1", [Arg::Id(gone.id.0)])
                    .await?;
            }
            for endpoint in &after {
                session
                    .run(
                        "insert into endpoints (id, partner, url, events, secrets, off, created_at)
                         values ($1, $2, $3, $4, $5, $6, $7)
                         on conflict (id) do update set url = excluded.url, events = excluded.events,
                             secrets = excluded.secrets, off = excluded.off",
                        [
                            Arg::Id(endpoint.id.0),
                            Arg::Text(partner.as_str()),
                            Arg::Text(&endpoint.url),
                            Arg::Doc(json(&endpoint.events)),
                            Arg::Doc(json(&endpoint.secrets)),
                            Arg::MaybeText(endpoint.off.map(off_word)),
                            Arg::Int(endpoint.created_at.0),
                        ],
                    )
                    .await?;
            }
            let stored = by.did("webhooks_stored", SubjectKind::Partner, &partner).with("endpoints", after.len());
            audit::put(session, &[AuditLine::of(&stored)]).await?;
            work.commit().await?;
            Ok(Ok(after))
        })
        .await?;
        bell.ring_anew();
        Ok(changed)
    }

    /// Sends something again: it is due at once, and has all its tries before it.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn resend(
        &self,
        partner: PartnerSlug,
        message: String,
        endpoint: EndpointId,
    ) -> Result<Resent, RegistryError> {
        let (pool, bell) = (self.pool(), self.bell());
        let resent = whole(async move {
            let mut work = pool.begin().await?;
            let session = &mut work.session();
            let sql = "select endpoints.off from outbox join endpoints on endpoints.id = outbox.endpoint
                       where outbox.message = $1 and outbox.endpoint = $2 and outbox.partner = $3";
            let args = [Arg::Text(&message), Arg::Id(endpoint.0), Arg::Text(partner.as_str())];
            let resent = match session.first(sql, args).await? {
                None => Resent::Unknown,
                Some(row) if row.maybe_text("off")?.is_some() => Resent::Off,
                Some(_) => {
                    let sql = "update outbox set state = 'waiting', ended_at = null, attempts = 0, due_at = 0
                               where message = $1 and endpoint = $2";
                    session.run(sql, [Arg::Text(&message), Arg::Id(endpoint.0)]).await?;
                    Resent::Due
                }
            };
            work.commit().await?;
            Ok(resent)
        })
        .await?;
        bell.ring();
        Ok(resent)
    }
}

fn off_word(off: EndpointOff) -> &'static str {
    match off {
        EndpointOff::Gone => "gone",
        EndpointOff::Partner => "partner",
    }
}
