//! What goes wrong around the ledger, and what must hold then.

use std::collections::HashSet;
use std::time::Duration;

use kiez::dispatch::effect::{Record, Subject};
use kiez::ledger::{OpenError, Outcome, Submission, writer};

use crate::cast::*;

pub async fn a_raised_fence_ends_the_writer(place: &Place) {
    let opened = place.open_with_documents().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    assert!(engineer.write(&posted(None)).await);
    place.sql("update fence set epoch = epoch + 1, holder = 'somebody else'").await;
    engineer.submit(&posted(None));
    assert!(matches!(engineer.outcomes.recv().await, Some(Outcome::Fenced)));
    assert!(engineer.outcomes.recv().await.is_none());
    assert_eq!(place.count("jobs").await, 1);
}

pub async fn a_held_lock_is_refused(place: &Place) {
    let opened = place.open().await;
    let refused = place.try_open(false).await.expect_err("one dispatcher at a time");
    assert!(matches!(refused, OpenError::Held { .. }), "{refused}");
    assert!(kiez::ledger::migrate(&place.url).await.is_err());
    kiez::ledger::open_registry(&place.url).await.expect("admins may work beside it");
    end(opened).await;
    end(place.open().await).await;
}

pub async fn an_unknown_commit_that_happened_is_not_repeated(place: &Place) {
    let (rig, faults) = place.rig().await;
    faults.add(Fault::UnknownButWritten);
    faults.add(Fault::Away);
    let (writer, outcomes) = writer::start(rig, QUEUE_LEN_MAX);
    let mut engineer = Engineer::new(writer, outcomes);
    // Repeated, its events would be refused.
    assert!(engineer.write(&posted(None)).await);
    assert!(engineer.write(&posted(None)).await);
    assert_eq!(place.count("jobs").await, 2);
    assert!(engineer.writer.health().reachable);
    engineer.end().await;
}

pub async fn an_unknown_commit_that_did_not_happen_is_repeated(place: &Place) {
    let (rig, faults) = place.rig().await;
    for _ in 0..2 {
        faults.add(Fault::UnknownAndNotWritten);
    }
    let (writer, outcomes) = writer::start(rig, QUEUE_LEN_MAX);
    let mut engineer = Engineer::new(writer, outcomes);
    assert!(engineer.write(&posted(None)).await);
    assert_eq!(place.count("jobs").await, 1);
    engineer.end().await;
}

pub async fn a_database_that_is_away_bounds_the_queue(place: &Place) {
    let (rig, faults) = place.rig().await;
    for _ in 0..3 {
        faults.add(Fault::Away);
    }
    let (writer, outcomes) = writer::start(rig, QUEUE_LEN_MAX);
    let mut engineer = Engineer::new(writer, outcomes);
    let record = posted(None);
    engineer.submit(&record);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let health = engineer.writer.health();
    assert!(!health.reachable);
    assert!(health.oldest_unwritten_since.is_some_and(|since| since.elapsed() < Duration::from_secs(5)));
    let mut sequence = record;
    while engineer.writer.depth() < QUEUE_LEN_MAX {
        sequence = next(&sequence);
        engineer.submit(&sequence);
    }
    let one_more = Record::Job(Box::new(next(&sequence)));
    let full = Submission { ticket: 0, record: one_more, subject: Subject::Job(sequence.job.id) };
    assert!(engineer.writer.try_submit(full).is_err());
    assert!(engineer.settle().await.is_empty());
    let health = engineer.writer.health();
    assert!(health.reachable && health.oldest_unwritten_since.is_none());
    assert_eq!(place.count("events").await, 4095 + 3);
    engineer.end().await;
}

pub async fn a_taken_over_ledger_fences_who_reconnects(place: &Place) {
    let (rig, faults) = place.rig().await;
    let (writer, outcomes) = writer::start(rig, QUEUE_LEN_MAX);
    let mut engineer = Engineer::new(writer, outcomes);
    faults.add(Fault::UnknownAndNotWritten);
    place.sql("update fence set epoch = epoch + 1, holder = 'somebody else'").await;
    engineer.submit(&posted(None));
    assert!(matches!(engineer.outcomes.recv().await, Some(Outcome::Fenced)));
    assert_eq!(place.count("jobs").await, 0);
}

