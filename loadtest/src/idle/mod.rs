//! What a friend costs who only stands there: connections are opened in steps, each friend says hello, goes on duty, gives
//! one position and is quiet. At each step the server's memory and time are read from outside. Memory per friend is the
//! slope over the steps, so that nothing that was there before counts; the profile is imported first and listed apart.

mod crowd;
mod line;
pub mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kiez_protocol::directory::ImportLine;
use kiez_protocol::ids::FriendId;
use tokio::task::JoinSet;

use self::crowd::{Crowd, stand};
use self::line::line;
use self::report::{IdleReport, IdleStep, RETURN_PERCENT_MAX};
use crate::client::{AdminClient, CallError, FriendConfig, Http, Reconnect, Server};
use crate::fleet;
use crate::gauge::{Gauge, percent, tenths};
use crate::killable::{Killable, KillableError};
use crate::machine::{Cpu, MachineError, Process};
use crate::world::World;
use crate::world::edition::Edition;
use crate::world::hours::Hour;

/// The server is quiet when its memory has changed by less than this share.
const QUIET_SHARE: f64 = 0.001;
/// A server that does not become quiet is measured all the same after this, and the report says so.
const QUIET_MAX: Duration = Duration::from_secs(60);

/// How many, for how long, and where.
#[derive(Clone, Debug)]
pub struct IdleConfig {
    /// The server, `http://127.0.0.1:8080`.
    pub url: String,
    /// The development key, or an ops token of role `admin`.
    pub key: String,
    /// Connections at each step, growing, at least two steps.
    pub connections: Vec<usize>,
    /// How long memory must have been at rest before it is read.
    pub quiet: Duration,
    /// How long each step is watched, at least two heartbeats.
    pub watch: Duration,
    /// How long the server may take to give its memory back after all have gone.
    pub return_within: Duration,
    /// Connections opened in a second, at most.
    pub connects_per_s: u32,
    /// The seed of places and people.
    pub seed: u64,
    /// The server's process; `None` is whoever listens at `url`.
    pub pid: Option<u32>,
    /// Start the server by this command line, and again after the import: memory that the import used and left would
    /// otherwise be filled by the first connections, and hide what they take.
    pub serve: Option<String>,
}

