//! The observer must be able to fail: each story is one thing a server could do wrong, and the report must say so; beside
//! it stands the nearest thing that is right.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a cast member that cannot go on has failed its story"
)]

use kiez_load::observe::{Observation, Rules};
use kiez_load::report::Report;
use kiez_load::world::area::moved;
use kiez_protocol::directory::{
    CommissionRule, Community, Country, Friend, ImportLine, Language, Package, Pricing, SkillLevel, Tier,
};
use kiez_protocol::friend::{
    ClosedReason, CommunityName, DeclineReason, Duty, FriendFrame, FriendMessage, LostReason, Offer, Snapshot, Verdict,
    VisitEvent, Welcome, Why, WhyReason,
};
use kiez_protocol::ids::{FriendId, JobId, Key, OfferId, SessionId};
use kiez_protocol::money::{Currency, Money, PaymentMethod};
use kiez_protocol::partner::{Address, Answers, Customer, FriendName, JobState, JobView, PostJob, Urgency};
use kiez_protocol::place::{Point, rounded_m};
use kiez_protocol::time::Time;
use uuid::Uuid;

const SECOND: u64 = 1_000_000;

fn texts(text: &str) -> kiez_protocol::directory::Texts {
    kiez_protocol::directory::Texts { de: text.into(), en: text.into(), fr: None, it: None, pl: None }
}

fn eur(amount: i64) -> Money {
    Money { amount, currency: Currency::Eur }
}

fn friend_id(number: usize) -> FriendId {
    FriendId(Uuid::from_u128(0x1000 + number as u128))
}

fn place() -> Point {
    Point::new(52.5, 13.4).unwrap()
}

/// A street with friends in it, and a server of which every answer is written by the test.
struct Street {
    seen: Observation,
    now: u64,
    offers: u128,
    keys: u128,
}

impl Street {
    /// Friends 0, 1, 2, … at these distances north of the job, on duty and settled for long.
    fn with(distances_m: &[f64]) -> Street {
        Street::with_friends(distances_m, |_, _| {})
    }

    fn with_friends(distances_m: &[f64], change: impl Fn(usize, &mut Friend)) -> Street {
        let rule = CommissionRule::new("ten".parse().unwrap(), 1_000);
        let community = Community::new("street".parse().unwrap(), "Street", Country::De, Currency::Eur, rule);
        let price = Pricing::Fixed { price: eur(3_900) };
        let package = Package {
            skills: vec![SkillLevel { skill: "wifi".parse().unwrap(), level: 2 }],
            ..Package::new("help".parse().unwrap(), texts("Help"), "wifi".parse().unwrap(), price)
        };
        let mut documents = vec![ImportLine::Community(community), ImportLine::Package(package)];
        for number in 0..distances_m.len() {
            let mut friend = Friend {
                skills: vec![SkillLevel { skill: "wifi".parse().unwrap(), level: 3 }],
                communities: vec!["street".parse().unwrap()],
                jobs_held_max: 1,
                ..Friend::new(friend_id(number), &format!("Friend {number}"), Country::De)
            };
            change(number, &mut friend);
            documents.push(ImportLine::Friend(friend));
        }
        let mut street = Street { seen: Observation::new(Rules::at_scale(1), &documents), now: 0, offers: 0, keys: 0 };
        for (number, distance_m) in distances_m.iter().enumerate() {
            street.arrive(number);
            street.stand(number, *distance_m);
        }
        street.pause(10 * SECOND);
        street
    }

    fn pause(&mut self, us: u64) {
        self.now += us;
    }

    fn key(&mut self) -> Key {
        self.keys += 1;
        Key(Uuid::from_u128(0x9000 + self.keys))
    }

    fn hear(&mut self, number: usize, message: FriendMessage) {
        self.now += 1;
        self.seen.heard(self.now, friend_id(number), &message);
    }

    fn send(&mut self, number: usize, frame: FriendFrame) {
        self.now += 1;
        self.seen.sent(self.now, friend_id(number), &frame);
    }

    fn arrive(&mut self, number: usize) {
        let welcome = Welcome {
            session: SessionId(Uuid::from_u128(1)),
            resumed: false,
            server_time: Time((self.now / 1_000) as i64),
            time_scale: 1,
            heartbeat_ms: 25_000,
            friend: friend_id(number),
        };
        self.hear(number, FriendMessage::Welcome(welcome));
        let key = self.key();
        self.send(number, FriendFrame::Duty { on: true, until: None, key: Some(key) });
        self.hear(number, FriendMessage::Done { key });
    }

