//! Sessions that survive: friends whose lines tear, who come back, who come from two devices, whose time is over; and a
//! server that stays fair to all of them meanwhile. Over real sockets.

#![allow(clippy::disallowed_methods, reason = "what is seen from outside is measured on the real clock")]

#[path = "../common/mod.rs"]
mod common;

mod evening;
mod floods;
mod goodbyes;
mod resume;
mod storms;
mod verdicts;

use std::time::Duration;

use common::TestServer;
use common::line::Line;
use kiez_protocol::friend::{FriendFrame, FriendMessage, Offer, Snapshot, Verdict};
use kiez_protocol::ids::{FriendId, Key, SessionId};
use uuid::Uuid;

fn new_key() -> Key {
    Key(Uuid::new_v4())
}

/// Waits until something holds, at most some seconds.
async fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} never came true");
}

fn connected(server: &TestServer) -> usize {
    server.running.as_ref().expect("it runs").app.live.sessions.connected()
}

/// Tears the line as a dead battery does, and waits until the server has seen it.
async fn tear(server: &TestServer, line: Line) {
    let before = connected(server);
    drop(line);
    soon("the line is gone", || connected(server) < before).await;
}

/// A friend on duty at a place, by a bare line; everything so far is acknowledged. Returns the session and its last number.
async fn on_duty(server: &TestServer, friend: FriendId, place: (f64, f64)) -> (Line, SessionId, u64) {
    let (mut line, welcome) = Line::hello(server, friend, None).await;
    assert!(!welcome.resumed);
    let key = new_key();
    line.say(&FriendFrame::Duty { on: true, until: None, key: Some(key) }).await;
    let done =
        |message: &FriendMessage| matches!(message, FriendMessage::Done { key: done } if *done == key).then_some(());
    let (seq, ()) = line.until("done", done).await;
    let seq = seq.expect("it is owed");
    line.say(&FriendFrame::Fix { lat: place.0, lng: place.1, accuracy_m: Some(10.0), at: None }).await;
    line.ack(seq).await;
    line.nothing_more().await;
    (line, welcome.session, seq)
}

async fn offer(line: &mut Line) -> (u64, Offer) {
    let (seq, offer) = line
        .until("an offer", |message| match message {
            FriendMessage::Offer(offer) => Some(offer.clone()),
            _ => None,
        })
        .await;
    (seq.expect("it is owed"), offer)
}

async fn snapshot(line: &mut Line) -> Snapshot {
    let fits = |message: &FriendMessage| match message {
        FriendMessage::Snapshot(snapshot) => Some(snapshot.clone()),
        _ => None,
    };
    line.until("a snapshot", fits).await.1
}

async fn verdict(line: &mut Line, key: Key) -> Verdict {
    let fits = |message: &FriendMessage| match message {
        FriendMessage::AcceptResult { key: about, result, .. } if *about == key => Some(*result),
        _ => None,
    };
    line.until("a verdict", fits).await.1
}