impl IdleConfig {
    /// The usual steps.
    pub fn new(url: impl Into<String>, key: impl Into<String>) -> IdleConfig {
        IdleConfig {
            url: url.into(),
            key: key.into(),
            connections: vec![2_000, 6_000, 10_000, 14_000, 18_000],
            quiet: Duration::from_secs(4),
            watch: Duration::from_secs(60),
            return_within: Duration::from_secs(360),
            connects_per_s: 400,
            seed: 1,
            pid: None,
            serve: None,
        }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// Profiles are imported.
    Importing(usize),
    /// Friends are connected.
    Connected(usize, usize),
    /// A number of connections is being watched.
    Watching(usize),
    /// Everybody has gone; memory, per cent of the base.
    Returning(f64),
}

/// Why it could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum IdleError {
    /// Steps or times that measure nothing.
    #[error("{0}")]
    Unfit(String),
    /// The server could not be prepared.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Not enough files for all sockets, here or there.
    #[error("{0}")]
    Files(String),
    /// The server could not be started.
    #[error(transparent)]
    Killable(#[from] KillableError),
    /// The server's process cannot be looked into, or has ended.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Not everybody came in.
    #[error("only {ready} of {wanted} friends came in: {}", troubles.join("; "))]
    NotReady {
        /// So many did.
        ready: usize,
        /// So many should have.
        wanted: usize,
        /// What they ran into.
        troubles: Vec<String>,
    },
}

/// Measures.
///
/// # Errors
/// See [`IdleError`].
pub async fn idle(config: &IdleConfig, mut progress: impl FnMut(Progress)) -> Result<IdleReport, IdleError> {
    let most = fits(config)?;
    let server = Server::at(&config.url)?;
    fleet::room_for(most).map_err(IdleError::Files)?;
    let mut started = match &config.serve {
        Some(line) => Some(Killable::start(line, server.clone()).await?),
        None => None,
    };
    let mut process = process_of(config, &server, started.as_ref())?;
    fleet::room_at(process, most).map_err(IdleError::Files)?;

    let admin = AdminClient::new(Http::new(server.clone(), &config.key));
    let world = World::city(most, config.seed, Hour(18.0));
    let documents = Edition::new().documents(&world);
    let (friends, others): (Vec<ImportLine>, Vec<ImportLine>) =
        documents.into_iter().partition(|document| matches!(document, ImportLine::Friend(_)));
    admin.import(&others).await?;
    let (before_import_bytes, _) = quiet(process, config.quiet).await?;
    progress(Progress::Importing(most));
    admin.import(&friends).await?;
    let ids: Vec<FriendId> = friends
        .iter()
        .filter_map(|document| match document {
            ImportLine::Friend(friend) => Some(friend.id),
            ImportLine::Community(_) | ImportLine::Package(_) | ImportLine::Partner(_) => None,
        })
        .collect();
    let tokens = fleet::tokens(&admin, &ids).await?;
    if let (Some(first), Some(line)) = (started.take(), &config.serve) {
        first.end().await;
        started = Some(Killable::start(line, server.clone()).await?);
        process = process_of(config, &server, started.as_ref())?;
    }
    progress(Progress::Watching(0));
    let (base_bytes, _) = quiet(process, config.quiet).await?;
    let (base_cpu_us_per_s, _) = watch(process, config.watch).await?;

    let crowd = Arc::new(Crowd::default());
    let mut tasks = JoinSet::new();
    let mut waiting = tokens.into_iter().zip(&world.residents);
    let mut steps = Vec::new();
    for connections in &config.connections {
        let began = Instant::now();
        let pause = Duration::from_secs(1) / config.connects_per_s.max(1);
        for (number, (token, resident)) in waiting.by_ref().take(connections - tasks.len()).enumerate() {
            let (crowd, place) = (Arc::clone(&crowd), resident.home);
            let mut friend = FriendConfig::new(server.clone(), token);
            friend.reconnect = Reconnect::quick();
            friend.seed = config.seed ^ tasks.len() as u64;
            tasks.spawn(async move {
                tokio::time::sleep(pause * number as u32).await;
                stand(friend, place, &crowd).await;
            });
        }
        let limit_s = 60 + 8 * connections / config.connects_per_s.max(1) as usize;
        while crowd.standing() < *connections && began.elapsed().as_secs() < limit_s as u64 && !crowd.someone_left() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            progress(Progress::Connected(crowd.standing(), *connections));
        }
        let ready = crowd.standing();
        if ready < *connections {
            return Err(IdleError::NotReady { ready, wanted: *connections, troubles: crowd.troubles() });
        }
        if let Some(needed) = crowd.too_short(config.watch) {
            return Err(IdleError::Unfit(needed));
        }
        let connect_s = tenths(began.elapsed().as_secs_f64());
        progress(Progress::Watching(*connections));
        let (_, quiet) = quiet(process, config.quiet).await?;
        let (cpu_us_per_s, generator_cpu_percent) = watch(process, config.watch).await?;
        let memory_bytes = process.memory_bytes()?;
        let connections = *connections;
        steps.push(IdleStep {
            connections,
            connect_s,
            memory_bytes,
            residual_percent: 0.0,
            cpu_us_per_s,
            generator_cpu_percent,
            quiet,
        });
    }
    let (broken, turned_away) = crowd.breaks();
    crowd.leave();
    while tasks.join_next().await.is_some() {}
    let (after_bytes, after_s) = give_back(config, process, base_bytes, &mut progress).await?;
    if let Some(started) = started {
        started.end().await;
    }

