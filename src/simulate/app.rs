//! The app in a friend's hand, and what the friend does with it: looks at offers when they look, says yes, no or
//! nothing, taps twice, calls the customer or forgets to. What has no answer is sent again with the same key, after a
//! while and on every new line.

use std::collections::{BTreeMap, BTreeSet};

use kiez_protocol::friend::{DeclineReason, FriendFrame, FriendMessage, VisitEvent};
use kiez_protocol::ids::{JobId, Key, OfferId};
use kiez_protocol::partner::JobState;
use kiez_protocol::refusal::Code;
use kiez_protocol::talk::Voice;
use kiez_protocol::time::Time;

use super::calendar::of_day;
use super::chance::Chance;
use super::link::LineNo;
use super::mind::Shown;
use super::people::{HOUR_MS, MINUTE_MS};
use super::session::is_owed;
use super::streets::FriendNo;
use super::world::{Event, World};

/// Without an answer a frame is sent again after this, ms.
const AGAIN_MS: i64 = 20_000;
/// Who walks sends a position this often, ms; who stays does so too, more rarely.
const STEP_MS: i64 = MINUTE_MS;
const STAY_MS: i64 = 12 * MINUTE_MS;

/// What somebody means to do, some time.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    WakesUp,
    GoesToSleep,
    GoesOn(Option<Time>),
    GoesOff,
    SetsOut,
    SendsFix(u32),
    Decides(OfferId),
    DeclinesLate(OfferId),
    TakesBack(OfferId),
    Asks(OfferId, u8),
    Proposes(OfferId),
    Writes(JobId),
    Repeats(Key),
    Reports(JobId, u16, VisitEvent),
}

/// A frame without an answer.
#[derive(Clone, Debug)]
pub(crate) struct Unanswered {
    pub frame: FriendFrame,
    pub since: Time,
    /// When it is sent again.
    again: Time,
}

#[derive(Debug, Default)]
pub(crate) struct App {
    pub line: Option<LineNo>,
    pub wants_line: bool,
    pub dialling: bool,
    /// What the server says about duty.
    on_duty: bool,
    pub offers: BTreeMap<OfferId, Shown>,
    /// Offers whose no they have taken back.
    pub regretted: BTreeSet<OfferId>,
    pub unanswered: BTreeMap<Key, Unanswered>,
    /// Jobs held, with the attempt in which they were won.
    pub visits: BTreeMap<JobId, (u16, JobState)>,
    /// What was planned once for a job is not planned again at its next card.
    pub planned: BTreeSet<(JobId, u16, bool)>,
    /// Owed messages that have arrived in this session, and whether a word about them is under way.
    owed: u64,
    fixes: u32,
}

impl App {
    pub fn forget_session(&mut self) {
        self.owed = 0;
    }
}

impl World {
    /// What somebody does today.
    pub(crate) fn dawn(&mut self, friend: FriendNo, day: u32) {
        let person = &self.people[friend];
        let mut chance = Chance::of(self.setting.seed, "day", (friend as u64) << 20 | u64::from(day));
        let traits = &person.traits;
        let midnight = self.now;
        let jitter = |chance: &mut Chance| (chance.normal() * 20.0 * MINUTE_MS as f64) as i64;
        let mut plans = vec![
            (traits.wakes_ms + jitter(&mut chance), Deed::WakesUp),
            (traits.sleeps_ms + jitter(&mut chance), Deed::GoesToSleep),
        ];
        if chance.happens(traits.keen) {
            let (from, to) = (traits.duty_ms.0 + jitter(&mut chance), traits.duty_ms.1 + jitter(&mut chance));
            let until = (chance.happens(0.5) && !traits.sleeper).then(|| midnight + to.max(from + HOUR_MS));
            plans.push((from, Deed::GoesOn(until)));
            if until.is_none() && !traits.sleeper {
                plans.push((to.max(from + HOUR_MS), Deed::GoesOff));
            }
        }
        if traits.pace_m_s.is_some() {
            for _ in 0..1 + chance.below(4) {
                plans.push((chance.between(7.0, 21.0) as i64 * HOUR_MS + jitter(&mut chance), Deed::SetsOut));
            }
        }
        for (ms, deed) in plans {
            self.plan_at(midnight + ms.max(1), Event::Deed(friend, deed));
        }
    }

