//! What a friend makes of an offer and of a job: yes, no or nothing, now, in the morning or when they have finished
//! what they do; whether they call the customer, give the job back, or forget. Drawn by friend and job, so that it is
//! the same under every policy.

use kiez_protocol::friend::{DeclineReason, FriendFrame, JobCard, Offer, Verdict, VisitEvent};
use kiez_protocol::ids::{JobId, Key, OfferId};
use kiez_protocol::partner::JobState;

use super::app::Deed;
use super::chance::Chance;
use super::people::{DAY_MS, HOUR_MS, MINUTE_MS};
use super::streets::FriendNo;
use super::world::{Event, World};

/// What somebody makes of an offer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mind {
    Yes,
    No(DeclineReason),
    Nothing,
}

#[derive(Clone, Debug)]
pub(crate) struct Shown {
    revision: u32,
    mind: Mind,
    /// Taps even though it may be gone.
    rash: bool,
    decided: bool,
    gone: bool,
    /// Busy now: they will take it when they have finished what they do.
    later: bool,
    /// They will regret a no so many ms later.
    regret_ms: Option<i64>,
}

impl World {
    /// An offer is on the screen, or changed there.
    pub(crate) fn shown(&mut self, friend: FriendNo, offer: &Offer) {
        if let Some(known) = self.people[friend].app.offers.get_mut(&offer.offer) {
            let changed = known.revision != offer.revision || known.gone;
            (known.revision, known.gone) = (offer.revision, false);
            let undecided = !known.decided || changed;
            if undecided && known.mind == Mind::Yes {
                known.decided = false;
                let mut chance = self.mood(friend, offer.job, offer.attempt, u64::from(offer.revision));
                let at = self.people[friend].looks_at(self.now, &mut chance);
                self.plan_at(at, Event::Deed(friend, Deed::Decides(offer.offer)));
            }
            return;
        }
        let mut chance = self.mood(friend, offer.job, offer.attempt, 0);
        let person = &self.people[friend];
        let rash = chance.happens(self.faults().rush_share);
        let at = if rash && person.is_awake(self.now) {
            self.now + 2_000 + (chance.normal() * 150.0) as i64
        } else {
            person.looks_at(self.now, &mut chance)
        };
        let cents_an_hour = offer.net.amount * 60 / i64::from(offer.duration_min.max(1));
        let held = person.app.visits.len();
        let yes = person.says_yes(self.setting.acceptance, at, offer.distance_m, cents_an_hour, held);
        let mut other = self.whim(friend, offer.job, offer.attempt, "regret");
        let regret_ms = other.happens(0.05 * self.faults().talk).then(|| other.span_ms(9_000, 0.9).max(700));
        let mind = if self.people[friend].app.regretted.contains(&offer.offer) {
            if other.happens(0.8) { Mind::Yes } else { Mind::Nothing }
        } else if chance.happens(yes) {
            Mind::Yes
        } else if chance.happens(0.4) {
            Mind::No(match chance.below(24) {
                0..4 => DeclineReason::Pay,
                4..8 => DeclineReason::Skill,
                8 => DeclineReason::TooVague,
                _ if offer.distance_m > 8_000 => DeclineReason::TooFar,
                _ => DeclineReason::NoTime,
            })
        } else {
            Mind::Nothing
        };
        let mind = if self.speaks_first(friend, offer) && mind == Mind::Yes { Mind::Nothing } else { mind };
        let shown =
            Shown { revision: offer.revision, mind, rash, decided: false, gone: false, later: false, regret_ms };
        self.people[friend].app.offers.insert(offer.offer, shown);
        if mind == Mind::Nothing {
            if chance.happens(0.05) {
                let late = self.now + chance.span_ms(40 * MINUTE_MS, 0.8);
                self.plan_at(late, Event::Deed(friend, Deed::DeclinesLate(offer.offer)));
            }
            return;
        }
        self.plan_at(at, Event::Deed(friend, Deed::Decides(offer.offer)));
    }

    /// The stream of what somebody makes of a job: the same under every policy.
    fn mood(&self, friend: FriendNo, job: JobId, attempt: u16, more: u64) -> Chance {
        let number = u64::from(self.job_no(job));
        let mixed = (friend as u64) << 40 ^ number << 12 ^ u64::from(attempt) << 6 ^ more;
        Chance::of(self.setting.seed, "mood", mixed)
    }

    /// A stream of its own for one more thing that somebody may make of a job.
    pub(crate) fn whim(&self, friend: FriendNo, job: JobId, attempt: u16, what: &str) -> Chance {
        let number = u64::from(self.job_no(job));
        Chance::of(self.setting.seed, what, (friend as u64) << 40 ^ number << 12 ^ u64::from(attempt))
    }

    pub(crate) fn gone(&mut self, friend: FriendNo, offer: OfferId) {
        let app = &mut self.people[friend].app;
        match app.offers.get_mut(&offer) {
            // The finger may be on its way.
            Some(shown) if shown.rash && !shown.decided => shown.gone = true,
            Some(_) => drop(app.offers.remove(&offer)),
            None => {}
        }
    }

