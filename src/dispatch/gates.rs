//! Who is suitable: all gates, in one fixed order, so that the first failed gate is stable and can be told.

use kiez_protocol::directory::{Crowd, Pricing, Tier};
use serde::{Deserialize, Serialize};

use super::capacity::Load;
use super::job::Job;
use super::nearest::Standing;

/// The gates in their order (rules of the trade, "Suitable").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// The account is active.
    Active,
    /// On duty.
    OnDuty,
    /// Can be reached.
    Reachable,
    /// Belongs to the community, or the whole crowd has joined.
    Community,
    /// The friend's country is the job's.
    Country,
    /// Neighbour or professional, as the package and the wave want.
    Tier,
    /// Every skill at its least level.
    Skill,
    /// Is a customer of the partner, where the community asks for it.
    PartnerCustomer,
    /// Speaks the customer's language.
    Language,
    /// The friend's rate fits the job, where it is priced by the hour.
    Rate,
    /// Within the cap and the friend's own radius.
    Distance,
    /// A place is free.
    Capacity,
    /// Not declined or handed back before, and not asked in this run.
    Blocked,
    /// Fewer live offers than the hand holds.
    FullHand,
}

/// Whether `standing` is suitable for `job` at the stage of its run: the wave, or as many intervals as have passed.
///
/// # Errors
/// The first gate that fails.
pub fn check(
    job: &Job,
    stage: u8,
    standing: &Standing,
    distance_m: f64,
    cap_m: f64,
    load: Option<&Load>,
) -> Result<(), Gate> {
    let friend = &*standing.profile;
    let community = &*job.terms.community;
    let package = &*job.terms.package;
    let plan = job.plan();
    let crowd_joined = match community.crowd {
        Crowd::Own => false,
        Crowd::OwnThenAll => stage >= plan.crowd_joins_wave,
        Crowd::All => true,
    };
    let member = friend.communities.contains(&community.slug);
    let tier_fits = match (package.tier, friend.tier) {
        (Tier::Friend, Tier::Friend) | (Tier::Pro, Tier::Pro) => true,
        (Tier::Friend, Tier::Pro) => stage >= plan.pros_join_wave,
        (Tier::Pro, Tier::Friend) => false,
    };
    let rate_fits = match package.pricing {
        Pricing::Fixed { .. } | Pricing::Guide { .. } => true,
        Pricing::Hourly { from, to } => friend.hourly_rate.is_some_and(|rate| {
            rate.currency == from.currency
                && (from.amount..=to.amount).contains(&rate.amount)
                && job.booking.max_hourly_rate.is_none_or(|most| rate.amount <= most.amount)
        }),
    };
    let asked = job.offers.iter().any(|offer| offer.attempt == job.attempt && offer.friend == friend.id);
    let gates = [
        (Gate::Active, friend.active),
        (Gate::OnDuty, standing.on_duty),
        (Gate::Reachable, standing.reachable),
        (Gate::Community, member || crowd_joined),
        (Gate::Country, friend.country == community.country),
        (Gate::Tier, tier_fits),
        (Gate::Skill, package.skills.iter().all(|need| friend.level(&need.skill) >= need.level)),
        // A crowd that was widened keeps the community's gates but membership and this one.
        (Gate::PartnerCustomer, !community.partner_customer || !member || friend.customer_of.contains(&job.partner)),
        (Gate::Language, friend.languages.is_empty() || friend.languages.contains(&job.booking.customer.language)),
        (Gate::Rate, rate_fits),
        (Gate::Distance, distance_m <= cap_m.min(f64::from(friend.radius_m))),
        (Gate::Capacity, load.is_none_or(|load| load.held.len() < usize::from(friend.jobs_held_max))),
        (Gate::Blocked, !asked && !job.blocked.contains(&friend.id)),
        (Gate::FullHand, load.is_none_or(|load| load.hand.len() < usize::from(community.policy.hand_max))),
    ];
    match gates.into_iter().find(|(_, open)| !open) {
        Some((gate, _)) => Err(gate),
        None => Ok(()),
    }
}
