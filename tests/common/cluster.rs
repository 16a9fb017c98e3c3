//! A Postgres of a story's own, which may be stopped, started, and brought to a standstill. It is found as `./test` finds
//! it, runs as the user `postgres` where the story runs as root, and ends with the story, however that ends.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A cluster. Gone with this.
pub struct Cluster {
    folder: tempfile::TempDir,
    bin: PathBuf,
    port: u16,
    postmaster: Option<Child>,
}

impl Cluster {
    /// A new one that runs; none where the stories of Postgres are skipped on purpose. To be called on the story's own
    /// thread: the server ends with the thread that started it.
    pub async fn start() -> Option<Cluster> {
        if std::env::var("KIEZ_TEST_POSTGRES").is_ok_and(|url| url == "skip") {
            return None;
        }
        // A socket's path has at most about a hundred bytes, and root's own folders may be closed to others.
        let folder = tempfile::tempdir_in("/tmp").expect("a folder");
        let mut cluster = Cluster { folder, bin: bin(), port: quiet_port(), postmaster: None };
        if is_root() {
            run(Command::new("chown").arg("postgres:").arg(cluster.folder.path()));
        }
        let data = cluster.data();
        let mut initdb = cluster.command("initdb");
        run(initdb.arg("-D").arg(&data).args(["-U", "postgres", "--auth=trust", "--no-locale", "--no-sync"]));
        cluster.up().await;
        Some(cluster)
    }

    /// The URL of a database on it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Starts it and waits until it answers; when it did.
    pub async fn up(&mut self) -> Instant {
        let (data, log) = (self.data(), std::fs::File::create(self.folder.path().join("log")).expect("a file"));
        let mut postgres = self.command("postgres");
        postgres.arg("-D").arg(data).args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        postgres.arg("-c").arg(format!("unix_socket_directories={}", self.folder.path().display()));
        postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.postmaster = Some(postgres.spawn().expect("Postgres starts"));
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(30) {
            let asked = Command::new(self.bin.join("psql"))
                .args([&self.url("postgres"), "-XAtc", "select 1"])
                .stderr(Stdio::null())
                .output();
            if asked.expect("psql is installed").status.success() {
                return Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("Postgres does not answer");
    }

    /// Ends it as `pg_ctl stop -m immediate` does: nobody is asked, and the next start mends what was left.
    pub fn stop(&mut self) {
        if let Some(mut postmaster) = self.postmaster.take() {
            signal("QUIT", &[postmaster.id()]);
            postmaster.wait().expect("it ends");
        }
    }

    /// Brings all of it to a standstill: connections stay, and nothing is answered.
    pub fn freeze(&self) {
        signal("STOP", &self.processes());
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        signal("CONT", &self.processes());
    }

    fn processes(&self) -> Vec<u32> {
        let postmaster = self.postmaster.as_ref().expect("it runs").id();
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &postmaster.to_string()]).output();
        let children = String::from_utf8(children.expect("ps is installed").stdout).expect("numbers");
        let children = children.split_whitespace().map(|pid| pid.parse().expect("a number"));
        [postmaster].into_iter().chain(children).collect()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One of its programs, as the user who owns it, which never outlives the story.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        if is_root() {
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
        }
        command.args(["--pdeathsig=INT", "--"]).arg(self.bin.join(program)).current_dir(self.folder.path());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.postmaster.is_some() {
            self.thaw();
            self.stop();
        }
    }
}

/// A free port below those that the system hands out by itself: it must be free again after each stop.
fn quiet_port() -> u16 {
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let first = 20_000 + (uuid::Uuid::new_v4().as_u128() % 11_000) as u16;
    (first..first + 1_000).find(free).expect("one of a thousand")
}

fn run(command: &mut Command) {
    let done = command.output().expect("it is installed");
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn signal(name: &str, processes: &[u32]) {
    // One of them may have ended by itself meanwhile.
    let _ = Command::new("kill").arg(format!("-{name}")).args(processes.iter().map(u32::to_string)).status();
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|ours| std::os::unix::fs::MetadataExt::uid(&ours) == 0)
}

/// Where the programs are: `KIEZ_TEST_POSTGRES_BIN`, else the newest of the usual places.
fn bin() -> PathBuf {
    if let Ok(bin) = std::env::var("KIEZ_TEST_POSTGRES_BIN") {
        return PathBuf::from(bin);
    }
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| has_programs(bin))
        .collect();
    found.sort();
    found.pop().expect("Postgres is installed: run ./test, or set KIEZ_TEST_POSTGRES_BIN").1
}

fn has_programs(bin: &Path) -> bool {
    ["initdb", "postgres", "psql"].iter().all(|program| bin.join(program).exists())
}