    pub(crate) fn deed(&mut self, friend: FriendNo, deed: Deed) {
        match deed {
            Deed::WakesUp => {
                self.people[friend].app.wants_line = true;
                self.redial(friend, 0, 1);
            }
            Deed::GoesToSleep => {
                if self.people[friend].traits.phone_off && !self.closing {
                    let app = &mut self.people[friend].app;
                    app.wants_line = false;
                    if let Some(line) = app.line {
                        self.app_notices(line);
                    }
                }
            }
            Deed::GoesOn(until) => {
                self.go(friend, true, until.filter(|until| *until > self.now + MINUTE_MS));
                self.send_fix(friend);
            }
            Deed::GoesOff => self.go(friend, false, None),
            Deed::SetsOut => {
                let person = &mut self.people[friend];
                let mut chance =
                    Chance::of(self.setting.seed, "walk", (friend as u64) << 40 | self.now.0 as u64 & 0xff_ffff_ffff);
                person.sets_out(self.now, &mut chance);
                self.send_fix(friend);
            }
            Deed::SendsFix(number) => {
                if number == self.people[friend].app.fixes {
                    self.send_fix(friend);
                }
            }
            Deed::Decides(offer) => self.decide(friend, offer),
            Deed::DeclinesLate(offer) => {
                let key = self.key(friend);
                let frame = FriendFrame::Decline { offer, reason: DeclineReason::Other, key: Some(key) };
                self.send_keyed(friend, key, frame);
            }
            Deed::TakesBack(offer) => self.take_back(friend, offer),
            Deed::Asks(offer, times) => self.friend_asks(friend, offer, times),
            Deed::Proposes(offer) => self.friend_proposes(friend, offer),
            Deed::Writes(job) => self.friend_writes(friend, job),
            Deed::Repeats(key) => self.repeat(friend, key),
            Deed::Reports(job, attempt, event) => self.report(friend, job, attempt, event),
        }
    }

    /// A message has arrived on the app's present line.
    pub(crate) fn app_hears(&mut self, friend: FriendNo, message: FriendMessage, first: bool) {
        let app = &mut self.people[friend].app;
        let owed = is_owed(&message);
        if owed && first {
            app.owed += 1;
        }
        let number = app.owed;
        match message {
            FriendMessage::Welcome(_) => self.welcome(friend),
            FriendMessage::Snapshot(snapshot) => {
                app.on_duty = snapshot.duty.on;
                for told in &snapshot.verdicts {
                    app.unanswered.remove(&told.key);
                }
                let there: BTreeSet<OfferId> = snapshot.offers.iter().map(|offer| offer.offer).collect();
                app.offers.retain(|offer, _| there.contains(offer));
                app.visits.clear();
                for offer in snapshot.offers {
                    self.shown(friend, &offer);
                }
                for card in snapshot.visits {
                    self.card(friend, &card);
                }
                if !self.people[friend].app.on_duty && self.wants_duty(friend) {
                    self.go(friend, true, None);
                    self.send_fix(friend);
                }
            }
            FriendMessage::Offer(offer) => self.shown(friend, &offer),
            FriendMessage::OfferUpdate(update) => {
                if let Some(offer) = update.renewed {
                    self.shown(friend, &offer);
                }
            }
            FriendMessage::OfferClosed { offer, .. } => self.gone(friend, offer),
            FriendMessage::AcceptResult { offer, key, result, .. } => self.verdict_comes(friend, offer, key, result),
            FriendMessage::Job(card) => self.card(friend, &card),
            FriendMessage::Done { key } => {
                app.unanswered.remove(&key);
            }
            FriendMessage::Error { code, key: Some(key), .. } => {
                if matches!(code, Code::Unavailable | Code::TooMany) {
                    self.again(friend, key, 3_000);
                } else {
                    app.unanswered.remove(&key);
                }
            }
            FriendMessage::Duty(duty) => app.on_duty = duty.on,
            FriendMessage::DutyEnding { .. } => {
                if self.people[friend].chance.happens(0.3) {
                    let until = self.now + 2 * HOUR_MS;
                    self.go(friend, true, Some(until));
                }
            }
            FriendMessage::Message(said) => {
                let replies = said.from == Voice::Customer && self.people[friend].chance.happens(0.3);
                if replies {
                    let wait = self.people[friend].chance.span_ms(3 * MINUTE_MS, 1.0);
                    self.plan(wait, Event::Deed(friend, Deed::Writes(said.job)));
                }
            }
            FriendMessage::AcceptPending { .. }
            | FriendMessage::Answer { .. }
            | FriendMessage::CapNear(_)
            | FriendMessage::Missed(_)
            | FriendMessage::Why(_)
            | FriendMessage::SettingsResult { .. }
            | FriendMessage::Account { .. }
            | FriendMessage::Error { key: None, .. }
            | FriendMessage::Pong { .. }
            | FriendMessage::Expiring { .. }
            | FriendMessage::Refreshed { .. }
            | FriendMessage::StopLocation
            | FriendMessage::Draining { .. } => {}
        }
        if owed {
            self.send_up(friend, FriendFrame::Ack { seq: number });
        }
    }

