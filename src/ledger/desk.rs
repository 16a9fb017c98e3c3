//! What ops look at: jobs by what they stand for, and one job with all that became of it. Nobody decides from it.

use kiez_protocol::desk::{DeskEvent, DeskRun};
use kiez_protocol::ids::{CommunitySlug, FriendId, JobId, PartnerSlug};
use kiez_protocol::partner::{JobState, JobView};
use kiez_protocol::time::Time;

use super::either::{Arg, Row};
use super::load;
use super::reader::{ReadError, Reader};
use super::rows::state_word;
use crate::dispatch::decision::Decision;
use crate::dispatch::job::{Booking, Offer};

/// Which jobs are wanted; nothing set: all.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// In this state.
    pub state: Option<JobState>,
    /// Of this community.
    pub community: Option<CommunitySlug>,
    /// With this reference of the partner's own.
    pub partner_ref: Option<String>,
    /// Offered or given to this friend.
    pub friend: Option<FriendId>,
    /// At this postcode.
    pub postcode: Option<String>,
    /// Whose customer's name or phone number has this in it. Reads every booking there is, newest first, till the page is
    /// full.
    pub q: Option<String>,
}

/// A job in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedJob {
    /// Whose.
    pub partner: PartnerSlug,
    /// As its partner sees it.
    pub view: JobView,
    /// The postcode.
    pub postcode: String,
    /// The city.
    pub city: String,
}

/// A job with all that became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobFile {
    /// Whose.
    pub partner: PartnerSlug,
    /// As its partner sees it.
    pub view: JobView,
    /// The version of the community.
    pub community_version: u32,
    /// The version of the package.
    pub package_version: u32,
    /// When something is due.
    pub next_deadline: Option<Time>,
    /// What was booked.
    pub booking: Booking,
    /// What happened.
    pub events: Vec<DeskEvent>,
    /// The looks for a friend.
    pub runs: Vec<DeskRun>,
    /// Who was asked.
    pub offers: Vec<Offer>,
    /// Why.
    pub decisions: Vec<Decision>,
}

/// The list of jobs that a condition leads to. The other conditions stand beside it, each open where it is null.
macro_rules! list {
    ($first:literal) => {
        concat!(
            "select jobs.partner as partner, jobs.view as view, doc -> 'address' ->> 'postcode' as postcode,
                 doc -> 'address' ->> 'city' as city
             from jobs join bookings on bookings.job = jobs.id
             where ",
            $first,
            " and ($1 is null or jobs.state = $1) and ($2 is null or jobs.community = $2)
                 and ($3 is null or jobs.partner_ref = $3)
                 and ($4 is null or jobs.id in (select offers.job from offers where offers.friend = $4))
                 and ($5 is null or doc -> 'address' ->> 'postcode' = $5)
                 and ($6 is null or lower(doc -> 'customer' ->> 'name') like $6 escape '\\')
                 and ($7 is null
                     or replace(replace(replace(doc -> 'customer' ->> 'phone', ' ', ''), '-', ''), '/', '') like $7)
                 and ($8 is null or jobs.id < $8)
             order by jobs.id desc limit $9"
        )
    };
}

