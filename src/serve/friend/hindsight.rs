//! Which jobs near by went to others, and why: answered from what the ledger has, by a task of its own, so that the socket goes
//! on meanwhile. A friend asks one thing at a time, and all friends together a few.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use kiez_protocol::friend::{FriendMessage, Missed, MissedJob};
use kiez_protocol::ids::FriendId;
use kiez_protocol::place::Point;
use kiez_protocol::refusal::Code;
use kiez_protocol::time::Time;

use super::super::App;
use super::session::Session;
use crate::dispatch::decision::WHOLE_MS;
use crate::dispatch::hindsight::why_not;
use crate::ledger::{Around, ReadError};

/// Jobs in one answer at most.
const JOBS_MAX: usize = 50;
/// Communities of a friend that are looked at at most.
const COMMUNITIES_MAX: usize = 8;

/// What a friend asks.
#[derive(Debug)]
pub enum Question {
    /// Which jobs near by went to others since then.
    Missed {
        /// As far as choices are kept.
        since: Option<Time>,
    },
    /// Why this one did.
    Why {
        /// Its name, as they have it.
        missed: String,
    },
}

/// Who waits for an answer.
#[derive(Clone, Debug, Default)]
pub struct Questions(Arc<Mutex<HashSet<FriendId>>>);

/// A friend waits, until this is dropped.
#[derive(Debug)]
struct Asking(Questions, FriendId);

impl Questions {
    /// Lets one more ask.
    fn ask(&self, friend: FriendId, most: usize) -> Result<Asking, Code> {
        let mut asking = self.0.lock().expect("nothing panics while it holds this");
        if asking.contains(&friend) {
            return Err(Code::TooMany);
        }
        if asking.len() >= most {
            return Err(Code::Unavailable);
        }
        asking.insert(friend);
        Ok(Asking(self.clone(), friend))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.0.lock().expect("nothing panics while it holds this").remove(&self.1);
    }
}

impl Session {
    /// Answers a question about what has been; at once if there is no room for it.
    pub fn look_back(&self, question: Question) {
        let (app, friend) = (self.app.clone(), self.friend());
        let asking = match app.questions.ask(friend, app.limits.questions_in_flight_max) {
            Ok(asking) => asking,
            Err(Code::TooMany) => return self.refuse(Code::TooMany, None, None, "error.too_many"),
            Err(code) => return self.refuse(code, None, None, "error.try_again"),
        };
        self.app.tasks.spawn(async move {
            let answered = match question {
                Question::Missed { since } => missed(&app, friend, since).await,
                Question::Why { missed } => why(&app, friend, &missed).await,
            };
            let message = answered.unwrap_or_else(|error| {
                if !matches!(error, ReadError::Away) {
                    tracing::warn!(%friend, why = error.facts(), "what a friend missed could not be read");
                }
                refused(Code::Unavailable, "error.try_again")
            });
            // Before the answer goes out, so that the next question finds room.
            drop(asking);
            app.live.tell(friend, message, app.clock.now());
        });
    }
}

async fn missed(app: &Arc<App>, friend: FriendId, since: Option<Time>) -> Result<FriendMessage, ReadError> {
    let now = app.clock.now();
    let since = since.unwrap_or(now - WHOLE_MS).max(now - WHOLE_MS);
    let Some(profile) = app.live.directory.friend(friend) else { return Ok(FriendMessage::Missed(Missed::default())) };
    // Where they are now, or would be; who is nowhere is told of the jobs whose choice saw them.
    let at = app.live.roster.stands_at(friend).or_else(|| profile.anchor_at(now).map(|anchor| anchor.place));
    let around = at.map(|at| around(at, profile.radius_m));
    let mut found = Vec::new();
    for community in profile.communities.iter().take(COMMUNITIES_MAX) {
        found.extend(app.reader.passed_over(friend, community, since, around, JOBS_MAX).await?);
    }
    let within = |place: Point| at.is_some_and(|at| at.distance_m(place) <= f64::from(profile.radius_m));
    found.retain(|job| job.seen || within(job.place));
    found.sort_unstable_by_key(|job| std::cmp::Reverse(job.id));
    found.truncate(JOBS_MAX);
    let jobs = found.into_iter().map(|job| MissedJob {
        missed: app.seal.name(friend, job.id),
        at: job.at,
        community: job.community,
        package: job.package,
    });
    Ok(FriendMessage::Missed(Missed { jobs: jobs.collect() }))
}

async fn why(app: &Arc<App>, friend: FriendId, missed: &str) -> Result<FriendMessage, ReadError> {
    let unknown = || refused(Code::NotFound, "error.missed_not_found");
    let Some(job) = app.seal.open(friend, missed) else { return Ok(unknown()) };
    let decisions = app.reader.decisions(job).await?;
    Ok(why_not(&decisions, friend, missed).map_or_else(unknown, FriendMessage::Why))
}

fn refused(code: Code, message_key: &str) -> FriendMessage {
    let message_key = message_key.to_owned();
    FriendMessage::Error { code, key: None, offer: None, job: None, message_key, allowed: Vec::new() }
}

/// A box that holds everything within `radius_m` metres.
fn around(at: Point, radius_m: u32) -> Around {
    /// Metres of one degree of latitude.
    const DEGREE_M: f64 = 111_195.0;
    let high = f64::from(radius_m) / DEGREE_M * 1.01 + 0.001;
    let narrow = at.lat().abs().min(89.0).to_radians().cos();
    let wide = (high / narrow).min(360.0);
    Around { south: at.lat() - high, north: at.lat() + high, west: at.lng() - wide, east: at.lng() + wide }
}
