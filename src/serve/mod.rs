//! TALK. HTTP and WebSockets for friends, partners, ops and the operator. No decision about a job is made in this room:
//! it checks shapes and credentials, puts inputs into the engine's mailbox, and writes what comes back.

pub mod accept;
mod admin;
mod assembly;
mod audit;
pub mod auth;
mod communities;
mod contract;
mod customer;
mod customer_page;
mod depth;
mod desk;
mod desk_view;
mod dry_run;
pub mod files;
pub mod friend;
mod friends;
mod health;
mod limit;
mod line;
mod listing;
mod ops;
mod partner;
mod places;
mod problem;
mod query;
pub mod seal;

pub mod socket;
pub mod waiting;

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::middleware;
use kiez_protocol::friend::FriendMessage;
use kiez_protocol::ids::{CommunitySlug, PartnerSlug};
use kiez_protocol::time::Time;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::Limits;
use crate::dispatch::input::Input;
use crate::engine::Mailbox;
use crate::ledger::{Reader, Registry, RegistryError};
use crate::live::Live;
use crate::live::backlog::OutboxLimits;
use crate::live::reach::Patience;
use auth::Auth;
pub use customer::Links;
pub use ops::Origins;
pub use places::{Place, Places};

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
    pub strangers: Places,
    /// Questions of friends about the past that are being answered.
    pub questions: friend::hindsight::Questions,
    /// Names for jobs that say nothing.
    pub seal: seal::Seal,
    /// How many hellos are taken.
    pub admission: friend::admission::Admission,
    /// How customers come in.
    pub links: Links,
    /// Pages that may open the map's feed.
    pub origins: Origins,
    /// The version of the directory that is in memory.
    pub directory_version: tokio::sync::Mutex<u64>,
    /// The communities whose brake the dispatcher knows to be on.
    pub braked: Mutex<BTreeSet<CommunitySlug>>,
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

    /// How long a friend's silence is borne.
    pub fn patience(&self) -> Patience {
        Patience { live_ms: self.limits.live_ms, suspect_ms: self.limits.suspect_ms }
    }

    /// Tells the dispatcher of every community whose brake was set or released. What finds no room is told the next time.
    pub fn tell_brakes(&self) {
        let communities = self.live.directory.communities();
        let mut known = self.braked.lock().expect("nothing panics while it holds this");
        for community in communities {
            let (slug, on) = (community.slug.clone(), community.brake);
            if known.contains(&slug) == on || self.mailbox.send(Input::Brake { community: slug.clone(), on }).is_err() {
                continue;
            }
            tracing::info!(community = %slug, on, "brake");
            if on {
                known.insert(slug)
            } else {
                known.remove(&slug)
            };
        }
    }

    /// A place for a socket that has not said hello, if there is one.
    fn admit(&self) -> Option<Place> {
        self.strangers.take(self.limits.unauthenticated_max)
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
            let rows = self.registry.load_changes(*present).await?;
            *present = rows.version;
            fill(&self.live, rows, self.clock.now());
        }
        self.tell_brakes();
        Ok(())
    }
}

/// Fills the directory with what the ledger has.
pub fn fill(live: &Live, rows: crate::ledger::DirectoryRows, now: Time) {
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
        if known.as_ref().is_none_or(|known| **known != friend) {
            let profile = live.directory.put_friend(friend);
            let (id, account) = (profile.id, profile.account.clone());
            let may_connect = account.may_connect();
            live.roster.set_profile(profile);
            if may_connect && known.is_some_and(|known| known.account != account) {
                live.tell(id, FriendMessage::Account { account }, now);
            }
            // Known before they go, so that nobody comes in behind it.
            if !may_connect {
                live.dismiss(id, friend::INACTIVE);
            }
        }
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
        .merge(listing::routes())
        .merge(customer::routes())
        .merge(customer_page::routes())
        .merge(ops::routes())
        .merge(desk::routes())
        .merge(desk_view::routes())
        .merge(dry_run::routes())
        .merge(audit::routes())
        .merge(friends::routes())
        .merge(communities::routes())
        .merge(admin::routes())
        .merge(contract::routes())
        .merge(health::routes())
        .layer(middleware::from_fn(problem::frame))
        .with_state(app)
}

/// What the operator can reach.
pub fn operator(app: Arc<App>) -> Router {
    health::admin_routes().layer(middleware::from_fn(problem::frame)).with_state(app)
}
