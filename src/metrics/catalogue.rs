//! What meters there are: name, kind and help of each, the buckets of those that are spread, and the closed lists from which
//! labels take their values. What can be counted stands at zero from the start, so that its first time is a rise and not a
//! beginning.

use kiez_protocol::friend::{LostReason, Verdict};
use kiez_protocol::ops::AlarmKind;
use kiez_protocol::partner::JobState;
use kiez_protocol::refusal::close;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::{GONE, accepts, jobs_restored};

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

pub(super) const ASSIGNMENT: &str = "kiez_job_assignment_seconds";
pub(super) const BATCH: &str = "kiez_ledger_batch_records";

/// What only rises.
const COUNTERS: &[(&str, &str)] = &[
    ("kiez_jobs_posted_total", "Jobs that partners posted and the ledger holds"),
    ("kiez_jobs_assigned_total", "Jobs won and committed"),
    ("kiez_job_events_total", "Events of jobs, committed, by what happened"),
    ("kiez_offers_total", "Offers told to friends"),
    ("kiez_accepts_total", "Verdicts on accepts, by result and reason"),
    ("kiez_alarms_total", "Alarms for ops, by kind"),
    ("kiez_hellos_total", "Friends who came in, or did not, by outcome"),
    ("kiez_sessions_closed_total", "Sockets of friends that ended, by close code"),
    ("kiez_outbox_overflows_total", "Sockets closed because too much was waiting for them"),
    ("kiez_frames_total", "Frames from friends, by type"),
    ("kiez_frames_refused_total", "Frames from friends that were refused, by reason"),
    ("kiez_fixes_total", "Positions from friends, by what became of them"),
    ("kiez_connections_turned_away_total", "Connections refused because there were too many"),
    ("kiez_http_requests_total", "HTTP requests answered, by method, route and status"),
    ("kiez_accept_failures_total", "Tries to accept a connection that failed for want of files or memory"),
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

// --- the values of labels -------------------------------------------------------------------------------------------

/// What can happen to a job: the kinds of events that `dispatch` records.
pub const JOB_EVENTS: &[&str] = &[
    "posted",
    "wave_opened",
    "seat_refilled",
    "offer_declined",
    "decline_undone",
    "declined_late",
    "offers_expired",
    "accept_over_capacity",
    "assigned",
    "assigned_by_ops",
    "paused",
    "resumed",
    "redispatched",
    "contacted",
    "completed",
    "handed_back",
    "no_contact",
    "stalled",
    "edited",
    "answers_complete",
    "answered",
    "reminder",
    "asked",
    "replied",
    "proposed",
    "proposal_confirmed",
    "named_asked",
    "direct_passed",
    "message",
    "unfilled",
    "alarm",
    "cancelled",
    "expired",
    "confirmed",
    "closed",
];

/// The states in which a job is not final.
pub(super) const OPEN_STATES: [JobState; 13] = [
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

const ALARMS: [AlarmKind; 6] = [
    AlarmKind::Unfilled,
    AlarmKind::ContactBreach,
    AlarmKind::Stalled,
    AlarmKind::Paused,
    AlarmKind::Quarantined,
    AlarmKind::LongWaits,
];

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

pub(super) const HELLOS: &[&str] = &[
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
pub(super) const FRAMES: &[&str] = &[
    "hello", "duty", "fix", "seen", "accept", "decline", "undo", "ask", "propose", "message", "visit", "missed",
    "why_not", "ack", "ping", "settings", "refresh", "unknown",
];
pub(super) const FRAME_REFUSALS: &[&str] = &["too_fast", "unfit", "unknown_type"];
pub(super) const FIXES: &[&str] = &["taken", "too_fast", "inaccurate", "off_earth", "off_duty", "late", "jump"];

/// Close codes with their labels; what is none of these is `other`.
pub(super) const CLOSE_CODES: [(u16, &str); 17] = [
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

pub(super) const FULL: &[&str] = &["mailbox", "ledger"];

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
        assert_eq!((super::super::method("PATCH"), super::super::method("MÜLLER")), ("PATCH", "other"));
        assert!(CLOSE_CODES.iter().enumerate().all(|(at, (code, _))| CLOSE_CODES[..at].iter().all(|(c, _)| c != code)));
    }
}
