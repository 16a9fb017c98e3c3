//! A whole city under virtual time and a seed: friends who move, sleep, lose the network and tap twice; partners who
//! repeat, edit and cancel; a ledger that refuses, loses replies and goes away; a server that is killed, stands still
//! and is replaced. The core is the real one. The glue round it (engine, sessions, roster, the ledger's writer) is
//! written a second time, small and without tasks, by the same rules.
//!
//! A [`model`] apart from the system says what must be true and is asked after every step. The same seed gives the same
//! city to the byte, in every process. What was found once is found again by its seed.
//!
//! | page | what is in it |
//! | --- | --- |
//! | `world` | the loop: what is planned, and what the core is due to do |
//! | `house`, `session`, `writer`, `telling` | a process of the server: mailbox → decide → commit → tell |
//! | `ledger`, `streets` | what it stands on: rows with constraints, who is where |
//! | `people`, `mind`, `speech`, `app`, `shop`, `link` | who uses it: friends, partners, and the lines between |
//! | `model` | what must be true |
//! | `faults`, `crashes` | what goes wrong, and what can be broken on purpose to try the model |
//! | `city`, `documents`, `calendar`, `chance` | places, terms, days and hours, seeds |
//! | `report`, `page`, `story` | what came of it; two policies beside each other; what led to a failure |

mod app;
mod calendar;
mod chance;
mod city;
mod crashes;
mod documents;
mod faults;
mod house;
mod ledger;
mod link;
mod mind;
mod model;
mod page;
mod people;
mod report;
mod session;
mod shop;
mod speech;
mod story;
mod streets;
mod telling;
mod world;
mod writer;

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use kiez_protocol::directory::Policy;
use kiez_protocol::ids::JobId;

pub use city::City;
pub use faults::{Faults, Mutation, Weather};
pub use model::{Broken, Rule};
pub use page::page;
pub use report::{Count, Jobs, Report, Total, beside};

use story::Story;
use world::{Last, World};

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Where.
    pub city: City,
    /// Days, at least 1.
    pub days: u32,
    /// Friends, at least 1.
    pub friends: u32,
    /// Jobs posted on an average day, above 0.
    pub jobs_per_day: f64,
    /// How likely a friend takes an offer they look at, 0 to 1, before distance, hour, pay and mood count.
    pub acceptance: f64,
    /// Everything follows from it.
    pub seed: u64,
    /// What goes wrong.
    pub faults: Faults,
    /// The policy of every community; the trade's own without it.
    pub policy: Option<Policy>,
    /// What is broken on purpose.
    pub mutation: Option<Mutation>,
    /// What the user named the weather, for the report.
    pub weather: Weather,
}

impl Setting {
    /// A day of a pilot: 60 friends and 100 jobs in Berlin, in usual weather.
    pub fn of(seed: u64) -> Setting {
        Setting {
            city: City::Berlin,
            days: 1,
            friends: 60,
            jobs_per_day: 100.0,
            acceptance: 0.3,
            seed,
            faults: Faults::USUAL,
            policy: None,
            mutation: None,
            weather: Weather::Usual,
        }
    }

    /// The same in other weather.
    #[must_use]
    pub fn in_weather(self, weather: Weather) -> Setting {
        Setting { faults: weather.faults(self.seed), weather, ..self }
    }

    /// The command line that simulates the same.
    pub fn command(&self) -> String {
        let Setting { days, friends, jobs_per_day, acceptance, seed, .. } = self;
        let (city, weather) = (self.city.as_str(), self.weather.as_str());
        let mut command = format!("kiez simulate --city {city} --days {days} --friends {friends}");
        command +=
            &format!(" --jobs-per-day {jobs_per_day} --acceptance {acceptance} --faults {weather} --seed {seed}");
        if self.faults.crashes_per_day.to_bits() != self.weather.faults(*seed).crashes_per_day.to_bits() {
            command += &format!(" --crashes {}", self.faults.crashes_per_day);
        }
        if let Some(mutation) = self.mutation {
            command += &format!(" --break {}", mutation.as_str());
        }
        command
    }
}

/// A seed in which something was not as it must be.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The command that shows it again.
    pub command: String,
    /// The seed.
    pub seed: u64,
    /// The input, counted from 1, after which it was seen.
    pub step: u64,
    /// What.
    pub broken: Broken,
    /// What led there: the story of the job, or of the last inputs.
    pub story: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}, step {}: {}", self.seed, self.step, self.broken)?;
        if let Some(job) = self.broken.job {
            writeln!(f, "job {job}")?;
        }
        writeln!(f, "again by: {}\n", self.command)?;
        self.story.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl std::error::Error for Violation {}

/// Simulates a city.
///
/// # Errors
/// The first rule that did not hold, with the story of its job: the seed is run once more for that.
pub fn simulate(setting: &Setting) -> Result<Report, Box<Violation>> {
    match attempt(setting, None) {
        Ok(world) => Ok(Report::of(&world)),
        Err(failed) => {
            let (broken, step, _) = *failed;
            let story = broken.job.map_or_else(|| Story::until(step), Story::of);
            let story = match attempt(setting, Some(story)) {
                Ok(world) => world.story,
                Err(failed) => failed.2,
            };
            let story = story.map(Story::lines).unwrap_or_default();
            Err(Box::new(Violation { command: setting.command(), seed: setting.seed, step, broken, story }))
        }
    }
}

type Failed = Box<(Broken, u64, Option<Story>)>;

fn attempt(setting: &Setting, story: Option<Story>) -> Result<Box<World>, Failed> {
    let last: Last = Rc::new(Cell::new((0, None)));
    let mut world = Box::new(World::new(setting.clone(), story, Rc::clone(&last)));
    // What the core asserts of itself is a rule like the others.
    match catch_unwind(AssertUnwindSafe(|| world.run())) {
        Ok(Ok(())) => Ok(world),
        Ok(Err(broken)) => Err(Box::new((broken, world.steps, world.story))),
        Err(panic) => {
            let (step, job) = last.get();
            let what = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_else(|| "without a word".to_owned());
            Err(Box::new((Broken { rule: Rule::NoPanic, job: job.map(JobId), what }, step, world.story)))
        }
    }
}
