//! The story of one job, written only when somebody wants to read it: a run that failed is run again, by the same seed,
//! and this listens.

use std::collections::BTreeSet;

use kiez_protocol::friend::FriendMessage;
use kiez_protocol::ids::{FriendId, JobId, OfferId};
use kiez_protocol::time::Time;

use super::house::{Asker, House};
use super::streets::friend_no;
use super::world::World;
use crate::dispatch::effect::{Answer, Record};
use crate::dispatch::input::Input;

/// Lines kept: the newest.
const LINES_MAX: usize = 400;
/// Characters of a line that tells of something in full.
const WIDTH_MAX: usize = 220;

#[derive(Debug)]
pub(crate) struct Story {
    /// Of one job; without one, of everything that happened last.
    job: Option<JobId>,
    offers: BTreeSet<OfferId>,
    lines: std::collections::VecDeque<String>,
    /// Nothing before this step is written down when it is the story of everything.
    from_step: u64,
}

impl Story {
    /// Of a job.
    pub fn of(job: JobId) -> Story {
        Story { job: Some(job), offers: BTreeSet::new(), lines: std::collections::VecDeque::new(), from_step: 0 }
    }

    /// Of everything that led to a step.
    pub fn until(step: u64) -> Story {
        Story { job: None, from_step: step.saturating_sub(60), ..Story::of(JobId(uuid::Uuid::nil())) }
    }

    pub fn lines(self) -> Vec<String> {
        self.lines.into()
    }

    fn tells(&self, step: u64, job: Option<JobId>) -> bool {
        match self.job {
            Some(watched) => job == Some(watched),
            None => step >= self.from_step,
        }
    }

    fn write(&mut self, now: Time, line: &str) {
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        let line: String = line.chars().take(WIDTH_MAX).collect();
        self.lines.push_back(format!("{now}  {line}"));
    }
}

