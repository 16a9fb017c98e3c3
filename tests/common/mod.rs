//! The cast of the stories over real sockets: a server on free ports with a database of its own, friends, a partner, an
//! admin. Friends and partners are those of `kiez-load`, so that the tests speak the wire and nothing else.

#![allow(dead_code, reason = "each story needs a part of the cast")]

#[allow(clippy::disallowed_methods, reason = "what other processes take is measured on the real clock")]
pub mod cluster;
pub mod line;
#[allow(clippy::disallowed_methods, reason = "what other processes take is measured on the real clock")]
pub mod process;

use std::time::Duration;

use kiez::config::Config;
use kiez::server::{Running, Start};
use kiez_load::client::{AdminClient, FriendClient, FriendConfig, FriendEvent, Http, PartnerClient, Reconnect, Server};
use kiez_protocol::directory::ImportLine;
use kiez_protocol::friend::{FriendMessage, Offer};
use kiez_protocol::ids::{FriendId, Key};
use kiez_protocol::partner::PostJob;
use kiez_protocol::place::Point;
use serde_json::json;
use uuid::Uuid;

pub const DEVELOPMENT_KEY: &str = "kz_dev_for_tests";

/// A running server. Its database goes with it.
pub struct TestServer {
    pub running: Option<Running>,
    pub directory: tempfile::TempDir,
    pub url: String,
    pub scale: u32,
    pub environment: Vec<(String, String)>,
}

impl TestServer {
    /// A server on SQLite.
    pub async fn start() -> TestServer {
        TestServer::with(&[], 1).await
    }

    /// A server with some knobs turned, `("KIEZ_SECTION__KEY", value)`.
    pub async fn with(knobs: &[(&str, &str)], scale: u32) -> TestServer {
        let directory = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", directory.path().join("kiez.db").display());
        TestServer::on(url, directory, knobs, scale).await
    }

    pub async fn on(url: String, directory: tempfile::TempDir, knobs: &[(&str, &str)], scale: u32) -> TestServer {
        let environment = knobs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut server = TestServer { running: None, directory, url, scale, environment };
        server.up().await;
        server
    }

