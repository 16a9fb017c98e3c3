//! Would it find four? A post that is only tried: the same search as for a job, with nobody asked, nothing recorded and
//! nothing changed. It costs the dispatcher one search, as a post does.

use std::sync::Arc;

use kiez_protocol::ids::{PartnerSlug, Word};
use kiez_protocol::money::Money;
use kiez_protocol::time::Time;

use super::effect::{Answer, Effects, Message};
use super::input::{Request, Terms};
use super::job::Booking;
use super::nearest::Nearby;
use super::{Dispatcher, area, card, posting};

/// What would become of a post at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The seats of its first wave.
    pub wanted: u8,
    /// How far away those would be who were asked first, rounded metres, in the order of their rank; nobody where answers
    /// are missing would be asked either, and the search is made all the same.
    pub found_m: Vec<u32>,
    /// Whether the place lies outside of the community's area.
    pub outside_area: bool,
    /// Whether the community makes no new offers now.
    pub braked: bool,
    /// Required questions without an answer.
    pub missing: Vec<Word>,
    /// What the customer would pay, where that is known before somebody wins.
    pub price: Option<Money>,
    /// The commission in it.
    pub commission: Option<Money>,
}

impl Dispatcher {
    #[expect(clippy::too_many_arguments, reason = "the fields of one input, taken apart once")]
    pub(super) fn tried(
        &self,
        request: Request,
        partner: PartnerSlug,
        booking: Arc<Booking>,
        terms: Terms,
        received_at: Time,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) {
        let outside_area = !area::serves(&terms, booking.place);
        let job =
            posting::fresh(kiez_protocol::ids::JobId(uuid::Uuid::nil()), partner, terms, booking, received_at, now);
        let view = card::view(&job);
        let trial = Trial {
            wanted: job.terms.community.policy.seats,
            found_m: if outside_area { Vec::new() } else { self.would_ask(&job, now, nearby) },
            outside_area,
            braked: self.is_braked(&job),
            missing: view.missing_answers,
            price: view.price,
            commission: view.commission,
        };
        effects.now.push(Message::Answer { request, answer: Answer::Tried(Box::new(trial)) });
    }
}
