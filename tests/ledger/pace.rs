//! How fast the ledger alone is, closed loop: so many jobs unwritten at a time, each with its booking, run, four offers,
//! three events and a decision. Figures for a reader, not for a gate:
//! `cargo test --release -p kiez --test ledger pace -- --ignored --nocapture --test-threads 1`.

use std::time::Duration;

use kiez::clock::Stopwatch;

use kiez::ledger::Outcome;

use crate::cast::*;

/// How long each figure is measured.
const LONG: Duration = Duration::from_secs(3);

async fn pace(place: &Place, engine: &str) {
    let opened = place.open_with_documents().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    for unwritten_max in [1, 8, 32, 128, 1024] {
        let mut records: Vec<_> = (0..30_000).map(|_| posted(None)).collect();
        let backend = backend(place).await;
        let cpu = (cpu_us("self"), backend.as_deref().map(cpu_us));
        let (began, mut told, mut commits) = (Stopwatch::start(), engineer.ticket, 0u32);
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
        let ours = (cpu_us("self") - cpu.0) / jobs;
        let servers = backend.as_deref().map_or(0.0, cpu_us) - cpu.1.unwrap_or(0.0);
        println!(
            "{engine}: {unwritten_max:>4} unwritten: {:>6.0} jobs/s, {:>6.2} ms a commit of {:>3.0} jobs, \
             a job takes {ours:>4.0} us of our CPU and {:>4.0} us of the server's",
            jobs / seconds,
            seconds * 1000.0 / f64::from(commits),
            jobs / f64::from(commits),
            servers / jobs
        );
        if told < engineer.ticket {
            engineer.settle().await;
        }
    }
    engineer.end().await;
}

/// The process that serves the writer.
async fn backend(place: &Place) -> Option<String> {
    if !place.is_postgres() {
        return None;
    }
    let sql = "select pid::text from pg_stat_activity
               where application_name like 'kiez-writer-%' and datname = current_database()";
    place.sql(sql).await[0][0].clone()
}

/// CPU time of a process so far, microseconds: fields 14 and 15 of its stat, in hundredths of a second.
fn cpu_us(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is on this machine");
    let after_name = stat.rsplit_once(") ").expect("a name in parentheses").1;
    let ticks = after_name.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() * 10_000.0
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
