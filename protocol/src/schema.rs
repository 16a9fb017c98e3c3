//! JSON Schema of every message, from the same types that read and write it. The documents of the contract are made of
//! it (`openapi`, `asyncapi`); a server at work does not need it.
//!
//! What the server takes and what it tells differ where the same type travels both ways. A body refuses unknown fields
//! and lets fields with a default out; an answer has those fields always, never writes `null` for one that is absent, and
//! may get new ones, which a client ignores. So such a type has two schemas: `Money` in a body, `MoneyView` in an answer.

use std::collections::{BTreeMap, BTreeSet};

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::audit::{AuditList, SubjectKind};
use crate::customer::{ConfirmProposal, CustomerPage, MessageList, PostMessage};
use crate::desk::{ActOnJob, AssignJob, DeskJob, DeskList, DeskLook, PostForPartner};
use crate::directory::{Community, Friend, ImportLine, ImportReport, Package, Partner, TokenRequest, TokenView};
use crate::friend::{Envelope, FriendFrame};
use crate::health::{Liveness, Readiness};
use crate::ids::{EndpointId, FriendId, JobId, OfferId, PackageSlug};
use crate::listing::{Listing, PhotoView};
use crate::ops::{OpsFrame, OpsMessage};
use crate::partner::{CancelJob, DryRun, EditJob, GiveAnswers, JobList, JobState, JobView, PackageList, PostJob};
use crate::people::{
    Because, BrakeView, FriendAccount, FriendList, OpsFriend, PostCheck, SetBrake, VersionList, Waitlist,
};
use crate::refusal::Problem;
use crate::webhook::{DeliveryList, DeliveryState, PutWebhooks, Webhook, WebhookList};

/// Who writes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The client; the server takes it.
    Taken,
    /// The server.
    Told,
}

/// A message of the wire.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Its name: that of its examples, `examples/name.json` and `examples/name.*.json`.
    pub name: &'static str,
    /// Who writes it.
    pub way: Way,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

/// Every message of the wire, once. A `friend_message` is described as it travels: in its [`Envelope`].
pub const MESSAGES: &[Message] = &[
    taken::<FriendFrame>("friend_frame"),
    told::<Envelope>("friend_message"),
    taken::<OpsFrame>("ops_frame"),
    told::<OpsMessage>("ops_message"),
    taken::<PostJob>("post_job"),
    taken::<EditJob>("edit_job"),
    taken::<GiveAnswers>("give_answers"),
    taken::<CancelJob>("cancel_job"),
    told::<CustomerPage>("customer_view"),
    taken::<ConfirmProposal>("confirm_proposal"),
    taken::<PostMessage>("post_message"),
    told::<MessageList>("message_list"),
    told::<JobView>("job_view"),
    told::<JobList>("job_list"),
    told::<PackageList>("package_list"),
    told::<Listing>("listing"),
    told::<PhotoView>("photo_view"),
    told::<Problem>("problem"),
    told::<DryRun>("dry_run"),
    told::<DeskList>("desk_list"),
    told::<DeskJob>("desk_job"),
    told::<DeskLook>("desk_look"),
    taken::<PostForPartner>("post_for_partner"),
    taken::<ActOnJob>("act_on_job"),
    taken::<AssignJob>("assign_job"),
    taken::<Community>("community"),
    taken::<Package>("package"),
    taken::<Friend>("friend"),
    taken::<Partner>("partner"),
    taken::<ImportLine>("import_line"),
    told::<ImportReport>("import_report"),
    taken::<TokenRequest>("token_request"),
    told::<TokenView>("token_view"),
    told::<Webhook>("webhook"),
    taken::<PutWebhooks>("put_webhooks"),
    told::<WebhookList>("webhook_list"),
    told::<DeliveryList>("delivery_list"),
    told::<AuditList>("audit_list"),
    taken::<PostCheck>("post_check"),
    taken::<Because>("because"),
    taken::<SetBrake>("set_brake"),
    told::<FriendAccount>("account_view"),
    told::<FriendList>("friend_list"),
    told::<OpsFriend>("ops_friend"),
    told::<Waitlist>("waitlist"),
    told::<BrakeView>("brake_view"),
    told::<VersionList>("version_list"),
    told::<Liveness>("liveness"),
    told::<Readiness>("readiness"),
];