    fn stand(&mut self, number: usize, distance_m: f64) {
        // `moved` rounds to 0.1 m; tests of edges place friends themselves.
        self.stand_at(number, moved(place(), distance_m, 0.0));
    }

    fn stand_at(&mut self, number: usize, at: Point) {
        self.send(number, FriendFrame::Fix { lat: at.lat(), lng: at.lng(), accuracy_m: None, at: None });
    }

    fn view(&self, job: JobId, winner: Option<usize>) -> JobView {
        JobView {
            id: job,
            state: if winner.is_some() { JobState::Assigned } else { JobState::Dispatching },
            attempt: 1,
            wave: 1,
            offers_out: 4,
            asked: 4,
            revision: 1,
            sequence: 1,
            package: "help".parse().unwrap(),
            community: "street".parse().unwrap(),
            policy_version: 1,
            price: Some(eur(3_900)),
            commission: Some(eur(390)),
            missing_answers: vec![],
            urgency: Urgency::Normal,
            windows: vec![],
            partner_ref: None,
            friend: winner.map(|number| FriendName { id: friend_id(number), name: "Friend".into() }),
            created_at: Time(0),
            assigned_at: None,
            contact_due: None,
            customer_url: None,
            appointment: None,
            questions: Vec::new(),
            proposals: Vec::new(),
            expires_at: Time(0),
            reason: None,
        }
    }

    /// The job that everybody posts.
    fn the_job(&self) -> PostJob {
        PostJob {
            package: "help".parse().unwrap(),
            community: None,
            location: place(),
            address: Address {
                street: "A 1".into(),
                postcode: "10999".into(),
                city: "Berlin".into(),
                country: Country::De,
            },
            customer: Customer { name: "C".into(), phone: "+49".into(), email: None, language: Language::De },
            answers: Answers::new(),
            windows: vec![],
            urgency: Urgency::Normal,
            payment_method: PaymentMethod::Cash,
            max_hourly_rate: None,
            partner_ref: None,
            friend: None,
            fallback: false,
        }
    }

    /// Posts job `number`; the server asks these friends and answers.
    fn post(&mut self, number: u128, asked: &[(usize, u32)]) -> (JobId, Vec<OfferId>) {
        let job = self.the_job();
        let key = format!("job-{number}");
        let id = JobId(Uuid::from_u128(0x5000 + number));
        self.now += 1;
        self.seen.posting(self.now, &key, &"shop".parse().unwrap(), &job);
        self.now += 2_000;
        let seats: Vec<_> =
            asked.iter().enumerate().map(|(seat, (who, distance_m))| (*who, *distance_m, seat)).collect();
        let offers = self.ask(id, 1, 1, &seats);
        self.now += 500;
        let view = self.view(id, None);
        self.seen.posted(self.now, &key, &view);
        (id, offers)
    }

    /// The server asks these friends (who, distance, seat) in a wave, all at one instant.
    fn ask(&mut self, job: JobId, attempt: u16, wave: u8, asked: &[(usize, u32, usize)]) -> Vec<OfferId> {
        let expires_at = Time((self.now / 1_000) as i64 + 1_800_000);
        let mut offers = Vec::new();
        for (number, distance_m, seat) in asked {
            self.offers += 1;
            let offer = OfferId(Uuid::from_u128(0x7000 + self.offers));
            let message = an_offer(offer, job, attempt, wave, *seat as u8, *distance_m, expires_at);
            self.hear(*number, FriendMessage::Offer(message));
            offers.push(offer);
        }
        offers
    }

    fn accept(&mut self, number: usize, offer: OfferId) -> Key {
        let key = self.key();
        self.send(number, FriendFrame::Accept { offer, revision: 1, key });
        key
    }

    fn tell(&mut self, number: usize, offer: OfferId, key: Key, result: Verdict) {
        let reason = (result == Verdict::Lost).then_some(LostReason::Taken);
        self.hear(number, FriendMessage::AcceptResult { offer, key, result, reason });
    }

    fn win(&mut self, number: usize, offer: OfferId) {
        let key = self.accept(number, offer);
        self.tell(number, offer, key, Verdict::Won);
    }

