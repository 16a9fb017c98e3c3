//! What one `handle` costs: the real dispatcher over the real roster, with 1,000 friends and with 100,000 at the same
//! density, for what happens most: a post with its first wave, a decline, the seat that is given on, the next wave, and the
//! accept that wins.
//!
//! `cargo bench --bench handle` prints nanoseconds (medians, on a quiet machine) and instructions (by valgrind's callgrind,
//! which hold still on any). Run by `cargo test` it is a gate on instructions alone: a hundred times the friends may cost
//! at most so many times as much, and no handle more than its budget.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use kiez::clock::Stopwatch;
use kiez::dispatch::effect::{Actor, Answer, Effects, InHand, Message, Stored};
use kiez::dispatch::input::{Input, Terms};
use kiez::dispatch::job::Booking;
use kiez::dispatch::{Dispatcher, Pace};
use kiez::live::fix::Fix;
use kiez::live::roster::Roster;
use kiez_protocol::directory::{Community, Country, Friend, Package};
use kiez_protocol::friend::{DeclineReason, VisitEvent};
use kiez_protocol::ids::{FriendId, JobId, Key, SessionId};
use kiez_protocol::place::Point;
use kiez_protocol::time::Time;
use serde_json::json;
use uuid::Uuid;

/// The two towns that are held against each other.
const FEW: usize = 1_000;
const MANY: usize = 100_000;
/// Jobs of a run: for medians of time, and for instructions, which hardly differ.
const JOBS_TIMED: usize = 2_000;
const JOBS_COUNTED: usize = 200;
/// A hundred times the friends may cost so many times as much, percent.
const RATIO_MAX_PERCENT: u64 = 150;

/// Friends to a square kilometre: a thousand in an area of Berlin's size.
const DENSITY: f64 = 1.1;
/// Jobs keep so far from the edge of the town, metres, so that a wave finds as many on all sides.
const MARGIN_M: f64 = 3_000.0;
/// Of so many friends one holds a job all the while.
const FRIENDS_PER_HELD_JOB: usize = 200;
/// 2026-11-23, a Monday, 08:00 in Berlin.
const MORNING: Time = Time(1_795_417_200_000);
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

type Handle = fn(&mut Dispatcher, Input, Time, &Roster, &mut Effects);

/// One function for each kind of handle, for callgrind to find.
macro_rules! measured {
    ($($name:ident),*) => {
        $(
            #[inline(never)]
            fn $name(core: &mut Dispatcher, input: Input, now: Time, roster: &Roster, effects: &mut Effects) {
                core.handle(input, now, roster, effects);
                // Else the compiler would make one function of all.
                std::hint::black_box(stringify!($name));
            }
        )*
    };
}
measured!(measured_post, measured_decline, measured_refill, measured_wave, measured_accept);

/// What is measured: its name, its function, and how many instructions it may take in an unoptimised build: a third more
/// than it did when this was written.
const MEASURED: [(&str, Handle, u64); 5] = [
    ("post", measured_post, 2_050_000),
    ("decline", measured_decline, 142_000),
    ("refill", measured_refill, 1_620_000),
    ("wave", measured_wave, 3_130_000),
    ("accept", measured_accept, 234_000),
];

/// A town that lives through one job after another.
struct Town {
    core: Dispatcher,
    roster: Roster,
    profiles: Vec<Arc<Friend>>,
    terms: Terms,
    booking: Booking,
    side_m: f64,
    now: Time,
    chance: u64,
    effects: Effects,
    /// What each handle of a kind took, ns.
    took: BTreeMap<&'static str, Vec<u64>>,
}

