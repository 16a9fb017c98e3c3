//! The replay of a real day against a running server: jobs where something was wanted, friends who stand and move as
//! something really did, people's delays by seed, and the observer's verdict at the end. On a development server it
//! needs nothing but the key: it brings a community, a package, a partner and friends of its own, under new names in
//! every run, so that runs do not see each other.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kiez_protocol::directory::{
    AnswerKind, CommissionRule, Community, Country, Friend, ImportLine, Language, Package, Partner, PartnerQuota,
    Policy, Pricing, Question, SkillLevel, Texts,
};
use kiez_protocol::ids::{FriendId, PartnerSlug};
use kiez_protocol::money::{Currency, Money, PaymentMethod};
use kiez_protocol::partner::{Address, Answer, Customer, PostJob, Urgency, Window};
use kiez_protocol::place::Point;
use kiez_protocol::time::Time;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::bots::{Bot, Habits};
use crate::chance::Chance;
use crate::client::{AdminClient, CallError, Http, Server};
use crate::clock::RunClock;
use crate::fleet::{self, Fleet, FleetConfig, Partners};
use crate::killable::{self, Killable, KillableError, kill_all};
use crate::measure::{Outages, Quantiles};
use crate::observe::{Observation, Observer, Rules};
use crate::report::{Live, Report};
use crate::route::Route;
use crate::trace::{DayTrace, Selection, TraceError};

/// How many times faster a day can be replayed: above this a friend who stands still could not say so often enough for a
/// position to stay fresh (20 minutes of the trade's time, one position every 2 s of real time, and some to spare).
pub const SPEED_MAX: u32 = 400;
/// A partner repeats a call for so long, ms.
const PATIENCE_MS: u64 = 30_000;

/// What to replay, and where.
#[derive(Clone, Debug)]
pub struct ReplayConfig {
    /// The server, `http://127.0.0.1:8080`.
    pub url: String,
    /// The development key, or an ops token of role `admin`.
    pub key: String,
    /// The folder of the trace.
    pub trace: PathBuf,
    /// What to take from it. Its seed is that of the run.
    pub selection: Selection,
    /// How many times faster than it was, 1 to [`SPEED_MAX`]; the server's time scale must be the same.
    pub speed: u32,
    /// What friends do; its time scale is set to the speed.
    pub habits: Habits,
    /// Connections opened in a second.
    pub connects_per_s: u32,
    /// How long the day goes on after its last job, so that what is asked can be answered: ms of the trade's time.
    pub tail_ms: i64,
    /// What outsiders must allow for, if not the usual.
    pub rules: Option<Rules>,
    /// Start the server for this run, and kill it now and then.
    pub kills: Option<Kills>,
}

/// A server that is started for a run and killed in it.
#[derive(Clone, Debug)]
pub struct Kills {
    /// The command line that starts it, as a shell reads it: the server itself, at the URL of the run.
    pub serve: String,
    /// How often it is killed by SIGKILL and started again, at random moments by seed, spread over the jobs. Every second
    /// time it waits until an accept or a post is on its way.
    pub kills: u32,
}

impl ReplayConfig {
    /// A replay with the usual habits.
    pub fn new(
        url: impl Into<String>,
        key: impl Into<String>,
        trace: PathBuf,
        selection: Selection,
        speed: u32,
    ) -> ReplayConfig {
        ReplayConfig {
            url: url.into(),
            key: key.into(),
            trace,
            selection,
            speed,
            habits: Habits::replay(speed),
            connects_per_s: 400,
            tail_ms: 30 * 60_000,
            rules: None,
            kills: None,
        }
    }
}

/// How far a replay is.
#[derive(Clone, Debug)]
pub enum Progress {
    /// The trace is read.
    Read {
        /// Jobs to be posted.
        jobs: usize,
        /// Friends to connect.
        friends: usize,
    },
    /// Friends who are on duty in their first place.
    Connected {
        /// So many.
        ready: usize,
        /// Of so many.
        wanted: usize,
    },
    /// The day goes on.
    Running {
        /// Ms since local midnight.
        day_ms: i64,
        /// What has happened.
        live: Live,
    },
    /// The server was killed and serves again.
    Killed {
        /// Which kill, from 1.
        kill: usize,
        /// From the start of the process to its first "ready".
        serving_again: Duration,
    },
    /// The last job is posted; verdicts and final states are collected.
    Checking,
}

