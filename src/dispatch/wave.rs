//! Whom to ask next, and when to stop. A job asks its nearest suitable friends in waves: a decline or a failed delivery
//! gives the seat to the next at once, silence opens the next wave while earlier offers stay valid, and when all waves
//! are used the job is unfilled: ops hear of it, the offers are renewed, and whoever comes into reach is still asked.

use kiez_protocol::directory::{Friend, Site, WavePlan};
use kiez_protocol::friend::{ClosedReason, FriendMessage, WhyReason};
use kiez_protocol::ids::{FriendId, JobId, OfferId};
use kiez_protocol::partner::JobState;
use kiez_protocol::place::rounded_m;
use kiez_protocol::time::Time;

use super::change::Change;
use super::claim::{Claim, Seat};
use super::decision::{Decision, Frame};
use super::effect::{Actor, Effects};
use super::gates::{Ask, Gate};
use super::job::{Delivery, Job, Offer, OfferState, Run, shown_cell};
use super::nearest::{Found, Nearby, Walk, nearest_and_round};
use super::quiet::WaveClock;
use super::rank::{FAIRNESS_SEAT, FairnessSeat, Weighed};
use super::{Dispatcher, card, direct, pay};

/// So many hungry jobs are considered when a friend comes into reach; the others find them at their next look.
pub(super) const CONSIDERED_MAX: usize = 256;

/// Nobody is farther away than half round the earth, metres.
const EVERYWHERE_M: u32 = 20_015_200;

/// The friends one look found, nearest first, with the cap that held them.
struct Choice {
    walk: Walk,
    cap_m: u32,
    fairness: Option<FairnessSeat>,
}

/// A seat with what gave it.
pub(super) struct Place {
    pub wave: u8,
    pub seat: u8,
    pub rank: u16,
    pub why: WhyReason,
    pub deficit_days: Option<u32>,
}

impl Dispatcher {
    /// Begins a run: a new attempt with a new word, and its first wave.
    pub(super) fn start_run(&mut self, job: &mut Job, change: &mut Change, nearby: &dyn Nearby) {
        if job.hold_until.is_some() {
            return self.start_direct(job, change, nearby);
        }
        let plan = job.plan();
        let (clock, now) = (WaveClock::of(job), change.now);
        let (next_wave_at, alarm_at) = (clock.after(now, plan.interval_ms), clock.after(now, plan.alarm_ms));
        job.attempt += 1;
        job.run = Run { started_at: now, wave: 0, next_wave_at, asked: 0, alarm_at };
        job.undoable.clear();
        job.claim = std::sync::Arc::new(Claim::new());
        job.settled = false;
        self.open_wave(job, change, nearby);
    }

    /// Opens the next wave with the nearest suitable friends who were not asked yet. Nobody found spends no wave; either
    /// way the next is due an interval later.
    pub(super) fn open_wave(&mut self, job: &mut Job, change: &mut Change, nearby: &dyn Nearby) {
        if job.hold_until.is_some() {
            return self.look_to_named(job, change, nearby);
        }
        let mut seats: Vec<u8> = (0..seats(job)).collect();
        let clock = WaveClock::of(job);
        let night = clock.stands_until(change.now);
        if job.state != JobState::Unfilled {
            job.run.next_wave_at = night.unwrap_or_else(|| clock.after(change.now, job.plan().interval_ms));
            // Seats that were refilled count as well: the last wave may have fewer left.
            seats.truncate(usize::from(asked_max(job).saturating_sub(job.run.asked)));
        }
        if self.is_braked(job) || night.is_some() || !direct::asks_others(job) {
            return;
        }
        // Beyond the number of any plan: an unfilled job of which a thousand friends have heard.
        let Some(wave) = job.run.wave.checked_add(1) else { return };
        let choice = self.choose(job, wave, &seats, change.now, nearby);
        if self.waits(&choice, seats.len(), change.now) {
            job.run.next_wave_at = job.run.next_wave_at.min(self.restored_until);
            return;
        }
        if choice.walk.suitable.is_empty() {
            if job.run.wave == 0 && job.run.started_at == change.now {
                self.decide(job, change, wave, seats, choice);
            }
            return;
        }
        job.run.wave = wave;
        change.event(job, job.state, "wave_opened", Actor::System, None);
        self.decide(job, change, wave, seats, choice);
    }