impl Town {
    fn new(friends: usize) -> Town {
        let community: Community = serde_json::from_value(json!({
            "slug": "berlin-tech", "brand": "Berlin Tech", "country": "DE", "currency": "EUR",
            "time_zone": "Europe/Berlin", "commission": {"id": "ten", "basis_points": 1000},
        }))
        .expect("a community");
        let package: Package = serde_json::from_value(json!({
            "slug": "wifi-setup", "title": {"de": "WLAN", "en": "Wi-Fi"}, "category": "wifi", "duration_min": 60,
            "skills": [{"skill": "wifi", "level": 1}],
            "pricing": {"kind": "fixed", "price": {"amount": 4900, "currency": "EUR"}},
            "questions": [{"name": "router", "text": {"de": "Router?", "en": "Router?"}, "answer": {"kind": "text"},
                 "required": true, "in_offer": true}],
        }))
        .expect("a package");
        let booking: Booking = serde_json::from_value(json!({
            "place": {"lat": 52.5, "lng": 13.4},
            "address": {"street": "Musterstr. 7", "postcode": "10999", "city": "Berlin", "country": "DE"},
            "customer": {"name": "A Customer", "phone": "+493012345678", "language": "de"},
            "answers": {"router": "Fritz!Box 7590"}, "windows": [], "urgency": "normal",
            "payment_method": "card_online", "max_hourly_rate": null, "partner_ref": null,
        }))
        .expect("a booking");
        let commission = community.commission.clone();
        let mut town = Town {
            core: Dispatcher::restore(Stored::default(), 1, Pace { scale: 1 }, MORNING),
            roster: Roster::new(),
            profiles: Vec::with_capacity(friends),
            terms: Terms {
                package: Arc::new(package),
                package_version: 1,
                community: Arc::new(community),
                community_version: 1,
                commission,
            },
            booking,
            side_m: (friends as f64 / DENSITY).sqrt() * 1_000.0,
            now: MORNING,
            chance: 1,
            effects: Effects::default(),
            took: BTreeMap::new(),
        };
        let mut template = Friend::new(FriendId(Uuid::nil()), "A Friend", Country::De);
        template.communities = vec![town.terms.community.slug.clone()];
        template.skills = serde_json::from_value(json!([{"skill": "wifi", "level": 3}])).expect("skills");
        for number in 0..friends {
            town.settles(number, &template);
        }
        for _ in 0..friends / FRIENDS_PER_HELD_JOB {
            let (job, hands) = town.post(plainly);
            let winner = town.accept(&hands[0], plainly);
            let (event, key, received_at) = (VisitEvent::Contacted, Key(Uuid::from_u128(1)), town.now);
            let contacted = Input::Visited { friend: winner, job, event, key, at: None, reason: None, received_at };
            town.handle(contacted, plainly, None);
        }
        town.took.clear();
        town
    }

    /// A friend comes to town, goes on duty and stands somewhere.
    fn settles(&mut self, number: usize, template: &Friend) {
        let id = FriendId(Uuid::from_u128(number as u128 + 1));
        let profile = Arc::new(Friend { id, ..template.clone() });
        self.roster.set_duty(id, true);
        self.roster.join(id, SessionId(id.0), 1, profile.clone());
        let at = self.somewhere(0.0);
        self.roster.place(id, Fix::new(at, self.now));
        self.profiles.push(profile);
    }

    /// From 0 to 1, by a generator that is the same everywhere (splitmix64).
    fn chance(&mut self) -> f64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn somewhere(&mut self, margin_m: f64) -> Point {
        let reach_m = self.side_m / 2.0 - margin_m;
        let (north_m, east_m) = ((self.chance() * 2.0 - 1.0) * reach_m, (self.chance() * 2.0 - 1.0) * reach_m);
        let lat = 52.5 + north_m / 111_195.0;
        Point::new(lat, 13.4 + east_m / (111_195.0 * lat.to_radians().cos())).expect("on earth")
    }

