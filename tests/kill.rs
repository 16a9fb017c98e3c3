//! `kill -9` in the middle of everything, again and again: what was acknowledged is there, what was won is won, once.

mod common;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use common::{DEVELOPMENT_KEY, Database};
use kiez_load::bots::{Bot, Habits, Takes};
use kiez_load::chance::Chance;
use kiez_load::client::{AdminClient, Http, Server};
use kiez_load::clock::RunClock;
use kiez_load::fleet::{self, Fleet, FleetConfig, Partners};
use kiez_load::killable::Killable;
use kiez_load::observe::{Observation, Observer, Rules};
use kiez_load::report::Report;
use kiez_load::route::Route;
use kiez_load::world::{World, WorldKind};
use kiez_protocol::ids::FriendId;
use tokio_util::sync::CancellationToken;

/// A server in a process of its own, so that it can be killed.
async fn start(url: &str, port: u16) -> Killable {
    let at = Server::at(&format!("http://127.0.0.1:{port}")).expect("loopback");
    let line = format!(
        "KIEZ_LOG=warn KIEZ_AUTH__DEVELOPMENT_KEY={DEVELOPMENT_KEY} '{}' serve --listen 127.0.0.1:{port} \
         --admin-listen 127.0.0.1:0 --database-url '{url}'",
        env!("CARGO_BIN_EXE_kiez")
    );
    Killable::start(&line, at).await.expect("the server starts")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

async fn killed_five_times(url: &str, seed: u64) -> Report {
    let port = free_port();
    let mut server = start(url, port).await;
    let world = World::new(WorldKind::Pilot, 40, seed);
    let documents = world.documents();
    let at = Server::at(&format!("http://127.0.0.1:{port}")).expect("loopback");
    let admin = AdminClient::new(Http::new(at.clone(), DEVELOPMENT_KEY));
    admin.import(&documents).await.expect("imported");
    let mut observation = Observation::new(Rules::at_scale(1), &documents);
    let profiles: Vec<_> = world.residents.iter().map(|resident| Arc::new(resident.profile.clone())).collect();
    for profile in &profiles {
        observation.watch(profile.clone());
    }
    let observer = Arc::new(Observer::new(observation));
    let partners = Partners::with_keys(&admin, &world.partners(), observer.clone(), 30_000).await.expect("keys");
    let ids: Vec<FriendId> = profiles.iter().map(|profile| profile.id).collect();
    let tokens = fleet::tokens(&admin, &ids).await.expect("tokens");
    let bots = profiles.into_iter().zip(tokens).zip(&world.residents);
    let bots =
        bots.map(|((profile, token), resident)| Bot { profile, token, route: Route::Home(resident.home) }).collect();
    let clock = RunClock::new(0, 1);
    let quick = |median_ms| Takes { median_ms, sigma: 0.6 };
    let habits = Habits {
        thinking: quick(300.0),
        contact: quick(200.0),
        work: quick(500.0),
        accept_share: 0.9,
        ask_again_share: 1.0,
        ..Habits::demo(1)
    };
    let config =
        FleetConfig { server: at, habits, clock: clock.clone(), seed, connects_per_s: 200, admin: Some(admin) };
    let fleet = Fleet::start(&config, bots, observer.clone());
    assert_eq!(fleet.wait_ready(40, Duration::from_secs(20)).await, 40, "{:?}", fleet.troubles());
    clock.start();

    let stop = CancellationToken::new();
    let posting = {
        let (partners, stop) = (partners.clone(), stop.clone());
        tokio::spawn(async move { partners.post_by_chance(&world, 900.0, seed, &stop).await })
    };
    let mut chance = Chance::of(seed, "kills", 0);
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(600 + chance.below(1_500) as u64)).await;
        server.kill().await.expect("the server comes back");
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    stop.cancel();
    posting.await.expect("the partners' task");
    fleet.finish(Duration::from_secs(20)).await;
    let views = partners.look().await.expect("the server answers");
    let (mut report, outages) = observer.note(|seen, _| (seen.finish(&views), seen.outages_seen()));
    report.outages = Some(outages);
    assert!(server.end().await, "it ends in order when it is asked to");
    report
}

fn nothing_is_lost(report: &Report) {
    println!(
        "posted {} assigned {} offers {} accepts {} races {} connects {}",
        report.jobs_posted, report.jobs_assigned, report.offers, report.accepts, report.races, report.connects
    );
    assert!(report.jobs_assigned > 10 && report.connects > 100, "{report:#?}");
    let lost = (report.lost_jobs, report.lost_wins, report.lost_offers);
    let verdicts = (report.verdicts_missing, report.verdicts_conflicting);
    assert_eq!((report.double_winners, lost, verdicts), (0, (0, 0, 0), (0, 0)), "{:#?}", report.findings);
    let asked_again = report.outages.as_ref().map(|outages| (outages.wins_asked_again, outages.wins_confirmed));
    assert!(asked_again.is_some_and(|(asked, confirmed)| asked > 0 && asked == confirmed), "{:#?}", report.outages);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_five_times_on_sqlite_nothing_is_lost() {
    let database = Database::sqlite();
    nothing_is_lost(&killed_five_times(&database.url, 11).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_five_times_on_postgres_nothing_is_lost() {
    let Some(database) = Database::postgres() else { return };
    nothing_is_lost(&killed_five_times(&database.url, 12).await);
}