    fn report(mut self) -> Report {
        self.seen.finish(&[])
    }
}

fn an_offer(offer: OfferId, job: JobId, attempt: u16, wave: u8, seat: u8, distance_m: u32, expires_at: Time) -> Offer {
    Offer {
        offer,
        job,
        revision: 1,
        attempt,
        wave,
        seat,
        direct: false,
        expires_at,
        community: CommunityName { slug: "street".parse().unwrap(), brand: "Street".into() },
        package: "help".parse().unwrap(),
        title: "Help".into(),
        duration_min: 60,
        answers: Answers::new(),
        windows: vec![],
        language: Language::De,
        cell: "881f1d4c1bfffff".into(),
        district: "10999 Berlin".into(),
        distance_m,
        gross: eur(3_900),
        commission: eur(390),
        net: eur(3_510),
        payment_method: PaymentMethod::Cash,
        why: Why { reason: WhyReason::Nearest, rank: 1, distance_m: 0, deficit_days: None },
        questions: Vec::new(),
        proposal: None,
        allowed: vec![],
    }
}

const SIX: &[f64] = &[100.0, 200.0, 300.0, 400.0, 500.0, 600.0];
const NEAREST_FOUR: &[(usize, u32)] = &[(0, 100), (1, 200), (2, 300), (3, 400)];

fn counts(report: &Report) -> (u64, u64, u64) {
    (report.choices, report.wrong_four, report.explained)
}

#[test]
fn the_nearest_four_are_right() {
    let mut street = Street::with(SIX);
    street.post(1, NEAREST_FOUR);
    let report = street.report();
    assert_eq!(counts(&report), (1, 0, 0), "{report}");
    assert!(report.failures().is_empty());
    assert_eq!(report.first_wave_fill, 4.0);
    assert_eq!((report.jobs_posted, report.offers), (1, 4));
}

#[test]
fn passing_over_the_nearest_is_wrong() {
    let mut street = Street::with(SIX);
    street.post(1, &[(1, 200), (2, 300), (3, 400), (4, 500)]);
    let report = street.report();
    assert_eq!(counts(&report), (1, 1, 0), "{report}");
    assert!(!report.failures().is_empty());
    assert!(report.findings[0].contains("was not"), "{:?}", report.findings);
}

#[test]
fn a_fix_in_flight_explains_what_a_fix_long_ago_does_not() {
    for (pause_us, wrong, explained) in [(100_000, 0, 1), (5 * SECOND, 1, 0)] {
        let mut street = Street::with(&[9_000.0, 200.0, 300.0, 400.0, 500.0]);
        street.stand(0, 100.0);
        street.pause(pause_us);
        street.post(1, &[(1, 200), (2, 300), (3, 400), (4, 500)]);
        let report = street.report();
        assert_eq!(counts(&report), (1, wrong, explained), "{report}");
    }
}

#[test]
fn within_a_step_any_order_is_right_and_an_edge_is_on_both_sides() {
    // 210 and 220 m are both 200; who of them is left out does not matter here.
    let mut street = Street::with(&[210.0, 220.0, 50.0, 100.0, 150.0]);
    street.post(1, &[(2, 50), (3, 100), (4, 150), (1, 200)]);
    assert_eq!(counts(&street.report()), (1, 0, 0));

    // A place whose distance is within a centimetre of an edge: both roundings are right.
    let edge = (0..200_000)
        .map(|step| Point::new(52.5 + 0.002_02 + f64::from(step) * 1e-9, 13.4).unwrap())
        .find(|point| (point.distance_m(place()) - 225.0).abs() < 0.002)
        .unwrap();
    for shown_m in [200, 250] {
        let mut street = Street::with(&[50.0, 100.0, 150.0, 10.0]);
        street.stand_at(3, edge);
        street.pause(10 * SECOND);
        street.post(1, &[(0, 50), (1, 100), (2, 150), (3, shown_m)]);
        assert_eq!(counts(&street.report()), (1, 0, 0), "{shown_m}");
    }
}

#[test]
fn a_distance_that_is_not_theirs_is_wrong() {
    let mut street = Street::with(SIX);
    street.post(1, &[(0, 100), (1, 200), (2, 300), (3, 450)]);
    let report = street.report();
    assert_eq!(counts(&report), (1, 1, 0));
    assert_eq!(rounded_m(400.0), 400);
}

