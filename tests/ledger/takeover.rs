//! One ledger, two who want it: how it changes hands, and what the one who lost it may still do.

use std::time::{Duration, Instant};

use kiez::ledger::{OpenError, OpenOptions, Outcome};

use crate::cast::*;

const SOON: Duration = Duration::from_millis(2_500);

async fn fenced(engineer: &mut Engineer) {
    let wait = async {
        while let Some(outcome) = engineer.outcomes.recv().await {
            if matches!(outcome, Outcome::Fenced) {
                return;
            }
        }
        panic!("the writer has ended without a word");
    };
    tokio::time::timeout(SOON, wait).await.expect("it sees the raised fence within two beats");
}

pub async fn an_idle_writer_sees_a_raised_fence(place: &Place) {
    let opened = place.open().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    place.sql("update fence set epoch = epoch + 1, holder = 'somebody else'").await;
    fenced(&mut engineer).await;
    assert!(engineer.outcomes.recv().await.is_none(), "and ends");
}

/// On Postgres the first one's session is ended and its lock is another's, on SQLite it keeps a lock that means nothing.
pub async fn who_takes_over_goes_on_and_the_other_writes_nothing_more(place: &Place) {
    let opened = place.open_with_documents().await;
    let mut first = Engineer::new(opened.writer, opened.outcomes);
    assert!(first.write(&posted(None)).await);
    let opened = place.open_as(OpenOptions { take_over: true, ..OPTIONS }).await.expect("taken over");
    assert_eq!(opened.stored.jobs.len(), 1, "what the first one had told is there");
    let mut second = Engineer::new(opened.writer, opened.outcomes);
    first.submit(&posted(None));
    fenced(&mut first).await;
    assert!(second.write(&posted(None)).await);
    assert_eq!(place.count("jobs").await, 2);
    let refused = place.try_open(false).await.expect_err("the second one holds the lock");
    assert!(matches!(refused, OpenError::Held { .. }), "{refused}");
    second.end().await;
    end(place.open().await).await;
}

pub async fn who_asks_hears_that_the_fence_stands(place: &Place) {
    let opened = place.open_with_documents().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    engineer.submit(&posted(None));
    engineer.writer.prove();
    assert!(matches!(engineer.outcomes.recv().await, Some(Outcome::Written { through: 1 })));
    assert!(matches!(engineer.outcomes.recv().await, Some(Outcome::Stands)), "in the order of what was asked");
    engineer.end().await;
}

pub async fn a_goodbye_is_left_behind(place: &Place) {
    let opened = place.open().await;
    let holder = || async { place.sql("select holder from fence").await[0][0].clone().expect("a name") };
    assert!(!holder().await.is_empty());
    end(opened).await;
    assert_eq!(holder().await, "", "whoever stands by need not wait");
}

#[tokio::test]
async fn sqlite_has_no_standby() {
    let place = Place::sqlite().await;
    let refused = kiez::ledger::stand_by(&place.url, Duration::from_secs(3), false).await.expect_err("no standby");
    assert!(refused.to_string().contains("--take-over"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_waits_for_a_goodbye_and_for_a_session_that_was_lost() {
    let Some(place) = Place::postgres().await else { return };
    let stand_by = || {
        let url = place.url.clone();
        tokio::spawn(async move { kiez::ledger::stand_by(&url, Duration::from_secs(3), false).await })
    };
    stand_by().await.expect("no panic").expect("a new database is anybody's");
    let opened = place.open().await;
    let standby = stand_by();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(!standby.is_finished(), "an idle dispatcher gives signs of life");
    // Its session is ended, as when the database is restarted: it comes back, and keeps what it had.
    place.sql("select pg_terminate_backend(pid)::text from pg_stat_activity where application_name like 'kiez-writer-%' and datname = current_database()").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!standby.is_finished(), "the dispatcher came back for it");
    let asked = Instant::now();
    end(opened).await;
    standby.await.expect("no panic").expect("the lock is free");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    place.remove().await;
}
