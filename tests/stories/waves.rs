//! Whom a job asks, when it asks more, and when it stops.

use kiez::dispatch::effect::Answer;
use kiez::dispatch::input::Input;
use kiez_protocol::directory::{Crowd, Friend, Tier};
use kiez_protocol::friend::{DeclineReason, FriendMessage, OfferUpdate, VisitEvent};
use kiez_protocol::ids::FriendId;
use kiez_protocol::ops::AlarmKind;
use kiez_protocol::partner::{JobState, Urgency};
use kiez_protocol::profile::Account;

use super::town::{HOUR, MINUTE, SECOND, Town};

#[test]
fn the_four_nearest_are_asked_first() {
    let mut town = Town::new();
    let [far, second, first, fourth, third] = town.friends([2_000, 300, 100, 900, 600]);
    let job = town.post();
    assert_eq!(town.asked(job), [first, second, third, fourth]);
    assert!(town.hears(far).next().is_none());
    let offers = town.hears(first).filter(|message| matches!(message, FriendMessage::Offer(_))).count();
    assert_eq!(offers, 1);
}

#[test]
fn a_decline_gives_the_same_seat_to_the_next_at_once() {
    let mut town = Town::new();
    let [a, b, c, d, e] = town.friends([100, 200, 300, 400, 500]);
    let job = town.post();
    town.decline(b, job);
    assert_eq!(town.asked(job), [a, c, d, e]);
    let offer = town.job(job).live_offers().last().expect("Emil's").clone();
    assert_eq!((offer.wave, offer.wave_seat), (1, 1));
    assert_eq!(town.job(job).run.wave, 1);
}

#[test]
fn an_offer_that_does_not_arrive_gives_its_seat_on_and_can_still_be_accepted() {
    let mut town = Town::new();
    let [a, b, c, d, e] = town.friends([100, 200, 300, 400, 500]);
    town.deaf.insert(a);
    let job = town.post();
    town.wait(10 * SECOND);
    assert_eq!(town.asked(job), [a, b, c, d, e]);
    let key = town.accept(a, job);
    assert!(town.won(key));
}

#[test]
fn silence_opens_the_next_wave_while_earlier_offers_stay() {
    let mut town = Town::new();
    let eight = town.friends([100, 200, 300, 400, 500, 600, 700, 800]);
    let job = town.post();
    town.wait(3 * MINUTE - 1);
    assert_eq!(town.asked(job), eight[..4]);
    town.wait(1);
    assert_eq!(town.asked(job), eight);
    let key = town.accept(eight[0], job);
    assert!(town.won(key));
}

#[test]
fn a_look_that_finds_nobody_spends_no_wave() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    town.wait(10 * MINUTE);
    assert_eq!(town.job(job).run.wave, 1);
    assert_eq!(town.asked(job), [anna]);
}

#[test]
fn where_four_are_not_to_be_had_the_next_cap_is_taken_in_the_same_step() {
    let mut town = Town::new();
    let [near, mid, far, out] = town.friends([1_000, 7_000, 29_000, 31_000]);
    let job = town.post();
    assert_eq!(town.asked(job), [near, mid, far], "30 km is the last cap");
    assert!(town.hears(out).next().is_none());
}

#[test]
fn all_waves_used_and_the_last_interval_past_the_job_is_unfilled() {
    let mut town = Town::new();
    let friends: Vec<FriendId> = (0..26).map(|index| town.friend(100 + index * 50)).collect();
    let job = town.post();
    town.wait(18 * MINUTE - 1);
    assert_eq!((town.state(job), town.job(job).run.wave), (JobState::Dispatching, 6));
    town.wait(1);
    assert_eq!(town.state(job), JobState::Unfilled);
    assert_eq!(town.asked(job), friends[..24]);
    assert_eq!(town.alarms, [(AlarmKind::Unfilled, job)]);
    town.wait(5 * MINUTE);
    assert_eq!(town.asked(job).len(), 26, "looked at again");
}

