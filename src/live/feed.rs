//! What the ops map shows: jobs, races and alarms as announced, friends as the roster counts them. A viewer gets a
//! snapshot, then what has changed, with new values rather than differences. Nothing here names a friend, and nothing
//! grows beyond the jobs that are open or have just ended.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use h3o::{CellIndex, Resolution};
use kiez_protocol::ids::{FriendId, JobId};
use kiez_protocol::ops::{AlarmKind, AlarmView, CellView, JobDot, OpsMessage, RaceView, Rates, View};
use kiez_protocol::partner::JobState;
use kiez_protocol::time::Time;

use super::roster::{Bounds, Roster};
use crate::dispatch::globe::Vector;

/// How long a job stays on the map after it was won or has ended, ms.
pub const LINGER_MS: i64 = 60_000;
/// Races and alarms kept, each.
pub const NEWEST_MAX: usize = 20;

/// The map's memory.
#[derive(Debug, Default)]
pub struct Feed(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Counts everything that was announced, so that a viewer knows what is news.
    turn: u64,
    jobs: HashMap<JobId, Seen>,
    /// Jobs that linger, in the order in which they began to, with when that was.
    lingering: VecDeque<(Time, JobId)>,
    /// The newest turn of any job that was forgotten: a viewer who was not told by then takes a new snapshot.
    forgotten: u64,
    races: VecDeque<(u64, RaceView)>,
    alarms: VecDeque<(u64, AlarmView)>,
    /// Friends without a free place or room in the hand.
    busy: HashSet<FriendId>,
    posted: u64,
    assigned: u64,
}

#[derive(Debug)]
struct Seen {
    dot: Arc<JobDot>,
    turn: u64,
    /// Since when it has not been open.
    lingers_since: Option<Time>,
}

/// Whether a job has no winner and still may get one.
fn is_open(state: JobState) -> bool {
    match state {
        JobState::NeedsInfo | JobState::Dispatching | JobState::Paused | JobState::Unfilled => true,
        JobState::Assigned
        | JobState::Contacted
        | JobState::Appointed
        | JobState::OnTheWay
        | JobState::InProgress
        | JobState::Done
        | JobState::Unsuccessful
        | JobState::Confirmed
        | JobState::Disputed
        | JobState::Refunded
        | JobState::Cancelled
        | JobState::Expired
        | JobState::Closed => false,
    }
}

/// Whether a snapshot shows a job: while it is open, and for a moment after it was won.
fn is_shown(state: JobState) -> bool {
    is_open(state) || state == JobState::Assigned
}

impl Feed {
    /// An empty map.
    pub fn new() -> Feed {
        Feed::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it holds the map")
    }

    /// A job was posted or has changed, as of `at`.
    pub fn job_seen(&self, dot: JobDot, at: Time) {
        let mut state = self.lock();
        state.forget(at);
        state.turn += 1;
        let turn = state.turn;
        let (job, open) = (dot.job, is_open(dot.state));
        let before = state.jobs.get(&job);
        let lingered_since = before.and_then(|seen| seen.lingers_since);
        // Jobs are remembered longer than this from their post, so one that is unknown and young is new.
        if before.is_none() && at.since(dot.created_at) < LINGER_MS {
            state.posted += 1;
        }
        let lingers_since = (!open).then(|| lingered_since.unwrap_or(at));
        if let (Some(since), None) = (lingers_since, lingered_since) {
            state.lingering.push_back((since, job));
        }
        state.jobs.insert(job, Seen { dot: Arc::new(dot), turn, lingers_since });
    }

    /// A race was won.
    pub fn race_won(&self, race: RaceView) {
        let mut state = self.lock();
        state.turn += 1;
        state.assigned += 1;
        let turn = state.turn;
        keep_newest(&mut state.races, (turn, race));
    }

    /// Whether a friend has a free place and room in the hand. Who was never named has.
    pub fn availability(&self, friend: FriendId, free: bool) {
        let mut state = self.lock();
        if free {
            state.busy.remove(&friend);
        } else {
            state.busy.insert(friend);
        }
    }

    /// Ops should look.
    pub fn alarm(&self, kind: AlarmKind, job: Option<JobId>, at: Time) {
        let mut state = self.lock();
        state.turn += 1;
        let turn = state.turn;
        keep_newest(&mut state.alarms, (turn, AlarmView { kind, job, at }));
    }

    /// All there is to see at `at`: friends by cells of `resolution` (4 to 9), open jobs and those just won.
    pub fn view(&self, bounds: &Bounds, resolution: Resolution, roster: &Roster, at: Time) -> View {
        match Viewer::new(*bounds, resolution).change(self, roster, at) {
            Some(OpsMessage::Snapshot(view) | OpsMessage::Change(view)) => view,
            Some(OpsMessage::Error { .. }) | None => unreachable!("a new viewer is given a snapshot"),
        }
    }
}

fn keep_newest<T>(list: &mut VecDeque<T>, newest: T) {
    if list.len() == NEWEST_MAX {
        list.pop_front();
    }
    list.push_back(newest);
}

impl State {
    /// Forgets jobs that have lingered.
    fn forget(&mut self, at: Time) {
        while let Some(&(since, job)) = self.lingering.front() {
            if at.since(since) < LINGER_MS {
                break;
            }
            self.lingering.pop_front();
            // Not if it was opened again; then it may have come to linger again later.
            if self.jobs.get(&job).is_some_and(|seen| seen.lingers_since == Some(since))
                && let Some(gone) = self.jobs.remove(&job)
            {
                self.forgotten = self.forgotten.max(gone.turn);
            }
        }
    }

