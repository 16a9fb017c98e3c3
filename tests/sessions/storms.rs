//! Many come back at once: so many are taken, the others are told when to come, and everybody is in at last.

use std::time::Duration;

use kiez_load::client::{FriendClient, FriendConfig, FriendEvent, Reconnect};
use kiez_protocol::friend::FriendMessage;
use kiez_protocol::refusal::close;

use super::common::line::Line;
use super::common::{TestServer, job, north};
use super::{offer, on_duty};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_rate_a_friend_is_told_when_to_come_and_those_inside_go_on() {
    let knobs =
        [("KIEZ_LIMITS__HELLOS_PER_S", "5"), ("KIEZ_LIMITS__HELLOS_BURST", "2"), ("KIEZ_LIMITS__COME_BACK_MS", "200")];
    let mut server = TestServer::with(&knobs, 1).await;
    let places = north(&[100.0; 20]);
    let friends = server.town(&places).await;
    let (mut inside, ..) = on_duty(&server, friends[0], places[0]).await;
    let mut storm = tokio::task::JoinSet::new();
    for friend in &friends[1..] {
        let token = server.admin().friend_token(*friend, Some(60)).await.expect("a token").token;
        let mut config = FriendConfig::new(server.server(), token);
        // An impatient app, but one that does what it is told.
        config.reconnect = Reconnect { first_max_ms: 1, backoff_max_ms: 2 };
        storm.spawn(async move {
            let mut client = FriendClient::new(config);
            let mut told = Vec::new();
            loop {
                match client.next().await {
                    FriendEvent::Up { .. } => return (client, told),
                    FriendEvent::Down { code, retry_in_ms, .. } => {
                        assert_eq!(code, Some(close::TRY_AGAIN_LATER));
                        told.push(retry_in_ms);
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
    }
    // Meanwhile a job goes its way.
    server.partner().await.post(&job("A-1"), "a-1").await.expect("posted");
    let (_, offer) = offer(&mut inside).await;
    let key = super::new_key();
    inside.say(&kiez_protocol::friend::FriendFrame::Accept { offer: offer.offer, revision: 1, key }).await;
    super::verdict(&mut inside, key).await;
    let all = tokio::time::timeout(Duration::from_secs(60), storm.join_all()).await.expect("everybody is in");
    let told: Vec<u64> = all.iter().flat_map(|(_, told)| told.clone()).collect();
    assert!(told.len() >= 15, "{told:?}");
    assert!(told.iter().all(|ms| (200..30_000).contains(ms)), "{told:?}");
    assert!(told.iter().max() > Some(&1_200), "spread over as long as nineteen take: {told:?}");
    drop(all);
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_good_token_takes_nobodys_place() {
    let knobs = [("KIEZ_LIMITS__HELLOS_PER_S", "1"), ("KIEZ_LIMITS__HELLOS_BURST", "1")];
    let mut server = TestServer::with(&knobs, 1).await;
    let friend = server.town(&north(&[100.0])).await[0];
    let token = server.admin().friend_token(friend, Some(60)).await.expect("a token").token;
    for _ in 0..20 {
        let mut line = Line::open(&server).await;
        line.say_hello("nobody's", None).await;
        assert_eq!(line.rest().await.1, Some(close::BAD_TOKEN));
    }
    let (first, _) = Line::hello_by(&server, &token, None).await;
    let mut second = Line::open(&server).await;
    second.say_hello(&token, None).await;
    let (heard, code) = second.rest().await;
    assert!(
        matches!(heard[..], [FriendMessage::Draining { reconnect_in_ms }] if reconnect_in_ms >= 1_000),
        "{heard:?}"
    );
    assert_eq!(code, Some(close::TRY_AGAIN_LATER));
    drop(first);
    server.down().await;
}
