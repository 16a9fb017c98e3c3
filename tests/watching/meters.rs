//! `/metrics` and its page in `docs` say the same, and what they say moves when things happen.

use std::collections::BTreeMap;

use kiez_protocol::friend::Verdict;

use crate::house::{House, Log, booking};
use crate::life::one_life;

/// The rows of the page's tables: name, type and labels.
fn documented() -> BTreeMap<String, (String, Vec<String>)> {
    let page = include_str!("../../docs/metrics.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 5, "name, type, labels, meaning, what to look for: {row}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{row}");
        let labels = cells[2].split('`').skip(1).step_by(2).map(|label| label.trim_end_matches('=').to_owned());
        let labels = labels.filter(|label| !label.contains(' ')).collect();
        (cells[0].trim_matches('`').to_owned(), (cells[1].to_owned(), labels))
    })
    .collect()
}

/// What `/metrics` says: name, type, whether there is help, and labels.
#[derive(Debug, Default)]
struct Exported {
    kind: String,
    help: bool,
    labels: Vec<String>,
}

fn exported(page: &str) -> BTreeMap<String, Exported> {
    let mut all: BTreeMap<String, Exported> = BTreeMap::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a text");
            all.entry(name.to_owned()).or_default().help = !help.is_empty();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kind.clone_into(&mut all.entry(name.to_owned()).or_default().kind);
        } else if let Some((series, labels)) = line.split_once('{') {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| series.strip_suffix(end));
            let name = family.filter(|family| all.contains_key(*family)).unwrap_or(series);
            let labels = labels
                .split_once('}')
                .expect("an end")
                .0
                .split("\",")
                .map(|label| label.split_once('=').expect("a value").0.to_owned());
            let known = &mut all.get_mut(name).unwrap_or_else(|| panic!("a type before {line}")).labels;
            for label in labels.filter(|label| label != "le") {
                if !known.contains(&label) {
                    known.push(label);
                }
            }
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_and_the_meters_say_the_same() {
    let mut house = House::start(&Log::Kept, None, &[("KIEZ_LOG", "warn")], &[]);
    let (partner, _) = house.town().await;
    let life = one_life(&house, &partner).await;
    // The levels are set once a second.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    house.look("/metrics");
    let page = house.look("/metrics");
    let (documented, exported) = (documented(), exported(&page));
    for (name, Exported { kind, help, labels }) in &exported {
        let (told, known) = documented.get(name).unwrap_or_else(|| panic!("{name} is not in docs/metrics.md"));
        assert_eq!(kind, told, "{name}");
        assert!(help, "{name} has no help");
        assert_eq!(labels, known, "{name}: its labels in docs/metrics.md");
    }
    for name in documented.keys() {
        assert!(exported.contains_key(name), "{name} is documented, and never exported:\n{page}");
    }

    // And they say what has happened.
    let meter = |series: &str| house.meter(series);
    assert_eq!((meter("kiez_jobs_posted_total"), meter("kiez_jobs_assigned_total")), (1.0, 2.0));
    for (event, count) in
        [("posted", 1.0), ("wave_opened", 2.0), ("offer_declined", 1.0), ("handed_back", 1.0), ("edited", 1.0)]
    {
        assert_eq!(meter(&format!("kiez_job_events_total{{event=\"{event}\"}}")), count, "{event}");
    }
    assert_eq!(meter("kiez_offers_total"), 5.0);
    assert_eq!(meter("kiez_accepts_total{result=\"won\",reason=\"\"}"), 2.0);
    assert_eq!(meter("kiez_accepts_total{result=\"lost\",reason=\"taken\"}"), 1.0);
    assert_eq!(meter("kiez_accept_to_verdict_seconds_count"), 4.0);
    assert_eq!(
        meter("kiez_post_to_offer_seconds_count"),
        0.0,
        "its first offers came with the answer, not with the post"
    );
    assert_eq!((meter("kiez_jobs_open"), meter("kiez_jobs{state=\"assigned\"}")), (0.0, 0.0));
    assert_eq!((meter("kiez_friends_live"), meter("kiez_hellos_total{outcome=\"new\"}")), (4.0, 4.0));
    assert_eq!((meter("kiez_ledger_reachable"), meter("kiez_ledger_epoch")), (1.0, 1.0));
    assert_eq!(meter("kiez_http_requests_total{method=\"POST\",route=\"/v1/jobs\",status=\"201\"}"), 1.0);
    assert!(meter("kiez_records_total") >= meter("kiez_ledger_commit_seconds_count"));

    let mut friends = life.friends;
    partner.post(&booking(|_| {}), "another").await.expect("posted");
    let offer = friends[1].offer().await;
    assert_eq!((meter("kiez_post_to_offer_seconds_count"), meter("kiez_jobs{state=\"dispatching\"}")), (1.0, 1.0));
    let key = friends[1].client.accept(offer.offer, offer.revision);
    assert_eq!(friends[1].verdict(key).await.0, Verdict::Won);
    assert_eq!((meter("kiez_jobs{state=\"dispatching\"}"), meter("kiez_jobs{state=\"assigned\"}")), (0.0, 1.0));
    assert!(house.end().await);
}

/// The kinds of events are words in `dispatch`; each stands at zero from the start and is explained.
#[test]
fn every_event_of_a_job_is_metered() {
    let mut kinds = Vec::new();
    let mut room = String::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/dispatch")).expect("the room") {
        let source = std::fs::read_to_string(entry.expect("a page").path()).expect("text");
        for call in source.split("change.event(").skip(1) {
            let call = call.split(';').next().unwrap_or_default();
            kinds.extend(call.split('"').nth(1).map(ToOwned::to_owned));
        }
        room += &source;
    }
    let mut metered: Vec<_> = kiez::metrics::JOB_EVENTS.iter().map(ToString::to_string).collect();
    metered.sort();
    for (kind, next) in metered.iter().zip(&metered[1..]) {
        assert_ne!(kind, next, "metered once");
    }
    for kind in kinds {
        assert!(metered.contains(&kind), "{kind} happens and is not metered");
    }
    for kind in &metered {
        assert!(room.contains(&format!("\"{kind}\"")), "{kind} is metered and never happens");
    }
    let page = include_str!("../../docs/metrics.md");
    for kind in metered {
        assert!(page.contains(&format!("`{kind}`")), "{kind} is not in docs/metrics.md");
    }
}