#[test]
fn an_empty_seat_is_wrong_unless_a_stranger_may_sit_in_it() {
    let mut street = Street::with(SIX);
    street.post(1, &NEAREST_FOUR[..3]);
    assert_eq!(counts(&street.report()), (1, 1, 0));

    let mut street = Street::with(SIX);
    street.seen.expect_strangers();
    street.post(1, &NEAREST_FOUR[..3]);
    assert_eq!(counts(&street.report()), (1, 0, 0));

    let mut street = Street::with(&SIX[..3]);
    street.post(1, &NEAREST_FOUR[..3]);
    let report = street.report();
    assert_eq!(counts(&report), (1, 0, 0));
    assert_eq!(report.first_wave_fill, 3.0);
}

#[test]
fn asking_nobody_is_wrong_where_somebody_stands() {
    let mut street = Street::with(SIX);
    street.post(1, &[]);
    assert_eq!(counts(&street.report()), (1, 1, 0));
    let mut street = Street::with(&[]);
    street.post(1, &[]);
    assert_eq!(counts(&street.report()), (1, 0, 0));
}

#[test]
fn asking_somebody_unsuitable_is_wrong_and_passing_them_over_is_right() {
    let changes: [fn(&mut Friend); 6] = [
        |friend| friend.skills[0].level = 1,
        |friend| friend.communities = vec!["elsewhere".parse().unwrap()],
        |friend| friend.country = Country::Ch,
        |friend| friend.languages = vec![Language::Pl],
        |friend| friend.radius_m = 100,
        |friend| friend.tier = Tier::Pro,
    ];
    for change in changes {
        let with_one_unsuitable = || {
            Street::with_friends(&[150.0, 200.0, 300.0, 400.0, 500.0], |number, friend| {
                if number == 0 {
                    change(friend);
                }
            })
        };
        let mut street = with_one_unsuitable();
        street.post(1, &[(0, 150), (1, 200), (2, 300), (3, 400)]);
        assert_eq!(counts(&street.report()), (1, 1, 0));
        let mut street = with_one_unsuitable();
        street.post(1, &[(1, 200), (2, 300), (3, 400), (4, 500)]);
        assert_eq!(counts(&street.report()), (1, 0, 0));
    }
}

#[test]
fn off_duty_is_unsuitable_and_a_lost_connection_is_unknown() {
    let mut street = Street::with(SIX);
    let key = street.key();
    street.send(0, FriendFrame::Duty { on: false, until: None, key: Some(key) });
    street.hear(0, FriendMessage::Done { key });
    street.pause(5 * SECOND);
    street.post(1, NEAREST_FOUR);
    assert_eq!(counts(&street.report()), (1, 1, 0));

    // The server keeps asking somebody whose connection is gone until it gives them up: the seat may be theirs, unheard.
    for (away_s, asked, wrong) in [(20, &NEAREST_FOUR[1..], 0), (100, &NEAREST_FOUR[1..], 1)] {
        let mut street = Street::with(SIX);
        let now = street.now;
        street.seen.down(now, friend_id(0));
        street.pause(away_s * SECOND);
        street.post(1, asked);
        assert_eq!(street.report().wrong_four, wrong, "after {away_s} s");
    }
    let mut street = Street::with(SIX);
    let now = street.now;
    street.seen.down(now, friend_id(0));
    street.pause(20 * SECOND);
    street.post(1, &[(1, 200), (2, 300), (3, 400), (4, 500)]);
    assert_eq!(street.report().wrong_four, 0);
}

#[test]
fn a_full_hand_is_passed_over_and_an_empty_one_is_not() {
    let mut street = Street::with(SIX);
    for job in 1..=3 {
        street.post(job, NEAREST_FOUR);
        street.pause(5 * SECOND);
    }
    // Friends 0 to 3 hold three live offers each.
    street.post(4, &[(4, 500), (5, 600)]);
    street.pause(5 * SECOND);
    let report = street.report();
    assert_eq!(counts(&report), (4, 0, 0), "{report}");

    let mut street = Street::with(SIX);
    for job in 1..=3 {
        let (_, offers) = street.post(job, NEAREST_FOUR);
        street.pause(5 * SECOND);
        for (number, offer) in offers.into_iter().enumerate() {
            street.hear(number, FriendMessage::OfferClosed { offer, reason: ClosedReason::Expired });
        }
        street.pause(5 * SECOND);
    }
    street.post(4, &[(4, 500), (5, 600)]);
    assert_eq!(counts(&street.report()), (4, 1, 0));
}

