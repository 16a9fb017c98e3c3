//! The life of an account, from the application to the end.

use kiez_protocol::audit::SubjectKind;
use kiez_protocol::friend::FriendMessage;
use kiez_protocol::profile::Account;
use kiez_protocol::refusal::{Code, close};
use serde_json::{Value, json};

use crate::common::line::Line;
use crate::common::{Database, friend_id, job, north};
use crate::desk::House;

const NEW: &str = "0192f000-0000-7000-8000-0000000000a1";

fn account(answer: &Value) -> (&str, Vec<&str>) {
    let missing = answer["missing"].as_array().expect("a list").iter().map(|kind| kind.as_str().expect("a word"));
    (answer["account"]["state"].as_str().expect("a state"), missing.collect())
}

pub async fn an_application_is_checked_step_by_step_until_it_is_active(database: Database) {
    let mut house = House::of(database, 1).await;
    let mut community = house.admin.get("/v1/admin/communities/berlin-tech").await;
    community["checks"] = json!(["age", "identity_and_background", "knowledge"]);
    community["age_min"] = json!(21);
    house.admin.ask("PUT", "/v1/admin/communities/berlin-tech", community).await;

    // Whatever it says of itself, it has applied.
    let application = json!({"id": NEW, "name": "Nora Neu", "communities": ["berlin-tech"], "country": "DE",
        "account": {"state": "active"}, "skills": [{"skill": "wifi", "level": 2}]});
    let applied = house.admin.ask("POST", "/v1/admin/friends", application.clone()).await;
    assert_eq!(account(&applied), ("applied", vec!["age", "identity_and_background", "knowledge"]));
    let again = house.admin.refused("POST", "/v1/admin/friends", Some(application.clone())).await;
    assert_eq!(again, (Code::WrongState, Some("id".to_owned())), "an application is not a way to change a profile");
    let mut checked = application;
    checked["checks"] = json!([{"kind": "age", "at": "2026-01-01T00:00:00Z", "by": "me"}]);
    assert_eq!(house.admin.refused("POST", "/v1/admin/friends", Some(checked)).await.0, Code::Invalid);

    let path = format!("/v1/admin/friends/{NEW}/checks");
    let check = async |body: Value| house.admin.ask("POST", &path, body).await;
    let too_young = check(json!({"kind": "age", "result": "passed", "years": 18})).await;
    assert_eq!(account(&too_young).0, "applied");
    assert_eq!(account(&check(json!({"kind": "age", "result": "passed", "years": 21})).await).0, "applied");
    let failed = check(json!({"kind": "identity_and_background", "result": "failed", "evidence_ref": "ident/7"})).await;
    assert_eq!(account(&failed), ("applied", vec!["identity_and_background", "knowledge"]));
    let passed = check(json!({"kind": "identity_and_background", "result": "passed", "evidence_ref": "ident/8"})).await;
    assert_eq!(account(&passed), ("checked", vec!["knowledge"]));
    let test = json!({"kind": "knowledge", "result": "passed", "certificate": "router-basics",
        "valid_until": "2099-01-01T00:00:00Z"});
    assert_eq!(account(&check(test.clone()).await), ("active", vec![]));

    let profile = house.admin.get(&format!("/v1/admin/friends/{NEW}")).await;
    assert_eq!(
        profile["certificates"],
        json!([{"certificate": "router-basics", "valid_until": "2099-01-01T00:00:00.000Z"}])
    );
    assert_eq!(profile["checks"].as_array().map(Vec::len), Some(3), "one of each kind: {profile:#}");
    assert_eq!(profile["checks"][1]["by"], "desk-admin");

    // A check that fails later takes what was passed, and leaves the account to people.
    let lost = check(json!({"kind": "knowledge", "result": "failed", "certificate": "router-basics"})).await;
    assert_eq!(account(&lost), ("active", vec!["knowledge"]));
    assert_eq!(house.admin.get(&format!("/v1/admin/friends/{NEW}")).await["certificates"], Value::Null);

    let steps: Vec<String> = house.dispatcher.audit(&format!("subject={NEW}")).await;
    let wanted = [
        "friend_applied",
        "check_passed",
        "check_passed",
        "check_failed",
        "check_passed",
        "account_checked",
        "check_passed",
        "account_tested",
        "account_activated",
        "check_failed",
    ];
    assert_eq!(steps, wanted.map(|action| format!("{action} by desk-admin")));

    for (body, param) in [
        (json!({"kind": "age", "result": "passed", "years": 13}), "years"),
        (json!({"kind": "insurance", "result": "passed", "years": 21}), "years"),
        (json!({"kind": "partner_customer", "result": "passed"}), "partner"),
        (json!({"kind": "age", "result": "passed", "evidence_ref": "Nora Neu, Hauptstraße 1"}), "evidence_ref"),
        (json!({"kind": "age", "result": "passed", "valid_until": "2020-01-01T00:00:00Z"}), "valid_until"),
        (json!({"kind": "age", "result": "perhaps"}), "result"),
    ] {
        assert_eq!(house.admin.refused("POST", &path, Some(body)).await, (Code::Invalid, Some(param.to_owned())));
    }
    let nobody = "/v1/admin/friends/0192f000-0000-7000-8000-0000000000ff/checks";
    assert_eq!(house.admin.refused("POST", nobody, Some(test)).await.0, Code::NotFound);
    house.restart().await;
    let line = house.dispatcher.get("/v1/ops/friends?account=active").await;
    assert_eq!(line["friends"].as_array().map(Vec::len), Some(2), "Nora is active after a restart");
    house.over().await;
}

