//! The ledger refuses a record for good: what is stored stands, nobody was told otherwise, and all others go on.

use kiez::dispatch::effect::Answer;
use kiez_protocol::friend::{FriendMessage, LostReason, Verdict, VisitEvent};
use kiez_protocol::ids::Key;
use kiez_protocol::ops::AlarmKind;
use kiez_protocol::partner::JobState;
use kiez_protocol::refusal::Code;

use super::town::{MINUTE, Town};

#[test]
fn the_win_is_refused_and_standby_wins() {
    let mut town = Town::new();
    let anna = town.friend_with(100, |friend| friend.jobs_held_max = 1);
    let ben = town.friend(200);
    let job = town.post();
    town.held = true;
    let a = town.accept(anna, job);
    let b = town.accept(ben, job);
    town.refuses = true;
    town.release();
    assert_eq!(town.verdict_on(a), Some((Verdict::TryAgain, None)), "Anna's win was never written");
    assert!(town.won(b));
    town.accept_again(anna, job, a);
    assert_eq!(town.lost(a), Some(LostReason::Taken));
    assert!(town.alarms.contains(&(AlarmKind::Quarantined, job)));
    let next = town.post();
    let key = town.accept(anna, next);
    assert!(town.won(key), "her only place is free again");
}

#[test]
fn the_win_is_refused_and_the_winner_tries_again() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    town.refuses = true;
    let a = town.accept(anna, job);
    assert_eq!(town.verdict_on(a), Some((Verdict::TryAgain, None)));
    assert_eq!((town.state(job), town.asked(job)), (JobState::Dispatching, vec![anna]));
    town.accept_again(anna, job, a);
    assert!(town.won(a));
}

#[test]
fn a_post_that_was_never_written_is_forgotten_with_its_key() {
    let mut town = Town::new();
    let anna = town.friend(100);
    town.refuses = true;
    let first = town.post_keyed(town.booking(), Some(("K1", 1)));
    assert_eq!(town.refused(first), Some(Code::Unavailable));
    assert_eq!((town.core.jobs_len(), town.heard.len()), (0, 0));
    let again = town.post_keyed(town.booking(), Some(("K1", 1)));
    assert!(matches!(town.answers[&again], Answer::Posted(_)));
    let jobs = [town.post(), town.post()];
    assert!(jobs.iter().all(|job| town.asked(*job) == [anna]), "the lost offer does not fill her hand");
}

#[test]
fn a_cancel_set_aside_outlives_the_quarantine() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    let key = Key(town.id());
    let accept = town.take_word(anna, job, key).expect("open");
    town.held = true;
    town.decline(ben, job);
    let request = town.cancel(job);
    town.refuses = true;
    town.release();
    assert!(matches!(&town.answers[&request], Answer::Job(view) if view.state == JobState::Cancelled));
    town.deliver(accept);
    assert_eq!(town.lost(key), Some(LostReason::JobCancelled));
}

#[test]
fn a_cancel_that_is_refused_leaves_the_job_open_and_its_offers_good() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    town.refuses = true;
    let request = town.cancel(job);
    assert_eq!(town.refused(request), Some(Code::Unavailable));
    assert_eq!((town.state(job), town.asked(job)), (JobState::Dispatching, vec![anna]));
    let key = town.accept(anna, job);
    assert!(town.won(key), "she has a new word in her hand");
}

#[test]
fn a_hand_back_that_is_refused_leaves_the_visit_where_it_was() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    town.accept(anna, job);
    town.refuses = true;
    town.visit(anna, job, VisitEvent::HandBack);
    assert_eq!(town.job(job).holder(), Some(anna));
    town.join(anna);
    assert_eq!(town.snapshots[&anna].visits.len(), 1);
    town.visit(anna, job, VisitEvent::HandBack);
    assert_eq!(town.asked(job), [ben]);
}

