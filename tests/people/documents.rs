//! Versions of what admins maintain, what a job keeps of them, and the import.

use http::Method;
use kiez_load::client::CallError;
use kiez_protocol::refusal::Code;
use serde_json::{Value, json};

use crate::common::{Database, job};
use crate::desk::House;

pub async fn a_document_has_versions_and_nobody_overwrites_what_they_have_not_seen(database: Database) {
    let mut house = House::of(database, 1).await;
    for (kind, slug, field) in
        [("communities", "berlin-tech", "brand"), ("packages", "wifi-setup", "category"), ("partners", "shop", "name")]
    {
        let path = format!("/v1/admin/{kind}/{slug}");
        let first = house.admin.get(&path).await;
        let mut second = first.clone();
        second[field] = json!("another");
        let stored = house.admin.put_if(&path, "\"1\"", second.clone()).await.expect("stored");
        assert_eq!((&stored["version"], &stored["changed"]), (&json!(2), &json!(true)));
        let mut third = first.clone();
        third[field] = json!("third");
        match house.admin.put_if(&path, "\"1\"", third.clone()).await {
            Err(CallError::Refused { problem, .. }) => assert_eq!(problem.code, Code::VersionConflict),
            other => panic!("{other:?}"),
        }
        assert_eq!(house.admin.get(&path).await, second, "nothing was overwritten");
        assert_eq!(house.admin.get(&format!("{path}?version=1")).await, first);
        assert_eq!(house.admin.get(&format!("{path}?version=2")).await, second);
        let list = house.admin.get(&format!("{path}/versions")).await;
        let versions = list["versions"].as_array().expect("versions").iter().map(|version| version["version"].clone());
        assert_eq!(versions.collect::<Vec<_>>(), [json!(2), json!(1)]);
        assert_eq!(house.admin.refused("GET", &format!("{path}?version=3"), None).await.0, Code::NotFound);
        assert_eq!(house.admin.refused("GET", &format!("{path}?version=0"), None).await.0, Code::Invalid);
        assert_eq!(house.dispatcher.refused("GET", &path, None).await.0, Code::Forbidden);
        for unknown in ["nowhere", "No%00Slug"] {
            assert_eq!(
                house.admin.refused("GET", &format!("/v1/admin/{kind}/{unknown}"), None).await.0,
                Code::NotFound
            );
        }
    }
    house.restart().await;
    assert_eq!(house.admin.get("/v1/admin/partners/shop?version=1").await["name"], "A Shop");
    house.over().await;
}

pub async fn a_job_goes_by_the_rules_of_the_day_it_is_posted(database: Database) {
    let house = House::of(database, 1).await;
    let path = "/v1/admin/communities/berlin-tech";
    let partner = house.server.partner().await;
    let post = async |reference: &str| {
        let view = partner.post(&job(reference), reference).await.expect("posted");
        (view.policy_version, view.commission.expect("a fixed price").amount)
    };
    assert_eq!(post("1").await, (1, 290));
    // A rule whose day has come, and one whose day has not.
    let mut community = house.admin.get(path).await;
    community["commission"]["next"] = json!({"from": "2026-01-01T00:00:00Z", "rule": {"id": "eight", "basis_points": 800,
        "next": {"from": "2099-01-01T00:00:00Z", "rule": {"id": "twelve", "basis_points": 1200}}}});
    house.admin.ask("PUT", path, community.clone()).await;
    assert_eq!(post("2").await, (2, 232));
    // A version for later: what is posted today goes by the one before, and by the brake of the newest.
    community["policy"]["valid_from"] = json!("2099-01-01T00:00:00Z");
    community["commission"] = json!({"id": "none", "basis_points": 0});
    let stored = house.admin.ask("PUT", path, community.clone()).await;
    assert_eq!(stored["version"], 3);
    assert_eq!(post("3").await, (2, 232));
    let versions = house.admin.get(&format!("{path}/versions")).await["versions"].clone();
    assert_eq!(
        (&versions[0]["valid_from"], &versions[1]["valid_from"]),
        (&json!("2099-01-01T00:00:00.000Z"), &Value::Null)
    );

    let follow = |rules: Vec<(&str, u16)>| {
        let mut next = Value::Null;
        for (from, basis_points) in rules.into_iter().rev() {
            let mut rule = json!({"id": "x", "basis_points": basis_points});
            if !next.is_null() {
                rule["next"] = next;
            }
            next = json!({"from": from, "rule": rule});
        }
        json!({"id": "x", "basis_points": 1000, "next": next})
    };
    for (rules, param) in [
        (vec![("2027-01-01T00:00:00Z", 10_001)], "commission.basis_points"),
        (vec![("2027-01-01T00:00:00Z", 1), ("2027-01-01T00:00:00Z", 2)], "commission.next"),
    ] {
        community["commission"] = follow(rules);
        let refused = house.admin.refused("PUT", path, Some(community.clone())).await;
        assert_eq!(refused, (Code::Invalid, Some(param.to_owned())));
    }
    house.over().await;
}

