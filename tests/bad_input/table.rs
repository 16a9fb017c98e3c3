//! The table of bad inputs and their answers, and the scene on which they are tried.

use serde_json::json;

use crate::common::{TestServer, friend_id, north};
use crate::raw::{Raw, request};

/// What was sent, what came back, and what should have.
#[derive(Default)]
pub struct Table(Vec<(String, String, String)>);

impl Table {
    pub fn row(&mut self, input: &str, answer: String, wanted: &str) {
        println!("{input:<58} {answer}");
        self.0.push((input.to_owned(), answer, wanted.to_owned()));
    }

    fn check(self) {
        let wrong: Vec<_> = self.0.iter().filter(|(_, answer, wanted)| !fits(answer, wanted)).collect();
        let told = wrong.iter().map(|(input, answer, wanted)| format!("{input}\n  came   {answer}\n  wanted {wanted}"));
        assert!(wrong.is_empty(), "\n{}", told.collect::<Vec<_>>().join("\n"));
    }
}

/// Word for word, as far as `…` where the rest is a list that grows. Of two deadlines that end together either may come
/// first: ` or ` stands between their answers.
fn fits(answer: &str, wanted: &str) -> bool {
    let fits = |wanted: &str| {
        answer == wanted || wanted.strip_suffix('…').is_some_and(|beginning| answer.starts_with(beginning))
    };
    wanted.split(" or close ").enumerate().any(|(nth, wanted)| match nth {
        0 => fits(wanted),
        _ => fits(&format!("close {wanted}")),
    })
}

/// A town with a partner, a rival, two friends, and one of them connected: the neighbour of every bad input.
pub struct Scene {
    pub server: TestServer,
    pub address: String,
    pub partner: String,
    pub rival: String,
    pub friend: String,
    pub neighbour_token: String,
    neighbour: Raw,
}

impl Scene {
    pub async fn set(knobs: &[(&str, &str)]) -> Scene {
        let server = TestServer::with(knobs, 1).await;
        server.town(&north(&[100.0, 200.0])).await;
        let rival = json!({"kind": "partner", "slug": "rival", "name": "Rival", "community": "berlin-tech"});
        server.admin().import(&[serde_json::from_value(rival).expect("a partner")]).await.expect("imported");
        let key = async |partner: &str| {
            server.admin().partner_key(&partner.parse().expect("a slug")).await.expect("a key").token
        };
        let (partner, rival) = (key("shop").await, key("rival").await);
        let token = async |index| server.admin().friend_token(friend_id(index), Some(60)).await.expect("a token").token;
        let (friend, neighbour_token) = (token(0).await, token(1).await);
        let address = server.address();
        let mut neighbour = Raw::friend(&address).await;
        neighbour.hello(&neighbour_token).await;
        Scene { server, address, partner, rival, friend, neighbour_token, neighbour }
    }

    /// All is over, and the neighbour has noticed nothing.
    pub async fn over(mut self, table: Table) {
        assert!(self.neighbour.lives().await);
        drop(self.neighbour);
        let health = ask(&self.address, b"GET /readyz HTTP/1.1\r\nhost: kiez\r\n\r\n").await;
        self.server.down().await;
        table.check();
        assert_eq!(health, "200");
    }

    pub async fn partner(&self, method: &str, path: &str, headers: &str, body: impl AsRef<[u8]>) -> String {
        let headers = format!("authorization: Bearer {}\r\n{headers}", self.partner);
        ask(&self.address, &request(method, path, &headers, body.as_ref())).await
    }
}

/// The answer to some bytes, in one line.
pub async fn ask(address: &str, bytes: &[u8]) -> String {
    let mut raw = Raw::to(address).await;
    raw.send(bytes).await;
    told(&mut raw).await
}

pub async fn told(raw: &mut Raw) -> String {
    match raw.answer().await {
        Some(answer) => answer.line(),
        None => "closed without a word".to_owned(),
    }
}
