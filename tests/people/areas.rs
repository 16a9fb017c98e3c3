//! The brake of a community, and the waitlist of what is wanted outside of its area.

use kiez_protocol::friend::FriendMessage;
use kiez_protocol::refusal::Code;
use serde_json::{Value, json};

use crate::common::{Cast, Database, friend_id, job, north};
use crate::desk::House;

const BRAKE: &str = "/v1/ops/communities/berlin-tech/brake";

async fn hears_nothing(friend: &mut Cast) {
    let silent = friend.silence(600).await;
    assert!(silent.iter().all(|message| !matches!(message, FriendMessage::Offer(_))), "{silent:?}");
}

pub async fn the_brake_holds_at_once_and_after_a_restart(database: Database) {
    let mut house = House::of(database, 1).await;
    let place = north(&[300.0])[0];
    let set = json!({"on": true, "reason": "The hotline is down."});
    let release = json!({"on": false, "reason": "It is back."});
    assert_eq!(house.viewer.refused("POST", BRAKE, Some(set.clone())).await.0, Code::Forbidden);
    assert_eq!(house.dispatcher.ask("POST", BRAKE, set.clone()).await["version"], 2);

    // No job was open and nobody on duty: without the brake the first job would find the friend at once.
    house.restart().await;
    let mut friend = house.server.friend(friend_id(0), place).await;
    let partner = house.server.partner().await;
    partner.post(&job("R-1"), "1").await.expect("taken, and nobody is asked");
    hears_nothing(&mut friend).await;
    assert_eq!(house.dispatcher.ask("POST", BRAKE, release).await["on"], false);
    friend.offer().await;

    house.dispatcher.ask("POST", BRAKE, set.clone()).await;
    partner.post(&job("R-2"), "2").await.expect("taken, and nobody is asked");
    hears_nothing(&mut friend).await;
    let told = house.dispatcher.audit("kind=community&actor=desk-dispatcher").await;
    assert_eq!(told, ["brake_set", "brake_released", "brake_set"].map(|action| format!("{action} by desk-dispatcher")));
    let nowhere = "/v1/ops/communities/nowhere/brake";
    assert_eq!(house.dispatcher.refused("POST", nowhere, Some(set)).await.0, Code::NotFound);
    let unsaid = json!({"on": true, "reason": ""});
    assert_eq!(house.dispatcher.refused("POST", BRAKE, Some(unsaid)).await, (Code::Invalid, Some("reason".to_owned())));
    house.over().await;
}

/// An admin who looked before ops set the brake, and an import of yesterday's file: neither says anything of it.
pub async fn a_document_that_does_not_speak_of_the_brake_leaves_it(database: Database) {
    let mut house = House::of(database, 1).await;
    let path = "/v1/admin/communities/berlin-tech";
    let mut seen = house.admin.get(path).await;
    assert_eq!(seen["brake"], Value::Null);
    house.dispatcher.ask("POST", BRAKE, json!({"on": true, "reason": "The hotline is down."})).await;
    seen["brand"] = json!("Berlin Tech and Friends");
    house.admin.ask("PUT", path, seen.clone()).await;
    let stored = house.admin.get(path).await;
    assert_eq!((&stored["brand"], &stored["brake"]), (&seen["brand"], &json!(true)));
    house.server.town(&[(0.0, 0.0)]).await;
    let stored = house.admin.get(path).await;
    assert_eq!((&stored["brand"], &stored["brake"]), (&json!("Berlin Tech"), &json!(true)));
    house.restart().await;
    let mut friend = house.server.friend(friend_id(0), north(&[300.0])[0]).await;
    house.server.partner().await.post(&job("R-1"), "1").await.expect("taken, and nobody is asked");
    hears_nothing(&mut friend).await;
    // One that does speak of it is heard.
    seen["brake"] = json!(false);
    house.admin.ask("PUT", path, seen).await;
    friend.offer().await;
    assert_eq!(house.admin.get(path).await["brake"], Value::Null);
    house.over().await;
}

pub async fn what_is_wanted_outside_is_counted_by_cell(database: Database) {
    let mut house = House::of(database, 1).await;
    let mut community = house.admin.get("/v1/admin/communities/berlin-tech").await;
    // A square round Potsdam: Kreuzberg, where the jobs of this town are, is outside of it.
    let ring = json!([[13.0, 52.35], [13.1, 52.35], [13.1, 52.45], [13.0, 52.45], [13.0, 52.35]]);
    community["area"] = json!({"type": "Polygon", "coordinates": [ring]});
    house.admin.ask("PUT", "/v1/admin/communities/berlin-tech", community).await;
    let partner = house.server.partner().await;
    for (reference, lat) in [("1", 52.4996), ("2", 52.4997), ("3", 52.56)] {
        let mut outside = job(reference);
        outside.location = kiez_protocol::place::Point::new(lat, 13.418).expect("on earth");
        let refused = partner.post(&outside, reference).await.expect_err("outside");
        assert_eq!(refused.code(), Some(Code::OutsideArea));
    }
    let requests = async |house: &House, query: &str| {
        let list = house.dispatcher.get(&format!("/v1/ops/waitlist{query}")).await;
        let cells = list["cells"].as_array().expect("cells").clone();
        assert!(cells.iter().all(|cell| cell["cell"].as_str().is_some_and(|cell| cell.starts_with("87"))), "{cells:?}");
        cells.iter().map(|cell| cell["requests"].as_u64().expect("a number")).collect::<Vec<_>>()
    };
    assert_eq!(requests(&house, "").await, [2, 1]);
    assert_eq!(requests(&house, "?community=berlin-tech").await, [2, 1]);
    assert_eq!(requests(&house, "?community=elsewhere").await, [0; 0]);
    assert_eq!(house.viewer.refused("GET", "/v1/ops/waitlist", None).await.0, Code::Forbidden);
    assert_eq!(house.dispatcher.refused("GET", "/v1/ops/waitlist?cell=1", None).await.0, Code::BadRequest);
    house.restart().await;
    assert_eq!(requests(&house, "").await, [2, 1]);
    let text = house.dispatcher.get("/v1/ops/waitlist").await.to_string();
    assert!(!text.contains("Canary"), "{text}");
    house.over().await;
}
