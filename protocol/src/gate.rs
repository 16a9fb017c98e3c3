//! The gates: what a friend must be, have and want to be asked for a job. They stand in a fixed order, and a friend who was
//! not asked is told the first that did not open.

use serde::{Deserialize, Serialize};

/// The gates in their order (rules of the trade, "Suitable").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// The account is active.
    Active,
    /// On duty, or the weekly calendar has time within a wish window.
    OnDuty,
    /// Can be reached.
    Reachable,
    /// Belongs to the community, or the whole crowd has joined.
    Community,
    /// The friend's country is the job's, or the community names the pair.
    Country,
    /// Neighbour or professional, as the package and the wave want.
    Tier,
    /// Every skill at its least level.
    Skill,
    /// Every certificate, and valid.
    Certificate,
    /// Identity and background are checked, where the community asks for it.
    Identity,
    /// Old enough, where the community asks for it.
    Age,
    /// Insured, where the community asks for it.
    Insurance,
    /// Has passed the knowledge test, where the community asks for it.
    Knowledge,
    /// Is a customer of the partner, where the community asks for it.
    PartnerCustomer,
    /// Speaks the customer's language.
    Language,
    /// The friend's rate fits the job, where it is priced by the hour.
    Rate,
    /// Within the cap and the friend's own radius, unless the work is remote.
    Distance,
    /// Agreed appointments leave time within a wish window.
    Overlap,
    /// A place is free.
    Capacity,
    /// Neither the jobs nor the income of the month or year go beyond what the friend wants.
    Caps,
    /// Not declined or handed back before, not asked in this run, not the customer, not kept apart from them.
    Blocked,
    /// No contact breach in the last day.
    CoolDown,
    /// Fewer live offers than the hand holds.
    FullHand,
}

impl Gate {
    /// All gates, in their order.
    pub const ALL: [Gate; 22] = [
        Gate::Active,
        Gate::OnDuty,
        Gate::Reachable,
        Gate::Community,
        Gate::Country,
        Gate::Tier,
        Gate::Skill,
        Gate::Certificate,
        Gate::Identity,
        Gate::Age,
        Gate::Insurance,
        Gate::Knowledge,
        Gate::PartnerCustomer,
        Gate::Language,
        Gate::Rate,
        Gate::Distance,
        Gate::Overlap,
        Gate::Capacity,
        Gate::Caps,
        Gate::Blocked,
        Gate::CoolDown,
        Gate::FullHand,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Gate::Active => "active",
            Gate::OnDuty => "on_duty",
            Gate::Reachable => "reachable",
            Gate::Community => "community",
            Gate::Country => "country",
            Gate::Tier => "tier",
            Gate::Skill => "skill",
            Gate::Certificate => "certificate",
            Gate::Identity => "identity",
            Gate::Age => "age",
            Gate::Insurance => "insurance",
            Gate::Knowledge => "knowledge",
            Gate::PartnerCustomer => "partner_customer",
            Gate::Language => "language",
            Gate::Rate => "rate",
            Gate::Distance => "distance",
            Gate::Overlap => "overlap",
            Gate::Capacity => "capacity",
            Gate::Caps => "caps",
            Gate::Blocked => "blocked",
            Gate::CoolDown => "cool_down",
            Gate::FullHand => "full_hand",
        }
    }
}
