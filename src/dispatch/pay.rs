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
    use super::*;

    fn rule(basis_points: u16) -> CommissionRule {
        CommissionRule::new("rule".parse().expect("a slug"), basis_points)
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
