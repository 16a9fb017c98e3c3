//! Was a choice right? Judged by brute force over everything the observer saw: every friend is weighed for every choice.
//! Nothing of the server's own search is used here, so that the two cannot be wrong together.
//!
//! A choice was made somewhere within a window of time, and what the server knew then can be told only up to what was in
//! flight. So each friend is weighed twice: with all that may have been (a fault that no possibility excuses is a wrong
//! choice), and with what was last sent and heard (a fault there that a possibility excuses is counted as explained).

use kiez_protocol::directory::{Community, Crowd, Package, Pricing, Tier, WavePlan};
use kiez_protocol::friend::WhyReason;
use kiez_protocol::ids::FriendId;
use kiez_protocol::place::{DISTANCE_STEP_M, rounded_m};

use crate::observe::Observation;
use crate::observe::friend::{FriendTrace, Holding};
use crate::observe::job::{Choice, JobTrace, Posted};
use crate::observe::span::{Held, Moment};

/// Two computations of the same distance may differ by so much, metres; a candidate so near to the edge of a step may
/// lie on either side of it.
const EDGE_M: f64 = 0.01;

/// The verdict on a choice.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Judgement {
    /// The nearest suitable friends.
    Right,
    /// Right, given what was in flight.
    Explained,
    /// Those who were asked are right; whether more should have been is not judged, because the server had just come back.
    Excused,
    /// Not the nearest suitable friends, and why.
    Wrong(String),
}

/// What can be said of a friend at the time of a choice.
#[derive(Clone, Copy, Debug)]
struct Weighed {
    /// Whether they were suitable.
    suitable: Held,
    /// Why not, if they surely were not.
    failed: &'static str,
    /// The least distance they may have stood at, metres.
    near_m: f64,
    /// The greatest.
    far_m: f64,
}

/// The documents a job was dispatched by.
pub(crate) struct Terms<'a> {
    pub posted: &'a Posted,
    pub community: &'a Community,
    pub package: &'a Package,
    pub plan: &'a WavePlan,
}

impl Observation {
    /// Judges one choice.
    pub(crate) fn judge(&self, job: &JobTrace, terms: &Terms<'_>, choice: &Choice) -> Judgement {
        let possible = self.fault(terms, choice, |friend| self.weigh(job, terms, choice, friend));
        if let Some(fault) = possible {
            let arrived =
                |friend| self.friends.get(friend).is_some_and(|trace| trace.arrived_before(choice.to, &self.rules));
            return match &choice.members[..] {
                // Somebody who comes on duty or into reach is considered alone, whoever else is near by now.
                [only] if !choice.with_post && fault.by_order && arrived(&only.friend) => Judgement::Explained,
                _ => Judgement::Wrong(fault.what),
            };
        }
        match self.fault(terms, choice, |friend| self.weigh_as_last_known(job, terms, choice, friend)) {
            Some(_) => Judgement::Explained,
            None if self.is_excused(terms, choice) => Judgement::Excused,
            None => Judgement::Right,
        }
    }

    /// Whether seats may be empty because the server did not know yet who is back.
    fn is_excused(&self, terms: &Terms<'_>, choice: &Choice) -> bool {
        choice.opened && choice.members.len() < seats(terms, choice) && self.just_back(choice.from, choice.to)
    }

