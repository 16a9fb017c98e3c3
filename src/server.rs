//! The rooms wired into one running server: open the ledger, restore the dispatcher, listen. Used by `kiez serve`, by
//! the demo and by the tests.

mod opening;
pub mod upkeep;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kiez_protocol::directory::OpsRole;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::dispatch::input::Input;
use crate::dispatch::{Dispatcher, Pace};
use crate::engine::{Engine, EngineEnd};
use crate::ledger::secret::Keeper;
use crate::ledger::{OpenError, RegistryError};
use crate::live::Live;
use crate::live::wheel::TICK_MS;
use crate::metrics;
use crate::notify::deliverer::Deliverer;
use crate::notify::post::Poster;
use crate::serve::accept::Door;
use crate::serve::auth::{Auth, random_hex};
use crate::serve::{self, App, InFlight, Links, Origins, Places, Webhooks, files};
use opening::{Beginning, Listeners};

/// How a server is started besides its configuration.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Development: a database that may lose commits is accepted.
    pub dev: bool,
    /// How many times as fast as real time the trade's time runs; 0 counts as 1.
    pub time_scale: u32,
    /// The meters, if they were installed.
    pub metrics: Option<PrometheusHandle>,
    /// What to do when another process has the ledger.
    pub entry: Entry,
    /// Whether a database that does not answer is waited for.
    pub patient: bool,
    /// Ends a start that waits.
    pub stop: CancellationToken,
}

/// What a start does when another process has the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Entry {
    /// It refuses.
    #[default]
    Alone,
    /// It waits until that one ends or falls silent.
    Standby,
    /// It takes its place at once.
    TakeOver,
}

/// Why a server could not start, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] OpenError),
    /// The directory.
    #[error(transparent)]
    Directory(#[from] RegistryError),
    /// It was asked to stop before it served.
    #[error("stopped before it served")]
    Stopped,
    /// A listener.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        error: std::io::Error,
    },
    /// Keys.
    #[error(
        "auth.secret is not set and {address} is not loopback: set KIEZ_AUTH__SECRET to a random text of at least 32 \
         characters (a development key is made on loopback only)"
    )]
    NoSecret {
        /// The address.
        address: String,
    },
    /// A development key in public.
    #[error("auth.development_key is set and {address} is not loopback: it may do everything, and is refused there")]
    DevelopmentInPublic {
        /// The address.
        address: String,
    },
    /// Randomness.
    #[error("the machine gives no randomness: {0}")]
    Random(#[from] getrandom::Error),
    /// The clock of the database.
    #[error("this database runs with --time-scale {stored}: start with the same, or with a database of its own")]
    OtherScale {
        /// The scale it was first started with.
        stored: String,
    },
}

impl StartError {
    /// Whether trying again later may help.
    fn is_transient(&self) -> bool {
        match self {
            StartError::Ledger(error) => error.is_transient(),
            StartError::Directory(error) => error.is_transient(),
            StartError::Stopped
            | StartError::Listen { .. }
            | StartError::NoSecret { .. }
            | StartError::DevelopmentInPublic { .. }
            | StartError::Random(_)
            | StartError::OtherScale { .. } => false,
        }
    }
}

/// The credentials of a start.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The secret of friend and ops tokens.
    pub secret: String,
    /// The development key, on loopback.
    pub development_key: Option<String>,
    /// Whether the development key was made just now.
    pub made: bool,
}

impl Keys {
    /// The credentials the configuration asks for. On loopback without any a development key is made.
    ///
    /// # Errors
    /// [`StartError::NoSecret`] and [`StartError::DevelopmentInPublic`] off loopback.
    pub fn of(config: &Config) -> Result<Keys, StartError> {
        let address = config.server.listen.clone();
        let loopback = address.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback());
        let (secret, key) = (config.auth.secret.clone(), config.auth.development_key.clone());
        match (secret.is_empty(), key.is_empty(), loopback) {
            (_, false, false) => Err(StartError::DevelopmentInPublic { address }),
            (true, true, false) => Err(StartError::NoSecret { address }),
            (true, true, true) => {
                let key = format!("kz_dev_{}", random_hex(16)?);
                Ok(Keys { secret: Auth::secret_of(&key), development_key: Some(key), made: true })
            }
            (true, false, true) => Ok(Keys { secret: Auth::secret_of(&key), development_key: Some(key), made: false }),
            (false, true, _) => Ok(Keys { secret, development_key: None, made: false }),
            (false, false, true) => Ok(Keys { secret, development_key: Some(key), made: false }),
        }
    }
}

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    /// Where friends, partners and ops connect.
    pub address: SocketAddr,
    /// Where the operator looks.
    pub admin_address: SocketAddr,
    /// What its handlers share.
    pub app: Arc<App>,
    /// Its credentials.
    pub keys: Keys,
    stop: CancellationToken,
    engine: JoinHandle<EngineEnd>,
    engine_stop: CancellationToken,
    deliverer: JoinHandle<()>,
}

