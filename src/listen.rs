//! `kiez webhook listen`: a partner's first hour. Receives webhooks on this machine, verifies each by its secret, and prints
//! what it tells. With an API key it makes itself an endpoint of the partner's, and takes it away when it ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::{Args, Subcommand};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kiez::clock::Clock;
use kiez::ledger::secret;
use kiez::notify::signature;
use kiez_load::client::{Http, Server};
use kiez_protocol::webhook::{EndpointOff, PutEndpoint, PutWebhooks, Webhook, WebhookList};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::cli::asked_to_stop;

/// Bytes of a webhook; those of kiez have some hundreds.
const BODY_BYTES_MAX: usize = 65_536;
/// Connections at once.
const CONNECTIONS_MAX: usize = 32;
/// A connection that sends nothing is closed after this.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is done with webhooks by hand.
#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// Receives webhooks on this machine, verifies them and prints what they tell.
    #[command(after_help = "\
With a key it makes itself an endpoint of that partner's (the server must run with --dev, or webhooks.private_targets) and
takes it away at the end. Without one, say the secret of an endpoint that leads here.

Examples:
  kiez webhook listen --key \"$KEY\"
  kiez webhook listen --listen 127.0.0.1:9100 --secret whsec_…")]
    Listen(Listen),
}

/// How to listen.
#[derive(Debug, Args)]
pub struct Listen {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9100")]
    listen: SocketAddr,
    /// An API key of the partner's: it makes itself an endpoint.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The server on this machine, for `--key`.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The secret of an endpoint that leads here, `whsec_…`.
    #[arg(long, value_name = "SECRET", conflicts_with = "key", required_unless_present = "key")]
    secret: Option<String>,
    /// The whole body instead of a line.
    #[arg(long)]
    json: bool,
}

impl Listen {
    /// Receives until it is stopped.
    ///
    /// # Errors
    /// In words for whoever typed it.
    pub async fn run(self) -> anyhow::Result<()> {
        let listener = TcpListener::bind(self.listen).await.with_context(|| format!("listening on {}", self.listen))?;
        let address = listener.local_addr()?;
        let here = format!("http://{address}/");
        let endpoint = match &self.key {
            Some(key) => Some(Endpoint::made(&self.url, key, &here).await?),
            None => None,
        };
        let text = endpoint.as_ref().map(|endpoint| endpoint.secret.clone()).or(self.secret);
        let secret = text.as_deref().and_then(secret::read).context("a secret is `whsec_` and base64")?;
        println!("listening at {here}; Ctrl-C ends it");
        let ear = Arc::new(Ear { secret, json: self.json, clock: Clock::start() });
        tokio::select! {
            () = accept(listener, ear) => {}
            () = asked_to_stop() => {}
        }
        if let Some(endpoint) = endpoint {
            endpoint.taken_away().await?;
        }
        Ok(())
    }
}

/// The endpoint that this command has made.
struct Endpoint {
    http: Http,
    url: String,
    secret: String,
}

impl Endpoint {
    /// Beside those that the partner has.
    async fn made(server: &str, key: &str, url: &str) -> anyhow::Result<Endpoint> {
        let http = Http::new(Server::at(server)?, key);
        let mut all = others(&http, url).await?;
        all.push(PutEndpoint { id: None, url: url.to_owned(), events: Vec::new(), enabled: true, rotate: false });
        let list: WebhookList =
            http.call(Method::PUT, "/v1/webhooks", None, Some(&PutWebhooks { endpoints: all })).await?;
        let made = list.endpoints.into_iter().find(|endpoint| endpoint.url == url);
        let secret = made.and_then(|made| made.secrets.into_iter().next()?.secret);
        Ok(Endpoint { http, url: url.to_owned(), secret: secret.context("the server has shown no secret")? })
    }

    async fn taken_away(self) -> anyhow::Result<()> {
        let endpoints = others(&self.http, &self.url).await?;
        let _: WebhookList =
            self.http.call(Method::PUT, "/v1/webhooks", None, Some(&PutWebhooks { endpoints })).await?;
        Ok(())
    }
}

/// The partner's endpoints that lead elsewhere, as they stand. One of an earlier run that broke off goes away with it.
async fn others(http: &Http, url: &str) -> anyhow::Result<Vec<PutEndpoint>> {
    let list: WebhookList = http.call(Method::GET, "/v1/webhooks", None, None::<&()>).await?;
    let others = list.endpoints.into_iter().filter(|endpoint| endpoint.url != url);
    let put = |endpoint: kiez_protocol::webhook::EndpointView| PutEndpoint {
        id: Some(endpoint.id),
        url: endpoint.url,
        events: endpoint.events,
        // One that is gone stays off.
        enabled: match endpoint.off {
            None => true,
            Some(EndpointOff::Gone | EndpointOff::Partner) => false,
        },
        rotate: false,
    };
    Ok(others.map(put).collect())
}

