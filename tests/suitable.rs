//! Who is suitable, over real sockets: what admins put into the directory is what friends and partners meet, at once and
//! after a restart.

mod common;

use std::time::Duration;

use common::{Cast, TestServer, friend_id, job, north};
use http::Method;
use kiez_load::client::{CallError, FriendClient, FriendConfig, FriendEvent, PartnerClient};
use kiez_protocol::friend::{CapNear, FriendMessage, LostReason, Verdict};
use kiez_protocol::partner::JobState;
use kiez_protocol::place::Point;
use kiez_protocol::refusal::{Code, close};
use serde_json::{Value, json};

async fn put(server: &TestServer, path: &str, document: Value) {
    let bytes = serde_json::to_vec(&document).expect("plain data");
    let path = format!("/v1/admin/{path}");
    let report: Result<Value, CallError> =
        server.http().send(Method::PUT, &path, None, "application/json", bytes.into()).await;
    report.unwrap_or_else(|error| panic!("{path}: {error}"));
}

fn community(with: Value) -> Value {
    let mut community = json!({
        "slug": "berlin-tech", "brand": "Berlin Tech", "country": "DE", "currency": "EUR",
        "time_zone": "Europe/Berlin", "commission": {"id": "ten", "basis_points": 1000},
        "policy": {"quiet": null},
    });
    community.as_object_mut().expect("an object").extend(with.as_object().expect("an object").clone());
    community
}

fn friend(with: Value) -> Value {
    let mut friend = json!({
        "id": friend_id(0), "name": "Friend 0", "skills": [{"skill": "wifi", "level": 3}],
        "communities": ["berlin-tech"], "country": "DE",
    });
    friend.as_object_mut().expect("an object").extend(with.as_object().expect("an object").clone());
    friend
}

/// A friend whose app is open and who does nothing else.
async fn connected(server: &TestServer) -> Cast {
    let token = server.admin().friend_token(friend_id(0), Some(60)).await.expect("a token").token;
    let mut cast = Cast { client: FriendClient::new(FriendConfig::new(server.server(), token)), heard: Vec::new() };
    cast.until("a snapshot", |message| matches!(message, FriendMessage::Snapshot(_)).then_some(())).await;
    cast
}

