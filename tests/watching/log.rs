//! A job's id finds its whole story: at INFO, in order, and with the field `job` in every line.

use std::time::Duration;

use kiez_protocol::ids::JobId;
use kiez_protocol::partner::JobState;
use serde_json::Value;

use crate::common::Database;
use crate::house::{House, Log, booking};
use crate::life::{one_life, wave};

/// The lines of a JSON log that name a job in their field `job`. Each line is an object with the four that all have.
fn about(log: &str, job: JobId) -> Vec<Value> {
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    for line in &lines {
        for name in ["timestamp", "level", "target", "message"] {
            assert!(line[name].is_string(), "{name} in {line}");
        }
    }
    lines.into_iter().filter(|line| line["job"] == job.to_string()).collect()
}

/// Whether a line says what is expected: its message, and fields among its own.
fn says(line: &Value, expected: &str) -> bool {
    let mut words = expected.split(' ');
    words.next() == line["message"].as_str()
        && words.all(|word| {
            let (name, value) = word.split_once('=').expect("name=value");
            let field = &line[name];
            field.as_str().map_or_else(|| field.to_string(), ToOwned::to_owned) == value
        })
}

fn tells(log: &str, job: JobId, expected: &[String]) {
    let told = about(log, job);
    for (line, expected) in told.iter().zip(expected) {
        assert!(says(line, expected), "expected: {expected}\ntold: {line}\nin\n{log}");
    }
    assert_eq!(told.len(), expected.len(), "{log}");
    assert_eq!(log.matches(&job.to_string()).count(), expected.len(), "no other line names it\n{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_id_of_a_job_finds_its_whole_story() {
    let mut house = House::start(&Log::Kept, None, &[], &["--log-format", "json"]);
    let (partner, _) = house.town().await;
    let life = one_life(&house, &partner).await;
    assert!(house.end().await);
    let log = house.log();
    tells(&log, life.job, &life.lines);
    // The server's own story stands around it.
    assert!(log.lines().next().is_some_and(|line| line.contains(r#""message":"serving""#)), "{log}");
    assert!(log.lines().last().is_some_and(|line| line.contains(r#""message":"stopped""#)), "{log}");
    assert!(!log.contains(r#""level":"DEBUG""#), "INFO unless asked: {log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_has_a_story_too() {
    let mut house = House::start(&Log::Kept, None, &[("KIEZ_LOG__FORMAT", "json")], &[]);
    let (partner, _) = house.town().await;
    let mut friends = Vec::new();
    for index in 0..3 {
        friends.push(house.friend(index).await.0);
    }
    let urgent = booking(|job| job["urgency"] = "urgent".into());
    let job = partner.post(&urgent, "urgent").await.expect("posted").id;
    let mut offers = Vec::new();
    for (index, friend) in friends.iter_mut().enumerate() {
        offers.push((index, friend.offer().await.offer));
    }
    let far = booking(|job| job["location"] = serde_json::json!({"lat": 48.137, "lng": 11.575}));
    let lonely = partner.post(&far, "lonely").await.expect("posted").id;
    partner.cancel(lonely, None).await.expect("cancelled");
    for _ in 0..200 {
        if partner.job(job).await.expect("there").state == JobState::Expired {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(house.end().await);
    let log = house.log();
    let expected = [
        "posted partner=shop state=dispatching".to_owned(),
        wave("wave_opened", 1, 1, &offers[..2]),
        wave("wave_opened", 1, 2, &offers[2..]),
        "offers_expired state=dispatching".to_owned(),
        "unfilled state=unfilled".to_owned(),
        "alarm kind=unfilled level=WARN".to_owned(),
        "expired state=expired".to_owned(),
    ];
    tells(&log, job, &expected);
    let expected = ["posted state=dispatching", "nobody_found wave=1 wanted=2", "cancelled state=cancelled"];
    tells(&log, lonely, &expected.map(str::to_owned));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_the_ledger_refuses_is_an_error_that_names_no_values() {
    let Some(database) = Database::postgres() else { return };
    let mut house = House::start(&Log::Kept, Some(&database.url), &[("KIEZ_LOG", "trace")], &["--log-format", "json"]);
    let (partner, _) = house.town().await;
    let (mut friend, _) = house.friend(0).await;
    let job = partner.post(&booking(|_| {}), "refused").await.expect("posted").id;
    let offer = friend.offer().await;
    // As nasty as a database can be: its refusal repeats the customer's name.
    crate::common::psql(
        &database.url,
        "create function nasty() returns trigger language plpgsql as $$ begin
             raise exception 'no % for you', (select doc -> 'customer' ->> 'name' from bookings where job = new.job)
                 using errcode = '23514', detail = new::text; end $$;
         create trigger nasty before insert on visits for each row execute function nasty()",
    );
    let key = friend.client.accept(offer.offer, offer.revision);
    // Told to try again, the app does, and is refused again.
    friend
        .until("a verdict", |message| {
            matches!(message, kiez_protocol::friend::FriendMessage::AcceptResult { key: about, .. } if *about == key)
                .then_some(())
        })
        .await;
    assert!(house.end().await);
    let log = house.log();
    let told = about(&log, job);
    let error = told.iter().find(|line| line["level"] == "ERROR").unwrap_or_else(|| panic!("an error in {log}"));
    assert!(error["message"].as_str().is_some_and(|text| text.starts_with("quarantined")), "{error}");
    assert!(error["why"].as_str().is_some_and(|why| why.contains("23514")), "{error}");
    assert!(told.iter().any(|line| says(line, "verdict result=try_again")), "{log}");
    assert!(!told.iter().any(|line| line["message"] == "assigned"), "what was not written is not told: {log}");
    assert!(!log.to_lowercase().contains("qanary"), "{log}");
}
