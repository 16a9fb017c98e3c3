//! The evening that `protocol/README.md` tells, played again: who says what in which order, there, is what is said here.
//! `KIEZ_EVENING=1` prints the conversation, for writing it down anew.

use http::Method;
use kiez_load::client::Http;
use kiez_protocol::directory::ImportLine;
use kiez_protocol::friend::{Envelope, FriendFrame, FriendMessage, VisitEvent};
use kiez_protocol::ids::{FriendId, SessionId};
use kiez_protocol::partner::{JobState, JobView};
use serde::Serialize;

use super::common::TestServer;
use super::common::line::Line;
use super::{new_key, soon};

const GUIDE: &str = include_str!("../../protocol/README.md");

/// Who spoke, in which direction, and what.
#[derive(Default)]
struct Page(Vec<(&'static str, &'static str, String)>);

impl Page {
    fn note(&mut self, who: &'static str, direction: &'static str, text: impl Into<String>) {
        self.0.push((who, direction, text.into()));
    }

    /// The kinds of what one of them said and heard, in order.
    fn kinds(&self, who: &str) -> Vec<String> {
        let own = self.0.iter().filter(|(speaker, ..)| *speaker == who);
        own.map(|(_, direction, text)| format!("{direction} {}", kind(text))).collect()
    }
}

/// The type of a frame or message; of anything else its first two words.
fn kind(text: &str) -> String {
    match text.split_once("\"type\":\"") {
        Some((_, rest)) => rest.split('"').next().unwrap_or_default().to_owned(),
        None => text.split_whitespace().take(if text.starts_with("201") { 1 } else { 2 }).collect::<Vec<_>>().join(" "),
    }
}

fn plain(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data")
}

/// The kinds that the guide tells of one of them.
fn told(who: &str) -> Vec<String> {
    let (_, block) = GUIDE.split_once("## One evening, as it was spoken").expect("the guide tells it");
    let block = block.split("```").nth(1).expect("the conversation");
    let lines = block.lines().filter_map(|line| line.strip_prefix(who)?.strip_prefix(' '));
    lines
        .map(|line| {
            let (direction, text) = line.split_once(' ').expect("a direction, then the text");
            format!("{direction} {}", kind(text))
        })
        .collect()
}

struct Friend<'p> {
    name: &'static str,
    line: Line,
    page: &'p std::cell::RefCell<Page>,
}

