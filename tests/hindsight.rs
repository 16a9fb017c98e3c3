//! Why not me, over real sockets: friends who were not asked hear of the jobs that went past them, and why, and learn nothing
//! else.

mod common;

use common::{Cast, TestServer, friend_id, job, north};
use kiez_protocol::directory::ImportLine;
use kiez_protocol::friend::{FriendFrame, FriendMessage, MissedJob, Verdict, WhyNot};
use kiez_protocol::gate::Gate;
use kiez_protocol::partner::PostJob;
use kiez_protocol::refusal::Code;
use serde_json::{Value, json};

const BASEL: (f64, f64) = (47.5596, 7.5886);
const LOERRACH: (f64, f64) = (47.6150, 7.6610);

impl Cast {
    async fn missed(&mut self) -> Vec<MissedJob> {
        self.client.send(&FriendFrame::Missed { since: None });
        self.until("what they missed", |message| match message {
            FriendMessage::Missed(missed) => Some(missed.jobs.clone()),
            _ => None,
        })
        .await
    }

    async fn why_not(&mut self, missed: &str) -> Result<WhyNot, Code> {
        self.client.send(&FriendFrame::WhyNot { missed: missed.to_owned() });
        self.until("why", |message| match message {
            FriendMessage::Why(why) => Some(Ok(why.clone())),
            FriendMessage::Error { code, .. } => Some(Err(*code)),
            _ => None,
        })
        .await
    }
}

fn friend(index: usize, change: &Value) -> ImportLine {
    let mut document = json!({"kind": "friend", "id": friend_id(index), "name": format!("Friend {index}"),
        "skills": [{"skill": "wifi", "level": 3}], "communities": ["berlin-tech"], "country": "DE"});
    document.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
    serde_json::from_value(document).expect("a friend")
}

