//! What is written, and what is refused.

use kiez::dispatch::effect::{DutyRow, Record, Subject};
use kiez::ledger::{Ledger, Submission, writer};
use kiez_protocol::friend::Duty;
use kiez_protocol::ids::FriendId;
use kiez_protocol::partner::JobState;

use crate::cast::*;

fn job(record: &kiez::dispatch::effect::JobRecord) -> Record {
    Record::Job(Box::new(record.clone()))
}

pub async fn a_posted_job_comes_back_as_it_was(place: &Place) {
    let opened = place.open_with_documents().await;
    assert!(opened.stored.jobs.is_empty());
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let (first, second) = (posted(Some("k-1")), posted(None));
    assert!(engineer.write(&first).await);
    assert!(engineer.write(&second).await);
    let second_won = won(&second, 2, 0);
    assert!(engineer.write(&second_won).await);
    engineer.end().await;

    let again = place.open().await;
    let jobs: Vec<_> = again.stored.jobs.iter().map(|job| format!("{job:?}")).collect();
    assert_eq!(jobs, [stored(&[&first]), stored(&[&second, &second_won])]);
    assert_eq!(again.stored.keys.len(), 1);
    let key = &again.stored.keys[0];
    assert_eq!((key.key.clone(), key.job, key.at), (first.key.clone().unwrap(), first.job.id, START));
    let before = format!("{:?}", again.stored);
    end(again).await;
    let third = place.open().await;
    assert_eq!(format!("{:?}", third.stored), before, "every restart sees the same");
    assert_eq!((place.count("events").await, place.count("decisions").await), (7, 2));
    end(third).await;
}

pub async fn the_last_row_of_a_batch_stands(place: &Place) {
    let (mut rig, _) = place.rig().await;
    let first = posted(None);
    let winner = won(&first, 0, 0);
    let mut over = next(&winner);
    over.job.view.state = JobState::Done;
    over.job.next_deadline = None;
    over.visits = winner.visits.clone();
    over.visits[0].active = false;
    rig.write(1, &[&job(&first), &job(&winner), &job(&over)]).await.expect("written");
    let loaded = rig.load_job(first.job.id).await.expect("read").expect("is there");
    assert_eq!(format!("{loaded:?}"), stored(&[&first, &winner, &over]));
    assert!(rig.load().await.expect("read").jobs.is_empty(), "nothing is due for it any more");
    assert_eq!(place.count("events").await, 5);
    rig.close().await;
}

pub async fn two_active_visits_of_a_job_are_refused_and_the_others_go_on(place: &Place) {
    let (rig, _) = place.rig().await;
    let (writer, outcomes) = writer::start(rig, QUEUE_LEN_MAX);
    let mut engineer = Engineer::new(writer, outcomes);
    let (before, bad, after) = (posted(None), posted(None), posted(None));
    let bad_won = won(&bad, 0, 0);
    let mut bad_again = won(&bad_won, 1, 1);
    // As a dispatcher that had forgotten the first winner would have it.
    bad_again.offers.clear();
    bad_again.visits[0].attempt = 2;
    assert!(engineer.write(&bad).await && engineer.write(&bad_won).await);

    // All in one batch: nothing runs between these calls.
    engineer.submit(&before);
    let refused = engineer.submit(&bad_again);
    engineer.submit(&next(&bad_again));
    engineer.submit(&after);
    let outcome = engineer.settle().await;
    assert_eq!(outcome.len(), 1);
    assert_eq!(outcome[0].0, refused);
    let stored_now = outcome[0].1.as_ref().expect("was written before");
    assert_eq!(format!("{stored_now:?}"), stored(&[&bad, &bad_won]));
    assert_eq!(place.count("jobs").await, 3, "the others went on");

    // Dropped until released, in order of the queue.
    engineer.submit(&next(&bad_won));
    engineer.writer.release(Subject::Job(bad.job.id));
    engineer.submit(&next(&bad_won));
    assert!(engineer.settle().await.is_empty());
    assert_eq!(place.count("events").await, 3 * 3 + 2, "one dropped, one written");
    assert_eq!(engineer.writer.depth(), 0);
    engineer.end().await;
}

