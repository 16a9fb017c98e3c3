//! The server and its published contract: every route that is there is in the document and the reverse, what is served
//! is what is committed, and the limits that the schemas state are those the server holds to.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::TestServer;
use kiez_protocol::directory::OpsRole;
use kiez_protocol::refusal::{Code, MESSAGE_KEYS, Problem};
use kiez_protocol::routes::{ROUTES, Route, Who};
use serde_json::{Map, Value, json};

/// What came back: the status, the headers in small letters, the body.
struct Heard {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Heard {
    fn problem(&self) -> Option<Problem> {
        serde_json::from_str(&self.body).ok().filter(|_| self.headers["content-type"] == "application/problem+json")
    }
}

/// One request on a connection of its own, with nothing between it and the server.
async fn ask(address: &str, method: &str, path: &str, token: Option<&str>, body: Option<&str>) -> Heard {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    if let Some(token) = token {
        request += &format!("authorization: Bearer {token}\r\n");
    }
    let body = body.unwrap_or_default();
    request += &format!("content-length: {}\r\n\r\n{body}", body.len());
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
    stream.write_all(request.as_bytes()).await.expect("asks");
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(std::time::Duration::from_secs(10), read).await.expect("answers in time").expect("reads");
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    Heard { status: status.expect("a status"), headers: lines.filter_map(header).collect(), body: body.to_owned() }
}

fn example(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("protocol/examples/{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).expect("the example is there")).expect("JSON")
}

/// The path of a route with something in the place of its parameters.
fn concrete(route: &Route) -> String {
    route
        .path
        .replace("{token}", "a-token")
        .replace("{id}", "0192f000-0000-7000-8000-00000000000f")
        .replace("{slug}", "berlin-tech")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_documented_route_is_there_and_takes_these_methods_only() {
    let mut server = TestServer::start().await;
    let (public, operator) = (server.address(), server.running.as_ref().expect("it runs").admin_address.to_string());
    let mut methods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for route in ROUTES {
        let path = concrete(route);
        let address = if route.who == Who::Operator { &operator } else { &public };
        let heard = ask(address, &route.method.to_uppercase(), &path, None, None).await;
        let unknown = heard.problem().is_some_and(|problem| problem.detail == "there is no such route");
        assert!(!unknown && heard.status != 405, "{} {path} is documented and not there: {}", route.method, heard.body);
        assert!(!heard.headers["x-request-id"].is_empty(), "{path}");
        let documented: BTreeSet<u16> = statuses(route);
        assert!(documented.contains(&heard.status), "{} {path} answers {}: {documented:?}", route.method, heard.status);
        if !matches!(route.who, Who::Anybody | Who::Operator) {
            assert_eq!((heard.status, heard.headers["www-authenticate"].as_str()), (401, "Bearer"), "{path}");
        }
        methods.entry(route.path.to_owned()).or_default().insert(route.method.to_uppercase());
    }
    for route in ROUTES {
        let address = if route.who == Who::Operator { &operator } else { &public };
        let heard = ask(address, "OPTIONS", &concrete(route), None, None).await;
        assert_eq!(heard.problem().map(|problem| problem.code), Some(Code::MethodNotAllowed), "{}", route.path);
        // axum answers HEAD where it answers GET.
        let allowed = heard.headers["allow"].split(',').filter(|method| *method != "HEAD").map(str::to_owned);
        assert_eq!(allowed.collect::<BTreeSet<_>>(), methods[route.path], "{}", route.path);
    }
    for (path, committed) in [("/openapi.json", kiez_protocol::OPENAPI), ("/asyncapi.json", kiez_protocol::ASYNCAPI)] {
        let heard = ask(&public, "GET", path, None, None).await;
        assert!(heard.status == 200 && heard.body == committed, "{path} serves what is committed");
    }
    let strange = ask(&public, "GET", "/v1/jobs/%FF", None, None).await;
    assert_eq!(strange.problem().map(|problem| problem.code), Some(Code::BadRequest), "{}", strange.body);
    server.down().await;
}

/// Each route with each credential there is: who may ask is let in, and nobody else. A route whose handler forgets to
/// look, or looks for another role than the table says, is found here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_lets_in_whom_the_table_says_and_nobody_else() {
    let mut server = TestServer::start().await;
    let friends = server.town(&[(52.5, 13.4)]).await;
    let admin = server.admin();
    let mut credentials = vec![("nobody", None), ("a friend", Some(admin.friend_token(friends[0], Some(5)).await))];
    credentials.push(("a partner", Some(admin.partner_key(&"shop".parse().expect("a slug")).await)));
    for (name, role) in
        [("a viewer", OpsRole::Viewer), ("a dispatcher", OpsRole::Dispatcher), ("an admin", OpsRole::Admin)]
    {
        credentials.push((name, Some(admin.ops_token(role, Some(5)).await)));
    }
    let mut wrong = Vec::new();
    for route in ROUTES {
        let may: &[&str] = match route.who {
            Who::Anybody | Who::Operator => continue,
            Who::Partner => &["a partner"],
            Who::Viewer => &["a viewer", "a dispatcher", "an admin"],
            Who::Dispatcher => &["a dispatcher", "an admin"],
            Who::Admin => &["an admin"],
        };
        for (name, token) in &credentials {
            let token = token.as_ref().map(|token| token.as_ref().expect("made").token.as_str());
            let method = route.method.to_uppercase();
            let heard = ask(&server.address(), &method, &concrete(route), token, None).await;
            let let_in = !matches!(heard.status, 401 | 403);
            if let_in != may.contains(name) {
                wrong.push(format!("{method} {} as {name}: {}", route.path, heard.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    server.down().await;
}

fn statuses(route: &Route) -> BTreeSet<u16> {
    let refusals = route.refusals.iter().copied().flatten().map(|code| code.status());
    route.answers.iter().map(|answer| answer.status).chain(refusals).collect()
}

/// The sources of the room that talks.
fn sources(folder: &str) -> Vec<(String, String)> {
    let (mut files, mut folders) = (Vec::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push((path.display().to_string(), std::fs::read_to_string(&path).expect("a source")));
            }
        }
    }
    files
}

/// The texts in quotes that begin with `start`, as far as `fits` goes.
fn quoted<'a>(source: &'a str, start: &'a str, fits: fn(char) -> bool) -> impl Iterator<Item = &'a str> {
    source.match_indices(start).map(move |(at, _)| {
        let text = &source[at + start.rfind('"').map_or(0, |quote| quote + 1)..];
        &text[..text.find(|c| !fits(c)).unwrap_or(text.len())]
    })
}

#[test]
fn every_route_of_the_router_is_documented() {
    let mut there: BTreeSet<String> = BTreeSet::new();
    for (_, source) in sources("src/serve") {
        let tight: String = source.chars().filter(|c| !c.is_whitespace()).collect();
        there.extend(quoted(&tight, ".route(\"", |c| c != '"').map(str::to_owned));
    }
    let documented: BTreeSet<String> = ROUTES.iter().map(|route| route.path.to_owned()).collect();
    assert_eq!(there, documented, "the table is in protocol/src/routes.rs");
}

#[test]
fn every_text_of_an_error_is_documented() {
    let mut said: BTreeSet<String> = BTreeSet::new();
    for (_, source) in sources("src") {
        let word = |c: char| c.is_ascii_lowercase() || c == '.' || c == '_';
        said.extend(quoted(&source, "\"error.", word).map(str::to_owned));
    }
    let documented: BTreeSet<String> = MESSAGE_KEYS.iter().map(|(key, _)| (*key).to_owned()).collect();
    assert_eq!(said, documented, "the list is in protocol/src/refusal.rs, the table in protocol/README.md");
}

/// The patterns of texts for people: with something in them, and without NUL.
const WORDS: [&str; 2] = [r"^[^\x00]*\S[^\x00]*$", r"^[^\x00]*$"];

/// Where a schema states a limit, how to break it, and how to be as near to it as can be.
#[derive(Debug)]
struct Limit {
    pointer: String,
    what: String,
    breaks: Option<Value>,
    fits: Option<Value>,
}

/// Walks an example along its schema and gathers the limits that are stated on the way.
fn limits(document: &Value, schema: &Value, value: &Value, pointer: &str, found: &mut Vec<Limit>) {
    let resolved = |schema: &Value| match schema.get("$ref").and_then(Value::as_str) {
        Some(path) => document.pointer(&path[1..]).expect("references lead somewhere").clone(),
        None => Value::Bool(true),
    };
    let mut limit = |what: String, breaks: Option<Value>, fits: Option<Value>| {
        found.push(Limit { pointer: pointer.to_owned(), what, breaks, fits });
    };
    if let (Some(most), Some(text)) = (schema.get("maxLength").and_then(Value::as_u64), value.as_str()) {
        // Filled up at the end: a pattern looks at the beginning.
        let fill = text.chars().last().unwrap_or('x').to_string();
        let long = |length: u64| Value::from(text.to_owned() + &fill.repeat((length as usize) - text.chars().count()));
        let fits = (schema.get("pattern").is_none_or(|pattern| WORDS.contains(&pattern.as_str().unwrap_or(""))))
            .then(|| long(most));
        limit(format!("maxLength {most}"), Some(long(most + 1)), fits);
    }
    if schema.get("minLength").is_some() {
        limit("minLength".to_owned(), Some("".into()), Some("x".into()).filter(|_| schema["pattern"] == WORDS[0]));
    }
    if schema.get("pattern").is_some() && value.is_string() {
        limit("pattern".to_owned(), Some("\0".into()), None);
        if schema["pattern"] == WORDS[0] {
            limit("not only blanks".to_owned(), Some(" ".into()), None);
        }
    }
    for (word, step) in [("minimum", -1_i64), ("maximum", 1)] {
        if let Some(edge) = schema.get(word).filter(|_| value.is_number()) {
            let beyond = edge
                .as_i64()
                .map_or_else(|| json!(edge.as_f64().unwrap_or(0.0) + step as f64), |edge| json!(edge + step));
            limit(format!("{word} {edge}"), Some(beyond), Some(edge.clone()));
        }
    }
    let first = value.as_array().and_then(|list| list.first());
    if let (Some(most), Some(first)) = (schema.get("maxItems").and_then(Value::as_u64), first) {
        let of = |length: u64| Value::from(vec![first.clone(); length as usize]);
        limit(format!("maxItems {most}"), Some(of(most + 1)), Some(of(most)));
    }
    if schema.get("minItems").is_some() {
        limit("minItems".to_owned(), Some(json!([])), None);
    }
    if let Some(format) = schema.get("format").and_then(Value::as_str).filter(|_| value.is_string()) {
        limit(format!("format {format}"), Some("no such thing".into()), None);
    }
    let is_word = |choice: &Value| choice.get("const").is_some();
    let of_words = schema.get("oneOf").and_then(Value::as_array).is_some_and(|choices| choices.iter().all(is_word));
    if (of_words || schema.get("enum").or(schema.get("const")).is_some()) && value.is_string() {
        limit("one of few".to_owned(), Some("no such word".into()), None);
    }
    if let (Some(object), Some(false)) =
        (value.as_object(), schema.get("additionalProperties").and_then(Value::as_bool))
    {
        let mut more = object.clone();
        more.insert("strange".to_owned(), true.into());
        limit("no other field".to_owned(), Some(more.into()), None);
    }
    for field in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if value.get(field).is_none() {
            // A choice of shapes, and this example has another.
            continue;
        }
        let less: Map<String, Value> = value
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| *name != field)
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        limit(format!("{field} is required"), Some(less.into()), None);
    }
    for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if let Some(value) = value.get(name) {
            limits(document, inner, value, &format!("{pointer}/{name}"), found);
        }
    }
    if let (Some(items), Some(first)) = (schema.get("items"), first) {
        limits(document, items, first, &format!("{pointer}/0"), found);
    }
    if schema.get("$ref").is_some() {
        limits(document, &resolved(schema), value, pointer, found);
    }
    let choices = ["anyOf", "oneOf"].iter().filter_map(|word| schema.get(word)?.as_array()).flatten();
    for choice in choices {
        // The one that is meant: by its kind, or all that a value might be.
        let kind = |schema: &Value| schema.pointer("/properties/kind/const").cloned();
        if kind(choice).is_none_or(|kind| value.get("kind") == Some(&kind)) && choice.get("const").is_none() {
            limits(document, choice, value, pointer, found);
        }
    }
}

/// Every limit that the document states of a body is one the server holds to: a value just beyond it is refused, and one
/// at its edge is not refused for this field.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limits_in_the_schemas_are_those_of_the_server() {
    let mut server = TestServer::start().await;
    let address = server.address();
    let development = Some(common::DEVELOPMENT_KEY);
    for (path, name) in [
        ("/v1/admin/communities/berlin-tech", "community"),
        ("/v1/admin/packages/wifi-setup", "package"),
        ("/v1/admin/partners/tech-shop", "partner"),
    ] {
        let mut document = example(name);
        if name == "partner" {
            // A thousand bad bodies come within seconds.
            document["quota"] = json!({"jobs_per_s": 1_000, "jobs_burst": 100_000});
        }
        let slug = document["slug"].as_str().expect("a slug").to_owned();
        let path = format!("{}/{slug}", &path[..path.rfind('/').expect("a slash")]);
        let heard = ask(&address, "PUT", &path, development, Some(&document.to_string())).await;
        assert_eq!(heard.status, 200, "{name}: {}", heard.body);
    }
    let partner = example("partner")["slug"].as_str().expect("a slug").to_owned();
    let made = ask(
        &address,
        "POST",
        "/v1/admin/tokens",
        development,
        Some(&json!({"kind": "partner", "partner": partner}).to_string()),
    )
    .await;
    let key = serde_json::from_str::<Value>(&made.body).expect("a token")["token"].as_str().expect("a key").to_owned();
    let posted = ask(&address, "POST", "/v1/jobs", Some(&key), Some(&example("post_job").to_string())).await;
    assert_eq!(posted.status, 201, "{}", posted.body);
    let job = posted.headers["location"].clone();
    // Another, for the routes of its customer: the first is cancelled on the way.
    let posted = ask(&address, "POST", "/v1/jobs", Some(&key), Some(&example("post_job").to_string())).await;
    let link = serde_json::from_str::<Value>(&posted.body).expect("a job")["customer_url"]
        .as_str()
        .expect("a link")
        .to_owned();
    let link = link.rsplit('#').next().expect("a token").to_owned();

    let openapi: Value = serde_json::from_str(kiez_protocol::OPENAPI).expect("JSON");
    let (mut checked, mut wrong) = (0, Vec::new());
    for route in ROUTES {
        let Some(body) = route.body.filter(|body| !body.lines && !body.examples.is_empty()) else { continue };
        let token = if route.who == Who::Partner { key.as_str() } else { common::DEVELOPMENT_KEY };
        for name in body.examples {
            let value = example(name);
            let path = route.path.replace("/jobs/{id}", &job["/v1".len()..]);
            let path = path.replace("{id}", value["id"].as_str().unwrap_or("0192f000-0000-7000-8000-00000000000f"));
            let path = path.replace("{slug}", value["slug"].as_str().unwrap_or("berlin-tech"));
            let path = path.replace("{token}", &link);
            let reference = format!(
                "/paths/{}/{}/requestBody/content/application~1json/schema",
                route.path.replace('/', "~1"),
                route.method
            );
            let mut found = Vec::new();
            limits(&openapi, openapi.pointer(&reference).expect("the body is documented"), &value, "", &mut found);
            for Limit { pointer, what, breaks, fits } in found {
                let method = route.method.to_uppercase();
                let with = |field: Value| {
                    let mut value = value.clone();
                    *value.pointer_mut(&pointer).expect("the limit was found there") = field;
                    value.to_string()
                };
                let case = format!("{method} {} {pointer}: {what}", route.path);
                if let Some(breaks) = breaks {
                    let heard = ask(&address, &method, &path, Some(token), Some(&with(breaks))).await;
                    if heard.status != 422 {
                        wrong.push(format!("{case}: beyond it {} {}", heard.status, heard.body));
                    }
                    checked += 1;
                }
                if let Some(fits) = fits {
                    let heard = ask(&address, &method, &path, Some(token), Some(&with(fits))).await;
                    let param = pointer[1..].replace('/', ".");
                    let blamed = heard.problem().is_some_and(|problem| {
                        problem.code == Code::Invalid
                            && (problem.param.as_deref() == Some(&param) || problem.detail.contains(&param))
                    });
                    if heard.status >= 500 || blamed {
                        wrong.push(format!("{case}: at its edge {} {}", heard.status, heard.body));
                    }
                    checked += 1;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "of {checked} limits:\n{}", wrong.join("\n"));
    assert!(checked > 300, "only {checked} limits were found");
    server.down().await;
}
