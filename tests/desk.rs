//! The desk of ops over real sockets: what they do to jobs, what they may not, and that a restart in between changes
//! nothing.

mod common;

use common::{Cast, TestServer, friend_id, job, north};
use http::Method;
use kiez_load::client::{CallError, Http};
use kiez_protocol::audit::AuditList;
use kiez_protocol::desk::{DeskJob, DeskList, DeskLook};
use kiez_protocol::directory::OpsRole;
use kiez_protocol::friend::{ClosedReason, FriendMessage, LostReason, Verdict, VisitEvent};
use kiez_protocol::ids::{FriendId, JobId};
use kiez_protocol::partner::{DryRun, JobState, JobView};
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
    assert_eq!(posted.customer_url, None, "who has the link speaks as the customer: ops do not");
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
    let posted = JobView { customer_url: None, ..posted };
    assert_eq!(partner.job(posted.id).await.expect("there"), posted, "and nothing has changed");
    server.down().await;
}

impl Desk {
    async fn get<A: serde::de::DeserializeOwned>(&self, path: &str) -> Result<A, Box<Problem>> {
        match self.0.call(Method::GET, path, None, None::<&()>).await {
            Ok(answer) => Ok(answer),
            Err(CallError::Refused { problem, .. }) => Err(problem),
            Err(other) => panic!("{path}: {other:?}"),
        }
    }
}

