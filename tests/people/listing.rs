//! The listing: who is shown to partners, as what, and that nobody's door is found by asking.

use kiez_protocol::friend::{FriendMessage, WhyReason};
use kiez_protocol::ids::FriendId;
use kiez_protocol::refusal::Code;
use serde_json::{Value, json};

use crate::common::line::Line;
use crate::common::{Database, friend_id, job, north};
use crate::desk::{Desk, House};

pub async fn partner(house: &House) -> Desk {
    let key = house.admin.ask("POST", "/v1/admin/tokens", json!({"kind": "partner", "partner": "shop"})).await;
    Desk(house.server.http().with_key(key["token"].as_str().expect("a key")))
}

pub async fn set(house: &House, friend: FriendId, change: impl FnOnce(&mut Value)) {
    let path = format!("/v1/admin/friends/{friend}");
    let mut profile = house.admin.get(&path).await;
    change(&mut profile);
    house.admin.ask("PUT", &path, profile).await;
}

fn home(lat: f64, lng: f64) -> Value {
    json!([{"kind": "home", "place": {"lat": lat, "lng": lng}}])
}

fn word<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).expect("a word")
}

/// Names and bands, in the order of the page.
fn told(page: &Value) -> Vec<(&str, Option<u64>)> {
    let cards = page["friends"].as_array().expect("cards");
    let one = |listed| (word(listed, "/card/name"), Value::pointer(listed, "/distance/from_m").and_then(Value::as_u64));
    cards.iter().map(one).collect()
}

