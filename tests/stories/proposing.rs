//! Another time: proposed by friends, confirmed by the customer, and beaten by a plain accept.

use kiez::dispatch::effect::{Actor, Answer};
use kiez_protocol::friend::{FriendMessage, LostReason, Verdict};
use kiez_protocol::ids::Key;
use kiez_protocol::partner::{EditJob, JobState};
use kiez_protocol::refusal::Code;

use super::town::{HOUR, MINUTE, SECOND, Town};

#[test]
fn a_confirmed_proposal_is_a_win_with_an_appointment() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    let key = town.propose(anna, job, &[3 * HOUR, 20 * HOUR]);
    assert!(town.done(key));
    let view = town.ledger.jobs[&job].row.view.clone();
    assert_eq!((view.proposals.len(), view.proposals[0].windows.len()), (1, 2));
    town.wait(20 * MINUTE);
    let agreed = view.proposals[0].windows[1];
    let request = town.confirm(anna, job, 1);
    assert!(matches!(&town.answers[&request], Answer::Job(view) if view.appointment == Some(agreed)));
    assert!(town.won(key), "the proposal's key hears the verdict");
    assert_eq!(town.state(job), JobState::Assigned);
    let card = town.hears(anna).filter_map(|message| match message {
        FriendMessage::Job(card) => Some(card.appointment),
        _ => None,
    });
    assert_eq!(card.collect::<Vec<_>>(), [Some(agreed)]);
    assert_eq!(town.asked(job), []);
    let event = town.ledger.jobs[&job].events.last().expect("an event").clone();
    assert_eq!((event.kind, event.actor), ("proposal_confirmed", Actor::Customer));
    // Told again, to whoever asks again; and it all survives.
    town.crash();
    let again = town.confirm(anna, job, 1);
    assert!(matches!(&town.answers[&again], Answer::Job(view) if view.state == JobState::Assigned));
    let late = town.accept(ben, job);
    assert_eq!(town.lost(late), Some(LostReason::Taken));
    let same = town.take_word_of(anna, town.offer(anna, job), 1, key).expect("no word stands in its way");
    town.deliver(same);
    assert!(town.won(key));
}

/// rules of the trade, §7: proposal A, accept B.
#[test]
fn proposal_a_then_accept_b_b_wins_and_a_hears_taken() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    let proposed = town.propose(anna, job, &[3 * HOUR]);
    let accepted = town.accept(ben, job);
    assert!(town.won(accepted));
    assert_eq!(town.verdict_on(proposed), Some((Verdict::Lost, Some(LostReason::Taken))));
    let late = town.confirm(anna, job, 0);
    assert_eq!(town.refused(late), Some(Code::WrongState));
}

#[test]
fn a_confirm_against_an_accept_in_flight_waits_and_the_accept_wins() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    let proposed = town.propose(anna, job, &[3 * HOUR]);
    let key = Key(town.id());
    let accept = town.take_word(ben, job, key).expect("the word is open");
    let request = town.confirm(anna, job, 0);
    assert_eq!(town.answers.get(&request), None, "set aside");
    town.deliver(accept);
    assert!(town.won(key));
    assert_eq!(town.refused(request), Some(Code::WrongState));
    assert_eq!(town.lost(proposed), Some(LostReason::Taken));
}

#[test]
fn a_confirm_against_an_accept_in_flight_that_is_refused_wins() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let full = town.friend_with(200, |friend| friend.jobs_held_max = 1);
    let (job, other) = (town.post(), town.post());
    town.accept(full, other);
    let proposed = town.propose(anna, job, &[3 * HOUR]);
    let key = Key(town.id());
    let accept = town.take_word(full, job, key).expect("the word is open");
    let request = town.confirm(anna, job, 0);
    town.deliver(accept);
    assert_eq!(town.lost(key), Some(LostReason::Capacity));
    assert!(town.won(proposed));
    assert!(matches!(&town.answers[&request], Answer::Job(view) if view.appointment.is_some()));
}

#[test]
fn an_accept_against_a_confirm_in_flight_waits_for_its_commit() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    let proposed = town.propose(anna, job, &[3 * HOUR]);
    town.held = true;
    let request = town.confirm(anna, job, 0);
    let behind = town.accept(ben, job);
    let own = town.accept(anna, job);
    assert_eq!((town.answers.get(&request), town.verdict_on(proposed), town.verdict_on(behind)), (None, None, None));
    town.release();
    assert!(town.won(proposed) && town.won(own), "one seat, one win, whichever way it was said");
    assert_eq!(town.lost(behind), Some(LostReason::Taken));
}