fn line(document: Value) -> ImportLine {
    serde_json::from_value(document).expect("a document")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_friend_just_under_their_yearly_cap_is_told_that_a_job_would_lift_them_over_it() {
    let mut server = TestServer::start().await;
    server.town(&north(&[100.0, 200.0])).await;
    let cap = json!({"caps": [{"period": "year", "income": {"amount": 4_000, "currency": "EUR"}}]});
    server.admin().import(&[friend(0, &cap)]).await.expect("imported");
    let mut careful = server.friend(friend_id(0), north(&[100.0])[0]).await;
    let mut other = server.friend(friend_id(1), north(&[200.0])[0]).await;
    let partner = server.partner().await;
    assert_eq!(careful.missed().await, [], "nothing has been");
    // 26.10 net each.
    partner.post(&job("R-1"), "one").await.expect("posted");
    let offer = careful.offer().await;
    assert_eq!((offer.why.rank, offer.why.distance_m, offer.why.deficit_days), (1, 100, None));
    let key = careful.client.accept(offer.offer, offer.revision);
    assert_eq!(careful.verdict(key).await.0, Verdict::Won);
    let second = partner.post(&job("R-2"), "two").await.expect("posted");
    loop {
        if other.offer().await.job == second.id {
            break;
        }
    }
    let missed = careful.missed().await;
    assert_eq!((missed.len(), missed[0].package.as_str()), (1, "wifi-setup"), "not the one they were asked for");
    let why = careful.why_not(&missed[0].missed).await.expect("an answer");
    assert_eq!((why.gate, why.message_key.as_str()), (Some(Gate::Caps), "why_not.caps"));
    assert_eq!(why.terms.distance_m, Some(100));
    assert_eq!(other.missed().await, [], "who was asked for both missed nothing");

    // The id is theirs alone, and names nothing.
    let said = serde_json::to_string(&(&missed, &why)).expect("plain data");
    for secret in [second.id.to_string(), friend_id(1).to_string(), "Canary".to_owned(), "52.49".to_owned()] {
        assert!(!said.contains(&secret), "{secret} in {said}");
    }
    for unfit in [missed[0].missed.as_str(), &second.id.to_string(), "", "x"] {
        assert_eq!(other.why_not(unfit).await.expect_err("not theirs"), Code::NotFound, "{unfit}");
    }
    drop((careful, other));
    server.down().await;
    server.up().await;
    let mut careful = server.friend(friend_id(0), north(&[100.0])[0]).await;
    assert_eq!(careful.missed().await, missed, "the same after a restart");
    assert_eq!(careful.why_not(&missed[0].missed).await.expect("an answer"), why);
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_basel_job_never_reaches_loerrach_and_the_friend_there_is_told_the_country() {
    let mut server = TestServer::start().await;
    server.town(&[]).await;
    let documents = [
        line(json!({"kind": "community", "slug": "basel-tech", "brand": "Basel Tech", "country": "CH",
            "currency": "CHF", "time_zone": "Europe/Zurich", "crowd": "all",
            "commission": {"id": "ten", "basis_points": 1000}})),
        line(json!({"kind": "package", "slug": "tv-setup", "title": {"de": "Fernseher", "en": "TV"},
            "category": "wifi", "duration_min": 45,
            "pricing": {"kind": "fixed", "price": {"amount": 4_900, "currency": "CHF"}}})),
        friend(0, &json!({"communities": ["basel-tech"], "country": "DE"})),
        friend(1, &json!({"communities": ["basel-tech"], "country": "CH"})),
    ];
    server.admin().import(&documents).await.expect("imported");
    let mut loerrach = server.friend(friend_id(0), LOERRACH).await;
    let partner = server.partner().await;
    let posted: PostJob = serde_json::from_value(json!({
        "package": "tv-setup", "community": "basel-tech", "location": {"lat": BASEL.0, "lng": BASEL.1},
        "address": {"street": "Rheinsprung 9", "postcode": "4051", "city": "Basel", "country": "CH"},
        "customer": {"name": "Canary Customer", "phone": "+41612670000", "language": "de"},
        "payment_method": "card_online",
    }))
    .expect("a job");
    let view = partner.post(&posted, "one").await.expect("posted");
    // Another one of Basel, farther away than Lörrach, is asked at once when they come.
    let mut basel = server.friend(friend_id(1), (BASEL.0 - 0.1, BASEL.1)).await;
    assert_eq!(basel.offer().await.job, view.id);
    let heard = loerrach.silence(300).await;
    assert!(!heard.iter().any(|message| matches!(message, FriendMessage::Offer(_))), "{heard:?}");
    let missed = loerrach.missed().await;
    assert_eq!(missed.len(), 1);
    let why = loerrach.why_not(&missed[0].missed).await.expect("an answer");
    assert_eq!((why.gate, why.message_key.as_str()), (Some(Gate::Country), "why_not.country"));
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stood_too_far_away_hears_that_others_were_nearer() {
    let mut server = TestServer::start().await;
    let places = north(&[100.0, 200.0, 300.0, 400.0, 3_000.0, 40_000.0]);
    let mut friends = server.town_with_friends(&places).await;
    let partner = server.partner().await;
    partner.post(&job("R-1"), "one").await.expect("posted");
    friends[0].offer().await;
    let missed = friends[4].missed().await;
    assert_eq!(missed.len(), 1, "within their own radius");
    let why = friends[4].why_not(&missed[0].missed).await.expect("an answer");
    assert_eq!((why.gate, why.rank, why.message_key.as_str()), (None, None, "why_not.beyond"));
    assert!(why.terms.beyond_m.is_some_and(|beyond_m| beyond_m < 3_000));
    assert_eq!(friends[5].missed().await, [], "a job that is nowhere near them is none that they missed");
    // One question at a time; whoever asks faster is told so.
    for _ in 0..6 {
        friends[4].client.send(&FriendFrame::Missed { since: None });
    }
    let mut answered = 0;
    while answered < 6 {
        let fits = |message: &FriendMessage| match message {
            FriendMessage::Missed(_) | FriendMessage::Error { code: Code::TooMany, .. } => Some(()),
            _ => None,
        };
        friends[4].until("an answer to each", fits).await;
        answered += 1;
    }
    server.down().await;
}