    /// Gives the vacant seats of the present wave to the next nearest.
    pub(super) fn refill(&mut self, job: &mut Job, change: &mut Change, nearby: &dyn Nearby) {
        if job.hold_until.is_some() {
            return self.look_to_named(job, change, nearby);
        }
        let mut seats = vacant(job);
        if job.state != JobState::Unfilled {
            seats.truncate(usize::from(asked_max(job).saturating_sub(job.run.asked)));
        }
        let night = WaveClock::of(job).stands_until(change.now).is_some();
        if seats.is_empty() || night || self.is_braked(job) || !direct::asks_others(job) {
            return;
        }
        let choice = self.choose(job, job.run.wave, &seats, change.now, nearby);
        if !choice.walk.suitable.is_empty() && !self.waits(&choice, seats.len(), change.now) {
            change.event(job, job.state, "seat_refilled", Actor::System, None);
            self.decide(job, change, job.run.wave, seats, choice);
        }
    }

    /// Who is back after a restart says little about who is near: a choice waits for the others unless it is full.
    fn waits(&self, choice: &Choice, want: usize, now: Time) -> bool {
        now < self.restored_until && choice.walk.suitable.len() < want
    }

    /// The suitable friends for these seats of `wave`, within the wave's cap; if it holds too few, within the next.
    fn choose(&self, job: &Job, wave: u8, seats: &[u8], now: Time, nearby: &dyn Nearby) -> Choice {
        let stage = stage(job, wave, now);
        let caps = caps_m(job);
        let fairness = fairness_seat(job, seats);
        let reach_percent = fairness.map_or(100, |fairness| fairness.reach_percent);
        let first = usize::from(wave.saturating_sub(1)).min(caps.len().saturating_sub(1));
        let mut choice = None;
        for cap_m in caps.iter().skip(first).copied() {
            let ask = Ask { job, stage, now, cap_m: f64::from(cap_m) };
            let (at, want) = (job.booking.place, seats.len());
            let walk = nearest_and_round(nearby, at, ask.cap_m, want, reach_percent, &mut |standing, distance_m| {
                ask.check(standing, distance_m, self.capacity.of(standing.friend))
            });
            let enough = walk.suitable.len() >= want;
            choice = Some(Choice { walk, cap_m, fairness: fairness.filter(|_| enough) });
            if enough {
                break;
            }
        }
        choice.unwrap_or(Choice { walk: Walk::default(), cap_m: 0, fairness: None })
    }

    /// How far away those would be who are asked first for a job that is only tried, rounded metres, in the order of rank.
    pub(super) fn would_ask(&self, job: &Job, now: Time, nearby: &dyn Nearby) -> Vec<u32> {
        let seats: Vec<u8> = (0..seats(job)).collect();
        let Choice { walk, cap_m, fairness } = self.choose(job, 1, &seats, now, nearby);
        let decision = self.decision(job, 1, seats, Choice { walk, cap_m, fairness }, now).0;
        let of = |friend| decision.candidates.iter().find(move |seen| seen.friend == friend);
        decision.seated().filter_map(|(friend, ..)| of(friend)).map(|seen| seen.distance_m).collect()
    }

    /// Makes the offers of a choice and records why these friends.
    fn decide(&mut self, job: &mut Job, change: &mut Change, wave: u8, seats: Vec<u8>, choice: Choice) {
        let (decision, suitable) = self.decision(job, wave, seats, choice, change.now);
        for (friend, seat, rank, why) in decision.seated() {
            let deficit_days = (why == WhyReason::Fairness).then(|| decision.deficit_days(friend)).flatten();
            let found = suitable.iter().find(|found| found.standing.friend == friend).expect("who is seated was found");
            self.make_offer(job, change, found, Place { wave, seat, rank, why, deficit_days });
        }
        change.decisions.push(decision);
    }

