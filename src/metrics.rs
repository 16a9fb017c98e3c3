//! One function per event, with the names the dashboards use. Never a label with a friend, a job or a cell.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Installs the recorder and says what each metric is. Call once, in `main`; the handle renders `/metrics`.
///
/// # Errors
/// When a recorder is installed already.
pub fn install() -> Result<PrometheusHandle, metrics_exporter_prometheus::BuildError> {
    let buckets = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
    let handle = PrometheusBuilder::new().set_buckets(&buckets)?.install_recorder()?;
    describe_counter!("kiez_jobs_posted_total", "Jobs that partners posted and the ledger holds");
    describe_counter!("kiez_jobs_assigned_total", "Jobs won and committed");
    describe_counter!("kiez_offers_total", "Offers told to friends");
    describe_counter!("kiez_accepts_total", "Accepts by verdict");
    describe_counter!("kiez_fixes_total", "Positions by what became of them");
    describe_counter!("kiez_frames_refused_total", "Frames of friends that were refused");
    describe_counter!("kiez_http_requests_total", "HTTP requests by status class");
    describe_counter!("kiez_connections_turned_away_total", "Connections refused because there were too many");
    describe_counter!(
        "kiez_accept_failures_total",
        "Tries to accept a connection that failed for want of files or memory"
    );
    describe_counter!("kiez_records_total", "Records committed");
    describe_counter!("kiez_records_refused_total", "Records the ledger refused for good");
    describe_gauge!("kiez_connections", "Connections of friends, partners and ops, sockets included");
    describe_gauge!("kiez_friends_live", "Friends with a live session");
    describe_gauge!("kiez_friends_placed", "Friends on duty, reachable and with a position");
    describe_gauge!("kiez_jobs_open", "Jobs that are not final");
    describe_gauge!("kiez_mailbox_length", "Inputs waiting for the dispatcher");
    describe_gauge!("kiez_ledger_queue_length", "Records waiting for the ledger");
    describe_histogram!("kiez_handle_seconds", "Time to decide one input");
    describe_histogram!("kiez_told_seconds", "Time from a decision to the telling, the commit included");
    metrics_process::Collector::default().describe();
    Ok(handle)
}

/// A job was posted and committed.
pub fn job_posted() {
    counter!("kiez_jobs_posted_total").increment(1);
}

/// A job was won and committed.
pub fn job_assigned() {
    counter!("kiez_jobs_assigned_total").increment(1);
}

/// An offer was told.
pub fn offer_told() {
    counter!("kiez_offers_total").increment(1);
}

/// A verdict on an accept was told.
pub fn verdict(result: &'static str) {
    counter!("kiez_accepts_total", "result" => result).increment(1);
}

/// A position came: taken, or dropped at the door.
pub fn fix(outcome: &'static str) {
    counter!("kiez_fixes_total", "outcome" => outcome).increment(1);
}

/// A frame was refused.
pub fn frame_refused() {
    counter!("kiez_frames_refused_total").increment(1);
}

/// An HTTP request was answered.
pub fn http(status: u16) {
    let class = match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    };
    counter!("kiez_http_requests_total", "status" => class).increment(1);
}

/// A connection was refused because there were too many.
pub fn connection_turned_away() {
    counter!("kiez_connections_turned_away_total").increment(1);
}

/// No connection could be accepted: the machine has no file or memory left for one.
pub fn accept_failed() {
    counter!("kiez_accept_failures_total").increment(1);
}

/// Records were committed.
pub fn records(count: u64) {
    counter!("kiez_records_total").increment(count);
}

/// A record was refused for good.
pub fn record_refused() {
    counter!("kiez_records_refused_total").increment(1);
}

/// An input was decided.
pub fn handled(took: Duration) {
    histogram!("kiez_handle_seconds").record(took.as_secs_f64());
}

/// What waited for its commit was told.
pub fn told(waited: Duration) {
    histogram!("kiez_told_seconds").record(waited.as_secs_f64());
}

/// How things stand, once a second.
#[derive(Clone, Copy, Debug)]
pub struct Levels {
    /// Connections that are open, sockets included.
    pub connections: usize,
    /// Friends with a live session.
    pub friends_live: usize,
    /// Friends on the roster.
    pub friends_placed: usize,
    /// Jobs that are not final.
    pub jobs_open: usize,
    /// Inputs waiting for the dispatcher.
    pub mailbox: usize,
    /// Records waiting for the ledger.
    pub ledger_queue: usize,
}

/// Sets the gauges.
#[expect(clippy::cast_precision_loss, reason = "levels are far below 2^52")]
pub fn levels(levels: Levels) {
    gauge!("kiez_connections").set(levels.connections as f64);
    gauge!("kiez_friends_live").set(levels.friends_live as f64);
    gauge!("kiez_friends_placed").set(levels.friends_placed as f64);
    gauge!("kiez_jobs_open").set(levels.jobs_open as f64);
    gauge!("kiez_mailbox_length").set(levels.mailbox as f64);
    gauge!("kiez_ledger_queue_length").set(levels.ledger_queue as f64);
}
