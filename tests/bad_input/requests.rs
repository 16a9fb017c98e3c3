//! What partners may not say.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{DEVELOPMENT_KEY, job};
use crate::raw::{self, Raw, request};
use crate::table::{Scene, Table, ask};

pub fn body(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut body = serde_json::to_value(job("R-1")).expect("plain data");
    change(&mut body);
    serde_json::to_vec(&body).expect("plain data")
}

/// A body with this text in the place of the latitude.
fn latitude(text: &str) -> Vec<u8> {
    let body = body(|job| job["location"]["lat"] = json!("HERE"));
    String::from_utf8(body).expect("JSON").replace("\"HERE\"", text).into_bytes()
}

fn nested(levels: usize) -> Vec<u8> {
    let deep = format!("{}{}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    let body = body(|job| job["extra"] = json!("HERE"));
    String::from_utf8(body).expect("JSON").replace("\"HERE\"", &deep).into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_partner_may_not_say() {
    let scene = Scene::set(&[]).await;
    let mut table = Table::default();
    let good = body(|_| {});
    for (input, header, wanted) in [
        ("no key", String::new(), "401 unauthorized send Authorization: Bearer …"),
        (
            "another scheme",
            "authorization: Basic c2hvcDpzaG9w\r\n".to_owned(),
            "401 unauthorized send Authorization: Bearer …",
        ),
        (
            "a key that does not exist",
            "authorization: Bearer kz_live_000000000000_0000\r\n".to_owned(),
            "401 unauthorized the API key is not valid",
        ),
        (
            "a key with another secret",
            format!("authorization: Bearer {}0\r\n", scene.partner),
            "401 unauthorized the API key is not valid",
        ),
        (
            "a friend's token for a key",
            format!("authorization: Bearer {}\r\n", scene.friend),
            "401 unauthorized the API key is not valid",
        ),
        (
            "the development key for a key",
            format!("authorization: Bearer {DEVELOPMENT_KEY}\r\n"),
            "401 unauthorized the API key is not valid",
        ),
        (
            "a key of 8 KiB",
            format!("authorization: Bearer kz_live_{}\r\n", "x".repeat(8_192)),
            "431 (connection: close)",
        ),
    ] {
        let answer = ask(&scene.address, &request("POST", "/v1/jobs", &header, &good)).await;
        table.row(input, answer, wanted);
    }
    let with = |change: fn(&mut Value)| body(change);
    let posts: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "an unknown package",
            with(|job| job["package"] = json!("piano")),
            "422 unknown_package [package] there is no package `piano`",
        ),
        (
            "an unknown community",
            with(|job| job["community"] = json!("nowhere")),
            "422 unknown_community [community] there is no community `nowhere`",
        ),
        (
            "latitude NaN, bare",
            latitude("NaN"),
            "400 bad_request the body is not JSON: expected value at line 1 column 225",
        ),
        (
            "latitude NaN, as a text",
            latitude("\"NaN\""),
            "422 invalid [location.lat] invalid type: string \"NaN\", expected f64 at line 1 column 229",
        ),
        (
            "latitude Infinity",
            latitude("-Infinity"),
            "400 bad_request the body is not JSON: invalid number at line 1 column 226",
        ),
        (
            "latitude null",
            latitude("null"),
            "422 invalid [location.lat] invalid type: null, expected f64 at line 1 column 228",
        ),
        (
            "latitude 1e400",
            latitude("1e400"),
            "400 bad_request the body is not JSON: number out of range at line 1 column 229",
        ),
        (
            "latitude 1e300",
            latitude("1e300"),
            "422 invalid [location] lat must lie in -90 to 90 and lng in -180 to 180 degrees at line 1 column 243",
        ),
        (
            "latitude 91",
            latitude("91"),
            "422 invalid [location] lat must lie in -90 to 90 and lng in -180 to 180 degrees at line 1 column 240",
        ),
        (
            "longitude 180.1",
            with(|job| job["location"]["lng"] = json!(180.1)),
            "422 invalid [location] lat must lie in -90 to 90 and lng in -180 to 180 degrees at line 1 column 244",
        ),
        (
            "an unknown field",
            with(|job| job["colour"] = json!("red")),
            "422 invalid [colour] unknown field `colour`, …",
        ),
        (
            "an unknown field further down",
            with(|job| job["customer"]["shoe_size"] = json!(42)),
            "422 invalid [customer.shoe_size] unknown field `shoe_size`, …",
        ),
        (
            "an answer to no question",
            with(|job| job["answers"] = json!({"shoe_size": 42})),
            "422 invalid [answers.shoe_size] answers.shoe_size: the package asks no such question",
        ),
        (
            "a phone number that is none",
            with(|job| job["customer"]["phone"] = json!("030")),
            "422 invalid [customer.phone] customer.phone: takes an international number such as +49301234567",
        ),
        (
            "a window that ends before it begins",
            with(|job| {
                job["windows"] = json!([{"from": "2026-11-23T20:00:00Z", "to": "2026-11-23T17:00:00Z"}]);
            }),
            "422 invalid [windows] windows: a window ends after it begins",
        ),
        (
            "a date that is none",
            with(|job| job["windows"] = json!([{"from": "soon", "to": "later"}])),
            "422 invalid [windows[0].from] invalid value: string \"soon\", expected an RFC 3339 instant such as 2026-11-23T17:00:00Z at line 1 column 364",
        ),
        (
            "a field twice",
            [&good[..good.len() - 1], b",\"package\":\"wifi-setup\"}".as_slice()].concat(),
            "422 invalid duplicate field `package` at line 1 column 361",
        ),
        ("an empty body", Vec::new(), "422 invalid missing field `package` at line 1 column 2"),
        ("a list", b"[]".to_vec(), "422 invalid the body is a list, and an object is wanted"),
        (
            "half of a body, said to be all",
            good[..100].to_vec(),
            "400 bad_request the body is not JSON: EOF while parsing a value at line 1 column 100",
        ),
        (
            "two bodies",
            good.repeat(2),
            "400 bad_request the body is not JSON: trailing characters at line 1 column 353",
        ),
        (
            "a body that is not UTF-8",
            b"{\"package\":\"\xff\"}".to_vec(),
            "400 bad_request the body is not JSON: invalid unicode code point at line 1 column 13",
        ),
        (
            "nested 10,000 deep",
            [b"[".repeat(10_000)].concat(),
            "413 too_large the body is nested deeper than 16 levels",
        ),
        ("nested 17 deep", nested(17), "413 too_large the body is nested deeper than 16 levels"),
        ("nested 16 deep", nested(16), "422 invalid [extra] unknown field `extra`, …"),
        (
            "16 KiB and one byte",
            [good.clone(), b" ".repeat(16_385 - good.len())].concat(),
            "413 too_large the body has more than 16384 bytes",
        ),
        ("1 MiB", b" ".repeat(1 << 20), "413 too_large the body has more than 16384 bytes"),
    ];
    for (input, body, wanted) in posts {
        let answer = scene.partner("POST", "/v1/jobs", "", body).await;
        table.row(input, answer, wanted);
    }
    scene.over(table).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_were_used_and_jobs_of_others() {
    let scene = Scene::set(&[]).await;
    let mut table = Table::default();
    let good = body(|_| {});
    let first = scene.partner("POST", "/v1/jobs", "idempotency-key: once\r\n", &good).await;
    table.row("a job with a key", first, "201");
    table.row("the same again", scene.partner("POST", "/v1/jobs", "idempotency-key: once\r\n", &good).await, "201");
    let other = body(|job| job["partner_ref"] = json!("R-2"));
    let answer = scene.partner("POST", "/v1/jobs", "idempotency-key: once\r\n", &other).await;
    table.row(
        "the same key with another body",
        answer,
        "422 key_reused the idempotency key was used for a request with another body",
    );
    for (input, header) in [
        ("an empty key", "idempotency-key: \r\n".to_owned()),
        ("a key of 256 characters", format!("idempotency-key: {}\r\n", "k".repeat(256))),
        ("a key that is not ASCII", "idempotency-key: schlüssel\r\n".to_owned()),
        ("two keys", "idempotency-key: a\r\nidempotency-key: b\r\n".to_owned()),
    ] {
        let answer = scene.partner("POST", "/v1/jobs", &header, &good).await;
        let wanted = "400 bad_request [Idempotency-Key] takes one value of 1 to 255 visible ASCII characters";
        table.row(input, answer, wanted);
    }
    let answer = {
        // A post whose commit takes its time, and the same again meanwhile.
        let lock = raw::lock(&scene.server.url).await;
        let slow = scene.partner("POST", "/v1/jobs", "idempotency-key: slow\r\n", &good);
        let again = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let answer = scene.partner("POST", "/v1/jobs", "idempotency-key: slow\r\n", &good).await;
            raw::unlock(lock).await;
            answer
        };
        let (slow, again) = tokio::join!(slow, again);
        assert_eq!(slow, "201");
        again
    };
    table.row(
        "a key that is being answered",
        answer,
        "409 key_in_flight a request with this idempotency key is being answered; try again",
    );
    let vague = body(|job| job["answers"] = json!({}));
    let mut raw = Raw::to(&scene.address).await;
    raw.send(&request("POST", "/v1/jobs", &format!("authorization: Bearer {}\r\n", scene.partner), &vague)).await;
    let taken = raw.answer().await.expect("an answer");
    let view = taken.json();
    let line = format!("{} state {} missing_answers {}", taken.status, view["state"], view["missing_answers"]);
    table.row("a required answer is missing", line, "201 state \"needs_info\" missing_answers [\"router\"]");

    // Another's job, and one that does not exist: the answers differ in nothing but the id of the request.
    let id = view["id"].as_str().expect("an id").to_owned();
    let nobody = "0192f000-0000-7000-8000-000000000000".to_owned();
    for (input, method, path, body, wanted) in [
        ("look at", "GET", "", "", "404 not_found there is no such job"),
        ("cancel", "POST", "/cancel", r#"{"reason":"mine now"}"#, "404 not_found there is no such job"),
        ("change", "PATCH", "", r#"{"partner_ref":"mine"}"#, "404 not_found there is no such job"),
        (
            "change wrongly",
            "PATCH",
            "",
            r#"{"windows":[],"colour":"red"}"#,
            "422 invalid [colour] unknown field `colour`, …",
        ),
    ] {
        let mut answers = Vec::new();
        for id in [&id, &nobody] {
            let mut raw = Raw::to(&scene.address).await;
            let path = format!("/v1/jobs/{id}{path}");
            let key = format!("authorization: Bearer {}\r\n", scene.rival);
            raw.send(&request(method, &path, &key, body.as_bytes())).await;
            let answer = raw.answer().await.expect("an answer");
            let headers = answer.headers.iter().filter(|(name, _)| name != "x-request-id" && name != "date");
            let headers: Vec<_> = headers.cloned().collect();
            let mut body = answer.json();
            body.as_object_mut().expect("a problem").remove("request_id");
            let line = answer.line();
            answers.push((answer.status, headers, body, line));
        }
        assert_eq!(answers[0], answers[1], "{input}");
        table.row(&format!("{input} another partner's job"), answers.remove(0).3, wanted);
    }
    let list = ask(
        &scene.address,
        &request("GET", &format!("/v1/jobs?after={id}"), &format!("authorization: Bearer {}\r\n", scene.rival), b""),
    )
    .await;
    table.row("a list after another's job", list, "200");
    for (input, method, path, wanted) in [
        ("an id that is none", "GET", "/v1/jobs/no-id", "404 not_found there is no such job"),
        ("a path that is not UTF-8", "GET", "/v1/jobs/%ff", "400 bad_request the path is not UTF-8"),
        ("a path that climbs", "GET", "/v1/jobs/../../etc/passwd", "404 not_found there is no such route"),
        ("an unknown route", "GET", "/v1/nothing", "404 not_found there is no such route"),
        (
            "a wrong method",
            "DELETE",
            "/v1/jobs",
            "405 method_not_allowed This route does not take this method (allow: POST,GET,HEAD)",
        ),
        ("an unknown query", "GET", "/v1/jobs?color=red", "400 bad_request [color] takes state, limit and after"),
        ("an unknown state", "GET", "/v1/jobs?state=asleep", "422 invalid [state] `asleep` is not a state of a job"),
        ("a limit of 0", "GET", "/v1/jobs?limit=0", "422 invalid [limit] takes 1 to 200"),
        ("a limit of a million", "GET", "/v1/jobs?limit=1000000", "422 invalid [limit] takes 1 to 200"),
        (
            "an admin's route with a partner's key",
            "PUT",
            "/v1/admin/partners/shop",
            "401 unauthorized the token is not valid",
        ),
    ] {
        table.row(input, scene.partner(method, path, "", "").await, wanted);
    }
    scene.over(table).await;
}
