//! Who and what a city consists of while it runs: the directory, everybody on their way, the posts at their instants.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kiez_protocol::directory::{Friend, ImportLine};
use kiez_protocol::ids::FriendId;
use kiez_protocol::time::Time;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::{CityConfig, CityError, Progress};
use crate::arrivals::{Pace, keep_pace};
use crate::bots::{Bot, Habits};
use crate::chance::Chance;
use crate::client::{AdminClient, CallError, Http, Server};
use crate::clock::RunClock;
use crate::fleet::{self, Fleet, FleetConfig, Partners};
use crate::gauge::tenths;
use crate::measure::Connecting;
use crate::observe::{Observation, Observer, Rules};
use crate::route::{Route, Wander};
use crate::world::edition::Edition;
use crate::world::{Draft, Resident, World};

/// A partner repeats a call for so long, ms.
const PATIENCE_MS: u64 = 30_000;
/// Who goes on foot stays within this distance of home, metres.
const WALK_M: f64 = 600.0;
/// Who rides, within this.
const RIDE_M: f64 = 2_500.0;
/// Faster than this is a ride, metres a second.
const RIDE_PACE_M_S: f64 = 2.5;
/// Who moves rests so long between two ways, ms on average.
const REST_MS: f64 = 60_000.0;
/// Posts that were refused are described up to this many.
const REFUSALS_MAX: usize = 20;

/// Everything that runs.
pub(super) struct Stage {
    world: World,
    edition: Edition,
    pub observer: Arc<Observer>,
    pub partners: Partners,
    pub fleet: Fleet,
    pub clock: RunClock,
    began: Instant,
}

impl Stage {
    /// Fills the directory and lets everybody set out.
    pub async fn set(config: &CityConfig, server: Server) -> Result<Stage, CityError> {
        let world = World::city(config.friends, config.seed, config.hour);
        let edition = Edition::new();
        let documents = edition.documents(&world);
        let admin = AdminClient::new(Http::new(server.clone(), &config.key));
        admin.import(&documents).await?;
        let rules = Rules::at_scale(config.time_scale);
        let observer = Arc::new(Observer::new(Observation::new(rules, &documents)));
        let partners =
            Partners::with_keys(&admin, &edition.partners(&world), Arc::clone(&observer), PATIENCE_MS).await?;
        let profiles: Vec<Friend> = documents
            .into_iter()
            .filter_map(|document| match document {
                ImportLine::Friend(friend) => Some(friend),
                ImportLine::Community(_) | ImportLine::Package(_) | ImportLine::Partner(_) => None,
            })
            .collect();
        let ids: Vec<FriendId> = profiles.iter().map(|profile| profile.id).collect();
        let tokens = fleet::tokens(&admin, &ids).await?;
        let bots = profiles.into_iter().zip(tokens).zip(&world.residents).enumerate();
        let bots = bots.map(|(number, ((profile, token), resident))| Bot {
            profile: Arc::new(profile),
            token,
            route: route(config, resident, number as u64),
        });
        let clock = RunClock::new(0, config.time_scale);
        let fleet_config = FleetConfig {
            server,
            habits: Habits { time_scale: config.time_scale, ..config.habits },
            clock: clock.clone(),
            seed: config.seed,
            connects_per_s: config.connects_per_s,
            admin: Some(admin),
        };
        let began = Instant::now();
        let fleet = Fleet::start(&fleet_config, bots.collect(), Arc::clone(&observer));
        Ok(Stage { world, edition, observer, partners, fleet, clock, began })
    }

    /// Waits until everybody is on duty in their place. A server that admits them slowly has time.
    pub async fn everybody_in(
        &mut self,
        config: &CityConfig,
        progress: &mut impl FnMut(Progress),
    ) -> Result<Connecting, CityError> {
        let wanted = config.friends;
        let limit_s = 60 + 8 * wanted as u64 / u64::from(config.connects_per_s.max(1));
        let limit = Instant::now() + Duration::from_secs(limit_s);
        let mut ready = 0;
        while ready < wanted && Instant::now() < limit && self.fleet.troubles().is_empty() {
            ready = self.fleet.wait_ready(wanted, Duration::from_millis(500)).await;
            progress(Progress::Connected { ready, wanted });
        }
        if ready == wanted {
            let seconds = tenths(self.began.elapsed().as_secs_f64());
            return Ok(Connecting { seconds, turned_away: self.fleet.turned_away() });
        }
        Err(CityError::NotReady { ready, wanted, troubles: self.fleet.troubles() })
    }

