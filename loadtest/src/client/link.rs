//! One connection of a friend: the handshake with its welcome, and a socket that is read and written in the same turn.
//! Writes wait in a short queue of our own, so that a server that takes nothing off the wire does not stop the reading.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Sink as _, SinkExt as _, StreamExt as _};
use kiez_protocol::FRIEND_SUBPROTOCOL;
use kiez_protocol::friend::{Envelope, FriendFrame, FriendMessage, Welcome};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::http::Server;

/// The largest message read, bytes: what the server keeps for one friend at most.
const MESSAGE_LEN_MAX: usize = 64 << 10;

pub(super) type Socket = WebSocketStream<TcpStream>;

/// A break and what the server said about coming back.
#[derive(Debug)]
pub(super) struct Break {
    pub code: Option<u16>,
    pub cause: String,
    pub come_back_ms: Option<u64>,
}

impl Break {
    pub fn because(cause: impl std::fmt::Display) -> Break {
        Break { code: None, cause: cause.to_string(), come_back_ms: None }
    }
}

/// A connection that is up.
pub(super) struct Live {
    pub socket: Socket,
    pub out: VecDeque<Message>,
    unflushed: bool,
    /// When a write began to wait.
    pub stuck_since: Option<Instant>,
    pub heard_at: Instant,
    /// Silence after which the server is taken for gone.
    pub silence_max: Duration,
    pub seq_acked: u64,
    pub ack_at: Option<Instant>,
    pub acked_at: Option<Instant>,
    pub come_back_ms: Option<u64>,
}

/// A connection with its welcome, and the token that opened it.
pub(super) struct Greeted {
    pub socket: Socket,
    pub welcome: Welcome,
    pub token: String,
}

impl Live {
    /// A connection with its welcome, frames that go out first, and the newest `seq` of its session.
    pub fn new(socket: Socket, welcome: &Welcome, out: VecDeque<Message>, seq_acked: u64) -> Live {
        Live {
            socket,
            out,
            unflushed: false,
            stuck_since: None,
            heard_at: Instant::now(),
            // Two heartbeats missed, and some for the wire.
            silence_max: Duration::from_millis(u64::from(welcome.heartbeat_ms).max(1_000) * 2 + 5_000),
            seq_acked,
            ack_at: None,
            acked_at: None,
            come_back_ms: None,
        }
    }

    /// Writes what waits; pending when the server takes no more just now.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), tungstenite::Error>> {
        let written = self.poll_write_out(cx);
        match &written {
            Poll::Pending => {
                self.stuck_since.get_or_insert_with(Instant::now);
            }
            Poll::Ready(_) => self.stuck_since = None,
        }
        written
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), tungstenite::Error>> {
        while !self.out.is_empty() {
            ready!(Pin::new(&mut self.socket).poll_ready(cx))?;
            if let Some(message) = self.out.pop_front() {
                Pin::new(&mut self.socket).start_send(message)?;
                self.unflushed = true;
            }
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

/// Connects, says hello and waits for the welcome.
pub(super) async fn greet(server: &Server, hello: FriendFrame) -> Result<(Socket, Welcome), Break> {
    let stream = TcpStream::connect(server.authority()).await.map_err(Break::because)?;
    stream.set_nodelay(true).map_err(Break::because)?;
    let request = tungstenite::ClientRequestBuilder::new(
        format!("ws://{}/v1/friend", server.authority()).parse().expect("a checked authority makes a URL"),
    )
    .with_sub_protocol(FRIEND_SUBPROTOCOL);
    let config = WebSocketConfig::default()
        .read_buffer_size(2 << 10)
        .write_buffer_size(0)
        .max_write_buffer_size(MESSAGE_LEN_MAX)
        .max_message_size(Some(MESSAGE_LEN_MAX))
        .max_frame_size(Some(MESSAGE_LEN_MAX))
        .accept_unmasked_frames(false);
    let (mut socket, _) =
        client_async_with_config(request, stream, Some(config)).await.map_err(|fault| match &fault {
            // Overload: 503 with the time to come back.
            tungstenite::Error::Http(answer) => {
                let wait =
                    answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
                Break { come_back_ms: wait.map(|seconds| seconds * 1_000), ..Break::because(&fault) }
            }
            _ => Break::because(&fault),
        })?;
    socket.send(text(&hello)).await.map_err(Break::because)?;
    // A server that lets nobody in just now says when to come again.
    let mut come_back_ms = None;
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => match serde_json::from_str::<Envelope>(&text) {
                Ok(Envelope { message: FriendMessage::Welcome(welcome), .. }) => return Ok((socket, welcome)),
                Ok(Envelope { message: FriendMessage::Draining { reconnect_in_ms }, .. }) => {
                    come_back_ms = Some(u64::from(reconnect_in_ms));
                }
                Ok(_) | Err(_) => {}
            },
            Some(Ok(Message::Close(Some(frame)))) => {
                let cause = frame.reason.to_string();
                return Err(Break { code: Some(frame.code.into()), cause, come_back_ms });
            }
            Some(Ok(_)) => {}
            Some(Err(fault)) => return Err(Break { come_back_ms, ..Break::because(fault) }),
            None => return Err(Break { come_back_ms, ..Break::because("closed before the welcome") }),
        }
    }
}

pub(super) fn text(frame: &FriendFrame) -> Message {
    let json = serde_json::to_string(frame).expect("frames have string keys and finite numbers");
    Message::Text(Utf8Bytes::from(json))
}

/// The `seq` of a message that could not be read as a whole.
pub(super) fn seq_of(text: &str) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Counted {
        seq: Option<u64>,
    }
    serde_json::from_str::<Counted>(text).ok()?.seq
}