impl Friend<'_> {
    async fn say(&mut self, frame: &FriendFrame) {
        self.page.borrow_mut().note(self.name, "→", plain(frame));
        self.line.say(frame).await;
    }

    async fn hear(&mut self) -> Envelope {
        let envelope = self.line.hear().await.expect("a message");
        self.page.borrow_mut().note(self.name, "←", plain(&envelope));
        envelope
    }

    async fn hello(&mut self, server: &TestServer, friend: FriendId, from: Option<(SessionId, u64)>) -> SessionId {
        let token = server.admin().friend_token(friend, Some(60)).await.expect("a token").token;
        let (session, last_seq) = from.map_or((None, 0), |(session, last_seq)| (Some(session), last_seq));
        let (language, app) = (kiez_protocol::directory::Language::De, Some("example/1.0".to_owned()));
        self.say(&FriendFrame::Hello { token, language, app, session, last_seq }).await;
        match self.hear().await.message {
            FriendMessage::Welcome(welcome) => welcome.session,
            other => panic!("{other:?}"),
        }
    }

    async fn goes_on_duty(&mut self, lat: f64, lng: f64) {
        self.hear().await;
        self.say(&FriendFrame::Duty { on: true, until: None, key: Some(new_key()) }).await;
        self.hear().await;
        let done = self.hear().await;
        self.say(&FriendFrame::Fix { lat, lng, accuracy_m: Some(12.0), at: None }).await;
        self.say(&FriendFrame::Ack { seq: done.seq.expect("it is owed") }).await;
    }

    async fn offer(&mut self) -> kiez_protocol::friend::Offer {
        let envelope = self.hear().await;
        match envelope.message {
            FriendMessage::Offer(offer) => offer,
            other => panic!("{other:?}"),
        }
    }

    async fn ack(&mut self, seq: u64) {
        self.say(&FriendFrame::Ack { seq }).await;
    }

    async fn through_the_evening(&mut self) {
        loop {
            match self.line.hear().await {
                Ok(envelope) => {
                    let text = plain(&envelope);
                    self.page.borrow_mut().note(self.name, "←", text);
                }
                Err(code) => {
                    let text = format!("close {}, the server restarts", code.expect("a code"));
                    return self.page.borrow_mut().note(self.name, "←", text);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_tells_what_is_spoken() {
    let mut server = TestServer::start().await;
    let documents = ["communities", "packages", "friends", "partners"].map(|kind| {
        std::fs::read_to_string(format!("{}/examples/{kind}.ndjson", env!("CARGO_MANIFEST_DIR"))).expect("documents")
    });
    let documents: Vec<ImportLine> =
        documents.iter().flat_map(|text| text.lines()).map(|line| serde_json::from_str(line).expect("one")).collect();
    server.admin().import(&documents).await.expect("imported");
    let slug = "nordlicht-energie".parse().expect("a slug");
    let key = server.admin().partner_key(&slug).await.expect("a key").token;
    let shop: Http = server.http().with_key(key);
    let ids = ["019cadd3-6bc0-7792-8537-ca2c28084ff5", "019cb2f9-c7c0-7423-a9f6-75507e500c28"];
    let ids = ids.map(|id| id.parse::<FriendId>().expect("an id"));

    let page = std::cell::RefCell::new(Page::default());
    let mut alex = Friend { name: "alex", line: Line::open(&server).await, page: &page };
    alex.hello(&server, ids[0], None).await;
    alex.goes_on_duty(52.5026, 13.4170).await;
    let mut eins = Friend { name: "eins", line: Line::open(&server).await, page: &page };
    let session = eins.hello(&server, ids[1], None).await;
    eins.goes_on_duty(52.4951, 13.4212).await;
    eins.line.nothing_more().await;
    // A tunnel.
    page.borrow_mut().note("eins", "×", "the line breaks");
    eins.line = Line::open(&server).await;
    let app = server.running.as_ref().expect("it runs").app.clone();
    soon("the server has seen it", || app.live.sessions.connected() == 1).await;

    let body = std::fs::read(format!("{}/examples/job.json", env!("CARGO_MANIFEST_DIR"))).expect("a job");
    page.borrow_mut().note("shop", "→", "POST /v1/jobs  Idempotency-Key: order-4711");
    let posted: JobView =
        shop.send(Method::POST, "/v1/jobs", Some("order-4711"), "application/json", body.into()).await.expect("posted");
    page.borrow_mut().note("shop", "←", format!("201 {}", plain(&posted)));
    let first = alex.offer().await;
    eins.hello(&server, ids[1], Some((session, 3))).await;
    let second = eins.offer().await;
    alex.ack(4).await;
    eins.ack(4).await;
    alex.say(&FriendFrame::Seen { offer: first.offer }).await;
    eins.say(&FriendFrame::Seen { offer: second.offer }).await;
    eins.say(&FriendFrame::Accept { offer: second.offer, revision: 1, key: new_key() }).await;
    let won = eins.hear().await;
    alex.say(&FriendFrame::Accept { offer: first.offer, revision: 1, key: new_key() }).await;
    assert!(matches!(won.message, FriendMessage::AcceptResult { .. }), "{won:?}");
    eins.hear().await;
    alex.hear().await;
    alex.hear().await;
    alex.ack(6).await;
    eins.ack(6).await;
    let job = first.job;
    for (event, seq) in [(VisitEvent::Contacted, 8), (VisitEvent::Completed, 10)] {
        eins.say(&FriendFrame::Visit { job, event, key: new_key(), at: None, reason: None }).await;
        eins.hear().await;
        eins.hear().await;
        eins.ack(seq).await;
    }
    page.borrow_mut().note("shop", "→", "GET /v1/jobs/…");
    let view: JobView = shop.call(Method::GET, &format!("/v1/jobs/{job}"), None, None::<&()>).await.expect("there");
    assert_eq!(view.state, JobState::Done);
    page.borrow_mut().note("shop", "←", format!("200 {}", plain(&view)));
    drop(app);
    let goodbyes = async {
        alex.through_the_evening().await;
        eins.through_the_evening().await;
    };
    tokio::join!(server.down(), goodbyes);

    let page = page.into_inner();
    if std::env::var_os("KIEZ_EVENING").is_some() {
        for (who, direction, text) in &page.0 {
            println!("{who} {direction} {text}");
        }
    }
    for who in ["alex", "eins"] {
        assert_eq!(told(who), page.kinds(who), "{who}");
    }
}
