//! Whom to ask next, and when to stop. A job asks its nearest suitable friends in waves: a decline or a failed delivery
//! gives the seat to the next at once, silence opens the next wave while earlier offers stay valid, and when all waves
//! are used the job is unfilled: ops hear of it, the offers are renewed, and whoever comes into reach is still asked.

use kiez_protocol::directory::{Friend, WavePlan};
use kiez_protocol::friend::{ClosedReason, DeclineReason, FriendMessage, OfferUpdate, WhyReason};
use kiez_protocol::ids::{FriendId, JobId, Key, OfferId};
use kiez_protocol::ops::AlarmKind;
use kiez_protocol::partner::JobState;
use kiez_protocol::place::rounded_m;
use kiez_protocol::refusal::Code;
use kiez_protocol::time::Time;

use super::change::Change;
use super::claim::{Claim, Closed, Seat};
use super::decision::{Candidate, Decision, Outcome};
use super::effect::{Actor, Commit, Effects, InHand, Message, Subject};
use super::gates::{self, Gate};
use super::job::{Aside, Delivery, Job, Offer, OfferState, Run, shown_cell};
use super::nearest::{Found, Nearby, Walk, nearest};
use super::{ACCEPT_GRACE_MS, Dispatcher, card, pay};

/// An unfilled job is looked at again this often, ms (rules of the trade, §4).
const UNFILLED_LOOK_MS: i64 = 5 * 60_000;
/// So many hungry jobs are considered when a friend comes into reach; the others find them at their next look.
const CONSIDERED_MAX: usize = 256;

/// The friends one look found, nearest first, with the cap that held them.
struct Choice {
    walk: Walk,
    cap_m: u32,
}

impl Dispatcher {
    /// Begins a run: a new attempt with a new word, and its first wave.
    pub(super) fn start_run(&mut self, job: &mut Job, change: &mut Change, nearby: &dyn Nearby) {
        let plan = job.plan();
        let (interval, alarm, now) = (plan.interval_ms, plan.alarm_ms, change.now);
        job.attempt += 1;
        job.run = Run { started_at: now, wave: 0, next_wave_at: now + interval, asked: 0, alarm_at: now + alarm };
        job.claim = std::sync::Arc::new(Claim::new());
        job.settled = false;
        self.open_wave(job, change, nearby);
    }

    /// Opens the next wave with the nearest suitable friends who were not asked yet. Nobody found spends no wave; either
    /// way the next is due an interval later.
    fn open_wave(&mut self, job: &mut Job, change: &mut Change, nearby: &dyn Nearby) {
        let wave = job.run.wave.saturating_add(1);
        let seats: Vec<u8> = (0..seats(job)).collect();
        let choice = self.choose(job, wave, seats.len(), nearby);
        // Who is back after a restart says little about who is near: wait for the others unless the wave is full.
        let waits = change.now < self.restored_until && choice.walk.suitable.len() < seats.len();
        job.run.next_wave_at =
            change.now + if job.state == JobState::Unfilled { UNFILLED_LOOK_MS } else { job.plan().interval_ms };
        if waits {
            job.run.next_wave_at = job.run.next_wave_at.min(self.restored_until);
            return;
        }
        if choice.walk.suitable.is_empty() {
            if job.run.wave == 0 && job.run.started_at == change.now {
                self.decide(job, change, wave, &[], choice);
            }
            return;
        }
        job.run.wave = wave;
        if job.sequence > 0 {
            change.event(job, job.state, "wave_opened", Actor::System, None);
        }
        self.decide(job, change, wave, &seats, choice);
    }

    /// Gives the vacant seats of the present wave to the next nearest.
    pub(super) fn refill(&mut self, job: &mut Job, change: &mut Change, nearby: &dyn Nearby) {
        let mut seats = vacant(job);
        seats.truncate(usize::from(asked_max(job).saturating_sub(job.run.asked)));
        if seats.is_empty() || change.now < self.restored_until {
            return;
        }
        let choice = self.choose(job, job.run.wave, seats.len(), nearby);
        if !choice.walk.suitable.is_empty() {
            change.event(job, job.state, "seat_refilled", Actor::System, None);
            self.decide(job, change, job.run.wave, &seats, choice);
        }
    }

