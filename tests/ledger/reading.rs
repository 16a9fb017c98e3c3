//! What is read back by others than the dispatcher, and what admins write.

use kiez::dispatch::job::OfferState;
use kiez::ledger::RegistryError;
use kiez_protocol::directory::{ImportLine, Partner};
use kiez_protocol::friend::{ClosedReason, LostReason, ToldVerdict, Verdict};
use kiez_protocol::ids::{JobId, Key, PartnerSlug};
use kiez_protocol::partner::JobState;
use uuid::Uuid;

use crate::cast::*;

pub fn partner() -> Partner {
    Partner {
        slug: "shop".parse().expect("a slug"),
        name: "Shop".to_owned(),
        community: None,
        commission: None,
        quota: None,
    }
}

pub async fn a_partner_sees_its_own_jobs(place: &Place) {
    let opened = place.open_with_documents().await;
    let (reader, mut engineer) = (opened.reader, Engineer::new(opened.writer, opened.outcomes));
    let records: Vec<_> = (0..5).map(|_| posted(None)).collect();
    for record in &records {
        engineer.submit(record);
    }
    engineer.submit(&won(&records[1], 0, 0));
    engineer.settle().await;
    let shop = &records[0].job.partner;
    let other: PartnerSlug = "other".parse().expect("a slug");

    let view = reader.job_view(shop, records[0].job.id).await.expect("read");
    assert_eq!(view.as_ref(), Some(&records[0].job.view));
    assert_eq!(reader.job_view(&other, records[0].job.id).await.expect("read"), None);

    let ids = |views: Vec<kiez_protocol::partner::JobView>| views.iter().map(|view| view.id).collect::<Vec<_>>();
    let newest_first: Vec<_> = records.iter().rev().map(|record| record.job.id).collect();
    assert_eq!(ids(reader.jobs(shop, None, 10, None).await.expect("read")), newest_first);
    assert_eq!(ids(reader.jobs(shop, None, 2, Some(newest_first[1])).await.expect("read")), newest_first[2..4]);
    let assigned = reader.jobs(shop, Some(JobState::Assigned), 10, None).await.expect("read");
    assert_eq!(ids(assigned), [records[1].job.id]);
    assert!(reader.jobs(&other, None, 10, None).await.expect("read").is_empty());
    engineer.end().await;
}

pub async fn verdicts_follow_from_the_rows(place: &Place) {
    let opened = place.open_with_documents().await;
    let (reader, mut engineer) = (opened.reader, Engineer::new(opened.writer, opened.outcomes));
    let job = posted(None);
    assert!(engineer.write(&job).await);
    let key = Key(Uuid::now_v7());
    let ask = async |seat: usize, key: Key| {
        let offer = &job.offers[seat];
        reader.verdict(offer.friend, offer.id, key).await.expect("read")
    };
    assert_eq!(ask(0, key).await, Some((Verdict::TryAgain, None)));
    assert_eq!(reader.verdict(new_friend(), job.offers[0].id, key).await.expect("read"), None, "another's offer");

    let mut winner = won(&job, 0, 0);
    winner.offers[2].state = OfferState::Closed(ClosedReason::Declined);
    winner.offers[3].state = OfferState::Closed(ClosedReason::Capacity);
    assert!(engineer.write(&winner).await);
    let winners = winner.visits[0].key;
    assert_eq!(ask(0, winners).await, Some((Verdict::Won, None)));
    assert_eq!(ask(0, key).await, Some((Verdict::Won, None)), "another key from the seat that won");
    assert_eq!(ask(1, key).await, Some((Verdict::Lost, Some(LostReason::Taken))));
    assert_eq!(ask(2, key).await, Some((Verdict::Lost, Some(LostReason::Declined))));
    assert_eq!(ask(3, key).await, Some((Verdict::Lost, Some(LostReason::Capacity))));

    let mut back = next(&winner);
    back.offers = winner.offers.clone();
    back.offers[0].state = OfferState::Closed(ClosedReason::HandedBack);
    back.visits = winner.visits.clone();
    back.visits[0].active = false;
    assert!(engineer.write(&back).await);
    assert_eq!(ask(0, winners).await, Some((Verdict::Won, None)), "the same key hears the same");
    assert_eq!(ask(0, key).await, Some((Verdict::Lost, Some(LostReason::Closed))));

    for (reason, lost) in [
        (ClosedReason::Cancelled, LostReason::JobCancelled),
        (ClosedReason::Expired, LostReason::Expired),
        (ClosedReason::Superseded, LostReason::Superseded),
        (ClosedReason::Paused, LostReason::Paused),
    ] {
        let mut job = posted(None);
        job.offers[0].state = OfferState::Closed(reason);
        assert!(engineer.write(&job).await);
        let verdict = reader.verdict(job.offers[0].friend, job.offers[0].id, key).await.expect("read");
        assert_eq!(verdict, Some((Verdict::Lost, Some(lost))));
    }
    engineer.end().await;
}

