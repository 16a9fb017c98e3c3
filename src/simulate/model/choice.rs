//! Who was asked, held against everybody who could have been. The gates and the order are written here a second time,
//! from the rules of the trade and not from the core: everybody on the streets is weighed, whatever the search has
//! seen.

use kiez_protocol::directory::{CountryPair, Crowd, Friend, Pricing, Site, Tier};
use kiez_protocol::friend::ClosedReason;
use kiez_protocol::ids::{FriendId, Word};
use kiez_protocol::partner::JobState;
use kiez_protocol::place::rounded_m;
use kiez_protocol::profile::{Account, Block, Check, CheckKind};
use kiez_protocol::time::Time;

use super::super::calendar;
use super::super::streets::{FriendNo, Record, Streets, friend_id};
use super::book::{Book, Load};
use super::job::{Asked, Page, net_of};
use super::{Checked, Rule, Tally, hold};
use crate::dispatch::decision::{Decision, Outcome};
use crate::dispatch::gates::Gate;
use crate::dispatch::job::{Offer, OfferState};

/// Somebody on the streets, weighed for a job.
struct Weighed {
    friend: FriendNo,
    distance_m: f64,
    rounded_m: u32,
    gate: Result<(), Gate>,
}

/// Looks at one choice: the seats it fills, and the friends it gives them to.
pub(super) fn check(
    book: &Book,
    page: &Page,
    decision: &Decision,
    chosen: &[&Offer],
    streets: &Streets,
    tally: &mut Tally,
) -> Checked {
    for offer in chosen {
        tally.looked(Rule::Seats);
        seat_is_free(page, offer, decision.at)?;
    }
    let policy = &page.terms.community.policy;
    let asked = page.asked.iter().filter(|asked| asked.offer.attempt == page.attempt).count() + chosen.len();
    let most = usize::from(page.plan().waves) * usize::from(policy.seats);
    let looks = page.state != JobState::Dispatching || asked <= most;
    hold(looks, Rule::Seats, page.id, || format!("{asked} friends are asked in one run, of at most {most}"))?;
    tally.looked(Rule::Nearest);
    nearest(book, page, decision, chosen, streets)
}

/// A seat is given to one friend at a time. Only one whose offer did not arrive in time may be passed over, and keeps
/// it.
fn seat_is_free(page: &Page, offer: &Offer, now: Time) -> Checked {
    let policy = &page.terms.community.policy;
    hold(offer.wave_seat < policy.seats, Rule::Seats, page.id, || {
        format!("a wave of {} has a seat {}", policy.seats, offer.wave_seat)
    })?;
    let sits = |asked: &&Asked| {
        let other = &asked.offer;
        let same = (other.attempt, other.wave, other.wave_seat) == (offer.attempt, offer.wave, offer.wave_seat);
        same && matches!(other.state, OfferState::Live | OfferState::Closed(ClosedReason::Expired))
    };
    for asked in page.asked.iter().filter(sits) {
        let due = asked.arrives_by;
        let failed = due <= now && asked.arrived_at.is_none_or(|at| at >= due);
        hold(failed, Rule::Seats, page.id, || {
            format!(
                "seat {} of wave {} is {}'s, whose offer arrived {:?}, and is given to {}",
                offer.wave_seat, offer.wave, asked.offer.friend, asked.arrived_at, offer.friend
            )
        })?;
    }
    Ok(())
}

