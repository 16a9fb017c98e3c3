//! The OpenAPI 3.1 document: the table of routes, rendered. The committed `openapi.json` is this function's answer, and
//! a test fails when it is not.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::refusal::Code;
use crate::routes::{Answer, Body, Content, PICTURE, Parameter, Part, ROUTES, Route, Takes, Who};
use crate::schema::{Components, page};

/// Examples of messages by the names of their files without `.json`.
pub type Examples = BTreeMap<String, Value>;

const ABOUT: &str = "The dispatch server for neighbourhood tech help, as partners, admins and operators reach it by HTTP. \
    The sockets of friends and of the live map are described in `/asyncapi.json`.\n\n\
    JSON in UTF-8, names in snake_case. Instants are RFC 3339 in UTC, money is integer minor units with a currency, ids \
    are UUIDs of version 7, and what people name is a slug. A body refuses fields it does not know. Answers may get new \
    fields, and enumerations new values: ignore what you do not know. What is absent is left out, never `null`.\n\n\
    Every refusal is `application/problem+json` (RFC 9457): go by its `code`, not by its words; take a code you do not \
    know for its class, the HTTP status. On a path that exists any other method is answered 405 `method_not_allowed` \
    with `Allow`, on a path that does not 404 `not_found`. A server that waits for its database, or stands by for another, answers 503 `unavailable` on every path \
    but `/livez` and `/readyz`; one with too many connections on every path. What is not HTTP/1.1 with one `Host` is \
    answered 400. A type that is sent and answered has two schemas: `Money` in \
    a body, `MoneyView` in an answer.";

/// The document, as it is committed and served.
///
/// # Panics
/// When the table of routes names a message or an example that is not there.
pub fn openapi(examples: &Examples) -> String {
    let components =
        Components::of(|name| !["friend_frame", "friend_message", "ops_frame", "ops_message"].contains(&name));
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_default();
        path.insert(route.method.to_owned(), operation(route, &components, examples));
        if route.who == Who::Operator {
            let server =
                json!({"url": "http://127.0.0.1:9464", "description": "The operator's listener, never public."});
            path.insert("servers".to_owned(), json!([server]));
        }
    }
    let tags = Part::ALL.iter().map(|part| json!({"name": part.about().0, "description": part.about().1}));
    page(&[
        ("openapi", json!("3.1.0")),
        ("info", info("kiez", ABOUT)),
        ("servers", json!([{"url": "http://127.0.0.1:8080", "description": "`server.listen`, by default."}])),
        ("tags", tags.collect()),
        ("paths", json!(paths)),
        ("webhooks", json!({"jobChanged": {"post": told_to_partners(&components, examples)}})),
        (
            "components",
            json!({
                "schemas": components.schemas,
                "headers": headers(),
            "responses": refused_for_one_reason(&components),
                "securitySchemes": {
                    "partner": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "A partner's API key, `kz_live_…`. It says whose the jobs are.",
                    },
                    "friend": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "JWT",
                        "description": "A friend's token (`aud` `kiez-friend`), the same as in `hello`.",
                    },
                    "viewer": ops_token("`viewer` or above"),
                    "dispatcher": ops_token("`dispatcher` or above"),
                    "admin": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "JWT",
                        "description": "An ops token (`aud` `kiez-ops`) of the role `admin`; on loopback also the development \
                            key.",
                    },
                },
            }),
        ),
    ])
}

