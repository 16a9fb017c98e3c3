//! The small trace, replayed against a server that does it right and against servers that do not: the whole way, from the
//! tables to the report, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a cast member that cannot go on has failed its story"
)]

mod common;

use std::path::PathBuf;

use common::{FakeKiez, Mischief};
use kiez_load::replay::{Progress, ReplayConfig, ReplayError, replay};
use kiez_load::report::Report;
use kiez_load::trace::{DayTrace, Selection, TraceError};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("traces/small")
}

fn selection(seed: u64) -> Selection {
    Selection {
        day: "2026-03-02".parse().unwrap(),
        time_zone: "Europe/Berlin".to_owned(),
        hours: (16, 17),
        jobs_from: vec!["booking".to_owned()],
        friends_from: vec!["helper".to_owned()],
        jitter_s: 240,
        seed,
    }
}

async fn run(mischief: Mischief) -> Report {
    let fake = FakeKiez::start(mischief, 400).await;
    let mut config = ReplayConfig::new(&fake.url, "development", folder(), selection(1), 400);
    config.tail_ms = 10 * 60_000;
    replay(&config, |_| {}).await.unwrap()
}

#[test]
fn the_small_trace_reads_as_it_says() {
    let day = DayTrace::read(&folder(), &selection(1)).unwrap();
    assert_eq!((day.jobs.len(), day.friends.len()), (23, 16));
    assert!(day.jobs.windows(2).all(|two| two[0].0 <= two[1].0));
    let later = day.friends.iter().filter(|(_, track)| track.begins_ms().unwrap() > day.from_ms).count();
    assert_eq!(later, 1);
    // The spread is by seed, and jobs of the morning are not there.
    let times = |seed| DayTrace::read(&folder(), &selection(seed)).unwrap().jobs;
    assert_eq!(times(1), times(1));
    assert_ne!(times(1), times(2));
    let morning = Selection { hours: (0, 12), ..selection(1) };
    assert!(matches!(DayTrace::read(&folder(), &morning), Err(TraceError::Empty { what: "jobs", .. })));
    let both = Selection { friends_from: vec!["booking".to_owned()], ..selection(1) };
    assert!(matches!(DayTrace::read(&folder(), &both), Err(TraceError::Both(_))));
}

#[test]
fn a_row_that_does_not_fit_is_named_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("trips.csv"), "start_utc,provider,start_lat,start_lng,plausible\n").unwrap();
    let rows = "t_utc,provider,bike_id,trip_id,lat,lng\n2026-03-02T15:00:00Z,helper,a,1,52.5,13.4\n2026-03-02T15:01:00Z,helper,a,1,95,13.4\n";
    std::fs::write(folder.path().join("positions.csv"), rows).unwrap();
    let fault = DayTrace::read(folder.path(), &selection(1)).unwrap_err().to_string();
    assert!(fault.contains("positions.csv, line 3") && fault.contains("-90 to 90"), "{fault}");
}

#[tokio::test]
async fn a_right_server_gets_a_clean_report_and_broken_connections_lose_nothing() {
    let (report, broken) = tokio::join!(run(Mischief::None), run(Mischief::BreaksAtAccepts));
    assert!(report.failures().is_empty(), "{report}");
    assert_eq!((report.jobs_posted, report.time_scale, report.friends), (23, 400, 16));
    assert!(report.jobs_assigned >= 15, "{report}");
    assert!(report.first_wave_fill > 3.5, "{report}");
    assert!(report.choices >= 23 && report.offers >= 80 && report.fixes > 30, "{report}");
    assert!(report.time_to_assign_ms.p50 > 5_000.0, "people take trade time: {report}");
    let json = serde_json::to_value(&report).unwrap();
    let counts = ["jobs_posted", "jobs_assigned", "offers", "races", "double_winners", "wrong_four"];
    for field in counts.into_iter().chain(["verdicts_missing", "lost_jobs"]) {
        assert!(json[field].is_u64(), "{field}");
    }
    assert!(json["accept_ms"]["p50"].is_f64() && json["accept_ms"]["p99"].is_f64());

    assert!(broken.failures().is_empty(), "{broken}");
    assert!(broken.connects > broken.friends + 10, "{broken}");
    assert!(broken.jobs_assigned >= 15, "{broken}");
}

#[tokio::test]
async fn servers_that_do_wrong_are_found_out() {
    let (skips, everybody, forgets) =
        tokio::join!(run(Mischief::SkipsTheNearest), run(Mischief::EverybodyWins), run(Mischief::ForgetsJobs),);
    assert!(skips.wrong_four >= 15, "{skips}");
    assert!(!skips.failures().is_empty());
    assert!(everybody.double_winners > 0, "{everybody}");
    assert_eq!(forgets.lost_jobs, 23, "{forgets}");
}

#[tokio::test]
async fn another_time_scale_is_refused() {
    let fake = FakeKiez::start(Mischief::None, 1).await;
    let config = ReplayConfig::new(&fake.url, "development", folder(), selection(1), 400);
    let mut connected = 0;
    let refused = replay(&config, |progress| {
        if let Progress::Connected { ready, .. } = progress {
            connected = connected.max(ready);
        }
    })
    .await;
    let Err(ReplayError::NotReady { troubles, .. }) = refused else { panic!("{refused:?}") };
    assert!(troubles[0].contains("the server's time runs 1 times as fast"), "{troubles:?}");
    let fast = ReplayConfig { speed: 401, ..config };
    assert!(matches!(replay(&fast, |_| {}).await, Err(ReplayError::Speed(401))));
}