    /// What is wrong with a choice when friends are weighed like this.
    fn fault(&self, terms: &Terms<'_>, choice: &Choice, weigh: impl Fn(&FriendTrace) -> Weighed) -> Option<Fault> {
        let seats = seats(terms, choice);
        if choice.members.len() > seats.max(1) {
            return Some(Fault::of(format!("{} were asked at once, of at most {seats}", choice.members.len())));
        }
        // The farthest seat that was given by nearness; a fairness seat has a rule of its own.
        let mut last: Option<(u32, FriendId)> = None;
        for asked in &choice.members {
            let Some(trace) = self.friends.get(&asked.friend) else { continue };
            let weighed = weigh(trace);
            if weighed.suitable == Held::No {
                return Some(Fault::of(format!("{} was asked but {}", asked.friend, weighed.failed)));
            }
            let shown = (rounded_m((weighed.near_m - EDGE_M).max(0.0)), rounded_m(weighed.far_m + EDGE_M));
            if !(shown.0..=shown.1).contains(&asked.distance_m) {
                let what = format!("{} stands at {} to {} m, not {}", asked.friend, shown.0, shown.1, asked.distance_m);
                return Some(Fault::of(what));
            }
            if asked.why.reason == WhyReason::Nearest {
                last = last.max(Some((asked.distance_m, asked.friend)));
            }
        }
        let short =
            choice.opened && choice.members.len() < seats && !self.strangers && !self.just_back(choice.from, choice.to);
        if last.is_none() && !short {
            return None;
        }
        // With all seats taken only who stood nearer than the farthest of them matters.
        let near = last.filter(|_| !short).and_then(|(last_m, _)| {
            self.ground.near(terms.posted.job.location, f64::from(last_m) + f64::from(DISTANCE_STEP_M))
        });
        let candidates: Box<dyn Iterator<Item = &FriendTrace>> = match &near {
            Some(near) => Box::new(near.iter().filter_map(|id| self.friends.get(id))),
            None => Box::new(self.friends.values()),
        };
        // Seats may have gone to friends whose connection was gone, and nobody will have heard of it.
        let mut unheard = 0;
        let mut left_out = None;
        for trace in candidates {
            let id = trace.profile.id;
            if choice.before.contains(&id) || choice.members.iter().any(|asked| asked.friend == id) {
                continue;
            }
            let weighed = weigh(trace);
            if weighed.suitable != Held::No && trace.may_have_missed(choice.from, choice.to, &self.rules) {
                unheard += 1;
            }
            if weighed.suitable != Held::Surely {
                continue;
            }
            let at_most_m = rounded_m(weighed.far_m + EDGE_M);
            if let Some((last_m, friend)) = last.filter(|(last_m, _)| at_most_m < *last_m) {
                let what = format!("{friend} at {last_m} m was asked, and {id} at {at_most_m} m was not");
                return Some(Fault { what, by_order: true });
            }
            left_out = left_out.max(Some((at_most_m, id)));
        }
        let (at_m, id) = left_out.filter(|_| short && choice.members.len() + unheard < seats)?;
        Some(Fault::of(format!("only {} were asked, and {id} at {at_m} m was not", choice.members.len())))
    }

    /// With all that may have been in the window of the choice.
    fn weigh(&self, job: &JobTrace, terms: &Terms<'_>, choice: &Choice, friend: &FriendTrace) -> Weighed {
        let (from, to, rules) = (choice.from, choice.to, &self.rules);
        let mut weighed = Weighed { suitable: Held::Surely, failed: "", near_m: f64::INFINITY, far_m: 0.0 };
        for (_, place) in friend.positions(from, to, rules) {
            let distance_m = place.distance_m(terms.posted.job.location);
            weighed.near_m = weighed.near_m.min(distance_m);
            weighed.far_m = weighed.far_m.max(distance_m);
        }
        let (held, held_at_most) = FriendTrace::count(&friend.jobs, from, to);
        let (hand, hand_at_most) = FriendTrace::count(&friend.hand, from, to);
        let (places, hand_max) =
            (usize::from(friend.profile.jobs_held_max), usize::from(terms.community.policy.hand_max));
        let limit_m = limit_m(terms, friend);
        let no_more = no_more(job, friend.profile.id);
        weighed
            .gate(static_gates(terms, choice.wave, friend))
            .gate((friend.available(from, to, rules), "was not on duty or in reach"))
            .gate((between(weighed.far_m <= limit_m - EDGE_M, weighed.near_m <= limit_m + EDGE_M), "is too far away"))
            .gate((between(held_at_most < places, held < places), "has no free place"))
            .gate((
                between(
                    no_more.is_none_or(|(first, _)| first > to),
                    // What was said into a connection that broke may have been heard only when it was said again.
                    no_more.is_none_or(|(_, last)| last + rules.in_flight_us > from),
                ),
                "had declined or handed back",
            ))
            .gate((between(!choice.before.contains(&friend.profile.id), false), "had been asked in this run"))
            .gate((between(hand_at_most < hand_max, hand < hand_max), "had a full hand"))
    }

    /// With what was last sent and heard when the first offer of the choice came.
    fn weigh_as_last_known(&self, job: &JobTrace, terms: &Terms<'_>, choice: &Choice, friend: &FriendTrace) -> Weighed {
        let at = choice.to;
        let mut weighed = Weighed { suitable: Held::Surely, failed: "", near_m: f64::INFINITY, far_m: 0.0 };
        if let Some((_, place)) = friend.fixes.iter().rev().find(|(sent_at, _)| *sent_at <= at) {
            weighed.near_m = place.distance_m(terms.posted.job.location);
            weighed.far_m = weighed.near_m;
        }
        let now = |holdings: &[Holding]| {
            holdings.iter().filter(|holding| holding.span.sure_from < at && at < holding.span.maybe_to).count()
        };
        let (places, hand_max) =
            (usize::from(friend.profile.jobs_held_max), usize::from(terms.community.policy.hand_max));
        let limit_m = limit_m(terms, friend);
        let sure = |open: bool| between(open, false);
        let available = friend.available(at, at, &self.rules) != Held::No;
        let free = no_more(job, friend.profile.id).is_none_or(|(first, _)| first > at);
        weighed
            .gate(static_gates(terms, choice.wave, friend))
            .gate((sure(available), "was not on duty or in reach"))
            .gate((sure(weighed.near_m <= limit_m + EDGE_M), "is too far away"))
            .gate((sure(now(&friend.jobs) < places), "has no free place"))
            .gate((sure(free), "had declined or handed back"))
            .gate((sure(!choice.before.contains(&friend.profile.id)), "had been asked in this run"))
            .gate((sure(now(&friend.hand) < hand_max), "had a full hand"))
    }
}

