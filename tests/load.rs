//! The load generator against a server in a process of its own, in small: a city that is measured and checked, friends who
//! only stand there, and a day that is replayed while the server is killed.

mod common;

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use common::DEVELOPMENT_KEY;
use kiez_load::city::{CityConfig, CityError, city};
use kiez_load::client::Server;
use kiez_load::idle::{IdleConfig, idle};
use kiez_load::killable::Killable;
use kiez_load::machine::Process;
use kiez_load::replay::{Kills, ReplayConfig, replay};
use kiez_load::trace::Selection;

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// How a server on SQLite in this folder is started, and where it will be.
fn line(folder: &Path, knobs: &str, more: &str) -> (String, String) {
    let port = free_port();
    let line = format!(
        "KIEZ_AUTH__DEVELOPMENT_KEY={DEVELOPMENT_KEY} KIEZ_LOG=warn {knobs} '{}' serve --listen 127.0.0.1:{port} \
         --admin-listen 127.0.0.1:0 --database-url 'sqlite:{}' {more}",
        env!("CARGO_BIN_EXE_kiez"),
        folder.join("kiez.db").display()
    );
    (line, format!("http://127.0.0.1:{port}"))
}

async fn start(line: &str, url: &str) -> Killable {
    Killable::start(line, Server::at(url).expect("loopback")).await.expect("the server starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_city_is_measured_and_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let (line, url) = line(folder.path(), "", "");
    let server = start(&line, &url).await;
    let mut config = CityConfig::new(&url, DEVELOPMENT_KEY, 200, 240.0);
    config.lasts = Duration::from_secs(5);
    (config.warm_up, config.base, config.tail) =
        (Duration::from_secs(1), Duration::from_secs(1), Duration::from_secs(3));
    // A debug build beside other tests: whether the generator kept up is not the question here.
    config.bounds.cpu_percent_max = 1e6;
    config.bounds.post_lag_p99_ms_max = 1e6;
    config.bounds.friend_lag_p99_ms_max = 1e6;
    config.habits.thinking.median_ms = 800.0;
    let report = city(&config, |_| {}).await.expect("a city");
    println!("{report}");
    assert_eq!(report.failures(), Vec::<String>::new(), "{report}");
    let load = report.load.as_ref().expect("a city measures");
    assert!((8..40).contains(&load.jobs_measured), "{report}");
    assert!(report.jobs_posted > load.jobs_measured, "the warm-up is not measured: {report}");
    assert_eq!(load.post_ms.count, load.jobs_measured);
    assert!(load.first_offer_ms.count > 0 && load.won_ms.count > 0, "{report}");
    assert!(load.post_ms.p50 > 0.0 && load.post_ms.p50 <= load.post_ms.p999, "{report}");
    let cost = load.server.as_ref().expect("its process is found by its port");
    assert_eq!(Some(cost.pid), server.pid());
    assert!(cost.memory_bytes > 1 << 20 && load.generator.messages > 100, "{report}");
    assert_eq!(report.invalid(), Vec::<String>::new());

    // The same run, held to what no generator can do.
    config.bounds.post_lag_p99_ms_max = 0.0;
    (config.friends, config.lasts, config.tail) = (20, Duration::from_secs(1), Duration::from_millis(500));
    let late = city(&config, |_| {}).await.expect("a city");
    assert!(late.invalid()[0].contains("late went out one post in a hundred"), "{late}");
    assert!(late.to_string().contains("INVALID"), "{late}");

    let crowd = CityConfig { friends: 10_000_000, ..config };
    let refused = city(&crowd, |_| {}).await;
    assert!(matches!(refused, Err(CityError::Files(_))), "{refused:?}");
    assert!(server.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn friends_who_only_stand_there_have_a_price() {
    let folder = tempfile::tempdir().expect("a folder");
    let (line, url) = line(folder.path(), "KIEZ_LIMITS__HEARTBEAT_MS=500", "");
    let config = IdleConfig {
        connections: vec![50, 100, 150],
        quiet: Duration::from_millis(400),
        watch: Duration::from_secs(1),
        return_within: Duration::from_secs(1),
        serve: Some(line.clone()),
        ..IdleConfig::new(&url, DEVELOPMENT_KEY)
    };
    let report = idle(&config, |_| {}).await.expect("measured");
    println!("{report}");
    assert_eq!(report.steps.iter().map(|step| step.connections).collect::<Vec<_>>(), [50, 100, 150]);
    assert_eq!((report.broken, report.heartbeat_ms), (0, 500), "{report}");
    assert!(report.bytes_per_friend > 500.0 && report.base_bytes > 1 << 20, "{report}");
    assert!(report.steps[2].memory_bytes > report.base_bytes, "{report}");
    assert!(Process::with_id(report.pid).is_err(), "what it started it has ended");

    // A server that was there already is only watched.
    let server = start(&line, &url).await;
    let short = IdleConfig { watch: Duration::from_millis(900), serve: None, ..config };
    let refused = idle(&short, |_| {}).await.expect_err("less than two heartbeats");
    assert!(refused.to_string().contains("2 heartbeats"), "{refused}");
    assert!(server.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_goes_on_while_the_server_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (line, url) = line(folder.path(), "", "--time-scale 200");
    let trace = Path::new(env!("CARGO_MANIFEST_DIR")).join("loadtest/traces/small");
    let selection = Selection {
        day: "2026-03-02".parse().expect("a day"),
        time_zone: "Europe/Berlin".to_owned(),
        hours: (16, 17),
        jobs_from: vec!["booking".to_owned()],
        friends_from: vec!["helper".to_owned()],
        jitter_s: 240,
        seed: 1,
    };
    let mut config = ReplayConfig::new(&url, DEVELOPMENT_KEY, trace, selection, 200);
    config.tail_ms = 10 * 60_000;
    config.kills = Some(Kills { serve: line.clone(), kills: 2 });
    let report = replay(&config, |_| {}).await.expect("a replay");
    println!("{report}");
    assert_eq!(report.failures(), Vec::<String>::new(), "{report}");
    let outages = report.outages.as_ref().expect("it was killed");
    assert_eq!((outages.kills, outages.serving_again_ms.count), (2, 2), "{report}");
    assert!(outages.serving_again_ms.max > 0.0 && outages.friends_back_ms.count > 0, "{report}");
    assert!(report.connects >= 3 * 15, "{report}");

    // A command that is not the server itself is found out, because the wrong process would be killed.
    config.kills = Some(Kills { serve: format!("sh -c \"{} & wait\"", line.replace('\'', "")), kills: 1 });
    let refused = replay(&config, |_| {}).await.expect_err("a shell in between");
    assert!(refused.to_string().contains("must be the server itself"), "{refused}");
    let left = Process::listening(config.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port"));
    if let Ok(left) = left {
        let ended = std::process::Command::new("kill").arg(left.pid().to_string()).status();
        assert!(ended.expect("kill is there").success());
    }
}
