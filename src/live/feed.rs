//! What the ops map shows: jobs, races and alarms as announced, friends as the roster counts them. A viewer gets a
//! snapshot, then what has changed, with new values rather than differences. Nothing here names a friend but an alarm of
//! long waits, and those names are not for viewers; nothing grows beyond the jobs that are open or have just ended.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use h3o::{CellIndex, Resolution};
use kiez_protocol::ids::{FriendId, JobId};
use kiez_protocol::ops::{AlarmView, CellView, JobDot, OpsMessage, RaceView, Rates, View};
use kiez_protocol::partner::JobState;
use kiez_protocol::time::Time;

use super::roster::{Bounds, Roster};
use crate::dispatch::globe::Vector;

/// How long a job stays on the map after it was won or has ended, ms.
pub const LINGER_MS: i64 = 60_000;
/// How many such jobs stay at most: the oldest go sooner when more end within [`LINGER_MS`].
pub const LINGER_LEN_MAX: usize = 4_096;
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
    jobs_open: u32,
    offers_out: u32,
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

impl Seen {
    /// What it adds to the counts of open jobs and of offers that are out.
    fn open(&self) -> (u32, u32) {
        if is_open(self.dot.state) { (1, self.dot.offers.len() as u32) } else { (0, 0) }
    }
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
        let before = state.jobs.remove(&job);
        // A job is remembered from its post until well after it; one that is open, young and unknown is new.
        if before.is_none() && open && at.since(dot.created_at) < LINGER_MS {
            state.posted += 1;
        }
        let lingered_since = before.as_ref().and_then(|seen| seen.lingers_since);
        let lingers_since = (!open).then(|| lingered_since.unwrap_or(at));
        if let (Some(since), None) = (lingers_since, lingered_since) {
            state.lingering.push_back((since, job));
        }
        let seen = Seen { dot: Arc::new(dot), turn, lingers_since };
        let (jobs_before, offers_before) = before.map_or((0, 0), |seen| seen.open());
        let (jobs_now, offers_now) = seen.open();
        state.jobs_open = state.jobs_open - jobs_before + jobs_now;
        state.offers_out = state.offers_out - offers_before + offers_now;
        state.jobs.insert(job, seen);
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
    pub fn alarm(&self, alarm: AlarmView) {
        let mut state = self.lock();
        state.turn += 1;
        let turn = state.turn;
        keep_newest(&mut state.alarms, (turn, alarm));
    }

