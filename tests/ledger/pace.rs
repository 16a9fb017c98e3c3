//! How fast the ledger alone is, closed loop: so many jobs unwritten at a time, each with its booking, run, four offers,
//! three events and a decision. Figures for a reader, not for a gate:
//! `cargo test --release -p kiez --test ledger pace -- --ignored --nocapture --test-threads 1`.

use std::time::{Duration, Instant};

use kiez::ledger::Outcome;

use crate::cast::*;

/// How long each figure is measured.
const LONG: Duration = Duration::from_secs(3);

async fn pace(place: &Place, engine: &str) {
    let opened = place.open_with_documents().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    for unwritten_max in [1, 8, 32, 128, 512, 2048] {
        let mut records: Vec<_> = (0..60_000).map(|_| posted(None)).collect();
        let (began, mut told, mut commits) = (Instant::now(), engineer.ticket, 0u32);
        let first = told;
        while began.elapsed() < LONG {
            while engineer.ticket - told < unwritten_max {
                engineer.submit(&records.pop().expect("enough jobs for the time"));
            }
            match engineer.outcomes.recv().await.expect("the writer lives") {
                Outcome::Written { through } => told = through,
                other => panic!("{other:?}"),
            }
            commits += 1;
        }
        let seconds = began.elapsed().as_secs_f64();
        let jobs = (told - first) as f64;
        println!(
            "{engine}: {unwritten_max:>4} unwritten: {:>6.0} jobs/s, {:>5.2} ms a commit of {:>3.0} jobs",
            jobs / seconds,
            seconds * 1000.0 / f64::from(commits),
            jobs / f64::from(commits)
        );
        engineer.settle().await;
    }
    engineer.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn pace_of_sqlite() {
    let place = Place::sqlite().await;
    pace(&place, "sqlite").await;
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn pace_of_postgres() {
    let Some(place) = Place::postgres().await else { return };
    pace(&place, "postgres").await;
    place.remove().await;
}
