//! The examples of the wire, bent and broken by chance, thrown at a server: it answers or closes, it never panics, and
//! the friend beside the one who breaks things notices nothing.

mod common;
#[path = "common/raw.rs"]
mod raw;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{DEVELOPMENT_KEY, TestServer, friend_id, north};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use raw::{FIN, Raw, TEXT, frame, handshake, request};

/// `PROPTEST_CASES` asks for more.
const CASES: u32 = 400;
/// What breaks parsers: ends and beginnings, numbers at their limits, depth, bytes that are no text.
const PIECES: &[&[u8]] = &[
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"true",
    b"-",
    b"-0",
    b"1e999",
    b"1e-999",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"0.1e1",
    b"NaN",
    b"\0",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\r\n",
    b"\r\n\r\n",
    b"[[[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":",
    "🛠️".as_bytes(),
    "\u{202e}".as_bytes(),
    b"\"type\":\"accept\"",
    b"2026-13-45T99:99:99Z",
    b"00000000-0000-0000",
];

/// One way to break something.
#[derive(Clone, Debug)]
enum Break {
    Flip(Index, u8),
    Cut(Index, Index),
    Repeat(Index, Index),
    Insert(Index, Index),
    Truncate(Index),
    Grow(Index, u16),
}

impl Break {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let range = |from: &Index, to: &Index, length| {
            let (from, to) = (from.index(length), to.index(length));
            from.min(to)..from.max(to)
        };
        let length = bytes.len();
        match self {
            Break::Flip(at, by) => bytes[at.index(length)] ^= by,
            Break::Cut(from, to) => drop(bytes.drain(range(from, to, length))),
            Break::Repeat(from, to) => {
                let range = range(from, to, length);
                let again = bytes[range.clone()].to_vec();
                bytes.splice(range.end..range.end, again);
            }
            Break::Insert(at, piece) => {
                let at = at.index(length);
                bytes.splice(at..at, piece.get(PIECES).iter().copied());
            }
            Break::Truncate(at) => bytes.truncate(at.index(length)),
            Break::Grow(at, by) => {
                let at = at.index(length);
                bytes.splice(at..at, std::iter::repeat_n(bytes[at], usize::from(*by)));
            }
        }
    }
}

fn breaks() -> impl Strategy<Value = Vec<Break>> {
    let index = any::<Index>;
    let one = prop_oneof![
        (index(), 1..=255_u8).prop_map(|(at, by)| Break::Flip(at, by)),
        (index(), index()).prop_map(|(from, to)| Break::Cut(from, to)),
        (index(), index()).prop_map(|(from, to)| Break::Repeat(from, to)),
        (index(), index()).prop_map(|(at, piece)| Break::Insert(at, piece)),
        index().prop_map(Break::Truncate),
        (index(), 0..5_000_u16).prop_map(|(at, by)| Break::Grow(at, by)),
    ];
    prop::collection::vec(one, 0..4)
}

/// What is broken, and where it goes.
#[derive(Clone, Debug)]
enum Target {
    /// The text of a frame, from a stranger or from a friend.
    Text { known: bool },
    /// The bytes of a frame, head and mask included.
    Frame,
    /// The body of a request to this route.
    Body(Index),
    /// The bytes of a whole request.
    Request(Index),
    /// The request of an upgrade.
    Handshake,
}

fn targets() -> impl Strategy<Value = Target> {
    prop_oneof![
        6 => any::<bool>().prop_map(|known| Target::Text { known }),
        1 => Just(Target::Frame),
        6 => any::<Index>().prop_map(Target::Body),
        1 => any::<Index>().prop_map(Target::Request),
        1 => Just(Target::Handshake),
    ]
}

/// Routes with a body, each with the example that belongs there.
const ROUTES: &[(&str, &str, &str)] = &[
    ("POST", "/v1/jobs", "post_job"),
    ("POST", "/v1/jobs", "post_job.hourly"),
    ("PATCH", "/v1/jobs/0192f000-0000-7000-8000-000000000000", "edit_job"),
    ("POST", "/v1/jobs/0192f000-0000-7000-8000-000000000000/cancel", "cancel_job"),
    ("PUT", "/v1/admin/communities/berlin-tech", "community"),
    ("PUT", "/v1/admin/packages/wifi-setup", "package"),
    ("PUT", "/v1/admin/partners/shop", "partner"),
    ("PUT", "/v1/admin/friends/0192f000-0000-7000-8000-000000000009", "friend"),
    ("POST", "/v1/admin/import", "import_line.friend"),
    ("POST", "/v1/admin/tokens", "token_request.friend"),
];

