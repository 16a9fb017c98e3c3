//! One function per event, with the names the dashboards use. A label takes its values from a closed list: never a friend,
//! a job, a partner or a cell. What can be counted stands at zero from the start, so that its first time is a rise and not
//! a beginning. `docs/metrics.md` tells what each is good for, and a test holds the two together.

use std::time::Duration;

use kiez_protocol::friend::{LostReason, Verdict};
use kiez_protocol::ops::AlarmKind;
use kiez_protocol::partner::JobState;
use kiez_protocol::refusal::close;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of spans, seconds: from a decision in memory to a database that was away for a minute.
const SPANS_S: [f64; 18] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];
/// Upper bounds of how long people take, seconds.
const PATIENCE_S: [f64; 13] =
    [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 86_400.0];
/// Upper bounds of records in one commit.
const BATCHES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

const ASSIGNMENT: &str = "kiez_job_assignment_seconds";
const BATCH: &str = "kiez_ledger_batch_records";

/// What only rises.
const COUNTERS: &[(&str, &str)] = &[
    ("kiez_jobs_posted_total", "Jobs that partners posted and the ledger holds"),
    ("kiez_jobs_assigned_total", "Jobs won and committed"),
    ("kiez_job_events_total", "Events of jobs, committed, by what happened"),
    ("kiez_offers_total", "Offers told to friends"),
    ("kiez_accepts_total", "Verdicts on accepts, by result and reason"),
    ("kiez_alarms_total", "Alarms about jobs, by kind"),
    ("kiez_hellos_total", "Friends who came in, or did not, by outcome"),
    ("kiez_sessions_closed_total", "Sockets of friends that ended, by close code"),
    ("kiez_outbox_overflows_total", "Sockets closed because too much was waiting for them"),
    ("kiez_frames_total", "Frames from friends, by type"),
    ("kiez_frames_refused_total", "Frames from friends that were refused, by reason"),
    ("kiez_fixes_total", "Positions from friends, by what became of them"),
    ("kiez_connections_turned_away_total", "Connections refused because there were too many"),
    ("kiez_http_requests_total", "HTTP requests answered, by method, route and status"),
    (
        "kiez_accept_failures_total",
        "Connections that the system would not hand over: out of file descriptors, as a rule",
    ),
    ("kiez_inputs_refused_total", "Inputs turned away, by what had no room"),
    ("kiez_records_total", "Records committed"),
    ("kiez_records_refused_total", "Records the ledger refused for good; each puts a job into quarantine"),
    ("kiez_ledger_retries_total", "Times the ledger could not be reached or gave no answer, and was tried again"),
    ("kiez_log_lines_dropped_total", "Lines of the log that nobody read in time"),
];

/// What rises and falls.
const GAUGES: &[(&str, &str)] = &[
    ("kiez_build_info", "1; the version is in the label"),
    ("kiez_connections", "Connections of friends, partners and ops, sockets included"),
    ("kiez_friends_live", "Friends with a live session"),
    ("kiez_sessions_resumable", "Sessions without a socket, kept for their friends to come back to"),
    ("kiez_friends_placed", "Friends on duty, reachable and with a position"),
    ("kiez_sockets_unauthenticated", "Sockets that have not said hello"),
    ("kiez_jobs", "Jobs that are not final, by state, as committed"),
    ("kiez_jobs_open", "Jobs that are not final"),
    ("kiez_mailbox_length", "Inputs waiting for the dispatcher"),
    ("kiez_ledger_queue_length", "Records waiting for the ledger"),
    (
        "kiez_ledger_reachable",
        "1 if the ledger answered the last time it was tried and does not take seconds now, else 0",
    ),
    ("kiez_ledger_epoch", "How often this database was taken by a dispatcher or by the same one again"),
];

