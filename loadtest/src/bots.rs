//! Friends who are programs: each holds a real connection, goes on duty, moves, thinks about offers as long as people do,
//! accepts some, declines some, and does the work it has won. What the server gets to see of a bot is what it gets to
//! see of a person.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use kiez_protocol::directory::Friend;
use kiez_protocol::friend::{
    ClosedReason, DeclineReason, Envelope, FriendMessage, JobCard, Offer, Snapshot, Verdict, VisitEvent, Welcome,
};
use kiez_protocol::ids::{JobId, Key, OfferId};
use kiez_protocol::partner::JobState;
use kiez_protocol::place::Point;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::chance::Chance;
use crate::client::{FriendClient, FriendConfig, FriendEvent, Reconnect};
use crate::clock::RunClock;
use crate::measure::Latency;
use crate::route::Route;
use crate::world::hours::Hour;

/// How long something takes people, in ms of the trade's time: log-normal.
#[derive(Clone, Copy, Debug)]
pub struct Takes {
    /// Half take less, ms.
    pub median_ms: f64,
    /// The deviation of the logarithm; 0 is always the median.
    pub sigma: f64,
}

/// Somebody with the phone in the hand.
const QUICK: Takes = Takes { median_ms: 2_000.0, sigma: 0.1 };
/// A friend asks again after so many of their wins at most.
const WINS_KEPT_MAX: usize = 4;
/// Nobody is faster, metres a second of the trade's time: well below the 200 km/h that a server believes.
const PACE_MAX_M_S: f64 = 40.0;
/// Who would have accepted within this time of the end of an offer may have the finger on its way, ms of the trade's time.
const RUSH_MS: u64 = 30_000;

/// What bots do, how often and how fast. Shares are 0 to 1.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// How many times faster than the wall's the trade's time runs; what takes trade time is divided by it.
    pub time_scale: u32,
    /// Offers that are accepted, in the end.
    pub accept_share: f64,
    /// Offers that are declined; the rest is left alone.
    pub decline_share: f64,
    /// From the offer to the accept or decline.
    pub thinking: Takes,
    /// Accepts that come from somebody with the phone in the hand, all about two seconds after the offer: they meet.
    pub quick_share: f64,
    /// Accepts that are sent although the offer has just been taken: the finger was on its way.
    pub rush_share: f64,
    /// From the win to the contact.
    pub contact: Takes,
    /// From the contact to the end of the work.
    pub work: Takes,
    /// Jobs that are handed back after the contact.
    pub hand_back_share: f64,
    /// Accepts that are sent twice at once.
    pub double_tap_share: f64,
    /// The least time between two positions, real ms; the server takes one every 2 s.
    pub fix_every_ms: u64,
    /// A position is sent again after so long although nobody has moved, ms of the trade's time.
    pub fix_again_ms: u64,
    /// How soon a bot comes back after a break.
    pub reconnect: Reconnect,
    /// How soon an offer is acknowledged, real ms.
    pub ack_ms: u64,
    /// Friends who answer nothing: on duty, and the phone lies somewhere.
    pub asleep_share: f64,
    /// Wins whose accept is sent again after a break, with its key, as by an app that has lost the answer.
    pub ask_again_share: f64,
}

impl Habits {
    /// For a demo: people who are quick, so that something happens.
    pub fn demo(time_scale: u32) -> Habits {
        Habits {
            time_scale,
            accept_share: 0.6,
            decline_share: 0.15,
            thinking: Takes { median_ms: 5_000.0, sigma: 0.7 },
            quick_share: 0.08,
            rush_share: 0.2,
            contact: Takes { median_ms: 5_000.0, sigma: 0.5 },
            work: Takes { median_ms: 20_000.0, sigma: 0.5 },
            hand_back_share: 0.03,
            double_tap_share: 0.05,
            fix_every_ms: 2_500,
            fix_again_ms: 8 * 60_000,
            reconnect: Reconnect::quick(),
            ack_ms: 300,
            asleep_share: 0.0,
            ask_again_share: 0.0,
        }
    }

