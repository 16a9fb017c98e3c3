//! A server in a process of its own that is killed as the machine would kill it, and started again. How long it takes until
//! it serves is measured from outside: from the start of the process to its first "ready".

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde::de::IgnoredAny;

use crate::chance::Chance;
use crate::client::{Http, Server};
use crate::machine::{MachineError, Process};
use crate::observe::{Observation, Observer};

/// A server that does not serve after this is given up, s.
const READY_S: u64 = 60;
/// How often it is asked whether it is ready, ms.
const LOOK_MS: u64 = 2;
/// A start that ended at once is tried again after this, ms.
const AGAIN_MS: u64 = 100;
/// An ordered end is waited for so long, s; then it is killed.
const END_S: u64 = 20;

/// Why a server cannot be started, or killed.
#[derive(Debug, thiserror::Error)]
pub enum KillableError {
    /// It does not start.
    #[error("{line}: {fault}")]
    Start {
        /// What was started.
        line: String,
        /// What the system said.
        fault: std::io::Error,
    },
    /// It has not become ready in time.
    #[error("{line}: not ready after {READY_S} s ({starts} starts){}", ended.as_ref().map(|ended| format!("; the last ended with {ended}")).unwrap_or_default())]
    NotReady {
        /// What was started.
        line: String,
        /// How often.
        starts: u64,
        /// How the last start ended, if it did.
        ended: Option<std::process::ExitStatus>,
    },
    /// Something else listens there.
    #[error(
        "{line}: {address} is served by process {found}, not by the one that was started ({started}): the command must be the server itself, and the port must be free"
    )]
    NotIt {
        /// What was started.
        line: String,
        /// Where.
        address: String,
        /// Who serves there.
        found: u32,
        /// Who was started.
        started: u32,
    },
    /// The machine cannot be asked.
    #[error(transparent)]
    Machine(#[from] MachineError),
}

/// A server that runs.
#[derive(Debug)]
pub struct Killable {
    line: String,
    server: Server,
    child: Option<Child>,
    /// From each start to "ready".
    pub served_after: Vec<Duration>,
    /// Starts that ended before they were ready.
    pub starts_repeated: u64,
}

impl Killable {
    /// Starts a server by a command line, as a shell reads it; assignments may stand before the command. It must be the
    /// server itself and listen at `server`. Its standard output goes nowhere, its standard error to ours. Returns when it
    /// is ready.
    ///
    /// # Errors
    /// See [`KillableError`].
    pub async fn start(line: &str, server: Server) -> Result<Killable, KillableError> {
        let mut killable =
            Killable { line: line.to_owned(), server, child: None, served_after: Vec::new(), starts_repeated: 0 };
        killable.up().await?;
        Ok(killable)
    }

    /// Kills it (SIGKILL) and starts it again; returns when it is ready.
    ///
    /// # Errors
    /// See [`KillableError`].
    pub async fn kill(&mut self) -> Result<(), KillableError> {
        self.down().await;
        self.up().await
    }

    /// Ends it in order (SIGTERM), or by SIGKILL when it takes too long. Whether it went in order.
    pub async fn end(mut self) -> bool {
        let Some(child) = &mut self.child else { return true };
        let pid = Pid::from_child(child);
        let asked = kill_process(pid, Signal::TERM).is_ok();
        let limit = Instant::now() + Duration::from_secs(END_S);
        while asked && Instant::now() < limit {
            if let Ok(Some(status)) = child.try_wait() {
                self.child = None;
                return status.success();
            }
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        }
        self.down().await;
        false
    }

