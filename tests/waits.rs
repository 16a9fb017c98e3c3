//! Who waits too long for an offer is told to ops, once: by the feed of a running server, before a restart and after it.

mod common;
#[path = "common/raw.rs"]
mod raw;

use common::{TestServer, job, north};
use kiez::server::upkeep::look_at_waits;
use kiez_protocol::directory::OpsRole;
use kiez_protocol::ids::FriendId;
use kiez_protocol::ops::LongWaits;
use raw::Raw;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};

const DAY_MS: i64 = 24 * 3_600_000;

impl TestServer {
    async fn look(&self) -> Vec<LongWaits> {
        look_at_waits(&self.running.as_ref().expect("it runs").app).await.expect("the ledger is there")
    }

    /// A hand from outside, while the server is down.
    async fn change(&self, statement: String) {
        let mut connection = SqliteConnection::connect(&self.url).await.expect("the file is there");
        connection.execute(AssertSqlSafe(statement)).await.expect("runs");
        connection.close().await.expect("closes");
    }

    /// The alarms that the feed shows to somebody of this role.
    async fn alarms(&self, role: OpsRole) -> Value {
        let token = self.running.as_ref().expect("it runs").ops_token(role, 5).expect("a token");
        let mut socket = Raw::socket(&self.address(), "/v1/ops/feed", "").await;
        socket.say(&json!({"type": "subscribe", "token": token}).to_string()).await;
        socket.heard().await["alarms"].take()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_wait_is_told_to_ops_once_with_the_seats_there_were() {
    let places = north(&[400.0, 800.0]);
    let mut server = TestServer::start().await;
    let ids = server.town(&places).await;
    let mut asked = server.friend(ids[1], places[1]).await;
    let partner = server.partner().await;
    let view = partner.post(&job("first"), "first").await.expect("is posted");
    asked.offer().await;
    partner.cancel(view.id, None).await.expect("is cancelled");
    let patient = server.friend(ids[0], places[0]).await;
    assert_eq!(server.look().await, [], "nobody has waited long yet");
    drop((asked, patient));

    server.down().await;
    // So that one has waited for their first offer for eight days, which is too long, and one for another for six; and that
    // somebody looked two days ago.
    server.change(format!("update duties set first_on_at = first_on_at - {}", 8 * DAY_MS)).await;
    server.change(format!("update offers set sent_at = sent_at - {}", 6 * DAY_MS)).await;
    server.change(format!("update meta set value = value - {} where key like 'waits_looked_at:%'", 2 * DAY_MS)).await;
    server.up().await;
    let patient = server.friend(ids[0], places[0]).await;
    let told = server.look().await;
    let community = "berlin-tech".parse().expect("a slug");
    assert_eq!(told, [LongWaits { community, first: 1, next: 0, seats: 1, friends: vec![ids[0]] }]);

    let alarm = |friends: &[FriendId]| {
        let mut waits = json!({"community": "berlin-tech", "first": 1, "next": 0, "seats": 1});
        if !friends.is_empty() {
            waits["friends"] = json!(friends);
        }
        waits
    };
    for (role, friends) in [(OpsRole::Viewer, &[][..]), (OpsRole::Dispatcher, &ids[..1]), (OpsRole::Admin, &ids[..1])] {
        let alarms = server.alarms(role).await;
        assert_eq!((alarms[0]["kind"].as_str(), alarms[1].is_null()), (Some("long_waits"), true), "{alarms}");
        assert_eq!(alarms[0]["waits"], alarm(friends), "{role:?}");
    }

    assert_eq!(server.look().await, [], "looked a moment ago");
    drop(patient);
    server.down().await;
    server.change(format!("update meta set value = value - {DAY_MS} where key like 'waits_looked_at:%'")).await;
    server.up().await;
    assert_eq!(server.look().await, [], "a day later the same friend waits, and it was told");
    server.down().await;
}
