//! What stands while nothing happens. Nothing is overdue; nobody suitable is forgotten; what the apps were told is what
//! the ledger holds; and a dispatcher that was restored has what the one before had.

use kiez_protocol::ids::{JobId, OfferId, SessionId};
use kiez_protocol::partner::JobState;
use kiez_protocol::time::Time;

use std::collections::{BTreeMap, BTreeSet};

use super::super::streets::{FriendNo, Streets, friend_id};
use super::book::Book;
use super::choice::{caps_m, stage, standing, weighed};
use super::job::Page;
use super::{Checked, Model, Rule, hold};
use crate::dispatch::Dispatcher;
use crate::dispatch::job::{Job, OfferState};

/// A deadline may be handled so much late while nothing holds the engine up, ms.
const LATE_MS: i64 = 1_500;
/// An unfilled job is looked at again this often, ms (rules of the trade, §4).
const UNFILLED_LOOK_MS: i64 = 5 * 60_000;

/// When the model looks round: what it needs to know of the engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glance {
    pub now: Time,
    /// Since when nothing has held the engine up: no outage, no restart.
    pub free_since: Time,
    /// Whether everything decided is written and told.
    pub settled: bool,
}

impl Model {
    /// Nothing that was due still waits. `book` is the dispatcher's own.
    pub fn nothing_is_overdue(&mut self, book: &mut Book, glance: Glance) -> Checked {
        let over = glance.now - LATE_MS;
        if glance.free_since > over {
            return Ok(());
        }
        if let Some((end, offer)) = book.ends.first().filter(|(end, _)| *end < over) {
            let job = book.page_of(*offer).map(|page| page.id);
            return hold(false, Rule::Overdue, job, || format!("offer {offer} ended at {end} and is live"));
        }
        while let Some((due, job)) = book.dues.first().copied().filter(|(due, _)| *due < over) {
            let page = book.pages.get(&job).filter(|page| page.due() == Some(due) && book.open.contains(&job));
            if let Some(page) = page {
                let state = page.state;
                return hold(false, Rule::Overdue, job, || format!("{state} should have ended at {due}"));
            }
            // It has moved on since.
            book.dues.remove(&(due, job));
        }
        self.tally.looked(Rule::Overdue);
        Ok(())
    }

    /// Whoever is suitable, and has been throughout, is asked at the next look at the latest.
    pub fn nobody_is_forgotten(&mut self, book: &Book, streets: &Streets, glance: Glance) -> Checked {
        for id in &book.open {
            let page = &book.pages[id];
            if !page.is_open() {
                continue;
            }
            self.tally.looked(Rule::Forgotten);
            // Two looks: one may have come a moment before they were suitable.
            let patience = 2 * page.plan().interval_ms.max(UNFILLED_LOOK_MS) + LATE_MS;
            let night = page.night();
            if night.until(glance.now).is_some() {
                continue;
            }
            let since = night.before(glance.now, patience);
            if page.changed_at > since || glance.free_since > since || book.restored_until > since {
                continue;
            }
            let farthest_m = caps_m(page).last().copied().unwrap_or(0.0);
            let stage = stage(page, page.run.wave, since);
            let named = page.booking.direct.filter(|direct| page.held || !direct.fallback);
            for (friend, record) in standing(streets) {
                if let Some(direct) = named {
                    // Nobody else may be asked, and they only once.
                    let asked = !page.held || page.hold_until <= glance.now || page.direct(page.attempt).is_some();
                    if asked || direct.friend != friend_id(friend) {
                        continue;
                    }
                }
                if record.changed_at > since || book.loads[friend].changed_at > since {
                    continue;
                }
                let Some(at) = record.stands() else { continue };
                let distance_m = at.distance_m(page.booking.place);
                let forgotten = (named.is_some() || distance_m <= farthest_m)
                    && weighed(book, page, (stage, since), named.is_some(), friend, record, distance_m).is_ok()
                    // Beyond the number of any plan.
                    && page.run.wave < u8::MAX;
                hold(!forgotten, Rule::Forgotten, *id, || {
                    let friend = friend_id(friend);
                    format!("{friend} is suitable since {} at the latest, the job is {}", since, page.state)
                })?;
            }
        }
        Ok(())
    }

