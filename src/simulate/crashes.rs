//! How the server fails: it is killed, also in the middle of a commit; or it stands still, another takes over, and it
//! goes on with what it has until the fence tells it.

use kiez_protocol::time::Time;

use super::house::House;
use super::link::LineNo;
use super::model::{Checked, Heard};
use super::world::{Event, World};

/// A process renews its name on the fence so often, ms; if another's stands there, it learns it then at the latest.
const RENEWS_MS: i64 = 1_000;

impl World {
    /// The process ends: at once, or in the middle of its next commit, where it hurts most.
    pub(crate) fn kill(&mut self) -> Checked {
        if self.closing {
            return Ok(());
        }
        self.plan_now_and_then(self.setting.faults.crashes_per_day, Event::Kill);
        if self.fate.happens(0.5) {
            self.kill_in_commit = true;
            return Ok(());
        }
        self.kill_now()
    }

    pub(crate) fn kill_now(&mut self) -> Checked {
        let Some(mut house) = self.current.take().and_then(|number| self.houses.remove(&number)) else { return Ok(()) };
        self.count.crashes += 1;
        self.note(|| format!("dispatcher {} is killed", house.number));
        for record in house.writer.killed(&mut self.ledger) {
            self.committed(&record)?;
        }
        self.hang_up_on_all(&house);
        let wait = self.fate.between(300.0, 4_000.0) as i64;
        self.plan(wait, Event::Starts);
        Ok(())
    }

    /// A commit is under way that is over at `over`.
    pub(crate) fn maybe_kill_meanwhile(&mut self, over: Time) {
        if std::mem::take(&mut self.kill_in_commit) && !self.closing {
            // Up to a moment after it, when it is written and nobody has heard.
            let wait = ((over.since(self.now) + 3) as f64 * self.fate.unit()) as i64;
            self.plan(wait, Event::KillNow);
        }
    }

    /// The process stands still for a while; where there is a standby, it takes over after ten seconds. Then the old
    /// one goes on with what it has, until the fence tells it.
    pub(crate) fn freeze(&mut self) -> Checked {
        if self.closing {
            return Ok(());
        }
        self.plan_now_and_then(self.setting.faults.takeovers_per_day, Event::Freeze);
        let Some(number) = self.current else { return Ok(()) };
        self.count.freezes += 1;
        self.note(|| format!("dispatcher {number} stands still"));
        self.free_since = self.now;
        let finishes = self.fate.happens(0.5);
        self.with_house(number, |world, house| {
            if finishes {
                // What was under way reaches the ledger before another takes it.
                world.wrote(house)?;
            }
            house.frozen = house.frozen.or(Some(world.now));
            Ok(())
        })?;
        let sleeps = self.fate.span_ms(14_000, 0.7);
        self.plan(sleeps, Event::Wakes(number));
        if self.fate.happens(0.6) {
            let takes_over = self.fate.between(10_000.0, 14_000.0) as i64;
            self.plan(takes_over, Event::TakesOver(number));
        }
        Ok(())
    }

    pub(crate) fn wakes(&mut self, number: u32) -> Checked {
        self.note(|| format!("dispatcher {number} goes on"));
        let replaced = self.current != Some(number);
        self.free_since = self.now;
        self.with_house(number, |world, house| {
            house.replaced |= replaced;
            world.plan(RENEWS_MS, Event::Renews(house.number));
            world.goes_on(house)
        })
    }

    /// The ledger has told a process that another has taken over: it ends.
    pub(crate) fn fenced(&mut self, house: &mut House) {
        if self.current == Some(house.number) {
            self.current = None;
            self.plan(1_000, Event::Starts);
        }
        self.count.fenced += 1;
        self.note(|| format!("dispatcher {} is fenced and ends", house.number));
        self.hang_up_on_all(house);
        house.ended = true;
    }

    /// Takes processes away that have ended.
    pub(crate) fn bury(&mut self) {
        if self.houses.len() > 1 {
            self.houses.retain(|_, house| !house.ended);
        }
    }

    fn hang_up_on_all(&mut self, house: &House) {
        let lines: Vec<LineNo> = house.sessions.values().map(|session| session.line).collect();
        for (friend, session) in &house.sessions {
            if self.model.heard[*friend].session == Some(session.id) {
                self.model.heard[*friend] = Heard::default();
            }
        }
        lines.into_iter().for_each(|line| self.close_from_house(line));
    }
}
