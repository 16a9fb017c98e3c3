//! HTTP to a kiez server on this machine: JSON in and out, connections kept, refusals as values. There is no TLS here, so
//! anything but a loopback address is refused before a byte is sent: keys and made-up customers stay on this machine.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kiez_protocol::refusal::{Code, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest wait for an answer, ms. The server's own limits are shorter.
const ANSWER_MS: u64 = 15_000;
/// The largest answer read, bytes.
const ANSWER_LEN_MAX: usize = 4 << 20;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The address is not on this machine.
    #[error(
        "{url} is not on this machine: kiez-load speaks plain HTTP and only to loopback (127.0.0.1, ::1, localhost)"
    )]
    NotLoopback {
        /// As it was given.
        url: String,
    },
    /// The address is no `http://` URL.
    #[error("{url} is not a URL of the form http://127.0.0.1:8080")]
    NotAUrl {
        /// As it was given.
        url: String,
    },
    /// The server said no, with a reason.
    #[error("{method} {path}: {} ({:?}, HTTP {}): {}", problem.title, problem.code, problem.status, problem.detail)]
    Refused {
        /// What was asked.
        method: Method,
        /// Where.
        path: String,
        /// The reason.
        problem: Box<Problem>,
        /// `Retry-After`, seconds.
        retry_after_s: Option<u64>,
    },
    /// The server answered something that is not of this wire.
    #[error("{method} {path}: HTTP {status} with an answer that cannot be read ({detail}): {start}")]
    Unreadable {
        /// What was asked.
        method: Method,
        /// Where.
        path: String,
        /// The status.
        status: StatusCode,
        /// What does not fit.
        detail: String,
        /// How the answer begins.
        start: String,
    },
    /// The connection failed or no answer came: whether the server has acted is not known.
    #[error("{method} {path}: no answer: {detail}")]
    NoAnswer {
        /// What was asked.
        method: Method,
        /// Where.
        path: String,
        /// What the network said.
        detail: String,
    },
}

impl CallError {
    /// The code of a refusal.
    pub fn code(&self) -> Option<Code> {
        match self {
            CallError::Refused { problem, .. } => Some(problem.code),
            _ => None,
        }
    }

    /// How long to wait before the same call may be tried again with the same key; `None` if repeating is no use.
    pub fn retry_in(&self) -> Option<Duration> {
        match self {
            CallError::Refused { problem, retry_after_s, .. } => {
                // 409 is only worth repeating while the first request with this key is still being answered.
                let passing = matches!(problem.status, 429 | 503) || problem.code == Code::KeyInFlight;
                passing.then(|| retry_after_s.map_or(Duration::from_millis(250), Duration::from_secs))
            }
            CallError::NoAnswer { .. } => Some(Duration::from_millis(250)),
            CallError::Unreadable { status, .. } => status.is_server_error().then_some(Duration::from_millis(500)),
            CallError::NotLoopback { .. } | CallError::NotAUrl { .. } => None,
        }
    }
}

/// Where a server listens: a loopback address, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    authority: String,
}

impl Server {
    /// The server at `http://HOST:PORT` (or `ws://HOST:PORT`); a path is not allowed.
    ///
    /// # Errors
    /// [`CallError::NotAUrl`], or [`CallError::NotLoopback`] when the host is not this machine.
    pub fn at(url: &str) -> Result<Server, CallError> {
        let not_a_url = || CallError::NotAUrl { url: url.to_owned() };
        let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| not_a_url())?;
        let (Some("http" | "ws"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(not_a_url());
        };
        if uri.path().len() > 1 || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(not_a_url());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let loopback =
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if !loopback {
            return Err(CallError::NotLoopback { url: url.to_owned() });
        }
        let port = authority.port_u16().unwrap_or(80);
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        Ok(Server { authority: format!("{host}:{port}") })
    }

    /// `HOST:PORT`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The port.
    pub fn port(&self) -> u16 {
        let port = self.authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        port.expect("an authority is made with its port")
    }
}

/// Calls to one server with one key. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Http {
    server: Server,
    key: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Http {
    /// Calls with `Authorization: Bearer key`.
    pub fn new(server: Server, key: impl Into<String>) -> Http {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(32).build(connector);
        Http { server, key: key.into(), client }
    }

    /// The same connections with another key.
    pub fn with_key(&self, key: impl Into<String>) -> Http {
        Http { key: key.into(), ..self.clone() }
    }

    /// The same key with another server.
    pub fn at(&self, server: Server) -> Http {
        Http { server, ..self.clone() }
    }

    /// Which server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Sends `body` as JSON, or nothing, and reads the answer. An empty answer reads as JSON `null`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        idempotency_key: Option<&str>,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<A, CallError> {
        let body = body.map(|body| serde_json::to_vec(body).expect("wire types have string keys and finite numbers"));
        self.send(method, path, idempotency_key, "application/json", body.unwrap_or_default().into()).await
    }

    /// Sends bytes of any content type.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn send<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        idempotency_key: Option<&str>,
        content_type: &str,
        body: Bytes,
    ) -> Result<A, CallError> {
        let no_answer = |detail: String| CallError::NoAnswer { method: method.clone(), path: path.to_owned(), detail };
        let mut request = Request::builder()
            .method(method.clone())
            .uri(format!("http://{}{path}", self.server.authority))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key));
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Full::new(body)).map_err(|fault| no_answer(fault.to_string()))?;
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|fault| no_answer(with_cause(&fault)))?;
            let (head, body) = answer.into_parts();
            let body =
                Limited::new(body, ANSWER_LEN_MAX).collect().await.map_err(|fault| no_answer(fault.to_string()))?;
            Ok((head, body.to_bytes()))
        };
        let waited = tokio::time::timeout(Duration::from_millis(ANSWER_MS), exchange).await;
        let (head, body) = waited.map_err(|_| no_answer(format!("none within {ANSWER_MS} ms")))??;
        let unreadable = |fault: serde_json::Error| CallError::Unreadable {
            method: method.clone(),
            path: path.to_owned(),
            status: head.status,
            detail: fault.to_string(),
            start: String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned(),
        };
        if head.status.is_success() {
            let body: &[u8] = if body.is_empty() { b"null" } else { &body };
            return serde_json::from_slice(body).map_err(unreadable);
        }
        let problem: Problem = serde_json::from_slice(&body).map_err(unreadable)?;
        let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Err(CallError::Refused {
            method: method.clone(),
            path: path.to_owned(),
            problem: Box::new(problem),
            retry_after_s: retry_after,
        })
    }
}

fn with_cause(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(deeper) = cause {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to() {
        for url in ["http://127.0.0.1:8080", "http://localhost:1/", "ws://127.9.9.9:80", "http://[::1]:8080"] {
            assert!(Server::at(url).is_ok(), "{url}");
        }
        assert_eq!(Server::at("http://localhost").unwrap().authority(), "localhost:80");
        for url in ["http://example.org", "http://10.0.0.1:8080", "http://127.0.0.1.example.org", "http://0.0.0.0:8080"]
        {
            assert!(matches!(Server::at(url), Err(CallError::NotLoopback { .. })), "{url}");
        }
        for url in
            ["127.0.0.1:8080", "https://127.0.0.1", "http://user@127.0.0.1", "http://127.0.0.1/v1", "", "http://"]
        {
            assert!(matches!(Server::at(url), Err(CallError::NotAUrl { .. })), "{url}");
        }
    }
}