async fn code_of(partner: &PartnerClient, job: &kiez_protocol::partner::PostJob, key: &str) -> Option<Code> {
    partner.post(job, key).await.err().and_then(|error| error.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_outside_of_the_service_area_is_refused_with_the_community() {
    let mut server = TestServer::start().await;
    server.town(&[]).await;
    let partner = server.partner().await;
    let ring = json!([[13.3, 52.45], [13.5, 52.45], [13.5, 52.55], [13.3, 52.55], [13.3, 52.45]]);
    put(&server, "communities/berlin-tech", community(json!({"area": {"type": "Polygon", "coordinates": [ring]}})))
        .await;
    let inside = partner.post(&job("inside"), "k-1").await.expect("is served");
    let mut away = job("outside");
    away.location = Point::new(52.3906, 13.0645).expect("Potsdam");
    let refused = partner.post(&away, "k-2").await.expect_err("is not served");
    let CallError::Refused { problem, .. } = refused else { panic!("{refused}") };
    assert_eq!((problem.code, problem.status, problem.param.as_deref()), (Code::OutsideArea, 422, Some("location")));
    assert!(
        problem.detail.contains("`berlin-tech` (Berlin Tech)") && problem.detail.contains("waitlist"),
        "{problem:?}"
    );
    assert_eq!(partner.jobs(None, None, None).await.expect("a list").jobs.len(), 1);
    // A policy that is over takes no job.
    put(&server, "communities/berlin-tech", community(json!({"policy": {"valid_until": "2020-01-01T00:00:00Z"}})))
        .await;
    let by_the_older = partner.post(&job("older"), "k-3").await.expect("the version before is valid");
    assert!(by_the_older.id > inside.id);
    assert_eq!(code_of(&partner, &away, "k-4").await, Some(Code::OutsideArea));
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_brake_holds_back_offers_at_once_and_after_a_restart() {
    let mut server = TestServer::start().await;
    let mut friends = server.town_with_friends(&north(&[100.0, 200.0])).await;
    let partner = server.partner().await;
    let out = partner.post(&job("out"), "k-1").await.expect("posted");
    let offer = friends[0].offer().await;
    put(&server, "communities/berlin-tech", community(json!({"brake": true}))).await;
    let held = partner.post(&job("held"), "k-2").await.expect("posted");
    assert_eq!((held.state, held.offers_out), (JobState::Dispatching, 0));
    let key = friends[0].client.accept(offer.offer, offer.revision);
    assert_eq!(friends[0].verdict(key).await, (Verdict::Won, None), "what is out is served");
    assert_eq!(partner.job(out.id).await.expect("there").state, JobState::Assigned);
    drop(friends);
    server.down().await;

    server.up().await;
    let mut friend = server.friend(friend_id(1), north(&[200.0])[0]).await;
    let heard = friend.silence(1_500).await;
    assert!(!heard.iter().any(|message| matches!(message, FriendMessage::Offer(_))), "{heard:?}");
    put(&server, "communities/berlin-tech", community(json!({"brake": false}))).await;
    // Still within the time in which friends return after the restart: one is fewer than four.
    let offer = tokio::time::timeout(Duration::from_secs(25), async {
        loop {
            if let FriendEvent::Message(envelope) = friend.client.next().await
                && let FriendMessage::Offer(offer) = envelope.message
            {
                return offer;
            }
        }
    });
    assert_eq!(offer.await.expect("an offer").job, held.id);
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_off_duty_is_asked_at_home_when_their_calendar_meets_the_job() {
    let mut server = TestServer::start().await;
    server.town(&[]).await;
    let partner = server.partner().await;
    let (lat, lng) = north(&[700.0])[0];
    let home = json!([{"kind": "home", "place": {"lat": lat, "lng": lng}}]);
    let all_week = json!([{"from": "00:00", "to": "24:00"}]);
    put(&server, &format!("friends/{}", friend_id(0)), friend(json!({"anchors": home, "availability": all_week})))
        .await;
    let posted = partner.post(&job("before"), "k-1").await.expect("posted");
    assert_eq!(posted.offers_out, 0);
    let mut friend = connected(&server).await;
    assert_eq!(friend.offer().await.distance_m, 700, "they have come into reach at home");
    friend.client.fix(Point::new(lat, lng).expect("on the earth"));
    friend.until("stop_location", |message| matches!(message, FriendMessage::StopLocation).then_some(())).await;
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accept_beyond_a_cap_is_lost_and_the_cap_was_told_of() {
    let mut server = TestServer::start().await;
    server.town(&[]).await;
    let partner = server.partner().await;
    // A job is 26.10 net.
    let cap = json!({"period": "year", "income": {"amount": 5219, "currency": "EUR"}});
    put(&server, &format!("friends/{}", friend_id(0)), friend(json!({"caps": [cap, {"period": "month", "jobs": 1}]})))
        .await;
    let mut friend = server.friend(friend_id(0), north(&[100.0])[0]).await;
    for (reference, key) in [("one", "k-1"), ("two", "k-2")] {
        partner.post(&job(reference), key).await.expect("posted");
    }
    let (first, second) = (friend.offer().await, friend.offer().await);
    let keys = [&first, &second].map(|offer| friend.client.accept(offer.offer, offer.revision));
    assert_eq!(friend.verdict(keys[0]).await, (Verdict::Won, None));
    assert_eq!(friend.verdict(keys[1]).await, (Verdict::Lost, Some(LostReason::Capacity)));
    let near: Vec<CapNear> = friend
        .heard
        .iter()
        .filter_map(|message| match message {
            FriendMessage::CapNear(near) => Some(*near),
            _ => None,
        })
        .collect();
    assert_eq!((near.len(), near[0].jobs, near[0].cap.jobs), (1, 1, Some(1)), "half of the year's income is not near");
    server.down().await;
    server.up().await;
    let partner = server.partner().await;
    let mut friend = server.friend(friend_id(0), north(&[100.0])[0]).await;
    partner.post(&job("three"), "k-3").await.expect("posted");
    let heard = friend.silence(500).await;
    assert!(!heard.iter().any(|message| matches!(message, FriendMessage::Offer(_))), "it counts after a restart");
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limited_account_may_finish_its_work_and_a_suspended_one_may_not_connect() {
    let mut server = TestServer::start().await;
    let mut friends = server.town_with_friends(&north(&[100.0])).await;
    let partner = server.partner().await;
    let path = format!("friends/{}", friend_id(0));
    put(&server, &path, friend(json!({"account": {"state": "limited", "reason": "papers have run out"}}))).await;
    partner.post(&job("limited"), "k-1").await.expect("posted");
    let heard = friends[0].silence(300).await;
    assert!(
        !heard.iter().any(|message| matches!(message, FriendMessage::Offer(_))),
        "they are offered nothing: {heard:?}"
    );
    friends.clear();
    connected(&server).await;
    for suspended in [json!({"account": {"state": "suspended", "reason": "a decision"}}), json!({"active": false})] {
        put(&server, &path, friend(suspended)).await;
        let token = server.admin().friend_token(friend_id(0), Some(60)).await.expect("a token").token;
        let mut client = FriendClient::new(FriendConfig::new(server.server(), token));
        let over = tokio::time::timeout(Duration::from_secs(5), async {
            loop {
                if let FriendEvent::Over { code, .. } = client.next().await {
                    return code;
                }
            }
        });
        assert_eq!(over.await.expect("closed"), close::FORBIDDEN);
    }
    server.down().await;
}