pub async fn a_partner_sees_cards_of_those_who_want_it_and_no_place(database: Database) {
    let mut house = House::of(database, 7).await;
    for (index, name, anchors) in [
        (0, "Alex Muster", home(52.4996, 13.418)),
        (1, "Kim", home(52.39, 13.06)),
        // Somebody who works near by, and has not said where they live.
        (2, "Toni Tal", json!([{"kind": "work", "place": {"lat": 52.52, "lng": 13.40}}])),
        (3, "Robin Fern", home(53.55, 9.99)),
    ] {
        set(&house, friend_id(index), |profile| {
            profile["name"] = json!(name);
            profile["listed"] = json!(true);
            profile["anchors"] = anchors;
        })
        .await;
    }
    set(&house, friend_id(0), |profile| {
        profile["description"] = json!("Router und Geduld. Muster, +49 30 12345111, alex@example.org");
        (profile["focus"], profile["languages"]) = (json!(["wifi"]), json!(["de"]));
        profile["hourly_rate"] = json!({"amount": 1800, "currency": "EUR"});
        (profile["phone"], profile["email"]) = (json!("+493012345111"), json!("alex@example.org"));
    })
    .await;
    // Two who are listed and may not be shown: one is limited, one belongs to another community.
    set(&house, friend_id(4), |profile| profile["listed"] = json!(true)).await;
    let because = json!({"reason": "a word first"});
    house.dispatcher.ask("POST", &format!("/v1/ops/friends/{}/limit", friend_id(4)), because.clone()).await;
    let mut other = house.admin.get("/v1/admin/communities/berlin-tech").await;
    other["slug"] = json!("elsewhere");
    house.admin.ask("PUT", "/v1/admin/communities/elsewhere", other).await;
    set(&house, friend_id(5), |profile| {
        (profile["listed"], profile["communities"]) = (json!(true), json!(["elsewhere"]));
    })
    .await;

    let desk = partner(&house).await;
    let list = desk.get("/v1/friends?near=52.52,13.40&skill=wifi").await;
    let all = [("Alex M.", Some(0)), ("Kim", Some(15_000)), ("Robin F.", Some(30_000)), ("Toni T.", None)];
    assert_eq!(told(&list), all);
    let text = list.to_string();
    for secret in ["52.", "13.4", "Muster", "12345111", "@", "anchors", "phone", "lat"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert_eq!(
        list["friends"][0],
        json!({"id": friend_id(0), "distance": {"from_m": 0, "to_m": 8_000}, "card": {"name": "Alex M.",
            "tier": "friend", "languages": ["de"], "focus": ["wifi"], "description": "Router und Geduld. […]",
            "hourly_rate": {"amount": 1800, "currency": "EUR"}}})
    );
    assert_eq!(desk.get("/v1/friends?skill=tv").await["friends"], json!([]));
    let elsewhere = desk.get("/v1/friends?community=elsewhere").await;
    assert_eq!(told(&elsewhere), [("Friend 5.", None)]);
    assert!(
        told(&desk.get("/v1/friends").await).iter().all(|(_, band)| band.is_none()),
        "from nowhere there is no way"
    );

    // Page by page it is the same list.
    let (mut pages, mut after) = (Vec::new(), String::new());
    loop {
        let page = desk.get(&format!("/v1/friends?near=52.52,13.40&limit=1{after}")).await;
        pages.extend(page["friends"].as_array().expect("a page").clone());
        let Some(next) = page["after"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(Value::from(pages), list["friends"]);

    for (query, code, param) in [
        ("near=52", Code::Invalid, "near"),
        ("near=91,0", Code::Invalid, "near"),
        ("near=NaN,0", Code::Invalid, "near"),
        ("community=nowhere", Code::UnknownCommunity, "community"),
        ("skill=A%20B", Code::Invalid, "skill"),
        ("limit=0", Code::Invalid, "limit"),
        ("after=me", Code::Invalid, "after"),
        ("colour=red", Code::BadRequest, "colour"),
    ] {
        let refused = desk.refused("GET", &format!("/v1/friends?{query}"), None).await;
        assert_eq!(refused, (code, Some(param.to_owned())), "{query}");
    }
    assert_eq!(house.admin.refused("GET", "/v1/friends", None).await.0, Code::Unauthorized);

    // Who chooses to be found is found at once, and who no longer wants it is not.
    let (mut line, _) = Line::hello(&house.server, friend_id(6), None).await;
    for listed in [true, false] {
        line.say_json(&json!({"type": "settings", "listed": listed})).await;
        while !matches!(line.hear().await.expect("it stays open").message, FriendMessage::SettingsResult { .. }) {}
        let names = desk.get("/v1/friends").await.to_string();
        assert_eq!(names.contains(&friend_id(6).to_string()), listed, "{names}");
    }
    house.dispatcher.ask("POST", &format!("/v1/ops/friends/{}/suspend", friend_id(3)), because).await;
    drop(line);
    house.restart().await;
    let desk = partner(&house).await;
    assert_eq!(told(&desk.get("/v1/friends?near=52.52,13.40").await), [all[0], all[1], all[3]]);
    house.over().await;
}

/// Two who live four kilometres from each other in one neighbourhood: wherever a page asks from, their cards say the same.
pub async fn nobody_is_found_by_asking_from_many_points(database: Database) {
    let house = House::of(database, 2).await;
    for (index, lat, lng) in [(0, 52.4996, 13.418), (1, 52.4870, 13.458)] {
        set(&house, friend_id(index), |profile| {
            (profile["listed"], profile["anchors"]) = (json!(true), home(lat, lng));
        })
        .await;
    }
    let desk = partner(&house).await;
    let mut bands = std::collections::BTreeSet::new();
    for step in 0..144 {
        let (lat, lng) = (52.25 + f64::from(step / 12) * 0.045, 13.0 + f64::from(step % 12) * 0.07);
        let page = desk.get(&format!("/v1/friends?near={lat},{lng}")).await;
        let [one, other] = &page["friends"].as_array().expect("cards")[..] else { panic!("two cards: {page}") };
        assert_eq!(one["distance"], other["distance"], "from {lat},{lng}");
        bands.insert(one["distance"].to_string());
    }
    assert_eq!(bands.len(), 4, "all bands were seen: {bands:?}");
    house.over().await;
}

pub async fn who_is_chosen_from_the_listing_is_asked_alone(database: Database) {
    let house = House::of(database, 2).await;
    let places = north(&[100.0, 6_000.0]);
    let mut near = house.server.friend(friend_id(0), places[0]).await;
    let mut chosen = house.server.friend(friend_id(1), places[1]).await;
    set(&house, friend_id(1), |profile| profile["listed"] = json!(true)).await;
    let desk = partner(&house).await;
    let list = desk.get("/v1/friends").await;
    let mut wanted = job("L-1");
    wanted.friend = Some(list["friends"][0]["id"].as_str().expect("an id").parse().expect("an id"));
    let posted = house.server.partner().await.post(&wanted, "L-1").await.expect("posted");
    let offer = chosen.offer().await;
    assert_eq!((offer.job, offer.direct, offer.why.reason), (posted.id, true, WhyReason::Named));
    let heard = near.silence(300).await;
    assert!(heard.iter().all(|message| !matches!(message, FriendMessage::Offer(_))), "{heard:?}");
    house.over().await;
}