    /// Hands an input in; what it led to.
    fn handle(&mut self, input: Input, by: Handle, name: Option<&'static str>) -> Vec<Message> {
        let watch = Stopwatch::start();
        by(&mut self.core, input, self.now, &self.roster, &mut self.effects);
        let took = u64::try_from(watch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        if let Some(name) = name {
            self.took.entry(name).or_default().push(took);
        }
        let told: Vec<_> = self.effects.commits.drain(..).flat_map(|commit| commit.then).collect();
        self.effects.now.drain(..).chain(told).collect()
    }

    /// Offers that came into hands; their apps have them.
    fn delivered(&mut self, told: Vec<Message>) -> Vec<(FriendId, InHand)> {
        let hold = |message| match message {
            Message::Hold { friend, in_hand } => Some((friend, in_hand)),
            _ => None,
        };
        let hands: Vec<_> = told.into_iter().filter_map(hold).collect();
        for (friend, in_hand) in &hands {
            let delivered = Input::Delivered { friend: *friend, offers: vec![in_hand.offer] };
            self.handle(delivered, plainly, None);
        }
        hands
    }

    fn post(&mut self, by: Handle) -> (JobId, Vec<(FriendId, InHand)>) {
        let place = self.somewhere(MARGIN_M);
        let partner: kiez_protocol::ids::PartnerSlug = "shop".parse().expect("a slug");
        let told = self.handle(
            Input::Posted {
                request: 1,
                by: Actor::Partner(partner.clone()),
                partner,
                reason: None,
                key: None,
                booking: Arc::new(Booking { place, ..self.booking.clone() }),
                terms: self.terms.clone(),
                received_at: self.now,
            },
            by,
            Some("post"),
        );
        let job = told.iter().find_map(|message| match message {
            Message::Answer { answer: Answer::Posted(view), .. } => Some(view.id),
            _ => None,
        });
        let hands = self.delivered(told);
        assert_eq!(hands.len(), 4, "four are asked");
        (job.expect("is posted"), hands)
    }

    /// The holder of an offer wins; who it is.
    fn accept(&mut self, (friend, in_hand): &(FriendId, InHand), by: Handle) -> FriendId {
        in_hand.claim.take(in_hand.seat);
        let profile = self.profiles[usize::try_from(friend.0.as_u128()).expect("small") - 1].clone();
        let (offer, revision, received_at) = (in_hand.offer, in_hand.revision, self.now);
        let key = Key(Uuid::from_u128(7));
        let accept = Input::Accepted { friend: profile, offer, key, revision, received_at, first: true };
        let told = self.handle(accept, by, Some("accept"));
        let settle = told.into_iter().find_map(|message| match message {
            Message::Settle { job, attempt, claim, seat } => Some((job, attempt, claim.settle(seat))),
            _ => None,
        });
        let (job, attempt, _) = settle.expect("the first wins");
        self.handle(Input::Settled { job, attempt }, plainly, None);
        *friend
    }

    /// Lets time pass until `due`, which is handled like this.
    fn until(&mut self, due: Time, by: Handle, name: &'static str) -> Vec<Message> {
        while self.core.next_deadline().is_some_and(|next| next < due) {
            self.now = self.core.next_deadline().expect("there is one").max(self.now);
            self.handle(Input::Tick, plainly, None);
        }
        self.now = due;
        self.handle(Input::Tick, by, Some(name))
    }

    /// A job from its post to its win, and off the books again.
    fn job(&mut self) {
        let into_day = self.now.since(MORNING).rem_euclid(DAY);
        if into_day > 12 * HOUR {
            // Nothing of these jobs is open at night.
            self.now = self.now + (DAY - into_day);
        }
        let (job, hands) = self.post(measured_post);
        let (friend, offer, received_at) = (hands[0].0, hands[0].1.offer, self.now);
        let decline = Input::Declined { friend, offer, reason: DeclineReason::NoTime, key: None, received_at };
        self.handle(decline, measured_decline, Some("decline"));
        let undo = self.core.job(job).expect("is open").undoable[0].until;
        let told = self.until(undo, measured_refill, "refill");
        assert_eq!(self.delivered(told).len(), 1, "the seat is given on");
        let wave = self.core.job(job).expect("is open").run.next_wave_at;
        let told = self.until(wave, measured_wave, "wave");
        assert_eq!(self.delivered(told).len(), 4, "a wave of four");
        self.accept(&hands[1], measured_accept);
        let partner = Actor::Partner("shop".parse().expect("a slug"));
        let received_at = self.now;
        let cancel = Input::Cancelled { request: 1, by: partner, job, reason: None, received_at };
        self.handle(cancel, plainly, None);
        assert!(self.core.job(job).is_none(), "is over");
    }
}

/// What is not measured.
fn plainly(core: &mut Dispatcher, input: Input, now: Time, roster: &Roster, effects: &mut Effects) {
    core.handle(input, now, roster, effects);
}

fn median_and_p99(mut took: Vec<u64>) -> (u64, u64) {
    took.sort_unstable();
    (took[took.len() / 2], took[took.len() * 99 / 100])
}

/// Instructions of one handle of each kind, in the order of [`MEASURED`], in a town of so many friends. None where there
/// is no valgrind.
fn instructions(friends: usize) -> Option<Vec<u64>> {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("callgrind.out");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--compress-strings=no", "--compress-pos=no", "--quiet"]);
    command.arg(format!("--callgrind-out-file={}", out.display()));
    command.args(MEASURED.map(|(name, ..)| format!("--toggle-collect=*measured_{name}*")));
    command.arg(std::env::current_exe().expect("a program")).args(["--counted", &friends.to_string()]);
    match command.stdin(Stdio::null()).stdout(Stdio::null()).status() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        ended => assert!(ended.expect("valgrind runs").success(), "valgrind has failed"),
    }
    let profile = std::fs::read_to_string(&out).expect("callgrind has written");
    let per_handle = |name| inclusive(&profile, &format!("measured_{name}")) / JOBS_COUNTED as u64;
    Some(MEASURED.iter().map(|(name, ..)| per_handle(*name)).collect())
}