pub async fn a_newer_schema_is_refused(place: &Place) {
    end(place.open().await).await;
    let (blob, yes) = if place.is_postgres() { ("'\\x00'", "true") } else { ("x'00'", "1") };
    place
        .sql(&format!(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values (99, 'to come', {yes}, {blob}, 0)"
        ))
        .await;
    let refused = place.try_open(false).await.expect_err("this kiez is too old");
    assert!(matches!(refused, OpenError::Newer { version: 99 }), "{refused}");
}

pub async fn many_at_once_are_all_written(place: &Place) {
    let opened = place.open_with_documents().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let records: Vec<_> = (0..700).map(|_| posted(None)).collect();
    for record in &records {
        engineer.submit(record);
        // Now and then the writer gets a turn, so that batches of all sizes happen.
        if engineer.ticket.is_multiple_of(50) {
            tokio::task::yield_now().await;
        }
    }
    assert!(engineer.settle().await.is_empty());
    engineer.end().await;
    let again = place.open().await;
    let expected: HashSet<_> = records.iter().map(|record| record.job.id).collect();
    assert_eq!(again.stored.jobs.iter().map(|job| job.row.id).collect::<HashSet<_>>(), expected);
    assert!(again.stored.jobs.iter().all(|job| job.offers.len() == 4));
    end(again).await;
}

#[tokio::test]
async fn a_password_is_not_told() {
    for url in ["postgres://kiez:hush-hush@[bad/kiez", "mysql://kiez:hush-hush@host/kiez"] {
        let refused = kiez::ledger::migrate(url).await.expect_err("is refused");
        assert!(!format!("{refused} {refused:?}").contains("hush"));
    }
    let nobody = kiez::ledger::migrate("postgres://kiez:hush-hush@127.0.0.1:1/kiez").await.expect_err("nobody there");
    assert!(nobody.is_transient());
    assert!(!format!("{nobody} {nobody:?}").contains("hush"));
}

#[tokio::test]
async fn a_postgres_that_may_forget_is_refused() {
    let Some(place) = Place::postgres().await else { return };
    let name = place.sql("select current_database()::text").await[0][0].clone().expect("a name");
    place.sql(&format!("alter database {name} set synchronous_commit = off")).await;
    let refused = place.try_open(false).await.expect_err("commits would not last");
    assert!(matches!(&refused, OpenError::NotDurable { setting } if setting == "synchronous_commit"), "{refused}");
    end(place.try_open(true).await.expect("good enough for development")).await;
    place.remove().await;
}

/// The server ends the writer's session again and again while it writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_ended_loses_and_doubles_nothing() {
    let Some(place) = Place::postgres().await else { return };
    let opened = place.open_with_documents().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let records: Vec<_> = (0..3000).map(|_| posted(None)).collect();
    let submitting = async {
        for record in &records {
            engineer.submit(record);
            if engineer.ticket.is_multiple_of(10) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        engineer.settle().await
    };
    let (done, watch) = tokio::sync::oneshot::channel::<()>();
    let killing = async {
        let mut ended = 0;
        let mut watch = watch;
        while watch.try_recv().is_err() && ended < 6 {
            tokio::time::sleep(Duration::from_millis(70)).await;
            ended += place
                .sql(
                    "select pg_terminate_backend(pid)::text from pg_stat_activity
                     where application_name like 'kiez-writer-%' and datname = current_database()",
                )
                .await
                .len();
        }
        ended
    };
    let writing = async {
        let refused = submitting.await;
        let _ = done.send(());
        refused
    };
    let (refused, ended) = tokio::join!(writing, killing);
    assert!(refused.is_empty());
    assert!(ended >= 3, "the story needs some ends, there were {ended}");
    assert_eq!((place.count("jobs").await, place.count("offers").await), (3000, 12_000));
    assert_eq!((place.count("events").await, place.count("decisions").await), (9000, 3000));
    engineer.end().await;
    place.remove().await;
}
