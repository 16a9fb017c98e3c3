//! What offers pay, told by chance: whatever the price, the rules, the minutes and the order in which friends change their
//! rates, jobs are edited and friends asked anew, an offer balances to the cent and no friend is offered less than before.

use std::collections::BTreeMap;

use kiez::dispatch::input::Input;
use kiez::dispatch::job::Pay;
use kiez_protocol::directory::{CommissionRule, Pricing};
use kiez_protocol::ids::{FriendId, JobId};
use kiez_protocol::money::{Currency, Money, PaymentMethod};
use kiez_protocol::partner::{EditJob, Window};
use proptest::prelude::*;

use super::town::{HOUR, MINUTE, Town, ops};

/// What happens to a job before its friends are asked anew.
#[derive(Clone, Debug)]
enum Step {
    /// A friend wants another rate: minor units an hour.
    Rate(usize, i64),
    /// The job is edited: a new revision.
    Edit(i64),
    /// Ops have friends asked anew: a new attempt.
    Redispatch,
    /// A friend says no.
    Decline(usize),
    /// The server is started again.
    Crash,
    /// Time passes, minutes.
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..4usize, 700..3_000i64).prop_map(|(who, rate)| Step::Rate(who, rate)),
        2 => (1..200i64).prop_map(Step::Edit),
        3 => Just(Step::Redispatch),
        1 => (0..4usize).prop_map(Step::Decline),
        1 => Just(Step::Crash),
        2 => (1..60i64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..14)
}

fn pricings(currency: Currency) -> impl Strategy<Value = Pricing> {
    let money = move |amount| Money { amount, currency };
    prop_oneof![
        (1..20_000i64).prop_map(move |amount| Pricing::Fixed { price: money(amount) }),
        (1..20_000i64, 0..9_000i64)
            .prop_map(move |(from, more)| Pricing::Guide { from: money(from), to: money(from + more) }),
        Just(Pricing::Hourly { from: money(700), to: money(3_000) }),
    ]
}

fn terms() -> impl Strategy<Value = (Currency, Pricing, u16, u16, PaymentMethod)> {
    let currency = prop_oneof![Just(Currency::Eur), Just(Currency::Chf), Just(Currency::Pln)];
    let method = prop_oneof![Just(PaymentMethod::CardOnline), Just(PaymentMethod::Cash)];
    (currency, method).prop_flat_map(|(currency, method)| {
        (Just(currency), pricings(currency), 5u16..=480, 0u16..=10_000, Just(method))
    })
}

impl Town {
    /// Does what a step says; what the job does not allow changes nothing.
    fn step(&mut self, job: JobId, friends: &[FriendId; 4], currency: Currency, step: &Step) {
        match step {
            Step::Rate(who, amount) => self.streets.change(friends[*who], |standing| {
                let profile = std::sync::Arc::make_mut(&mut standing.profile);
                profile.hourly_rate = Some(Money { amount: *amount, currency });
            }),
            Step::Edit(hours) => {
                let from = self.now + hours * HOUR;
                let windows = Some(vec![Window { from, to: from + HOUR }]);
                self.edit(job, EditJob { windows, ..EditJob::default() });
            }
            Step::Redispatch => {
                let (request, reason, received_at) = (self.request(), "once more".to_owned(), self.now);
                self.send(Input::Redispatched { request, by: ops(), job, reason, received_at });
            }
            Step::Decline(who) => {
                if self.asked(job).contains(&friends[*who]) {
                    self.decline(friends[*who], job);
                }
            }
            Step::Crash => self.crash(),
            Step::Wait(minutes) => self.wait(minutes * MINUTE),
        }
    }

    /// The pay of every offer made so far, in the order in which they were made.
    fn paid(&self, job: JobId) -> Vec<(FriendId, Pay)> {
        let mut offers: Vec<_> = self.ledger.jobs[&job].offers.values().collect();
        offers.sort_by_key(|offer| offer.seat);
        offers.into_iter().map(|offer| (offer.friend, offer.pay)).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_offer_balances_and_no_friend_is_ever_offered_less(
        (currency, pricing, minutes, basis_points, method) in terms(), rates in prop::array::uniform4(700..3_000i64),
        steps in steps(),
    ) {
        let mut town = Town::new();
        (town.community.currency, town.package.pricing, town.package.duration_min) = (currency, pricing, minutes);
        town.community.commission = CommissionRule::new("some".parse().expect("a word"), basis_points);
        let friends = [100, 200, 300, 400].map(|metres| town.friend(metres));
        for (who, rate) in rates.into_iter().enumerate() {
            town.step(JobId(uuid::Uuid::nil()), &friends, currency, &Step::Rate(who, rate));
        }
        let job = town.post_with(|booking| booking.payment_method = method);
        for step in &steps {
            town.step(job, &friends, currency, step);
        }
        let paid = town.paid(job);
        prop_assert!(paid.len() >= 4, "all four were asked");
        let hourly = matches!(pricing, Pricing::Hourly { .. });
        let mut last: BTreeMap<Option<FriendId>, i64> = BTreeMap::new();
        for (friend, Pay { gross, commission, net }) in paid {
            prop_assert_eq!([gross.currency, commission.currency, net.currency], [currency; 3]);
            prop_assert_eq!(commission.amount + net.amount, gross.amount);
            let coins = currency == Currency::Chf && method == PaymentMethod::Cash;
            prop_assert!(!coins || gross.amount % 5 == 0, "{} in coins", gross);
            // Where the price does not depend on who does it, it never falls between friends either.
            let before = last.insert(hourly.then_some(friend), net.amount);
            prop_assert!(before.is_none_or(|before| before <= net.amount), "{:?}, then {}", before, net);
        }
    }
}
