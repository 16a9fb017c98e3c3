//! The AsyncAPI 3 document: the two sockets, every frame and message with its schema and its examples, which answers a
//! frame may get, and how a socket ends. The committed `asyncapi.json` is this function's answer, and a test fails when
//! it is not.
//!
//! `action` is from the application's view, and the application is the server: it receives frames and sends messages.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::FRIEND_SUBPROTOCOL;
use crate::openapi::{Examples, info};
use crate::refusal::{MESSAGE_KEYS, close};
use crate::schema::{Components, page};

const ABOUT: &str = "The sockets of the dispatch server for neighbourhood tech help: `friend` for the app of a friend, \
    `ops` for the live map. What goes by HTTP is in `/openapi.json`; the guide for app authors is `protocol/README.md`.\n\n\
    `receive` and `send` are from the server's view: an app sends what the server receives. One JSON object in each text \
    message. The server ignores fields it does not know; so does an app, and it ignores types it does not know, for \
    either may be older than the other.";

/// A socket: what is said on it, by whom, and what answers what.
struct Channel {
    name: &'static str,
    path: &'static str,
    about: &'static str,
    subprotocol: Option<&'static str>,
    /// The message whose variants the server receives.
    frames: &'static str,
    /// The message whose variants the server sends.
    messages: &'static str,
    /// Every frame with the messages that may answer it.
    answers: &'static [(&'static str, &'static [&'static str])],
    /// The messages that come unasked.
    unasked: &'static [&'static str],
}

const CHANNELS: &[Channel] = &[
    Channel {
        name: "friend",
        path: "/v1/friend",
        about: "The app of a friend. The first frame is `hello`, within five seconds.",
        subprotocol: Some(FRIEND_SUBPROTOCOL),
        frames: "friend_frame",
        messages: "friend_message",
        answers: &[
            ("hello", &["welcome", "snapshot", "draining", "error"]),
            ("duty", &["duty", "done", "error"]),
            ("fix", &["stop_location", "error"]),
            ("seen", &["error"]),
            ("accept", &["accept_pending", "accept_result", "error"]),
            ("decline", &["offer_closed", "done", "error"]),
            ("ask", &["done", "offer_update", "error"]),
            ("propose", &["done", "offer_update", "accept_result", "error"]),
            ("message", &["done", "error"]),
            ("undo", &["offer_update", "done", "error"]),
            ("visit", &["done", "job", "error"]),
            ("ack", &["error"]),
            ("missed", &["missed", "error"]),
            ("why_not", &["why", "error"]),
            ("ping", &["pong", "error"]),
            ("settings", &["settings_result", "error"]),
            ("refresh", &["refreshed", "error"]),
        ],
        unasked: &[
            "offer",
            "offer_update",
            "offer_closed",
            "accept_result",
            "answer",
            "message",
            "job",
            "duty",
            "expiring",
            "stop_location",
            "duty_ending",
            "cap_near",
            "account",
            "draining",
        ],
    },
    Channel {
        name: "ops",
        path: "/v1/ops/feed",
        about: "The live map. The first frame is `subscribe` with an ops token, within five seconds; then a snapshot, then \
            changes, at most two a second.",
        subprotocol: None,
        frames: "ops_frame",
        messages: "ops_message",
        answers: &[("subscribe", &["snapshot", "error"])],
        unasked: &["change"],
    },
];

/// The document, as it is committed and served.
///
/// # Panics
/// When a frame or message is in no table here, or a table names one that is not there.
pub fn asyncapi(examples: &Examples) -> String {
    let sockets: Vec<&str> = CHANNELS.iter().flat_map(|channel| [channel.frames, channel.messages]).collect();
    let components = Components::in_draft7(|name| sockets.contains(&name));
    let mut schemas = components.schemas.clone();
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    for channel in CHANNELS {
        let frames = variants(&mut schemas, components.name(channel.frames));
        let told = variants(&mut schemas, components.name(channel.messages));
        check(channel, &frames, &told);
        for (kind, variants) in [(channel.frames, &frames), (channel.messages, &told)] {
            for (tag, schema) in variants {
                messages.insert(format!("{kind}.{tag}"), message(kind, tag, schema, examples));
            }
        }
        channels.insert(channel.name.to_owned(), described(channel, &frames, &told));
        for (frame, answers) in channel.answers {
            operations.insert(format!("{}.{frame}", channel.name), received(channel, frame, answers));
        }
        operations.insert(format!("{}.unasked", channel.name), unasked(channel));
    }
    page(&[
        ("asyncapi", json!("3.0.0")),
        ("info", asyncapi_info()),
        ("defaultContentType", json!("application/json")),
        (
            "servers",
            json!({
                "default": {"host": "127.0.0.1:8080", "protocol": "ws", "description": "`server.listen`, by default."},
            }),
        ),
        ("channels", Value::Object(channels)),
        ("operations", Value::Object(operations)),
        ("components", json!({"messages": messages, "schemas": schemas})),
    ])
}

