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
use kiez::live::roster::{Bounds, Placed, Roster};
use kiez_protocol::directory::Friend;
use kiez_protocol::ids::{FriendId, SessionId};
use kiez_protocol::place::Point;
use proptest::prelude::*;
use uuid::Uuid;

fn friend(number: u128) -> FriendId {
    FriendId(Uuid::from_u128(number))
}

fn session(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

fn profile(number: u128) -> Arc<Friend> {
    let friend = serde_json::json!({"id": friend(number), "name": "Ada", "communities": [], "country": "DE"});
    Arc::new(serde_json::from_value(friend).expect("a friend as on the wire"))
}

fn point(lat: f64, lng: f64) -> Point {
    Point::new(lat, lng).unwrap()
}

fn come(roster: &Roster, number: u128, at: Point) {
    roster.set_duty(friend(number), true);
    roster.join(friend(number), session(number), profile(number));
    assert_eq!(roster.place(friend(number), at, 0), Placed::First);
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
    assert_eq!(roster.place(friend(1), here, 0), Placed::Dropped, "no session");
    roster.join(friend(1), session(1), profile(1));
    assert_eq!(roster.place(friend(1), here, 0), Placed::Dropped, "not on duty");
    assert_eq!(roster.position(friend(1)), None);
    roster.set_duty(friend(1), true);
    assert!(roster.on_duty(friend(1)) && seen(&roster, here).is_empty());
    assert_eq!(roster.place(friend(1), here, 7), Placed::First);
    assert_eq!(roster.position(friend(1)).map(|fix| (fix.at, fix.received_ms)), Some((here, 7)));
    assert_eq!(seen(&roster, here), [friend(1)]);
    assert_eq!(roster.place(friend(1), point(52.5001, 13.4001), 8), Placed::Same);
    assert_eq!(roster.find(friend(1)).unwrap().position, point(52.5001, 13.4001));
    assert_eq!(roster.place(friend(1), point(52.51, 13.4), 9), Placed::Moved);

    roster.set_reachable(friend(1), false);
    assert!(seen(&roster, point(52.51, 13.4)).is_empty() && roster.position(friend(1)).is_some());
    roster.set_reachable(friend(1), true);
    assert_eq!(seen(&roster, point(52.51, 13.4)), [friend(1)], "where they were last");

    roster.set_duty(friend(1), false);
    assert!(roster.position(friend(1)).is_none() && roster.find(friend(1)).is_none());
    roster.set_duty(friend(1), true);
    assert_eq!(roster.place(friend(1), here, 10), Placed::First);
}

#[test]
fn a_late_goodbye_takes_nobody_away_and_duty_outlasts_a_session() {
    let (roster, here) = (Roster::new(), point(52.5, 13.4));
    come(&roster, 1, here);
    roster.join(friend(1), session(2), profile(1));
    assert!(!roster.leave(friend(1), session(1)));
    assert_eq!(seen(&roster, here), [friend(1)], "the newer session takes over the position");
    assert!(roster.leave(friend(1), session(2)));
    assert!(!roster.leave(friend(1), session(2)));
    assert!(seen(&roster, here).is_empty() && roster.is_empty() && roster.on_duty(friend(1)));
    roster.join(friend(1), session(3), profile(1));
    assert_eq!(roster.position(friend(1)), None);
    assert_eq!(roster.place(friend(1), here, 0), Placed::First);
    assert_eq!(seen(&roster, here), [friend(1)]);
}

#[test]
fn a_changed_profile_is_seen_at_once() {
    let (roster, here) = (Roster::new(), point(52.5, 13.4));
    come(&roster, 1, here);
    roster.set_profile(Arc::new(Friend { active: false, ..Friend::clone(&profile(1)) }));
    assert!(!roster.find(friend(1)).unwrap().profile.active);
}

#[test]
fn the_map_counts_within_its_bounds() {
    let roster = Roster::new();
    come(&roster, 1, point(52.5, 13.4));
    come(&roster, 2, point(-17.0, 179.9));
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
        roster.place(friend(1), doors[step % 3], 0);
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
    roster.place(friend(1), point(52.52, 13.4), 0);
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
            assert_ne!(roster.place(friend(3), at, 0), Placed::Dropped);
        }),
        run(|roster, turn| {
            roster.set_reachable(friend(10), turn % 2 == 0);
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
    Leave(u128),
    Duty(u128, bool),
    Reach(u128, bool),
    Place(u128, u8),
    Sweep,
    Begin,
    End,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let who = || 0u128..6;
    let event = prop_oneof![
        2 => who().prop_map(Event::Join),
        1 => who().prop_map(Event::Leave),
        1 => (who(), any::<bool>()).prop_map(|(who, on)| Event::Duty(who, on)),
        1 => (who(), any::<bool>()).prop_map(|(who, on)| Event::Reach(who, on)),
        8 => (who(), 0u8..8).prop_map(|(who, place)| Event::Place(who, place)),
        2 => Just(Event::Sweep),
        1 => Just(Event::Begin),
        1 => Just(Event::End),
    ];
    prop::collection::vec(event, 0..120)
}

#[derive(Clone, Copy, Default)]
struct Model {
    live: bool,
    on_duty: bool,
    reachable: bool,
    place: Option<u8>,
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
        for event in events {
            match event {
                Event::Join(who) => {
                    roster.join(friend(who), session(who), profile(who));
                    let before = &mut model[who as usize];
                    *before = Model { live: true, reachable: true, ..*before };
                }
                Event::Leave(who) => {
                    let before = &mut model[who as usize];
                    prop_assert_eq!(roster.leave(friend(who), session(who)), before.live);
                    *before = Model { on_duty: before.on_duty, ..Model::default() };
                }
                Event::Duty(who, on) => {
                    roster.set_duty(friend(who), on);
                    let before = &mut model[who as usize];
                    *before = Model { on_duty: on, place: before.place.filter(|_| on), ..*before };
                }
                Event::Reach(who, reachable) => {
                    roster.set_reachable(friend(who), reachable);
                    let before = &mut model[who as usize];
                    before.reachable = before.live && reachable;
                }
                Event::Place(who, to) => {
                    let placed = roster.place(friend(who), place(to), 0);
                    let before = &mut model[who as usize];
                    let kept = before.live && before.on_duty;
                    prop_assert_eq!(placed == Placed::Dropped, !kept);
                    prop_assert_eq!(placed == Placed::First, kept && before.place.is_none());
                    before.place = if kept { Some(to) } else { before.place };
                }
                Event::Sweep => {
                    roster.sweep();
                }
                Event::Begin => searches.push(roster.begin()),
                Event::End => searches.pop().into_iter().for_each(|search| roster.end(search)),
            }
            // Whatever trails: everybody who stands is led to.
            for (who, model) in (0..).zip(&model) {
                let stands = model.live && model.on_duty && model.reachable;
                let at = model.place.filter(|_| stands).map(place);
                prop_assert_eq!(roster.find(friend(who)).map(|standing| standing.position), at);
                if let Some(at) = at {
                    let leaf = cell_at(at, LEAF);
                    let mut led = false;
                    roster.each(leaf, &mut |standing| led |= standing.friend == friend(who));
                    prop_assert!(led && roster.count(leaf.parent(COARSEST).unwrap()) > 0);
                }
            }
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
            roster.leave(friend(who), session(who));
        }
        roster.sweep();
        for resolution in Resolution::range(COARSEST, LEAF) {
            prop_assert!(roster.cells(resolution, &Bounds::WORLD).is_empty());
        }
        prop_assert!(roster.is_empty());
    }
}
