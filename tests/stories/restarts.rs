//! After a restart everything is as it was written, and the server waits a little for its friends.

use kiez_protocol::friend::VisitEvent;
use kiez_protocol::ids::FriendId;
use kiez_protocol::partner::JobState;

use super::town::{HOUR, MINUTE, SECOND, Town};

#[test]
fn what_was_live_is_live_again_with_its_deadlines() {
    let mut town = Town::new();
    let friends = town.friends([100, 200, 300, 400, 500, 600]);
    let (open, won, waiting) = (town.post(), town.post(), town.post_with(|booking| booking.answers.clear()));
    town.accept(friends[0], won);
    town.visit(friends[0], won, VisitEvent::Contacted);
    town.decline(friends[1], open);
    town.wait(MINUTE);
    let look = |town: &mut Town| {
        friends.iter().for_each(|friend| town.join(*friend));
        let jobs = [open, won, waiting].map(|id| {
            let job = town.job(id);
            let offers: Vec<_> = job.offers.iter().map(|offer| (offer.id, offer.state, offer.expires_at)).collect();
            (job.state, job.sequence, job.run.clone(), job.state_due, job.blocked.clone(), job.visit.clone(), offers)
        });
        (jobs, town.snapshots.clone())
    };
    let before = look(&mut town);
    town.crash();
    assert_eq!(look(&mut town), before);
    assert_eq!(town.asked(open), [friends[0], friends[2], friends[3], friends[4]]);
}

#[test]
fn for_fifteen_seconds_no_wave_is_spent_unless_it_is_full() {
    let mut town = Town::new();
    let friends: Vec<FriendId> = (0..8).map(|index| town.friend(100 + index * 100)).collect();
    let job = town.post();
    town.wait(3 * MINUTE - SECOND);
    for friend in &friends {
        town.streets.change(*friend, |standing| standing.reachable = false);
    }
    town.crash();
    town.wait(5 * SECOND);
    assert_eq!(town.job(job).run.wave, 1);
    friends[4..7].iter().for_each(|friend| town.arrives(*friend, 900));
    assert_eq!(town.asked(job).len(), 4, "three are no wave");
    town.wait(10 * SECOND);
    assert_eq!((town.asked(job).len(), town.job(job).run.wave), (7, 2));
}

#[test]
fn a_full_wave_does_not_wait_for_the_rest() {
    let mut town = Town::new();
    let friends = town.friends([100, 200, 300, 400, 500, 600, 700, 800]);
    let job = town.post();
    town.wait(3 * MINUTE - SECOND);
    town.crash();
    town.wait(SECOND);
    assert_eq!(town.asked(job), friends);
}

#[test]
fn a_seat_declined_in_the_grace_is_given_on_after_it() {
    let mut town = Town::new();
    let [a, b, c, d, e] = town.friends([100, 200, 300, 400, 500]);
    let job = town.post();
    town.streets.change(e, |standing| standing.reachable = false);
    town.crash();
    town.decline(a, job);
    assert_eq!(town.asked(job), [b, c, d]);
    town.streets.change(e, |standing| standing.reachable = true);
    town.wait(15 * SECOND);
    assert_eq!(town.asked(job), [b, c, d, e]);
}

#[test]
fn offers_have_the_grace_and_ten_seconds_to_arrive_again() {
    let mut town = Town::new();
    let [a, b, c, d, e] = town.friends([100, 200, 300, 400, 500]);
    let job = town.post();
    town.crash();
    town.wait(25 * SECOND - 1);
    assert_eq!(town.asked(job), [a, b, c, d]);
    town.join(b);
    town.wait(1);
    assert_eq!(town.asked(job), [a, b, c, d, e], "nobody but Ben is back");
}

#[test]
fn what_was_due_while_the_server_was_down_happens_in_order() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let job = town.post();
    town.accept(anna, job);
    town.now = town.now + 14 * HOUR;
    town.crash();
    town.wait(0);
    assert_eq!(town.state(job), JobState::Dispatching);
    assert_eq!(town.kinds(job).last(), Some(&"no_contact"));
}

#[test]
fn who_slept_spends_no_wave_on_those_who_are_back_first() {
    let mut town = Town::new();
    let friends: Vec<FriendId> = (0..8).map(|index| town.friend(100 + index * 100)).collect();
    let job = town.post();
    for friend in &friends {
        town.streets.change(*friend, |standing| standing.reachable = false);
    }
    town.sleeps(5 * MINUTE);
    friends[4..7].iter().for_each(|friend| town.arrives(*friend, 900));
    town.wait(14 * SECOND);
    assert_eq!((town.asked(job).len(), town.job(job).run.wave), (4, 1), "three are no wave");
    town.wait(SECOND);
    assert_eq!((town.asked(job).len(), town.job(job).run.wave), (7, 2));
}

#[test]
fn who_slept_waits_for_what_could_not_arrive() {
    let mut town = Town::new();
    let [a, b, c, d, e] = town.friends([100, 200, 300, 400, 500]);
    town.deaf.insert(a);
    let job = town.post();
    town.sleeps(MINUTE);
    town.wait(24 * SECOND);
    assert_eq!(town.asked(job), [a, b, c, d], "its seat is not given on yet");
    town.wait(2 * SECOND);
    assert_eq!(town.asked(job), [a, b, c, d, e]);
}

#[test]
fn duty_is_kept() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    town.duty(anna, true);
    town.duty(ben, true);
    town.duty(ben, false);
    town.crash();
    town.join(anna);
    town.join(ben);
    assert!(town.snapshots[&anna].duty.on);
    assert!(!town.snapshots[&ben].duty.on);
}