pub async fn two_winners_of_a_run_are_refused(place: &Place) {
    let opened = place.open_with_documents().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let mut record = posted(None);
    let winner = won(&record, 0, 0);
    record.offers[0].state = winner.offers[0].state;
    record.offers[1].state = winner.offers[0].state;
    assert!(!engineer.write(&record).await);
    assert_eq!(place.count("jobs").await, 0, "nothing of it was written");
    engineer.end().await;
}

pub async fn a_place_is_taken_once(place: &Place) {
    let opened = place.open_with_documents().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let (one, mut two) = (posted(None), posted(None));
    two.offers[0].friend = one.offers[0].friend;
    assert!(engineer.write(&one).await && engineer.write(&two).await);
    assert!(engineer.write(&won(&one, 0, 1)).await);
    assert!(!engineer.write(&won(&two, 0, 1)).await, "the friend's place 1 is taken");
    engineer.writer.release(Subject::Job(two.job.id));
    assert!(engineer.write(&won(&two, 0, 0)).await, "place 0 is free");
    engineer.end().await;
}

pub async fn a_place_is_freed_and_taken_in_one_batch(place: &Place) {
    let (mut rig, _) = place.rig().await;
    let (one, mut two) = (posted(None), posted(None));
    two.offers[0].friend = one.offers[0].friend;
    let one_won = won(&one, 0, 0);
    rig.write(1, &[&job(&one), &job(&two), &job(&one_won)]).await.expect("written");
    let mut over = next(&one_won);
    over.visits = one_won.visits.clone();
    over.visits[0].active = false;
    // The taking stands before the freeing, as it may when a batch brings together what was decided apart.
    rig.write(2, &[&job(&won(&two, 0, 0)), &job(&over)]).await.expect("written");
    rig.close().await;
}

pub async fn a_key_makes_one_job(place: &Place) {
    let opened = place.open_with_documents().await;
    let (reader, mut engineer) = (opened.reader, Engineer::new(opened.writer, opened.outcomes));
    let first = posted(Some("k"));
    engineer.submit(&first);
    engineer.submit(&posted(Some("k")));
    engineer.submit(&posted(Some("other")));
    assert_eq!(engineer.settle().await.len(), 1);
    assert_eq!(place.count("jobs").await, 2);
    let answer = reader.repeated(&first.job.partner, "k").await.expect("read");
    assert_eq!(answer, Some(first.job.view.clone()));
    assert_eq!(reader.repeated(&first.job.partner, "unknown").await.expect("read"), None);

    let mut late = posted(Some("k"));
    late.job.updated_at = START + 7 * 24 * HOUR;
    assert!(engineer.write(&late).await, "after seven days it is free again");
    assert_eq!(reader.repeated(&first.job.partner, "k").await.expect("read"), Some(late.job.view));
    engineer.end().await;
}

pub async fn an_event_is_written_once(place: &Place) {
    let opened = place.open_with_documents().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let record = posted(None);
    assert!(engineer.write(&record).await);
    let mut again = next(&record);
    again.events[0].sequence = 3;
    assert!(!engineer.write(&again).await);
    engineer.end().await;
}

pub async fn a_job_without_a_deadline_is_refused(place: &Place) {
    let opened = place.open_with_documents().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let mut record = posted(None);
    record.job.next_deadline = None;
    assert!(!engineer.write(&record).await);
    engineer.end().await;
}

pub async fn duty_is_remembered(place: &Place) {
    let opened = place.open().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let (on, off) = (new_friend(), new_friend());
    let row = |friend: FriendId, on: bool, at| DutyRow {
        friend,
        duty: Duty { on, until: on.then_some(START + HOUR) },
        at: START + at,
        first_on: Some(START),
    };
    for row in [row(on, true, 0), row(off, true, 1), row(off, false, 2)] {
        engineer.ticket += 1;
        let subject = Subject::Friend(row.friend);
        let submission = Submission { ticket: engineer.ticket, record: Record::Duty(row), subject };
        engineer.writer.try_submit(submission).expect("there is room");
    }
    assert!(engineer.settle().await.is_empty());
    engineer.end().await;
    let again = place.open().await;
    assert_eq!(again.stored.duties, [row(on, true, 0)]);
    let waits = |friend| again.stored.waiting.iter().find(|row| row.friend == friend).expect("was on duty");
    assert_eq!((waits(on).first_duty, waits(on).off_since), (Some(START), None));
    assert_eq!((waits(off).first_duty, waits(off).off_since), (Some(START), Some(START + 2)));
    end(again).await;
}
