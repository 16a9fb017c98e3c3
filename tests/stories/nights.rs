//! Quiet hours: nobody is offered anything at night, and what waits for an answer waits until the morning.

use kiez::dispatch::input::Input;
use kiez::dispatch::job::Direct;
use kiez_protocol::friend::{FriendMessage, VisitEvent};
use kiez_protocol::ids::{FriendId, JobId};
use kiez_protocol::ops::AlarmKind;
use kiez_protocol::partner::{JobState, Urgency};
use kiez_protocol::time::Time;

use super::town::{HOUR, MINUTE, SECOND, Town};

impl Town {
    /// Lets time pass until then.
    fn until(&mut self, instant: &str) {
        let instant: Time = instant.parse().expect("an instant");
        self.wait(instant.since(self.now));
    }

    fn ends(&self, friend: FriendId, job: JobId) -> Time {
        let offer = self.offer(friend, job);
        self.ledger.offer(offer).expect("was asked").1.expires_at
    }
}

fn at(instant: &str) -> Time {
    instant.parse().expect("an instant")
}

#[test]
fn a_job_of_the_night_is_offered_in_the_morning() {
    let mut town = Town::by_default();
    let friends = town.friends([100, 200, 300, 400, 500]);
    town.until("2026-09-21T20:00:00Z");
    let job = town.post();
    assert_eq!((town.asked(job), town.state(job)), (vec![], JobState::Dispatching));
    town.duty(friends[0], false);
    town.duty(friends[0], true);
    town.until("2026-09-22T05:29:59Z");
    assert!(town.hears(friends[0]).all(|message| !matches!(message, FriendMessage::Offer(_))));
    town.until("2026-09-22T05:30:00Z");
    assert_eq!(town.asked(job), friends[..4], "at half past seven");
    assert_eq!(town.job(job).run.wave, 1, "as if no time had passed");
    assert_eq!(town.ends(friends[0], job), at("2026-09-22T06:00:00Z"));
    town.wait(3 * MINUTE);
    assert_eq!(town.asked(job).len(), 5);
    town.until("2026-09-22T05:59:59Z");
    assert_eq!(town.state(job), JobState::Dispatching);
}

#[test]
fn the_clocks_of_waves_and_offers_stand_at_night() {
    let mut town = Town::by_default();
    let friends = town.friends([100, 200, 300, 400, 500, 600, 700, 800]);
    // 21:28 in Berlin: two minutes of three, and two of thirty.
    town.until("2026-09-21T19:28:00Z");
    let job = town.post();
    assert_eq!(town.ends(friends[0], job), at("2026-09-22T05:58:00Z"), "stored as an instant");
    town.until("2026-09-22T05:30:59Z");
    assert_eq!(town.asked(job), friends[..4], "held through the night");
    town.until("2026-09-22T05:31:00Z");
    assert_eq!(town.asked(job), friends, "the next wave");
    town.until("2026-09-22T05:58:00Z");
    assert_eq!(town.asked(job), friends[4..]);
    assert!(town.alarms.is_empty(), "the alarm stands as well");
}

#[test]
fn an_offer_may_be_accepted_at_night_and_the_contact_clock_runs() {
    let mut town = Town::by_default();
    let [anna] = town.friends([100]);
    town.until("2026-09-21T19:25:00Z");
    let job = town.post();
    town.until("2026-09-21T20:00:00Z");
    let key = town.accept(anna, job);
    assert!(town.won(key));
    assert_eq!(town.job(job).visit.as_ref().expect("won").contact_due, at("2026-09-22T08:00:00Z"));
    town.until("2026-09-22T08:30:00Z");
    assert_eq!(town.alarms.last().expect("twelve hours and a half").0, AlarmKind::ContactBreach);
}

#[test]
fn an_urgent_job_knows_no_night() {
    let mut town = Town::by_default();
    let friends = town.friends([100, 200, 300, 400, 500]);
    town.until("2026-09-21T22:00:00Z");
    let job = town.post_with(|booking| booking.urgency = Urgency::Urgent);
    assert_eq!(town.asked(job), friends[..4]);
    town.wait(90 * SECOND);
    assert_eq!(town.asked(job).len(), 5);
}

#[test]
fn a_seat_that_is_left_at_night_is_given_on_in_the_morning() {
    let mut town = Town::by_default();
    let friends = town.friends([100, 200, 300, 400, 500]);
    town.until("2026-09-21T19:29:00Z");
    let job = town.post();
    town.until("2026-09-21T21:00:00Z");
    town.decline(friends[1], job);
    town.until("2026-09-22T05:29:59Z");
    assert_eq!(town.asked(job), [friends[0], friends[2], friends[3]]);
    town.until("2026-09-22T05:30:00Z");
    assert_eq!(town.asked(job), [friends[0], friends[2], friends[3], friends[4]]);
}