pub async fn wins_of_the_last_day_come_back_with_a_start(place: &Place) {
    let opened = place.open_with_documents().await;
    assert!(opened.stored.verdicts.is_empty());
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let now = START + 240 * HOUR;
    // Each with the hours before now at which it was posted and won.
    let mut told = Vec::new();
    for (posted_h, won_h) in [(72, Some(48)), (72, Some(2)), (25, Some(23)), (1, Some(1)), (0, None)] {
        let mut job = posted(None);
        let at = (now - posted_h * HOUR).0.unsigned_abs();
        let id = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, at / 1_000, (at % 1_000) as u32 * 1_000_000));
        (job.job.id, job.job.view.id) = (JobId(id), JobId(id));
        assert!(engineer.write(&job).await);
        let Some(won_h) = won_h else { continue };
        let mut record = won(&job, 0, 0);
        record.visits[0].assigned_at = now - won_h * HOUR;
        assert!(engineer.write(&record).await);
        let visit = &record.visits[0];
        let (offer, key, at) = (visit.offer, visit.key, visit.assigned_at);
        told.push((visit.friend, ToldVerdict { offer, key, result: Verdict::Won, reason: None, at }));
    }
    engineer.end().await;
    let again = place.open().await;
    let mut expected = told.split_off(1);
    expected.sort_by_key(|(_, told)| told.at);
    assert_eq!(again.stored.verdicts, expected);
    end(again).await;
}

pub async fn outcomes_tell_every_run(place: &Place) {
    let opened = place.open_with_documents().await;
    let mut engineer = Engineer::new(opened.writer, opened.outcomes);
    let job = posted(None);
    let winner = won(&job, 0, 0);
    let mut again = next(&winner);
    again.job.view.state = JobState::Cancelled;
    again.job.view.attempt = 2;
    again.job.next_deadline = None;
    again.visits = winner.visits.clone();
    again.visits[0].active = false;
    again.runs = winner.runs.clone();
    again.runs[0].attempt = 2;
    again.runs[0].end = Some(JobState::Cancelled);
    again.runs[0].waves = 3;
    assert!(engineer.write(&job).await && engineer.write(&winner).await && engineer.write(&again).await);
    engineer.end().await;
    let rows = place
        .sql(
            "select cast(job as text), cast(attempt as text), state, cast(winner as text), cast(waves as text),
                    cast(asked as text), cast(time_to_assign_ms as text), cast(price as text),
                    cast(commission as text), cast(net as text), currency
             from outcomes order by attempt",
        )
        .await;
    let (id, friend) = (job.job.id.to_string(), winner.visits[0].friend.to_string());
    let text = |values: [&str; 11]| values.map(|value| (value != "-").then(|| value.to_owned())).to_vec();
    assert_eq!(
        rows,
        [
            text([&id, "1", "assigned", &friend, "1", "4", "60000", "4900", "490", "4410", "EUR"]),
            text([&id, "2", "cancelled", "-", "3", "4", "-", "4900", "490", "4410", "EUR"]),
        ]
    );
}

