//! The table of races (rules of the trade, §7), row by row.

use kiez_protocol::directory::Friend;
use kiez_protocol::friend::{FriendMessage, LostReason, Verdict, VisitEvent};
use kiez_protocol::ids::Key;
use kiez_protocol::partner::{EditJob, JobState};
use kiez_protocol::profile::Account;

use super::town::{MINUTE, SECOND, Town, north};
use kiez::dispatch::effect::Answer;

#[test]
fn four_accept_and_one_wins() {
    let mut town = Town::new();
    let four = town.friends([100, 200, 300, 400]);
    let job = town.post();
    town.held = true;
    let keys = four.map(|friend| town.accept(friend, job));
    assert!(keys.iter().all(|key| town.verdict_on(*key).is_none()), "nobody hears before the commit");
    town.release();
    assert!(town.won(keys[0]));
    assert!(keys[1..].iter().all(|key| town.lost(*key) == Some(LostReason::Taken)));
    assert_eq!(town.state(job), JobState::Assigned);
    let closed = |message: &FriendMessage| matches!(message, FriendMessage::OfferClosed { .. });
    assert!(four[1..].iter().all(|friend| town.hears(*friend).filter(|message| closed(message)).count() == 1));
}

#[test]
fn the_word_decides_and_not_the_order_of_arrival() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    let (a, b) = (Key(town.id()), Key(town.id()));
    let first = town.take_word(anna, job, a).expect("open");
    let second = town.take_word(ben, job, b).expect("taken, not settled");
    town.deliver(second);
    assert_eq!(town.verdict_on(b), None, "Ben stands by for Anna");
    town.deliver(first);
    assert!(town.won(a));
    assert_eq!(town.lost(b), Some(LostReason::Taken));
}

#[test]
fn the_second_waits_for_the_commit_of_the_first() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    town.held = true;
    let a = town.accept(anna, job);
    let b = town.accept(ben, job);
    town.wait(5 * SECOND);
    assert_eq!((town.verdict_on(a), town.verdict_on(b)), (None, None));
    town.release();
    assert!(town.won(a));
    assert_eq!(town.lost(b), Some(LostReason::Taken));
}

#[test]
fn after_the_commit_the_session_itself_says_taken() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    town.held = true;
    town.accept(anna, job);
    let mut hand = town.hands.values().filter(|in_hand| in_hand.job == job);
    let claim = hand.next().expect("in hand").claim.clone();
    town.release();
    assert!(matches!(claim.look(), kiez::dispatch::claim::Word::Settled(_)));
    let b = town.accept(ben, job);
    assert_eq!(town.lost(b), Some(LostReason::Taken));
}

#[test]
fn the_first_is_full_and_standby_wins() {
    let mut town = Town::new();
    let anna = town.friend_with(100, |friend| friend.jobs_held_max = 1);
    let ben = town.friend(200);
    let (first, second) = (town.post(), town.post());
    let (a, b) = (Key(town.id()), Key(town.id()));
    let anna_second = town.take_word(anna, second, a).expect("open");
    let ben_second = town.take_word(ben, second, b).expect("taken, not settled");
    let won_first = town.accept(anna, first);
    town.deliver(ben_second);
    town.deliver(anna_second);
    assert!(town.won(won_first));
    assert_eq!(town.lost(a), Some(LostReason::Capacity));
    assert!(town.won(b), "Ben stood by");
}

#[test]
fn one_place_and_two_firsts_the_second_is_lost_and_the_next_is_asked() {
    let mut town = Town::new();
    town.community.policy.fairness_seat = false;
    let anna = town.friend_with(100, |friend| friend.jobs_held_max = 1);
    let [ben, carla, dora, emil] = town.friends([200, 300, 400, 500]);
    let (first, second) = (town.post(), town.post());
    assert_eq!(town.asked(second), [anna, ben, carla, dora]);
    let (a, b) = (Key(town.id()), Key(town.id()));
    let on_first = town.take_word(anna, first, a).expect("open");
    let on_second = town.take_word(anna, second, b).expect("open");
    town.deliver(on_first);
    town.deliver(on_second);
    assert!(town.won(a));
    assert_eq!(town.lost(b), Some(LostReason::Capacity));
    assert_eq!(town.asked(second), [ben, carla, dora, emil], "her seat is given on");
    assert!(town.kinds(second).contains(&"accept_over_capacity"));
    let again = town.accept(ben, second);
    assert!(town.won(again), "the offers still live have a new word");
}

#[test]
fn the_same_key_hears_the_same_and_another_key_of_the_winner_hears_won() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    let a = town.accept(anna, job);
    let b = town.accept(ben, job);
    town.verdicts.clear();
    town.accept_again(anna, job, a);
    town.accept_again(ben, job, b);
    let another = town.accept(anna, job);
    assert!(town.won(a) && town.won(another));
    assert_eq!(town.lost(b), Some(LostReason::Taken));
    town.cancel(job);
    town.verdicts.clear();
    town.accept_again(anna, job, a);
    town.accept_again(ben, job, b);
    assert!(town.won(a), "the ledger remembers when the job is over");
    assert_eq!(town.lost(b), Some(LostReason::Taken));
}