    /// The choice as it is recorded, and the friends it found.
    fn decision(&self, job: &Job, wave: u8, seats: Vec<u8>, choice: Choice, now: Time) -> (Decision, Vec<Found>) {
        let Choice { walk: Walk { suitable, failed, beyond_m }, cap_m, fairness } = choice;
        let weigh = |found: &Found| Weighed {
            friend: found.standing.friend,
            distance_m: found.rounded_m,
            wait: self.waits.of(found.standing.friend, now),
        };
        let weighed = suitable.iter().map(weigh).collect();
        let frame = Frame {
            attempt: job.attempt,
            wave,
            at: now,
            policy_version: job.terms.community_version,
            cap_m,
            beyond_m: beyond_m.map(rounded_m),
        };
        (Decision::make(frame, seats, fairness, weighed, failed), suitable)
    }

    /// Makes one offer; its friend is suitable.
    pub(super) fn make_offer(&mut self, job: &mut Job, change: &mut Change, found: &Found, place: Place) {
        let friend: &Friend = &found.standing.profile;
        let pay = pay::for_job(job, friend).expect("the gate `rate` holds back friends without a rate");
        let fell = |before: &Offer| before.friend == friend.id && before.pay.net.amount > pay.net.amount;
        assert!(!job.offers.iter().any(fell), "net never falls between offers of a job to the same friend");
        let (now, renewed) = (change.now, job.state == JobState::Unfilled);
        let valid_until = WaveClock::of(job).after(now, job.plan().offer_valid_ms);
        let ends = match job.hold_until {
            Some(until) => until,
            None if renewed => job.expire_at,
            None => valid_until.min(job.expire_at),
        };
        let delivery_ms = self.pace.real_ms(job.terms.community.policy.delivery_ms);
        let offer = Offer {
            id: OfferId(self.mint.next(now)),
            friend: friend.id,
            attempt: job.attempt,
            wave: place.wave,
            wave_seat: place.seat,
            seat: Seat::try_from(job.offers.len()).expect("a job has far fewer than 2^32 offers"),
            revision: job.revision,
            sent_at: now,
            expires_at: ends,
            state: OfferState::Live,
            delivery: Delivery::Waiting(now + delivery_ms),
            renewed,
            distance_m: found.rounded_m,
            pay,
            why: place.why,
            deficit_days: place.deficit_days,
            rank: place.rank,
        };
        job.run.asked += 1;
        self.offers.insert(offer.id, job.id);
        self.capacity.deal(friend.id, offer.id, renewed);
        self.waits.offered(friend.id, now);
        self.cells.insert(offer.id, shown_cell(found.standing.position));
        self.availability(friend.id, change);
        change.offer(job.offers.len());
        change.then.push(self.in_hand(job, &offer));
        change.tell(friend.id, FriendMessage::Offer(card::offer(job, &offer, self.language(friend.id))));
        job.offers.push(offer);
    }

