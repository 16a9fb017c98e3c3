//! What a job must say before anybody is asked: required answers, reminders and their end; two friends who find it too vague;
//! and dispatch that ops hold.

use kiez::dispatch::effect::{Actor, Answer};
use kiez::dispatch::input::Input;
use kiez::dispatch::job::Pause;
use kiez_protocol::friend::{ClosedReason, DeclineReason, FriendMessage, LostReason, Verdict};
use kiez_protocol::ids::{FriendId, JobId};
use kiez_protocol::ops::AlarmKind;
use kiez_protocol::partner::JobState;
use kiez_protocol::refusal::Code;

use super::town::{HOUR, MINUTE, Town, ada};

fn vague(town: &mut Town, friend: FriendId, job: JobId) {
    town.decline_for(friend, job, DeclineReason::TooVague);
}

#[test]
fn missing_answers_are_asked_for_after_an_hour_and_a_day_and_after_three_the_job_expires() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post_with(|booking| booking.answers.clear());
    town.wait(HOUR - 1);
    assert_eq!(town.kinds(job), ["posted"]);
    town.wait(1);
    assert_eq!(town.kinds(job), ["posted", "reminder"]);
    town.crash();
    town.wait(22 * HOUR);
    assert_eq!(town.kinds(job).len(), 2);
    town.wait(HOUR);
    assert_eq!(town.kinds(job), ["posted", "reminder", "reminder"]);
    town.wait(48 * HOUR - 1);
    assert_eq!(town.state(job), JobState::NeedsInfo);
    town.wait(1);
    assert_eq!((town.state(job), town.hears(anna).count()), (JobState::Expired, 0));
}

#[test]
fn the_last_missing_answer_sets_the_job_going() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post_with(|booking| booking.answers.clear());
    let some = town.give(job, &[("note", "third floor")]);
    assert!(matches!(&town.answers[&some], Answer::Job(view) if view.missing_answers.len() == 1));
    assert_eq!((town.state(job), town.asked(job)), (JobState::NeedsInfo, vec![]));
    town.crash();
    let all = town.give(job, &[("router", "Fritz!Box")]);
    assert!(matches!(&town.answers[&all], Answer::Job(view) if view.state == JobState::Dispatching));
    town.wait(16_000);
    assert_eq!(town.asked(job), [anna]);
    // Said again, after a lost answer: nothing changes.
    let (events, revision) = (town.kinds(job).len(), town.job(job).revision);
    town.give(job, &[("router", "Fritz!Box")]);
    assert_eq!((town.kinds(job).len(), town.job(job).revision), (events, revision));
}

#[test]
fn answers_that_do_not_fit_are_refused_by_name() {
    let mut town = Town::new();
    town.friend(100);
    let job = town.post();
    for answers in [[("shoe_size", "42")], [("router", "  ")], [("note", "a\0b")]] {
        let request = town.give(job, &answers);
        assert_eq!(town.refused(request), Some(Code::Invalid), "{answers:?}");
    }
    let blank = std::collections::BTreeMap::from([(
        "router".parse().expect("a word"),
        kiez_protocol::partner::Answer::Text(String::new()),
    )]);
    let edit = town.edit(job, kiez_protocol::partner::EditJob { answers: Some(blank), ..Default::default() });
    assert_eq!(town.refused(edit), Some(Code::Invalid), "what is required is not taken away");
    assert_eq!((town.job(job).revision, town.asked(job).len()), (1, 1));
}

#[test]
fn a_better_answer_shown_in_the_offer_makes_friends_look_again() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    town.give(job, &[("note", "third floor")]);
    assert_eq!(town.job(job).revision, 1, "a note is not shown");
    town.give(job, &[("router", "Speedport")]);
    assert_eq!(town.job(job).revision, 2);
    let renewed = town.hears(anna).filter(|message| matches!(message, FriendMessage::OfferUpdate(_))).count();
    assert_eq!(renewed, 1);
}

#[test]
fn two_who_find_it_too_vague_hold_the_job_until_its_customer_says_more() {
    let mut town = Town::new();
    let friends = town.friends([100, 200, 300, 400, 500, 600]);
    let job = town.post();
    vague(&mut town, friends[0], job);
    assert_eq!((town.state(job), town.asked(job).len()), (JobState::Dispatching, 4));
    vague(&mut town, friends[1], job);
    assert_eq!((town.state(job), town.asked(job)), (JobState::Paused, vec![]));
    let view = town.ledger.jobs[&job].row.view.clone();
    assert_eq!(view.reason.as_deref(), Some("too_vague"));
    let paused = FriendMessage::OfferClosed { offer: town.offer(friends[2], job), reason: ClosedReason::Paused };
    assert!(town.hears(friends[2]).any(|message| *message == paused));
    let key = town.accept(friends[2], job);
    assert_eq!(town.lost(key), Some(LostReason::Paused));
    // Ops hear of it after a day, and the day after.
    town.wait(48 * HOUR);
    assert_eq!(town.alarms, [(AlarmKind::Paused, job); 2]);
    town.crash();
    town.wait(MINUTE);
    let request = town.give(job, &[("note", "the box blinks red since the storm")]);
    assert!(matches!(&town.answers[&request], Answer::Job(view) if view.state == JobState::Dispatching));
    assert_eq!(town.asked(job), friends[2..], "and who declined is not asked again");
    assert_eq!((town.job(job).attempt, town.job(job).pause, town.job(job).vague), (2, None, 0));
    let key = town.accept(friends[2], job);
    assert!(town.won(key));
}