#[test]
fn at_the_alarm_without_a_live_offer_the_job_is_unfilled() {
    let mut town = Town::new();
    let job = town.post();
    town.wait(30 * MINUTE - 1);
    assert_eq!(town.state(job), JobState::Dispatching);
    town.wait(1);
    assert_eq!((town.state(job), town.alarms.len()), (JobState::Unfilled, 1));
    town.wait(72 * HOUR);
    assert_eq!((town.state(job), town.alarms.len()), (JobState::Expired, 1));
}

#[test]
fn all_decline_and_the_job_ends_unfilled_though_waves_are_left() {
    let mut town = Town::new();
    let friends: Vec<FriendId> = (0..30).map(|index| town.friend(100 + index * 50)).collect();
    let job = town.post();
    for friend in &friends[..24] {
        town.decline(*friend, job);
    }
    assert_eq!(town.asked(job), [], "24 are asked at most");
    assert_eq!(town.job(job).run.wave, 1);
    town.wait(3 * MINUTE);
    assert_eq!(town.state(job), JobState::Unfilled);
    town.wait(5 * MINUTE);
    assert_eq!(town.asked(job).len(), 4, "an unfilled job asks on");
}

#[test]
fn unfilled_renews_what_has_expired_and_a_late_yes_wins() {
    let mut town = Town::new();
    town.community.policy.normal.offer_valid_ms = 20 * MINUTE;
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    town.decline(ben, job);
    town.wait(20 * MINUTE);
    assert_eq!(town.asked(job), []);
    town.wait(10 * MINUTE);
    assert_eq!((town.state(job), town.asked(job)), (JobState::Unfilled, vec![anna]));
    let end = town.job(job).expire_at;
    let Some(FriendMessage::OfferUpdate(OfferUpdate { expires_at, renewed, .. })) = town.hears(anna).last() else {
        panic!("an update")
    };
    assert_eq!((*expires_at, renewed.is_some()), (Some(end), true));
    town.wait(20 * HOUR);
    let key = town.accept(anna, job);
    assert!(town.won(key));
}

#[test]
fn what_was_over_does_not_come_back_to_who_is_limited() {
    let mut town = Town::new();
    town.community.policy.normal.offer_valid_ms = 20 * MINUTE;
    let [anna, ben, carl] = town.friends([100, 200, 300]);
    let job = town.post();
    town.decline(ben, job);
    town.wait(20 * MINUTE);
    assert_eq!(town.asked(job), []);
    town.streets.change(anna, |standing| {
        let account = Account::Limited { reason: "a word first".to_owned() };
        standing.profile = std::sync::Arc::new(Friend { account, ..(*standing.profile).clone() });
    });
    town.wait(10 * MINUTE);
    assert_eq!((town.state(job), town.asked(job)), (JobState::Unfilled, vec![carl]));
}

#[test]
fn who_goes_on_duty_is_asked_for_a_hungry_job() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    town.duty(ben, false);
    let job = town.post();
    assert_eq!(town.asked(job), [anna]);
    town.duty(ben, true);
    assert_eq!(town.asked(job), [anna, ben]);
    assert_eq!(town.job(job).run.wave, 1, "a vacant seat of the first wave");
}

#[test]
fn who_comes_on_duty_is_asked_for_an_unfilled_job_without_using_up_waves() {
    let mut town = Town::new();
    let friends: Vec<FriendId> = (0..300).map(|index| town.friend(100 + index * 50)).collect();
    friends.iter().for_each(|friend| town.duty(*friend, false));
    town.community.policy.normal.offer_valid_ms = HOUR;
    let job = town.post();
    town.wait(30 * MINUTE);
    assert_eq!(town.state(job), JobState::Unfilled);
    for friend in &friends {
        town.duty(*friend, true);
    }
    assert_eq!(town.asked(job).len(), 300);
    assert_eq!(town.job(job).run.wave, 75);
}

