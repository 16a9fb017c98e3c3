//! One job's life, as friends and their partner live it.

use kiez_load::client::PartnerClient;
use kiez_protocol::friend::{DeclineReason, FriendMessage, LostReason, Offer, Verdict, VisitEvent};
use kiez_protocol::ids::{JobId, Key, OfferId};
use kiez_protocol::partner::{Answer, EditJob, JobState};
use serde_json::json;

use crate::common::{Cast, friend_id};
use crate::house::{House, booking};

/// Whoever took part, and what they said that must not be found.
pub struct Life {
    pub job: JobId,
    pub friends: Vec<Cast>,
    pub tokens: Vec<String>,
    pub keys: Vec<Key>,
    pub lines: Vec<String>,
}

async fn done(friend: &mut Cast, key: Key) {
    friend
        .until("done", |message| matches!(message, FriendMessage::Done { key: done } if *done == key).then_some(()))
        .await;
}

async fn renewed(friend: &mut Cast) -> Offer {
    friend
        .until("a new revision", |message| match message {
            FriendMessage::OfferUpdate(update) => update.renewed.as_deref().cloned(),
            _ => None,
        })
        .await
}

fn ids(index: usize) -> String {
    friend_id(index).to_string()
}

/// A job without its answer; the answer; a decline; an edit, an accept of what was before it, a race; a hand-back; another
/// win, and a cancel. With what its story must say, line by line.
pub async fn one_life(house: &House, partner: &PartnerClient) -> Life {
    let (mut friends, mut tokens, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..4 {
        let (friend, token) = house.friend(index).await;
        friends.push(friend);
        tokens.push(token);
    }
    let vague = booking(|job| {
        job["answers"].as_object_mut().expect("answers").remove("router");
    });
    let posted = partner.post(&vague, "qanary-idempotency-key").await.expect("posted");
    assert_eq!(posted.state, JobState::NeedsInfo);
    let job = posted.id;
    let mut lines = vec!["posted partner=shop community=berlin-tech package=wifi-setup state=needs_info".to_owned()];

    let answer = ("router".parse().expect("a word"), Answer::Text("Qanary-Fritz 7590".to_owned()));
    let edit = EditJob { answers: Some([answer].into()), ..EditJob::default() };
    partner.edit(job, &edit).await.expect("edited");
    let (first, second) = (friends[0].offer().await, friends[1].offer().await);
    lines.push("answers_complete state=dispatching partner=shop revision=2".to_owned());
    lines.push(wave("wave_opened", 1, 1, &[(0, first.offer), (1, second.offer)]));

    let key = friends[1].client.decline(second.offer, DeclineReason::TooFar);
    done(&mut friends[1], key).await;
    keys.push(key);
    let third = friends[2].offer().await;
    lines.push(format!("offer_declined friend={} offer={} reason=too_far", ids(1), second.offer));
    lines.push(wave("seat_refilled", 1, 1, &[(2, third.offer)]));

    let windows = serde_json::from_value(json!([{"from": "2099-11-23T17:00:00Z", "to": "2099-11-23T20:00:00Z"}]));
    let edit = EditJob { windows: Some(windows.expect("a window")), ..EditJob::default() };
    partner.edit(job, &edit).await.expect("edited");
    let (first, third) = (renewed(&mut friends[0]).await, renewed(&mut friends[2]).await);
    lines.push("edited partner=shop revision=3".to_owned());
    let key = friends[0].client.accept(first.offer, 2);
    assert_eq!(friends[0].verdict(key).await.0, Verdict::NeedsReconfirm);
    keys.push(key);
    lines.push(format!("accepted friend={} offer={} first=false", ids(0), first.offer));
    lines.push(format!("verdict friend={} offer={} result=needs_reconfirm", ids(0), first.offer));

    let key = friends[2].client.accept(third.offer, third.revision);
    assert_eq!(friends[2].verdict(key).await.0, Verdict::Won);
    keys.push(key);
    lines.push(format!("accepted friend={} offer={} first=true", ids(2), third.offer));
    lines.push(format!("assigned state=assigned attempt=1 wave=1 friend={} offer={}", ids(2), third.offer));
    lines.push(format!("verdict friend={} offer={} result=won", ids(2), third.offer));
    let key = friends[0].client.accept(first.offer, first.revision);
    assert_eq!(friends[0].verdict(key).await, (Verdict::Lost, Some(LostReason::Taken)));
    keys.push(key);
    lines.push(format!("accepted friend={} offer={} first=false", ids(0), first.offer));
    lines.push(format!("verdict friend={} offer={} result=lost reason=taken", ids(0), first.offer));

    let key = friends[2].client.visit(job, VisitEvent::Contacted, None);
    done(&mut friends[2], key).await;
    keys.push(key);
    lines.push(format!("contacted state=contacted friend={}", ids(2)));
    let key = friends[2].client.visit(job, VisitEvent::HandBack, Some("Frau Qanary ist verreist".to_owned()));
    done(&mut friends[2], key).await;
    keys.push(key);
    let (again, fourth) = (friends[0].offer().await, friends[3].offer().await);
    lines.push(format!("handed_back state=dispatching attempt=2 friend={}", ids(2)));
    lines.push(wave("wave_opened", 2, 1, &[(0, again.offer), (3, fourth.offer)]));

    let key = friends[3].client.accept(fourth.offer, fourth.revision);
    assert_eq!(friends[3].verdict(key).await.0, Verdict::Won);
    keys.push(key);
    lines.push(format!("accepted friend={} offer={} first=true", ids(3), fourth.offer));
    lines.push(format!("assigned state=assigned attempt=2 wave=1 friend={} offer={}", ids(3), fourth.offer));
    lines.push(format!("verdict friend={} offer={} result=won", ids(3), fourth.offer));
    partner.cancel(job, Some("Qanary will nicht mehr")).await.expect("cancelled");
    lines.push(format!("cancelled state=cancelled partner=shop friend={}", ids(3)));
    Life { job, friends, tokens, keys, lines }
}

/// The line of a wave.
pub fn wave(kind: &str, attempt: u16, wave: u8, asked: &[(usize, OfferId)]) -> String {
    let friends: Vec<_> = asked.iter().map(|(index, _)| ids(*index)).collect();
    let offers: Vec<_> = asked.iter().map(|(_, offer)| offer.to_string()).collect();
    format!("{kind} attempt={attempt} wave={wave} offers={} friends={}", offers.join(","), friends.join(","))
}