/// The instructions of a function with all it calls: its own lines, and after each `calls=` what the callee took.
fn inclusive(profile: &str, function: &str) -> u64 {
    let mut inside = false;
    let mut sum = 0;
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            inside = name.contains(function);
        } else if inside && line.starts_with(|first: char| first.is_ascii_digit()) {
            sum += line.split(' ').nth(1).and_then(|cost| cost.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    assert!(sum > 0, "{function} was not found");
    sum
}

/// Prints what every handle takes, in both towns.
fn table() {
    let timed = |friends| {
        let mut town = Town::new(friends);
        for _ in 0..JOBS_TIMED {
            town.job();
        }
        town.took
    };
    let (mut few, mut many) = (timed(FEW), timed(MANY));
    let counted = instructions(FEW).zip(instructions(MANY));
    let mut text =
        format!("| | {FEW} friends: ns, p99 | instructions | {MANY} friends: ns, p99 | instructions | ratio |\n");
    text += "| --- | ---: | ---: | ---: | ---: | ---: |\n";
    for (at, (name, ..)) in MEASURED.iter().enumerate() {
        let [few, many] = [&mut few, &mut many].map(|took| median_and_p99(took.remove(name).expect("was measured")));
        let [less, more] = [counted.as_ref().map(|both| both.0[at]), counted.as_ref().map(|both| both.1[at])];
        let shown = |count: Option<u64>| count.map_or("–".to_owned(), |count| count.to_string());
        let ratio = less.zip(more).map_or("–".to_owned(), |(less, more)| format!("{:.2}", more as f64 / less as f64));
        let _ = writeln!(
            text,
            "| {name} | {}, {} | {} | {}, {} | {} | {ratio} |",
            few.0,
            few.1,
            shown(less),
            many.0,
            many.1,
            shown(more)
        );
    }
    println!("{text}");
}

/// Holds the instructions against the budgets.
fn gate() -> ExitCode {
    let Some((few, many)) = instructions(FEW).zip(instructions(MANY)) else {
        eprintln!("there is no valgrind: nothing was measured. ./test installs it");
        return ExitCode::FAILURE;
    };
    let mut fits = true;
    for (at, (name, _, most)) in MEASURED.iter().enumerate() {
        let (few, many) = (few[at], many[at]);
        println!("{name}: {few} instructions with {FEW} friends, {many} with {MANY}; at most {most}");
        fits &= many * 100 <= few * RATIO_MAX_PERCENT && many <= *most;
    }
    if fits { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--counted") {
        let mut town = Town::new(args[at + 1].parse().expect("a number of friends"));
        for _ in 0..JOBS_COUNTED {
            town.job();
        }
        return ExitCode::SUCCESS;
    }
    if args.iter().any(|arg| arg == "--bench") {
        table();
        return ExitCode::SUCCESS;
    }
    gate()
}
