//! What friends have done, and what was wanted where nobody serves: counted from rows, after every restart the same.

use std::sync::Arc;

use kiez::dispatch::caps::{PERIOD_MS, Taken};
use kiez::dispatch::effect::{BreachRow, DutyRow, JobRecord, Record, Subject, TakenRow, WaitRow, WaitingRow};
use kiez::dispatch::fairness::{DAY_MS, day};
use kiez::dispatch::job::{Ended, VisitEnd};
use kiez::dispatch::overdue::SeatsAt;
use kiez::ledger::{Ledger, OpenError, Submission};
use kiez_protocol::friend::{Duty, WhyReason};
use kiez_protocol::ids::FriendId;
use kiez_protocol::place::{Cell, Point};
use kiez_protocol::time::Time;

use crate::cast::*;

/// A job that was won then, and whose visit has ended like this, if it has.
fn visited(assigned_at: Time, how: Option<VisitEnd>) -> [JobRecord; 2] {
    let before = posted(None);
    let mut winner = won(&before, 0, 0);
    let visit = &mut winner.visits[0];
    visit.assigned_at = assigned_at;
    visit.active = how.is_none();
    visit.ended = how.map(|how| Ended { at: assigned_at + HOUR, how });
    [before, winner]
}

fn taken(winner: &JobRecord) -> TakenRow {
    let visit = &winner.visits[0];
    TakenRow { friend: visit.friend, taken: Taken { job: winner.job.id, at: visit.assigned_at, net: euro(4410) } }
}

pub async fn what_a_friend_holds_or_has_done_in_a_year_counts(place: &Place) {
    let opened = place.open_with_documents().await;
    assert!(opened.stored.taken.is_empty() && opened.stored.breaches.is_empty(), "an empty ledger has none");
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let now = START + 400 * 24 * HOUR;
    let breach = |hours: i64| Some(VisitEnd::NoContact { cool_until: now + hours * HOUR });
    let held = visited(now, None);
    let done = visited(now - 20 * HOUR, Some(VisitEnd::Done));
    let long_ago = visited(now - (PERIOD_MS - 1), Some(VisitEnd::Done));
    let too_long_ago = visited(now - PERIOD_MS, Some(VisitEnd::Done));
    let back = visited(now - 3 * HOUR, Some(VisitEnd::HandedBack));
    let cancelled = visited(now - 4 * HOUR, Some(VisitEnd::Cancelled));
    let (cooling, cooled) = (visited(now - 5 * HOUR, breach(1)), visited(now - 40 * HOUR, breach(0)));
    let mut unknown = visited(now - 6 * HOUR, Some(VisitEnd::Done));
    unknown[1].visits[0].ended = None;
    for [before, winner] in [&held, &done, &long_ago, &too_long_ago, &back, &cancelled, &cooling, &cooled, &unknown] {
        assert!(engineer.write(before).await && engineer.write(winner).await);
    }
    engineer.end().await;
    let again = place.open().await;
    assert_eq!(again.stored.taken, [&long_ago, &done, &held].map(|[_, winner]| taken(winner)));
    let cool_until = now + HOUR;
    assert_eq!(again.stored.breaches, [BreachRow { friend: cooling[1].visits[0].friend, cool_until }]);
    let read = again.stored.jobs.iter().find(|job| job.row.id == cooling[1].job.id).expect("is open");
    assert_eq!(read.visit.as_ref(), cooling[1].visits.first());
    end(again).await;
}

pub async fn a_visit_that_takes_a_place_has_not_ended(place: &Place) {
    let opened = place.open_with_documents().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let [before, mut winner] = visited(START, Some(VisitEnd::Done));
    winner.visits[0].active = true;
    assert!(engineer.write(&before).await);
    assert!(!engineer.write(&winner).await);
    engineer.end().await;
}

