//! Questions before a yes, and the customer's replies to all who hold an offer.

use kiez::dispatch::effect::Answer;
use kiez_protocol::friend::FriendMessage;
use kiez_protocol::ids::{FriendId, JobId};
use kiez_protocol::partner::JobState;
use kiez_protocol::refusal::Code;

use super::town::{HOUR, MINUTE, Town};

fn replies(town: &Town, friend: FriendId) -> Vec<(u16, &str, &str)> {
    let answer = |message| match message {
        &FriendMessage::Answer { number, ref question, ref text, .. } => {
            Some((number, question.as_str(), text.as_str()))
        }
        _ => None,
    };
    town.hears(friend).filter_map(answer).collect()
}

fn ends(town: &Town, friend: FriendId, job: JobId) -> i64 {
    let offer = town.job(job).live_offers().find(|offer| offer.friend == friend).expect("has an offer");
    offer.expires_at.since(town.now)
}

#[test]
fn a_reply_goes_to_all_who_hold_an_offer() {
    let mut town = Town::new();
    let friends = town.friends([100, 200, 300, 400, 500]);
    let job = town.post();
    let key = town.ask(friends[0], job, "Which lamp blinks?");
    assert!(town.done(key));
    let view = town.ledger.jobs[&job].row.view.clone();
    assert_eq!((view.questions.len(), view.questions[0].question.as_str()), (1, "Which lamp blinks?"));
    let request = town.reply(job, 1, "The red one");
    assert!(matches!(&town.answers[&request], Answer::Job(view) if view.questions.is_empty()));
    for friend in &friends[..4] {
        assert_eq!(replies(&town, *friend), [(1, "Which lamp blinks?", "The red one")]);
    }
    assert_eq!(replies(&town, friends[4]), []);
    // Who is asked later sees it in the offer.
    town.decline(friends[1], job);
    let shown = town.hears(friends[4]).find_map(|message| match message {
        FriendMessage::Offer(offer) => Some(offer.questions.clone()),
        _ => None,
    });
    assert_eq!(shown.expect("an offer")[0].reply.as_deref(), Some("The red one"));
    // The same reply again tells nobody anything; a better one does.
    town.reply(job, 1, "The red one");
    town.reply(job, 1, "Red, and slowly");
    assert_eq!(replies(&town, friends[0]).len(), 2);
    let request = town.reply(job, 7, "what?");
    assert_eq!(town.refused(request), Some(Code::Invalid));
}

#[test]
fn a_friend_asks_twice_and_is_given_ten_minutes_once() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    town.wait(25 * MINUTE);
    assert_eq!(ends(&town, anna, job), 5 * MINUTE);
    let first = town.ask(anna, job, "Which lamp blinks?");
    assert!(town.done(first));
    assert_eq!(ends(&town, anna, job), 15 * MINUTE);
    let told = town.hears(anna).find_map(|message| match message {
        FriendMessage::OfferUpdate(update) if update.renewed.is_none() => update.expires_at,
        _ => None,
    });
    assert_eq!(told.map(|at| at.since(town.now)), Some(15 * MINUTE));
    town.crash();
    town.join(anna);
    let second = town.ask(anna, job, "Is there a lift?");
    assert!(town.done(second));
    assert_eq!(ends(&town, anna, job), 15 * MINUTE, "once");
    let third = town.ask(anna, job, "And a dog?");
    assert_eq!(town.denied(third), Some(Code::WrongState));
    assert_eq!(town.job(job).talk.questions.len(), 2);
    town.wait(15 * MINUTE);
    let late = town.ask(anna, job, "Still there?");
    assert_eq!(town.denied(late), Some(Code::WrongState));
}

#[test]
fn asking_does_not_outlast_the_job() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let end = town.now + 12 * MINUTE;
    let job = town.post_with(|booking| {
        booking.urgency = kiez_protocol::partner::Urgency::Urgent;
        booking.windows = vec![kiez_protocol::partner::Window { from: end + -10 * MINUTE, to: end }];
    });
    town.ask(anna, job, "Which lamp blinks?");
    assert_eq!(ends(&town, anna, job), 12 * MINUTE);
}

#[test]
fn the_same_question_again_is_one_question() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    let key = town.ask(anna, job, "Which lamp blinks?");
    let (offer, received_at) = (town.offer(anna, job), town.now);
    for _ in 0..2 {
        let text = "Which lamp blinks?".to_owned();
        let again = kiez::dispatch::input::Input::Asked { friend: anna, offer, text, key: Some(key), received_at };
        town.send(again);
        town.crash();
    }
    assert_eq!(town.job(job).talk.questions.len(), 1);
}

#[test]
fn nobody_asks_or_replies_with_contact_data() {
    let mut town = Town::new();
    let friends = town.friends([100, 200]);
    let job = town.post();
    town.ask(friends[0], job, "Call me: 0176 1234567, or anna@example.org?");
    town.reply(job, 1, "Ada Kanari? No: +49 30 5550199, kanari@example.org, null drei null fünf fünf fünf null eins");
    for friend in friends {
        let (_, question, text) = replies(&town, friend)[0];
        assert_eq!(question, "Call me: […], or […]".replace(", or", " or").as_str());
        assert!(!text.contains("5550199") && !text.contains('@') && !text.contains("fünf"), "{text}");
    }
}

#[test]
fn what_is_not_theirs_is_not_asked_about() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    let (offer, received_at) = (town.offer(anna, job), town.now);
    let key = kiez_protocol::ids::Key(town.id());
    let text = "Whose is it?".to_owned();
    town.send(kiez::dispatch::input::Input::Asked { friend: ben, offer, text, key: Some(key), received_at });
    assert_eq!(town.denied(key), Some(Code::NotFound));
    town.accept(anna, job);
    let late = town.ask(ben, job, "And now?");
    assert_eq!(town.denied(late), Some(Code::WrongState));
}

#[test]
fn the_winner_hears_a_reply_that_comes_late() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    town.ask(ben, job, "Which lamp blinks?");
    town.accept(anna, job);
    town.reply(job, 1, "The red one");
    assert_eq!((replies(&town, anna).len(), replies(&town, ben).len()), (1, 0));
}

#[test]
fn a_pause_for_vagueness_asks_and_any_reply_ends_it() {
    let mut town = Town::new();
    let friends = town.friends([100, 200, 300]);
    let job = town.post();
    for friend in &friends[..2] {
        town.decline_for(*friend, job, kiez_protocol::friend::DeclineReason::TooVague);
    }
    let view = town.ledger.jobs[&job].row.view.clone();
    assert_eq!(view.questions[0].question, kiez_protocol::talk::TOO_VAGUE);
    town.crash();
    town.wait(HOUR);
    town.reply(job, 1, "The box blinks red since the storm");
    assert_eq!((town.state(job), town.asked(job)), (JobState::Dispatching, vec![friends[2]]));
    let shown = town.hears(friends[2]).filter_map(|message| match message {
        FriendMessage::Offer(offer) => Some(offer.questions.len()),
        _ => None,
    });
    assert_eq!(shown.collect::<Vec<_>>(), [0, 1], "the new offer says more than the first");
}
