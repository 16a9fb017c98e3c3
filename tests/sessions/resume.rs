//! A line tears, and the session goes on; or it cannot, and begins anew.

use std::time::Duration;

use kiez_protocol::friend::{FriendFrame, FriendMessage};
use kiez_protocol::ids::SessionId;
use kiez_protocol::refusal::close;
use serde_json::json;
use uuid::Uuid;

use super::common::line::Line;
use super::common::{TestServer, friend_id, job, north};
use super::{connected, new_key, offer, on_duty, snapshot, soon, tear};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_line_goes_on_where_it_was_and_hears_what_it_missed() {
    let mut server = TestServer::start().await;
    let place = north(&[100.0]);
    let friend = server.town(&place).await[0];
    let (line, session, seq) = on_duty(&server, friend, place[0]).await;
    tear(&server, line).await;
    let partner = server.partner().await;
    let first = partner.post(&job("S-1"), "s-1").await.expect("posted");
    assert_eq!(first.offers_out, 1, "a phone that changes networks is still asked");
    partner.cancel(first.id, None).await.expect("cancelled");
    partner.post(&job("S-2"), "s-2").await.expect("posted");

    let (mut line, welcome) = Line::hello(&server, friend, Some((session, seq))).await;
    assert!(welcome.resumed && welcome.session == session, "{welcome:?}");
    let (one, missed) = offer(&mut line).await;
    assert_eq!((one, missed.job), (seq + 1, first.id), "no snapshot, and nothing is left out");
    let closed = |message: &FriendMessage| {
        matches!(message, FriendMessage::OfferClosed { offer, .. } if *offer == missed.offer).then_some(())
    };
    assert_eq!(line.until("its end", closed).await.0, Some(seq + 2));
    let (three, present) = offer(&mut line).await;
    assert_eq!(three, seq + 3);
    line.ack(three).await;
    line.nothing_more().await;
    // The claim word is the one in hand since before.
    let key = new_key();
    line.say(&FriendFrame::Accept { offer: present.offer, revision: 1, key }).await;
    assert_eq!(super::verdict(&mut line, key).await, kiez_protocol::friend::Verdict::Won);
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_acknowledged_is_sent_again_under_its_number() {
    let mut server = TestServer::start().await;
    let place = north(&[100.0]);
    let friend = server.town(&place).await[0];
    let (mut line, session, seq) = on_duty(&server, friend, place[0]).await;
    server.partner().await.post(&job("S-1"), "s-1").await.expect("posted");
    let (number, first) = offer(&mut line).await;
    for _ in 0..2 {
        tear(&server, line).await;
        let welcome;
        (line, welcome) = Line::hello(&server, friend, Some((session, seq))).await;
        assert!(welcome.resumed);
        assert_eq!(offer(&mut line).await, (number, first.clone()));
        line.nothing_more().await;
    }
    line.ack(number).await;
    line.nothing_more().await;
    tear(&server, line).await;
    let (mut line, welcome) = Line::hello(&server, friend, Some((session, number))).await;
    assert!(welcome.resumed);
    line.nothing_more().await;
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_cannot_go_on_begins_anew_with_a_snapshot() {
    let mut server = TestServer::start().await;
    let places = north(&[100.0, 200.0]);
    let friends = server.town(&places).await;
    let (_other, others, _) = on_duty(&server, friends[1], places[1]).await;
    let unknown = SessionId(Uuid::now_v7());
    for (what, from) in [
        ("of another friend", (others, 3)),
        ("unknown", (unknown, 3)),
        ("a number that was never given", (SessionId(Uuid::nil()), 99)),
        ("a number whose successors are dropped", (SessionId(Uuid::nil()), 1)),
    ] {
        let (line, own, _) = on_duty(&server, friends[0], places[0]).await;
        tear(&server, line).await;
        let session = if from.0 == SessionId(Uuid::nil()) { own } else { from.0 };
        let (mut line, welcome) = Line::hello(&server, friends[0], Some((session, from.1))).await;
        assert!(!welcome.resumed && welcome.session != own, "{what}: {welcome:?}");
        assert!(snapshot(&mut line).await.duty.on, "{what}");
        tear(&server, line).await;
    }
    // What was kept was told in German.
    let (line, session, seq) = on_duty(&server, friends[0], places[0]).await;
    tear(&server, line).await;
    let token = server.admin().friend_token(friends[0], None).await.expect("a token").token;
    let mut line = Line::open(&server).await;
    let hello = json!({"type": "hello", "token": token, "language": "pl", "session": session, "last_seq": seq});
    line.say_json(&hello).await;
    match line.hear().await.expect("a welcome").message {
        FriendMessage::Welcome(welcome) => assert!(!welcome.resumed),
        other => panic!("{other:?}"),
    }
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_kept_for_its_time_and_within_its_bound() {
    let knobs = [("KIEZ_LIMITS__RESUME_MS", "1000"), ("KIEZ_LIMITS__RESUME_LEN_MAX", "3")];
    let mut server = TestServer::with(&knobs, 1).await;
    let place = north(&[100.0]);
    let friend = server.town(&place).await[0];
    let live = server.running.as_ref().expect("it runs").app.live.clone();

    let (line, session, seq) = on_duty(&server, friend, place[0]).await;
    tear(&server, line).await;
    assert_eq!(live.sessions.len(), 1);
    soon("its time is over", || live.sessions.is_empty()).await;
    let (line, welcome) = Line::hello(&server, friend, Some((session, seq))).await;
    assert!(!welcome.resumed);
    drop(line);

    let (line, session, seq) = on_duty(&server, friend, place[0]).await;
    tear(&server, line).await;
    let now = server.running.as_ref().expect("it runs").app.clock.now();
    for _ in 0..4 {
        live.tell(friend, FriendMessage::Duty(kiez_protocol::friend::Duty::default()), now);
    }
    assert!(live.sessions.is_empty(), "four are more than three, and its memory goes at once");
    let (_line, welcome) = Line::hello(&server, friend, Some((session, seq))).await;
    assert!(!welcome.resumed);
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_of_what_was_never_sent_is_a_resync() {
    let mut server = TestServer::start().await;
    let place = north(&[100.0]);
    let friend = server.town(&place).await[0];
    let (mut line, session, seq) = on_duty(&server, friend, place[0]).await;
    line.ack(seq + 1).await;
    assert_eq!(line.rest().await.1, Some(close::RESYNC));
    soon("the line is gone", || connected(&server) == 0).await;
    let (mut line, welcome) = Line::hello(&server, friend, Some((session, seq))).await;
    assert!(!welcome.resumed, "nobody knows what else was heard");
    snapshot(&mut line).await;
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_app_takes_its_session_over_and_another_device_ends_it() {
    let mut server = TestServer::start().await;
    let place = north(&[100.0]);
    let friend = server.town(&place).await[0];
    let (mut first, session, seq) = on_duty(&server, friend, place[0]).await;
    let (mut second, welcome) = Line::hello(&server, friend, Some((session, seq))).await;
    assert!(welcome.resumed);
    assert_eq!(first.rest().await, (vec![], Some(close::NORMAL)), "nobody is told to stay away");
    server.partner().await.post(&job("S-1"), "s-1").await.expect("posted");
    offer(&mut second).await;

    // Another device: the old one is closed and stays away, and its session is no more.
    let (mut other, welcome) = Line::hello(&server, friend, None).await;
    assert!(!welcome.resumed);
    assert_eq!(second.rest().await, (vec![], Some(close::REPLACED)));
    assert_eq!(snapshot(&mut other).await.offers.len(), 1);
    let (_, others) = (other, welcome.session);
    soon("one line is left", || connected(&server) <= 1).await;
    let (mut back, welcome) = Line::hello(&server, friend, Some((session, seq))).await;
    assert!(!welcome.resumed && welcome.session != others);
    // The same with a parked session.
    snapshot(&mut back).await;
    let parked = welcome.session;
    tear(&server, back).await;
    let (other, _) = Line::hello(&server, friend, None).await;
    let (_line, welcome) = Line::hello(&server, friend, Some((parked, 1))).await;
    assert!(!welcome.resumed);
    drop(other);
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_goodbye_keeps_the_session_as_well() {
    let mut server = TestServer::start().await;
    let place = north(&[100.0]);
    let friend = server.town(&place).await[0];
    let (mut line, session, seq) = on_duty(&server, friend, place[0]).await;
    line.socket.close(None).await.expect("the app goes to the background");
    tear(&server, line).await;
    let (_line, welcome) = Line::hello(&server, friend, Some((session, seq))).await;
    assert!(welcome.resumed);
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_that_arrives_by_a_resume_has_arrived() {
    let mut server = TestServer::start().await;
    let places = north(&[100.0, 200.0, 300.0, 400.0, 500.0]);
    let friends = server.town(&places).await;
    let community = json!({"slug": "berlin-tech", "brand": "Berlin Tech", "country": "DE", "currency": "EUR",
        "time_zone": "Europe/Berlin", "commission": {"id": "ten", "basis_points": 1000}, "policy": {"quiet": null}});
    let mut community: kiez_protocol::directory::Community = serde_json::from_value(community).expect("a community");
    community.policy.delivery_ms = 1_500;
    server.admin().put_community(&community).await.expect("taken");
    let mut lines = Vec::new();
    for (friend, place) in friends.iter().zip(&places) {
        lines.push(on_duty(&server, *friend, *place).await);
    }
    let partner = server.partner().await;
    for (key, resumes) in [("comes back", true), ("stays away", false)] {
        let (line, session, seq) = lines.remove(0);
        tear(&server, line).await;
        let posted = partner.post(&job(key), key).await.expect("posted");
        assert_eq!(posted.offers_out, 4);
        for (line, _, last) in &mut lines[..3] {
            let number = offer(line).await.0;
            line.ack(number).await;
            *last = number;
        }
        if resumes {
            let (mut line, welcome) = Line::hello(&server, friends[0], Some((session, seq))).await;
            assert!(welcome.resumed);
            let number = offer(&mut line).await.0;
            line.ack(number).await;
            lines.insert(0, (line, session, number));
        }
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        let fifth = &mut lines.last_mut().expect("the fifth").0;
        if resumes {
            fifth.nothing_more().await;
            partner.cancel(posted.id, None).await.expect("cancelled");
            for (line, _, last) in &mut lines[..4] {
                let closed =
                    |message: &FriendMessage| matches!(message, FriendMessage::OfferClosed { .. }).then_some(());
                *last = line.until("its end", closed).await.0.expect("it is owed");
                line.ack(*last).await;
            }
        } else {
            offer(fifth).await;
        }
    }
    assert_eq!(friend_id(0), friends[0]);
    server.down().await;
}