    /// All there is to see at `at`: friends by cells of `resolution` (4 to 9), open jobs and those just won.
    pub fn view(&self, bounds: &Bounds, resolution: Resolution, roster: &Roster, at: Time) -> View {
        Viewer::new(*bounds, resolution).look(self, roster, at).view
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
            if at.since(since) < LINGER_MS && self.lingering.len() <= LINGER_LEN_MAX {
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
        Rates {
            friends_live: roster.len() as u32,
            jobs_open: self.jobs_open,
            offers_out: self.offers_out,
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
    /// Jobs it was told of that had not ended then, and that the feed still knows.
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
        let Look { view, snapshot, news } = self.look(feed, roster, at);
        if snapshot {
            return Some(OpsMessage::Snapshot(view));
        }
        news.then_some(OpsMessage::Change(view))
    }

    fn look(&mut self, feed: &Feed, roster: &Roster, at: Time) -> Look {
        let (told, busy, news) = {
            let mut state = feed.lock();
            state.forget(at);
            self.jobs.retain(|job| state.jobs.contains_key(job));
            let told = self.turn.filter(|&turn| turn >= state.forgotten);
            (told, state.busy.iter().copied().collect::<Vec<_>>(), News::since(told, &state, roster))
        };
        if told.is_none() {
            self.cells.clear();
            self.jobs.clear();
        }
        self.turn = Some(news.turn);
        let jobs = self.jobs_changed(&news.jobs);
        let cells = self.cells_changed(roster, &busy);
        let view =
            View { at, cells, jobs, races: news.races, rates: news.rates, alarms: news.alarms, ..View::default() };
        let rates_changed = std::mem::replace(&mut self.rates, view.rates) != view.rates;
        let quiet = view.cells.is_empty() && view.jobs.is_empty() && view.races.is_empty() && view.alarms.is_empty();
        Look { view, snapshot: told.is_none(), news: rates_changed || !quiet }
    }

    /// Jobs in view that are open or just won, and whatever became of those it was told of.
    fn jobs_changed(&mut self, news: &[Arc<JobDot>]) -> Vec<JobDot> {
        let mut changed = Vec::new();
        for dot in news {
            let known = self.jobs.remove(&dot.job);
            let shown = is_shown(dot.state);
            if known || (shown && self.shows(dot)) {
                changed.push(JobDot::clone(dot));
                if shown {
                    self.jobs.insert(dot.job);
                }
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
            outline: Vec::new(),
        };
        changed.into_iter().map(view).collect()
    }
}

/// What a viewer saw.
struct Look {
    view: View,
    /// It is everything, not only what has changed.
    snapshot: bool,
    /// There is something new in it.
    news: bool,
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

#[cfg(test)]
mod tests {
    use kiez_protocol::ids::SessionId;
    use kiez_protocol::ops::AlarmKind;
    use kiez_protocol::place::Point;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::dispatch::job::shown_cell;
    use crate::live::fix::Fix;
    use crate::live::reach::Patience;

    const START: Time = Time(1_000_000);

    fn berlin() -> Point {
        Point::new(52.5, 13.4).unwrap()
    }

    fn bounds() -> Bounds {
        Bounds { west: 13.0, south: 52.3, east: 13.8, north: 52.7 }
    }

    fn dot(job: u128, state: JobState, at: Point) -> JobDot {
        let offers = if is_open(state) { vec![String::new(); 4] } else { Vec::new() };
        let cell = shown_cell(at).to_string();
        JobDot { job: JobId(Uuid::from_u128(job)), cell, state, wave: 1, offers, created_at: START }
    }

    fn come(roster: &Roster, number: u128, at: Point) -> FriendId {
        let friend = FriendId(Uuid::from_u128(number));
        let profile = json!({"id": friend, "name": "Ada", "communities": [], "country": "DE"});
        roster.set_duty(friend, true);
        roster.join(friend, SessionId(Uuid::from_u128(number)), 1, Arc::new(serde_json::from_value(profile).unwrap()));
        roster.place(friend, Fix::new(at, Time(0)));
        friend
    }

    fn snapshot(message: Option<OpsMessage>) -> View {
        match message {
            Some(OpsMessage::Snapshot(view)) => view,
            other => panic!("not a snapshot: {other:?}"),
        }
    }

    fn change(message: Option<OpsMessage>) -> View {
        match message {
            Some(OpsMessage::Change(view)) => view,
            other => panic!("not a change: {other:?}"),
        }
    }

    #[test]
    fn a_viewer_gets_a_snapshot_then_changes_then_nothing() {
        let (feed, roster) = (Feed::new(), Roster::new());
        let mut viewer = Viewer::new(bounds(), Resolution::Eight);
        let first = come(&roster, 1, berlin());
        come(&roster, 2, berlin());
        come(&roster, 3, Point::new(47.4, 8.5).unwrap());
        feed.availability(first, false);
        feed.job_seen(dot(1, JobState::Dispatching, berlin()), START);
        feed.job_seen(dot(2, JobState::Dispatching, Point::new(47.4, 8.5).unwrap()), START);
        let view = snapshot(viewer.change(&feed, &roster, START));
        assert_eq!(
            view.cells,
            [CellView { cell: shown_cell(berlin()).to_string(), friends: 2, available: 1, outline: Vec::new() }]
        );
        assert_eq!(view.jobs, [dot(1, JobState::Dispatching, berlin())]);
        assert_eq!((view.rates.jobs_open, view.rates.offers_out, view.rates.jobs_posted), (2, 8, 2));
        assert_eq!(viewer.change(&feed, &roster, START), None);

        feed.availability(first, true);
        feed.job_seen(dot(1, JobState::Cancelled, berlin()), START);
        feed.job_seen(dot(3, JobState::Cancelled, berlin()), START);
        let view = change(viewer.change(&feed, &roster, START));
        assert_eq!((view.cells[0].friends, view.cells[0].available), (2, 2));
        assert_eq!(view.jobs, [dot(1, JobState::Cancelled, berlin())], "it was never told of the third");
        assert_eq!((view.rates.jobs_open, view.rates.offers_out), (1, 4));

        for number in [1, 2] {
            roster.depart(FriendId(Uuid::from_u128(number)), SessionId(Uuid::from_u128(number)), 1);
        }
        roster.fade(100_000, Patience::default());
        roster.sweep();
        let view = change(viewer.change(&feed, &roster, START));
        assert_eq!((view.cells[0].friends, view.cells[0].available), (0, 0), "a cell that has become empty");
        assert_eq!(viewer.change(&feed, &roster, START), None);
        assert!(feed.view(&bounds(), Resolution::Eight, &roster, START).cells.is_empty());
    }

    #[test]
    fn a_won_job_stays_for_a_minute_and_a_late_viewer_starts_anew() {
        let (feed, roster) = (Feed::new(), Roster::new());
        let (mut viewer, mut late) =
            (Viewer::new(bounds(), Resolution::Eight), Viewer::new(bounds(), Resolution::Eight));
        feed.job_seen(dot(1, JobState::Dispatching, berlin()), START);
        snapshot(viewer.change(&feed, &roster, START));
        snapshot(late.change(&feed, &roster, START));
        feed.job_seen(dot(1, JobState::Assigned, berlin()), START + 1_000);
        assert_eq!(change(viewer.change(&feed, &roster, START + 1_000)).jobs.len(), 1);
        assert_eq!(feed.view(&bounds(), Resolution::Eight, &roster, START + 60_000).jobs.len(), 1);
        assert!(feed.view(&bounds(), Resolution::Eight, &roster, START + 61_000).jobs.is_empty());
        assert_eq!(viewer.change(&feed, &roster, START + 61_000), None);
        assert!(viewer.jobs.is_empty() && feed.lock().jobs.is_empty() && feed.lock().lingering.is_empty());
        assert!(snapshot(late.change(&feed, &roster, START + 61_000)).jobs.is_empty());
        // Handed back and won again: its minute begins anew, and it was posted once.
        feed.job_seen(dot(1, JobState::Dispatching, berlin()), START + 70_000);
        feed.job_seen(dot(1, JobState::Assigned, berlin()), START + 71_000);
        feed.job_seen(dot(1, JobState::Dispatching, berlin()), START + 72_000);
        let view = feed.view(&bounds(), Resolution::Eight, &roster, START + 200_000);
        assert_eq!((view.jobs.len(), view.rates.jobs_open, view.rates.jobs_posted), (1, 1, 1));
    }

    #[test]
    fn nothing_grows_without_end() {
        let (feed, roster) = (Feed::new(), Roster::new());
        for number in 0..10_000 {
            let job = JobId(Uuid::from_u128(number));
            feed.job_seen(dot(number, JobState::Dispatching, berlin()), START);
            feed.job_seen(dot(number, JobState::Expired, berlin()), START);
            feed.alarm(AlarmView { kind: AlarmKind::Unfilled, job: Some(job), at: START, waits: None });
            let cell = String::new();
            feed.race_won(RaceView { job, cell, at: START, assigned_in_ms: number as i64, wave: 1 });
        }
        let view = feed.view(&bounds(), Resolution::Eight, &roster, START);
        assert_eq!((view.races.len(), view.alarms.len()), (NEWEST_MAX, NEWEST_MAX));
        assert_eq!(view.races.last().unwrap().assigned_in_ms, 9_999);
        assert_eq!((view.rates.jobs_posted, view.rates.jobs_assigned, view.rates.jobs_open), (10_000, 10_000, 0));
        assert_eq!(feed.lock().jobs.len(), LINGER_LEN_MAX);
    }
}
