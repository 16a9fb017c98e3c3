//! The order among the suitable, and who gets which seat. Distance in steps of 50 m ranks first, then how much longer a
//! friend has waited than those around them, then the id. One seat of each wave goes to the longest wait near by.
//!
//! All of it is a function of a few facts a friend, the same ones that stand in the record of a choice, so that a choice
//! can be made again from its record and must come out the same.
//!
//! Ratings do not count yet: friends have none. Where a policy sets `rating_metres`, the Bayesian mean of a friend's stars
//! will change `distance_m` of [`Weighed`] by at most that much, before anything on this page looks at it.

use kiez_protocol::friend::WhyReason;
use kiez_protocol::ids::FriendId;
use kiez_protocol::place::DISTANCE_STEP_M;
use serde::{Deserialize, Serialize};

/// The seat of a wave that is kept for the longest wait.
pub const FAIRNESS_SEAT: u8 = 0;
/// Who was never offered anything waits so many days more than the calendar says.
const NEWCOMER_DAYS: u32 = 7;

/// How long a friend has waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// Whole days since the last offer; for a newcomer since they were first on duty, 0 if they never were.
    pub days: u32,
    /// Never offered anything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub newcomer: bool,
    /// Offers of the last 30 days.
    pub offers: u32,
}

impl Wait {
    /// How much longer than others they have waited, whole days: less where they were offered more than the
    /// neighbourhood's median.
    pub fn deficit_days(self, median_offers: u32) -> u32 {
        let newcomer = if self.newcomer { NEWCOMER_DAYS } else { 0 };
        (self.days + newcomer).saturating_sub(self.offers.saturating_sub(median_offers))
    }
}

/// A suitable friend, as the ranking weighs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weighed {
    /// Who.
    pub friend: FriendId,
    /// How far away, rounded to 50 m.
    pub distance_m: u32,
    /// How long they have waited.
    pub wait: Wait,
}

/// The suitable in their order, the first in rank 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking {
    /// Who, best first, each with the deficit in days.
    pub ranked: Vec<(Weighed, u32)>,
    /// The neighbourhood's median of offers in 30 days: of those who are ranked here, the lower one of two.
    pub median_offers: u32,
}

/// The seat of a choice that is kept for the longest wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FairnessSeat {
    /// Which seat of the wave.
    pub seat: u8,
    /// Nobody gets it who stands farther than so much of the distance of the last of the nearest, percent.
    pub reach_percent: u16,
}

/// A seat that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// To whom: a place in the ranking, from 0.
    pub index: usize,
    /// Which seat of the wave.
    pub seat: u8,
    /// What gave it.
    pub why: WhyReason,
}

/// Puts the suitable in their order.
pub fn rank(suitable: Vec<Weighed>) -> Ranking {
    let mut offers: Vec<u32> = suitable.iter().map(|weighed| weighed.wait.offers).collect();
    offers.sort_unstable();
    let median_offers = offers.len().checked_sub(1).map_or(0, |last| offers[last / 2]);
    let deficit = |weighed: Weighed| (weighed, weighed.wait.deficit_days(median_offers));
    let mut ranked: Vec<(Weighed, u32)> = suitable.into_iter().map(deficit).collect();
    ranked.sort_unstable_by_key(|(weighed, deficit_days)| {
        (weighed.distance_m, std::cmp::Reverse(*deficit_days), weighed.friend)
    });
    Ranking { ranked, median_offers }
}

impl Ranking {
    /// Who gets the seats, in the order of their rank. Where there are enough, the fairness seat goes to the largest
    /// deficit within its reach, the nearest of several; who has a seat by distance anyway does not take a second one.
    pub fn give(&self, seats: &[u8], fairness: Option<FairnessSeat>) -> Vec<Given> {
        let nearest = |(index, seat): (usize, &u8)| Given { index, seat: *seat, why: WhyReason::Nearest };
        let longest = fairness.and_then(|fairness| Some((fairness.seat, self.longest_wait(seats.len(), fairness)?)));
        match longest {
            Some((kept, index)) if index >= seats.len() => {
                let others = seats.iter().filter(|seat| **seat != kept);
                let mut given: Vec<Given> = others.enumerate().map(nearest).collect();
                given.push(Given { index, seat: kept, why: WhyReason::Fairness });
                given
            }
            Some(_) | None => seats.iter().take(self.ranked.len()).enumerate().map(nearest).collect(),
        }
    }

    /// The largest deficit within reach of the fairness seat, where `want` friends are to be had.
    fn longest_wait(&self, want: usize, fairness: FairnessSeat) -> Option<usize> {
        let (last, _) = self.ranked.get(want.checked_sub(1)?)?;
        let reach_m = reach_m(last.distance_m, fairness.reach_percent);
        let within = || self.ranked.iter().enumerate().filter(|(_, (weighed, _))| weighed.distance_m <= reach_m);
        let (index, (_, most)) = within().min_by_key(|(index, (_, deficit))| (std::cmp::Reverse(*deficit), *index))?;
        assert!(within().all(|(_, (_, deficit))| deficit <= most), "no fairness seat goes past a larger deficit");
        Some(index)
    }
}

