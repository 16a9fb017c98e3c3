//! A WebSocket on our own terms: the upgrade is checked here, the stream is tokio-tungstenite's with every knob set, and
//! each write has a deadline of its own.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use kiez_protocol::refusal::Code;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use super::problem::Refusal;

/// What came in.
#[derive(Debug)]
pub enum Incoming {
    /// A text message.
    Text(Utf8Bytes),
    /// A ping, pong or another sign of life.
    Alive,
    /// A message of the wrong kind, or one that broke the rules of the protocol: close with this code.
    Broken(u16, &'static str),
    /// The other side has gone.
    Gone,
}

/// One open socket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<TokioIo<Upgraded>>,
    write: Duration,
}

/// The answer to an upgrade, and the future that becomes the socket.
#[derive(Debug)]
pub struct Upgrade {
    /// 101, to be sent.
    pub response: Response<Body>,
    upgraded: hyper::upgrade::OnUpgrade,
    message_bytes_max: usize,
    write: Duration,
}

impl Upgrade {
    /// Checks a request for an upgrade.
    ///
    /// # Errors
    /// [`Code::BadRequest`] when it is none, or does not speak `subprotocol`.
    pub fn check(
        request: &mut Request<Body>,
        subprotocol: Option<&'static str>,
        message_bytes_max: usize,
        write: Duration,
    ) -> Result<Upgrade, Refusal> {
        let bad = |detail: &str| Refusal::new(Code::BadRequest, detail);
        let headers = request.headers();
        let upgrades =
            has_token(headers, header::CONNECTION, "upgrade") && has_token(headers, header::UPGRADE, "websocket");
        if !upgrades || headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(bad("this route takes a WebSocket upgrade, version 13"));
        }
        let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or_else(|| bad("Sec-WebSocket-Key is missing"))?;
        let accept = derive_accept_key(key.as_bytes());
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let answer = response.headers_mut();
        answer.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        answer.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        answer.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).expect("base64"));
        if let Some(subprotocol) = subprotocol {
            if !has_token(headers, header::SEC_WEBSOCKET_PROTOCOL, subprotocol) {
                return Err(bad(&format!("this socket speaks the subprotocol {subprotocol}")));
            }
            answer.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
        }
        let upgraded = hyper::upgrade::on(request);
        Ok(Upgrade { response, upgraded, message_bytes_max, write })
    }

    /// The answer to send, and what becomes the socket once it is sent.
    pub fn split(self) -> (Response<Body>, impl Future<Output = Option<Socket>> + Send + 'static) {
        let Upgrade { response, upgraded, message_bytes_max, write } = self;
        let socket = async move {
            let io = TokioIo::new(upgraded.await.ok()?);
            let config = WebSocketConfig::default()
                // Our frames are small; a message of the largest size passes through in several reads.
                .read_buffer_size(512)
                // Written through at once: the outbox is the buffer.
                .write_buffer_size(0)
                .max_write_buffer_size(256 * 1024)
                .max_message_size(Some(message_bytes_max))
                .max_frame_size(Some(message_bytes_max))
                .accept_unmasked_frames(false);
            let stream = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
            Some(Socket { stream, write })
        };
        (response, socket)
    }
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

impl Socket {
    /// The next that comes in. Cancel-safe.
    pub async fn receive(&mut self) -> Incoming {
        match self.stream.next().await {
            Some(Ok(Message::Text(text))) => Incoming::Text(text),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Incoming::Alive,
            Some(Ok(Message::Binary(_))) => Incoming::Broken(1003, "text frames only"),
            Some(Ok(Message::Close(_))) | None => Incoming::Gone,
            Some(Err(Error::Capacity(_))) => Incoming::Broken(1009, "the message is too large"),
            Some(Err(Error::Utf8(_))) => Incoming::Broken(1007, "the text is not UTF-8"),
            Some(Err(Error::Protocol(_))) => Incoming::Broken(1002, "the frame is not well formed"),
            Some(Err(_)) => Incoming::Gone,
        }
    }

    /// Writes a text within the deadline of a write; whether it went out.
    pub async fn send(&mut self, text: Bytes) -> bool {
        let Ok(text) = Utf8Bytes::try_from(text) else { return false };
        self.write(Message::Text(text)).await
    }

    /// Pings; whether it went out.
    pub async fn ping(&mut self) -> bool {
        self.write(Message::Ping(Bytes::new())).await
    }

    async fn write(&mut self, message: Message) -> bool {
        matches!(tokio::time::timeout(self.write, self.stream.send(message)).await, Ok(Ok(())))
    }

    /// Says goodbye and lets the other side answer for a moment.
    pub async fn close(mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from_static(reason) };
        let goodbye = async {
            if self.stream.send(Message::Close(Some(frame))).await.is_ok() {
                while let Some(Ok(_)) = self.stream.next().await {}
            }
        };
        // Whoever does not take the goodbye is left.
        let _ = tokio::time::timeout(self.write.min(Duration::from_secs(2)), goodbye).await;
    }
}
