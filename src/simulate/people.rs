//! Who lives in the simulated city: their profiles and habits, drawn by seed and number. Habits are of the person,
//! moods of the day: both are the same under every policy.

use std::sync::Arc;

use kiez_protocol::directory::{Friend, Language, SkillLevel, Tier};
use kiez_protocol::money::{Currency, Money};
use kiez_protocol::place::Point;
use kiez_protocol::profile::{Account, Block, Cap, Certificate, Check, CheckKind, Period};
use kiez_protocol::time::Time;
use serde_json::json;

use super::Setting;
use super::app::App;
use super::calendar::of_day;
use super::chance::Chance;
use super::city::{City, Map, between, corner, moved};
use super::documents::{CERTIFICATE, PHONE_COMPANY, SKILLS};
use super::link::Quality;
use super::streets::{FriendNo, friend_id};

pub(crate) const MINUTE_MS: i64 = 60_000;
pub(crate) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;
/// Monday 2 November 2026, midnight in Berlin and Zürich.
pub(crate) const BEGINS: Time = Time(1_793_574_000_000);

/// What somebody is like.
#[derive(Clone, Debug)]
pub(crate) struct Traits {
    /// How likely they say yes, against others.
    eagerness: f64,
    /// Half of their looks at a new offer come sooner, ms.
    look_ms: i64,
    /// The distance at which they say yes about a third as often, metres.
    reach_m: f64,
    /// When they get up and go to bed, ms of the day.
    pub wakes_ms: i64,
    pub sleeps_ms: i64,
    /// When they go on duty and off, ms of the day.
    pub duty_ms: (i64, i64),
    /// Never goes off duty, also when asleep.
    pub sleeper: bool,
    /// The phone sleeps as well.
    pub phone_off: bool,
    /// On duty on so many days.
    pub keen: f64,
    /// How they move, if they do.
    pub pace_m_s: Option<f64>,
    /// Along streets, not as the crow flies.
    pub streets: bool,
    pub quality: Quality,
    pub language: Language,
    /// Never calls the customer; gives the job back.
    pub forgets: f64,
    pub gives_back: f64,
}

/// A walk from one place to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    from: Point,
    to: Point,
    begins: Time,
    lasts_ms: i64,
    streets: bool,
}

impl Walk {
    pub fn at(&self, now: Time) -> Point {
        let share = (now.since(self.begins) as f64 / self.lasts_ms as f64).clamp(0.0, 1.0);
        if !self.streets {
            return between(self.from, self.to, share);
        }
        let corner = corner(self.from, self.to);
        let (first_m, second_m) = (self.from.distance_m(corner), corner.distance_m(self.to));
        let turn = first_m / (first_m + second_m).max(1.0);
        if share < turn {
            between(self.from, corner, share / turn)
        } else {
            between(corner, self.to, (share - turn) / (1.0 - turn).max(1e-9))
        }
    }

    pub fn is_over(&self, now: Time) -> bool {
        now.since(self.begins) >= self.lasts_ms
    }
}

/// Somebody with their phone.
#[derive(Debug)]
pub(crate) struct Person {
    pub profile: Arc<Friend>,
    pub home: Point,
    pub traits: Traits,
    pub chance: Chance,
    pub at: Point,
    pub walk: Option<Walk>,
    pub app: App,
}

impl Person {
    pub fn of(number: FriendNo, setting: &Setting, map: &Map) -> Person {
        let mut chance = Chance::of(setting.seed, "person", number as u64);
        let home = map.home(&mut chance);
        let mut profile = profile(number, setting.city, &mut chance);
        papers(&mut profile, setting, &mut Chance::of(setting.seed, "papers", number as u64));
        let profile = Arc::new(profile);
        let traits = traits(&profile, &mut chance);
        Person { profile, home, traits, chance, at: home, walk: None, app: App::default() }
    }

    pub fn is_awake(&self, now: Time) -> bool {
        (self.traits.wakes_ms..self.traits.sleeps_ms).contains(&of_day(now))
    }

