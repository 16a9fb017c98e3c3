//! What is taken in while the ledger cannot keep up: the bounds of the mailbox and of the queue, each with what comes then.

use std::sync::Arc;
use std::time::Duration;

use kiez::clock::Clock;
use kiez::config::Config;
use kiez::dispatch::effect::{Actor, Record, Stored, Subject};
use kiez::dispatch::input::{Input, Terms};
use kiez::dispatch::{Dispatcher, Pace};
use kiez::engine::{Engine, Mailbox, Overloaded, Unanswered};
use kiez::ledger::Submission;
use kiez::live::Live;
use kiez_protocol::ids::JobId;
use uuid::Uuid;

use crate::cast::*;

const KNOBS: [(&str, &str); 3] = [
    ("KIEZ_LIMITS__MAILBOX_LEN_MAX", "16"),
    ("KIEZ_LIMITS__LEDGER_QUEUE_LEN_MAX", "2048"),
    ("KIEZ_LIMITS__ANSWER_MS", "100"),
];

/// A mailbox into an engine that does not turn, and a ledger whose writer waits behind another one.
struct Jam {
    place: Place,
    mailbox: Mailbox,
    writer: kiez::ledger::WriterHandle,
    _engine: Engine,
    _other: sqlx::SqliteConnection,
}

async fn jam() -> Jam {
    use sqlx::{ConnectOptions, Executor};
    let place = Place::sqlite().await;
    let knobs = KNOBS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let limits = Config::load(None, knobs, &[]).unwrap().config.limits;
    let options = kiez::ledger::OpenOptions { queue_len_max: limits.ledger_queue_len_max, ..OPTIONS };
    let opened = place.open_as(options).await.unwrap();
    let path = place.url.strip_prefix("sqlite:").unwrap();
    let mut other = sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    other.execute("begin immediate").await.unwrap();
    let clock = Clock::start();
    let dispatcher = Dispatcher::restore(Stored::default(), 1, Pace { scale: 1 }, clock.now());
    let (writer, ledger) = (opened.writer.clone(), (opened.writer, opened.outcomes, opened.reader));
    let (engine, mailbox) = Engine::new(dispatcher, clock, Arc::new(Live::default()), ledger, &limits, 10_000);
    Jam { place, mailbox, writer, _engine: engine, _other: other }
}

fn post(request: u64) -> Input {
    let record = posted(None);
    let terms = Terms {
        package: Arc::new(package()),
        package_version: 1,
        community: Arc::new(community()),
        community_version: 1,
        commission: community().commission,
    };
    let partner: kiez_protocol::ids::PartnerSlug = "shop".parse().unwrap();
    let booking = record.booking.unwrap();
    Input::Posted {
        request,
        by: Actor::Partner(partner.clone()),
        reason: None,
        partner,
        key: None,
        booking,
        terms,
        received_at: START,
    }
}

fn cancel(request: u64) -> Input {
    let (by, job) = (Actor::Partner("shop".parse().unwrap()), JobId(Uuid::now_v7()));
    Input::Cancelled { request, by, job, reason: None, received_at: START }
}

#[tokio::test]
async fn a_quarter_of_the_mailbox_is_kept_for_accepts() {
    let jam = jam().await;
    let sent = (0..100).take_while(|_| jam.mailbox.send(Input::Tick).is_ok()).count();
    assert_eq!((sent, jam.mailbox.len()), (12, 12));
    assert_eq!(jam.mailbox.ask(post).await, Err(Unanswered::Overloaded(Overloaded)));
    for _ in 0..4 {
        jam.mailbox.accept_permit().expect("a place that is kept").send(Input::Tick);
    }
    assert!(jam.mailbox.accept_permit().is_none(), "and no more than that");
    jam.place.remove().await;
}

#[tokio::test]
async fn from_half_of_the_ledgers_queue_on_new_jobs_are_refused_and_nothing_else() {
    let jam = jam().await;
    let record = posted(None);
    for ticket in 1..=1_024 {
        let (subject, record) = (Subject::Job(record.job.id), Record::Job(Box::new(record.clone())));
        jam.writer.try_submit(Submission { ticket, record, subject }).unwrap();
    }
    assert_eq!(jam.mailbox.ask(post).await, Err(Unanswered::Overloaded(Overloaded)));
    assert_eq!(jam.mailbox.ask(cancel).await, Err(Unanswered::Unknown), "taken, and not answered in time");
    assert_eq!(jam.mailbox.len(), 1);
    jam.place.remove().await;
}

#[tokio::test]
async fn a_ledger_that_takes_seconds_counts_as_away() {
    let jam = jam().await;
    let record = posted(None);
    let (subject, record) = (Subject::Job(record.job.id), Record::Job(Box::new(record)));
    jam.writer.try_submit(Submission { ticket: 1, record, subject }).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(jam.mailbox.ledger_is_reachable(), "half a second is nothing");
    tokio::time::sleep(Duration::from_millis(2_000)).await;
    assert!(!jam.mailbox.ledger_is_reachable());
    assert_eq!(
        jam.mailbox.ask(cancel).await,
        Err(Unanswered::Overloaded(Overloaded)),
        "nobody waits to find out again"
    );
    jam.place.remove().await;
}
