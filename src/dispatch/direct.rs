//! A job for a friend whom the customer has named. For two hours they hold the only offer; then, or as soon as they say no,
//! the four nearest are asked if the customer agreed to that, and otherwise nobody.
//!
//! The named friend passes the gates but for three: how far away they are and what their calendar says is between the two of
//! them, and whether they can be reached is waited for. If another gate is shut, that counts as a no.

use kiez_protocol::friend::{ClosedReason, WhyReason};
use kiez_protocol::ids::FriendId;
use kiez_protocol::partner::JobState;
use kiez_protocol::place::rounded_m;
use kiez_protocol::time::Time;

use super::capacity::Load;
use super::change::Change;
use super::claim::Claim;
use super::effect::Actor;
use super::gates::{Ask, Gate};
use super::job::{Job, Offer, OfferState, Run};
use super::nearest::{Found, Nearby, Standing};
use super::posting::leave_a_round;
use super::quiet::WaveClock;
use super::wave::Place;
use super::{ACCEPT_GRACE_MS, Dispatcher};

/// An offer that outlasts its hold (its friend has asked) is looked at again no sooner than this, ms.
const LOOK_MS: i64 = 1_000;

impl Dispatcher {
    /// Begins the run in which the named friend alone is asked.
    pub(super) fn start_direct(&mut self, job: &mut Job, change: &mut Change, nearby: &dyn Nearby) {
        let (now, clock) = (change.now, WaveClock::of(job));
        let until = clock.after(now, job.terms.community.policy.direct_ms).min(job.expire_at);
        let alarm_at = clock.after(until, job.plan().alarm_ms);
        job.attempt += 1;
        job.hold_until = Some(until);
        job.run = Run { started_at: now, wave: 0, next_wave_at: until, asked: 0, alarm_at };
        job.undoable.clear();
        job.claim = std::sync::Arc::new(Claim::new());
        job.settled = false;
        self.look_to_named(job, change, nearby);
    }

    /// A job that its named friend holds, or will when they come into reach: offers it, waits, or passes it on.
    pub(super) fn look_to_named(&mut self, job: &mut Job, change: &mut Change, nearby: &dyn Nearby) {
        let Some(until) = job.hold_until else { return };
        match direct_offer(job).map(|offer| (offer.state, offer.expires_at)) {
            Some((OfferState::Live, ends)) => job.run.next_wave_at = ends.max(change.now + LOOK_MS),
            // An accept that was sent in time still counts.
            Some((OfferState::Closed(ClosedReason::Expired), ends)) if change.now < self.with_grace(ends) => {
                job.run.next_wave_at = self.with_grace(ends);
            }
            Some((OfferState::Closed(_), _)) => self.pass_on(job, change, nearby),
            None if until <= change.now => self.pass_on(job, change, nearby),
            None => self.offer_to_named(job, change, until, nearby),
        }
    }

    fn with_grace(&self, ends: Time) -> Time {
        ends + self.pace.real_ms(ACCEPT_GRACE_MS)
    }

    fn offer_to_named(&mut self, job: &mut Job, change: &mut Change, until: Time, nearby: &dyn Nearby) {
        let named = named(job).expect("only a direct job is held for somebody");
        // Who cannot have it now is looked at again: a hand has room again without a word, and a brake is taken off.
        let clock = WaveClock::of(job);
        let night = clock.stands_until(change.now);
        let next_look = night.unwrap_or_else(|| clock.after(change.now, job.plan().interval_ms));
        job.run.next_wave_at = next_look.min(until);
        if self.is_braked(job) || night.is_some() {
            return;
        }
        let Some(standing) = nearby.find(named) else { return };
        let load = self.capacity.of(named);
        match suits(job, &standing, load, change.now) {
            Ok(()) => {}
            // It may change while the job is held for them.
            Err(Gate::Reachable | Gate::FullHand) => return,
            Err(_) => return self.pass_on(job, change, nearby),
        }
        let distance_m = standing.position.distance_m(job.booking.place);
        job.run.wave = 1;
        change.event(job, job.state, "named_asked", Actor::System, None);
        let found = Found { standing, distance_m, rounded_m: rounded_m(distance_m) };
        self.make_offer(
            job,
            change,
            &found,
            Place { wave: 1, seat: 0, rank: 1, why: WhyReason::Named, deficit_days: None },
        );
        job.run.next_wave_at = until;
    }

    /// The named friend does not want it, cannot have it, or has let it pass.
    fn pass_on(&mut self, job: &mut Job, change: &mut Change, nearby: &dyn Nearby) {
        job.hold_until = None;
        change.event(job, job.state, "direct_passed", Actor::System, None);
        leave_a_round(job, change.now);
        if asks_others(job) {
            change.run_ended(job, JobState::Unfilled);
            self.start_run(job, change, nearby);
        } else {
            self.unfilled(job, change, nearby);
        }
    }

    /// Whether a job waits for this friend alone, who has just come into reach or has room again.
    pub(super) fn is_held_for(&self, job: &Job, friend: FriendId) -> bool {
        job.hold_until.is_some() && named(job) == Some(friend) && direct_offer(job).is_none()
    }
}

/// The friend whom the customer has named.
pub(super) fn named(job: &Job) -> Option<FriendId> {
    job.booking.direct.map(|direct| direct.friend)
}

/// Whether anybody but the named friend may be asked, ever.
pub(super) fn asks_others(job: &Job) -> bool {
    job.booking.direct.is_none_or(|direct| direct.fallback)
}

/// The offer of the named friend in the present run.
pub(super) fn direct_offer(job: &Job) -> Option<&Offer> {
    job.offers.iter().find(|offer| offer.attempt == job.attempt && offer.is_direct())
}

/// When the only offer is over while the hold lasts, what it was closed for.
pub(super) fn is_over(job: &Job) -> bool {
    job.hold_until.is_some()
        && direct_offer(job)
            .is_some_and(|offer| !matches!(offer.state, OfferState::Live | OfferState::Closed(ClosedReason::Won)))
}

/// The gates for a named friend.
fn suits(job: &Job, standing: &Standing, load: Option<&Load>, now: Time) -> Result<(), Gate> {
    // Named pros need not wait for a wave, nor friends for their crowd.
    let ask = Ask { job, stage: u8::MAX, now, cap_m: f64::INFINITY };
    let distance_m = standing.position.distance_m(job.booking.place);
    let asked = |gate: &Gate| !matches!(gate, Gate::OnDuty | Gate::Distance);
    match Gate::ALL.into_iter().filter(asked).find(|gate| !ask.opens(*gate, standing, distance_m, load)) {
        Some(gate) => Err(gate),
        None => Ok(()),
    }
}
