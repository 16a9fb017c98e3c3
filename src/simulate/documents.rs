//! What the simulated crowds agree on: communities with their policy, packages, partners. Between them they use every
//! rule of the trade: own and widened crowds, customers only, fixed, guide and hourly prices, skills, professionals,
//! euros and francs.

use std::sync::Arc;

use kiez_protocol::directory::{CommissionRule, Community, Package, Policy, Site};
use kiez_protocol::ids::PartnerSlug;
use serde_json::{Value, json};

use super::city::City;
use super::faults::Mutation;
use crate::dispatch::input::Terms;

/// A kind of job: which community and package, who posts it, and how often against the others.
#[derive(Clone, Debug)]
pub(crate) struct Offering {
    pub partner: PartnerSlug,
    pub terms: Terms,
    pub weight: f64,
}

/// Everything that is agreed on.
#[derive(Debug)]
pub(crate) struct Documents {
    pub offerings: Vec<Offering>,
    /// What is done from afar.
    pub remote: Offering,
    /// The communities as they were agreed on: what the model goes by, whatever the server takes them for.
    pub agreed: Vec<Arc<Community>>,
}

/// Every skill a package may need.
pub(crate) const SKILLS: [&str; 4] = ["wifi", "tv", "computer", "home"];
/// What professionals must have.
pub(crate) const CERTIFICATE: &str = "heating";
/// The partner whose own customers help each other.
pub(crate) const PHONE_COMPANY: &str = "phone-company";

impl Documents {
    /// Those of a city; all communities under `policy`, if one is given.
    pub fn of(city: City, policy: Option<&Policy>, mutation: Option<Mutation>) -> Documents {
        let swiss = city == City::Sparse;
        let (currency, country, zone) =
            if swiss { ("CHF", "CH", "Europe/Zurich") } else { ("EUR", "DE", "Europe/Berlin") };
        let community = |slug: &str, crowd: &str, basis_points: u16, customers: bool, checks: &[&str]| {
            let document = json!({
                "slug": slug, "brand": slug, "country": country, "currency": currency, "time_zone": zone,
                "crowd": crowd, "commission": {"id": "share", "basis_points": basis_points},
                "partner_customer": customers, "checks": checks,
            });
            let mut community: Community = read(document);
            if let Some(policy) = policy {
                community.policy = policy.clone();
            }
            Arc::new(community)
        };
        let agreed = vec![
            community("neighbours", "own_then_all", 1_000, false, &["identity_and_background"]),
            community("customers", "own_then_all", 800, true, &["age"]),
            community("everybody", "all", 1_250, false, &[]),
            community("closed-circle", "own", 1_500, false, &["insurance", "knowledge"]),
        ];
        let communities: Vec<Arc<Community>> = agreed.iter().map(|community| misread(community, mutation)).collect();
        // Prices in francs are half as high again.
        let price = |euros: i64| json!({"amount": if swiss { euros * 150 } else { euros * 100 }, "currency": currency});
        let package = |slug: &str, skill: &str, level: u8, minutes: u16, pricing: Value, tier: &str| {
            Arc::new(read::<Package>(json!({
                "slug": slug, "title": {"de": slug, "en": slug}, "category": skill, "tier": tier,
                "skills": [{"skill": skill, "level": level}], "duration_min": minutes, "pricing": pricing,
                "certificates": if tier == "pro" { vec![CERTIFICATE] } else { Vec::new() },
                "questions": [
                    {"name": "device", "text": {"de": "Gerät?", "en": "Device?"}, "answer": {"kind": "text"},
                     "required": true, "in_offer": true},
                    {"name": "note", "text": {"de": "Notiz", "en": "Note"}, "answer": {"kind": "text"}},
                ],
            })))
        };
        let fixed = |euros| json!({"kind": "fixed", "price": price(euros)});
        let guide = |from, to| json!({"kind": "guide", "from": price(from), "to": price(to)});
        let hourly = |from, to| json!({"kind": "hourly", "from": price(from), "to": price(to)});
        let mut remote = Package::clone(&package("photo-advice", "computer", 1, 30, fixed(19), "friend"));
        remote.site = Site::Remote;
        let remote = Arc::new(remote);
        let packages = [
            package("wifi-setup", "wifi", 2, 60, fixed(39), "friend"),
            package("tv-setup", "tv", 1, 45, guide(29, 55), "friend"),
            package("computer-help", "computer", 2, 60, hourly(7, 30), "friend"),
            package("wifi-mesh", "wifi", 3, 90, fixed(59), "friend"),
            remote,
            package("heating-control", "home", 3, 120, fixed(89), "pro"),
        ];
        let offering = |partner: &str, community: usize, package: usize, weight: f64, own: Option<u16>| {
            let community = Arc::clone(&communities[community]);
            let rule = own.map(|basis_points| CommissionRule::new(read(json!("own-rule")), basis_points));
            let commission = rule.unwrap_or_else(|| community.commission.clone());
            let package = Arc::clone(&packages[package]);
            let terms = Terms { package, package_version: 1, community, community_version: 1, commission };
            Offering { partner: read(json!(partner)), terms, weight }
        };
        let offerings = vec![
            offering("electronics-shop", 0, 0, 30.0, None),
            offering("electronics-shop", 0, 1, 20.0, None),
            offering(PHONE_COMPANY, 1, 2, 15.0, None),
            offering(PHONE_COMPANY, 1, 0, 10.0, Some(725)),
            offering("booking-site", 2, 3, 12.0, None),
            offering("energy-company", 3, 1, 8.0, None),
            offering("energy-company", 2, 5, if swiss { 5.0 } else { 2.0 }, None),
        ];
        // Not among the others: who wants it is drawn apart.
        let remote = offering("booking-site", 2, 4, 0.0, None);
        Documents { offerings, remote, agreed }
    }
}

/// A community as the server goes by it.
fn misread(community: &Arc<Community>, mutation: Option<Mutation>) -> Arc<Community> {
    let mut read = Community::clone(community);
    match mutation {
        Some(Mutation::NoNight) => read.policy.quiet = None,
        Some(Mutation::ShortUndo) => read.policy.undo_ms /= 3,
        Some(Mutation::NamedEarly) => read.policy.direct_ms /= 3,
        Some(Mutation::LongAsk) => read.policy.ask_extends_ms *= 2,
        Some(Mutation::LongProposal) => read.policy.proposal_ms *= 2,
        Some(_) | None => return Arc::clone(community),
    }
    Arc::new(read)
}

fn read<T: serde::de::DeserializeOwned>(document: Value) -> T {
    serde_json::from_value(document).expect("the documents of this file are whole")
}
