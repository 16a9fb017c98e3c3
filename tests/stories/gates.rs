//! Who is suitable: every gate by name, their order, and what a job adds to what a friend has done.

use std::sync::Arc;

use kiez::dispatch::capacity::Load;
use kiez::dispatch::caps::Taken;
use kiez::dispatch::decision::Outcome;
use kiez::dispatch::gates::{Ask, Gate};
use kiez::dispatch::input::Input;
use kiez::dispatch::nearest::{Nearby, Standing};
use kiez_protocol::directory::{Country, CountryPair, Crowd, Friend, Language, Pricing, Site, SkillLevel, Tier};
use kiez_protocol::friend::{CapNear, FriendMessage, LostReason, VisitEvent};
use kiez_protocol::hours::{Hours, Weekday};
use kiez_protocol::ids::{FriendId, JobId, OfferId};
use kiez_protocol::money::{Currency, Money};
use kiez_protocol::partner::{JobState, Window};
use kiez_protocol::profile::{Account, Block, Cap, Certificate, Check, CheckKind, Period};
use kiez_protocol::time::Time;
use uuid::Uuid;

use super::town::{HOUR, MINUTE, Town, ada, north};

const DAY: i64 = 24 * HOUR;

fn euro(amount: i64) -> Money {
    Money { amount, currency: Currency::Eur }
}

fn word<W: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> W {
    text.parse().expect("a word")
}

fn hours(days: &[Weekday], from: &str, to: &str) -> Hours {
    Hours { days: days.to_vec(), from: word(from), to: word(to) }
}

fn passed(kind: CheckKind, valid_until: Option<Time>) -> Check {
    Check { kind, at: Time(0), by: "ops".to_owned(), valid_until, evidence_ref: None, years: None, partner: None }
}

fn cap(period: Period, jobs: Option<u32>, income: Option<i64>) -> Cap {
    Cap { period, jobs, income: income.map(euro) }
}

impl Town {
    /// The gate that kept `friend` from the first choice of a job.
    fn kept_by(&self, friend: FriendId, job: JobId) -> Option<Gate> {
        let decision = self.ledger.jobs[&job].decisions.first().expect("a choice was made");
        let seen = decision.candidates.iter().find(|seen| seen.friend == friend).expect("was seen");
        match seen.outcome {
            Outcome::Failed { gate } => Some(gate),
            Outcome::Seat { .. } | Outcome::Ranked { .. } => None,
        }
    }

    /// Posts a job and says by which gate a friend like this, 100 m away, is kept from it.
    fn keeps(&mut self, with: impl FnOnce(&mut Friend)) -> Option<Gate> {
        let friend = self.friend_with(100, with);
        let job = self.post();
        let gate = self.kept_by(friend, job);
        assert_eq!(self.asked(job).contains(&friend), gate.is_none());
        self.cancel(job);
        self.streets.change(friend, |standing| standing.reachable = false);
        gate
    }
}

#[test]
fn the_gates_stand_in_the_order_of_the_rules() {
    // Rules of the trade, §4, "Suitable"; the rate as the customer's limit, and the knowledge test among the checks.
    let rules = "active on_duty reachable community country tier skill certificate identity age insurance knowledge \
                 partner_customer language rate distance overlap capacity caps blocked cool_down full_hand";
    let names = Gate::ALL.map(|gate| serde_json::to_value(gate).expect("a name"));
    assert_eq!(names.map(|name| name.as_str().expect("a text").to_owned()).join(" "), rules);
}

/// A friend whom every gate keeps out.
struct Case {
    friend: Friend,
    on_duty: bool,
    reachable: bool,
    distance_m: f64,
    load: Load,
}

type Mend = fn(&mut Case);

