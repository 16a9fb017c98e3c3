//! A friend and a partner against a server that breaks off, is busy and cannot decide: nothing is lost and nothing is
//! done twice.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a cast member that cannot go on has failed its story"
)]

mod common;

use std::time::Duration;

use common::{FakeKiez, Mischief};
use kiez_load::client::{AdminClient, FriendClient, FriendConfig, FriendEvent, Http, PartnerClient, Reconnect};
use kiez_load::world::{World, WorldKind};
use kiez_protocol::directory::ImportLine;
use kiez_protocol::friend::{FriendMessage, Verdict};
use kiez_protocol::time::Time;
use tokio::time::timeout;

fn config(fake: &FakeKiez, token: &str) -> FriendConfig {
    let mut config = FriendConfig::new(fake.server(), token);
    config.reconnect = Reconnect { first_max_ms: 20, backoff_max_ms: 100 };
    config
}

/// The next event for which `pick` says something; panics after five seconds.
async fn until<A>(client: &mut FriendClient, mut pick: impl FnMut(&FriendEvent) -> Option<A>) -> A {
    let wait = async {
        loop {
            let event = client.next().await;
            if let Some(found) = pick(&event) {
                return found;
            }
        }
    };
    timeout(Duration::from_secs(5), wait).await.expect("it happens within five seconds")
}

fn is_up(event: &FriendEvent) -> Option<usize> {
    match event {
        FriendEvent::Up { repeated, .. } => Some(repeated.len()),
        _ => None,
    }
}

fn is_snapshot(event: &FriendEvent) -> Option<()> {
    matches!(event, FriendEvent::Message(envelope) if matches!(envelope.message, FriendMessage::Snapshot(_)))
        .then_some(())
}

/// A friend on duty at home, in a world with an offer to come.
async fn on_duty(fake: &FakeKiez, world: &World) -> FriendClient {
    let resident = &world.residents[0];
    let token = fake.know(resident.profile.clone());
    let mut client = FriendClient::new(config(fake, &token));
    until(&mut client, is_snapshot).await;
    let duty = client.duty(true);
    until(&mut client, |event| match event {
        FriendEvent::Message(envelope) => (envelope.message == FriendMessage::Done { key: duty }).then_some(()),
        _ => None,
    })
    .await;
    assert!(client.fix(resident.home));
    // Written by the next turn of the client.
    let _ = timeout(Duration::from_millis(50), client.next()).await;
    assert_eq!(fake.place_of(resident.profile.id), Some(resident.home));
    client
}

fn world() -> World {
    let mut world = World::new(WorldKind::Pilot, 1, 3);
    world.residents[0].profile.radius_m = 100_000;
    world
}

async fn post(fake: &FakeKiez, world: &World) -> kiez_protocol::partner::JobView {
    let http = Http::new(fake.server(), "key");
    let admin = AdminClient::new(http.clone());
    let partners: Vec<ImportLine> =
        world.documents().into_iter().filter(|line| matches!(line, ImportLine::Partner(_))).collect();
    admin.import(&partners).await.unwrap();
    let draft = world.job(&mut kiez_load::chance::Chance::new(1), Time(0));
    let partner = PartnerClient::new(http.with_key(admin.partner_key(&draft.partner).await.unwrap().token), 5_000);
    let view = partner.post(&draft.job, "one").await.unwrap();
    // The same key again is the same job.
    assert_eq!(partner.post(&draft.job, "one").await.unwrap().id, view.id);
    assert_eq!(partner.job(view.id).await.unwrap().id, view.id);
    view
}

async fn accepted(client: &mut FriendClient) -> (Verdict, usize) {
    let offer = until(client, |event| match event {
        FriendEvent::Message(envelope) => match &envelope.message {
            FriendMessage::Offer(offer) => Some(offer.clone()),
            _ => None,
        },
        _ => None,
    })
    .await;
    let key = client.accept(offer.offer, offer.revision);
    let mut repeats = 0;
    let verdict = until(client, |event| {
        match event {
            FriendEvent::Up { repeated, .. } => repeats += repeated.iter().filter(|repeated| **repeated == key).count(),
            FriendEvent::TriedAgain(again) => repeats += usize::from(*again == key),
            FriendEvent::Message(envelope) => {
                if let FriendMessage::AcceptResult { result, .. } = &envelope.message {
                    return (*result != Verdict::TryAgain).then_some(*result);
                }
            }
            _ => {}
        }
        None
    })
    .await;
    assert_eq!(client.owed(), 0, "nothing is owed after a verdict");
    (verdict, repeats)
}