#[test]
fn a_full_hand_is_passed_over() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let jobs = [town.post(), town.post(), town.post()];
    town.duty(ben, false);
    let fourth = town.post();
    assert_eq!(town.asked(fourth), []);
    town.decline(anna, jobs[0]);
    assert_eq!(town.asked(fourth), [anna], "there is room again");
}

#[test]
fn renewed_offers_lie_beside_the_hand() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let jobs = [town.post(), town.post(), town.post()];
    town.wait(30 * MINUTE);
    assert!(jobs.iter().all(|job| town.state(*job) == JobState::Unfilled));
    let fourth = town.post();
    assert_eq!(town.asked(fourth), [anna]);
}

#[test]
fn who_holds_all_they_may_is_not_asked() {
    let mut town = Town::new();
    let anna = town.friend_with(100, |friend| friend.jobs_held_max = 1);
    let first = town.post();
    town.accept(anna, first);
    let second = town.post();
    assert_eq!(town.asked(second), []);
    town.visit(anna, first, VisitEvent::Contacted);
    town.visit(anna, first, VisitEvent::Completed);
    assert_eq!(town.asked(second), [anna], "her place is free again");
}

#[test]
fn pros_join_at_the_fourth_wave() {
    let mut town = Town::new();
    let neighbours: Vec<FriendId> = (0..16).map(|index| town.friend(1_000 + index * 50)).collect();
    let pro = town.friend_with(50, |friend| friend.tier = Tier::Pro);
    let job = town.post();
    town.wait(9 * MINUTE - 1);
    assert_eq!(town.asked(job), neighbours[..12]);
    town.wait(1);
    assert_eq!(town.asked(job)[12], pro, "the nearest by far");
}

#[test]
fn pros_join_in_their_time_also_where_nobody_was_left_to_ask() {
    let mut town = Town::new();
    let anna = town.friend(500);
    let pro = town.friend_with(50, |friend| friend.tier = Tier::Pro);
    let job = town.post();
    town.wait(9 * MINUTE - 1);
    assert_eq!(town.asked(job), [anna]);
    town.wait(1);
    assert_eq!(town.asked(job), [anna, pro]);
}

#[test]
fn own_friends_first_and_from_the_third_wave_the_whole_crowd() {
    let mut town = Town::new();
    town.community.crowd = Crowd::OwnThenAll;
    let own: Vec<FriendId> = (0..8).map(|index| town.friend(1_000 + index * 50)).collect();
    let other = |friend: &mut Friend| {
        friend.communities = vec!["zuerich-tech".parse().expect("a slug")];
    };
    let stranger = town.friend_with(100, other);
    let job = town.post();
    town.wait(6 * MINUTE - 1);
    assert_eq!(town.asked(job), own);
    town.wait(1);
    assert_eq!(town.asked(job)[8..], [stranger]);
}

#[test]
fn a_community_of_two_friends_still_reaches_the_crowd() {
    let mut town = Town::new();
    town.community.crowd = Crowd::OwnThenAll;
    let own = town.friends([1_000, 1_100]);
    let stranger = town.friend_with(100, |friend| friend.communities.clear());
    let job = town.post();
    town.wait(6 * MINUTE - 1);
    assert_eq!(town.asked(job), own);
    town.wait(1);
    assert_eq!(town.asked(job), [own[0], own[1], stranger]);
}

#[test]
fn an_urgent_job_ends_with_its_window_and_a_shifted_window_shifts_the_end() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let window = |from, to| kiez_protocol::partner::Window { from, to };
    let (start, noon, evening) = (town.now, town.now + 2 * HOUR, town.now + 9 * HOUR);
    let job = town.post_with(|booking| {
        booking.urgency = Urgency::Urgent;
        booking.windows = vec![window(start, noon)];
    });
    assert_eq!(town.job(job).expire_at, noon);
    town.wait(HOUR);
    let windows = Some(vec![window(start, evening)]);
    town.edit(job, kiez_protocol::partner::EditJob { windows, ..Default::default() });
    town.wait(7 * HOUR);
    assert_eq!((town.state(job), town.asked(job)), (JobState::Unfilled, vec![anna]));
    town.wait(HOUR + 2 * SECOND);
    assert_eq!(town.state(job), JobState::Expired);
}

