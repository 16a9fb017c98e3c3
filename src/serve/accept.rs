//! The door: connections are taken in while there is room, and each is held to its time. Above the limit a caller hears
//! 503 with `Retry-After` at once, because one who is told to come later does, and one who is left waiting in the kernel's
//! queue learns nothing and comes again beside himself. When the machine has no file left, the door pauses and tries
//! again, longer each time; the connections there are go on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::io::Errno;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::line::{Deadlines, Line};
use super::places::{Place, Places};
use super::problem;
use crate::clock::Stopwatch;
use crate::config::Limits;
use crate::metrics;

/// The first pause while no file is to be had; each is twice the one before.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
/// A caller who is turned away may take so long to hear it.
const TURNED_AWAY: Duration = Duration::from_secs(1);
/// Unanswered probes of TCP after which a silent peer is gone.
const PROBES_MAX: u32 = 3;
const SECOND: Duration = Duration::from_secs(1);
/// The least hyper takes for its buffer of one connection, bytes.
const BUFFER_BYTES_MIN: usize = 16 * 1024;

/// What connections through one listener are held to.
#[derive(Debug)]
pub struct Door {
    connections_max: usize,
    connections: Places,
    turned_away_max: usize,
    turned_away: Places,
    deadlines: Deadlines,
    idle: Duration,
    head_bytes_max: usize,
    unheard: Duration,
    pause_max: Duration,
}

impl Door {
    /// A door for at most `connections_max` connections at once.
    pub fn new(limits: &Limits, connections_max: usize) -> Arc<Door> {
        let ms = Duration::from_millis;
        let deadlines = Deadlines { head: ms(limits.hello_ms), write: ms(limits.hello_ms) };
        Arc::new(Door {
            connections_max,
            connections: Places::default(),
            turned_away_max: limits.turned_away_max,
            turned_away: Places::default(),
            deadlines,
            idle: ms(limits.idle_ms),
            head_bytes_max: limits.head_bytes_max,
            unheard: ms(limits.unheard_ms),
            pause_max: ms(limits.accept_pause_ms),
        })
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.connections.taken()
    }

    /// Takes connections in until `stop`. What is served on them is counted in `tasks`.
    pub async fn accept(
        self: Arc<Self>,
        listener: TcpListener,
        router: Router,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) {
        let mut shortage = Shortage::default();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                // Where from is told to nobody: an address is a person's.
                Ok((stream, _)) => {
                    shortage.ends();
                    self.prepare(&stream);
                    match self.connections.take(self.connections_max) {
                        Some(place) => {
                            let served = self.clone().connection(stream, place, router.clone(), stop.clone());
                            tasks.spawn(served);
                        }
                        None => self.turn_away(stream, &tasks),
                    }
                }
                Err(error) if is_the_callers(&error) => tracing::debug!(%error, "a caller was gone before the door"),
                Err(error) => {
                    let pause = shortage.goes_on(&error, self.pause_max);
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = stop.cancelled() => return,
                    }
                }
            }
        }
    }

    /// A peer that is gone without a word is noticed by TCP: when it leaves what was sent unacknowledged, or when it does
    /// not answer a probe.
    fn prepare(&self, stream: &TcpStream) {
        let socket = SockRef::from(stream);
        // TCP counts in whole seconds.
        let (time, interval) = (self.unheard.max(SECOND), (self.unheard / PROBES_MAX).max(SECOND));
        let keepalive = TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(PROBES_MAX);
        let set = stream.set_nodelay(true).and_then(|()| socket.set_tcp_keepalive(&keepalive));
        #[cfg(target_os = "linux")]
        let set = set.and_then(|()| socket.set_tcp_user_timeout(Some(self.unheard)));
        if let Err(error) = set {
            tracing::debug!(%error, "an option of the connection could not be set");
        }
    }

    /// Says 503 without reading what is asked: that would cost what there is too little of.
    fn turn_away(&self, stream: TcpStream, tasks: &TaskTracker) {
        metrics::connection_turned_away();
        let Some(place) = self.turned_away.take(self.turned_away_max) else { return };
        let (line, _) = Line::new(stream, place, self.deadlines);
        tasks.spawn(async move {
            // Whoever does not take the answer goes without.
            let _ = tokio::time::timeout(TURNED_AWAY, say_no(line)).await;
        });
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, place: Place, router: Router, stop: CancellationToken) {
        let (line, turn) = Line::new(stream, place, self.deadlines);
        let router = TowerToHyperService::new(router);
        let service = service_fn(move |request: Request<Incoming>| {
            turn.begins();
            let (answer, turn) = (router.call(request), turn.clone());
            async move {
                let answer = answer.await;
                turn.ends();
                answer
            }
        });
        let mut served = hyper::server::conn::http1::Builder::new()
            // From one answer to the next head; the line has a shorter time for a head that has begun.
            .timer(TokioTimer::new())
            .header_read_timeout(self.idle)
            .max_header_size(self.head_bytes_max)
            .max_buf_size(BUFFER_BYTES_MIN.max(self.head_bytes_max))
            .serve_connection(TokioIo::new(line), service)
            .with_upgrades();
        let ended = tokio::select! {
            ended = &mut served => ended,
            () = stop.cancelled() => {
                std::pin::Pin::new(&mut served).graceful_shutdown();
                (&mut served).await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
            // What is wrong was said, if anything could be; the peer must be able to read it.
            if let Some(parts) = served.into_parts() {
                parts.io.into_inner().end().await;
            }
        }
    }
}

async fn say_no(mut line: Line) {
    use tokio::io::AsyncWriteExt;
    if line.write_all(&problem::overcrowded()).await.is_ok() && line.flush().await.is_ok() {
        line.end().await;
    }
}

/// Errors of one caller, which say nothing about the next.
fn is_the_callers(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    let theirs = [Errno::CONNABORTED, Errno::CONNRESET, Errno::INTR, Errno::PROTO, Errno::PERM, Errno::TIMEDOUT];
    code.is_some_and(|code| theirs.contains(&code))
}

/// A time in which nobody can be taken in: told once when it begins and once when it is over.
#[derive(Debug, Default)]
struct Shortage {
    since: Option<Stopwatch>,
    tries: u32,
}

impl Shortage {
    /// Another try has failed: how long to wait before the next.
    fn goes_on(&mut self, error: &io::Error, longest: Duration) -> Duration {
        metrics::accept_failed();
        if self.since.is_none() {
            self.since = Some(Stopwatch::start());
            tracing::warn!(%error, "no connection can be taken in; those there are go on");
        }
        let pause = PAUSE_FIRST.saturating_mul(1 << self.tries.min(16)).min(longest.max(PAUSE_FIRST));
        self.tries = self.tries.saturating_add(1);
        pause
    }

    fn ends(&mut self) {
        let Some(since) = self.since.take() else { return };
        let after_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(after_ms, tries = self.tries, "connections are taken in again");
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_begin_anew() {
        let (error, longest) = (io::Error::from(Errno::MFILE), Duration::from_millis(100));
        let mut shortage = Shortage::default();
        let pauses: Vec<_> = (0..6).map(|_| shortage.goes_on(&error, longest).as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 100, 100]);
        shortage.ends();
        assert_eq!(shortage.goes_on(&error, longest), PAUSE_FIRST);
    }

    #[test]
    fn a_caller_who_has_gone_pauses_nobody() {
        assert!(is_the_callers(&io::Error::from(Errno::CONNABORTED)));
        for ours in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert!(!is_the_callers(&io::Error::from(ours)), "{ours:?}");
        }
    }
}
