//! One function per event, with the names the dashboards use. A label takes its values from a closed list: never a friend,
//! a job, a partner or a cell. `docs/metrics.md` tells what each meter is good for, and a test holds the two together.

mod catalogue;

use std::time::Duration;

use kiez_protocol::friend::{LostReason, Verdict};
use kiez_protocol::ops::AlarmKind;
use kiez_protocol::partner::JobState;
use metrics::{counter, gauge, histogram};

use catalogue::{ASSIGNMENT, BATCH, CLOSE_CODES, FIXES, FRAME_REFUSALS, FRAMES, FULL, HELLOS, OPEN_STATES};
pub use catalogue::{JOB_EVENTS, install};

// --- jobs -----------------------------------------------------------------------------------------------------------

/// An event of a job was committed: it went from one state to another, or stayed.
pub fn job_event(kind: &'static str, from: Option<JobState>, to: JobState) {
    counter!("kiez_job_events_total", "event" => kind).increment(1);
    if from != Some(to) {
        for state in from.into_iter().filter(|state| OPEN_STATES.contains(state)) {
            gauge!("kiez_jobs", "state" => state.as_str()).decrement(1);
        }
        if OPEN_STATES.contains(&to) {
            gauge!("kiez_jobs", "state" => to.as_str()).increment(1);
        }
    }
}

/// The states of all jobs that are not final, as the ledger had them at the start.
pub fn jobs_restored(states: impl Iterator<Item = JobState>) {
    for state in OPEN_STATES {
        gauge!("kiez_jobs", "state" => state.as_str()).set(0);
    }
    for state in states {
        gauge!("kiez_jobs", "state" => state.as_str()).increment(1);
    }
}

/// A job was posted and committed.
pub fn job_posted() {
    counter!("kiez_jobs_posted_total").increment(1);
}

/// A job was won and committed; the accept came so long after the post, in ms of the trade's time.
pub fn job_assigned(after_ms: i64) {
    counter!("kiez_jobs_assigned_total").increment(1);
    histogram!(ASSIGNMENT).record(Duration::from_millis(u64::try_from(after_ms).unwrap_or(0)));
}

/// An offer was told.
pub fn offer_told() {
    counter!("kiez_offers_total").increment(1);
}

/// The first offers of a job were told, so long after its post had come to the dispatcher.
pub fn post_to_offer(took: Duration) {
    histogram!("kiez_post_to_offer_seconds").record(took);
}

/// An alarm.
pub fn alarm(kind: AlarmKind) {
    counter!("kiez_alarms_total", "kind" => kind.as_str()).increment(1);
}

// --- accepts --------------------------------------------------------------------------------------------------------

/// A verdict on an accept was told.
pub fn verdict(result: Verdict, reason: Option<LostReason>) {
    accepts(result, reason).increment(1);
}

fn accepts(result: Verdict, reason: Option<LostReason>) -> metrics::Counter {
    let reason = reason.map_or("", LostReason::as_str);
    counter!("kiez_accepts_total", "result" => result.as_str(), "reason" => reason)
}

/// A verdict was told, so long after its accept had come to the dispatcher.
pub fn accept_to_verdict(took: Duration) {
    histogram!("kiez_accept_to_verdict_seconds").record(took);
}

// --- friends' sockets -----------------------------------------------------------------------------------------------

/// The code of a session whose connection the friend's side has ended, or the network.
pub const GONE: u16 = 1000;

/// Somebody came: a `new` session, one that is `resumed`, or why neither.
pub fn hello(outcome: &'static str) {
    debug_assert!(HELLOS.contains(&outcome), "{outcome}");
    counter!("kiez_hellos_total", "outcome" => outcome).increment(1);
}

/// A session's socket has ended with this close code.
pub fn session_closed(code: u16) {
    let known = CLOSE_CODES.iter().find(|(known, _)| *known == code).map_or("other", |(_, word)| *word);
    counter!("kiez_sessions_closed_total", "code" => known).increment(1);
}

/// An outbox had no more room, and its socket is closed.
pub fn outbox_overflow() {
    counter!("kiez_outbox_overflows_total").increment(1);
}

/// A frame came: its type, or `unknown`.
pub fn frame(kind: &'static str) {
    debug_assert!(FRAMES.contains(&kind), "{kind}");
    counter!("kiez_frames_total", "type" => kind).increment(1);
}

/// A frame was refused: `too_fast`, `unfit` or `unknown_type`.
pub fn frame_refused(reason: &'static str) {
    debug_assert!(FRAME_REFUSALS.contains(&reason), "{reason}");
    counter!("kiez_frames_refused_total", "reason" => reason).increment(1);
}

