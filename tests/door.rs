//! The door under pressure: more callers than places, callers who take their time, a machine without files, partners who
//! want more than their share. Whoever is in already notices nothing.

mod common;
#[path = "common/raw.rs"]
mod raw;

use std::fs::File;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{DEVELOPMENT_KEY, TestServer, job};
use raw::{Raw, request};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;

const READY: &[u8] = b"GET /readyz HTTP/1.1\r\nhost: kiez\r\n\r\n";

/// How long something takes at most; the longest wait of these stories is below it.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn above_the_limit_a_caller_hears_503_at_once_and_when_to_come_back() {
    let mut server = TestServer::with(&[("KIEZ_LIMITS__CONNECTIONS_MAX", "3")], 1).await;
    let address = server.address();
    let (mut first, mut second) = (Raw::to(&address).await, Raw::to(&address).await);
    for raw in [&mut first, &mut second] {
        raw.send(READY).await;
        assert_eq!(raw.answer().await.expect("an answer").status, 200);
    }
    // A socket keeps the place of the connection it came by.
    let socket = Raw::socket(&address, "/v1/ops/feed", "").await;
    for _ in 0..5 {
        let mut refused = Raw::to(&address).await;
        refused.send(READY).await;
        let answer = soon(refused.answer()).await.expect("an answer");
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")), "{answer:?}");
        assert_eq!((answer.json()["code"].as_str(), answer.header("connection")), (Some("unavailable"), Some("close")));
        assert!(refused.ends().await);
    }
    first.send(READY).await;
    assert_eq!(first.answer().await.expect("the old ones go on").status, 200);
    drop(socket);
    soon(async {
        loop {
            let mut next = Raw::to(&address).await;
            next.send(READY).await;
            if next.answer().await.is_some_and(|answer| answer.status == 200) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    drop((first, second));
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_holds_a_connection_by_being_slow() {
    let knobs = [("KIEZ_LIMITS__HELLO_MS", "300"), ("KIEZ_LIMITS__IDLE_MS", "900"), ("KIEZ_LIMITS__BODY_MS", "300")];
    let mut server = TestServer::with(&knobs, 1).await;
    server.town(&[]).await;
    let key = server.admin().partner_key(&"shop".parse().expect("a slug")).await.expect("a key").token;
    let address = server.address();

    let silent = async {
        let mut raw = Raw::to(&address).await;
        assert!(raw.ends().await, "nothing was asked, nothing is said");
    };
    let slow_head = async {
        let mut raw = Raw::to(&address).await;
        raw.drip(&[b"GET /readyz HTTP/1.1\r\nx: ".as_slice(), &[b'y'; 100]].concat(), Duration::from_millis(20)).await;
        assert!(raw.ends().await);
    };
    let pause_between_requests = async {
        let mut raw = Raw::to(&address).await;
        for _ in 0..3 {
            raw.send(READY).await;
            assert_eq!(raw.answer().await.expect("still open").status, 200);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert!(raw.ends().await);
    };
    let slow_body = async {
        let mut raw = Raw::to(&address).await;
        let post = request("POST", "/v1/jobs", &format!("authorization: Bearer {key}\r\n"), &[b' '; 1_000]);
        let head = post.len() - 1_000;
        raw.send(&post[..head]).await;
        let (mut body, mut reader) = (post[head..].iter(), tokio::time::interval(Duration::from_millis(20)));
        let answer = loop {
            tokio::select! {
                answer = raw.answer() => break answer.expect("told, before it is cut"),
                _ = reader.tick() => {}
            }
            raw.send(&[*body.next().expect("told before it is all there")]).await;
        };
        assert_eq!((answer.status, answer.header("connection")), (408, Some("close")), "{answer:?}");
        assert_eq!(answer.json()["code"], "request_timeout");
        assert!(raw.ends().await);
    };
    // Asks and asks, and reads nothing: what the kernel takes for it has an end.
    let deaf = async {
        let mut raw = Raw::to(&address).await;
        let page = b"GET /ops HTTP/1.1\r\nhost: kiez\r\n\r\n".repeat(100);
        let asking = async { while raw.send(&page).await {} };
        soon(asking).await;
    };
    soon(async { tokio::join!(silent, slow_head, pause_between_requests, slow_body, deaf) }).await;
    server.down().await;
}

/// A server in a process of its own: limits of open files belong to a process.
struct Apart {
    child: Child,
    address: String,
    admin: String,
    folder: tempfile::TempDir,
}

impl Apart {
    async fn start() -> Apart {
        let port = || TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr()).expect("a port").port();
        let (port, admin_port) = (port(), port());
        let folder = tempfile::tempdir().expect("a folder");
        let database = format!("sqlite:{}", folder.path().join("kiez.db").display());
        let (address, admin) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{admin_port}"));
        let child = Command::new(env!("CARGO_BIN_EXE_kiez"))
            .args(["serve", "--listen", &address, "--admin-listen", &admin, "--database-url", &database])
            .env("KIEZ_AUTH__DEVELOPMENT_KEY", DEVELOPMENT_KEY)
            .current_dir(&folder)
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log")).expect("a file"))
            .spawn()
            .expect("kiez starts");
        let apart = Apart { child, address, admin, folder };
        soon(async {
            loop {
                if tokio::net::TcpStream::connect(&apart.admin).await.is_ok() {
                    let mut raw = Raw::to(&apart.admin).await;
                    raw.send(READY).await;
                    if raw.answer().await.is_some_and(|answer| answer.status == 200) {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        apart
    }

    fn open_files(&self) -> u64 {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("Linux").count() as u64
    }

    /// Limits the files that may be open to so many more than are.
    fn leave_files(&self, more: u64) {
        let own = getrlimit(Resource::Nofile);
        let limit = Rlimit { current: Some(self.open_files() + more), maximum: own.maximum };
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        prlimit(pid, Resource::Nofile, limit).expect("it is our own child");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("a file")
    }

    async fn meter(connection: &mut Raw, name: &str) -> f64 {
        connection.send(b"GET /metrics HTTP/1.1\r\nhost: kiez\r\n\r\n").await;
        let text = connection.answer().await.expect("the operator's connection goes on").body;
        let text = String::from_utf8(text).expect("UTF-8");
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or("none 0");
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_files_the_door_waits_and_those_inside_go_on() {
    let server = Apart::start().await;
    let mut operator = Raw::to(&server.admin).await;
    let mut inside = Raw::to(&server.address).await;
    for raw in [&mut operator, &mut inside] {
        raw.send(READY).await;
        assert_eq!(raw.answer().await.expect("an answer").status, 200);
    }
    server.leave_files(2);
    let mut outside = Vec::new();
    for _ in 0..12 {
        let mut raw = Raw::to(&server.address).await;
        raw.send(READY).await;
        outside.push(raw);
    }
    // Long enough for many tries, if there were no pauses between them.
    tokio::time::sleep(Duration::from_millis(700)).await;
    let failures = Apart::meter(&mut operator, "kiez_accept_failures_total").await;
    assert!((2.0..20.0).contains(&failures), "{failures} tries");
    inside.send(READY).await;
    assert_eq!(soon(inside.answer()).await.expect("those inside go on").status, 200);
    let began = "no connection can be taken in";
    assert_eq!(server.log().matches(began).count(), 1, "{}", server.log());

    // Files again: those who waited are served, without a restart.
    server.leave_files(100);
    for raw in &mut outside {
        assert_eq!(soon(raw.answer()).await.expect("an answer").status, 200);
    }
    let log = server.log();
    assert_eq!((log.matches(began).count(), log.matches("connections are taken in again").count()), (1, 1), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_has_a_quota_which_is_a_knob_their_own_or_lifted() {
    let knobs = [
        ("KIEZ_LIMITS__PARTNER_JOBS_PER_S", "1"),
        ("KIEZ_LIMITS__PARTNER_JOBS_BURST", "3"),
        ("KIEZ_LIMITS__PARTNER_IN_FLIGHT_MAX", "2"),
    ];
    let mut server = TestServer::with(&knobs, 1).await;
    server.town(&[]).await;
    let own = json!({"kind": "partner", "slug": "telco", "name": "A Telco", "community": "berlin-tech",
        "quota": {"jobs_burst": 6}});
    server.admin().import(&[serde_json::from_value(own).expect("a partner")]).await.expect("imported");
    let mut keys = Vec::new();
    for partner in ["shop", "shop", "telco"] {
        let slug = partner.parse().expect("a slug");
        keys.push(server.admin().partner_key(&slug).await.expect("a key").token);
    }
    let address = server.address();
    let body = serde_json::to_vec(&job("Q-1")).expect("plain data");
    let post = async |key: &str, more: &str| {
        let mut raw = Raw::to(&address).await;
        raw.send(&request("POST", "/v1/jobs", &format!("authorization: Bearer {key}\r\n{more}"), &body)).await;
        raw.answer().await.expect("an answer")
    };
    // Each key has its own; a partner's own quota goes before everybody's.
    for (key, burst) in [(&keys[0], 3), (&keys[1], 3), (&keys[2], 6)] {
        let mut statuses = Vec::new();
        for _ in 0..burst {
            statuses.push(post(key, "").await.status);
        }
        assert_eq!(statuses, vec![201; burst]);
        let refused = post(key, "").await;
        assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{refused:?}");
        assert_eq!(refused.json()["code"], "too_many");
    }
    let lifted = format!("kiez-development-key: {DEVELOPMENT_KEY}\r\n");
    assert_eq!(post(&keys[0], &lifted).await.status, 201, "the development key lifts it");
    assert_eq!(post(&keys[0], "kiez-development-key: kz_dev_guessed\r\n").await.status, 429);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert_eq!(post(&keys[0], "").await.status, 201, "a second later there is one more");

    // Two requests that are being answered; reading counts as well.
    let half = request(
        "PATCH",
        "/v1/jobs/0192f000-0000-7000-8000-000000000000",
        &format!("authorization: Bearer {}\r\n", keys[1]),
        b"{}",
    );
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut raw = Raw::to(&address).await;
        raw.send(&half[..half.len() - 1]).await;
        held.push(raw);
    }
    let look = request("GET", "/v1/packages", &format!("authorization: Bearer {}\r\n", keys[1]), b"");
    let mut third = Raw::to(&address).await;
    soon(async {
        // The others may still be on their way.
        while {
            third.send(&look).await;
            third.answer().await.expect("an answer").status
        } != 429
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for raw in &mut held {
        raw.send(b"}").await;
        assert_eq!(raw.answer().await.expect("an answer").status, 404);
    }
    third.send(&look).await;
    assert_eq!(third.answer().await.expect("an answer").status, 200);
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_tries_keys_does_not_hold_up_those_who_have_one() {
    let mut server = TestServer::with(&[("KIEZ_LIMITS__UNKNOWN_KEYS_PER_S", "3")], 1).await;
    server.town(&[]).await;
    let key = server.admin().partner_key(&"shop".parse().expect("a slug")).await.expect("a key").token;
    let mut raw = Raw::to(&server.address()).await;
    let mut look = async |key: &str| {
        raw.send(&request("GET", "/v1/packages", &format!("authorization: Bearer {key}\r\n"), b"")).await;
        raw.answer().await.expect("an answer")
    };
    assert_eq!(look(&key).await.status, 200);
    let mut statuses = Vec::new();
    for number in 0..8 {
        statuses.push(look(&format!("kz_live_{number:012x}_0000")).await.status);
    }
    assert_eq!((statuses[0], statuses[7]), (401, 429), "{statuses:?}");
    assert!(look("kz_live_ffffffffffff_0000").await.header("retry-after").is_some());
    assert_eq!(look(&key).await.status, 200, "a key that is known costs no look");
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_does_not_keep_up_closes_admission() {
    let mut server = TestServer::start().await;
    server.town(&[]).await;
    let key = server.admin().partner_key(&"shop".parse().expect("a slug")).await.expect("a key").token;
    let address = server.address();
    let body = serde_json::to_vec(&job("S-1")).expect("plain data");
    let post = |idempotency: &str| {
        let headers = format!("authorization: Bearer {key}\r\nidempotency-key: {idempotency}\r\n");
        request("POST", "/v1/jobs", &headers, &body)
    };
    let mut ready = Raw::to(&address).await;
    let lock = raw::lock(&server.url).await;
    let mut first = Raw::to(&address).await;
    first.send(&post("first")).await;
    let mut second = Raw::to(&address).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    second.send(&post("first")).await;
    let again = second.answer().await.expect("an answer");
    assert_eq!((again.status, again.json()["code"].as_str()), (409, Some("key_in_flight")), "{again:?}");
    soon(async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            ready.send(READY).await;
            if ready.answer().await.expect("an answer").status == 503 {
                return;
            }
        }
    })
    .await;
    second.send(&post("second")).await;
    let refused = second.answer().await.expect("an answer");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{refused:?}");
    raw::unlock(lock).await;
    assert_eq!(soon(first.answer()).await.expect("an answer").status, 201, "it was only late");
    server.down().await;
}