#[test]
fn a_friend_without_a_free_place_is_passed_over_until_the_work_is_done() {
    let all = [(0, 100), (1, 200), (2, 300), (3, 400)];
    let after = [(1, 200), (2, 300), (3, 400), (4, 500)];
    let busy = |done: bool, next: &[(usize, u32)]| {
        let mut street = Street::with(SIX);
        let (job, offers) = street.post(1, &all);
        street.win(0, offers[0]);
        for (number, offer) in offers.iter().enumerate().skip(1) {
            street.hear(number, FriendMessage::OfferClosed { offer: *offer, reason: ClosedReason::Taken });
        }
        street.pause(5 * SECOND);
        if done {
            let key = street.key();
            street.send(0, FriendFrame::Visit { job, event: VisitEvent::Completed, key, at: None, reason: None });
            street.hear(0, FriendMessage::Done { key });
            street.pause(5 * SECOND);
        }
        street.post(2, next);
        counts(&street.report())
    };
    assert_eq!(busy(false, &after), (2, 0, 0));
    assert_eq!(busy(false, &all), (2, 1, 0));
    assert_eq!(busy(true, &all), (2, 0, 0));
    assert_eq!(busy(true, &after), (2, 1, 0));
}

#[test]
fn a_declined_seat_goes_to_the_next_and_never_back() {
    let refill = |number: usize, distance_m: u32| {
        let mut street = Street::with(SIX);
        let (job, offers) = street.post(1, NEAREST_FOUR);
        street.pause(3 * SECOND);
        let key = street.key();
        street.send(0, FriendFrame::Decline { offer: offers[0], reason: DeclineReason::NoTime, key: Some(key) });
        street.hear(0, FriendMessage::Done { key });
        street.pause(3 * SECOND);
        street.ask(job, 1, 1, &[(number, distance_m, 0)]);
        counts(&street.report())
    };
    assert_eq!(refill(4, 500), (2, 0, 0));
    assert_eq!(refill(5, 600), (2, 1, 0), "friend 4 was nearer");
    assert_eq!(refill(0, 100), (2, 1, 0), "friend 0 had declined");
}

// Taught by a day on Postgres, where two refills were committed together and told in one go.
#[test]
fn two_refills_told_in_one_go_may_arrive_in_any_order() {
    let mut street = Street::with(SIX);
    let (job, offers) = street.post(1, NEAREST_FOUR);
    street.pause(3 * SECOND);
    for (number, offer) in offers.into_iter().take(2).enumerate() {
        let key = street.key();
        street.send(number, FriendFrame::Decline { offer, reason: DeclineReason::NoTime, key: Some(key) });
        street.hear(number, FriendMessage::Done { key });
    }
    let made = (street.now / 1_000) as i64 + 1_800_000;
    for (number, distance_m, seat, expires_at) in [(5, 600, 1, Time(made + 2)), (4, 500, 0, Time(made))] {
        let offer =
            an_offer(OfferId(Uuid::from_u128(0x9000 + number as u128)), job, 1, 1, seat, distance_m, expires_at);
        street.hear(number, FriendMessage::Offer(offer));
    }
    let report = street.report();
    assert_eq!(counts(&report), (3, 0, 0), "{report}");
}

#[test]
fn the_next_wave_asks_the_next_nearest() {
    let mut street = Street::with(&[100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 800.0, 900.0]);
    let (job, _) = street.post(1, NEAREST_FOUR);
    street.pause(180 * SECOND);
    street.ask(job, 1, 2, &[(4, 500, 0), (5, 600, 1), (6, 700, 2), (7, 800, 3)]);
    street.pause(180 * SECOND);
    // Only one of eight is left; a wave of one is right, a wave that asks somebody again is not.
    street.ask(job, 1, 3, &[(8, 900, 0)]);
    let report = street.report();
    assert_eq!(counts(&report), (3, 0, 0), "{report}");
}

#[test]
fn two_winners_are_found() {
    let mut street = Street::with(SIX);
    let (_, offers) = street.post(1, NEAREST_FOUR);
    street.win(0, offers[0]);
    street.win(1, offers[1]);
    let report = street.report();
    assert_eq!((report.double_winners, report.races, report.jobs_assigned), (1, 1, 1));
    assert!(!report.failures().is_empty());
}