    /// When they look at something that comes now.
    pub fn looks_at(&self, now: Time, chance: &mut Chance) -> Time {
        let look = chance.span_ms(self.traits.look_ms, 1.1).max(1_500);
        if self.is_awake(now) {
            return now + look;
        }
        let until_morning = (self.traits.wakes_ms - of_day(now)).rem_euclid(DAY_MS);
        now + until_morning + look
    }

    /// How likely they take a job so far away and so paid, with so much to do already.
    pub fn says_yes(&self, base: f64, now: Time, distance_m: u32, cents_an_hour: i64, held: usize) -> f64 {
        let hour = match of_day(now) / HOUR_MS {
            7..9 => 0.8,
            9..17 => 0.95,
            17..21 => 1.25,
            _ => 0.7,
        };
        let distance = 1.25 * (-f64::from(distance_m) / self.traits.reach_m).exp();
        let pay = (cents_an_hour as f64 / 3_500.0).max(0.01).powf(0.4).clamp(0.6, 1.4);
        let room = match held {
            0 => 1.0,
            1 => 0.7,
            _ => 0.35,
        };
        (base * self.traits.eagerness * hour * distance * pay * room).clamp(0.0, 0.98)
    }

    /// A walk somewhere, and back home from elsewhere.
    pub fn sets_out(&mut self, now: Time, chance: &mut Chance) {
        let Some(pace) = self.traits.pace_m_s else { return };
        let out = self.at.distance_m(self.home) < 200.0 || chance.happens(0.3);
        let far_m = chance.span_ms(3_000, 0.8).min(20_000) as f64;
        let to = if out { moved(self.home, far_m, chance.between(0.0, std::f64::consts::TAU)) } else { self.home };
        let streets = self.traits.streets;
        let way_m = if streets {
            let corner = corner(self.at, to);
            self.at.distance_m(corner) + corner.distance_m(to)
        } else {
            self.at.distance_m(to)
        };
        let lasts_ms = ((way_m / pace) * 1_000.0) as i64 + 1;
        self.walk = Some(Walk { from: self.at, to, begins: now, lasts_ms, streets });
    }
}

fn profile(number: FriendNo, city: City, chance: &mut Chance) -> Friend {
    let swiss = city == City::Sparse;
    let mut communities = Vec::new();
    for (slug, share) in [("neighbours", 0.7), ("customers", 0.35), ("closed-circle", 0.25)] {
        if chance.happens(share) {
            communities.push(slug);
        }
    }
    if communities.is_empty() {
        communities.push("everybody");
    }
    let skills: Vec<SkillLevel> = SKILLS
        .iter()
        .filter_map(|skill| {
            let level = [0, 1, 2, 2, 3, 3, 3, 4, 5][chance.below(9)];
            (level > 0).then(|| SkillLevel { skill: skill.parse().expect("a word"), level })
        })
        .collect();
    // Here and there somebody works across the border.
    let abroad = chance.happens(0.02);
    let country = if abroad {
        if swiss { "DE" } else { "PL" }
    } else if swiss {
        "CH"
    } else {
        "DE"
    };
    let languages: &[&str] = match chance.below(10) {
        0 | 1 => &["de", "en"],
        2 => &["de", "pl"],
        3 if swiss => &["it", "de"],
        4 if swiss => &["it"],
        5 => &["en"],
        6 => &[],
        _ => &["de", "en", "fr"],
    };
    let customer_of: &[&str] = if chance.happens(0.8) { &[PHONE_COMPANY] } else { &[] };
    let mut friend: Friend = serde_json::from_value(json!({
        "id": friend_id(number), "name": format!("Friend {number}"), "communities": communities, "country": country,
        "languages": languages, "customer_of": customer_of,
    }))
    .expect("a friend");
    friend.skills = skills;
    friend.tier = if chance.happens(if swiss { 0.15 } else { 0.05 }) { Tier::Pro } else { Tier::Friend };
    if chance.happens(0.01) {
        friend.account = Account::Limited { reason: "a complaint is looked into".to_owned() };
    }
    friend.radius_m = chance.pick(&[3_000, 5_000, 8_000, 15_000, 30_000, 30_000, 30_000]);
    friend.jobs_held_max = chance.pick(&[1, 2, 3, 3, 3, 5]);
    let currency = if swiss { Currency::Chf } else { Currency::Eur };
    let rate = if swiss { 10 + chance.below(45) } else { 7 + chance.below(26) };
    friend.hourly_rate = (!chance.happens(0.15)).then(|| Money { amount: (rate * 100) as i64, currency });
    friend
}

