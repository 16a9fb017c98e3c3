//! Many bots and the partners who keep them busy, with the observer in between. `kiez demo` and the replay are built from
//! this; nothing in here ends the process.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use kiez_protocol::ids::{FriendId, JobId, PartnerSlug};
use kiez_protocol::partner::{JobView, PostJob};
use kiez_protocol::refusal::Code;
use kiez_protocol::time::Time;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bots::{Bot, Habits, Shared, live};
use crate::chance::Chance;
use crate::client::friend::Mint;
use crate::client::{AdminClient, CallError, FriendConfig, Http, PartnerClient, Server};
use crate::clock::RunClock;
use crate::machine::Process;
use crate::measure::Quantiles;
use crate::observe::Observer;
use crate::observe::span::Moment;
use crate::world::World;

/// Tokens for bots last a day; what the server grants of that is renewed in time.
const TOKEN_MINUTES: u32 = 24 * 60;
/// Calls at once when many are to be made.
const CALLS_AT_ONCE: usize = 16;
/// Files a process needs besides its sockets.
const FILES_BESIDES: u64 = 64;

/// Bots that run.
pub struct Fleet {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    observer: Arc<Observer>,
}

/// How a fleet runs.
#[derive(Clone)]
pub struct FleetConfig {
    /// Where.
    pub server: Server,
    /// What the bots do.
    pub habits: Habits,
    /// The run's clock.
    pub clock: RunClock,
    /// The seed of what they decide.
    pub seed: u64,
    /// Connections opened in a second, at most.
    pub connects_per_s: u32,
    /// Renews tokens; without it bots leave when theirs end.
    pub admin: Option<AdminClient>,
}

impl Fleet {
    /// Connects these bots, one after the other. Their friends must be watched by the observer.
    pub fn start(config: &FleetConfig, bots: Vec<Bot>, observer: Arc<Observer>) -> Fleet {
        let shared = Arc::new(Shared {
            habits: config.habits,
            clock: config.clock.clone(),
            accept_delay_min_ms: AtomicU64::new(0),
            ready: AtomicUsize::new(0),
            quiet: AtomicBool::new(false),
            turned_away: AtomicU64::new(0),
            lag_us: std::sync::Mutex::default(),
            troubles: std::sync::Mutex::new(Vec::new()),
            stop: CancellationToken::new(),
        });
        let mut tasks = JoinSet::new();
        let pause = Duration::from_secs(1) / config.connects_per_s.max(1);
        for (number, bot) in bots.into_iter().enumerate() {
            let friend = bot.profile.id;
            let mut connect = FriendConfig::new(config.server.clone(), bot.token.clone());
            connect.reconnect = config.habits.reconnect;
            connect.ack_ms = config.habits.ack_ms;
            connect.seed = config.seed ^ friend.0.as_u128() as u64;
            connect.tap = Some(observer.tap(friend));
            connect.mint = config.admin.clone().map(|admin| mint(admin, friend));
            let shared = Arc::clone(&shared);
            tasks.spawn(async move {
                tokio::select! {
                    () = tokio::time::sleep(pause * number as u32) => live(bot, connect, shared).await,
                    () = shared.stop.cancelled() => {}
                }
            });
        }
        Fleet { shared, tasks, observer }
    }

    /// How many have been on duty with a position at least once.
    pub fn ready(&self) -> usize {
        self.shared.ready.load(Ordering::Relaxed)
    }

    /// Waits until so many are ready, until `limit` has passed, or until the fleet has stopped because it does not fit the
    /// server; how many are.
    pub async fn wait_ready(&self, wanted: usize, limit: Duration) -> usize {
        let end = Instant::now() + limit;
        while self.ready() < wanted && Instant::now() < end && !self.shared.stop.is_cancelled() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.ready()
    }

    /// From now on no bot accepts or declines sooner than this after an offer, real ms: it leaves people time.
    pub fn leave_time_ms(&self, accept_delay_min_ms: u64) {
        self.shared.accept_delay_min_ms.store(accept_delay_min_ms, Ordering::Relaxed);
    }

    /// Tries to connect that have not ended with a welcome so far.
    pub fn turned_away(&self) -> u64 {
        self.shared.turned_away.load(Ordering::Relaxed)
    }

