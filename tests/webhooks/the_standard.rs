//! The official library of Standard Webhooks (PyPI `standardwebhooks`) is the judge: what was received from a server at work is
//! genuine to it, and what was changed by a byte is not. `./test` installs it into a folder of its own and names its Python in
//! `KIEZ_TEST_STANDARDWEBHOOKS`; `skip` goes without.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::TestServer;
use crate::targets::{Does, Target};
use crate::{Shop, TRIAL};

/// Says of each line whether the library takes it for genuine.
const JUDGE: &str = "
import json, sys
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
for line in sys.stdin:
    case = json.loads(line)
    try:
        Webhook(case['secret']).verify(case['body'], case['headers'])
        print('genuine')
    except WebhookVerificationError as error:
        print('forged')
";

fn judged(python: &str, cases: &[Value]) -> Vec<String> {
    let mut judge = Command::new(python)
        .args(["-c", JUDGE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the Python that KIEZ_TEST_STANDARDWEBHOOKS names");
    let lines: String = cases.iter().map(|case| format!("{case}\n")).collect();
    judge.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("it listens");
    let out = judge.wait_with_output().expect("it ends");
    assert!(out.status.success(), "the judge has the library `standardwebhooks`");
    String::from_utf8(out.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_library_takes_them_for_genuine_and_no_others() {
    let python = match std::env::var("KIEZ_TEST_STANDARDWEBHOOKS") {
        Ok(skip) if skip == "skip" => return,
        Ok(python) => python,
        Err(_) => panic!("KIEZ_TEST_STANDARDWEBHOOKS is not set: run ./test, or set it to `skip`"),
    };
    let mut server = TestServer::with(&TRIAL, 1).await;
    let shop = Shop::of(&server).await;
    let target = Target::that(Does::status(200)).await;
    let (id, old) = shop.hears_at(&[target.url()]).await.remove(0);
    for _ in 0..10 {
        shop.posts().await;
    }
    target.has(10).await;
    let rotate = json!({"endpoints": [{"id": id, "url": target.url(), "rotate": true}]});
    let (_, list) = shop.ask("PUT", "/v1/webhooks", Some(&rotate)).await;
    let new = list["endpoints"][0]["secrets"][0]["secret"].as_str().expect("the new one").to_owned();
    let job = shop.posts().await;
    let (status, _) = shop.ask("POST", &format!("/v1/jobs/{job}/cancel"), None).await;
    assert_eq!(status, 200);
    let came = target.has(12).await;
    let case = |secret: &str, body: &str, headers: &_| json!({"secret": secret, "body": body, "headers": headers});
    let (mut cases, mut wanted) = (Vec::new(), Vec::new());
    for (index, came) in came.iter().enumerate() {
        let during = index >= 10;
        for (secret, good) in [(&old, true), (&new, during)] {
            cases.push(case(secret, &came.body, &came.headers));
            wanted.push(if good { "genuine" } else { "forged" });
        }
        cases.push(case(&old, &came.body.replacen("\"attempt\":1", "\"attempt\":2", 1), &came.headers));
        wanted.push("forged");
        let mut other = came.headers.clone();
        other.insert("webhook-id".to_owned(), "msg_of_another".to_owned());
        cases.push(case(&old, &came.body, &other));
        wanted.push("forged");
    }
    assert_eq!(judged(&python, &cases), wanted);
    server.down().await;
}
