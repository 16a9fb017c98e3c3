//! A friend named by the customer, what they may say to each other before the win and after, and work from afar.

use kiez::dispatch::effect::Answer;
use kiez::dispatch::job::Direct;
use kiez_protocol::directory::Site;
use kiez_protocol::friend::{DeclineReason, FriendMessage, LostReason, WhyReason};
use kiez_protocol::ids::{FriendId, JobId};
use kiez_protocol::partner::JobState;
use kiez_protocol::refusal::Code;
use kiez_protocol::talk::Voice;

use super::town::{HOUR, MINUTE, SECOND, Town};

fn post_for(town: &mut Town, friend: FriendId, fallback: bool) -> JobId {
    town.post_with(|booking| booking.direct = Some(Direct { friend, fallback }))
}

/// What a friend has heard from the customer.
fn read(town: &Town, friend: FriendId) -> Vec<String> {
    let said = |message: &FriendMessage| match message {
        FriendMessage::Message(said) => Some(said.text.clone()),
        _ => None,
    };
    town.hears(friend).filter_map(said).collect()
}

#[test]
fn the_named_friend_alone_is_asked_for_two_hours() {
    let mut town = Town::new();
    let near = town.friends([100, 200, 300, 400]);
    let named = town.friend(20_000);
    let job = post_for(&mut town, named, true);
    assert_eq!(town.asked(job), [named]);
    let offer = town.hears(named).find_map(|message| match message {
        FriendMessage::Offer(offer) => Some(offer.clone()),
        _ => None,
    });
    let offer = offer.expect("an offer");
    assert!(offer.direct && offer.why.reason == WhyReason::Named);
    assert_eq!(offer.expires_at.since(town.now), 2 * HOUR);
    town.wait(2 * HOUR - SECOND);
    assert_eq!((town.asked(job), town.alarms.len()), (vec![named], 0));
    // An accept that was sent in time counts for two seconds more.
    town.wait(2 * SECOND);
    assert_eq!(town.asked(job), []);
    town.wait(2 * SECOND);
    assert_eq!(town.asked(job), near, "the first wave, with the first cap");
    assert_eq!((town.job(job).attempt, town.job(job).run.wave), (2, 1));
    town.wait(HOUR);
    assert!(!town.asked(job).contains(&named), "who has let it pass is not asked again");
}

#[test]
fn the_named_friend_may_be_off_duty_and_far_away() {
    let mut town = Town::new();
    let named = town.friend_with(60_000, |friend| friend.radius_m = 1_000);
    town.streets.change(named, |standing| standing.on_duty = false);
    let job = post_for(&mut town, named, false);
    assert_eq!(town.asked(job), [named]);
    let key = town.accept(named, job);
    assert!(town.won(key));
}

#[test]
fn a_no_passes_the_job_on_at_once() {
    let mut town = Town::new();
    let named = town.friend(50);
    let near = town.friends([100, 200, 300, 400]);
    let job = post_for(&mut town, named, true);
    town.decline_for(named, job, DeclineReason::TooVague);
    assert_eq!((town.asked(job), town.state(job)), (near.to_vec(), JobState::Dispatching));
}

#[test]
fn without_a_fallback_nobody_else_is_ever_asked() {
    for declines in [true, false] {
        let mut town = Town::new();
        let others = town.friends([100, 200]);
        let named = town.friend(300);
        let job = post_for(&mut town, named, false);
        if declines {
            town.decline(named, job);
        } else {
            town.wait(2 * HOUR + 3 * SECOND);
        }
        assert_eq!(town.state(job), JobState::Unfilled);
        // A late yes is welcome, unless they said no.
        assert_eq!(town.asked(job), if declines { vec![] } else { vec![named] });
        town.crash();
        let late = town.friend(50);
        town.arrives(late, 50);
        town.wait(HOUR);
        assert!(others.iter().chain([&late]).all(|friend| town.hears(*friend).count() == 0));
        if !declines {
            let key = town.accept(named, job);
            assert!(town.won(key));
        }
    }
}

