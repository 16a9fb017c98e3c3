//! The examples are the wire as app authors see it: one for every message, each read by the types and written back the
//! same. A new variant does not compile here until it has a name, and fails until it has an example.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kiez_protocol::directory::{
    Community, Friend, ImportLine, ImportReport, Package, Partner, Policy, TokenRequest, TokenView,
};
use kiez_protocol::friend::{Envelope, FRIEND_FRAME_TYPES, FriendFrame, FriendMessage};
use kiez_protocol::ops::{OpsFrame, OpsMessage};
use kiez_protocol::partner::{CancelJob, EditJob, JobList, JobView, PackageList, PostJob};
use kiez_protocol::refusal::Problem;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The tags of an enum, and a function that names a value's. The `match` has no `_`, so that a new variant must be
/// added here.
macro_rules! tags {
    ($list:ident, $name:ident, $kind:ty { $($pattern:pat => $tag:literal,)* }) => {
        const $list: &[&str] = &[$($tag),*];
        fn $name(value: &$kind) -> &'static str {
            match value { $($pattern => $tag),* }
        }
    };
}

tags!(FRAMES, frame_tag, FriendFrame {
    FriendFrame::Hello { .. } => "hello",
    FriendFrame::Duty { .. } => "duty",
    FriendFrame::Fix { .. } => "fix",
    FriendFrame::Seen { .. } => "seen",
    FriendFrame::Accept { .. } => "accept",
    FriendFrame::Decline { .. } => "decline",
    FriendFrame::Visit { .. } => "visit",
    FriendFrame::Ack { .. } => "ack",
    FriendFrame::Ping { .. } => "ping",
    FriendFrame::Refresh { .. } => "refresh",
});

tags!(MESSAGES, message_tag, FriendMessage {
    FriendMessage::Welcome(_) => "welcome",
    FriendMessage::Snapshot(_) => "snapshot",
    FriendMessage::Offer(_) => "offer",
    FriendMessage::OfferUpdate(_) => "offer_update",
    FriendMessage::OfferClosed { .. } => "offer_closed",
    FriendMessage::AcceptPending { .. } => "accept_pending",
    FriendMessage::AcceptResult { .. } => "accept_result",
    FriendMessage::Job(_) => "job",
    FriendMessage::Done { .. } => "done",
    FriendMessage::Error { .. } => "error",
    FriendMessage::Pong { .. } => "pong",
    FriendMessage::Duty(_) => "duty",
    FriendMessage::Expiring { .. } => "expiring",
    FriendMessage::Refreshed { .. } => "refreshed",
    FriendMessage::StopLocation => "stop_location",
    FriendMessage::DutyEnding { .. } => "duty_ending",
    FriendMessage::CapNear(_) => "cap_near",
    FriendMessage::Draining { .. } => "draining",
});

tags!(OPS_FRAMES, ops_frame_tag, OpsFrame {
    OpsFrame::Subscribe { .. } => "subscribe",
});

tags!(OPS_MESSAGES, ops_message_tag, OpsMessage {
    OpsMessage::Snapshot(_) => "snapshot",
    OpsMessage::Change(_) => "change",
    OpsMessage::Error { .. } => "error",
});

tags!(IMPORT_KINDS, import_kind, ImportLine {
    ImportLine::Community(_) => "community",
    ImportLine::Package(_) => "package",
    ImportLine::Friend(_) => "friend",
    ImportLine::Partner(_) => "partner",
});

tags!(TOKEN_KINDS, token_kind, TokenRequest {
    TokenRequest::Friend { .. } => "friend",
    TokenRequest::Ops { .. } => "ops",
    TokenRequest::Partner { .. } => "partner",
});

/// Reads an example and writes it back.
type Check = fn(&str, Value);

/// Messages of a single form, by the name of their example.
const PLAIN: &[(&str, Check)] = &[
    ("post_job", same::<PostJob>),
    ("edit_job", same::<EditJob>),
    ("cancel_job", same::<CancelJob>),
    ("job_view", same::<JobView>),
    ("job_list", same::<JobList>),
    ("package_list", same::<PackageList>),
    ("problem", same::<Problem>),
    ("community", same::<Community>),
    ("package", same::<Package>),
    ("friend", same::<Friend>),
    ("partner", same::<Partner>),
    ("import_report", same::<ImportReport>),
    ("token_view", same::<TokenView>),
];

/// Every example by the name of its file without `.json`.
fn examples() -> BTreeMap<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = std::fs::read_dir(&folder).expect("the examples lie beside this crate's sources");
    let mut examples = BTreeMap::new();
    for file in files {
        let path = file.expect("a readable folder").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("file names are ASCII");
        let name = name.strip_suffix(".json").unwrap_or_else(|| panic!("{name} is not an example"));
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        examples.insert(name.to_owned(), value);
    }
    examples
}

