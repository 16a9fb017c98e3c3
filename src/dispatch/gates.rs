//! Who is suitable: all gates, in one fixed order, so that the first failed gate is stable and can be told.

use kiez_protocol::directory::{Crowd, Friend, Pricing, Site, Tier};
pub use kiez_protocol::gate::Gate;
use kiez_protocol::partner::{Customer, Window};
use kiez_protocol::profile::{self, AGE_YEARS, Block, CheckKind};
use kiez_protocol::time::Time;

use super::capacity::Load;
use super::job::Job;
use super::nearest::Standing;
use super::{caps, pay};

/// What friends are weighed for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'j> {
    /// The job.
    pub job: &'j Job,
    /// The stage of its run: the wave, or as many intervals as have passed.
    pub stage: u8,
    /// The trade's time.
    pub now: Time,
    /// The distance cap, metres; infinity for none.
    pub cap_m: f64,
}

impl Ask<'_> {
    /// Whether the friend who stands there, so many metres away, is suitable.
    ///
    /// # Errors
    /// The first gate that fails.
    pub fn check(&self, standing: &Standing, distance_m: f64, load: Option<&Load>) -> Result<(), Gate> {
        match Gate::ALL.into_iter().find(|gate| !self.opens(*gate, standing, distance_m, load)) {
            Some(gate) => Err(gate),
            None => Ok(()),
        }
    }

    /// Whether one gate opens, whatever the others do.
    pub fn opens(&self, gate: Gate, standing: &Standing, distance_m: f64, load: Option<&Load>) -> bool {
        let Ask { job, now, .. } = *self;
        let friend = &*standing.profile;
        let (community, package) = (&*job.terms.community, &*job.terms.package);
        let member = || friend.communities.contains(&community.slug);
        let checked = |kind| !community.asks(kind) || friend.has_passed(kind, now);
        match gate {
            Gate::Active => friend.account.is_active(),
            Gate::OnDuty => standing.on_duty || self.has_time(friend),
            Gate::Reachable => standing.reachable,
            Gate::Community => member() || self.crowd_has_joined(),
            Gate::Country => community.takes_from(friend.country),
            Gate::Tier => self.tier_fits(friend),
            Gate::Skill => package.skills.iter().all(|need| friend.level(&need.skill) >= need.level),
            Gate::Certificate => package.certificates.iter().all(|need| friend.is_certified(need, now)),
            Gate::Identity => checked(CheckKind::IdentityAndBackground),
            Gate::Age => !community.asks(CheckKind::Age) || friend.is_aged(community.age_min.unwrap_or(AGE_YEARS), now),
            Gate::Insurance => checked(CheckKind::Insurance),
            Gate::Knowledge => checked(CheckKind::Knowledge),
            // A crowd that was widened keeps the community's gates but membership and this one.
            Gate::PartnerCustomer => {
                !community.asks(CheckKind::PartnerCustomer) || !member() || friend.is_customer_of(&job.partner, now)
            }
            Gate::Language => friend.languages.is_empty() || friend.languages.contains(&job.booking.customer.language),
            Gate::Rate => self.rate_fits(friend),
            Gate::Distance => package.site == Site::Remote || distance_m <= self.cap_m.min(f64::from(friend.radius_m)),
            Gate::Overlap => load.is_none_or(|load| leaves_time(job, load)),
            Gate::Capacity => load.is_none_or(|load| load.held.len() < usize::from(friend.jobs_held_max)),
            Gate::Caps => {
                // Without a rate there is no pay; `Gate::Rate` comes before.
                let net = pay::for_job(job, friend).map(|pay| pay.net);
                net.is_none_or(|net| caps::have_room(friend, load, net, now))
            }
            Gate::Blocked => !self.is_blocked(friend),
            Gate::CoolDown => load.is_none_or(|load| load.cool_until.is_none_or(|until| until <= now)),
            Gate::FullHand => load.is_none_or(|load| load.hand.len() < usize::from(community.policy.hand_max)),
        }
    }

    /// Whether the friend's weekly calendar has time when the customer does. A customer without windows has time until the
    /// job ends.
    fn has_time(&self, friend: &Friend) -> bool {
        let windows = &self.job.booking.windows;
        if windows.is_empty() {
            return friend.has_time(self.now, self.job.expire_at);
        }
        windows.iter().any(|window| friend.has_time(window.from.max(self.now), window.to))
    }

    fn crowd_has_joined(&self) -> bool {
        match self.job.terms.community.crowd {
            Crowd::Own => false,
            Crowd::OwnThenAll => self.stage >= self.job.plan().crowd_joins_wave,
            Crowd::All => true,
        }
    }

    fn tier_fits(&self, friend: &Friend) -> bool {
        match (self.job.terms.package.tier, friend.tier) {
            (Tier::Friend, Tier::Friend) | (Tier::Pro, Tier::Pro) => true,
            (Tier::Friend, Tier::Pro) => self.stage >= self.job.plan().pros_join_wave,
            (Tier::Pro, Tier::Friend) => false,
        }
    }

    fn rate_fits(&self, friend: &Friend) -> bool {
        match self.job.terms.package.pricing {
            Pricing::Fixed { .. } | Pricing::Guide { .. } => true,
            Pricing::Hourly { from, to } => friend.hourly_rate.is_some_and(|rate| {
                rate.currency == from.currency
                    && (from.amount..=to.amount).contains(&rate.amount)
                    && self.job.booking.max_hourly_rate.is_none_or(|most| rate.amount <= most.amount)
            }),
        }
    }

    fn is_blocked(&self, friend: &Friend) -> bool {
        let Ask { job, now, .. } = *self;
        let customer = &job.booking.customer;
        let asked = || {
            // Who was named and has let it pass was asked, in whatever run.
            job.offers
                .iter()
                .any(|offer| offer.friend == friend.id && (offer.attempt == job.attempt || offer.is_direct()))
        };
        let apart = |block: &Block| match block {
            Block::Partner { partner, until } => *partner == job.partner && profile::counts(*until, now),
            Block::Customer { phone, until } => same_phone(phone, &customer.phone) && profile::counts(*until, now),
        };
        job.blocked.contains(&friend.id) || asked() || is_customer(friend, customer) || friend.blocks.iter().any(apart)
    }
}

