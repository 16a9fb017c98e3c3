//! What is told to partners' servers: the rows come in the commit of what they tell of, and what becomes of them is kept.

use std::convert::Infallible;

use kiez::dispatch::effect::{JobRecord, Record};
use kiez::ledger::outbox::{Attempt, Outbox};
use kiez::ledger::secret::{Keeper, Secret};
use kiez::ledger::{DeliveryFilter, Endpoint, Ledger, Opened, Registry, Resent, delivery_name};
use kiez_protocol::ids::{EndpointId, PartnerSlug};
use kiez_protocol::partner::JobState;
use kiez_protocol::time::Time;
use kiez_protocol::webhook::{DeliveryState, EndpointOff, Outcome, Webhook, WebhookType};
use uuid::Uuid;

use crate::cast::*;

/// Real time in these stories.
const NOW: Time = Time(1_900_000_000_000);

fn shop() -> PartnerSlug {
    "shop".parse().unwrap()
}

fn endpoint(path: &str) -> Endpoint {
    Endpoint::new(EndpointId(Uuid::now_v7()), &format!("https://shop.example/{path}"), &[7; 32], NOW)
}

async fn set(registry: &Registry, partner: PartnerSlug, endpoints: &[Endpoint]) {
    let endpoints = endpoints.to_vec();
    let change = move |_: Vec<Endpoint>| Ok::<_, Infallible>(endpoints);
    registry.change_endpoints(partner, change, &by()).await.expect("stored").expect("nothing is refused");
}

/// A first event, as a post makes it: there was no job before.
fn fresh() -> JobRecord {
    let mut record = posted(None);
    record.events.truncate(1);
    record.job.view.sequence = 1;
    record
}

fn attempt(number: i64, before: u32, outcome: Outcome, state: DeliveryState, due_at: i64) -> Attempt {
    Attempt { number, before, state, due_at, tried_at: NOW.0, status: Some(503), outcome, took_ms: 12 }
}

/// The numbers of what is due for an endpoint.
async fn due(outbox: &Outbox, endpoint: &Endpoint, now: Time) -> Vec<i64> {
    outbox.due(endpoint.id, now, 100).await.expect("read").iter().map(|row| row.number).collect()
}

pub async fn what_partners_hear_is_written_with_what_happened(place: &Place) {
    let Opened { writer, outcomes, registry, outbox, reader, .. } = place.open_with_documents().await;
    let (first, second) = (endpoint("a"), endpoint("b"));
    set(&registry, shop(), &[first.clone(), second.clone()]).await;
    let mut engineer = Engineer::new(writer, outcomes);
    let job = fresh();
    assert!(engineer.write(&job).await);
    assert!(engineer.write(&next(&job)).await, "an event that changes nothing outside");
    let mut won = won(&job, 0, 0);
    won.job.view.sequence = 3;
    won.events[0].sequence = 3;
    assert!(engineer.write(&won).await);

    let rows = outbox.due(first.id, NOW, 100).await.expect("read");
    let id = |sequence: u32| format!("msg_{}_{sequence}", job.job.id.0.simple());
    assert_eq!(rows.iter().map(|row| row.message.clone()).collect::<Vec<_>>(), [id(1), id(3)]);
    let other = outbox.due(second.id, NOW, 100).await.expect("read");
    assert_eq!(
        other.iter().map(|row| &row.message).collect::<Vec<_>>(),
        [&id(1), &id(3)],
        "the same for each endpoint"
    );
    let told: Webhook = serde_json::from_str(&rows[1].body).expect("a webhook");
    assert_eq!((told.kind, told.timestamp), (WebhookType::JobAssigned, START));
    let data = &told.data;
    assert_eq!((data.job, data.state, data.sequence), (job.job.id, JobState::Assigned, 3));
    assert_eq!(data.partner_ref.as_deref(), Some("A-4711"));
    for secret in ["Oranienstr", "Łuczak", "+4930", "7590"] {
        assert!(!rows.iter().any(|row| row.body.contains(secret)), "{secret} is the customer's");
    }
    let listed = reader.deliveries(&shop(), DeliveryFilter::default(), 10, None).await.expect("read").expect("a page");
    assert_eq!(listed.len(), 4);
    assert_eq!((listed[0].sequence, listed[0].state, listed[0].attempts), (3, DeliveryState::Waiting, 0));
    assert_eq!(listed[0].next_try_at, None, "now");
    engineer.end().await;
}