fn example(name: &str) -> Vec<u8> {
    let path = format!("{}/protocol/examples/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("an example");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    serde_json::to_vec(&value).expect("plain data")
}

struct Scene {
    address: String,
    partner: String,
    friend: String,
    frames: Vec<Vec<u8>>,
}

impl Scene {
    /// Sends it, and waits for an answer or an end: both must come.
    async fn attempt(&self, which: Index, target: &Target, breaks: &[Break]) {
        let broken = |mut bytes: Vec<u8>| {
            breaks.iter().for_each(|one| one.apply(&mut bytes));
            bytes
        };
        let hello = serde_json::json!({"type": "hello", "token": self.friend}).to_string();
        match target {
            Target::Text { known } => {
                let text = if *known { which.get::<Vec<u8>>(&self.frames).clone() } else { hello.into_bytes() };
                let mut raw = Raw::friend(&self.address).await;
                if *known {
                    raw.hello(&self.friend).await;
                }
                let text = broken(text);
                raw.send(&frame(FIN | TEXT, &text)).await;
                raw.say(r#"{"type":"ping","t":77}"#).await;
                raw.hears_pong_or_end().await;
            }
            Target::Frame => {
                let mut raw = Raw::friend(&self.address).await;
                raw.hello(&self.friend).await;
                raw.send(&broken(frame(FIN | TEXT, which.get::<Vec<u8>>(&self.frames)))).await;
                raw.say(r#"{"type":"ping","t":77}"#).await;
                raw.hears_pong_or_end().await;
            }
            Target::Body(route) | Target::Request(route) => {
                let (method, path, name) = *route.get(ROUTES);
                let key = if path.starts_with("/v1/admin") { DEVELOPMENT_KEY } else { &self.partner };
                let headers = format!("authorization: Bearer {key}\r\nconnection: close\r\n");
                let bytes = match target {
                    Target::Body(_) => request(method, path, &headers, &broken(example(name))),
                    _ => broken(request(method, path, &headers, &example(name))),
                };
                let mut raw = Raw::to(&self.address).await;
                raw.send(&bytes).await;
                let answer = raw.answer().await;
                if matches!(target, Target::Body(_)) {
                    let status = answer.expect("a whole request is answered").status;
                    assert!(status < 500, "{status}");
                }
            }
            Target::Handshake => {
                let mut raw = Raw::to(&self.address).await;
                let more = "sec-websocket-protocol: kiez.v1\r\n";
                raw.send(&broken(handshake("/v1/friend", more).into_bytes())).await;
                let _ = raw.answer().await;
            }
        }
    }
}

#[test]
fn whatever_comes_the_server_answers_or_closes_and_never_panics() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        before(panic);
    }));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let knobs = [
        ("KIEZ_LIMITS__HELLO_MS", "250"),
        ("KIEZ_LIMITS__BODY_MS", "250"),
        ("KIEZ_LIMITS__IDLE_MS", "250"),
        // The neighbour of a long run looks at nothing meanwhile.
        ("KIEZ_LIMITS__HEARTBEAT_MS", "3600000"),
    ];
    let (mut server, scene, mut neighbour) = runtime.block_on(async {
        let server = TestServer::with(&knobs, 1).await;
        server.town(&north(&[100.0, 200.0])).await;
        let token = async |index| server.admin().friend_token(friend_id(index), Some(60)).await.expect("a token").token;
        let partner = server.admin().partner_key(&"shop".parse().expect("a slug")).await.expect("a key").token;
        let mut neighbour = Raw::friend(&server.address()).await;
        neighbour.hello(&token(1).await).await;
        let names = kiez_protocol::friend::FRIEND_FRAME_TYPES.iter();
        let frames = names.map(|name| example(&format!("friend_frame.{name}"))).collect();
        let scene = Scene { address: server.address(), partner, friend: token(0).await, frames };
        (server, scene, neighbour)
    });
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let mut runner =
        TestRunner::new(Config { cases: asked.unwrap_or(CASES), failure_persistence: None, ..Config::default() });
    let tried = runner.run(&(any::<Index>(), targets(), breaks()), |(which, target, breaks)| {
        runtime.block_on(async {
            let attempt = tokio::time::timeout(Duration::from_secs(3), scene.attempt(which, &target, &breaks));
            prop_assert!(attempt.await.is_ok(), "no answer and no end");
            let alive = tokio::time::timeout(Duration::from_secs(1), ready(&scene)).await;
            prop_assert!(alive.is_ok(), "the server does not answer");
            prop_assert_eq!(PANICS.load(Ordering::Relaxed), 0, "something panicked");
            Ok(())
        })
    });
    tried.expect("it holds");
    runtime.block_on(async {
        assert!(neighbour.lives().await, "the neighbour is still there");
        drop(neighbour);
        server.down().await;
    });
}

async fn ready(scene: &Scene) {
    let mut raw = Raw::to(&scene.address).await;
    raw.send(b"GET /readyz HTTP/1.1\r\nhost: kiez\r\nconnection: close\r\n\r\n").await;
    assert_eq!(raw.answer().await.expect("an answer").status, 200);
}