pub async fn an_import_is_all_or_nothing(place: &Place) {
    let opened = place.open().await;
    let registry = &opened.registry;
    let kim = friend(Some("kim@idp"));
    registry.put_friend(kim.clone(), &by()).await.expect("stored");
    let before = registry.load_directory().await.expect("read");
    assert_eq!(before.friends, std::slice::from_ref(&kim));

    let lines = vec![
        ImportLine::Community(community()),
        ImportLine::Friend(friend(None)),
        ImportLine::Friend(friend(Some("kim@idp"))),
    ];
    let refused = registry.import(lines, &by()).await.expect_err("the subject is Kim's");
    assert!(matches!(refused, RegistryError::Refused(_)), "{refused}");
    assert_eq!(registry.load_directory().await.expect("read"), before);

    let mut older = kim.clone();
    older.name = "Kim as they were".to_owned();
    let mut friends: Vec<_> = (0..500).map(|_| friend(None)).collect();
    friends.push(kim.clone());
    let mut lines: Vec<_> = [older].into_iter().chain(friends.clone()).map(ImportLine::Friend).collect();
    lines.extend([ImportLine::Community(community()), ImportLine::Package(package()), ImportLine::Partner(partner())]);
    let report = registry.import(lines, &by()).await.expect("stored");
    assert_eq!(report.imported["friend"], 502);
    assert_eq!(report.imported["package"], 1);
    let after = registry.load_directory().await.expect("read");
    friends.sort_by_key(|friend| friend.id);
    assert_eq!(after.friends, friends);
    assert_eq!(after.communities, [(community(), 1)]);
    assert_eq!(after.packages, [(package(), 1)]);
    assert_eq!(after.partners, [partner()]);
    assert_eq!(after.version, before.version + 1);
    end(opened).await;
}

pub async fn documents_have_versions(place: &Place) {
    let registry = kiez::ledger::open_registry(&place.url).await.expect("an empty database is migrated");
    assert_eq!(registry.put_community(community(), &by()).await.expect("stored"), 1);
    let version = registry.directory_version().await.expect("read");
    assert_eq!(registry.put_community(community(), &by()).await.expect("stored"), 1, "the same again");
    assert_eq!(registry.directory_version().await.expect("read"), version);
    let mut newer = community();
    newer.brand = "Kiez".to_owned();
    assert_eq!(registry.put_community(newer.clone(), &by()).await.expect("stored"), 2);
    assert_eq!(registry.directory_version().await.expect("read"), version + 1);
    assert_eq!(registry.load_directory().await.expect("read").communities, [(community(), 1), (newer.clone(), 2)]);
    // Two admins at once each get a version of their own.
    let (mut one, mut two) = (newer.clone(), newer);
    one.brand = "One".to_owned();
    two.brand = "Two".to_owned();
    let by = by();
    let (one, two) = tokio::join!(registry.put_community(one, &by), registry.put_community(two, &by));
    let mut versions = [one.expect("stored"), two.expect("stored")];
    versions.sort_unstable();
    assert_eq!(versions, [3, 4]);
}

pub async fn api_keys_are_kept_as_hashes(place: &Place) {
    let opened = place.open().await;
    let shop = partner().slug;
    let by = &by();
    let key = |id: &str| opened.registry.create_api_key(shop.clone(), id.to_owned(), [9; 32], by);
    assert!(matches!(key("a1").await, Err(RegistryError::UnknownPartner(_))));
    opened.registry.put_partner(partner(), by).await.expect("stored");
    key("a1").await.expect("stored");
    assert!(matches!(key("a1").await, Err(RegistryError::Refused(_))));
    assert_eq!(opened.reader.api_key("a1").await.expect("read"), Some((shop.clone(), [9; 32])));
    assert_eq!(opened.reader.api_key("a2").await.expect("read"), None);
    assert!(opened.registry.revoke_api_key("a1".to_owned(), by).await.expect("stored"));
    assert_eq!(opened.reader.api_key("a1").await.expect("read"), None);
    end(opened).await;
}

pub async fn a_value_is_kept_from_the_first_start_on(place: &Place) {
    let opened = place.open().await;
    assert_eq!(opened.registry.keep("time_anchor", "1").await.expect("stored"), "1");
    assert_eq!(opened.registry.keep("time_anchor", "2").await.expect("stored"), "1");
    end(opened).await;
}