/// How far a fairness seat reaches where the last of the nearest stands `last_m` away, metres: whole steps, and never less
/// than that.
pub fn reach_m(last_m: u32, reach_percent: u16) -> u32 {
    let reach_m = u64::from(last_m) * u64::from(reach_percent) / 100;
    let steps = u32::try_from(reach_m).unwrap_or(u32::MAX) / DISTANCE_STEP_M;
    last_m.max(steps * DISTANCE_STEP_M)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn weighed(id: u128, distance_m: u32, days: u32, offers: u32) -> Weighed {
        let wait = Wait { days, newcomer: false, offers };
        Weighed { friend: FriendId(Uuid::from_u128(id)), distance_m, wait }
    }

    fn order(suitable: &[Weighed]) -> Vec<u128> {
        rank(suitable.to_vec()).ranked.iter().map(|(weighed, _)| weighed.friend.0.as_u128()).collect()
    }

    #[test]
    fn distance_ranks_before_waiting_and_waiting_before_the_id() {
        assert_eq!(order(&[weighed(1, 100, 0, 0), weighed(2, 50, 0, 0)]), [2, 1]);
        assert_eq!(order(&[weighed(1, 50, 3, 0), weighed(2, 50, 4, 0)]), [2, 1]);
        assert_eq!(order(&[weighed(2, 50, 3, 0), weighed(1, 50, 3, 0)]), [1, 2]);
    }

    #[test]
    fn the_deficit_is_days_and_a_week_for_newcomers_less_what_was_more_than_the_median() {
        let wait = |days, newcomer, offers| Wait { days, newcomer, offers };
        assert_eq!(wait(3, false, 0).deficit_days(0), 3);
        assert_eq!(wait(3, true, 0).deficit_days(0), 10);
        assert_eq!(wait(3, false, 6).deficit_days(4), 1);
        assert_eq!(wait(3, false, 4).deficit_days(4), 3, "the median itself takes nothing");
        assert_eq!(wait(3, false, 40).deficit_days(4), 0, "never below zero");
    }

    #[test]
    fn the_median_is_that_of_the_neighbourhood_the_lower_one_of_two() {
        for (offers, median) in [(vec![], 0), (vec![7], 7), (vec![9, 1], 1), (vec![5, 1, 9], 5), (vec![8, 2, 4, 6], 4)]
        {
            let suitable = offers.iter().zip(1..).map(|(offers, id)| weighed(id, 50, 0, *offers)).collect();
            assert_eq!(rank(suitable).median_offers, median, "{offers:?}");
        }
    }

    #[test]
    fn the_fairness_seat_goes_to_the_largest_deficit_within_reach() {
        let seats = [0, 1, 2, 3];
        let fairness = Some(FairnessSeat { seat: FAIRNESS_SEAT, reach_percent: 150 });
        let near = [weighed(1, 100, 0, 0), weighed(2, 200, 0, 0), weighed(3, 300, 0, 0), weighed(4, 400, 0, 0)];
        let given = |more: &[Weighed], fairness| -> Vec<(u128, u8, WhyReason)> {
            let ranking = rank(near.iter().chain(more).copied().collect());
            let who = |given: &Given| ranking.ranked[given.index].0.friend.0.as_u128();
            ranking.give(&seats, fairness).iter().map(|given| (who(given), given.seat, given.why)).collect()
        };
        let nearest = [(1, 0), (2, 1), (3, 2), (4, 3)].map(|(id, seat)| (id, seat, WhyReason::Nearest));
        let fair = |id| {
            [
                (1, 1, WhyReason::Nearest),
                (2, 2, WhyReason::Nearest),
                (3, 3, WhyReason::Nearest),
                (id, 0, WhyReason::Fairness),
            ]
        };
        assert_eq!(given(&[], fairness), nearest, "all have waited alike");
        assert_eq!(given(&[weighed(9, 600, 1, 0)], fairness), fair(9), "600 m is one and a half times 400");
        assert_eq!(given(&[weighed(9, 650, 1, 0)], fairness), nearest, "beyond reach");
        assert_eq!(given(&[weighed(9, 600, 1, 0)], None), nearest, "switched off");
        assert_eq!(given(&[weighed(8, 500, 1, 0), weighed(9, 600, 2, 0)], fairness), fair(9));
        assert_eq!(given(&[weighed(8, 500, 2, 0), weighed(9, 600, 2, 0)], fairness), fair(8), "the nearer of two");
    }

    #[test]
    fn who_has_a_seat_by_distance_needs_no_other() {
        let suitable = vec![weighed(1, 100, 0, 0), weighed(2, 200, 5, 0), weighed(3, 300, 4, 0)];
        let fairness = Some(FairnessSeat { seat: 0, reach_percent: 150 });
        let given = rank(suitable.clone()).give(&[0, 1], fairness);
        assert_eq!(given.iter().map(|given| given.index).collect::<Vec<_>>(), [0, 1]);
        let given = rank(suitable).give(&[0, 1, 2, 3], fairness);
        assert_eq!(given.len(), 3, "too few for all seats: everybody, and nobody is passed over");
        assert!(given.iter().all(|given| given.why == WhyReason::Nearest));
    }
}
