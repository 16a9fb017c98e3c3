//! What is taken back, and what is changed after it was shown: a decline undone, a job edited under the eyes of friends.

use kiez_protocol::directory::{Language, Pricing};
use kiez_protocol::friend::{ClosedReason, DeclineReason, FriendMessage, LostReason, OfferUpdate, VisitEvent};
use kiez_protocol::ids::{FriendId, Key};
use kiez_protocol::money::{Currency, Money};
use kiez_protocol::partner::{EditJob, JobState};
use kiez_protocol::refusal::Code;

use super::town::{MINUTE, SECOND, Town, north};

impl Town {
    fn was_done(&self, friend: FriendId, key: Key) -> bool {
        self.hears(friend).any(|message| matches!(message, FriendMessage::Done { key: done } if *done == key))
    }

    fn was_refused(&self, friend: FriendId, key: Key) -> bool {
        let no = |message: &FriendMessage| matches!(message, FriendMessage::Error { code: Code::WrongState, key: Some(refused), .. } if *refused == key);
        self.hears(friend).any(no)
    }
}

#[test]
fn decline_a_accept_a_is_lost_declined_and_undo_is_possible_for_thirty_seconds() {
    let mut town = Town::by_default();
    let [a, b, c, d, e] = town.friends([100, 200, 300, 400, 500]);
    let job = town.post();
    town.decline(a, job);
    let tapped_twice = town.accept(a, job);
    assert_eq!(town.lost(tapped_twice), Some(LostReason::Declined));
    town.wait(30 * SECOND - 1);
    assert_eq!(town.asked(job), [b, c, d], "the seat stays empty");
    let undone = town.undo(a, job);
    assert!(town.was_done(a, undone));
    let renewed = |message: &FriendMessage| matches!(message, FriendMessage::OfferUpdate(OfferUpdate { renewed: Some(card), .. }) if card.job == job);
    assert!(town.hears(a).any(renewed), "the offer stands again");
    assert_eq!(town.asked(job), [a, b, c, d]);
    town.wait(MINUTE);
    assert_eq!(town.asked(job), [a, b, c, d], "nobody else has the seat");
    assert!(town.hears(e).next().is_none());
    let key = town.accept(a, job);
    assert!(town.won(key));
}

#[test]
fn after_thirty_seconds_the_seat_is_given_on_and_nothing_can_be_undone() {
    let mut town = Town::by_default();
    let [a, b, c, d, e] = town.friends([100, 200, 300, 400, 500]);
    let job = town.post();
    town.decline(a, job);
    town.wait(30 * SECOND);
    assert_eq!(town.asked(job), [b, c, d, e]);
    let offer = town.job(job).live_offers().last().expect("Emil's");
    assert_eq!((offer.wave, offer.wave_seat), (1, 0), "the same seat");
    let late = town.undo(a, job);
    assert!(town.was_refused(a, late));
    assert_eq!(town.asked(job), [b, c, d, e]);
}

#[test]
fn without_time_to_undo_a_seat_is_given_on_at_once() {
    let mut town = Town::by_default();
    town.community.policy.undo_ms = 0;
    let [a, b, c, d, e] = town.friends([100, 200, 300, 400, 500]);
    let job = town.post();
    town.decline(a, job);
    assert_eq!(town.asked(job), [b, c, d, e]);
    let undo = town.undo(a, job);
    assert!(town.was_refused(a, undo));
}

#[test]
fn an_undo_survives_a_restart_and_is_not_taken_twice() {
    let mut town = Town::by_default();
    let friends = town.friends([100, 200, 300, 400, 500]);
    for friend in friends {
        town.duty(friend, true);
    }
    let job = town.post();
    town.decline(friends[0], job);
    town.wait(SECOND);
    town.crash();
    for friend in friends {
        town.join(friend);
    }
    let undone = town.undo(friends[0], job);
    let again = town.undo(friends[0], job);
    assert!(town.was_done(friends[0], undone) && town.was_done(friends[0], again));
    assert_eq!(town.asked(job), friends[..4]);
    let undos = town.kinds(job).iter().filter(|kind| **kind == "decline_undone").count();
    assert_eq!(undos, 1);
    // And the seat of one that is not undone is given on after a restart, too.
    town.decline(friends[1], job);
    town.crash();
    for friend in friends {
        town.join(friend);
    }
    town.wait(MINUTE);
    assert_eq!(town.asked(job), [friends[0], friends[2], friends[3], friends[4]]);
}