/// How many may be asked in a choice.
fn seats(terms: &Terms<'_>, choice: &Choice) -> usize {
    let seats = usize::from(terms.community.policy.seats);
    seats.min((usize::from(terms.plan.waves) * seats).saturating_sub(choice.before.len()))
}

/// Something wrong with a choice.
struct Fault {
    what: String,
    /// Only the order is wrong: somebody nearer was passed over.
    by_order: bool,
}

impl Fault {
    fn of(what: String) -> Fault {
        Fault { what, by_order: false }
    }
}

impl Weighed {
    /// Passes one more gate; the first that surely fails is remembered.
    fn gate(mut self, (open, failed): (Held, &'static str)) -> Weighed {
        if open == Held::No && self.suitable != Held::No {
            self.failed = failed;
        }
        self.suitable = self.suitable.min(open);
        self
    }
}

fn between(surely: bool, perhaps: bool) -> Held {
    match (surely, perhaps) {
        (true, _) => Held::Surely,
        (false, true) => Held::Maybe,
        (false, false) => Held::No,
    }
}

/// How far the friend may stand: a cap that holds fewer than four gives way to the next in the same step, so whoever is
/// among the nearest is limited by the last cap only.
fn limit_m(terms: &Terms<'_>, friend: &FriendTrace) -> f64 {
    let cap_m = terms.plan.caps_m.last().copied().unwrap_or(u32::MAX);
    f64::from(cap_m.min(friend.profile.radius_m))
}

/// When the friend first and last said that they do not want the job.
pub(crate) fn no_more(job: &JobTrace, friend: FriendId) -> Option<(Moment, Moment)> {
    let declined = job.declined.iter().filter(|(_, who)| *who == friend).map(|(at, _)| *at);
    let handed_back = job.handed_back.iter().filter(|(_, who, _)| *who == friend).map(|(at, ..)| *at);
    let said = declined.chain(handed_back);
    said.clone().min().zip(said.max())
}

/// The gates that do not change while a run goes on.
fn static_gates(terms: &Terms<'_>, wave: u8, trace: &FriendTrace) -> (Held, &'static str) {
    let Terms { posted, community, package, plan } = terms;
    let friend = &*trace.profile;
    let crowd_joined = match community.crowd {
        Crowd::Own => false,
        Crowd::OwnThenAll => wave >= plan.crowd_joins_wave,
        Crowd::All => true,
    };
    let member = friend.communities.contains(&community.slug);
    let tier_fits = match (package.tier, friend.tier) {
        (Tier::Friend, Tier::Friend) | (Tier::Pro, Tier::Pro) => true,
        (Tier::Friend, Tier::Pro) => wave >= plan.pros_join_wave,
        (Tier::Pro, Tier::Friend) => false,
    };
    let rate_fits = match package.pricing {
        Pricing::Fixed { .. } | Pricing::Guide { .. } => true,
        Pricing::Hourly { from, to } => friend.hourly_rate.is_some_and(|rate| {
            rate.currency == from.currency
                && (from.amount..=to.amount).contains(&rate.amount)
                && posted.job.max_hourly_rate.is_none_or(|most| rate.amount <= most.amount)
        }),
    };
    let language = posted.job.customer.language;
    let gates = [
        (friend.account.is_active(), "is not active"),
        (member || crowd_joined, "is not of the community"),
        (community.takes_from(friend.country), "is in another country"),
        (tier_fits, "is not of the tier"),
        (package.skills.iter().all(|need| friend.level(&need.skill) >= need.level), "lacks a skill"),
        (
            !community.partner_customer || !member || friend.customer_of.contains(&posted.partner),
            "is not the partner's customer",
        ),
        (friend.languages.is_empty() || friend.languages.contains(&language), "does not speak the language"),
        (rate_fits, "has another rate"),
    ];
    let failed = gates.into_iter().find(|(open, _)| !open);
    failed.map_or((Held::Surely, ""), |(_, what)| (Held::No, what))
}
