//! What partners do: post, repeat, edit, cancel, and ask for what is not theirs.

use std::collections::BTreeMap;

use kiez::dispatch::effect::{Actor, Answer};
use kiez::dispatch::input::Input;
use kiez_protocol::partner::{Answer as Given, EditJob, JobState};
use kiez_protocol::refusal::Code;

use super::town::{HOUR, MINUTE, Town};

#[test]
fn without_a_required_answer_nobody_is_asked() {
    let mut town = Town::new();
    let anna = town.friend(100);
    for blank in [None, Some(Given::Text("  ".to_owned()))] {
        let job = town.post_with(|booking| {
            booking.answers.clear();
            booking.answers.extend(blank.map(|blank| ("router".parse().expect("a word"), blank)));
        });
        let view = &town.ledger.jobs[&job].row.view;
        assert_eq!((view.state, view.missing_answers.len()), (JobState::NeedsInfo, 1));
        assert_eq!(view.missing_answers[0].as_str(), "router");
        assert_eq!(town.asked(job), []);
        town.wait(70 * HOUR);
        let answers = BTreeMap::from([("router".parse().expect("a word"), Given::Text("Fritz!Box".to_owned()))]);
        let request = town.edit(job, EditJob { answers: Some(answers), ..EditJob::default() });
        assert!(matches!(&town.answers[&request], Answer::Job(view) if view.state == JobState::Dispatching));
        assert_eq!(town.asked(job), [anna]);
        let left = town.job(job).expire_at.since(town.now);
        assert!(left >= 18 * MINUTE, "there is time for a round of waves");
        town.cancel(job);
    }
}

#[test]
fn without_its_answers_a_job_expires() {
    let mut town = Town::new();
    let job = town.post_with(|booking| booking.answers.clear());
    town.wait(72 * HOUR);
    assert!(town.over(job));
    assert_eq!(town.ledger.jobs[&job].row.view.state, JobState::Expired);
}

#[test]
fn the_same_key_makes_one_job_also_across_a_restart() {
    let mut town = Town::new();
    let first = town.post_keyed(town.booking(), Some(("K1", 1)));
    let Answer::Posted(view) = town.answers[&first].clone() else { panic!("posted") };
    for _ in 0..2 {
        let again = town.post_keyed(town.booking(), Some(("K1", 1)));
        assert_eq!(town.answers[&again], Answer::Repeated { job: view.id });
        let other = town.post_keyed(town.booking(), Some(("K1", 2)));
        assert_eq!(town.refused(other), Some(Code::KeyReused));
        town.crash();
    }
    assert_eq!(town.ledger.jobs.len(), 1);
}

#[test]
fn a_repeated_key_waits_for_the_commit_of_the_first() {
    let mut town = Town::new();
    town.held = true;
    let first = town.post_keyed(town.booking(), Some(("K1", 1)));
    let again = town.post_keyed(town.booking(), Some(("K1", 1)));
    assert_eq!((town.answers.get(&first), town.answers.get(&again)), (None, None));
    town.release();
    assert!(matches!(town.answers[&first], Answer::Posted(_)));
    assert!(matches!(town.answers[&again], Answer::Repeated { .. }));
}

#[test]
fn a_key_is_forgotten_after_seven_days() {
    let mut town = Town::new();
    town.post_keyed(town.booking(), Some(("K1", 1)));
    town.wait(8 * 24 * HOUR);
    town.core.next_deadline();
    town.post();
    town.wait(HOUR);
    town.ledger.keys.clear();
    let new = town.post_keyed(town.booking(), Some(("K1", 2)));
    assert!(matches!(town.answers[&new], Answer::Posted(_)));
}

#[test]
fn another_partners_job_is_not_found() {
    let mut town = Town::new();
    let job = town.post();
    let partner = "other-shop".parse::<kiez_protocol::ids::PartnerSlug>().expect("a slug");
    let (cancel, edit, received_at) = (town.request(), town.request(), town.now);
    town.send(Input::Cancelled {
        request: cancel,
        by: Actor::Partner(partner.clone()),
        job,
        reason: None,
        received_at,
    });
    town.send(Input::Edited { request: edit, by: Actor::Partner(partner), job, edit: Box::default(), received_at });
    assert_eq!((town.refused(cancel), town.refused(edit)), (Some(Code::NotFound), Some(Code::NotFound)));
    assert_eq!(town.state(job), JobState::Dispatching);
}

#[test]
fn an_edit_of_what_no_friend_was_shown_leaves_the_offers_alone() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    let heard = town.heard.len();
    town.edit(job, EditJob { partner_ref: Some("A-4711".to_owned()), ..EditJob::default() });
    assert_eq!((town.heard.len(), town.job(job).revision), (heard, 1));
    let key = town.accept(anna, job);
    assert!(town.won(key));
}

#[test]
fn a_finished_job_is_neither_cancelled_nor_edited() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    town.accept(anna, job);
    for event in [kiez_protocol::friend::VisitEvent::Contacted, kiez_protocol::friend::VisitEvent::Completed] {
        town.visit(anna, job, event);
    }
    let (cancel, edit) = (town.cancel(job), town.edit(job, EditJob::default()));
    assert_eq!((town.refused(cancel), town.refused(edit)), (Some(Code::WrongState), Some(Code::WrongState)));
}
