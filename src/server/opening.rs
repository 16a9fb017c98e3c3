//! The way to the ledger: at once, after the database has come, or in another's place. Meanwhile the listeners answer that
//! this server is alive and not ready.

use std::time::Duration;

use kiez_protocol::time::Time;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Entry, Start, StartError};
use crate::clock::{Clock, Stopwatch};
use crate::config::Config;
use crate::ledger::{self, DirectoryRows, OpenError, OpenOptions, Opened};
use crate::serve::waiting::{Waiting, Waits};

const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_LAST: Duration = Duration::from_secs(1);
/// Between two lines in the log about the same wait.
const SAY_AGAIN: Duration = Duration::from_secs(30);
/// Whoever asks to stop is kept waiting so long at most for a database that does not answer.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// What a server begins with.
pub(super) struct Beginning {
    pub opened: Opened,
    pub clock: Clock,
    pub rows: DirectoryRows,
}

/// The listeners of a server. The public one may come later: a standby beside the process it stands by for has to wait
/// until that one lets go of the address.
pub(super) struct Listeners {
    waiting: Waiting,
    public_address: String,
    has_public: bool,
}

impl Listeners {
    /// Binds, and answers until there is something to serve.
    ///
    /// # Errors
    /// [`StartError::Listen`]: two servers on one address are told so before either touches the ledger.
    pub async fn bind(config: &Config, entry: Entry) -> Result<Listeners, StartError> {
        let admin = listen(&config.admin.listen).await?;
        let public = match listen(&config.server.listen).await {
            Ok(listener) => Some(listener),
            Err(StartError::Listen { error, .. })
                if entry == Entry::Standby && error.kind() == std::io::ErrorKind::AddrInUse =>
            {
                tracing::info!(address = config.server.listen, "the address is in use; it is taken with the ledger");
                None
            }
            Err(error) => return Err(error),
        };
        let has_public = public.is_some();
        let waiting = Waiting::start([Some(admin), public].into_iter().flatten().collect(), entry == Entry::Standby);
        Ok(Listeners { waiting, public_address: config.server.listen.clone(), has_public })
    }

    /// The listeners, the public one first. An address that is still in use is waited for.
    ///
    /// # Errors
    /// [`StartError::Listen`], [`StartError::Stopped`].
    pub async fn serve(self, stop: &CancellationToken) -> Result<(TcpListener, TcpListener), StartError> {
        let late = if self.has_public {
            None
        } else {
            self.waiting.wait_for(Waits::Address);
            Some(listen_when_free(&self.public_address, stop).await?)
        };
        let gone = |error| StartError::Listen { address: self.public_address.clone(), error };
        let mut listeners = self.waiting.end().await.map_err(gone)?.into_iter();
        let (admin, public) = (listeners.next(), late.or(listeners.next()));
        public.zip(admin).ok_or_else(|| gone(std::io::Error::other("a listener is missing")))
    }
}

async fn listen(address: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen { address: address.to_owned(), error })
}

async fn listen_when_free(address: &str, stop: &CancellationToken) -> Result<TcpListener, StartError> {
    let mut patience = Patience::default();
    loop {
        match listen(address).await {
            Err(StartError::Listen { error, .. }) if error.kind() == std::io::ErrorKind::AddrInUse => {
                patience
                    .wait(stop, || tracing::warn!(address, "the ledger is taken over; another process has the address"))
                    .await?;
            }
            listener => return listener,
        }
    }
}

/// Opens the ledger as the start says. A database that does not answer is waited for if the start is patient.
///
/// # Errors
/// [`StartError`]: what does not pass by itself, and [`StartError::Stopped`].
pub(super) async fn begin(config: &Config, start: &Start, listeners: &Listeners) -> Result<Beginning, StartError> {
    let mut patience = Patience::default();
    if start.entry == Entry::Standby {
        tracing::info!("standing by: this server serves when the one that has the ledger ends or falls silent");
    }
    loop {
        let error = match attempt(config, start, listeners).await {
            Ok(beginning) => return Ok(beginning),
            // Another standby was faster, or the one before came back: wait for that one.
            Err(StartError::Ledger(OpenError::Held { .. })) if start.entry == Entry::Standby => continue,
            Err(error) if start.patient && error.is_transient() => error,
            Err(error) => return Err(error),
        };
        listeners.waiting.wait_for(Waits::Database);
        patience.wait(&start.stop, || tracing::warn!(%error, "trying again until it can")).await?;
    }
}

async fn attempt(config: &Config, start: &Start, listeners: &Listeners) -> Result<Beginning, StartError> {
    if start.entry == Entry::Standby {
        listeners.waiting.wait_for(Waits::Standby);
        let silence = Duration::from_millis(config.database.silence_ms);
        tokio::select! {
            stood = ledger::stand_by(&config.database.url, silence, start.dev) => stood?,
            () = start.stop.cancelled() => return Err(StartError::Stopped),
        }
        tracing::info!("the ledger can be taken");
    }
    listeners.waiting.wait_for(Waits::Opening);
    // Not dropped half-way without need: what it began is a write.
    let late = async {
        start.stop.cancelled().await;
        tokio::time::sleep(STOP_PATIENCE).await;
    };
    let beginning = tokio::select! {
        beginning = open(config, start) => beginning?,
        () = late => return Err(StartError::Stopped),
    };
    if start.stop.is_cancelled() { Err(StartError::Stopped) } else { Ok(beginning) }
}

async fn open(config: &Config, start: &Start) -> Result<Beginning, StartError> {
    let options = OpenOptions {
        dev: start.dev,
        take_over: start.entry == Entry::TakeOver,
        queue_len_max: config.limits.ledger_queue_len_max,
    };
    let opened = ledger::open(&config.database.url, options).await?;
    let clock = clock(&opened.registry, start.time_scale.max(1)).await?;
    let rows = opened.registry.load_directory().await?;
    Ok(Beginning { opened, clock, rows })
}

/// The clock of this database: its scale and anchor are those of its first start.
async fn clock(registry: &ledger::Registry, scale: u32) -> Result<Clock, StartError> {
    let clock = Clock::start();
    let stored = registry.keep("time_scale", &scale.to_string()).await?;
    if stored != scale.to_string() {
        return Err(StartError::OtherScale { stored });
    }
    if scale == 1 {
        return Ok(clock);
    }
    let anchor = registry.keep("time_anchor_ms", &clock.real().0.to_string()).await?;
    let anchor = anchor.parse().map(Time).unwrap_or(clock.real());
    Ok(clock.scaled(anchor, scale))
}

/// Waits longer from try to try, and says so now and then.
#[derive(Default)]
struct Patience {
    wait: Duration,
    said: Option<Stopwatch>,
}

impl Patience {
    async fn wait(&mut self, stop: &CancellationToken, say: impl FnOnce()) -> Result<(), StartError> {
        if self.said.as_ref().is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            say();
            self.said = Some(Stopwatch::start());
        }
        self.wait = (self.wait * 2).clamp(BACKOFF_FIRST, BACKOFF_LAST);
        tokio::select! {
            () = tokio::time::sleep(self.wait) => Ok(()),
            () = stop.cancelled() => Err(StartError::Stopped),
        }
    }
}
