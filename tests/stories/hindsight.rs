//! Why not me: what the records of choices say to a friend who was not asked.

use kiez::dispatch::gates::Gate;
use kiez::dispatch::hindsight::why_not;
use kiez_protocol::directory::{Country, Crowd};
use kiez_protocol::friend::WhyNot;
use kiez_protocol::ids::{FriendId, JobId};
use kiez_protocol::money::{Currency, Money};
use kiez_protocol::profile::{Cap, Period};

use super::town::{HOUR, MINUTE, Town};

impl Town {
    fn why_not(&self, friend: FriendId, job: JobId) -> Option<WhyNot> {
        why_not(&self.ledger.jobs[&job].decisions, friend, "a name")
    }

    fn gate(&self, friend: FriendId, job: JobId) -> Option<Gate> {
        let why = self.why_not(friend, job).expect("was not asked");
        assert_eq!(why.missed, "a name");
        assert!(why.gate.is_none_or(|gate| why.message_key == format!("why_not.{}", gate.as_str())));
        why.gate
    }
}

#[test]
fn a_friend_just_under_their_yearly_cap_is_not_asked_for_what_would_lift_them_over_it_and_is_told_why() {
    let mut town = Town::new();
    // A job is 44.10 net: one fits, two do not.
    let income = Some(Money { amount: 8_000, currency: Currency::Eur });
    let careful = town.friend_with(100, |friend| friend.caps = vec![Cap { period: Period::Year, jobs: None, income }]);
    let ben = town.friend(200);
    let first = town.post();
    let yes = town.accept(careful, first);
    assert!(town.won(yes));
    let second = town.post();
    assert_eq!(town.asked(second), [ben]);
    assert_eq!(town.gate(careful, second), Some(Gate::Caps));
    let terms = town.why_not(careful, second).expect("was seen").terms;
    assert_eq!((terms.distance_m, terms.wave, terms.seats), (Some(100), 1, 4));
    assert_eq!(town.why_not(careful, first), None, "who was asked missed nothing");
    // What they have done counts after a restart, too.
    town.crash();
    town.wait(MINUTE);
    let third = town.post();
    assert_eq!((town.asked(third), town.gate(careful, third)), (vec![ben], Some(Gate::Caps)));
}

#[test]
fn a_friend_in_loerrach_is_told_that_a_basel_job_is_another_countrys() {
    let mut town = Town::new();
    (town.community.country, town.community.crowd) = (Country::Ch, Crowd::All);
    let loerrach = town.friend_with(9_000, |friend| friend.country = Country::De);
    let basel = town.post();
    town.wait(80 * HOUR);
    assert!(town.ledger.jobs[&basel].offers.is_empty(), "never, in all its waves");
    assert_eq!(town.gate(loerrach, basel), Some(Gate::Country));
    assert_eq!(town.why_not(loerrach, basel).expect("was seen").message_key, "why_not.country");
}

#[test]
fn who_was_suitable_and_not_near_enough_hears_their_rank() {
    let mut town = Town::new();
    town.friends([100, 200, 300, 400]);
    // Rounded to the same 400 m: they were weighed, and the ids decided.
    let fifth = town.friend(410);
    let job = town.post();
    let why = town.why_not(fifth, job).expect("was not asked");
    assert_eq!((why.gate, why.rank, why.message_key.as_str()), (None, Some(5), "why_not.rank"));
    assert_eq!(why.terms.distance_m, Some(400));
}

#[test]
fn who_stood_beyond_all_who_were_looked_at_hears_that_others_were_nearer() {
    let mut town = Town::new();
    town.friends([100, 200, 300, 400]);
    let far = town.friend(3_000);
    let job = town.post();
    let why = town.why_not(far, job).expect("was not asked");
    assert_eq!((why.gate, why.rank, why.message_key.as_str()), (None, None, "why_not.beyond"));
    assert!(why.terms.distance_m.is_none() && why.terms.beyond_m.is_some_and(|beyond_m| beyond_m < 3_000));
}

#[test]
fn the_last_look_that_saw_them_counts() {
    let mut town = Town::new();
    let anna = town.friend_with(100, |friend| friend.languages = vec![kiez_protocol::directory::Language::Fr]);
    let ben = town.friend(200);
    let job = town.post();
    assert_eq!(town.gate(anna, job), Some(Gate::Language));
    town.streets.change(anna, |standing| standing.on_duty = false);
    let carla = town.friend(300);
    town.arrives(carla, 300);
    assert_eq!(town.asked(job), [ben, carla]);
    assert_eq!(town.gate(anna, job), Some(Gate::OnDuty));
}

#[test]
fn the_answer_holds_nothing_of_the_place_the_customer_or_other_friends() {
    let mut town = Town::new();
    let near = town.friends([100, 200, 300, 400]);
    let far = town.friend_with(500, |friend| friend.communities.clear());
    let job = town.post();
    town.decline(near[0], job);
    let why = town.why_not(far, job).expect("was seen");
    let text = serde_json::to_string(&why).expect("plain data");
    for friend in near {
        assert!(!text.contains(&friend.to_string()), "{text}");
    }
    for secret in ["Geheim", "Kanari", "5550199", "52.4", "13.4", &job.to_string()] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