impl Reader {
    /// Jobs of any partner, newest first, at most `limit` of them, those after `after` in that order.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn jobs_of_ops(
        &self,
        filter: &JobFilter,
        limit: u32,
        after: Option<JobId>,
    ) -> Result<Vec<ListedJob>, ReadError> {
        // The narrowest first: it is what the engine looks up.
        let sql = if filter.friend.is_some() {
            list!("jobs.id in (select offers.job from offers where offers.friend = $4)")
        } else if filter.partner_ref.is_some() {
            list!("jobs.partner_ref = $3")
        } else if filter.postcode.is_some() {
            list!("bookings.job in (select b.job from bookings b where b.doc -> 'address' ->> 'postcode' = $5)")
        } else if filter.state.is_some() {
            list!("jobs.state = $1")
        } else if filter.community.is_some() {
            list!("jobs.community = $2")
        } else {
            list!("true")
        };
        let state = filter.state.map(state_word);
        let (name, phone) = filter.q.as_deref().map_or((None, None), sought);
        let args = [
            Arg::MaybeText(state.as_deref()),
            Arg::MaybeText(filter.community.as_ref().map(CommunitySlug::as_str)),
            Arg::MaybeText(filter.partner_ref.as_deref()),
            Arg::MaybeId(filter.friend.map(|friend| friend.0)),
            Arg::MaybeText(filter.postcode.as_deref()),
            Arg::MaybeText(name.as_deref()),
            Arg::MaybeText(phone.as_deref()),
            Arg::MaybeId(after.map(|after| after.0)),
            Arg::Int(limit.into()),
        ];
        let rows = self.rows(sql, args).await?;
        Ok(rows.iter().map(listed).collect::<sqlx::Result<_>>()?)
    }

    /// A job with all that became of it; none if there is no such job.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn job_file(&self, job: JobId) -> Result<Option<JobFile>, ReadError> {
        let id = || [Arg::Id(job.0)];
        let row = self
            .row(
                "select partner, view, community_version, package_version, next_deadline, doc
                 from jobs join bookings on bookings.job = jobs.id where jobs.id = $1",
                id(),
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let events = self
            .rows(
                "select sequence, at, client_at, from_state, to_state, kind, actor, actor_id, reason from events
                 where job = $1 order by sequence desc limit 1000",
                id(),
            )
            .await?;
        let runs = self
            .rows(
                "select attempt, started_at, waves, asked, ended_at, end_state from runs where job = $1 order by attempt",
                id(),
            )
            .await?;
        let offers = self.rows(load::OFFERS_OF_JOB, id()).await?;
        let mut events: Vec<DeskEvent> = events.iter().map(event).collect::<sqlx::Result<_>>()?;
        events.reverse();
        Ok(Some(JobFile {
            partner: row.word("partner")?,
            view: row.doc("view")?,
            community_version: row.int("community_version")?,
            package_version: row.int("package_version")?,
            next_deadline: row.maybe_time("next_deadline")?,
            booking: row.doc("doc")?,
            events,
            runs: runs.iter().map(run).collect::<sqlx::Result<_>>()?,
            offers: offers.iter().map(load::offer).collect::<sqlx::Result<_>>()?,
            decisions: self.decisions(job).await?,
        }))
    }

    /// How long the newest runs of a community and urgency that were won took from their start to the accept, ms; newest
    /// first, at most `limit`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn times_to_assign(
        &self,
        community: &CommunitySlug,
        urgency: &str,
        limit: u32,
    ) -> Result<Vec<i64>, ReadError> {
        let rows = self
            .rows(
                "select visits.assigned_at - runs.started_at as took
                 from (select id, view from jobs where community = $1 order by id desc limit 2000) as recent
                 join visits on visits.job = recent.id
                 join runs on runs.job = visits.job and runs.attempt = visits.attempt
                 where recent.view ->> 'urgency' = $2
                 order by recent.id desc, visits.attempt desc limit $3",
                [Arg::Text(community.as_str()), Arg::Text(urgency), Arg::Int(limit.into())],
            )
            .await?;
        Ok(rows.iter().map(|row| row.int("took")).collect::<sqlx::Result<_>>()?)
    }
}

/// What is sought: a number by its digits, a name by its letters.
fn sought(q: &str) -> (Option<String>, Option<String>) {
    let digits: String = q.chars().filter(char::is_ascii_digit).collect();
    let is_number = digits.len() >= 3 && q.chars().all(|c| c.is_ascii_digit() || "+ -/()".contains(c));
    if is_number {
        return (None, Some(format!("%{}%", digits.trim_start_matches('0'))));
    }
    let escaped = q.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    (Some(format!("%{escaped}%")), None)
}

fn listed(row: &Row) -> sqlx::Result<ListedJob> {
    Ok(ListedJob {
        partner: row.word("partner")?,
        view: row.doc("view")?,
        postcode: row.text("postcode")?.to_owned(),
        city: row.text("city")?.to_owned(),
    })
}

fn event(row: &Row) -> sqlx::Result<DeskEvent> {
    Ok(DeskEvent {
        sequence: row.int("sequence")?,
        at: row.time("at")?,
        client_at: row.maybe_time("client_at")?,
        from: row.maybe_word("from_state")?,
        to: row.word("to_state")?,
        kind: row.text("kind")?.to_owned(),
        actor: row.text("actor")?.to_owned(),
        actor_id: row.maybe_text("actor_id")?.map(str::to_owned),
        reason: row.maybe_text("reason")?.map(str::to_owned),
    })
}

fn run(row: &Row) -> sqlx::Result<DeskRun> {
    Ok(DeskRun {
        attempt: row.int("attempt")?,
        started_at: row.time("started_at")?,
        waves: row.int("waves")?,
        asked: row.int("asked")?,
        ended_at: row.maybe_time("ended_at")?,
        end: row.maybe_word("end_state")?,
    })
}
