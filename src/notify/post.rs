//! One request to a server of others, and what came of it. Nothing is kept between two requests: the host is looked up, each
//! address is looked at, one of them is connected to, and after the first 4 KiB of the answer the line is cut. There is one
//! deadline for all of it. No proxy of the environment and no redirect leads anywhere else.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kiez_protocol::webhook::Outcome;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address;
use crate::clock::Stopwatch;

/// Bytes of an answer's body that are read before the line is cut.
const READ_MAX: usize = 4_096;
/// Bytes of an answer's head.
const HEAD_MAX: usize = 16_384;
/// So long the body of an answer is waited for.
const BODY: Duration = Duration::from_millis(500);
/// Addresses of a host that are tried.
const ADDRESSES_MAX: usize = 3;

/// Sends requests.
#[derive(Clone)]
pub struct Poster {
    tls: TlsConnector,
    private: bool,
    deadline: Duration,
}

impl std::fmt::Debug for Poster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Poster {{ private: {}, deadline: {:?} }}", self.private, self.deadline)
    }
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Where to.
    pub url: String,
    /// The header `webhook-id`.
    pub id: String,
    /// The header `webhook-timestamp`, s.
    pub at_s: i64,
    /// The header `webhook-signature`.
    pub signature: String,
    /// The body.
    pub body: String,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// In a word.
    pub outcome: Outcome,
    /// The answer's status, if there was one.
    pub status: Option<u16>,
    /// The header `Retry-After`.
    pub retry_after: Option<String>,
    /// How long it took.
    pub took: Duration,
}

impl Poster {
    /// With the roots this machine trusts. `private`: plain HTTP and addresses of this machine are taken, for development.
    pub fn new(private: bool, deadline: Duration) -> Poster {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (_, unfit) = roots.add_parsable_certificates(found.certs);
        if !found.errors.is_empty() || unfit > 0 || roots.is_empty() {
            let errors = found.errors.len();
            tracing::warn!(roots = roots.len(), unfit, errors, "roots of TLS are missing; SSL_CERT_FILE names others");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the suites of TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Poster { tls: TlsConnector::from(Arc::new(tls)), private, deadline }
    }

    /// Sends it, within the deadline.
    pub async fn post(&self, letter: Letter) -> Reply {
        let watch = Stopwatch::start();
        let sent = tokio::time::timeout(self.deadline, self.sent(letter)).await;
        let took = watch.elapsed();
        match sent {
            Ok(Ok((status, retry_after))) => {
                Reply { outcome: of_status(status), status: Some(status), retry_after, took }
            }
            Ok(Err(outcome)) => Reply { outcome, status: None, retry_after: None, took },
            Err(_) => Reply { outcome: Outcome::Timeout, status: None, retry_after: None, took },
        }
    }

    async fn sent(&self, letter: Letter) -> Result<(u16, Option<String>), Outcome> {
        // What stands in the ledger was looked at when it came; a switch of the configuration may have made it unfit.
        let url: Uri = letter.url.parse().map_err(|_| Outcome::Broken)?;
        let secure = match url.scheme_str() {
            Some("https") => true,
            Some("http") if self.private => false,
            _ => return Err(Outcome::ForbiddenAddress),
        };
        let host = url.host().ok_or(Outcome::Broken)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = self.connect(&host, port).await?;
        let request = request(&url, letter)?;
        if secure {
            let name = ServerName::try_from(host).map_err(|_| Outcome::Tls)?;
            let stream = self.tls.connect(name, stream).await.map_err(|_| Outcome::Tls)?;
            exchange(stream, request).await
        } else {
            exchange(stream, request).await
        }
    }

    /// A connection to the host, at an address that was looked at.
    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Outcome> {
        let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(address) => vec![(address, port).into()],
            Err(_) if !self.private && !address::is_public_name(host) => return Err(Outcome::ForbiddenAddress),
            Err(_) => tokio::net::lookup_host((host, port)).await.map_err(|_| Outcome::NoAddress)?.collect(),
        };
        if addresses.is_empty() {
            return Err(Outcome::NoAddress);
        }
        // One that is not public is enough: a name that leads to both is made to lead us astray.
        if !self.private && addresses.iter().any(|address| !address::is_public(address.ip())) {
            return Err(Outcome::ForbiddenAddress);
        }
        for address in addresses.iter().take(ADDRESSES_MAX) {
            if let Ok(stream) = TcpStream::connect(address).await {
                return Ok(stream);
            }
        }
        Err(Outcome::Refused)
    }
}

fn request(url: &Uri, letter: Letter) -> Result<Request<Full<Bytes>>, Outcome> {
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let host = url.authority().ok_or(Outcome::Broken)?.as_str().to_owned();
    let request = Request::post(path)
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("kiez/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .header("webhook-id", letter.id)
        .header("webhook-timestamp", letter.at_s)
        .header("webhook-signature", letter.signature);
    request.body(Full::new(Bytes::from(letter.body))).map_err(|_| Outcome::Broken)
}

/// One request and the beginning of its answer.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(u16, Option<String>), Outcome>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |_: hyper::Error| Outcome::Broken;
    let builder = http1::Builder::new().max_buf_size(HEAD_MAX).clone();
    let (mut sender, line) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let asked = async move {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned);
        // The status says it all. A server whose answer is cut may log an error of its own, so short ones are read to their end.
        let mut body = response.into_body();
        let rest = async {
            let mut read = 0;
            while read < READ_MAX
                && let Some(Ok(frame)) = body.frame().await
            {
                read += frame.data_ref().map_or(0, Bytes::len);
            }
        };
        let _ = tokio::time::timeout(BODY, rest).await;
        Ok((status, retry_after))
    };
    // The line is driven beside the question, and ends with it.
    match select(pin!(asked), pin!(line)).await {
        Either::Left((answered, _)) => answered,
        Either::Right((_, asked)) => asked.await,
    }
}

fn of_status(status: u16) -> Outcome {
    match status {
        200..=299 => Outcome::Accepted,
        300..=399 => Outcome::Redirect,
        410 => Outcome::Gone,
        _ => Outcome::Status,
    }
}