    /// For a city under load: people with the phone in the hand, and work that is soon done, so that a run of some minutes
    /// holds whole jobs. Apps say where they are every ten seconds while they move.
    pub fn city(time_scale: u32, hour: Hour) -> Habits {
        Habits {
            accept_share: 0.55,
            decline_share: 0.15,
            thinking: Takes { median_ms: 8_000.0, sigma: 0.8 },
            contact: Takes { median_ms: 20_000.0, sigma: 0.6 },
            work: Takes { median_ms: 60_000.0, sigma: 0.4 },
            hand_back_share: 0.02,
            double_tap_share: 0.02,
            fix_every_ms: 10_000,
            asleep_share: hour.asleep(),
            ..Habits::demo(time_scale)
        }
    }

    /// For a replay: people as they are, in the trade's time.
    pub fn replay(time_scale: u32) -> Habits {
        Habits {
            accept_share: 0.5,
            decline_share: 0.2,
            thinking: Takes { median_ms: 60_000.0, sigma: 0.9 },
            contact: Takes { median_ms: 20.0 * 60_000.0, sigma: 0.6 },
            work: Takes { median_ms: 150.0 * 60_000.0, sigma: 0.4 },
            hand_back_share: 0.02,
            double_tap_share: 0.02,
            ..Habits::demo(time_scale)
        }
    }
}

/// A bot before it connects.
#[derive(Clone, Debug)]
pub struct Bot {
    /// Who.
    pub profile: Arc<Friend>,
    /// Their token.
    pub token: String,
    /// Where they are.
    pub route: Route,
}

/// What all bots of a fleet share.
pub(crate) struct Shared {
    pub habits: Habits,
    pub clock: RunClock,
    /// No accept is sent sooner after its offer, real ms.
    pub accept_delay_min_ms: AtomicU64,
    /// Bots that were on duty with a position at least once.
    pub ready: AtomicUsize,
    /// No more accepts and declines.
    pub quiet: AtomicBool,
    /// Tries that ended before a welcome.
    pub turned_away: AtomicU64,
    /// How late bots did what they had planned.
    pub lag_us: std::sync::Mutex<Latency>,
    /// Why bots left, and other things that should not be.
    pub troubles: std::sync::Mutex<Vec<String>>,
    pub stop: CancellationToken,
}

impl Shared {
    fn late_us(&self, late_us: u64) {
        self.lag_us.lock().unwrap_or_else(std::sync::PoisonError::into_inner).note(late_us);
    }

