//! What a restart needs: open jobs with all they stand on, duties, keys, what each friend has done in the last year, and
//! how long they have waited for an offer. Also one job alone, when its record was refused and memory must go back to what
//! is stored. A job is open while something is due for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kiez_protocol::directory::{CommissionRule, Community, Package};
use kiez_protocol::friend::{ClosedReason, Duty, ToldVerdict, Verdict};
use kiez_protocol::ids::{CommunitySlug, FriendId, JobId, Key, OfferId, PackageSlug};
use kiez_protocol::money::{Currency, Money};
use kiez_protocol::partner::Window;
use uuid::Uuid;

use super::either::{Arg, Row, Session, broken};
use super::rows::{CANCELLED, DONE, HANDED_BACK, KEY_KEPT_MS, LIVE, NO_CONTACT, unhex};
use crate::dispatch::caps::{PERIOD_MS, Taken};
use crate::dispatch::effect::{BreachRow, DutyRow, JobRow, Stored, StoredJob, StoredKey, TakenRow, WaitingRow};
use crate::dispatch::fairness::{COUNTED_DAYS, DAY_MS, day};
use crate::dispatch::input::{PartnerKey, Terms};
use crate::dispatch::job::{Booking, Delivery, Ended, Offer, OfferState, Pay, Visit, VisitEnd};
use crate::dispatch::talk::{Asker, Proposal, Question, Said, Talk};

/// The statements that bring jobs back, for those jobs a condition names.
macro_rules! statements {
    ($which:literal) => {
        Statements {
            jobs: concat!(
                "select id, partner, partner_ref, community, community_version, package, package_version,
                        commission_rule, commission_basis_points, created_at, updated_at, next_deadline, view, progress
                 from jobs where ",
                $which,
                " order by id"
            ),
            bookings: concat!("select job, doc from bookings join jobs on jobs.id = bookings.job where ", $which),
            offers: concat!(
                "select offers.id, offers.job, friend, offers.attempt, wave, wave_seat, seat, offers.revision, sent_at,
                        expires_at, offers.state, renewed, distance_m, gross, offers.commission, net, offers.currency,
                        why, deficit_days, rank
                 from offers join jobs on jobs.id = offers.job where ",
                $which,
                " order by offers.job, seat"
            ),
            visits: concat!(
                "select job, visits.attempt, friend, offer, place, gross, visits.commission, net, visits.currency,
                        accept_key, assigned_at, contact_due, appointment_from, appointment_to, active, ended_at, outcome,
                        cool_until
                 from visits join jobs on jobs.id = visits.job where ",
                $which,
                " order by job, visits.attempt"
            ),
            questions: concat!(
                "select job, number, friend, offer, nth, key, text, asked_at, reply, replied_at
                 from questions join jobs on jobs.id = questions.job where ",
                $which,
                " order by job, number"
            ),
            proposals: concat!(
                "select offer, job, friend, proposals.revision, key, windows, proposed_at, until
                 from proposals join jobs on jobs.id = proposals.job where ",
                $which,
                " order by job, proposed_at, offer"
            ),
            messages: concat!(
                "select job, number, friend, voice, text, key, at
                 from messages join jobs on jobs.id = messages.job where ",
                $which,
                " order by job, number"
            ),
        }
    };
}

struct Statements {
    jobs: &'static str,
    bookings: &'static str,
    offers: &'static str,
    visits: &'static str,
    questions: &'static str,
    proposals: &'static str,
    messages: &'static str,
}

/// Verdicts are told again for a day, ms.
const VERDICTS_MS: i64 = 24 * 3_600_000;
/// A job that was won in the last day was posted at most so long before, ms; one that lay longer is looked up when asked.
pub(super) const JOB_LASTS_MS: i64 = 30 * VERDICTS_MS;

/// The offers of one job, by seat.
pub const OFFERS_OF_JOB: &str = ONE.offers;

