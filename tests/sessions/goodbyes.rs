//! How lines end that the server ends: no answer, a token that is over, an account that is closed, a server that goes down.

use std::time::Duration;

use kiez_protocol::directory::{Friend, ImportLine};
use kiez_protocol::friend::{FriendFrame, FriendMessage, Verdict};
use kiez_protocol::ids::FriendId;
use kiez_protocol::profile::Account;
use kiez_protocol::refusal::{Code, close};
use serde_json::json;
use sqlx::{ConnectOptions, Connection, Executor};

use super::common::line::Line;
use super::common::{DEVELOPMENT_KEY, TestServer, job, north};
use super::{connected, new_key, offer, on_duty, snapshot, soon, tear};

/// A token of this friend that ends in so many seconds, as the platform's identity service would make it.
fn token(friend: FriendId, seconds: i64) -> String {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let exp = i64::try_from(now).expect("fits") + seconds;
    let claims = json!({"sub": friend.to_string(), "aud": "kiez-friend", "iat": now, "exp": exp});
    let secret = kiez::serve::auth::Auth::secret_of(DEVELOPMENT_KEY);
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("signed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_refreshed_by_its_friend_alone_and_ends_with_its_grace() {
    let knobs = [("KIEZ_LIMITS__EXPIRING_MS", "2000"), ("KIEZ_LIMITS__TOKEN_GRACE_MS", "700")];
    let mut server = TestServer::with(&knobs, 1).await;
    let friends = server.town(&north(&[100.0, 200.0])).await;
    let (mut line, welcome) = Line::hello_by(&server, &token(friends[0], 3), None).await;
    snapshot(&mut line).await;
    let expiring = |message: &FriendMessage| matches!(message, FriendMessage::Expiring { .. }).then_some(());
    line.until("the notice", expiring).await;
    let refused = |message: &FriendMessage| {
        matches!(message, FriendMessage::Error { code: Code::Unauthorized, .. }).then_some(())
    };
    for other in [token(friends[1], 600), token(friends[0], -60), "no token".to_owned()] {
        line.say(&FriendFrame::Refresh { token: other }).await;
        line.until("a refusal", refused).await;
    }
    line.say(&FriendFrame::Refresh { token: token(friends[0], 4) }).await;
    let refreshed = |message: &FriendMessage| matches!(message, FriendMessage::Refreshed { .. }).then_some(());
    line.until("the new end", refreshed).await;
    line.until("the notice of the new one", expiring).await;
    let last = std::time::Instant::now();
    assert_eq!(line.rest().await, (vec![], Some(close::TOKEN_EXPIRED)));
    let took = last.elapsed().as_millis();
    // 2 s from the notice to the end, and the grace; the token counts in whole seconds.
    assert!((1_600..3_500).contains(&took), "{took} ms");
    // Another token of the same friend goes on with the session.
    soon("the line is gone", || connected(&server) == 0).await;
    let (_line, again) = Line::hello_by(&server, &token(friends[0], 600), Some((welcome.session, 1))).await;
    assert!(again.resumed);
    server.down().await;
}

fn inactive(friend: FriendId) -> Friend {
    serde_json::from_value(json!({"id": friend, "name": "Gone", "skills": [{"skill": "wifi", "level": 3}],
        "communities": ["berlin-tech"], "country": "DE", "active": false}))
    .expect("a friend")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_account_loses_its_line_its_session_and_its_offers() {
    let mut server = TestServer::start().await;
    let places = north(&[100.0, 200.0, 300.0]);
    let friends = server.town(&places).await;
    let (mut first, session, seq) = on_duty(&server, friends[0], places[0]).await;
    let (second, parked, _) = on_duty(&server, friends[1], places[1]).await;
    let (mut third, ..) = on_duty(&server, friends[2], places[2]).await;
    tear(&server, second).await;
    let began = std::time::Instant::now();
    server.admin().put_friend(&inactive(friends[0])).await.expect("taken");
    let import = ImportLine::Friend(inactive(friends[1]));
    server.admin().import(&[import]).await.expect("imported");
    assert_eq!(first.rest().await, (vec![], Some(close::FORBIDDEN)));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let live = server.running.as_ref().expect("it runs").app.live.clone();
    soon("only the third has a session", || live.sessions.len() == 1).await;

    let posted = server.partner().await.post(&job("G-1"), "g-1").await.expect("posted");
    assert_eq!(posted.offers_out, 1);
    offer(&mut third).await;
    for (friend, session) in [(friends[0], session), (friends[1], parked)] {
        let mut line = Line::open(&server).await;
        line.say_hello(&token(friend, 600), Some((session, seq))).await;
        assert_eq!(line.rest().await, (vec![], Some(close::FORBIDDEN)));
    }
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accept_counts_for_the_account_as_it_is_now() {
    let mut server = TestServer::start().await;
    let place = north(&[100.0]);
    let friend = server.town(&place).await[0];
    let (mut line, ..) = on_duty(&server, friend, place[0]).await;
    let partner = server.partner().await;
    let mut offers = Vec::new();
    for reference in ["G-1", "G-2"] {
        partner.post(&job(reference), reference).await.expect("posted");
        offers.push(offer(&mut line).await.1);
    }
    let mut accept = async |offer: &kiez_protocol::friend::Offer| {
        let key = new_key();
        line.say(&FriendFrame::Accept { offer: offer.offer, revision: 1, key }).await;
        super::verdict(&mut line, key).await
    };
    assert_eq!(accept(&offers[0]).await, Verdict::Won);
    // The line stays; the account may hold one job from now on, and does.
    let mut profile = inactive(friend);
    (profile.account, profile.jobs_held_max) = (Account::Active, 1);
    server.admin().put_friend(&profile).await.expect("taken");
    assert_eq!(accept(&offers[1]).await, Verdict::Lost);
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_does_not_answer_is_closed_and_its_session_kept() {
    let knobs = [("KIEZ_LIMITS__HEARTBEAT_MS", "400"), ("KIEZ_LIMITS__PONG_MS", "300")];
    let mut server = TestServer::with(&knobs, 1).await;
    let place = north(&[100.0]);
    let friend = server.town(&place).await[0];
    let (mut silent, session, seq) = on_duty(&server, friend, place[0]).await;
    // Nothing is read, so nothing is answered.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(silent.rest().await, (vec![], Some(close::NO_PONG)));
    soon("the line is gone", || connected(&server) == 0).await;
    let (mut line, welcome) = Line::hello(&server, friend, Some((session, seq))).await;
    assert!(welcome.resumed);
    // One that answers goes on.
    let pinged = async { line.hear().await };
    assert!(tokio::time::timeout(Duration::from_millis(1_500), pinged).await.is_err(), "nothing but pings");
    line.nothing_more().await;
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_spreads_the_returns_and_an_accept_under_way_has_its_verdict() {
    let knobs = [("KIEZ_LIMITS__RETURNS_PER_S", "2"), ("KIEZ_LIMITS__COME_BACK_MS", "700")];
    let mut server = TestServer::with(&knobs, 1).await;
    let places = north(&[100.0; 8]);
    let friends = server.town(&places).await;
    let mut lines = Vec::new();
    for (friend, place) in friends.iter().zip(&places) {
        lines.push(on_duty(&server, *friend, *place).await.0);
    }
    server.partner().await.post(&job("D-1"), "d-1").await.expect("posted");
    let (mut accepting, mut offered) = (None, None);
    for (index, line) in lines.iter_mut().enumerate() {
        line.say(&FriendFrame::Ping { t: 1 }).await;
        if let Ok(FriendMessage::Offer(offer)) = line.hear().await.map(|envelope| envelope.message) {
            (accepting, offered) = (Some(index), Some(offer));
        }
    }
    let (accepting, offered) = (accepting.expect("somebody was asked"), offered.expect("an offer"));
    // Somebody else writes into the database while the server goes down.
    let path = server.directory.path().join("kiez.db");
    let mut other = sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.expect("opened");
    other.execute("begin immediate").await.expect("locked");
    let key = new_key();
    lines[accepting].say(&FriendFrame::Accept { offer: offered.offer, revision: 1, key }).await;
    let pending = |message: &FriendMessage| matches!(message, FriendMessage::AcceptPending { .. }).then_some(());
    lines[accepting].until("that it waits", pending).await;
    let release = async {
        tokio::time::sleep(Duration::from_millis(800)).await;
        other.execute("rollback").await.expect("let go");
        other.close().await.expect("closed");
    };
    let hear = async {
        let mut times = Vec::new();
        for (index, line) in lines.iter_mut().enumerate() {
            let (heard, code) = line.rest().await;
            assert_eq!(code, Some(close::RESTARTING));
            let mut draining = heard.iter().filter_map(|message| match message {
                FriendMessage::Draining { reconnect_in_ms } => Some(*reconnect_in_ms),
                _ => None,
            });
            times.push(draining.next().expect("told when to come back"));
            let won = heard.iter().any(|message| {
                matches!(message, FriendMessage::AcceptResult { key: about, result: Verdict::Won, .. } if *about == key)
            });
            assert_eq!(won, index == accepting, "{heard:?}");
        }
        times
    };
    let ((), (), times) = tokio::join!(server.down(), release, hear);
    // Eight friends, two in a second: over 4 s behind the restart, and each at another time.
    assert!(times.iter().all(|ms| (700..=4_700).contains(ms)), "{times:?}");
    let distinct: std::collections::BTreeSet<_> = times.iter().collect();
    assert!(distinct.len() >= 6, "{times:?}");
}