/// Why a replay could not be run. A run whose checks fail is a report, not an error.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The speed is out of range.
    #[error("a speed of {0} is out of range: 1 to {SPEED_MAX}, so that positions stay fresh")]
    Speed(u32),
    /// The trace cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The server could not be prepared or asked.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Not enough files for all sockets.
    #[error("{0}")]
    Files(String),
    /// The server could not be started, or did not come back.
    #[error(transparent)]
    Killable(#[from] KillableError),
    /// Not everybody came on duty.
    #[error("only {ready} of {wanted} friends came on duty: {}", troubles.join("; "))]
    NotReady {
        /// So many did.
        ready: usize,
        /// So many should have.
        wanted: usize,
        /// What they ran into.
        troubles: Vec<String>,
    },
}

/// Replays a day and reports.
///
/// # Errors
/// See [`ReplayError`].
pub async fn replay(config: &ReplayConfig, mut progress: impl FnMut(Progress)) -> Result<Report, ReplayError> {
    if !(1..=SPEED_MAX).contains(&config.speed) {
        return Err(ReplayError::Speed(config.speed));
    }
    let server = Server::at(&config.url)?;
    let seed = config.selection.seed;
    let day = DayTrace::read(&config.trace, &config.selection)?;
    progress(Progress::Read { jobs: day.jobs.len(), friends: day.friends.len() });
    fleet::room_for(day.friends.len()).map_err(ReplayError::Files)?;
    let mut killable = match &config.kills {
        Some(kills) => Some(Killable::start(&kills.serve, server.clone()).await?),
        None => None,
    };

    let names = Names::new();
    let (documents, profiles) = documents(&names, &day, seed);
    let admin = AdminClient::new(Http::new(server.clone(), &config.key));
    admin.import(&documents).await?;
    let rules = config.rules.unwrap_or_else(|| Rules::at_scale(config.speed));
    let observer = Arc::new(Observer::new(Observation::new(rules, &documents)));
    let partners = Partners::with_keys(&admin, &[names.partner()], Arc::clone(&observer), PATIENCE_MS).await?;
    let ids: Vec<FriendId> = profiles.iter().map(|profile| profile.id).collect();
    let tokens = fleet::tokens(&admin, &ids).await?;

    let clock = RunClock::new(day.from_ms, config.speed);
    let mut habits = Habits { time_scale: config.speed, ..config.habits };
    if config.kills.is_some() {
        habits.ask_again_share = 1.0;
    }
    let at_start =
        day.friends.iter().filter(|(_, track)| track.begins_ms().is_some_and(|ms| ms <= day.from_ms)).count();
    let bots = profiles.into_iter().zip(tokens).zip(&day.friends).map(|((profile, token), (_, track))| Bot {
        profile,
        token,
        route: Route::Track(track.clone()),
    });
    let fleet = Fleet::start(
        &FleetConfig {
            server,
            habits,
            clock: clock.clone(),
            seed,
            connects_per_s: config.connects_per_s,
            admin: Some(admin),
        },
        bots.collect(),
        Arc::clone(&observer),
    );
    let limit_s = 30 + 4 * day.friends.len() as u64 / u64::from(config.connects_per_s.max(1));
    let limit = Instant::now() + Duration::from_secs(limit_s);
    let mut ready = 0;
    while ready < at_start && Instant::now() < limit && fleet.troubles().is_empty() {
        ready = fleet.wait_ready(at_start, Duration::from_millis(500)).await;
        progress(Progress::Connected { ready, wanted: at_start });
    }
    if ready < at_start {
        let troubles = fleet.finish(Duration::ZERO).await;
        return Err(ReplayError::NotReady { ready, wanted: at_start, troubles });
    }
    // Everybody's first position has arrived when the first job is posted.
    tokio::time::sleep(Duration::from_micros(observer.note(|seen, _| seen.rules.in_flight_us))).await;

    let began = Instant::now();
    clock.start();
    // Two tell how far they are: whoever posts and whoever kills.
    let progress = std::cell::RefCell::new(progress);
    let tell = |at: Progress| (progress.borrow_mut())(at);
    let posting = post_all(config, &names, &day, &clock, &partners, &observer, &tell);
    let (mut troubles, friends_back) = match (&mut killable, &config.kills) {
        (Some(killable), Some(kills)) => {
            let jobs_last_ms = day.jobs.last().map_or(0, |(at_ms, _)| *at_ms - day.from_ms);
            let lasts = Duration::from_millis(jobs_last_ms.max(0) as u64 / u64::from(config.speed));
            let moments = killable::moments(kills.kills, lasts, seed);
            let posting = async { Ok::<_, KillableError>(posting.await) };
            let killed = |kill, serving_again| tell(Progress::Killed { kill, serving_again });
            tokio::try_join!(posting, kill_all(killable, began, moments, &observer, killed))?
        }
        (_, _) => (posting.await, Vec::new()),
    };
    tell(Progress::Checking);
    troubles.extend(fleet.finish(Duration::from_secs(30)).await);
    let duration_s = began.elapsed().as_secs_f64();
    let views = partners.look().await?;
    let (mut report, counted) = observer.note(|seen, _| (seen.finish(&views), seen.outages_seen()));
    if let Some(killable) = killable {
        let us = |after: &Duration| after.as_micros() as u64;
        report.outages = Some(Outages {
            kills: friends_back.len() as u64,
            // The first start is not one after a kill.
            serving_again_ms: Quantiles::of_us(killable.served_after.iter().skip(1).map(us)),
            friends_back_ms: Quantiles::of_us(friends_back.iter().flatten().map(us)),
            starts_repeated: killable.starts_repeated,
            calls_repeated: partners.repeats(),
            ..counted
        });
        if !killable.end().await {
            troubles.push("the server did not end in order when it was asked to".to_owned());
        }
    }
    report.run = format!("replay of {}", config.selection.day);
    report.seed = seed;
    report.duration_s = (duration_s * 10.0).round() / 10.0;
    report.troubles = troubles;
    Ok(report)
}