    /// A friend has come into reach or has room again: the hungry jobs that want them ask now.
    pub(super) fn consider(&mut self, friend: FriendId, now: Time, nearby: &dyn Nearby, effects: &mut Effects) {
        let Some(standing) = nearby.find(friend) else { return };
        let wanting: Vec<JobId> = self.hungry.iter().copied().take(CONSIDERED_MAX).collect();
        for id in wanting {
            let Some(job) = self.jobs.get(&id) else { continue };
            if job.hold_until.is_some() {
                if self.is_held_for(job, friend) {
                    self.ask_on(id, now, nearby, effects);
                }
                continue;
            }
            if self.is_braked(job) || WaveClock::of(job).stands_until(now).is_some() {
                continue;
            }
            let Some(cap_m) = caps_m(job).last().copied().map(f64::from) else { continue };
            let ask = Ask { job, stage: stage(job, job.run.wave, now), now, cap_m };
            let distance_m = standing.position.distance_m(job.booking.place);
            match ask.check(&standing, distance_m, self.capacity.of(friend)) {
                Ok(()) => self.ask_on(id, now, nearby, effects),
                // What no other job would change.
                Err(Gate::Active | Gate::Reachable | Gate::Capacity | Gate::CoolDown | Gate::FullHand) => return,
                Err(
                    Gate::OnDuty
                    | Gate::Community
                    | Gate::Country
                    | Gate::Tier
                    | Gate::Skill
                    | Gate::Certificate
                    | Gate::Identity
                    | Gate::Age
                    | Gate::Insurance
                    | Gate::Knowledge
                    | Gate::PartnerCustomer
                    | Gate::Language
                    | Gate::Rate
                    | Gate::Distance
                    | Gate::Overlap
                    | Gate::Caps
                    | Gate::Blocked,
                ) => {}
            }
        }
    }

    /// Whether who comes into reach should be considered for this job.
    pub(super) fn is_hungry(&self, job: &Job) -> bool {
        match job.state {
            JobState::Unfilled => direct::asks_others(job),
            JobState::Dispatching if job.hold_until.is_some() => direct::direct_offer(job).is_none(),
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
}

/// The wave by which pros and the whole crowd join. It grows with the intervals passed, also where a look found nobody and
/// spent no wave: else a community of two friends would wait for ever for the crowd that joins at the third wave.
fn stage(job: &Job, wave: u8, now: Time) -> u8 {
    let passed = WaveClock::of(job).run_ms(job.run.started_at, now) / job.plan().interval_ms.max(1);
    wave.max(u8::try_from(passed + 1).unwrap_or(u8::MAX))
}

/// The caps of the job's waves. Remote work takes whoever stands nearest on the whole earth.
fn caps_m(job: &Job) -> &[u32] {
    match job.terms.package.site {
        Site::OnSite => &job.plan().caps_m,
        Site::Remote => &[EVERYWHERE_M],
    }
}

/// How far away anybody is asked, metres.
pub(super) fn farthest_m(job: &Job) -> f64 {
    caps_m(job).last().copied().map_or(0.0, f64::from)
}

fn seats(job: &Job) -> u8 {
    job.terms.community.policy.seats
}

/// The seat that is kept for the longest wait, if it is among these. Where a wave has a single seat, it is the nearest's.
fn fairness_seat(job: &Job, seats: &[u8]) -> Option<FairnessSeat> {
    let policy = &job.terms.community.policy;
    let kept = policy.fairness_seat && policy.seats > 1 && seats.contains(&FAIRNESS_SEAT);
    kept.then_some(FairnessSeat { seat: FAIRNESS_SEAT, reach_percent: policy.fairness_reach_percent })
}

/// Friends asked in one run at most, but for those who are asked once it is unfilled.
pub(super) fn asked_max(job: &Job) -> u16 {
    let plan: &WavePlan = job.plan();
    u16::from(plan.waves) * u16::from(seats(job))
}

/// The seats of the present wave that nobody sits in: never given, declined for good, not delivered, or refused at the
/// accept.
pub(super) fn vacant(job: &Job) -> Vec<u8> {
    if job.run.wave == 0 {
        return Vec::new();
    }
    let sits = |offer: &&Offer| {
        offer.attempt == job.attempt
            && offer.wave == job.run.wave
            && offer.delivery != Delivery::Failed
            && (matches!(offer.state, OfferState::Live | OfferState::Closed(ClosedReason::Expired))
                || job.undoable.iter().any(|undo| undo.offer == offer.id))
    };
    (0..seats(job)).filter(|seat| !job.offers.iter().filter(sits).any(|offer| offer.wave_seat == *seat)).collect()
}
