//! Nobody reads the log: the server goes on, holds no more of it than it may, counts what it drops, says so when the
//! reader is back, and ends when it is asked to.

use std::io::Read;
use std::time::Duration;

use http::Method;
use kiez_load::client::Http;
use kiez_protocol::partner::JobList;

use crate::house::{House, Log, booking};

/// Far more lines than the pipe and the buffer hold together.
const REQUESTS: usize = 1_500;
const WAITING_BYTES_MAX: &str = "65536";

async fn noise(http: &Http) {
    let eight = (0..8).map(async |_| {
        for _ in 0..REQUESTS / 8 {
            let asked = http.call::<JobList>(Method::GET, "/v1/jobs", None, None::<&()>);
            tokio::time::timeout(Duration::from_secs(5), asked).await.expect("answered in time").expect("a list");
        }
    });
    futures_util::future::join_all(eight).await;
}

fn quiet() -> House {
    let environment = [("KIEZ_LOG", "kiez=debug"), ("KIEZ_LOG__WAITING_BYTES_MAX", WAITING_BYTES_MAX)];
    House::start(&Log::Unread, None, &environment, &[])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_reads_stops_nobody() {
    let mut house = quiet();
    let (partner, key) = house.town().await;
    let http = house.http().with_key(key);
    noise(&http).await;
    let dropped = house.meter("kiez_log_lines_dropped_total");
    assert!(dropped > 0.0, "the pipe is full");
    let before = house.memory();
    noise(&http).await;
    assert!(house.meter("kiez_log_lines_dropped_total") > dropped + REQUESTS as f64 / 2.0);
    let grown = house.memory().saturating_sub(before);
    assert!(grown < 4 * 1_024 * 1_024, "{grown} bytes more");
    // Jobs are dispatched as ever.
    let (mut friend, _) = house.friend(0).await;
    partner.post(&booking(|_| {}), "unread").await.expect("posted");
    friend.offer().await;
    assert!(house.end().await, "it ends in order, though its last lines find no reader");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_who_comes_back_hears_how_much_is_missing() {
    let mut house = quiet();
    let (_, key) = house.town().await;
    noise(&house.http().with_key(key)).await;
    let dropped = house.meter("kiez_log_lines_dropped_total");
    let mut pipe = house.unread();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).map(|_| text)
    });
    assert!(house.end().await);
    let text = reader.join().expect("the reader").expect("text");
    let missing: Vec<&str> = text.lines().filter(|line| line.contains("lines of this log are missing")).collect();
    assert_eq!(missing.len(), 1, "{text}");
    let lines = missing[0].split("lines=").nth(1).and_then(|rest| rest.split(' ').next()).expect("a number");
    let lines: f64 = lines.parse().expect("a number");
    assert!(dropped > 0.0 && lines >= dropped, "{} with {dropped} dropped", missing[0]);
    assert!(text.lines().last().is_some_and(|line| line.contains("stopped")), "the last line has left: {text}");
    assert!(text.lines().all(|line| line.starts_with("20")), "no line is cut: {text}");
}
