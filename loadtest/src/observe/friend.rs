//! What is known from outside of one friend: where they said they were, whether they could be asked, what they held.

use std::sync::Arc;

use kiez_protocol::directory::Friend;
use kiez_protocol::ids::{JobId, OfferId};
use kiez_protocol::place::Point;

use super::Rules;
use super::span::{Held, Moment, NEVER, Span, any_held};

/// Something a friend holds for a while: an offer in the hand, or a job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding {
    /// The offer, or the offer by which the job was won.
    pub offer: OfferId,
    /// The job.
    pub job: JobId,
    /// When.
    pub span: Span,
}

/// One friend's trace.
#[derive(Clone, Debug)]
pub(crate) struct FriendTrace {
    /// As the directory knows them.
    pub profile: Arc<Friend>,
    /// Positions sent, oldest first.
    pub fixes: Vec<(Moment, Point)>,
    /// Offers in the hand.
    pub hand: Vec<Holding>,
    /// Jobs held, an accept on its way included.
    pub jobs: Vec<Holding>,
    /// Times at which they could be asked: connected, on duty and with a position.
    available: Vec<Span>,
    /// Since when they are connected.
    up_since: Option<Moment>,
    /// Times without a connection, in which an offer may have gone to nobody.
    away: Vec<Span>,
    /// When the last connection ended.
    pub down_at: Moment,
    /// When the session last went on over a new connection.
    resumed_at: Option<Moment>,
    /// On duty, as far as the server has said.
    on_duty: bool,
    /// Since when duty may hold.
    duty_since: Moment,
}

impl FriendTrace {
    pub fn new(profile: Arc<Friend>) -> FriendTrace {
        FriendTrace {
            profile,
            fixes: Vec::new(),
            hand: Vec::new(),
            jobs: Vec::new(),
            available: Vec::new(),
            up_since: None,
            away: vec![Span::open(0, 0)],
            down_at: 0,
            resumed_at: None,
            on_duty: false,
            duty_since: NEVER,
        }
    }

    pub fn up(&mut self, at: Moment) {
        self.up_since = Some(at);
        if let Some(away) = self.away.last_mut() {
            away.close(at, at);
        }
    }

    /// The session went on: what was told meanwhile comes now.
    pub fn resumed(&mut self, at: Moment) {
        self.resumed_at = Some(at);
    }

    /// Since when something heard at `at` may have been owed, if it may be of the time without a connection.
    pub fn owed_since(&self, at: Moment, rules: &Rules) -> Option<Moment> {
        let resumed = self.resumed_at.is_some_and(|resumed| at <= resumed + rules.in_flight_us);
        resumed.then_some(self.down_at)
    }

    /// Whether there is a connection.
    pub fn is_up(&self) -> bool {
        self.up_since.is_some()
    }

    /// Whether the present connection began after this moment.
    pub fn up_after(&self, at: Moment) -> bool {
        self.up_since.is_some_and(|since| since > at)
    }

    /// Whether an offer decided in the window may have gone to nobody, because there was no connection to carry it.
    pub fn may_have_missed(&self, from: Moment, to: Moment, rules: &Rules) -> bool {
        let told_by = to.saturating_add(rules.in_flight_us);
        any_held(self.away.iter(), from, told_by) != Held::No
    }

    /// The connection is gone. Decisions until some time before may have counted on it; those until the server has
    /// given the friend up may still.
    pub fn down(&mut self, at: Moment, rules: &Rules) {
        if self.up_since.take().is_some() {
            self.down_at = at;
            self.away.push(Span::open(at.saturating_sub(rules.in_flight_us), at));
        }
        let gone_at = at.saturating_sub(rules.in_flight_us);
        self.end_availability(gone_at, at + rules.reach_us);
    }

    pub fn duty_asked(&mut self, at: Moment, on: bool) {
        if on {
            self.duty_since = self.duty_since.min(at);
        } else {
            self.end_availability(at, NEVER);
        }
    }

    pub fn duty_heard(&mut self, at: Moment, on: bool, rules: &Rules) {
        self.on_duty = on;
        if on {
            // Unasked, as in a snapshot: it has held since somewhen before.
            self.duty_since = self.duty_since.min(at.saturating_sub(rules.in_flight_us));
        } else {
            self.duty_since = NEVER;
            self.end_availability(at.saturating_sub(rules.in_flight_us), at);
        }
    }

    fn end_availability(&mut self, sure_to: Moment, maybe_to: Moment) {
        if let Some(last) = self.available.last_mut() {
            last.close(sure_to, maybe_to);
        }
    }

    pub fn fix(&mut self, at: Moment, place: Point, rules: &Rules) {
        self.fixes.push((at, place));
        let Some(up_since) = self.up_since.filter(|_| self.on_duty) else { return };
        if self.available.last().is_none_or(|last| !last.is_open()) {
            // A server that has kept the last position may count on the friend from the moment both hold.
            let maybe_from = up_since.max(self.duty_since).min(at).saturating_sub(rules.in_flight_us);
            self.available.push(Span::open(maybe_from, at + rules.in_flight_us));
        }
    }

    /// Whether the friend could be asked in the window.
    pub fn available(&self, from: Moment, to: Moment, rules: &Rules) -> Held {
        let held = any_held(self.available.iter(), from, to);
        let last_fix = self.fixes.iter().rev().find(|(at, _)| *at <= from).map_or(0, |(at, _)| *at);
        let fresh = to.saturating_sub(last_fix) < rules.fresh_us;
        if fresh { held } else { held.min(Held::Maybe) }
    }

    /// Whether they had come into reach, or might have, shortly before `to`: on duty, connected, or first placed.
    pub fn arrived_before(&self, to: Moment, rules: &Rules) -> bool {
        let recent = to.saturating_sub(2 * rules.in_flight_us);
        self.available.iter().any(|span| span.maybe_from <= to && span.sure_from + rules.in_flight_us >= recent)
    }

    /// Every position the server may have had in the window: the last that has surely arrived, and those on their way.
    pub fn positions(&self, from: Moment, to: Moment, rules: &Rules) -> &[(Moment, Point)] {
        let settled_by = from.saturating_sub(rules.in_flight_us);
        let mut end = self.fixes.partition_point(|(at, _)| *at <= to);
        if end == 0 && self.fixes.first().is_some_and(|(at, _)| *at <= to + rules.in_flight_us) {
            // Placed for the first time as the choice was made.
            end = 1;
        }
        let arrived = self.fixes.partition_point(|(at, _)| *at <= settled_by);
        &self.fixes[arrived.saturating_sub(1)..end.max(arrived)]
    }

    /// How many of these were held in the window: surely, and at most.
    pub fn count(holdings: &[Holding], from: Moment, to: Moment) -> (usize, usize) {
        holdings.iter().fold((0, 0), |(surely, at_most), holding| match holding.span.held(from, to) {
            Held::Surely => (surely + 1, at_most + 1),
            Held::Maybe => (surely, at_most + 1),
            Held::No => (surely, at_most),
        })
    }

    /// Forgets what ended before `until`.
    pub fn forget(&mut self, until: Moment) {
        let keep_from = self.fixes.partition_point(|(at, _)| *at < until).saturating_sub(1);
        self.fixes.drain(..keep_from);
        self.hand.retain(|holding| holding.span.maybe_to >= until);
        self.jobs.retain(|holding| holding.span.maybe_to >= until);
        self.available.retain(|span| span.maybe_to >= until);
        self.away.retain(|span| span.maybe_to >= until);
    }
}
