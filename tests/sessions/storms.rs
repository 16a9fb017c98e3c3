//! Many come back at once: so many are taken, the others are told when to come, and everybody is in at last.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kiez_load::bots::{Bot, Habits, Takes};
use kiez_load::chance::Chance;
use kiez_load::client::{FriendClient, FriendConfig, FriendEvent, Reconnect, Server};
use kiez_load::clock::RunClock;
use kiez_load::fleet::{self, Fleet, FleetConfig, Partners};
use kiez_load::observe::{Observation, Observer, Rules};
use kiez_load::route::Route;
use kiez_load::world::{World, WorldKind};
use kiez_protocol::friend::FriendMessage;
use kiez_protocol::refusal::close;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::common::line::Line;
use super::common::{TestServer, job, north};
use super::{offer, on_duty};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_rate_a_friend_is_told_when_to_come_and_those_inside_go_on() {
    let knobs =
        [("KIEZ_LIMITS__HELLOS_PER_S", "5"), ("KIEZ_LIMITS__HELLOS_BURST", "2"), ("KIEZ_LIMITS__COME_BACK_MS", "200")];
    let mut server = TestServer::with(&knobs, 1).await;
    let places = north(&[100.0; 20]);
    let friends = server.town(&places).await;
    let (mut inside, ..) = on_duty(&server, friends[0], places[0]).await;
    let mut storm = tokio::task::JoinSet::new();
    for friend in &friends[1..] {
        let token = server.admin().friend_token(*friend, Some(60)).await.expect("a token").token;
        let mut config = FriendConfig::new(server.server(), token);
        // An impatient app, but one that does what it is told.
        config.reconnect = Reconnect { first_max_ms: 1, backoff_max_ms: 2 };
        storm.spawn(async move {
            let mut client = FriendClient::new(config);
            let mut told = Vec::new();
            loop {
                match client.next().await {
                    FriendEvent::Up { .. } => return (client, told),
                    FriendEvent::Down { code, retry_in_ms, .. } => {
                        assert_eq!(code, Some(close::TRY_AGAIN_LATER));
                        told.push(retry_in_ms);
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
    }
    // Meanwhile a job goes its way.
    server.partner().await.post(&job("A-1"), "a-1").await.expect("posted");
    let (_, offer) = offer(&mut inside).await;
    let key = super::new_key();
    inside.say(&kiez_protocol::friend::FriendFrame::Accept { offer: offer.offer, revision: 1, key }).await;
    super::verdict(&mut inside, key).await;
    let all = tokio::time::timeout(Duration::from_secs(60), storm.join_all()).await.expect("everybody is in");
    let told: Vec<u64> = all.iter().flat_map(|(_, told)| told.clone()).collect();
    assert!(told.len() >= 15, "{told:?}");
    assert!(told.iter().all(|ms| (200..30_000).contains(ms)), "{told:?}");
    assert!(told.iter().max() > Some(&1_200), "spread over as long as nineteen take: {told:?}");
    drop(all);
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_good_token_takes_nobodys_place() {
    let knobs = [("KIEZ_LIMITS__HELLOS_PER_S", "1"), ("KIEZ_LIMITS__HELLOS_BURST", "1")];
    let mut server = TestServer::with(&knobs, 1).await;
    let friend = server.town(&north(&[100.0])).await[0];
    let token = server.admin().friend_token(friend, Some(60)).await.expect("a token").token;
    for _ in 0..20 {
        let mut line = Line::open(&server).await;
        line.say_hello("nobody's", None).await;
        assert_eq!(line.rest().await.1, Some(close::BAD_TOKEN));
    }
    let (first, _) = Line::hello_by(&server, &token, None).await;
    let mut second = Line::open(&server).await;
    second.say_hello(&token, None).await;
    let (heard, code) = second.rest().await;
    assert!(
        matches!(heard[..], [FriendMessage::Draining { reconnect_in_ms }] if reconnect_in_ms >= 1_000),
        "{heard:?}"
    );
    assert_eq!(code, Some(close::TRY_AGAIN_LATER));
    drop(first);
    server.down().await;
}

/// A network between the friends and the server, whose lines tear at any moment, in both directions at once: what was
/// under way is lost.
struct Network {
    address: std::net::SocketAddr,
    lines: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Network {
    async fn before(server: &TestServer) -> Network {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let lines = Arc::<Mutex<Vec<AbortHandle>>>::default();
        let (to, all) = (server.address(), lines.clone());
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let to = to.clone();
                let line = tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(to).await else { return };
                    // However it ends, both ends are closed.
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
                let mut all = all.lock().expect("no panic while held");
                all.retain(|line| !line.is_finished());
                all.push(line.abort_handle());
            }
        });
        Network { address, lines }
    }

    /// Tears one line; whether there was one.
    fn tear(&self, chance: &mut Chance) -> bool {
        let mut lines = self.lines.lock().expect("no panic while held");
        lines.retain(|line| !line.is_finished());
        if !lines.is_empty() {
            let which = chance.below(lines.len());
            lines.swap_remove(which).abort();
            return true;
        }
        false
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_tear_all_the_time_lose_nothing() {
    let mut server = TestServer::start().await;
    let seed = 5;
    let world = World::new(WorldKind::Pilot, 40, seed);
    let documents = world.documents();
    let admin = server.admin();
    admin.import(&documents).await.expect("imported");
    let mut observation = Observation::new(Rules::at_scale(1), &documents);
    let profiles: Vec<_> = world.residents.iter().map(|resident| Arc::new(resident.profile.clone())).collect();
    for profile in &profiles {
        observation.watch(profile.clone());
    }
    let observer = Arc::new(Observer::new(observation));
    let partners = Partners::with_keys(&admin, &world.partners(), observer.clone(), 30_000).await.expect("keys");
    let ids: Vec<_> = profiles.iter().map(|profile| profile.id).collect();
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
        ..Habits::demo(1)
    };
    let network = Network::before(&server).await;
    let config = FleetConfig {
        server: Server::at(&format!("http://{}", network.address)).expect("loopback"),
        habits,
        clock: clock.clone(),
        seed,
        connects_per_s: 200,
        admin: Some(admin),
    };
    let fleet = Fleet::start(&config, bots, observer.clone());
    assert_eq!(fleet.wait_ready(40, Duration::from_secs(20)).await, 40, "{:?}", fleet.troubles());
    clock.start();
    let stop = CancellationToken::new();
    let posting = {
        let (partners, stop) = (partners.clone(), stop.clone());
        tokio::spawn(async move { partners.post_by_chance(&world, 900.0, seed, &stop).await })
    };
    let live = server.running.as_ref().expect("it runs").app.live.clone();
    let (mut chance, mut torn) = (Chance::of(seed, "tears", 0), 0);
    for _ in 0..300 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        torn += u32::from(network.tear(&mut chance));
    }
    let resumed: u32 = live.sessions.outboxes().iter().map(|outbox| outbox.turn() - 1).sum();
    tokio::time::sleep(Duration::from_secs(2)).await;
    stop.cancel();
    posting.await.expect("the partners' task");
    let troubles = fleet.troubles();
    fleet.finish(Duration::from_secs(20)).await;
    let views = partners.look().await.expect("the server answers");
    let report = observer.note(|seen, _| seen.finish(&views));
    println!(
        "torn {torn} resumed {resumed} posted {} assigned {} offers {} accepts {} races {}",
        report.jobs_posted, report.jobs_assigned, report.offers, report.accepts, report.races
    );
    assert!(troubles.is_empty(), "{troubles:?}");
    assert!(resumed > 100 && report.jobs_assigned > 10 && report.accepts > 50, "{report:#?}");
    let lost = (report.lost_jobs, report.lost_wins, report.lost_offers);
    let verdicts = (report.verdicts_missing, report.verdicts_conflicting);
    assert_eq!((report.double_winners, lost, verdicts), (0, (0, 0, 0), (0, 0)), "{:#?}", report.findings);
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    server.down().await;
}