impl Running {
    /// Starts a server: it serves when this returns. While it waits, for a database or for its turn, its listeners answer
    /// that it is not ready.
    ///
    /// # Errors
    /// [`StartError`] in words that say what to do.
    pub async fn start(config: &Config, start: Start) -> Result<Running, StartError> {
        let keys = Keys::of(config)?;
        let listeners = Listeners::bind(config, start.entry).await?;
        let Beginning { mut opened, clock, rows } = opening::begin(config, &start, &listeners).await?;
        let (listener, admin) = listeners.serve(&start.stop).await?;
        let live = Arc::new(Live::new(config.limits.verdicts_len_max));
        let directory_version = rows.version;
        serve::fill(&live, rows, clock.now());
        live.roster.freshen(clock.now());
        for row in &opened.stored.duties {
            live.roster.set_duty(row.friend, row.duty.on);
        }
        for (friend, told) in std::mem::take(&mut opened.stored.verdicts) {
            live.verdicts.note(friend, told);
        }
        let mut seed = [0; 8];
        getrandom::fill(&mut seed)?;
        let outbox = opened.outbox.opening(Keeper::new(&config.webhooks.sealing_key));
        let pace = Pace { scale: i64::from(clock.scale()) };
        let dispatcher = Dispatcher::restore(opened.stored, u64::from_le_bytes(seed), pace, clock.now());
        let ledger = (opened.writer, opened.outcomes, opened.reader.clone());
        let (limits, silence_ms) = (&config.limits, config.database.silence_ms);
        let (engine, mailbox) = Engine::new(dispatcher, clock, live.clone(), ledger, limits, silence_ms);
        let (stop, engine_stop) = (CancellationToken::new(), CancellationToken::new());
        let address = listener
            .local_addr()
            .map_err(|error| StartError::Listen { address: config.server.listen.clone(), error })?;
        let base = match config.server.public_url.as_str() {
            "" => format!("http://{address}"),
            base => base.to_owned(),
        };
        let loopback = config.server.listen.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback());
        let private = config.webhooks.private_targets || (start.dev && loopback);
        let links = Links { base, days: config.auth.customer_days };
        let app = Arc::new(App {
            clock,
            auth: Auth::new(&keys.secret, keys.development_key.clone(), clock),
            limits: config.limits.clone(),
            token_minutes: config.auth.token_minutes,
            live,
            mailbox,
            reader: opened.reader,
            registry: opened.registry,
            metrics: start.metrics,
            stop: stop.clone(),
            tasks: TaskTracker::new(),
            in_flight: InFlight::default(),
            strangers: Places::default(),
            questions: serve::friend::hindsight::Questions::default(),
            seal: serve::seal::Seal::new(&keys.secret),
            admission: serve::friend::admission::Admission::new(&config.limits),
            link_paces: serve::limit::Paces::default(),
            photo_paces: serve::limit::Paces::default(),
            links,
            webhooks: Webhooks { keeper: Keeper::new(&config.webhooks.sealing_key), private },
            origins: Origins::of(&config.ops.origins),
            directory_version: tokio::sync::Mutex::new(directory_version),
            braked: std::sync::Mutex::default(),
        });
        // Before the engine takes anything else: no wave is opened under a brake.
        app.tell_brakes();
        let admin_address =
            admin.local_addr().map_err(|error| StartError::Listen { address: config.admin.listen.clone(), error })?;
        tracing::info!(%address, admin = %admin_address, jobs = app.mailbox.jobs_open(), "serving");
        let engine = tokio::spawn(engine.run(engine_stop.clone()));
        let limits = &config.limits;
        let door = Door::new(limits, files::room_for(limits.connections_max));
        let back_door = Door::new(limits, limits.admin_connections_max);
        for (door, listener, router) in
            [(&door, listener, serve::public(app.clone())), (&back_door, admin, serve::operator(app.clone()))]
        {
            tokio::spawn(door.clone().accept(listener, router, stop.clone(), app.tasks.clone()));
        }
        tokio::spawn(housekeeping(app.clone(), door));
        tokio::spawn(follow(app.clone()));
        tokio::spawn(upkeep::keep_up(app.clone()));
        tokio::spawn(beats(app.clone()));
        let poster = Poster::new(private, Duration::from_millis(config.webhooks.deadline_ms));
        let deliverer = Deliverer::new(outbox, poster, clock, config.webhooks.clone());
        let deliverer = tokio::spawn(deliverer.run(stop.clone()));
        Ok(Running { address, admin_address, app, keys, stop, engine, engine_stop, deliverer })
    }

    /// A token for the map, for `minutes`.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn ops_token(&self, role: OpsRole, minutes: u32) -> Result<String, jsonwebtoken::errors::Error> {
        self.app.auth.ops_token(role, minutes).map(|(token, _)| token)
    }

    /// Resolves when the engine has ended by itself: fenced, or without its writer. The process must end too.
    pub async fn ended(&mut self) -> EngineEnd {
        let ended = tokio::select! {
            ended = &mut self.engine => ended,
            // It ends by itself only if it panics.
            Err(panicked) = &mut self.deliverer => Err(panicked),
        };
        match ended {
            Ok(end) => end,
            // A task that panicked: the process ends and is started again, never limps on with half a state.
            // Where and why was told when it happened; the error would repeat its words, which may name values.
            Err(_) => {
                tracing::error!("the engine or the deliverer has panicked");
                EngineEnd::WriterGone
            }
        }
    }

    /// Stops: no new connections, sockets are told to come back, everything submitted is written and told.
    pub async fn stop(self) {
        let Running { app, stop, engine, engine_stop, deliverer, .. } = self;
        tracing::info!(friends = app.live.sessions.connected(), jobs = app.mailbox.jobs_open(), "stopping");
        stop.cancel();
        serve::friend::drain(&app);
        app.tasks.close();
        if tokio::time::timeout(Duration::from_secs(5), app.tasks.wait()).await.is_err() {
            tracing::warn!(left = app.tasks.len(), "some connections did not take the goodbye");
        }
        if tokio::time::timeout(Duration::from_secs(5), deliverer).await.is_err() {
            tracing::warn!("webhooks that were under way are sent again after the next start");
        }
        engine_stop.cancel();
        // The writer ends with its last handle, and one of them is here.
        drop(app);
        if tokio::time::timeout(Duration::from_secs(10), engine).await.is_err() {
            tracing::warn!("the ledger did not take the last records in time; they were told to nobody");
        }
        tracing::info!("stopped");
    }
}

