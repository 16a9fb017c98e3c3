//! The audit log: in the same commit as what it tells of, and never changed.

use kiez::dispatch::effect::{AuditRow, By, Record, Subject};
use kiez::ledger::{AuditFilter, RegistryError, Submission};
use kiez_protocol::audit::{AuditRole, SubjectKind};
use kiez_protocol::directory::ImportLine;
use kiez_protocol::profile::Account;

use crate::cast::*;
use crate::reading::partner;

fn dispatcher() -> By {
    By { actor: "desk-2".to_owned(), role: AuditRole::Dispatcher, at: START }
}

fn paused(job: &kiez::dispatch::effect::JobRecord) -> AuditRow {
    dispatcher()
        .did("job_paused", SubjectKind::Job, job.job.id)
        .because("the customer asked")
        .with("from", "dispatching")
}

async fn all(reader: &kiez::ledger::Reader) -> Vec<kiez_protocol::audit::AuditEntry> {
    reader.audit(&AuditFilter::default(), 100, None).await.expect("read")
}

pub async fn what_ops_did_is_there_when_its_record_is_and_only_then(place: &Place) {
    let opened = place.open_with_documents().await;
    let (reader, mut engineer) = (opened.reader, Engineer::new(opened.writer, opened.outcomes));
    let before = all(&reader).await.len();
    let mut first = posted(None);
    first.audit.push(paused(&first));
    assert!(engineer.write(&first).await);
    // A record that the database refuses takes its entry with it.
    let mut doubled = next(&first);
    doubled.events[0].sequence = 1;
    doubled.audit.push(paused(&first));
    assert!(!engineer.write(&doubled).await);
    // One that stands for itself.
    engineer.ticket += 1;
    let row = dispatcher().did("jobs_searched", SubjectKind::Search, "jobs").because("a call back");
    let alone = Submission { ticket: engineer.ticket, subject: Subject::Audit, record: Record::Audit(row) };
    engineer.writer.try_submit(alone).expect("room");
    engineer.settle().await;
    let entries = all(&reader).await;
    assert_eq!(entries.len(), before + 2, "{entries:#?}");
    let (search, paused) = (&entries[0], &entries[1]);
    assert_eq!((search.action.as_str(), search.subject_kind), ("jobs_searched", SubjectKind::Search));
    assert_eq!((paused.actor.as_str(), paused.role, paused.at), ("desk-2", AuditRole::Dispatcher, START));
    assert_eq!(
        (paused.subject.as_str(), paused.reason.as_deref()),
        (&*first.job.id.to_string(), Some("the customer asked"))
    );
    assert_eq!(paused.details["from"], "dispatching");
    assert!(search.id > paused.id);

    let of = async |filter: AuditFilter| reader.audit(&filter, 100, None).await.expect("read").len();
    assert_eq!(of(AuditFilter { subject: Some(first.job.id.to_string()), ..AuditFilter::default() }).await, 1);
    assert_eq!(of(AuditFilter { actor: Some("desk-2".to_owned()), ..AuditFilter::default() }).await, 2);
    assert_eq!(of(AuditFilter { kind: Some(SubjectKind::Job), ..AuditFilter::default() }).await, 1);
    assert_eq!(of(AuditFilter { action: Some("job_paused".to_owned()), ..AuditFilter::default() }).await, 1);
    let page = reader.audit(&AuditFilter::default(), 1, Some(search.id)).await.expect("read");
    assert_eq!(page.iter().map(|entry| entry.id).collect::<Vec<_>>(), [paused.id]);
    engineer.end().await;
}

pub async fn nobody_changes_an_entry(place: &Place) {
    let opened = place.open_with_documents().await;
    let before = all(&opened.reader).await;
    assert!(!before.is_empty());
    for statement in ["update audit set reason = 'another'", "delete from audit"] {
        assert!(place.try_sql(statement).await.is_err(), "{statement}");
    }
    assert_eq!(all(&opened.reader).await, before);
    end(opened).await;
}

pub async fn a_change_of_the_directory_has_its_entry_and_no_change_has_none(place: &Place) {
    let opened = place.open().await;
    let (registry, reader) = (&opened.registry, &opened.reader);
    let mut kim = friend(None);
    let told = async || {
        let entries = all(reader).await;
        let one = |entry: &kiez_protocol::audit::AuditEntry| {
            let details: Vec<_> = entry.details.iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!((entry.actor.as_str(), entry.role, entry.at), ("desk", AuditRole::Admin, START));
            format!("{} {} {}", entry.action, entry.subject, details.join(" ")).trim().to_owned()
        };
        entries.iter().rev().map(one).collect::<Vec<_>>()
    };
    registry.put_community(community(), &by()).await.expect("stored");
    registry.put_community(community(), &by()).await.expect("the same again");
    registry.put_friend(kim.clone(), &by()).await.expect("stored");
    registry.put_friend(kim.clone(), &by()).await.expect("the same again");
    let mut wanted =
        vec![format!("community_stored berlin-tech version=1"), format!("friend_stored {} version=1", kim.id)];
    assert_eq!(told().await, wanted);

    kim.account = Account::Suspended { reason: "until we have spoken".to_owned() };
    let lines = [kim.clone(), friend(None)].map(ImportLine::Friend).to_vec();
    registry.import(lines.clone(), &by()).await.expect("stored");
    registry.import(lines, &by()).await.expect("the same again");
    wanted.push(format!("account_stored {} from=active to=suspended", kim.id));
    wanted.push("directory_imported directory friends=2".to_owned());
    assert_eq!(told().await, wanted);
    let moved = AuditFilter { action: Some("account_stored".to_owned()), ..AuditFilter::default() };
    let entries = reader.audit(&moved, 9, None).await.expect("read");
    assert_eq!(entries[0].reason.as_deref(), Some("until we have spoken"));

    let shop = partner().slug;
    registry.put_partner(partner(), &by()).await.expect("stored");
    registry.create_api_key(shop.clone(), "a1".to_owned(), [9; 32], &by()).await.expect("stored");
    let taken = registry.create_api_key(shop.clone(), "a1".to_owned(), [9; 32], &by()).await;
    assert!(matches!(taken, Err(RegistryError::Refused(_))));
    assert!(registry.revoke_api_key("a1".to_owned(), &by()).await.expect("stored"));
    assert!(!registry.revoke_api_key("a1".to_owned(), &by()).await.expect("nothing to end"));
    wanted.push(format!("partner_stored {shop} version=1"));
    wanted.push(format!("partner_key_made {shop} key=a1"));
    wanted.push(format!("partner_key_revoked {shop} key=a1"));
    assert_eq!(told().await, wanted);
    end(opened).await;
}
