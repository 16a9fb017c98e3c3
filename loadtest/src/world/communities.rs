//! The crowds of the demo, under neutral names, with the rules that real services of this kind have had: an hourly rate
//! among customers of one telephone company, guide prices with 10 %, fixed prices, 8 % in francs, and a partner that
//! only posts and takes whoever is near.

use kiez_protocol::directory::{CommissionRule, Community, Country, Crowd, Partner, Policy};
use kiez_protocol::money::Currency;

use super::packages::word;

/// Friends name an hourly rate of 7 to 30 € and are customers of the partner themselves.
pub const BERLIN_HOURLY: &str = "berlin-hourly";
/// Guide prices of 29 to 55 €, commission 10 %.
pub const BERLIN_GUIDE: &str = "berlin-guide";
/// Fixed prices; at least 25 € are left for the friend.
pub const BERLIN_FIXED: &str = "berlin-fixed";
/// Francs, commission 8 %.
pub const ZURICH: &str = "zurich-tech";
/// The whole crowd from the first wave, for a partner that only uses the API.
pub const BERLIN_OPEN: &str = "berlin-open";

/// The telephone company of [`BERLIN_HOURLY`].
pub const PHONE_COMPANY: &str = "phone-company";

/// The partners: slug, name, community, how many of the jobs against the others.
pub const PARTNERS: &[(&str, &str, &str, f64)] = &[
    (PHONE_COMPANY, "Telefongesellschaft", BERLIN_HOURLY, 2.0),
    ("electronics-shop", "Elektronikmarkt", BERLIN_GUIDE, 3.0),
    ("energy-company", "Energieversorger", BERLIN_FIXED, 3.0),
    ("booking-site", "Buchungsportal", BERLIN_OPEN, 2.0),
    ("zurich-provider", "Anbieter Zürich", ZURICH, 1.0),
];

/// All communities.
pub fn communities() -> Vec<Community> {
    let community = |slug: &str, brand: &str, crowd, basis_points, partner_customer| {
        let (country, currency) =
            if slug == ZURICH { (Country::Ch, Currency::Chf) } else { (Country::De, Currency::Eur) };
        let rule = CommissionRule::new(word(&format!("{slug}-commission")), basis_points);
        let slug = slug.parse().expect("slugs of this file are slugs");
        // The demo and the loads run at any hour of the wall clock.
        let policy = Policy { quiet: None, ..Policy::default() };
        Community { crowd, partner_customer, policy, ..Community::new(slug, brand, country, currency, rule) }
    };
    vec![
        community(BERLIN_HOURLY, "Kundenhilfe", Crowd::OwnThenAll, 1_000, true),
        community(BERLIN_GUIDE, "Technikpaten", Crowd::OwnThenAll, 1_000, false),
        community(BERLIN_FIXED, "Festpreishilfe", Crowd::Own, 1_500, false),
        community(BERLIN_OPEN, "Offene Nachbarschaft", Crowd::All, 1_000, false),
        community(ZURICH, "Limmathilfe", Crowd::Own, 800, false),
    ]
}

/// All partners.
pub fn partners() -> Vec<Partner> {
    let partner = |(slug, name, community, _): &(&str, &str, &str, f64)| Partner {
        slug: slug.parse().expect("slugs of this file are slugs"),
        name: (*name).to_owned(),
        community: Some(community.parse().expect("slugs of this file are slugs")),
        commission: None,
        quota: None,
    };
    PARTNERS.iter().map(partner).collect()
}
