//! The read door: a small pool for what is no longer open, lists, and answers that are repeated. It only reads, and
//! nobody decides from it.

use std::time::Duration;

use kiez_protocol::audit::{AuditEntry, SubjectKind};
use kiez_protocol::directory::Friend;
use kiez_protocol::friend::{ClosedReason, LostReason, Verdict};
use kiez_protocol::ids::{CommunitySlug, FriendId, JobId, Key, OfferId, PartnerSlug};
use kiez_protocol::money::Money;
use kiez_protocol::partner::{JobState, JobView};
use kiez_protocol::people::{DocumentVersion, WaitCell};
use kiez_protocol::talk::JobMessage;
use kiez_protocol::time::Time;

use super::audit;
use super::either::{Arg, Row, broken};
use super::facts;
use super::pool::Pool;
use super::rows::{LIVE, state_word, unhex};
use super::writer::Pulse;
use crate::dispatch::job::Booking;

/// One look takes at most this long. Who asks is told to come again, and may do something else meanwhile.
const LOOK: Duration = Duration::from_secs(2);

/// The database did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The writer knows already that it does not answer: nobody waits to find out again.
    #[error("the ledger is away")]
    Away,
    /// It took too long.
    #[error("the ledger did not answer in time")]
    Slow,
    /// It failed.
    #[error("the ledger cannot be read")]
    Failed(#[from] sqlx::Error),
}

impl ReadError {
    /// Why, for the log: without a value of the data.
    pub fn facts(&self) -> String {
        match self {
            ReadError::Away | ReadError::Slow => self.to_string(),
            ReadError::Failed(error) => facts(error),
        }
    }
}

/// Which entries of the audit log are wanted; nothing set: all.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// What was done to things of this kind.
    pub kind: Option<SubjectKind>,
    /// What was done to this.
    pub subject: Option<String>,
    /// What this one did.
    pub actor: Option<String>,
    /// This action.
    pub action: Option<String>,
}

/// The read door.
#[derive(Clone, Debug)]
pub struct Reader {
    pool: Pool,
    pulse: Pulse,
}

impl Reader {
    pub(super) fn new(pool: Pool, pulse: Pulse) -> Reader {
        Reader { pool, pulse }
    }

