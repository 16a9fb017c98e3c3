//! The app keeps its accept until it knows, and repeats it: the same accept hears the same, whatever broke in between.

use kiez_protocol::friend::{FriendFrame, FriendMessage, LostReason, ToldVerdict, Verdict};
use kiez_protocol::ids::{FriendId, Key, OfferId};

use super::common::line::Line;
use super::common::{TestServer, job, north};
use super::{new_key, offer, on_duty, snapshot, tear, verdict};

/// A friend with an accept whose verdict the app does not trust to have heard.
struct Accepted {
    friend: FriendId,
    offer: OfferId,
    key: Key,
    verdict: Verdict,
}

impl Accepted {
    fn frame(&self) -> FriendFrame {
        FriendFrame::Accept { offer: self.offer, revision: 1, key: self.key }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn won_and_lost_are_heard_again_after_a_resume_a_new_session_and_a_restart() {
    let mut server = TestServer::start().await;
    let places = north(&[100.0, 200.0]);
    let friends = server.town(&places).await;
    let mut lines = Vec::new();
    for (friend, place) in friends.iter().zip(&places) {
        lines.push(on_duty(&server, *friend, *place).await);
    }
    server.partner().await.post(&job("V-1"), "v-1").await.expect("posted");
    let mut all = Vec::new();
    for ((line, session, _), (friend, expected)) in
        lines.iter_mut().zip(friends.iter().zip([Verdict::Won, Verdict::Lost]))
    {
        let (seq, offer) = offer(line).await;
        let accepted = Accepted { friend: *friend, offer: offer.offer, key: new_key(), verdict: expected };
        line.say(&accepted.frame()).await;
        assert_eq!(verdict(line, accepted.key).await, expected);
        all.push((accepted, *session, seq));
    }
    for (line, _, _) in lines {
        tear(&server, line).await;
    }
    for (accepted, session, seq) in &all {
        // Resumed from before the verdict: it is owed, and comes by itself; and again when it is asked for.
        let (mut line, welcome) = Line::hello(&server, accepted.friend, Some((*session, *seq))).await;
        assert!(welcome.resumed);
        assert_eq!(verdict(&mut line, accepted.key).await, accepted.verdict);
        line.say(&accepted.frame()).await;
        assert_eq!(verdict(&mut line, accepted.key).await, accepted.verdict);
        tear(&server, line).await;
        // A new session: the snapshot says it.
        let (mut line, _) = Line::hello(&server, accepted.friend, None).await;
        let snapshot = snapshot(&mut line).await;
        let told: Vec<_> = snapshot.verdicts.iter().map(|told| (told.offer, told.key, told.result)).collect();
        assert_eq!(told, [(accepted.offer, accepted.key, accepted.verdict)]);
        assert_eq!(snapshot.visits.len(), usize::from(accepted.verdict == Verdict::Won));
        line.say(&accepted.frame()).await;
        assert_eq!(verdict(&mut line, accepted.key).await, accepted.verdict);
        tear(&server, line).await;
    }
    server.down().await;
    server.up().await;
    for (accepted, ..) in &all {
        let (mut line, _) = Line::hello(&server, accepted.friend, None).await;
        let told = snapshot(&mut line).await.verdicts;
        // The ledger knows who won; who lost asks.
        let won = accepted.verdict == Verdict::Won;
        assert_eq!(told.iter().map(|told| told.key).collect::<Vec<_>>(), if won { vec![accepted.key] } else { vec![] });
        line.say(&accepted.frame()).await;
        assert_eq!(verdict(&mut line, accepted.key).await, accepted.verdict);
        // What was looked up is remembered.
        let (mut line, _) = Line::hello(&server, accepted.friend, None).await;
        let told = snapshot(&mut line).await.verdicts;
        assert!(matches!(&told[..], [ToldVerdict { key, result, .. }]
            if (*key, *result) == (accepted.key, accepted.verdict)));
    }
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accept_whose_line_tears_at_once_is_heard_by_the_resume() {
    let mut server = TestServer::start().await;
    let place = north(&[100.0]);
    let friend = server.town(&place).await[0];
    let (mut line, session, _) = on_duty(&server, friend, place[0]).await;
    server.partner().await.post(&job("V-1"), "v-1").await.expect("posted");
    let (seq, offer) = offer(&mut line).await;
    let key = new_key();
    line.say(&FriendFrame::Accept { offer: offer.offer, revision: offer.revision, key }).await;
    tear(&server, line).await;
    let (mut line, welcome) = Line::hello(&server, friend, Some((session, seq))).await;
    assert!(welcome.resumed);
    assert_eq!(verdict(&mut line, key).await, Verdict::Won);
    let card = |message: &FriendMessage| matches!(message, FriendMessage::Job(_)).then_some(());
    line.until("the card", card).await;
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_stands_although_the_offer_would_now_end_otherwise() {
    let mut server = TestServer::start().await;
    let places = north(&[100.0, 200.0]);
    let friends = server.town(&places).await;
    let (mut winner, ..) = on_duty(&server, friends[0], places[0]).await;
    let (mut loser, ..) = on_duty(&server, friends[1], places[1]).await;
    let partner = server.partner().await;
    let posted = partner.post(&job("V-1"), "v-1").await.expect("posted");
    let (_, first) = offer(&mut winner).await;
    let (_, second) = offer(&mut loser).await;
    let (key, late) = (new_key(), new_key());
    winner.say(&FriendFrame::Accept { offer: first.offer, revision: 1, key }).await;
    assert_eq!(verdict(&mut winner, key).await, Verdict::Won);
    let lost = FriendFrame::Accept { offer: second.offer, revision: 1, key: late };
    loser.say(&lost).await;
    assert_eq!(verdict(&mut loser, late).await, Verdict::Lost);
    partner.cancel(posted.id, None).await.expect("cancelled");
    loser.say(&lost).await;
    let again = |message: &FriendMessage| match message {
        FriendMessage::AcceptResult { key, result, reason, .. } if *key == late => Some((*result, *reason)),
        _ => None,
    };
    assert_eq!(loser.until("the same", again).await.1, (Verdict::Lost, Some(LostReason::Taken)));
    winner.say(&FriendFrame::Accept { offer: first.offer, revision: 1, key }).await;
    assert_eq!(verdict(&mut winner, key).await, Verdict::Won, "whatever became of the job");
    server.down().await;
}
