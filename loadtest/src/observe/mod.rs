//! The observer: sees every frame that the bots send and every message they get, every post and its answer, and knows
//! nothing else. From that alone it says what the server did, and `check` says whether it was right.
//!
//! [`Observation`] is pure: moments come in with each call. [`Observer`] stamps them, one at a time and in order, so that
//! what is noted as sent was noted before the bytes left, and what is noted as heard after they came.

pub(crate) mod friend;
pub(crate) mod ground;
pub(crate) mod job;
pub mod span;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use kiez_protocol::directory::{Community, Friend, ImportLine, Package};
use kiez_protocol::friend::{FriendFrame, FriendMessage, VisitEvent};
use kiez_protocol::ids::{CommunitySlug, FriendId, JobId, Key, OfferId, PackageSlug, PartnerSlug};
use kiez_protocol::partner::{JobView, PostJob};
use kiez_protocol::time::Time;

use self::friend::FriendTrace;
use self::ground::Ground;
use self::job::{JobTrace, Posted};
use self::span::{Moment, NEVER};
use crate::client::friend::Tap;
use crate::measure::Stretch;
use crate::report::{Live, Tally};

/// How much an outside observer must allow for. All in microseconds of real time.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What is sent has been taken in, and what was decided has been heard, after so long: 1 s by default.
    pub in_flight_us: Moment,
    /// A friend whose connection is gone may still be counted on for so long: 80 s, the server gives up after 75.
    pub reach_us: Moment,
    /// A position older than this may no longer count: 20 min by default, divided by the time scale.
    pub fresh_us: Moment,
    /// A server that was killed may wait for so long after its return until it chooses among those who are back: 15 s.
    pub return_us: Moment,
}

impl Rules {
    /// The usual allowances at a time scale of at least 1.
    pub fn at_scale(time_scale: u32) -> Rules {
        let fresh_us = 20 * 60 * 1_000_000 / u64::from(time_scale.max(1));
        Rules { in_flight_us: 1_000_000, reach_us: 80_000_000, fresh_us, return_us: 15_000_000 }
    }
}

/// What a frame with a key was about.
#[derive(Clone, Copy, Debug)]
enum Asking {
    Accept { job: JobId },
    Decline { offer: OfferId },
    Duty { on: bool },
    Visit { job: JobId, event: VisitEvent },
}

/// A post on its way.
#[derive(Debug)]
struct Posting {
    intended_at: Moment,
    sent_at: Moment,
    partner: PartnerSlug,
    job: PostJob,
}

/// Everything seen so far.
#[derive(Debug)]
pub struct Observation {
    pub(crate) rules: Rules,
    pub(crate) friends: HashMap<FriendId, FriendTrace>,
    pub(crate) jobs: HashMap<JobId, JobTrace>,
    pub(crate) communities: HashMap<CommunitySlug, Community>,
    pub(crate) packages: HashMap<PackageSlug, Package>,
    /// Whether there are friends on the server who are not watched; they may hold seats unseen.
    pub(crate) strangers: bool,
    pub(crate) tally: Tally,
    pub(crate) ground: Ground,
    /// When the server was killed, and when it served again.
    outages: Vec<(Moment, Moment)>,
    posting: HashMap<String, Posting>,
    asking: HashMap<(FriendId, Key), Asking>,
    offers: HashMap<OfferId, JobId>,
    time_scale: u32,
    /// The last welcome: when, and the server's clock then.
    welcomed: Option<(Moment, Time)>,
}

impl Observation {
    /// An observer of a server that knows these documents.
    pub fn new(rules: Rules, documents: &[ImportLine]) -> Observation {
        let mut observation = Observation {
            rules,
            friends: HashMap::new(),
            jobs: HashMap::new(),
            communities: HashMap::new(),
            packages: HashMap::new(),
            strangers: false,
            tally: Tally::default(),
            ground: Ground::default(),
            outages: Vec::new(),
            posting: HashMap::new(),
            asking: HashMap::new(),
            offers: HashMap::new(),
            time_scale: 1,
            welcomed: None,
        };
        for document in documents {
            match document {
                ImportLine::Community(community) => {
                    observation.communities.insert(community.slug.clone(), community.clone());
                }
                ImportLine::Package(package) => {
                    observation.packages.insert(package.slug.clone(), package.clone());
                }
                ImportLine::Friend(friend) => observation.watch(Arc::new(friend.clone())),
                ImportLine::Partner(_) => {}
            }
        }
        observation
    }

