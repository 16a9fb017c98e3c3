//! Webhooks over real sockets: what a partner's server hears, what bad servers do to it, and that nobody else waits for them.

#![allow(clippy::disallowed_methods, reason = "what others wait is measured on the real clock")]

#[path = "../common/mod.rs"]
mod common;
mod targets;

mod bad_targets;
mod endpoints;
mod outlasting;
mod the_standard;

use common::TestServer;
use serde_json::{Value, json};

/// The knobs of these stories: targets on this machine, and a hundredth of the pauses.
pub(crate) const TRIAL: [(&str, &str); 3] = [
    ("KIEZ_WEBHOOKS__PRIVATE_TARGETS", "true"),
    ("KIEZ_WEBHOOKS__RETRY_PERCENT", "1"),
    ("KIEZ_WEBHOOKS__DEADLINE_MS", "1000"),
];

/// A partner of the stories' town, with their key.
pub(crate) struct Shop {
    pub(crate) address: String,
    pub(crate) key: String,
}

impl Shop {
    pub(crate) async fn of(server: &TestServer) -> Shop {
        server.town(&[]).await;
        Shop::known(server).await
    }

    /// In a town that is there already.
    pub(crate) async fn known(server: &TestServer) -> Shop {
        let key = server.admin().partner_key(&"shop".parse().expect("a slug")).await.expect("a key").token;
        Shop { address: server.address(), key }
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(ToString::to_string);
        let (status, text) = ask(&self.address, method, path, &self.key, body.as_deref()).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Sets the endpoints, all of them anew; each with its id and secret.
    pub(crate) async fn hears_at(&self, urls: &[String]) -> Vec<(String, String)> {
        let endpoints: Vec<Value> = urls.iter().map(|url| json!({"url": url})).collect();
        let (status, list) = self.ask("PUT", "/v1/webhooks", Some(&json!({"endpoints": endpoints}))).await;
        assert_eq!(status, 200, "{list}");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let endpoints = list["endpoints"].as_array().expect("a list").iter();
        endpoints.map(|each| (text(&each["id"]), text(&each["secrets"][0]["secret"]))).collect()
    }

    /// Posts a job; its id.
    pub(crate) async fn posts(&self) -> String {
        let job = serde_json::to_value(common::job("A-1")).expect("plain data");
        let (status, view) = self.ask("POST", "/v1/jobs", Some(&job)).await;
        assert_eq!(status, 201, "{view}");
        view["id"].as_str().expect("an id").to_owned()
    }

    /// The list of deliveries, newest first.
    pub(crate) async fn deliveries(&self, query: &str) -> Vec<Value> {
        let (status, list) = self.ask("GET", &format!("/v1/webhooks/deliveries{query}"), None).await;
        assert_eq!(status, 200, "{list}");
        list["deliveries"].as_array().expect("a list").clone()
    }

    /// Waits until a delivery in the list fits.
    pub(crate) async fn sees(&self, query: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..400 {
            if let Some(found) = self.deliveries(query).await.into_iter().find(&fits) {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        panic!("waited for {what}; the list is {:#?}", self.deliveries(query).await);
    }
}

/// One request on a connection of its own: the status and the body.
pub(crate) async fn ask(address: &str, method: &str, path: &str, token: &str, body: Option<&str>) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let body = body.unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
    stream.write_all(request.as_bytes()).await.expect("asks");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("reads");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}
