//! REMEMBER NOW. Concurrent memory: who is where, who is connected, what is offered under which terms, what the map
//! shows. All of it is built again after a restart; nothing here is the truth about a job.
//!
//! The maps stand behind types whose methods return values, never guards: a guard held across an await, or a second one
//! taken while the first is held, stops the server. Copy out, let go, then act.

pub mod backlog;
pub mod directory;
pub mod due;
pub mod epoch;
pub mod feed;
pub mod fix;
pub mod index;
pub mod listed;
pub mod outbox;
pub mod pulse;
pub mod reach;
pub mod roster;
pub mod sessions;
pub mod verdicts;
pub mod wheel;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use kiez_protocol::friend::{FriendMessage, ToldVerdict};
use kiez_protocol::ids::{FriendId, SessionId};
use kiez_protocol::time::Time;

use directory::Directory;
use feed::Feed;
use outbox::{Goodbye, Outbox};
use pulse::Pulse;
use reach::Patience;
use roster::Roster;
use sessions::Sessions;
use verdicts::Verdicts;
use wheel::Wheel;

/// Sweeps between two looks for verdicts that are too old.
const VERDICTS_SWEPT_EVERY: u64 = 600;

/// All that is remembered now.
#[derive(Debug, Default)]
pub struct Live {
    /// Communities, packages, partners, friends.
    pub directory: Directory,
    /// Who is where.
    pub roster: Roster,
    /// Who is connected.
    pub sessions: Arc<Sessions>,
    /// What friends were told on their accepts.
    pub verdicts: Verdicts,
    /// What the map shows.
    pub feed: Feed,
    // What each line has due.
    wheel: Wheel<Outbox>,
    // Sockets that have gone, oldest first: their sessions are kept for a while before they are forgotten.
    parked: Departures,
    sweeps: AtomicU64,
}

impl Live {
    /// Nobody and nothing; at most so many verdicts of each friend will be remembered.
    pub fn new(verdicts_len_max: usize) -> Live {
        Live { verdicts: Verdicts::keeping(verdicts_len_max), ..Live::default() }
    }

    /// Tells a friend something at `now` of the trade's time; verdicts are remembered, whoever hears them.
    pub fn tell(&self, friend: FriendId, message: FriendMessage, now: Time) {
        if let FriendMessage::AcceptResult { offer, key, result, reason } = message {
            self.verdicts.note(friend, ToldVerdict { offer, key, result, reason, at: now });
        }
        self.sessions.send(friend, message);
    }

    /// A socket has gone at `now_ms` of real time, in this turn of its session. Its friend stays within reach for a while:
    /// a phone that changes networks is back in seconds.
    pub fn depart(&self, friend: FriendId, session: SessionId, turn: u32, now_ms: i64) {
        self.roster.depart(friend, session, turn);
        self.parked.note(Departure { at: now_ms, friend, session, turn });
    }

    /// A friend may not come back: their session ends with these words, and none is kept.
    pub fn dismiss(&self, friend: FriendId, goodbye: Goodbye) {
        if let Some(outbox) = self.sessions.dismiss(friend) {
            outbox.close(goodbye);
        }
    }

    /// The pulse of a line is watched from now on, until its outbox is gone.
    pub fn watch(&self, outbox: &Arc<Outbox>, pulse: Pulse) {
        self.wheel.put(outbox.watch(pulse), Arc::downgrade(outbox));
    }

    /// The line's session wants to look at something at `at`, ms since the server's start.
    pub fn look_at(&self, outbox: &Arc<Outbox>, at: i64) {
        if let Some(due) = outbox.look_at(at) {
            self.wheel.put(due, Arc::downgrade(outbox));
        }
    }

    /// Turns the wheel to `now_ms`: pings go out, silent lines are closed. To be called every [`wheel::TICK_MS`].
    pub fn beat(&self, now_ms: i64, pong_ms: u32) {
        self.wheel.turn(now_ms, |entry, outbox| {
            if let Some(due) = outbox.turn_pulse(entry, now_ms, pong_ms) {
                self.wheel.put(due, Arc::downgrade(&outbox));
            }
        });
    }