/// What parameters of routes take, beside the messages.
const WORDS: &[Message] = &[
    taken::<JobId>("job_id"),
    taken::<OfferId>("offer_id"),
    taken::<FriendId>("friend_id"),
    taken::<PackageSlug>("slug"),
    taken::<JobState>("job_state"),
    taken::<SubjectKind>("subject_kind"),
    taken::<EndpointId>("endpoint_id"),
    taken::<DeliveryState>("delivery_state"),
];

const fn taken<T: JsonSchema>(name: &'static str) -> Message {
    Message { name, way: Way::Taken, schema: SchemaGenerator::subschema_for::<T> }
}

const fn told<T: JsonSchema>(name: &'static str) -> Message {
    Message { name, way: Way::Told, schema: SchemaGenerator::subschema_for::<T> }
}

/// The schemas of a document: what it refers to, and where it finds each message.
#[derive(Clone, Debug, Default)]
pub struct Components {
    /// The schemas by name, for `components/schemas`.
    pub schemas: BTreeMap<String, Value>,
    names: BTreeMap<&'static str, String>,
}

impl Components {
    /// The schemas of the messages that `wanted` picks, in JSON Schema 2020-12, as OpenAPI 3.1 speaks it.
    pub fn of(wanted: impl Fn(&str) -> bool) -> Components {
        Components::under(&SchemaSettings::draft2020_12(), &wanted)
    }

    /// The same in draft 7, as AsyncAPI 3 speaks it.
    pub fn in_draft7(wanted: impl Fn(&str) -> bool) -> Components {
        Components::under(&SchemaSettings::draft07(), &wanted)
    }

    fn under(settings: &SchemaSettings, wanted: &dyn Fn(&str) -> bool) -> Components {
        let settings = settings.clone().with(|settings| settings.definitions_path = "/components/schemas".into());
        let mut names = BTreeMap::new();
        let mut generated = |way: Way| {
            let settings = match way {
                Way::Taken => settings.clone().for_deserialize(),
                Way::Told => settings.clone().for_serialize(),
            };
            let mut generator = settings.into_generator();
            for message in MESSAGES.iter().chain(WORDS).filter(|message| message.way == way && wanted(message.name)) {
                let schema = (message.schema)(&mut generator);
                let name = referred(schema.as_value()).expect("messages are types with names").to_owned();
                names.insert(message.name, name);
            }
            generator.take_definitions(true)
        };
        let (mut taken, mut told) = (generated(Way::Taken), generated(Way::Told));
        taken.values_mut().for_each(bound);
        for schema in told.values_mut() {
            bound(schema);
            open(schema);
        }
        let differing = differing(&taken, &told);
        for message in MESSAGES.iter().filter(|message| message.way == Way::Told) {
            if let Some(name) = names.get_mut(message.name).filter(|name| differing.contains(*name)) {
                *name = as_answered(name);
            }
        }
        let mut schemas: BTreeMap<String, Value> = taken.into_iter().collect();
        for (name, mut schema) in told {
            refer(&mut schema, &differing);
            schemas.insert(if differing.contains(&name) { as_answered(&name) } else { name }, schema);
        }
        Components { schemas, names }
    }

    /// The name of a message's schema.
    ///
    /// # Panics
    /// When the message is not among those that were wanted: a mistake in a table of this crate.
    pub fn name(&self, message: &str) -> &str {
        self.names.get(message).unwrap_or_else(|| panic!("the document needs the schema of {message}"))
    }

    /// A reference to a message's schema.
    pub fn refer(&self, message: &str) -> Value {
        json!({"$ref": format!("#/components/schemas/{}", self.name(message))})
    }
}

/// The bounds of integers whose format alone would say them.
fn bound(schema: &mut Value) {
    walk(schema, &mut |object| {
        if object.get("format").is_some_and(|format| format == "uint32") && !object.contains_key("maximum") {
            object.insert("maximum".to_owned(), u32::MAX.into());
        }
    });
}