#[test]
fn duty_ends_with_notice_and_before_what_is_due_later() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let (now, until) = (town.now, town.now + HOUR);
    town.send(Input::Duty { friend: anna, on: true, until: Some(until), key: None, received_at: now });
    town.wait(45 * MINUTE);
    assert_eq!(town.hears(anna).last(), Some(&FriendMessage::DutyEnding { at: until }));
    town.wait(15 * MINUTE);
    assert_eq!(town.hears(anna).last(), Some(&FriendMessage::StopLocation));
    let job = town.post();
    assert_eq!(town.asked(job), []);
}

// The next four were found by the simulator.

#[test]
fn a_run_asks_no_more_friends_than_its_waves_have_seats() {
    let mut town = Town::new();
    town.community.policy.normal.waves = 2;
    let friends: Vec<FriendId> = (0..12).map(|index| town.friend(100 + index * 50)).collect();
    let job = town.post();
    town.decline(friends[0], job);
    town.wait(3 * MINUTE);
    assert_eq!(town.job(job).run.asked, 8, "the refilled seat counts");
    assert_eq!(town.asked(job), friends[1..8]);
}

/// Asked in the first run, asked again in the second and silent: then a no comes, and it is to the offer of the first.
#[test]
fn a_late_no_takes_an_expired_newer_offer_along() {
    let mut town = Town::new();
    town.community.policy.normal.alarm_ms = 2 * HOUR;
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    let first = town.offer(ben, job);
    town.accept(anna, job);
    town.visit(anna, job, VisitEvent::HandBack);
    assert_eq!(town.asked(job), [ben]);
    town.wait(31 * MINUTE);
    assert_eq!(town.asked(job), []);
    let (reason, received_at) = (DeclineReason::NoTime, town.now);
    town.send(Input::Declined { friend: ben, offer: first, reason, key: None, received_at });
    town.wait(2 * HOUR);
    assert_eq!(
        (town.state(job), town.asked(job)),
        (JobState::Unfilled, vec![]),
        "his expired offer does not come back"
    );
}

#[test]
fn an_offer_that_is_renewed_as_it_ends_is_not_told_closed() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    town.wait(30 * MINUTE);
    assert_eq!((town.state(job), town.asked(job)), (JobState::Unfilled, vec![anna]));
    let closed = |message: &&FriendMessage| matches!(message, FriendMessage::OfferClosed { .. });
    assert_eq!(town.hears(anna).filter(closed).count(), 0);
    let (longer, update) =
        (town.job(job).expire_at, |update: &OfferUpdate| (update.expires_at, update.renewed.is_none()));
    let renewed = |message: &FriendMessage| matches!(message, FriendMessage::OfferUpdate(told) if update(told) == (Some(longer), true));
    assert!(town.hears(anna).any(renewed));
}

/// The ledger was away for half a minute. Nobody was late with an offer that nobody had heard of.
#[test]
fn an_offer_that_was_held_up_has_its_whole_time_to_arrive() {
    let mut town = Town::new();
    let [a, b, c, d, e] = town.friends([100, 200, 300, 400, 500]);
    town.deaf.insert(a);
    town.held = true;
    let request = town.post_keyed(town.booking(), None);
    town.now = town.now + 30 * SECOND;
    town.release();
    town.tick();
    let Some(Answer::Posted(view)) = town.answers.get(&request) else { panic!("posted") };
    let job = view.id;
    assert_eq!(town.asked(job), [a, b, c, d]);
    town.wait(10 * SECOND);
    assert_eq!(town.asked(job), [a, b, c, d, e], "now it is late");
}