const OPEN: Statements = statements!("jobs.next_deadline is not null");
const ONE: Statements = statements!("jobs.id = $1");

/// Everything `restore` needs. Keys older than seven days before the newest one are left out.
pub async fn load(mut session: Session<'_>) -> sqlx::Result<Stored> {
    let session = &mut session;
    let jobs = jobs(session, &OPEN, []).await?;
    let duties = session.all("select friend, on_duty, until, at, first_on_at from duties order by friend", []).await?;
    let keys = session
        .all(
            "select partner, key, body, job, at from partner_keys
             where at > (select max(at) from partner_keys) - $1 order by at, partner, key",
            [Arg::Int(KEY_KEPT_MS)],
        )
        .await?;
    // What counts towards caps, and breaches whose cool-down may last, of the last year before the newest visit.
    let counted = session
        .all(
            "select friend, job, assigned_at, net, currency, outcome, cool_until from visits
             where assigned_at > (select max(assigned_at) from visits) - $1
                 and (active or outcome = 'done'
                      or outcome = 'no_contact' and cool_until > (select max(assigned_at) from visits))
             order by assigned_at, job",
            [Arg::Int(PERIOD_MS)],
        )
        .await?;
    let (breaches, taken): (Vec<_>, Vec<_>) =
        counted.into_iter().try_fold((Vec::new(), Vec::new()), |(mut breaches, mut taken), row| {
            match row.maybe_text("outcome")? {
                Some(NO_CONTACT) => {
                    breaches
                        .push(BreachRow { friend: FriendId(row.id("friend")?), cool_until: row.time("cool_until")? });
                    Ok((breaches, taken))
                }
                Some(_) | None => {
                    taken.push(taken_row(&row)?);
                    Ok::<_, sqlx::Error>((breaches, taken))
                }
            }
        })?;
    let verdicts = wins(session).await?;
    Ok(Stored {
        jobs,
        verdicts,
        waiting: waiting(session, &duties).await?,
        duties: duties.iter().filter_map(|row| on_duty(row).transpose()).collect::<sqlx::Result<_>>()?,
        keys: keys.iter().map(key).collect::<sqlx::Result<_>>()?,
        taken,
        breaches,
    })
}

/// The wins of the 24 hours before the newest job, oldest first. Who lost is not written anywhere but in the offer, and
/// asks for it with the accept. Ids begin with the instant at which they were made, so that the jobs of some days lie
/// together and the rest of the table is not read.
async fn wins(session: &mut Session<'_>) -> sqlx::Result<Vec<(FriendId, ToldVerdict)>> {
    let newest = session.first("select id from jobs order by id desc limit 1", []).await?;
    let Some(newest) = newest.map(|row| row.id("id")).transpose()? else { return Ok(Vec::new()) };
    let newest_ms = i64::try_from(newest.as_u128() >> 80).map_err(|why| broken("id", why))?;
    let first = Uuid::from_u128(u128::from((newest_ms - JOB_LASTS_MS).max(0).unsigned_abs()) << 80);
    let rows = session
        .all(
            "select friend, offer, accept_key, assigned_at from visits
             where job > $1 and assigned_at > $2 order by assigned_at, job",
            [Arg::Id(first), Arg::Int(newest_ms - VERDICTS_MS)],
        )
        .await?;
    let told = |row: &Row| {
        let told = ToldVerdict {
            offer: OfferId(row.id("offer")?),
            key: Key(row.id("accept_key")?),
            result: Verdict::Won,
            reason: None,
            at: row.time("assigned_at")?,
        };
        Ok((FriendId(row.id("friend")?), told))
    };
    rows.iter().map(told).collect()
}

/// One job as it is stored, open or not; none if it was never written.
pub async fn load_job(mut session: Session<'_>, job: JobId) -> sqlx::Result<Option<StoredJob>> {
    Ok(jobs(&mut session, &ONE, [Arg::Id(job.0)]).await?.pop())
}

