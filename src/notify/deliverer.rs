//! The loop that delivers: look what is due, send it, write down what came of it. It decides nothing about a job, and nothing
//! waits for it. Only the process that has the ledger runs one; whoever takes the ledger over goes on where this one ended,
//! and sends again what was under way.

use std::collections::BTreeSet;
use std::time::Duration;

use kiez_protocol::ids::{EndpointId, JobId};
use kiez_protocol::time::Time;
use kiez_protocol::webhook::{DeliveryState, Outcome};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::lane::{Lanes, Ready};
use super::post::{Letter, Poster, Reply};
use super::{schedule, signature};
use crate::clock::{Clock, Stopwatch};
use crate::config::Webhooks;
use crate::ledger::outbox::{Attempt, Outbox, OutboxError};
use crate::metrics;

/// What is due by the passing of time is looked for this often.
const LOOK: Duration = Duration::from_secs(1);
/// So long it rests between two looks for which it rang.
const REST: Duration = Duration::from_millis(10);
/// What is over is swept and forgotten this often.
const SWEEP: Duration = Duration::from_secs(60);
/// So long the end waits for requests that are under way, before what is left is sent again by whoever comes next.
const DRAIN: Duration = Duration::from_secs(4);
/// Slices of old rows that one sweep takes, so that it never holds up what is due.
const SLICES_MAX: usize = 50;
const DAY_MS: i64 = 24 * 3_600_000;

/// Delivers what is due.
#[derive(Debug)]
pub struct Deliverer {
    outbox: Outbox,
    poster: Poster,
    clock: Clock,
    knobs: Webhooks,
    lanes: Lanes,
    sending: JoinSet<Tried>,
    /// Not written yet.
    tried: Vec<(EndpointId, Attempt)>,
    /// Have answered 410; not written yet.
    gone: BTreeSet<EndpointId>,
    edition: u64,
    /// The last look ended here for want of room.
    behind: Option<EndpointId>,
    /// The last call of the ledger failed: told once.
    away: bool,
}

#[derive(Debug)]
struct Tried {
    endpoint: EndpointId,
    row: i64,
    job: JobId,
    before: u32,
    reply: Reply,
}

impl Deliverer {
    /// One that has sent nothing yet.
    pub fn new(outbox: Outbox, poster: Poster, clock: Clock, knobs: Webhooks) -> Deliverer {
        Deliverer {
            edition: outbox.bell().edition(),
            outbox,
            poster,
            clock,
            knobs,
            lanes: Lanes::default(),
            sending: JoinSet::new(),
            tried: Vec::new(),
            gone: BTreeSet::new(),
            behind: None,
            away: false,
        }
    }