    /// The nearest suitable friends for `want` seats of `wave`, within the wave's cap; if it holds fewer, within the next.
    fn choose(&self, job: &Job, wave: u8, want: usize, nearby: &dyn Nearby) -> Choice {
        let caps = &job.plan().caps_m;
        let first = usize::from(wave.saturating_sub(1)).min(caps.len().saturating_sub(1));
        let mut choice = None;
        for cap_m in caps.iter().skip(first).copied() {
            let reach = f64::from(cap_m);
            let walk = nearest(nearby, job.booking.place, reach, want, &mut |standing, distance_m| {
                gates::check(job, wave, standing, distance_m, reach, self.capacity.of(standing.friend))
            });
            let enough = walk.suitable.len() >= want;
            choice = Some(Choice { walk, cap_m });
            if enough {
                break;
            }
        }
        choice.unwrap_or(Choice { walk: Walk::default(), cap_m: 0 })
    }

    /// Makes the offers of a choice and records why these friends.
    fn decide(&mut self, job: &mut Job, change: &mut Change, wave: u8, seats: &[u8], choice: Choice) {
        let mut candidates = Vec::with_capacity(choice.walk.suitable.len() + choice.walk.failed.len());
        let (mut seats, wanted) = (seats.iter().copied(), seats.len());
        for (index, found) in choice.walk.suitable.iter().enumerate() {
            let rank = u16::try_from(index + 1).unwrap_or(u16::MAX);
            let outcome = match seats.next() {
                Some(seat) => {
                    self.make_offer(job, change, wave, seat, rank, found);
                    Outcome::Seat { seat, rank, why: WhyReason::Nearest }
                }
                None => Outcome::Ranked { rank },
            };
            candidates.push(Candidate { friend: found.standing.friend, distance_m: found.rounded_m, outcome });
        }
        candidates.extend(choice.walk.failed.into_iter().map(|(friend, distance_m, gate)| Candidate {
            friend,
            distance_m,
            outcome: Outcome::Failed { gate },
        }));
        change.decisions.push(Decision {
            attempt: job.attempt,
            wave,
            at: change.now,
            policy_version: job.terms.community_version,
            cap_m: choice.cap_m,
            wanted: u8::try_from(wanted).unwrap_or(u8::MAX),
            candidates,
            beyond_m: choice.walk.beyond_m.map(rounded_m),
        });
    }

    fn make_offer(&mut self, job: &mut Job, change: &mut Change, wave: u8, wave_seat: u8, rank: u16, found: &Found) {
        let friend: &Friend = &found.standing.profile;
        let gross = pay::gross(&job.terms.package, Some(friend), job.booking.payment_method)
            .expect("the gate `rate` holds back friends without a rate");
        let (now, renewed) = (change.now, job.state == JobState::Unfilled);
        let ends = if renewed { job.expire_at } else { (now + job.plan().offer_valid_ms).min(job.expire_at) };
        let delivery_ms = self.pace.real_ms(job.terms.community.policy.delivery_ms);
        let offer = Offer {
            id: OfferId(self.mint.next(now)),
            friend: friend.id,
            attempt: job.attempt,
            wave,
            wave_seat,
            seat: Seat::try_from(job.offers.len()).expect("a job has far fewer than 2^32 offers"),
            revision: job.revision,
            sent_at: now,
            expires_at: ends,
            state: OfferState::Live,
            delivery: Delivery::Waiting(now + delivery_ms),
            renewed,
            distance_m: found.rounded_m,
            pay: pay::split(gross, &job.terms.commission),
            why: WhyReason::Nearest,
            rank,
        };
        job.run.asked += 1;
        self.offers.insert(offer.id, job.id);
        self.capacity.deal(friend.id, offer.id, renewed);
        self.cells.insert(offer.id, shown_cell(found.standing.position));
        self.availability(friend.id, change);
        change.offer(job.offers.len());
        change.then.push(self.in_hand(job, &offer));
        change.tell(friend.id, FriendMessage::Offer(card::offer(job, &offer, self.language(friend.id))));
        job.offers.push(offer);
    }

