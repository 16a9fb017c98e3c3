//! Refusals in HTTP: `application/problem+json` with a code and the request's id. Errors of the world are turned into
//! words here, once.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderValue, Response, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::IntoResponse;
use bytes::BytesMut;
use http_body_util::BodyExt;
use kiez_protocol::directory::Language;
use kiez_protocol::ids::JobId;
use kiez_protocol::partner::JobState;
use kiez_protocol::refusal::{Code, Fault, Problem};
use serde::de::DeserializeOwned;
use tracing::{Instrument, Span, field};
use uuid::Uuid;

use super::depth;
use crate::clock::Stopwatch;
use crate::config::Limits;
use crate::engine::{Overloaded, Unanswered};
use crate::ledger::ReadError;
use crate::metrics;
use crate::words;

/// The answer of a handler.
pub type Answered = Result<Response<Body>, Refusal>;

/// A request is refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    code: Code,
    detail: String,
    errors: Vec<Fault>,
    stands: Option<(JobState, Vec<String>)>,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal with a code, in words.
    pub fn new(code: Code, detail: impl Into<String>) -> Refusal {
        let retry_after = matches!(code, Code::Unavailable | Code::TooMany).then_some(Duration::from_secs(1));
        Refusal { code, detail: detail.into(), errors: Vec::new(), stands: None, retry_after }
    }

    /// One field is wrong.
    pub fn param(code: Code, param: impl Into<String>, detail: impl Into<String>) -> Refusal {
        let detail = detail.into();
        let fault = Fault { param: param.into(), detail: detail.clone() };
        Refusal { errors: vec![fault], ..Refusal::new(code, detail) }
    }

    /// Several fields are wrong.
    pub fn faults(errors: Vec<Fault>) -> Refusal {
        let detail =
            errors.iter().map(|fault| format!("{}: {}", fault.param, fault.detail)).collect::<Vec<_>>().join("; ");
        Refusal { errors, ..Refusal::new(Code::Invalid, detail) }
    }

    /// The job's state does not allow it; what it does allow to the same person.
    pub fn wrong_state(state: JobState, allowed: &[&str]) -> Refusal {
        let list = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
        let refusal = Refusal::new(Code::WrongState, format!("the job is {state}, which allows {list}"));
        let allowed = allowed.iter().map(|deed| (*deed).to_owned()).collect();
        Refusal { stands: Some((state, allowed)), ..refusal }
    }

    /// A thing that does not exist, or is not theirs.
    pub fn not_found(what: &str) -> Refusal {
        Refusal::new(Code::NotFound, format!("there is no such {what}"))
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }
}

impl From<Overloaded> for Refusal {
    fn from(_: Overloaded) -> Refusal {
        Refusal::new(Code::Unavailable, "kiez cannot take this now; nothing was changed, try again")
    }
}

