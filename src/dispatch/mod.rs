//! DECIDE. The dispatcher owns every open job and orders all its events: one mind. It is pure: inputs and `now` go in,
//! records and messages come out. It does no I/O, reads no clock, spawns no task and cannot fail; a wrong or late
//! request is a refusal among the effects.
//!
//! | page | what is decided there |
//! | --- | --- |
//! | [`input`], [`effect`] | the two closed lists: what can happen, what can be wanted |
//! | [`job`] | a job, its run, offers and visit: the data |
//! | `posting`, `editing`, `answers`, `pausing` | post, cancel, edit; what is missing; dispatch that is held |
//! | [`edges`] | who may do what to a job, in which states |
//! | `steering` | what ops do by hand: give a job to a friend, have friends asked anew |
//! | `wave`, `hand`, `silence`, [`quiet`] | whom to ask next, the offers they hold, when to stop, and the night |
//! | [`talk`], `asking`, `proposing`, `direct`, `messages`, `contact` | what is said before the win and after: questions, proposals, the friend who was named, messages; and what no text may tell |
//! | [`claim`], `race`, `verdict` | who was first, whether it counts, and what those behind hear |
//! | `visit` | what the winner does |
//! | [`nearest`], [`gates`], [`capacity`], [`caps`], [`pay`] | who is near, who is suitable, what they hold, have done and get |
//! | [`rank`], [`fairness`], [`decision`] | in which order, how long each has waited, and the record of why |
//! | [`overdue`] | who waits too long, and how many seats were in their reach |
//! | [`hindsight`] | why a friend was not asked, from the records of choices |
//! | `area` | where a community's jobs are, and its brake |
//! | `duty`, `restore` | friends coming and going, and the server itself |

pub mod account;
mod answers;
mod area;
mod asking;
pub mod capacity;
pub mod caps;
mod card;
mod change;
pub mod claim;
pub mod contact;
pub mod decision;
mod direct;
mod duty;
pub mod edges;
mod editing;
pub mod effect;
pub mod fairness;
pub mod gates;
pub mod globe;
mod hand;
pub mod hindsight;
pub mod input;
pub mod job;
mod messages;
mod mint;
pub mod nearest;
pub mod overdue;
mod pausing;
pub mod pay;
mod posting;
mod proposing;
pub mod quiet;
mod race;
pub mod rank;
mod restore;
mod silence;
mod steering;
pub mod talk;
mod timers;
pub mod trial;
mod verdict;
mod visit;
mod wave;

use std::collections::{BTreeSet, HashMap};

use h3o::CellIndex;
use kiez_protocol::directory::Language;
use kiez_protocol::friend::Duty;
use kiez_protocol::ids::{CommunitySlug, FriendId, JobId, OfferId, PartnerSlug};
use kiez_protocol::partner::JobState;
use kiez_protocol::time::Time;

pub use answers::fits;
use capacity::Capacity;
pub use card::missing_answers;
pub use change::is_final;
use effect::Effects;
use fairness::Waits;
use input::Input;
use job::Job;
use mint::Mint;
use nearest::Nearby;
use timers::Timers;

/// What real time is to the dispatcher, whose own time may run faster in development.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How many ms of the trade's time pass in one ms of real time, at least 1.
    pub scale: i64,
}

impl Pace {
    /// A span of real time, ms, in the trade's time: for what depends on networks and people's fingers.
    pub fn real_ms(self, ms: i64) -> i64 {
        ms * self.scale
    }
}

/// An accept this long after the offer's end still counts, ms of real time (rules of the trade, §4).
pub const ACCEPT_GRACE_MS: i64 = 2_000;
/// After a restart friends return over some seconds: so long no wave is spent on those who happen to be back, ms of real
/// time.
pub const RESTORE_GRACE_MS: i64 = 15_000;
/// An idempotency key is kept so long, ms.
pub const KEY_KEPT_MS: i64 = 7 * 24 * 3_600_000;

