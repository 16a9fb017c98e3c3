//! The roster as its callers see it: who stands on it and when, and what a search sees while friends move.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use h3o::{CellIndex, Resolution};
use kiez::clock::Stopwatch;
use kiez::dispatch::job::cell_at;
use kiez::dispatch::nearest::{COARSEST, LEAF, Nearby, nearest};
use kiez::live::fix::{FRESH_MS, Fix};
use kiez::live::reach::{Patience, Reach};
use kiez::live::roster::{Bounds, Placed, Roster};
use kiez_protocol::directory::{Country, Friend};
use kiez_protocol::hours::Hours;
use kiez_protocol::ids::{FriendId, SessionId};
use kiez_protocol::place::Point;
use kiez_protocol::profile::{Account, Anchor, AnchorKind};
use kiez_protocol::time::Time;
use proptest::prelude::*;
use uuid::Uuid;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// 2026-11-23 is a Monday: 20:00 in Berlin.
const EVENING: Time = Time(1_795_460_400_000);

fn friend(number: u128) -> FriendId {
    FriendId(Uuid::from_u128(number))
}

fn session(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

/// Who has an odd number has a calendar as well; every third has a home, and is at work in the mornings.
fn profile(number: u128) -> Arc<Friend> {
    let mut profile = Friend::new(friend(number), "Ada", Country::De);
    let hours = |from: &str, to: &str| Hours { days: vec![], from: from.parse().unwrap(), to: to.parse().unwrap() };
    if number % 2 == 1 {
        profile.availability = vec![hours("18:00", "20:00")];
    }
    if number % 3 == 2 {
        let anchor = |kind, place, hours| Anchor { kind, place, hours };
        profile.anchors = vec![
            anchor(AnchorKind::Home, place(7), vec![]),
            anchor(AnchorKind::Work, place(3), vec![hours("08:00", "12:00")]),
        ];
    }
    Arc::new(profile)
}

fn point(lat: f64, lng: f64) -> Point {
    Point::new(lat, lng).unwrap()
}

fn come(roster: &Roster, number: u128, at: Point) {
    roster.set_duty(friend(number), true);
    roster.join(friend(number), session(number), 1, profile(number));
    assert_eq!(roster.place(friend(number), fix(at, 0)), Placed::First);
}

fn come_at(roster: &Roster, number: u128, fix: Fix) {
    roster.set_duty(friend(number), true);
    let profile = Friend::new(friend(number), "Ada", Country::De);
    roster.join(friend(number), session(number), 1, Arc::new(profile));
    assert_eq!(roster.place(friend(number), fix), Placed::First);
}

/// A fix so many minutes after the story began.
fn fix(at: Point, minutes: i64) -> Fix {
    Fix::new(at, Time(minutes * MINUTE))
}

/// How many stand in each cell of a resolution.
fn counts(roster: &Roster, resolution: Resolution) -> BTreeMap<CellIndex, u32> {
    roster.cells(resolution, &Bounds::WORLD).into_iter().collect()
}

fn seen(roster: &Roster, at: Point) -> Vec<FriendId> {
    let walk = nearest(roster, at, 1_000.0, 10, &mut |_, _| Ok(()));
    walk.suitable.iter().map(|found| found.standing.friend).collect()
}

#[test]
fn a_friend_stands_while_on_duty_reachable_and_placed() {
    let (roster, here) = (Roster::new(), point(52.5, 13.4));
    assert_eq!(roster.place(friend(4), fix(here, 0)), Placed::Dropped, "no session");
    roster.join(friend(4), session(4), 1, profile(4));
    assert_eq!(roster.place(friend(4), fix(here, 0)), Placed::Dropped, "not on duty");
    assert_eq!(roster.position(friend(4)), None);
    roster.set_duty(friend(4), true);
    assert!(roster.on_duty(friend(4)) && seen(&roster, here).is_empty());
    assert_eq!(roster.place(friend(4), fix(here, 1)), Placed::First);
    assert_eq!(roster.position(friend(4)), Some(fix(here, 1)));
    assert_eq!(seen(&roster, here), [friend(4)]);
    assert_eq!(roster.place(friend(4), fix(point(52.5001, 13.4001), 2)), Placed::Same);
    assert_eq!(roster.find(friend(4)).unwrap().position, point(52.5001, 13.4001));
    assert_eq!(roster.place(friend(4), fix(point(52.51, 13.4), 3)), Placed::Moved);
    assert_eq!(roster.place(friend(4), fix(point(54.51, 13.4), 4)), Placed::Jump);
    assert_eq!(roster.find(friend(4)).unwrap().position, point(52.51, 13.4));

    roster.set_duty(friend(4), false);
    assert!(roster.position(friend(4)).is_none() && roster.find(friend(4)).is_none());
    roster.set_duty(friend(4), true);
    assert_eq!(roster.place(friend(4), fix(here, 5)), Placed::First);
}

#[test]
fn a_late_goodbye_takes_nobody_away_and_duty_outlasts_a_session() {
    let (roster, here) = (Roster::new(), point(52.5, 13.4));
    come(&roster, 4, here);
    roster.join(friend(4), session(2), 1, profile(4));
    assert!(!roster.depart(friend(4), session(4), 1));
    assert_eq!(seen(&roster, here), [friend(4)], "the newer session takes over the position");
    assert!(roster.depart(friend(4), session(2), 1));
    assert!(!roster.depart(friend(4), session(2), 1));
    assert_eq!((seen(&roster, here), roster.reach(friend(4))), (vec![friend(4)], Reach::Suspect));
    assert!(roster.is_empty(), "nobody has a session");
    roster.fade(75_001, Patience::default());
    assert!(seen(&roster, here).is_empty() && roster.on_duty(friend(4)));
    roster.join(friend(4), session(3), 1, profile(4));
    assert_eq!(roster.position(friend(4)), None);
    assert_eq!(roster.place(friend(4), fix(here, 0)), Placed::First);
    assert_eq!(seen(&roster, here), [friend(4)]);
}

#[test]
fn silence_leads_out_of_reach_in_two_steps_and_a_frame_leads_back() {
    let (roster, here) = (Roster::new(), point(52.5, 13.4));
    come(&roster, 4, here);
    let at = |seconds: i64| {
        roster.fade(seconds * 1_000, Patience::default());
        (roster.reach(friend(4)), seen(&roster, here).len())
    };
    assert_eq!(at(35), (Reach::Live, 1));
    roster.heard(friend(4), session(4), 30_000);
    assert_eq!(at(65), (Reach::Live, 1));
    assert_eq!(at(66), (Reach::Suspect, 1), "suspect does not withdraw");
    roster.heard(friend(4), session(9), 66_000);
    assert_eq!(at(105), (Reach::Suspect, 1), "another session's frame says nothing");
    assert_eq!(at(106), (Reach::Unreachable, 0));
    assert_eq!(at(5_000), (Reach::Unreachable, 0));
    assert!(roster.arrivals(9).is_empty());
    roster.heard(friend(4), session(4), 5_000_000);
    assert_eq!((roster.reach(friend(4)), seen(&roster, here)), (Reach::Live, vec![friend(4)]), "at once");
    assert_eq!(roster.arrivals(9), [friend(4)], "the jobs that want them should look");
    assert!(roster.arrivals(9).is_empty());
    assert_eq!(at(5_036), (Reach::Suspect, 1), "and down again");
}

#[test]
fn who_can_be_pushed_to_stays_in_reach_without_a_session() {
    let (roster, home) = (Roster::new(), place(7));
    roster.freshen(EVENING);
    let sleeper = profile(5);
    roster.set_push(&sleeper, true);
    roster.fade(10_000_000, Patience::default());
    assert_eq!(
        (roster.reach(friend(5)), seen(&roster, home)),
        (Reach::PushOnly, vec![friend(5)]),
        "off duty, by calendar"
    );
    assert!(roster.is_empty(), "and has no session");
    roster.join(friend(5), session(5), 1, sleeper.clone());
    assert_eq!(roster.reach(friend(5)), Reach::Live);
    roster.depart(friend(5), session(5), 1);
    roster.fade(20_000_000, Patience::default());
    assert_eq!(roster.reach(friend(5)), Reach::PushOnly);
    roster.set_push(&sleeper, false);
    roster.fade(20_000_000, Patience::default());
    assert_eq!((roster.reach(friend(5)), seen(&roster, home)), (Reach::Unreachable, vec![]));
    roster.set_push(&profile(1), false);
    assert_eq!(roster.reach(friend(1)), Reach::Unreachable);
}

#[test]
fn a_stale_fix_gives_way_to_the_anchor_of_the_hour() {
    let (roster, here) = (Roster::new(), point(52.52, 13.4));
    let at = |now: Time| {
        roster.freshen(now);
        roster.find(friend(2)).map(|standing| standing.position)
    };
    roster.freshen(EVENING);
    roster.set_duty(friend(2), true);
    roster.join(friend(2), session(2), 1, profile(2));
    assert_eq!(roster.find(friend(2)).map(|standing| standing.position), Some(place(7)), "at home");
    assert_eq!(roster.arrivals(9), [friend(2)]);
    assert_eq!(roster.place(friend(2), Fix::new(here, EVENING)), Placed::First);
    assert_eq!(at(EVENING + FRESH_MS), Some(here));
    assert_eq!(at(EVENING + FRESH_MS + 1), Some(place(7)));
    assert_eq!(at(EVENING + 12 * HOUR - 1), Some(place(7)));
    assert_eq!(at(EVENING + 12 * HOUR), Some(place(3)), "work begins at eight");
    assert_eq!(at(EVENING + 16 * HOUR - 1), Some(place(3)));
    assert_eq!(at(EVENING + 16 * HOUR), Some(place(7)));
    let again = EVENING + 17 * HOUR;
    assert_eq!(roster.place(friend(2), Fix::new(here, again)), Placed::Moved);
    assert_eq!(at(again + FRESH_MS / 2), Some(here));
    roster.place(friend(2), Fix::new(here, again + FRESH_MS / 2));
    assert_eq!(at(again + FRESH_MS + 1), Some(here), "the newer fix keeps them there");
    assert!(roster.arrivals(9).is_empty(), "they were in reach all the time");
    let mut moved = Friend::clone(&profile(2));
    moved.anchors.clear();
    roster.set_profile(Arc::new(moved));
    assert_eq!(at(again + 2 * FRESH_MS), None, "without anchors they stand nowhere");
}

#[test]
fn off_duty_only_who_has_a_calendar_stands_at_an_anchor() {
    let roster = Roster::new();
    roster.freshen(EVENING);
    for number in [2, 5] {
        roster.join(friend(number), session(number), 1, profile(number));
    }
    assert_eq!(roster.find(friend(2)).map(|standing| standing.position), None);
    let standing = roster.find(friend(5)).expect("has hours");
    assert_eq!((standing.position, standing.on_duty), (place(7), false));
    assert_eq!(roster.place(friend(5), Fix::new(place(1), EVENING)), Placed::Dropped, "their position is their own");
}

#[test]
fn ten_thousand_who_wait_cost_a_second_nothing() {
    let roster = Roster::new();
    roster.freshen(EVENING);
    for number in 0..10_000 {
        come_at(&roster, number, Fix::new(point(52.3 + number as f64 * 4e-5, 13.4), EVENING));
    }
    roster.fade(0, Patience::default());
    let second = |seconds: i64| {
        let watch = Stopwatch::start();
        roster.fade(seconds * 1_000, Patience::default());
        roster.freshen(EVENING + seconds * 1_000);
        watch.elapsed()
    };
    let quiet: Duration = (1..30).map(second).sum();
    assert!(quiet < Duration::from_millis(20), "29 seconds without anybody due took {quiet:?}");
    for number in 0..10_000 {
        roster.heard(friend(number), session(number), 30_000);
    }
    let looked = second(36);
    let all_stale = second(1_300);
    roster.sweep();
    assert_eq!(roster.cells(COARSEST, &Bounds::WORLD).len(), 0, "nobody was heard, and fixes are stale");
    println!("quiet {quiet:?}, all looked at {looked:?}, all stale and out of reach {all_stale:?}");
}

#[test]
fn a_changed_profile_is_seen_at_once() {
    let (roster, here) = (Roster::new(), point(52.5, 13.4));
    come(&roster, 4, here);
    roster.set_profile(Arc::new(Friend { account: Account::Left, ..Friend::clone(&profile(4)) }));
    assert!(!roster.find(friend(4)).unwrap().profile.account.is_active());
}

#[test]
fn the_map_counts_within_its_bounds() {
    let roster = Roster::new();
    come(&roster, 1, point(52.5, 13.4));
    come(&roster, 4, point(-17.0, 179.9));
    let bounds = |west, east| Bounds { west, south: -60.0, east, north: 60.0 };
    let count = |bounds| roster.cells(Resolution::Seven, &bounds).iter().map(|(_, friends)| friends).sum::<u32>();
    assert_eq!(count(Bounds::WORLD), 2);
    assert_eq!(count(bounds(13.0, 14.0)), 1);
    assert_eq!(count(bounds(170.0, -170.0)), 1, "across the antimeridian");
    assert_eq!(count(bounds(-170.0, 170.0)), 1);
    assert!(roster.cells(Resolution::Two, &Bounds::WORLD).is_empty());
}

#[test]
fn who_wanders_back_and_forth_leaves_no_trail() {
    let roster = Roster::new();
    let doors = [point(52.5, 13.4), point(52.51, 13.4), point(52.52, 13.4)];
    come(&roster, 1, doors[0]);
    for step in 0..1_000 {
        roster.place(friend(1), fix(doors[step % 3], step as i64));
    }
    assert_eq!(counts(&roster, LEAF).values().sum::<u32>(), 3);
    assert_eq!(counts(&roster, COARSEST).values().sum::<u32>(), 1, "one friend, however many leaves lead to them");
    assert_eq!(roster.sweep(), 0);
    assert_eq!(counts(&roster, LEAF).values().sum::<u32>(), 1);
}

#[test]
fn what_a_search_may_need_stays_until_it_ends() {
    let (roster, old) = (Roster::new(), point(52.5, 13.4));
    come(&roster, 1, old);
    let search = roster.begin();
    roster.place(friend(1), fix(point(52.52, 13.4), 1));
    for _ in 0..5 {
        assert_eq!(roster.sweep(), 1);
    }
    let mut led = 0;
    roster.each(cell_at(old, LEAF), &mut |standing| led += u32::from(standing.position == point(52.52, 13.4)));
    assert_eq!(led, 1, "the old leaf leads to the new position");
    roster.end(search);
    assert_eq!(roster.sweep(), 0);
    assert_eq!(roster.count(cell_at(old, LEAF)), 0);
}

#[test]
fn who_moves_among_the_nearest_is_never_missed() {
    let (roster, middle) = (Arc::new(Roster::new()), point(52.52, 13.405));
    for number in 0..3 {
        come(&roster, number, point(52.52, 13.405 + number as f64 * 1e-3));
    }
    come(&roster, 3, middle);
    for number in 4..400 {
        // A ring of others, two kilometres out.
        let angle = number as f64;
        come(&roster, number, point(52.52 + 0.02 * angle.sin(), 13.405 + 0.033 * angle.cos()));
    }
    let over = Arc::new(AtomicBool::new(false));
    let moves = Arc::new(AtomicU64::new(0));
    let run = |act: fn(&Roster, u64)| {
        let (roster, over) = (roster.clone(), over.clone());
        std::thread::spawn(move || {
            let mut turn = 0;
            while !over.load(Ordering::Relaxed) {
                act(&roster, turn);
                turn += 1;
            }
            turn
        })
    };
    // The wanderer goes round at 700 m, from leaf to leaf; another goes on and off duty far out.
    let threads = [
        run(|roster, turn| {
            let angle = turn as f64 * 0.7;
            let at = point(52.52 + 0.006 * angle.sin(), 13.405 + 0.01 * angle.cos());
            let placed = roster.place(friend(3), fix(at, turn as i64 + 1));
            assert!(matches!(placed, Placed::Moved | Placed::Same), "{placed:?}");
        }),
        run(|roster, turn| {
            roster.set_duty(friend(10), turn % 2 == 0);
            roster.sweep();
        }),
    ];
    let (begun, mut searches) = (Stopwatch::start(), 0u64);
    while begun.elapsed() < Duration::from_millis(1_200) {
        let walk = nearest(&*roster, middle, 3_800.0, 4, &mut |_, _| Ok(()));
        let mut four: Vec<_> = walk.suitable.iter().map(|found| found.standing.friend).collect();
        four.sort();
        assert_eq!(four, [friend(0), friend(1), friend(2), friend(3)], "search {searches}");
        searches += 1;
    }
    over.store(true, Ordering::Relaxed);
    for thread in threads {
        moves.fetch_add(thread.join().expect("it did not panic"), Ordering::Relaxed);
    }
    assert!(searches > 50 && moves.load(Ordering::Relaxed) > 500, "{searches} searches, {moves:?} moves");
}

/// Something that happens to one of a few friends.
#[derive(Clone, Debug)]
enum Event {
    Join(u128),
    Depart(u128),
    Duty(u128, bool),
    Heard(u128),
    Push(u128, bool),
    Place(u128, u8),
    /// So many minutes of the trade pass.
    Hours(i64),
    /// So many seconds of real time pass.
    Silence(i64),
    Sweep,
    Begin,
    End,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let who = || 0u128..6;
    let event = prop_oneof![
        3 => who().prop_map(Event::Join),
        1 => who().prop_map(Event::Depart),
        2 => (who(), any::<bool>()).prop_map(|(who, on)| Event::Duty(who, on)),
        1 => who().prop_map(Event::Heard),
        1 => (who(), any::<bool>()).prop_map(|(who, on)| Event::Push(who, on)),
        8 => (who(), 0u8..8).prop_map(|(who, place)| Event::Place(who, place)),
        2 => prop_oneof![1i64..30, 60i64..700].prop_map(Event::Hours),
        2 => (1i64..50).prop_map(Event::Silence),
        2 => Just(Event::Sweep),
        1 => Just(Event::Begin),
        1 => Just(Event::End),
    ];
    prop::collection::vec(event, 0..120)
}

#[derive(Clone, Copy, Default)]
struct Model {
    connected: bool,
    push: bool,
    on_duty: bool,
    heard_s: i64,
    reach: Option<Reach>,
    fix: Option<(u8, Time)>,
}

impl Model {
    /// Where they stand as of the last sweeps.
    fn stands(&self, who: u128, now: Time) -> Option<Point> {
        let profile = profile(who);
        let asked = self.on_duty || !profile.availability.is_empty();
        self.reach.filter(|reach| *reach > Reach::Unreachable && asked)?;
        let fresh = self.fix.filter(|(_, at)| self.on_duty && now.since(*at) <= FRESH_MS).map(|(at, _)| place(at));
        fresh.or_else(|| profile.anchor_at(now).map(|anchor| anchor.place))
    }

    fn fade(&mut self, now_s: i64) {
        let silent_s = now_s - self.heard_s;
        self.reach = match (self.reach, self.connected, silent_s) {
            (None, ..) => None,
            (Some(_), true, ..=35) => Some(Reach::Live),
            (Some(Reach::Live | Reach::Suspect), _, ..=75) => Some(Reach::Suspect),
            (Some(_), ..) if self.push => Some(Reach::PushOnly),
            (Some(_), true, _) => Some(Reach::Unreachable),
            (Some(_), false, _) => None,
        };
        if self.reach.is_none() {
            *self = Model { on_duty: self.on_duty, ..Model::default() };
        }
    }
}

fn place(number: u8) -> Point {
    // Some share a leaf, some a coarser cell, some nothing.
    let (near, far) = (f64::from(number % 4), f64::from(number / 4));
    point(52.5 + 0.004 * near * near, 13.4 + 9.0 * far)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn counts_are_those_of_the_friends(events in events()) {
        let roster = Roster::new();
        let mut model = [Model::default(); 6];
        let mut searches = Vec::new();
        let (mut now, mut real_s) = (EVENING, 0);
        roster.freshen(now);
        for event in events {
            match event {
                Event::Join(who) => {
                    roster.join(friend(who), session(who), 1, profile(who));
                    let before = &mut model[who as usize];
                    *before = Model { connected: true, reach: Some(Reach::Live), heard_s: real_s, ..*before };
                }
                Event::Depart(who) => {
                    let before = &mut model[who as usize];
                    prop_assert_eq!(roster.depart(friend(who), session(who), 1), before.connected);
                    if std::mem::take(&mut before.connected) {
                        before.reach = before.reach.min(Some(Reach::Suspect));
                    }
                }
                Event::Duty(who, on) => {
                    roster.set_duty(friend(who), on);
                    let before = &mut model[who as usize];
                    *before = Model { on_duty: on, fix: before.fix.filter(|_| on), ..*before };
                }
                Event::Heard(who) => {
                    roster.heard(friend(who), session(who), real_s * 1_000);
                    let before = &mut model[who as usize];
                    if before.connected {
                        *before = Model { reach: Some(Reach::Live), heard_s: real_s, ..*before };
                    }
                }
                Event::Push(who, on) => {
                    roster.set_push(&profile(who), on);
                    let before = &mut model[who as usize];
                    if on || before.reach.is_some() {
                        let known = before.reach.unwrap_or(Reach::Unreachable);
                        let heard_s = if before.reach.is_some() { before.heard_s } else { i64::MIN / 2 };
                        let reach = Some(if on { known.max(Reach::PushOnly) } else { known });
                        *before = Model { push: on, reach, heard_s, ..*before };
                    }
                }
                Event::Place(who, to) => {
                    // An instant later, and days as far as speed goes: the sweep decides what is stale.
                    let placed = roster.place(friend(who), Fix { accuracy_m: 1e7, ..Fix::new(place(to), now) });
                    let before = &mut model[who as usize];
                    let kept = before.reach.is_some() && before.on_duty;
                    prop_assert_eq!(placed == Placed::Dropped, !kept);
                    prop_assert_eq!(placed == Placed::First, kept && before.fix.is_none());
                    before.fix = if kept { Some((to, now)) } else { before.fix };
                }
                Event::Hours(minutes) => {
                    now = now + minutes * MINUTE;
                    roster.freshen(now);
                }
                Event::Silence(seconds) => {
                    real_s += seconds;
                    roster.fade(real_s * 1_000, Patience::default());
                    model.iter_mut().for_each(|model| model.fade(real_s));
                }
                Event::Sweep => {
                    roster.sweep();
                }
                Event::Begin => searches.push(roster.begin()),
                Event::End => searches.pop().into_iter().for_each(|search| roster.end(search)),
            }
            // Whatever trails: everybody who stands is led to.
            for (who, model) in (0..).zip(&model) {
                let at = model.stands(who, now);
                prop_assert_eq!(roster.find(friend(who)).map(|standing| standing.position), at);
                if let Some(at) = at {
                    let leaf = cell_at(at, LEAF);
                    let mut led = false;
                    roster.each(leaf, &mut |standing| led |= standing.friend == friend(who));
                    prop_assert!(led && roster.count(leaf.parent(COARSEST).unwrap()) > 0);
                }
            }
            prop_assert_eq!(roster.len(), model.iter().filter(|model| model.connected).count());
        }
        searches.into_iter().for_each(|search| roster.end(search));
        prop_assert_eq!(roster.sweep(), 0);
        for resolution in Resolution::range(COARSEST, LEAF) {
            let mut expected = BTreeMap::new();
            for standing in (0..6).filter_map(|who| roster.find(friend(who))) {
                // Counted under the leaf's ancestor, not the cell that geometry gives: children stick out.
                let cell = cell_at(standing.position, LEAF).parent(resolution).unwrap();
                *expected.entry(cell).or_insert(0) += 1;
            }
            prop_assert_eq!(counts(&roster, resolution), expected);
        }
        for who in 0..6 {
            roster.set_push(&profile(who), false);
            roster.depart(friend(who), session(who), 1);
        }
        roster.fade((real_s + 100) * 1_000, Patience::default());
        roster.sweep();
        for resolution in Resolution::range(COARSEST, LEAF) {
            prop_assert!(roster.cells(resolution, &Bounds::WORLD).is_empty());
        }
        prop_assert!(roster.is_empty());
    }
}