#[test]
fn every_accept_gets_one_verdict() {
    // Missing.
    let mut street = Street::with(SIX);
    let (_, offers) = street.post(1, NEAREST_FOUR);
    street.win(0, offers[0]);
    street.accept(1, offers[1]);
    assert_eq!(street.report().verdicts_missing, 1);

    // Twice for one accept; right when it was sent twice.
    for repeats in [0, 1] {
        let mut street = Street::with(SIX);
        let (_, offers) = street.post(1, NEAREST_FOUR);
        let key = street.accept(0, offers[0]);
        for _ in 0..repeats {
            street.send(0, FriendFrame::Accept { offer: offers[0], revision: 1, key });
        }
        street.tell(0, offers[0], key, Verdict::Won);
        street.tell(0, offers[0], key, Verdict::Won);
        let report = street.report();
        assert_eq!((report.verdicts_doubled, report.wins), (1 - repeats, 1));
    }

    // Won and lost.
    let mut street = Street::with(SIX);
    let (_, offers) = street.post(1, NEAREST_FOUR);
    let key = street.accept(0, offers[0]);
    street.send(0, FriendFrame::Accept { offer: offers[0], revision: 1, key });
    street.tell(0, offers[0], key, Verdict::Won);
    street.tell(0, offers[0], key, Verdict::Lost);
    assert_eq!(street.report().verdicts_conflicting, 1);

    // "Try again" is no verdict, and its repeat gets one.
    let mut street = Street::with(SIX);
    let (_, offers) = street.post(1, NEAREST_FOUR);
    let key = street.accept(0, offers[0]);
    street.tell(0, offers[0], key, Verdict::TryAgain);
    street.send(0, FriendFrame::Accept { offer: offers[0], revision: 1, key });
    street.tell(0, offers[0], key, Verdict::Won);
    assert!(street.report().failures().is_empty());
}

#[test]
fn what_was_acknowledged_must_still_be_there() {
    let mut street = Street::with(SIX);
    let (job, offers) = street.post(1, NEAREST_FOUR);
    street.win(0, offers[0]);
    let (seen, unknown) = (street.view(job, Some(0)), street.view(job, Some(2)));
    let nobody = street.view(job, None);
    assert!(street.seen.finish(&[(job, Some(seen))]).failures().is_empty());

    for (view, lost_jobs, lost_wins) in [(None, 1, 0), (Some(unknown), 0, 1), (Some(nobody), 0, 1)] {
        let mut street = Street::with(SIX);
        let (job, offers) = street.post(1, NEAREST_FOUR);
        street.win(0, offers[0]);
        let report = street.seen.finish(&[(job, view)]);
        assert_eq!((report.lost_jobs, report.lost_wins), (lost_jobs, lost_wins), "{report}");
    }
}

#[test]
fn an_offer_that_was_held_must_not_be_gone() {
    // Denied when it is accepted.
    let mut street = Street::with(SIX);
    let (_, offers) = street.post(1, NEAREST_FOUR);
    let key = street.accept(0, offers[0]);
    let code = kiez_protocol::refusal::Code::NotFound;
    let offer = Some(offers[0]);
    let message_key = "not_found".to_owned();
    street.hear(0, FriendMessage::Error { code, key: Some(key), offer, job: None, message_key, allowed: vec![] });
    let report = street.report();
    assert_eq!((report.lost_offers, report.verdicts_missing), (1, 0));

    // Gone from the snapshot after a break: a loss unless somebody had taken the job.
    for taken in [false, true] {
        let mut street = Street::with(SIX);
        let (_, offers) = street.post(1, NEAREST_FOUR);
        street.pause(SECOND);
        let now = street.now;
        street.seen.down(now, friend_id(0));
        if taken {
            street.win(1, offers[1]);
        }
        street.pause(SECOND);
        street.arrive(0);
        let duty = Duty { on: true, until: None };
        street.hear(0, FriendMessage::Snapshot(Snapshot { duty, ..Snapshot::default() }));
        assert_eq!(street.report().lost_offers, u64::from(!taken));
    }
}