/// What each gate takes to open, given that those before it are open.
const MENDS: [(Gate, Mend); 22] = [
    (Gate::Active, |case| case.friend.account = Account::Active),
    (Gate::OnDuty, |case| case.on_duty = true),
    (Gate::Reachable, |case| case.reachable = true),
    (Gate::Community, |case| case.friend.communities = vec![word("berlin-tech")]),
    (Gate::Country, |case| case.friend.country = Country::De),
    (Gate::Tier, |case| case.friend.tier = Tier::Friend),
    (Gate::Skill, |case| case.friend.skills = vec![SkillLevel { skill: word("wifi"), level: 2 }]),
    (Gate::Certificate, |case| case.friend.certificates[0].valid_until = None),
    (Gate::Identity, |case| case.friend.checks.push(passed(CheckKind::IdentityAndBackground, None))),
    (Gate::Age, |case| case.friend.checks.push(Check { years: Some(21), ..passed(CheckKind::Age, None) })),
    (Gate::Insurance, |case| case.friend.checks.push(passed(CheckKind::Insurance, None))),
    (Gate::Knowledge, |case| case.friend.checks.push(passed(CheckKind::Knowledge, None))),
    (Gate::PartnerCustomer, |case| case.friend.customer_of = vec![ada()]),
    (Gate::Language, |case| case.friend.languages.push(Language::De)),
    (Gate::Rate, |case| case.friend.hourly_rate = Some(euro(2_000))),
    (Gate::Distance, |case| case.distance_m = 2_000.0),
    (Gate::Overlap, |case| case.load.appointments.clear()),
    (Gate::Capacity, |case| case.friend.jobs_held_max = 2),
    (Gate::Caps, |case| case.friend.caps.clear()),
    (Gate::Blocked, |case| case.friend.phone = None),
    (Gate::CoolDown, |case| case.load.cool_until = None),
    (Gate::FullHand, |case| case.load.hand.clear()),
];

#[test]
fn the_first_gate_that_fails_is_named_whatever_fails_behind_it() {
    let mut town = Town::new();
    town.community.checks = vec![CheckKind::IdentityAndBackground, CheckKind::Insurance, CheckKind::Knowledge];
    (town.community.age_min, town.community.partner_customer) = (Some(21), true);
    town.package.skills = vec![SkillLevel { skill: word("wifi"), level: 2 }];
    town.package.certificates = vec![word("electrician")];
    town.package.pricing = Pricing::Hourly { from: euro(700), to: euro(3_000) };
    let window = Window { from: town.now + HOUR, to: town.now + 3 * HOUR };
    let job = town.post_with(|booking| booking.windows = vec![window]);
    let now = town.now;
    let mut friend = Friend::new(FriendId(Uuid::from_u128(1)), "Nobody", Country::Ch);
    friend.account = Account::Suspended { reason: "a story".to_owned() };
    friend.tier = Tier::Pro;
    friend.certificates = vec![Certificate { certificate: word("electrician"), valid_until: Some(now) }];
    friend.languages = vec![Language::Pl];
    friend.radius_m = 2_000;
    friend.jobs_held_max = 1;
    friend.caps = vec![cap(Period::Year, Some(1), None)];
    friend.phone = Some("+49 30 5550199".to_owned());
    let held = JobId(Uuid::from_u128(2));
    let mut load = Load { cool_until: Some(now + 1), ..Load::default() };
    load.held.push((held, 0));
    load.appointments.push((held, window));
    load.taken.push(Taken { job: held, at: now, net: euro(100) });
    load.hand.extend((0..3).map(|offer| OfferId(Uuid::from_u128(offer))));
    let mut case = Case { friend, on_duty: false, reachable: false, distance_m: 2_001.0, load };

    let ask = Ask { job: town.job(job), stage: 1, now, cap_m: 3_800.0 };
    let check = |case: &Case| {
        let standing = Standing {
            friend: case.friend.id,
            profile: Arc::new(case.friend.clone()),
            position: north(2_000),
            on_duty: case.on_duty,
            reachable: case.reachable,
        };
        ask.check(&standing, case.distance_m, Some(&case.load))
    };
    assert_eq!(MENDS.map(|(gate, _)| gate), Gate::ALL);
    for (gate, mend) in MENDS {
        assert_eq!(check(&case), Err(gate));
        mend(&mut case);
    }
    assert_eq!(check(&case), Ok(()));
}

