//! Two servers and one ledger: who refuses, who waits, who takes over, and what the one that was left behind still does.
//! All of them are processes of their own.

#![allow(clippy::disallowed_methods, reason = "what is seen from outside is measured on the real clock")]

mod common;

use std::time::{Duration, Instant};

use common::process::{Process, free_port, get, ledger, raise_fence};
use common::{Cast, Database, build_town, friend_id, job, north, partner};
use kiez_load::client::{FriendClient, FriendConfig, FriendEvent};
use kiez_protocol::friend::{FriendMessage, LostReason, Verdict};

const SOON: Duration = Duration::from_secs(5);

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres")
}

/// Both engines, or one where the stories of Postgres are skipped on purpose.
fn databases() -> Vec<Database> {
    [Some(Database::sqlite()), Database::postgres()].into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_refuses_and_says_what_to_do() {
    for database in databases() {
        let mut first = Process::started(&database.url, &[]).await;
        let mut second = Process::start(&database.url, &[]);
        assert_eq!(second.ended(SOON).await.code(), Some(1));
        let said = second.said();
        assert!(said.contains("is held by another kiez") && said.contains("--take-over"), "{said}");
        if !is_postgres(&database.url) {
            let mut standby = Process::start(&database.url, &["--standby"]);
            assert_eq!(standby.ended(SOON).await.code(), Some(1));
            assert!(standby.said().contains("start with --take-over"), "{}", standby.said());
        }
        first.ready(SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_takes_over_from_a_stopped_one_that_says_and_writes_nothing_more() {
    let Some(database) = Database::postgres() else { return };
    let first = Process::started(&database.url, &[]).await;
    let second = Process::start(&database.url, &["--standby"]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (status, detail) = second.readyz().await.expect("it answers");
    assert_eq!((status, &detail["standby"], &detail["waits_for"]), (503, &true.into(), &"lock".into()), "{detail}");
    assert_eq!(get(second.admin_port, "/livez").await.map(|(status, _)| status), Some(200));
    let (status, answer) = get(second.port, "/v1/packages").await.expect("it answers");
    assert!(status == 503 && answer.to_lowercase().contains("retry-after: 1"), "{answer}");
    the_one_left_behind(&database.url, first, Some(second)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_over_on_sqlite_leaves_a_stopped_one_nothing_to_say_or_write() {
    let database = Database::sqlite();
    let first = Process::started(&database.url, &[]).await;
    the_one_left_behind(&database.url, first, None).await;
}

/// The first one stops while two friends hold an offer. One of them says yes to it all the same; the other comes to the
/// second one, which stood by or is started to take over, and wins. Then the first one wakes.
async fn the_one_left_behind(url: &str, mut first: Process, standby: Option<Process>) {
    let places = north(&[100.0, 200.0]);
    build_town(&first.admin(), &places).await;
    let mut anna = Cast::on_duty(first.server(), friend_id(0), places[0]).await;
    let mut ben = Cast::on_duty(first.server(), friend_id(1), places[1]).await;
    let posted = partner(&first.http(), 5_000).await.post(&job("A-1"), "A-1").await.expect("posted");
    let (annas, his) = (anna.offer().await, ben.offer().await);
    anna.round_trip().await;
    drop(ben);

    first.freeze().await;
    let stopped = Instant::now();
    let key = anna.client.accept(annas.offer, annas.revision);
    let mut second = standby.unwrap_or_else(|| Process::start(url, &["--take-over"]));
    let mut heard = anna.silence(200).await;
    second.ready(Duration::from_secs(13)).await;
    println!("{}: serving {:?} after the other was stopped", &url[..6], stopped.elapsed());

    let mut ben = Cast::on_duty(second.server(), friend_id(1), places[1]).await;
    let bens_key = ben.client.accept(his.offer, his.revision);
    assert_eq!(ben.verdict(bens_key).await, (Verdict::Won, None));
    let before = ledger(url).await;

    first.signal("CONT");
    let woken = Instant::now();
    let (status, ()) = tokio::join!(first.ended(SOON), listen(&mut anna.client, &mut heard));
    println!("{}: ended {:?} after it was woken", &url[..6], woken.elapsed());
    assert_eq!(status.code(), Some(1));
    let said = first.said();
    assert!(said.contains("another kiez has taken over this ledger"), "{said}");
    // That the accept is under way may be said; what became of it, not.
    let waits = |message: &FriendMessage| matches!(message, FriendMessage::AcceptPending { .. });
    assert!(heard.iter().all(waits), "{heard:#?}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(ledger(url).await, before, "the one left behind has written something");

    // Her app comes to the second one, and hears the truth.
    let mut anna = Cast::on_duty(second.server(), friend_id(0), places[0]).await;
    anna.client.send(&kiez_protocol::friend::FriendFrame::Accept { offer: annas.offer, revision: annas.revision, key });
    assert_eq!(anna.verdict(key).await, (Verdict::Lost, Some(LostReason::Taken)));
    let view = partner(&second.http(), 5_000).await.job(posted.id).await.expect("the job is there");
    assert_eq!(view.friend.map(|friend| friend.id), Some(friend_id(1)));
    second.signal("TERM");
    assert!(second.ended(SOON).await.success(), "{}", second.said());
}

/// Listens until the connection is gone.
async fn listen(client: &mut FriendClient, heard: &mut Vec<FriendMessage>) {
    let listening = async {
        loop {
            match client.next().await {
                FriendEvent::Message(envelope) => heard.push(envelope.message),
                FriendEvent::Down { .. } | FriendEvent::Over { .. } => return,
                FriendEvent::Up { .. } | FriendEvent::Unknown(_) | FriendEvent::TriedAgain(_) => {}
            }
        }
    };
    tokio::time::timeout(SOON, listening).await.expect("the process ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stood_still_and_was_not_missed_goes_on() {
    let database = Database::sqlite();
    let knobs = [("KIEZ_DATABASE__SILENCE_MS", "3000")];
    let mut server = Process::start_with(free_port(), &database.url, &[], &knobs);
    server.ready(SOON).await;
    let places = north(&[100.0]);
    build_town(&server.admin(), &places).await;
    let mut anna = Cast::on_duty(server.server(), friend_id(0), places[0]).await;
    partner(&server.http(), 5_000).await.post(&job("A-1"), "A-1").await.expect("posted");
    let offer = anna.offer().await;
    anna.round_trip().await;
    server.freeze().await;
    let key = anna.client.accept(offer.offer, offer.revision);
    let heard = anna.silence(3_500).await;
    assert!(heard.is_empty(), "{heard:?}");
    server.signal("CONT");
    let woken = Instant::now();
    assert_eq!(anna.verdict(key).await, (Verdict::Won, None));
    println!("the verdict came {:?} after it was woken", woken.elapsed());
    assert!(server.said().contains("everything stood still"), "{}", server.said());
    assert_eq!(server.readyz().await.map(|(status, _)| status), Some(200));
}

/// What needs no record would be told at once: a snapshot out of a memory that is nobody's any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stood_still_asks_the_fence_before_it_says_anything() {
    let database = Database::sqlite();
    let knobs = [("KIEZ_DATABASE__SILENCE_MS", "3000")];
    let mut server = Process::start_with(free_port(), &database.url, &[], &knobs);
    server.ready(SOON).await;
    build_town(&server.admin(), &north(&[100.0])).await;
    let token = server.admin().friend_token(friend_id(0), Some(60)).await.expect("a token").token;
    server.freeze().await;
    raise_fence(&database.url).await;
    let mut anna = FriendClient::new(FriendConfig::new(server.server(), token));
    let coming = tokio::time::timeout(Duration::from_millis(2_000), anna.next()).await;
    assert!(coming.is_err(), "nobody answers: {coming:?}");
    server.signal("CONT");
    let mut heard = Vec::new();
    let (status, ()) = tokio::join!(server.ended(SOON), listen(&mut anna, &mut heard));
    assert_eq!(status.code(), Some(1));
    assert!(heard.is_empty(), "{heard:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_taken_over_alive_ends_by_itself() {
    for database in databases() {
        let mut first = Process::started(&database.url, &[]).await;
        let second = Process::started(&database.url, &["--take-over"]).await;
        let since = Instant::now();
        assert_eq!(first.ended(SOON).await.code(), Some(1));
        println!("{}: ended {:?} after the other served", &database.url[..6], since.elapsed());
        assert!(since.elapsed() < Duration::from_millis(2_500), "an idle one sees it by its beat");
        assert!(first.said().contains("another kiez has taken over this ledger"), "{}", first.said());
        assert_eq!(second.readyz().await.map(|(status, _)| status), Some(200));
    }
}

/// On the address of the one it stands by for, as for an upgrade on one machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_serves_at_once_when_the_other_ends_in_order_and_soon_when_it_is_killed() {
    let Some(database) = Database::postgres() else { return };
    let mut first = Process::started(&database.url, &[]).await;
    let places = north(&[100.0]);
    build_town(&first.admin(), &places).await;
    let posted = partner(&first.http(), 5_000).await.post(&job("A-1"), "A-1").await.expect("posted");
    let mut second = Process::start_on(first.port, &database.url, &["--standby"]);
    let mut third = Process::start(&database.url, &["--standby"]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    first.signal("TERM");
    assert!(first.ended(Duration::from_secs(15)).await.success(), "{}", first.said());
    let ended = Instant::now();
    // Either may be faster. The one that waits goes on waiting.
    let second_serves = async { second.ready(SOON).await };
    let third_serves = async { third.ready(SOON).await };
    let is_second = tokio::select! { _ = second_serves => true, _ = third_serves => false };
    println!("serving {:?} after the other ended in order", ended.elapsed());
    assert!(ended.elapsed() < Duration::from_millis(1_500));
    let (mut serving, mut waiting) = if is_second { (second, third) } else { (third, second) };
    assert_eq!(waiting.readyz().await.map(|(status, _)| status), Some(503));
    let view = partner(&serving.http(), 5_000).await.job(posted.id).await.expect("the job is there");
    assert_eq!(view.id, posted.id);

    serving.signal("KILL");
    serving.ended(SOON).await;
    let killed = Instant::now();
    waiting.ready(SOON).await;
    println!("serving {:?} after the other was killed", killed.elapsed());
    let mut last = Process::start(&database.url, &["--standby"]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    last.signal("TERM");
    assert!(last.ended(Duration::from_secs(1)).await.success(), "who waits ends when asked: {}", last.said());
    waiting.ready(SOON).await;
}

/// The best of three: what else the machine does must not fail the story.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_killed_serves_again_within_two_seconds() {
    for database in databases() {
        let mut server = Process::started(&database.url, &[]).await;
        build_town(&server.admin(), &[]).await;
        let partner = partner(&server.http(), 5_000).await;
        for number in 0..100 {
            partner.post(&job("A-1"), &format!("key-{number}")).await.expect("posted");
        }
        let mut best = Duration::MAX;
        for _ in 0..3 {
            server.signal("KILL");
            server.ended(SOON).await;
            let since = Instant::now();
            server = Process::started(&database.url, &[]).await;
            best = best.min(since.elapsed());
            println!("{}: serving {:?} after the start, with 100 jobs open", &database.url[..6], since.elapsed());
        }
        assert!(best < Duration::from_secs(2), "{best:?}");
    }
}
