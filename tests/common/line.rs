//! A friend's line without manners: a bare socket, on which a test says and hears exactly what it wants.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use kiez_protocol::friend::{Envelope, FriendFrame, FriendMessage, Welcome};
use kiez_protocol::ids::{FriendId, SessionId};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

use super::TestServer;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A line that is open.
pub struct Line {
    pub socket: WebSocketStream<TcpStream>,
}

/// How a line ended: the close code, if there was one.
pub type Ended = Option<u16>;

impl Line {
    /// A line before its hello.
    pub async fn open(server: &TestServer) -> Line {
        Line::over(TcpStream::connect(server.address()).await.expect("it listens"), server).await
    }

    pub async fn over(stream: TcpStream, server: &TestServer) -> Line {
        let mut request = format!("ws://{}/v1/friend", server.address()).into_client_request().expect("a request");
        request.headers_mut().insert("sec-websocket-protocol", "kiez.v1".parse().expect("a header"));
        let config = WebSocketConfig::default();
        let (socket, _) =
            tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await.expect("upgraded");
        Line { socket }
    }

    /// A line of this friend with its welcome, that would go on with `session` behind `last_seq`.
    pub async fn hello(server: &TestServer, friend: FriendId, from: Option<(SessionId, u64)>) -> (Line, Welcome) {
        let token = server.admin().friend_token(friend, Some(60)).await.expect("a token").token;
        Line::hello_by(server, &token, from).await
    }

    pub async fn hello_by(server: &TestServer, token: &str, from: Option<(SessionId, u64)>) -> (Line, Welcome) {
        let mut line = Line::open(server).await;
        line.say_hello(token, from).await;
        match line.hear().await.expect("a welcome").message {
            FriendMessage::Welcome(welcome) => (line, welcome),
            other => panic!("no welcome: {other:?}"),
        }
    }

    pub async fn say_hello(&mut self, token: &str, from: Option<(SessionId, u64)>) {
        let (session, last_seq) = from.map_or((None, 0), |(session, last_seq)| (Some(session), last_seq));
        let hello = json!({"type": "hello", "token": token, "session": session, "last_seq": last_seq});
        self.say_json(&hello).await;
    }

    pub async fn say(&mut self, frame: &FriendFrame) {
        self.say_json(&serde_json::to_value(frame).expect("plain data")).await;
    }

    pub async fn say_json(&mut self, frame: &Value) {
        // A line that is closed already is found so when it is heard.
        let _ = self.socket.send(Message::Text(frame.to_string().into())).await;
    }

    pub async fn ack(&mut self, seq: u64) {
        self.say(&FriendFrame::Ack { seq }).await;
    }

    /// The next message, or how the line ended. Pings are answered on the way.
    pub async fn hear(&mut self) -> Result<Envelope, Ended> {
        let wait = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("an envelope")),
                    Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                    Some(Ok(_)) => {}
                    Some(Err(tungstenite::Error::ConnectionClosed)) | None => return Err(None),
                    Some(Err(_)) => return Err(None),
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("something comes")
    }

    /// Listens until a message fits; returns it with its number.
    pub async fn until<A>(
        &mut self,
        what: &str,
        mut fits: impl FnMut(&FriendMessage) -> Option<A>,
    ) -> (Option<u64>, A) {
        loop {
            match self.hear().await {
                Ok(envelope) => {
                    if let Some(found) = fits(&envelope.message) {
                        return (envelope.seq, found);
                    }
                }
                Err(code) => panic!("closed ({code:?}) before {what}"),
            }
        }
    }

    /// What is left until the line ends, and with which code.
    pub async fn rest(&mut self) -> (Vec<FriendMessage>, Ended) {
        let mut heard = Vec::new();
        loop {
            match self.hear().await {
                Ok(envelope) => heard.push(envelope.message),
                Err(code) => return (heard, code),
            }
        }
    }

    /// Hears nothing but its own pong: everything that was said before has been taken, and everything told before told.
    pub async fn nothing_more(&mut self) {
        self.say(&FriendFrame::Ping { t: 4_711 }).await;
        match self.hear().await.map(|envelope| envelope.message) {
            Ok(FriendMessage::Pong { t: 4_711 }) => {}
            other => panic!("something more: {other:?}"),
        }
    }
}