#[test]
fn a_confirm_whose_record_is_refused_gives_way_to_who_waited() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    let proposed = town.propose(anna, job, &[3 * HOUR]);
    town.held = true;
    town.refuses = true;
    let request = town.confirm(anna, job, 0);
    let behind = town.accept(ben, job);
    town.release();
    assert_eq!(town.refused(request), Some(Code::Unavailable));
    assert!(town.won(behind));
    assert_eq!(town.lost(proposed), Some(LostReason::Taken));
}

#[test]
fn a_proposal_keeps_its_seat_for_half_an_hour_and_not_longer() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    town.wait(29 * MINUTE);
    let proposed = town.propose(anna, job, &[3 * HOUR]);
    let ends = town.job(job).live_offers().next().map(|offer| offer.expires_at.since(town.now));
    assert_eq!(ends, Some(30 * MINUTE));
    town.crash();
    town.join(anna);
    town.wait(30 * MINUTE - SECOND);
    assert_eq!((town.asked(job), town.state(job)), (vec![anna], JobState::Dispatching));
    let again = town.propose(anna, job, &[5 * HOUR]);
    assert_eq!(town.denied(again), Some(Code::WrongState), "one at a time: seats are not held for ever");
    town.wait(2 * SECOND);
    let late = town.confirm(anna, job, 0);
    assert_eq!(town.refused(late), Some(Code::WrongState));
    assert_ne!(town.state(job), JobState::Assigned);
    assert!(!town.won(proposed));
}

#[test]
fn a_proposer_can_still_accept_plainly() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    town.propose(anna, job, &[3 * HOUR]);
    let key = town.accept(anna, job);
    assert!(town.won(key));
    assert_eq!(town.ledger.jobs[&job].row.view.appointment, None);
}

#[test]
fn two_appointments_never_overlap() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let (first, second) = (town.post(), town.post());
    town.propose(anna, first, &[3 * HOUR]);
    town.propose(anna, second, &[3 * HOUR + HOUR / 2, 4 * HOUR]);
    town.confirm(anna, first, 0);
    town.crash();
    town.join(anna);
    let overlaps = town.confirm(anna, second, 0);
    assert_eq!(town.refused(overlaps), Some(Code::WrongState));
    let fits = town.confirm(anna, second, 1);
    assert!(matches!(&town.answers[&fits], Answer::Job(view) if view.state == JobState::Assigned));
    assert_eq!(
        town.core.job(second).and_then(|job| job.visit.as_ref()).and_then(|visit| visit.appointment).map(|w| w.from),
        town.ledger.jobs[&second].talk.proposals[0].windows.get(1).map(|window| window.from)
    );
}

#[test]
fn a_proposal_falls_with_the_revision_it_was_made_for_and_can_be_made_anew() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    town.propose(anna, job, &[3 * HOUR]);
    let windows = Some(vec![kiez_protocol::partner::Window { from: town.now, to: town.now + 9 * HOUR }]);
    town.edit(job, EditJob { windows, ..EditJob::default() });
    let old = town.confirm(anna, job, 0);
    assert_eq!(town.refused(old), Some(Code::WrongState));
    let key = town.propose(anna, job, &[4 * HOUR]);
    assert!(town.done(key));
    town.confirm(anna, job, 0);
    assert!(town.won(key));
}

#[test]
fn who_proposed_hears_what_became_of_the_job() {
    for (how, reason) in [("cancel", LostReason::JobCancelled), ("pause", LostReason::Paused)] {
        let mut town = Town::new();
        let anna = town.friend(100);
        let job = town.post();
        let proposed = town.propose(anna, job, &[3 * HOUR]);
        if how == "cancel" {
            town.cancel(job)
        } else {
            town.pause(job)
        };
        assert_eq!(town.lost(proposed), Some(reason), "{how}");
        let late = town.confirm(anna, job, 0);
        assert!(matches!(town.refused(late), Some(Code::WrongState | Code::NotFound)), "{how}");
    }
}

#[test]
fn what_was_never_proposed_is_not_confirmed() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    town.propose(anna, job, &[3 * HOUR]);
    let other = town.confirm(ben, job, 0);
    assert_eq!(town.refused(other), Some(Code::NotFound));
    let window = town.confirm(anna, job, 1);
    assert_eq!(town.refused(window), Some(Code::Invalid));
    let past = town.propose(ben, job, &[-5 * HOUR]);
    assert_eq!(town.denied(past), Some(Code::Invalid));
    assert_eq!(town.state(job), JobState::Dispatching);
}
