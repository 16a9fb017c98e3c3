//! Who was asked, held against everybody who could have been. The gates and the order are written here a second time,
//! from the rules of the trade and not from the core: everybody on the streets is weighed, whatever the search has
//! seen.

use kiez_protocol::directory::{CountryPair, Crowd, Friend, Pricing, Site, Tier};
use kiez_protocol::friend::{ClosedReason, WhyReason};
use kiez_protocol::ids::{FriendId, Word};
use kiez_protocol::partner::{JobState, Window};
use kiez_protocol::place::rounded_m;
use kiez_protocol::profile::{Account, Block, Check, CheckKind};
use kiez_protocol::time::Time;

use super::super::calendar;
use super::super::streets::{FriendNo, Record, Streets, friend_id, friend_no};
use super::book::{Book, Load};
use super::job::{Asked, GRACE_MS, Page, net_of};
use super::{Checked, Rule, Tally, hold};
use crate::dispatch::decision::{Candidate, Decision, Outcome, Waited};
use crate::dispatch::effect::JobRecord;
use crate::dispatch::gates::Gate;
use crate::dispatch::job::{Offer, OfferState};
use crate::dispatch::rank::Wait;

/// The seat of a wave that is for the longest wait.
const KEPT_SEAT: u8 = 0;
/// Half round the earth, metres.
const ANYWHERE_M: f64 = 20_015_200.0;

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
    let direct = page.booking.direct;
    hold(!page.held && direct.is_none_or(|direct| direct.fallback), Rule::Named, page.id, || {
        format!("others than {direct:?} are looked for, held {} until {}", page.held, page.hold_until)
    })?;
    let policy = &page.terms.community.policy;
    let asked = page.asked.iter().filter(|asked| asked.offer.attempt == page.attempt).count() + chosen.len();
    let most = usize::from(page.plan().waves) * usize::from(policy.seats);
    let looks = page.state != JobState::Dispatching || asked <= most;
    hold(looks, Rule::Seats, page.id, || format!("{asked} friends are asked in one run, of at most {most}"))?;
    tally.looked(Rule::Nearest);
    nearest(book, page, decision, chosen, streets, tally)
}

/// A seat is given to one friend at a time. Only one whose offer did not arrive in time may be passed over, and keeps
/// it.
fn seat_is_free(page: &Page, offer: &Offer, now: Time) -> Checked {
    let policy = &page.terms.community.policy;
    hold(offer.wave_seat < policy.seats, Rule::Seats, page.id, || {
        format!("a wave of {} has a seat {}", policy.seats, offer.wave_seat)
    })?;
    let same =
        |other: &Offer| (other.attempt, other.wave, other.wave_seat) == (offer.attempt, offer.wave, offer.wave_seat);
    let sits = |asked: &&Asked| {
        let other = &asked.offer;
        same(other) && matches!(other.state, OfferState::Live | OfferState::Closed(ClosedReason::Expired))
    };
    let kept = page
        .undoable
        .iter()
        .find(|(id, undo)| undo.seated && undo.until > now && page.offer(**id).is_some_and(|asked| same(&asked.offer)));
    hold(kept.is_none(), Rule::Undo, page.id, || {
        format!("seat {} of wave {} is kept for {kept:?}, and given to {}", offer.wave_seat, offer.wave, offer.friend)
    })?;
    for asked in page.asked.iter().filter(sits) {
        hold(asked.failed(now), Rule::Seats, page.id, || {
            format!(
                "seat {} of wave {} is {}'s, whose offer arrived {:?}, and is given to {}",
                offer.wave_seat, offer.wave, asked.offer.friend, asked.arrived_at, offer.friend
            )
        })?;
    }
    Ok(())
}

/// The friend whom the customer has named is asked: they and nobody else, in their time, and suitable but for how far away
/// they are and what their calendar says.
pub(super) fn named(book: &Book, page: &Page, offer: &Offer, streets: Option<&Streets>) -> Checked {
    let theirs = page.booking.direct.is_some_and(|direct| direct.friend == offer.friend);
    let alone = page.live().next().is_none() && page.direct(page.attempt).is_none();
    let in_time = page.held && offer.sent_at < page.hold_until;
    hold(theirs && alone && in_time, Rule::Named, page.id, || {
        format!("{} is asked at {}; held {} until {}", offer.friend, offer.sent_at, page.held, page.hold_until)
    })?;
    let Some(streets) = streets else { return Ok(()) };
    let number = friend_no(offer.friend);
    let record = &streets.records[number];
    let distance_m = record.stands().map(|at| at.distance_m(page.booking.place));
    let gate = weighed(book, page, (u8::MAX, offer.sent_at), true, number, record, 0.0);
    let right = distance_m.map(rounded_m) == Some(offer.distance_m) && gate.is_ok();
    hold(right, Rule::Named, page.id, || format!("{} at {distance_m:?} m is asked: {gate:?}", offer.friend))
}