    /// A partner's job. Another partner's is like one that does not exist.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn job_view(&self, partner: &PartnerSlug, job: JobId) -> Result<Option<JobView>, ReadError> {
        self.view(
            "select view as doc from jobs where id = $1 and partner = $2",
            [Arg::Id(job.0), Arg::Text(partner.as_str())],
        )
        .await
    }

    /// Any partner's job, for ops.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn any_job_view(&self, job: JobId) -> Result<Option<JobView>, ReadError> {
        self.view("select view as doc from jobs where id = $1", [Arg::Id(job.0)]).await
    }

    /// What was booked: with the customer's name and street, for the customer.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn booking(&self, job: JobId) -> Result<Option<Booking>, ReadError> {
        let row = self.row("select doc from bookings where job = $1", [Arg::Id(job.0)]).await?;
        Ok(row.map(|row| row.doc("doc")).transpose()?)
    }

    /// Who has made this proposal for this job.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn proposer(&self, job: JobId, proposal: OfferId) -> Result<Option<FriendId>, ReadError> {
        let sql = "select friend from proposals where offer = $1 and job = $2";
        let row = self.row(sql, [Arg::Id(proposal.0), Arg::Id(job.0)]).await?;
        Ok(row.map(|row| row.id("friend").map(FriendId)).transpose()?)
    }

    /// What the customer and friends have written about a job, in its order.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn messages(&self, job: JobId) -> Result<Vec<JobMessage>, ReadError> {
        let sql = "select number, voice, text, at from messages where job = $1 order by number";
        let said = |row: &Row| {
            Ok(JobMessage {
                job,
                number: row.int("number")?,
                from: row.word("voice")?,
                text: row.text("text")?.to_owned(),
                at: row.time("at")?,
            })
        };
        Ok(self.rows(sql, [Arg::Id(job.0)]).await?.iter().map(said).collect::<sqlx::Result<_>>()?)
    }

    /// A partner's jobs, newest first, at most `limit` of them, those after `after` in that order.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn jobs(
        &self,
        partner: &PartnerSlug,
        state: Option<JobState>,
        limit: u32,
        after: Option<JobId>,
    ) -> Result<Vec<JobView>, ReadError> {
        let state = state.map(state_word);
        let rows = self
            .rows(
                "select view from jobs
                 where partner = $1 and ($2 is null or state = $2) and ($3 is null or id < $3)
                 order by id desc limit $4",
                [
                    Arg::Text(partner.as_str()),
                    Arg::MaybeText(state.as_deref()),
                    Arg::MaybeId(after.map(|after| after.0)),
                    Arg::Int(limit.into()),
                ],
            )
            .await?;
        Ok(rows.iter().map(|row| row.doc("view")).collect::<sqlx::Result<_>>()?)
    }

    /// The answer that was given to an idempotency key; kept seven days.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn repeated(&self, partner: &PartnerSlug, key: &str) -> Result<Option<JobView>, ReadError> {
        self.view(
            "select answer as doc from partner_keys where partner = $1 and key = $2",
            [Arg::Text(partner.as_str()), Arg::Text(key)],
        )
        .await
    }

    /// The verdict on an accept, as the rows of the offer, the job and the visit tell it. None for an offer that is not
    /// this friend's. [`Verdict::TryAgain`] while the offer is live.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn verdict(
        &self,
        friend: FriendId,
        offer: OfferId,
        key: Key,
    ) -> Result<Option<(Verdict, Option<LostReason>)>, ReadError> {
        let row = self
            .row(
                "select offers.state as offer_state, jobs.state as job_state, visits.accept_key
                 from offers join jobs on jobs.id = offers.job
                 left join visits on visits.job = offers.job and visits.attempt = offers.attempt
                     and visits.offer = offers.id
                 where offers.id = $1 and offers.friend = $2",
                [Arg::Id(offer.0), Arg::Id(friend.0)],
            )
            .await?;
        Ok(row.map(|row| verdict(&row, key)).transpose()?)
    }

    /// The audit log, newest first, at most `limit` entries, those older than `after`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        limit: u32,
        after: Option<u64>,
    ) -> Result<Vec<AuditEntry>, ReadError> {
        let rows = self
            .rows(
                "select id, at, actor, role, action, subject_kind, subject, reason, details from audit
                 where ($1 is null or subject_kind = $1) and ($2 is null or subject = $2)
                     and ($3 is null or actor = $3) and ($4 is null or action = $4) and id < $5
                 order by id desc limit $6",
                [
                    Arg::MaybeText(filter.kind.map(SubjectKind::as_str)),
                    Arg::MaybeText(filter.subject.as_deref()),
                    Arg::MaybeText(filter.actor.as_deref()),
                    Arg::MaybeText(filter.action.as_deref()),
                    Arg::Int(after.and_then(|after| i64::try_from(after).ok()).unwrap_or(i64::MAX)),
                    Arg::Int(limit.into()),
                ],
            )
            .await?;
        Ok(rows.iter().map(audit::entry).collect::<sqlx::Result<_>>()?)
    }

    /// A document in a version, or in its newest, as JSON; and which version that is.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn document(
        &self,
        kind: SubjectKind,
        slug: &str,
        version: Option<u32>,
    ) -> Result<Option<(serde_json::Value, u32)>, ReadError> {
        let row = self
            .row(
                "select version, doc from documents where kind = $1 and slug = $2 and ($3 = 0 or version = $3)
                 order by version desc limit 1",
                [Arg::Text(kind.as_str()), Arg::Text(slug), Arg::Int(version.unwrap_or(0).into())],
            )
            .await?;
        Ok(row.map(|row| Ok::<_, sqlx::Error>((row.doc("doc")?, row.int("version")?))).transpose()?)
    }

    /// The versions of a document, newest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn versions(&self, kind: SubjectKind, slug: &str) -> Result<Vec<DocumentVersion>, ReadError> {
        #[derive(serde::Deserialize)]
        struct Validity {
            #[serde(default)]
            policy: Dates,
        }
        #[derive(Default, serde::Deserialize)]
        struct Dates {
            #[serde(default)]
            valid_from: Option<Time>,
            #[serde(default)]
            valid_until: Option<Time>,
        }
        let rows = self
            .rows(
                "select version, created_at, doc from documents where kind = $1 and slug = $2 order by version desc",
                [Arg::Text(kind.as_str()), Arg::Text(slug)],
            )
            .await?;
        let read = |row: &Row| {
            let Validity { policy: Dates { valid_from, valid_until } } = row.doc("doc")?;
            Ok(DocumentVersion {
                version: row.int("version")?,
                stored_at: row.time("created_at")?,
                valid_from,
                valid_until,
            })
        };
        Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
    }

    /// A friend's profile as it is stored, and its version.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn friend(&self, friend: FriendId) -> Result<Option<(Friend, u32)>, ReadError> {
        let row = self.row("select doc, version from friends where id = $1", [Arg::Id(friend.0)]).await?;
        Ok(row.map(|row| Ok::<_, sqlx::Error>((row.doc("doc")?, row.int("version")?))).transpose()?)
    }

    /// Friends by id, at most `limit` of them, those after `after`; only accounts in a state and of a community, if these are
    /// named.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn friends(
        &self,
        account: Option<&str>,
        community: Option<&CommunitySlug>,
        limit: u32,
        after: Option<FriendId>,
    ) -> Result<Vec<Friend>, ReadError> {
        let sql = match self.pool {
            Pool::Sqlite(_) => {
                "select doc from friends
                 where ($1 is null or account = $1) and ($3 is null or id > $3)
                     and ($2 is null or exists (select 1 from json_each(friends.doc, '$.communities') where value = $2))
                 order by id limit $4"
            }
            Pool::Postgres(_) => {
                "select doc from friends
                 where ($1 is null or account = $1) and ($3 is null or id > $3)
                     and ($2 is null or exists
                         (select 1 from json_array_elements_text(friends.doc -> 'communities') as each (value)
                          where value = $2))
                 order by id limit $4"
            }
        };
        let args = [
            Arg::MaybeText(account),
            Arg::MaybeText(community.map(CommunitySlug::as_str)),
            Arg::MaybeId(after.map(|after| after.0)),
            Arg::Int(limit.into()),
        ];
        let rows = self.rows(sql, args).await?;
        Ok(rows.iter().map(|row| row.doc("doc")).collect::<sqlx::Result<_>>()?)
    }

    /// How many offers a friend holds on open jobs.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn offers_live(&self, friend: FriendId) -> Result<u32, ReadError> {
        // By the open jobs, which are few: offers are not indexed by friend.
        let row = self
            .row(
                "select count(*) as live from jobs join offers on offers.job = jobs.id
                 where jobs.next_deadline is not null and offers.friend = $1 and offers.state = 'live'",
                [Arg::Id(friend.0)],
            )
            .await?;
        Ok(row.map_or(Ok(0), |row| row.int("live"))?)
    }

    /// The jobs of a friend that are held, or were won since then and done: whether each is held, when it was won, its net
    /// pay.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn visits(&self, friend: FriendId, since: Time) -> Result<Vec<(bool, Time, Money)>, ReadError> {
        let sql = match self.pool {
            Pool::Sqlite(_) => {
                "select active, assigned_at, net, currency from visits
                 where friend = $1 and (active = 1 or outcome = 'done' and assigned_at >= $2)"
            }
            Pool::Postgres(_) => {
                "select active, assigned_at, net, currency from visits
                 where friend = $1 and (active or outcome = 'done' and assigned_at >= $2)"
            }
        };
        let rows = self.rows(sql, [Arg::Id(friend.0), Arg::Int(since.0)]).await?;
        let read = |row: &Row| {
            let net = Money { amount: row.int("net")?, currency: row.word("currency")? };
            Ok((row.flag("active")?, row.time("assigned_at")?, net))
        };
        Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
    }

    /// The waitlist, of one community or of all: the cells with most requests first, at most 1,000.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn waitlist(&self, community: Option<&CommunitySlug>) -> Result<Vec<WaitCell>, ReadError> {
        let rows = self
            .rows(
                "select community, cell, requests, first_at, last_at from waitlist
                 where ($1 is null or community = $1) order by requests desc, community, cell limit 1000",
                [Arg::MaybeText(community.map(CommunitySlug::as_str))],
            )
            .await?;
        let read = |row: &Row| {
            Ok(WaitCell {
                community: row.word("community")?,
                cell: row.word("cell")?,
                requests: row.int("requests")?,
                first_at: row.time("first_at")?,
                last_at: row.time("last_at")?,
            })
        };
        Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
    }

    /// The partner and the SHA-256 of an API key that is not revoked.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn api_key(&self, id: &str) -> Result<Option<(PartnerSlug, [u8; 32])>, ReadError> {
        let row = self
            .row("select partner, sha256 from partner_api_keys where id = $1 and revoked_at is null", [Arg::Text(id)])
            .await?;
        let read = |row: Row| {
            let sha256 = unhex(row.text("sha256")?).ok_or_else(|| broken("sha256", "not a SHA-256"))?;
            Ok::<_, sqlx::Error>((row.word("partner")?, sha256))
        };
        Ok(row.map(read).transpose()?)
    }

    async fn view<const N: usize>(&self, sql: &'static str, args: [Arg<'_>; N]) -> Result<Option<JobView>, ReadError> {
        let row = self.row(sql, args).await?;
        Ok(row.map(|row| row.doc("doc")).transpose()?)
    }

    pub(super) async fn row<const N: usize>(
        &self,
        sql: &'static str,
        args: [Arg<'_>; N],
    ) -> Result<Option<Row>, ReadError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// All looks go through here: a single statement, which may be dropped half-way without harm.
    pub(super) async fn rows<const N: usize>(
        &self,
        sql: &'static str,
        args: [Arg<'_>; N],
    ) -> Result<Vec<Row>, ReadError> {
        if self.pulse.is_away() {
            return Err(ReadError::Away);
        }
        let look = async { self.pool.lease().await?.session().all(sql, args).await };
        Ok(tokio::time::timeout(LOOK, look).await.map_err(|_| ReadError::Slow)??)
    }
}

fn verdict(row: &Row, key: Key) -> sqlx::Result<(Verdict, Option<LostReason>)> {
    // The accept that won hears the same for ever, whatever became of the job since.
    if row.maybe_id("accept_key")? == Some(key.0) {
        return Ok((Verdict::Won, None));
    }
    let lost = match row.text("offer_state")? {
        LIVE => match row.word::<JobState>("job_state")? {
            JobState::Cancelled => LostReason::JobCancelled,
            JobState::Expired => LostReason::Expired,
            JobState::Paused => LostReason::Paused,
            JobState::NeedsInfo | JobState::Dispatching | JobState::Unfilled => return Ok((Verdict::TryAgain, None)),
            JobState::Assigned
            | JobState::Contacted
            | JobState::Appointed
            | JobState::OnTheWay
            | JobState::InProgress
            | JobState::Done
            | JobState::Unsuccessful
            | JobState::Confirmed
            | JobState::Disputed
            | JobState::Refunded
            | JobState::Closed => LostReason::Taken,
        },
        _ => match row.word("offer_state")? {
            ClosedReason::Won => return Ok((Verdict::Won, None)),
            ClosedReason::Taken => LostReason::Taken,
            ClosedReason::Cancelled => LostReason::JobCancelled,
            ClosedReason::Expired => LostReason::Expired,
            ClosedReason::Superseded => LostReason::Superseded,
            ClosedReason::Paused => LostReason::Paused,
            ClosedReason::Declined => LostReason::Declined,
            ClosedReason::HandedBack => LostReason::Closed,
            ClosedReason::Capacity => LostReason::Capacity,
        },
    };
    Ok((Verdict::Lost, Some(lost)))
}
