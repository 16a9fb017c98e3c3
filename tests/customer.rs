//! The customer's link over HTTP, and what it moves on the friends' sockets: replies, proposals, messages, a cancel. Before and
//! after a restart; and who has no link to this job learns nothing.

mod common;

use common::{Cast, TestServer, job, north};
use http::Method;
use kiez_load::client::Http;
use kiez_protocol::customer::{CustomerPage, MessageList};
use kiez_protocol::friend::{FriendFrame, FriendMessage, LostReason, Verdict};
use kiez_protocol::ids::Key;
use kiez_protocol::partner::{JobState, JobView, Window};
use kiez_protocol::refusal::Code;
use kiez_protocol::talk::Voice;
use serde_json::{Value, json};
use uuid::Uuid;

/// What only the winner may hear.
const CANARIES: [&str; 4] = ["Canarystraße", "Canary", "3012345678", "canary@example.org"];

struct Customer {
    http: Http,
    path: String,
}

impl Customer {
    /// Without any credential but the link.
    fn of(server: &TestServer, posted: &JobView) -> Customer {
        let url = posted.customer_url.as_deref().expect("a post is answered with the customer's link");
        let token = url.strip_prefix(&format!("http://{}/customer#", server.address())).expect("it leads here");
        let path = format!("/v1/customer/{token}");
        Customer { http: server.http().with_key("none"), path }
    }

    async fn get(&self) -> CustomerPage {
        self.http.call(Method::GET, &self.path, None, None::<&()>).await.expect("their own job")
    }

    async fn post(&self, what: &str, body: Value) -> Result<CustomerPage, Option<Code>> {
        let path = format!("{}/{what}", self.path);
        self.http.call(Method::POST, &path, None, Some(&body)).await.map_err(|error| error.code())
    }

    async fn messages(&self) -> Vec<(Voice, String)> {
        let path = format!("{}/messages", self.path);
        let list: MessageList = self.http.call(Method::GET, &path, None, None::<&()>).await.expect("messages");
        list.messages.into_iter().map(|said| (said.from, said.text)).collect()
    }

    async fn write(&self, text: &str) -> Result<MessageList, Option<Code>> {
        let path = format!("{}/messages", self.path);
        let body = json!({"text": text});
        self.http.call(Method::POST, &path, None, Some(&body)).await.map_err(|error| error.code())
    }
}

fn key() -> Key {
    Key(Uuid::now_v7())
}

async fn done(friend: &mut Cast, about: Key) {
    friend.until("done", |message| matches!(message, FriendMessage::Done { key } if *key == about).then_some(())).await;
}