/// Whether the job may pass from whom the customer has named to others: they have had their offer, or their time is over,
/// or a gate is shut that will not open while it is held for them.
pub(super) fn may_pass(book: &Book, page: &Page, before: u16, record: &JobRecord, streets: &Streets) -> Checked {
    let now = record.job.updated_at;
    let Some(direct) = page.booking.direct else {
        return hold(false, Rule::Named, page.id, || "passes on, and nobody was named".to_owned());
    };
    let had = page.asked.iter().filter(|asked| asked.offer.is_direct() && asked.offer.attempt >= before).any(|asked| {
        let new = record.offers.iter().find(|offer| offer.id == asked.offer.id).unwrap_or(&asked.offer);
        match new.state {
            OfferState::Live => false,
            OfferState::Closed(ClosedReason::Expired) => new.expires_at + GRACE_MS <= now,
            OfferState::Closed(_) => true,
        }
    });
    let number = friend_no(direct.friend);
    let standing = streets.records[number].stands().is_some() && page.night().until(now).is_none();
    let shut = || weighed(book, page, (u8::MAX, now), true, number, &streets.records[number], 0.0);
    let over = had || page.hold_until <= now;
    let gate = if over || !standing { Ok(()) } else { shut() };
    let unfit = gate.is_err_and(|gate| !matches!(gate, Gate::Reachable | Gate::FullHand));
    hold(over || unfit, Rule::Named, page.id, || {
        format!("passes on from {} at {now}, held until {}: {gate:?}", direct.friend, page.hold_until)
    })
}

/// How many could be asked in the end, if the job had to go on to its last wave.
pub(super) fn in_reach(book: &Book, page: &Page, now: Time, streets: &Streets) -> usize {
    let farthest_m = caps_m(page).last().copied().unwrap_or(0.0);
    let fits = |(friend, record): &(FriendNo, &Record)| {
        let distance_m = record.stands().map(|at| at.distance_m(page.booking.place));
        distance_m.is_some_and(|distance_m| {
            distance_m <= farthest_m && suitable(book, page, (u8::MAX, now), *friend, record, distance_m).is_ok()
        })
    };
    standing(streets).filter(fits).count()
}

/// The caps of its waves, metres. Remote work is done from anywhere.
pub(super) fn caps_m(page: &Page) -> Vec<f64> {
    match page.terms.package.site {
        Site::OnSite => page.plan().caps_m.iter().copied().map(f64::from).collect(),
        Site::Remote => vec![ANYWHERE_M],
    }
}

