//! A city under load, without a data file: friends and jobs drawn from residents per planning area and from the hour,
//! people who move, think, sleep and decline, posts at planned instants whether or not those before have been answered, and
//! the observer's verdict at the end. It brings its own directory under new names, so that runs do not see each other.

mod stage;

use std::time::{Duration, Instant};

use self::stage::Stage;
use crate::arrivals::Arrivals;
use crate::bots::Habits;
use crate::client::{CallError, Server};
use crate::fleet;
use crate::gauge::{Bounds, Gauge, Generator, Spent, percent, tenths};
use crate::machine::{MachineError, Process};
use crate::measure::{Load, ServerCost};
use crate::report::{Live, Report};
use crate::world::hours::Hour;

/// The plan begins so long after it is made, so that nothing of it is late from the start.
const LEAD: Duration = Duration::from_millis(300);
/// Everything that is seen of a run is kept until it has been checked, some kilobytes a job: more jobs than this are refused.
const JOBS_MAX: f64 = 500_000.0;

/// What city, how busy, and where.
#[derive(Clone, Debug)]
pub struct CityConfig {
    /// The server, `http://127.0.0.1:8080`.
    pub url: String,
    /// The development key, or an ops token of role `admin`.
    pub key: String,
    /// How many friends are connected.
    pub friends: usize,
    /// Posts in a minute of real time, on average.
    pub jobs_per_minute: f64,
    /// How long is measured.
    pub lasts: Duration,
    /// How long the same load goes on before.
    pub warm_up: Duration,
    /// How long everybody is connected before the first job, so that it is known what that costs.
    pub base: Duration,
    /// How long friends may still answer after the last job.
    pub tail: Duration,
    /// The seed of places, people, arrivals and decisions.
    pub seed: u64,
    /// The local hour at which the run begins.
    pub hour: Hour,
    /// How many times as fast as real time the trade's time runs; the server's scale must be the same.
    pub time_scale: u32,
    /// What friends do.
    pub habits: Habits,
    /// Connections opened in a second, at most.
    pub connects_per_s: u32,
    /// The server's process; `None` is whoever listens at `url`.
    pub pid: Option<u32>,
    /// When the run is called invalid.
    pub bounds: Bounds,
}

impl CityConfig {
    /// A city with the usual habits of an early evening.
    pub fn new(url: impl Into<String>, key: impl Into<String>, friends: usize, jobs_per_minute: f64) -> CityConfig {
        let hour = Hour(18.0);
        CityConfig {
            url: url.into(),
            key: key.into(),
            friends,
            jobs_per_minute,
            lasts: Duration::from_secs(120),
            warm_up: Duration::from_secs(10),
            base: Duration::from_secs(10),
            tail: Duration::from_secs(20),
            seed: 1,
            hour,
            time_scale: 1,
            habits: Habits::city(1, hour),
            connects_per_s: 400,
            pid: None,
            bounds: Bounds::default(),
        }
    }
}

/// How far a city is.
#[derive(Clone, Debug)]
pub enum Progress {
    /// The directory is imported and tokens are made.
    Preparing {
        /// Friends to connect.
        friends: usize,
        /// Posts that are planned, the warm-up included.
        jobs: usize,
    },
    /// Friends who are on duty in their place.
    Connected {
        /// So many.
        ready: usize,
        /// Of so many.
        wanted: usize,
    },
    /// Everybody is there, and no job is posted yet.
    Base,
    /// Jobs are posted.
    Running {
        /// Since the first; the warm-up is the beginning of it.
        elapsed: Duration,
        /// What has happened.
        live: Live,
    },
    /// The last job is posted; verdicts and final states are collected.
    Checking,
}