/// Who listens.
struct Ear {
    secret: Vec<u8>,
    json: bool,
    clock: Clock,
}

async fn accept(listener: TcpListener, ear: Arc<Ear>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = places.clone().acquire_owned().await.expect("never closed");
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let ear = ear.clone();
        tokio::spawn(async move {
            // Whoever says nothing loses the place.
            let _ = tokio::time::timeout(PATIENCE, serve(stream, ear)).await;
            drop(place);
        });
    }
}

async fn serve(stream: TcpStream, ear: Arc<Ear>) {
    let service = service_fn(move |request| {
        let ear = ear.clone();
        async move { Ok::<_, Infallible>(ear.hears(request).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
    // A connection that breaks has told nothing.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

impl Ear {
    async fn hears(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let answer = |status: StatusCode| {
            let mut response = Response::new(Full::new(Bytes::new()));
            *response.status_mut() = status;
            response
        };
        let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
            return answer(StatusCode::PAYLOAD_TOO_LARGE);
        };
        let body = body.to_bytes();
        match self.told(&head.headers, &body) {
            Ok(line) => {
                println!("{line}");
                answer(StatusCode::NO_CONTENT)
            }
            Err(why) => {
                println!("refused: {why}");
                answer(StatusCode::UNAUTHORIZED)
            }
        }
    }

    /// What a webhook tells, if it is genuine.
    fn told(&self, headers: &HeaderMap, body: &[u8]) -> Result<String, String> {
        let header = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.ok_or_else(|| format!("without {name}"))
        };
        let (id, at) = (header("webhook-id")?, header("webhook-timestamp")?);
        let at_s: i64 = at.parse().map_err(|_| "webhook-timestamp is no number".to_owned())?;
        let now_s = self.clock.real().0.div_euclid(1_000);
        signature::verify(&self.secret, id, at_s, body, header("webhook-signature")?, now_s)
            .map_err(|forged| format!("{id}: {forged}"))?;
        let webhook: Webhook = serde_json::from_slice(body).map_err(|error| format!("{id}: {error}"))?;
        if self.json {
            return Ok(serde_json::to_string(&webhook).expect("plain data"));
        }
        let (data, kind) = (&webhook.data, webhook.kind.as_str());
        let friend = data.friend.as_ref().map(|friend| format!("  {}", friend.name)).unwrap_or_default();
        let reference = data.partner_ref.as_deref().map(|own| format!("  {own}")).unwrap_or_default();
        Ok(format!("{}  {kind:18} {}  #{}{reference}{friend}  verified", webhook.timestamp, data.job, data.sequence))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_genuine_is_told_and_nothing_else() {
        let ear = Ear { secret: vec![7; 32], json: false, clock: Clock::start() };
        let body = json!({"type": "job.assigned", "timestamp": "2026-11-23T16:21:38.002Z", "data": {
            "job": "01a20935-07fd-7a32-9902-207afaeb7120", "state": "assigned", "attempt": 1, "sequence": 2, "revision": 1,
            "package": "wifi-setup", "community": "berlin-tech", "partner_ref": "A-4711"}});
        let body = body.to_string();
        let at = ear.clock.real().0 / 1_000;
        let headers = |secret: &[u8], at: i64| {
            let mut headers = HeaderMap::new();
            let signed = signature::signatures([secret], "msg_1", at, body.as_bytes());
            headers.insert("webhook-id", "msg_1".parse().unwrap());
            headers.insert("webhook-timestamp", at.to_string().parse().unwrap());
            headers.insert("webhook-signature", signed.parse().unwrap());
            headers
        };
        let told = ear.told(&headers(&[7; 32], at), body.as_bytes()).expect("genuine");
        assert_eq!(
            told,
            "2026-11-23T16:21:38.002Z  job.assigned       01a20935-07fd-7a32-9902-207afaeb7120  #2  A-4711  verified"
        );
        assert!(ear.told(&headers(&[8; 32], at), body.as_bytes()).is_err(), "another secret");
        assert!(ear.told(&headers(&[7; 32], at - 301), body.as_bytes()).is_err(), "kept for too long");
        assert!(ear.told(&HeaderMap::new(), body.as_bytes()).is_err(), "unsigned");
        assert!(ear.told(&headers(&[7; 32], at), b"{}").is_err(), "another body");
    }
}
