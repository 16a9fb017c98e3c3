//! What the winner owes, and what happens when they do not.

use kiez_protocol::friend::{FriendMessage, VisitEvent};
use kiez_protocol::ids::FriendId;
use kiez_protocol::ops::AlarmKind;
use kiez_protocol::partner::JobState;

use super::town::{HOUR, MINUTE, SECOND, Town};

#[test]
fn contacted_completed_confirmed_closed() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    town.accept(anna, job);
    town.wait(11 * HOUR);
    for (event, state) in [(VisitEvent::Contacted, JobState::Contacted), (VisitEvent::Completed, JobState::Done)] {
        let key = town.visit(anna, job, event);
        assert_eq!(town.state(job), state);
        assert!(town.hears(anna).any(|message| *message == FriendMessage::Done { key }));
        let again = town.visit(anna, job, event);
        assert!(town.hears(anna).any(|message| *message == FriendMessage::Done { key: again }), "a retry hears done");
    }
    town.wait(72 * HOUR);
    assert_eq!(town.state(job), JobState::Confirmed);
    town.wait(11 * 24 * HOUR);
    assert_eq!(town.state(job), JobState::Closed);
    assert_eq!(town.core.jobs_len(), 0);
}

#[test]
fn no_contact_in_twelve_hours_hands_the_job_back() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    let won = town.accept(anna, job);
    town.wait(12 * HOUR + 30 * MINUTE - 1);
    assert_eq!(town.state(job), JobState::Assigned);
    town.wait(1);
    assert_eq!((town.state(job), town.asked(job)), (JobState::Dispatching, vec![ben]));
    assert_eq!(town.alarms, [(AlarmKind::ContactBreach, job)]);
    let last = town.hears(anna).filter(|message| matches!(message, FriendMessage::Job(_))).last();
    let Some(FriendMessage::Job(card)) = last else { panic!("a card") };
    assert_eq!((&card.customer, &card.address, card.location), (&None, &None, None), "her copy is withdrawn");
    town.verdicts.clear();
    town.accept_again(anna, job, won);
    assert!(town.won(won), "the same key, the same answer");
    assert_eq!(town.state(job), JobState::Dispatching, "and no second win");
}

#[test]
fn a_hand_back_is_told_once_and_its_retry_hears_done() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    town.accept(anna, job);
    let before = town.heard.len();
    town.visit(anna, job, VisitEvent::HandBack);
    let cards = town.heard[before..]
        .iter()
        .filter(|(friend, message)| *friend == anna && matches!(message, FriendMessage::Job(_)));
    assert_eq!(cards.count(), 1);
    town.accept(ben, job);
    let key = town.visit(anna, job, VisitEvent::HandBack);
    assert!(town.hears(anna).any(|message| *message == FriendMessage::Done { key }));
    assert_eq!(town.job(job).holder(), Some(ben), "and Ben still holds it");
}

// Found by the replay of a day: a no that came after the job was taken was answered `done` and forgotten.
#[test]
fn a_no_that_came_too_late_keeps_the_job_away_after_a_hand_back() {
    let mut town = Town::new();
    let [anna, ben, carl] = town.friends([100, 200, 300]);
    let job = town.post();
    town.accept(anna, job);
    town.decline(ben, job);
    town.crash();
    town.wait(20 * SECOND);
    town.visit(anna, job, VisitEvent::HandBack);
    assert_eq!(town.asked(job), vec![carl]);
}

#[test]
fn the_fourth_hand_back_is_unfilled() {
    let mut town = Town::new();
    let friends: Vec<FriendId> = (0..6).map(|index| town.friend(100 + index * 100)).collect();
    let job = town.post();
    for (round, friend) in friends[..4].iter().enumerate() {
        assert_eq!(town.state(job), JobState::Dispatching, "round {round}");
        let key = town.accept(*friend, job);
        assert!(town.won(key));
        town.visit(*friend, job, VisitEvent::HandBack);
    }
    assert_eq!((town.state(job), town.asked(job)), (JobState::Unfilled, vec![]));
    assert!(town.alarms.contains(&(AlarmKind::Unfilled, job)));
    town.wait(5 * MINUTE);
    assert_eq!(town.asked(job), friends[4..], "looked at again");
    let key = town.accept(friends[4], job);
    assert!(town.won(key));
}

#[test]
fn what_is_not_theirs_is_not_found_and_what_is_too_early_names_what_is_allowed() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    town.accept(anna, job);
    town.visit(ben, job, VisitEvent::Contacted);
    let Some(FriendMessage::Error { message_key, .. }) = town.hears(ben).last() else { panic!("an error") };
    assert_eq!(message_key, "error.job_not_found");
    town.visit(anna, job, VisitEvent::Completed);
    let Some(FriendMessage::Error { allowed, .. }) = town.hears(anna).last() else { panic!("an error") };
    assert_eq!(allowed, &["contacted", "hand_back"]);
}

#[test]
fn a_stalled_visit_alarms_every_day_until_somebody_ends_it() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    town.accept(anna, job);
    town.visit(anna, job, VisitEvent::Contacted);
    town.wait(72 * HOUR + 24 * HOUR);
    assert_eq!(town.alarms, [(AlarmKind::Stalled, job); 2]);
    town.cancel(job);
    assert!(town.over(job));
}
