//! What the server says to what it cannot take, and that a request repeated is a request once.

mod common;

use std::time::Duration;

use common::{DEVELOPMENT_KEY, TestServer, friend_id, job, north};
use futures_util::{SinkExt, StreamExt};
use http::Method;
use kiez_load::client::{CallError, Http};
use kiez_protocol::partner::{CancelJob, EditJob, JobList, JobState, JobView};
use kiez_protocol::refusal::{Code, Problem};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

async fn refused(http: &Http, method: Method, path: &str, key: Option<&str>, body: &Value) -> Problem {
    let bytes = serde_json::to_vec(body).expect("plain data");
    match http.send::<Value>(method, path, key, "application/json", bytes.into()).await {
        Err(CallError::Refused { problem, .. }) => *problem,
        other => panic!("{path} was not refused: {other:?}"),
    }
}

fn body(change: impl FnOnce(&mut Value)) -> Value {
    let mut body = serde_json::to_value(job("R-1")).expect("plain data");
    change(&mut body);
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_that_cannot_be_taken_is_told_why_and_changes_nothing() {
    let mut server = TestServer::start().await;
    server.town(&[]).await;
    let partner = server.partner().await;
    let key = server.admin().partner_key(&"shop".parse().expect("a slug")).await.expect("a key").token;
    let http = server.http().with_key(key);
    let cases: Vec<(Value, Code, Option<&str>)> = vec![
        (body(|job| job["package"] = json!("piano")), Code::UnknownPackage, Some("package")),
        (body(|job| job["community"] = json!("nowhere")), Code::UnknownCommunity, Some("community")),
        (body(|job| job["location"]["lat"] = json!(91)), Code::Invalid, Some("location")),
        (body(|job| job["location"]["lat"] = json!("NaN")), Code::Invalid, Some("location.lat")),
        (body(|job| job["colour"] = json!("red")), Code::Invalid, Some("colour")),
        (body(|job| job["customer"]["phone"] = json!("030")), Code::Invalid, Some("customer.phone")),
        (body(|job| job["answers"] = json!({"shoe_size": 42})), Code::Invalid, Some("answers.shoe_size")),
        (body(|job| job["address"]["country"] = json!("CH")), Code::Invalid, Some("address.country")),
        (
            body(|job| job["windows"] = json!([{"from": "2026-11-23T20:00:00Z", "to": "2026-11-23T17:00:00Z"}])),
            Code::Invalid,
            Some("windows"),
        ),
        (json!([]), Code::Invalid, None),
    ];
    for (body, code, param) in cases {
        let problem = refused(&http, Method::POST, "/v1/jobs", None, &body).await;
        assert_eq!(problem.code, code, "{problem:?}");
        if let Some(param) = param {
            assert_eq!(problem.param.as_deref(), Some(param), "{problem:?}");
        }
        assert_eq!(problem.status, code.status());
        assert!(!problem.request_id.is_empty() && !problem.detail.is_empty(), "{problem:?}");
    }
    let broken = http.send::<Value>(Method::POST, "/v1/jobs", None, "application/json", "{\"package\":".into()).await;
    assert_eq!(broken.expect_err("not JSON").code(), Some(Code::BadRequest));
    let large = format!("{{\"package\":\"{}\"}}", "x".repeat(20_000));
    let large = http.send::<Value>(Method::POST, "/v1/jobs", None, "application/json", large.into()).await;
    assert_eq!(large.expect_err("too large").code(), Some(Code::TooLarge));
    let nobody = server.http().with_key("kz_live_000000000000_0000");
    assert_eq!(refused(&nobody, Method::POST, "/v1/jobs", None, &body(|_| {})).await.code, Code::Unauthorized);
    assert_eq!(refused(&http, Method::PUT, "/v1/admin/partners/x", None, &json!({})).await.code, Code::Unauthorized);
    assert_eq!(refused(&http, Method::GET, "/v1/nothing", None, &json!({})).await.code, Code::NotFound);
    assert_eq!(refused(&http, Method::DELETE, "/v1/jobs", None, &json!({})).await.code, Code::MethodNotAllowed);
    assert!(partner.jobs(None, None, None).await.expect("a list").jobs.is_empty(), "nothing was taken");
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_key_makes_one_job_and_another_body_is_refused() {
    let mut server = TestServer::start().await;
    server.town(&[]).await;
    let partner = server.partner().await;
    let first = partner.post(&job("R-1"), "once").await.expect("posted");
    let again = partner.post(&job("R-1"), "once").await.expect("the same answer");
    assert_eq!(first, again);
    let other = partner.post(&job("R-2"), "once").await.expect_err("another body");
    assert_eq!(other.code(), Some(Code::KeyReused));
    let third = job("R-3");
    let fifty = futures_util::future::join_all((0..50).map(|_| partner.post(&third, "fifty at once"))).await;
    let ids: std::collections::BTreeSet<_> = fifty.into_iter().map(|view| view.expect("answered").id).collect();
    assert_eq!(ids.len(), 1);
    server.down().await;
    server.up().await;
    let partner = server.partner().await;
    let after = partner.post(&job("R-1"), "once").await.expect("after a restart");
    let path = |view: &JobView| view.customer_url.as_deref().and_then(|url| url.find("/customer#")).is_some();
    assert!(path(&after) && path(&first), "with the customer's link, at the server's address of the day");
    let (after, first) = [after, first].map(|view| JobView { customer_url: None, ..view }).into();
    assert_eq!(after, first);
    assert_eq!(partner.jobs(None, None, None).await.expect("a list").jobs.len(), 2);
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_partners_job_is_one_that_does_not_exist() {
    let mut server = TestServer::start().await;
    server.town(&[]).await;
    let partner = server.partner().await;
    let mine = partner.post(&job("R-1"), "mine").await.expect("posted");
    let rival = json!({"kind": "partner", "slug": "rival", "name": "Rival", "community": "berlin-tech"});
    server.admin().import(&[serde_json::from_value(rival).expect("a partner")]).await.expect("imported");
    let key = server.admin().partner_key(&"rival".parse().expect("a slug")).await.expect("a key").token;
    let rival = server.http().with_key(key);
    let nothing = json!({});
    for (method, path) in [
        (Method::GET, format!("/v1/jobs/{}", mine.id)),
        (Method::POST, format!("/v1/jobs/{}/cancel", mine.id)),
        (Method::PATCH, format!("/v1/jobs/{}", mine.id)),
        (Method::GET, "/v1/jobs/0192f000-0000-7000-8000-000000000000".to_owned()),
        (Method::GET, "/v1/jobs/no-id".to_owned()),
    ] {
        let problem = refused(&rival, method, &path, None, &nothing).await;
        assert_eq!((problem.code, problem.detail.as_str()), (Code::NotFound, "there is no such job"), "{path}");
    }
    let list: JobList = rival.call(Method::GET, "/v1/jobs", None, None::<&()>).await.expect("a list");
    assert!(list.jobs.is_empty());
    assert_eq!(partner.job(mine.id).await.expect("mine").state, JobState::Dispatching);
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_answers_wait_and_lists_go_page_by_page() {
    let mut server = TestServer::start().await;
    let mut friends = server.town_with_friends(&north(&[100.0])).await;
    let partner = server.partner().await;
    let mut vague = job("R-1");
    vague.answers.clear();
    let vague = partner.post(&vague, "vague").await.expect("taken, not dispatched");
    assert_eq!((vague.state, vague.offers_out), (JobState::NeedsInfo, 0));
    assert_eq!(vague.missing_answers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["router"]);
    assert!(friends[0].silence(150).await.is_empty(), "nobody is asked");
    let answers = [("router".parse().expect("a word"), kiez_protocol::partner::Answer::Text("Speedport".to_owned()))];
    let edit = EditJob { answers: Some(answers.into()), ..EditJob::default() };
    let complete = partner.edit(vague.id, &edit).await.expect("edited");
    assert_eq!((complete.state, complete.offers_out), (JobState::Dispatching, 1));
    let offer = friends[0].offer().await;
    assert_eq!((offer.job, offer.revision), (vague.id, complete.revision), "an accept of what is shown is good");

    for number in 0..5 {
        partner.post(&job(&format!("P-{number}")), &format!("page-{number}")).await.expect("posted");
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = partner.jobs(None, Some(2), after).await.expect("a page");
        assert!(page.jobs.len() <= 2);
        seen.extend(page.jobs.iter().map(|job| job.id));
        after = page.after;
        if after.is_none() {
            break;
        }
    }
    let mut newest_first = seen.clone();
    newest_first.sort_by(|a, b| b.cmp(a));
    newest_first.dedup();
    assert_eq!((seen.len(), &seen), (6, &newest_first));

    let cancelled = partner.cancel(vague.id, Some("changed my mind")).await.expect("cancelled");
    assert_eq!(cancelled.state, JobState::Cancelled);
    let only = partner.jobs(Some(JobState::Cancelled), None, None).await.expect("a list");
    assert_eq!(only.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [vague.id]);
    let late = partner.edit(vague.id, &edit).await.expect_err("over");
    assert_eq!(late.code(), Some(Code::WrongState));
    server.down().await;
}

type Raw = WebSocketStream<TcpStream>;

#[expect(clippy::disallowed_methods, reason = "a small client of the tests, on loopback")]
async fn raw(server: &TestServer) -> Raw {
    let mut request = format!("ws://{}/v1/friend", server.address()).into_client_request().expect("a request");
    request.headers_mut().insert("sec-websocket-protocol", "kiez.v1".parse().expect("a header"));
    let stream = TcpStream::connect(server.address()).await.expect("connects");
    tokio_tungstenite::client_async(request, stream).await.expect("upgraded").0
}

async fn close_code(socket: &mut Raw) -> u16 {
    let wait = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                other => panic!("no close frame: {other:?}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), wait).await.expect("closed in time")
}

async fn said(socket: &mut Raw) -> Value {
    let wait = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).expect("JSON"),
                Some(Ok(_)) => {}
                other => panic!("nothing was said: {other:?}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), wait).await.expect("said in time")
}

async fn say(socket: &mut Raw, text: impl Into<String>) {
    socket.send(Message::text(text.into())).await.expect("sent");
}

async fn session(server: &TestServer) -> Raw {
    let token = server.admin().friend_token(friend_id(0), None).await.expect("a token").token;
    let mut socket = raw(server).await;
    say(&mut socket, json!({"type": "hello", "token": token}).to_string()).await;
    assert_eq!(said(&mut socket).await["type"], "welcome");
    assert_eq!(said(&mut socket).await["type"], "snapshot");
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_does_not_say_hello_rightly_is_closed_with_the_right_code() {
    let mut server = TestServer::with(&[("KIEZ_LIMITS__HELLO_MS", "300")], 1).await;
    server.town(&north(&[100.0])).await;
    let mut silent = raw(&server).await;
    assert_eq!(close_code(&mut silent).await, 4502);
    for (hello, code) in [
        (json!({"type": "hello", "token": "no token"}).to_string(), 4500),
        (json!({"type": "hello", "token": DEVELOPMENT_KEY}).to_string(), 4500),
        (json!({"type": "ping", "t": 1}).to_string(), 4501),
        ("no frame".to_owned(), 4501),
        (json!({"type": "hello", "token": "x".repeat(5_000)}).to_string(), 1009),
    ] {
        let mut socket = raw(&server).await;
        say(&mut socket, hello.clone()).await;
        assert_eq!(close_code(&mut socket).await, code, "{}", &hello[..hello.len().min(60)]);
    }
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfit_frame_is_answered_and_the_socket_stays() {
    let mut server = TestServer::start().await;
    server.town(&north(&[100.0])).await;
    let mut socket = session(&server).await;
    let key = "0192f000-0000-7000-8000-00000000000a";
    for (frame, code, echoed) in [
        (json!({"type": "dance", "key": key}), "unknown_type", true),
        (json!({"type": "accept", "offer": "x", "revision": 1, "key": key}), "invalid", true),
        (json!({"type": "accept", "offer": key, "revision": 1, "key": key}), "not_found", true),
        (json!({"type": "decline", "offer": key, "reason": "pay", "key": key}), "not_found", true),
        (json!({"type": "visit", "job": key, "event": "contacted", "key": key}), "not_found", true),
        (json!({"type": "fix", "lat": 1e300, "lng": 0.0}), "invalid", false),
        (json!({"type": "hello", "token": "again"}), "wrong_state", false),
    ] {
        say(&mut socket, frame.to_string()).await;
        let answer = said(&mut socket).await;
        assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!(code)), "{frame}");
        assert_eq!(answer.get("key").is_some(), echoed, "{frame}: {answer}");
    }
    say(&mut socket, json!({"type": "fix", "lat": 52.5, "lng": 13.4, "unknown": true}).to_string()).await;
    assert_eq!(said(&mut socket).await["type"], "stop_location", "off duty, and unknown fields are ignored");
    say(&mut socket, json!({"type": "ping", "t": 7}).to_string()).await;
    assert_eq!(said(&mut socket).await, json!({"type": "pong", "t": 7}));
    let mut newer = session(&server).await;
    assert_eq!(close_code(&mut socket).await, 4504, "the newest device wins");
    say(&mut newer, "[1, 2]").await;
    assert_eq!(close_code(&mut newer).await, 4501);
    let mut deep = session(&server).await;
    say(&mut deep, "[".repeat(2_000)).await;
    assert_eq!(close_code(&mut deep).await, 1009, "nested deeper than anything of ours");
    let mut large = session(&server).await;
    say(&mut large, json!({"type": "ping", "t": 1, "pad": "x".repeat(5_000)}).to_string()).await;
    assert_eq!(close_code(&mut large).await, 1009);
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_meters_answer() {
    let mut server = TestServer::start().await;
    let http = server.http();
    let live: Value = http.call(Method::GET, "/livez", None, None::<&()>).await.expect("alive");
    assert_eq!(live["alive"], true);
    let ready: Value = http.call(Method::GET, "/readyz?verbose", None, None::<&()>).await.expect("ready");
    assert_eq!((&ready["ready"], &ready["ledger"]["reachable"]), (&json!(true), &json!(true)), "{ready}");
    server.town(&[]).await;
    let partner = server.partner().await;
    let view: JobView = partner.post(&job("H-1"), "h").await.expect("posted");
    let body = CancelJob { reason: Some("x".repeat(301)) };
    let path = format!("/v1/jobs/{}/cancel", view.id);
    let problem = refused(&http, Method::POST, &path, None, &serde_json::to_value(body).expect("plain")).await;
    assert_eq!(problem.code, Code::Unauthorized, "the development key is nobody's API key");
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_friend_who_talks_all_the_time_is_pinged_all_the_same() {
    let mut server = TestServer::with(&[("KIEZ_LIMITS__HEARTBEAT_MS", "300")], 1).await;
    server.town(&north(&[100.0])).await;
    let mut socket = session(&server).await;
    let wait = async {
        loop {
            tokio::select! {
                heard = socket.next() => if let Some(Ok(Message::Ping(_))) = heard { return },
                () = tokio::time::sleep(Duration::from_millis(100)) => say(&mut socket, r#"{"type":"ack","seq":0}"#).await,
            }
        }
    };
    // The app takes a silent server for gone: it must hear that the line is good.
    tokio::time::timeout(Duration::from_secs(3), wait).await.expect("pinged");
    server.down().await;
}
