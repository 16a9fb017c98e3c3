//! When nobody says yes: the clocks of an open job. Offers end, deliveries fail, waves come due, and at last the job is
//! unfilled (ops hear of it, the offers are renewed, whoever comes into reach is still asked) or expires.

use kiez_protocol::friend::{ClosedReason, FriendMessage, OfferUpdate};
use kiez_protocol::ops::AlarmKind;
use kiez_protocol::partner::JobState;
use kiez_protocol::time::Time;

use super::change::Change;
use super::claim::{Claim, Closed};
use super::effect::{Actor, Message};
use super::job::{Aside, Delivery, Job, OfferState, Run};
use super::nearest::Nearby;
use super::quiet::WaveClock;
use super::wave::{asked_max, vacant};
use super::{ACCEPT_GRACE_MS, Dispatcher, card};

/// An unfilled job is looked at again this often, ms (rules of the trade, §4).
const UNFILLED_LOOK_MS: i64 = 5 * 60_000;
/// A timer that is handled so late was held up, and with it what waits for the ledger, ms of real time.
const HELD_UP_MS: i64 = 1_000;

impl Dispatcher {
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
        // A decline that was not taken back in time: its seat is given on.
        let undoable = job.undoable.len();
        job.undoable.retain(|undo| undo.until > now);
        let mut failed = job.undoable.len() < undoable;
        let delivery_ms = self.pace.real_ms(job.terms.community.policy.delivery_ms);
        for offer in &mut job.offers {
            if let (OfferState::Live, Delivery::Waiting(until)) = (offer.state, offer.delivery)
                && until <= now
            {
                // Looked at so late, the offer itself was held up with this timer: its friend has hardly heard of it.
                let held_up = now.since(until) > self.pace.real_ms(HELD_UP_MS);
                offer.delivery = if held_up { Delivery::Waiting(now + delivery_ms) } else { Delivery::Failed };
                failed |= !held_up;
            }
        }
        if job.hold_until.is_some() && job.state == JobState::Dispatching {
            return self.look_to_named(job, change, nearby);
        }
        let wave_due = job.run.next_wave_at <= now;
        if job.state == JobState::Dispatching {
            // Also a seat that stayed vacant because nobody was in reach, as after a restart.
            if failed || !wave_due {
                self.refill(job, change, nearby);
            }
            if wave_due {
                if job.run.wave < job.plan().waves && job.run.asked < asked_max(job) {
                    self.open_wave(job, change, nearby);
                } else {
                    return self.unfilled(job, change, nearby);
                }
            }
            self.unfilled_if_silent(job, change, nearby);
        } else if wave_due {
            self.look_again(job, change, nearby);
        }
    }

    /// An unfilled job asks whoever is suitable by now: in the seats of the present wave first, then in a wave more, so
    /// that a trickle of newcomers does not use up the numbers of waves.
    pub(super) fn look_again(&mut self, job: &mut Job, change: &mut Change, nearby: &dyn Nearby) {
        job.run.next_wave_at = next_look(job, change.now);
        if vacant(job).is_empty() {
            self.open_wave(job, change, nearby);
        } else {
            self.refill(job, change, nearby);
        }
    }

    /// At the alarm time without a live offer the job is unfilled, whatever waves are left.
    pub(super) fn unfilled_if_silent(&mut self, job: &mut Job, change: &mut Change, nearby: &dyn Nearby) {
        let over = job.run.alarm_at <= change.now && job.live_offers().next().is_none() && job.undoable.is_empty();
        if over && WaveClock::of(job).stands_until(change.now).is_none() {
            self.unfilled(job, change, nearby);
        }
    }

    /// A run without waves: the job was handed back too often, and ops decide. Whoever comes into reach is still asked.
    pub(super) fn stand_unfilled(&mut self, job: &mut Job, change: &mut Change, nearby: &dyn Nearby) {
        let now = change.now;
        job.attempt += 1;
        job.hold_until = None;
        job.run = Run { started_at: now, wave: 0, next_wave_at: now, asked: 0, alarm_at: now };
        job.undoable.clear();
        job.claim = std::sync::Arc::new(Claim::new());
        job.settled = false;
        self.unfilled(job, change, nearby);
    }

    /// All waves are used. Offers that were not declined are renewed, the expired ones included: a late yes is welcome. But
    /// who may not be asked anew, because a human has limited them since, does not get back what was over.
    pub(super) fn unfilled(&mut self, job: &mut Job, change: &mut Change, nearby: &dyn Nearby) {
        change.event(job, JobState::Unfilled, "unfilled", Actor::System, None);
        job.run.next_wave_at = next_look(job, change.now);
        // Under the brake an offer that is over stays over.
        let braked = self.is_braked(job);
        for index in 0..job.offers.len() {
            let offer = &mut job.offers[index];
            let may_be_asked = || nearby.find(offer.friend).is_none_or(|standing| standing.profile.account.is_active());
            let was_live = match offer.state {
                OfferState::Live => true,
                OfferState::Closed(ClosedReason::Expired)
                    if offer.attempt == job.attempt && !braked && may_be_asked() =>
                {
                    false
                }
                OfferState::Closed(_) => continue,
            };
            assert!(!job.blocked.contains(&offer.friend), "who declined or handed back never sees the job again");
            offer.state = OfferState::Live;
            offer.renewed = true;
            offer.expires_at = job.expire_at;
            let (friend, id) = (offer.friend, offer.id);
            // One that ends at this very moment has not closed for its friend.
            let was_live = was_live || change.unsay_closing(id);
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
    fn ends_at(&self, job: &Job) -> Time {
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
        if self.is_hungry(job) {
            let waits = [Some(self.restored_until), WaveClock::of(job).stands_until(now)];
            due = waits.into_iter().flatten().filter(|until| *until > now).fold(due, Time::min);
        }
        due = job.undoable.iter().map(|undo| undo.until).fold(due, Time::min);
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

/// When an unfilled job is looked at again.
fn next_look(job: &Job, now: Time) -> Time {
    let clock = WaveClock::of(job);
    clock.stands_until(now).unwrap_or_else(|| clock.after(now, UNFILLED_LOOK_MS))
}

/// Whether an accept of a live offer could win.
pub(super) fn takes_accepts(job: &Job) -> bool {
    matches!(job.state, JobState::Dispatching | JobState::Unfilled)
}

fn expires_aside(job: &Job) -> bool {
    job.aside.iter().any(|aside| matches!(aside, Aside::Expire))
}
