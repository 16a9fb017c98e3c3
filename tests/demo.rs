//! The demo from outside, as somebody new would start it: it ends by itself, its report is clean, and what it says is
//! what the database holds.

mod common;

use std::process::Command;

use common::{Database, psql};
use kiez_load::report::Report;

fn demo(arguments: &[&str]) -> Report {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("r.json");
    let out = Command::new(env!("CARGO_BIN_EXE_kiez"))
        .args(["demo", "--listen", "127.0.0.1:0", "--report"])
        .arg(&file)
        .args(arguments)
        .output()
        .expect("kiez starts");
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{text}");
    assert!(text.contains("/ops#token=") && text.contains(" friend --url http://127.0.0.1:"), "{text}");
    serde_json::from_str(&std::fs::read_to_string(&file).expect("a report")).expect("JSON")
}

#[test]
fn a_demo_on_postgres_reports_what_the_database_holds() {
    let Some(database) = Database::postgres() else { return };
    let report = demo(&["--for", "30s", "--jobs-per-minute", "240", "--database-url", &database.url]);
    assert!(report.jobs_assigned > 20, "{report:#?}");
    let count = |what: &str| psql(&database.url, &format!("select {what} from outcomes"));
    assert_eq!(count("count(distinct job)"), report.jobs_posted.to_string());
    assert_eq!(count("count(distinct job) filter (where winner is not null)"), report.jobs_assigned.to_string());
    assert_eq!(count("count(*) filter (where winner is not null)"), report.wins.to_string());
    assert_eq!(count("coalesce(sum(asked), 0)"), report.offers.to_string());
    assert_eq!(count("count(*) filter (where commission + net <> price)"), "0");
}

#[test]
fn the_pilot_is_sparse_and_still_finds_its_four() {
    let report = demo(&["--for", "12s", "--world", "pilot", "--jobs-per-minute", "120"]);
    assert_eq!((report.friends, report.double_winners, report.wrong_four), (60, 0, 0), "{report:#?}");
    assert!(report.jobs_assigned > 0, "{report:#?}");
}