pub async fn who_has_no_endpoint_costs_no_row(place: &Place) {
    let Opened { writer, outcomes, registry, .. } = place.open_with_documents().await;
    set(&registry, "another".parse().unwrap(), &[endpoint("a")]).await;
    let mut engineer = Engineer::new(writer, outcomes);
    assert!(engineer.write(&fresh()).await);
    assert_eq!(place.count("outbox").await, 0);
    engineer.end().await;
}

pub async fn an_endpoint_hears_what_it_wants_and_one_that_is_off_hears_nothing(place: &Place) {
    let Opened { writer, outcomes, registry, outbox, .. } = place.open_with_documents().await;
    let all = endpoint("all");
    let picky = Endpoint { events: vec![WebhookType::JobAssigned, WebhookType::JobDone], ..endpoint("picky") };
    let off = Endpoint { off: Some(EndpointOff::Partner), ..endpoint("off") };
    let removed = endpoint("removed");
    set(&registry, shop(), &[all.clone(), removed.clone()]).await;
    set(&registry, shop(), &[all.clone(), picky.clone(), off.clone()]).await;
    let mut engineer = Engineer::new(writer, outcomes);
    let job = fresh();
    let mut won = won(&job, 0, 0);
    won.job.view.sequence = 2;
    won.events[0].sequence = 2;
    assert!(engineer.write(&job).await && engineer.write(&won).await);
    let mut heard = Vec::new();
    for endpoint in [&all, &picky, &off, &removed] {
        heard.push(due(&outbox, endpoint, NOW).await.len());
    }
    assert_eq!(heard, [2, 1, 0, 0]);
    engineer.end().await;
}

pub async fn a_refused_record_tells_nothing(place: &Place) {
    let opened = place.open_with_documents().await;
    set(&opened.registry, shop(), &[endpoint("a")]).await;
    end(opened).await;
    let (mut rig, _) = place.rig().await;
    let mut bad = fresh();
    // Nothing would ever wake it.
    bad.job.next_deadline = None;
    let bad = Record::Job(Box::new(bad));
    let good = Record::Job(Box::new(fresh()));
    rig.write(1, &[&good, &bad]).await.expect_err("refused");
    assert_eq!((place.count("jobs").await, place.count("outbox").await), (0, 0), "neither without the other");
    rig.write(2, &[&good]).await.expect("written");
    assert_eq!((place.count("jobs").await, place.count("outbox").await), (1, 1));
    rig.close().await;
}

