//! Servers of partners, good and bad, on this machine: each does one thing with whatever is posted to it, and keeps what came.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kiez::notify::signature;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a target does with a request.
#[derive(Clone, Debug)]
pub enum Does {
    /// Answers with this head and body.
    Answers(String),
    /// Takes it and says nothing.
    Hangs,
    /// Answers 200, and a gibibyte after it.
    Floods,
    /// Answers 200, and then a byte at a time.
    Drips,
    /// Closes at once.
    Breaks,
    /// Says what is no HTTP.
    Babbles,
    /// Answers 503 so many times, and 204 from then on.
    Recovers(usize),
}

impl Does {
    pub fn status(status: u16) -> Does {
        Does::Answers(format!("HTTP/1.1 {status} Word\r\ncontent-length: 0\r\n\r\n"))
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Came {
    pub at: Instant,
    pub line: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Came {
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// Whether it was signed by this secret, `whsec_…`, just now.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let secret = kiez::ledger::secret::read(secret).expect("a secret");
        let at: i64 = self.headers["webhook-timestamp"].parse().expect("seconds");
        let now = kiez::clock::Clock::start().real().0 / 1_000;
        let header = &self.headers["webhook-signature"];
        signature::verify(&secret, self.id(), at, self.body.as_bytes(), header, now).is_ok()
    }
}

/// A server that runs until the test ends.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub came: Arc<Mutex<Vec<Came>>>,
    does: Arc<Mutex<Does>>,
    /// Bytes that were written to whoever asked.
    pub written: Arc<Mutex<u64>>,
}

impl Target {
    pub async fn that(does: Does) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target = Target {
            address: listener.local_addr().expect("bound"),
            came: Arc::default(),
            does: Arc::new(Mutex::new(does)),
            written: Arc::default(),
        };
        let server = target.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        target
    }

    /// Where nobody listens.
    pub async fn closed() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        format!("http://{}/closed", listener.local_addr().expect("bound"))
    }

    pub fn url(&self) -> String {
        format!("http://{}/hooks?from=kiez", self.address)
    }

    pub fn now_does(&self, does: Does) {
        *self.does.lock().expect("nobody panics with it") = does;
    }

    pub fn came(&self) -> Vec<Came> {
        self.came.lock().expect("nobody panics with it").clone()
    }

    /// Waits until so many requests came.
    pub async fn has(&self, count: usize) -> Vec<Came> {
        let wait = async {
            while self.came().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
        assert!(waited.is_ok(), "waited for {count} requests; there came {:#?}", self.came());
        self.came()
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let (head, length) = loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, _)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
                break (head.to_owned(), length.unwrap_or(0));
            }
            let mut part = [0; 4_096];
            match stream.read(&mut part).await {
                // The beginning of a TLS handshake, and this server has none.
                Ok(read) if read > 0 && part[0] == 0x16 => return,
                Ok(read) if read > 0 => bytes.extend_from_slice(&part[..read]),
                Ok(_) | Err(_) => return,
            }
        };
        let start = head.len() + 4;
        while bytes.len() < start + length {
            let mut part = [0; 4_096];
            match stream.read(&mut part).await {
                Ok(read) if read > 0 => bytes.extend_from_slice(&part[..read]),
                Ok(_) | Err(_) => return,
            }
        }
        let mut lines = head.lines();
        let line = lines.next().unwrap_or_default().to_owned();
        let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers = lines.filter_map(header).collect();
        let body = String::from_utf8(bytes[start..].to_vec()).expect("UTF-8");
        let count = {
            let mut came = self.came.lock().expect("nobody panics with it");
            came.push(Came { at: Instant::now(), line, headers, body });
            came.len()
        };
        let does = self.does.lock().expect("nobody panics with it").clone();
        self.answer(stream, does, count).await;
    }

    async fn answer(&self, mut stream: TcpStream, does: Does, count: usize) {
        const LONG: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n";
        match does {
            Does::Answers(answer) => drop(stream.write_all(answer.as_bytes()).await),
            Does::Hangs => tokio::time::sleep(Duration::from_secs(60)).await,
            Does::Floods => {
                let part = vec![b'x'; 65_536];
                let _ = stream.write_all(LONG).await;
                for _ in 0..16_384 {
                    if stream.write_all(&part).await.is_err() {
                        break;
                    }
                    *self.written.lock().expect("nobody panics with it") += 65_536;
                }
            }
            Does::Drips => {
                let _ = stream.write_all(LONG).await;
                while stream.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
            Does::Breaks => {}
            Does::Babbles => drop(stream.write_all(b"220 mail.example ESMTP\r\n").await),
            Does::Recovers(times) => {
                let status = if count <= times { 503 } else { 204 };
                let answer = format!("HTTP/1.1 {status} Word\r\ncontent-length: 0\r\n\r\n");
                drop(stream.write_all(answer.as_bytes()).await);
            }
        }
    }
}