fn nearest(book: &Book, page: &Page, decision: &Decision, chosen: &[&Offer], streets: &Streets) -> Checked {
    let caps = &page.plan().caps_m;
    let first = usize::from(decision.wave.saturating_sub(1)).min(caps.len().saturating_sub(1));
    let stage = stage(page, decision.wave, decision.at);
    let farthest_m = caps.last().copied().map_or(0.0, f64::from);
    let mut round: Vec<Weighed> = standing(streets)
        .filter_map(|(friend, record)| {
            let distance_m = record.stands()?.distance_m(page.booking.place);
            (distance_m <= farthest_m).then(|| {
                let gate = suitable(book, page, (stage, decision.at), friend, record, distance_m);
                Weighed { friend, distance_m, rounded_m: rounded_m(distance_m), gate }
            })
        })
        .collect();
    round.sort_by_key(|weighed| (weighed.rounded_m, weighed.friend));
    let wanted = usize::from(decision.wanted);
    // The first cap that holds enough; if none does, the last.
    let within = |cap_m: u32| round.iter().filter(move |weighed| weighed.distance_m <= f64::from(cap_m));
    let enough = |cap_m: &u32| within(*cap_m).filter(|weighed| weighed.gate.is_ok()).count() >= wanted;
    let cap_m = caps.iter().skip(first).copied().find(enough).or(caps.last().copied()).unwrap_or(0);
    let suitable: Vec<&Weighed> = within(cap_m).filter(|weighed| weighed.gate.is_ok()).collect();
    let last_m = suitable.get(wanted.saturating_sub(1)).map_or(u32::MAX, |weighed| weighed.rounded_m);

    let fault = |what: String| hold(false, Rule::Nearest, page.id, || what);
    if decision.cap_m != cap_m {
        return fault(format!("looked within {} m, and {cap_m} m hold enough", decision.cap_m));
    }
    let right = suitable.iter().take(wanted);
    let seats = chosen.iter().map(|offer| (offer.friend, offer.distance_m));
    if !right.clone().map(|weighed| (friend_id(weighed.friend), weighed.rounded_m)).eq(seats.clone()) {
        let (right, seats): (Vec<_>, Vec<_>) = (right.map(|weighed| shown(weighed)).collect(), seats.collect());
        let why = explain(&round, chosen);
        return fault(format!("asked {seats:?} in wave {}, and the nearest are {right:?}{why}", decision.wave));
    }
    let ranks = chosen.iter().zip(1..).all(|(offer, rank)| offer.rank == rank);
    hold(ranks, Rule::Nearest, page.id, || "the ranks of the offers are not those of the choice".to_owned())?;
    // The record of the choice tells of everybody up to the last one's step, and of nobody else.
    let mut told = decision.candidates.iter();
    let listed = |weighed: &&&Weighed| weighed.rounded_m <= last_m;
    for (index, weighed) in suitable.iter().filter(listed).enumerate() {
        let fits = told.next().is_some_and(|candidate| {
            let seat = matches!(candidate.outcome, Outcome::Seat { .. });
            let ranked = matches!(candidate.outcome, Outcome::Ranked { .. });
            let outcome = if index < chosen.len() { seat } else { ranked };
            outcome && (candidate.friend, candidate.distance_m) == (friend_id(weighed.friend), weighed.rounded_m)
        });
        if !fits {
            return fault(format!("the decision leaves out {}", shown(weighed)));
        }
    }
    for weighed in within(cap_m).filter(|weighed| weighed.rounded_m <= last_m) {
        let Err(gate) = weighed.gate else { continue };
        let fits = told.next().is_some_and(|candidate| {
            let same = (candidate.friend, candidate.distance_m) == (friend_id(weighed.friend), weighed.rounded_m);
            same && candidate.outcome == Outcome::Failed { gate }
        });
        if !fits {
            return fault(format!("the decision does not say that {} fails at {gate:?}", shown(weighed)));
        }
    }
    hold(told.next().is_none(), Rule::Nearest, page.id, || {
        "the decision tells of somebody who was not there".to_owned()
    })?;
    let beyond = within(cap_m).find(|weighed| weighed.rounded_m > last_m);
    let silent = beyond.filter(|weighed| decision.beyond_m.is_none_or(|beyond_m| weighed.rounded_m + 50 < beyond_m));
    hold(silent.is_none(), Rule::Nearest, page.id, || {
        format!("nobody else nearer than {:?} m, says the decision", decision.beyond_m)
    })
}

fn shown(weighed: &Weighed) -> String {
    format!("{} at {} m", friend_id(weighed.friend), weighed.rounded_m)
}