#[tokio::test]
async fn an_accept_is_repeated_until_its_verdict() {
    for (mischief, repeats) in [(Mischief::None, 0), (Mischief::BreaksAtAccepts, 1), (Mischief::UndecidedOnce, 1)] {
        let fake = FakeKiez::start(mischief, 1).await;
        let world = world();
        let mut client = on_duty(&fake, &world).await;
        post(&fake, &world).await;
        assert_eq!(accepted(&mut client).await, (Verdict::Won, repeats), "{mischief:?}");
    }
}

#[tokio::test]
async fn a_busy_server_gets_the_same_post_again() {
    let fake = FakeKiez::start(Mischief::BusyOnce, 1).await;
    post(&fake, &world()).await;
}

#[tokio::test]
async fn offers_are_acknowledged_soon_and_together() {
    let fake = FakeKiez::start(Mischief::None, 1).await;
    let world = world();
    let mut client = on_duty(&fake, &world).await;
    let id = world.residents[0].profile.id;
    post(&fake, &world).await;
    for _ in 0..5 {
        fake.send(id, FriendMessage::StopLocation);
    }
    let before = fake.acks();
    let _ = timeout(Duration::from_millis(900), async {
        loop {
            client.next().await;
        }
    })
    .await;
    let acks = fake.acks() - before;
    assert!((1..=2).contains(&acks), "{acks} acknowledgements for six messages");
}

#[tokio::test]
async fn a_friend_comes_back_when_told_and_stays_away_when_told() {
    let fake = FakeKiez::start(Mischief::None, 1).await;
    let world = world();
    let mut client = on_duty(&fake, &world).await;
    let id = world.residents[0].profile.id;

    // Told to come back in 300 ms, not at random.
    fake.send(id, FriendMessage::Draining { reconnect_in_ms: 300 });
    tokio::time::sleep(Duration::from_millis(50)).await;
    fake.close(id, 4001);
    let retry_in_ms = until(&mut client, |event| match event {
        FriendEvent::Down { code, retry_in_ms, .. } => {
            assert_eq!(*code, Some(4001));
            Some(*retry_in_ms)
        }
        _ => None,
    })
    .await;
    assert_eq!(retry_in_ms, 300);
    assert_eq!(until(&mut client, is_up).await, 0);
    assert_eq!(fake.hellos(), 2);

    // Another device: not again.
    until(&mut client, is_snapshot).await;
    fake.close(id, 4504);
    let code = until(&mut client, |event| match event {
        FriendEvent::Over { code, .. } => Some(*code),
        _ => None,
    })
    .await;
    assert_eq!(code, 4504);
    assert!(timeout(Duration::from_millis(200), client.next()).await.is_err());
    assert_eq!(fake.hellos(), 2);

    // A token that is not valid is not tried twice either.
    let mut stranger = FriendClient::new(config(&fake, "nobody's"));
    let event = timeout(Duration::from_secs(5), stranger.next()).await.unwrap();
    assert!(matches!(event, FriendEvent::Over { code: 4500, .. }), "{event:?}");
}

#[tokio::test]
async fn what_was_said_while_away_is_said_on_return() {
    let fake = FakeKiez::start(Mischief::None, 1).await;
    let world = world();
    let mut client = on_duty(&fake, &world).await;
    client.tear();
    assert!(!client.fix(world.residents[0].home), "positions are not kept");
    let key = client.duty(false);
    assert_eq!(until(&mut client, is_up).await, 1);
    until(&mut client, |event| match event {
        FriendEvent::Message(envelope) => (envelope.message == FriendMessage::Done { key }).then_some(()),
        _ => None,
    })
    .await;
    assert_eq!(client.owed(), 0);
}