/// What nobody sees without a reason.
fn assert_private(said: &impl serde::Serialize) {
    let text = serde_json::to_string(said).expect("plain data");
    for secret in ["Canary", "3012345678", "52.49", "13.41", "Fritz"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ops_see_who_was_asked_and_why_and_the_customer_only_for_a_reason() {
    let mut server = TestServer::start().await;
    let mut friends = server.town_with_friends(&north(&[100.0, 200.0])).await;
    let partner = server.partner().await;
    let posted = partner.post(&job("R-1"), "once").await.expect("posted");
    let other = partner.post(&job("R-2"), "twice").await.expect("posted");
    friends[0].offer().await;
    let viewer = Desk::of(&server, OpsRole::Viewer).await;
    let dispatcher = Desk::of(&server, OpsRole::Dispatcher).await;

    let list: DeskList = viewer.get("/v1/ops/jobs?limit=1").await.expect("a page");
    assert_eq!((list.jobs[0].job.id, list.after), (other.id, Some(other.id)));
    let rest: DeskList = viewer.get(&format!("/v1/ops/jobs?after={}", other.id)).await.expect("a page");
    assert_eq!((rest.jobs.len(), rest.jobs[0].job.id, rest.after), (1, posted.id, None));
    assert_private(&(&list, &rest));
    for (query, found) in [
        ("state=dispatching&community=berlin-tech&postcode=10999", 2),
        ("partner_ref=R-1", 1),
        ("state=closed", 0),
        (&format!("friend={}", friend_id(1)), 2),
    ] {
        let list: DeskList = viewer.get(&format!("/v1/ops/jobs?{query}")).await.expect("a page");
        assert_eq!(list.jobs.len(), found, "{query}");
    }

    let file: DeskJob = viewer.get(&format!("/v1/ops/jobs/{}", posted.id)).await.expect("a job");
    assert_private(&file);
    assert_eq!((file.partner.as_str(), file.policy_version, file.job.id), ("shop", 1, posted.id));
    assert_eq!(file.allowed, ["edit", "answers", "pause", "assign", "cancel"]);
    assert_eq!(file.timeline.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["posted", "wave_opened"]);
    assert_eq!((file.offers.len(), file.runs.len(), file.decisions.len()), (2, 1, 1));
    let seen: Vec<_> =
        file.decisions[0].candidates.iter().map(|seen| (seen.friend, seen.distance_m, seen.rank)).collect();
    assert_eq!(seen, [(friend_id(0), 100, Some(1)), (friend_id(1), 200, Some(2))]);
    let nobody = viewer.get::<DeskJob>(&format!("/v1/ops/jobs/{}", friend_id(0))).await.expect_err("no job");
    assert_eq!(nobody.code, Code::NotFound);

    // A person is looked for by a dispatcher, for a reason, and that is written down before anything is shown.
    let refused = |problem: Box<Problem>| (problem.code, problem.param);
    let path = "/v1/ops/jobs?q=canary&reason=they+rang";
    assert_eq!(refused(viewer.get::<DeskList>(path).await.expect_err("refused")).0, Code::Forbidden);
    let without = dispatcher.get::<DeskList>("/v1/ops/jobs?q=canary").await.expect_err("refused");
    assert_eq!(refused(without), (Code::Invalid, Some("reason".to_owned())));
    let short = dispatcher.get::<DeskList>("/v1/ops/jobs?q=ca&reason=why").await.expect_err("refused");
    assert_eq!(refused(short), (Code::Invalid, Some("q".to_owned())));
    let found: DeskList = dispatcher.get(path).await.expect("a page");
    assert_eq!(found.jobs.len(), 2);
    assert_private(&found);
    let by_phone: DeskList = dispatcher.get("/v1/ops/jobs?q=030+1234&reason=they+rang").await.expect("a page");
    assert_eq!(by_phone.jobs.len(), 2);

    let look = format!("/v1/ops/jobs/{}/look", posted.id);
    let reason = serde_json::to_vec(&json!({"reason": "the friend cannot find the door"})).expect("plain data");
    let denied = viewer.0.send::<DeskLook>(Method::POST, &look, None, "application/json", reason.clone().into()).await;
    assert_eq!(denied.expect_err("refused").code(), Some(Code::Forbidden));
    let shown: DeskLook =
        dispatcher.0.send(Method::POST, &look, None, "application/json", reason.into()).await.expect("shown");
    assert_eq!((shown.customer.name.as_str(), shown.address.street.as_str()), ("Canary Customer", "Canarystraße 7"));
    dispatcher.act(posted.id, "pause").await.expect("held");
    let log: AuditList = dispatcher.get("/v1/ops/audit").await.expect("the log");
    let entries: Vec<_> = log.entries.iter().map(|entry| (entry.action.as_str(), entry.reason.as_deref())).collect();
    assert_eq!(
        entries[..4],
        [
            ("job_paused", Some("the customer rang")),
            ("job_looked_at", Some("the friend cannot find the door")),
            ("jobs_searched", Some("they rang")),
            ("jobs_searched", Some("they rang")),
        ]
    );
    assert_eq!(log.entries[0].subject, posted.id.to_string());
    assert_private(&log);
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_says_what_would_be_and_leaves_no_trace() {
    let mut server = TestServer::start().await;
    let mut friends = server.town_with_friends(&north(&[100.0, 1_200.0])).await;
    let partner = server.partner().await;
    let key = server.admin().partner_key(&"shop".parse().expect("a slug")).await.expect("a key").token;
    let http = server.http().with_key(key);
    let tries = async |body: &Value| {
        let bytes = serde_json::to_vec(body).expect("plain data");
        http.send::<DryRun>(Method::POST, "/v1/jobs/dry-run", None, "application/json", bytes.into()).await
    };
    let body = serde_json::to_value(job("R-1")).expect("plain data");
    let first = tries(&body).await.expect("an answer");
    assert_eq!((first.wanted, first.would_find, first.assign), (4, 2, None), "nothing was won yet");
    let bands: Vec<_> = first.distances.iter().map(|band| (band.from_m, band.to_m)).collect();
    assert_eq!(bands, [(0, Some(1_000)), (1_000, Some(2_000))]);
    assert_eq!(
        (first.price.map(|price| price.amount), first.commission.map(|cut| cut.amount)),
        (Some(2_900), Some(290))
    );
    assert!(partner.jobs(None, None, None).await.expect("a list").jobs.is_empty());
    assert!(friends[0].silence(200).await.is_empty(), "nobody is asked");
    let mut vague = body.clone();
    vague["answers"] = json!({});
    assert_eq!(tries(&vague).await.expect("an answer").missing_answers.len(), 1);
    let mut unknown = body.clone();
    unknown["package"] = json!("piano");
    assert_eq!(tries(&unknown).await.expect_err("refused").code(), Some(Code::UnknownPackage));

    for round in 0..5 {
        let posted = partner.post(&job("R-1"), &format!("job {round}")).await.expect("posted");
        let offer = loop {
            let offer = friends[0].offer().await;
            if offer.job == posted.id {
                break offer;
            }
        };
        let key = friends[0].client.accept(offer.offer, offer.revision);
        assert_eq!(friends[0].verdict(key).await.0, Verdict::Won);
        for event in [VisitEvent::Contacted, VisitEvent::Completed] {
            let key = friends[0].client.visit(posted.id, event, None);
            let done = |message: &FriendMessage| {
                matches!(message, FriendMessage::Done { key: done } if *done == key).then_some(())
            };
            friends[0].until("done", done).await;
        }
    }
    let assign = tries(&body).await.expect("an answer").assign.expect("five were won");
    assert!(assign.jobs == 5 && assign.median_ms >= 0 && assign.p80_ms >= assign.median_ms, "{assign:?}");
    server.down().await;
}
