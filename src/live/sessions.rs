//! Who is connected: each friend's newest session with its outbox and the offers in hand. A newer session displaces the
//! older one, and goodbyes are matched by session and turn, so that a late one takes nobody else away.
//!
//! A session without a socket is parked for a while: its hand and its outbox stay, and the same app goes on with it over
//! another socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use kiez_protocol::directory::Language;
use kiez_protocol::friend::FriendMessage;
use kiez_protocol::ids::{FriendId, OfferId, SessionId};

use super::backlog::is_owed;
use super::index;
use super::outbox::{Outbox, Pushed};
use crate::dispatch::effect::InHand;

/// All sessions, served and parked.
#[derive(Debug, Default)]
pub struct Sessions {
    friends: DashMap<FriendId, Session>,
    connected: AtomicUsize,
}

#[derive(Debug)]
struct Session {
    id: SessionId,
    // The language in which everything was told: what is sent again is sent as it was.
    language: Language,
    outbox: Arc<Outbox>,
    // Empty as a rule, and then without memory of its own.
    hand: Vec<InHand>,
}

/// A socket's place among the sessions, given up when this is dropped. Hold it for as long as the socket is served.
#[derive(Debug)]
pub struct Registered {
    sessions: Arc<Sessions>,
    friend: FriendId,
    session: SessionId,
    turn: u32,
    parked: bool,
}

/// A session that goes on over another socket.
#[derive(Debug)]
pub struct Resumed {
    /// Its place.
    pub registered: Registered,
    /// Its outbox, with the welcome and what is owed.
    pub outbox: Arc<Outbox>,
    /// Offers that have arrived, as the app's last number proves.
    pub arrived: Vec<OfferId>,
}

impl Registered {
    fn new(sessions: Arc<Sessions>, friend: FriendId, session: SessionId, turn: u32) -> Registered {
        sessions.connected.fetch_add(1, Ordering::Relaxed);
        Registered { sessions, friend, session, turn, parked: false }
    }

    /// Whose session.
    pub fn friend(&self) -> FriendId {
        self.friend
    }

    /// Which session.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Which socket of the session, from 1.
    pub fn turn(&self) -> u32 {
        self.turn
    }

    /// Gives the place up and keeps the session, if it can be kept, for its app to come back to. Returns whether it is.
    pub fn park(mut self) -> bool {
        let outbox = self.sessions.outbox_of(self.friend, self.session);
        self.parked = outbox.is_some_and(|outbox| outbox.park(self.turn));
        self.parked
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.sessions.connected.fetch_sub(1, Ordering::Relaxed);
        if !self.parked {
            self.sessions.forget(self.friend, self.session, self.turn);
        }
    }
}

impl Sessions {
    /// Nobody.
    pub fn new() -> Sessions {
        Sessions::default()
    }

    /// The friend's newest session, in its first turn and with an empty hand until its snapshot. Also returns the outbox
    /// it displaces, to be closed with `refusal::close::REPLACED`.
    pub fn register(
        self: &Arc<Self>,
        friend: FriendId,
        session: SessionId,
        language: Language,
        outbox: Arc<Outbox>,
    ) -> (Registered, Option<Arc<Outbox>>) {
        let turn = outbox.turn();
        let displaced = self.friends.insert(friend, Session { id: session, language, outbox, hand: Vec::new() });
        (Registered::new(self.clone(), friend, session, turn), displaced.map(|displaced| displaced.outbox))
    }

    /// The friend's session goes on over another socket, whose app has received everything up to `last_seq`. None if it
    /// cannot: it is not known, or not kept from there on, or it was held in another language.
    pub fn resume(
        self: &Arc<Self>,
        friend: FriendId,
        session: SessionId,
        language: Language,
        last_seq: u64,
        welcome: &FriendMessage,
    ) -> Option<Resumed> {
        let outbox = {
            let present = self.friends.get(&friend)?;
            (present.id == session && present.language == language).then(|| present.outbox.clone())?
        };
        let resumed = outbox.resume(last_seq, welcome)?;
        let registered = Registered::new(self.clone(), friend, session, resumed.turn);
        // It may have gone meanwhile: displaced, dismissed, or its time was up. Then another takes its place.
        self.is_newest(friend, session).then_some(Resumed { registered, outbox, arrived: resumed.arrived })
    }