#[test]
fn gate_active_only_an_active_account_is_asked() {
    let mut town = Town::new();
    let reason = || "a story".to_owned();
    for account in [
        Account::Applied,
        Account::Checked,
        Account::Tested,
        Account::Limited { reason: reason() },
        Account::Suspended { reason: reason() },
        Account::Left,
    ] {
        assert_eq!(town.keeps(|friend| friend.account = account), Some(Gate::Active));
    }
    assert_eq!(town.keeps(|friend| friend.account = Account::Active), None);
}

#[test]
fn gate_on_duty_or_hours_that_meet_a_wish_window() {
    // The story begins on a Monday at 16:13 in Berlin.
    let mut town = Town::new();
    let now = town.now;
    let off_duty = |town: &mut Town, hours: Vec<Hours>| {
        let friend = town.friend_with(100, |friend| friend.availability = hours);
        town.streets.change(friend, |standing| standing.on_duty = false);
        friend
    };
    let idle = off_duty(&mut town, vec![]);
    let evening = off_duty(&mut town, vec![hours(&[Weekday::Mon], "18:00", "20:00")]);
    let weekend = off_duty(&mut town, vec![hours(&[Weekday::Sat, Weekday::Sun], "00:00", "24:00")]);
    let tonight = town.post_with(|booking| booking.windows = vec![Window { from: now, to: now + 3 * HOUR }]);
    assert_eq!(town.asked(tonight), [evening], "their hours begin before the window ends");
    assert_eq!(town.kept_by(idle, tonight), Some(Gate::OnDuty));
    assert_eq!(town.kept_by(weekend, tonight), Some(Gate::OnDuty));
    let soon = town.post_with(|booking| booking.windows = vec![Window { from: now, to: now + HOUR }]);
    assert_eq!(town.asked(soon), []);
    let saturday = now + 5 * DAY;
    let later = town.post_with(|booking| booking.windows = vec![Window { from: saturday, to: saturday + HOUR }]);
    assert_eq!(town.asked(later), [weekend]);
    let any_time = town.post();
    assert_eq!(
        town.asked(any_time),
        [evening],
        "a customer without windows has time until the job ends, in three days"
    );
    town.duty(idle, true);
    assert!(town.asked(soon).contains(&idle), "duty is enough");
}

#[test]
fn gate_reachable() {
    let mut town = Town::new();
    let anna = town.friend(100);
    town.streets.change(anna, |standing| standing.reachable = false);
    let job = town.post();
    assert_eq!((town.asked(job), town.kept_by(anna, job)), (vec![], Some(Gate::Reachable)));
    town.arrives(anna, 100);
    assert_eq!(town.asked(job), [anna]);
}

#[test]
fn gate_community_holds_until_the_whole_crowd_joins() {
    let mut town = Town::new();
    let stranger = |friend: &mut Friend| friend.communities = vec![word("zuerich-tech")];
    assert_eq!(town.keeps(stranger), Some(Gate::Community));
    town.community.crowd = Crowd::All;
    assert_eq!(town.keeps(stranger), None);
}

#[test]
fn gate_country_a_basel_job_never_reaches_a_friend_in_loerrach() {
    let mut town = Town::new();
    (town.community.country, town.community.crowd) = (Country::Ch, Crowd::All);
    // Nine kilometres away, across the border, and nobody nearer.
    let loerrach = town.friend_with(9_000, |friend| friend.country = Country::De);
    let basel = town.post();
    town.wait(80 * HOUR);
    assert_eq!(town.kept_by(loerrach, basel), Some(Gate::Country));
    assert!(town.ledger.jobs[&basel].offers.is_empty() && town.state(basel) == JobState::Expired);

    town.community.cross_border = vec![CountryPair { friend: Country::De, job: Country::Ch }];
    let named = town.post();
    assert_eq!(town.asked(named), [loerrach], "unless the community names the pair");
    assert_eq!(town.keeps(|friend| friend.country = Country::At), Some(Gate::Country), "another pair");
}