pub async fn what_is_due_comes_endpoint_by_endpoint_and_what_came_of_it_is_kept(place: &Place) {
    let Opened { writer, outcomes, registry, outbox, reader, .. } = place.open_with_documents().await;
    let endpoints = [endpoint("a"), endpoint("b")];
    set(&registry, shop(), &endpoints).await;
    let mut engineer = Engineer::new(writer, outcomes);
    for _ in 0..3 {
        assert!(engineer.write(&fresh()).await);
    }
    let targets = outbox.targets(NOW, None).await.expect("read");
    let mut wanted: Vec<_> = endpoints.iter().map(|endpoint| endpoint.id).collect();
    wanted.sort();
    assert_eq!(targets.iter().map(|target| target.id).collect::<Vec<_>>(), wanted);
    assert_eq!(targets[0].secrets, [(vec![7; 32], None)]);
    assert_eq!(outbox.targets(NOW, Some(wanted[0])).await.expect("read").len(), 1, "behind the first");

    let a = due(&outbox, &endpoints[0], NOW).await;
    assert_eq!(a.len(), 3);
    let later = NOW.0 + 5_000;
    let came = vec![
        attempt(a[0], 0, Outcome::Accepted, DeliveryState::Delivered, NOW.0),
        attempt(a[1], 0, Outcome::Status, DeliveryState::Waiting, later),
        // Somebody has sent it again meanwhile: what came of an older try does not count.
        attempt(a[2], 7, Outcome::Status, DeliveryState::Dead, NOW.0),
    ];
    outbox.note(came, Vec::new()).await.expect("noted");
    assert_eq!(due(&outbox, &endpoints[0], NOW).await, [a[2]]);
    assert_eq!(due(&outbox, &endpoints[0], Time(later)).await, [a[2], a[1]], "the longest due first");
    assert_eq!(due(&outbox, &endpoints[1], NOW).await.len(), 3, "the other has its own");
    let filter = DeliveryFilter { endpoint: Some(endpoints[0].id), ..DeliveryFilter::default() };
    let listed = reader.deliveries(&shop(), filter, 10, None).await.expect("read").expect("a page");
    let seen: Vec<_> = listed.iter().map(|each| (each.state, each.attempts, each.outcome, each.status)).collect();
    assert_eq!(
        seen,
        [
            (DeliveryState::Waiting, 0, None, None),
            (DeliveryState::Waiting, 1, Some(Outcome::Status), Some(503)),
            (DeliveryState::Delivered, 1, Some(Outcome::Accepted), Some(503)),
        ]
    );
    assert_eq!(listed[1].next_try_at, Some(Time(later)));
    engineer.end().await;
}

pub async fn what_waits_for_an_endpoint_that_is_gone_is_given_up_and_what_is_over_is_forgotten(place: &Place) {
    let Opened { writer, outcomes, registry, outbox, reader, .. } = place.open_with_documents().await;
    let endpoints = [endpoint("gone"), endpoint("stays")];
    set(&registry, shop(), &endpoints).await;
    let mut engineer = Engineer::new(writer, outcomes);
    for _ in 0..3 {
        assert!(engineer.write(&fresh()).await);
    }
    let rows = due(&outbox, &endpoints[0], NOW).await;
    let came = vec![attempt(rows[0], 0, Outcome::Gone, DeliveryState::Dead, NOW.0)];
    outbox.note(came, vec![endpoints[0].id]).await.expect("noted");
    let stands = reader.endpoints(&shop()).await.expect("read");
    assert_eq!(stands.iter().map(|endpoint| endpoint.off).collect::<Vec<_>>(), [Some(EndpointOff::Gone), None]);
    assert!(outbox.target(endpoints[0].id).await.expect("read").is_none());
    assert!(!outbox.give_up(NOW).await.expect("swept"), "there are no more");
    assert_eq!(due(&outbox, &endpoints[0], NOW).await, Vec::<i64>::new());
    let dead = DeliveryFilter { state: Some(DeliveryState::Dead), ..DeliveryFilter::default() };
    let dead = reader.deliveries(&shop(), dead, 10, None).await.expect("read").expect("a page");
    let outcomes: Vec<_> = dead.iter().map(|each| each.outcome).collect();
    assert_eq!(outcomes, [Some(Outcome::EndpointOff), Some(Outcome::EndpointOff), Some(Outcome::Gone)]);
    assert!(!outbox.forget(NOW).await.expect("swept"));
    assert_eq!(place.count("outbox").await, 6, "what ended just now is kept");
    outbox.forget(NOW + 1).await.expect("swept");
    assert_eq!(place.count("outbox").await, 3, "what waits is never forgotten");
    engineer.end().await;
}