    fn rates(&self, roster: &Roster) -> Rates {
        let open = self.jobs.values().filter(|seen| is_open(seen.dot.state));
        let (jobs_open, offers_out) = open.fold((0, 0), |(jobs, offers), seen| (jobs + 1, offers + seen.dot.offers.len()));
        Rates {
            friends_live: roster.len() as u32,
            jobs_open,
            offers_out: offers_out as u32,
            jobs_posted: self.posted,
            jobs_assigned: self.assigned,
        }
    }
}

/// One map that is being looked at, and what it was last told.
#[derive(Debug)]
pub struct Viewer {
    bounds: Bounds,
    resolution: Resolution,
    /// The turn it has seen; none before the snapshot.
    turn: Option<u64>,
    cells: HashMap<CellIndex, Counts>,
    /// Jobs it was told of that had not ended then.
    jobs: HashSet<JobId>,
    rates: Rates,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    friends: u32,
    available: u32,
}

impl Viewer {
    /// A map that looks at `bounds` in cells of `resolution` (4 to 9) and has seen nothing.
    pub fn new(bounds: Bounds, resolution: Resolution) -> Viewer {
        let (cells, jobs) = (HashMap::new(), HashSet::new());
        Viewer { bounds, resolution, turn: None, cells, jobs, rates: Rates::default() }
    }

    /// What is new since the last call: first a snapshot, then changes; none when nothing has changed. A viewer who has
    /// missed the end of a job gets a snapshot again.
    pub fn change(&mut self, feed: &Feed, roster: &Roster, at: Time) -> Option<OpsMessage> {
        let (busy, fresh, news) = {
            let mut state = feed.lock();
            state.forget(at);
            let seen = self.turn.filter(|&turn| turn >= state.forgotten);
            (state.busy.iter().copied().collect::<Vec<_>>(), seen.is_none(), News::since(seen, &state, roster))
        };
        if fresh {
            self.cells.clear();
            self.jobs.clear();
        }
        self.turn = Some(news.turn);
        let mut view = View { at, rates: news.rates, races: news.races, alarms: news.alarms, ..View::default() };
        view.jobs = self.jobs_changed(fresh, &news.jobs);
        view.cells = self.cells_changed(roster, &busy);
        let rates_changed = std::mem::replace(&mut self.rates, view.rates) != view.rates;
        if fresh {
            return Some(OpsMessage::Snapshot(view));
        }
        let empty = view.cells.is_empty() && view.jobs.is_empty() && view.races.is_empty() && view.alarms.is_empty();
        (rates_changed || !empty).then_some(OpsMessage::Change(view))
    }

    fn jobs_changed(&mut self, fresh: bool, news: &[Arc<JobDot>]) -> Vec<JobDot> {
        let mut changed = Vec::new();
        for dot in news {
            let shown = is_shown(dot.state);
            let wanted = if self.jobs.contains(&dot.job) { true } else { (shown || !fresh) && self.shows(dot) };
            if shown && wanted {
                self.jobs.insert(dot.job);
            } else {
                self.jobs.remove(&dot.job);
            }
            if wanted {
                changed.push(JobDot::clone(dot));
            }
        }
        changed
    }

    fn shows(&self, dot: &JobDot) -> bool {
        self.bounds == Bounds::WORLD
            || dot.cell.parse::<CellIndex>().is_ok_and(|cell| {
                let (lat, lng) = Vector::centre(cell).degrees();
                self.bounds.contain(lat, lng)
            })
    }

    fn cells_changed(&mut self, roster: &Roster, busy: &[FriendId]) -> Vec<CellView> {
        let cells = roster.cells(self.resolution, &self.bounds);
        let mut now: HashMap<_, _> =
            cells.into_iter().map(|(cell, friends)| (cell, Counts { friends, available: friends })).collect();
        for cell in busy.iter().filter_map(|&friend| roster.leaf(friend)?.parent(self.resolution)) {
            if let Some(counts) = now.get_mut(&cell) {
                counts.available = counts.available.saturating_sub(1);
            }
        }
        let emptied = self.cells.keys().filter(|cell| !now.contains_key(cell)).map(|&cell| (cell, Counts::default()));
        let changed = now.iter().filter(|(cell, counts)| self.cells.get(cell) != Some(counts));
        let mut changed: Vec<_> = changed.map(|(&cell, &counts)| (cell, counts)).chain(emptied).collect();
        changed.sort_unstable_by_key(|(cell, _)| *cell);
        self.cells = now;
        let view = |(cell, Counts { friends, available }): (CellIndex, Counts)| CellView {
            cell: cell.to_string(),
            friends,
            available,
        };
        changed.into_iter().map(view).collect()
    }
}

/// What was announced since a turn, copied out.
struct News {
    turn: u64,
    jobs: Vec<Arc<JobDot>>,
    races: Vec<RaceView>,
    alarms: Vec<AlarmView>,
    rates: Rates,
}

impl News {
    fn since(turn: Option<u64>, state: &State, roster: &Roster) -> News {
        let turn = turn.unwrap_or(0);
        let mut jobs: Vec<_> = state.jobs.values().filter(|seen| seen.turn > turn).collect();
        jobs.sort_unstable_by_key(|seen| seen.turn);
        News {
            turn: state.turn,
            jobs: jobs.into_iter().map(|seen| seen.dot.clone()).collect(),
            races: state.races.iter().filter(|(told, _)| *told > turn).map(|(_, race)| race.clone()).collect(),
            alarms: state.alarms.iter().filter(|(told, _)| *told > turn).map(|(_, alarm)| alarm.clone()).collect(),
            rates: state.rates(roster),
        }
    }
}