fn asyncapi_info() -> Value {
    let mut info = info("kiez sockets", ABOUT);
    // AsyncAPI knows a licence by name and address only.
    info["license"] = json!({"name": "Apache-2.0 OR MIT"});
    info
}

/// Takes an enum of messages apart: the schema of each by its `type`. The enum itself goes, for nothing refers to it.
fn variants(schemas: &mut BTreeMap<String, Value>, name: &str) -> BTreeMap<String, Value> {
    let whole = schemas.remove(name).expect("the schema was asked for");
    let choices = whole["oneOf"].as_array().expect("messages are told apart by `type`");
    let shared = whole.get("properties").and_then(Value::as_object);
    let variant = |choice: &Value| {
        let mut schema = choice.clone();
        let tag = schema["properties"]["type"]["const"].as_str().expect("every variant has its type").to_owned();
        for (field, about) in shared.into_iter().flatten() {
            schema["properties"][field] = about.clone();
        }
        (tag, schema)
    };
    choices.iter().map(variant).collect()
}

fn check(channel: &Channel, frames: &BTreeMap<String, Value>, told: &BTreeMap<String, Value>) {
    let name = channel.name;
    let answered: Vec<&str> = channel.answers.iter().map(|(frame, _)| *frame).collect();
    let said: Vec<&str> =
        channel.answers.iter().flat_map(|(_, answers)| *answers).chain(channel.unasked).copied().collect();
    for frame in frames.keys() {
        assert!(answered.contains(&frame.as_str()), "{name}: say in the table what answers the frame {frame}");
    }
    for message in told.keys() {
        assert!(said.contains(&message.as_str()), "{name}: say in the table when the message {message} comes");
    }
    assert!(answered.iter().all(|frame| frames.contains_key(*frame)), "{name}: a frame of the table is none");
    assert!(said.iter().all(|message| told.contains_key(*message)), "{name}: a message of the table is none");
}

fn message(kind: &str, tag: &str, schema: &Value, examples: &Examples) -> Value {
    let name = format!("{kind}.{tag}");
    let example = examples.get(&name).unwrap_or_else(|| panic!("{name} has no example"));
    json!({
        "name": tag,
        "summary": schema["description"],
        "payload": schema,
        "examples": [{"name": name, "payload": example}],
    })
}

fn described(channel: &Channel, frames: &BTreeMap<String, Value>, told: &BTreeMap<String, Value>) -> Value {
    let named = |kind: &str, tags: &BTreeMap<String, Value>| {
        tags.keys()
            .map(|tag| format!("{kind}.{tag}"))
            .map(|name| {
                let refer = json!({"$ref": format!("#/components/messages/{name}")});
                (name, refer)
            })
            .collect::<Vec<_>>()
    };
    let messages: Map<String, Value> =
        named(channel.frames, frames).into_iter().chain(named(channel.messages, told)).collect();
    let mut binding = json!({"method": "GET", "bindingVersion": "0.1.0"});
    let mut described = json!({
        "address": channel.path,
        "description": channel.about,
        "messages": messages,
        "x-close-codes": close::ALL.iter().map(|close| {
            json!({"code": close.code, "when": close.when, "then": close.then})
        }).collect::<Vec<_>>(),
    });
    if let Some(subprotocol) = channel.subprotocol {
        let header = json!({"type": "string", "const": subprotocol});
        binding["headers"] = json!({
            "type": "object",
            "properties": {"Sec-WebSocket-Protocol": header},
            "required": ["Sec-WebSocket-Protocol"],
        });
        described["x-message-keys"] = MESSAGE_KEYS.iter().map(|(key, says)| ((*key).to_owned(), json!(says))).collect();
    }
    described["bindings"] = json!({"ws": binding});
    described
}

fn received(channel: &Channel, frame: &str, answers: &[&str]) -> Value {
    json!({
        "action": "receive",
        "channel": channel_of(channel),
        "messages": [message_of(channel, channel.frames, frame)],
        "reply": {
            "channel": channel_of(channel),
            "messages": answers.iter().map(|tag| message_of(channel, channel.messages, tag)).collect::<Vec<_>>(),
        },
    })
}

fn unasked(channel: &Channel) -> Value {
    json!({
        "action": "send",
        "channel": channel_of(channel),
        "summary": "What the server tells unasked.",
        "messages": channel.unasked.iter().map(|tag| message_of(channel, channel.messages, tag)).collect::<Vec<_>>(),
    })
}

fn channel_of(channel: &Channel) -> Value {
    json!({"$ref": format!("#/channels/{}", channel.name)})
}

fn message_of(channel: &Channel, kind: &str, tag: &str) -> Value {
    json!({"$ref": format!("#/channels/{}/messages/{kind}.{tag}", channel.name)})
}
