//! Friends who take nothing, and friends who send far too much: bounded each, and the others do not notice.

use std::time::{Duration, Instant};

use kiez_protocol::friend::{FriendFrame, FriendMessage};
use kiez_protocol::ids::OfferId;
use kiez_protocol::refusal::{Code, close};
use tokio::net::TcpSocket;
use uuid::Uuid;

use super::common::line::Line;
use super::common::{TestServer, north};
use super::{connected, new_key, on_duty, snapshot, soon};

fn large() -> FriendMessage {
    FriendMessage::Error {
        code: Code::Internal,
        key: None,
        offer: None,
        job: None,
        message_key: "x".repeat(16_000),
        allowed: Vec::new(),
    }
}

/// A line whose app reads nothing beyond the snapshot, through a small window.
async fn stalled(server: &TestServer, friend: kiez_protocol::ids::FriendId) -> Line {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small window");
    let stream = socket.connect(server.address().parse().expect("an address")).await.expect("it listens");
    let mut line = Line::over(stream, server).await;
    let token = server.admin().friend_token(friend, Some(60)).await.expect("a token").token;
    line.say_hello(&token, None).await;
    snapshot(&mut line).await;
    line
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_nothing_is_cut_and_its_neighbours_go_on() {
    let knobs = [("KIEZ_LIMITS__HELLO_MS", "2000")];
    let mut server = TestServer::with(&knobs, 1).await;
    let places = north(&[100.0, 200.0, 300.0]);
    let friends = server.town(&places).await;
    let mut slow = stalled(&server, friends[0]).await;
    let _deaf = stalled(&server, friends[1]).await;
    let (mut neighbour, ..) = on_duty(&server, friends[2], places[2]).await;
    let app = server.running.as_ref().expect("it runs").app.clone();
    let outboxes = [0, 1].map(|index| app.live.sessions.outbox(friends[index]).expect("a session"));
    // As long as the machine's own buffers take something, so does the outbox.
    let mut worst = Duration::ZERO;
    for round in 0..5_000 {
        for friend in &friends[..2] {
            app.live.tell(*friend, large(), app.clock.now());
        }
        if round % 10 == 0 {
            let began = Instant::now();
            neighbour.nothing_more().await;
            worst = worst.max(began.elapsed());
            // The limit of frames is the neighbour's own.
            tokio::time::sleep(Duration::from_millis(210)).await;
        }
        if outboxes.iter().all(|outbox| outbox.goodbye().is_some()) {
            break;
        }
    }
    for outbox in &outboxes {
        assert_eq!(outbox.goodbye().map(|goodbye| goodbye.code), Some(close::TOO_SLOW));
        assert!(outbox.is_empty(), "what waited is gone, and its memory");
    }
    assert!(worst < Duration::from_secs(1), "{worst:?}");
    // One that reads on hears why; one that does not is left when a write has taken its time.
    assert_eq!(slow.rest().await.1, Some(close::TOO_SLOW));
    soon("both are gone", || connected(&server) == 1).await;
    assert_eq!(app.live.sessions.len(), 1, "neither can be resumed");
    neighbour.nothing_more().await;
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_too_many_fixes_the_newest_counts_and_a_flood_is_cut() {
    let knobs = [("KIEZ_LIMITS__FIX_INTERVAL_MS", "500")];
    let mut server = TestServer::with(&knobs, 1).await;
    let places = north(&[100.0, 200.0]);
    let friends = server.town(&places).await;
    let (mut line, ..) = on_duty(&server, friends[0], places[0]).await;
    let (mut neighbour, ..) = on_duty(&server, friends[1], places[1]).await;
    let live = server.running.as_ref().expect("it runs").app.live.clone();
    let fix =
        |step: u32| FriendFrame::Fix { lat: 52.5 + f64::from(step) / 100_000.0, lng: 13.4, accuracy_m: None, at: None };
    for step in 1..=60 {
        line.say(&fix(step)).await;
    }
    line.nothing_more().await;
    let at = |step: u32| {
        let position = live.roster.position(friends[0]).expect("placed").at;
        (position.lat() - 52.5 - f64::from(step) / 100_000.0).abs() < 1e-9
    };
    assert!(!at(60), "not at once");
    soon("the newest is placed", || at(60)).await;
    // A thousand in a second.
    for step in 100..1_100 {
        line.say(&fix(step)).await;
    }
    assert_eq!(line.rest().await, (vec![], Some(close::TOO_FAST)));
    neighbour.nothing_more().await;
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepts_are_many_and_not_without_end() {
    let mut server = TestServer::start().await;
    let place = north(&[100.0]);
    let friend = server.town(&place).await[0];
    let (mut line, ..) = on_duty(&server, friend, place[0]).await;
    for number in 0..60 {
        let offer = OfferId(Uuid::from_u128(number));
        line.say(&FriendFrame::Accept { offer, revision: 1, key: new_key() }).await;
    }
    let (mut unknown, mut too_many) = (0, 0);
    for _ in 0..60 {
        match line.hear().await.map(|envelope| envelope.message) {
            Ok(FriendMessage::Error { code: Code::NotFound, .. }) => unknown += 1,
            Ok(FriendMessage::Error { code: Code::TooMany, key: Some(_), .. }) => too_many += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(unknown >= 40 && too_many >= 10, "{unknown} looked up, {too_many} refused");
    line.nothing_more().await;
    server.down().await;
}
