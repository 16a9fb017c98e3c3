//! Records of choices grow old: whole for thirty days, counts for a year, then gone.

use std::collections::BTreeMap;

use kiez::dispatch::decision::{Candidate, Decision, KEPT_MS, Outcome, Passed, WHOLE_MS};
use kiez::dispatch::effect::JobRecord;
use kiez::dispatch::gates::Gate;
use kiez::dispatch::hindsight::why_not;
use kiez::ledger::{Aged, OpenError, Registry};
use kiez_protocol::ids::FriendId;
use kiez_protocol::time::Time;

use crate::cast::*;

/// A job whose four were chosen then, while two others were passed over.
fn chosen(at: Time) -> (JobRecord, [FriendId; 2]) {
    let mut record = posted(None);
    let others = [new_friend(), new_friend()];
    let seen = |friend, outcome| Candidate { friend, distance_m: 200, waited: None, outcome };
    let decision = &mut record.decisions[0];
    decision.at = at;
    decision.candidates.push(seen(others[0], Outcome::Ranked { rank: 5 }));
    decision.candidates.push(seen(others[1], Outcome::Failed { gate: Gate::Caps }));
    (record, others)
}

/// A slice of at most so many, as of the start of the stories.
async fn age(registry: &Registry, most: u32) -> (u64, u64) {
    let aged = registry.age_choices(START - WHOLE_MS, START - KEPT_MS, most, START).await;
    let Aged { shrunk, gone } = aged.expect("written");
    (shrunk, gone)
}

pub async fn after_thirty_days_those_not_chosen_are_counts_and_after_a_year_nothing_is_left(place: &Place) {
    let opened = place.open_with_documents().await;
    let (reader, registry) = (opened.reader, opened.registry);
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let [(young, _), (old, others), (ancient, _)] =
        [START - WHOLE_MS, START - WHOLE_MS - 1, START - KEPT_MS - 1].map(chosen);
    for record in [&young, &old, &ancient] {
        assert!(engineer.write(record).await);
    }
    assert_eq!(age(&registry, 100).await, (2, 0));
    assert_eq!(age(&registry, 100).await, (0, 1), "what is a year old shrinks first, and goes with the next slice");
    assert_eq!(age(&registry, 100).await, (0, 0));
    let read = async |record: &JobRecord| reader.decisions(record.job.id).await.expect("reads");
    assert_eq!(read(&young).await, young.decisions, "whole");
    assert_eq!(read(&ancient).await, []);
    let shrunk = read(&old).await;
    let passed = Passed { ranked: 1, failed: BTreeMap::from([(Gate::Caps, 1)]) };
    let was = Decision { passed: Some(passed), ..old.decisions[0].clone() };
    let kept = old.decisions[0].candidates[..4].to_vec();
    assert_eq!(shrunk, [Decision { candidates: kept, ..was }], "the chosen, with why and by which terms");
    let file = reader.job_file(old.job.id).await.expect("reads").expect("is there");
    assert_eq!(file.decisions, shrunk, "ops see what is left");
    for friend in others {
        assert_eq!(why_not(&shrunk, friend, "x"), None, "nobody is told that they were beyond");
    }
    let nobody = old.decisions.iter().chain(&shrunk).cloned().collect::<Vec<_>>();
    assert!(
        why_not(&nobody, others[1], "x").is_some_and(|why| why.gate == Some(Gate::Caps)),
        "a whole one still tells"
    );
    // Nor is the job among those that went past them.
    let slug = "berlin-tech".parse().expect("a slug");
    let found = reader.passed_over(others[0], &slug, START - 400 * 24 * HOUR, None, 50).await.expect("reads");
    assert_eq!(found, []);
    engineer.end().await;
}

pub async fn what_grows_old_goes_in_slices_beside_a_writer(place: &Place) {
    let opened = place.open_with_documents().await;
    let registry = opened.registry;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    for days in 0..25 {
        assert!(engineer.write(&chosen(START - WHOLE_MS - 1 - days * 24 * HOUR).0).await);
    }
    let mut slices = Vec::new();
    loop {
        // Both at once: neither keeps the other from its end.
        let (aged, written) = tokio::join!(age(&registry, 10), async {
            let record = chosen(START).0;
            engineer.write(&record).await
        });
        assert!(written);
        slices.push(aged.0);
        if aged == (0, 0) {
            break;
        }
    }
    assert_eq!(slices, [10, 10, 5, 0]);
    assert_eq!(place.count("decisions").await, 25 + 4);
    assert_eq!(place.count("decisions where shrunk_at is not null").await, 25);
    engineer.end().await;
}

pub async fn a_choice_from_before_this_schema_grows_old_too(place: &Place) {
    let opened = place.open_with_documents().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let (record, _) = chosen(START - WHOLE_MS - 1);
    assert!(engineer.write(&record).await);
    engineer.end().await;
    for statement in ["drop index decisions_whole", "drop index decisions_shrunk"] {
        place.sql(statement).await;
    }
    place.sql("alter table decisions drop column shrunk_at").await;
    if place.is_postgres() {
        place.sql("alter table decisions drop column id").await;
    }
    place.sql("delete from _sqlx_migrations where version = 6").await;
    let refused = place.try_open(false).await.expect_err("it is older");
    assert!(matches!(refused, OpenError::Older), "{refused}");
    kiez::ledger::migrate(&place.url).await.expect("migrates");
    let again = place.open().await;
    assert_eq!(age(&again.registry, 10).await, (1, 0));
    end(again).await;
}