    pub fn trouble(&self, trouble: String) {
        let mut troubles = self.troubles.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if troubles.len() < 20 {
            troubles.push(trouble);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    Fix,
    Accept(OfferId),
    Decline(OfferId),
    Contact(JobId),
    Finish(JobId),
    HandBack(JobId),
}

struct Life {
    client: FriendClient,
    shared: Arc<Shared>,
    chance: Chance,
    route: Route,
    /// What is planned, and when. Few things at a time.
    plan: Vec<(Instant, Deed)>,
    /// Offers held, with the job and the revision last seen.
    offers: HashMap<OfferId, (JobId, u32)>,
    /// Jobs held for which the visit is planned.
    visits: Vec<JobId>,
    on_duty: bool,
    duty_key: Option<Key>,
    last_fix: Option<(Instant, Point)>,
    was_ready: bool,
    /// Nothing is answered: the phone lies somewhere.
    asleep: bool,
    /// The last wins, oldest first: offer, revision, key.
    wins: Vec<(OfferId, u32, Key)>,
}

/// Lives until the fleet stops or the server wants the bot no more.
pub(crate) async fn live(bot: Bot, config: FriendConfig, shared: Arc<Shared>) {
    let mut chance = Chance::of(config.seed, "bot", bot.profile.id.0.as_u128() as u64);
    let every = shared.habits.fix_every_ms as f64;
    let first_fix = Instant::now() + Duration::from_millis((every * chance.unit()) as u64);
    let asleep = shared.habits.asleep_share > 0.0 && chance.happens(shared.habits.asleep_share);
    let mut life = Life {
        client: FriendClient::new(config),
        shared: Arc::clone(&shared),
        chance,
        route: bot.route,
        plan: vec![(first_fix, Deed::Fix)],
        offers: HashMap::new(),
        visits: Vec::new(),
        on_duty: false,
        duty_key: None,
        last_fix: None,
        was_ready: false,
        asleep,
        wins: Vec::new(),
    };
    let friend = bot.profile.id;
    loop {
        let next = life.plan.iter().map(|(at, _)| *at).min().expect("the next fix is always planned");
        tokio::select! {
            event = life.client.next() => match event {
                FriendEvent::Up { welcome, .. } => life.up(&welcome),
                FriendEvent::Message(envelope) => life.heard(*envelope),
                // Whether they are on duty is said by the snapshot, or as before by a session that goes on.
                FriendEvent::Down { welcomed, .. } => {
                    shared.turned_away.fetch_add(u64::from(!welcomed), Ordering::Relaxed);
                }
                FriendEvent::Over { code, cause } => {
                    shared.trouble(format!("friend {friend} was sent away: {code} {cause}"));
                    return;
                }
                FriendEvent::Unknown(text) => shared.trouble(format!("a message that cannot be read: {text:.120}")),
                FriendEvent::TriedAgain(_) => {}
            },
            () = tokio::time::sleep_until(next) => life.act(),
            () = shared.stop.cancelled() => break,
        }
    }
    life.client.leave().await;
}

impl Life {
    fn up(&mut self, welcome: &Welcome) {
        if welcome.time_scale != self.shared.habits.time_scale {
            let (theirs, ours) = (welcome.time_scale, self.shared.habits.time_scale);
            self.shared.trouble(format!("the server's time runs {theirs} times as fast, and the bots' {ours} times"));
            self.shared.stop.cancel();
        }
        if welcome.resumed && self.on_duty {
            self.fix();
        }
        for (offer, revision, key) in self.wins.clone() {
            self.client.accept_again(offer, revision, key);
        }
    }

    fn heard(&mut self, Envelope { message, .. }: Envelope) {
        match message {
            FriendMessage::Snapshot(snapshot) => self.snapshot(snapshot),
            FriendMessage::Offer(offer) => self.consider(&offer),
            FriendMessage::OfferUpdate(update) => {
                if let Some(renewed) = update.renewed {
                    self.consider(&renewed);
                }
            }
            FriendMessage::OfferClosed { offer, reason } => {
                if reason == ClosedReason::Taken && self.rushes(offer) {
                    self.act_on_accept(offer);
                }
                self.drop_offer(offer);
            }
            FriendMessage::AcceptResult { offer, key, result: Verdict::Won, .. } => {
                if let Some((job, revision)) = self.offers.get(&offer).copied() {
                    self.plan_visit(job);
                    self.keep_win(offer, revision, key);
                }
                self.drop_offer(offer);
            }
            FriendMessage::AcceptResult { offer, result: Verdict::Lost, .. } => self.drop_offer(offer),
            // The renewed offer comes as an update, or has come.
            FriendMessage::AcceptResult { .. } => {}
            FriendMessage::Job(card) => self.card(&card),
            FriendMessage::Done { key } if self.duty_key == Some(key) => {
                self.duty_key = None;
                self.on_duty = true;
                self.fix();
            }
            FriendMessage::Duty(duty) if !duty.on => {
                self.on_duty = false;
                self.go_on_duty();
            }
            // Answers to a frame that will be sent again are no answers.
            FriendMessage::Error { code, .. } if matches!(code.status(), 429 | 500 | 503) => {}
            FriendMessage::Error { code, offer: Some(offer), .. } => {
                self.shared.trouble(format!("offer {offer}: {code:?}"));
                self.drop_offer(offer);
            }
            _ => {}
        }
    }

    fn snapshot(&mut self, snapshot: Snapshot) {
        self.offers.retain(|offer, _| snapshot.offers.iter().any(|named| named.offer == *offer));
        for offer in &snapshot.offers {
            if !self.offers.contains_key(&offer.offer) {
                self.consider(offer);
            }
        }
        for card in &snapshot.visits {
            self.card(card);
        }
        if snapshot.duty.on {
            self.on_duty = true;
            self.fix();
        } else {
            self.on_duty = false;
            self.go_on_duty();
        }
    }

    /// Goes on duty once there is a place to be at; the first position follows the answer, because a server drops the
    /// positions of those who are not on duty.
    fn go_on_duty(&mut self) {
        let here = self.route.at(self.shared.clock.run_ms());
        if here.is_some() && self.duty_key.is_none() && self.client.is_up() {
            self.duty_key = Some(self.client.duty(true));
        }
    }

    /// Where the friend is. A trace lets them vanish here and appear there; no server would believe it at once, so they stay
    /// until they may have come so far.
    fn here(&mut self) -> Option<Point> {
        let there = self.route.at(self.shared.clock.run_ms())?;
        let Some((said, place)) = self.last_fix else { return Some(there) };
        let trade_s = said.elapsed().as_secs_f64() * f64::from(self.shared.habits.time_scale);
        Some(if place.distance_m(there) <= PACE_MAX_M_S * trade_s { there } else { place })
    }

    fn fix(&mut self) {
        let Some(here) = self.here() else { return };
        if self.client.fix(here) {
            self.last_fix = Some((Instant::now(), here));
            if !self.was_ready {
                self.was_ready = true;
                self.shared.ready.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn consider(&mut self, offer: &Offer) {
        let known = self.offers.insert(offer.offer, (offer.job, offer.revision)).is_some();
        if self.asleep || self.shared.quiet.load(Ordering::Relaxed) {
            return;
        }
        let habits = self.shared.habits;
        if known
            && self
                .plan
                .iter()
                .any(|(_, deed)| matches!(deed, Deed::Accept(of) | Deed::Decline(of) if *of == offer.offer))
        {
            return;
        }
        let mood = self.chance.unit();
        let deed = if mood < habits.accept_share {
            Deed::Accept(offer.offer)
        } else if mood < habits.accept_share + habits.decline_share {
            Deed::Decline(offer.offer)
        } else {
            return;
        };
        let least = Duration::from_millis(self.shared.accept_delay_min_ms.load(Ordering::Relaxed));
        let quick = matches!(deed, Deed::Accept(_)) && self.chance.happens(habits.quick_share);
        let wait = self.takes(if quick { QUICK } else { habits.thinking }).max(least);
        self.plan.push((Instant::now() + wait, deed));
    }

    fn drop_offer(&mut self, offer: OfferId) {
        self.offers.remove(&offer);
        self.plan.retain(|(_, deed)| !matches!(deed, Deed::Accept(of) | Deed::Decline(of) if *of == offer));
    }

    fn card(&mut self, card: &JobCard) {
        match card.state {
            JobState::Assigned | JobState::Contacted => self.plan_visit(card.job),
            _ => {
                self.visits.retain(|job| *job != card.job);
                self.plan.retain(|(_, deed)| {
                    !matches!(deed, Deed::Contact(job) | Deed::Finish(job) | Deed::HandBack(job) if *job == card.job)
                });
            }
        }
    }

    fn keep_win(&mut self, offer: OfferId, revision: u32, key: Key) {
        let share = self.shared.habits.ask_again_share;
        if share > 0.0 && self.chance.happens(share) {
            if self.wins.len() == WINS_KEPT_MAX {
                self.wins.remove(0);
            }
            self.wins.push((offer, revision, key));
        }
    }

    fn plan_visit(&mut self, job: JobId) {
        if !self.visits.contains(&job) {
            self.visits.push(job);
            let wait = self.takes(self.shared.habits.contact);
            self.plan.push((Instant::now() + wait, Deed::Contact(job)));
        }
    }

    fn takes(&mut self, takes: Takes) -> Duration {
        let trade_ms = self.chance.log_normal(takes.median_ms, takes.sigma);
        Duration::from_micros((trade_ms * 1_000.0 / f64::from(self.shared.habits.time_scale)) as u64)
    }

    /// Does what is due.
    fn act(&mut self) {
        let now = Instant::now();
        let (due, later) = self.plan.drain(..).partition(|(at, _)| *at <= now);
        self.plan = later;
        let due: Vec<(Instant, Deed)> = due;
        for (at, deed) in due {
            self.shared.late_us((now - at).as_micros() as u64);
            match deed {
                Deed::Fix => self.tick(now),
                Deed::Accept(_) | Deed::Decline(_) if self.shared.quiet.load(Ordering::Relaxed) => {}
                Deed::Accept(offer) => self.act_on_accept(offer),
                Deed::Decline(offer) => {
                    if self.offers.remove(&offer).is_some() {
                        let reasons = [DeclineReason::NoTime, DeclineReason::TooFar, DeclineReason::Other];
                        self.client.decline(offer, *self.chance.pick(&reasons));
                    }
                }
                Deed::Contact(job) => {
                    self.client.visit(job, VisitEvent::Contacted, None);
                    let wait = self.takes(self.shared.habits.work);
                    let back = self.chance.happens(self.shared.habits.hand_back_share);
                    self.plan.push((now + wait, if back { Deed::HandBack(job) } else { Deed::Finish(job) }));
                }
                Deed::Finish(job) => {
                    self.client.visit(job, VisitEvent::Completed, None);
                    self.visits.retain(|held| *held != job);
                }
                Deed::HandBack(job) => {
                    self.client.visit(job, VisitEvent::HandBack, Some("no time after all".to_owned()));
                    self.visits.retain(|held| *held != job);
                }
            }
        }
    }

    fn act_on_accept(&mut self, offer: OfferId) {
        if let Some((_, revision)) = self.offers.get(&offer).copied() {
            let key = self.client.accept(offer, revision);
            if self.chance.happens(self.shared.habits.double_tap_share) {
                self.client.repeat(key);
            }
        }
    }

    /// Whether the finger was on its way to accept this offer.
    fn rushes(&mut self, offer: OfferId) -> bool {
        let soon = Instant::now() + Duration::from_millis(RUSH_MS / u64::from(self.shared.habits.time_scale));
        let planned = self.plan.iter().any(|(at, deed)| *deed == Deed::Accept(offer) && *at <= soon);
        planned && !self.shared.quiet.load(Ordering::Relaxed) && self.chance.happens(self.shared.habits.rush_share)
    }

    /// Looks where the friend is and says so if they have moved, or have not said so for long.
    fn tick(&mut self, now: Instant) {
        let habits = self.shared.habits;
        let jitter = self.chance.between(1.0, 1.1);
        // Who stays has nothing to look for until it is time to say so again.
        let stays = self.on_duty && self.last_fix.is_some() && matches!(self.route, Route::Home(_));
        let rest_ms = if stays { habits.fix_again_ms / u64::from(habits.time_scale) / 2 } else { 0 };
        let next = now + Duration::from_millis((habits.fix_every_ms.max(rest_ms) as f64 * jitter) as u64);
        self.plan.push((next, Deed::Fix));
        let Some(here) = self.here() else { return };
        if !self.on_duty {
            self.go_on_duty();
            return;
        }
        let again = Duration::from_millis(habits.fix_again_ms / u64::from(habits.time_scale));
        let every = Duration::from_millis(habits.fix_every_ms);
        let due = self.last_fix.is_none_or(|(at, place)| {
            let since = now - at;
            since + Duration::from_millis(100) >= every && (place.distance_m(here) >= 10.0 || since + every > again)
        });
        if due {
            self.fix();
        }
    }
}
