//! What outlasts a target that is away, and a server that is started anew: at least once, under the same id.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::TestServer;
use crate::targets::{Does, Target};
use crate::{Shop, TRIAL};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_comes_again_under_the_same_id_until_it_is_taken() {
    let mut server = TestServer::with(&TRIAL, 1).await;
    let shop = Shop::of(&server).await;
    let target = Target::that(Does::Recovers(2)).await;
    let (_, secret) = shop.hears_at(&[target.url()]).await.remove(0);
    shop.posts().await;
    // A hundredth of 5 s, then a hundredth of 5 min.
    let came = target.has(3).await;
    assert!(came.iter().all(|each| each.id() == came[0].id() && each.is_signed_by(&secret)), "{came:#?}");
    let pauses = [came[1].at - came[0].at, came[2].at - came[1].at];
    assert!(pauses[0] >= Duration::from_millis(50) && pauses[1] >= Duration::from_secs(3), "{pauses:?}");
    let seen = shop.sees("", "the end", |each| each["state"] == "delivered").await;
    assert_eq!((&seen["attempts"], &seen["status"]), (&json!(3), &json!(204)));
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_asks_for_a_pause_has_it() {
    let mut server = TestServer::with(&TRIAL, 1).await;
    let shop = Shop::of(&server).await;
    let busy = "HTTP/1.1 429 Slow Down\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n";
    let target = Target::that(Does::Answers(busy.to_owned())).await;
    shop.hears_at(&[target.url()]).await;
    shop.posts().await;
    let first = target.has(1).await[0].at;
    shop.sees("", "the pause", |each| each["status"] == 429).await;
    target.now_does(Does::status(200));
    shop.posts().await;
    let came = target.has(3).await;
    let waited = came[1].at - first;
    assert!(waited >= Duration::from_millis(1_950), "it asked for two seconds, and had {waited:?}");
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_started_anew_goes_on_where_it_was() {
    let mut server = TestServer::with(&TRIAL, 1).await;
    let shop = Shop::of(&server).await;
    let (hangs, sick) = (Target::that(Does::Hangs).await, Target::that(Does::status(503)).await);
    shop.hears_at(&[hangs.url(), sick.url()]).await;
    let mut jobs = BTreeSet::new();
    for _ in 0..3 {
        jobs.insert(shop.posts().await);
    }
    hangs.has(1).await;
    sick.has(1).await;
    let stopping = Instant::now();
    server.down().await;
    assert!(stopping.elapsed() < Duration::from_secs(8), "a target that hangs holds nobody: {:?}", stopping.elapsed());
    let before = [hangs.came(), sick.came()];
    for target in [&hangs, &sick] {
        target.now_does(Does::status(200));
    }
    server.up().await;
    let shop = Shop { address: server.address(), ..shop };
    for (target, before) in [&hangs, &sick].into_iter().zip(before) {
        for job in &jobs {
            shop.sees(&format!("?job={job}&state=delivered"), "it is taken", |_| true).await;
        }
        let ids = |came: &[crate::targets::Came]| came.iter().map(|each| each.id().to_owned()).collect::<BTreeSet<_>>();
        let all = ids(&target.has(before.len() + 3).await);
        assert_eq!(all.len(), 3, "the same three, as often as it takes: {all:?}");
        assert!(all.is_superset(&ids(&before)));
    }
    server.down().await;
}
