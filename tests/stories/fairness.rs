//! One seat of each wave goes to who has waited longest near by, and every choice can be made again from its record.

use kiez::dispatch::decision::{Decision, Outcome};
use kiez::dispatch::gates::Gate;
use kiez::dispatch::rank::Wait;
use kiez_protocol::friend::{FriendMessage, WhyReason};
use kiez_protocol::ids::{FriendId, JobId};

use super::town::{HOUR, MINUTE, SECOND, Town};

const DAY: i64 = 24 * HOUR;

impl Town {
    /// The friend goes off duty and on again, so that it is known since when they wait.
    fn on_duty_anew(&mut self, friend: FriendId) {
        self.duty(friend, false);
        self.duty(friend, true);
    }

    fn decisions(&self, job: JobId) -> &[Decision] {
        &self.ledger.jobs[&job].decisions
    }

    /// What gave the seat, the rank, and whether they were told how long they had waited.
    fn why(&self, friend: FriendId, job: JobId) -> Option<(WhyReason, u16, bool)> {
        self.hears(friend).find_map(|message| match message {
            FriendMessage::Offer(offer) if offer.job == job => {
                assert_eq!(offer.why.distance_m, offer.distance_m);
                Some((offer.why.reason, offer.why.rank, offer.why.deficit_days.is_some()))
            }
            _ => None,
        })
    }
}

#[test]
fn the_longest_wait_within_one_and_a_half_times_the_fourths_distance_gets_a_seat() {
    let mut town = Town::new();
    let near = town.friends([100, 200, 300, 400]);
    let patient = town.friend(600);
    let beyond = town.friend(650);
    town.on_duty_anew(patient);
    town.on_duty_anew(beyond);
    town.wait(DAY);
    let job = town.post();
    assert_eq!(town.asked(job), [near[0], near[1], near[2], patient]);
    assert_eq!(town.why(patient, job), Some((WhyReason::Fairness, 5, true)));
    assert_eq!(town.why(near[2], job), Some((WhyReason::Nearest, 3, false)));
    let decision = &town.decisions(job)[0];
    let seen: Vec<_> = decision.candidates.iter().map(|candidate| (candidate.friend, candidate.outcome)).collect();
    let near_seat = |rank: u16| Outcome::Seat { seat: rank as u8, rank, why: WhyReason::Nearest };
    assert_eq!(
        seen,
        [
            (near[0], near_seat(1)),
            (near[1], near_seat(2)),
            (near[2], near_seat(3)),
            (near[3], Outcome::Ranked { rank: 4 }),
            (patient, Outcome::Seat { seat: 0, rank: 5, why: WhyReason::Fairness }),
        ],
        "the walk goes as far as the seat reaches, and no farther"
    );
    assert_eq!(decision.beyond_m, Some(650), "rounded half up: whoever stands at 625 m or farther");
    let waited = decision.candidates[4].waited.expect("is suitable");
    assert_eq!((waited.wait, waited.deficit_days), (Wait { days: 1, newcomer: true, offers: 0 }, 8));
}

#[test]
fn switched_off_the_nearest_get_all_seats_and_another_reach_is_data_of_the_policy() {
    for (seat, percent, gets) in [(false, 150, false), (true, 150, true), (true, 149, false), (true, 100, false)] {
        let mut town = Town::new();
        town.community.policy.fairness_seat = seat;
        town.community.policy.fairness_reach_percent = percent;
        town.friends([100, 200, 300, 400]);
        let patient = town.friend(600);
        town.on_duty_anew(patient);
        town.wait(DAY);
        let job = town.post();
        assert_eq!(town.asked(job).contains(&patient), gets, "{seat} {percent}");
    }
}

#[test]
fn where_the_cap_holds_fewer_than_four_nobody_is_passed_over() {
    let mut town = Town::new();
    let three = town.friends([100, 200, 300]);
    let far = town.friend(20_000);
    town.on_duty_anew(far);
    town.wait(DAY);
    let job = town.post();
    assert_eq!(town.asked(job), [three[0], three[1], three[2], far], "the next cap holds four, and far is the fourth");
    assert!(town.decisions(job)[0].fairness.is_some());
    town.streets.change(far, |standing| standing.reachable = false);
    let job = town.post();
    assert_eq!(town.asked(job), three);
    assert_eq!(town.decisions(job)[0].fairness, None);
}

#[test]
fn who_was_offered_something_waits_anew_and_the_next_longest_is_next() {
    let mut town = Town::new();
    town.community.policy.hand_max = 16;
    town.friends([100, 200, 300, 400]);
    let [first, second] = town.friends([500, 550]);
    town.on_duty_anew(first);
    town.wait(DAY);
    town.on_duty_anew(second);
    town.wait(DAY);
    let seats: Vec<JobId> = (0..3).map(|_| town.post()).collect();
    assert!(town.asked(seats[0]).contains(&first), "has waited two days");
    assert!(town.asked(seats[1]).contains(&second), "has waited one");
    let third = town.asked(seats[2]);
    assert!(!third.contains(&first) && !third.contains(&second), "both were offered something a moment ago");
}