    /// The process.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    async fn down(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // One that has ended by itself cannot be killed, and is down all the same.
        let _ = child.kill();
        while matches!(child.try_wait(), Ok(None)) {
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        }
    }

    async fn up(&mut self) -> Result<(), KillableError> {
        let began = Instant::now();
        let limit = began + Duration::from_secs(READY_S);
        let http = Http::new(self.server.clone(), "");
        let (mut starts, mut ended) = (0, None);
        while Instant::now() < limit {
            starts += 1;
            let mut child = self.spawn()?;
            ended = loop {
                if let Ok(Some(status)) = child.try_wait() {
                    break Some(status);
                }
                let ready: Result<IgnoredAny, _> = http.call(Method::GET, "/readyz", None, None::<&()>).await;
                if ready.is_ok() {
                    self.served_after.push(began.elapsed());
                    let started = child.id();
                    self.child = Some(child);
                    return self.is_it(started);
                }
                if Instant::now() >= limit {
                    self.child = Some(child);
                    self.down().await;
                    break None;
                }
                tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
            };
            self.starts_repeated += 1;
            tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
        }
        Err(KillableError::NotReady { line: self.line.clone(), starts, ended })
    }

    fn spawn(&self) -> Result<Child, KillableError> {
        // `exec env` takes assignments before the command and leaves no shell in between that would be killed instead.
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("exec env {}", self.line)).stdin(Stdio::null()).stdout(Stdio::null());
        command.spawn().map_err(|fault| KillableError::Start { line: self.line.clone(), fault })
    }

    fn is_it(&self, started: u32) -> Result<(), KillableError> {
        let found = Process::listening(self.server.port())?.pid();
        if found == started {
            return Ok(());
        }
        let address = self.server.authority().to_owned();
        Err(KillableError::NotIt { line: self.line.clone(), address, found, started })
    }
}

impl Drop for Killable {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// So many random moments, by seed, spread over a time: each in a part of its own.
pub fn moments(kills: u32, lasts: Duration, seed: u64) -> Vec<Duration> {
    let mut chance = Chance::of(seed, "kills", 0);
    let part = lasts / kills.max(1);
    // Not in the last fifth of a part, so that two are never at the same instant.
    (0..kills).map(|number| part * number + part.mul_f64(chance.between(0.0, 0.8))).collect()
}

/// Kills the server at these moments. How long it took each time until 99 in 100 of the friends who had been connected had
/// their welcome again; `None` where the next kill came before. `killed` hears of each kill, from 1, and how long the process
/// took from its start to its first "ready".
///
/// # Errors
/// See [`KillableError`].
pub async fn kill_all(
    killable: &mut Killable,
    began: tokio::time::Instant,
    moments: Vec<Duration>,
    observer: &Arc<Observer>,
    killed: impl Fn(usize, Duration),
) -> Result<Vec<Option<Duration>>, KillableError> {
    let mut friends_back = Vec::new();
    let mut nexts = moments.iter().skip(1).map(|moment| began + *moment);
    for (kill, moment) in moments.iter().enumerate() {
        let next = nexts.next().unwrap_or_else(|| began + *moment + Duration::from_secs(30));
        tokio::time::sleep_until(began + *moment).await;
        if kill % 2 == 1 {
            until_something_is_on_the_way(observer, next).await;
        }
        let before = observer.note(|seen, at| {
            seen.outage_began(at);
            seen.connected()
        });
        let down = tokio::time::Instant::now();
        killable.kill().await?;
        observer.note(Observation::outage_ended);
        let serving_again = killable.served_after.last().copied().unwrap_or_default();
        killed(kill + 1, serving_again);
        let mut back = None;
        while back.is_none() && tokio::time::Instant::now() + Duration::from_millis(50) < next {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let connected = observer.note(|seen, _| seen.connected());
            back = (connected * 100 >= before * 99).then(|| down.elapsed());
        }
        friends_back.push(back);
    }
    Ok(friends_back)
}

/// A moment by pure chance rarely meets an accept or a post between its sending and its answer, and that is where most can
/// be lost.
async fn until_something_is_on_the_way(observer: &Arc<Observer>, next: tokio::time::Instant) {
    let limit = next.min(tokio::time::Instant::now() + Duration::from_secs(3));
    while tokio::time::Instant::now() < limit && observer.note(|seen, _| seen.on_the_way()) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_spread_and_by_seed() {
        let lasts = Duration::from_secs(240);
        let ten = moments(10, lasts, 1);
        assert_eq!(ten, moments(10, lasts, 1));
        assert_ne!(ten, moments(10, lasts, 2));
        assert!(ten.windows(2).all(|two| two[1] - two[0] > Duration::from_millis(4_800)), "{ten:?}");
        assert!(*ten.last().unwrap() < lasts);
        assert!(moments(0, lasts, 1).is_empty());
    }
}