    /// A session whose socket of this turn is gone is not kept any longer. Returns whether it was still there.
    pub fn forget(&self, friend: FriendId, session: SessionId, turn: u32) -> bool {
        let gone = self.friends.remove_if(&friend, |_, present| present.id == session && present.outbox.turn() == turn);
        gone.is_some()
    }

    /// The friend's session ends for good. Returns its outbox, to be closed.
    pub fn dismiss(&self, friend: FriendId) -> Option<Arc<Outbox>> {
        self.friends.remove(&friend).map(|(_, present)| present.outbox)
    }

    /// The outbox of the friend's session, served or parked.
    pub fn outbox(&self, friend: FriendId) -> Option<Arc<Outbox>> {
        self.friends.get(&friend).map(|present| present.outbox.clone())
    }

    fn outbox_of(&self, friend: FriendId, session: SessionId) -> Option<Arc<Outbox>> {
        self.friends.get(&friend).filter(|present| present.id == session).map(|present| present.outbox.clone())
    }

    /// Whether this is the friend's newest session.
    pub fn is_newest(&self, friend: FriendId, session: SessionId) -> bool {
        self.friends.get(&friend).is_some_and(|present| present.id == session)
    }

    /// Tells the friend something, as owed or passing as its kind says; none without a session.
    pub fn send(&self, friend: FriendId, message: FriendMessage) -> Option<Pushed> {
        let owed = is_owed(&message);
        let outbox = self.outbox(friend)?;
        let pushed = outbox.push(message, owed);
        if pushed == Pushed::Forgotten {
            self.friends.remove_if(&friend, |_, present| Arc::ptr_eq(&present.outbox, &outbox));
        }
        Some(pushed)
    }

    /// Puts an offer into the friend's hand, or replaces its word. Returns whether there is a session.
    pub fn hold(&self, friend: FriendId, in_hand: InHand) -> bool {
        self.change_hand(friend, |hand| match hand.iter_mut().find(|held| held.offer == in_hand.offer) {
            Some(held) => *held = in_hand,
            None => hand.push(in_hand),
        })
    }

    /// Takes an offer out of the friend's hand. Returns whether there is a session.
    pub fn release(&self, friend: FriendId, offer: OfferId) -> bool {
        self.change_hand(friend, |hand| {
            hand.retain(|held| held.offer != offer);
            if hand.is_empty() {
                *hand = Vec::new();
            }
        })
    }

    /// The whole hand of this session, as its snapshot says. Returns false, and changes nothing, if another session
    /// has taken its place.
    pub fn set_hand(&self, friend: FriendId, session: SessionId, hand: Vec<InHand>) -> bool {
        match self.friends.get_mut(&friend) {
            Some(mut present) if present.id == session => {
                present.hand = hand;
                true
            }
            Some(_) | None => false,
        }
    }

    /// An offer in the friend's hand, with the word an accept takes.
    pub fn in_hand(&self, friend: FriendId, offer: OfferId) -> Option<InHand> {
        self.friends.get(&friend).and_then(|present| present.hand.iter().find(|held| held.offer == offer).cloned())
    }

    /// How many offers a friend's hand holds.
    pub fn hand_len(&self, friend: FriendId) -> usize {
        self.friends.get(&friend).map_or(0, |present| present.hand.len())
    }

    /// How many sessions there are, served and parked.
    pub fn len(&self) -> usize {
        self.friends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.friends.is_empty()
    }