    /// Sends every job at its instant.
    pub fn post_by_plan(&self, config: &CityConfig, began: Instant, plan: Vec<Duration>) -> Posts {
        let now = self.observer.note(|seen, at| seen.trade_time(at)).unwrap_or_default();
        let mut chance = Chance::of(config.seed, "jobs", 0);
        let drafts: Vec<(Duration, (usize, Draft))> = plan
            .into_iter()
            .enumerate()
            .map(|(number, after)| {
                let at = now + after.as_millis() as i64 * i64::from(config.time_scale);
                (after, (number, self.edition.draft(self.world.job(&mut chance, Time(at.0)))))
            })
            .collect();
        let tracker = TaskTracker::new();
        let refusals = Arc::new(Mutex::new(HashMap::new()));
        let run = uuid::Uuid::new_v4();
        let pace = {
            let (partners, observer, handle) = (self.partners.clone(), Arc::clone(&self.observer), Handle::current());
            let (tracker, refusals) = (tracker.clone(), Arc::clone(&refusals));
            keep_pace(began, drafts, move |intended, (number, draft)| {
                let intended_at = observer.moment(intended);
                let (partners, refusals, key) =
                    (partners.clone(), Arc::clone(&refusals), format!("city-{run}-{number}"));
                let post = async move {
                    let answer = partners.post_planned(Some(intended_at), &draft.partner, &key, &draft.job).await;
                    if let Err(fault) = answer {
                        note_refusal(&refusals, &fault);
                    }
                };
                tracker.spawn_on(post, &handle);
            })
        };
        Posts { tracker, refusals, _pace: pace }
    }

    /// Waits until an instant and tells what happens meanwhile.
    pub async fn until(&self, end: Instant, began: Instant, progress: &mut impl FnMut(Progress)) {
        while Instant::now() < end {
            let step = (Instant::now() + Duration::from_secs(2)).min(end);
            tokio::time::sleep_until(step.into()).await;
            let live = self.observer.note(|seen, _| seen.live());
            progress(Progress::Running { elapsed: began.elapsed(), live });
        }
    }
}

/// Posts that are on their way or planned; they end when this goes.
pub(super) struct Posts {
    tracker: TaskTracker,
    /// How often each refusal came.
    refusals: Arc<Mutex<HashMap<String, u64>>>,
    _pace: Pace,
}

impl Posts {
    /// Waits until all are answered; the refusals that came.
    pub async fn answered(self) -> Vec<String> {
        self.tracker.close();
        self.tracker.wait().await;
        let refusals = std::mem::take(&mut *self.refusals.lock().unwrap_or_else(PoisonError::into_inner));
        refusals.into_iter().map(|(refusal, count)| format!("{count} × {refusal}")).take(REFUSALS_MAX).collect()
    }
}

fn note_refusal(refusals: &Mutex<HashMap<String, u64>>, fault: &CallError) {
    let mut refusals = refusals.lock().unwrap_or_else(PoisonError::into_inner);
    let known = refusals.len();
    let text = fault.to_string();
    if known < REFUSALS_MAX || refusals.contains_key(&text) {
        *refusals.entry(text).or_default() += 1;
    }
}

/// Who stays at home and who goes about, by the hour.
fn route(config: &CityConfig, resident: &Resident, number: u64) -> Route {
    let mut chance = Chance::of(config.seed, "way", number);
    if !chance.happens(config.hour.moving()) {
        return Route::Home(resident.home);
    }
    let within_m = if resident.pace_m_s > RIDE_PACE_M_S { RIDE_M } else { WALK_M };
    Route::Wander(Wander::new(resident.home, within_m, resident.pace_m_s, REST_MS, chance))
}