#[test]
fn offers_that_come_with_a_snapshot_belong_to_the_choice_that_made_them() {
    let mut street = Street::with(SIX);
    let now = street.now;
    street.seen.down(now, friend_id(0));
    street.pause(SECOND / 2);
    let (job, _) = street.post(1, &[(1, 200), (2, 300), (3, 400)]);
    let expires_at = Time((street.now / 1_000) as i64 + 1_800_000);
    let made_at = Time(((street.now - 500 - 3) / 1_000) as i64 + 1_800_000);
    assert!((expires_at.0 - made_at.0).abs() <= 1);
    street.pause(4 * SECOND);
    street.arrive(0);
    let first = an_offer(OfferId(Uuid::from_u128(0x7999)), job, 1, 1, 3, 100, made_at);
    let duty = Duty { on: true, until: None };
    street.hear(0, FriendMessage::Snapshot(Snapshot { duty, offers: vec![first], ..Snapshot::default() }));
    let report = street.report();
    assert_eq!(counts(&report), (1, 0, 0), "{report}");
}

#[test]
fn a_run_without_an_end_forgets_what_it_has_judged() {
    let mut street = Street::with(SIX);
    for number in 1..=50 {
        let (job, offers) = street.post(number, NEAREST_FOUR);
        street.win(0, offers[0]);
        for (number, offer) in offers.iter().enumerate().skip(1) {
            street.hear(number, FriendMessage::OfferClosed { offer: *offer, reason: ClosedReason::Taken });
        }
        street.pause(2 * SECOND);
        let key = street.key();
        street.send(0, FriendFrame::Visit { job, event: VisitEvent::Completed, key, at: None, reason: None });
        street.hear(0, FriendMessage::Done { key });
        street.pause(20 * SECOND);
        let until = street.now - 10 * SECOND;
        street.seen.settle(until);
        assert_eq!(street.seen.forget(until), [job]);
    }
    let report = street.report();
    assert_eq!(counts(&report), (50, 0, 0), "{report}");
    assert_eq!((report.wins, report.jobs_completed), (50, 50));
}

// In a city nobody weighs everybody: those who were never near cannot have been passed over.
#[test]
fn in_a_whole_city_passing_over_the_nearest_is_as_wrong() {
    let distances: Vec<f64> = (1..=400).map(|number| f64::from(number) * 100.0).collect();
    let mut street = Street::with(&distances);
    street.post(1, NEAREST_FOUR);
    street.pause(5 * SECOND);
    street.post(2, &[(1, 200), (2, 300), (3, 400), (4, 500)]);
    street.pause(5 * SECOND);
    // Somebody comes from far away and stands nearest.
    street.stand(399, 50.0);
    street.pause(5 * SECOND);
    street.post(3, &[(4, 500), (5, 600), (6, 700), (7, 800)]);
    let report = street.report();
    assert_eq!(counts(&report), (3, 2, 0), "{report}");
    assert!(report.findings[1].contains(&friend_id(399).to_string()) || report.findings[1].contains("was not"));
}

#[test]
fn a_server_that_has_just_come_back_may_leave_seats_empty_and_nothing_else() {
    let back = |asked: &[(usize, u32)], after_s: u64| {
        let mut street = Street::with(SIX);
        let began = street.now;
        street.seen.outage_began(began);
        street.pause(SECOND);
        let ended = street.now;
        street.seen.outage_ended(ended);
        street.pause(after_s * SECOND);
        street.post(1, asked);
        let around = street.seen.outages_seen();
        let report = street.report();
        (report.wrong_four, around.choices_around)
    };
    assert_eq!(back(&NEAREST_FOUR[..3], 5).0, 0);
    assert_eq!(back(&[], 5).0, 0);
    assert_eq!(back(&NEAREST_FOUR[..3], 20).0, 1, "it has had time");
    assert_eq!(back(&[(1, 200), (2, 300), (3, 400), (4, 500)], 5).0, 1, "friend 0 was nearer");

    let mut street = Street::with(SIX);
    let now = street.now;
    street.seen.outage_began(now);
    street.seen.outage_ended(now + SECOND);
    street.pause(5 * SECOND);
    street.post(1, &NEAREST_FOUR[..3]);
    street.pause(60 * SECOND);
    street.post(2, NEAREST_FOUR);
    street.seen.settle(u64::MAX);
    let seen = street.seen.outages_seen();
    assert_eq!((seen.choices_around, seen.choices_excused), (1, 1));
}