pub async fn a_partner_sees_and_resends_only_their_own(place: &Place) {
    let Opened { writer, outcomes, registry, outbox, reader, .. } = place.open_with_documents().await;
    let mine = endpoint("mine");
    set(&registry, shop(), std::slice::from_ref(&mine)).await;
    let stranger: PartnerSlug = "stranger".parse().unwrap();
    let mut engineer = Engineer::new(writer, outcomes);
    let jobs = [fresh(), fresh(), fresh()];
    for job in &jobs {
        assert!(engineer.write(job).await);
    }
    assert_eq!(reader.endpoints(&stranger).await.expect("read"), Vec::new());
    let none = reader.deliveries(&stranger, DeliveryFilter::default(), 10, None).await.expect("read").expect("a page");
    assert_eq!(none, Vec::new());
    let page = |after: Option<String>| {
        let reader = reader.clone();
        async move {
            let after = after.as_deref().map(|after| kiez::ledger::delivery_of(after).expect("a name"));
            reader.deliveries(&shop(), DeliveryFilter::default(), 2, after).await.expect("read")
        }
    };
    let first = page(None).await.expect("a page");
    let second = page(Some(first[1].id.clone())).await.expect("a page");
    let jobs_seen: Vec<_> = first.iter().chain(&second).map(|each| each.job).collect();
    assert_eq!(jobs_seen, [jobs[2].job.id, jobs[1].job.id, jobs[0].job.id], "newest first, each once");
    assert!(page(Some(delivery_name("msg_no", mine.id))).await.is_none(), "no such delivery");

    let rows = due(&outbox, &mine, NOW).await;
    let came = rows.iter().map(|row| attempt(*row, 0, Outcome::Status, DeliveryState::Dead, NOW.0)).collect();
    outbox.note(came, Vec::new()).await.expect("noted");
    let message = first[0].webhook_id.clone();
    let resend = |partner: PartnerSlug, message: &str| registry.resend(partner, message.to_owned(), mine.id);
    assert_eq!(resend(stranger, &message).await.expect("asked"), Resent::Unknown);
    assert_eq!(resend(shop(), "msg_no").await.expect("asked"), Resent::Unknown);
    assert_eq!(due(&outbox, &mine, NOW).await, Vec::<i64>::new());
    assert_eq!(resend(shop(), &message).await.expect("asked"), Resent::Due);
    let again = outbox.due(mine.id, NOW, 10).await.expect("read");
    assert_eq!((again.len(), &again[0].message, again[0].attempts), (1, &message, 0), "the same id, and all tries");
    set(&registry, shop(), &[Endpoint { off: Some(EndpointOff::Partner), ..mine.clone() }]).await;
    assert_eq!(resend(shop(), &message).await.expect("asked"), Resent::Off);
    engineer.end().await;
}

pub async fn secrets_are_sealed_where_there_is_a_key(place: &Place) {
    let Opened { writer, outcomes, registry, outbox, .. } = place.open_with_documents().await;
    let keeper = Keeper::new("a key of at least thirty-two characters");
    let mut sealed = endpoint("sealed");
    sealed.secrets = vec![Secret::new(keeper.seal(sealed.id, &[9; 32]).expect("sealed"), NOW)];
    set(&registry, shop(), std::slice::from_ref(&sealed)).await;
    let mut engineer = Engineer::new(writer, outcomes);
    assert!(engineer.write(&fresh()).await);
    let stored = place.sql("select cast(secrets as text) from endpoints").await[0][0].clone().expect("there");
    assert!(stored.contains("sealed:1:") && !stored.contains("whsec_"), "{stored}");
    let with = outbox.clone().opening(keeper).target(sealed.id).await.expect("read").expect("there");
    assert_eq!(with.secrets, [(vec![9; 32], None)]);
    let without = outbox.target(sealed.id).await.expect("read").expect("there");
    assert_eq!(without.secrets, [], "nothing signs, and nothing is sent unsigned");
    engineer.end().await;
}