/// Why a city could not be run. A run whose checks fail, or that is invalid, is a report.
#[derive(Debug, thiserror::Error)]
pub enum CityError {
    /// A number that makes no city.
    #[error("{0}")]
    Unfit(String),
    /// The server could not be prepared or asked.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Not enough files for all sockets, here or there.
    #[error("{0}")]
    Files(String),
    /// The machine cannot be asked; also when the server has ended.
    #[error(transparent)]
    Machine(#[from] MachineError),
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

/// Runs a city and reports.
///
/// # Errors
/// See [`CityError`].
pub async fn city(config: &CityConfig, mut progress: impl FnMut(Progress)) -> Result<Report, CityError> {
    fits(config)?;
    let server = Server::at(&config.url)?;
    let process = process_of(config, &server);
    fleet::room_for(config.friends).map_err(CityError::Files)?;
    if let Ok(process) = &process {
        fleet::room_at(*process, config.friends).map_err(CityError::Files)?;
    }
    let arrivals = Arrivals {
        per_minute: config.jobs_per_minute,
        hour: config.hour,
        time_scale: config.time_scale,
        lasts: config.warm_up + config.lasts,
        seed: config.seed,
    };
    let plan = arrivals.plan();
    progress(Progress::Preparing { friends: config.friends, jobs: plan.len() });
    let mut stage = Stage::set(config, server).await?;
    let connecting = stage.everybody_in(config, &mut progress).await?;

    // Everybody's first position has arrived when the first job is posted.
    let in_flight_us = stage.observer.note(|seen, _| seen.rules.in_flight_us);
    tokio::time::sleep(Duration::from_micros(in_flight_us)).await;
    stage.clock.start();
    progress(Progress::Base);
    let gauge = Gauge::start(process.as_ref().ok().copied())?;
    tokio::time::sleep(config.base).await;
    let base = gauge.read()?;

    let began = Instant::now() + LEAD;
    let (measured_from, measured_to) = (began + config.warm_up, began + config.warm_up + config.lasts);
    let (from, to) = (stage.observer.moment(measured_from), stage.observer.moment(measured_to));
    stage.observer.note(|seen, _| seen.measure(from, to));
    let posts = stage.post_by_plan(config, began, plan);
    stage.until(measured_from, began, &mut progress).await;
    stage.fleet.lag_ms();
    let messages = stage.observer.note(|seen, _| seen.messages());
    let gauge = Gauge::start(process.as_ref().ok().copied())?;
    stage.until(measured_to, began, &mut progress).await;
    let spent = gauge.read()?;
    let messages = stage.observer.note(|seen, _| seen.messages()) - messages;
    let friend_lag_ms = stage.fleet.lag_ms();
    let memory_bytes = process.as_ref().ok().map(|process| process.memory_bytes()).transpose()?;

    tokio::time::sleep(config.tail).await;
    progress(Progress::Checking);
    let mut troubles = posts.answered().await;
    let Stage { fleet, observer, partners, .. } = stage;
    troubles.extend(fleet.finish(Duration::from_secs(30)).await);
    let duration_s = began.elapsed().as_secs_f64();
    let views = partners.look().await?;
    let (mut report, load) = observer.note(|seen, _| (seen.finish(&views), seen.load_seen()));
    report.run = format!("city of {} friends at {} jobs a minute", config.friends, config.jobs_per_minute);
    report.seed = config.seed;
    report.duration_s = tenths(duration_s);
    report.troubles = troubles;
    let generator = Generator {
        messages,
        friend_lag_ms,
        post_lag_ms: load.generator.post_lag_ms,
        ..generator_cost(&spent, messages)
    };
    let jobs = load.jobs_measured;
    let cost = process.as_ref().ok().zip(memory_bytes);
    report.load = Some(Load {
        jobs_per_minute: config.jobs_per_minute,
        warm_up_s: config.warm_up.as_secs_f64(),
        measured_s: config.lasts.as_secs_f64(),
        server: cost.and_then(|(process, memory)| ServerCost::new(process.pid(), &base, &spent, jobs, memory)),
        server_unknown: process.err(),
        generator,
        machine_busy_percent: tenths(spent.machine_busy * 100.0),
        connecting,
        invalid: generator.saturated(&config.bounds),
        ..load
    });
    Ok(report)
}

fn fits(config: &CityConfig) -> Result<(), CityError> {
    let unfit = |what: &str| Err(CityError::Unfit(what.to_owned()));
    if config.friends == 0 {
        return unfit("a city needs a friend");
    }
    if !(config.jobs_per_minute > 0.0 && config.jobs_per_minute <= 1_000_000.0) {
        return unfit("jobs a minute: more than 0 and at most 1,000,000");
    }
    let jobs = config.jobs_per_minute * (config.warm_up + config.lasts).as_secs_f64() / 60.0;
    if jobs > JOBS_MAX {
        return unfit(&format!(
            "{jobs:.0} jobs are more than are kept until they are checked ({JOBS_MAX}): shorten the run, or split it"
        ));
    }
    if config.lasts < Duration::from_secs(1) {
        return unfit("less than a second cannot be measured");
    }
    Ok(())
}

/// The server's process, or why it is not known.
fn process_of(config: &CityConfig, server: &Server) -> Result<Process, String> {
    let found = match config.pid {
        Some(pid) => Process::with_id(pid),
        None => Process::listening(server.port()),
    };
    match found {
        Ok(process) if process == Process::own() => Err("it runs in the generator's own process".to_owned()),
        Ok(process) => Ok(process),
        Err(fault) => Err(fault.to_string()),
    }
}

fn generator_cost(spent: &Spent, messages: u64) -> Generator {
    let each = |us: u64| tenths(us as f64 / (messages.max(1) as f64));
    Generator {
        cpu_percent: percent(spent.own, spent.wall),
        user_us_per_message: each(spent.own.user_us),
        cpu_us_per_message: each(spent.own.total_us()),
        ..Generator::default()
    }
}