    let memory = line(steps.iter().map(|step| (step.connections as f64, step.memory_bytes as f64)));
    let cpu = line(steps.iter().map(|step| (step.connections as f64, step.cpu_us_per_s)));
    for step in &mut steps {
        let beside = step.memory_bytes as f64 - memory.at(step.connections as f64);
        let taken = (memory.slope * step.connections as f64).abs().max(1.0);
        step.residual_percent = hundredths(100.0 * beside / taken);
    }
    let residual_percent_max = steps.iter().map(|step| step.residual_percent.abs()).fold(0.0, f64::max);
    Ok(IdleReport {
        run: "idle".to_owned(),
        pid: process.pid(),
        watch_s: config.watch.as_secs_f64(),
        heartbeat_ms: crowd.heartbeat_ms(),
        before_import_bytes,
        base_bytes,
        profile_bytes_per_friend: tenths(base_bytes.saturating_sub(before_import_bytes) as f64 / most as f64),
        base_cpu_us_per_s,
        steps,
        bytes_per_friend: tenths(memory.slope),
        residual_percent_max,
        cpu_us_per_s: hundredths(cpu.slope),
        after_bytes,
        after_percent: tenths(100.0 * after_bytes as f64 / base_bytes.max(1) as f64),
        after_s,
        broken,
        turned_away,
        troubles: crowd.troubles(),
    })
}

/// Which process is watched.
fn process_of(config: &IdleConfig, server: &Server, started: Option<&Killable>) -> Result<Process, IdleError> {
    let process = match started.and_then(Killable::pid).or(config.pid) {
        Some(pid) => Process::with_id(pid)?,
        None => Process::listening(server.port())?,
    };
    if process == Process::own() {
        return Err(IdleError::Unfit("the server runs in this process: what is whose cannot be told".to_owned()));
    }
    Ok(process)
}

/// The number of friends at the last step.
fn fits(config: &IdleConfig) -> Result<usize, IdleError> {
    let growing = config.connections.windows(2).all(|two| two[0] < two[1]);
    match config.connections[..] {
        [first, .., last] if growing && first > 0 => Ok(last),
        _ => Err(IdleError::Unfit("a slope needs at least two steps that grow, such as 2000,6000".to_owned())),
    }
}

/// Waits until the server's memory rests: what it is, and whether it came to rest.
async fn quiet(process: Process, lasts: Duration) -> Result<(u64, bool), MachineError> {
    let began = Instant::now();
    let mut last = process.memory_bytes()?;
    let mut since = Instant::now();
    while began.elapsed() < QUIET_MAX {
        tokio::time::sleep(lasts / 8).await;
        let now = process.memory_bytes()?;
        if now.abs_diff(last) as f64 > QUIET_SHARE * last as f64 {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() >= lasts {
            return Ok((now, true));
        }
    }
    Ok((last, false))
}

/// Watches for so long: CPU of the server in µs a second, and of the generator in per cent of a processor.
async fn watch(process: Process, lasts: Duration) -> Result<(f64, f64), MachineError> {
    let gauge = Gauge::start(Some(process))?;
    tokio::time::sleep(lasts).await;
    let spent = gauge.read()?;
    let us = spent.server.map_or(0, Cpu::total_us);
    Ok((tenths(us as f64 / spent.wall.as_secs_f64()), percent(spent.own, spent.wall)))
}

/// Waits until the memory has come down far enough, at most as long as is allowed: what it is, and after how many seconds.
async fn give_back(
    config: &IdleConfig,
    process: Process,
    base_bytes: u64,
    progress: &mut impl FnMut(Progress),
) -> Result<(u64, f64), MachineError> {
    let began = Instant::now();
    loop {
        let now = process.memory_bytes()?;
        let percent = 100.0 * now as f64 / base_bytes.max(1) as f64;
        progress(Progress::Returning(percent));
        if percent <= RETURN_PERCENT_MAX || began.elapsed() >= config.return_within {
            return Ok((now, tenths(began.elapsed().as_secs_f64())));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_make_no_slope_are_refused() {
        let with = |connections: &[usize]| IdleConfig { connections: connections.into(), ..IdleConfig::new("", "") };
        assert_eq!(fits(&with(&[10, 20, 40])).unwrap(), 40);
        for connections in [&[][..], &[10], &[20, 10], &[0, 10], &[10, 10]] {
            assert!(matches!(fits(&with(connections)), Err(IdleError::Unfit(_))), "{connections:?}");
        }
    }
}
