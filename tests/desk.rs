//! The desk of ops over real sockets: what they do to jobs, what they may not, and that a restart in between changes
//! nothing.

mod common;

use common::{Cast, TestServer, friend_id, job, north};
use http::Method;
use kiez_load::client::{CallError, Http};
use kiez_protocol::directory::OpsRole;
use kiez_protocol::friend::{ClosedReason, FriendMessage, LostReason, Verdict};
use kiez_protocol::ids::{FriendId, JobId};
use kiez_protocol::partner::{JobState, JobView};
use kiez_protocol::refusal::{Code, Problem};
use serde_json::{Value, json};

/// Somebody of ops at a desk.
struct Desk(Http);

impl Desk {
    async fn of(server: &TestServer, role: OpsRole) -> Desk {
        let token = server.admin().ops_token(role, Some(60)).await.expect("a token").token;
        Desk(server.http().with_key(token))
    }

    async fn post(&self, path: &str, body: &Value) -> Result<JobView, Box<Problem>> {
        let bytes = serde_json::to_vec(body).expect("plain data");
        match self.0.send(Method::POST, path, None, "application/json", bytes.into()).await {
            Ok(view) => Ok(view),
            Err(CallError::Refused { problem, .. }) => Err(problem),
            Err(other) => panic!("{path}: {other:?}"),
        }
    }

    async fn act(&self, job: JobId, action: &str) -> Result<JobView, Box<Problem>> {
        self.post(&format!("/v1/ops/jobs/{job}/{action}"), &json!({"reason": "the customer rang"})).await
    }

    async fn assign(&self, job: JobId, friend: FriendId) -> Result<JobView, Box<Problem>> {
        let body = json!({"friend": friend, "reason": "agreed by phone"});
        self.post(&format!("/v1/ops/jobs/{job}/assign"), &body).await
    }
}

async fn hears_closed(friend: &mut Cast) -> ClosedReason {
    friend
        .until("the end of an offer", |message| match message {
            FriendMessage::OfferClosed { reason, .. } => Some(*reason),
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_held_through_a_restart_and_given_to_a_friend() {
    let mut server = TestServer::start().await;
    let mut friends = server.town_with_friends(&north(&[100.0, 200.0])).await;
    let partner = server.partner().await;
    let desk = Desk::of(&server, OpsRole::Dispatcher).await;
    let posted = partner.post(&job("R-1"), "once").await.expect("posted");
    let offer = friends[0].offer().await;
    friends[1].offer().await;

    let held = desk.act(posted.id, "pause").await.expect("held");
    assert_eq!((held.state, held.offers_out, held.reason.as_deref()), (JobState::Paused, 0, Some("held_by_ops")));
    assert_eq!(hears_closed(&mut friends[0]).await, ClosedReason::Paused);
    let key = friends[0].client.accept(offer.offer, offer.revision);
    assert_eq!(friends[0].verdict(key).await, (Verdict::Lost, Some(LostReason::Paused)));
    assert_eq!(partner.job(posted.id).await.expect("there").state, JobState::Paused);
    let again = desk.act(posted.id, "pause").await.expect_err("it is held");
    assert_eq!((again.code, again.state), (Code::WrongState, Some(JobState::Paused)));
    assert_eq!(again.allowed, ["edit", "answers", "resume", "assign", "cancel"]);

    let resumed = desk.act(posted.id, "resume").await.expect("resumed");
    assert_eq!((resumed.state, resumed.attempt), (JobState::Dispatching, 2));
    let anew = friends[0].offer().await;
    assert_ne!(anew.offer, offer.offer);
    desk.act(posted.id, "pause").await.expect("held again");

    drop(friends);
    server.down().await;
    server.up().await;
    let (partner, desk) = (server.partner().await, Desk::of(&server, OpsRole::Dispatcher).await);
    assert_eq!(partner.job(posted.id).await.expect("there").state, JobState::Paused);
    let mut ben = server.friend(friend_id(1), north(&[200.0])[0]).await;
    let given = desk.assign(posted.id, friend_id(1)).await.expect("given");
    assert_eq!((given.state, given.friend.map(|friend| friend.id)), (JobState::Assigned, Some(friend_id(1))));
    let card = ben
        .until("the card", |message| match message {
            FriendMessage::Job(card) => Some((**card).clone()),
            _ => None,
        })
        .await;
    assert!(card.address.is_some() && card.job == posted.id);
    let no = desk.assign(posted.id, friend_id(0)).await.expect_err("it is given");
    assert_eq!(
        (no.code, no.allowed),
        (Code::WrongState, vec!["edit".to_owned(), "answers".to_owned(), "cancel".to_owned()])
    );
    let cancelled = desk.act(posted.id, "cancel").await.expect("cancelled");
    assert_eq!(cancelled.state, JobState::Cancelled);
    assert_eq!(desk.act(posted.id, "cancel").await.expect("again").state, JobState::Cancelled);
    let over = desk.act(posted.id, "resume").await.expect_err("it is over");
    assert_eq!((over.code, over.state, over.allowed), (Code::WrongState, Some(JobState::Cancelled), vec![]));
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_in_a_partners_name_is_the_partners() {
    let mut server = TestServer::start().await;
    let mut friends = server.town_with_friends(&north(&[100.0])).await;
    let partner = server.partner().await;
    let desk = Desk::of(&server, OpsRole::Dispatcher).await;
    let body = json!({"partner": "shop", "reason": "their system is down", "job": job("R-2")});
    let send = async |key: &str, body: &Value| {
        let bytes = serde_json::to_vec(body).expect("plain data");
        desk.0.send::<JobView>(Method::POST, "/v1/ops/jobs", Some(key), "application/json", bytes.into()).await
    };
    let posted = send("K", &body).await.expect("posted");
    friends[0].offer().await;
    assert_eq!(partner.job(posted.id).await.expect("theirs").partner_ref.as_deref(), Some("R-2"));
    assert_eq!(send("K", &body).await.expect("again").id, posted.id);
    let own = partner.post(&job("R-3"), "K").await.expect("the partner's own key of the same letters");
    assert_ne!(own.id, posted.id);
    for (change, param) in [
        (json!({"partner": "nobody"}), "partner"),
        (json!({"reason": " "}), "reason"),
        (json!({"reason": "x".repeat(301)}), "reason"),
    ] {
        let mut body = body.clone();
        body.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        let problem = desk.post("/v1/ops/jobs", &body).await.expect_err("refused");
        assert_eq!((problem.code, problem.param.as_deref()), (Code::Invalid, Some(param)));
    }
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_looks_changes_nothing() {
    let mut server = TestServer::start().await;
    let mut friends = server.town_with_friends(&north(&[100.0])).await;
    let partner = server.partner().await;
    let posted = partner.post(&job("R-1"), "once").await.expect("posted");
    friends[0].offer().await;
    let viewer = Desk::of(&server, OpsRole::Viewer).await;
    for action in ["pause", "resume", "redispatch", "cancel"] {
        assert_eq!(viewer.act(posted.id, action).await.expect_err("refused").code, Code::Forbidden);
    }
    assert_eq!(viewer.assign(posted.id, friend_id(0)).await.expect_err("refused").code, Code::Forbidden);
    assert_eq!(partner.job(posted.id).await.expect("there"), posted, "and nothing has changed");
    server.down().await;
}