#[test]
fn the_winner_who_asks_twice_before_the_commit_hears_won_twice() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    town.held = true;
    let a = town.accept(anna, job);
    let again = town.accept(anna, job);
    town.release();
    assert!(town.won(a) && town.won(again));
}

#[test]
fn a_cancel_that_finds_the_word_taken_waits_and_then_cancels_what_is_assigned() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    let (a, b) = (Key(town.id()), Key(town.id()));
    let accept = town.take_word(anna, job, a).expect("open");
    let behind = town.take_word(ben, job, b).expect("taken, not settled");
    let request = town.cancel(job);
    assert_eq!(town.answers.get(&request), None, "set aside");
    town.deliver(behind);
    town.deliver(accept);
    assert!(town.won(a));
    assert_eq!(town.lost(b), Some(LostReason::Taken), "what her closed offer says");
    assert_eq!(town.state(job), JobState::Cancelled);
    assert_eq!(town.kinds(job), ["posted", "wave_opened", "assigned", "cancelled"]);
    let cards: Vec<_> = town.hears(anna).filter(|message| matches!(message, FriendMessage::Job(_))).collect();
    let FriendMessage::Job(last) = cards[cards.len() - 1] else { unreachable!("filtered") };
    assert_eq!((last.state, &last.customer), (JobState::Cancelled, &None), "the customer's data is withdrawn");
    assert!(matches!(&town.answers[&request], Answer::Job(view) if view.state == JobState::Cancelled));
}

#[test]
fn a_cancel_set_aside_for_a_first_who_is_refused_cancels_before_standby() {
    let mut town = Town::new();
    let anna = town.friend_with(100, |friend| friend.jobs_held_max = 1);
    let ben = town.friend(200);
    let (first, second) = (town.post(), town.post());
    let (a, b) = (Key(town.id()), Key(town.id()));
    let accept = town.take_word(anna, second, a).expect("open");
    let behind = town.take_word(ben, second, b).expect("taken, not settled");
    town.accept(anna, first);
    town.deliver(behind);
    town.cancel(second);
    town.deliver(accept);
    assert_eq!(town.lost(a), Some(LostReason::Capacity));
    assert_eq!(town.lost(b), Some(LostReason::JobCancelled));
    assert_eq!(town.state(second), JobState::Cancelled);
}

#[test]
fn cancelled_first_and_accepted_then_is_lost() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    town.held = true;
    town.cancel(job);
    let at_the_socket = town.accept(anna, job);
    assert_eq!(town.lost(at_the_socket), Some(LostReason::JobCancelled));
    town.release();
    let looked_up = town.accept(ben, job);
    assert_eq!(town.lost(looked_up), Some(LostReason::JobCancelled));
}

#[test]
fn an_accept_in_the_grace_after_expiry_wins_and_a_later_one_does_not() {
    for (late_ms, wins) in [(2 * SECOND, true), (2 * SECOND + 1, false)] {
        let mut town = Town::new();
        town.community.policy.normal.alarm_ms = 20 * 60 * MINUTE;
        let anna = town.friend(100);
        let job = town.post();
        town.wait(30 * MINUTE);
        assert_eq!(town.asked(job), [], "her offer is over");
        town.wait(late_ms);
        let key = town.accept(anna, job);
        assert_eq!(town.won(key), wins);
        assert_eq!(town.lost(key), (!wins).then_some(LostReason::Expired));
    }
}

#[test]
fn where_time_runs_sixty_times_faster_the_grace_is_two_seconds_of_the_wall() {
    for (late_ms, wins) in [(2 * MINUTE, true), (2 * MINUTE + 1, false)] {
        let mut town = Town::at_scale(60);
        town.community.policy.normal.alarm_ms = 20 * 60 * MINUTE;
        let anna = town.friend(100);
        let job = town.post();
        town.wait(30 * MINUTE + late_ms);
        let key = town.accept(anna, job);
        assert_eq!(town.won(key), wins);
    }
}

#[test]
fn declined_and_then_accepted_is_lost_and_the_next_still_can() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    let key = Key(town.id());
    let accept = town.take_word(anna, job, key).expect("open");
    town.decline(anna, job);
    town.deliver(accept);
    assert_eq!(town.lost(key), Some(LostReason::Declined));
    let b = town.accept(ben, job);
    assert!(town.won(b));
}

#[test]
fn who_handed_back_is_not_asked_in_the_new_wave() {
    let mut town = Town::new();
    let [anna, ben, carla] = town.friends([100, 200, 300]);
    let job = town.post();
    town.accept(anna, job);
    town.visit(anna, job, VisitEvent::HandBack);
    assert_eq!(town.asked(job), [ben, carla]);
    let b = town.accept(ben, job);
    assert!(town.won(b), "the attempt has a word of its own");
    assert_eq!(town.job(job).attempt, 2);
}

