//! A WebSocket on our own terms: the upgrade is checked here, the stream is tokio-tungstenite's with every knob set, each
//! write has a deadline of its own, and so has every message that has begun to arrive. Whoever breaks the rules hears the
//! code that says which.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use kiez_protocol::refusal::{Code, close};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use super::assembly::Assembly;
use super::depth;
use super::limit::Pace;
use super::line::{Line, poll_deadline, poll_drained};
use super::places::Place;
use super::problem::Refusal;
use crate::clock::Stopwatch;
use crate::config::Limits;

/// A goodbye waits at most so long for the other side's.
const GOODBYE: Duration = Duration::from_secs(2);
/// Pings and pongs at once; then one each [`SocketLimits::control_interval_ms`].
const CONTROL_BURST: u32 = 20;

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

/// What one socket is held to. Small numbers, because every socket has them.
#[derive(Clone, Copy, Debug)]
pub struct SocketLimits {
    /// Bytes of one message, of all its frames together; then 1009.
    pub message_bytes_max: u32,
    /// Levels of JSON in a text; then 1009.
    pub json_depth_max: u32,
    /// Ms for one write to be taken.
    pub write_ms: u32,
    /// Ms from the first byte of a message to its last; then 4008.
    pub assembly_ms: u32,
    /// Ms between two pings or pongs, with a burst of twenty; then 4013.
    pub control_interval_ms: u32,
}

impl SocketLimits {
    /// The configured limits, for messages of at most so many bytes.
    pub fn of(limits: &Limits, message_bytes_max: usize) -> SocketLimits {
        let (size, ms) =
            (|size: usize| u32::try_from(size).unwrap_or(u32::MAX), |ms: u64| u32::try_from(ms).unwrap_or(u32::MAX));
        SocketLimits {
            message_bytes_max: size(message_bytes_max),
            json_depth_max: size(limits.json_depth_max),
            write_ms: ms(limits.hello_ms),
            assembly_ms: ms(limits.hello_ms),
            control_interval_ms: ms(limits.frame_interval_ms.unsigned_abs()),
        }
    }

    fn write(&self) -> Duration {
        Duration::from_millis(self.write_ms.into())
    }
}

/// One open socket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<Watched>,
    limits: SocketLimits,
    open: Stopwatch,
    controls: Pace,
    // Runs while a message is partly here; the number says which.
    late: Option<(u32, Pin<Box<Sleep>>)>,
}

/// The answer to an upgrade, and the future that becomes the socket.
#[derive(Debug)]
pub struct Upgrade {
    /// 101, to be sent.
    pub response: Response<Body>,
    upgraded: hyper::upgrade::OnUpgrade,
    limits: SocketLimits,
}

impl Upgrade {
    /// Checks a request for an upgrade.
    ///
    /// # Errors
    /// [`Code::BadRequest`] when it is none, or does not speak `subprotocol`.
    pub fn check(
        request: &mut Request<Body>,
        subprotocol: Option<&'static str>,
        limits: SocketLimits,
    ) -> Result<Upgrade, Refusal> {
        let bad = |detail: &str| Refusal::new(Code::BadRequest, detail);
        let headers = request.headers();
        let upgrades =
            has_token(headers, header::CONNECTION, "upgrade") && has_token(headers, header::UPGRADE, "websocket");
        let can = request.method() == Method::GET && request.version() >= Version::HTTP_11;
        if !upgrades || !can || headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
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
        Ok(Upgrade { response, upgraded, limits })
    }