#[test]
fn who_gets_many_offers_waits_less_than_the_calendar_says() {
    let mut town = Town::new();
    town.community.policy.hand_max = 16;
    let near = town.friends([100, 200, 300, 400]);
    for _ in 0..6 {
        let job = town.post();
        town.cancel(job);
    }
    let [busy, calm] = town.friends([500, 550]);
    // Each gets an offer on the same day; busy gets five more.
    for friend in near {
        town.streets.change(friend, |standing| standing.reachable = false);
    }
    town.streets.change(calm, |standing| standing.reachable = false);
    for _ in 0..9 {
        let job = town.post();
        town.cancel(job);
    }
    for friend in near.into_iter().chain([calm]) {
        town.streets.change(friend, |standing| standing.reachable = true);
    }
    town.streets.change(busy, |standing| standing.reachable = false);
    let job = town.post();
    assert!(town.asked(job).contains(&calm), "a newcomer's week");
    town.cancel(job);
    town.streets.change(busy, |standing| standing.reachable = true);
    town.wait(10 * DAY);
    let job = town.post();
    let decision = &town.decisions(job)[0];
    let deficit = |friend| {
        let mut theirs = decision.candidates.iter().filter(|candidate| candidate.friend == friend);
        theirs.next().and_then(|candidate| candidate.waited).expect("was weighed")
    };
    assert_eq!(decision.median_offers, 7);
    assert_eq!((deficit(busy).wait.offers, deficit(busy).deficit_days), (9, 8), "ten days less two offers");
    assert_eq!((deficit(near[0]).wait.offers, deficit(near[0]).deficit_days), (7, 10));
    assert_eq!((deficit(calm).wait.offers, deficit(calm).deficit_days), (1, 10));
}

#[test]
fn a_seat_given_on_keeps_what_it_was_kept_for() {
    let mut town = Town::new();
    let near = town.friends([100, 200, 300, 400, 450]);
    let [patient, next] = town.friends([550, 600]);
    town.on_duty_anew(patient);
    town.on_duty_anew(next);
    town.wait(DAY);
    let job = town.post();
    assert_eq!(town.asked(job), [near[0], near[1], near[2], patient], "both have waited as long, and one is nearer");
    town.decline(near[0], job);
    town.wait(MINUTE);
    assert_eq!(town.asked(job), [near[1], near[2], patient, near[3]], "a seat of the nearest goes to the nearest");
    town.decline(patient, job);
    town.wait(MINUTE);
    assert_eq!(town.asked(job), [near[1], near[2], near[3], next], "the seat of the longest wait to the next longest");
    assert_eq!(town.why(next, job).map(|why| why.0), Some(WhyReason::Fairness));
}

#[test]
fn suitable_friends_with_a_full_hand_are_passed_over_and_recorded_so() {
    let mut town = Town::new();
    let [full, free] = town.friends([100, 200]);
    town.streets.change(free, |standing| standing.reachable = false);
    for _ in 0..3 {
        town.post();
    }
    town.streets.change(free, |standing| standing.reachable = true);
    let job = town.post();
    assert_eq!(town.asked(job), [free]);
    let passed = town.decisions(job)[0].candidates.iter().find(|candidate| candidate.friend == full).expect("was seen");
    assert_eq!((passed.outcome, passed.waited), (Outcome::Failed { gate: Gate::FullHand }, None));
}

#[test]
fn a_restart_forgets_no_wait() {
    let mut town = Town::new();
    let near = town.friends([100, 200, 300, 400]);
    let patient = town.friend(600);
    town.on_duty_anew(patient);
    town.wait(3 * DAY);
    let first = town.post();
    assert!(town.asked(first).contains(&patient));
    town.cancel(first);
    town.wait(2 * DAY);
    let everybody = || near.into_iter().chain([patient]);
    let waits = |town: &Town| everybody().map(|friend| town.core.wait_of(friend, town.now)).collect::<Vec<_>>();
    let before = waits(&town);
    assert_eq!(before[4], Wait { days: 2, newcomer: false, offers: 1 });
    assert_eq!(before[3], Wait { days: 0, newcomer: true, offers: 0 }, "was passed over");
    town.crash();
    assert_eq!(waits(&town), before);
    town.wait(20 * SECOND);
    let job = town.post();
    assert!(town.asked(job).contains(&near[3]) && !town.asked(job).contains(&patient));
}

#[test]
fn an_offer_whose_record_was_refused_ends_no_wait() {
    let mut town = Town::new();
    let patient = town.friend(600);
    town.on_duty_anew(patient);
    town.wait(3 * DAY);
    let before = town.core.wait_of(patient, town.now);
    town.refuses = true;
    let booking = town.booking();
    town.post_keyed(booking, None);
    assert_eq!((town.refusals, town.core.wait_of(patient, town.now)), (1, before));
}