    /// The message that puts an offer into its friend's hand, with the present word.
    pub(super) fn in_hand(&self, job: &Job, offer: &Offer) -> Message {
        Message::Hold { friend: offer.friend, in_hand: hold(job, offer) }
    }

    /// Offers have arrived: their seats stay where they are.
    pub(super) fn delivered(&mut self, friend: FriendId, offers: &[OfferId]) {
        for id in offers {
            let Some(job) = self.offers.get(id).and_then(|job| self.jobs.get_mut(job)) else { continue };
            if let Some(offer) = job.offers.iter_mut().find(|offer| offer.id == *id && offer.friend == friend) {
                // A failed one keeps its fate: the seat was given on.
                if let Delivery::Waiting(_) = offer.delivery {
                    offer.delivery = Delivery::Arrived;
                }
            }
        }
    }

    /// A friend declines: free, without penalty, and for this job for good.
    #[expect(clippy::too_many_arguments, reason = "the fields of one input, taken apart once")]
    pub(super) fn declined(
        &mut self,
        friend: FriendId,
        id: OfferId,
        reason: DeclineReason,
        key: Option<Key>,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) {
        let mut change = Change::new(now);
        let done = key.map(|key| FriendMessage::Done { key });
        let Some((mut job, index)) = self.take_offer(friend, id) else {
            effects.now.push(Message::Friend { friend, message: refused(Code::NotFound, key, Some(id), None) });
            return;
        };
        match job.offers[index].state {
            OfferState::Live if takes_accepts(&job) => {
                job.blocked.insert(friend);
                self.close_offer(&mut job, &mut change, index, ClosedReason::Declined);
                let why = Some(decline_reason(reason).to_owned());
                let state = job.state;
                change.event(&mut job, state, "offer_declined", Actor::Friend(friend), why);
                if job.state == JobState::Dispatching {
                    self.refill(&mut job, &mut change, nearby);
                    self.unfilled_if_silent(&mut job, &mut change);
                }
                change.then.extend(done.map(|message| Message::Friend { friend, message }));
            }
            // Declined before, or over anyhow: nothing is left to do.
            OfferState::Live | OfferState::Closed(_) => {
                change.then.extend(done.map(|message| Message::Friend { friend, message }));
            }
        }
        self.commit(&job, change, effects);
        self.put(job, now);
        self.consider(friend, now, nearby, effects);
    }

    /// The job and the place of an offer in it, if it is this friend's.
    pub(super) fn take_offer(&mut self, friend: FriendId, id: OfferId) -> Option<(Box<Job>, usize)> {
        let job = self.jobs.get(self.offers.get(&id)?)?;
        let index = job.offers.iter().position(|offer| offer.id == id && offer.friend == friend)?;
        Some((self.take(job.id)?, index))
    }

    /// A friend has come into reach or has room again: the hungry jobs that want them ask now.
    pub(super) fn consider(&mut self, friend: FriendId, now: Time, nearby: &dyn Nearby, effects: &mut Effects) {
        let Some(standing) = nearby.find(friend) else { return };
        let wanting: Vec<JobId> = self.hungry.iter().copied().take(CONSIDERED_MAX).collect();
        for id in wanting {
            let Some(job) = self.jobs.get(&id) else { continue };
            let Some(cap_m) = job.plan().caps_m.last().copied().map(f64::from) else { continue };
            let wave = job.run.wave.max(1);
            let distance_m = standing.position.distance_m(job.booking.place);
            match gates::check(job, wave, &standing, distance_m, cap_m, self.capacity.of(friend)) {
                Ok(()) => {}
                Err(Gate::FullHand | Gate::Capacity | Gate::Active | Gate::OnDuty | Gate::Reachable) => return,
                Err(_) => continue,
            }
            let Some(mut job) = self.take(id) else { continue };
            let mut change = Change::new(now);
            if job.state == JobState::Unfilled || job.run.wave == 0 {
                self.open_wave(&mut job, &mut change, nearby);
            } else {
                self.refill(&mut job, &mut change, nearby);
            }
            self.commit(&job, change, effects);
            self.put(job, now);
        }
    }