#[test]
fn who_cannot_have_it_is_passed_over_at_once() {
    let mut town = Town::new();
    let near = town.friend(100);
    let full = town.friend_with(200, |friend| friend.languages = vec![kiez_protocol::directory::Language::Fr]);
    let job = post_for(&mut town, full, true);
    assert_eq!(town.asked(job), [near]);
    assert_eq!(town.kinds(job)[..2], ["posted", "direct_passed"]);
}

#[test]
fn who_cannot_be_reached_is_waited_for() {
    let mut town = Town::new();
    let other = town.friend(100);
    let named = town.friend(200);
    town.streets.change(named, |standing| standing.reachable = false);
    let job = post_for(&mut town, named, true);
    assert_eq!(town.asked(job), []);
    town.arrives(other, 100);
    assert_eq!(town.asked(job), []);
    town.wait(HOUR);
    town.crash();
    town.wait(MINUTE);
    town.arrives(named, 200);
    assert_eq!(town.asked(job), [named]);
    let ends = town.job(job).live_offers().next().map(|offer| offer.expires_at.since(town.now));
    assert_eq!(ends, Some(59 * MINUTE), "what is left of the two hours");
    town.wait(HOUR);
    assert_eq!(town.asked(job), [other]);
}

#[test]
fn a_named_friend_whose_hand_is_full_is_asked_when_it_has_room() {
    let mut town = Town::new();
    let named = town.friend(200);
    town.community.policy.hand_max = 1;
    let first = town.post();
    assert_eq!(town.asked(first), [named]);
    let job = post_for(&mut town, named, true);
    assert_eq!(town.asked(job), []);
    // The first offer ends after half an hour, without a word of its friend.
    town.wait(33 * MINUTE);
    assert_eq!(town.asked(job), [named]);
}

#[test]
fn a_hold_survives_a_restart_and_a_pause_begins_it_anew() {
    let mut town = Town::new();
    let other = town.friend(100);
    let named = town.friend(200);
    let job = post_for(&mut town, named, true);
    town.wait(HOUR);
    town.crash();
    town.join(named);
    town.wait(HOUR - SECOND);
    assert_eq!(town.asked(job), [named]);
    town.pause(job);
    assert_eq!(town.asked(job), []);
    town.resume(job);
    // Whom the customer has named holds it again, if they have not said no.
    assert!(town.asked(job) == [named] || town.asked(job) == [other]);
}

#[test]
fn who_hands_a_named_job_back_leaves_it_to_others_or_to_nobody() {
    for fallback in [true, false] {
        let mut town = Town::new();
        let other = town.friend(100);
        let named = town.friend(200);
        let job = post_for(&mut town, named, fallback);
        town.accept(named, job);
        town.visit(named, job, kiez_protocol::friend::VisitEvent::HandBack);
        let (asked, state) = (town.asked(job), town.state(job));
        if fallback {
            assert_eq!((asked, state), (vec![other], JobState::Dispatching));
        } else {
            assert_eq!((asked, state), (vec![], JobState::Unfilled));
        }
    }
}

#[test]
fn a_named_friend_asks_and_has_longer() {
    let mut town = Town::new();
    let other = town.friend(100);
    let named = town.friend(200);
    let job = post_for(&mut town, named, true);
    town.wait(2 * HOUR - MINUTE);
    town.ask(named, job, "Which lamp blinks?");
    town.wait(10 * MINUTE);
    assert_eq!(town.asked(job), [named]);
    town.wait(MINUTE + 3 * SECOND);
    assert_eq!(town.asked(job), [other]);
}

