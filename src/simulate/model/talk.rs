//! What is said of a job, held against the rules: how often somebody asks and how much longer that gives them, how long a
//! proposal stands, whom a reply must reach, who may write to whom, and that before the win nothing of it tells how to
//! reach anybody.

use std::collections::{BTreeMap, BTreeSet};

use kiez_protocol::ids::{FriendId, JobId, OfferId};
use kiez_protocol::partner::Window;
use kiez_protocol::talk::Voice;
use kiez_protocol::time::Time;

use super::job::Page;
use super::told::names_somebody;
use super::{Checked, Rule, Tally, hold};
use crate::dispatch::effect::{Actor, JobRecord};
use crate::dispatch::job::{Job, Visit};
use crate::dispatch::talk::{Proposal, Question, Said};

/// Windows of a proposal, at most.
const WINDOWS_MAX: usize = 3;

/// What was said of one job.
#[derive(Clone, Debug, Default)]
pub(crate) struct Talked {
    questions: u16,
    messages: u16,
    /// How often each friend has asked.
    asked: BTreeMap<FriendId, usize>,
    /// Offers that last longer because their friend has asked.
    extended: BTreeSet<OfferId>,
    replies: BTreeMap<u16, String>,
    proposals: BTreeMap<OfferId, Proposal>,
    /// The offer that lasts longer by the record under way, and until when.
    pub longer: Option<(OfferId, Time)>,
}

/// A reply that somebody must hear.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Owed {
    pub friend: FriendId,
    pub job: JobId,
    pub number: u16,
}

impl Page {
    /// Takes in what a record says. The numbers of the questions that are answered by it.
    pub fn hear(&mut self, record: &JobRecord, tally: &mut Tally) -> Result<Vec<u16>, super::Broken> {
        let now = record.job.updated_at;
        let mut answered = Vec::new();
        self.talked.longer = None;
        if record.talk.is_empty() {
            return Ok(answered);
        }
        tally.looked(Rule::Talk);
        for question in &record.talk.questions {
            self.question(question, record)?;
            let Some((text, _)) = &question.reply else { continue };
            self.is_public(text)?;
            if self.talked.replies.insert(question.number, text.clone()).as_ref() != Some(text) {
                answered.push(question.number);
            }
        }
        for proposal in &record.talk.proposals {
            self.proposal(proposal, record, now)?;
        }
        for said in &record.talk.messages {
            self.message(said)?;
        }
        if let Some((offer, until)) = self.talked.longer {
            let ends = self.offer(offer).map(|asked| asked.offer.expires_at);
            let written = record.offers.iter().any(|new| new.id == offer);
            hold(written || ends >= Some(until), Rule::Span, self.id, || {
                format!("offer {offer} should last until {until} and ends {ends:?}")
            })?;
        }
        Ok(answered)
    }

    fn question(&mut self, question: &Question, record: &JobRecord) -> Checked {
        if question.number <= self.talked.questions {
            return hold(question.reply.is_some(), Rule::Talk, self.id, || {
                format!("question {} is asked twice", question.number)
            });
        }
        let next = question.number == self.talked.questions + 1;
        hold(next, Rule::Talk, self.id, || format!("question {} is out of turn", question.number))?;
        self.talked.questions = question.number;
        self.is_public(&question.text)?;
        let Some(asker) = question.asker else {
            let held = record.events.iter().any(|event| event.kind == "paused" && event.actor == Actor::System);
            return hold(held, Rule::Talk, self.id, || "nobody asks, and it is not held".to_owned());
        };
        let ends = self.holds(asker.friend, asker.offer, "asked", record)?;
        let times = self.talked.asked.entry(asker.friend).or_default();
        *times += 1;
        let (times, most) = (*times, usize::from(self.terms.community.policy.questions_max));
        hold(times <= most && usize::from(asker.nth) == times, Rule::Talk, self.id, || {
            format!("{} asks for the {times}th time, as number {}, of {most}", asker.friend, asker.nth)
        })?;
        if self.talked.extended.insert(asker.offer) {
            let longer = self.night().after(ends, self.terms.community.policy.ask_extends_ms);
            self.talked.longer = Some((asker.offer, ends.max(longer.min(self.expires_at))));
        }
        Ok(())
    }

