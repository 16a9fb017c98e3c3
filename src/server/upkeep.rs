//! What is done now and then beside the trade: a look at who waits too long for an offer, once a day for each community; and
//! records of choices that grow old. Nothing here decides about a job, and nothing waits for it: it reads by the read door,
//! in pages, and writes by the admins', in slices.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kiez_protocol::directory::{Community, Policy};
use kiez_protocol::ids::CommunitySlug;
use kiez_protocol::ops::{AlarmKind, AlarmView, LongWaits};
use kiez_protocol::profile::Account;
use kiez_protocol::time::Time;

use crate::dispatch::decision::{KEPT_MS, WHOLE_MS};
use crate::dispatch::overdue::{self, LOOK_MS, WEEK_MS, Waiter};
use crate::ledger::{Aged, ReadError, RegistryError};
use crate::metrics;
use crate::serve::App;

/// Friends read at once.
const PAGE: u32 = 2_000;
/// Records of choices that grow old in one transaction.
const SLICE: u32 = 100;
/// Slices at one time, and between two of them: the writer, and whoever administers, come in between.
const SLICES_MAX: u32 = 600;
const BREATH: Duration = Duration::from_millis(50);
/// Between two times somebody sees whether a look is due, ms of the trade's time, and never less than a second.
const BETWEEN_MS: i64 = 15 * 60_000;

/// Why a look did not come to its end. The next one makes up for it.
#[derive(Debug, thiserror::Error)]
pub enum Unseen {
    /// The ledger was not read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// That it was looked was not written, so nobody was told.
    #[error(transparent)]
    Write(#[from] RegistryError),
}

impl Unseen {
    fn facts(&self) -> String {
        match self {
            Unseen::Read(error) => error.facts(),
            Unseen::Write(error) => error.facts(),
        }
    }
}

/// Does what is due, now and then, until the server stops.
pub(super) async fn keep_up(app: Arc<App>) {
    loop {
        let wait = app.clock.until(app.clock.now() + BETWEEN_MS).max(Duration::from_secs(1));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = app.stop.cancelled() => return,
        }
        if !app.mailbox.ledger_is_reachable() {
            continue;
        }
        if let Err(error) = look_at_waits(&app).await {
            tracing::debug!(why = error.facts(), "how long friends wait could not be seen");
        }
        match age_choices(&app).await {
            Ok(Aged { shrunk: 0, gone: 0 }) => {}
            Ok(Aged { shrunk, gone }) => tracing::info!(shrunk, gone, "records of choices have grown old"),
            Err(error) => tracing::debug!(why = error.facts(), "records of choices could not be rewritten"),
        }
    }
}

/// Rewrites and removes what has grown old, slice by slice, as much as one time allows. Returns how much.
///
/// # Errors
/// [`RegistryError`]; the slices before it are written.
pub async fn age_choices(app: &App) -> Result<Aged, RegistryError> {
    let now = app.clock.now();
    let mut aged = Aged::default();
    for _ in 0..SLICES_MAX {
        let slice = app.registry.age_choices(now - WHOLE_MS, now - KEPT_MS, SLICE, now).await?;
        if slice == Aged::default() {
            break;
        }
        aged = Aged { shrunk: aged.shrunk + slice.shrunk, gone: aged.gone + slice.gone };
        tokio::select! {
            () = tokio::time::sleep(BREATH) => {}
            () = app.stop.cancelled() => break,
        }
    }
    Ok(aged)
}

/// Looks at every community whose look is due, and tells ops of those where somebody has come to wait too long. Returns
/// what was told.
///
/// # Errors
/// [`Unseen`]; communities that were seen before it were told.
pub async fn look_at_waits(app: &App) -> Result<Vec<LongWaits>, Unseen> {
    let now = app.clock.now();
    let mut due = Vec::new();
    for community in app.live.directory.communities() {
        let looked = app.registry.instant(&mark(&community.slug)).await?;
        if looked.is_none_or(|looked| now.since(looked) >= LOOK_MS) {
            due.push((community, looked));
        }
    }
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let mut waiters = waiters(app, now).await?;
    let mut told = Vec::new();
    for (community, looked) in due {
        let theirs = waiters.remove(&community.slug).unwrap_or_default();
        let policy = policy(app, &community, now);
        let seats = match policy.fairness_seat {
            true => app.reader.kept_seats(&community.slug, now - WEEK_MS).await?,
            false => Vec::new(),
        };
        let found = overdue::overdue(&community.slug, &policy, &theirs, &seats, looked, now);
        // Written before it is told, as everything is: a restart between the two tells nothing twice.
        app.registry.set_instant(&mark(&community.slug), now).await?;
        if let Some(waits) = found {
            tell(app, &waits, now);
            told.push(waits);
        }
    }
    Ok(told)
}

/// Under which name the ledger keeps when a community was looked at.
fn mark(community: &CommunitySlug) -> String {
    format!("waits_looked_at:{community}")
}

/// What a job posted now would go by.
fn policy(app: &App, community: &Community, now: Time) -> Policy {
    let valid = app.live.directory.community_at(&community.slug, now);
    valid.map_or_else(|| community.policy.clone(), |(community, _)| community.policy.clone())
}

/// Everybody who waits for an offer, by community.
async fn waiters(app: &App, now: Time) -> Result<HashMap<CommunitySlug, Vec<Waiter>>, ReadError> {
    let mut waiters: HashMap<CommunitySlug, Vec<Waiter>> = HashMap::new();
    let mut after = None;
    loop {
        let page = app.reader.waits(now - WEEK_MS, after, PAGE).await?;
        for row in &page {
            let Some(profile) = app.live.directory.friend(row.friend) else { continue };
            if profile.account != Account::Active {
                continue;
            }
            let reach = app.live.roster.stands_at(row.friend).map(|place| (place, profile.radius_m));
            let Some(waiter) = Waiter::of(row, reach) else { continue };
            for community in &profile.communities {
                waiters.entry(community.clone()).or_default().push(waiter);
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE as usize => after = Some(last.friend),
            Some(_) | None => return Ok(waiters),
        }
    }
}

fn tell(app: &App, waits: &LongWaits, at: Time) {
    let kind = AlarmKind::LongWaits;
    metrics::alarm(kind);
    let LongWaits { community, first, next, seats, friends: _ } = waits;
    tracing::warn!(%community, kind = kind.as_str(), first, next, seats, "alarm");
    app.live.feed.alarm(AlarmView { kind, job: None, at, waits: Some(waits.clone()) });
}
