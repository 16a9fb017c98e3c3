//! What is hardly HTTP.

use std::time::Duration;

use crate::raw::{Raw, request};
use crate::requests::body;
use crate::table::{Scene, Table, ask, told};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_hardly_http() {
    let knobs = [("KIEZ_LIMITS__HELLO_MS", "400"), ("KIEZ_LIMITS__BODY_MS", "400"), ("KIEZ_LIMITS__IDLE_MS", "400")];
    let scene = Scene::set(&knobs).await;
    let mut table = Table::default();
    let key = format!("authorization: Bearer {}\r\n", scene.partner);
    let post = request("POST", "/v1/jobs", &key, &body(|_| {}));
    let head = |headers: &str| format!("POST /v1/jobs HTTP/1.1\r\nhost: kiez\r\n{key}{headers}\r\n{{}}").into_bytes();
    let get = |headers: &str| format!("GET /livez HTTP/1.1\r\nhost: kiez\r\n{headers}\r\n").into_bytes();
    let many: String = (0..101).map(|number| format!("x-{number}: y\r\n")).collect();
    let bytes: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing at all", Vec::new(), "closed without a word"),
        ("half of a head, and no more", b"GET /livez HTTP/1.1\r\nhos".to_vec(), "closed without a word"),
        (
            "a post that stops half-way",
            post[..post.len() - 50].to_vec(),
            "408 request_timeout the body did not arrive in time (connection: close)",
        ),
        ("a length that is no number", head("content-length: abc\r\n"), "400 (connection: close)"),
        ("a negative length", head("content-length: -1\r\n"), "400 (connection: close)"),
        ("two lengths", head("content-length: 2\r\ncontent-length: 3\r\n"), "400 (connection: close)"),
        ("a length above all measure", head("content-length: 99999999999999999999\r\n"), "400 (connection: close)"),
        (
            "a length and chunks",
            head("content-length: 2\r\ntransfer-encoding: chunked\r\n"),
            "400 bad_request the body broke off (connection: close)",
        ),
        ("chunks that are none", head("transfer-encoding: chunked\r\n"), "400 bad_request the body broke off"),
        ("an encoding nobody knows", head("transfer-encoding: gzip\r\n"), "400 (connection: close)"),
        (
            "more than was said",
            head("content-length: 1\r\n"),
            "400 bad_request the body is not JSON: EOF while parsing an object at line 1 column 1",
        ),
        ("headers of 9 KiB", get(&format!("x: {}\r\n", "y".repeat(9_000))), "431 (connection: close)"),
        ("101 headers", get(&many), "431 (connection: close)"),
        (
            "a path of 70 KiB",
            format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000)).into_bytes(),
            "431 (connection: close)",
        ),
        (
            "a header that never ends",
            [b"GET /livez HTTP/1.1\r\nx: ".to_vec(), b"y".repeat(100_000)].concat(),
            "431 (connection: close)",
        ),
        ("a header with a line break in it", get("x: y\r\n z\r\n"), "400 (connection: close)"),
        ("a header without a name", get(": y\r\n"), "400 (connection: close)"),
        ("HTTP/1.0", b"GET /livez HTTP/1.0\r\n\r\n".to_vec(), "200"),
        ("HTTP/0.9", b"GET /livez\r\n\r\n".to_vec(), "400 (connection: close)"),
        ("HTTP/3.0", b"GET /livez HTTP/3.0\r\n\r\n".to_vec(), "400 (connection: close)"),
        (
            "HTTP/2, with prior knowledge",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
            "closed without a word",
        ),
        ("a hello of TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(), "400 (connection: close)"),
        ("no host", b"GET /livez HTTP/1.1\r\n\r\n".to_vec(), "400 bad_request a request names its host, once"),
        ("two hosts", get("host: other\r\n"), "400 bad_request a request names its host, once"),
        (
            "a method nobody knows",
            b"BREW /livez HTTP/1.1\r\nhost: kiez\r\n\r\n".to_vec(),
            "405 method_not_allowed This route does not take this method (allow: GET,HEAD)",
        ),
        (
            "a tunnel",
            b"CONNECT example.org:443 HTTP/1.1\r\nhost: kiez\r\n\r\n".to_vec(),
            "404 not_found there is no such route",
        ),
        ("zero bytes", vec![0; 1_000], "400 (connection: close)"),
    ];
    for (input, bytes, wanted) in bytes {
        table.row(input, ask(&scene.address, &bytes).await, wanted);
    }
    let mut raw = Raw::to(&scene.address).await;
    let went = raw.drip(&get(&format!("x: {}\r\n", "y".repeat(200))), Duration::from_millis(10)).await;
    let answer = told(&mut raw).await;
    table.row(
        "a head byte by byte, too slowly",
        format!("{answer}, {}", if went { "at the end" } else { "half-way" }),
        "closed without a word, half-way",
    );
    let mut raw = Raw::to(&scene.address).await;
    raw.send(&[get(""), b"\x00garbage\r\n\r\n".to_vec(), get("")].concat()).await;
    let answers = [told(&mut raw).await, told(&mut raw).await, told(&mut raw).await];
    table.row(
        "a request, garbage, a request, in one go",
        answers.join(" | "),
        "200 | 400 (connection: close) | closed without a word",
    );
    let mut raw = Raw::to(&scene.address).await;
    raw.send(&post[..post.len() - 50]).await;
    raw.hang_up().await;
    table.row("a post whose sender hangs up half-way", told(&mut raw).await, "400 bad_request the body broke off");
    scene.over(table).await;
}