    /// Once a second, as of `now_ms` of real time and the trade's `now`: who has been silent for long fades, whose position
    /// is another by now moves, whose session was parked `resume_ms` ago loses it, and what was left behind is swept.
    pub fn sweep(&self, now_ms: i64, now: Time, patience: Patience, resume_ms: i64) {
        self.roster.fade(now_ms, patience);
        self.roster.freshen(now);
        for Departure { friend, session, turn, .. } in self.parked.before(now_ms - resume_ms) {
            self.sessions.forget(friend, session, turn);
        }
        self.roster.sweep();
        self.sessions.sweep();
        if self.sweeps.fetch_add(1, Ordering::Relaxed).is_multiple_of(VERDICTS_SWEPT_EVERY) {
            self.verdicts.sweep(now);
        }
    }
}

/// Sockets that have gone, oldest first.
#[derive(Debug, Default)]
struct Departures(Mutex<VecDeque<Departure>>);

#[derive(Clone, Copy, Debug)]
struct Departure {
    at: i64,
    friend: FriendId,
    session: SessionId,
    turn: u32,
}

impl Departures {
    fn note(&self, departure: Departure) {
        self.0.lock().expect("nothing panics while it holds this").push_back(departure);
    }

    /// Takes out those from `at` and before.
    fn before(&self, at: i64) -> Vec<Departure> {
        let mut all = self.0.lock().expect("nothing panics while it holds this");
        let due = all.partition_point(|departure| departure.at <= at);
        let due = all.drain(..due).collect();
        if all.is_empty() {
            *all = VecDeque::new();
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use kiez_protocol::directory::{Friend, Language};
    use kiez_protocol::place::Point;
    use serde_json::json;
    use uuid::Uuid;

    use super::backlog::OutboxLimits;
    use super::fix::Fix;
    use super::reach::Reach;
    use super::*;
    use crate::dispatch::nearest::Nearby;

    #[test]
    fn who_came_back_with_the_same_session_is_suspect_from_the_last_goodbye() {
        let live = Live::default();
        let (friend, session) = (FriendId(Uuid::from_u128(1)), SessionId(Uuid::from_u128(2)));
        let profile: Friend =
            serde_json::from_value(json!({"id": friend, "name": "Ada", "communities": ["berlin"], "country": "DE"}))
                .expect("a friend");
        let outbox = Arc::new(Outbox::new(OutboxLimits::default()));
        let (first, _) = live.sessions.register(friend, session, Language::De, outbox);
        live.roster.set_duty(friend, true);
        let profile = Arc::new(profile);
        live.roster.join(friend, session, 1, profile.clone());
        live.roster.place(friend, Fix::new(Point::new(52.5, 13.4).expect("on earth"), Time(0)));
        let reachable = || live.roster.find(friend).is_some();
        let sweep = |now_ms| live.sweep(now_ms, Time(now_ms), Patience::default(), 300_000);

        assert!(first.park());
        live.depart(friend, session, 1, 0);
        let welcome = FriendMessage::Pong { t: 0 };
        let second = live.sessions.resume(friend, session, Language::De, 0, &welcome).expect("kept");
        live.roster.join(friend, session, 2, profile);
        live.depart(friend, session, 1, 0);
        assert_eq!(live.roster.reach(friend), Reach::Live, "the first goodbye is no news any more");
        sweep(40_000);
        live.roster.heard(friend, session, 41_000);
        assert!(second.registered.park());
        live.depart(friend, session, 2, 41_000);
        assert_eq!(live.roster.reach(friend), Reach::Suspect);
        sweep(116_000);
        assert!(reachable(), "75 s from the last frame");
        sweep(116_001);
        assert!(!reachable());
        assert_eq!(live.sessions.len(), 1, "gone from the map, and its session is still kept");
        sweep(300_000);
        assert_eq!(live.sessions.len(), 1, "kept from the last goodbye");
        sweep(341_000);
        assert!(live.sessions.is_empty());
    }
}