    /// How late bots have done what they had planned, ms, since this was last asked.
    pub fn lag_ms(&self) -> Quantiles {
        let mut lag_us = self.shared.lag_us.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::take(&mut *lag_us).ms()
    }

    /// What went wrong with bots so far, at most 20.
    pub fn troubles(&self) -> Vec<String> {
        self.shared.troubles.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// No more accepts and declines; waits until every accept has its verdict, at most `limit`, then stops everybody. Work
    /// that was won goes on until then. What went wrong with bots, at most 20.
    pub async fn finish(mut self, limit: Duration) -> Vec<String> {
        self.shared.quiet.store(true, Ordering::Relaxed);
        let end = Instant::now() + limit;
        while self.observer.note(|seen, _| seen.undecided()) > 0 && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // What is on the wire now still arrives.
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.shared.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(fault) = ended {
                self.shared.trouble(format!("a bot has panicked: {fault}"));
            }
        }
        self.troubles()
    }
}

fn mint(admin: AdminClient, friend: FriendId) -> Mint {
    Arc::new(move || {
        let admin = admin.clone();
        Box::pin(async move { Ok(admin.friend_token(friend, Some(TOKEN_MINUTES)).await?.token) })
    })
}

/// Tokens for these friends, in their order.
///
/// # Errors
/// See [`CallError`].
pub async fn tokens(admin: &AdminClient, friends: &[FriendId]) -> Result<Vec<String>, CallError> {
    let calls = friends.iter().map(|friend| {
        let admin = admin.clone();
        async move { Ok(admin.friend_token(*friend, Some(TOKEN_MINUTES)).await?.token) }
    });
    let answers: Vec<Result<String, CallError>> = stream::iter(calls).buffered(CALLS_AT_ONCE).collect().await;
    answers.into_iter().collect()
}

/// The partners of a run: posts go through here, so that the observer sees them.
#[derive(Clone)]
pub struct Partners {
    clients: HashMap<PartnerSlug, PartnerClient>,
    observer: Arc<Observer>,
}