#[test]
fn who_declined_is_not_asked_when_the_winner_hands_back() {
    let mut town = Town::new();
    let [anna, ben, carla] = town.friends([100, 200, 300]);
    let job = town.post();
    town.decline(ben, job);
    town.accept(anna, job);
    town.visit(anna, job, VisitEvent::HandBack);
    assert_eq!(town.asked(job), [carla]);
}

fn moved(metres: u32) -> EditJob {
    EditJob { location: Some(north(metres)), ..EditJob::default() }
}

#[test]
fn an_accept_of_the_old_version_must_be_confirmed_anew() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    let (old, seen) = (Key(town.id()), town.offer(anna, job));
    town.edit(job, moved(1_100));
    let accept = town.take_word_of(anna, seen, 1, old).expect("a new word");
    town.deliver(accept);
    assert_eq!(town.verdict_on(old), Some((Verdict::NeedsReconfirm, None)));
    let renewed = town.hears(anna).filter_map(|message| match message {
        FriendMessage::OfferUpdate(update) => update.renewed.as_ref(),
        _ => None,
    });
    let cards: Vec<_> = renewed.map(|card| (card.revision, card.distance_m)).collect();
    assert_eq!(cards, [(2, 1_000), (2, 1_000)], "the new card, with the edit and with the verdict");
    let new = town.accept(anna, job);
    assert!(town.won(new));
}

#[test]
fn an_edit_that_finds_the_word_taken_reaches_the_winner() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    let key = Key(town.id());
    let accept = town.take_word(anna, job, key).expect("open");
    let request = town.edit(job, moved(1_000));
    assert_eq!(town.answers.get(&request), None, "set aside");
    town.deliver(accept);
    assert!(town.won(key));
    let last = town.hears(anna).last().cloned();
    let Some(FriendMessage::Job(card)) = last else { panic!("heard {last:?}") };
    assert_eq!((card.revision, card.location), (2, Some(north(1_000))));
    assert!(matches!(&town.answers[&request], Answer::Job(view) if view.revision == 2));
}

#[test]
fn a_job_at_its_end_waits_for_the_accept_that_took_the_word() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    let end = town.job(job).expire_at;
    town.wait(end.since(town.now) - SECOND);
    let key = Key(town.id());
    let accept = town.take_word(anna, job, key).expect("open");
    town.wait(5 * SECOND);
    assert_eq!(town.state(job), JobState::Unfilled, "the end is set aside");
    town.deliver(accept);
    assert!(town.won(key));
    assert_eq!(town.state(job), JobState::Assigned);
}

#[test]
fn restarted_between_commit_and_reply_the_retry_hears_won() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    town.held = true;
    let a = town.accept(anna, job);
    let b = town.accept(ben, job);
    let win = town.queue.iter().find_map(|commit| commit.record.clone()).expect("the win");
    town.ledger.write(&win).expect("written, and then the process ends");
    town.crash();
    assert_eq!(town.verdict_on(a), None);
    town.accept_again(anna, job, a);
    town.accept_again(ben, job, b);
    town.release();
    assert!(town.won(a));
    assert_eq!(town.lost(b), Some(LostReason::Taken));
}

#[test]
fn restarted_before_the_commit_it_is_decided_anew() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    town.held = true;
    let a = town.accept(anna, job);
    town.crash();
    town.held = false;
    let b = town.accept(ben, job);
    town.accept_again(anna, job, a);
    assert!(town.won(b), "Anna was told nothing");
    assert_eq!(town.lost(a), Some(LostReason::Taken));
}

#[test]
fn an_account_that_was_closed_meanwhile_cannot_win() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    town.streets.change(anna, |standing| {
        standing.profile = std::sync::Arc::new(Friend { account: Account::Left, ..(*standing.profile).clone() });
    });
    let a = town.accept(anna, job);
    assert_eq!(town.lost(a), Some(LostReason::NotSuitable));
    let b = town.accept(ben, job);
    assert!(town.won(b));
}

#[test]
fn who_is_limited_may_take_what_they_hold_and_is_not_asked_anew() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    town.streets.change(anna, |standing| {
        let account = Account::Limited { reason: "a word first".to_owned() };
        standing.profile = std::sync::Arc::new(Friend { account, ..(*standing.profile).clone() });
    });
    let next = town.post();
    assert_eq!(town.asked(next), [ben]);
    let key = town.accept(anna, job);
    assert!(town.won(key), "an offer that stands is a word given");
    assert_eq!(town.state(job), JobState::Assigned);
}

#[test]
fn another_friends_offer_is_like_one_that_does_not_exist() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    let (offer, key) = (town.offer(anna, job), Key(town.id()));
    let accept = town.take_word_of(ben, offer, 1, key).expect("not in his hand");
    town.deliver(accept);
    assert_eq!(town.verdict_on(key), None);
    let error = town.hears(ben).last().expect("an error");
    assert!(matches!(error, FriendMessage::Error { message_key, .. } if message_key == "error.offer_not_found"));
    assert_eq!(town.state(job), JobState::Dispatching);
}
