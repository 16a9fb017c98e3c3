//! A server in a process of its own, and the town that is told about: everybody in it has a name, a street and a place
//! that would be found again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Duration;

use kiez_load::client::{AdminClient, FriendClient, FriendConfig, Http, PartnerClient, Reconnect, Server};
use kiez_protocol::directory::ImportLine;
use kiez_protocol::friend::FriendMessage;
use kiez_protocol::partner::PostJob;
use kiez_protocol::place::Point;
use serde_json::{Value, json};

use crate::common::{Cast, DEVELOPMENT_KEY, friend_id};

/// A running server whose stderr is kept, or is left to nobody.
pub struct House {
    child: Child,
    pub address: SocketAddr,
    pub admin_address: SocketAddr,
    log: Option<tempfile::NamedTempFile>,
    // What it says later fits into the pipe.
    _stdout: BufReader<ChildStdout>,
    _database: tempfile::TempDir,
}

/// What becomes of the log.
pub enum Log {
    /// It goes to a file.
    Kept,
    /// It goes into a pipe.
    Unread,
}

impl House {
    /// Starts a server on `url`, or on a SQLite of its own.
    pub fn start(log: &Log, url: Option<&str>, environment: &[(&str, &str)], flags: &[&str]) -> House {
        let database = tempfile::tempdir().expect("a folder");
        let own = format!("sqlite:{}", database.path().join("kiez.db").display());
        let log = match log {
            Log::Kept => Some(tempfile::NamedTempFile::new().expect("a file")),
            Log::Unread => None,
        };
        let stderr =
            log.as_ref().map_or_else(Stdio::piped, |file| Stdio::from(file.as_file().try_clone().expect("a handle")));
        let mut child = Command::new(env!("CARGO_BIN_EXE_kiez"))
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--database-url", url.unwrap_or(&own)])
            .args(flags)
            .env_remove("KIEZ_LOG")
            .env("KIEZ_AUTH__DEVELOPMENT_KEY", DEVELOPMENT_KEY)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("kiez starts");
        let mut said = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout.read_line(&mut said).expect("it says where it listens");
        let mut addresses = said.split("http://").skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len());
            rest[..end].parse().unwrap_or_else(|_| panic!("an address in {said}"))
        });
        let (address, admin_address) = (addresses.next().expect("one"), addresses.next().expect("two"));
        House { child, address, admin_address, log, _stdout: stdout, _database: database }
    }

    pub fn server(&self) -> Server {
        Server::at(&format!("http://{}", self.address)).expect("loopback")
    }

    pub fn http(&self) -> Http {
        Http::new(self.server(), DEVELOPMENT_KEY)
    }

    pub fn admin(&self) -> AdminClient {
        AdminClient::new(self.http())
    }

    /// The town, and the key of its partner.
    pub async fn town(&self) -> (PartnerClient, String) {
        self.admin().import(&documents()).await.expect("imported");
        let key = self.admin().partner_key(&"shop".parse().expect("a slug")).await.expect("a key").token;
        (PartnerClient::new(self.http().with_key(key.clone()), 5_000), key)
    }

    /// A friend of the town: connected, on duty, at a place of their own. Also their token.
    pub async fn friend(&self, index: usize) -> (Cast, String) {
        let token = self.admin().friend_token(friend_id(index), Some(60)).await.expect("a token").token;
        let mut config = FriendConfig::new(self.server(), token.clone());
        config.reconnect = Reconnect::quick();
        let mut cast = Cast { client: FriendClient::new(config), heard: Vec::new() };
        cast.until("a snapshot", |message| matches!(message, FriendMessage::Snapshot(_)).then_some(())).await;
        let key = cast.client.duty(true);
        cast.until("duty", |message| {
            matches!(message, FriendMessage::Done { key: done } if *done == key).then_some(())
        })
        .await;
        let (lat, lng) = place(index);
        assert!(cast.client.fix(Point::new(lat, lng).expect("on earth")));
        cast.round_trip().await;
        (cast, token)
    }

    /// What the operator's listener answers to a path.
    pub fn look(&self, path: &str) -> String {
        raw(self.admin_address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
    }

    /// The value of one series of `/metrics`, as it is written there.
    pub fn meter(&self, series: &str) -> f64 {
        let page = self.look("/metrics");
        let found = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("{series} in {page}")).parse().expect("a number")
    }

    /// The log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.as_ref().expect("it is kept").path()).expect("text")
    }

    /// The end of the pipe that nobody has read.
    pub fn unread(&mut self) -> ChildStderr {
        self.child.stderr.take().expect("it was not kept")
    }

    /// Resident memory, bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("on Linux");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1_024
    }

    /// Asks it to end, and waits for that. Whether it ended well.
    pub async fn end(&mut self) -> bool {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(asked.expect("kill is installed").success());
        for _ in 0..400 {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status.success();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not end");
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends bytes and reads until the other side closes.
pub fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a limit");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    // A connection that is closed hard has still said what it had to say.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Where the job is.
pub const JOB: (f64, f64) = (52.496_137_240_6, 13.418_024_680_9);

/// Where a friend stands: some hundred metres from the job, with digits of their own.
pub fn place(index: usize) -> (f64, f64) {
    (52.497_340_915_8 + 0.002 * index as f64, 13.418_672_950_4)
}

/// The town: two friends are asked at a time, and time passes in seconds for what is urgent.
fn documents() -> Vec<ImportLine> {
    let plan = json!({"interval_ms": 4_000, "offer_valid_ms": 6_000, "waves": 2, "caps_m": [3_000], "pros_join_wave": 2,
        "crowd_joins_wave": 2, "alarm_ms": 60_000, "expire_ms": 10_000});
    let mut lines = vec![
        json!({"kind": "community", "slug": "berlin-tech", "brand": "Berlin Tech", "country": "DE", "currency": "EUR",
            "time_zone": "Europe/Berlin", "commission": {"id": "ten", "basis_points": 1000},
            "policy": {"quiet": null, "undo_ms": 0, "seats": 2, "delivery_ms": 60_000, "urgent": plan}}),
        json!({"kind": "package", "slug": "wifi-setup", "title": {"de": "WLAN einrichten", "en": "Set up Wi-Fi"},
            "category": "wifi", "duration_min": 45,
            "pricing": {"kind": "fixed", "price": {"amount": 2900, "currency": "EUR"}},
            "questions": [
                {"name": "router", "text": {"de": "Router?", "en": "Router?"}, "answer": {"kind": "text"},
                    "required": true, "in_offer": true},
                {"name": "problem", "text": {"de": "Was?", "en": "What?"}, "answer": {"kind": "text"}}]}),
        json!({"kind": "partner", "slug": "shop", "name": "A Shop", "community": "berlin-tech"}),
    ];
    lines.extend((0..6).map(|index| {
        json!({"kind": "friend", "id": friend_id(index), "name": format!("Qanary Friend {index}"),
            "communities": ["berlin-tech"], "country": "DE", "jobs_held_max": 1})
    }));
    lines.into_iter().map(|line| serde_json::from_value(line).expect("a document")).collect()
}

/// A booking in which everything that belongs to a person can be found again.
pub fn booking(change: impl FnOnce(&mut Value)) -> PostJob {
    serde_json::from_value(body(change)).expect("a job")
}

/// The same as it is sent.
pub fn body(change: impl FnOnce(&mut Value)) -> Value {
    let mut body = json!({
        "package": "wifi-setup", "location": {"lat": JOB.0, "lng": JOB.1},
        "address": {"street": "Qanarystraße 77", "postcode": "10999", "city": "Qanarystadt", "country": "DE"},
        "customer": {"name": "Qanary Vonkunde", "phone": "+49309988776655", "email": "qanary@kunde.example",
            "language": "de"},
        "answers": {"router": "Qanary-Fritz 7590", "problem": "Herr Qanary hat kein Netz"},
        "payment_method": "card_online", "partner_ref": "QANARY-REF-1", "urgency": "relaxed",
    });
    change(&mut body);
    body
}