    /// One more friend whose every frame will be seen.
    pub fn watch(&mut self, profile: Arc<Friend>) {
        self.friends.entry(profile.id).or_insert_with(|| FriendTrace::new(profile));
    }

    /// From now on friends may be on the server who are not watched, and hold seats unseen.
    pub fn expect_strangers(&mut self) {
        self.strangers = true;
    }

    /// What has happened so far, for a live view.
    pub fn live(&self) -> Live {
        let tally = &self.tally;
        Live {
            jobs_posted: tally.jobs_posted,
            jobs_assigned: tally.jobs_assigned,
            jobs_completed: tally.jobs_completed,
            offers: tally.offers,
            accepts: tally.accepts,
            races: tally.races,
            double_winners: tally.double_winners,
            wrong_four: tally.wrong_four,
            time_to_assign_ms: tally.assign_us.at(0.5, 1e3 / f64::from(self.time_scale.max(1))),
            accept_ms: tally.accept_us.at(0.5, 1e3),
        }
    }

    /// The jobs that the server has acknowledged and that are not forgotten, by partner.
    pub fn acknowledged(&self) -> Vec<(PartnerSlug, JobId)> {
        let posted = self.jobs.iter().filter_map(|(id, job)| Some((job.posted.as_ref()?.partner.clone(), *id)));
        posted.collect()
    }

    /// Accepts without a verdict, and wins that were asked again without an answer.
    pub fn undecided(&self) -> usize {
        let accepts = self.jobs.values().flat_map(|job| &job.accepts);
        accepts.filter(|accept| accept.verdicts.is_empty() || accept.asking_again).count()
    }

    /// Posts and accepts that are on their way: sent, and not answered.
    pub fn on_the_way(&self) -> usize {
        self.posting.len() + self.undecided()
    }

    /// Friends who are connected.
    pub fn connected(&self) -> usize {
        self.friends.values().filter(|friend| friend.is_up()).count()
    }

    /// From now on only what is intended between these moments counts as measured.
    pub fn measure(&mut self, from: Moment, to: Moment) {
        self.tally.stretch = Stretch::between(from, to);
    }

    /// The server is about to be killed.
    pub fn outage_began(&mut self, at: Moment) {
        self.outages.push((at, NEVER));
    }

    /// The server serves again.
    pub fn outage_ended(&mut self, at: Moment) {
        if let Some(outage) = self.outages.last_mut() {
            outage.1 = outage.1.min(at);
        }
    }

    /// Whether the server was away in this window, or had just come back.
    pub(crate) fn just_back(&self, from: Moment, to: Moment) -> bool {
        let about = |(began, ended): &(Moment, Moment)| {
            *began <= to.saturating_add(self.rules.in_flight_us) && from <= ended.saturating_add(self.rules.return_us)
        };
        self.outages.iter().any(about)
    }

    /// The trade's time at a moment, by the last welcome; `None` before the first.
    pub fn trade_time(&self, at: Moment) -> Option<Time> {
        let (welcomed_at, server_time) = self.welcomed?;
        let real_ms = at.saturating_sub(welcomed_at) / 1_000;
        Some(server_time + (real_ms * u64::from(self.time_scale)) as i64)
    }

    /// The time scale that the server's welcome named; 1 before the first.
    pub fn time_scale(&self) -> u32 {
        self.time_scale
    }

    /// A partner is about to post; repeats of the same key are not noted anew.
    pub fn posting(&mut self, at: Moment, key: &str, partner: &PartnerSlug, job: &PostJob) {
        self.posting_planned(at, at, key, partner, job);
    }

    /// A partner is about to post what was intended for a moment that may have passed.
    pub fn posting_planned(
        &mut self,
        at: Moment,
        intended_at: Moment,
        key: &str,
        partner: &PartnerSlug,
        job: &PostJob,
    ) {
        if self.posting.contains_key(key) {
            return;
        }
        self.tally.messages += 1;
        let stretch = &mut self.tally.stretch;
        if stretch.holds(intended_at) {
            stretch.jobs += 1;
            stretch.post_lag_us.note(at.saturating_sub(intended_at));
        }
        let posting = Posting { intended_at, sent_at: at, partner: partner.clone(), job: job.clone() };
        self.posting.insert(key.to_owned(), posting);
    }

