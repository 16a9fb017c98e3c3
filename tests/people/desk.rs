//! Ops at their desks: a server on a given database, and calls in each role.

use http::Method;
use kiez_load::client::{CallError, Http};
use kiez_protocol::refusal::Code;
use serde_json::{Value, json};

use crate::common::{Database, TestServer};

/// A server with a town of friends, and a desk for each role of ops.
pub struct House {
    pub server: TestServer,
    pub admin: Desk,
    pub dispatcher: Desk,
    pub viewer: Desk,
    /// Goes last.
    _database: Database,
}

/// Somebody of ops, by the name `desk-ROLE`.
pub struct Desk(pub Http);

impl House {
    pub async fn of(database: Database, friends: usize) -> House {
        House::with(database, friends, &[]).await
    }

    pub async fn with(database: Database, friends: usize, knobs: &[(&str, &str)]) -> House {
        let folder = tempfile::tempdir().expect("a folder");
        let server = TestServer::on(database.url.clone(), folder, knobs, 1).await;
        server.town(&vec![(0.0, 0.0); friends]).await;
        let development = Desk(server.http());
        let mut desks = Vec::new();
        for role in ["admin", "dispatcher", "viewer"] {
            let wanted = json!({"kind": "ops", "role": role, "name": format!("desk-{role}"), "minutes": 60});
            let token = development.ask("POST", "/v1/admin/tokens", wanted).await;
            desks.push(Desk(server.http().with_key(token["token"].as_str().expect("a token"))));
        }
        let [admin, dispatcher, viewer] = desks.try_into().unwrap_or_else(|_| unreachable!("three roles"));
        House { server, admin, dispatcher, viewer, _database: database }
    }

    /// Stops the server and starts it again on the same database; the desks find it on its new port.
    pub async fn restart(&mut self) {
        self.server.down().await;
        self.server.up().await;
        for desk in [&mut self.admin, &mut self.dispatcher, &mut self.viewer] {
            desk.0 = desk.0.at(self.server.server());
        }
    }

    pub async fn over(mut self) {
        self.server.down().await;
    }
}

impl Desk {
    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, CallError> {
        let method: Method = method.parse().expect("a method");
        self.0.call(method, path, None, body).await
    }

    /// What comes back.
    pub async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        self.call(method, path, Some(&body)).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// What is read there.
    pub async fn get(&self, path: &str) -> Value {
        self.call("GET", path, None).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The code of the refusal, and the field it is about.
    pub async fn refused(&self, method: &str, path: &str, body: Option<Value>) -> (Code, Option<String>) {
        match self.call(method, path, body.as_ref()).await {
            Err(CallError::Refused { problem, .. }) => (problem.code, problem.param),
            other => panic!("{method} {path}: {other:?}"),
        }
    }

    /// The actions of the audit log that a query finds, oldest first, each with the one who did it.
    pub async fn audit(&self, query: &str) -> Vec<String> {
        let list = self.get(&format!("/v1/ops/audit?limit=200&{query}")).await;
        let entries = list["entries"].as_array().expect("a list").iter().rev();
        let word = |entry: &Value, name: &str| entry[name].as_str().expect("a word").to_owned();
        entries.map(|entry| format!("{} by {}", word(entry, "action"), word(entry, "actor"))).collect()
    }
}
