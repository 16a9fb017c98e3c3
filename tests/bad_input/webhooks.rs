//! What partners may not say of where they want to hear, and what they may not ask of it.

use serde_json::{Value, json};

use crate::raw::request;
use crate::table::{Scene, Table, ask};

const HERE: &str = "https://shop.example/kiez";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_endpoint_and_no_delivery() {
    let scene = Scene::set(&[]).await;
    let mut table = Table::default();
    let one = |endpoint: Value| json!({"endpoints": [endpoint]});
    let id = "5a3d9a52-3c1e-4b8e-9d0f-1f6f5b7a2c11";
    let puts: Vec<(&str, Value, &str)> = vec![
        (
            "plain HTTP",
            one(json!({"url": "http://shop.example/"})),
            "422 invalid [endpoints.0.url] endpoints.0.url: takes …",
        ),
        ("no URL at all", one(json!({"url": "shop"})), "422 invalid [endpoints.0.url] endpoints.0.url: takes …"),
        (
            "a password in the URL",
            one(json!({"url": "https://me:secret@shop.example/"})),
            "422 invalid [endpoints.0.url] endpoints.0.url: takes no user and no password",
        ),
        (
            "a fragment",
            one(json!({"url": "https://shop.example/#x"})),
            "422 invalid [endpoints.0.url] endpoints.0.url: takes no fragment",
        ),
        (
            "a URL of 3,000 bytes",
            one(json!({"url": format!("https://shop.example/{}", "a".repeat(3_000))})),
            "422 invalid [endpoints.0.url] endpoints.0.url: takes at most 2,048 bytes",
        ),
        (
            "a type that is none",
            one(json!({"url": HERE, "events": ["job.lost"]})),
            "422 invalid [endpoints[0].events[0]] unknown variant `job.lost`, expected …",
        ),
        (
            "a secret of one's own",
            one(json!({"url": HERE, "secret": "whsec_AAAA"})),
            "422 invalid [endpoints[0].secret] unknown field `secret`, expected …",
        ),
        (
            "eleven endpoints",
            json!({"endpoints": vec![json!({"url": HERE}); 11]}),
            "422 invalid [endpoints] endpoints: takes at most 10",
        ),
        (
            "one endpoint twice",
            json!({"endpoints": vec![json!({"url": HERE, "id": id}); 2]}),
            "422 invalid [endpoints.1.id] endpoints.1.id: stands twice",
        ),
        (
            "an endpoint that is not there",
            one(json!({"url": HERE, "id": id})),
            "404 not_found there is no such endpoint",
        ),
        ("a list", json!([]), "422 invalid the body is a list, and an object is wanted"),
        ("nothing", json!({}), "422 invalid missing field `endpoints` …"),
    ];
    for (input, body, wanted) in puts {
        let answer = scene.partner("PUT", "/v1/webhooks", "", body.to_string()).await;
        table.row(input, answer, wanted);
    }
    for (method, path, wanted) in [
        ("GET", "/v1/webhooks/deliveries?state=lost", "422 invalid [state] does not take `lost`"),
        ("GET", "/v1/webhooks/deliveries?endpoint=1", "422 invalid [endpoint] does not take `1`"),
        ("GET", "/v1/webhooks/deliveries?limit=201", "422 invalid [limit] takes 1 to 200"),
        ("GET", "/v1/webhooks/deliveries?after=x", "422 invalid [after] takes the `after` of the page before"),
        ("GET", "/v1/webhooks/deliveries?all=1", "400 bad_request [all] takes state, endpoint, job, limit, after"),
        ("POST", "/v1/webhooks/deliveries/x/resend", "404 not_found there is no such delivery"),
        ("POST", "/v1/webhooks/deliveries/%00.x/resend", "404 not_found there is no such delivery"),
        ("POST", "/v1/webhooks/deliveries/%FF/resend", "400 bad_request the path is not UTF-8"),
    ] {
        let answer = scene.partner(method, path, "", "").await;
        table.row(&format!("{method} {path}"), answer, wanted);
    }
    let keyless = ask(&scene.address, &request("GET", "/v1/webhooks", "", b"")).await;
    table.row("no key", keyless, "401 unauthorized send Authorization: Bearer …");
    scene.over(table).await;
}
