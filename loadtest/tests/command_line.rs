//! The binary as people use it: a friend in the terminal with commands from a pipe, a replay with its exit code and
//! report.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a cast member that cannot go on has failed its story"
)]

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::{FakeKiez, Mischief};
use kiez_load::chance::Chance;
use kiez_load::client::{AdminClient, Http, PartnerClient};
use kiez_load::world::{World, WorldKind};
use kiez_protocol::directory::ImportLine;
use kiez_protocol::time::Time;
use tokio::task::spawn_blocking;

const SMALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/traces/small");

fn kiez_load(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiez-load"));
    command.env_remove("KIEZ_DEV_KEY").args(arguments);
    command
}

/// Runs to the end beside the stand-in server.
async fn output(arguments: &[&str]) -> Output {
    let mut command = kiez_load(arguments);
    spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_friend_in_the_terminal_takes_a_job() {
    let fake = FakeKiez::start(Mischief::None, 1).await;
    let world = World::new(WorldKind::Pilot, 1, 3);
    let mut profile = world.residents[0].profile.clone();
    profile.radius_m = 100_000;
    let token = fake.know(profile);
    let http = Http::new(fake.server(), "key");
    let partners = world.documents().into_iter().filter(|line| matches!(line, ImportLine::Partner(_)));
    AdminClient::new(http.clone()).import(&partners.collect::<Vec<_>>()).await.unwrap();

    let arguments = ["friend", "--url", &fake.url, "--token", &token, "--for", "20s"];
    let mut friend =
        kiez_load(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let draft = world.job(&mut Chance::new(1), Time(0));
    let story = spawn_blocking(move || {
        let mut stdin = friend.stdin.take().unwrap();
        stdin.write_all(b"d\np 52.5 13.4\n").unwrap();
        let mut seen = Vec::new();
        for line in BufReader::new(friend.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            // Duty is answered, and the position is said again: now a job finds the friend.
            if line.starts_with(r#"< {"type":"done""#) {
                let (partner, job) =
                    (PartnerClient::new(http.with_key(draft.partner.as_str()), 1_000), draft.job.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    partner.post(&job, "one").await.unwrap();
                });
            }
            if line.starts_with(r#"< {"type":"offer""#) {
                stdin.write_all(b"a\n").unwrap();
            }
            if line.contains(r#""result":"won""#) {
                stdin.write_all(b"q\n").unwrap();
            }
            seen.push(line);
        }
        (friend.wait().unwrap(), seen)
    });
    let (status, seen) = story.await.unwrap();
    assert!(status.success() && seen.iter().any(|line| line.contains(r#""result":"won""#)), "{seen:#?}");
    assert!(seen.iter().all(|line| !line.contains(&token)), "the token is never printed");
}

#[tokio::test]
async fn a_friend_who_is_not_welcome_hears_why() {
    let fake = FakeKiez::start(Mischief::None, 1).await;
    let output = output(&["friend", "--url", &fake.url, "--token", "nobody's", "--for", "5s"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("4500"));
}

async fn replay_ends_with(mischief: Mischief, more: &[&str], code: i32, says: &str) {
    let fake = FakeKiez::start(mischief, 400).await;
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("r.json");
    let mut arguments = vec!["replay", "--url", &fake.url, "--key", "development", "--trace", SMALL];
    arguments.extend(["--day", "2026-03-02", "--hours", "16-17", "--speed", "400", "--tail-minutes", "5"]);
    arguments.extend(["--jobs-from", "booking", "--friends-from", "helper", "--report", report.to_str().unwrap()]);
    arguments.extend(more);
    let output = output(&arguments).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(says), "{said}");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(json["jobs_posted"], 23);
}

#[tokio::test]
async fn a_replay_says_with_its_exit_code_whether_all_was_right() {
    tokio::join!(
        replay_ends_with(Mischief::None, &["--fail-if", "jobs_posted<20"], 0, "clean"),
        replay_ends_with(Mischief::None, &["--fail-if", "jobs_posted>20"], 99, "WORSE: jobs_posted>20"),
        replay_ends_with(Mischief::ForgetsJobs, &["--fail-if", "jobs_posted>20"], 1, "FAILED: 23 lost jobs")
    );
}

#[tokio::test]
async fn only_this_machine_and_only_with_a_key() {
    let day = ["replay", "--trace", SMALL, "--day", "2026-03-02"];
    let no_key = output(&day).await;
    assert_eq!(no_key.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&no_key.stderr).contains("--key"));
    let far = output(&[&day[..], &["--key", "k", "--url", "http://192.0.2.1:8080"]].concat()).await;
    assert_eq!(far.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&far.stderr).contains("not on this machine"));
}

#[tokio::test]
async fn what_does_not_fit_is_said_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base.json");
    std::fs::write(&base, r#"{"run": "city", "wrong_four": 0}"#).unwrap();
    let base = base.to_str().unwrap();
    // Nobody listens on port 9: whoever got so far would say so.
    let at = ["--key", "k", "--url", "http://127.0.0.1:9"];
    let wrong: &[(&[&str], &str)] = &[
        (&["city", "--friends", "0"], "0 is not in 1..=19000"),
        (&["city", "--for", "2x"], "is not s, m or h"),
        (&["city", "--hour", "24"], "24 is not in 0..=23"),
        (&["city", "--jobs-per-minute", "0"], "more than 0"),
        (&["city", "--jobs-per-minute", "60000", "--for", "24h"], "shorten the run"),
        (&["city", "--fail-if", "offer_p99"], "is not a condition"),
        (&["city", "--fail-if", "offer_p99>10%"], "name its report by --compare"),
        (&["city", "--compare", base, "--fail-if", "offer_p99>10%"], "no figure offer_p99"),
        (&["city", "--compare", "/nowhere.json"], "/nowhere.json"),
        (&["idle", "--connections", "10"], "at least two steps"),
        (&["idle", "--connections", "20,10"], "at least two steps"),
        (&["idle", "--connections", "10,x"], "invalid value"),
        (&["replay", "--trace", SMALL, "--day", "2026-03-02", "--kills", "3"], "--serve"),
        (&["replay", "--trace", SMALL, "--day", "2026-03-02", "--hours", "20-16"], "the first hour must be before"),
    ];
    for (arguments, says) in wrong {
        let output = output(&[arguments, &at[..]].concat()).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    let nobody = output(&[&["idle"], &at[..]].concat()).await;
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("listens on port 9: name it by --pid"));
}
