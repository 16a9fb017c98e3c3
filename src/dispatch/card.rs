//! A job as others see it: the friend who is offered it, the friend who has won it, its partner, the map. Each sees what
//! is theirs to see: no street, name or phone leaves this page but on the winner's card.

use std::collections::BTreeMap;

use kiez_protocol::directory::{Language, Package};
use kiez_protocol::friend::{self, CommunityName, JobCard, VisitEvent, Why};
use kiez_protocol::ids::{FriendId, Word};
use kiez_protocol::ops::JobDot;
use kiez_protocol::partner::{Answer, Answers, JobState, JobView};

use super::answers::is_blank;
use super::contact::for_strangers;
use super::job::{Job, Offer, OfferState, Visit, shown_cell};
use super::pay;
use super::talk::{Proposal, Question};

/// The frames a friend may send about an offer.
const ALLOWED: [&str; 4] = ["accept", "decline", "ask", "propose"];

/// The job as it is offered.
pub fn offer(job: &Job, offer: &Offer, language: Language) -> friend::Offer {
    let (package, booking) = (&*job.terms.package, &*job.booking);
    friend::Offer {
        offer: offer.id,
        job: job.id,
        revision: job.revision,
        attempt: offer.attempt,
        wave: offer.wave,
        seat: offer.wave_seat,
        direct: offer.is_direct(),
        expires_at: offer.expires_at,
        community: community(job),
        package: package.slug.clone(),
        title: package.title.get(language).to_owned(),
        duration_min: package.duration_min,
        answers: shown_answers(job),
        windows: booking.windows.clone(),
        language: booking.customer.language,
        cell: shown_cell(booking.place).to_string(),
        district: format!("{} {}", booking.address.postcode, booking.address.city),
        distance_m: offer.distance_m,
        gross: offer.pay.gross,
        commission: offer.pay.commission,
        net: offer.pay.net,
        payment_method: booking.payment_method,
        why: Why {
            reason: offer.why,
            rank: offer.rank,
            distance_m: offer.distance_m,
            deficit_days: offer.deficit_days,
        },
        questions: job.talk.questions.iter().filter(|asked| asked.reply.is_some()).map(Question::view).collect(),
        proposal: job.open_proposals().find(|made| made.offer == offer.id).map(Proposal::view),
        allowed: ALLOWED.map(str::to_owned).to_vec(),
    }
}

/// The full card for the winner. Contact data is on it only while the friend holds the job, or has done it.
pub fn job(job: &Job, visit: &Visit, language: Language) -> JobCard {
    let (package, booking) = (&*job.terms.package, &*job.booking);
    let theirs = visit.active || job.state == JobState::Done;
    JobCard {
        job: job.id,
        state: job.state,
        revision: job.revision,
        attempt: visit.attempt,
        community: community(job),
        package: package.slug.clone(),
        title: package.title.get(language).to_owned(),
        duration_min: package.duration_min,
        answers: if theirs { booking.answers.clone() } else { BTreeMap::new() },
        windows: booking.windows.clone(),
        location: theirs.then_some(booking.place),
        address: theirs.then(|| booking.address.clone()),
        customer: theirs.then(|| booking.customer.clone()),
        gross: visit.pay.gross,
        commission: visit.pay.commission,
        net: visit.pay.net,
        payment_method: booking.payment_method,
        assigned_at: visit.assigned_at,
        contact_due: visit.contact_due,
        appointment: visit.appointment,
        allowed: if visit.active { allowed(job.state).to_vec() } else { Vec::new() },
    }
}

/// The visit events a state allows to the friend who holds the job.
pub fn allowed(state: JobState) -> &'static [VisitEvent] {
    match state {
        JobState::Assigned => &[VisitEvent::Contacted, VisitEvent::HandBack],
        JobState::Contacted => &[VisitEvent::Completed, VisitEvent::HandBack],
        JobState::NeedsInfo
        | JobState::Dispatching
        | JobState::Paused
        | JobState::Unfilled
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
        | JobState::Closed => &[],
    }
}

