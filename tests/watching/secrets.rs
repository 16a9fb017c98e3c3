//! Nobody's name, street, number, place, words or credentials are in the log, whatever is told and whatever was sent. A
//! canary stands in every field that belongs to a person, kiez's own lines are told down to TRACE, everybody else's as
//! far as they may be, and bad input of every kind comes along.

use futures_util::{SinkExt, StreamExt};
use h3o::Resolution;
use http::Method;
use kiez_load::client::Http;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::common::{DEVELOPMENT_KEY, Database, friend_id};
use crate::house::{House, JOB, Log, body, place, raw};
use crate::life::one_life;

type Raw = WebSocketStream<TcpStream>;

#[expect(clippy::disallowed_methods, reason = "a small client of the tests, on loopback")]
async fn socket(house: &House, path: &str) -> Raw {
    let mut request =
        format!("ws://{}{path}?token=qanary-in-the-url", house.address).into_client_request().expect("a request");
    if path == "/v1/friend" {
        request.headers_mut().insert("sec-websocket-protocol", "kiez.v1".parse().expect("a header"));
    }
    let stream = TcpStream::connect(house.address).await.expect("connects");
    tokio_tungstenite::client_async(request, stream).await.expect("upgraded").0
}

/// Says something and waits until it was heard: for an answer, or for the end.
async fn say(socket: &mut Raw, text: &str) {
    socket.send(Message::text(text)).await.expect("sent");
    let answer = tokio::time::timeout(std::time::Duration::from_secs(5), socket.next()).await;
    answer.expect("an answer or the end");
}

async fn bad_frames(house: &House, token: &str) {
    for hello in [
        r#"{"type":"hello","token":"qanary-token"}"#.to_owned(),
        r#"{"type":"hello","token":7,"qanary":"Qanary"}"#.to_owned(),
        "Qanary is no JSON".to_owned(),
        json!({"type": "hello", "token": format!("{token}qanary")}).to_string(),
    ] {
        say(&mut socket(house, "/v1/friend").await, &hello).await;
    }
    let mut friend = socket(house, "/v1/friend").await;
    say(&mut friend, &json!({"type": "hello", "token": token, "app": "Qanary Phone", "qanary": 1}).to_string()).await;
    let (lat, lng) = place(5);
    let key = friend_id(7).to_string();
    for frame in [
        json!({"type": "qanary-type", "qanary": "Qanary"}),
        json!({"type": "fix", "lat": "qanary 52.1", "lng": lng}),
        json!({"type": "fix", "lat": 1e300, "lng": lng}),
        json!({"type": "fix", "lat": lat, "lng": lng}),
        json!({"type": "accept", "offer": "Qanary", "revision": 1, "key": key}),
        json!({"type": "accept", "offer": key, "revision": 1, "key": key}),
        json!({"type": "decline", "offer": key, "reason": "Qanary sagt nein"}),
        json!({"type": "visit", "job": key, "event": "hand_back", "key": key, "reason": "Qanary ".repeat(100)}),
        json!({"type": "refresh", "token": "qanary-refresh"}),
        json!({"type": "refresh", "token": token}),
    ] {
        say(&mut friend, &frame.to_string()).await;
    }
    say(&mut friend, "[\"Qanary\"]").await;
    let mut leaving = socket(house, "/v1/friend").await;
    let reason = CloseFrame { code: 4_999.into(), reason: "Qanary geht".into() };
    leaving.close(Some(reason)).await.expect("said");
    for subscription in [
        json!({"type": "subscribe", "token": "qanary-ops-token"}),
        json!({"type": "subscribe", "token": DEVELOPMENT_KEY, "bounds": ["qanary"]}),
        json!({"type": "subscribe", "token": DEVELOPMENT_KEY}),
    ] {
        say(&mut socket(house, "/v1/ops/feed").await, &subscription.to_string()).await;
    }
}