fn read<T: DeserializeOwned>(name: &str, value: Value) -> T {
    serde_json::from_value(value).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn written(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("messages have string keys and finite numbers")
}

fn same<T: DeserializeOwned + Serialize>(name: &str, value: Value) {
    let message: T = read(name, value.clone());
    assert_eq!(written(&message), value, "{name} is written as it was read");
}

/// Reads an example, sees that it is what its name says, and writes it back.
fn check(name: &str, value: Value) {
    let (message, tag) = name.split_once('.').unwrap_or((name, ""));
    match message {
        "friend_frame" => assert_eq!(frame_tag(&read(name, value.clone())), tag, "{name}"),
        "friend_message" => assert_eq!(message_tag(&read::<Envelope>(name, value.clone()).message), tag, "{name}"),
        "ops_frame" => assert_eq!(ops_frame_tag(&read(name, value.clone())), tag, "{name}"),
        "ops_message" => assert_eq!(ops_message_tag(&read(name, value.clone())), tag, "{name}"),
        "import_line" => assert_eq!(import_kind(&read(name, value.clone())), tag, "{name}"),
        "token_request" => assert_eq!(token_kind(&read(name, value.clone())), tag, "{name}"),
        _ => {}
    }
    match message {
        "friend_frame" => same::<FriendFrame>(name, value),
        "friend_message" => same::<Envelope>(name, value),
        "ops_frame" => same::<OpsFrame>(name, value),
        "ops_message" => same::<OpsMessage>(name, value),
        "import_line" => same::<ImportLine>(name, value),
        "token_request" => same::<TokenRequest>(name, value),
        _ => {
            let plain = PLAIN.iter().find(|(plain, _)| *plain == message);
            let (_, same) = plain.unwrap_or_else(|| panic!("{name} is an example of no message"));
            same(name, value);
        }
    }
}

#[test]
fn every_example_is_read_and_written_back_the_same() {
    for (name, value) in examples() {
        check(&name, value);
    }
}

#[test]
fn every_message_has_an_example() {
    let tagged = [
        ("friend_frame", FRAMES),
        ("friend_message", MESSAGES),
        ("ops_frame", OPS_FRAMES),
        ("ops_message", OPS_MESSAGES),
        ("import_line", IMPORT_KINDS),
        ("token_request", TOKEN_KINDS),
    ];
    let tagged = tagged.iter().flat_map(|(name, tags)| tags.iter().map(move |tag| format!("{name}.{tag}")));
    let wanted: BTreeSet<String> = tagged.chain(PLAIN.iter().map(|(name, _)| (*name).to_owned())).collect();
    let there: BTreeSet<String> = examples().into_keys().collect();
    let missing: Vec<&String> = wanted.difference(&there).collect();
    assert!(missing.is_empty(), "no example for {missing:?}");
}

#[test]
fn the_list_of_frame_types_is_complete() {
    assert_eq!(FRAMES, FRIEND_FRAME_TYPES);
}

/// The first example of a message, with one field set to another value.
fn with(name: &str, pointer: &str, value: Value) -> Value {
    let mut example = examples().remove(name).expect("the example is there");
    *example.pointer_mut(pointer).unwrap_or_else(|| panic!("{name} has {pointer}")) = value;
    example
}

#[test]
fn what_is_not_a_slug_is_refused() {
    let long = "a".repeat(65);
    for slug in ["", "-wifi", "_wifi", "Wifi", "wifi setup", "wifi/setup", "wïfi", "wifi.setup", &long] {
        let job = with("post_job", "/package", slug.into());
        assert!(serde_json::from_value::<PostJob>(job).is_err(), "{slug:?} is taken for a slug");
    }
    let longest = "a".repeat(64);
    for slug in ["7", "wifi-setup", "wifi_setup", "0-a_b", &longest] {
        let job: PostJob = read("post_job", with("post_job", "/package", slug.into()));
        assert_eq!(job.package.as_str(), slug);
    }
}

#[test]
fn what_is_not_on_earth_is_refused() {
    for (pointer, value) in [
        ("/location/lat", Value::from(90.000_001)),
        ("/location/lat", Value::from(-91)),
        ("/location/lat", Value::from(1e300)),
        ("/location/lat", Value::Null),
        ("/location/lat", Value::from("52.5")),
        ("/location/lng", Value::from(180.5)),
        ("/location/lng", Value::from(-181)),
    ] {
        let job = with("post_job", pointer, value.clone());
        assert!(serde_json::from_value::<PostJob>(job).is_err(), "{pointer} = {value} is on earth");
    }
    for (pointer, value) in [("/location/lat", 90.0), ("/location/lat", -90.0), ("/location/lng", -180.0)] {
        let job: PostJob = read("post_job", with("post_job", pointer, value.into()));
        assert!([job.location.lat(), job.location.lng()].contains(&value));
    }
    assert!(serde_json::from_str::<PostJob>(r#"{"location": {"lat": NaN, "lng": 0}}"#).is_err(), "NaN is not JSON");
}

#[test]
fn what_is_not_an_instant_is_refused() {
    for text in ["", "2026-11-24", "2026-11-24T16:00:00", "16:00", "2026-13-24T16:00:00Z", "yesterday"] {
        let job = with("post_job", "/windows/0/from", text.into());
        assert!(serde_json::from_value::<PostJob>(job).is_err(), "{text:?} is taken for an instant");
    }
    assert!(serde_json::from_value::<PostJob>(with("post_job", "/windows/0/from", 1_795_536_000.into())).is_err());
    for text in ["2026-11-24T16:00:00Z", "2026-11-24T17:00:00+01:00", "2026-11-24T16:00:00.000000Z"] {
        let job: PostJob = read("post_job", with("post_job", "/windows/0/from", text.into()));
        assert_eq!(written(&job.windows[0].from), Value::from("2026-11-24T16:00:00.000Z"), "{text}");
    }
}

/// Bodies refuse a field nobody knows, so that a misspelt one is not lost in silence; frames from newer apps may carry
/// what this server does not know.
#[test]
fn unknown_fields_are_refused_in_bodies_and_ignored_in_frames() {
    let strange = |name: &str| {
        let mut example = examples().remove(name).expect("the example is there");
        example.as_object_mut().expect("messages are objects").insert("strange".to_owned(), true.into());
        example
    };
    assert!(serde_json::from_value::<PostJob>(strange("post_job")).is_err());
    assert!(serde_json::from_value::<EditJob>(strange("edit_job")).is_err());
    assert!(serde_json::from_value::<ImportLine>(strange("import_line.friend")).is_err());
    assert!(serde_json::from_value::<TokenRequest>(strange("token_request.ops")).is_err());
    for tag in FRAMES {
        let name = format!("friend_frame.{tag}");
        let frame: FriendFrame = read(&name, strange(&name));
        assert_eq!(frame_tag(&frame), *tag);
    }
}

#[test]
fn the_example_policy_is_the_default() {
    let ImportLine::Community(community) =
        read("import_line.community", with("import_line.community", "/slug", "c".into()))
    else {
        panic!("a community line is a community");
    };
    assert_eq!(community.policy, Policy::default());
}

/// The files that the README imports, in its order: what a line names stands in an earlier one.
#[test]
fn the_import_files_of_the_readme_fit_together() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut known: BTreeSet<String> = BTreeSet::new();
    for file in ["communities", "packages", "partners", "friends"] {
        let text = std::fs::read_to_string(folder.join(file).with_extension("ndjson")).expect("a readable file");
        for (index, line) in text.lines().enumerate() {
            let line: ImportLine =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{file} line {}: {error}", index + 1));
            let named = match &line {
                ImportLine::Community(_) => Vec::new(),
                ImportLine::Package(package) => package.communities.clone(),
                ImportLine::Friend(friend) => friend.communities.clone(),
                ImportLine::Partner(partner) => partner.community.clone().into_iter().collect(),
            };
            for community in named {
                assert!(known.contains(community.as_str()), "{file} line {}: {community} is unknown", index + 1);
            }
            if let ImportLine::Community(community) = line {
                known.insert(community.slug.into());
            }
        }
    }
    let job = std::fs::read_to_string(folder.join("job.json")).expect("a readable file");
    let job: PostJob = serde_json::from_str(&job).expect("the README's first job");
    assert_eq!(job.package.as_str(), "wifi-setup");
}

#[cfg(feature = "schemas")]
mod schema {
    //! The schema says of the examples what the types say. The check below knows the words that the schemas use, and
    //! fails at one it does not know.

    use super::{PLAIN, Value, examples, with};
    use kiez_protocol::schema;
    use serde_json::json;

    fn schemas() -> Vec<(&'static str, Value)> {
        schema::all().into_iter().map(|(name, schema)| (name, schema.to_value())).collect()
    }

    /// What is wrong with `value`, or nothing.
    fn fault(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
        let Value::Object(schema) = schema else {
            return (schema != &Value::Bool(true)).then(|| format!("{at}: nothing fits here"));
        };
        let any = |list: &Value| {
            let faults: Vec<String> =
                list.as_array()?.iter().map(|one| fault(root, one, value, at)).collect::<Option<_>>()?;
            Some(format!("{at}: none of {}: {}", faults.len(), faults.join("; ")))
        };
        schema.iter().find_map(|(word, rule)| match word.as_str() {
            "$schema" | "title" | "description" | "default" | "$defs" | "format" | "pattern" => None,
            "$ref" => {
                let path = rule.as_str().and_then(|path| path.strip_prefix('#')).expect("references are local");
                fault(root, root.pointer(path).expect("the definition is there"), value, at)
            }
            "type" => {
                let fits = |kind: &Value| match kind.as_str().expect("types are names") {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("unknown type {other}"),
                };
                let fits = rule.as_array().map_or_else(|| fits(rule), |kinds| kinds.iter().any(fits));
                (!fits).then(|| format!("{at}: {value} is not {rule}"))
            }
            "const" => (value != rule).then(|| format!("{at}: {value} is not {rule}")),
            "enum" => {
                let fits = rule.as_array().expect("a list").contains(value);
                (!fits).then(|| format!("{at}: {value} is none of {rule}"))
            }
            "required" => {
                let absent = rule.as_array()?.iter().find(|name| value.get(name.as_str().unwrap_or("")).is_none())?;
                Some(format!("{at}: {absent} is missing"))
            }
            "properties" => rule.as_object()?.iter().find_map(|(name, rule)| {
                value.get(name).and_then(|value| fault(root, rule, value, &format!("{at}/{name}")))
            }),
            // The one pattern is that of a slug, which the types check.
            "patternProperties" => {
                let rule = rule.as_object()?.values().next()?;
                value.as_object()?.iter().find_map(|(name, value)| fault(root, rule, value, &format!("{at}/{name}")))
            }
            "additionalProperties" if schema.contains_key("patternProperties") => None,
            "additionalProperties" | "unevaluatedProperties" => {
                let declared = schema.get("properties").and_then(Value::as_object);
                let tag = |name: &str| word == "unevaluatedProperties" && (name == "type" || name == "kind");
                value.as_object()?.iter().find_map(|(name, value)| {
                    let known = declared.is_some_and(|declared| declared.contains_key(name)) || tag(name);
                    if known { None } else { fault(root, rule, value, &format!("{at}/{name}")) }
                })
            }
            "items" => value.as_array()?.iter().find_map(|value| fault(root, rule, value, &format!("{at}/*"))),
            "minItems" => (value.as_array()?.len() as u64).lt(&rule.as_u64()?).then(|| format!("{at}: too few")),
            "maxItems" => (value.as_array()?.len() as u64).gt(&rule.as_u64()?).then(|| format!("{at}: too many")),
            "minimum" => (value.as_f64()? < rule.as_f64()?).then(|| format!("{at}: {value} is below {rule}")),
            "maximum" => (value.as_f64()? > rule.as_f64()?).then(|| format!("{at}: {value} is above {rule}")),
            "oneOf" | "anyOf" => any(rule),
            "allOf" => rule.as_array()?.iter().find_map(|one| fault(root, one, value, at)),
            other => panic!("{at}: the check does not know {other}"),
        })
    }

    fn fault_of(name: &str, value: &Value) -> Option<String> {
        let message = name.split('.').next().expect("split gives at least one");
        let schemas = schemas();
        let (_, schema) =
            schemas.iter().find(|(of, _)| *of == message).unwrap_or_else(|| panic!("no schema for {message}"));
        fault(schema, schema, value, name)
    }

    #[test]
    fn every_example_fits_its_schema() {
        for (name, value) in examples() {
            assert_eq!(fault_of(&name, &value), None);
        }
    }

    #[test]
    fn every_message_is_listed_once() {
        let mut names: Vec<&str> = schemas().iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), schemas().len());
        assert!(PLAIN.iter().all(|(plain, _)| names.contains(plain)));
    }

    #[test]
    fn the_schema_refuses_what_the_types_refuse() {
        for (name, pointer, value) in [
            ("post_job", "/location/lat", json!(91)),
            ("post_job", "/urgency", json!("soon")),
            ("post_job", "/customer", json!({"name": "Erika Mustermann"})),
            ("friend_frame.accept", "/type", json!("take")),
            ("friend_message.offer", "/net/currency", json!("USD")),
            ("job_view", "/attempt", json!(-1)),
        ] {
            assert!(fault_of(name, &with(name, pointer, value)).is_some(), "{name} with another {pointer} fits");
        }
    }
}
