//! What friends set themselves, over their socket.

use kiez_protocol::friend::FriendMessage;
use kiez_protocol::ids::Key;
use kiez_protocol::partner::Window;
use kiez_protocol::people::{RefusedSetting, SettingReason};
use serde_json::{Value, json};

use crate::common::line::Line;
use crate::common::{Database, friend_id, job, north};
use crate::desk::House;

/// Sends settings and hears what became of them.
async fn set(line: &mut Line, settings: Value) -> (Vec<String>, Vec<RefusedSetting>) {
    let mut frame = settings;
    (frame["type"], frame["key"]) = (json!("settings"), json!("0192f000-0000-7000-8000-0000000000c1"));
    line.say_json(&frame).await;
    loop {
        match line.hear().await.expect("it stays open").message {
            FriendMessage::SettingsResult { key, accepted, refused } => {
                assert_eq!(key, Some(frame["key"].as_str().expect("a key").parse::<Key>().expect("a key")));
                return (accepted, refused);
            }
            FriendMessage::Error { message_key, .. } => panic!("{message_key}"),
            _ => {}
        }
    }
}

pub async fn a_friend_sets_what_is_theirs_and_hears_why_the_rest_is_not(database: Database) {
    let house = House::of(database, 1).await;
    let (mut line, _) = Line::hello(&house.server, friend_id(0), None).await;
    let path = format!("/v1/admin/friends/{}", friend_id(0));
    let all = json!({"rate": {"amount": 2000, "currency": "EUR"}, "radius_m": 5000,
        "anchors": [{"kind": "home", "place": {"lat": 52.4996, "lng": 13.418}}],
        "availability": [{"days": ["sat"], "from": "09:00", "to": "24:00"}], "caps": [{"period": "month", "jobs": 8}],
        "languages": ["de"], "focus": ["wifi"], "listed": true});
    let fields = ["rate", "radius_m", "anchors", "availability", "caps", "languages", "focus", "listed"];
    assert_eq!(set(&mut line, all.clone()).await, (fields.map(str::to_owned).to_vec(), vec![]));
    let profile = house.admin.get(&path).await;
    for field in &fields[1..] {
        assert_eq!(profile[*field], all[*field], "{field}");
    }
    assert_eq!(profile["hourly_rate"], all["rate"]);

    // The same again changes nothing; what does not fit leaves what stood.
    let version = house.dispatcher.get(&format!("/v1/ops/friends/{}", friend_id(0))).await["version"].clone();
    set(&mut line, all).await;
    let mixed = json!({"radius_m": 50, "rate": {"amount": 2000, "currency": "CHF"}, "caps": [{"period": "year"}],
        "anchors": [], "skills": [{"skill": "wifi", "level": 5}], "communities": ["elsewhere"], "colour": "red"});
    let (accepted, refused) = set(&mut line, mixed).await;
    assert_eq!(accepted, ["anchors"]);
    let told: Vec<_> = refused.iter().map(|refused| (refused.field.as_str(), refused.reason)).collect();
    assert_eq!(
        told,
        [
            ("rate", SettingReason::Currency),
            ("radius_m", SettingReason::Unfit),
            ("caps", SettingReason::Unfit),
            ("skills", SettingReason::Checked),
            ("communities", SettingReason::Checked),
        ]
    );
    assert_eq!(refused[1].detail.as_deref(), Some("takes 100 to 100,000"));
    let foreign = json!({"caps": [{"period": "year", "income": {"amount": 100, "currency": "PLN"}}]});
    assert_eq!(set(&mut line, foreign).await.1[0].reason, SettingReason::Currency);
    let now = house.admin.get(&path).await;
    assert_eq!((&now["radius_m"], &now["caps"][0]["jobs"], &now["anchors"]), (&json!(5000), &json!(8), &Value::Null));
    let shown = house.dispatcher.get(&format!("/v1/ops/friends/{}", friend_id(0))).await;
    assert_eq!(shown["version"].as_u64(), version.as_u64().map(|version| version + 1));

    // A value of another type is an unfit frame, and the socket stays.
    line.say_json(&json!({"type": "settings", "radius_m": "far"})).await;
    let unfit = loop {
        if let FriendMessage::Error { message_key, .. } = line.hear().await.expect("it stays open").message {
            break message_key;
        }
    };
    assert_eq!(unfit, "error.unfit_field");

    let audit = house.dispatcher.get(&format!("/v1/ops/audit?subject={}", friend_id(0))).await;
    let entries = audit["entries"].as_array().expect("entries");
    assert_eq!(entries.len(), 3, "who sets the same again has done it, too: {entries:#?}");
    assert_eq!((&entries[0]["role"], &entries[0]["details"]["fields"]), (&json!("friend"), &json!("anchors")));
    assert!(!audit.to_string().contains("52.4996"), "an anchor is a home");
    house.over().await;
}

pub async fn the_next_choice_goes_by_new_settings_and_so_does_a_restart(database: Database) {
    let mut house = House::of(database, 2).await;
    let places = north(&[800.0, 1_500.0]);
    let mut near = house.server.friend(friend_id(0), places[0]).await;
    let partner = house.server.partner().await;
    partner.post(&job("R-1"), "1").await.expect("posted");
    near.offer().await;

    // They go no further than 500 m from now on.
    near.client.send(&serde_json::from_value(json!({"type": "settings", "radius_m": 500})).expect("a frame"));
    near.until("the result", |message| matches!(message, FriendMessage::SettingsResult { .. }).then_some(())).await;
    partner.post(&job("R-2"), "2").await.expect("posted");
    let silent = near.silence(600).await;
    assert!(silent.iter().all(|message| !matches!(message, FriendMessage::Offer(_))), "{silent:?}");

    // The other is off duty, and stands at home whenever they have time: at once, without a fix.
    let (mut line, _) = Line::hello(&house.server, friend_id(1), None).await;
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let home = json!({"anchors": [{"kind": "home", "place": {"lat": places[1].0, "lng": places[1].1}}],
        "availability": [{"days": days, "from": "00:00", "to": "24:00"}]});
    assert_eq!(set(&mut line, home).await.1, []);
    let mut wanted = job("R-3");
    let now = kiez::clock::Clock::start().now();
    wanted.windows = vec![Window { from: now, to: now + 30 * 86_400_000 }];
    partner.post(&wanted, "3").await.expect("posted");
    let offered = async |line: &mut Line| loop {
        if let FriendMessage::Offer(offer) = line.hear().await.expect("it stays open").message {
            return offer;
        }
    };
    let offer = offered(&mut line).await;
    assert_eq!(offer.distance_m, 1_500);

    // Nothing is open and nobody on duty, so that the restart need not wait for anybody.
    for view in partner.jobs(None, Some(50), None).await.expect("a list").jobs {
        partner.cancel(view.id, None).await.expect("cancelled");
    }
    let key = near.client.duty(false);
    near.until("off", |message| matches!(message, FriendMessage::Done { key: done } if *done == key).then_some(()))
        .await;
    house.restart().await;
    let (mut line, _) = Line::hello(&house.server, friend_id(1), None).await;
    let mut near = house.server.friend(friend_id(0), places[0]).await;
    let partner = house.server.partner().await;
    wanted.partner_ref = Some("R-4".to_owned());
    partner.post(&wanted, "4").await.expect("posted");
    offered(&mut line).await;
    let silent = near.silence(600).await;
    let fresh = silent.iter().filter(|message| matches!(message, FriendMessage::Offer(_))).count();
    assert_eq!(fresh, 0, "500 m still hold: {silent:?}");
    house.over().await;
}