/// The job as its partner sees it.
pub fn view(job: &Job) -> JobView {
    let visit = job.visit.as_ref().filter(|visit| visit.attempt == job.attempt);
    let package = &*job.terms.package;
    let pay = visit.map(|visit| visit.pay).or_else(|| {
        let gross = pay::gross(package, None, job.booking.payment_method)?;
        Some(pay::split(gross, &job.terms.commission))
    });
    JobView {
        id: job.id,
        state: job.state,
        attempt: job.attempt,
        wave: job.run.wave,
        offers_out: u16::try_from(job.live_offers().count()).unwrap_or(u16::MAX),
        asked: job.run.asked,
        revision: job.revision,
        sequence: job.sequence,
        package: package.slug.clone(),
        community: job.terms.community.slug.clone(),
        policy_version: job.terms.community_version,
        price: pay.map(|pay| pay.gross),
        commission: pay.map(|pay| pay.commission),
        missing_answers: missing_answers(job),
        urgency: job.booking.urgency,
        windows: job.booking.windows.clone(),
        partner_ref: job.booking.partner_ref.clone(),
        friend: visit.and(job.winner.clone()),
        // Signed where it is told; a secret is not written down.
        customer_url: None,
        created_at: job.created_at,
        assigned_at: visit.map(|visit| visit.assigned_at),
        contact_due: visit.filter(|_| job.state == JobState::Assigned).map(|visit| visit.contact_due),
        appointment: visit.and_then(|visit| visit.appointment),
        questions: job.talk.questions.iter().filter(|asked| asked.reply.is_none()).map(Question::view).collect(),
        proposals: job.open_proposals().map(Proposal::view).collect(),
        expires_at: job.expire_at,
        reason: job.reason.clone(),
    }
}

/// The job on the map. `cell_of` knows where the holders of its offers stood when they were asked.
pub fn dot(job: &Job, cell_of: impl Fn(&Offer) -> Option<String>) -> JobDot {
    JobDot {
        job: job.id,
        cell: shown_cell(job.booking.place).to_string(),
        state: job.state,
        wave: job.run.wave,
        offers: job.live_offers().filter_map(cell_of).collect(),
        created_at: job.created_at,
    }
}

/// The required questions without an answer.
pub fn missing_answers(job: &Job) -> Vec<Word> {
    missing_of(&job.terms.package, &job.booking.answers)
}

/// The required questions of a package that these answers leave open.
pub(super) fn missing_of(package: &Package, answers: &Answers) -> Vec<Word> {
    let required = package.questions.iter().filter(|question| question.required);
    let open = required.filter(|question| answers.get(&question.name).is_none_or(is_blank));
    open.map(|question| question.name.clone()).collect()
}

fn community(job: &Job) -> CommunityName {
    let community = &*job.terms.community;
    CommunityName { slug: community.slug.clone(), brand: community.brand.clone() }
}

/// The answers an offer may show. Free text loses what looks like contact data.
fn shown_answers(job: &Job) -> Answers {
    let shown = job.terms.package.questions.iter().filter(|question| question.in_offer);
    shown
        .filter_map(|question| {
            let answer = job.booking.answers.get(&question.name)?;
            let answer = match answer {
                Answer::Text(text) => Answer::Text(for_strangers(text, &job.booking)),
                Answer::YesNo(_) | Answer::Number(_) => answer.clone(),
            };
            Some((question.name.clone(), answer))
        })
        .collect()
}

impl Job {
    /// The offers a friend may accept.
    pub fn live_offers(&self) -> impl Iterator<Item = &Offer> {
        self.offers.iter().filter(|offer| offer.state == OfferState::Live)
    }

    /// The winner whose visit still takes a place.
    pub fn holder(&self) -> Option<FriendId> {
        self.visit.as_ref().filter(|visit| visit.active).map(|visit| visit.friend)
    }
}