#[test]
fn gate_tier() {
    let mut town = Town::new();
    assert_eq!(town.keeps(|friend| friend.tier = Tier::Pro), Some(Gate::Tier), "pros join later");
    town.package.tier = Tier::Pro;
    assert_eq!(town.keeps(|friend| friend.tier = Tier::Friend), Some(Gate::Tier));
    assert_eq!(town.keeps(|friend| friend.tier = Tier::Pro), None);
}

#[test]
fn gate_skill_at_its_level() {
    let mut town = Town::new();
    let skill = |level| SkillLevel { skill: word("wifi"), level };
    town.package.skills = vec![skill(3)];
    assert_eq!(town.keeps(|_| {}), Some(Gate::Skill));
    assert_eq!(town.keeps(|friend| friend.skills = vec![skill(2)]), Some(Gate::Skill));
    assert_eq!(town.keeps(|friend| friend.skills = vec![skill(3)]), None);
}

#[test]
fn gate_certificate_until_it_runs_out() {
    let mut town = Town::new();
    town.package.certificates = vec![word("electrician")];
    let now = town.now;
    let certificate = |valid_until| vec![Certificate { certificate: word("electrician"), valid_until }];
    assert_eq!(town.keeps(|_| {}), Some(Gate::Certificate));
    assert_eq!(town.keeps(|friend| friend.certificates = certificate(Some(now))), Some(Gate::Certificate));
    assert_eq!(town.keeps(|friend| friend.certificates = certificate(Some(now + 1))), None);
    assert_eq!(town.keeps(|friend| friend.certificates = certificate(None)), None);
}

#[test]
fn gates_identity_insurance_and_knowledge_as_the_community_asks() {
    for (kind, gate) in [
        (CheckKind::IdentityAndBackground, Gate::Identity),
        (CheckKind::Insurance, Gate::Insurance),
        (CheckKind::Knowledge, Gate::Knowledge),
    ] {
        let mut town = Town::new();
        let now = town.now;
        assert_eq!(town.keeps(|_| {}), None, "nobody asks for it");
        town.community.checks = vec![kind];
        assert_eq!(town.keeps(|_| {}), Some(gate));
        assert_eq!(town.keeps(|friend| friend.checks = vec![passed(kind, Some(now))]), Some(gate), "over");
        assert_eq!(town.keeps(|friend| friend.checks = vec![passed(kind, Some(now + 1))]), None);
    }
}

#[test]
fn gate_age() {
    let mut town = Town::new();
    let aged = |years| vec![Check { years, ..passed(CheckKind::Age, None) }];
    town.community.checks = vec![CheckKind::Age];
    assert_eq!(town.keeps(|_| {}), Some(Gate::Age));
    assert_eq!(town.keeps(|friend| friend.checks = aged(Some(17))), Some(Gate::Age));
    assert_eq!(town.keeps(|friend| friend.checks = aged(None)), None, "eighteen unless it says otherwise");
    town.community.age_min = Some(21);
    assert_eq!(town.keeps(|friend| friend.checks = aged(None)), Some(Gate::Age));
    assert_eq!(town.keeps(|friend| friend.checks = aged(Some(21))), None);
}

#[test]
fn gate_partner_customer_for_the_communitys_own_friends() {
    let mut town = Town::new();
    town.community.partner_customer = true;
    let now = town.now;
    let of = |partner: &str, valid_until| Check {
        partner: Some(word(partner)),
        ..passed(CheckKind::PartnerCustomer, valid_until)
    };
    assert_eq!(town.keeps(|_| {}), Some(Gate::PartnerCustomer));
    assert_eq!(town.keeps(|friend| friend.customer_of = vec![ada()]), None);
    assert_eq!(town.keeps(|friend| friend.checks = vec![of("other-telco", None)]), Some(Gate::PartnerCustomer));
    assert_eq!(town.keeps(|friend| friend.checks = vec![of("ada-telco", Some(now))]), Some(Gate::PartnerCustomer));
    assert_eq!(town.keeps(|friend| friend.checks = vec![of("ada-telco", None)]), None);
    town.community.crowd = Crowd::All;
    let other = |friend: &mut Friend| friend.communities = vec![word("zuerich-tech")];
    assert_eq!(town.keeps(other), None, "the crowd that has joined keeps the other gates, not this one");
}

