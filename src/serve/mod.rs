//! TALK. HTTP and WebSockets for friends, partners, ops and the operator. No decision about a job is made in this room:
//! it checks shapes and credentials, puts inputs into the engine's mailbox, and writes what comes back.

mod admin;
pub mod auth;
pub mod friend;
mod health;
mod limit;
mod ops;
mod partner;
mod problem;
mod socket;
pub mod waiting;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::middleware;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use kiez_protocol::ids::PartnerSlug;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::Limits;
use crate::engine::Mailbox;
use crate::ledger::{Reader, Registry, RegistryError};
use crate::live::Live;
use crate::live::backlog::OutboxLimits;
use crate::metrics;
use auth::Auth;

/// What every handler may use.
#[derive(Debug)]
pub struct App {
    /// What time it is.
    pub clock: Clock,
    /// Who may come in.
    pub auth: Auth,
    /// What is too much.
    pub limits: Limits,
    /// How long a token is valid unless asked otherwise, minutes.
    pub token_minutes: u32,
    /// What is remembered now.
    pub live: Arc<Live>,
    /// The way to the dispatcher.
    pub mailbox: Mailbox,
    /// What is no longer open.
    pub reader: Reader,
    /// What admins maintain.
    pub registry: Registry,
    /// The meters, if they were installed.
    pub metrics: Option<PrometheusHandle>,
    /// The server goes down.
    pub stop: CancellationToken,
    /// Sockets and what belongs to them.
    pub tasks: TaskTracker,
    /// Idempotency keys that are being answered.
    pub in_flight: InFlight,
    /// Sockets that have not said hello.
    pub strangers: Arc<AtomicUsize>,
    /// How many hellos are taken.
    pub admission: friend::admission::Admission,
    /// The version of the directory that is in memory.
    pub directory_version: tokio::sync::Mutex<u64>,
}

impl App {
    fn outbox_limits(&self) -> OutboxLimits {
        let bound = |knob: usize| u32::try_from(knob).unwrap_or(u32::MAX);
        OutboxLimits {
            len_max: bound(self.limits.outbox_len_max),
            bytes_max: bound(self.limits.outbox_bytes_max),
            kept_len_max: bound(self.limits.resume_len_max),
            kept_bytes_max: bound(self.limits.resume_bytes_max),
        }
    }

    /// A place for a socket that has not said hello, if there is one.
    fn admit(&self) -> Option<Admitted> {
        let before = self.strangers.fetch_add(1, Ordering::Relaxed);
        let admitted = Admitted(self.strangers.clone());
        (before < self.limits.unauthenticated_max).then_some(admitted)
    }

    /// Reads the directory again if somebody has changed it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn refresh_directory(&self) -> Result<(), RegistryError> {
        // Held while it is read, so that an older version never replaces a newer one.
        let mut present = self.directory_version.lock().await;
        let version = self.registry.directory_version().await?;
        if version != *present {
            let rows = self.registry.load_directory().await?;
            *present = rows.version;
            fill(&self.live, rows);
        }
        Ok(())
    }
}

/// Fills the directory with what the ledger has.
pub fn fill(live: &Live, rows: crate::ledger::DirectoryRows) {
    for (community, version) in rows.communities {
        live.directory.put_community(community, version);
    }
    for (package, version) in rows.packages {
        live.directory.put_package(package, version);
    }
    for partner in rows.partners {
        live.directory.put_partner(partner, 1);
    }
    for friend in rows.friends {
        let known = live.directory.friend(friend.id);
        if known.is_none_or(|known| *known != friend) {
            let profile = live.directory.put_friend(friend);
            let (id, active) = (profile.id, profile.active);
            live.roster.set_profile(profile);
            // Known before they go, so that nobody comes in behind it.
            if !active {
                live.dismiss(id, friend::INACTIVE);
            }
        }
    }
}

#[derive(Debug)]
struct Admitted(Arc<AtomicUsize>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Idempotency keys that are being answered: a second request hears so.
#[derive(Debug, Default)]
pub struct InFlight(Arc<Mutex<HashSet<(PartnerSlug, String)>>>);

impl InFlight {
    fn enter(&self, partner: &PartnerSlug, key: &str) -> Option<Flight> {
        let entry = (partner.clone(), key.to_owned());
        let entered = self.0.lock().expect("nothing panics while it holds this").insert(entry.clone());
        entered.then(|| Flight { keys: self.0.clone(), entry })
    }
}

#[derive(Debug)]
struct Flight {
    keys: Arc<Mutex<HashSet<(PartnerSlug, String)>>>,
    entry: (PartnerSlug, String),
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.keys.lock().expect("nothing panics while it holds this").remove(&self.entry);
    }
}

/// Everything friends, partners and ops can reach.
pub fn public(app: Arc<App>) -> Router {
    Router::new()
        .merge(friend::routes())
        .merge(partner::routes())
        .merge(ops::routes())
        .merge(admin::routes())
        .merge(health::routes())
        .layer(middleware::from_fn(problem::frame))
        .with_state(app)
}

/// What the operator can reach.
pub fn operator(app: Arc<App>) -> Router {
    health::admin_routes().layer(middleware::from_fn(problem::frame)).with_state(app)
}

/// Accepts connections until the app stops. Each has five seconds for its headers.
pub async fn accept(app: Arc<App>, listener: TcpListener, router: Router) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = app.stop.cancelled() => return,
        };
        match accepted {
            // Where from is nobody's business: an address is a person's.
            Ok((stream, _)) => {
                app.tasks.spawn(connection(app.clone(), stream, router.clone()));
            }
            // Out of file descriptors, or the peer has gone already: the sockets there are go on.
            Err(error) => {
                metrics::accept_failed();
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(app: Arc<App>, stream: TcpStream, router: Router) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let service = TowerToHyperService::new(router);
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(app.limits.hello_ms))
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = app.stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
