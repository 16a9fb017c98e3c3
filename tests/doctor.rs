//! The command line from outside, as an operator types it: `kiez doctor` in good and bad days, and the documents.

mod common;

use std::process::{Command, Output};

use common::TestServer;
use serde_json::Value;

/// Runs kiez in a folder of its own, with nothing in its environment but this.
fn kiez(folder: &std::path::Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiez"));
    command.args(arguments).current_dir(folder).env_clear().envs(environment.iter().copied());
    command.output().expect("kiez starts")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The state and the words of a check in `kiez doctor --json`.
fn check(output: &Output, name: &str) -> (String, String) {
    let whole: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(output)));
    let lines = whole["checks"].as_array().expect("a list");
    let line = lines.iter().find(|line| line["check"] == name).unwrap_or_else(|| panic!("no {name}: {whole:#}"));
    assert_eq!(line["state"] == "ok", line.get("mend").is_none(), "what is not good says what mends it: {line}");
    (line["state"].as_str().expect("a word").to_owned(), line["says"].as_str().expect("words").to_owned())
}

const FREE: [(&str, &str); 2] = [("KIEZ_SERVER__LISTEN", "127.0.0.1:0"), ("KIEZ_ADMIN__LISTEN", "127.0.0.1:0")];

#[test]
fn before_the_first_start_the_doctor_finds_nothing_wrong_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = ("KIEZ_AUTH__SECRET", "9f2c7c1e5b0d44a18e36f7c2a90b1d5e");
    let well = kiez(folder.path(), &["doctor", "--json"], &[FREE[0], FREE[1], secret]);
    assert!(well.status.success(), "{}", text(&well));
    for name in
        ["configuration", "secret", "server.listen", "admin.listen", "database", "schema", "durability", "holder"]
    {
        assert_eq!(check(&well, name).0, "ok", "{name}: {}", text(&well));
    }
    assert!(check(&well, "schema").1.contains("the first start makes it"));
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 0);
    let words = kiez(folder.path(), &["doctor"], &FREE);
    assert!(words.status.success() && text(&words).contains("warn  secret"), "{}", text(&words));
}

#[test]
fn what_is_wrong_ends_with_one_and_says_what_mends_it() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("kiez.toml"), "[server]\nlistn = \"x\"\n").expect("written");
    let unknown = kiez(folder.path(), &["doctor", "--json"], &[]);
    let (state, says) = check(&unknown, "configuration");
    assert!(state == "fail" && says.contains("did you mean `server.listen`?"), "{says}");
    assert_eq!(unknown.status.code(), Some(1));

    std::fs::write(folder.path().join("kiez.toml"), "[auth]\nsecret = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\n")
        .expect("written");
    let away =
        kiez(folder.path(), &["doctor", "--json", "--database-url", "postgres://nobody:hush@127.0.0.1:1/x"], &FREE);
    assert_eq!((away.status.code(), check(&away, "database").0.as_str()), (Some(1), "fail"));
    assert!(check(&away, "secret").1.contains("can be guessed"));
    assert!(!text(&away).contains("hush"), "a password on the screen: {}", text(&away));

    std::fs::write(folder.path().join("broken.db"), "this is no database, however long it may be").expect("written");
    let broken = kiez(folder.path(), &["doctor", "--json", "--database-url", "sqlite:broken.db"], &FREE);
    assert_eq!((broken.status.code(), check(&broken, "database").0.as_str()), (Some(1), "fail"));

    let public = [("KIEZ_SERVER__LISTEN", "0.0.0.0:0"), FREE[1]];
    std::fs::remove_file(folder.path().join("kiez.toml")).expect("removed");
    let public = kiez(folder.path(), &["doctor", "--json"], &public);
    assert_eq!(
        (public.status.code(), check(&public, "secret").0.as_str()),
        (Some(1), "fail"),
        "no secret off loopback"
    );
    assert_eq!(check(&public, "server.listen").0, "warn");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_running_server_the_doctor_says_who_it_is() {
    let mut server = TestServer::start().await;
    let (folder, url) = (tempfile::tempdir().expect("a folder"), server.url.clone());
    let listen = server.address();
    let admin = server.running.as_ref().expect("it runs").admin_address.to_string();
    let environment = [("KIEZ_SERVER__LISTEN", listen), ("KIEZ_ADMIN__LISTEN", admin), ("KIEZ_DATABASE__URL", url)];
    let beside = tokio::task::spawn_blocking(move || {
        let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        kiez(folder.path(), &["doctor", "--json"], &environment)
    });
    let beside = beside.await.expect("it ends");
    assert!(beside.status.success(), "{}", text(&beside));
    for name in ["server.listen", "admin.listen"] {
        assert!(check(&beside, name).1.starts_with("a kiez answers on 127.0.0.1:"), "{}", text(&beside));
    }
    assert_eq!(check(&beside, "schema").1, "current");
    let holder = check(&beside, "holder").1;
    assert!(holder.starts_with(&format!("process {} has the ledger; epoch 1, ", std::process::id())), "{holder}");
    server.down().await;
}

#[test]
fn the_documents_and_the_schema_of_the_configuration_are_printed_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    for (command, committed) in [("openapi", kiez_protocol::OPENAPI), ("asyncapi", kiez_protocol::ASYNCAPI)] {
        let printed = kiez(folder.path(), &[command], &[]);
        assert!(printed.status.success() && printed.stdout == committed.as_bytes(), "kiez {command}");
    }
    let schema = kiez(folder.path(), &["config", "schema"], &[]);
    let schema: Value = serde_json::from_slice(&schema.stdout).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    for shell in ["bash", "zsh", "fish"] {
        let script = kiez(folder.path(), &["completions", shell], &[]);
        assert!(text(&script).contains("doctor"), "{shell} knows every command");
    }
}