/// What the server asks of a partner's own.
fn told_to_partners(components: &Components, examples: &Examples) -> Value {
    let header = |name: &str, about: &str| json!({"name": name, "in": "header", "required": true, "description": about, "schema": {"type": "string"}});
    json!({
        "operationId": "jobChanged",
        "tags": [Part::Partners.about().0],
        "summary": "Tells a partner of a change of their job",
        "description": "Standard Webhooks 1.0. Answer any status of 200 to 299 within 15 seconds; else it comes again after \
            5 s, 5 min, 30 min, 2, 5, 10, 14, 20 and 24 h, or later if `Retry-After` asks for it, and is then given up. 410 \
            switches the endpoint off. Redirects are not followed.",
        "parameters": [
            header("webhook-id", "The same however often it comes, and for every endpoint."),
            header("webhook-timestamp", "When it was sent, in seconds since 1970."),
            header("webhook-signature", "`v1,` and the base64 of HMAC-SHA256 over id, timestamp and body, joined by dots; \
                several of them, with a blank between, while a secret is rotated."),
        ],
        "requestBody": {"required": true, "content": {"application/json": content(components.refer("webhook"), &["webhook"], examples)}},
        "responses": {"2XX": {"description": "It is taken."}, "410": {"description": "Nothing more, please."}},
        "security": [],
    })
}

/// What stands at the head of both documents.
pub(crate) fn info(title: &str, about: &str) -> Value {
    json!({
        "title": title,
        "version": env!("CARGO_PKG_VERSION"),
        "description": about,
        "license": {"name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT"},
    })
}

fn ops_token(role: &str) -> Value {
    let about = format!("An ops token (`aud` `kiez-ops`) of the role {role}; on loopback also the development key.");
    json!({"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": about})
}

fn headers() -> Value {
    let header = |about: &str, schema: Value| json!({"description": about, "schema": schema});
    json!({
        "x-request-id": header("Finds the request in the server's log.", json!({"type": "string"})),
        "Retry-After": header("Seconds after which to try again.", json!({"type": "integer", "minimum": 1})),
        "WWW-Authenticate": header("`Bearer`.", json!({"type": "string"})),
    })
}

fn operation(route: &Route, components: &Components, examples: &Examples) -> Value {
    let mut operation = json!({
        "operationId": route.name,
        "tags": [route.part.about().0],
        "summary": route.does,
        "responses": responses(route, components, examples),
        "security": match route.who {
            Who::Anybody | Who::Operator => json!([]),
            Who::Partner => json!([{"partner": []}]),
            Who::Friend => json!([{"friend": []}]),
            Who::Viewer => json!([{"viewer": []}]),
            Who::Dispatcher => json!([{"dispatcher": []}]),
            Who::Admin => json!([{"admin": []}]),
        },
    });
    if !route.about.is_empty() {
        operation["description"] = route.about.into();
    }
    let parameters: Vec<Value> =
        route.parameters.iter().copied().flatten().map(|parameter| self::parameter(parameter, components)).collect();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = &route.body {
        operation["requestBody"] = request_body(body, components, examples);
    }
    operation
}

fn parameter(parameter: &Parameter, components: &Components) -> Value {
    let mut described = json!({
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.about,
        "required": parameter.required,
        "schema": match parameter.takes {
            Takes::Type(name) => components.refer(name),
            Takes::Number { least, most, default } => {
                json!({"type": "integer", "minimum": least, "maximum": most, "default": default})
            }
            Takes::Text { most } => json!({"type": "string", "minLength": 1, "maxLength": most}),
            Takes::Ascii { most } => {
                json!({"type": "string", "minLength": 1, "maxLength": most, "pattern": "^[ -~]+$"})
            }
            Takes::Word(word) => json!({"type": "string", "const": word}),
            Takes::Flag => json!({"type": "string"}),
        },
    });
    if let Takes::Flag = parameter.takes {
        described["allowEmptyValue"] = true.into();
    }
    described
}

fn request_body(body: &Body, components: &Components, examples: &Examples) -> Value {
    if body.message == PICTURE {
        return json!({"required": body.required, "content": pictures()});
    }
    if body.lines {
        let name = components.name(body.message);
        let about =
            format!("A JSON object a line, each as `#/components/schemas/{name}` says; empty lines are passed over.");
        let schema = json!({"type": "string", "description": about});
        let line = |kind: &str| example(examples, &format!("{}.{kind}", body.message)).to_string() + "\n";
        let text = ["community", "package", "partner", "friend"].map(line).concat();
        return json!({
            "required": body.required,
            "content": {"application/x-ndjson": {"schema": schema, "examples": {"import": {"value": text}}}},
        });
    }
    json!({
        "required": body.required,
        "content": {"application/json": content(components.refer(body.message), body.examples, examples)},
    })
}