    /// Starts it (again), on free ports.
    pub async fn up(&mut self) {
        let mut environment = vec![
            ("KIEZ_SERVER__LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("KIEZ_ADMIN__LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("KIEZ_DATABASE__URL".to_owned(), self.url.clone()),
            ("KIEZ_AUTH__DEVELOPMENT_KEY".to_owned(), DEVELOPMENT_KEY.to_owned()),
        ];
        environment.extend(self.environment.iter().cloned());
        let config = Config::load(None, environment.into_iter(), &[]).expect("the configuration fits").config;
        let start = Start { time_scale: self.scale, ..Start::default() };
        self.running = Some(Running::start(&config, start).await.expect("the server starts"));
    }

    /// Stops it in order.
    pub async fn down(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    pub fn address(&self) -> String {
        self.running.as_ref().expect("it runs").address.to_string()
    }

    pub fn server(&self) -> Server {
        Server::at(&format!("http://{}", self.address())).expect("loopback")
    }

    pub fn http(&self) -> Http {
        Http::new(self.server(), DEVELOPMENT_KEY)
    }

    pub fn admin(&self) -> AdminClient {
        AdminClient::new(self.http())
    }

    /// The town of the stories: one community, one package, one partner, and friends at these places.
    pub async fn town(&self, places: &[(f64, f64)]) -> Vec<FriendId> {
        build_town(&self.admin(), places).await
    }

    pub async fn partner(&self) -> PartnerClient {
        partner(&self.http(), 5_000).await
    }

    /// A friend who is connected, on duty and stands somewhere.
    pub async fn friend(&self, id: FriendId, place: (f64, f64)) -> Cast {
        Cast::on_duty(self.server(), id, place).await
    }

    pub async fn town_with_friends(&self, places: &[(f64, f64)]) -> Vec<Cast> {
        let ids = self.town(places).await;
        let mut cast = Vec::new();
        for (id, place) in ids.into_iter().zip(places) {
            cast.push(self.friend(id, *place).await);
        }
        cast
    }
}

/// The town of the stories on any server.
pub async fn build_town(admin: &AdminClient, places: &[(f64, f64)]) -> Vec<FriendId> {
    admin.import(&town_documents(places.len())).await.expect("the town is imported");
    (0..places.len()).map(friend_id).collect()
}

/// What the town is made of.
pub fn town_documents(friends: usize) -> Vec<ImportLine> {
    let mut lines: Vec<ImportLine> = [
        json!({"kind": "community", "slug": "berlin-tech", "brand": "Berlin Tech", "country": "DE", "currency": "EUR",
            "time_zone": "Europe/Berlin", "commission": {"id": "ten", "basis_points": 1000},
            "policy": {"quiet": null, "undo_ms": 0}}),
        json!({"kind": "package", "slug": "wifi-setup", "title": {"de": "WLAN einrichten", "en": "Set up Wi-Fi"},
            "category": "wifi", "skills": [{"skill": "wifi", "level": 1}], "duration_min": 45,
            "pricing": {"kind": "fixed", "price": {"amount": 2900, "currency": "EUR"}},
            "questions": [{"name": "router", "text": {"de": "Router?", "en": "Router?"}, "answer": {"kind": "text"},
                "required": true, "in_offer": true}]}),
        json!({"kind": "partner", "slug": "shop", "name": "A Shop", "community": "berlin-tech"}),
    ]
    .into_iter()
    .map(|line| serde_json::from_value(line).expect("a document"))
    .collect();
    lines.extend((0..friends).map(|index| {
        serde_json::from_value(json!({"kind": "friend", "id": friend_id(index), "name": format!("Friend {index}"),
            "skills": [{"skill": "wifi", "level": 3}], "communities": ["berlin-tech"], "country": "DE"}))
        .expect("a friend")
    }));
    lines
}

/// The partner of the town, who repeats a call for up to `patience_ms`.
pub async fn partner(http: &Http, patience_ms: u64) -> PartnerClient {
    let admin = AdminClient::new(http.clone());
    let key = admin.partner_key(&"shop".parse().expect("a slug")).await.expect("a key").token;
    PartnerClient::new(http.with_key(key), patience_ms)
}

pub fn friend_id(index: usize) -> FriendId {
    FriendId(Uuid::from_u128(0x0192_f000_0000_7000_8000_0000_0000_0000 + index as u128 + 1))
}

/// A friend with everything they have heard.
pub struct Cast {
    pub client: FriendClient,
    pub heard: Vec<FriendMessage>,
}

impl Cast {
    /// A friend who is connected, on duty and stands somewhere.
    pub async fn on_duty(server: Server, id: FriendId, place: (f64, f64)) -> Cast {
        let admin = AdminClient::new(Http::new(server.clone(), DEVELOPMENT_KEY));
        let token = admin.friend_token(id, Some(60)).await.expect("a token").token;
        let mut config = FriendConfig::new(server, token);
        config.reconnect = Reconnect::quick();
        let mut cast = Cast { client: FriendClient::new(config), heard: Vec::new() };
        cast.until("a snapshot", |message| matches!(message, FriendMessage::Snapshot(_)).then_some(())).await;
        let key = cast.client.duty(true);
        cast.until("duty", |message| {
            matches!(message, FriendMessage::Done { key: done } if *done == key).then_some(())
        })
        .await;
        assert!(cast.client.fix(Point::new(place.0, place.1).expect("on earth")));
        // The pong comes after the fix was taken.
        cast.round_trip().await;
        cast
    }

    /// Listens until a message fits.
    pub async fn until<A>(&mut self, what: &str, mut fits: impl FnMut(&FriendMessage) -> Option<A>) -> A {
        let wait = async {
            loop {
                match self.client.next().await {
                    FriendEvent::Message(envelope) => {
                        let found = fits(&envelope.message);
                        self.heard.push(envelope.message);
                        if let Some(found) = found {
                            return found;
                        }
                    }
                    FriendEvent::Over { code, cause } => panic!("closed for good: {code} {cause}"),
                    FriendEvent::Unknown(text) => panic!("not understood: {text}"),
                    FriendEvent::Up { .. } | FriendEvent::Down { .. } | FriendEvent::TriedAgain(_) => {}
                }
            }
        };
        match tokio::time::timeout(Duration::from_secs(10), wait).await {
            Ok(found) => found,
            Err(_) => panic!("waited for {what}; heard {:#?}", self.heard),
        }
    }

    pub async fn offer(&mut self) -> Offer {
        self.until("an offer", |message| match message {
            FriendMessage::Offer(offer) => Some(offer.clone()),
            _ => None,
        })
        .await
    }

    /// Accepts and hears the verdict.
    pub async fn verdict(
        &mut self,
        key: Key,
    ) -> (kiez_protocol::friend::Verdict, Option<kiez_protocol::friend::LostReason>) {
        self.until("a verdict", |message| match message {
            FriendMessage::AcceptResult { key: about, result, reason, .. } if *about == key => Some((*result, *reason)),
            _ => None,
        })
        .await
    }

    /// Everything sent before has been taken.
    pub async fn round_trip(&mut self) {
        let t = 42;
        self.client.send(&kiez_protocol::friend::FriendFrame::Ping { t });
        self.until("a pong", |message| matches!(message, FriendMessage::Pong { .. }).then_some(())).await;
    }

    /// Hears nothing more for a moment.
    pub async fn silence(&mut self, ms: u64) -> Vec<FriendMessage> {
        let mut heard = Vec::new();
        let until = tokio::time::sleep(Duration::from_millis(ms));
        tokio::pin!(until);
        loop {
            tokio::select! {
                () = &mut until => return heard,
                event = self.client.next() => if let FriendEvent::Message(envelope) = event { heard.push(envelope.message) },
            }
        }
    }
}

/// A job in the middle of the stories' town.
pub fn job(reference: &str) -> PostJob {
    serde_json::from_value(json!({
        "package": "wifi-setup", "location": {"lat": 52.4996, "lng": 13.4180},
        "address": {"street": "Canarystraße 7", "postcode": "10999", "city": "Berlin", "country": "DE"},
        "customer": {"name": "Canary Customer", "phone": "+493012345678", "language": "de"},
        "answers": {"router": "Fritz!Box 7590"},
        "payment_method": "card_online", "partner_ref": reference,
    }))
    .expect("a job")
}

/// Places at so many metres north of the job.
pub fn north(metres: &[f64]) -> Vec<(f64, f64)> {
    metres.iter().map(|metres| (52.4996 + metres / 111_195.0, 13.4180)).collect()
}

/// A database that goes away with the test.
pub struct Database {
    pub url: String,
    _folder: Option<tempfile::TempDir>,
    name: Option<String>,
}

impl Database {
    pub fn sqlite() -> Database {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("kiez.db").display());
        Database { url, _folder: Some(folder), name: None }
    }

    /// A fresh database on the Postgres that `./test` starts. `KIEZ_TEST_POSTGRES=skip` goes without.
    pub fn postgres() -> Option<Database> {
        let server = server_url()?;
        let name = format!("kiez_test_{}", Uuid::new_v4().simple());
        psql(&server, &format!("create database {name}"));
        let (base, _) = server.rsplit_once('/').expect("the URL names a database");
        Some(Database { url: format!("{base}/{name}"), _folder: None, name: Some(name) })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let (Some(name), Some(server)) = (&self.name, server_url()) {
            psql(&server, &format!("drop database if exists {name} with (force)"));
        }
    }
}

fn server_url() -> Option<String> {
    match std::env::var("KIEZ_TEST_POSTGRES") {
        Ok(skip) if skip == "skip" => None,
        Ok(url) => Some(url),
        Err(_) => panic!("KIEZ_TEST_POSTGRES is not set: run ./test, which starts a Postgres, or set it to `skip`"),
    }
}

/// What `psql` answers to a statement, unaligned and without headings.
pub fn psql(url: &str, statement: &str) -> String {
    let out = std::process::Command::new("psql").args([url, "-v", "ON_ERROR_STOP=1", "-XAtc", statement]).output();
    let out = out.expect("psql is installed");
    assert!(out.status.success(), "{statement}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("UTF-8").trim().to_owned()
}