#[test]
fn gate_language() {
    let mut town = Town::new();
    assert_eq!(town.keeps(|friend| friend.languages = vec![Language::Fr]), Some(Gate::Language));
    assert_eq!(town.keeps(|friend| friend.languages = vec![Language::Fr, Language::De]), None);
}

#[test]
fn gate_rate() {
    let mut town = Town::new();
    town.package.pricing = Pricing::Hourly { from: euro(700), to: euro(3_000) };
    assert_eq!(town.keeps(|_| {}), Some(Gate::Rate));
    assert_eq!(town.keeps(|friend| friend.hourly_rate = Some(euro(3_001))), Some(Gate::Rate));
    assert_eq!(town.keeps(|friend| friend.hourly_rate = Some(euro(3_000))), None);
    let rich = town.friend_with(100, |friend| friend.hourly_rate = Some(euro(1_801)));
    let cheap = town.friend_with(200, |friend| friend.hourly_rate = Some(euro(1_800)));
    let job = town.post_with(|booking| booking.max_hourly_rate = Some(euro(1_800)));
    assert_eq!((town.asked(job), town.kept_by(rich, job)), (vec![cheap], Some(Gate::Rate)));
}

#[test]
fn gate_distance_of_the_cap_and_of_ones_own_radius_and_none_for_remote_work() {
    let mut town = Town::new();
    let homely = town.friend_with(2_000, |friend| friend.radius_m = 1_999);
    let far = town.friend(400_000);
    let job = town.post();
    assert_eq!((town.asked(job), town.kept_by(homely, job)), (vec![], Some(Gate::Distance)));
    town.package.site = Site::Remote;
    let remote = town.post();
    assert_eq!(town.asked(remote), [homely, far]);
}

#[test]
fn gate_overlap_looks_at_agreed_appointments() {
    let mut town = Town::new();
    let from = town.now + HOUR;
    let window = |from_min: i64, to_min: i64| Window { from: from + from_min * MINUTE, to: from + to_min * MINUTE };
    let job = town.post_with(|booking| booking.windows = vec![window(0, 120)]);
    let anna = town.friend(100);
    let standing = town.streets.find(anna).expect("lives here");
    let opens = |appointments: &[Window]| {
        let mut load = Load::default();
        load.appointments.extend(appointments.iter().map(|busy| (JobId(Uuid::from_u128(1)), *busy)));
        let ask = Ask { job: town.job(job), stage: 1, now: town.now, cap_m: 3_800.0 };
        ask.opens(Gate::Overlap, &standing, 100.0, Some(&load))
    };
    assert!(opens(&[]));
    assert!(opens(&[window(60, 180)]), "an hour is left before, and the work takes one");
    assert!(!opens(&[window(59, 180)]));
    assert!(!opens(&[window(-10, 30), window(60, 70), window(80, 300)]));
    assert!(opens(&[window(-500, 0), window(120, 200)]), "they touch the window");
}

#[test]
fn gate_capacity() {
    let mut town = Town::new();
    let anna = town.friend_with(100, |friend| friend.jobs_held_max = 1);
    let first = town.post();
    town.accept(anna, first);
    let second = town.post();
    assert_eq!(town.kept_by(anna, second), Some(Gate::Capacity));
}