/// What is spread.
const HISTOGRAMS: &[(&str, &str)] = &[
    ("kiez_handle_seconds", "Time to decide one input"),
    ("kiez_told_seconds", "Time from a decision to the telling, the commit included"),
    ("kiez_post_to_offer_seconds", "Time from a post's arrival at the dispatcher to the telling of its first offers"),
    ("kiez_accept_to_verdict_seconds", "Time from an accept's arrival at the dispatcher to the telling of its verdict"),
    (ASSIGNMENT, "Time from a post to the accept that won, in the trade's time"),
    ("kiez_http_request_seconds", "Time from a request's headers to its answer, by method and route"),
    ("kiez_ledger_commit_seconds", "Time of one commit"),
    (BATCH, "Records in one commit"),
];

/// Installs the recorder, says what each metric is and sets the counters to zero. Call once, in `main`; the handle renders
/// `/metrics`.
///
/// # Errors
/// When a recorder is installed already.
pub fn install() -> Result<PrometheusHandle, metrics_exporter_prometheus::BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets(&SPANS_S)?
        .set_buckets_for_metric(Matcher::Full(ASSIGNMENT.to_owned()), &PATIENCE_S)?
        .set_buckets_for_metric(Matcher::Full(BATCH.to_owned()), &BATCHES)?
        .install_recorder()?;
    for (name, what) in COUNTERS {
        describe_counter!(*name, *what);
    }
    for (name, what) in GAUGES {
        describe_gauge!(*name, *what);
    }
    for (name, what) in HISTOGRAMS {
        describe_histogram!(*name, *what);
    }
    metrics_process::Collector::default().describe();
    begin();
    Ok(handle)
}