pub async fn only_a_human_limits_suspends_and_reinstates_and_says_why(database: Database) {
    let mut house = House::of(database, 2).await;
    let (id, place) = (friend_id(0), north(&[100.0])[0]);
    let mut friend = house.server.friend(id, place).await;
    let path = |verb: &str| format!("/v1/ops/friends/{id}/{verb}");
    let because = |reason: &str| json!({"reason": reason});
    for unsaid in ["", "   ", &"x".repeat(301), "\0"] {
        let refused = house.dispatcher.refused("POST", &path("limit"), Some(because(unsaid))).await;
        assert_eq!(refused, (Code::Invalid, Some("reason".to_owned())));
    }
    assert_eq!(house.viewer.refused("POST", &path("limit"), Some(because("why not"))).await.0, Code::Forbidden);
    assert_eq!(house.dispatcher.refused("POST", &path("reinstate"), Some(because("x"))).await.0, Code::WrongState);

    // Limited: told, connected, and asked for nothing.
    house.dispatcher.ask("POST", &path("limit"), because("Until the insurance is renewed.")).await;
    let heard = async |friend: &mut crate::common::Cast| {
        friend
            .until("their account", |message| match message {
                FriendMessage::Account { account } => Some(account.clone()),
                _ => None,
            })
            .await
    };
    let limited = Account::Limited { reason: "Until the insurance is renewed.".to_owned() };
    assert_eq!(heard(&mut friend).await, limited);
    let partner = house.server.partner().await;
    partner.post(&job("R-1"), "1").await.expect("posted");
    let silent = friend.silence(400).await;
    assert!(silent.iter().all(|message| !matches!(message, FriendMessage::Offer(_))), "{silent:?}");
    // Active again: asked at once.
    house.dispatcher.ask("POST", &path("reinstate"), because("The insurance is renewed.")).await;
    assert_eq!(heard(&mut friend).await, Account::Active);
    friend.offer().await;

    // Who was away hears it when they come back.
    house.dispatcher.ask("POST", &path("limit"), because("Until the insurance is renewed.")).await;
    house.restart().await;
    let friend = house.server.friend(id, place).await;
    let told = |message: &FriendMessage| matches!(message, FriendMessage::Account { account } if *account == limited);
    assert!(friend.heard.iter().any(told), "{:#?}", friend.heard);

    // Suspended: gone, and not let in.
    let token = house.server.admin().friend_token(id, Some(5)).await.expect("a token").token;
    let (mut line, _) = Line::hello_by(&house.server, &token, None).await;
    house.dispatcher.ask("POST", &path("suspend"), because("Somebody else came.")).await;
    assert_eq!(line.rest().await.1, Some(close::FORBIDDEN));
    let mut line = Line::open(&house.server).await;
    line.say_hello(&token, None).await;
    assert_eq!(line.rest().await.1, Some(close::FORBIDDEN));
    assert_eq!(house.dispatcher.refused("POST", &path("limit"), Some(because("x"))).await.0, Code::WrongState);
    house.dispatcher.ask("POST", &path("leave"), because("They said goodbye.")).await;
    for verb in ["limit", "suspend", "reinstate", "leave"] {
        assert_eq!(house.dispatcher.refused("POST", &path(verb), Some(because("x"))).await.0, Code::WrongState);
    }
    let told = house.admin.get(&format!("/v1/ops/audit?kind={}&subject={id}", SubjectKind::Friend.as_str())).await;
    let told: Vec<_> = told["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .rev()
        .map(|entry| {
            let word = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            (word("action"), word("role"), word("reason"))
        })
        .collect();
    let entry = |action: &str, reason: &str| (action.to_owned(), "dispatcher".to_owned(), reason.to_owned());
    assert_eq!(
        told,
        [
            entry("friend_limited", "Until the insurance is renewed."),
            entry("friend_reinstated", "The insurance is renewed."),
            entry("friend_limited", "Until the insurance is renewed."),
            entry("friend_suspended", "Somebody else came."),
            entry("friend_left", "They said goodbye."),
        ]
    );
    house.over().await;
}

pub async fn ops_see_friends_with_their_load_and_without_a_place(database: Database) {
    let house = House::of(database, 3).await;
    let (id, place) = (friend_id(0), north(&[100.0])[0]);
    let mut profile = house.admin.get(&format!("/v1/admin/friends/{id}")).await;
    profile["anchors"] = json!([{"kind": "home", "place": {"lat": 52.4996, "lng": 13.4180}}]);
    profile["phone"] = json!("+493012345111");
    profile["email"] = json!("canary@example.org");
    profile["blocks"] = json!([{"kind": "customer", "phone": "+493012345999"}]);
    house.admin.ask("PUT", &format!("/v1/admin/friends/{id}"), profile).await;
    let mut friend = house.server.friend(id, place).await;
    let partner = house.server.partner().await;
    let mut shown = Value::Null;
    for (reference, accepts) in [("R-1", true), ("R-2", false)] {
        partner.post(&job(reference), reference).await.expect("posted");
        let offer = friend.offer().await;
        if accepts {
            let key = friend.client.accept(offer.offer, offer.revision);
            friend.verdict(key).await;
        }
        shown = house.dispatcher.get(&format!("/v1/ops/friends/{id}")).await;
    }
    let net = json!([{"amount": 2610, "currency": "EUR"}]);
    let load = json!({"jobs_held": 1, "offers_live": 1, "jobs_month": 1, "jobs_year": 1, "income_month": net,
        "income_year": net});
    assert_eq!(shown["load"], load);
    assert_eq!((&shown["on_duty"], &shown["reach"], &shown["version"]), (&json!(true), &json!("live"), &json!(2)));
    assert_eq!(shown["audit"][0]["action"], "friend_stored");
    let text = shown.to_string();
    for secret in ["52.49", "13.41", "anchors", "+4930", "canary@", "blocks", "lat"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }

    let ids = async |query: &str| {
        let list = house.dispatcher.get(&format!("/v1/ops/friends{query}")).await;
        let ids = list["friends"].as_array().expect("friends").iter().map(|friend| friend["id"].clone());
        (ids.collect::<Vec<_>>(), list["after"].clone())
    };
    let all = [0, 1, 2].map(|index| json!(friend_id(index)));
    assert_eq!(ids("").await, (all.to_vec(), Value::Null));
    assert_eq!(ids("?limit=2").await, (all[..2].to_vec(), all[1].clone()));
    assert_eq!(ids(&format!("?after={}", friend_id(1))).await.0, all[2..]);
    assert_eq!(ids("?community=berlin-tech").await.0, all);
    assert!(ids("?community=elsewhere").await.0.is_empty() && ids("?account=limited").await.0.is_empty());
    let because = json!({"reason": "a word first"});
    house.dispatcher.ask("POST", &format!("/v1/ops/friends/{}/limit", friend_id(2)), because).await;
    assert_eq!(ids("?account=limited&community=berlin-tech").await.0, all[2..]);
    for (query, param) in [("account=asleep", "account"), ("after=7", "after"), ("community=A%20B", "community")] {
        let refused = house.dispatcher.refused("GET", &format!("/v1/ops/friends?{query}"), None).await;
        assert_eq!(refused, (Code::Invalid, Some(param.to_owned())));
    }
    assert_eq!(house.viewer.refused("GET", "/v1/ops/friends", None).await.0, Code::Forbidden);
    assert_eq!(house.dispatcher.refused("GET", "/v1/ops/friends/42", None).await.0, Code::NotFound);
    house.over().await;
}