/// The one mind: every open job, and what every friend holds.
#[derive(Debug)]
pub struct Dispatcher {
    jobs: HashMap<JobId, Box<Job>>,
    offers: HashMap<OfferId, JobId>,
    capacity: Capacity,
    waits: Waits,
    keys: HashMap<(PartnerSlug, String), (JobId, [u8; 32])>,
    key_ages: std::collections::VecDeque<(Time, PartnerSlug, String)>,
    timers: Timers<JobId>,
    duties: HashMap<FriendId, Duty>,
    duty_timers: Timers<FriendId>,
    // Jobs with a vacant seat, and unfilled ones: who comes into reach is considered for them.
    hungry: BTreeSet<JobId>,
    // Communities that make no new offers. Not recorded: whoever starts the dispatcher says so anew.
    braked: BTreeSet<CommunitySlug>,
    // Soft: the language of the newest session, and where the holder of an offer stood when asked (for the map).
    languages: HashMap<FriendId, Language>,
    cells: HashMap<OfferId, CellIndex>,
    mint: Mint,
    pace: Pace,
    restored_until: Time,
}

impl Dispatcher {
    /// Handles one input. `now` is the trade's time and never goes back; `nearby` is who is near at this moment.
    pub fn handle(&mut self, input: Input, now: Time, nearby: &dyn Nearby, effects: &mut Effects) {
        match input {
            Input::Posted { request, partner, by, reason, key, booking, terms, received_at } => {
                let by = posting::Poster { by, reason };
                self.posted(request, partner, by, key, booking, terms, received_at, now, nearby, effects);
            }
            Input::Tried { request, partner, booking, terms, received_at } => {
                self.tried(request, partner, booking, terms, received_at, now, nearby, effects);
            }
            Input::Edited { request, by, job, edit, received_at } => {
                self.edited(request, by, job, edit, received_at, now, nearby, effects);
            }
            Input::Answered { request, by, job, answers, replies, received_at } => {
                self.answered(request, by, job, answers, replies, received_at, now, nearby, effects);
            }
            Input::Asked { friend, offer, text, key, received_at: _ } => {
                self.asked(asking::Ask { friend, offer, text, key }, now, effects);
            }
            Input::Proposed { friend, offer, windows, key, received_at: _ } => {
                self.proposed(proposing::Propose { friend, offer, windows, key }, now, effects);
            }
            Input::Confirmed { job, confirm } => self.confirmed(job, *confirm, now, effects),
            Input::FriendWrote { friend, job, text, key, received_at: _ } => {
                self.friend_wrote(friend, job, &text, key, now, effects);
            }
            Input::CustomerWrote { request, by, job, text, key, received_at: _ } => {
                self.customer_wrote(request, by, job, &text, key, now, effects);
            }
            Input::Paused { request, by, job, reason, received_at: _ } => {
                self.paused(request, by, job, reason, now, effects);
            }
            Input::Resumed { request, by, job, reason, received_at: _ } => {
                self.resumed(request, by, job, reason, now, nearby, effects);
            }
            Input::Cancelled { request, by, job, reason, received_at } => {
                self.cancelled(request, by, job, reason, received_at, now, nearby, effects);
            }
            Input::Assigned { request, by, job, friend, reason, received_at } => {
                let assign = steering::Assign { request, by, friend, reason, received_at };
                self.assigned(job, assign, now, nearby, effects);
            }
            Input::Redispatched { request, by, job, reason, received_at: _ } => {
                self.redispatched(request, by, job, reason, now, nearby, effects);
            }
            Input::Accepted { friend, offer, key, revision, received_at, first } => {
                let accept = job::Standby { friend, offer, key, revision, received_at };
                self.accepted(accept, first, now, nearby, effects);
            }
            Input::Declined { friend, offer, reason, key, received_at: _ } => {
                self.declined(friend, offer, reason, key, now, nearby, effects);
            }
            Input::Undone { friend, offer, key, received_at } => {
                self.undone(friend, offer, key, received_at, now, effects);
            }
            Input::Delivered { friend, offers } => self.delivered(friend, &offers),
            Input::Visited { friend, job, event, key, at, reason, received_at: _ } => {
                self.visited(visit::Step { friend, job, event, key, at, reason }, now, nearby, effects);
            }
            Input::Duty { friend, on, until, key, received_at: _ } => {
                self.duty(friend, Duty { on, until: until.filter(|_| on) }, key, now, effects);
            }
            Input::Joined { friend, session, language } => self.joined(friend, session, language, effects),
            Input::Placed { friend } => self.consider(friend, now, nearby, effects),
            Input::Brake { community, on } => self.brake(community, on, now, nearby, effects),
            Input::Settled { job, attempt } => self.settled(job, attempt, now, effects),
            Input::Reread { job, stored } => self.reread(job, stored, now, nearby, effects),
            Input::Woken => self.woken(now),
            Input::Tick => self.tick(now, nearby, effects),
        }
    }

