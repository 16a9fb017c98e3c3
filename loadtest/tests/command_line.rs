//! The binary as people use it: a friend in the terminal with commands from a pipe, a replay with its exit code and
//! report.

mod common;

use std::process::Stdio;

use common::{FakeKiez, Mischief};
use kiez_load::client::{AdminClient, Http, PartnerClient};
use kiez_load::world::{World, WorldKind};
use kiez_protocol::directory::ImportLine;
use kiez_protocol::time::Time;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

fn kiez_load() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiez-load"));
    command.env_remove("KIEZ_DEV_KEY").kill_on_drop(true);
    command
}

#[tokio::test]
async fn a_friend_in_the_terminal_takes_a_job() {
    let fake = FakeKiez::start(Mischief::None, 1).await;
    let world = World::new(WorldKind::Pilot, 1, 3);
    let mut profile = world.residents[0].profile.clone();
    profile.radius_m = 100_000;
    let token = fake.know(profile);
    let http = Http::new(fake.server(), "key");
    let communities = world.documents().into_iter().filter(|line| matches!(line, ImportLine::Community(_)));
    AdminClient::new(http.clone()).import(&communities.collect::<Vec<_>>()).await.unwrap();

    let mut friend = kiez_load()
        .args(["friend", "--url", &fake.url, "--token", &token, "--for", "20s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = friend.stdin.take().unwrap();
    let mut lines = BufReader::new(friend.stdout.take().unwrap()).lines();
    stdin.write_all(b"d\np 52.5 13.4\n").await.unwrap();
    let mut fixes = 0;
    let mut seen = Vec::new();
    let mut won = false;
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.starts_with(r#"> {"type":"fix""#) {
            fixes += 1;
        }
        // Duty is answered, and the position is said again: now a job finds the friend.
        if line.contains(r#"< {"type":"done""#) && fixes < 9 {
            fixes = 9;
            let draft = world.job(&mut kiez_load::chance::Chance::new(1), Time(0));
            let partner = PartnerClient::new(http.clone(), 1_000);
            tokio::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                partner.post(&draft.job, "one").await.unwrap();
            });
        }
        if line.contains(r#"< {"type":"offer""#) {
            stdin.write_all(b"a\n").await.unwrap();
        }
        if line.contains(r#""result":"won""#) {
            won = true;
            stdin.write_all(b"q\n").await.unwrap();
        }
        seen.push(line);
    }
    assert!(won, "{seen:#?}");
    assert!(friend.wait().await.unwrap().success());
    assert!(seen.iter().all(|line| !line.contains(&token)), "the token is never printed");
}

#[tokio::test]
async fn a_friend_who_is_not_welcome_hears_why() {
    let fake = FakeKiez::start(Mischief::None, 1).await;
    let output =
        kiez_load().args(["friend", "--url", &fake.url, "--token", "nobody's", "--for", "5s"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("4500"));
}

#[tokio::test]
async fn a_replay_says_with_its_exit_code_whether_all_was_right() {
    for (mischief, code) in [(Mischief::None, 0), (Mischief::ForgetsJobs, 1)] {
        let fake = FakeKiez::start(mischief, 400).await;
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("r.json");
        let trace = concat!(env!("CARGO_MANIFEST_DIR"), "/traces/small");
        let output = kiez_load()
            .args(["replay", "--url", &fake.url, "--trace", trace, "--day", "2026-03-02", "--hours", "16-17"])
            .args(["--speed", "400", "--jobs-from", "booking", "--friends-from", "helper", "--tail-minutes", "5"])
            .arg("--report")
            .arg(&report)
            .env("KIEZ_DEV_KEY", "development")
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains(if code == 0 { "clean" } else { "FAILED: 23 lost jobs" }), "{said}");
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        assert_eq!(json["jobs_posted"], 23);
    }
}

#[tokio::test]
async fn only_this_machine_and_only_with_a_key() {
    let trace = concat!(env!("CARGO_MANIFEST_DIR"), "/traces/small");
    let day = ["replay", "--trace", trace, "--day", "2026-03-02", "--jobs-from", "booking", "--friends-from", "helper"];
    let no_key = kiez_load().args(day).output().await.unwrap();
    assert_eq!(no_key.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&no_key.stderr).contains("--key"));
    let far = kiez_load().args(day).args(["--key", "k", "--url", "http://192.0.2.1:8080"]).output().await.unwrap();
    assert_eq!(far.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&far.stderr).contains("not on this machine"));
}