#[test]
fn a_decline_taken_back_leaves_no_trace_in_what_was_too_vague() {
    let mut town = Town::by_default();
    let [a, b, c, ..] = town.friends([100, 200, 300, 400, 500]);
    let job = town.post();
    town.decline_for(a, job, DeclineReason::TooVague);
    town.undo(a, job);
    town.decline_for(b, job, DeclineReason::TooVague);
    assert_eq!(town.state(job), JobState::Dispatching, "one friend finds it too vague");
    town.decline_for(c, job, DeclineReason::TooVague);
    assert_eq!(town.state(job), JobState::Paused);
    let late = town.undo(c, job);
    assert!(town.was_refused(c, late), "nothing is offered any more");
}

#[test]
fn nothing_is_undone_into_a_full_hand_or_on_a_job_that_is_taken() {
    let mut town = Town::by_default();
    let [a, b] = town.friends([100, 200]);
    let job = town.post();
    town.decline(a, job);
    for _ in 0..3 {
        town.post();
    }
    let full = town.undo(a, job);
    assert!(town.was_refused(a, full), "three other offers came meanwhile");
    assert_eq!(town.asked(job), [b]);
    let mut other = Town::by_default();
    let [c, d] = other.friends([100, 200]);
    let job = other.post();
    other.decline(c, job);
    let key = other.accept(d, job);
    assert!(other.won(key));
    let late = other.undo(c, job);
    assert!(other.was_refused(c, late));
}

#[test]
fn whom_an_edited_job_no_longer_suits_is_let_go_and_the_next_is_asked() {
    let mut town = Town::by_default();
    let speaks_german = town.friend_with(100, |friend| friend.languages = vec![Language::De]);
    let [b, c, d, e] = town.friends([200, 300, 400, 500]);
    let stays_near = town.friend_with(50, |friend| friend.radius_m = 300);
    let job = town.post();
    assert_eq!(town.asked(job), [stays_near, speaks_german, b, c]);
    let mut customer = town.booking().customer;
    customer.language = Language::Fr;
    town.edit(job, EditJob { customer: Some(customer), ..EditJob::default() });
    assert_eq!(town.asked(job), [stays_near, b, c, d]);
    let superseded = |message: &FriendMessage| {
        matches!(message, FriendMessage::OfferClosed { reason: ClosedReason::Superseded, .. })
    };
    assert!(town.hears(speaks_german).any(superseded));
    let address = Some(town.booking().address);
    town.edit(job, EditJob { location: Some(north(600)), address, ..EditJob::default() });
    assert_eq!(town.asked(job), [b, c, d, e], "550 m are too far for who goes 300");
    let key = town.accept(b, job);
    assert!(town.won(key), "who is still suited accepts the new version");
}

#[test]
fn an_edit_meant_for_another_revision_is_refused() {
    let mut town = Town::by_default();
    town.friends([100, 200]);
    let job = town.post();
    let moved = |metres, revision| EditJob { location: Some(north(metres)), revision, ..EditJob::default() };
    let first = town.edit(job, moved(100, Some(1)));
    assert_eq!((town.refused(first), town.job(job).revision), (None, 2));
    let second = town.edit(job, moved(200, Some(1)));
    assert_eq!((town.refused(second), town.job(job).revision), (Some(Code::NeedsReconfirm), 2));
    let third = town.edit(job, moved(200, None));
    assert_eq!((town.refused(third), town.job(job).revision), (None, 3));
}

#[test]
fn after_a_hand_back_nobody_is_offered_less() {
    let mut town = Town::by_default();
    let euro = |amount| Money { amount, currency: Currency::Eur };
    town.package.pricing = Pricing::Hourly { from: euro(700), to: euro(3_000) };
    let paid =
        |town: &mut Town, metres, rate| town.friend_with(metres, move |friend| friend.hourly_rate = Some(euro(rate)));
    let (a, b) = (paid(&mut town, 100, 2_000), paid(&mut town, 200, 2_500));
    let job = town.post();
    let key = town.accept(a, job);
    assert!(town.won(key));
    // Ben asks for less now; for this job he has been offered more.
    town.streets.change(b, |standing| {
        std::sync::Arc::make_mut(&mut standing.profile).hourly_rate = Some(euro(1_000));
    });
    town.visit(a, job, VisitEvent::HandBack);
    assert_eq!(town.asked(job), [b]);
    let net = |town: &Town| town.job(job).live_offers().last().expect("Ben's").pay.net;
    assert_eq!(net(&town), euro(2_250), "25 € less ten percent");
}