/// Everything whose labels are known stands at zero.
fn begin() {
    gauge!("kiez_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
    let plain = [
        "kiez_jobs_posted_total",
        "kiez_jobs_assigned_total",
        "kiez_offers_total",
        "kiez_outbox_overflows_total",
        "kiez_connections_turned_away_total",
        "kiez_accept_failures_total",
        "kiez_records_total",
        "kiez_records_refused_total",
        "kiez_ledger_retries_total",
        "kiez_log_lines_dropped_total",
    ];
    for name in plain {
        counter!(name).absolute(0);
    }
    let labelled: [(&'static str, &'static str, &[&'static str]); 8] = [
        ("kiez_job_events_total", "event", JOB_EVENTS),
        ("kiez_alarms_total", "kind", &ALARMS.map(AlarmKind::as_str)),
        ("kiez_hellos_total", "outcome", HELLOS),
        ("kiez_sessions_closed_total", "code", &CLOSE_CODES.map(|(_, word)| word)),
        ("kiez_frames_total", "type", FRAMES),
        ("kiez_frames_refused_total", "reason", FRAME_REFUSALS),
        ("kiez_fixes_total", "outcome", FIXES),
        ("kiez_inputs_refused_total", "full", FULL),
    ];
    for (name, label, values) in labelled {
        for value in values {
            counter!(name, label => *value).absolute(0);
        }
    }
    for (result, reason) in VERDICTS {
        accepts(result, reason).absolute(0);
    }
    jobs_restored(std::iter::empty());
    for name in HISTOGRAMS.iter().map(|(name, _)| *name).filter(|name| *name != "kiez_http_request_seconds") {
        // Known to the recorder, without a value.
        let _ = histogram!(name);
    }
}

// --- jobs -----------------------------------------------------------------------------------------------------------

/// What can happen to a job: the kinds of events that `dispatch` records.
pub const JOB_EVENTS: &[&str] = &[
    "posted",
    "wave_opened",
    "seat_refilled",
    "offer_declined",
    "declined_late",
    "offers_expired",
    "accept_over_capacity",
    "assigned",
    "contacted",
    "completed",
    "handed_back",
    "no_contact",
    "stalled",
    "edited",
    "answers_complete",
    "unfilled",
    "alarm",
    "cancelled",
    "expired",
    "confirmed",
    "closed",
];

/// The states in which a job is not final.
const OPEN_STATES: [JobState; 13] = [
    JobState::NeedsInfo,
    JobState::Dispatching,
    JobState::Paused,
    JobState::Unfilled,
    JobState::Assigned,
    JobState::Contacted,
    JobState::Appointed,
    JobState::OnTheWay,
    JobState::InProgress,
    JobState::Done,
    JobState::Unsuccessful,
    JobState::Confirmed,
    JobState::Disputed,
];

const ALARMS: [AlarmKind; 4] =
    [AlarmKind::Unfilled, AlarmKind::ContactBreach, AlarmKind::Stalled, AlarmKind::Quarantined];

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

/// An alarm about a job.
pub fn alarm(kind: AlarmKind) {
    counter!("kiez_alarms_total", "kind" => kind.as_str()).increment(1);
}

// --- accepts --------------------------------------------------------------------------------------------------------

const VERDICTS: [(Verdict, Option<LostReason>); 12] = [
    (Verdict::Won, None),
    (Verdict::TryAgain, None),
    (Verdict::NeedsReconfirm, None),
    (Verdict::Lost, Some(LostReason::Taken)),
    (Verdict::Lost, Some(LostReason::Expired)),
    (Verdict::Lost, Some(LostReason::JobCancelled)),
    (Verdict::Lost, Some(LostReason::Capacity)),
    (Verdict::Lost, Some(LostReason::Declined)),
    (Verdict::Lost, Some(LostReason::Paused)),
    (Verdict::Lost, Some(LostReason::Superseded)),
    (Verdict::Lost, Some(LostReason::NotSuitable)),
    (Verdict::Lost, Some(LostReason::Closed)),
];

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

const HELLOS: &[&str] = &[
    "new",
    "resumed",
    "turned_away",
    "later",
    "too_late",
    "bad_frame",
    "bad_token",
    "token_expired",
    "forbidden",
    "restarting",
    "gone",
];
const FRAMES: &[&str] =
    &["hello", "duty", "fix", "seen", "accept", "decline", "visit", "ack", "ping", "refresh", "unknown"];
const FRAME_REFUSALS: &[&str] = &["too_fast", "unfit", "unknown_type"];
const FIXES: &[&str] = &["taken", "too_fast", "inaccurate", "off_earth", "off_duty"];

/// Close codes with their labels; what is none of these is `other`.
const CLOSE_CODES: [(u16, &str); 17] = [
    (GONE, "gone"),
    (1002, "1002"),
    (1003, "1003"),
    (1007, "1007"),
    (close::TOO_BIG, "1009"),
    (close::TRY_AGAIN_LATER, "1013"),
    (close::RESTARTING, "4001"),
    (close::TOKEN_EXPIRED, "4005"),
    (close::TOO_SLOW, "4008"),
    (close::RESYNC, "4010"),
    (close::NO_PONG, "4012"),
    (close::TOO_FAST, "4013"),
    (close::BAD_TOKEN, "4500"),
    (close::BAD_FRAME, "4501"),
    (close::REPLACED, "4504"),
    (close::FORBIDDEN, "4507"),
    (0, "other"),
];
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

const FULL: &[&str] = &["mailbox", "ledger"];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_and_stand_once() {
        let all: Vec<_> = [COUNTERS, GAUGES, HISTOGRAMS].concat();
        for (name, what) in &all {
            assert!(name.starts_with("kiez_") && !what.is_empty() && !what.ends_with('.'), "{name}: {what}");
            assert_eq!(all.iter().filter(|(other, _)| other == name).count(), 1, "{name}");
        }
        assert!(COUNTERS.iter().all(|(name, _)| name.ends_with("_total")));
        assert!(GAUGES.iter().all(|(name, _)| !name.ends_with("_total")));
        assert!(HISTOGRAMS.iter().all(|(name, _)| name.ends_with("_seconds") || name.ends_with("_records")));
    }

    #[test]
    fn a_method_or_code_that_somebody_made_up_makes_no_new_label() {
        assert_eq!((method("PATCH"), method("MÜLLER")), ("PATCH", "other"));
        assert!(CLOSE_CODES.iter().enumerate().all(|(at, (code, _))| CLOSE_CODES[..at].iter().all(|(c, _)| c != code)));
    }
}