    /// Delivers until it is told to stop; then what is under way has some seconds.
    pub async fn run(mut self, stop: CancellationToken) {
        let bell = self.outbox.bell();
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut sweeps = tokio::time::interval(SWEEP);
        sweeps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut rang, mut looked) = (false, Stopwatch::start());
        loop {
            let (mut look, mut sweep) = (false, false);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = self.sending.join_next() => self.ended(done.expect("a request does not panic")),
                // It rings with every commit of a busy hour: a few of them have one look.
                () = bell.rung(), if !rang => rang = true,
                () = tokio::time::sleep(REST.saturating_sub(looked.elapsed())), if rang => look = true,
                _ = looks.tick() => look = true,
                _ = sweeps.tick() => sweep = true,
            }
            while let Some(done) = self.sending.try_join_next() {
                self.ended(done.expect("a request does not panic"));
            }
            if bell.edition() != self.edition {
                self.edition = bell.edition();
                self.lanes.forget_queues();
                (look, sweep) = (true, true);
            }
            if look {
                (rang, looked) = (false, Stopwatch::start());
            }
            let done = self.turn(look, sweep).await;
            if let Err(error) = &done
                && !self.away
            {
                tracing::warn!(why = %error, "webhooks wait: the ledger cannot be reached");
            }
            self.away = done.is_err();
        }
        self.drain().await;
    }

    async fn turn(&mut self, look: bool, sweep: bool) -> Result<(), OutboxError> {
        let more = self.write().await?;
        if look {
            self.look().await?;
        }
        for endpoint in more {
            if self.lanes.wants(endpoint) {
                self.look_again(endpoint).await?;
            }
        }
        self.send();
        if sweep {
            self.sweep().await?;
        }
        self.lanes.tidy(self.clock.elapsed_ms());
        metrics::webhooks_in_memory(self.sending.len(), self.lanes.len());
        Ok(())
    }

    /// Looks for endpoints with something due, and takes some of it into memory.
    async fn look(&mut self) -> Result<(), OutboxError> {
        let (now, mut after) = (self.clock.real(), self.behind.take());
        loop {
            let targets = self.outbox.targets(now, after).await?;
            let Some(last) = targets.last().map(|target| target.id) else { return Ok(()) };
            for target in targets {
                if self.lanes.len() >= self.knobs.waiting_len_max {
                    // The next look goes on here, so that the first by id do not keep the others out.
                    self.behind = after;
                    return Ok(());
                }
                after = Some(target.id);
                if self.lanes.wants(target.id) {
                    let rows = self.outbox.due(target.id, now, self.lanes.look_len(target.id)).await?;
                    self.lanes.take_in(target, rows);
                }
            }
            after = Some(last);
        }
    }

    /// Looks for more of an endpoint whose last look was full.
    async fn look_again(&mut self, endpoint: EndpointId) -> Result<(), OutboxError> {
        let now = self.clock.real();
        if let Some(target) = self.outbox.target(endpoint).await? {
            let rows = self.outbox.due(endpoint, now, self.lanes.look_len(endpoint)).await?;
            self.lanes.take_in(target, rows);
        }
        Ok(())
    }

    fn send(&mut self) {
        while self.sending.len() < self.knobs.in_flight_max {
            let now_ms = self.clock.elapsed_ms();
            let Some(ready) = self.lanes.next(now_ms, self.knobs.endpoint_in_flight_max) else { return };
            let (poster, now) = (self.poster.clone(), self.clock.real());
            self.sending.spawn(attempt(poster, ready, now));
        }
    }

    /// A try has ended: what it means for the row and for its endpoint.
    fn ended(&mut self, Tried { endpoint, row, job, before, reply }: Tried) {
        let Reply { outcome, status, retry_after, took } = reply;
        let now = self.clock.real();
        let put_off = retry_after
            .filter(|_| outcome == Outcome::Status)
            .and_then(|header| schedule::retry_after(&header, now, self.knobs.retry_after_max_ms));
        let due = match outcome {
            Outcome::Accepted | Outcome::Gone => None,
            Outcome::Status
            | Outcome::Redirect
            | Outcome::NoAddress
            | Outcome::ForbiddenAddress
            | Outcome::Refused
            | Outcome::Tls
            | Outcome::Timeout
            | Outcome::Broken
            | Outcome::NoSecret
            | Outcome::EndpointOff => {
                schedule::next(before + 1, now, self.knobs.retry_percent, rand::random(), put_off)
            }
        };
        let state = match (outcome, due) {
            (Outcome::Accepted, _) => DeliveryState::Delivered,
            (_, Some(_)) => DeliveryState::Waiting,
            (_, None) => DeliveryState::Dead,
        };
        let took_ms = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
        metrics::webhook_tried(outcome.as_str(), took);
        match state {
            DeliveryState::Delivered => tracing::debug!(%job, %endpoint, status, took_ms, "webhook_delivered"),
            DeliveryState::Waiting => {
                let (attempts, outcome) = (before + 1, outcome.as_str());
                tracing::debug!(%job, %endpoint, attempts, outcome, status, took_ms, "webhook_failed");
            }
            DeliveryState::Dead => {
                let (attempts, outcome) = (before + 1, outcome.as_str());
                tracing::warn!(%job, %endpoint, attempts, outcome, status, "webhook_given_up");
                metrics::webhook_given_up();
            }
        }
        if outcome == Outcome::Gone && self.gone.insert(endpoint) {
            tracing::warn!(%endpoint, "endpoint_gone");
        }
        let not_before = put_off.map(|ms| self.clock.elapsed_ms() + ms);
        self.lanes.ended(endpoint, outcome != Outcome::Accepted, not_before);
        let due_at = due.unwrap_or(now).0;
        let attempt = Attempt { number: row, before, state, due_at, tried_at: now.0, status, outcome, took_ms };
        self.tried.push((endpoint, attempt));
    }

    /// Writes what came of tries. Endpoints of which there may be more.
    async fn write(&mut self) -> Result<Vec<EndpointId>, OutboxError> {
        if self.tried.is_empty() {
            return Ok(Vec::new());
        }
        let attempts = self.tried.iter().map(|(_, attempt)| attempt.clone()).collect();
        self.outbox.note(attempts, self.gone.iter().copied().collect()).await?;
        if !self.gone.is_empty() {
            self.gone.clear();
            // What waits for them is given up with the next look.
            self.outbox.bell().ring_anew();
        }
        let mut more = BTreeSet::new();
        for (endpoint, attempt) in self.tried.drain(..) {
            more.extend(self.lanes.written(endpoint, attempt.number));
        }
        Ok(more.into_iter().collect())
    }

    /// Gives up what waits for endpoints that are off, and forgets what is long over: slice by slice.
    async fn sweep(&mut self) -> Result<(), OutboxError> {
        let now = self.clock.real();
        for _ in 0..SLICES_MAX {
            if !self.outbox.give_up(now).await? {
                break;
            }
        }
        for _ in 0..SLICES_MAX {
            if !self.outbox.forget(now - self.knobs.kept_days * DAY_MS).await? {
                break;
            }
        }
        Ok(())
    }

    async fn drain(mut self) {
        let watch = Stopwatch::start();
        while let Ok(Some(done)) =
            tokio::time::timeout(DRAIN.saturating_sub(watch.elapsed()), self.sending.join_next()).await
        {
            self.ended(done.expect("a request does not panic"));
        }
        // What is cut off here is sent again: at least once.
        let left = self.sending.len();
        if self.write().await.is_err() || left > 0 {
            tracing::info!(left, "some webhooks are sent again after the next start");
        }
    }
}

/// One try.
async fn attempt(poster: Poster, Ready { target, row }: Ready, now: Time) -> Tried {
    let good = target.secrets.iter().filter(|(_, until)| until.is_none_or(|until| until > now));
    let secrets: Vec<&[u8]> = good.map(|(secret, _)| &secret[..]).collect();
    let (endpoint, job, before) = (target.id, row.job, row.attempts);
    let reply = if secrets.is_empty() {
        Reply { outcome: Outcome::NoSecret, status: None, retry_after: None, took: Duration::ZERO }
    } else {
        let at_s = now.0.div_euclid(1_000);
        let signature = signature::signatures(secrets, &row.message, at_s, row.body.as_bytes());
        let letter = Letter { url: target.url.clone(), id: row.message, at_s, signature, body: row.body };
        poster.post(letter).await
    };
    Tried { endpoint, row: row.number, job, before, reply }
}
