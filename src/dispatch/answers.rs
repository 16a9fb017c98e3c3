//! What the customer still owes: the answers to a package's required questions. Nothing is dispatched while one is
//! missing; the customer is reminded twice, and then the job expires. Answers may also come later, and then friends who
//! were shown others must look again.

use kiez_protocol::directory::AnswerKind;
use kiez_protocol::ids::JobId;
use kiez_protocol::partner::{Answer as Given, Answers, EditJob, JobState};
use kiez_protocol::refusal::Code;
use kiez_protocol::talk::Reply;
use kiez_protocol::time::Time;

use super::change::Change;
use super::claim::Closed;
use super::edges::Deed;
use super::editing::{edited, is_material};
use super::effect::{Actor, Answer, Effects, Message};
use super::hand::after_all;
use super::input::Request;
use super::job::{Aside, Job, Pause};
use super::nearest::Nearby;
use super::quiet::WaveClock;
use super::silence::takes_accepts;
use super::{Dispatcher, card};

const HOUR_MS: i64 = 3_600_000;
/// After the post the customer is reminded of missing answers, ms (rules of the trade, §3).
const REMINDED_MS: [i64; 2] = [HOUR_MS, 24 * HOUR_MS];
/// A job without its answers expires after this many ms.
const NEEDS_INFO_MS: i64 = 72 * HOUR_MS;

impl Dispatcher {
    #[expect(clippy::too_many_arguments, reason = "the fields of one input, taken apart once")]
    pub(super) fn answered(
        &mut self,
        request: Request,
        by: Actor,
        id: JobId,
        answers: Answers,
        replies: Vec<Reply>,
        received_at: Time,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) {
        let Some(mut job) = self.theirs(request, &by, id, effects) else { return };
        self.answer(&mut job, request, by, answers, replies, received_at, now, nearby, effects);
        self.put(job, now);
    }

    /// Takes answers, or sets them aside when they are material and the word is taken.
    #[expect(clippy::too_many_arguments, reason = "the fields of one input, taken apart once")]
    pub(super) fn answer(
        &mut self,
        job: &mut Job,
        request: Request,
        by: Actor,
        answers: Answers,
        replies: Vec<Reply>,
        received_at: Time,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) {
        if !by.role().is_some_and(|role| Deed::Answer.may(job.state, role)) {
            return self.refuse_state(job, request, &by, effects);
        }
        let unasked =
            || replies.iter().find(|reply| job.talk.questions.iter().all(|asked| asked.number != reply.question));
        let no_question = || unasked().map(|reply| (Code::Invalid, format!("there is no question {}", reply.question)));
        let unfit = unfit(job, &answers).map(|detail| (Code::Invalid, detail));
        if let Some((code, detail)) = unfit.or_else(no_question) {
            let answer = Answer::Refused { code, detail };
            effects.commits.push(after_all(job.id, vec![Message::Answer { request, answer }]));
            return;
        }
        let given = !answers.is_empty() || !replies.is_empty();
        let booking = edited(&job.booking, &EditJob { answers: Some(answers.clone()), ..EditJob::default() });
        if takes_accepts(job) && is_material(job, &booking) && job.claim.close(Closed::Edited).is_err() {
            job.aside.push(Aside::Answer { request, by, answers, replies, received_at });
            return;
        }
        let mut change = Change::new(now);
        if booking != *job.booking {
            self.rebook(job, &mut change, booking, by.clone(), "answered", nearby);
        }
        if self.reply(job, &mut change, &replies) {
            change.event(job, job.state, "replied", by.clone(), None);
        }
        // The customer was asked to say more, and has.
        if given && job.pause == Some(Pause::Vague) {
            self.go_on(job, &mut change, by, None, nearby);
        }
        change.then.push(Message::Answer { request, answer: Answer::Job(Box::new(card::view(job))) });
        self.commit(job, change, effects);
    }
}

/// What is wrong with these answers, if anything is. A required answer can be replaced and not taken away.
fn unfit(job: &Job, answers: &Answers) -> Option<String> {
    answers.iter().find_map(|(name, answer)| {
        let Some(question) = job.terms.package.questions.iter().find(|question| question.name == *name) else {
            return Some(format!("answers.{name}: the package asks no such question"));
        };
        if question.required && is_blank(answer) {
            return Some(format!("answers.{name}: an answer is required"));
        }
        fits(answer, &question.answer).err().map(|detail| format!("answers.{name}: {detail}"))
    })
}

/// A blank text answers nothing.
pub(super) fn is_blank(answer: &Given) -> bool {
    match answer {
        Given::Text(text) => text.trim().is_empty(),
        Given::YesNo(_) | Given::Number(_) => false,
    }
}

/// Whether an answer is of the kind its question takes.
///
/// # Errors
/// What the question takes, in words.
pub fn fits(answer: &Given, kind: &AnswerKind) -> Result<(), String> {
    match (kind, answer) {
        (AnswerKind::Text {}, Given::Text(text)) if text.chars().count() <= 500 && !text.contains('\0') => Ok(()),
        (AnswerKind::Number { min, max }, Given::Number(number)) if (min..=max).contains(&number) => Ok(()),
        (AnswerKind::YesNo {}, Given::YesNo(_)) => Ok(()),
        (AnswerKind::Choice { options }, Given::Text(choice)) if options.contains(choice) => Ok(()),
        (AnswerKind::Text {}, _) => Err("takes a text of at most 500 characters".to_owned()),
        (AnswerKind::Number { min, max }, _) => Err(format!("takes a whole number from {min} to {max}")),
        (AnswerKind::YesNo {}, _) => Err("takes true or false".to_owned()),
        (AnswerKind::Choice { options }, _) => Err(format!("takes one of {}", options.join(", "))),
    }
}

/// When the customer is reminded next of what is missing, or the job expires.
pub(super) fn next_reminder(job: &Job, now: Time) -> Time {
    let due = REMINDED_MS.into_iter().map(|ms| job.created_at + ms).find(|due| *due > now);
    let end = job.created_at + NEEDS_INFO_MS;
    // Nobody is reminded at night.
    due.map_or(end, |due| WaveClock::of(job).stands_until(due).unwrap_or(due).min(end))
}

/// Answers are missing, and time has passed: the customer is reminded, or it is too late.
pub(super) fn remind(job: &mut Job, change: &mut Change) {
    if job.created_at + NEEDS_INFO_MS <= change.now {
        job.reason = Some("the required answers did not come".to_owned());
        change.event(job, JobState::Expired, "expired", Actor::System, None);
    } else {
        job.state_due = Some(next_reminder(job, change.now));
        change.event(job, JobState::NeedsInfo, "reminder", Actor::System, Some("missing_answers".to_owned()));
    }
}