/// Whether the friend is the customer: nobody is sent to their own door.
fn is_customer(friend: &Friend, customer: &Customer) -> bool {
    friend.phone.as_ref().is_some_and(|phone| same_phone(phone, &customer.phone))
        || friend.email.as_ref().zip(customer.email.as_ref()).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
}

/// Numbers in international form are the same when their digits are.
fn same_phone(a: &str, b: &str) -> bool {
    let digits = |text: &'_ str| text.bytes().filter(u8::is_ascii_digit).collect::<smallvec::SmallVec<[u8; 32]>>();
    let (a, b) = (digits(a), digits(b));
    !a.is_empty() && a == b
}

/// Whether the friend's agreed appointments leave room for the job's planned minutes within a wish window. Without windows
/// there is room somewhen.
pub(super) fn leaves_time(job: &Job, load: &Load) -> bool {
    let windows = &job.booking.windows;
    let needed_ms = i64::from(job.terms.package.duration_min) * 60_000;
    load.appointments.is_empty()
        || windows.is_empty()
        || windows.iter().any(|window| gap_ms(*window, load) >= needed_ms)
}

/// Whether no agreed appointment meets this window.
pub(super) fn is_free(load: &Load, window: Window) -> bool {
    load.appointments.iter().all(|(_, busy)| busy.to <= window.from || window.to <= busy.from)
}

/// The longest time without an appointment within a window, ms. One that no appointment meets is long enough, however short:
/// the customer knows.
fn gap_ms(window: Window, load: &Load) -> i64 {
    let mut busy: smallvec::SmallVec<[Window; 3]> = load.appointments.iter().map(|(_, busy)| *busy).collect();
    busy.sort_unstable_by_key(|busy| busy.from);
    let (mut free_from, mut longest, mut met) = (window.from, 0, false);
    for busy in busy.iter().filter(|busy| busy.from < window.to && busy.to > window.from) {
        met = true;
        longest = longest.max(busy.from.since(free_from));
        free_from = free_from.max(busy.to);
    }
    if met { longest.max(window.to.since(free_from)) } else { i64::MAX }
}
