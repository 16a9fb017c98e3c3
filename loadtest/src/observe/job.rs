//! What is known from outside of one job: what was booked, who was asked when, who accepted and what they were told.

use kiez_protocol::friend::{LostReason, Verdict, Why};
use kiez_protocol::ids::{CommunitySlug, FriendId, Key, OfferId, PartnerSlug};
use kiez_protocol::partner::{JobView, PostJob};
use kiez_protocol::time::Time;

use super::span::Moment;

/// A job's trace. Offers may be heard before the answer to the post, so everything is optional at first.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobTrace {
    /// What was posted, once the answer has told the id.
    pub posted: Option<Posted>,
    /// Everybody known to have been asked, in the order in which it was heard.
    pub asked: Vec<Asked>,
    /// All accepts.
    pub accepts: Vec<Accept>,
    /// Who declined, and when that was sent.
    pub declined: Vec<(Moment, FriendId)>,
    /// Who handed back, when that was sent, and from which attempt.
    pub handed_back: Vec<(Moment, FriendId, u16)>,
    /// When a cancel was first sent.
    pub cancelled_at: Option<Moment>,
    /// Who was told `won`, and in which attempt.
    pub winners: Vec<(u16, FriendId, Moment)>,
    /// Offers that a friend held and a later snapshot did not name.
    pub vanished: Vec<Vanished>,
    /// Choices that have been judged: attempt, wave, when their offers end.
    pub judged: Vec<(u16, u8, Time)>,
    /// Whether its first choice has been looked at.
    pub first_judged: bool,
    /// When the work was done.
    pub completed_at: Option<Moment>,
    /// Whether the distance of the winner has been counted.
    pub win_measured: bool,
}

/// A job as it was posted.
#[derive(Clone, Debug)]
pub(crate) struct Posted {
    /// By whom.
    pub partner: PartnerSlug,
    /// What.
    pub job: PostJob,
    /// The community, as the answer says.
    pub community: CommunitySlug,
    /// When the post was intended.
    pub intended_at: Moment,
    /// When the post was sent first.
    pub sent_at: Moment,
    /// When the answer came.
    pub answered_at: Moment,
    /// The answer.
    pub view: JobView,
}

/// A friend who was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Who.
    pub friend: FriendId,
    /// By which offer.
    pub offer: OfferId,
    /// The run.
    pub attempt: u16,
    /// The wave, from 1.
    pub wave: u8,
    /// The seat in the wave, from 0.
    pub seat: u8,
    /// When the offer ends, the trade's time, as first told: all offers of one choice end together.
    pub expires_at: Time,
    /// The distance as the server has it, metres.
    pub distance_m: u32,
    /// Why them.
    pub why: Why,
    /// When it was heard.
    pub heard_at: Moment,
    /// It came with a snapshot: it may have been made any time since this moment.
    pub since: Option<Moment>,
}

/// An accept and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Accept {
    /// By whom.
    pub friend: FriendId,
    /// Which offer.
    pub offer: OfferId,
    /// The run.
    pub attempt: u16,
    /// Its key.
    pub key: Key,
    /// When it was sent first.
    pub sent_at: Moment,
    /// How often it was sent.
    pub sent: u32,
    /// Verdicts but `try_again`.
    pub verdicts: Vec<(Verdict, Option<LostReason>)>,
    /// How often the server could not decide.
    pub tried_again: u32,
    /// Told `won`, and sent again after a break: the answer is not there yet.
    pub asking_again: bool,
    /// Sent again after a break without an answer.
    pub after_break: bool,
}

/// An offer that was gone after a break.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vanished {
    /// Who held it.
    pub friend: FriendId,
    /// The run.
    pub attempt: u16,
    /// When the snapshot without it was heard.
    pub at: Moment,
    /// Whether its own end had come by then, by the server's clock.
    pub expired: bool,
}

/// One choice: the offers of a job that were made at one instant.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// The run.
    pub attempt: u16,
    /// The wave, from 1.
    pub wave: u8,
    /// Who was chosen.
    pub members: Vec<Asked>,
    /// Who had been asked in this run before.
    pub before: Vec<FriendId>,
    /// Whether it opened its wave; else it refilled seats.
    pub opened: bool,
    /// Whether it was made with the post itself.
    pub with_post: bool,
    /// The earliest moment at which it may have been made.
    pub from: Moment,
    /// The latest.
    pub to: Moment,
}

impl JobTrace {
    /// The choices heard of so far, oldest first. Offers of one choice end at the same instant; where that is not enough
    /// to tell two choices apart, a seat that comes twice or a pause of `in_flight_us` does.
    pub fn choices(&self, in_flight_us: Moment) -> Vec<Choice> {
        let mut groups: Vec<Vec<Asked>> = Vec::new();
        for asked in &self.asked {
            let fits = |group: &&mut Vec<Asked>| {
                let first = &group[0];
                (first.attempt, first.wave, first.expires_at) == (asked.attempt, asked.wave, asked.expires_at)
                    && group.iter().all(|other| other.seat != asked.seat && other.friend != asked.friend)
                    && (asked.since.is_some() || asked.heard_at < first.heard_at + in_flight_us)
            };
            match groups.iter_mut().rev().find(fits) {
                Some(group) => group.push(*asked),
                None => groups.push(vec![*asked]),
            }
        }
        // In the order in which they were made: within a wave a later choice ends later. Two that were told in one go arrive
        // on their sockets in any order.
        groups.sort_by_key(|group| (group[0].attempt, group[0].wave, group[0].expires_at, heard_first(group)));
        let posted_at = self.posted.as_ref().map_or(0, |posted| posted.sent_at);
        let answered_at = self.posted.as_ref().map_or(Moment::MAX, |posted| posted.answered_at);
        let mut choices: Vec<Choice> = Vec::new();
        for members in groups {
            let (attempt, wave) = (members[0].attempt, members[0].wave);
            let earlier = choices.iter().filter(|choice| choice.attempt == attempt);
            let before = earlier.flat_map(|choice| choice.members.iter().map(|asked| asked.friend)).collect();
            let opened = !choices.iter().any(|choice| (choice.attempt, choice.wave) == (attempt, wave));
            let mut to = heard_first(&members);
            // Only what came with a snapshot may have been decided long before it was heard.
            let mut from = match members.iter().filter_map(|asked| asked.since).min() {
                Some(since) if members.iter().all(|asked| asked.since.is_some()) => since.saturating_sub(in_flight_us),
                _ => to.saturating_sub(in_flight_us),
            };
            let mut with_post = false;
            if attempt == 1 && wave == 1 && opened {
                // The first choice is made between the post and its answer; its offers are told with the answer.
                let by_snapshot = members.iter().filter_map(|asked| asked.since).min();
                let told_with_answer =
                    members.iter().any(|asked| asked.since.is_none()) && to <= answered_at.saturating_add(in_flight_us);
                if told_with_answer {
                    (from, to, with_post) = (posted_at, to.min(answered_at), true);
                } else if by_snapshot.is_some_and(|since| since <= answered_at.saturating_add(in_flight_us)) {
                    (from, with_post) = (posted_at, true);
                }
            }
            let from = from.max(posted_at).min(to);
            choices.push(Choice { attempt, wave, members, before, opened, with_post, from, to });
        }
        choices
    }

    /// The accept with this key.
    pub fn accept(&mut self, key: Key) -> Option<&mut Accept> {
        self.accepts.iter_mut().find(|accept| accept.key == key)
    }
}

fn heard_first(members: &[Asked]) -> Moment {
    members.iter().map(|asked| asked.heard_at).min().expect("a group has a member")
}
