//! What customers, ops, admins and friends may not ask by HTTP, route by route.

use kiez_protocol::directory::OpsRole;
use serde_json::json;

use crate::common::{DEVELOPMENT_KEY, friend_id};
use crate::raw::{Raw, request};
use crate::requests::body;
use crate::table::{Scene, Table, ask};

const NOBODY: &str = "0192f000-0000-7000-8000-0000000000ff";

/// The answer to a request with a credential.
async fn by(scene: &Scene, token: &str, method: &str, path: &str, body: impl AsRef<[u8]>) -> String {
    let headers = format!("authorization: Bearer {token}\r\n");
    ask(&scene.address, &request(method, path, &headers, body.as_ref())).await
}

/// A job of the partner's: its id, and the path of its customer's link.
async fn posted(scene: &Scene) -> (String, String) {
    let mut raw = Raw::to(&scene.address).await;
    let key = format!("authorization: Bearer {}\r\n", scene.partner);
    raw.send(&request("POST", "/v1/jobs", &key, &body(|_| {}))).await;
    let view = raw.answer().await.expect("an answer").json();
    let (_, token) = view["customer_url"].as_str().and_then(|url| url.split_once('#')).expect("a link");
    (view["id"].as_str().expect("an id").to_owned(), format!("/v1/customer/{token}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_may_ask_of_a_trial_an_answer_and_a_link() {
    let scene = Scene::set(&[]).await;
    let mut table = Table::default();
    let (job, link) = posted(&scene).await;
    let dry = "/v1/jobs/dry-run";
    let answers = format!("/v1/jobs/{job}/answers");
    let replies = |count: usize, text: &str| {
        json!({"replies": vec![json!({"question": 1, "text": text}); count]}).to_string().into_bytes()
    };
    let given = |answers: serde_json::Value| json!({"answers": answers}).to_string().into_bytes();
    for (input, path, bytes, wanted) in [
        (
            "a trial of an unknown package",
            dry,
            body(|job| job["package"] = json!("piano")),
            "422 unknown_package [package] there is no package `piano`",
        ),
        (
            "a trial with an unknown field",
            dry,
            body(|job| job["colour"] = json!("red")),
            "422 invalid [colour] unknown field `colour`, …",
        ),
        (
            "a trial for a friend whom nobody knows",
            dry,
            body(|job| job["friend"] = json!(NOBODY)),
            "422 invalid [friend] friend: there is no such friend",
        ),
        ("a trial of nothing", dry, Vec::new(), "422 invalid missing field `package` at line 1 column 2"),
        (
            "a trial of 16 KiB and one byte",
            dry,
            b" ".repeat(16_385),
            "413 too_large the body has more than 16384 bytes",
        ),
        (
            "an answer to no question",
            answers.as_str(),
            given(json!({"shoe_size": 42})),
            "422 invalid answers.shoe_size: the package asks no such question",
        ),
        (
            "a required answer taken away",
            &answers,
            given(json!({"router": " "})),
            "422 invalid answers.router: an answer is required",
        ),
        (
            "an answer of another kind",
            &answers,
            given(json!({"router": true})),
            "422 invalid answers.router: takes a text of at most 500 characters",
        ),
        ("a reply to no question", &answers, replies(1, "Red"), "422 invalid there is no question 1"),
        (
            "a reply of 501 characters",
            &answers,
            replies(1, &"x".repeat(501)),
            "422 invalid [replies.0.text] replies.0.text: takes 1 to 500 characters, none of them NUL",
        ),
        ("17 replies", &answers, replies(17, "x"), "422 invalid [replies] replies: takes at most 16"),
        ("answers to a job of nobody", "/v1/jobs/x/answers", b"{}".to_vec(), "404 not_found there is no such job"),
    ] {
        table.row(input, scene.partner("POST", path, "", bytes).await, wanted);
    }
    let rival = by(&scene, &scene.rival, "POST", &answers, b"{}").await;
    table.row("answers to another partner's job", rival, "404 not_found there is no such job");

    let proposal = format!("/proposals/{NOBODY}/confirm");
    for (input, method, path, text, wanted) in [
        (
            "a link and DELETE",
            "DELETE",
            "",
            "",
            "405 method_not_allowed This route does not take this method (allow: GET,HEAD)",
        ),
        (
            "answers with an unknown field",
            "POST",
            "/answers",
            r#"{"answer":1}"#,
            "422 invalid [answer] unknown field `answer`, …",
        ),
        ("a window beyond three", "POST", &proposal, r#"{"window":3}"#, "422 invalid [window] takes 0 to 2"),
        (
            "a window that is no number",
            "POST",
            &proposal,
            r#"{"window":"first"}"#,
            "422 invalid [window] invalid type: string \"first\", expected u8 at line 1 column 17",
        ),
        ("a proposal of nobody", "POST", &proposal, "{}", "404 not_found there is no such proposal"),
        ("a proposal without an id", "POST", "/proposals/x/confirm", "{}", "404 not_found there is no such proposal"),
        (
            "a message without a word",
            "POST",
            "/messages",
            r#"{"text":" "}"#,
            "422 invalid [text] takes 1 to 1000 characters, none of them NUL",
        ),
        (
            "a message with NUL",
            "POST",
            "/messages",
            r#"{"text":"a\u0000b"}"#,
            "422 invalid [text] takes 1 to 1000 characters, none of them NUL",
        ),
        ("a message without a text", "POST", "/messages", "{}", "422 invalid missing field `text` at line 1 column 2"),
        (
            "a cancel that is no JSON",
            "POST",
            "/cancel",
            "now",
            "400 bad_request the body is not JSON: expected ident at line 1 column 2",
        ),
        ("a photo of nobody yet", "GET", "/photo", "", "404 not_found there is no such photo"),
        ("a route that no link has", "GET", "/address", "", "404 not_found there is no such route"),
    ] {
        table.row(input, by(&scene, "none", method, &format!("{link}{path}"), text).await, wanted);
    }
    let long = json!({"reason": "x".repeat(301)}).to_string();
    table.row(
        "a cancel with a reason of 301 characters",
        by(&scene, "none", "POST", &format!("{link}/cancel"), long).await,
        "422 invalid [reason] takes at most 300 characters, none of them NUL",
    );
    for (method, path) in [
        ("GET", ""),
        ("POST", "/answers"),
        ("POST", &proposal),
        ("GET", "/messages"),
        ("POST", "/messages"),
        ("POST", "/cancel"),
        ("GET", "/photo"),
    ] {
        let answer = by(&scene, DEVELOPMENT_KEY, method, &format!("{link}x{path}"), "{}").await;
        table.row(&format!("{method} {path} by a link that is none"), answer, "404 not_found there is no such job");
    }
    scene.over(table).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ops_may_not_ask() {
    let scene = Scene::set(&[]).await;
    let mut table = Table::default();
    let (job, _) = posted(&scene).await;
    let token = |role| scene.server.running.as_ref().expect("it runs").ops_token(role, 5).expect("signs");
    let (viewer, dispatcher) = (token(OpsRole::Viewer), token(OpsRole::Dispatcher));
    let of_job = |action: &str| format!("/v1/ops/jobs/{job}/{action}");
    let no_reason = "422 invalid [reason] takes 1 to 300 characters, none of them NUL";
    for action in ["look", "pause", "resume", "assign", "redispatch", "cancel"] {
        let answer = by(&scene, &viewer, "POST", &of_job(action), "{").await;
        table.row(&format!("a viewer and {action}"), answer, "403 forbidden this needs another role");
        let text = json!({"reason": " ", "friend": friend_id(0)});
        let text = if action == "assign" { text } else { json!({"reason": " "}) };
        let answer = by(&scene, &dispatcher, "POST", &of_job(action), text.to_string()).await;
        table.row(&format!("{action} for no reason"), answer, no_reason);
        let nobody = of_job(action).replace(&job, NOBODY);
        let text = text.to_string().replace("\" \"", "\"because\"");
        let answer = by(&scene, &dispatcher, "POST", &nobody, text).await;
        table.row(&format!("{action} of a job of nobody"), answer, "404 not_found there is no such job");
    }
    let unsaid = by(&scene, &dispatcher, "POST", &of_job("pause"), "{}").await;
    table.row("a pause without a reason", unsaid, "422 invalid missing field `reason` at line 1 column 2");
    let to_nobody = json!({"friend": NOBODY, "reason": "x"}).to_string();
    let answer = by(&scene, &dispatcher, "POST", &of_job("assign"), to_nobody).await;
    table.row("a job for nobody", answer, "422 invalid [friend] there is no such friend");
    let post = |partner: &str| {
        let job: serde_json::Value = serde_json::from_slice(&body(|_| {})).expect("JSON");
        json!({"partner": partner, "reason": "by telephone", "job": job}).to_string()
    };
    let answer = by(&scene, &dispatcher, "POST", "/v1/ops/jobs", post("nobody")).await;
    table.row("a post for a partner of nobody", answer, "422 invalid [partner] there is no partner `nobody`");
    let answer = by(&scene, &viewer, "POST", "/v1/ops/jobs", post("shop")).await;
    table.row("a post by a viewer", answer, "403 forbidden this needs another role");
    for (input, token, path, wanted) in [
        (
            "jobs in a state that is none",
            &viewer,
            "/v1/ops/jobs?state=asleep",
            "422 invalid [state] does not take `asleep`",
        ),
        (
            "a person, looked for by a viewer",
            &viewer,
            "/v1/ops/jobs?q=Canary&reason=x",
            "403 forbidden this needs another role",
        ),
        (
            "a person, looked for without a reason",
            &dispatcher,
            "/v1/ops/jobs?q=Canary",
            "422 invalid [reason] a search for a person asks why",
        ),
        (
            "two letters of a person",
            &dispatcher,
            "/v1/ops/jobs?q=Ca&reason=x",
            "422 invalid [q] takes at least 3 characters",
        ),
        ("a query twice", &viewer, "/v1/ops/jobs?limit=1&limit=2", "400 bad_request [limit] stands twice"),
        ("a job that is none", &viewer, "/v1/ops/jobs/x", "404 not_found there is no such job"),
        ("friends, looked at by a viewer", &viewer, "/v1/ops/friends", "403 forbidden this needs another role"),
        (
            "accounts in a state that is none",
            &dispatcher,
            "/v1/ops/friends?account=asleep",
            "422 invalid [account] takes one of applied, …",
        ),
        ("a friend of nobody", &dispatcher, "/v1/ops/friends/x", "404 not_found there is no such friend"),
        ("a photo of nobody", &dispatcher, "/v1/ops/friends/x/photo", "404 not_found there is no such friend"),
        (
            "a waitlist by colour",
            &dispatcher,
            "/v1/ops/waitlist?colour=red",
            "400 bad_request [colour] takes community",
        ),
        (
            "the log behind a page that is none",
            &dispatcher,
            "/v1/ops/audit?after=x",
            "422 invalid [after] takes the `after` of the page before",
        ),
    ] {
        table.row(input, by(&scene, token, "GET", path, "").await, wanted);
    }
    let friend = |action: &str| format!("/v1/ops/friends/{}/{action}", friend_id(0));
    for (input, path, text, wanted) in [
        ("a limit for no reason", friend("limit"), r#"{"reason":""}"#, no_reason),
        (
            "a friend who is not limited, reinstated",
            friend("reinstate"),
            r#"{"reason":"x"}"#,
            "409 wrong_state the account is active; this goes from limited and suspended",
        ),
        (
            "a limit of nobody",
            friend("limit").replace(&friend_id(0).to_string(), NOBODY),
            r#"{"reason":"x"}"#,
            "404 not_found there is no such friend",
        ),
        (
            "a brake of nowhere",
            "/v1/ops/communities/nowhere/brake".to_owned(),
            r#"{"on":true,"reason":"x"}"#,
            "404 not_found there is no such community",
        ),
        (
            "a brake half on",
            "/v1/ops/communities/berlin-tech/brake".to_owned(),
            r#"{"on":0.5,"reason":"x"}"#,
            "422 invalid [on] invalid type: floating point `0.5`, expected a boolean at line 1 column 9",
        ),
    ] {
        table.row(input, by(&scene, &dispatcher, "POST", &path, text).await, wanted);
    }
    scene.over(table).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_admin_may_not_store() {
    let scene = Scene::set(&[("KIEZ_LIMITS__IMPORT_BYTES_MAX", "40000")]).await;
    let mut table = Table::default();
    let partner = |name: &str| json!({"kind": "partner", "slug": "long", "name": name}).to_string();
    let document = |name: &str| json!({"slug": "shop", "name": name}).to_string();
    let deep = format!("{{\"kind\":\"partner\",\"x\":{}{}}}", "[".repeat(16), "]".repeat(16));
    let lines = [partner("a"), partner(&"x".repeat(16_384))].join("\n");
    for (input, method, path, text, wanted) in [
        (
            "a document under another name",
            "PUT",
            "/v1/admin/partners/other",
            document("A Shop"),
            "422 invalid [slug] the path says `other`, the body `shop`",
        ),
        (
            "a document with an unknown field",
            "PUT",
            "/v1/admin/partners/shop",
            document("A Shop").replace("name", "title"),
            "422 invalid [title] unknown field `title`, …",
        ),
        (
            "a version that is none",
            "GET",
            "/v1/admin/partners/shop?version=0",
            String::new(),
            "422 invalid [version] takes 1 or more",
        ),
        (
            "a version that is not yet",
            "GET",
            "/v1/admin/partners/shop?version=9",
            String::new(),
            "404 not_found there is no such partner",
        ),
        (
            "a slug that is none",
            "GET",
            "/v1/admin/communities/No%20Slug",
            String::new(),
            "404 not_found there is no such community",
        ),
        (
            "versions of nothing",
            "GET",
            "/v1/admin/packages/piano/versions",
            String::new(),
            "404 not_found there is no such package",
        ),
        ("a friend that is none", "GET", "/v1/admin/friends/x", String::new(), "404 not_found there is no such friend"),
        (
            "a check of a child",
            "POST",
            &format!("/v1/admin/friends/{}/checks", friend_id(0)),
            json!({"kind": "age", "result": "passed", "years": 13}).to_string(),
            "422 invalid [years] years: takes 14 to 99, and only an age check has it",
        ),
        (
            "a check of nobody",
            "POST",
            &format!("/v1/admin/friends/{NOBODY}/checks"),
            json!({"kind": "age", "result": "passed"}).to_string(),
            "404 not_found there is no such friend",
        ),
        (
            "a token for a year and a minute",
            "POST",
            "/v1/admin/tokens",
            json!({"kind": "ops", "role": "viewer", "minutes": 525_601}).to_string(),
            "422 invalid [minutes] takes 1 to 525,600",
        ),
        (
            "an import with a long line",
            "POST",
            "/v1/admin/import",
            lines,
            "413 too_large [line 2] has more than 16384 bytes",
        ),
        (
            "an import nested 17 deep",
            "POST",
            "/v1/admin/import",
            deep,
            "413 too_large [line 1] is nested deeper than 16 levels",
        ),
        (
            "an import that says it is too large",
            "POST",
            "/v1/admin/import",
            " ".repeat(40_001),
            "413 too_large the body has more than 40000 bytes",
        ),
        (
            "an import with a last line without an end",
            "POST",
            "/v1/admin/import",
            format!("{}\r\n\r\n{{\"kind\":\"king\"}}", partner("a")),
            "422 invalid [line 3] line 3: kind: unknown variant `king`, …",
        ),
    ] {
        table.row(input, by(&scene, DEVELOPMENT_KEY, method, path, text).await, wanted);
    }
    let tagged = format!("authorization: Bearer {DEVELOPMENT_KEY}\r\nif-match: newest\r\n");
    let answer =
        ask(&scene.address, &request("PUT", "/v1/admin/partners/shop", &tagged, document("x").as_bytes())).await;
    table.row(
        "a version to be replaced that is none",
        answer,
        "400 bad_request [If-Match] takes one version as in `\"3\"`",
    );
    // In pieces, so that nobody knows how much is to come.
    let line = partner(&"x".repeat(15_000)) + "\n";
    let piece = format!("{:x}\r\n{line}\r\n", line.len());
    let head = format!(
        "POST /v1/admin/import HTTP/1.1\r\nhost: kiez\r\nauthorization: Bearer {DEVELOPMENT_KEY}\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    let answer = ask(&scene.address, format!("{head}{}", piece.repeat(3)).as_bytes()).await;
    table.row("an import that becomes too large", answer, "413 too_large [line 3] the body has more than 40000 bytes");
    let answer = by(&scene, DEVELOPMENT_KEY, "GET", "/v1/admin/partners/long", "").await;
    table.row("and what stood before the fault", answer, "404 not_found there is no such partner");
    scene.over(table).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_listing_and_no_photo() {
    let scene = Scene::set(&[]).await;
    let mut table = Table::default();
    for (input, query, wanted) in [
        (
            "a listing of nowhere",
            "community=nowhere",
            "422 unknown_community [community] there is no community `nowhere`",
        ),
        (
            "a listing near one number",
            "near=52.5",
            "422 invalid [near] takes latitude and longitude in degrees: 52.52,13.40",
        ),
        (
            "a listing beyond the pole",
            "near=91,0",
            "422 invalid [near] takes latitude and longitude in degrees: 52.52,13.40",
        ),
        ("a listing at NaN", "near=NaN,0", "422 invalid [near] takes latitude and longitude in degrees: 52.52,13.40"),
        (
            "a listing at infinity",
            "near=1e999,0",
            "422 invalid [near] takes latitude and longitude in degrees: 52.52,13.40",
        ),
        ("a listing of two skills", "skill=wifi,tv", "422 invalid [skill] does not take `wifi,tv`"),
        ("a listing of 201", "limit=201", "422 invalid [limit] takes 1 to 200"),
        ("a listing behind nobody", "after=me", "422 invalid [after] takes the `after` of the page before, as it is"),
        ("a listing with NUL", "near=%00", "422 invalid [near] takes at most 64 characters"),
        ("a listing by radius", "radius=5", "400 bad_request [radius] takes community, near, skill, limit, after"),
    ] {
        table.row(input, scene.partner("GET", &format!("/v1/friends?{query}"), "", "").await, wanted);
    }
    let friend = by(&scene, &scene.friend, "GET", "/v1/friends", "").await;
    table.row("a listing with a friend's token", friend, "401 unauthorized the API key is not valid");
    let theirs = format!("/v1/friends/{}/photo", friend_id(0));
    let answer = scene.partner("GET", &theirs, "", "").await;
    table.row("a photo of somebody who is not listed", answer, "404 not_found there is no such photo");
    let answer = scene.partner("GET", "/v1/friends/x/photo", "", "").await;
    table.row("a photo of nobody", answer, "404 not_found there is no such photo");

    let own = "/v1/friend/photo";
    table.row(
        "a photo without a token",
        ask(&scene.address, &request("PUT", own, "", b"")).await,
        "401 unauthorized send Authorization: Bearer …",
    );
    for (input, token, wanted) in [
        ("a photo with a partner's key", scene.partner.as_str(), "401 unauthorized the token is not valid"),
        ("a photo with the development key", DEVELOPMENT_KEY, "401 unauthorized the token is not valid"),
    ] {
        table.row(input, by(&scene, token, "PUT", own, b"x").await, wanted);
    }
    let no_picture = "422 invalid takes a JPEG, PNG or WebP, by its bytes";
    for (input, file, wanted) in [
        ("no photo", Vec::new(), no_picture),
        ("a photo that can run", b"<svg onload=alert(1)>".to_vec(), no_picture),
        (
            "half of a photo",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(),
            "422 invalid the picture is not whole, or moves",
        ),
        ("a photo of 64 KiB and one byte", vec![0xFF; 65_537], "413 too_large the body has more than 65536 bytes"),
        ("a photo for the fifth time", Vec::new(), no_picture),
        (
            "a photo for the sixth time",
            Vec::new(),
            "429 too_many too many photos in a short time; try again later (retry-after: 1)",
        ),
    ] {
        table.row(input, by(&scene, &scene.friend, "PUT", own, file).await, wanted);
    }
    table.row(
        "the photo that there is not",
        by(&scene, &scene.friend, "GET", own, "").await,
        "404 not_found there is no such photo",
    );
    let nobody = format!("/v1/admin/friends/{NOBODY}/photo");
    table.row(
        "a photo for nobody",
        by(&scene, DEVELOPMENT_KEY, "PUT", &nobody, b"x").await,
        "404 not_found there is no such friend",
    );
    let answer = by(&scene, &scene.friend, "DELETE", &nobody, "").await;
    table.row("another's photo, erased by a friend", answer, "401 unauthorized the token is not valid");
    scene.over(table).await;
}