/// A position came: taken, or dropped at the door.
pub fn fix(outcome: &'static str) {
    debug_assert!(FIXES.contains(&outcome), "{outcome}");
    counter!("kiez_fixes_total", "outcome" => outcome).increment(1);
}

// --- requests and connections ---------------------------------------------------------------------------------------

/// The method as a label: what HTTP knows, and `other` for what a client made up.
pub fn method(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}

/// A request was answered. `route` is the pattern that took it, such as `/v1/jobs/{id}`, never the path.
pub fn http(method: &'static str, route: &str, status: u16, took: Duration) {
    let route = route.to_owned();
    counter!("kiez_http_requests_total", "method" => method, "route" => route.clone(), "status" => status.to_string())
        .increment(1);
    histogram!("kiez_http_request_seconds", "method" => method, "route" => route).record(took);
}

/// A connection was refused because there were too many.
pub fn connection_turned_away() {
    counter!("kiez_connections_turned_away_total").increment(1);
}

/// No connection could be accepted: the machine has no file or memory left for one.
pub fn accept_failed() {
    counter!("kiez_accept_failures_total").increment(1);
}

// --- the dispatcher and the ledger ----------------------------------------------------------------------------------

/// An input found no room: in the `mailbox`, or because the `ledger` is behind.
pub fn input_refused(full: &'static str) {
    debug_assert!(FULL.contains(&full), "{full}");
    counter!("kiez_inputs_refused_total", "full" => full).increment(1);
}

/// An input was decided.
pub fn handled(took: Duration) {
    histogram!("kiez_handle_seconds").record(took);
}

/// What waited for its commit was told.
pub fn told(waited: Duration) {
    histogram!("kiez_told_seconds").record(waited);
}

/// So many records were committed at once.
#[expect(clippy::cast_precision_loss, reason = "a batch has hundreds of records")]
pub fn committed(records: usize, took: Duration) {
    counter!("kiez_records_total").increment(records as u64);
    histogram!(BATCH).record(records as f64);
    histogram!("kiez_ledger_commit_seconds").record(took);
}

/// A record was refused for good.
pub fn record_refused() {
    counter!("kiez_records_refused_total").increment(1);
}

/// The ledger could not be reached, or gave no answer; it is tried again.
pub fn ledger_retried() {
    counter!("kiez_ledger_retries_total").increment(1);
}

/// This process has taken the ledger, in this epoch.
#[expect(clippy::cast_precision_loss, reason = "an epoch counts starts")]
pub fn epoch(epoch: i64) {
    gauge!("kiez_ledger_epoch").set(epoch as f64);
}

/// Lines of the log were dropped.
pub fn log_lines_dropped(lines: u64) {
    counter!("kiez_log_lines_dropped_total").increment(lines);
}

/// How things stand, once a second.
#[derive(Clone, Copy, Debug)]
pub struct Levels {
    /// Connections that are open, sockets included.
    pub connections: usize,
    /// Friends with a live session.
    pub friends_live: usize,
    /// Sessions without a socket that their friend may come back to.
    pub resumable: usize,
    /// Friends on the roster.
    pub friends_placed: usize,
    /// Sockets that have not said hello.
    pub strangers: usize,
    /// Jobs that are not final.
    pub jobs_open: usize,
    /// Inputs waiting for the dispatcher.
    pub mailbox: usize,
    /// Records waiting for the ledger.
    pub ledger_queue: usize,
    /// Whether the ledger answered the last time it was tried.
    pub ledger_reachable: bool,
}

/// Sets the gauges.
#[expect(clippy::cast_precision_loss, reason = "levels are far below 2^52")]
pub fn levels(levels: Levels) {
    gauge!("kiez_connections").set(levels.connections as f64);
    gauge!("kiez_friends_live").set(levels.friends_live as f64);
    gauge!("kiez_sessions_resumable").set(levels.resumable as f64);
    gauge!("kiez_friends_placed").set(levels.friends_placed as f64);
    gauge!("kiez_sockets_unauthenticated").set(levels.strangers as f64);
    gauge!("kiez_jobs_open").set(levels.jobs_open as f64);
    gauge!("kiez_mailbox_length").set(levels.mailbox as f64);
    gauge!("kiez_ledger_queue_length").set(levels.ledger_queue as f64);
    gauge!("kiez_ledger_reachable").set(f64::from(u8::from(levels.ledger_reachable)));
}
