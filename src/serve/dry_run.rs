//! The dry run of a post: would it find four, how far away, and how soon, judged by what the community's recent jobs really
//! did. Nothing is recorded and nobody is asked.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use kiez_protocol::partner::{AssignTimes, DistanceBand, DryRun, PostJob};
use kiez_protocol::refusal::Code;

use super::App;
use super::partner::{Caller, check};
use super::problem::{Answered, Refusal, answer, body, json};
use crate::dispatch::effect::Answer;
use crate::dispatch::input::Input;
use crate::dispatch::trial::Trial;

/// The newest won runs of a community that say how soon the next is won.
const RECENT_MAX: u32 = 50;
/// Fewer say nothing.
const RECENT_MIN: usize = 5;
/// Where the bands of distance end, metres. Coarse, so that no two of them are a place.
const BANDS_M: [u32; 6] = [1_000, 2_000, 4_000, 8_000, 15_000, 30_000];

/// The route.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/jobs/dry-run", post(dry_run))
}

async fn dry_run(State(app): State<Arc<App>>, headers: HeaderMap, request: Request) -> Answered {
    let caller = Caller::of(&app, &headers).await?;
    // One search in the dispatcher is what a post costs, too.
    caller.posts(&app)?;
    let posted: PostJob = json(&body(request, app.limits.body_bytes_max, &app.limits).await?)?;
    let (booking, terms) = check(&app, &caller.partner, posted)?;
    let (community, urgency) = (terms.community.slug.clone(), booking.urgency);
    let (partner, booking, received_at) = (caller.partner.clone(), Arc::new(booking), app.clock.now());
    let asked = app.mailbox.ask(|request| Input::Tried { request, partner, booking, terms, received_at });
    let trial = match asked.await? {
        Answer::Tried(trial) => *trial,
        Answer::Posted(_) | Answer::Job(_) | Answer::Repeated { .. } | Answer::WrongState { .. } => {
            return Err(Refusal::new(Code::Internal, "a trial is answered by what would be"));
        }
        Answer::Refused { code, detail } => return Err(Refusal::new(code, detail)),
    };
    let times = app.reader.times_to_assign(&community, urgency.as_str(), RECENT_MAX).await?;
    Ok(answer(StatusCode::OK, &foretold(trial, times)))
}

fn foretold(trial: Trial, times: Vec<i64>) -> DryRun {
    DryRun {
        wanted: trial.wanted,
        would_find: u8::try_from(trial.found_m.len()).unwrap_or(u8::MAX),
        distances: trial.found_m.into_iter().map(band).collect(),
        assign: assign(times),
        missing_answers: trial.missing,
        price: trial.price,
        commission: trial.commission,
        outside_area: trial.outside_area,
        brake: trial.braked,
    }
}

fn band(distance_m: u32) -> DistanceBand {
    let at = BANDS_M.partition_point(|end| *end <= distance_m);
    let from_m = at.checked_sub(1).map_or(0, |before| BANDS_M[before]);
    DistanceBand { from_m, to_m: BANDS_M.get(at).copied() }
}

/// The median and the eightieth of a hundred, by the nearest rank.
fn assign(mut times: Vec<i64>) -> Option<AssignTimes> {
    if times.len() < RECENT_MIN {
        return None;
    }
    times.sort_unstable();
    let rank = |percent: usize| times[(times.len() * percent).div_ceil(100).max(1) - 1].max(0);
    let jobs = u32::try_from(times.len()).unwrap_or(u32::MAX);
    Some(AssignTimes { median_ms: rank(50), p80_ms: rank(80), jobs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_say_nothing_and_more_say_the_nearest_rank() {
        assert_eq!(assign(vec![1, 2, 3, 4]), None);
        assert_eq!(assign(vec![50, 10, 30, 20, 40]), Some(AssignTimes { median_ms: 30, p80_ms: 40, jobs: 5 }));
        assert_eq!(assign((1..=10).collect()), Some(AssignTimes { median_ms: 5, p80_ms: 8, jobs: 10 }));
    }

    #[test]
    fn a_band_holds_its_distance() {
        for (distance_m, from_m, to_m) in
            [(0, 0, Some(1_000)), (950, 0, Some(1_000)), (1_000, 1_000, Some(2_000)), (29_950, 15_000, Some(30_000))]
        {
            assert_eq!(band(distance_m), DistanceBand { from_m, to_m }, "{distance_m}");
        }
        assert_eq!(band(30_000), DistanceBand { from_m: 30_000, to_m: None });
    }
}