/// Posts every job at its time, whether or not those before have been answered; returns when the tail is over.
async fn post_all(
    config: &ReplayConfig,
    names: &Names,
    day: &DayTrace,
    clock: &RunClock,
    partners: &Partners,
    observer: &Arc<Observer>,
    progress: &impl Fn(Progress),
) -> Vec<String> {
    let mut refusals = Vec::new();
    let mut posts = JoinSet::new();
    let mut chance = Chance::of(config.selection.seed, "customers", 0);
    let mut tell = tokio::time::interval(Duration::from_secs(2));
    let end_ms = day.jobs.last().map_or(day.to_ms, |(at_ms, _)| *at_ms) + config.tail_ms;
    let mut jobs = day.jobs.iter().enumerate().peekable();
    loop {
        let next_ms = jobs.peek().map_or(end_ms, |(_, (at_ms, _))| *at_ms);
        tokio::select! {
            () = tokio::time::sleep_until(clock.instant_of(next_ms)) => {
                let Some((number, (_, place))) = jobs.next() else { break };
                let now = observer.note(|seen, at| seen.trade_time(at)).unwrap_or_default();
                let (partner, job) = (names.partner(), names.job(*place, number, now, &mut chance));
                let (partners, key) = (partners.clone(), format!("{}-{number}", names.0));
                posts.spawn(async move { partners.post(&partner, &key, &job).await.map(|_| ()) });
            }
            _ = tell.tick() => {
                progress(Progress::Running { day_ms: clock.run_ms(), live: observer.note(|seen, _| seen.live()) });
            }
        }
        while let Some(answered) = posts.try_join_next() {
            fleet::note_refusal(&mut refusals, answered);
        }
    }
    while let Some(answered) = posts.join_next().await {
        fleet::note_refusal(&mut refusals, answered);
    }
    refusals
}