    /// When `Input::Tick` has something to do.
    pub fn next_deadline(&self) -> Option<Time> {
        match (self.timers.next(), self.duty_timers.next()) {
            (Some(job), Some(duty)) => Some(job.min(duty)),
            (job, duty) => job.or(duty),
        }
    }

    /// Jobs that are not final.
    pub fn jobs_len(&self) -> usize {
        self.jobs.len()
    }

    /// The states of all jobs that are not final.
    pub fn states(&self) -> impl Iterator<Item = JobState> {
        self.jobs.values().map(|job| job.state)
    }

    /// Whose offer it is, while its job is open: what is said about an offer belongs to the job's story.
    pub fn job_of(&self, offer: OfferId) -> Option<JobId> {
        self.offers.get(&offer).copied()
    }

    /// How long a friend has waited for an offer, as of `now`.
    pub fn wait_of(&self, friend: FriendId, now: Time) -> rank::Wait {
        self.waits.of(friend, now)
    }

    /// A look at a job, for tests and inspection.
    pub fn job(&self, job: JobId) -> Option<&Job> {
        self.jobs.get(&job).map(AsRef::as_ref)
    }

    fn tick(&mut self, now: Time, nearby: &dyn Nearby, effects: &mut Effects) {
        self.forget_keys(now);
        // In order: a duty that ends with a wave ends before it.
        let job_first = self.timers.next().zip(self.duty_timers.next()).is_some_and(|(job, duty)| job < duty);
        match (self.duty_timers.due(now), self.timers.due(now)) {
            (Some(friend), _) if !job_first => self.duty_due(friend, now, effects),
            (_, Some(job)) => self.due(job, now, nearby, effects),
            (_, None) => {}
        }
    }

    /// Takes a job out to change it; [`Dispatcher::put`] brings it back.
    fn take(&mut self, job: JobId) -> Option<Box<Job>> {
        self.jobs.remove(&job)
    }

    /// Puts a job back with its deadline, or lets it go if nothing more can happen.
    fn put(&mut self, job: Box<Job>, now: Time) {
        if is_final(job.state) && job.standbys.is_empty() {
            self.forget(&job);
            return;
        }
        self.timers.set(job.id, self.deadline(&job, now));
        if self.is_hungry(&job) {
            self.hungry.insert(job.id);
        } else {
            self.hungry.remove(&job.id);
        }
        self.jobs.insert(job.id, job);
    }

    fn forget(&mut self, job: &Job) {
        self.timers.set(job.id, None);
        self.hungry.remove(&job.id);
        for offer in &job.offers {
            self.offers.remove(&offer.id);
            self.cells.remove(&offer.id);
        }
    }

    fn language(&self, friend: FriendId) -> Language {
        self.languages.get(&friend).copied().unwrap_or_default()
    }
}
