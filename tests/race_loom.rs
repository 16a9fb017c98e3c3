//! The race word under every interleaving: `dispatch/claim.rs` itself, on loom's atomics. loom allows five threads, the main
//! one included, so the main thread plays the closer or the dispatcher. Which model is bounded says its name; the others are
//! walked to the end.

/// What `claim.rs` finds as `crate::sync`.
mod sync {
    pub use loom::sync::atomic::{AtomicU64, Ordering};
}

#[allow(dead_code, reason = "the models need not everything the word can do")]
#[path = "../src/dispatch/claim.rs"]
mod claim;

use claim::{Claim, Closed, Seat, Word};
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

fn explore(preemption_bound: Option<usize>, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemption_bound;
    builder.check(model);
}

/// So many friends accept at once, on seats from 1.
fn accept(claim: &Arc<Claim>, friends: Seat) -> Vec<JoinHandle<(Seat, Word)>> {
    let takes = |seat| {
        let claim = claim.clone();
        thread::spawn(move || (seat, claim.take(seat)))
    };
    (1..=friends).map(takes).collect()
}

fn verdicts(takers: Vec<JoinHandle<(Seat, Word)>>) -> Vec<(Seat, Word)> {
    takers.into_iter().map(|taker| taker.join().expect("a taker does not panic")).collect()
}

fn firsts(verdicts: &[(Seat, Word)]) -> Vec<Seat> {
    verdicts.iter().filter(|(_, word)| *word == Word::Open).map(|(seat, _)| *seat).collect()
}

/// Takers against a cancel: the word is somebody's or closed, never both, and everybody sees which.
fn accept_against_cancel(friends: Seat) {
    let claim = Arc::new(Claim::new());
    let takers = accept(&claim, friends);
    let closed = claim.close(Closed::Cancelled);
    let verdicts = verdicts(takers);
    let firsts = firsts(&verdicts);
    match closed {
        Ok(()) => {
            assert!(firsts.is_empty(), "taken after the close");
            assert!(verdicts.iter().all(|(_, word)| *word == Word::Closed(Closed::Cancelled)));
            assert_eq!(claim.look(), Word::Closed(Closed::Cancelled));
        }
        Err(seat) => {
            assert_eq!(firsts, [seat], "the close names the one who was first");
            let others = verdicts.iter().filter(|(other, _)| *other != seat);
            assert!(others.clone().all(|(_, word)| *word == Word::Taken(seat)), "{verdicts:?}");
            assert_eq!(claim.look(), Word::Taken(seat));
        }
    }
}

#[test]
fn two_accept_against_a_cancel() {
    explore(None, || accept_against_cancel(2));
}

#[test]
fn four_accept_against_a_cancel_with_two_preemptions() {
    explore(Some(2), || accept_against_cancel(4));
}

#[test]
fn four_accept_and_one_is_first_with_two_preemptions() {
    explore(Some(2), || {
        let claim = Arc::new(Claim::new());
        let verdicts = verdicts(accept(&claim, 4));
        let firsts = firsts(&verdicts);
        assert_eq!(firsts.len(), 1);
        let behind = verdicts.iter().filter(|(seat, _)| *seat != firsts[0]);
        assert!(behind.clone().all(|(_, word)| *word == Word::Taken(firsts[0])));
    });
}

#[test]
fn two_accept_while_the_win_of_the_first_is_settled() {
    explore(None, || {
        let claim = Arc::new(Claim::new());
        assert_eq!(claim.take(0), Word::Open);
        let takers = accept(&claim, 2);
        assert!(claim.settle(0));
        assert_eq!(claim.close(Closed::Cancelled), Err(0), "what is won is not closed");
        assert!(!claim.retire(0), "what is won is not retired");
        for (_, word) in verdicts(takers) {
            assert!(matches!(word, Word::Taken(0) | Word::Settled(0)), "{word:?}");
        }
        assert_eq!(claim.look(), Word::Settled(0));
    });
}

/// The first is refused: the dispatcher retires the word, puts a new one into the hands of those whose offers live, and
/// tries the standby on it. One hand is quicker than the other.
#[test]
fn accept_against_retire_and_one_is_first_on_the_new_word() {
    explore(None, || {
        let (old, new) = (Arc::new(Claim::new()), Arc::new(Claim::new()));
        assert_eq!(old.take(0), Word::Open);
        let late = {
            let old = old.clone();
            thread::spawn(move || old.take(1))
        };
        let quick = {
            let new = new.clone();
            thread::spawn(move || new.take(2))
        };
        assert!(old.retire(0));
        assert!(!old.settle(0), "a refused first does not win");
        let standby = new.take(3);
        let late = late.join().expect("a taker does not panic");
        assert!(matches!(late, Word::Taken(0) | Word::Retired), "an old word is never open again: {late:?}");
        assert_eq!(old.close(Closed::Expired), Ok(()), "there is nothing left to close");
        match (quick.join().expect("a taker does not panic"), standby) {
            (Word::Open, Word::Taken(2)) => assert!(new.settle(2) && !new.settle(3)),
            (Word::Taken(3), Word::Open) => assert!(new.settle(3) && !new.settle(2)),
            both => panic!("not one first: {both:?}"),
        }
    });
}

#[test]
fn an_edit_closes_the_old_word_and_the_new_one_is_open() {
    explore(None, || {
        let (old, new) = (Arc::new(Claim::new()), Arc::new(Claim::new()));
        let takers = accept(&old, 2);
        if old.close(Closed::Edited).is_ok() {
            assert_eq!(new.take(1), Word::Open);
            assert!(verdicts(takers).iter().all(|(_, word)| *word == Word::Closed(Closed::Edited)));
        } else {
            assert_eq!(firsts(&verdicts(takers)).len(), 1);
        }
    });
}