/// Turns the wheel: pings, lines that do not answer, tokens that end.
async fn beats(app: Arc<App>) {
    let pong_ms = u32::try_from(app.limits.pong_ms).unwrap_or(u32::MAX);
    let mut ticks = tokio::time::interval(Duration::from_millis(TICK_MS.unsigned_abs()));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = ticks.tick() => app.live.beat(app.clock.elapsed_ms(), pong_ms),
            () = app.stop.cancelled() => return,
        }
    }
}

/// Once a second: the roster is swept, the gauges set. Nothing here waits for the ledger.
async fn housekeeping(app: Arc<App>, door: Arc<Door>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = seconds.tick() => {}
            () = app.stop.cancelled() => return,
        }
        app.live.sweep(app.clock.elapsed_ms(), app.clock.now(), app.patience(), app.limits.resume_ms);
        for friend in app.live.roster.arrivals(app.limits.arrivals_per_s) {
            // Not told for want of room: the next look of a hungry job finds them.
            let _ = app.mailbox.send(Input::Placed { friend });
        }
        metrics::levels(metrics::Levels {
            connections: door.connections(),
            friends_live: app.live.sessions.connected(),
            resumable: app.live.sessions.len().saturating_sub(app.live.sessions.connected()),
            friends_placed: app.live.roster.len(),
            strangers: app.strangers.taken(),
            jobs_open: app.mailbox.jobs_open(),
            mailbox: app.mailbox.len(),
            ledger_queue: app.mailbox.ledger_queue_len(),
            ledger_reachable: app.mailbox.ledger_is_reachable(),
        });
        if let Some(handle) = &app.metrics {
            handle.run_upkeep();
        }
    }
}

/// Once a second, unless the ledger is away: the directory is followed.
async fn follow(app: Arc<App>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = seconds.tick() => {}
            () = app.stop.cancelled() => return,
        }
        if app.mailbox.ledger_is_reachable()
            && let Err(error) = app.refresh_directory().await
        {
            tracing::debug!(why = error.facts(), "the directory could not be read");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(listen: &str, secret: &str, development_key: &str) -> Result<Keys, StartError> {
        let knobs = [
            ("KIEZ_SERVER__LISTEN", listen),
            ("KIEZ_AUTH__SECRET", secret),
            ("KIEZ_AUTH__DEVELOPMENT_KEY", development_key),
        ];
        let knobs = knobs.iter().filter(|(_, value)| !value.is_empty());
        let knobs = knobs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Keys::of(&Config::load(None, knobs, &[]).expect("the configuration fits").config)
    }

    #[test]
    fn a_development_key_is_made_on_loopback_and_refused_elsewhere() {
        let (loopback, public, secret) = ("127.0.0.1:8080", "0.0.0.0:8080", "0123456789abcdef0123456789abcdef");
        let made = keys(loopback, "", "").expect("loopback needs nothing");
        assert!(made.made && made.development_key.is_some_and(|key| key.starts_with("kz_dev_")));
        assert!(keys(loopback, secret, "").expect("a secret").development_key.is_none());
        assert!(matches!(keys(public, "", ""), Err(StartError::NoSecret { .. })));
        assert!(matches!(keys(public, secret, "kz_dev_x"), Err(StartError::DevelopmentInPublic { .. })));
        assert!(keys(public, secret, "").is_ok());
    }
}
