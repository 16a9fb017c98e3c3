//! Targets that refuse, hang, lead elsewhere, want no more or answer a gibibyte: what the list of deliveries says of each, and
//! that a good one beside them hears everything at once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::TestServer;
use crate::targets::{Does, Target};
use crate::{Shop, TRIAL};

/// How long a good target waits for a webhook at most, while the others are bad: the deadline of a try is a second.
const AT_ONCE: Duration = Duration::from_millis(900);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_targets_are_named_and_delay_nobody() {
    let mut server = TestServer::with(&TRIAL, 1).await;
    let shop = Shop::of(&server).await;
    let inner = Target::that(Does::status(200)).await;
    let away = format!("HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", inner.url());
    let (hangs, floods, drips) =
        (Target::that(Does::Hangs).await, Target::that(Does::Floods).await, Target::that(Does::Drips).await);
    let (leads, gone) = (Target::that(Does::Answers(away)).await, Target::that(Does::status(410)).await);
    let (breaks, babbles) = (Target::that(Does::Breaks).await, Target::that(Does::Babbles).await);
    let sick = Target::that(Does::status(500)).await;
    let good = Target::that(Does::status(204)).await;
    let secure = format!("https://{}/", good.address);
    let bad = [&hangs, &leads, &gone, &floods, &drips, &breaks, &babbles, &sick].map(Target::url);
    let mut urls = bad.to_vec();
    urls.extend([Target::closed().await, secure]);
    let stranger = {
        // The good one is another partner's: nobody's bad server is anybody else's trouble.
        let line = json!({"kind": "partner", "slug": "stranger", "name": "Another", "community": "berlin-tech"});
        server.admin().import(&[serde_json::from_value(line).expect("a partner")]).await.expect("imported");
        let key = server.admin().partner_key(&"stranger".parse().expect("a slug")).await.expect("a key").token;
        Shop { address: server.address(), key }
    };
    let ids: Vec<String> = shop.hears_at(&urls).await.into_iter().map(|(id, _)| id).collect();
    stranger.hears_at(&[good.url()]).await;
    for _ in 0..5 {
        shop.posts().await;
    }
    hangs.has(1).await;

    // The bad ones hold their places now; twenty come and go beside them.
    let mut longest = Duration::ZERO;
    for count in 1..=20 {
        let posted = Instant::now();
        stranger.posts().await;
        let came = good.has(count).await;
        longest = longest.max(came[count - 1].at.duration_since(posted));
    }
    println!("the good one heard within {longest:?}");
    assert!(longest < AT_ONCE, "the good one waited {longest:?}");

    let wanted = [
        ("timeout", None),
        ("redirect", Some(302)),
        ("gone", Some(410)),
        ("accepted", Some(200)),
        ("accepted", Some(200)),
        ("broken", None),
        ("broken", None),
        ("status", Some(500)),
        ("refused", None),
        ("tls", None),
    ];
    for (id, (outcome, status)) in ids.iter().zip(wanted) {
        let seen = shop.sees(&format!("?endpoint={id}"), outcome, |each| each["outcome"] == outcome).await;
        assert_eq!(seen["status"], status.map_or(Value::Null, Value::from), "{seen}");
        let over = ["gone", "accepted"].contains(&outcome);
        assert_eq!(seen["state"] == "waiting", !over, "{seen}");
        println!("{outcome:9} status {:>4}  {:>4} ms", seen["status"].to_string(), seen["took_ms"].to_string());
    }
    assert_eq!(inner.came().len(), 0, "no redirect is followed");
    let read = *floods.written.lock().expect("nobody panics with it");
    assert!(read < 64 << 20, "a gibibyte was not read: {read} bytes went into the buffers of the machine");
    assert!(hangs.came().len() <= 16, "one that fails has a single place: {}", hangs.came().len());
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_to_this_machine_or_to_private_networks() {
    // As in production.
    let mut server = TestServer::start().await;
    let shop = Shop::of(&server).await;
    let trap = Target::that(Does::status(200)).await;
    let port = trap.address.port();
    let hosts = [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
    ];
    let urls = hosts.map(|host| format!("https://{host}:{port}/"));
    let ids = shop.hears_at(&urls).await;
    shop.posts().await;
    for ((id, _), host) in ids.iter().zip(hosts) {
        let query = format!("?endpoint={id}");
        let seen = shop.sees(&query, "a try", |each| each["attempts"].as_u64() > Some(0)).await;
        assert_eq!(seen["outcome"], "forbidden_address", "{host}: {seen}");
    }
    assert_eq!(trap.came().len(), 0);
    server.down().await;
}