fn tells_nothing(friend: &Cast) {
    let heard = serde_json::to_string(&friend.heard).expect("it came over the wire");
    for canary in CANARIES {
        assert!(!heard.contains(canary), "{canary} in {heard}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_proposals_and_a_yes_by_the_link() {
    let mut server = TestServer::start().await;
    let mut friends = server.town_with_friends(&north(&[100.0, 300.0])).await;
    let posted = server.partner().await.post(&job("A-1"), "key-1").await.expect("posted");
    let again = server.partner().await.post(&job("A-1"), "key-1").await.expect("posted before");
    assert_eq!(again.customer_url, posted.customer_url, "a repeat gets the same link");
    let customer = Customer::of(&server, &posted);
    let view = customer.get().await;
    assert_eq!((view.state, view.friend, view.questions.len()), (JobState::Dispatching, None, 1));
    assert_eq!((view.community.brand.as_str(), view.title.as_str()), ("Berlin Tech", "WLAN einrichten"));
    assert_eq!(view.allowed, ["answers", "confirm", "cancel"]);

    let [anna, ben] = &mut friends[..] else { panic!("two friends") };
    let (first, second) = (anna.offer().await, ben.offer().await);
    let asked = key();
    anna.client.send(&FriendFrame::Ask {
        offer: first.offer,
        text: "Which lamp? 0176 1234567".into(),
        key: Some(asked),
    });
    done(anna, asked).await;
    let view = customer.get().await;
    assert_eq!(view.asked[0].question, "Which lamp? […]");
    let reply = json!({"replies": [{"question": 1, "text": "Red. Canary, +49 30 12345678, Canarystraße"}]});
    let view = customer.post("answers", reply).await.expect("taken");
    assert_eq!(view.asked, []);
    for friend in [&mut *anna, &mut *ben] {
        let text = friend
            .until("the reply", |message| match message {
                FriendMessage::Answer { text, .. } => Some(text.clone()),
                _ => None,
            })
            .await;
        assert_eq!(text, "Red. […]");
    }

    let proposed = key();
    let from = first.expires_at + 3 * 3_600_000;
    let windows = vec![Window { from, to: from + 3_600_000 }];
    anna.client.send(&FriendFrame::Propose { offer: first.offer, windows: windows.clone(), key: proposed });
    done(anna, proposed).await;

    // In the middle of it all the server starts again.
    server.down().await;
    server.up().await;
    let customer = Customer { http: server.http().with_key("none"), path: customer.path };
    let view = customer.get().await;
    assert_eq!((view.proposals.len(), &view.proposals[0].windows), (1, &windows));
    let confirm = format!("proposals/{}/confirm", view.proposals[0].id);
    assert_eq!(customer.post(&confirm, json!({"window": 3})).await, Err(Some(Code::Invalid)));
    assert_eq!(customer.post(&confirm, json!({"window": 1})).await, Err(Some(Code::Invalid)));
    let other = format!("proposals/{}/confirm", second.offer);
    assert_eq!(customer.post(&other, json!({})).await, Err(Some(Code::NotFound)));
    let view = customer.post(&confirm, json!({})).await.expect("confirmed");
    assert_eq!((view.state, view.appointment), (JobState::Assigned, Some(windows[0])));
    assert_eq!(view.friend.as_deref(), Some("Friend 0"));

    let id = common::friend_id(0);
    let mut anna = server.friend(id, north(&[100.0])[0]).await;
    let snapshot = anna.heard.iter().find_map(|message| match message {
        FriendMessage::Snapshot(snapshot) => Some(snapshot.clone()),
        _ => None,
    });
    let snapshot = snapshot.expect("a snapshot");
    assert_eq!(snapshot.visits[0].appointment, Some(windows[0]));
    assert!(snapshot.verdicts.iter().any(|told| told.key == proposed && told.result == Verdict::Won));
    // Now they may write what they want to each other.
    customer.write("The bell says Canary").await.expect("said");
    let text = anna
        .until("a message", |message| match message {
            FriendMessage::Message(said) => Some(said.text.clone()),
            _ => None,
        })
        .await;
    assert_eq!(text, "The bell says Canary");
    let said = key();
    anna.client.send(&FriendFrame::Message { job: posted.id, text: "I ring twice".into(), key: said });
    done(&mut anna, said).await;
    let messages = customer.messages().await;
    assert_eq!(messages[1], (Voice::Friend, "I ring twice".to_owned()));
    tells_nothing(&friends[1]);
    let view = customer.post("cancel", json!({"reason": "found the cable"})).await.expect("cancelled");
    assert_eq!((view.state, view.allowed.len()), (JobState::Cancelled, 0));
    assert_eq!(customer.post("cancel", json!({})).await.map(|view| view.state), Ok(JobState::Cancelled), "as before");
    assert_eq!(customer.write("Hello?").await, Err(Some(Code::WrongState)));
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_friend_and_the_customer_speak_before_the_win() {
    let mut server = TestServer::start().await;
    let mut friends = server.town_with_friends(&north(&[100.0, 9_000.0])).await;
    let mut wanted = job("A-2");
    wanted.friend = Some(common::friend_id(1));
    let posted = server.partner().await.post(&wanted, "key-2").await.expect("posted");
    let customer = Customer::of(&server, &posted);
    let [near, named] = &mut friends[..] else { panic!("two friends") };
    let offer = named.offer().await;
    assert!(offer.direct);
    customer.write("Here is Canary, canary@example.org, Canarystraße 7").await.expect("said");
    let text = named
        .until("a message", |message| match message {
            FriendMessage::Message(said) => Some(said.text.clone()),
            _ => None,
        })
        .await;
    assert_eq!(text, "Here is […] 7");
    tells_nothing(named);
    let said = key();
    near.client.send(&FriendFrame::Message { job: posted.id, text: "Take me".into(), key: said });
    let code = near
        .until("a refusal", |message| match message {
            FriendMessage::Error { key: Some(about), code, .. } if *about == said => Some(*code),
            _ => None,
        })
        .await;
    assert_eq!(code, Code::NotFound);
    let accepted = named.client.accept(offer.offer, offer.revision);
    assert_eq!(named.verdict(accepted).await, (Verdict::Won, None::<LostReason>));
    assert!(near.silence(200).await.is_empty());
    let mut unknown = job("A-3");
    unknown.friend = Some(common::friend_id(77));
    let refused = server.partner().await.post(&unknown, "key-3").await.expect_err("nobody");
    assert_eq!(refused.code(), Some(Code::Invalid));
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_link_has_one_pace_whatever_is_asked_by_it() {
    let mut server = TestServer::with(&[("KIEZ_LIMITS__LINK_INTERVAL_MS", "60000")], 1).await;
    server.town(&north(&[100.0])).await;
    let partner = server.partner().await;
    let one = Customer::of(&server, &partner.post(&job("A-1"), "key-1").await.expect("posted"));
    let other = Customer::of(&server, &partner.post(&job("A-2"), "key-2").await.expect("posted"));
    for _ in 0..13 {
        one.get().await;
        one.messages().await;
        assert_eq!(one.write(" ").await, Err(Some(Code::Invalid)), "what is refused counts, too");
    }
    one.get().await;
    assert_eq!(one.post("cancel", json!({})).await.map(|view| view.state), Err(Some(Code::TooMany)));
    assert_eq!(one.write("Hello?").await, Err(Some(Code::TooMany)));
    let photo = format!("{}/photo", one.path);
    let refused = one.http.call::<Value>(Method::GET, &photo, None, None::<&()>).await.expect_err("too many");
    assert!(refused.code() == Some(Code::TooMany) && refused.retry_in().is_some(), "{refused}");
    assert_eq!(other.get().await.state, JobState::Dispatching, "another link has a pace of its own");
    server.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_none_is_like_a_job_that_does_not_exist() {
    let mut server = TestServer::with(&[("KIEZ_AUTH__CUSTOMER_DAYS", "1")], 1).await;
    server.town(&north(&[100.0])).await;
    let partner = server.partner().await;
    let one = Customer::of(&server, &partner.post(&job("A-1"), "key-1").await.expect("posted"));
    let other = Customer::of(&server, &partner.post(&job("A-2"), "key-2").await.expect("posted"));
    assert_ne!(one.get().await.job, other.get().await.job);
    let token = one.path.rsplit('/').next().expect("a token").to_owned();
    let (head, signature) = token.rsplit_once('.').expect("three parts");
    let (_, others) = other.path.rsplit_once('.').expect("three parts");
    let ops = server.admin().friend_token(common::friend_id(0), Some(5)).await.expect("a token").token;
    let mut answers = Vec::new();
    for token in ["x", &format!("{head}.{others}"), &format!("{head}x.{signature}"), &format!("{head}."), &ops] {
        let path = format!("/v1/customer/{token}");
        let refused = one.http.call::<Value>(Method::GET, &path, None, None::<&()>).await.expect_err("no link");
        assert_eq!(refused.code(), Some(Code::NotFound), "{token}");
        let refused = one.http.call::<Value>(Method::POST, &format!("{path}/cancel"), None, None::<&()>).await;
        answers.push(refused.expect_err("no link").code());
    }
    assert!(answers.iter().all(|code| *code == Some(Code::NotFound)));
    assert_eq!(one.get().await.state, JobState::Dispatching);

    // Nothing of the link is sent on by a browser or kept by a proxy, whatever the answer.
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    for path in [one.path.as_str(), "/v1/customer/x", "/v1/customer/x/y/z"] {
        let mut stream = tokio::net::TcpStream::connect(server.address()).await.expect("connects");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("asks");
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.expect("reads");
        let heard = heard.to_lowercase();
        assert!(heard.contains("referrer-policy: no-referrer\r\n"), "{heard}");
        assert!(heard.contains("cache-control: no-store\r\n"), "{heard}");
    }
    server.down().await;
}
