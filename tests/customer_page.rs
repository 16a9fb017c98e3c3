//! The customer's page in a real browser, against a real server: it finds its job by what is behind `#`, speaks the
//! customer's language, posts what is written into it, and leads nowhere without its link. Needs Chromium, which
//! `./test` names in `KIEZ_TEST_CHROMIUM`.

mod common;

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{TestServer, job, north};
use futures_util::{SinkExt, StreamExt};
use kiez_protocol::directory::Language;
use kiez_protocol::friend::{FriendFrame, FriendMessage};
use kiez_protocol::ids::Key;
use kiez_protocol::partner::JobState;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use uuid::Uuid;

/// A browser with one page, steered by its own protocol for developers. It ends with the test.
struct Browser {
    process: Child,
    socket: WebSocketStream<TcpStream>,
    asked: u64,
    page: Option<String>,
    _home: tempfile::TempDir,
}

impl Browser {
    async fn open(url: &str) -> Browser {
        let program = std::env::var("KIEZ_TEST_CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
        let home = tempfile::tempdir().expect("a folder");
        let process = Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--remote-debugging-port=0", "--accept-lang=de", "about:blank"])
            .arg(format!("--user-data-dir={}", home.path().display()))
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("Chromium starts");
        let told = home.path().join("DevToolsActivePort");
        let (port, path) = patiently("the browser says where it listens", async || {
            let text = std::fs::read_to_string(&told).ok()?;
            let (port, path) = text.split_once('\n')?;
            (!path.is_empty()).then_some((port.parse::<u16>().ok()?, path.to_owned()))
        })
        .await;
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("connects");
        let address = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = client_async_with_config(address, stream, None).await.expect("it speaks");
        let mut browser = Browser { process, socket, asked: 0, page: None, _home: home };
        let page = browser.ask("Target.createTarget", json!({"url": url})).await["targetId"].clone();
        let attached = browser.ask("Target.attachToTarget", json!({"targetId": page, "flatten": true})).await;
        browser.page = attached["sessionId"].as_str().map(ToOwned::to_owned);
        assert!(browser.page.is_some(), "the browser has a page: {attached}");
        browser
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let mut request = json!({"id": self.asked, "method": method, "params": params});
        if let Some(page) = &self.page {
            request["sessionId"] = json!(page);
        }
        self.socket.send(Message::text(request.to_string())).await.expect("sent");
        loop {
            let heard = self.socket.next().await.expect("it lives").expect("a frame");
            let Message::Text(text) = heard else { continue };
            let answer: Value = serde_json::from_str(&text).expect("JSON");
            if answer["id"] == self.asked {
                return answer["result"].clone();
            }
        }
    }

    /// What an expression gives in the page.
    async fn eval(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        self.ask("Runtime.evaluate", params).await["result"]["value"].clone()
    }

    async fn until(&mut self, expression: &str) {
        for _ in 0..200 {
            if self.eval(expression).await == json!(true) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let text = self.eval("document.body.innerText").await;
        panic!("never true: {expression}\n{text}");
    }

    async fn close(mut self) {
        self.page = None;
        self.ask("Browser.close", json!({})).await;
        drop(self);
    }
}

/// A browser is many processes: they have a group of their own, and end together.
impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.process.wait();
    }
}

async fn patiently<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    for _ in 0..300 {
        if let Some(found) = ask().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not within 30 s: {what}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_follows_their_job_in_a_browser() {
    let mut server = TestServer::start().await;
    let mut friends = server.town_with_friends(&north(&[100.0])).await;
    let mut wanted = job("P-1");
    wanted.customer.language = Language::Fr;
    wanted.answers.clear();
    let partner = server.partner().await;
    let posted = partner.post(&wanted, "page-1").await.expect("posted");
    assert_eq!(posted.state, JobState::NeedsInfo);
    let link = posted.customer_url.clone().expect("a link");

    let mut browser = Browser::open(&link).await;
    browser.until("document.querySelector('.state')?.dataset.state === 'needs_info'").await;
    let text = browser.eval("document.body.innerText").await;
    let text = text.as_str().expect("a text");
    assert!(text.contains("Votre réservation chez") && text.contains("Il manque encore une réponse."), "{text}");
    assert!(text.contains("29,00\u{a0}€"), "{text}");
    assert_eq!(browser.eval("document.documentElement.lang").await, json!("fr"));
    assert_eq!(browser.eval("[...document.querySelectorAll('input,textarea')].every((field) => field.labels.length > 0 || field.type === 'hidden')").await, json!(true), "each field has its label");

    // The answer is given on the page; what is markup in it is a text and stays one.
    let hostile = "Livebox <img src=x onerror=alert(1)>";
    browser
        .eval(&format!(
            "{{const field = document.querySelector('[name=\"answers.router\"]'); field.value = {}; \
             field.form.requestSubmit(); true}}",
            json!(hostile)
        ))
        .await;
    browser.until("document.querySelector('.state')?.dataset.state === 'dispatching'").await;
    assert_eq!(browser.eval("document.querySelector('[name=\"answers.router\"]').value").await, json!(hostile));
    assert_eq!(browser.eval("document.querySelectorAll('#page img').length").await, json!(0));
    browser.until("document.getElementById('notice').textContent.startsWith('Merci')").await;

    // A friend takes it: the page says who comes, and the two may write to each other.
    let offer = friends[0].offer().await;
    let key = Key(Uuid::now_v7());
    assert!(friends[0].client.send(&FriendFrame::Accept { offer: offer.offer, revision: offer.revision, key }));
    friends[0]
        .until("the verdict", |message| matches!(message, FriendMessage::AcceptResult { .. }).then_some(()))
        .await;
    browser.eval("look(true)").await;
    browser.until("document.querySelector('.state')?.dataset.state === 'assigned'").await;
    browser
        .eval("{const field = document.getElementById('message'); field.value = 'Au deuxième étage'; field.form.requestSubmit(); true}")
        .await;
    browser.until("document.querySelector('.talk .mine')?.innerText.includes('Au deuxième étage') ?? false").await;

    // Calling it off takes two steps.
    assert_eq!(browser.eval("document.querySelector('details').open").await, json!(false));
    browser.eval("{document.querySelector('details').open = true; document.querySelector('[data-do=cancel]').requestSubmit(); true}").await;
    browser.until("document.querySelector('.state')?.dataset.state === 'cancelled'").await;
    assert_eq!(browser.eval("document.querySelectorAll('form').length").await, json!(0), "nothing is left to do");

    // Without a link that leads anywhere there is nothing, in the words of the browser's language.
    browser.eval("location.hash = '#nobody'").await;
    browser.until("document.getElementById('notice').classList.contains('fault')").await;
    assert_eq!(browser.eval("document.getElementById('page').innerText").await, json!(""));
    let told = browser.eval("document.getElementById('notice').innerText").await;
    assert!(told.as_str().is_some_and(|told| told.starts_with("Dieser Link führt nirgendwohin")), "{told}");
    browser.close().await;
    server.down().await;
}
