//! Where a community's jobs are, and whether it makes offers at all. A job wanted outside of the area is refused with a clear
//! word and noted on the waitlist. Under the brake nobody new is asked; what is out can be accepted.

use h3o::Resolution;
use kiez_protocol::directory::{Community, Site};
use kiez_protocol::ids::{CommunitySlug, JobId};
use kiez_protocol::partner::JobState;
use kiez_protocol::place::{Area, Cell, Point};
use kiez_protocol::refusal::Code;
use kiez_protocol::time::Time;

use super::Dispatcher;
use super::change::Change;
use super::effect::{Answer, Commit, Effects, Message, Record, Subject, WaitRow};
use super::input::{Request, Terms};
use super::job::{Job, cell_at};
use super::nearest::{LEAF, Nearby};
use super::wave::CONSIDERED_MAX;

/// The cells by which the waitlist counts: about five square kilometres each, so that no door is known by it.
const WAIT_RESOLUTION: Resolution = Resolution::Seven;

/// Whether a job of these terms may be at this place. Remote work has no place that could be outside.
pub(super) fn serves(terms: &Terms, place: Point) -> bool {
    let area = terms.community.area.as_ref().filter(|_| terms.package.site == Site::OnSite);
    area.is_none_or(|area| covers(area, place))
}

/// Whether a place lies in an area.
fn covers(area: &Area, place: Point) -> bool {
    match area {
        Area::Cells { cells } => {
            let leaf = cell_at(place, LEAF);
            let above: [Option<Cell>; LEAF as usize + 1] = std::array::from_fn(|resolution| {
                let resolution = Resolution::try_from(resolution as u8).ok()?;
                leaf.parent(resolution).map(|cell| Cell(cell.into()))
            });
            cells.iter().any(|cell| above.get(resolution(*cell)).is_some_and(|ours| *ours == Some(*cell)))
        }
        // Not cut into cells, so nobody has looked at it: it keeps nobody out.
        Area::Polygon { .. } | Area::MultiPolygon { .. } => true,
    }
}

/// The resolution of a cell: four bits of its index.
fn resolution(cell: Cell) -> usize {
    (cell.0 >> 52 & 0xF) as usize
}

/// What whoever wants a job out there is told.
pub(super) fn outside(community: &Community) -> Answer {
    let detail = format!(
        "`{}` ({}) does not serve this place yet; the wish is noted on its waitlist",
        community.slug, community.brand
    );
    Answer::Refused { code: Code::OutsideArea, detail }
}

impl Dispatcher {
    /// Refuses a job outside of its community's area, once it is noted on the waitlist.
    pub(super) fn turn_away(
        &mut self,
        request: Request,
        community: &Community,
        place: Point,
        now: Time,
        effects: &mut Effects,
    ) {
        let cell = Cell(cell_at(place, WAIT_RESOLUTION).into());
        let record = Some(Record::Waitlist(WaitRow { community: community.slug.clone(), cell, at: now }));
        let then = vec![Message::Answer { request, answer: outside(community) }];
        effects.commits.push(Commit { subject: Subject::Waitlist, record, then });
    }

    /// Whether the job's community makes no new offers.
    pub(super) fn is_braked(&self, job: &Job) -> bool {
        self.braked.contains(&job.terms.community.slug)
    }

    /// The brake goes on or off. When it goes off, the hungry jobs of the community ask at once; beyond a number of them the
    /// others do so at their next look.
    pub(super) fn brake(
        &mut self,
        community: CommunitySlug,
        on: bool,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) {
        if on {
            self.braked.insert(community);
            return;
        }
        if !self.braked.remove(&community) {
            return;
        }
        let theirs = |id: &&JobId| self.jobs.get(*id).is_some_and(|job| job.terms.community.slug == community);
        let waiting: Vec<JobId> = self.hungry.iter().filter(theirs).take(CONSIDERED_MAX).copied().collect();
        for id in waiting {
            self.ask_on(id, now, nearby, effects);
        }
    }

    /// A hungry job asks whoever is suitable by now.
    pub(super) fn ask_on(&mut self, id: JobId, now: Time, nearby: &dyn Nearby, effects: &mut Effects) {
        let Some(mut job) = self.take(id) else { return };
        let mut change = Change::new(now);
        if job.state == JobState::Unfilled {
            self.look_again(&mut job, &mut change, nearby);
        } else if job.run.wave == 0 {
            self.open_wave(&mut job, &mut change, nearby);
        } else {
            self.refill(&mut job, &mut change, nearby);
        }
        self.commit(&job, change, effects);
        self.put(job, now);
    }
}
