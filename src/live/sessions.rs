//! Who is connected: each friend's newest session with its outbox and the offers in hand. A newer session displaces the
//! older one, and goodbyes are matched by session, so that a late one takes nobody else away.

use std::sync::Arc;

use dashmap::DashMap;
use kiez_protocol::friend::FriendMessage;
use kiez_protocol::ids::{FriendId, OfferId, SessionId};

use super::index;
use super::outbox::{Outbox, Pushed, is_owed};
use crate::dispatch::effect::InHand;

/// All live sessions.
#[derive(Debug, Default)]
pub struct Sessions(DashMap<FriendId, Session>);

#[derive(Debug)]
struct Session {
    id: SessionId,
    outbox: Arc<Outbox>,
    // Empty as a rule, and then without memory of its own.
    hand: Vec<InHand>,
}

/// A session's place among the live ones, given up when this is dropped. Hold it for as long as the socket is served.
#[derive(Debug)]
pub struct Registered {
    sessions: Arc<Sessions>,
    friend: FriendId,
    session: SessionId,
}

impl Registered {
    /// Whose session.
    pub fn friend(&self) -> FriendId {
        self.friend
    }

    /// Which session.
    pub fn session(&self) -> SessionId {
        self.session
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.sessions.0.remove_if(&self.friend, |_, present| present.id == self.session);
    }
}

impl Sessions {
    /// Nobody.
    pub fn new() -> Sessions {
        Sessions::default()
    }

    /// The friend's newest session, with an empty hand until its snapshot. Also returns the outbox it displaces, to be
    /// closed with `refusal::close::REPLACED`.
    pub fn register(
        self: &Arc<Self>,
        friend: FriendId,
        session: SessionId,
        outbox: Arc<Outbox>,
    ) -> (Registered, Option<Arc<Outbox>>) {
        let displaced = self.0.insert(friend, Session { id: session, outbox, hand: Vec::new() });
        (Registered { sessions: self.clone(), friend, session }, displaced.map(|displaced| displaced.outbox))
    }

    /// The outbox of the friend's session.
    pub fn outbox(&self, friend: FriendId) -> Option<Arc<Outbox>> {
        self.0.get(&friend).map(|present| present.outbox.clone())
    }

    /// Whether this is the friend's newest session.
    pub fn is_newest(&self, friend: FriendId, session: SessionId) -> bool {
        self.0.get(&friend).is_some_and(|present| present.id == session)
    }

    /// Tells the friend something, as owed or passing as its kind says; none without a session.
    pub fn send(&self, friend: FriendId, message: FriendMessage) -> Option<Pushed> {
        let owed = is_owed(&message);
        self.outbox(friend).map(|outbox| outbox.push(message, owed))
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
        match self.0.get_mut(&friend) {
            Some(mut present) if present.id == session => {
                present.hand = hand;
                true
            }
            Some(_) | None => false,
        }
    }

    /// An offer in the friend's hand, with the word an accept takes.
    pub fn in_hand(&self, friend: FriendId, offer: OfferId) -> Option<InHand> {
        self.0.get(&friend).and_then(|present| present.hand.iter().find(|held| held.offer == offer).cloned())
    }

    /// How many offers a friend's hand holds.
    pub fn hand_len(&self, friend: FriendId) -> usize {
        self.0.get(&friend).map_or(0, |present| present.hand.len())
    }

    /// How many are connected.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All outboxes, copied out: for the drain.
    pub fn outboxes(&self) -> Vec<(FriendId, Arc<Outbox>)> {
        self.0.iter().map(|present| (*present.key(), present.outbox.clone())).collect()
    }

    /// Gives memory back after many have left. To be called once a second.
    pub fn sweep(&self) {
        index::shrink(&self.0);
    }

    fn change_hand(&self, friend: FriendId, change: impl FnOnce(&mut Vec<InHand>)) -> bool {
        match self.0.get_mut(&friend) {
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

    use super::super::outbox::{Goodbye, OutboxLimits};
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
        let (first, displaced) = sessions.register(friend(1), session(1), outbox());
        assert!(displaced.is_none());
        let newer = outbox();
        let (second, displaced) = sessions.register(friend(1), session(2), newer.clone());
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
        let (_first, _) = sessions.register(friend(1), session(1), outbox());
        assert!(sessions.hold(friend(1), in_hand(1)));
        let replaced = InHand { seat: 7, ..in_hand(1) };
        assert!(sessions.hold(friend(1), replaced));
        assert_eq!(sessions.in_hand(friend(1), OfferId(Uuid::from_u128(1))).unwrap().seat, 7);
        let (_second, _) = sessions.register(friend(1), session(2), outbox());
        assert!(sessions.in_hand(friend(1), OfferId(Uuid::from_u128(1))).is_none());
        assert!(!sessions.set_hand(friend(1), session(1), vec![in_hand(2)]), "the older session's snapshot came late");
        assert!(sessions.set_hand(friend(1), session(2), vec![in_hand(2), in_hand(3)]));
        assert!(sessions.release(friend(1), OfferId(Uuid::from_u128(2))));
        assert!(sessions.in_hand(friend(1), OfferId(Uuid::from_u128(2))).is_none());
        assert!(sessions.in_hand(friend(1), OfferId(Uuid::from_u128(3))).is_some());
    }

    #[test]
    fn a_hundred_thousand_come_and_go_and_nothing_stays() {
        let sessions = Arc::new(Sessions::new());
        let mut open = std::collections::VecDeque::new();
        for number in 0..100_000u128 {
            // Goodbyes come late: each friend's older session ends after the newer one has begun.
            let outbox = outbox();
            let (registered, displaced) = sessions.register(friend(number % 500), session(number), outbox.clone());
            assert_eq!(displaced.is_some(), number >= 500);
            open.push_back((registered, outbox));
            if open.len() > 1_000 {
                open.pop_front();
            }
        }
        assert_eq!(sessions.len(), 500);
        let last = open.back().map(|(_, outbox)| Arc::downgrade(outbox)).unwrap();
        drop(open);
        sessions.sweep();
        assert!(sessions.is_empty());
        assert_eq!((last.strong_count(), Arc::strong_count(&sessions)), (0, 1));
    }
}