/// Checks, certificates, and how much they want to do. In good weather all papers are in order and nobody has enough.
fn papers(friend: &mut Friend, setting: &Setting, chance: &mut Chance) {
    let bad = setting.faults.papers_share;
    let ends = |chance: &mut Chance| {
        let runs_out = chance.between(0.0, f64::from(setting.days) * DAY_MS as f64) as i64;
        chance.happens(bad).then_some(BEGINS + runs_out)
    };
    for kind in [CheckKind::Age, CheckKind::IdentityAndBackground, CheckKind::Knowledge, CheckKind::Insurance] {
        let (missing, valid_until) = (chance.happens(bad / 3.0), ends(chance));
        let years =
            (kind == CheckKind::Age).then(|| chance.pick(&[16, 18, 18, 18, 21]).max(if bad > 0.0 { 0 } else { 18 }));
        let check =
            Check { kind, at: BEGINS, by: "kim".to_owned(), valid_until, years, partner: None, evidence_ref: None };
        friend.checks.extend((!missing).then_some(check));
    }
    let valid_until = ends(chance);
    friend.certificates.push(Certificate { certificate: CERTIFICATE.parse().expect("a word"), valid_until });
    if chance.happens(bad) {
        let currency = if setting.city == City::Sparse { Currency::Chf } else { Currency::Eur };
        let income = chance.happens(0.5).then(|| Money { amount: chance.between(3_000.0, 20_000.0) as i64, currency });
        let jobs = income.is_none().then(|| 1 + chance.below(3) as u32);
        friend.caps.push(Cap { period: chance.pick(&[Period::Month, Period::Year]), jobs, income });
    }
    if chance.happens(bad / 3.0) {
        friend.blocks.push(Block::Partner { partner: PHONE_COMPANY.parse().expect("a slug"), until: ends(chance) });
    }
}

fn traits(profile: &Friend, chance: &mut Chance) -> Traits {
    let hour = |hours: f64| (hours * HOUR_MS as f64) as i64;
    let wakes = chance.between(5.5, 9.5);
    let from = wakes + chance.between(0.5, 3.0);
    let lasts = chance.pick(&[3.0, 5.0, 8.0, 10.0, 12.0]);
    let moves = chance.happens(0.45);
    let pace = chance.pick(&[1.3, 1.4, 4.5, 5.0, 7.0]);
    Traits {
        eagerness: (0.5 * chance.normal()).exp() / 1.13,
        look_ms: chance.span_ms(150_000, 0.7),
        reach_m: chance.between(6_000.0, 25_000.0),
        wakes_ms: hour(wakes),
        sleeps_ms: hour(chance.between(21.5, 23.9)),
        duty_ms: (hour(from), hour((from + lasts).min(23.8))),
        sleeper: chance.happens(0.2),
        phone_off: chance.happens(0.4),
        keen: chance.between(0.55, 1.0),
        pace_m_s: moves.then_some(pace),
        streets: chance.happens(0.6),
        quality: [Quality::Good, Quality::Good, Quality::Fair, Quality::Fair, Quality::Poor][chance.below(5)],
        language: profile.languages.first().copied().unwrap_or_default(),
        forgets: if chance.happens(0.1) { 0.3 } else { 0.02 },
        gives_back: if chance.happens(0.1) { 0.2 } else { 0.04 },
    }
}