#[test]
fn a_winner_who_asks_again_after_a_break_must_hear_won_again() {
    for answer in [Some(Verdict::Won), Some(Verdict::Lost), None] {
        let mut street = Street::with(SIX);
        let (_, offers) = street.post(1, NEAREST_FOUR);
        let key = street.accept(0, offers[0]);
        street.tell(0, offers[0], key, Verdict::Won);
        let now = street.now;
        street.seen.down(now, friend_id(0));
        street.pause(SECOND);
        street.arrive(0);
        street.send(0, FriendFrame::Accept { offer: offers[0], revision: 1, key });
        assert_eq!(street.seen.undecided(), 1);
        if let Some(answer) = answer {
            street.tell(0, offers[0], key, answer);
        }
        let seen = street.seen.outages_seen();
        let confirmed = u64::from(answer == Some(Verdict::Won));
        assert_eq!((seen.wins_asked_again, seen.wins_confirmed), (1, confirmed));
        let mut report = street.report();
        report.outages = Some(seen);
        assert_eq!(report.failures().is_empty(), confirmed == 1, "{report}");
    }
}

#[test]
fn a_no_that_was_lost_with_the_connection_counts_from_when_it_was_said_again() {
    for (said_again, wrong) in [(true, 0), (false, 1)] {
        let mut street = Street::with(SIX);
        let (job, offers) = street.post(1, NEAREST_FOUR);
        street.pause(3 * SECOND);
        let key = street.key();
        let no = || FriendFrame::Decline { offer: offers[0], reason: DeclineReason::NoTime, key: Some(key) };
        street.send(0, no());
        street.pause(5 * SECOND);
        if said_again {
            street.send(0, no());
        }
        // The job is asked for anew, and friend 0 as well: the server has not heard the first no, or not the second yet.
        street.ask(job, 2, 1, &[(0, 100, 0), (1, 200, 1), (2, 300, 2), (3, 400, 3)]);
        assert_eq!(street.report().wrong_four, wrong, "said again: {said_again}");
    }
}

#[test]
fn a_completion_that_was_answered_must_be_seen_by_the_partner() {
    for (state, lost) in [(JobState::Done, 0), (JobState::Assigned, 1)] {
        let mut street = Street::with(SIX);
        let (job, offers) = street.post(1, NEAREST_FOUR);
        street.win(0, offers[0]);
        let key = street.key();
        street.send(0, FriendFrame::Visit { job, event: VisitEvent::Completed, key, at: None, reason: None });
        street.hear(0, FriendMessage::Done { key });
        let view = JobView { state, ..street.view(job, Some(0)) };
        let report = street.seen.finish(&[(job, Some(view))]);
        assert_eq!(report.lost_visits, lost, "{report}");
        assert_eq!(report.failures().is_empty(), lost == 0);
    }
}

#[test]
fn latencies_count_from_the_intended_instant_and_only_within_the_stretch() {
    let mut street = Street::with(SIX);
    let (from, to) = (street.now, street.now + 60 * SECOND);
    street.seen.measure(from, to);
    street.post(1, NEAREST_FOUR);
    let load = street.seen.load_seen();
    assert_eq!((load.jobs_measured, load.post_ms.count), (1, 1));
    street.seen.settle(u64::MAX);
    let load = street.seen.load_seen();
    assert_eq!((load.first_offer_ms.count, load.fourth_offer_ms.count), (1, 1));
    assert!(load.first_offer_ms.max < load.fourth_offer_ms.max && load.fourth_offer_ms.max < load.post_ms.max);

    // A second late against the plan: a second more of latency, and of lag.
    street.pause(5 * SECOND);
    let key = "late".to_owned();
    let partner = "shop".parse().unwrap();
    let job = street.the_job();
    let now = street.now;
    street.seen.posting_planned(now, now - SECOND, &key, &partner, &job);
    let view = street.view(JobId(Uuid::from_u128(0x5999)), None);
    street.seen.posted(now + 1_000, &key, &view);
    let load = street.seen.load_seen();
    assert!(load.post_ms.max >= 1_000.0 && load.generator.post_lag_ms.max >= 999.0, "{load:?}");

    street.pause(120 * SECOND);
    street.post(2, NEAREST_FOUR);
    assert_eq!(street.seen.load_seen().jobs_measured, 2, "after the stretch nothing is measured");
}