    /// The answer to send, and what becomes the socket once it is sent.
    pub fn split(self) -> (Response<Body>, impl Future<Output = Option<Socket>> + Send + 'static) {
        let Upgrade { response, upgraded, limits } = self;
        let socket = async move {
            let upgraded = upgraded.await.ok()?;
            // The bare stream: the layers of HTTP would stay for as long as the socket does.
            let Ok(parts) = upgraded.downcast::<TokioIo<Line>>() else {
                tracing::error!("a socket was upgraded that did not come in by the door");
                return None;
            };
            let (stream, place) = parts.io.into_inner().into_stream();
            Some(Socket::new(stream, &parts.read_buf, place, limits).await)
        };
        (response, socket)
    }
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

impl Socket {
    async fn new(stream: TcpStream, read_already: &[u8], place: Place, limits: SocketLimits) -> Socket {
        let message_bytes_max = limits.message_bytes_max as usize;
        let config = WebSocketConfig::default()
            // Our frames are small; a message of the largest size passes through in several reads.
            .read_buffer_size(512)
            // Written through at once: the outbox is the buffer.
            .write_buffer_size(0)
            .max_write_buffer_size(message_bytes_max.max(256 * 1024))
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max))
            .accept_unmasked_frames(false);
        let mut assembly = Assembly::default();
        assembly.feed(read_already);
        let watched = Watched { stream, assembly, _place: place };
        let stream = if read_already.is_empty() {
            WebSocketStream::from_raw_socket(watched, Role::Server, Some(config)).await
        } else {
            WebSocketStream::from_partially_read(watched, read_already.to_vec(), Role::Server, Some(config)).await
        };
        Socket { stream, limits, open: Stopwatch::start(), controls: Pace::default(), late: None }
    }

    /// The next that comes in, as the house takes it: texts, not too deep. Cancel-safe.
    pub async fn receive(&mut self) -> Incoming {
        match self.message().await {
            Ok(Message::Text(text)) if depth::exceeds(text.as_bytes(), self.limits.json_depth_max as usize) => {
                Incoming::Broken(close::TOO_BIG, "the JSON is nested too deeply")
            }
            Ok(Message::Text(text)) => Incoming::Text(text),
            Ok(Message::Binary(_)) => Incoming::Broken(1003, "text frames only"),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Incoming::Alive,
            Ok(Message::Close(_)) => Incoming::Gone,
            Err(end) => end,
        }
    }

    /// The next message of any kind. Pings and goodbyes are answered already. Cancel-safe.
    ///
    /// # Errors
    /// [`Incoming::Broken`] or [`Incoming::Gone`]: the socket has come to its end.
    pub async fn message(&mut self) -> Result<Message, Incoming> {
        match poll_fn(|cx| self.poll_message(cx)).await? {
            Some(Ok(Message::Close(frame))) => {
                // The answer to a goodbye is made, not sent. In a box, because it comes once in the life of a socket.
                let _ = Box::pin(tokio::time::timeout(self.limits.write(), self.stream.flush())).await;
                // By its code: the reason is in words of their own.
                tracing::trace!(code = frame.map(|frame| u16::from(frame.code)), "the other side says goodbye");
                Err(Incoming::Gone)
            }
            Some(Ok(message @ (Message::Ping(_) | Message::Pong(_)))) => {
                let now = i64::try_from(self.open.elapsed().as_millis()).unwrap_or(i64::MAX);
                match self.controls.take(now, CONTROL_BURST, self.limits.control_interval_ms.into()) {
                    true => Ok(message),
                    false => Err(Incoming::Broken(close::TOO_FAST, "too many pings")),
                }
            }
            Some(Ok(message)) => Ok(message),
            None => Err(Incoming::Gone),
            Some(Err(Error::Capacity(_))) => Err(Incoming::Broken(close::TOO_BIG, "the message is too large")),
            Some(Err(Error::Utf8(_))) => Err(Incoming::Broken(1007, "the text is not UTF-8")),
            Some(Err(Error::Protocol(_))) => Err(Incoming::Broken(1002, "the frame is not well formed")),
            Some(Err(_)) => Err(Incoming::Gone),
        }
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Result<Message, Error>>, Incoming>> {
        if let Poll::Ready(message) = self.stream.poll_next_unpin(cx) {
            return Poll::Ready(Ok(message));
        }
        let assembly = &self.stream.get_ref().assembly;
        if !assembly.is_open() {
            self.late = None;
            return Poll::Pending;
        }
        let (message, time) = (assembly.whole(), Duration::from_millis(self.limits.assembly_ms.into()));
        if self.late.as_ref().is_some_and(|(of, _)| *of != message) {
            self.late = None;
        }
        let (_, late) = self.late.get_or_insert_with(|| (message, Box::pin(tokio::time::sleep(time))));
        poll_deadline(late, cx).map(|()| Err(Incoming::Broken(close::TOO_SLOW, "the message does not come to its end")))
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

    /// Writes a message within the deadline of a write; whether it went out.
    pub async fn write(&mut self, message: Message) -> bool {
        matches!(tokio::time::timeout(self.limits.write(), self.stream.send(message)).await, Ok(Ok(())))
    }

    /// Says goodbye and lets the other side answer for a moment.
    pub async fn close(mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from_static(reason) };
        let goodbye = async {
            // The answer to a ping that is still to be sent may not come behind the goodbye.
            if self.stream.flush().await.is_err() {
                return;
            }
            if self.stream.send(Message::Close(Some(frame))).await.is_err() {
                return;
            }
            while let Some(Ok(_)) = self.stream.next().await {}
            let (watched, mut dropped) = (self.stream.get_mut(), 0);
            if watched.stream.shutdown().await.is_ok() {
                poll_fn(|cx| poll_drained(&mut watched.stream, cx, &mut dropped)).await;
            }
        };
        // Whoever does not take the goodbye is left.
        let _ = tokio::time::timeout(self.limits.write().min(GOODBYE), goodbye).await;
    }
}

/// The stream of a socket, whose frames are followed as they pass. It holds the connection's place.
#[derive(Debug)]
struct Watched {
    stream: TcpStream,
    assembly: Assembly,
    _place: Place,
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        this.assembly.feed(&buf.filled()[before..]);
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
