//! What is held in memory of what is due: a lane for each endpoint, with a few rows and the requests that are under way. A lane
//! knows nothing of the others, so that an endpoint that hangs delays only what goes to it; it has a few places, and a single
//! one while its last try failed. All of it is bounded, and may be lost: the ledger has the rows.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use kiez_protocol::ids::EndpointId;

use crate::ledger::outbox::{DueRow, Target};

/// Rows that a lane takes at one look.
pub const LOOK_LEN: usize = 16;

/// All lanes.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: BTreeMap<EndpointId, Lane>,
    /// Who was served last: the next turn begins behind it.
    last: Option<EndpointId>,
}

#[derive(Debug)]
struct Lane {
    target: Arc<Target>,
    queue: VecDeque<DueRow>,
    /// Rows under way, and those whose outcome is not written yet: the ledger still shows them as due.
    under_way: HashSet<i64>,
    /// Not before this, ms since the start: the endpoint has asked for it.
    not_before: i64,
    failing: bool,
    /// The last look filled it: there may be more.
    more: bool,
}

/// A row to be sent.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Where to.
    pub target: Arc<Target>,
    /// What.
    pub row: DueRow,
}

impl Lanes {
    /// Rows in memory.
    pub fn len(&self) -> usize {
        self.lanes.values().map(|lane| lane.queue.len() + lane.under_way.len()).sum()
    }

    /// Whether a look for this endpoint may bring something that can be sent.
    pub fn wants(&self, endpoint: EndpointId) -> bool {
        self.lanes.get(&endpoint).is_none_or(|lane| lane.queue.is_empty())
    }

    /// How many rows a look must ask for, so that there are new ones among them.
    pub fn look_len(&self, endpoint: EndpointId) -> usize {
        LOOK_LEN + self.lanes.get(&endpoint).map_or(0, |lane| lane.under_way.len())
    }

    /// Takes in what a look has found. Rows that are known are not taken twice.
    pub fn take_in(&mut self, target: Target, rows: Vec<DueRow>) {
        let id = target.id;
        let target = Arc::new(target);
        let lane = self.lanes.entry(id).or_insert_with(|| Lane {
            target: target.clone(),
            queue: VecDeque::new(),
            under_way: HashSet::new(),
            not_before: 0,
            failing: false,
            more: false,
        });
        lane.target = target;
        lane.queue.clear();
        lane.queue.extend(rows.into_iter().filter(|row| !lane.under_way.contains(&row.number)).take(LOOK_LEN));
        lane.more = lane.queue.len() == LOOK_LEN;
    }

