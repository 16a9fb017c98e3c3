//! What is answered before there is anything to serve: while the ledger is opened, while its database is away, and while a
//! standby waits for its turn. Alive, not ready, come again. It knows no dispatcher and no ledger.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{Response, StatusCode};
use axum::middleware;
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use kiez_protocol::health::{LedgerHealth, Liveness, Readiness};
use kiez_protocol::refusal::Code;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::problem::{self, Refusal, answer};

/// Connections answered at once on each listener; the next ones are closed.
const CONNECTIONS_MAX: usize = 64;
/// One connection, from its beginning to its one answer.
const CONNECTION: Duration = Duration::from_secs(5);

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// The ledger is being opened: a moment.
    Opening,
    /// Another process has the ledger, and this one stands by.
    Standby,
    /// The database does not answer.
    Database,
    /// The ledger is ours, and another process still has the address.
    Address,
}

impl Waits {
    const ALL: [Waits; 4] = [Waits::Opening, Waits::Standby, Waits::Database, Waits::Address];

    fn word(self) -> &'static str {
        match self {
            Waits::Opening => "ledger",
            Waits::Standby => "lock",
            Waits::Database => "database",
            Waits::Address => "address",
        }
    }

    fn detail(self) -> &'static str {
        match self {
            Waits::Opening => "kiez is starting; come again",
            Waits::Standby => "this kiez stands by for another, which serves",
            Waits::Database => "the ledger cannot be reached; come again",
            Waits::Address => "kiez has taken over and is starting; come again",
        }
    }
}

#[derive(Debug)]
struct Now {
    waits: AtomicU8,
    standby: bool,
}

impl Now {
    fn waits(&self) -> Waits {
        Waits::ALL[usize::from(self.waits.load(Ordering::Relaxed))]
    }
}

/// Listeners that answer for a server that does not serve yet.
#[derive(Debug)]
pub struct Waiting {
    now: Arc<Now>,
    stop: CancellationToken,
    listeners: Vec<JoinHandle<TcpListener>>,
}

impl Waiting {
    /// Answers on these listeners from now on, for a server that was started to stand by or not.
    pub fn start(listeners: Vec<TcpListener>, standby: bool) -> Waiting {
        let now = Arc::new(Now { waits: AtomicU8::new(0), standby });
        let stop = CancellationToken::new();
        let router = router(now.clone());
        let listen = |listener| tokio::spawn(listen(listener, router.clone(), stop.clone()));
        Waiting { now, listeners: listeners.into_iter().map(listen).collect(), stop }
    }

    /// What is waited for from now on.
    pub fn wait_for(&self, waits: Waits) {
        let index = Waits::ALL.iter().position(|known| *known == waits).expect("all are listed");
        self.now.waits.store(u8::try_from(index).expect("there are four"), Ordering::Relaxed);
    }

    /// Ends, and gives the listeners back in their order. Nobody who connects meanwhile is turned away.
    ///
    /// # Errors
    /// When a listener's task has panicked.
    pub async fn end(self) -> io::Result<Vec<TcpListener>> {
        self.stop.cancel();
        let mut listeners = Vec::with_capacity(self.listeners.len());
        for listener in self.listeners {
            listeners.push(listener.await.map_err(io::Error::other)?);
        }
        Ok(listeners)
    }
}

fn router(now: Arc<Now>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .fallback(not_yet)
        .layer(middleware::from_fn(problem::frame))
        .with_state(now)
}

async fn livez() -> Response<Body> {
    answer(StatusCode::OK, &Liveness { alive: true, turns: 0 })
}

async fn readyz(State(now): State<Arc<Now>>, RawQuery(query): RawQuery) -> Response<Body> {
    if query.is_some_and(|query| query.contains("verbose")) {
        let waits = now.waits();
        let ledger = LedgerHealth { reachable: waits != Waits::Database, keeps_up: false, queue: 0 };
        let detail = Readiness {
            draining: Some(false),
            standby: Some(now.standby),
            waits_for: Some(waits.word().to_owned()),
            ledger: Some(ledger),
            ..Readiness::default()
        };
        return answer(StatusCode::SERVICE_UNAVAILABLE, &detail);
    }
    answer(StatusCode::SERVICE_UNAVAILABLE, &Readiness::default())
}

async fn not_yet(State(now): State<Arc<Now>>) -> Refusal {
    Refusal::new(Code::Unavailable, now.waits().detail())
}

/// Answers until it is stopped; the listener.
async fn listen(listener: TcpListener, router: Router, stop: CancellationToken) -> TcpListener {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return listener,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let _place = place;
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                // The next request is for whoever serves then.
                .keep_alive(false)
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            // Cut off or broken off: there was nothing to lose.
            let _ = tokio::time::timeout(CONNECTION, served).await;
        });
    }
}