#[test]
fn a_hand_back_at_night_asks_the_next_in_the_morning() {
    let mut town = Town::by_default();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    let key = town.accept(anna, job);
    assert!(town.won(key));
    town.until("2026-09-21T21:00:00Z");
    town.visit(anna, job, VisitEvent::HandBack);
    assert_eq!((town.asked(job), town.state(job)), (vec![], JobState::Dispatching));
    town.until("2026-09-22T05:30:00Z");
    assert_eq!(town.asked(job), [ben]);
}

#[test]
fn the_last_no_at_night_is_an_alarm_in_the_morning() {
    let mut town = Town::by_default();
    town.friends([100, 200, 300, 400]);
    let late = town.friend(500);
    town.streets.change(late, |standing| standing.reachable = false);
    town.until("2026-09-21T18:50:00Z");
    let job = town.post();
    town.until("2026-09-21T19:15:00Z");
    town.arrives(late, 500);
    // At 21:20 the alarm is due; only the late one still has an offer.
    town.until("2026-09-21T21:00:00Z");
    assert_eq!(town.asked(job), [late]);
    town.decline(late, job);
    town.until("2026-09-22T05:29:59Z");
    assert_eq!((town.alarms.len(), town.state(job)), (0, JobState::Dispatching), "nothing happens at night");
    town.until("2026-09-22T05:30:00Z");
    assert_eq!((town.alarms.len(), town.state(job)), (1, JobState::Unfilled));
}

#[test]
fn who_asks_in_the_evening_has_longer_in_the_morning() {
    let mut town = Town::by_default();
    let [anna] = town.friends([100]);
    town.until("2026-09-21T18:55:00Z");
    let job = town.post();
    assert_eq!(town.ends(anna, job), at("2026-09-21T19:25:00Z"));
    town.ask(anna, job, "Which lamp blinks?");
    assert_eq!(
        town.ends(anna, job),
        at("2026-09-22T05:35:00Z"),
        "five minutes of the evening, and five of the morning"
    );
}

// Found by `kiez simulate --friends 20 --jobs-per-day 40 --faults harsh --seed 26`: at half past seven time stood still.
#[test]
fn at_dawn_a_named_friend_out_of_reach_is_waited_for() {
    let mut town = Town::by_default();
    let (other, named) = (town.friend(100), town.friend(200));
    town.streets.change(named, |standing| standing.reachable = false);
    town.until("2026-09-21T20:00:00Z");
    let job = town.post_with(|booking| booking.direct = Some(Direct { friend: named, fallback: true }));
    town.until("2026-09-22T05:30:00Z");
    assert_eq!(town.asked(job), []);
    assert!(town.core.next_deadline() > Some(town.now), "and nothing is due at once");
    town.until("2026-09-22T06:00:00Z");
    town.arrives(named, 200);
    assert_eq!(town.asked(job), [named]);
    assert_eq!(town.ends(named, job), at("2026-09-22T07:30:00Z"), "two hours from the morning on");
    town.decline(named, job);
    assert_eq!(town.asked(job), [other]);
}

#[test]
fn a_restart_at_night_keeps_the_morning() {
    let mut town = Town::by_default();
    let friends = town.friends([100, 200, 300, 400]);
    town.until("2026-09-21T19:25:00Z");
    let job = town.post();
    let ends = town.ends(friends[0], job);
    town.until("2026-09-21T23:00:00Z");
    town.crash();
    for friend in friends {
        town.join(friend);
    }
    assert_eq!(town.asked(job), friends);
    town.until("2026-09-22T05:54:59Z");
    assert_eq!((town.asked(job).len(), town.state(job)), (4, JobState::Dispatching));
    assert_eq!(town.ends(friends[0], job), ends);
    town.until("2026-09-22T05:55:00Z");
    assert_eq!(town.kinds(job).last(), Some(&"unfilled"), "thirty minutes after 21:25, by a clock that stood");
}

#[test]
fn the_night_is_that_of_the_communitys_time_zone_and_may_be_none() {
    for (zone, quiet, asked) in
        [("Europe/Berlin", true, false), ("Atlantic/Azores", true, true), ("Europe/Berlin", false, true)]
    {
        let mut town = Town::by_default();
        town.community.time_zone = zone.to_owned();
        if !quiet {
            town.community.policy.quiet = None;
        }
        town.friend(100);
        town.until("2026-09-21T19:45:00Z");
        let job = town.post();
        assert_eq!(!town.asked(job).is_empty(), asked, "{zone}");
    }
}

#[test]
fn nights_in_which_the_clocks_are_set_end_at_the_same_hour_on_the_wall() {
    for (evening, morning) in
        [("2026-10-24T19:40:00Z", "2026-10-25T06:30:00Z"), ("2027-03-27T20:40:00Z", "2027-03-28T05:30:00Z")]
    {
        let mut town = Town::by_default();
        town.now = at(evening);
        town.handle(Input::Tick);
        let anna = town.friend(100);
        let job = town.post();
        town.wait(at(morning).since(at(evening)) - 1);
        assert_eq!(town.asked(job), []);
        town.wait(1);
        assert_eq!(town.asked(job), [anna]);
        assert_eq!(town.ends(anna, job), at(morning) + HOUR / 2);
    }
}