impl From<Unanswered> for Refusal {
    fn from(unanswered: Unanswered) -> Refusal {
        match unanswered {
            Unanswered::Overloaded(overloaded) => overloaded.into(),
            Unanswered::Unknown => Refusal::new(
                Code::Unavailable,
                "the ledger does not answer, and whether this was written is not known yet; ask again with the same \
                 Idempotency-Key",
            ),
        }
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Refusal {
        match error {
            // The writer has said so, once; there may be thousands who ask.
            ReadError::Away => {}
            ReadError::Slow | ReadError::Failed(_) => {
                tracing::warn!(why = error.facts(), "the ledger could not be read");
            }
        }
        Refusal::new(Code::Unavailable, "the ledger cannot be read now; try again")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        let status = StatusCode::from_u16(self.code.status()).expect("codes have valid statuses");
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives each request an id, its log a span, and each refusal its body. The span names the route's pattern and never the
/// path, the partner and the job once they are known; a refusal is told by its code, for its words repeat what was sent.
pub async fn frame(request: Request, next: Next) -> Response<Body> {
    let request_id = Uuid::now_v7().simple().to_string();
    let method = metrics::method(request.method().as_str());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("none", MatchedPath::as_str);
    let (partner, job) = (field::Empty, field::Empty);
    let span = tracing::info_span!("request", request = request_id, method, route, partner, job);
    let watch = Stopwatch::start();
    let reads = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|asked| asked.to_str().ok());
    let language = reads.and_then(words::accepted).unwrap_or(Language::En);
    let secret_path = request.uri().path().starts_with("/v1/customer/");
    let mut response = if names_its_host(&request) {
        next.run(request).instrument(span.clone()).await
    } else {
        Refusal::new(Code::BadRequest, "a request names its host, once").into_response()
    };
    let refusal = response.extensions_mut().remove::<Refusal>().or_else(|| plain(response.status()));
    let (status, code) = (response.status().as_u16(), refusal.as_ref().map(|refusal| word(refusal.code)));
    metrics::http(method, route, status, watch.elapsed());
    span.in_scope(|| tracing::debug!(status, code, "answered"));
    if let Some(refusal) = refusal {
        let problem = problem(&refusal, &request_id, language);
        let body = serde_json::to_vec(&problem).expect("a problem is plain data");
        let retry_after = refusal.retry_after.map(|after| HeaderValue::from(after.as_secs().max(1)));
        let status = StatusCode::from_u16(refusal.code.status()).expect("codes have valid statuses");
        let allow = response.headers_mut().remove(header::ALLOW);
        response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.as_str()));
        if let Some(after) = retry_after {
            headers.insert(header::RETRY_AFTER, after);
        }
        if let Some(allow) = allow {
            headers.insert(header::ALLOW, allow);
        }
        // The rest of the body may still be on its way, and nobody will read it.
        if status == StatusCode::REQUEST_TIMEOUT {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
    }
    if secret_path {
        // The path is the credential: nobody keeps it, and no page sends it on.
        let headers = response.headers_mut();
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    let id = HeaderValue::from_str(&request_id).expect("hexadecimal");
    response.headers_mut().insert("x-request-id", id);
    response
}

/// The request is about this job: its log says so.
pub fn about(job: JobId) {
    Span::current().record("job", field::display(job));
}

/// Whether there is one `Host`, as HTTP/1.1 demands of every request (RFC 9112, 3.2): a proxy and we must not think of
/// different ones.
fn names_its_host(request: &Request) -> bool {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    hosts == 1 || (hosts == 0 && request.version() < Version::HTTP_11)
}

/// What the router itself refuses.
fn plain(status: StatusCode) -> Option<Refusal> {
    match status {
        StatusCode::BAD_REQUEST => Some(Refusal::new(Code::BadRequest, "the path is not UTF-8")),
        StatusCode::NOT_FOUND => Some(Refusal::new(Code::NotFound, "there is no such route")),
        StatusCode::METHOD_NOT_ALLOWED => Some(Refusal::new(Code::MethodNotAllowed, Code::MethodNotAllowed.title())),
        _ => None,
    }
}

/// A code as the wire names it.
fn word(code: Code) -> String {
    let name = serde_json::to_value(code).ok().and_then(|code| code.as_str().map(ToOwned::to_owned));
    name.unwrap_or_default()
}

/// The body. Its title is in the caller's language; the detail is for whoever mends the request.
fn problem(refusal: &Refusal, request_id: &str, language: Language) -> Problem {
    let name = word(refusal.code);
    Problem {
        title: words::problem(&name, language).unwrap_or_else(|| refusal.code.title().to_owned()),
        kind: format!("urn:kiez:problem:{name}"),
        status: refusal.code.status(),
        detail: refusal.detail.clone(),
        code: refusal.code,
        param: refusal.errors.first().map(|fault| fault.param.clone()),
        errors: if refusal.errors.len() > 1 { refusal.errors.clone() } else { Vec::new() },
        state: refusal.stands.as_ref().map(|(state, _)| *state),
        allowed: refusal.stands.as_ref().map_or_else(Vec::new, |(_, allowed)| allowed.clone()),
        request_id: request_id.to_owned(),
    }
}

/// The whole answer, head and body, to a caller for whom there is no room: nothing of what they ask is read.
pub(super) fn overcrowded() -> Vec<u8> {
    let refusal = Refusal::new(Code::Unavailable, "there are too many connections now; come back a little later");
    let request_id = Uuid::now_v7().simple().to_string();
    let body = serde_json::to_string(&problem(&refusal, &request_id, Language::En)).expect("a problem is plain data");
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 2\r\n\
         connection: close\r\ncontent-length: {}\r\nx-request-id: {request_id}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The whole body: at most `bytes_max`, in time, and nested no deeper than JSON may be.
///
/// # Errors
/// [`Code::TooLarge`], [`Code::RequestTimeout`], or [`Code::BadRequest`] when it breaks off.
pub async fn body(request: Request, bytes_max: usize, limits: &Limits) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::new(Code::TooLarge, format!("the body has more than {bytes_max} bytes"));
    let mut body = request.into_body();
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let (watch, mut whole) = (Stopwatch::start(), BytesMut::new());
    loop {
        // A large body may take longer, but only as it grows.
        let mebibytes = u32::try_from(whole.len() >> 20).unwrap_or(u32::MAX);
        let allowed = Duration::from_millis(limits.body_ms).saturating_mul(mebibytes.saturating_add(1));
        let left = allowed.saturating_sub(watch.elapsed());
        match tokio::time::timeout(left, body.frame()).await {
            Err(_) => return Err(Refusal::new(Code::RequestTimeout, "the body did not arrive in time")),
            Ok(Some(Err(_))) => return Err(Refusal::new(Code::BadRequest, "the body broke off")),
            Ok(None) => break,
            Ok(Some(Ok(frame))) => {
                let Ok(part) = frame.into_data() else { continue };
                if whole.len() + part.len() > bytes_max {
                    return Err(too_large());
                }
                whole.extend_from_slice(&part);
            }
        }
    }
    if depth::exceeds(&whole, limits.json_depth_max) {
        let detail = format!("the body is nested deeper than {} levels", limits.json_depth_max);
        return Err(Refusal::new(Code::TooLarge, detail));
    }
    Ok(whole.freeze())
}

/// A body as the type its route takes. An empty one counts as `{}`.
///
/// # Errors
/// [`Code::BadRequest`] for what is not JSON, [`Code::Invalid`] with the path for what does not fit.
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    // serde would take a list for an object whose fields are not named.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Refusal::new(Code::Invalid, "the body is a list, and an object is wanted"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        match inner.classify() {
            // The whole is of another kind, or of none that is told apart by a tag: no field is to blame.
            serde_json::error::Category::Data if path == "." => Refusal::new(Code::Invalid, inner.to_string()),
            serde_json::error::Category::Data => Refusal::param(Code::Invalid, path, inner.to_string()),
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => {
                Refusal::new(Code::BadRequest, format!("the body is not JSON: {inner}"))
            }
        }
    })?;
    deserializer.end().map_err(|error| Refusal::new(Code::BadRequest, format!("the body is not JSON: {error}")))?;
    Ok(value)
}

/// A JSON answer.
pub fn answer<T: serde::Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    let body = serde_json::to_vec(value).expect("the wire's types are plain data");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