    pub(crate) fn decide(&mut self, friend: FriendNo, offer: OfferId) {
        if self.people[friend].app.offers.get(&offer).is_none_or(|shown| shown.decided) {
            return;
        }
        let full = self.people[friend].app.visits.len() >= usize::from(self.people[friend].profile.jobs_held_max);
        let Some(shown) = self.people[friend].app.offers.get_mut(&offer) else { return };
        if full && shown.mind == Mind::Yes && !shown.rash && !shown.later {
            shown.later = true;
            return;
        }
        shown.decided = true;
        let (mind, revision, regret_ms) = (shown.mind, shown.revision, shown.regret_ms);
        if shown.gone {
            self.people[friend].app.offers.remove(&offer);
        }
        match mind {
            Mind::Yes => {
                let key = self.key(friend);
                self.count.accepts += 1;
                let frame = FriendFrame::Accept { offer, revision, key };
                let twice = self.faults().double_tap_share;
                let (twice, other_key) = {
                    let chance = &mut self.people[friend].chance;
                    (chance.happens(twice), chance.happens(0.3))
                };
                self.send_keyed(friend, key, frame.clone());
                if twice {
                    self.count.double_taps += 1;
                    if other_key {
                        let key = self.key(friend);
                        self.send_keyed(friend, key, FriendFrame::Accept { offer, revision, key });
                    } else {
                        self.send_up(friend, frame);
                    }
                }
            }
            Mind::No(reason) => {
                let key = self.key(friend);
                self.send_keyed(friend, key, FriendFrame::Decline { offer, reason, key: Some(key) });
                if let Some(wait) = regret_ms {
                    self.plan(wait, Event::Deed(friend, Deed::TakesBack(offer)));
                }
            }
            Mind::Nothing => {}
        }
    }

    /// A no was a slip of the finger, or is regretted: now and then they say yes before they take it back.
    pub(crate) fn take_back(&mut self, friend: FriendNo, offer: OfferId) {
        self.people[friend].app.regretted.insert(offer);
        if self.people[friend].chance.happens(0.2) {
            let key = self.key(friend);
            self.count.accepts += 1;
            self.send_keyed(friend, key, FriendFrame::Accept { offer, revision: 1, key });
        }
        let key = self.key(friend);
        self.send_keyed(friend, key, FriendFrame::Undo { offer, key: Some(key) });
    }

    pub(crate) fn verdict_comes(&mut self, friend: FriendNo, offer: OfferId, key: Key, result: Verdict) {
        let app = &mut self.people[friend].app;
        match result {
            Verdict::Won | Verdict::Lost => {
                app.unanswered.remove(&key);
                app.offers.remove(&offer);
            }
            Verdict::TryAgain => self.again(friend, key, 2_000),
            Verdict::NeedsReconfirm => {
                app.unanswered.remove(&key);
                if let Some(shown) = app.offers.get_mut(&offer) {
                    shown.decided = false;
                    self.plan(8_000, Event::Deed(friend, Deed::Decides(offer)));
                }
            }
        }
    }

    /// The full card of a job: what its state asks of the friend.
    pub(crate) fn card(&mut self, friend: FriendNo, card: &JobCard) {
        let app = &mut self.people[friend].app;
        if card.address.is_none() || card.state == JobState::Done {
            app.visits.remove(&card.job);
            return;
        }
        app.visits.insert(card.job, (card.attempt, card.state));
        let contacted = card.state == JobState::Contacted;
        if !app.planned.insert((card.job, card.attempt, contacted)) {
            return;
        }
        let mut chance = self.mood(friend, card.job, card.attempt, 0x800 | u64::from(contacted));
        let traits = &self.people[friend].traits;
        let (event, ms) = if contacted {
            if chance.happens(traits.gives_back / 2.0) {
                (VisitEvent::HandBack, chance.span_ms(HOUR_MS, 1.0))
            } else {
                let today = chance.happens(0.6);
                (VisitEvent::Completed, chance.span_ms(if today { 3 * HOUR_MS } else { 30 * HOUR_MS }, 0.7))
            }
        } else if chance.happens(traits.forgets) {
            return;
        } else if chance.happens(traits.gives_back) {
            (VisitEvent::HandBack, chance.span_ms(20 * MINUTE_MS, 1.2))
        } else {
            (VisitEvent::Contacted, chance.span_ms(25 * MINUTE_MS, 1.2))
        };
        let ms = ms.clamp(2_000, 5 * DAY_MS);
        self.plan(ms, Event::Deed(friend, Deed::Reports(card.job, card.attempt, event)));
    }

    pub(crate) fn report(&mut self, friend: FriendNo, job: JobId, attempt: u16, event: VisitEvent) {
        if self.people[friend].app.visits.get(&job).is_none_or(|(held, _)| *held != attempt) {
            return;
        }
        if matches!(event, VisitEvent::Completed | VisitEvent::HandBack) {
            // Free again: what had to wait is taken now.
            let app = &self.people[friend].app;
            let later = app.offers.iter().filter(|(_, shown)| shown.later && !shown.decided).map(|(offer, _)| *offer);
            for offer in later.collect::<Vec<_>>() {
                let wait = self.people[friend].chance.between(300.0, 8_000.0) as i64;
                self.plan(wait, Event::Deed(friend, Deed::Decides(offer)));
            }
        }
        let key = self.key(friend);
        let offline = self.people[friend].app.line.is_none();
        let reason = (event == VisitEvent::HandBack).then(|| "cannot come".to_owned());
        let frame = FriendFrame::Visit { job, event, key, at: offline.then_some(self.now), reason };
        self.send_keyed(friend, key, frame);
    }
}