#[test]
fn who_joins_between_the_win_and_its_refusal_sees_nothing_of_the_customer() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    town.held = true;
    town.accept(anna, job);
    town.join(anna);
    town.refuses = true;
    town.release();
    assert_eq!(town.snapshots[&anna].visits, []);
    assert_eq!(town.state(job), JobState::Dispatching);
    town.wait(MINUTE);
    let key = town.accept(anna, job);
    assert!(town.won(key));
}

#[test]
fn a_wave_that_is_refused_is_asked_again() {
    let mut town = Town::new();
    let friends = town.friends([100, 200, 300, 400, 500, 600]);
    let job = town.post();
    town.held = true;
    town.wait(3 * MINUTE);
    town.refuses = true;
    town.release();
    assert_eq!(town.job(job).run.wave, 1, "as it is stored");
    town.wait(1);
    assert_eq!(town.asked(job), friends);
}

/// Taught by a walk: the winner's retry can stand behind a record that is refused. `try_again` takes nothing back.
#[test]
fn a_retry_that_falls_into_the_quarantine_hears_won_at_the_next_try() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    let key = town.accept(anna, job);
    town.held = true;
    town.visit(anna, job, VisitEvent::HandBack);
    town.verdicts.clear();
    town.accept_again(anna, job, key);
    town.refuses = true;
    town.release();
    assert_eq!(town.verdict_on(key), Some((Verdict::TryAgain, None)));
    town.accept_again(anna, job, key);
    assert!(town.won(key));
    assert_eq!(town.job(job).holder(), Some(anna));
}

// The next four were found by the simulator.

/// A record that is refused says nothing about phones: who has the offer has it, and the seat is theirs.
#[test]
fn what_has_arrived_stays_arrived_when_the_job_is_read_again() {
    let mut town = Town::new();
    let [a, b, c, d, e, f] = town.friends([100, 200, 300, 400, 500, 600]);
    let job = town.post();
    town.wait(MINUTE);
    town.refuses = true;
    town.decline(b, job);
    assert_eq!(town.asked(job), [a, b, c, d], "the no was not written");
    town.wait(MINUTE);
    assert_eq!(town.asked(job), [a, b, c, d]);
    town.decline(b, job);
    assert_eq!(town.asked(job), [a, c, d, e]);
    assert!(town.hears(f).next().is_none());
}

/// The same when the job was over in memory, where nothing of it is known any more.
#[test]
fn a_cancel_that_is_refused_asks_nobody_else() {
    let mut town = Town::new();
    let friends = town.friends([100, 200, 300, 400, 500]);
    let job = town.post();
    town.wait(MINUTE);
    town.refuses = true;
    town.cancel(job);
    assert_eq!(town.state(job), JobState::Dispatching);
    town.wait(MINUTE);
    assert_eq!(town.asked(job), friends[..4]);
}

/// The cast holds that a snapshot tells of written offers only. This one would have told of an offer that never was.
#[test]
fn a_snapshot_behind_a_refused_record_is_made_anew() {
    let mut town = Town::new();
    let anna = town.friend(100);
    town.held = true;
    town.refuses = true;
    let request = town.post_keyed(town.booking(), None);
    town.join(anna);
    town.release();
    assert_eq!(town.refused(request), Some(Code::Unavailable));
    assert_eq!(town.snapshots[&anna].offers, []);
}

/// The cancel might never be written, and then the job is there.
#[test]
fn that_there_is_no_such_job_waits_for_what_made_it_so() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    let offer = town.offer(anna, job);
    town.held = true;
    town.cancel(job);
    let again = town.cancel(job);
    town.decline(anna, job);
    assert!(!town.answers.contains_key(&again), "nothing is written yet");
    town.release();
    assert_eq!(town.refused(again), Some(Code::NotFound));
    let no =
        |message: &FriendMessage| matches!(message, FriendMessage::Error { offer: Some(none), .. } if *none == offer);
    assert!(town.hears(anna).any(no));
    let closed = |message: &FriendMessage| matches!(message, FriendMessage::OfferClosed { .. });
    assert!(
        town.hears(anna).position(closed) < town.hears(anna).position(no),
        "first that it closed, then that it is gone"
    );
}