pub async fn wishes_outside_of_an_area_are_counted_by_cell(place: &Place) {
    let (mut rig, _) = place.rig().await;
    let wish = |cell: u64, at| {
        Record::Waitlist(WaitRow { community: "berlin-tech".parse().expect("a slug"), cell: Cell(cell), at })
    };
    let (here, there) = (0x0871_f1d4_88ff_ffff, 0x0871_f1d4_8eff_ffff);
    rig.write(1, &[&wish(here, START), &wish(there, START + 1), &wish(here, START + 2)]).await.expect("written");
    rig.write(2, &[&wish(here, START + 3)]).await.expect("written");
    rig.close().await;
    let rows = place
        .sql(
            "select community, cell, cast(requests as text), cast(first_at as text), cast(last_at as text)
             from waitlist order by requests desc",
        )
        .await;
    let row = |cell: &str, requests: &str, first: i64, last: i64| {
        let at = |ms: i64| (START + ms).0.to_string();
        ["berlin-tech".to_owned(), cell.to_owned(), requests.to_owned(), at(first), at(last)].map(Some).to_vec()
    };
    assert_eq!(rows, [row("871f1d488ffffff", "3", 0, 3), row("871f1d48effffff", "1", 1, 1)]);
}

pub async fn a_wish_waits_its_turn_like_every_record(place: &Place) {
    let opened = place.open_with_documents().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let wish = WaitRow { community: "berlin-tech".parse().expect("a slug"), cell: Cell(7), at: START };
    engineer.ticket += 1;
    let bad = Submission { ticket: engineer.ticket, subject: Subject::Waitlist, record: Record::Waitlist(wish) };
    engineer.writer.try_submit(bad).expect("there is room");
    engineer.submit(&posted(None));
    let refused = engineer.settle().await;
    assert_eq!((refused.len(), refused[0].0), (1, 1), "no cell of the grid; the others go on");
    assert_eq!(place.count("jobs").await, 1);
    engineer.end().await;
}

pub async fn an_older_database_is_refused_until_it_is_migrated(place: &Place) {
    let opened = place.open_with_documents().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let [before, winner] = visited(START, Some(VisitEnd::HandedBack));
    assert!(engineer.write(&before).await && engineer.write(&winner).await);
    engineer.end().await;
    // As the first migration left it.
    for statement in place.undone() {
        place.sql(&statement).await;
    }
    place.sql("delete from _sqlx_migrations where version = 2").await;
    let refused = place.try_open(false).await.expect_err("it is older");
    assert!(matches!(refused, OpenError::Older), "{refused}");
    kiez::ledger::migrate(&place.url).await.expect("migrates");
    let again = place.open().await;
    let visit = again.stored.jobs[0].visit.clone().expect("is kept");
    assert_eq!((visit.active, visit.ended), (false, None), "over, and nobody knows how");
    end(again).await;
}

pub async fn how_long_friends_wait_comes_from_duties_and_offers(place: &Place) {
    let opened = place.open_with_documents().await;
    let registry = opened.registry;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let [asked, idle] = [friend(None), friend(None)];
    for friend in [&asked, &idle] {
        registry.put_friend(friend.clone(), &by()).await.expect("stored");
    }
    // Asked on two days, twice on the second, and once so long ago that it counts no more.
    for at in [START - 40 * 24 * HOUR, START - 24 * HOUR, START, START + 1] {
        let mut record = posted(None);
        record.offers.truncate(1);
        record.offers[0].friend = asked.id;
        record.offers[0].sent_at = at;
        assert!(engineer.write(&record).await);
    }
    engineer.end().await;
    let again = place.open().await;
    let today = day(START);
    let row = WaitingRow {
        last_offer: Some(START + 1),
        by_day: vec![(today - 1, 1), (today, 2)],
        ..WaitingRow::of(asked.id)
    };
    let theirs = |friend| again.stored.waiting.iter().find(|row| row.friend == friend);
    assert_eq!(theirs(asked.id), Some(&row));
    assert_eq!(theirs(idle.id), None, "nothing is known of them");
    end(again).await;
}

