//! The pieces that `kiez demo` is built from, together: a world, its bots, its partners and the observer.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a cast member that cannot go on has failed its story"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{FakeKiez, Mischief};
use kiez_load::bots::{Bot, Habits};
use kiez_load::chance::Chance;
use kiez_load::client::{AdminClient, Http};
use kiez_load::clock::RunClock;
use kiez_load::fleet::{Fleet, FleetConfig, Partners, tokens};
use kiez_load::observe::{Observation, Observer, Rules};
use kiez_load::route::{Route, Wander};
use kiez_load::world::{World, WorldKind};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_small_city_lives_for_five_seconds() {
    let scale = 10;
    let fake = FakeKiez::start(Mischief::None, scale).await;
    let mut world = World::new(WorldKind::Pilot, 0, 7);
    // The stand-in knows no gates but nearness, so everybody can do everything.
    world.residents = (0..12).map(|number| world.guest(number)).collect();
    for resident in &mut world.residents {
        resident.profile.radius_m = 100_000;
        if let Some(rate) = &mut resident.profile.hourly_rate {
            rate.amount = 700;
        }
    }
    let admin = AdminClient::new(Http::new(fake.server(), "development"));
    let documents = world.documents();
    let imported = admin.import(&documents).await.unwrap().imported;
    assert_eq!((imported["friend"], imported["community"]), (12, 5));

    let observer = Arc::new(Observer::new(Observation::new(Rules::at_scale(scale), &documents)));
    let partners = Partners::with_keys(&admin, &world.partners(), Arc::clone(&observer), 5_000).await.unwrap();
    let ids: Vec<_> = world.residents.iter().map(|resident| resident.profile.id).collect();
    let tokens = tokens(&admin, &ids).await.unwrap();
    let bots = world.residents.iter().zip(tokens).enumerate().map(|(number, (resident, token))| {
        let chance = Chance::of(world.seed, "way", number as u64);
        let way = Wander::new(resident.home, 600.0, resident.pace_m_s, 60_000.0, chance);
        Bot { profile: Arc::new(resident.profile.clone()), token, route: Route::Wander(way) }
    });
    let config = FleetConfig {
        server: fake.server(),
        habits: Habits { accept_share: 0.9, ..Habits::demo(scale) },
        clock: RunClock::new(0, scale),
        seed: 7,
        connects_per_s: 200,
        admin: Some(admin),
    };
    let fleet = Fleet::start(&config, bots.collect(), Arc::clone(&observer));
    assert_eq!(fleet.wait_ready(12, Duration::from_secs(10)).await, 12);
    config.clock.start();
    fleet.leave_time_ms(300);

    let stop = CancellationToken::new();
    let (refusals, ()) = tokio::join!(partners.post_by_chance(&world, 240.0, 7, &stop), async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        stop.cancel();
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let troubles = fleet.finish(Duration::from_secs(5)).await;
    assert_eq!((refusals, troubles), (vec![], vec![]));
    let views = partners.look().await.unwrap();
    let report = observer.note(|seen, _| seen.finish(&views));
    assert!(report.failures().is_empty(), "{report}");
    assert!((8..30).contains(&report.jobs_posted), "{report}");
    assert!(report.jobs_assigned >= 5 && report.jobs_completed >= 1, "{report}");
    // Nobody accepts sooner than people can: 300 ms of real time are 3 s of the trade's.
    assert!(report.time_to_assign_ms.p50 >= 3_000.0, "{report}");
}