async fn bad_requests(house: &House, key: &str) {
    let http = house.http().with_key(key);
    let bad = house.http().with_key("kz_live_qanary_secret");
    let send = async |http: &Http, method: Method, path: &str, key: Option<&str>, text: String| {
        http.send::<Value>(method, path, key, "application/json", text.into()).await.expect_err("refused");
    };
    for text in [
        body(|job| job["qanary_field"] = json!("Qanary")).to_string(),
        body(|job| job["location"]["lat"] = json!("qanary")).to_string(),
        body(|job| job["package"] = json!("qanary-package")).to_string(),
        body(|job| job["urgency"] = json!("Qanary")).to_string(),
        body(|job| job["answers"] = json!({"qanary_question": "Qanary"})).to_string(),
        body(|job| job["customer"]["phone"] = json!("qanary")).to_string(),
        body(|_| {}).to_string().replace("\"address\"", "Qanary"),
        "Qanary".repeat(4_000),
    ] {
        send(&http, Method::POST, "/v1/jobs", Some("qanary-idempotency-key-2"), text.clone()).await;
        send(&bad, Method::POST, "/v1/jobs", None, text).await;
    }
    send(&http, Method::POST, "/v1/jobs", Some("qanary-idempotency-key"), body(|_| {}).to_string()).await;
    send(&http, Method::GET, "/v1/jobs?state=qanary", None, String::new()).await;
    send(&http, Method::GET, "/v1/jobs/qanary", None, String::new()).await;
    send(&http, Method::GET, "/v1/qanary/Qanary", None, String::new()).await;
    let admin = house.http();
    let friend = json!({"id": friend_id(0), "name": "", "communities": ["qanary"], "country": "DE", "x": "Qanary"});
    send(&admin, Method::PUT, &format!("/v1/admin/friends/{}", friend_id(0)), None, friend.to_string()).await;
    send(&admin, Method::POST, "/v1/admin/import", None, "{\"kind\":\"friend\",\"name\":\"Qanary\"}\nQanary".into())
        .await;
    send(&admin, Method::POST, "/v1/admin/tokens", None, "{\"kind\":\"qanary\"}".into()).await;
    for head in [
        "QANARY /v1/jobs HTTP/1.1\r\nhost: qanary\r\nconnection: close\r\n\r\n",
        "GET /v1/qanary HTTP/1.1\r\nqanary header: Qanary\r\n\r\n",
        "Qanary\r\n\r\n",
    ] {
        raw(house.address, head);
    }
}

/// What must not be found: words, numbers, and places by their degrees or by any cell they lie in.
fn secrets(tokens: &[String], more: &[String]) -> Vec<String> {
    let mut secrets = vec!["qanary".to_owned(), "9988776655".to_owned(), DEVELOPMENT_KEY.to_owned()];
    for (lat, lng) in (0..6).map(place).chain([JOB]) {
        secrets.extend([format!("{lat}")[..7].to_owned(), format!("{lng}")[..7].to_owned()]);
        let place = h3o::LatLng::new(lat, lng).expect("on earth");
        secrets.extend(
            Resolution::range(Resolution::Four, Resolution::Fifteen).map(|fine| place.to_cell(fine).to_string()),
        );
    }
    // A token by its claims and by its signature, a key by its secret.
    secrets.extend(tokens.iter().flat_map(|token| token.split('.').skip(1).map(str::to_owned)));
    secrets.extend(more.iter().cloned());
    secrets
}

async fn nothing_personal_is_told(url: Option<&str>, format: &str) {
    let mut house = House::start(&Log::Kept, url, &[("KIEZ_LOG", "trace")], &["--log-format", format]);
    let (partner, key) = house.town().await;
    let life = one_life(&house, &partner).await;
    let (_, token) = house.friend(5).await;
    bad_frames(&house, &token).await;
    bad_requests(&house, &key).await;
    let meters = house.look("/metrics").to_lowercase();
    assert!(house.end().await);
    let log = house.log();
    let folded = log.to_lowercase();
    let mut tokens = life.tokens;
    tokens.push(token);
    let mut more: Vec<String> = life.keys.iter().map(ToString::to_string).collect();
    more.push(key.rsplit('_').next().expect("its secret").to_owned());
    for secret in secrets(&tokens, &more).iter().map(|secret| secret.to_lowercase()) {
        let found: Vec<_> = folded.lines().filter(|line| line.contains(&secret)).collect();
        assert!(found.is_empty(), "{secret} is told: {found:#?}");
        assert!(!meters.contains(&secret), "{secret} is metered: {meters}");
    }
    // All of it was looked at: the log was as long as it gets, and the bad input left its traces.
    for trace in ["unfit frame", "nobody came in", "answered", "joined", "the map is watched", "offer_closed"] {
        assert!(log.contains(trace), "{trace} in {log}");
    }
    let job = life.job.to_string();
    let told = folded.lines().filter(|line| line.contains(&job)).count();
    assert!(told > life.lines.len(), "the details of the job are told under its id as well: {told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_personal_is_told_in_text() {
    nothing_personal_is_told(None, "text").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_personal_is_told_in_json() {
    let Some(database) = Database::postgres() else { return nothing_personal_is_told(None, "json").await };
    nothing_personal_is_told(Some(&database.url), "json").await;
}