async fn jobs<const N: usize>(
    session: &mut Session<'_>,
    statements: &Statements,
    which: [Arg<'_>; N],
) -> sqlx::Result<Vec<StoredJob>> {
    let mut terms = TermsBook::default();
    let mut bookings = HashMap::new();
    for row in session.all(statements.bookings, which.clone()).await? {
        bookings.insert(row.id("job")?, Arc::new(row.doc::<Booking>("doc")?));
    }
    let mut offers: HashMap<Uuid, Vec<Offer>> = HashMap::new();
    for row in session.all(statements.offers, which.clone()).await? {
        offers.entry(row.id("job")?).or_default().push(offer(&row)?);
    }
    let mut visits = HashMap::new();
    for row in session.all(statements.visits, which.clone()).await? {
        // In order of attempts: the newest stays.
        visits.insert(row.id("job")?, visit(&row)?);
    }
    let mut talks: HashMap<Uuid, Talk> = HashMap::new();
    for row in session.all(statements.questions, which.clone()).await? {
        talks.entry(row.id("job")?).or_default().questions.push(question(&row)?);
    }
    for row in session.all(statements.proposals, which.clone()).await? {
        talks.entry(row.id("job")?).or_default().proposals.push(proposal(&row)?);
    }
    for row in session.all(statements.messages, which.clone()).await? {
        talks.entry(row.id("job")?).or_default().messages.push(message(&row)?);
    }
    let mut jobs = Vec::new();
    for row in session.all(statements.jobs, which).await? {
        let id = row.id("id")?;
        jobs.push(StoredJob {
            row: JobRow {
                id: JobId(id),
                partner: row.word("partner")?,
                partner_ref: row.maybe_text("partner_ref")?.map(str::to_owned),
                terms: terms.look_up(session, &row).await?,
                created_at: row.time("created_at")?,
                updated_at: row.time("updated_at")?,
                next_deadline: row.maybe_time("next_deadline")?,
                view: row.doc("view")?,
                progress: row.doc("progress")?,
            },
            booking: bookings.remove(&id).ok_or_else(|| broken("job", format_args!("no booking for {id}")))?,
            offers: offers.remove(&id).unwrap_or_default(),
            visit: visits.remove(&id),
            talk: talks.remove(&id).unwrap_or_default(),
        });
    }
    Ok(jobs)
}

/// The documents jobs were posted under, each read once.
#[derive(Default)]
struct TermsBook {
    communities: HashMap<(CommunitySlug, u32), Arc<Community>>,
    packages: HashMap<(PackageSlug, u32), Arc<Package>>,
}

impl TermsBook {
    async fn look_up(&mut self, session: &mut Session<'_>, job: &Row) -> sqlx::Result<Terms> {
        let community: (CommunitySlug, u32) = (job.word("community")?, job.int("community_version")?);
        let package: (PackageSlug, u32) = (job.word("package")?, job.int("package_version")?);
        if !self.communities.contains_key(&community) {
            let doc = document(session, "community", community.0.as_str(), community.1).await?;
            self.communities.insert(community.clone(), Arc::new(doc.doc("doc")?));
        }
        if !self.packages.contains_key(&package) {
            let doc = document(session, "package", package.0.as_str(), package.1).await?;
            self.packages.insert(package.clone(), Arc::new(doc.doc("doc")?));
        }
        Ok(Terms {
            package: Arc::clone(&self.packages[&package]),
            package_version: package.1,
            community: Arc::clone(&self.communities[&community]),
            community_version: community.1,
            commission: CommissionRule::new(job.word("commission_rule")?, job.int("commission_basis_points")?),
        })
    }
}

async fn document(session: &mut Session<'_>, kind: &str, slug: &str, version: u32) -> sqlx::Result<Row> {
    session
        .first(
            "select doc from documents where kind = $1 and slug = $2 and version = $3",
            [Arg::Text(kind), Arg::Text(slug), Arg::Int(version.into())],
        )
        .await?
        .ok_or_else(|| broken(kind, format_args!("a job names {slug} version {version}, which is not stored")))
}

/// A row of the statements for offers.
pub fn offer(row: &Row) -> sqlx::Result<Offer> {
    Ok(Offer {
        id: OfferId(row.id("id")?),
        friend: FriendId(row.id("friend")?),
        attempt: row.int("attempt")?,
        wave: row.int("wave")?,
        wave_seat: row.int("wave_seat")?,
        seat: row.int("seat")?,
        revision: row.int("revision")?,
        sent_at: row.time("sent_at")?,
        expires_at: row.time("expires_at")?,
        state: match row.text("state")? {
            LIVE => OfferState::Live,
            _ => OfferState::Closed(row.word::<ClosedReason>("state")?),
        },
        // Soft: `restore` waits anew for the acknowledgement of those that are live.
        delivery: Delivery::Arrived,
        renewed: row.flag("renewed")?,
        distance_m: row.int("distance_m")?,
        pay: pay(row)?,
        why: row.word("why")?,
        deficit_days: row.maybe_int("deficit_days")?.and_then(|days| u32::try_from(days).ok()),
        rank: row.int("rank")?,
    })
}

fn visit(row: &Row) -> sqlx::Result<Visit> {
    Ok(Visit {
        friend: FriendId(row.id("friend")?),
        offer: OfferId(row.id("offer")?),
        attempt: row.int("attempt")?,
        place: row.int("place")?,
        pay: pay(row)?,
        key: Key(row.id("accept_key")?),
        assigned_at: row.time("assigned_at")?,
        contact_due: row.time("contact_due")?,
        appointment: match (row.maybe_time("appointment_from")?, row.maybe_time("appointment_to")?) {
            (Some(from), Some(to)) => Some(Window { from, to }),
            (_, _) => None,
        },
        active: row.flag("active")?,
        ended: ended(row)?,
    })
}

fn question(row: &Row) -> sqlx::Result<Question> {
    let asker = match (row.maybe_id("friend")?, row.maybe_id("offer")?) {
        (Some(friend), Some(offer)) => Some(Asker {
            friend: FriendId(friend),
            offer: OfferId(offer),
            nth: row.int("nth")?,
            key: row.maybe_id("key")?.map(Key),
        }),
        (_, _) => None,
    };
    Ok(Question {
        number: row.int("number")?,
        asker,
        text: row.text("text")?.to_owned(),
        asked_at: row.time("asked_at")?,
        reply: row.maybe_text("reply")?.map(str::to_owned).zip(row.maybe_time("replied_at")?),
    })
}

fn proposal(row: &Row) -> sqlx::Result<Proposal> {
    Ok(Proposal {
        offer: OfferId(row.id("offer")?),
        friend: FriendId(row.id("friend")?),
        revision: row.int("revision")?,
        key: Key(row.id("key")?),
        windows: row.doc("windows")?,
        proposed_at: row.time("proposed_at")?,
        until: row.time("until")?,
    })
}

fn message(row: &Row) -> sqlx::Result<Said> {
    Ok(Said {
        number: row.int("number")?,
        friend: FriendId(row.id("friend")?),
        from: row.word("voice")?,
        text: row.text("text")?.to_owned(),
        key: row.maybe_id("key")?.map(Key),
        at: row.time("at")?,
    })
}

fn ended(row: &Row) -> sqlx::Result<Option<Ended>> {
    let Some(outcome) = row.maybe_text("outcome")? else { return Ok(None) };
    let how = match outcome {
        DONE => VisitEnd::Done,
        HANDED_BACK => VisitEnd::HandedBack,
        NO_CONTACT => VisitEnd::NoContact { cool_until: row.time("cool_until")? },
        CANCELLED => VisitEnd::Cancelled,
        other => return Err(broken("outcome", format_args!("{other} is no end of a visit"))),
    };
    Ok(Some(Ended { at: row.time("ended_at")?, how }))
}

fn taken_row(row: &Row) -> sqlx::Result<TakenRow> {
    let net = Money { amount: row.int("net")?, currency: row.word("currency")? };
    let taken = Taken { job: JobId(row.id("job")?), at: row.time("assigned_at")?, net };
    Ok(TakenRow { friend: FriendId(row.id("friend")?), taken })
}

fn pay(row: &Row) -> sqlx::Result<Pay> {
    let currency: Currency = row.word("currency")?;
    let money = |column| Ok::<_, sqlx::Error>(Money { amount: row.int(column)?, currency });
    Ok(Pay { gross: money("gross")?, commission: money("commission")?, net: money("net")? })
}

/// None for who is off duty.
fn on_duty(row: &Row) -> sqlx::Result<Option<DutyRow>> {
    if !row.flag("on_duty")? {
        return Ok(None);
    }
    Ok(Some(DutyRow {
        friend: FriendId(row.id("friend")?),
        duty: Duty { on: true, until: row.maybe_time("until")? },
        at: row.time("at")?,
        first_on: row.maybe_time("first_on_at")?,
    }))
}

/// Since when each friend waits for an offer, and how many they had in the days that count before the newest of all. What
/// ops gave them was no offer.
/// What ops gave them was no offer they had to wait for.
async fn waiting(session: &mut Session<'_>, duties: &[Row]) -> sqlx::Result<Vec<WaitingRow>> {
    let mut waiting: BTreeMap<Uuid, WaitingRow> = BTreeMap::new();
    let fresh = |friend| WaitingRow::of(FriendId(friend));
    for row in duties {
        let (friend, at) = (row.id("friend")?, row.time("at")?);
        let waits = waiting.entry(friend).or_insert_with(|| fresh(friend));
        waits.first_duty = row.maybe_time("first_on_at")?;
        waits.off_since = (!row.flag("on_duty")?).then_some(at);
    }
    // One look into the index for each friend, however many offers there were.
    let last = session
        .all(
            "select friends.id as friend,
                    (select max(offers.sent_at) from offers
                     where offers.friend = friends.id and offers.why <> 'assigned') as last_offer_at
             from friends",
            [],
        )
        .await?;
    let mut newest = None;
    for row in last {
        let Some(last_offer) = row.maybe_time("last_offer_at")? else { continue };
        let friend = row.id("friend")?;
        waiting.entry(friend).or_insert_with(|| fresh(friend)).last_offer = Some(last_offer);
        newest = newest.max(Some(last_offer));
    }
    let Some(newest) = newest else { return Ok(waiting.into_values().collect()) };
    let counted = session
        .all(
            "select offers.friend, offers.sent_at / 86400000 as day, count(*) as offers
             from friends join offers
                 on offers.friend = friends.id and offers.sent_at >= $1 and offers.why <> 'assigned'
             group by offers.friend, offers.sent_at / 86400000
             order by offers.friend, day",
            [Arg::Int((day(newest) - COUNTED_DAYS) * DAY_MS)],
        )
        .await?;
    for row in counted {
        let friend = row.id("friend")?;
        waiting.entry(friend).or_insert_with(|| fresh(friend)).by_day.push((row.int("day")?, row.int("offers")?));
    }
    Ok(waiting.into_values().collect())
}

fn key(row: &Row) -> sqlx::Result<StoredKey> {
    Ok(StoredKey {
        partner: row.word("partner")?,
        key: PartnerKey {
            key: row.text("key")?.to_owned(),
            body: unhex(row.text("body")?).ok_or_else(|| broken("body", "not a SHA-256"))?,
        },
        job: JobId(row.id("job")?),
        at: row.time("at")?,
    })
}