fn nearest(
    book: &Book,
    page: &Page,
    decision: &Decision,
    chosen: &[&Offer],
    streets: &Streets,
    tally: &mut Tally,
) -> Checked {
    let caps = caps_m(page);
    let first = usize::from(decision.wave.saturating_sub(1)).min(caps.len().saturating_sub(1));
    let stage = stage(page, decision.wave, decision.at);
    let farthest_m = caps.last().copied().unwrap_or(0.0);
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
    let wanted = decision.seats.len();
    // The first cap that holds enough; if none does, the last.
    let within = |cap_m: f64| round.iter().filter(move |weighed| weighed.distance_m <= cap_m);
    let fit = |cap_m: f64| within(cap_m).filter(|weighed| weighed.gate.is_ok());
    let enough = |cap_m: &f64| fit(*cap_m).count() >= wanted;
    let cap_m = caps.iter().skip(first).copied().find(enough).or(caps.last().copied()).unwrap_or(0.0);
    let fault = |what: String| hold(false, Rule::Nearest, page.id, || what);
    if f64::from(decision.cap_m) != cap_m {
        return fault(format!("looked within {} m, and {cap_m} m hold enough", decision.cap_m));
    }
    // Beyond the last of the nearest the seat that is kept for the longest wait reaches, if it is to be given.
    let policy = &page.terms.community.policy;
    let kept = policy.fairness_seat && policy.seats > 1 && decision.seats.contains(&KEPT_SEAT);
    let last = wanted.checked_sub(1).and_then(|last| fit(cap_m).nth(last));
    let last_m = last.map_or(u32::MAX, |last| {
        let reach_m = f64::from(last.rounded_m) * f64::from(policy.fairness_reach_percent) / 100.0;
        if kept { last.rounded_m.max((reach_m / 50.0).floor() as u32 * 50) } else { last.rounded_m }
    });
    let pool: Vec<&Weighed> = fit(cap_m).take_while(|weighed| weighed.rounded_m <= last_m).collect();
    let ranked = ranked(book, &pool, decision);
    let right = seated(&ranked, &decision.seats, kept && last.is_some());

    for offer in chosen.iter().filter(|offer| offer.why == WhyReason::Fairness) {
        tally.looked(Rule::Fair);
        let deficit = |friend| ranked.iter().find(|ranked| ranked.friend == friend).map(|ranked| ranked.deficit);
        let theirs = deficit(offer.friend);
        let longer = ranked.iter().find(|other| Some(other.deficit) > theirs);
        hold(kept && longer.is_none(), Rule::Fair, page.id, || {
            format!("{} got it with {theirs:?} days, and {longer:?} waits longer", offer.friend)
        })?;
    }
    let seats: Vec<Place> = chosen
        .iter()
        .map(|offer| (offer.friend, offer.distance_m, offer.wave_seat, usize::from(offer.rank), offer.why))
        .collect();
    if right != seats {
        let why = explain(&round, chosen);
        return fault(format!("asked {seats:?} in wave {}, and by the rule it is {right:?}{why}", decision.wave));
    }
    // The record of the choice tells of everybody up to the last one's step, and of nobody else.
    let mut told = decision.candidates.iter();
    for (rank, ranked) in (1..).zip(&ranked) {
        let seat = right.iter().find(|(friend, ..)| *friend == ranked.friend);
        let rank = u16::try_from(rank).unwrap_or(u16::MAX);
        let outcome = match seat {
            Some((_, _, seat, _, why)) => Outcome::Seat { seat: *seat, rank, why: *why },
            None => Outcome::Ranked { rank },
        };
        let waited = Waited { wait: ranked.wait, deficit_days: ranked.deficit };
        let expected = Candidate { friend: ranked.friend, distance_m: ranked.rounded_m, waited: Some(waited), outcome };
        let candidate = told.next();
        if candidate != Some(&expected) {
            return fault(format!("the decision says {candidate:?}, by the rule it is {expected:?}"));
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
    })?;
    tally.looked(Rule::Replay);
    let again = decision.again();
    hold(again == *decision, Rule::Replay, page.id, || format!("{decision:?} becomes {again:?}"))
}

/// Friend, rounded metres, seat, rank and reason of somebody who was asked.
type Place = (FriendId, u32, u8, usize, WhyReason);

/// A suitable friend in their order.
#[derive(Debug)]
struct Ranked {
    friend: FriendId,
    rounded_m: u32,
    wait: Wait,
    deficit: u32,
}

/// The suitable by distance, then by how much longer they have waited than the others, then by id.
fn ranked(book: &Book, pool: &[&Weighed], decision: &Decision) -> Vec<Ranked> {
    let wait = |weighed: &Weighed| {
        let (load, friend) = (&book.loads[weighed.friend], friend_id(weighed.friend));
        // After a refused record the dispatcher may have lost count: then its own word is taken.
        let said = || decision.candidates.iter().find(|candidate| candidate.friend == friend)?.waited;
        match said().filter(|_| load.hazy) {
            Some(said) => said.wait,
            None => load.wait(decision.at),
        }
    };
    let waits: Vec<Wait> = pool.iter().map(|weighed| wait(weighed)).collect();
    let mut counts: Vec<u32> = waits.iter().map(|wait| wait.offers).collect();
    counts.sort_unstable();
    // Of two in the middle the lower one.
    let median = if counts.is_empty() { 0 } else { counts[(counts.len() - 1) / 2] };
    let mut ranked: Vec<Ranked> = std::iter::zip(pool, waits)
        .map(|(weighed, wait)| {
            let waited = wait.days + if wait.newcomer { 7 } else { 0 };
            let more = wait.offers.max(median) - median;
            let deficit = waited.max(more) - more;
            Ranked { friend: friend_id(weighed.friend), rounded_m: weighed.rounded_m, wait, deficit }
        })
        .collect();
    ranked.sort_by(|a, b| a.rounded_m.cmp(&b.rounded_m).then(b.deficit.cmp(&a.deficit)).then(a.friend.cmp(&b.friend)));
    ranked
}