#[test]
fn gate_caps_who_is_just_under_a_yearly_cap_is_not_asked_for_what_would_lift_them_over_it() {
    // A job is 49.00, and 10 % stay with the platform: 44.10 net.
    let mut town = Town::new();
    let anna = town.friend_with(100, |friend| friend.caps = vec![cap(Period::Year, None, Some(8_819))]);
    let ben = town.friend_with(200, |friend| friend.caps = vec![cap(Period::Year, None, Some(8_820))]);
    let [first, second] = [town.post(), town.post()];
    let keys = [town.accept(anna, first), town.accept(ben, second)];
    assert!(keys.iter().all(|key| town.won(*key)));
    let third = town.post();
    assert_eq!((town.kept_by(anna, third), town.asked(third)), (Some(Gate::Caps), vec![ben]));
    let key = town.accept(ben, third);
    assert!(town.won(key), "to the cent");
    for job in [second, third] {
        town.visit(ben, job, VisitEvent::Contacted);
        town.visit(ben, job, VisitEvent::Completed);
    }
    town.crash();
    town.wait(MINUTE);
    let fourth = town.post();
    assert_eq!(town.kept_by(ben, fourth), Some(Gate::Caps), "what is done counts, also after a restart");
    // 2026-09-21 it was; another year begins.
    town.wait(102 * DAY);
    let next_year = town.post();
    assert_eq!(town.asked(next_year), [anna, ben]);
}

#[test]
fn gate_caps_counts_the_jobs_of_the_local_month() {
    let mut town = Town::new();
    let anna = town.friend_with(100, |friend| friend.caps = vec![cap(Period::Month, Some(1), None)]);
    let first = town.post();
    town.accept(anna, first);
    town.visit(anna, first, VisitEvent::Contacted);
    town.visit(anna, first, VisitEvent::Completed);
    let second = town.post();
    assert_eq!(town.kept_by(anna, second), Some(Gate::Caps));
    // October begins in Berlin when it is 22:00 in Greenwich.
    let october: Time = "2026-09-30T22:00:00Z".parse().expect("an instant");
    town.wait(october.since(town.now) - 1);
    let third = town.post();
    assert_eq!(town.asked(third), []);
    town.wait(1);
    let fourth = town.post();
    assert_eq!(town.asked(fourth), [anna]);
}

#[test]
fn a_job_given_back_or_cancelled_counts_towards_no_cap() {
    let mut town = Town::new();
    let anna = town.friend_with(100, |friend| friend.caps = vec![cap(Period::Year, Some(1), None)]);
    let [first, second] = [town.post(), town.post()];
    town.accept(anna, first);
    town.visit(anna, first, VisitEvent::HandBack);
    let key = town.accept(anna, second);
    assert!(town.won(key));
    town.cancel(second);
    let third = town.post();
    assert_eq!(town.asked(third), [anna]);
}

#[test]
fn an_accept_beyond_a_cap_is_lost_for_capacity_and_the_next_in_line_wins() {
    let mut town = Town::new();
    let anna = town.friend_with(100, |friend| friend.caps = vec![cap(Period::Month, None, Some(5_000))]);
    let ben = town.friend(200);
    let [first, second] = [town.post(), town.post()];
    town.held = true;
    let won = town.accept(anna, first);
    let (beyond, next) = (town.accept(anna, second), town.accept(ben, second));
    town.release();
    assert!(town.won(won));
    assert_eq!(town.lost(beyond), Some(LostReason::Capacity));
    assert!(town.won(next));
}

#[test]
fn a_friend_hears_when_four_fifths_of_a_cap_are_used() {
    let mut town = Town::new();
    let caps = vec![cap(Period::Month, Some(5), None), cap(Period::Year, None, Some(17_640))];
    let anna = town.friend_with(100, |friend| (friend.caps, friend.jobs_held_max) = (caps.clone(), 5));
    let near = |town: &Town| -> Vec<CapNear> {
        let near = town.hears(anna).filter_map(|message| match message {
            FriendMessage::CapNear(near) => Some(*near),
            _ => None,
        });
        near.collect()
    };
    for _ in 0..3 {
        let job = town.post();
        town.accept(anna, job);
    }
    assert_eq!(near(&town), [], "three of five jobs, 132.30 of 176.40");
    let job = town.post();
    town.accept(anna, job);
    assert_eq!(
        near(&town),
        [
            CapNear { cap: caps[0], jobs: 4, income: None },
            CapNear { cap: caps[1], jobs: 4, income: Some(euro(17_640)) },
        ]
    );
    let job = town.post();
    assert_eq!(town.kept_by(anna, job), Some(Gate::Caps), "the year's income is used up");
}