impl Partners {
    /// Makes a key for each of these partners. A call is repeated for up to `patience_ms`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn with_keys(
        admin: &AdminClient,
        partners: &[PartnerSlug],
        observer: Arc<Observer>,
        patience_ms: u64,
    ) -> Result<Partners, CallError> {
        let mut keys = Vec::new();
        for partner in partners {
            keys.push((partner.clone(), admin.partner_key(partner).await?.token));
        }
        Ok(Partners::new(admin.http(), keys, observer, patience_ms))
    }

    /// Partners whose keys are known.
    pub fn new(
        http: &Http,
        keys: impl IntoIterator<Item = (PartnerSlug, String)>,
        observer: Arc<Observer>,
        patience_ms: u64,
    ) -> Partners {
        let client = |key: String| PartnerClient::new(http.with_key(key), patience_ms);
        Partners { clients: keys.into_iter().map(|(slug, key)| (slug, client(key))).collect(), observer }
    }

    /// Calls that were repeated because no answer came, or one that asked to wait.
    pub fn repeats(&self) -> u64 {
        self.clients.values().map(PartnerClient::repeats).sum()
    }

    /// One partner.
    pub fn client(&self, partner: &PartnerSlug) -> Option<&PartnerClient> {
        self.clients.get(partner)
    }

    /// Posts a job under a key of its own.
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Panics
    /// If the partner is not one of these.
    pub async fn post(&self, partner: &PartnerSlug, key: &str, job: &PostJob) -> Result<JobView, CallError> {
        self.post_planned(None, partner, key, job).await
    }

    /// Posts a job that was intended for a moment that may have passed; `None` is now.
    ///
    /// # Errors
    /// See [`CallError`].
    ///
    /// # Panics
    /// If the partner is not one of these.
    pub async fn post_planned(
        &self,
        intended_at: Option<Moment>,
        partner: &PartnerSlug,
        key: &str,
        job: &PostJob,
    ) -> Result<JobView, CallError> {
        let client = self.clients.get(partner).expect("only partners of the run post");
        self.observer.note(|seen, at| seen.posting_planned(at, intended_at.unwrap_or(at), key, partner, job));
        let answer = client.post(job, key).await;
        self.observer.note(|seen, at| match &answer {
            Ok(view) => seen.posted(at, key, view),
            Err(fault) => seen.post_failed(key, matches!(fault, CallError::Refused { .. })),
        });
        answer
    }

    /// Posts jobs of the world by chance, `per_minute` on average, until stopped; then waits for the answers that are
    /// still out. Each post goes out at its time, whether or not the one before has been answered. The refusals that
    /// came, at most 20.
    pub async fn post_by_chance(
        &self,
        world: &World,
        per_minute: f64,
        seed: u64,
        stop: &CancellationToken,
    ) -> Vec<String> {
        let run = uuid::Uuid::new_v4();
        let mut when = Chance::of(seed, "arrivals", 0);
        let mut what = Chance::of(seed, "jobs", 0);
        let mut posts = JoinSet::new();
        let mut refusals = Vec::new();
        let mut at = Instant::now();
        for number in 0_u64.. {
            at += Duration::from_secs_f64(when.exponential(60.0 / per_minute));
            tokio::select! {
                () = tokio::time::sleep_until(at) => {}
                () = stop.cancelled() => break,
            }
            let now = self.observer.note(|seen, at| seen.trade_time(at)).unwrap_or_else(wall_time);
            let draft = world.job(&mut what, now);
            let partners = self.clone();
            posts.spawn(async move {
                partners.post(&draft.partner, &format!("load-{run}-{number}"), &draft.job).await.map(|_| ())
            });
            while let Some(answered) = posts.try_join_next() {
                note_refusal(&mut refusals, answered);
            }
        }
        while let Some(answered) = posts.join_next().await {
            note_refusal(&mut refusals, answered);
        }
        refusals
    }

    /// Every acknowledged job as its partner sees it now; `None` where the server does not know it.
    ///
    /// # Errors
    /// See [`CallError`]; a job that cannot be asked about is not a lost one.
    pub async fn look(&self) -> Result<Vec<(JobId, Option<JobView>)>, CallError> {
        let jobs = self.observer.note(|seen, _| seen.acknowledged());
        let calls = jobs.into_iter().map(|(partner, job)| async move {
            let client = self.clients.get(&partner).expect("only partners of the run post");
            match client.job(job).await {
                Ok(view) => Ok((job, Some(view))),
                Err(fault) if fault.code() == Some(Code::NotFound) => Ok((job, None)),
                Err(fault) => Err(fault),
            }
        });
        let views: Vec<Result<_, CallError>> = stream::iter(calls).buffer_unordered(CALLS_AT_ONCE).collect().await;
        views.into_iter().collect()
    }
}

pub(crate) fn note_refusal(
    refusals: &mut Vec<String>,
    answered: Result<Result<(), CallError>, tokio::task::JoinError>,
) {
    let refusal = match answered {
        Ok(Ok(())) => return,
        Ok(Err(fault)) => fault.to_string(),
        Err(fault) => fault.to_string(),
    };
    if refusals.len() < 20 {
        refusals.push(refusal);
    }
}

fn wall_time() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Time(since.map_or(0, |since| since.as_millis() as i64))
}

/// Raises the limit of open files as far as it goes and says whether so many sockets can be had.
///
/// # Errors
/// What the limit is, and what to do.
pub fn room_for(sockets: usize) -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    // Whoever may have more may have it all: a low soft limit only guards programs that still use select().
    if limit.current.is_some_and(|current| current < most) {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).ok();
    }
    let may = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let wanted = sockets as u64 + FILES_BESIDES;
    if may >= wanted {
        return Ok(());
    }
    Err(format!(
        "{sockets} friends need {wanted} open files, and this process may have {may}: raise `ulimit -n` or ask for fewer friends"
    ))
}

/// Whether the server may have so many sockets, as far as its process is known.
///
/// # Errors
/// What its limit is, and what to do.
pub fn room_at(server: Process, sockets: usize) -> Result<(), String> {
    let wanted = sockets as u64 + FILES_BESIDES;
    match server.files_max() {
        Ok(may) if may < wanted => Err(format!(
            "{sockets} friends need {wanted} open files in the server (process {}), which may have {may}: start it with a \
             higher `ulimit -n`, or ask for fewer friends",
            server.pid()
        )),
        Ok(_) => Ok(()),
        Err(fault) => Err(fault.to_string()),
    }
}