    /// A line: the newest position, and everything without an answer again.
    fn welcome(&mut self, friend: FriendNo) {
        self.send_fix(friend);
        let unanswered = &self.people[friend].app.unanswered;
        let again: Vec<(Key, FriendFrame)> = unanswered.iter().map(|(key, sent)| (*key, sent.frame.clone())).collect();
        for (key, frame) in again {
            self.count.retried += 1;
            self.send_up(friend, frame);
            self.again(friend, key, AGAIN_MS);
        }
    }

    fn wants_duty(&self, friend: FriendNo) -> bool {
        let traits = &self.people[friend].traits;
        traits.sleeper && self.people[friend].app.fixes > 0
    }

    fn go(&mut self, friend: FriendNo, on: bool, until: Option<Time>) {
        let key = self.key(friend);
        // Only the newest wish counts.
        self.people[friend]
            .app
            .unanswered
            .retain(|_, unanswered| !matches!(unanswered.frame, FriendFrame::Duty { .. }));
        self.send_keyed(friend, key, FriendFrame::Duty { on, until, key: Some(key) });
    }

    fn send_fix(&mut self, friend: FriendNo) {
        let person = &mut self.people[friend];
        if let Some(walk) = person.walk {
            person.at = walk.at(self.now);
            if walk.is_over(self.now) {
                person.walk = None;
            }
        }
        let (at, walks) = (person.at, person.walk.is_some());
        person.app.fixes += 1;
        let number = person.app.fixes;
        let lat_lng = FriendFrame::Fix { lat: at.lat(), lng: at.lng(), accuracy_m: Some(15.0), at: None };
        self.send_up(friend, lat_lng);
        let awake = self.people[friend].is_awake(self.now);
        let wait = if walks { STEP_MS } else { STAY_MS };
        if walks || awake || self.closing {
            self.plan(wait, Event::Deed(friend, Deed::SendsFix(number)));
        }
    }

    // What has a key is sent until it has an answer.

    pub(crate) fn key(&mut self, friend: FriendNo) -> Key {
        Key(self.people[friend].chance.id(self.now))
    }

    pub(crate) fn send_keyed(&mut self, friend: FriendNo, key: Key, frame: FriendFrame) {
        let unanswered = Unanswered { frame: frame.clone(), since: self.now, again: self.now };
        self.people[friend].app.unanswered.insert(key, unanswered);
        self.send_up(friend, frame);
        self.again(friend, key, AGAIN_MS);
    }

    pub(crate) fn again(&mut self, friend: FriendNo, key: Key, wait_ms: i64) {
        let again = self.now + wait_ms;
        if let Some(unanswered) = self.people[friend].app.unanswered.get_mut(&key) {
            unanswered.again = again;
            self.plan_at(again, Event::Deed(friend, Deed::Repeats(key)));
        }
    }

    fn repeat(&mut self, friend: FriendNo, key: Key) {
        let person = &mut self.people[friend];
        // Without a line it is sent with the next one.
        let Some(unanswered) = person.app.unanswered.get(&key).filter(|_| person.app.line.is_some()) else { return };
        if unanswered.again > self.now {
            return;
        }
        let (frame, wait) = (unanswered.frame.clone(), person.chance.between(1.0, 2.0) * AGAIN_MS as f64);
        self.count.retried += 1;
        self.send_up(friend, frame);
        self.again(friend, key, wait as i64);
    }

    /// Whether somebody's phone would be in use at this hour.
    pub(crate) fn phone_is_on(&self, friend: FriendNo) -> bool {
        let traits = &self.people[friend].traits;
        !traits.phone_off || (traits.wakes_ms..traits.sleeps_ms).contains(&of_day(self.now))
    }
}