    /// Whether who comes into reach should be considered for this job.
    pub(super) fn is_hungry(&self, job: &Job) -> bool {
        match job.state {
            JobState::Unfilled => true,
            JobState::Dispatching => job.run.asked < asked_max(job) && (job.run.wave == 0 || !vacant(job).is_empty()),
            JobState::NeedsInfo
            | JobState::Paused
            | JobState::Assigned
            | JobState::Contacted
            | JobState::Appointed
            | JobState::OnTheWay
            | JobState::InProgress
            | JobState::Done
            | JobState::Unsuccessful
            | JobState::Confirmed
            | JobState::Disputed
            | JobState::Refunded
            | JobState::Cancelled
            | JobState::Expired
            | JobState::Closed => false,
        }
    }

    /// Something of an open job is due: its end, offers, deliveries, the next wave, the alarm. In this order.
    pub(super) fn open_job_due(&mut self, job: &mut Job, change: &mut Change, nearby: &dyn Nearby) {
        let now = change.now;
        if self.ends_at(job) <= now && !expires_aside(job) {
            return self.expire(job, change);
        }
        let mut expired = false;
        for index in 0..job.offers.len() {
            let offer = &job.offers[index];
            if offer.state == OfferState::Live && offer.expires_at <= now && offer.expires_at < job.expire_at {
                self.close_offer(job, change, index, ClosedReason::Expired);
                expired = true;
            }
        }
        if expired {
            change.event(job, job.state, "offers_expired", Actor::System, None);
        }
        let mut failed = false;
        for offer in &mut job.offers {
            if let (OfferState::Live, Delivery::Waiting(until)) = (offer.state, offer.delivery)
                && until <= now
            {
                offer.delivery = Delivery::Failed;
                failed = true;
            }
        }
        if job.state == JobState::Dispatching {
            if failed {
                self.refill(job, change, nearby);
            }
            if job.run.next_wave_at <= now {
                if job.run.wave < job.plan().waves && job.run.asked < asked_max(job) {
                    self.open_wave(job, change, nearby);
                } else {
                    return self.unfilled(job, change);
                }
            }
            self.unfilled_if_silent(job, change);
        } else if job.run.next_wave_at <= now {
            self.open_wave(job, change, nearby);
        }
    }

    /// At the alarm time without a live offer the job is unfilled, whatever waves are left.
    fn unfilled_if_silent(&mut self, job: &mut Job, change: &mut Change) {
        if job.run.alarm_at <= change.now && job.live_offers().next().is_none() {
            self.unfilled(job, change);
        }
    }

    /// A run without waves: the job was handed back too often, and ops decide. Whoever comes into reach is still asked.
    pub(super) fn stand_unfilled(&mut self, job: &mut Job, change: &mut Change) {
        let now = change.now;
        job.attempt += 1;
        job.run = Run { started_at: now, wave: 0, next_wave_at: now + UNFILLED_LOOK_MS, asked: 0, alarm_at: now };
        job.claim = std::sync::Arc::new(Claim::new());
        job.settled = false;
        self.unfilled(job, change);
    }

    /// All waves are used. Offers that were not declined are renewed, the expired ones included: a late yes is welcome.
    pub(super) fn unfilled(&mut self, job: &mut Job, change: &mut Change) {
        change.event(job, JobState::Unfilled, "unfilled", Actor::System, None);
        job.run.next_wave_at = change.now + UNFILLED_LOOK_MS;
        for index in 0..job.offers.len() {
            let offer = &mut job.offers[index];
            let was_live = match offer.state {
                OfferState::Live => true,
                OfferState::Closed(ClosedReason::Expired) if offer.attempt == job.attempt => false,
                OfferState::Closed(_) => continue,
            };
            offer.state = OfferState::Live;
            offer.renewed = true;
            offer.expires_at = job.expire_at;
            let (friend, id) = (offer.friend, offer.id);
            self.capacity.drop(friend, id);
            self.capacity.deal(friend, id, true);
            self.availability(friend, change);
            change.offer(index);
            let offer = &job.offers[index];
            let renewed = (!was_live).then(|| Box::new(card::offer(job, offer, self.language(friend))));
            let update = OfferUpdate { offer: id, expires_at: Some(offer.expires_at), renewed };
            change.then.push(self.in_hand(job, offer));
            change.tell(friend, FriendMessage::OfferUpdate(update));
        }
        change.then.push(Message::Alarm { kind: AlarmKind::Unfilled, job: job.id, at: change.now });
    }

