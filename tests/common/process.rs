//! kiez in a process of its own, so that it can be stopped, woken and killed; and what stands in its ledger.

use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kiez_load::client::{AdminClient, Http, Server};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{DEVELOPMENT_KEY, psql};

/// A server in a process of its own. It ends with this.
pub struct Process {
    child: Child,
    log: tempfile::NamedTempFile,
    /// Friends and partners.
    pub port: u16,
    /// Health.
    pub admin_port: u16,
}

impl Process {
    /// Starts `kiez serve` on free ports, with further arguments.
    pub fn start(url: &str, args: &[&str]) -> Process {
        Process::start_on(free_port(), url, args)
    }

    /// Starts it on this port.
    pub fn start_on(port: u16, url: &str, args: &[&str]) -> Process {
        Process::start_with(port, url, args, &[])
    }

    /// Starts it with some knobs turned, `("KIEZ_SECTION__KEY", value)`.
    pub fn start_with(port: u16, url: &str, args: &[&str], knobs: &[(&str, &str)]) -> Process {
        let (admin_port, log) = (free_port(), tempfile::NamedTempFile::new().expect("a file"));
        let child = Command::new(env!("CARGO_BIN_EXE_kiez"))
            .arg("serve")
            .args(["--listen", &format!("127.0.0.1:{port}"), "--admin-listen", &format!("127.0.0.1:{admin_port}")])
            .args(["--database-url", url])
            .args(args)
            .env("KIEZ_AUTH__DEVELOPMENT_KEY", DEVELOPMENT_KEY)
            .envs(knobs.iter().copied())
            .stdout(Stdio::null())
            .stderr(log.reopen().expect("the same file"))
            .spawn()
            .expect("kiez starts");
        Process { child, log, port, admin_port }
    }

    pub async fn started(url: &str, args: &[&str]) -> Process {
        let mut process = Process::start(url, args);
        process.ready(Duration::from_secs(10)).await;
        process
    }

    /// Waits until it serves; how long that took from now.
    pub async fn ready(&mut self, within: Duration) -> Duration {
        let since = Instant::now();
        while since.elapsed() < within {
            if self.readyz().await.is_some_and(|(status, _)| status == 200) {
                return since.elapsed();
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("it has ended ({status}):\n{}", self.said());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not serve within {within:?}:\n{}", self.said());
    }

    /// `/readyz?verbose` of the operator's listener.
    pub async fn readyz(&self) -> Option<(u16, Value)> {
        let (status, body) = get(self.admin_port, "/readyz?verbose").await?;
        Some((status, serde_json::from_str(body.rsplit_once("\r\n\r\n")?.1).expect("JSON")))
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill is installed").success(), "the signal is delivered");
    }

    /// Stops it, and waits until none of its threads does anything more.
    pub async fn freeze(&self) {
        self.signal("STOP");
        let stopped = |stat: String| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'));
        loop {
            let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it lives");
            let mut stats =
                threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
            if stats.all(stopped) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self, within: Duration) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status;
            }
            assert!(since.elapsed() < within, "it goes on after {within:?}:\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The memory it has in use, KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// All it wrote on its standard error.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.log.path()).expect("the log")
    }

    pub fn server(&self) -> Server {
        Server::at(&format!("http://127.0.0.1:{}", self.port)).expect("loopback")
    }

    pub fn http(&self) -> Http {
        Http::new(self.server(), DEVELOPMENT_KEY)
    }

    pub fn admin(&self) -> AdminClient {
        AdminClient::new(self.http())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself. A stopped one is killed just the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// The status and the whole text of an answer; none without one within two seconds.
pub async fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let asked = async {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: kiez\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer))
    };
    tokio::time::timeout(Duration::from_secs(2), asked).await.ok()?
}

/// Takes a SQLite ledger from whoever has it, as another dispatcher would.
pub async fn raise_fence(url: &str) {
    let path = url.strip_prefix("sqlite:").expect("a SQLite ledger");
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(5));
    let mut connection = options.connect().await.expect("connects");
    connection.execute("update fence set epoch = epoch + 1, holder = 'another'").await.expect("is raised");
}

/// Every row of every table that a dispatcher writes, one a line.
pub async fn ledger(url: &str) -> Vec<String> {
    let tables = ["jobs", "bookings", "runs", "offers", "visits", "events", "decisions", "partner_keys", "duties"];
    let mut lines = Vec::new();
    for table in tables {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(5));
            let mut connection = options.connect().await.expect("connects");
            let rows = connection.fetch_all(AssertSqlSafe(format!("select * from {table}"))).await.expect("reads");
            let texts = rows.iter().map(|row| {
                let columns = (0..row.len()).map(|i| row.get_unchecked::<Option<String>, _>(i).unwrap_or_default());
                format!("{table} {}", columns.collect::<Vec<_>>().join(" | "))
            });
            lines.extend(texts);
        } else {
            let rows = psql(url, &format!("select row_to_json({table})::text from {table}"));
            lines.extend(rows.lines().map(|row| format!("{table} {row}")));
        }
    }
    lines.sort();
    lines
}