/// Why somebody who was asked should not have been.
fn explain(round: &[Weighed], chosen: &[&Offer]) -> String {
    let unfit = |offer: &&&Offer| -> Option<String> {
        match round.iter().find(|weighed| friend_id(weighed.friend) == offer.friend) {
            Some(weighed) => weighed.gate.err().map(|gate| format!("; {} fails at {gate:?}", offer.friend)),
            None => Some(format!("; {} is not there", offer.friend)),
        }
    };
    chosen.iter().find_map(|offer| unfit(&offer)).unwrap_or_default()
}

/// Everybody whom a search could find.
pub(super) fn standing(streets: &Streets) -> impl Iterator<Item = (FriendNo, &Record)> {
    streets.records.iter().enumerate().filter(|(_, record)| record.stands().is_some())
}

/// The wave by which pros and the whole crowd join: the wave, or as many as would have opened by now.
pub(super) fn stage(page: &Page, wave: u8, now: Time) -> u8 {
    let passed = now.since(page.run.started_at) / page.plan().interval_ms.max(1) + 1;
    wave.max(u8::try_from(passed).unwrap_or(u8::MAX))
}

/// The gates, in the order of the rules of the trade, §4. The distance is within the cap already.
pub(super) fn suitable(
    book: &Book,
    page: &Page,
    (stage, now): (u8, Time),
    number: FriendNo,
    record: &Record,
    distance_m: f64,
) -> Result<(), Gate> {
    let (friend, load) = (&*record.profile, &book.loads[number]);
    let (community, package, plan) = (&*page.terms.community, &*page.terms.package, page.plan());
    let open = |gate: Gate, open: bool| if open { Ok(()) } else { Err(gate) };
    open(Gate::Active, friend.account == Account::Active)?;
    open(Gate::OnDuty, record.on_duty || calendar_has_time(page, friend, now))?;
    open(Gate::Reachable, record.session.is_some())?;
    let member = friend.communities.contains(&community.slug);
    let everybody = match community.crowd {
        Crowd::Own => false,
        Crowd::OwnThenAll => stage >= plan.crowd_joins_wave,
        Crowd::All => true,
    };
    open(Gate::Community, member || everybody)?;
    let pair = |pair: &CountryPair| (pair.friend, pair.job) == (friend.country, community.country);
    let neighbours = friend.country == community.country || community.cross_border.iter().any(pair);
    open(Gate::Country, neighbours)?;
    let tier = match (package.tier, friend.tier) {
        (Tier::Pro, tier) => tier == Tier::Pro,
        (Tier::Friend, Tier::Friend) => true,
        (Tier::Friend, Tier::Pro) => stage >= plan.pros_join_wave,
    };
    open(Gate::Tier, tier)?;
    let can = |skill: &kiez_protocol::directory::SkillLevel| {
        friend.skills.iter().any(|has| has.skill == skill.skill && has.level >= skill.level)
    };
    open(Gate::Skill, package.skills.iter().all(can))?;
    let lasts = |until: Option<Time>| until.is_none_or(|until| until > now);
    let certified =
        |need: &Word| friend.certificates.iter().any(|has| has.certificate == *need && lasts(has.valid_until));
    open(Gate::Certificate, package.certificates.iter().all(certified))?;
    let passed = |kind| friend.checks.iter().any(|check| check.kind == kind && lasts(check.valid_until));
    let checked = |kind| !community.checks.contains(&kind) || passed(kind);
    open(Gate::Identity, checked(CheckKind::IdentityAndBackground))?;
    let least = community.age_min.or(community.checks.contains(&CheckKind::Age).then_some(18));
    let old = |check: &Check| {
        check.kind == CheckKind::Age && lasts(check.valid_until) && check.years.unwrap_or(18) >= least.unwrap_or(0)
    };
    open(Gate::Age, least.is_none() || friend.checks.iter().any(old))?;
    open(Gate::Insurance, checked(CheckKind::Insurance))?;
    open(Gate::Knowledge, checked(CheckKind::Knowledge))?;
    let asks = community.partner_customer || community.checks.contains(&CheckKind::PartnerCustomer);
    let theirs = |check: &Check| {
        check.kind == CheckKind::PartnerCustomer
            && check.partner.as_ref() == Some(&page.partner)
            && lasts(check.valid_until)
    };
    let customer = friend.customer_of.contains(&page.partner) || friend.checks.iter().any(theirs);
    open(Gate::PartnerCustomer, !asks || !member || customer)?;
    let speaks = friend.languages.is_empty() || friend.languages.contains(&page.booking.customer.language);
    open(Gate::Language, speaks)?;
    let rate = match package.pricing {
        Pricing::Fixed { .. } | Pricing::Guide { .. } => true,
        Pricing::Hourly { from, to } => friend.hourly_rate.is_some_and(|rate| {
            let most = page.booking.max_hourly_rate.map_or(to.amount, |most| most.amount.min(to.amount));
            rate.currency == from.currency && from.amount <= rate.amount && rate.amount <= most
        }),
    };
    open(Gate::Rate, rate)?;
    open(Gate::Distance, package.site == Site::Remote || distance_m <= f64::from(friend.radius_m))?;
    open(Gate::Capacity, load.held.len() < usize::from(friend.jobs_held_max))?;
    open(Gate::Caps, within_caps(page, friend, load, now))?;
    open(Gate::Blocked, !is_kept_away(page, friend, now))?;
    open(Gate::CoolDown, load.cool_until.is_none_or(|until| until <= now))?;
    open(Gate::FullHand, load.hand.len() < usize::from(community.policy.hand_max))
}

