//! The whole path over real sockets: a job is posted, the four nearest get the offer, the first to accept wins.

mod common;

use common::{TestServer, job, north};
use kiez_protocol::friend::{FriendMessage, LostReason, Verdict, VisitEvent};
use kiez_protocol::partner::JobState;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_nearest_are_asked_and_the_first_to_accept_wins() {
    let mut server = TestServer::start().await;
    let mut friends = server.town_with_friends(&north(&[900.0, 100.0, 300.0, 500.0, 700.0])).await;
    let partner = server.partner().await;
    let posted = partner.post(&job("A-1"), "key-1").await.expect("posted");
    assert_eq!((posted.state, posted.offers_out, posted.wave), (JobState::Dispatching, 4, 1));

    let mut far = friends.remove(0);
    let mut offers = Vec::new();
    for friend in &mut friends {
        offers.push(friend.offer().await);
    }
    assert_eq!(offers.iter().map(|offer| offer.distance_m).collect::<Vec<_>>(), [100, 300, 500, 700]);
    assert_eq!((offers[0].gross.amount, offers[0].commission.amount, offers[0].net.amount), (2900, 290, 2610));

    let keys: Vec<_> = [2, 0, 1, 3]
        .into_iter()
        .map(|index: usize| (index, friends[index].client.accept(offers[index].offer, offers[index].revision)))
        .collect();
    let mut verdicts = Vec::new();
    for (index, key) in keys {
        verdicts.push((index, friends[index].verdict(key).await));
    }
    let winners: Vec<_> = verdicts.iter().filter(|(_, (verdict, _))| *verdict == Verdict::Won).collect();
    assert_eq!(winners.len(), 1, "{verdicts:?}");
    let winner = winners[0].0;
    assert!(
        verdicts
            .iter()
            .filter(|(index, _)| *index != winner)
            .all(|(_, verdict)| *verdict == (Verdict::Lost, Some(LostReason::Taken))),
        "{verdicts:?}"
    );
    let card = friends[winner]
        .until("the card", |message| match message {
            FriendMessage::Job(card) => Some(card.clone()),
            _ => None,
        })
        .await;
    assert_eq!(card.customer.as_ref().map(|customer| customer.name.as_str()), Some("Canary Customer"));

    let view = partner.job(posted.id).await.expect("there");
    assert_eq!(view.state, JobState::Assigned);
    assert_eq!(view.friend.as_ref().map(|friend| friend.id), Some(common::friend_id(winner + 1)));

    for event in [VisitEvent::Contacted, VisitEvent::Completed] {
        let key = friends[winner].client.visit(posted.id, event, None);
        friends[winner]
            .until("done", |message| matches!(message, FriendMessage::Done { key: done } if *done == key).then_some(()))
            .await;
    }
    assert_eq!(partner.job(posted.id).await.expect("there").state, JobState::Done);

    assert!(far.silence(200).await.is_empty(), "the fifth was not asked");
    for (index, friend) in friends.iter().enumerate().filter(|(index, _)| *index != winner) {
        let heard = serde_json::to_string(&friend.heard).expect("plain data");
        assert!(!heard.contains("Canary") && !heard.contains("12345678"), "friend {index} heard {heard}");
    }
    server.down().await;
}
