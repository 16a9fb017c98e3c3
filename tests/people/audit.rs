//! What admins and ops do is in the audit log.

use kiez_protocol::refusal::Code;
use serde_json::json;

use crate::common::{Database, friend_id};
use crate::desk::House;

pub async fn who_changed_what_is_told_to_dispatchers_page_by_page(database: Database) {
    let mut house = House::of(database, 2).await;
    let partner = json!({"slug": "shop", "name": "Another Shop", "community": "berlin-tech"});
    let stored = house.admin.ask("PUT", "/v1/admin/partners/shop", partner.clone()).await;
    assert_eq!((&stored["version"], &stored["changed"]), (&json!(2), &json!(true)));
    let again = house.admin.ask("PUT", "/v1/admin/partners/shop", partner).await;
    assert_eq!((&again["version"], &again["changed"]), (&json!(2), &json!(false)));
    house.admin.ask("POST", "/v1/admin/tokens", json!({"kind": "partner", "partner": "shop"})).await;

    let wanted = ["partner_stored by development", "partner_stored by desk-admin", "partner_key_made by desk-admin"];
    assert_eq!(house.dispatcher.audit("kind=partner").await, wanted);
    assert_eq!(house.admin.audit("kind=partner&subject=shop&actor=desk-admin").await, wanted[1..]);
    assert_eq!(house.admin.audit("action=partner_key_made").await, wanted[2..]);
    assert_eq!(
        house.admin.audit(&format!("subject={}", friend_id(0))).await,
        [""; 0],
        "new in an import: counted there"
    );
    assert_eq!(house.admin.audit("kind=directory").await, ["directory_imported by development"]);

    // Page by page the same as in one.
    let whole = house.dispatcher.get("/v1/ops/audit").await["entries"].clone();
    let (mut pages, mut after) = (Vec::new(), String::new());
    loop {
        let page = house.dispatcher.get(&format!("/v1/ops/audit?limit=2{after}")).await;
        pages.extend(page["entries"].as_array().expect("a page").clone());
        match page["after"].as_u64() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(json!(pages), whole);
    let entry = &pages[0];
    assert_eq!(
        (&entry["role"], &entry["subject_kind"], &entry["subject"]),
        (&json!("admin"), &json!("partner"), &json!("shop"))
    );

    for (query, code, param) in [
        ("colour=red", Code::BadRequest, "colour"),
        ("kind=dog", Code::Invalid, "kind"),
        ("limit=0", Code::Invalid, "limit"),
        ("limit=201", Code::Invalid, "limit"),
        ("after=x", Code::Invalid, "after"),
        ("subject=%00", Code::Invalid, "subject"),
    ] {
        let refused = house.admin.refused("GET", &format!("/v1/ops/audit?{query}"), None).await;
        assert_eq!(refused, (code, Some(param.to_owned())), "{query}");
    }
    assert_eq!(house.viewer.refused("GET", "/v1/ops/audit", None).await.0, Code::Forbidden);

    house.restart().await;
    assert_eq!(house.dispatcher.get("/v1/ops/audit").await["entries"], whole, "it is there after a restart");
    house.over().await;
}