    fn proposal(&mut self, proposal: &Proposal, record: &JobRecord, now: Time) -> Checked {
        let ends = self.holds(proposal.friend, proposal.offer, "proposed", record)?;
        let until = (now + self.terms.community.policy.proposal_ms).min(self.expires_at);
        let windows = (1..=WINDOWS_MAX).contains(&proposal.windows.len());
        let right = proposal.until == until && proposal.revision == self.revision && windows;
        hold(right, Rule::Talk, self.id, || format!("{proposal:?} is not of this job, or does not end at {until}"))?;
        let before = self.talked.proposals.insert(proposal.offer, proposal.clone());
        let again = before.is_some_and(|before| before.revision == proposal.revision);
        hold(!again, Rule::Talk, self.id, || format!("{} proposes twice", proposal.friend))?;
        self.talked.longer = Some((proposal.offer, ends.max(until)));
        Ok(())
    }

    fn message(&mut self, said: &Said) -> Checked {
        let (next, most) = (self.talked.messages + 1, self.terms.community.policy.messages_max);
        hold(said.number == next && next <= most, Rule::Talk, self.id, || {
            format!("message {} of at most {most} follows {}", said.number, self.talked.messages)
        })?;
        self.talked.messages = next;
        let named = || self.live().any(|asked| asked.offer.is_direct() && asked.offer.friend == said.friend);
        let theirs = match self.holder() {
            Some(visit) => visit.friend == said.friend,
            None => self.is_open() && named(),
        };
        hold(theirs, Rule::Talk, self.id, || match said.from {
            Voice::Friend => format!("{} writes, and neither holds it nor was named", said.friend),
            Voice::Customer => format!("the customer writes to {}, who neither holds it nor was named", said.friend),
        })?;
        match self.holder() {
            Some(_) => Ok(()),
            None => self.is_public(&said.text),
        }
    }

    /// Who speaks of an offer holds it, and the event is theirs. When the offer ends.
    fn holds(&self, friend: FriendId, offer: OfferId, kind: &str, record: &JobRecord) -> Result<Time, super::Broken> {
        let theirs = self.offer(offer).filter(|asked| asked.is_live() && asked.offer.friend == friend);
        let said = record.events.iter().any(|event| event.kind == kind && event.actor == Actor::Friend(friend));
        hold(theirs.is_some() && said && self.is_open(), Rule::Talk, self.id, || {
            format!("{friend} has {kind} of {offer}, and does not hold it")
        })?;
        Ok(theirs.expect("just seen").offer.expires_at)
    }

    fn is_public(&self, text: &str) -> Checked {
        hold(!names_somebody(text), Rule::Private, self.id, || format!("friends may read: {text}"))
    }

    /// A customer has agreed to a proposal: one that stands, in its time, of the job as it is, for one of its windows.
    /// `heard` are the times at which the server had their yes, where that is known.
    pub fn confirms(&self, visit: &Visit, now: Time, heard: Option<&[Time]>) -> Checked {
        let made = self.talked.proposals.get(&visit.offer);
        let right = made.is_some_and(|made| {
            let window = |window: &Window| made.windows.contains(window) && window.to > now;
            let in_time = heard.is_none_or(|heard| heard.iter().any(|at| *at <= made.until));
            let same = (made.friend, made.revision, made.key) == (visit.friend, self.revision, visit.key);
            in_time && same && visit.appointment.as_ref().is_some_and(window)
        });
        hold(right, Rule::Talk, self.id, || format!("{visit:?} is agreed to at {heard:?}, and proposed was {made:?}"))
    }

    /// How what is said of a restored job differs from what was committed, if it does.
    pub fn forgot(&self, job: &Job) -> Option<String> {
        let counts = |questions: usize, messages: usize| (questions, messages);
        let there = counts(job.talk.questions.len(), job.talk.messages.len());
        let then = counts(usize::from(self.talked.questions), usize::from(self.talked.messages));
        let proposals = job.talk.proposals.iter().all(|made| self.talked.proposals.get(&made.offer) == Some(made));
        let same = there == then && proposals && job.talk.proposals.len() == self.talked.proposals.len();
        (!same).then(|| format!("came back with the words {:?}, they were {:?}", job.talk, self.talked))
    }
}