    /// How many sockets are served.
    pub fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }

    /// All outboxes, copied out: for the drain.
    pub fn outboxes(&self) -> Vec<Arc<Outbox>> {
        self.friends.iter().map(|present| present.outbox.clone()).collect()
    }

    /// Gives memory back after many have left. To be called once a second.
    pub fn sweep(&self) {
        index::shrink(&self.friends);
    }

    fn change_hand(&self, friend: FriendId, change: impl FnOnce(&mut Vec<InHand>)) -> bool {
        match self.friends.get_mut(&friend) {
            Some(mut present) => {
                change(&mut present.hand);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use kiez_protocol::ids::JobId;
    use kiez_protocol::refusal::close;
    use uuid::Uuid;

    use super::super::backlog::OutboxLimits;
    use super::super::outbox::Goodbye;
    use super::*;

    fn friend(number: u128) -> FriendId {
        FriendId(Uuid::from_u128(number))
    }

    fn session(number: u128) -> SessionId {
        SessionId(Uuid::from_u128(number))
    }

    fn outbox() -> Arc<Outbox> {
        Arc::new(Outbox::new(OutboxLimits::default()))
    }

    fn in_hand(offer: u128) -> InHand {
        let (offer, job) = (OfferId(Uuid::from_u128(offer)), JobId(Uuid::nil()));
        InHand { offer, job, claim: Arc::default(), seat: 0, revision: 1 }
    }

    #[test]
    fn the_newest_session_wins_and_a_late_goodbye_changes_nothing() {
        let sessions = Arc::new(Sessions::new());
        let (first, displaced) = sessions.register(friend(1), session(1), Language::De, outbox());
        assert!(displaced.is_none());
        let newer = outbox();
        let (second, displaced) = sessions.register(friend(1), session(2), Language::De, newer.clone());
        displaced.expect("the first").close(Goodbye { code: close::REPLACED, reason: "another device" });
        drop(first);
        assert!(sessions.is_newest(friend(1), session(2)));
        assert!(Arc::ptr_eq(&sessions.outbox(friend(1)).unwrap(), &newer));
        assert_eq!(sessions.send(friend(1), FriendMessage::Pong { t: 1 }), Some(Pushed::Waiting));
        drop(second);
        assert!(sessions.is_empty());
        assert_eq!(sessions.send(friend(1), FriendMessage::Pong { t: 1 }), None);
    }

    #[test]
    fn the_hand_belongs_to_its_session() {
        let sessions = Arc::new(Sessions::new());
        assert!(!sessions.hold(friend(1), in_hand(1)));
        let (_first, _) = sessions.register(friend(1), session(1), Language::De, outbox());
        assert!(sessions.hold(friend(1), in_hand(1)));
        let replaced = InHand { seat: 7, ..in_hand(1) };
        assert!(sessions.hold(friend(1), replaced));
        assert_eq!(sessions.in_hand(friend(1), OfferId(Uuid::from_u128(1))).unwrap().seat, 7);
        let (_second, _) = sessions.register(friend(1), session(2), Language::De, outbox());
        assert!(sessions.in_hand(friend(1), OfferId(Uuid::from_u128(1))).is_none());
        assert!(!sessions.set_hand(friend(1), session(1), vec![in_hand(2)]), "the older session's snapshot came late");
        assert!(sessions.set_hand(friend(1), session(2), vec![in_hand(2), in_hand(3)]));
        assert!(sessions.release(friend(1), OfferId(Uuid::from_u128(2))));
        assert!(sessions.in_hand(friend(1), OfferId(Uuid::from_u128(2))).is_none());
        assert!(sessions.in_hand(friend(1), OfferId(Uuid::from_u128(3))).is_some());
    }

    #[test]
    fn a_parked_session_keeps_its_hand_and_goes_on_in_its_own_language() {
        let sessions = Arc::new(Sessions::new());
        let welcome = FriendMessage::Pong { t: 0 };
        let resume = |friend, session, language| sessions.resume(friend, session, language, 0, &welcome);
        let (first, _) = sessions.register(friend(1), session(1), Language::De, outbox());
        assert!(sessions.hold(friend(1), in_hand(1)));
        assert_eq!((sessions.connected(), sessions.len()), (1, 1));
        assert!(first.park());
        assert_eq!((sessions.connected(), sessions.len()), (0, 1));
        assert!(sessions.hold(friend(1), in_hand(2)));
        assert!(resume(friend(1), session(2), Language::De).is_none(), "unknown");
        assert!(resume(friend(2), session(1), Language::De).is_none(), "another friend's");
        assert!(resume(friend(1), session(1), Language::Pl).is_none(), "what it kept is German");
        let resumed = resume(friend(1), session(1), Language::De).expect("it is kept");
        assert_eq!((sessions.connected(), sessions.hand_len(friend(1))), (1, 2));
        assert!(!sessions.forget(friend(1), session(1), 1), "that turn is over");
        assert!(resumed.registered.park());
        assert!(sessions.forget(friend(1), session(1), 2));
        assert!(sessions.is_empty());
    }

    #[test]
    fn a_socket_that_was_taken_over_parks_and_removes_nothing() {
        let sessions = Arc::new(Sessions::new());
        let welcome = FriendMessage::Pong { t: 0 };
        let (first, _) = sessions.register(friend(1), session(1), Language::De, outbox());
        let second = sessions.resume(friend(1), session(1), Language::De, 0, &welcome).expect("it is there");
        assert_eq!(sessions.connected(), 2);
        assert!(!first.park());
        assert!(sessions.is_newest(friend(1), session(1)));
        // Another device takes the place of a parked session, and it is gone.
        assert!(second.registered.park());
        let (_other, displaced) = sessions.register(friend(1), session(2), Language::De, outbox());
        displaced.expect("the parked one").close(Goodbye { code: close::REPLACED, reason: "another device" });
        assert!(sessions.resume(friend(1), session(1), Language::De, 0, &welcome).is_none());
    }

    #[test]
    fn a_parked_session_that_owes_too_much_is_forgotten_with_its_hand() {
        let sessions = Arc::new(Sessions::new());
        let limits = OutboxLimits { kept_len_max: 2, ..OutboxLimits::default() };
        let (first, _) = sessions.register(friend(1), session(1), Language::De, Arc::new(Outbox::new(limits)));
        assert!(first.park());
        let duty = || FriendMessage::Duty(kiez_protocol::friend::Duty::default());
        assert_eq!(sessions.send(friend(1), duty()), Some(Pushed::Waiting));
        assert_eq!(sessions.send(friend(1), duty()), Some(Pushed::Waiting));
        assert_eq!(sessions.send(friend(1), duty()), Some(Pushed::Forgotten));
        assert!(sessions.is_empty());
        assert_eq!(sessions.send(friend(1), duty()), None);
    }

    #[test]
    fn a_hundred_thousand_come_and_go_and_nothing_stays() {
        let sessions = Arc::new(Sessions::new());
        let welcome = FriendMessage::Pong { t: 0 };
        let mut open = std::collections::VecDeque::new();
        for number in 0..100_000u128 {
            // Goodbyes come late: each friend's older session ends after the newer one has begun. Some are parked, some
            // go on, some are resumed while the older socket still stands.
            let (who, outbox) = (friend(number % 500), outbox());
            let (registered, displaced) = sessions.register(who, session(number), Language::De, outbox.clone());
            if let Some(displaced) = displaced {
                displaced.close(Goodbye { code: close::REPLACED, reason: "another device" });
            }
            open.push_back((registered, outbox));
            if number % 3 == 0 {
                let resumed = sessions.resume(who, session(number), Language::De, 0, &welcome).expect("the newest");
                open.push_back((resumed.registered, resumed.outbox));
            }
            while open.len() > 1_000 {
                let (registered, _) = open.pop_front().expect("there are many");
                if number % 2 == 0 {
                    registered.park();
                }
            }
        }
        let last = open.back().map(|(_, outbox)| Arc::downgrade(outbox)).unwrap();
        drop(open);
        assert_eq!(sessions.connected(), 0);
        // What is left is parked, at most one for each friend; its time ends.
        assert!(sessions.len() <= 500);
        for number in 0..100_000 {
            for turn in 1..=2 {
                sessions.forget(friend(number % 500), session(number), turn);
            }
        }
        sessions.sweep();
        assert!(sessions.is_empty());
        assert_eq!((last.strong_count(), Arc::strong_count(&sessions)), (0, 1));
    }
}