    /// Nobody was found in time.
    pub(super) fn expire(&mut self, job: &mut Job, change: &mut Change) {
        if job.claim.close(Closed::Expired).is_err() {
            job.aside.push(Aside::Expire);
            return;
        }
        change.run_ended(job, JobState::Expired);
        change.event(job, JobState::Expired, "expired", Actor::System, None);
        self.close_offers(job, change, ClosedReason::Expired);
    }

    /// When an open job ends: with the grace for accepts that were sent in time.
    pub(super) fn ends_at(&self, job: &Job) -> Time {
        job.expire_at + self.pace.real_ms(ACCEPT_GRACE_MS)
    }

    /// The next deadline of an open job.
    pub(super) fn open_deadline(&self, job: &Job, now: Time) -> Time {
        let mut due = job.run.next_wave_at;
        if !expires_aside(job) {
            due = due.min(self.ends_at(job));
        }
        if job.state == JobState::Dispatching && job.run.alarm_at > now {
            due = due.min(job.run.alarm_at);
        }
        for offer in job.live_offers() {
            if offer.expires_at < job.expire_at {
                due = due.min(offer.expires_at);
            }
            if let Delivery::Waiting(until) = offer.delivery {
                due = due.min(until);
            }
        }
        due
    }
}

/// The offer as it lies in a hand.
pub(super) fn hold(job: &Job, offer: &Offer) -> InHand {
    InHand { offer: offer.id, job: job.id, claim: job.claim.clone(), seat: offer.seat, revision: offer.revision }
}

/// Whether an accept of a live offer could win.
pub(super) fn takes_accepts(job: &Job) -> bool {
    matches!(job.state, JobState::Dispatching | JobState::Unfilled)
}

fn expires_aside(job: &Job) -> bool {
    job.aside.iter().any(|aside| matches!(aside, Aside::Expire))
}

fn seats(job: &Job) -> u8 {
    job.terms.community.policy.seats
}

fn asked_max(job: &Job) -> u16 {
    let plan: &WavePlan = job.plan();
    u16::from(plan.waves) * u16::from(seats(job))
}

/// The seats of the present wave that nobody sits in: never given, declined, not delivered, or refused at the accept.
fn vacant(job: &Job) -> Vec<u8> {
    if job.run.wave == 0 {
        return Vec::new();
    }
    let sits = |offer: &&Offer| {
        offer.attempt == job.attempt
            && offer.wave == job.run.wave
            && offer.delivery != Delivery::Failed
            && matches!(offer.state, OfferState::Live | OfferState::Closed(ClosedReason::Expired))
    };
    (0..seats(job)).filter(|seat| !job.offers.iter().filter(sits).any(|offer| offer.wave_seat == *seat)).collect()
}

fn decline_reason(reason: DeclineReason) -> &'static str {
    match reason {
        DeclineReason::TooFar => "too_far",
        DeclineReason::NoTime => "no_time",
        DeclineReason::Skill => "skill",
        DeclineReason::TooVague => "too_vague",
        DeclineReason::Pay => "pay",
        DeclineReason::Other => "other",
    }
}

/// A refusal as a message to a friend.
pub(super) fn refused(code: Code, key: Option<Key>, offer: Option<OfferId>, job: Option<JobId>) -> FriendMessage {
    let message_key = match (code, offer) {
        (Code::NotFound, Some(_)) => "error.offer_not_found",
        (Code::NotFound, None) => "error.job_not_found",
        (Code::WrongState, _) => "error.wrong_state",
        (_, _) => "error.refused",
    };
    FriendMessage::Error { code, key, offer, job, message_key: message_key.to_owned(), allowed: Vec::new() }
}

/// A commit without a record: its messages wait for what was recorded before.
pub(super) fn after_all(job: JobId, then: Vec<Message>) -> Commit {
    Commit { subject: Subject::Job(job), record: None, then }
}
