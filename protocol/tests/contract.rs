//! The contract as it is committed: `openapi.json` and `asyncapi.json` say what the types say, the examples fit them,
//! what the types refuse they refuse, and the tables of the README name every code, reason and key there is.

#![cfg(feature = "schemas")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use boon::{Compiler, Draft, Schemas};
use kiez_protocol::openapi::Examples;
use kiez_protocol::refusal::{Code, MESSAGE_KEYS, close};
use kiez_protocol::routes::ROUTES;
use kiez_protocol::schema::{Components, MESSAGES, Way};
use kiez_protocol::{ASYNCAPI, OPENAPI, asyncapi::asyncapi, openapi::openapi};
use serde_json::{Value, json};

fn home(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn examples() -> Examples {
    let files = std::fs::read_dir(home("examples")).expect("the examples lie beside this crate's sources");
    let read = |file: std::io::Result<std::fs::DirEntry>| {
        let path = file.expect("a readable folder").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        let text = std::fs::read_to_string(&path).expect("a readable file");
        (name, serde_json::from_str(&text).expect("an example is JSON"))
    };
    files.map(read).collect()
}

/// With `KIEZ_WRITE_CONTRACT` set this writes the documents instead of comparing them.
#[test]
fn the_committed_documents_say_what_the_types_say() {
    let examples = examples();
    for (file, made, committed) in
        [("openapi.json", openapi(&examples), OPENAPI), ("asyncapi.json", asyncapi(&examples), ASYNCAPI)]
    {
        if std::env::var_os("KIEZ_WRITE_CONTRACT").is_some() {
            std::fs::write(home(file), &made).expect("the document can be written");
        } else {
            assert!(
                made == committed,
                "protocol/{file} is not what the types say. Write it anew, look at what has changed and commit it:\n\n    \
                 KIEZ_WRITE_CONTRACT=1 cargo test -p kiez-protocol --features schemas --test contract\n"
            );
        }
    }
}

fn parsed(document: &str) -> Value {
    serde_json::from_str(document).expect("the document is JSON")
}

/// The committed documents, ready to judge.
struct Judge {
    schemas: Schemas,
    compiler: Compiler,
    components: Components,
}

impl Judge {
    fn new() -> Judge {
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        for (file, document, draft) in [
            ("openapi.json", OPENAPI, "https://json-schema.org/draft/2020-12/schema"),
            ("asyncapi.json", ASYNCAPI, "http://json-schema.org/draft-07/schema"),
        ] {
            let mut document = parsed(document);
            document["$schema"] = draft.into();
            compiler.add_resource(&format!("kiez:///{file}"), document).expect("a resource");
        }
        compiler.set_default_draft(Draft::V2020_12);
        let components = Components::of(|name| !is_of_a_socket(name));
        Judge { schemas: Schemas::new(), compiler, components }
    }

    /// What is wrong with `value` as the message `name`, or nothing.
    fn fault(&mut self, name: &str, value: &Value) -> Option<String> {
        let message = name.split('.').next().expect("split gives at least one");
        let place = if is_of_a_socket(message) {
            format!("kiez:///asyncapi.json#/components/messages/{name}/payload")
        } else {
            format!("kiez:///openapi.json#/components/schemas/{}", self.components.name(message))
        };
        let index =
            self.compiler.compile(&place, &mut self.schemas).unwrap_or_else(|error| panic!("{place}: {error:#}"));
        self.schemas.validate(value, index).err().map(|error| format!("{name}: {error:#}"))
    }
}

fn is_of_a_socket(message: &str) -> bool {
    ["friend_frame", "friend_message", "ops_frame", "ops_message"].contains(&message)
}

#[test]
fn every_example_fits_its_schema() {
    let mut judge = Judge::new();
    for (name, value) in examples() {
        assert_eq!(judge.fault(&name, &value), None);
    }
}

#[test]
fn every_message_has_a_name_of_its_own() {
    let names: BTreeSet<&str> = MESSAGES.iter().map(|message| message.name).collect();
    assert_eq!(names.len(), MESSAGES.len());
    let names: BTreeSet<&str> = ROUTES.iter().map(|route| route.name).collect();
    assert_eq!(names.len(), ROUTES.len());
    let places: BTreeSet<_> = ROUTES.iter().map(|route| (route.path, route.method)).collect();
    assert_eq!(places.len(), ROUTES.len());
}

/// An example with one field set to another value.
fn with(name: &str, pointer: &str, value: Value) -> Value {
    let mut example = examples().remove(name).expect("the example is there");
    *example.pointer_mut(pointer).unwrap_or_else(|| panic!("{name} has {pointer}")) = value;
    example
}

#[test]
fn the_schemas_refuse_what_the_server_refuses() {
    let mut judge = Judge::new();
    for (name, pointer, value) in [
        ("post_job", "/location/lat", json!(91)),
        ("post_job", "/location", json!({"lat": 52.5})),
        ("post_job", "/urgency", json!("soon")),
        ("post_job", "/package", json!("Wi-Fi setup")),
        ("post_job", "/customer", json!({"name": "Erika Mustermann"})),
        ("post_job", "/customer/name", json!("   ")),
        ("post_job", "/customer/name", json!("x".repeat(201))),
        ("post_job", "/customer/phone", json!("030 123456")),
        ("post_job", "/windows/0/from", json!("2026-11-24")),
        ("post_job", "/windows/0/from", json!(1_795_536_000)),
        ("post_job", "/answers", json!({"Router!": "Fritz!Box"})),
        ("post_job", "/answers", json!({"rooms": 2.5})),
        ("edit_job", "/partner_ref", json!("")),
        ("cancel_job", "/reason", json!("x".repeat(301))),
        ("package", "/duration_min", json!(4)),
        ("package", "/pricing", json!({"kind": "fixed", "price": {"amount": 0, "currency": "EUR"}})),
        ("friend", "/communities", json!([])),
        ("friend", "/id", json!("42")),
        ("community", "/policy/seats", json!(17)),
        ("community", "/policy/normal/caps_m", json!([])),
        ("import_line.friend", "/kind", json!("neighbour")),
        ("token_request.friend", "/minutes", json!(0)),
        ("friend_frame.accept", "/type", json!("take")),
        ("friend_frame.accept", "/revision", json!(-1)),
        ("friend_frame.accept", "/revision", json!(4_294_967_296_u64)),
        ("friend_frame.accept", "/offer", json!("42")),
        ("friend_frame.fix", "/lat", json!(91)),
        ("friend_message.offer", "/net/currency", json!("USD")),
        ("ops_frame.subscribe", "/resolution", json!(3)),
        ("job_view", "/attempt", json!(-1)),
        ("problem", "/code", json!("no_such_code")),
    ] {
        assert!(judge.fault(name, &with(name, pointer, value)).is_some(), "{name} with another {pointer} fits");
    }
}

/// Bodies refuse a field that nobody knows. Frames and answers do not: the other side may be newer.
#[test]
fn only_bodies_refuse_an_unknown_field() {
    let mut judge = Judge::new();
    for (name, mut value) in examples() {
        let message = name.split('.').next().expect("split gives at least one");
        let way = MESSAGES.iter().find(|known| known.name == message).expect("every example is of a message").way;
        value.as_object_mut().expect("messages are objects").insert("strange".to_owned(), true.into());
        let refuses = way == Way::Taken && !is_of_a_socket(message);
        assert_eq!(judge.fault(&name, &value).is_some(), refuses, "{name} with a strange field");
    }
}

/// A field without which the types cannot read a message is required; the others are not.
#[test]
fn required_is_what_the_types_require() {
    let mut judge = Judge::new();
    for (name, value) in examples() {
        let fields: Vec<String> = value.as_object().expect("messages are objects").keys().cloned().collect();
        for field in fields {
            let mut less = value.clone();
            less.as_object_mut().expect("as before").remove(&field);
            // What the server writes, it writes whole; there the schema may ask for more than a reader needs.
            if readable(&name, &less) {
                let told = MESSAGES.iter().any(|message| name.starts_with(message.name) && message.way == Way::Told);
                assert!(
                    told || judge.fault(&name, &less).is_none(),
                    "{name}: {field} is required, but not by the types"
                );
            } else {
                assert!(judge.fault(&name, &less).is_some(), "{name}: {field} is required by the types");
            }
        }
    }
}

fn readable(name: &str, value: &Value) -> bool {
    use kiez_protocol::{desk, directory as d, friend as f, health as h, ops as o, partner as p, refusal as r};
    fn reads<T: serde::de::DeserializeOwned>(value: &Value) -> bool {
        serde_json::from_value::<T>(value.clone()).is_ok()
    }
    match name.split('.').next().expect("split gives at least one") {
        "friend_frame" => reads::<f::FriendFrame>(value),
        "friend_message" => reads::<f::Envelope>(value),
        "ops_frame" => reads::<o::OpsFrame>(value),
        "ops_message" => reads::<o::OpsMessage>(value),
        "post_job" => reads::<p::PostJob>(value),
        "edit_job" => reads::<p::EditJob>(value),
        "give_answers" => reads::<p::GiveAnswers>(value),
        "cancel_job" => reads::<p::CancelJob>(value),
        "customer_view" => reads::<kiez_protocol::customer::CustomerPage>(value),
        "confirm_proposal" => reads::<kiez_protocol::customer::ConfirmProposal>(value),
        "post_message" => reads::<kiez_protocol::customer::PostMessage>(value),
        "message_list" => reads::<kiez_protocol::customer::MessageList>(value),
        "job_view" => reads::<p::JobView>(value),
        "job_list" => reads::<p::JobList>(value),
        "package_list" => reads::<p::PackageList>(value),
        "listing" => reads::<kiez_protocol::listing::Listing>(value),
        "photo_view" => reads::<kiez_protocol::listing::PhotoView>(value),
        "problem" => reads::<r::Problem>(value),
        "dry_run" => reads::<p::DryRun>(value),
        "desk_list" => reads::<desk::DeskList>(value),
        "desk_job" => reads::<desk::DeskJob>(value),
        "desk_look" => reads::<desk::DeskLook>(value),
        "post_for_partner" => reads::<desk::PostForPartner>(value),
        "act_on_job" => reads::<desk::ActOnJob>(value),
        "assign_job" => reads::<desk::AssignJob>(value),
        "community" => reads::<d::Community>(value),
        "package" => reads::<d::Package>(value),
        "friend" => reads::<d::Friend>(value),
        "partner" => reads::<d::Partner>(value),
        "import_line" => reads::<d::ImportLine>(value),
        "import_report" => reads::<d::ImportReport>(value),
        "token_request" => reads::<d::TokenRequest>(value),
        "token_view" => reads::<d::TokenView>(value),
        "post_check" => reads::<kiez_protocol::people::PostCheck>(value),
        "because" => reads::<kiez_protocol::people::Because>(value),
        "set_brake" => reads::<kiez_protocol::people::SetBrake>(value),
        "account_view" => reads::<kiez_protocol::people::FriendAccount>(value),
        "friend_list" => reads::<kiez_protocol::people::FriendList>(value),
        "ops_friend" => reads::<kiez_protocol::people::OpsFriend>(value),
        "waitlist" => reads::<kiez_protocol::people::Waitlist>(value),
        "brake_view" => reads::<kiez_protocol::people::BrakeView>(value),
        "version_list" => reads::<kiez_protocol::people::VersionList>(value),
        "webhook" => reads::<kiez_protocol::webhook::Webhook>(value),
        "put_webhooks" => reads::<kiez_protocol::webhook::PutWebhooks>(value),
        "webhook_list" => reads::<kiez_protocol::webhook::WebhookList>(value),
        "delivery_list" => reads::<kiez_protocol::webhook::DeliveryList>(value),
        "audit_list" => reads::<kiez_protocol::audit::AuditList>(value),
        "liveness" => reads::<h::Liveness>(value),
        "readiness" => reads::<h::Readiness>(value),
        other => panic!("say here how {other} is read"),
    }
}

/// References that lead nowhere are found by nobody until a generator stumbles.
#[test]
fn every_reference_leads_somewhere() {
    for (file, document) in [("openapi.json", parsed(OPENAPI)), ("asyncapi.json", parsed(ASYNCAPI))] {
        let mut left = vec![&document];
        while let Some(value) = left.pop() {
            if let Some(path) = value.get("$ref").and_then(Value::as_str) {
                let pointer = path.strip_prefix('#').expect("references are local");
                assert!(document.pointer(pointer).is_some(), "{file}: {path}");
            }
            match value {
                Value::Object(object) => left.extend(object.values()),
                Value::Array(list) => left.extend(list),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
    }
}

/// The first cells of the README's table whose head begins with these cells.
fn table(head: &str) -> Vec<Vec<String>> {
    let readme = std::fs::read_to_string(home("README.md")).expect("the README");
    let rows = readme.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let rows: Vec<Vec<String>> = rows
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect())
        .collect();
    assert!(!rows.is_empty(), "the README has a table that begins {head}");
    rows
}

fn firsts(head: &str) -> Vec<String> {
    table(head).into_iter().map(|row| row[0].clone()).collect()
}

/// The values of an enum, as the documents know them.
fn values(name: &str) -> Vec<String> {
    let schema = parsed(ASYNCAPI)["components"]["schemas"][name].clone();
    let choices = schema["oneOf"].as_array().unwrap_or_else(|| panic!("{name} is an enum whose values are described"));
    choices.iter().map(|choice| choice["const"].as_str().expect("a word").to_owned()).collect()
}

#[test]
fn the_readme_names_every_code_with_its_status() {
    let told: BTreeMap<String, String> =
        table("| code | HTTP |").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let word = |code: &Code| serde_json::to_value(code).expect("a word").as_str().expect("a word").to_owned();
    let there: BTreeMap<String, String> =
        Code::ALL.iter().map(|code| (word(code), code.status().to_string())).collect();
    assert_eq!(told, there);
}

#[test]
fn the_readme_names_every_close_code() {
    let numbers = |cell: String| -> Vec<u16> {
        cell.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
    };
    let rows = table("| code | when | what the app does |");
    assert!(rows.iter().all(|row| row.len() == 3 && row.iter().all(|cell| !cell.is_empty())), "{rows:?}");
    let told: Vec<u16> = rows.into_iter().flat_map(|row| numbers(row[0].clone())).collect();
    let there: Vec<u16> = close::ALL.iter().map(|close| close.code).collect();
    assert_eq!(told, there);
}

#[test]
fn the_readme_names_every_reason() {
    for (head, name) in [
        ("| `offer_closed` |", "ClosedReason"),
        ("| `accept_result`, `lost` |", "LostReason"),
        ("| `decline` |", "DeclineReason"),
        ("| `result` |", "Verdict"),
    ] {
        let (told, there): (BTreeSet<String>, BTreeSet<String>) =
            (firsts(head).into_iter().collect(), values(name).into_iter().collect());
        assert_eq!(told, there, "{name}");
    }
}

#[test]
fn the_readme_names_every_text_of_an_error() {
    let there: Vec<String> = MESSAGE_KEYS.iter().map(|(key, _)| (*key).to_owned()).collect();
    assert_eq!(firsts("| `message_key` |"), there);
}

/// A route that the guide for partners shows is one of the document, and every route for partners is shown.
#[test]
fn the_readme_shows_every_route_for_partners() {
    let shown: BTreeSet<String> = firsts("| route | does | answer |")
        .into_iter()
        .map(|route| route.split('?').next().unwrap_or_default().to_owned())
        .collect();
    let there: BTreeSet<String> = ROUTES
        .iter()
        .filter(|route| route.who == kiez_protocol::routes::Who::Partner)
        .map(|route| format!("{} {}", route.method.to_uppercase(), route.path))
        .collect();
    assert_eq!(shown, there);
}
