//! Where a partner is told, and what they see of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::TestServer;
use crate::targets::{Came, Does, Target};
use crate::{Shop, TRIAL};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life_is_told_step_by_step_and_signed() {
    let mut server = TestServer::with(&TRIAL, 1).await;
    let mut friends = server.town_with_friends(&crate::common::north(&[300.0])).await;
    let shop = Shop::known(&server).await;
    let (target, deaf) = (Target::that(Does::status(204)).await, Target::that(Does::status(204)).await);
    let secrets = shop.hears_at(&[target.url()]).await;
    let picky = json!({"endpoints": [
        {"id": secrets[0].0, "url": target.url()},
        {"url": deaf.url(), "events": ["job.unfilled"]},
    ]});
    let (status, list) = shop.ask("PUT", "/v1/webhooks", Some(&picky)).await;
    assert_eq!((status, &list["endpoints"][0]["secrets"][0]["secret"]), (200, &Value::Null), "shown once");
    let job = shop.posts().await;
    let offer = friends[0].offer().await;
    let key = friends[0].client.accept(offer.offer, offer.revision);
    friends[0].verdict(key).await;
    let heard = target.has(2).await;
    let told: Vec<_> = heard.iter().map(Came::json).collect();
    let words: Vec<_> = told.iter().map(|told| told["type"].as_str().expect("a type")).collect();
    assert_eq!(words, ["job.dispatching", "job.assigned"]);
    for (came, told) in heard.iter().zip(&told) {
        assert!(came.is_signed_by(&secrets[0].1), "{came:?}");
        assert!(!came.is_signed_by("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
        assert_eq!(came.line, "POST /hooks?from=kiez HTTP/1.1");
        assert_eq!(came.headers["content-type"], "application/json");
        assert_eq!(came.headers["host"], target.address.to_string());
        assert_eq!(told["data"]["job"], job.as_str());
        let sequence = told["data"]["sequence"].as_u64().expect("a number");
        assert_eq!(came.id(), format!("msg_{}_{sequence}", job.replace('-', "")));
    }
    assert_eq!(told[0]["data"]["friend"], Value::Null, "nobody has won yet");
    assert_eq!(told[1]["data"]["friend"]["name"], "Friend 0");
    for came in &heard {
        for secret in ["Canary", "+49301234", "Fritz"] {
            assert!(!came.body.contains(secret), "{secret} is the customer's: {}", came.body);
        }
    }
    let log = shop.deliveries("").await;
    assert_eq!(log.len(), 2, "{log:#?}");
    let all = shop.sees("?state=delivered", "the last", |each| each["type"] == "job.assigned").await;
    assert_eq!((&all["status"], &all["attempts"], &all["outcome"]), (&json!(204), &json!(1), &json!("accepted")));
    assert!(deaf.came().is_empty(), "it wants something else");
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_secrets_sign_while_one_is_rotated() {
    let mut server = TestServer::with(&TRIAL, 1).await;
    let shop = Shop::of(&server).await;
    let target = Target::that(Does::status(200)).await;
    let (id, old) = shop.hears_at(&[target.url()]).await.remove(0);
    let rotate = json!({"endpoints": [{"id": id, "url": target.url(), "rotate": true}]});
    let (_, list) = shop.ask("PUT", "/v1/webhooks", Some(&rotate)).await;
    let secrets = list["endpoints"][0]["secrets"].as_array().expect("a list");
    let new = secrets[0]["secret"].as_str().expect("the new one");
    assert!(secrets.len() == 2 && secrets[1]["secret"].is_null() && !secrets[1]["until"].is_null(), "{list}");
    shop.posts().await;
    let came = target.has(1).await.remove(0);
    assert_eq!(came.headers["webhook-signature"].split(' ').count(), 2);
    assert!(came.is_signed_by(&old) && came.is_signed_by(new));
    let (_, shown) = shop.ask("GET", "/v1/webhooks", None).await;
    assert!(!shown.to_string().contains("whsec_"), "{shown}");
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_up_is_sent_again_by_hand_and_only_by_its_partner() {
    let mut server = TestServer::with(&TRIAL, 1).await;
    let shop = Shop::of(&server).await;
    let target = Target::that(Does::status(410)).await;
    let (id, _) = shop.hears_at(&[target.url()]).await.remove(0);
    shop.posts().await;
    let dead = shop.sees("?state=dead", "the end", |_| true).await;
    assert_eq!((&dead["outcome"], &dead["status"], &dead["attempts"]), (&json!("gone"), &json!(410), &json!(1)));
    let (_, list) = shop.ask("GET", "/v1/webhooks", None).await;
    assert_eq!((&list["endpoints"][0]["enabled"], &list["endpoints"][0]["off"]), (&json!(false), &json!("gone")));
    shop.posts().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((target.came().len(), shop.deliveries("").await.len()), (1, 1), "nothing more is told there");

    let again = format!("/v1/webhooks/deliveries/{}/resend", dead["id"].as_str().expect("a name"));
    let (status, refused) = shop.ask("POST", &again, None).await;
    assert_eq!((status, &refused["code"]), (422, &json!("invalid")), "the endpoint is off");
    target.now_does(Does::status(200));
    let on = json!({"endpoints": [{"id": id, "url": target.url()}]});
    assert_eq!(shop.ask("PUT", "/v1/webhooks", Some(&on)).await.0, 200);
    let stranger = json!([{"kind": "partner", "slug": "stranger", "name": "Another"}]);
    let line = serde_json::from_value(stranger[0].clone()).expect("a partner");
    server.admin().import(&[line]).await.expect("imported");
    let key = server.admin().partner_key(&"stranger".parse().expect("a slug")).await.expect("a key").token;
    let stranger = Shop { address: shop.address.clone(), key };
    assert_eq!(stranger.ask("POST", &again, None).await.0, 404, "another partner's is like none");
    assert_eq!(stranger.ask("PUT", "/v1/webhooks", Some(&on)).await.0, 404, "so is another partner's endpoint");
    assert_eq!(stranger.deliveries("").await, Vec::<Value>::new());
    assert_eq!(shop.ask("POST", &again, None).await.0, 202);
    let heard = target.has(2).await;
    assert_eq!(heard[0].id(), heard[1].id(), "the same webhook");
    assert_eq!(shop.ask("POST", "/v1/webhooks/deliveries/nothing/resend", None).await.0, 404);
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_target_is_refused_when_it_is_set() {
    // As in production: without the switch for development.
    let mut server = TestServer::start().await;
    let shop = Shop::of(&server).await;
    for url in ["http://shop.example/", "https://user:pw@shop.example/", "https://", "ftp://x.example/", "x"] {
        let (status, refused) = shop.ask("PUT", "/v1/webhooks", Some(&json!({"endpoints": [{"url": url}]}))).await;
        assert_eq!((status, refused["param"].as_str()), (422, Some("endpoints.0.url")), "{url}: {refused}");
    }
    let many: Vec<_> = (0..11).map(|_| json!({"url": "https://shop.example/"})).collect();
    let (status, refused) = shop.ask("PUT", "/v1/webhooks", Some(&json!({"endpoints": many}))).await;
    assert_eq!((status, refused["param"].as_str()), (422, Some("endpoints")));
    for query in ["?state=lost", "?after=x", "?limit=0", "?job=x"] {
        assert_eq!(shop.ask("GET", &format!("/v1/webhooks/deliveries{query}"), None).await.0, 422, "{query}");
    }
    let (_, none) = shop.ask("GET", "/v1/webhooks", None).await;
    assert_eq!(none, json!({"endpoints": []}), "nothing of it was stored");
    server.down().await;
}