    /// A post was answered.
    pub fn posted(&mut self, at: Moment, key: &str, view: &JobView) {
        let Some(Posting { intended_at, sent_at, partner, job }) = self.posting.remove(key) else { return };
        self.tally.jobs_posted += 1;
        self.tally.messages += 1;
        if self.tally.stretch.holds(intended_at) {
            self.tally.stretch.post_us.note(at.saturating_sub(intended_at));
        }
        let trace = self.jobs.entry(view.id).or_default();
        for asked in &trace.asked {
            // No offer is older than its job.
            let hand = self.friends.get_mut(&asked.friend).map(|friend| &mut friend.hand).into_iter().flatten();
            for holding in hand.filter(|holding| holding.offer == asked.offer) {
                holding.span.maybe_from = holding.span.maybe_from.max(sent_at);
            }
        }
        let community = view.community.clone();
        trace.posted =
            Some(Posted { partner, job, community, intended_at, sent_at, answered_at: at, view: view.clone() });
        self.measure_win(view.id);
    }

    /// A post was refused or given up.
    pub fn post_failed(&mut self, key: &str, answered: bool) {
        if self.posting.remove(key).is_some() {
            if answered {
                self.tally.posts_refused += 1;
            } else {
                self.tally.posts_unanswered += 1;
            }
        }
    }

    /// A partner is about to cancel.
    pub fn cancelling(&mut self, at: Moment, job: JobId) {
        let trace = self.jobs.entry(job).or_default();
        trace.cancelled_at.get_or_insert(at);
        for friend in self.friends.values_mut() {
            for holding in friend.hand.iter_mut().chain(&mut friend.jobs).filter(|holding| holding.job == job) {
                holding.span.sure_to = holding.span.sure_to.min(at);
            }
        }
    }
}

/// An observation that many tasks note into, with its own clock.
#[derive(Debug)]
pub struct Observer {
    began: Instant,
    observation: Mutex<Observation>,
}

impl Observer {
    /// An observer whose moments count from now.
    pub fn new(observation: Observation) -> Observer {
        Observer { began: Instant::now(), observation: Mutex::new(observation) }
    }

    /// Notes something at this moment: `observer.note(|observation, at| observation.down(at, friend))`.
    pub fn note<A>(&self, note: impl FnOnce(&mut Observation, Moment) -> A) -> A {
        let mut observation = self.lock();
        // Inside of the lock, so that moments grow in the order of the notes.
        let at = self.began.elapsed().as_micros() as Moment;
        note(&mut observation, at)
    }

    /// For a run without an end, every few seconds: judges what is a minute old, and forgets what is older than three.
    pub fn tidy(&self) {
        const MINUTE_US: Moment = 60_000_000;
        self.note(|seen, at| {
            seen.settle(at.saturating_sub(MINUTE_US));
            seen.forget(at.saturating_sub(3 * MINUTE_US));
        });
    }

    /// The moment of an instant; 0 if it lies before the observer began.
    pub fn moment(&self, instant: Instant) -> Moment {
        instant.saturating_duration_since(self.began).as_micros() as Moment
    }

    fn lock(&self) -> MutexGuard<'_, Observation> {
        self.observation.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What one friend's client shows to the observer.
struct FriendTap {
    observer: Arc<Observer>,
    friend: FriendId,
}

impl Observer {
    /// The tap for a friend's client. The friend must be watched.
    pub fn tap(self: &Arc<Self>, friend: FriendId) -> Arc<dyn Tap> {
        Arc::new(FriendTap { observer: Arc::clone(self), friend })
    }
}

impl Tap for FriendTap {
    fn sent(&self, frame: &FriendFrame) {
        self.observer.note(|observation, at| observation.sent(at, self.friend, frame));
    }

    fn heard(&self, message: &FriendMessage) {
        self.observer.note(|observation, at| observation.heard(at, self.friend, message));
    }

    fn beat(&self) {
        // The ping and its answer.
        self.observer.note(|observation, _| observation.tally.messages += 2);
    }

    fn down(&self) {
        self.observer.note(|observation, at| observation.down(at, self.friend));
    }
}