#[test]
fn one_who_finds_it_too_vague_is_remembered_across_a_restart() {
    let mut town = Town::new();
    let friends = town.friends([100, 200, 300]);
    let job = town.post();
    vague(&mut town, friends[0], job);
    town.crash();
    for friend in &friends[1..] {
        town.join(*friend);
    }
    vague(&mut town, friends[1], job);
    assert_eq!((town.state(job), town.job(job).pause), (JobState::Paused, Some(Pause::Vague)));
}

#[test]
fn too_vague_against_an_accept_in_flight_the_accept_wins() {
    let mut town = Town::new();
    let friends = town.friends([100, 200, 300]);
    let job = town.post();
    vague(&mut town, friends[0], job);
    let key = kiez_protocol::ids::Key(town.id());
    let accept = town.take_word(friends[1], job, key).expect("the word is open");
    vague(&mut town, friends[2], job);
    assert_eq!(town.state(job), JobState::Dispatching, "the pause waits for the accept");
    town.deliver(accept);
    assert!(town.won(key));
    assert_eq!(town.state(job), JobState::Assigned);
}

#[test]
fn too_vague_against_an_accept_that_is_refused_holds_the_job() {
    let mut town = Town::new();
    let friends = town.friends([100, 200]);
    let full = town.friend_with(300, |friend| friend.jobs_held_max = 1);
    let (job, other) = (town.post(), town.post());
    let theirs = town.accept(full, other);
    assert!(town.won(theirs));
    vague(&mut town, friends[0], job);
    let key = kiez_protocol::ids::Key(town.id());
    let accept = town.take_word(full, job, key).expect("the word is open");
    vague(&mut town, friends[1], job);
    town.deliver(accept);
    assert_eq!(town.verdict_on(key), Some((Verdict::Lost, Some(LostReason::Capacity))));
    assert_eq!((town.state(job), town.asked(job)), (JobState::Paused, vec![]));
}

#[test]
fn ops_hold_a_job_and_let_it_go_on() {
    let mut town = Town::new();
    let friends = town.friends([100, 200]);
    let job = town.post();
    let request = town.pause(job);
    assert!(matches!(&town.answers[&request], Answer::Job(view) if view.state == JobState::Paused));
    let again = town.pause(job);
    assert_eq!(town.refused(again), Some(Code::WrongState));
    // What a customer adds meanwhile is kept, and does not lift what ops hold.
    town.give(job, &[("note", "third floor")]);
    assert_eq!((town.state(job), town.job(job).pause), (JobState::Paused, Some(Pause::Ops)));
    town.wait(100 * HOUR);
    assert_eq!(town.state(job), JobState::Paused, "held is held, however long");
    let request = town.resume(job);
    assert!(matches!(&town.answers[&request], Answer::Job(view) if view.state == JobState::Dispatching));
    assert_eq!(town.asked(job), friends);
    assert!(town.job(job).expire_at > town.now);
    let again = town.resume(job);
    assert_eq!(town.refused(again), Some(Code::WrongState));
    let events = &town.ledger.jobs[&job].events;
    let by_ops = events.iter().filter(|event| matches!(&event.actor, Actor::Ops(by) if by.actor == "kim"));
    let told: Vec<_> = by_ops.map(|event| (event.kind, event.reason.as_deref())).collect();
    assert_eq!(told, [("paused", Some("the street is closed")), ("resumed", Some("it is open again"))]);
}

#[test]
fn a_pause_against_an_accept_in_flight_is_refused_when_that_wins() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    let key = kiez_protocol::ids::Key(town.id());
    let accept = town.take_word(anna, job, key).expect("the word is open");
    let request = town.pause(job);
    assert_eq!(town.answers.get(&request), None);
    town.deliver(accept);
    assert!(town.won(key));
    assert_eq!(town.refused(request), Some(Code::WrongState));
}

#[test]
fn who_may_not_is_told_what_they_may() {
    let mut town = Town::new();
    town.friend(100);
    let job = town.post();
    for by in [Actor::Partner(ada()), Actor::Customer] {
        let (request, received_at) = (town.request(), town.now);
        town.send(Input::Paused { request, by, job, reason: "no".to_owned(), received_at });
        assert_eq!(town.refused(request), Some(Code::WrongState));
    }
    let request = town.resume(job);
    let Answer::WrongState { state, allowed } = &town.answers[&request] else { panic!("refused") };
    assert_eq!((*state, allowed.join(" ").as_str()), (JobState::Dispatching, "edit answers pause assign cancel"));
    let (request, received_at) = (town.request(), town.now);
    town.send(Input::Cancelled { request, by: Actor::Customer, job, reason: None, received_at });
    assert_eq!(town.state(job), JobState::Cancelled);
    assert_eq!(town.ledger.jobs[&job].events.last().map(|event| event.actor.clone()), Some(Actor::Customer));
}