/// Whether the calendar of somebody off duty has time when the customer does.
fn calendar_has_time(page: &Page, friend: &Friend, now: Time) -> bool {
    let windows = &page.booking.windows;
    match windows.is_empty() {
        true => calendar::meets(&friend.availability, now, page.expires_at),
        false => windows.iter().any(|window| calendar::meets(&friend.availability, window.from.max(now), window.to)),
    }
}

/// Whether one more job leaves the friend below what they want to do in a month or a year.
fn within_caps(page: &Page, friend: &Friend, load: &Load, now: Time) -> bool {
    let Some(net) = net_of(page, friend) else { return true };
    friend.caps.iter().all(|cap| {
        let began = calendar::began(cap.period, now);
        let taken = || load.taken.iter().filter(|(_, at, _)| *at >= began);
        let earned = |currency| taken().filter(move |(.., net)| net.currency == currency).map(|(.., net)| net.amount);
        let too_many = cap.jobs.is_some_and(|most| taken().count() + 1 > most as usize);
        let too_much = cap.income.is_some_and(|most| {
            most.currency == net.currency && earned(net.currency).sum::<i64>() + net.amount > most.amount
        });
        !too_many && !too_much
    })
}

/// Declined or handed back before, asked in this run, the customer, or kept apart from them.
fn is_kept_away(page: &Page, friend: &Friend, now: Time) -> bool {
    let customer = &page.booking.customer;
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let theirs = |phone: &str| !digits(phone).is_empty() && digits(phone) == digits(&customer.phone);
    let lasts = |until: &Option<Time>| until.is_none_or(|until| until > now);
    let apart = friend.blocks.iter().any(|block| match block {
        Block::Partner { partner, until } => *partner == page.partner && lasts(until),
        Block::Customer { phone, until } => theirs(phone) && lasts(until),
    });
    let lower = |text: &Option<String>| text.as_ref().map(|text| text.to_ascii_lowercase());
    let same_mail = friend.email.is_some() && lower(&friend.email) == lower(&customer.email);
    apart
        || same_mail
        || friend.phone.as_deref().is_some_and(theirs)
        || page.blocked.contains(&friend.id)
        || was_asked(page, friend.id)
}

fn was_asked(page: &Page, friend: FriendId) -> bool {
    page.asked.iter().any(|asked| asked.offer.friend == friend && asked.offer.attempt == page.attempt)
}
