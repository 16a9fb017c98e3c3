//! What friends may not say, and what nobody may say to the map.

use std::time::Duration;

use kiez_protocol::directory::OpsRole;
use serde_json::{Value, json};

use crate::common::DEVELOPMENT_KEY;
use crate::raw::{self, Raw, frame, handshake, request};
use crate::table::{Scene, Table, ask};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_friend_may_not_say_before_hello() {
    let scene = Scene::set(&[("KIEZ_LIMITS__HELLO_MS", "400")]).await;
    let mut table = Table::default();
    let kiez = "sec-websocket-protocol: kiez.v1\r\n";
    let good = handshake("/v1/friend", kiez);
    for (input, bytes, wanted) in [
        (
            "no upgrade",
            "GET /v1/friend HTTP/1.1\r\nhost: kiez\r\n\r\n".to_owned(),
            "400 bad_request this route takes a WebSocket upgrade, version 13",
        ),
        (
            "another subprotocol",
            handshake("/v1/friend", "sec-websocket-protocol: kiez.v9\r\n"),
            "400 bad_request this socket speaks the subprotocol kiez.v1",
        ),
        (
            "another version",
            good.replace("version: 13", "version: 8"),
            "400 bad_request this route takes a WebSocket upgrade, version 13",
        ),
        (
            "no key of the handshake",
            good.replace("sec-websocket-key", "x"),
            "400 bad_request Sec-WebSocket-Key is missing",
        ),
        (
            "an upgrade by POST",
            good.replacen("GET", "POST", 1),
            "405 method_not_allowed This route does not take this method (allow: GET,HEAD)",
        ),
        (
            "an upgrade by HTTP/1.0",
            good.replacen("HTTP/1.1", "HTTP/1.0", 1),
            "400 bad_request this route takes a WebSocket upgrade, version 13",
        ),
        ("an upgrade of another route", handshake("/v1/jobs", kiez), "401 unauthorized send Authorization: Bearer …"),
    ] {
        table.row(input, ask(&scene.address, bytes.as_bytes()).await, wanted);
    }
    let hello = |token: &str| json!({"type": "hello", "token": token}).to_string();
    let ops = scene.server.running.as_ref().expect("it runs").ops_token(OpsRole::Viewer, 5);
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4IiwiYXVkIjoia2llei1mcmllbmQiLCJleHAiOjk5OTk5OTk5OTl9.";
    for (input, first, wanted) in [
        ("no word in time", None, "close 4502 no hello"),
        ("a wrong token", Some(hello("no token")), "close 4500 the token is not valid"),
        (
            "a token with another signature",
            Some(hello(&format!("{}x", scene.friend))),
            "close 4500 the token is not valid",
        ),
        ("a token without a signature (alg none)", Some(hello(none)), "close 4500 the token is not valid"),
        ("a token of ops", Some(hello(&ops.expect("signs"))), "close 4500 the token is not valid"),
        ("the development key", Some(hello(DEVELOPMENT_KEY)), "close 4500 the token is not valid"),
        ("a token of 8 KiB", Some(hello(&"x".repeat(8_192))), "close 1009 the message is too large"),
        ("another frame first", Some(r#"{"type":"ping","t":1}"#.to_owned()), "close 4501 the first frame is hello"),
        ("no JSON", Some("hello".to_owned()), "close 4501 the first frame is hello"),
        ("hello without a token", Some(r#"{"type":"hello"}"#.to_owned()), "close 4501 the first frame is hello"),
        ("nested 2,000 deep", Some("[".repeat(2_000)), "close 1009 the JSON is nested too deeply"),
    ] {
        let mut raw = Raw::friend(&scene.address).await;
        if let Some(first) = first {
            raw.say(&first).await;
        }
        table.row(input, raw.end().await, wanted);
    }
    let mut raw = Raw::friend(&scene.address).await;
    raw.drip(&frame(raw::FIN | raw::TEXT, hello(&scene.friend).as_bytes()), Duration::from_millis(5)).await;
    let wanted = "close 4008 the message does not come to its end or close 4502 no hello";
    table.row("hello byte by byte, too slowly", raw.end().await, wanted);
    scene.over(table).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_friend_may_not_say_after_hello() {
    let scene = Scene::set(&[]).await;
    let mut table = Table::default();
    let id = "0192f000-0000-7000-8000-00000000000a";
    let window = |from: &str, to: &str| json!({"from": format!("{from}T09:00:00Z"), "to": format!("{to}T08:00:00Z")});
    let deep =
        |levels: usize| format!(r#"{{"type":"ping","t":5,"x":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
    for (input, text, wanted) in [
        ("no JSON", "{\"type\":".to_owned(), "close 4501 the frame is not JSON"),
        ("a list", "[1,2]".to_owned(), "close 4501 the frame has no type"),
        ("an object without a type", "{}".to_owned(), "close 4501 the frame has no type"),
        ("an empty message", String::new(), "close 4501 the frame is not JSON"),
        (
            "an unknown type",
            json!({"type": "dance", "key": id}).to_string(),
            "error unknown_type error.unknown_type (and stays)",
        ),
        (
            "an unfit field",
            json!({"type": "accept", "offer": "x", "revision": 1, "key": id}).to_string(),
            "error invalid error.unfit_field (and stays)",
        ),
        ("an unknown field", json!({"type": "ping", "t": 4, "shoe_size": 42}).to_string(), "pong t 4 (and stays)"),
        (
            "a second hello",
            json!({"type": "hello", "token": "again"}).to_string(),
            "error wrong_state error.hello_twice (and stays)",
        ),
        (
            "an offer of nobody",
            json!({"type": "accept", "offer": id, "revision": 1, "key": id}).to_string(),
            "error not_found error.offer_not_found (and stays)",
        ),
        (
            "a job of nobody",
            json!({"type": "visit", "job": id, "event": "contacted", "key": id}).to_string(),
            "error not_found error.job_not_found (and stays)",
        ),
        (
            "a new token that is none",
            json!({"type": "refresh", "token": "x"}).to_string(),
            "error unauthorized error.bad_token (and stays)",
        ),
        (
            "a new token of somebody else",
            json!({"type": "refresh", "token": scene.neighbour_token}).to_string(),
            "error unauthorized error.bad_token (and stays)",
        ),
        (
            "duty until yesterday",
            json!({"type": "duty", "on": true, "until": "2020-01-01T00:00:00Z"}).to_string(),
            "error invalid error.until_is_past (and stays)",
        ),
        (
            "a question to nobody",
            json!({"type": "ask", "offer": id, "text": "Which lamp?", "key": id}).to_string(),
            "error not_found error.offer_not_found (and stays)",
        ),
        (
            "a question without a word",
            json!({"type": "ask", "offer": id, "text": " "}).to_string(),
            "error invalid error.text_length (and stays)",
        ),
        (
            "a question of 301 characters",
            json!({"type": "ask", "offer": id, "text": "x".repeat(301)}).to_string(),
            "error invalid error.text_length (and stays)",
        ),
        (
            "a question with NUL",
            json!({"type": "ask", "offer": id, "text": "a\0b"}).to_string(),
            "error invalid error.text_length (and stays)",
        ),
        (
            "a proposal to nobody",
            json!({"type": "propose", "offer": id, "windows": [window("2099-01-01", "2099-01-02")], "key": id})
                .to_string(),
            "error not_found error.offer_not_found (and stays)",
        ),
        (
            "a proposal without a key",
            json!({"type": "propose", "offer": id, "windows": [window("2099-01-01", "2099-01-02")]}).to_string(),
            "error invalid error.unfit_field (and stays)",
        ),
        (
            "a proposal without a time",
            json!({"type": "propose", "offer": id, "windows": [], "key": id}).to_string(),
            "error invalid error.windows (and stays)",
        ),
        (
            "a proposal of four times",
            json!({"type": "propose", "offer": id, "windows": vec![window("2099-01-01", "2099-01-02"); 4], "key": id})
                .to_string(),
            "error invalid error.windows (and stays)",
        ),
        (
            "a proposal for yesterday",
            json!({"type": "propose", "offer": id, "windows": [window("2020-01-01", "2020-01-02")], "key": id})
                .to_string(),
            "error invalid error.windows (and stays)",
        ),
        (
            "a proposal that ends before it begins",
            json!({"type": "propose", "offer": id, "windows": [window("2099-01-02", "2099-01-01")], "key": id})
                .to_string(),
            "error invalid error.windows (and stays)",
        ),
        (
            "a no to nobody, taken back",
            json!({"type": "undo", "offer": id, "key": id}).to_string(),
            "error not_found error.offer_not_found (and stays)",
        ),
        ("an undo of nothing", json!({"type": "undo"}).to_string(), "error invalid error.unfit_field (and stays)"),
        ("nothing missed", json!({"type": "missed"}).to_string(), "missed (and stays)"),
        (
            "missed since soon",
            json!({"type": "missed", "since": "soon"}).to_string(),
            "error invalid error.unfit_field (and stays)",
        ),
        (
            "missed since ever",
            json!({"type": "missed", "since": "0001-01-01T00:00:00Z"}).to_string(),
            "missed (and stays)",
        ),
        (
            "why not, of a name of nobody's",
            json!({"type": "why_not", "missed": "x".repeat(3_000)}).to_string(),
            "error not_found error.missed_not_found (and stays)",
        ),
        (
            "why not, of a job's own id",
            json!({"type": "why_not", "missed": id}).to_string(),
            "error not_found error.missed_not_found (and stays)",
        ),
        ("why not what", json!({"type": "why_not"}).to_string(), "error invalid error.unfit_field (and stays)"),
        (
            "settings of another type",
            json!({"type": "settings", "radius_m": "far", "key": id}).to_string(),
            "error invalid error.unfit_field (and stays)",
        ),
        (
            "settings off the earth",
            json!({"type": "settings", "anchors": [{"kind": "home", "place": {"lat": 91, "lng": 0}}]}).to_string(),
            "error invalid error.unfit_field (and stays)",
        ),
        (
            "settings out of range, and of others",
            json!({"type": "settings", "radius_m": 5, "name": "Ada", "jobs_held_max": 20}).to_string(),
            "settings_result (and stays)",
        ),
        (
            "a message to nobody",
            json!({"type": "message", "job": id, "text": "Hello", "key": id}).to_string(),
            "error not_found error.job_not_found (and stays)",
        ),
        (
            "a message without a word",
            json!({"type": "message", "job": id, "text": "\n", "key": id}).to_string(),
            "error invalid error.text_length (and stays)",
        ),
        (
            "a message of 1,001 characters",
            json!({"type": "message", "job": id, "text": "ü".repeat(1_001), "key": id}).to_string(),
            "error invalid error.text_length (and stays)",
        ),
        (
            "a message without a key",
            json!({"type": "message", "job": id, "text": "Hello"}).to_string(),
            "error invalid error.unfit_field (and stays)",
        ),
        ("a fix at NaN, bare", r#"{"type":"fix","lat":NaN,"lng":13.4}"#.to_owned(), "close 4501 the frame is not JSON"),
        (
            "a fix at NaN, as a text",
            r#"{"type":"fix","lat":"NaN","lng":13.4}"#.to_owned(),
            "error invalid error.unfit_field (and stays)",
        ),
        (
            "a fix at null",
            r#"{"type":"fix","lat":null,"lng":13.4}"#.to_owned(),
            "error invalid error.unfit_field (and stays)",
        ),
        ("a fix at 1e400", r#"{"type":"fix","lat":1e400,"lng":13.4}"#.to_owned(), "close 4501 the frame is not JSON"),
        (
            "a fix at 1e300",
            r#"{"type":"fix","lat":1e300,"lng":13.4}"#.to_owned(),
            "error invalid error.fix_off_earth (and stays)",
        ),
        (
            "a fix at 91 degrees",
            r#"{"type":"fix","lat":91,"lng":13.4}"#.to_owned(),
            "error invalid error.fix_off_earth (and stays)",
        ),
        ("a fix off duty", r#"{"type":"fix","lat":52.5,"lng":13.4}"#.to_owned(), "stop_location (and stays)"),
        (
            "a frame of 5 KiB",
            json!({"type": "ping", "t": 1, "x": "y".repeat(5_000)}).to_string(),
            "close 1009 the message is too large",
        ),
        ("nested 2,000 deep", deep(2_000), "close 1009 the JSON is nested too deeply"),
        ("nested 10,000 deep", deep(10_000), "close 1009 the message is too large"),
        ("nested 17 deep", deep(17), "close 1009 the JSON is nested too deeply"),
        ("nested 16 deep", deep(16), "pong t 5 (and stays)"),
    ] {
        let mut raw = Raw::friend(&scene.address).await;
        raw.hello(&scene.friend).await;
        raw.say(&text).await;
        table.row(input, said(&mut raw).await, wanted);
    }
    let mut raw = Raw::friend(&scene.address).await;
    raw.hello(&scene.friend).await;
    raw.drip(&frame(raw::FIN | raw::TEXT, br#"{"type":"ping","t":3}"#), Duration::from_millis(1)).await;
    table.row("a frame in single bytes", said(&mut raw).await, "pong t 3 (and stays)");
    let text = br#"{"type":"ping","t":3}"#;
    raw.send(&frame(raw::TEXT, &text[..1])).await;
    for byte in &text[1..text.len() - 1] {
        raw.send(&frame(0, &[*byte])).await;
    }
    raw.send(&frame(raw::FIN, &text[text.len() - 1..])).await;
    table.row("a message in frames of one byte", said(&mut raw).await, "pong t 3 (and stays)");
    raw.send(&raw::unmasked(raw::FIN | raw::TEXT, text)).await;
    table.row("a frame without a mask", said(&mut raw).await, "close 1002 the frame is not well formed");
    let mut raw = Raw::friend(&scene.address).await;
    raw.hello(&scene.friend).await;
    raw.send(&frame(raw::FIN | raw::BINARY, text)).await;
    table.row("a binary frame", said(&mut raw).await, "close 1003 text frames only");
    scene.over(table).await;
}

/// What a friend hears: an answer, after which the socket is alive, or the end.
async fn said(raw: &mut Raw) -> String {
    let (first, payload) = match raw.frame().await {
        Some((0x88, payload)) => (0x88, payload),
        Some(heard) => heard,
        None => return "cut without a word".to_owned(),
    };
    if first == 0x88 {
        let code = u16::from_be_bytes([payload[0], payload[1]]);
        return format!("close {code} {}", String::from_utf8_lossy(&payload[2..]));
    }
    let heard: Value = serde_json::from_slice(&payload).expect("JSON");
    let parts = ["type", "code", "message_key", "t"].map(|key| match &heard[key] {
        Value::Null => String::new(),
        Value::String(text) => format!("{text} "),
        other => format!("{key} {other} "),
    });
    let lives = if raw.lives().await { "(and stays)" } else { "" };
    format!("{}{lives}", parts.concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_may_say_to_the_map() {
    let scene = Scene::set(&[("KIEZ_LIMITS__HELLO_MS", "400")]).await;
    let mut table = Table::default();
    for (input, more, wanted) in [
        (
            "a page of another host",
            "origin: https://evil.example\r\n",
            "403 forbidden pages of this origin may not open the map's feed",
        ),
        ("a page of no host", "origin: null\r\n", "403 forbidden pages of this origin may not open the map's feed"),
        ("a page of our own host", "origin: http://kiez\r\n", "101 (connection: upgrade)"),
        ("no browser", "", "101 (connection: upgrade)"),
    ] {
        table.row(input, ask(&scene.address, handshake("/v1/ops/feed", more).as_bytes()).await, wanted);
    }
    let subscribe =
        |token: &str, bounds: Value| Some(json!({"type": "subscribe", "token": token, "bounds": bounds}).to_string());
    let running = scene.server.running.as_ref().expect("it runs");
    let viewer = running.ops_token(OpsRole::Viewer, 5).expect("signs");
    for (input, first, wanted) in [
        ("no word in time", None, "close 4502 no subscription"),
        ("no JSON", Some("map, please".to_owned()), "close 4501 the first frame is subscribe"),
        ("no token", subscribe("", Value::Null), "close 4500 the token is not valid"),
        ("a friend's token", subscribe(&scene.friend, Value::Null), "close 4500 the token is not valid"),
        (
            "bounds beyond the earth",
            subscribe(&viewer, json!([-200, -91, 200, 91])),
            "close 4501 the subscription does not fit",
        ),
        ("nested 17 deep", Some("[".repeat(17)), "close 1009 the JSON is nested too deeply"),
        ("8 KiB and one byte", Some(" ".repeat(8_193)), "close 1009 the message is too large"),
    ] {
        let mut raw = Raw::socket(&scene.address, "/v1/ops/feed", "").await;
        if let Some(first) = first {
            raw.say(&first).await;
        }
        table.row(input, raw.end().await, wanted);
    }
    for (input, token, wanted) in [
        ("an admin's route with a viewer's token", viewer.as_str(), "403 forbidden this needs another role"),
        ("an admin's route with a friend's token", &scene.friend, "401 unauthorized the token is not valid"),
        ("a token for nobody", DEVELOPMENT_KEY, "404 not_found [friend] there is no such friend"),
    ] {
        let body = json!({"kind": "friend", "friend": "0192f000-0000-7000-8000-ffffffffffff"}).to_string();
        let bytes = request("POST", "/v1/admin/tokens", &format!("authorization: Bearer {token}\r\n"), body.as_bytes());
        table.row(input, ask(&scene.address, &bytes).await, wanted);
    }
    for (input, lines, wanted) in [
        (
            "an import with a line that is no JSON",
            b"{\"kind\":\"partner\",\"slug\":\"a\",\"name\":\"A\"}\nno\n".as_slice(),
            "422 invalid [line 2] line 2: is not JSON: expected ident at column 2",
        ),
        (
            "an import of an unknown kind",
            b"{\"kind\":\"king\"}\n",
            "422 invalid [line 1] line 1: kind: unknown variant `king`, …",
        ),
        ("an import that is not UTF-8", b"\xff", "400 bad_request [line 1] is not UTF-8"),
    ] {
        let key = format!("authorization: Bearer {DEVELOPMENT_KEY}\r\n");
        table.row(input, ask(&scene.address, &request("POST", "/v1/admin/import", &key, lines)).await, wanted);
    }
    scene.over(table).await;
}
