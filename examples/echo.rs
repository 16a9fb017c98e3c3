//! An echo over the very sockets that friends and ops talk to: the same door, the same upgrade, the same deadlines. It
//! exists for the conformance suite (`tests/conformance/run`), and it is no part of the server.
//!
//!     cargo run --example echo                              raised limits: messages of up to 64 MiB
//!     cargo run --example echo -- --production              the limits of a friend's socket: 4 KiB, 5 s
//!     cargo run --example echo -- 127.0.0.1:9001
//!
//! Every knob of `limits` is taken from the environment (`KIEZ_LIMITS__…`). It listens on loopback only, prints where,
//! and goes on until it is ended.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use axum::response::IntoResponse;
use axum::{Router, routing};
use kiez::config::Config;
use kiez::serve::accept::Door;
use kiez::serve::files;
use kiez::serve::socket::{Incoming, Socket, SocketLimits, Upgrade};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (mut production, mut address) = (false, SocketAddr::from(([127, 0, 0, 1], 9001)));
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--production" => production = true,
            other => address = other.parse().with_context(|| format!("{other}: --production or an address:port"))?,
        }
    }
    anyhow::ensure!(address.ip().is_loopback(), "{address}: an echo for anybody listens on loopback only");
    let limits = Config::load(None, std::env::vars(), &[])?.config.limits;
    let mut socket = SocketLimits::of(&limits, limits.friend_message_bytes_max);
    if !production {
        let minute_ms = 60_000;
        socket = SocketLimits {
            message_bytes_max: 64 << 20,
            write_ms: minute_ms,
            assembly_ms: minute_ms,
            control_interval_ms: 1,
            ..socket
        };
    }
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    let app = App { socket, tasks: TaskTracker::new() };
    let (door, tasks) = (Door::new(&limits, files::room_for(limits.connections_max)), app.tasks.clone());
    let router = Router::new().route("/", routing::get(upgrade)).with_state(Arc::new(app));
    door.accept(listener, router, CancellationToken::new(), tasks).await;
    Ok(())
}

struct App {
    socket: SocketLimits,
    tasks: TaskTracker,
}

async fn upgrade(State(app): State<Arc<App>>, mut request: Request) -> Response<Body> {
    match Upgrade::check(&mut request, None, app.socket) {
        Ok(upgrade) => {
            let (response, socket) = upgrade.split();
            app.tasks.spawn(async move {
                if let Some(socket) = socket.await {
                    echo(socket).await;
                }
            });
            response
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn echo(mut socket: Socket) {
    loop {
        match socket.message().await {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                if !socket.write(message).await {
                    return;
                }
            }
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_) | Message::Close(_)) => {}
            Err(Incoming::Broken(code, reason)) => return socket.close(code, reason).await,
            Err(Incoming::Text(_) | Incoming::Alive | Incoming::Gone) => return,
        }
    }
}