    /// What was read of endpoints is stale: only what is under way is kept.
    pub fn forget_queues(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.queue.clear();
        }
    }

    /// The next row that may be sent, lane after lane in turn; each has so many places.
    pub fn next(&mut self, now_ms: i64, places: usize) -> Option<Ready> {
        let after = self.last.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let able = |lane: &Lane| {
            let places = if lane.failing { 1 } else { places };
            !lane.queue.is_empty() && lane.under_way.len() < places && lane.not_before <= now_ms
        };
        let behind = self.lanes.range((after, std::ops::Bound::Unbounded)).find(|(_, lane)| able(lane));
        let (id, _) = behind.or_else(|| self.lanes.iter().find(|(_, lane)| able(lane)))?;
        let id = *id;
        self.last = Some(id);
        let lane = self.lanes.get_mut(&id)?;
        let row = lane.queue.pop_front()?;
        lane.under_way.insert(row.number);
        Some(Ready { target: lane.target.clone(), row })
    }

    /// A try has ended; its outcome is not written yet. Until `not_before` nothing more is sent there.
    pub fn ended(&mut self, endpoint: EndpointId, failed: bool, not_before: Option<i64>) {
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            lane.failing = failed;
            lane.not_before = lane.not_before.max(not_before.unwrap_or(0));
        }
    }

    /// The outcome is written: the ledger does not show the row as due any more. The lane, if it may have more.
    pub fn written(&mut self, endpoint: EndpointId, row: i64) -> Option<EndpointId> {
        let lane = self.lanes.get_mut(&endpoint)?;
        lane.under_way.remove(&row);
        (lane.queue.is_empty() && lane.more).then_some(endpoint)
    }

    /// Forgets lanes of which nothing is known.
    pub fn tidy(&mut self, now_ms: i64) {
        self.lanes.retain(|_, lane| {
            !lane.queue.is_empty() || !lane.under_way.is_empty() || lane.not_before > now_ms || lane.failing
        });
        // Of those that only fail, as many are remembered as there are places for; the rest begins anew.
        if self.lanes.len() > 4_096 {
            self.lanes.retain(|_, lane| !lane.queue.is_empty() || !lane.under_way.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use kiez_protocol::ids::JobId;
    use uuid::Uuid;

    use super::*;

    fn target(id: u128) -> Target {
        Target { id: EndpointId(Uuid::from_u128(id)), url: String::new(), secrets: Vec::new() }
    }

    fn rows(numbers: std::ops::Range<i64>) -> Vec<DueRow> {
        let row = |number| DueRow {
            number,
            message: String::new(),
            job: JobId(Uuid::nil()),
            body: String::new(),
            attempts: 0,
        };
        numbers.map(row).collect()
    }

    #[test]
    fn lanes_take_turns_and_have_places() {
        let mut lanes = Lanes::default();
        lanes.take_in(target(1), rows(0..16));
        lanes.take_in(target(2), rows(100..101));
        let order: Vec<i64> = std::iter::from_fn(|| lanes.next(0, 3)).map(|ready| ready.row.number).collect();
        assert_eq!(order, [0, 100, 1, 2], "in turn, three places each");
        assert_eq!(lanes.len(), 17);
    }

    #[test]
    fn who_fails_has_one_place_and_who_asks_for_a_pause_has_it() {
        let (mut lanes, one) = (Lanes::default(), target(1).id);
        lanes.take_in(target(1), rows(0..16));
        assert_eq!(lanes.next(0, 4).map(|ready| ready.row.number), Some(0));
        lanes.ended(one, true, Some(1_000));
        assert_eq!(lanes.written(one, 0), None, "it has more in hand");
        assert!(lanes.next(999, 4).is_none());
        assert!(lanes.next(1_000, 4).is_some() && lanes.next(1_000, 4).is_none(), "one at a time");
        lanes.ended(one, false, None);
        assert!(lanes.next(1_000, 4).is_some(), "it answers again");
    }

    #[test]
    fn what_is_under_way_is_not_taken_twice() {
        let (mut lanes, one) = (Lanes::default(), target(1).id);
        lanes.take_in(target(1), rows(0..2));
        assert!(lanes.next(0, 4).is_some());
        lanes.take_in(target(1), rows(0..2));
        assert_eq!(lanes.next(0, 4).map(|ready| ready.row.number), Some(1));
        assert!(lanes.next(0, 4).is_none() && lanes.wants(one));
        assert_eq!(lanes.look_len(one), LOOK_LEN + 2);
        lanes.written(one, 0);
        lanes.written(one, 1);
        lanes.tidy(0);
        assert_eq!((lanes.len(), lanes.lanes.len()), (0, 0));
    }

    #[test]
    fn a_full_look_is_followed_by_another() {
        let (mut lanes, one) = (Lanes::default(), target(1).id);
        lanes.take_in(target(1), rows(0..40));
        let mut sent = 0;
        while let Some(ready) = lanes.next(0, 4) {
            lanes.ended(one, false, None);
            sent += 1;
            let more = lanes.written(one, ready.row.number);
            assert_eq!(more.is_some(), sent == LOOK_LEN, "{sent}");
        }
        assert_eq!(sent, LOOK_LEN, "no more than a look at once, however much waits");
    }
}