pub async fn an_import_says_which_line_is_too_long(database: Database) {
    let house = House::of(database, 1).await;
    let partner = |name: &str| json!({"kind": "partner", "slug": "long", "name": name}).to_string();
    let import = async |lines: Vec<String>| {
        let body = bytes::Bytes::from(lines.join("\n"));
        house.admin.0.send::<Value>(Method::POST, "/v1/admin/import", None, "application/x-ndjson", body).await
    };
    match import(vec![partner("x"), String::new(), partner(&"x".repeat(16_384))]).await {
        Err(CallError::Refused { problem, .. }) => {
            assert_eq!((problem.status, problem.code, problem.param.as_deref()), (413, Code::TooLarge, Some("line 3")));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(house.admin.refused("GET", "/v1/admin/partners/long", None).await.0, Code::NotFound, "all or none");
    import(vec![partner("x"), partner("y")]).await.expect("taken");
    assert_eq!(house.admin.get("/v1/admin/partners/long").await["name"], "y");
    house.over().await;
}

/// `kiez import` on the database of a server that runs: whether it went well, and what it said.
async fn import_by_hand(house: &House, kind: &'static str, text: &str, bytes_max: &'static str) -> (bool, String) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    let (url, path) = (house.server.url.clone(), file.path().to_owned());
    let mut kiez = std::process::Command::new(env!("CARGO_BIN_EXE_kiez"));
    kiez.args(["import", kind]).arg(path).args(["--database-url", &url]);
    kiez.env("KIEZ_LIMITS__IMPORT_BYTES_MAX", bytes_max);
    let done = tokio::task::spawn_blocking(move || kiez.output()).await.expect("it ends").expect("it starts");
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8(said).expect("text"))
}

pub async fn an_import_by_hand_is_seen_by_the_server_beside_it(database: Database) {
    let house = House::of(database, 1).await;
    let package = |slug: &str, minutes: u32| {
        json!({"slug": slug, "title": {"de": "Fernseher", "en": "Television"}, "category": "tv", "duration_min": minutes,
            "pricing": {"kind": "fixed", "price": {"amount": 1900, "currency": "EUR"}}})
        .to_string()
    };
    let enough = "67108864";
    let bad = [package("tv-setup", 30), package("tv-repair", 3)].join("\n");
    let (went, said) = import_by_hand(&house, "packages", &bad, enough).await;
    assert!(
        !went && said.contains("nothing was imported") && said.contains("line 2: duration_min: takes 5 to 480"),
        "{said}"
    );
    let (went, said) = import_by_hand(&house, "packages", &package(&"x".repeat(20_000), 30), enough).await;
    assert!(!went && said.contains("line 1: has more than 16384 bytes"), "{said}");
    let (went, said) = import_by_hand(&house, "packages", &package("tv-setup", 30), "100").await;
    assert!(!went && said.contains("has more than 100 bytes"), "{said}");
    let (went, said) = import_by_hand(&house, "friends", &package("tv-setup", 30), enough).await;
    assert!(!went, "a package is no friend: {said}");
    assert_eq!(house.admin.refused("GET", "/v1/admin/packages/tv-setup", None).await.0, Code::NotFound);

    let (went, said) = import_by_hand(&house, "packages", &package("tv-setup", 30), enough).await;
    assert_eq!((went, said.trim()), (true, "imported 1 of kind package"));
    // The server finds out by itself, within a second or so.
    let partner = house.server.partner().await;
    let mut wanted = job("I-1");
    (wanted.package, wanted.answers) = ("tv-setup".parse().expect("a slug"), Default::default());
    let posted = tokio::time::timeout(std::time::Duration::from_secs(5), async {
        loop {
            match partner.post(&wanted, "I-1").await {
                Ok(posted) => break posted,
                Err(refused) => assert_eq!(refused.code(), Some(Code::UnknownPackage), "{refused}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    assert_eq!(posted.await.expect("seen in time").package.as_str(), "tv-setup");
    let told = house.dispatcher.audit("action=directory_imported").await;
    assert_eq!(told.last().map(String::as_str), Some("directory_imported by command line"));
    house.over().await;
}