#[test]
fn customer_and_named_friend_speak_before_the_win_without_contact_data() {
    let mut town = Town::new();
    let other = town.friend(100);
    let named = town.friend(200);
    let job = post_for(&mut town, named, true);
    let request = town.customer_writes(job, "Hello! Ring me: +49 30 5550199 or kanari@example.org");
    assert!(matches!(&town.answers[&request], Answer::Job(_)));
    assert_eq!(read(&town, named), ["Hello! Ring me: […] or […]"]);
    let key = town.friend_writes(named, job, "Sure, my number is null eins sieben sechs eins zwei drei");
    assert!(town.done(key));
    let kept: Vec<_> = town.job(job).talk.messages.iter().map(|said| (said.from, said.text.clone())).collect();
    assert_eq!(kept[1], (Voice::Friend, "Sure, my number is […]".to_owned()));
    // Others have no part in it.
    let stranger = town.friend_writes(other, job, "Take me!");
    assert_eq!(town.denied(stranger), Some(Code::NotFound));
    // After a restart the friend has it all, and after the win they may say what they want.
    town.crash();
    town.join(named);
    assert_eq!(town.snapshots[&named].messages.len(), 2);
    town.accept(named, job);
    town.customer_writes(job, "The bell says Kanari, ring 12345678");
    assert_eq!(read(&town, named).last().map(String::as_str), Some("The bell says Kanari, ring 12345678"));
}

#[test]
fn the_holder_of_a_job_writes_and_nobody_else() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    let early = town.customer_writes(job, "Anybody there?");
    assert_eq!(town.refused(early), Some(Code::WrongState), "four hold an offer: there is nobody to speak with");
    let early = town.friend_writes(anna, job, "Me?");
    assert_eq!(town.denied(early), Some(Code::WrongState));
    town.accept(anna, job);
    let key = town.friend_writes(anna, job, "I come at five, 0176 1234567");
    assert!(town.done(key));
    assert_eq!(town.job(job).talk.messages[0].text, "I come at five, 0176 1234567", "they may, now");
    let loser = town.friend_writes(ben, job, "Too bad");
    assert_eq!(town.denied(loser), Some(Code::WrongState));
    // The same frame again is the same message.
    let received_at = town.now;
    let text = "I come at five, 0176 1234567".to_owned();
    town.send(kiez::dispatch::input::Input::FriendWrote { friend: anna, job, text, key, received_at });
    assert_eq!(town.job(job).talk.messages.len(), 1);
    town.visit(anna, job, kiez_protocol::friend::VisitEvent::HandBack);
    let gone = town.friend_writes(anna, job, "Sorry");
    assert_eq!(town.denied(gone), Some(Code::WrongState));
}

#[test]
fn a_job_keeps_so_many_messages_and_no_more() {
    let mut town = Town::new();
    town.community.policy.messages_max = 3;
    let anna = town.friend(100);
    let job = town.post();
    town.accept(anna, job);
    for number in 0..3 {
        town.customer_writes(job, &format!("message {number}"));
    }
    let more = town.customer_writes(job, "one more");
    assert_eq!(town.refused(more), Some(Code::WrongState));
    assert_eq!(read(&town, anna).len(), 3);
}

#[test]
fn remote_work_finds_the_nearest_wherever_they_are() {
    let mut town = Town::new();
    town.package.site = Site::Remote;
    // From the next county to the ice of the north, each beyond every cap of the plan and their own radius.
    let far = [40_000, 300_000, 2_000_000, 4_000_000];
    let friends = far.map(|metres| town.friend_with(metres, |friend| friend.radius_m = 500));
    let farther = town.friend_with(4_100_000, |friend| friend.radius_m = 500);
    let job = town.post();
    assert_eq!(town.asked(job), friends);
    town.decline(friends[0], job);
    assert!(town.asked(job).contains(&farther));
    let key = town.accept(farther, job);
    assert!(town.won(key));
    let shown = town.hears(farther).find_map(|message| match message {
        FriendMessage::Offer(offer) => Some(offer.distance_m),
        _ => None,
    });
    assert_eq!(shown, Some(4_100_000));
    // On site nobody of them is asked.
    town.package.site = Site::OnSite;
    let job = town.post();
    assert_eq!((town.asked(job), town.lost(key)), (vec![], None::<LostReason>));
}
