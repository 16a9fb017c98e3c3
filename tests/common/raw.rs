//! The wire byte by byte: for what no well-behaved client would send.

#![allow(dead_code, reason = "each story needs a part of it")]

use std::time::Duration;

use serde_json::Value;
use sqlx::{Connection, SqliteConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What is not here after this will not come.
const PATIENCE: Duration = Duration::from_secs(5);

pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xa;
pub const FIN: u8 = 0x80;

/// A connection on which everything may be said.
pub struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer of HTTP.
#[derive(Debug)]
pub struct Answer {
    pub version: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Status, code, parameter and detail of a refusal in one line.
    pub fn line(&self) -> String {
        let json = self.json();
        let text = |key: &str| json[key].as_str().map(ToOwned::to_owned);
        let mut line = self.status.to_string();
        for part in [text("code"), text("param").map(|param| format!("[{param}]")), text("detail")] {
            line.extend(part.map(|part| format!(" {part}")));
        }
        for name in ["allow", "retry-after", "connection"] {
            line.extend(self.header(name).map(|value| format!(" ({name}: {value})")));
        }
        line
    }
}

impl Raw {
    pub async fn to(address: &str) -> Raw {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("an option of TCP");
        Raw { stream, read: Vec::new() }
    }

    /// A socket on which the upgrade has been answered by 101.
    pub async fn socket(address: &str, path: &str, more: &str) -> Raw {
        let mut raw = Raw::to(address).await;
        raw.send(handshake(path, more).as_bytes()).await;
        let answer = raw.answer().await.expect("an answer");
        assert_eq!(answer.status, 101, "{answer:?}");
        raw
    }

    pub async fn friend(address: &str) -> Raw {
        Raw::socket(address, "/v1/friend", "sec-websocket-protocol: kiez.v1\r\n").await
    }

    /// Writes; whoever has hung up already hears no more.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Byte by byte, with a pause between two; whether all of it went out.
    pub async fn drip(&mut self, bytes: &[u8], pause: Duration) -> bool {
        for byte in bytes {
            if !self.send(&[*byte]).await {
                return false;
            }
            tokio::time::sleep(pause).await;
        }
        true
    }

    pub async fn say(&mut self, text: &str) {
        self.send(&frame(FIN | TEXT, text.as_bytes())).await;
    }

    /// Says that nothing more comes.
    pub async fn hang_up(&mut self) {
        self.stream.shutdown().await.expect("still open");
    }

    async fn more(&mut self) -> bool {
        let mut bytes = vec![0; 4_096];
        match tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes)).await.expect("an answer or an end") {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.read.extend(&bytes[..count]);
                true
            }
        }
    }

    async fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.read.len() < count {
            if !self.more().await {
                return None;
            }
        }
        Some(self.read.drain(..count).collect())
    }

    /// Whether the other side closes, and says nothing more before it does.
    pub async fn ends(&mut self) -> bool {
        while self.more().await {}
        self.read.is_empty()
    }

    /// The next answer of HTTP, if the connection does not end before.
    pub async fn answer(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at;
            }
            if !self.more().await {
                return None;
            }
        };
        let head: Vec<u8> = self.read.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("our heads are ASCII");
        let mut lines = head.lines();
        let (version, status) = lines.next()?.split_once(' ').expect("a status line");
        let (version, status) = (version.to_owned(), status[..3].parse().expect("a status"));
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Answer { version, status, headers, body: Vec::new() };
        let length = answer.header("content-length").map(|length| length.parse().expect("a length"));
        answer.body = self.take(length.unwrap_or(0)).await?;
        Some(answer)
    }

    /// The next frame: its first byte and its payload.
    pub async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = self.take(2).await?;
        assert_eq!(head[1] & 0x80, 0, "a server masks nothing");
        let length = match head[1] {
            126 => self.take(2).await?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
            127 => panic!("nothing of ours is so large"),
            short => usize::from(short),
        };
        Some((head[0], self.take(length).await?))
    }

    /// The next text, as JSON; pings are passed over.
    pub async fn heard(&mut self) -> Value {
        loop {
            match self.frame().await {
                Some((0x81, text)) => return serde_json::from_slice(&text).expect("JSON"),
                Some((first, _)) if first == FIN | PING => {}
                other => panic!("no text: {other:?}"),
            }
        }
    }

    /// What the socket comes to: `close CODE REASON`, after it the end of the connection; or `cut`. Texts are passed over.
    pub async fn end(&mut self) -> String {
        loop {
            match self.frame().await {
                None => return "cut without a word".to_owned(),
                Some((first, payload)) if first == FIN | CLOSE => {
                    self.send(&frame(FIN | CLOSE, &payload)).await;
                    assert!(self.ends().await, "nothing comes after a goodbye");
                    if payload.len() < 2 {
                        return "close".to_owned();
                    }
                    let code = u16::from_be_bytes([payload[0], payload[1]]);
                    let reason = std::str::from_utf8(&payload[2..]).expect("UTF-8");
                    return format!("close {code} {reason}").trim_end().to_owned();
                }
                Some(_) => {}
            }
        }
    }

    /// Says hello and hears welcome and snapshot; what an earlier socket has led to may come between.
    pub async fn hello(&mut self, token: &str) {
        self.say(&serde_json::json!({"type": "hello", "token": token}).to_string()).await;
        assert_eq!(self.heard().await["type"], "welcome");
        while self.heard().await["type"] != "snapshot" {}
    }

    /// Waits until a pong or the end, whatever else comes.
    pub async fn hears_pong_or_end(&mut self) {
        loop {
            match self.frame().await {
                Some((0x81, text)) if text.windows(6).any(|part| part == b"\"pong\"") => return,
                Some((first, _)) if first == FIN | CLOSE => return,
                Some(_) => {}
                None => return,
            }
        }
    }

    /// Whether whatever was said before is answered and the socket is alive.
    pub async fn lives(&mut self) -> bool {
        self.say(r#"{"type":"ping","t":77}"#).await;
        loop {
            let heard = self.heard().await;
            if heard["type"] == "pong" && heard["t"] == 77 {
                return true;
            }
        }
    }
}

/// The request of an upgrade.
pub fn handshake(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: kiez\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// A frame as a client must send it: masked.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = head(first, payload.len(), 0x80);
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A frame as a client must not send it.
pub fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [head(first, payload.len(), 0), payload.to_vec()].concat()
}

fn head(first: u8, length: usize, masked: u8) -> Vec<u8> {
    match length {
        short @ 0..126 => vec![first, masked | u8::try_from(short).expect("short")],
        long => {
            let length = u16::try_from(long).expect("below 64 KiB").to_be_bytes();
            vec![first, masked | 126, length[0], length[1]]
        }
    }
}

/// A goodbye with a code.
pub fn goodbye(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// A request with a body.
pub fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: kiez\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Nobody else writes into the database as long as this is held.
pub async fn lock(url: &str) -> SqliteConnection {
    let mut connection = SqliteConnection::connect(url).await.expect("the file is there");
    sqlx::query("begin immediate").execute(&mut connection).await.expect("locked");
    connection
}

pub async fn unlock(lock: SqliteConnection) {
    lock.close().await.expect("the lock goes with it");
}