    /// With everything written and told, each session of the present process believes what the ledger holds.
    pub fn apps_agree(
        &mut self,
        book: &Book,
        glance: Glance,
        session: impl Fn(FriendNo) -> Option<SessionId>,
    ) -> Checked {
        if !glance.settled {
            return Ok(());
        }
        let owed = book.owed.first();
        hold(owed.is_none(), Rule::Agree, owed.map(|owed| owed.job), || format!("{owed:?} was never told"))?;
        for (friend, heard) in self.heard.iter().enumerate() {
            if !heard.fresh || heard.session != session(friend) {
                continue;
            }
            let load = &self.committed.loads[friend];
            let live: BTreeSet<OfferId> = load.hand.iter().chain(&load.beside).copied().collect();
            self.tally.looked(Rule::Agree);
            let job = || {
                let odd = live.symmetric_difference(&heard.offers).next()?;
                self.committed.page_of(*odd).map(|page| page.id)
            };
            hold(live == heard.offers, Rule::Agree, job(), || {
                let more: Vec<_> = heard.offers.difference(&live).collect();
                let less: Vec<_> = live.difference(&heard.offers).collect();
                format!("{} believes in {more:?} and knows nothing of {less:?}", friend_id(friend))
            })?;
            let state = |job: &JobId| self.committed.pages[job].state;
            let held: BTreeMap<JobId, JobState> = load.held.iter().map(|(job, _)| (*job, state(job))).collect();
            let odd =
                held.keys().chain(heard.visits.keys()).find(|job| held.get(job) != heard.visits.get(job)).copied();
            hold(odd.is_none(), Rule::Agree, odd, || {
                format!("{} believes to hold {:?}, and holds {held:?}", friend_id(friend), heard.visits)
            })?;
        }
        Ok(())
    }

    /// A dispatcher was restored: it has every open job as it is committed, and nothing else.
    pub fn restarted(&mut self, core: &Dispatcher, now: Time) -> Checked {
        self.tally.looked(Rule::Restart);
        let (there, open) = (core.jobs_len(), self.committed.open.len());
        hold(there == open, Rule::Restart, None, || format!("{there} jobs of {open} came back"))?;
        let mut soonest = None;
        for id in &self.committed.open {
            let page = &self.committed.pages[id];
            match core.job(*id).map(|job| differs(job, page, now)) {
                Some(None) => {}
                Some(Some(what)) => return hold(false, Rule::Restart, *id, || what),
                None => return hold(false, Rule::Restart, *id, || "did not come back".to_owned()),
            }
            let ends = page.live().map(|asked| asked.offer.expires_at).filter(|end| *end < page.expires_at);
            soonest = ends.chain(page.due()).chain(soonest).min();
        }
        let next = core.next_deadline();
        let wakes = soonest.is_none_or(|soonest| next.is_some_and(|next| next <= soonest.max(now)));
        hold(wakes, Rule::Restart, None, || format!("wakes at {next:?}, and {soonest:?} is due"))
    }
}

/// How a restored job differs from what is committed, if it does.
fn differs(job: &Job, page: &Page, now: Time) -> Option<String> {
    let counts = (job.state, job.sequence, job.attempt, job.revision, job.expire_at);
    let stored = (page.state, page.sequence, page.attempt, page.revision, page.expires_at);
    if counts != stored {
        return Some(format!("came back as {counts:?}, was {stored:?}"));
    }
    if job.booking != page.booking {
        return Some("came back with another booking".to_owned());
    }
    let holder = job.visit.as_ref().filter(|visit| visit.active);
    if holder != page.holder() {
        return Some(format!("came back held by {holder:?}, was by {:?}", page.holder()));
    }
    let blocked: Vec<_> = page.blocked.difference(&job.blocked).collect();
    if !blocked.is_empty() {
        return Some(format!("came back without a word of {blocked:?}, who declined or handed back"));
    }
    let there: BTreeMap<_, _> = job.undoable.iter().map(|undo| (undo.offer, undo.until)).collect();
    let then: BTreeMap<_, _> = page.undoable.iter().map(|(offer, undo)| (*offer, undo.until)).collect();
    let lasts = |undoable: &BTreeMap<OfferId, Time>| undoable.iter().filter(|(_, until)| **until > now).count();
    let same = lasts(&there) == lasts(&then) && there.iter().all(|(offer, until)| then.get(offer) == Some(until));
    if page.is_open() && !same {
        return Some(format!("came back with {there:?} to be taken back, it was {then:?}"));
    }
    let held = |at: Option<Time>| at.filter(|_| page.is_open());
    let (there, then) = (held(job.hold_until), held(page.held.then_some(page.hold_until)));
    if there != then {
        return Some(format!("came back held until {there:?}, it was {then:?}"));
    }
    if let Some(what) = page.forgot(job) {
        return Some(what);
    }
    let live = |offer: &&crate::dispatch::job::Offer| offer.state == OfferState::Live;
    let there: BTreeMap<_, _> = job
        .offers
        .iter()
        .filter(live)
        .map(|offer| (offer.id, (offer.friend, offer.expires_at, offer.wave_seat)))
        .collect();
    let then: BTreeMap<_, _> = page
        .live()
        .map(|asked| (asked.offer.id, (asked.offer.friend, asked.offer.expires_at, asked.offer.wave_seat)))
        .collect();
    (there != then).then(|| format!("came back with the live offers {there:?}, they were {then:?}"))
}