pub async fn who_waits_is_read_in_pages_and_who_went_long_ago_is_not(place: &Place) {
    let (mut rig, _) = place.rig().await;
    let friends: Vec<FriendId> = (1..=5).map(|id| FriendId(uuid::Uuid::from_u128(id))).collect();
    let duty = |friend, on, at, first_on| {
        Record::Duty(DutyRow { friend, duty: Duty { on, until: None }, at, first_on: Some(first_on) })
    };
    let mut asked = posted(None);
    asked.offers.truncate(1);
    asked.offers[0].friend = friends[1];
    let by_ops = |mut record: JobRecord| {
        record.offers.truncate(1);
        (record.offers[0].friend, record.offers[0].why) = (friends[0], WhyReason::Assigned);
        record
    };
    let records = [
        duty(friends[0], true, START, START),
        duty(friends[1], true, START - DAY_MS, START - 9 * DAY_MS),
        duty(friends[2], false, START - 6 * DAY_MS, START - 9 * DAY_MS),
        duty(friends[3], false, START - 7 * DAY_MS, START - 9 * DAY_MS),
        duty(friends[4], true, START - 30 * DAY_MS, START - 30 * DAY_MS),
        Record::Job(Box::new(asked)),
        Record::Job(Box::new(by_ops(posted(None)))),
    ];
    rig.write(1, &records.iter().collect::<Vec<_>>()).await.expect("written");
    rig.close().await;
    let opened = place.open().await;
    let waits = |after, limit| opened.reader.waits(START - 7 * DAY_MS, after, limit);
    let row = |friend, first, off_since, last_offer| WaitingRow {
        first_duty: Some(START - first * DAY_MS),
        off_since,
        last_offer,
        ..WaitingRow::of(friend)
    };
    let all = [
        row(friends[0], 0, None, None),
        row(friends[1], 9, None, Some(START)),
        row(friends[2], 9, Some(START - 6 * DAY_MS), None),
        row(friends[4], 30, None, None),
    ];
    assert_eq!(waits(None, 10).await.expect("reads"), all, "what ops gave by hand ends no wait");
    assert_eq!(waits(None, 3).await.expect("reads"), all[..3]);
    assert_eq!(waits(Some(friends[2]), 3).await.expect("reads"), all[3..]);
    end(opened).await;
}

pub async fn the_seats_kept_for_the_longest_wait_are_counted_by_place(place: &Place) {
    let opened = place.open_with_documents().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    // Three jobs here and one in the next square, each with one such seat; one a week ago; one by name.
    for (lat, sent_at, why) in [
        (52.4996, START, WhyReason::Nearest),
        (52.4951, START + 1, WhyReason::Fairness),
        (52.5049, START, WhyReason::Nearest),
        (52.5051, START, WhyReason::Nearest),
        (52.4996, START - 7 * DAY_MS, WhyReason::Nearest),
        (52.4996, START, WhyReason::Named),
    ] {
        let mut record = posted(None);
        let mut booking = record.booking.as_deref().expect("was booked").clone();
        booking.place = Point::new(lat, 13.418).expect("on earth");
        record.booking = Some(Arc::new(booking));
        for offer in &mut record.offers {
            (offer.sent_at, offer.deficit_days) = (sent_at, None);
        }
        record.offers[0].why = why;
        record.offers[3].why = WhyReason::Nearest;
        assert!(engineer.write(&record).await);
    }
    engineer.end().await;
    let again = place.open().await;
    let seats = |slug: &str| {
        let slug = slug.parse().expect("a slug");
        let reader = again.reader.clone();
        async move { reader.kept_seats(&slug, START - 7 * DAY_MS).await.expect("reads") }
    };
    let at = |lat, seats| SeatsAt { place: Point::new(lat, 13.42).expect("on earth"), seats };
    assert_eq!(seats("berlin-tech").await, [at(52.5, 3), at(52.51, 1)]);
    assert_eq!(seats("basel").await, []);
    end(again).await;
}

pub async fn when_something_was_done_last_is_kept(place: &Place) {
    let opened = place.open().await;
    let registry = &opened.registry;
    let version = registry.directory_version().await.expect("reads");
    assert_eq!(registry.instant("swept_at").await.expect("reads"), None);
    for at in [START, START + 1] {
        registry.set_instant("swept_at", at).await.expect("written");
        assert_eq!(registry.instant("swept_at").await.expect("reads"), Some(at));
    }
    assert_eq!(registry.directory_version().await.expect("reads"), version, "nothing of the directory has changed");
    end(opened).await;
}