/// Who sits where, by rank: the nearest, but where one seat is kept it is for the longest wait in reach.
fn seated(ranked: &[Ranked], seats: &[u8], kept: bool) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    let mut place = |index: usize, seat: u8, why: WhyReason| {
        places.push((ranked[index].friend, ranked[index].rounded_m, seat, index + 1, why));
    };
    let most = ranked.iter().map(|ranked| ranked.deficit).max().filter(|_| kept);
    let longest = most.and_then(|most| ranked.iter().position(|ranked| ranked.deficit == most));
    match longest.filter(|longest| *longest >= seats.len()) {
        Some(longest) => {
            let others = seats.iter().filter(|seat| **seat != KEPT_SEAT);
            others.enumerate().for_each(|(index, seat)| place(index, *seat, WhyReason::Nearest));
            place(longest, KEPT_SEAT, WhyReason::Fairness);
        }
        None => {
            let taken = seats.iter().take(ranked.len());
            taken.enumerate().for_each(|(index, seat)| place(index, *seat, WhyReason::Nearest));
        }
    }
    places
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
    let passed = page.night().run_ms(page.run.started_at, now) / page.plan().interval_ms.max(1) + 1;
    wave.max(u8::try_from(passed).unwrap_or(u8::MAX))
}

/// The gates, in the order of the rules of the trade, §4. The distance is within the cap already.
pub(super) fn suitable(
    book: &Book,
    page: &Page,
    at: (u8, Time),
    number: FriendNo,
    record: &Record,
    distance_m: f64,
) -> Result<(), Gate> {
    weighed(book, page, at, false, number, record, distance_m)
}

/// The same, or for whom the customer has named: what their calendar says and how far away they are does not matter.
pub(super) fn weighed(
    book: &Book,
    page: &Page,
    (stage, now): (u8, Time),
    named: bool,
    number: FriendNo,
    record: &Record,
    distance_m: f64,
) -> Result<(), Gate> {
    let (friend, load) = (&*record.profile, &book.loads[number]);
    let (community, package, plan) = (&*page.terms.community, &*page.terms.package, page.plan());
    let open = |gate: Gate, open: bool| if open { Ok(()) } else { Err(gate) };
    open(Gate::Active, friend.account == Account::Active)?;
    open(Gate::OnDuty, named || record.on_duty || calendar_has_time(page, friend, now))?;
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
    open(Gate::Distance, named || package.site == Site::Remote || distance_m <= f64::from(friend.radius_m))?;
    open(Gate::Overlap, leaves_time(page, load))?;
    open(Gate::Capacity, load.held.len() < usize::from(friend.jobs_held_max))?;
    open(Gate::Caps, within_caps(page, friend, load, now))?;
    open(Gate::Blocked, !is_kept_away(page, friend, now))?;
    open(Gate::CoolDown, load.cool_until.is_none_or(|until| until <= now))?;
    open(Gate::FullHand, load.hand.len() < usize::from(community.policy.hand_max))
}

/// Whether the work fits into one of the customer's windows beside what the friend has agreed to: from its beginning, or
/// from the end of something. A window in which there is nothing else is long enough.
fn leaves_time(page: &Page, load: &Load) -> bool {
    let (windows, busy) = (&page.booking.windows, &load.appointments);
    let needed_ms = i64::from(page.terms.package.duration_min) * 60_000;
    let meets = |from: Time, to: Time| busy.iter().any(|(_, busy)| busy.from < to && from < busy.to);
    let fits = |window: &Window| {
        let starts = busy.iter().map(|(_, busy)| busy.to).chain([window.from]).filter(|from| *from >= window.from);
        let room = |from: Time| from + needed_ms <= window.to && !meets(from, from + needed_ms);
        !meets(window.from, window.to) || starts.into_iter().any(room)
    };
    busy.is_empty() || windows.is_empty() || windows.iter().any(fits)
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
    let here = |offer: &Offer| offer.attempt == page.attempt || offer.is_direct();
    page.asked.iter().any(|asked| asked.offer.friend == friend && here(&asked.offer))
}