impl World {
    /// Something that concerns everybody.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        let (now, step) = (self.now, self.steps);
        if let Some(story) = self.story.as_mut().filter(|story| story.job.is_some() || step >= story.from_step) {
            story.write(now, &format!("— {}", line()));
        }
    }

    /// Something that concerns one job.
    pub(crate) fn note_job(&mut self, job: JobId, line: impl FnOnce() -> String) {
        let (now, step) = (self.now, self.steps);
        if let Some(story) = self.story.as_mut().filter(|story| story.tells(step, Some(job))) {
            story.write(now, &line());
        }
    }

    /// An input is about to be handled.
    pub(crate) fn about_to(&mut self, house: &House, input: &Input) {
        let job = match input {
            Input::Edited { job, .. }
            | Input::Answered { job, .. }
            | Input::Confirmed { job, .. }
            | Input::FriendWrote { job, .. }
            | Input::CustomerWrote { job, .. }
            | Input::Paused { job, .. }
            | Input::Resumed { job, .. }
            | Input::Assigned { job, .. }
            | Input::Redispatched { job, .. }
            | Input::Cancelled { job, .. }
            | Input::Visited { job, .. }
            | Input::Settled { job, .. }
            | Input::Reread { job, .. } => Some(*job),
            Input::Accepted { offer, .. }
            | Input::Declined { offer, .. }
            | Input::Undone { offer, .. }
            | Input::Asked { offer, .. }
            | Input::Proposed { offer, .. } => house.book.page_of(*offer).map(|page| page.id),
            Input::Posted { .. }
            | Input::Tried { .. }
            | Input::Delivered { .. }
            | Input::Duty { .. }
            | Input::Joined { .. }
            | Input::Placed { .. }
            | Input::Brake { .. }
            | Input::Woken
            | Input::Tick => None,
        };
        self.last.set((self.steps, job.map(|job| job.0)));
        let (now, step) = (self.now, self.steps);
        let Some(story) = &mut self.story else { return };
        if story.tells(step, job) {
            story.write(now, &format!("handles {}", described(input)));
        } else if let (Input::Delivered { friend, offers }, Some(_)) = (input, story.job) {
            let theirs: Vec<_> = offers.iter().filter(|offer| story.offers.contains(offer)).collect();
            if !theirs.is_empty() {
                story.write(now, &format!("handles: friend {} has {theirs:?}", friend_no(*friend)));
            }
        }
    }

    pub(crate) fn noted_record(&mut self, record: &Record) {
        self.record_line("decides", record);
    }

    pub(crate) fn noted_commit(&mut self, record: &Record) {
        self.record_line("WRITTEN", record);
    }

    fn record_line(&mut self, verb: &str, record: &Record) {
        let (now, step) = (self.now, self.steps);
        let Some(story) = &mut self.story else { return };
        match record {
            Record::Job(record) if story.tells(step, Some(record.job.id)) => {
                story.offers.extend(record.offers.iter().map(|offer| offer.id));
                let events: Vec<String> = record
                    .events
                    .iter()
                    .map(|event| format!("{} {} → {}", event.sequence, event.kind, event.to))
                    .collect();
                let offers: Vec<String> = record
                    .offers
                    .iter()
                    .map(|offer| {
                        format!("{}/{}.{} {:?}", friend_no(offer.friend), offer.wave, offer.wave_seat, offer.state)
                    })
                    .collect();
                let visits: Vec<String> = record
                    .visits
                    .iter()
                    .map(|visit| format!("{} place {} active {}", friend_no(visit.friend), visit.place, visit.active))
                    .collect();
                let job = if story.job.is_some() { String::new() } else { format!(" {}", record.job.id) };
                story
                    .write(now, &format!("{verb}{job}: {} | offers {offers:?} | visits {visits:?}", events.join(", ")));
            }
            Record::Duty(row) if story.job.is_none() && step >= story.from_step => {
                story.write(now, &format!("{verb}: friend {} duty {:?}", friend_no(row.friend), row.duty));
            }
            Record::Job(_) | Record::Duty(_) | Record::Waitlist(_) | Record::Audit(_) => {}
        }
    }

    pub(crate) fn noted_told(&mut self, friend: FriendId, message: &FriendMessage, text: &str) {
        let (now, step) = (self.now, self.steps);
        let Some(story) = &mut self.story else { return };
        let about = match message {
            FriendMessage::Offer(offer) => Some(offer.offer),
            FriendMessage::OfferUpdate(update) => Some(update.offer),
            FriendMessage::OfferClosed { offer, .. } | FriendMessage::AcceptResult { offer, .. } => Some(*offer),
            _ => None,
        };
        let tells = match story.job {
            Some(job) => about.is_some_and(|offer| story.offers.contains(&offer)) || text.contains(&job.0.to_string()),
            None => step >= story.from_step,
        };
        if tells {
            let line = match message {
                FriendMessage::Offer(offer) => {
                    format!("offer {}, wave {} seat {}", offer.offer, offer.wave, offer.seat)
                }
                FriendMessage::Job(card) => format!("card of a job that is {}", card.state),
                FriendMessage::Snapshot(_) => "snapshot".to_owned(),
                _ => text.to_owned(),
            };
            story.write(now, &format!("TELLS friend {}: {line}", friend_no(friend)));
        }
    }

    pub(crate) fn note_answer(&mut self, asker: &Asker, answer: &Answer) {
        let job = match answer {
            Answer::Posted(view) | Answer::Job(view) => Some(view.id),
            Answer::Repeated { job } => Some(*job),
            Answer::Refused { .. } | Answer::WrongState { .. } | Answer::Tried(_) => asker.job,
        };
        let (now, step) = (self.now, self.steps);
        if let Some(story) = self.story.as_mut().filter(|story| story.tells(step, job)) {
            let line = match answer {
                Answer::Posted(view) => format!("posted, {}", view.state),
                Answer::Job(view) => format!("the job is {}", view.state),
                Answer::Repeated { .. } => "posted before".to_owned(),
                Answer::Refused { code, detail } => format!("no: {code:?}, {detail}"),
                Answer::WrongState { state, allowed } => format!("no: it is {state}, which allows {allowed:?}"),
                Answer::Tried(trial) => format!("would find {}", trial.found_m.len()),
            };
            story.write(now, &format!("ANSWERS {}: {line}", asker.partner));
        }
    }
}

fn described(input: &Input) -> String {
    match input {
        Input::Accepted { friend, offer, key, revision, received_at, first } => format!(
            "accept of friend {} for {offer}, revision {revision}, key {key}, taken {received_at}, first {first}",
            friend_no(friend.id)
        ),
        Input::Tried { partner, .. } => format!("trial of {partner}"),
        Input::Posted { partner, key, .. } => format!("post of {partner}, key {:?}", key.as_ref().map(|key| &key.key)),
        Input::Reread { job, stored } => {
            let state = stored.as_ref().map(|stored| stored.row.view.state);
            format!("reread of {job}, stored as {state:?}")
        }
        Input::Edited { .. }
        | Input::Answered { .. }
        | Input::Asked { .. }
        | Input::Proposed { .. }
        | Input::Confirmed { .. }
        | Input::FriendWrote { .. }
        | Input::CustomerWrote { .. }
        | Input::Paused { .. }
        | Input::Resumed { .. }
        | Input::Assigned { .. }
        | Input::Redispatched { .. }
        | Input::Cancelled { .. }
        | Input::Declined { .. }
        | Input::Undone { .. }
        | Input::Delivered { .. }
        | Input::Visited { .. }
        | Input::Duty { .. }
        | Input::Joined { .. }
        | Input::Placed { .. }
        | Input::Brake { .. }
        | Input::Settled { .. }
        | Input::Woken
        | Input::Tick => format!("{input:?}"),
    }
}