/// An answer may get new fields, and has no `null`: what is absent is left out.
fn open(schema: &mut Value) {
    walk(schema, &mut |object| {
        for word in ["additionalProperties", "unevaluatedProperties"] {
            // Beside a pattern it speaks of the keys of a map, not of fields.
            let of_a_map = object.contains_key("patternProperties");
            if !of_a_map && object.get(word) == Some(&Value::Bool(false)) {
                object.remove(word);
            }
        }
        let required = object.get("required").cloned().unwrap_or_default();
        let is_required = |name: &str| required.as_array().is_some_and(|names| names.iter().any(|one| one == name));
        let properties = object.get_mut("properties").and_then(Value::as_object_mut);
        for (_, property) in properties.into_iter().flatten().filter(|(name, _)| !is_required(name)) {
            if let Some(property) = property.as_object_mut() {
                without_null(property);
            }
        }
    });
}

fn without_null(property: &mut Map<String, Value>) {
    if let Some(Value::Array(kinds)) = property.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_slice() {
            let kind = kind.clone();
            property.insert("type".to_owned(), kind);
        }
    }
    if let Some(Value::Array(choices)) = property.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            property.remove("anyOf");
            // Draft 7 reads nothing beside a reference.
            let alone = only.contains_key("$ref") && !property.is_empty();
            let only = if alone { Map::from_iter([("allOf".to_owned(), json!([only]))]) } else { only };
            property.extend(only);
        }
    }
}

/// The types whose two schemas differ, or lead to ones that do.
fn differing(taken: &Map<String, Value>, told: &Map<String, Value>) -> BTreeSet<String> {
    let shared: Vec<&String> = told.keys().filter(|name| taken.contains_key(*name)).collect();
    let mut differing: BTreeSet<String> =
        shared.iter().filter(|name| taken[**name] != told[**name]).map(|name| (*name).clone()).collect();
    loop {
        let leads = |name: &&&String| {
            let mut leads = false;
            let mut schema = told[**name].clone();
            walk(&mut schema, &mut |object| {
                let to = object.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
                leads |= to.is_some_and(|to| differing.contains(to));
            });
            leads && !differing.contains(**name)
        };
        let more: Vec<String> = shared.iter().filter(leads).map(|name| (*name).clone()).collect();
        if more.is_empty() {
            return differing;
        }
        differing.extend(more);
    }
}

fn as_answered(name: &str) -> String {
    format!("{name}View")
}

fn refer(schema: &mut Value, differing: &BTreeSet<String>) {
    walk(schema, &mut |object| {
        if let Some(Value::String(path)) = object.get_mut("$ref") {
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            if differing.contains(&name) {
                *path = format!("#/components/schemas/{}", as_answered(&name));
            }
        }
    });
}

fn referred(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.rsplit('/').next()
}

/// Visits every object in a schema, the outer before the inner.
fn walk(schema: &mut Value, visit: &mut dyn FnMut(&mut Map<String, Value>)) {
    match schema {
        Value::Object(object) => {
            visit(object);
            object.values_mut().for_each(|inner| walk(inner, visit));
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| walk(inner, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A document as it is committed and served: the members of the whole in the order in which they are given, everything
/// within them by name, so that the same types give the same bytes.
pub fn page(members: &[(&str, Value)]) -> String {
    let mut page = String::from("{");
    for (index, (name, value)) in members.iter().enumerate() {
        let value = serde_json::to_string_pretty(&sorted(value)).expect("JSON is plain data");
        page += if index == 0 { "\n" } else { ",\n" };
        page += &format!("  \"{name}\": {}", value.replace('\n', "\n  "));
    }
    page + "\n}\n"
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let by_name: BTreeMap<&String, Value> = object.iter().map(|(name, value)| (name, sorted(value))).collect();
            Value::Object(by_name.into_iter().map(|(name, value)| (name.clone(), value)).collect())
        }
        Value::Array(list) => list.iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