/// The names of one run's documents.
struct Names(String);

impl Names {
    fn new() -> Names {
        let run = uuid::Uuid::new_v4().simple().to_string();
        Names(format!("replay-{}", &run[..8]))
    }

    fn partner(&self) -> PartnerSlug {
        self.0.parse().expect("a prefix and eight hexadecimal digits are a slug")
    }

    fn job(&self, place: Point, number: usize, now: Time, chance: &mut Chance) -> PostJob {
        let from = now + 86_400_000;
        PostJob {
            package: self.0.parse().expect("a slug"),
            community: None,
            location: place,
            address: Address {
                street: format!("Musterstraße {}", 1 + chance.below(120)),
                postcode: "10115".to_owned(),
                city: "Berlin".to_owned(),
                country: Country::De,
            },
            customer: Customer {
                name: format!("Customer {number}"),
                phone: format!("+4930{:07}", chance.below(10_000_000)),
                email: None,
                language: Language::De,
            },
            answers: [("device".parse().expect("a word"), Answer::Text("router".to_owned()))].into(),
            windows: vec![Window { from, to: from + 3 * 3_600_000 }],
            urgency: Urgency::Normal,
            payment_method: PaymentMethod::CardOnline,
            max_hourly_rate: None,
            partner_ref: Some(format!("{number}")),
            friend: None,
            fallback: false,
        }
    }
}

fn documents(names: &Names, day: &DayTrace, seed: u64) -> (Vec<ImportLine>, Vec<Arc<Friend>>) {
    let texts = |text: &str| Texts { de: text.to_owned(), en: text.to_owned(), fr: None, it: None, pl: None };
    let wifi = || SkillLevel { skill: "wifi".parse().expect("a word"), level: 2 };
    let slug = || names.0.parse().expect("a slug");
    let rule = CommissionRule::new("replay".parse().expect("a word"), 1_000);
    // The hours are those of the trace, whatever its people did at night.
    let policy = Policy { quiet: None, ..Policy::default() };
    let community = Community { policy, ..Community::new(slug(), "Replay", Country::De, Currency::Eur, rule) };
    let price = Pricing::Fixed { price: Money { amount: 3_900, currency: Currency::Eur } };
    let package = Package {
        communities: vec![community.slug.clone()],
        skills: vec![wifi()],
        questions: vec![Question {
            name: "device".parse().expect("a word"),
            text: texts("Which device?"),
            answer: AnswerKind::Text {},
            required: true,
            in_offer: true,
        }],
        ..Package::new(names.0.parse().expect("a slug"), texts("Replay"), "wifi".parse().expect("a word"), price)
    };
    let partner = Partner {
        slug: names.partner(),
        name: "Replay".to_owned(),
        community: Some(community.slug.clone()),
        commission: None,
        // One partner has all jobs of the day, and the day may run a hundred times as fast.
        quota: Some(PartnerQuota { jobs_per_s: Some(1_000), jobs_burst: Some(10_000), in_flight_max: Some(10_000) }),
    };
    // Ids are new in every run, and their order is by seed: whoever stands as near is not always the same one.
    let run = names.0.bytes().fold(0_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let profiles: Vec<Arc<Friend>> = day
        .friends
        .iter()
        .enumerate()
        .map(|(number, (name, _))| {
            let mut chance = Chance::of(seed ^ run, "friend", number as u64);
            let created_ms = 1_735_689_600_000 + chance.below(1 << 30) as u64;
            Arc::new(Friend {
                skills: vec![wifi()],
                languages: vec![Language::De],
                communities: vec![community.slug.clone()],
                ..Friend::new(FriendId(chance.uuid(created_ms)), name, Country::De)
            })
        })
        .collect();
    let mut documents =
        vec![ImportLine::Community(community), ImportLine::Package(package), ImportLine::Partner(partner)];
    documents.extend(profiles.iter().map(|profile| ImportLine::Friend((**profile).clone())));
    (documents, profiles)
}
