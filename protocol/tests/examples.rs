//! The examples are the wire as app authors see it: one for every message, each read by the types and written back the
//! same. A new variant does not compile here until it has a name, and fails until it has an example.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kiez_protocol::desk::{ActOnJob, AssignJob, DeskJob, DeskList, DeskLook, PostForPartner};
use kiez_protocol::directory::{
    Community, Friend, ImportLine, ImportReport, Package, Partner, Policy, TokenRequest, TokenView,
};
use kiez_protocol::friend::{Envelope, FRIEND_FRAME_TYPES, FriendFrame, FriendMessage};
use kiez_protocol::health::{Liveness, Readiness};
use kiez_protocol::ops::{OpsFrame, OpsMessage};
use kiez_protocol::partner::{CancelJob, DryRun, EditJob, GiveAnswers, JobList, JobView, PackageList, PostJob};
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
    FriendFrame::Undo { .. } => "undo",
    FriendFrame::Ask { .. } => "ask",
    FriendFrame::Propose { .. } => "propose",
    FriendFrame::Message { .. } => "message",
    FriendFrame::Visit { .. } => "visit",
    FriendFrame::Missed { .. } => "missed",
    FriendFrame::WhyNot { .. } => "why_not",
    FriendFrame::Ack { .. } => "ack",
    FriendFrame::Ping { .. } => "ping",
    FriendFrame::Settings { .. } => "settings",
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
    FriendMessage::Answer { .. } => "answer",
    FriendMessage::Message(_) => "message",
    FriendMessage::Done { .. } => "done",
    FriendMessage::Error { .. } => "error",
    FriendMessage::Pong { .. } => "pong",
    FriendMessage::Duty(_) => "duty",
    FriendMessage::Expiring { .. } => "expiring",
    FriendMessage::Refreshed { .. } => "refreshed",
    FriendMessage::StopLocation => "stop_location",
    FriendMessage::DutyEnding { .. } => "duty_ending",
    FriendMessage::CapNear(_) => "cap_near",
    FriendMessage::Missed(_) => "missed",
    FriendMessage::Why(_) => "why",
    FriendMessage::SettingsResult { .. } => "settings_result",
    FriendMessage::Account { .. } => "account",
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
    ("give_answers", same::<GiveAnswers>),
    ("cancel_job", same::<CancelJob>),
    ("dry_run", same::<DryRun>),
    ("desk_list", same::<DeskList>),
    ("desk_job", same::<DeskJob>),
    ("desk_look", same::<DeskLook>),
    ("post_for_partner", same::<PostForPartner>),
    ("act_on_job", same::<ActOnJob>),
    ("assign_job", same::<AssignJob>),
    ("customer_view", same::<kiez_protocol::customer::CustomerPage>),
    ("confirm_proposal", same::<kiez_protocol::customer::ConfirmProposal>),
    ("post_message", same::<kiez_protocol::customer::PostMessage>),
    ("message_list", same::<kiez_protocol::customer::MessageList>),
    ("job_view", same::<JobView>),
    ("job_list", same::<JobList>),
    ("package_list", same::<PackageList>),
    ("listing", same::<kiez_protocol::listing::Listing>),
    ("photo_view", same::<kiez_protocol::listing::PhotoView>),
    ("problem", same::<Problem>),
    ("community", same::<Community>),
    ("package", same::<Package>),
    ("friend", same::<Friend>),
    ("partner", same::<Partner>),
    ("import_report", same::<ImportReport>),
    ("token_view", same::<TokenView>),
    ("post_check", same::<kiez_protocol::people::PostCheck>),
    ("because", same::<kiez_protocol::people::Because>),
    ("set_brake", same::<kiez_protocol::people::SetBrake>),
    ("account_view", same::<kiez_protocol::people::FriendAccount>),
    ("friend_list", same::<kiez_protocol::people::FriendList>),
    ("ops_friend", same::<kiez_protocol::people::OpsFriend>),
    ("waitlist", same::<kiez_protocol::people::Waitlist>),
    ("brake_view", same::<kiez_protocol::people::BrakeView>),
    ("version_list", same::<kiez_protocol::people::VersionList>),
    ("webhook", same::<kiez_protocol::webhook::Webhook>),
    ("put_webhooks", same::<kiez_protocol::webhook::PutWebhooks>),
    ("webhook_list", same::<kiez_protocol::webhook::WebhookList>),
    ("delivery_list", same::<kiez_protocol::webhook::DeliveryList>),
    ("audit_list", same::<kiez_protocol::audit::AuditList>),
    ("liveness", same::<Liveness>),
    ("readiness", same::<Readiness>),
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
