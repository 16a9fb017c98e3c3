//! What an offer pays: gross by the package's pricing, commission by the rule of the posting, net the rest.

use kiez_protocol::directory::{CommissionRule, Friend, Package, Pricing};
use kiez_protocol::money::{Currency, Money, PaymentMethod};

use super::input::Terms;
use super::job::{Job, Offer, Pay};

/// The gross price of `package` when `friend` does it; none where it is priced by the hour and they have no rate.
/// A guide price is offered at its lower end. CHF in cash is a multiple of 5 Rappen, the smallest coin.
pub fn gross(package: &Package, friend: Option<&Friend>, method: PaymentMethod) -> Option<Money> {
    let gross = match package.pricing {
        Pricing::Fixed { price } => price,
        Pricing::Guide { from, .. } => from,
        Pricing::Hourly { .. } => {
            let rate = friend?.hourly_rate?;
            Money { amount: half_even(rate.amount * i64::from(package.duration_min), 60), currency: rate.currency }
        }
    };
    Some(match (gross.currency, method) {
        (Currency::Chf, PaymentMethod::Cash) => Money { amount: (gross.amount + 2) / 5 * 5, ..gross },
        (_, _) => gross,
    })
}

/// What a job of these terms pays `friend`; none where it is priced by the hour and they have no rate.
pub fn offered(terms: &Terms, friend: &Friend, method: PaymentMethod) -> Option<Pay> {
    gross(&terms.package, Some(friend), method).map(|gross| split(gross, &terms.commission))
}

/// What this job pays `friend`: never less than it has offered them before, and where the price does not depend on who does
/// it, never less than it has offered anybody.
pub fn for_job(job: &Job, friend: &Friend) -> Option<Pay> {
    let pay = offered(&job.terms, friend, job.booking.payment_method)?;
    let same = |before: &&Offer| match job.terms.package.pricing {
        Pricing::Fixed { .. } | Pricing::Guide { .. } => true,
        Pricing::Hourly { .. } => before.friend == friend.id,
    };
    let before = job.offers.iter().filter(same).map(|before| before.pay).max_by_key(|before| before.net.amount);
    Some(before.filter(|before| before.net.amount > pay.net.amount).unwrap_or(pay))
}

/// Splits a gross price: commission is the rule's share rounded half to even, net is the rest, so that the two add up
/// to the cent.
pub fn split(gross: Money, rule: &CommissionRule) -> Pay {
    let commission = half_even(gross.amount * i64::from(rule.basis_points), 10_000);
    let part = |amount| Money { amount, currency: gross.currency };
    let pay = Pay { gross, commission: part(commission), net: part(gross.amount - commission) };
    assert_eq!(pay.commission.amount + pay.net.amount, pay.gross.amount, "money balances to the cent");
    pay
}

/// `dividend / divisor`, rounded half to even. Both not negative, `divisor` not zero.
fn half_even(dividend: i64, divisor: i64) -> i64 {
    let (whole, rest) = (dividend / divisor, dividend % divisor);
    match (rest * 2).cmp(&divisor) {
        std::cmp::Ordering::Less => whole,
        std::cmp::Ordering::Greater => whole + 1,
        std::cmp::Ordering::Equal => whole + whole % 2,
    }
}

#[cfg(test)]
mod tests {
    use kiez_protocol::directory::NextCommission;
    use kiez_protocol::money::PRICE_MAX;
    use kiez_protocol::time::Time;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn currencies() -> impl Strategy<Value = Currency> {
        prop_oneof![Just(Currency::Eur), Just(Currency::Chf), Just(Currency::Pln)]
    }

    fn methods() -> impl Strategy<Value = PaymentMethod> {
        prop_oneof![
            Just(PaymentMethod::CardOnline),
            Just(PaymentMethod::CardOnSite),
            Just(PaymentMethod::Cash),
            Just(PaymentMethod::Invoice),
            Just(PaymentMethod::Paypal),
        ]
    }

    /// Prices as they are, and now and then one at the ends of what is taken.
    fn amounts() -> impl Strategy<Value = i64> {
        prop_oneof![4 => 1..20_000i64, 1 => 1..=PRICE_MAX, 1 => Just(PRICE_MAX)]
    }

    fn rule(basis_points: u16) -> CommissionRule {
        CommissionRule::new(format!("rule-{basis_points}").parse().expect("a word"), basis_points)
    }

    fn package(pricing: Pricing, duration_min: u16) -> Package {
        let mut package: Package = serde_json::from_value(json!({
            "slug": "wifi-setup", "title": {"de": "WLAN", "en": "Wi-Fi"}, "category": "wifi", "duration_min": 60,
            "pricing": {"kind": "fixed", "price": {"amount": 1, "currency": "EUR"}},
        }))
        .expect("a package");
        (package.pricing, package.duration_min) = (pricing, duration_min);
        package
    }