/// The bytes of a picture: in OpenAPI 3.1 a file is a medium without a schema.
fn pictures() -> Value {
    json!({"image/jpeg": {}, "image/png": {}, "image/webp": {}})
}

fn content(schema: Value, names: &[&str], examples: &Examples) -> Value {
    let mut content = json!({"schema": schema});
    if !names.is_empty() {
        let named = names.iter().map(|name| ((*name).to_owned(), json!({"value": example(examples, name)})));
        content["examples"] = Value::Object(named.collect());
    }
    content
}

fn example<'a>(examples: &'a Examples, name: &str) -> &'a Value {
    examples.get(name).unwrap_or_else(|| panic!("the table of routes names the example {name}"))
}

fn responses(route: &Route, components: &Components, examples: &Examples) -> Value {
    let mut responses: BTreeMap<u16, Value> =
        route.answers.iter().map(|answer| (answer.status, response(answer, components, examples))).collect();
    let mut refusals: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in Code::ALL.iter().filter(|code| route.refusals.iter().any(|group| group.contains(code))) {
        refusals.entry(code.status()).or_default().push(*code);
    }
    for (status, codes) in refusals {
        let described = match codes.as_slice() {
            [code] => json!({"$ref": format!("#/components/responses/{}", word(*code))}),
            several => refusal(status, several, components),
        };
        responses.insert(status, described);
    }
    json!(responses)
}

fn response(answer: &Answer, components: &Components, examples: &Examples) -> Value {
    let mut headers = json!({"x-request-id": header("x-request-id")});
    for (name, about) in answer.headers {
        headers[*name] = json!({"description": about, "schema": {"type": "string"}});
    }
    let mut response = json!({"description": answer.about, "headers": headers});
    match answer.content {
        Content::Nothing => {}
        Content::Json(message, names) => {
            response["content"] = json!({"application/json": content(components.refer(message), names, examples)});
        }
        Content::Document => response["content"] = json!({"application/json": {"schema": {"type": "object"}}}),
        Content::Picture => response["content"] = pictures(),
        Content::Text(media) => response["content"] = json!({media: {"schema": {"type": "string"}}}),
    }
    response
}

/// The refusals that are alone with their status on some route, described once.
fn refused_for_one_reason(components: &Components) -> Value {
    let alone = |code: &&Code| {
        ROUTES.iter().any(|route| {
            let here = |code: &Code| route.refusals.iter().any(|group| group.contains(code));
            let beside = Code::ALL.iter().filter(|other| other.status() == code.status() && other != code);
            here(code) && !beside.into_iter().any(here)
        })
    };
    let one = |code: &Code| (word(*code), refusal(code.status(), &[*code], components));
    Value::Object(Code::ALL.iter().filter(alone).map(one).collect())
}

/// All refusals of one status: a problem with one of these codes.
fn refusal(status: u16, codes: &[Code], components: &Components) -> Value {
    let about: Vec<String> = codes.iter().map(|code| format!("`{}`: {}.", word(*code), code.title())).collect();
    let mut headers = json!({"x-request-id": header("x-request-id")});
    match status {
        401 => headers["WWW-Authenticate"] = header("WWW-Authenticate"),
        429 | 503 => headers["Retry-After"] = header("Retry-After"),
        _ => {}
    }
    let these = json!({"properties": {"status": {"const": status}, "code": {"enum": codes}}});
    json!({
        "description": about.join(" "),
        "headers": headers,
        "content": {"application/problem+json": {"schema": {"allOf": [components.refer("problem"), these]}}},
    })
}

fn header(name: &str) -> Value {
    json!({"$ref": format!("#/components/headers/{name}")})
}

/// A code as it is on the wire.
pub(crate) fn word(code: Code) -> String {
    serde_json::to_value(code).ok().and_then(|word| word.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}