#[test]
fn gate_blocked_who_declined_gave_back_or_is_the_customer() {
    let mut town = Town::new();
    let [anna, ben] = town.friends([100, 200]);
    let job = town.post();
    town.decline(anna, job);
    town.accept(ben, job);
    town.visit(ben, job, VisitEvent::HandBack);
    let decision = town.ledger.jobs[&job].decisions.last().expect("the second run looked");
    let outcomes: Vec<_> = decision.candidates.iter().map(|seen| (seen.friend, seen.outcome)).collect();
    let blocked = Outcome::Failed { gate: Gate::Blocked };
    assert_eq!(outcomes, [(anna, blocked), (ben, blocked)]);
    // The customer is Ada Kanari, +49305550199, kanari@example.org.
    assert_eq!(town.keeps(|friend| friend.phone = Some("+49 (30) 555-0199".to_owned())), Some(Gate::Blocked));
    assert_eq!(town.keeps(|friend| friend.email = Some("Kanari@Example.org".to_owned())), Some(Gate::Blocked));
    assert_eq!(town.keeps(|friend| friend.phone = Some("+49 30 5550198".to_owned())), None);
}

#[test]
fn gate_blocked_who_is_kept_apart_until_then() {
    let mut town = Town::new();
    let now = town.now;
    let partner = |partner: &str, until| vec![Block::Partner { partner: word(partner), until }];
    let customer = |phone: &str, until| vec![Block::Customer { phone: phone.to_owned(), until }];
    assert_eq!(town.keeps(|friend| friend.blocks = partner("ada-telco", None)), Some(Gate::Blocked));
    assert_eq!(town.keeps(|friend| friend.blocks = partner("ada-telco", Some(now))), None, "over");
    assert_eq!(town.keeps(|friend| friend.blocks = partner("other-telco", None)), None);
    assert_eq!(town.keeps(|friend| friend.blocks = customer("+49 30 5550199", None)), Some(Gate::Blocked));
    assert_eq!(town.keeps(|friend| friend.blocks = customer("+49 30 5550199", Some(now))), None);
}

#[test]
fn gate_cool_down_for_a_day_after_a_contact_breach() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let [breach, waiting] = [town.post(), town.post()];
    town.decline(anna, waiting);
    town.accept(anna, breach);
    town.wait(12 * HOUR + 30 * MINUTE);
    assert_eq!(town.state(breach), JobState::Dispatching, "handed back by the clock");
    let job = town.post();
    assert_eq!(town.kept_by(anna, job), Some(Gate::CoolDown));
    town.crash();
    town.wait(23 * HOUR);
    let again = town.post();
    assert_eq!(town.kept_by(anna, again), Some(Gate::CoolDown), "also after a restart");
    town.wait(HOUR);
    let then = town.post();
    assert_eq!(town.asked(then), [anna]);
}

#[test]
fn gate_full_hand() {
    let mut town = Town::new();
    let anna = town.friend(100);
    let jobs = [town.post(), town.post(), town.post(), town.post()];
    assert_eq!(town.kept_by(anna, jobs[3]), Some(Gate::FullHand));
}

#[test]
fn who_comes_into_reach_is_asked_for_the_jobs_that_want_them_and_kept_from_the_others() {
    let mut town = Town::new();
    town.package.skills = vec![SkillLevel { skill: word("wifi"), level: 1 }];
    let beyond = town.post();
    town.package.skills.clear();
    let wanted = town.post();
    let anna = town.friend_with(100, |friend| friend.availability = vec![hours(&[Weekday::Mon], "18:00", "20:00")]);
    town.streets.change(anna, |standing| standing.on_duty = false);
    town.send(Input::Placed { friend: anna });
    assert_eq!((town.asked(beyond), town.asked(wanted)), (vec![], vec![anna]));
}