    fn friend(hourly_rate: Money) -> Friend {
        let mut friend: Friend = serde_json::from_value(json!({
            "id": uuid::Uuid::from_u128(1), "name": "Ada", "communities": ["berlin-tech"], "country": "DE",
        }))
        .expect("a friend");
        friend.hourly_rate = Some(hourly_rate);
        friend
    }

    /// Whether `rounded` is `dividend / divisor` rounded half to even, told without a division.
    fn is_half_even(rounded: i64, dividend: i128, divisor: i128) -> bool {
        let away = (i128::from(rounded) * divisor - dividend).abs() * 2;
        away < divisor || away == divisor && rounded % 2 == 0
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn commission_is_the_rules_share_half_even_and_with_the_net_it_is_the_price(
            amount in amounts(), currency in currencies(), basis_points in 0u16..=10_000,
        ) {
            let gross = Money { amount, currency };
            let pay = split(gross, &rule(basis_points));
            prop_assert_eq!(pay.gross, gross);
            prop_assert_eq!(pay.commission.amount + pay.net.amount, amount);
            prop_assert_eq!((pay.commission.currency, pay.net.currency), (currency, currency));
            prop_assert!((0..=amount).contains(&pay.commission.amount), "{:?}", pay);
            prop_assert!(is_half_even(pay.commission.amount, i128::from(amount) * i128::from(basis_points), 10_000));
        }

        #[test]
        fn the_price_is_the_packages_or_the_friends_and_in_swiss_cash_what_coins_can_pay(
            (low, high) in (amounts(), amounts()), rate in amounts(), minutes in 5u16..=480,
            currency in currencies(), method in methods(), kind in 0..3,
        ) {
            let money = |amount| Money { amount, currency };
            let (from, to) = (money(low.min(high)), money(low.max(high)));
            let pricing = match kind {
                0 => Pricing::Fixed { price: from },
                1 => Pricing::Guide { from, to },
                _ => Pricing::Hourly { from, to },
            };
            let package = package(pricing, minutes);
            let price = gross(&package, Some(&friend(money(rate))), method).expect("the friend has a rate");
            prop_assert_eq!(price.currency, currency);
            let coins = currency == Currency::Chf && method == PaymentMethod::Cash;
            // How far coins may lie from the exact price: two Rappen from a whole one, and half a Rappen of rounding.
            match (kind, coins) {
                (2, false) => prop_assert!(is_half_even(price.amount, i128::from(rate) * i128::from(minutes), 60)),
                (2, true) => {
                    let away = (i128::from(price.amount) * 60 - i128::from(rate) * i128::from(minutes)).abs();
                    prop_assert!(away <= 150, "{} for {} an hour", price, rate);
                }
                (_, false) => prop_assert_eq!(price, from),
                (_, true) => prop_assert!((price.amount - from.amount).abs() <= 2),
            }
            prop_assert!(!coins || price.amount % 5 == 0, "{} in coins", price);
        }

        #[test]
        fn a_job_goes_by_the_last_rule_that_had_taken_over_when_it_was_posted(
            first in 0u16..=10_000, steps in prop::collection::vec((1i64..1_000, 0u16..=10_000), 0..8), at in 0i64..9_000,
        ) {
            let mut dates = Vec::new();
            steps.iter().fold(0, |from, (later, basis_points)| {
                dates.push((from + later, *basis_points));
                from + later
            });
            let chain = dates.iter().rev().fold(None, |next: Option<Box<NextCommission>>, (from, basis_points)| {
                let rule = CommissionRule { next, ..rule(*basis_points) };
                Some(Box::new(NextCommission { from: Time(*from), rule }))
            });
            let whole = CommissionRule { next: chain, ..rule(first) };
            let holds = dates.iter().take_while(|(from, _)| *from <= at).last().map_or(first, |(_, points)| *points);
            prop_assert_eq!(whole.at(Time(at)), rule(holds), "that one alone, by its own id");
        }
    }

    #[test]
    fn commission_rounds_half_to_even() {
        for (amount, basis_points, commission) in
            [(2_900, 1_000, 290), (2_905, 1_000, 290), (2_915, 1_000, 292), (125, 200, 2), (175, 200, 4), (0, 800, 0)]
        {
            let pay = split(Money { amount, currency: Currency::Eur }, &rule(basis_points));
            assert_eq!(pay.commission.amount, commission, "{amount} at {basis_points}");
        }
    }

    #[test]
    fn swiss_cash_is_a_multiple_of_five() {
        for (amount, cash) in [(4_001, 4_000), (4_003, 4_005), (4_007, 4_005), (4_008, 4_010)] {
            let price = Money { amount, currency: Currency::Chf };
            let package: Package = serde_json::from_value(serde_json::json!({
                "slug": "tv", "title": {"de": "TV", "en": "TV"}, "category": "tv", "duration_min": 60,
                "pricing": {"kind": "fixed", "price": price},
            }))
            .expect("a package");
            assert_eq!(gross(&package, None, PaymentMethod::Cash).map(|money| money.amount), Some(cash));
            assert_eq!(gross(&package, None, PaymentMethod::Invoice), Some(price));
        }
    }
}
