//! The ledger's bad days: a Postgres of the story's own is stopped, started, brought to a standstill, and a disk is full,
//! while friends accept and partners post. Sockets stay, nobody waits long for a no, nothing acknowledged is lost, and
//! who waited hears the truth within two seconds.
//!
//! An outage of a minute takes a minute: `cargo test --test outage -- --ignored --nocapture`.

#![allow(clippy::disallowed_methods, reason = "what is seen from outside is measured on the real clock")]

#[path = "../common/mod.rs"]
mod common;
mod witness;

use std::time::{Duration, Instant};

use common::cluster::Cluster;
use common::process::{Process, get};
use common::{Cast, build_town, friend_id, job, north, partner, psql};
use kiez_load::client::{FriendClient, FriendConfig};
use kiez_load::report::Report;
use kiez_protocol::friend::{FriendMessage, Verdict};
use kiez_protocol::refusal::Code;
use witness::Witness;

/// What faults.md promises after the database is back.
const TRUTH: Duration = Duration::from_secs(2);
/// A refusal is quick, with some room for a machine that has other things to do.
const QUICK: Duration = Duration::from_millis(2_500);

fn nothing_is_lost(report: &Report) {
    println!(
        "in all: posted {} assigned {} accepts {} connects {}",
        report.jobs_posted, report.jobs_assigned, report.accepts, report.connects
    );
    assert!(report.jobs_assigned > 10, "{report:#?}");
    let lost = (report.lost_jobs, report.lost_wins, report.lost_offers, report.posts_unanswered);
    let verdicts = (report.verdicts_missing, report.verdicts_conflicting);
    assert_eq!((report.double_winners, lost, verdicts), (0, (0, 0, 0, 0), (0, 0)), "{:#?}", report.findings);
}

/// Checks what was seen of an outage between two moments, and how it ended.
async fn endured(name: &str, witness: &Witness, down: Instant, up: Instant) {
    let (ready, told) = witness.recovery(up).await;
    let seen = witness.seen(down, up);
    println!(
        "{name}: {:.1} s away; ready again after {ready:?}, the last verdict after {told:?}; {seen:?}",
        (up - down).as_secs_f64()
    );
    assert!(ready < TRUTH && told < TRUTH, "{name}: ready after {ready:?}, told after {told:?}");
    assert_eq!(seen.downs, 0, "{name}: every socket stays");
    assert!(seen.posts.keys().chain(seen.reads.keys()).all(|status| [200, 503].contains(status)), "{name}: {seen:?}");
    assert!(seen.slowest_refusal < QUICK && seen.slowest_read < QUICK, "{name}: {seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_stay_and_nothing_is_lost_while_the_database_comes_and_goes() {
    let Some(mut cluster) = Cluster::start().await else { return };
    psql(&cluster.url("postgres"), "create database kiez");
    let server = Process::started(&cluster.url("kiez"), &[]).await;
    let witness = Witness::start(&server, 16, Duration::from_millis(120)).await;
    let work = || tokio::time::sleep(Duration::from_millis(1_200));
    work().await;

    let down = Instant::now();
    for _ in 0..3 {
        psql(
            &cluster.url("kiez"),
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'kiez-%'",
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    endured("sessions ended", &witness, down, Instant::now()).await;

    for seconds in [1, 5] {
        let down = Instant::now();
        cluster.stop();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let up = cluster.up().await;
        endured("stopped", &witness, down, up).await;
        let seen = witness.seen(down, up);
        if seconds > 1 {
            // Those at the edges had a verdict before it was worth a word.
            assert!(seen.not_ready > 10 && seen.pending > 0 && seen.pending * 4 >= seen.accepts * 3, "{seen:?}");
            assert!(seen.posts[&503] > 10 && seen.reads[&503] > 10, "{seen:?}");
        }
        work().await;
    }

    let down = Instant::now();
    cluster.freeze();
    tokio::time::sleep(Duration::from_secs(3)).await;
    cluster.thaw();
    let up = Instant::now();
    endured("standing still", &witness, down, up).await;
    let seen = witness.seen(down, up);
    assert!(seen.not_ready > 10 && seen.posts.contains_key(&503), "{seen:?}");
    work().await;
    nothing_is_lost(&witness.finish().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute and a half"]
async fn the_database_is_away_for_a_minute() {
    let Some(mut cluster) = Cluster::start().await else { return };
    psql(&cluster.url("postgres"), "create database kiez");
    let server = Process::started(&cluster.url("kiez"), &[]).await;
    let witness = Witness::start(&server, 32, Duration::from_millis(200)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let down = Instant::now();
    cluster.stop();
    tokio::time::sleep(Duration::from_secs(2)).await;
    // A friend whose app comes again and again, each time for a snapshot that has to wait.
    let (mut visits, mut memory) = (0, Vec::new());
    while down.elapsed() < Duration::from_secs(59) {
        let token = server.admin().friend_token(friend_id(32), Some(5)).await.expect("needs no database").token;
        let mut client = FriendClient::new(FriendConfig::new(server.server(), token));
        let _ = tokio::time::timeout(Duration::from_millis(50), client.next()).await;
        visits += 1;
        if down.elapsed().as_secs() / 10 >= memory.len() as u64 {
            memory.push(server.memory_kib());
        }
    }
    tokio::time::sleep(Duration::from_secs(60).saturating_sub(down.elapsed())).await;
    let up = cluster.up().await;
    let (ready, told) = witness.recovery(up).await;
    let seen = witness.seen(down, up);
    println!("60 s away: ready again after {ready:?}, the last verdict after {told:?}; {seen:?}");
    println!("memory every ten seconds, with {visits} visits meanwhile, KiB: {memory:?}");
    assert!(ready < TRUTH && told < TRUTH);
    // What waits has a limit (4,096 records and as many messages behind them), and that is all that grows.
    assert!(memory.last() < memory.first().map(|first| first + 16 * 1_024).as_ref(), "{memory:?}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    nothing_is_lost(&witness.finish().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_waits_for_its_database_and_not_for_a_wrong_name() {
    let Some(mut cluster) = Cluster::start().await else { return };
    let mut wrong = Process::start(&cluster.url("nowhere"), &[]);
    assert_eq!(wrong.ended(Duration::from_secs(5)).await.code(), Some(1));
    assert!(wrong.said().contains("the database cannot be used"), "{}", wrong.said());
    psql(&cluster.url("postgres"), "create database kiez");
    cluster.stop();

    let mut server = Process::start(&cluster.url("kiez"), &[]);
    let mut standby = Process::start(&cluster.url("kiez"), &["--standby"]);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let (status, detail) = server.readyz().await.expect("it answers");
    assert_eq!((status, &detail["waits_for"]), (503, &"database".into()), "{detail}");
    assert_eq!(get(server.admin_port, "/livez").await.map(|(status, _)| status), Some(200));
    let (status, answer) = get(server.port, "/v1/packages").await.expect("it answers");
    assert!(status == 503 && answer.to_lowercase().contains("retry-after"), "{answer}");
    assert_eq!(standby.readyz().await.map(|(status, _)| status), Some(503));

    // Whoever of the two is first; the other stands by, or hears that it is late.
    let up = cluster.up().await;
    let both = async {
        tokio::select! {
            _ = server.ready(Duration::from_secs(5)) => {}
            _ = standby.ready(Duration::from_secs(5)) => {}
        }
    };
    both.await;
    println!("the database came: serving after {:?}", up.elapsed());
    assert!(up.elapsed() < TRUTH, "{:?}", up.elapsed());
}

/// A disk of four MiB, which only root can have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_passes() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: only root can mount a small disk");
        return;
    };
    let server = Process::started(&format!("sqlite:{}", disk.0.path().join("kiez.db").display()), &[]).await;
    let places = north(&[100.0]);
    build_town(&server.admin(), &places).await;
    let partner = partner(&server.http(), 0).await;
    let mut anna = Cast::on_duty(server.server(), friend_id(0), places[0]).await;
    let posted = partner.post(&job("A-1"), "A-1").await.expect("posted");
    let offer = anna.offer().await;

    let filler = disk.0.path().join("filler");
    let full = std::fs::write(&filler, vec![1_u8; 8 << 20]).expect_err("the disk is small");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let key = anna.client.accept(offer.offer, offer.revision);
    anna.until("pending", |message| matches!(message, FriendMessage::AcceptPending { .. }).then_some(())).await;
    let since = Instant::now();
    while server.readyz().await.is_none_or(|(status, _)| status == 200) {
        assert!(since.elapsed() < TRUTH, "a full disk is not ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let refused = partner.post(&job("A-2"), "A-2").await.expect_err("nothing can be written");
    assert_eq!(refused.code(), Some(Code::Unavailable), "{refused}");
    let heard = anna.silence(500).await;
    assert!(heard.is_empty(), "{heard:?}");

    std::fs::remove_file(&filler).expect("there is room again");
    let since = Instant::now();
    assert_eq!(anna.verdict(key).await, (Verdict::Won, None));
    println!("a full disk: the verdict came {:?} after there was room", since.elapsed());
    assert!(since.elapsed() < TRUTH);
    assert_eq!(partner.post(&job("A-2"), "A-2").await.expect("posted").state, posted.state);
}

struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "none"])
            .arg(folder.path())
            .stderr(std::process::Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(SmallDisk(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the server is killed in the same moment.
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// A request that is dropped half-way must not leave a connection of a pool inside a transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_leaves_no_transaction_behind() {
    let Some(database) = common::Database::postgres() else { return };
    let server = Process::started(&database.url, &[]).await;
    build_town(&server.admin(), &[]).await;
    let partner = partner(&server.http(), 5_000).await;
    let posted = partner.post(&job("A-1"), "A-1").await.expect("posted");
    let mut requests = tokio::task::JoinSet::new();
    for number in 0_u64..400 {
        let (partner, admin, documents) = (partner.clone(), server.admin(), common::town_documents(2));
        requests.spawn(async move {
            let patience = Duration::from_micros(number * 7_919 % 12_000);
            let asked = async {
                match number % 4 {
                    0 => drop(admin.import(&documents).await),
                    1 => drop(partner.post(&job("A-2"), &format!("key-{number}")).await),
                    2 => drop(partner.job(posted.id).await),
                    _ => drop(partner.jobs(None, None, None).await),
                }
            };
            // Dropped: the connection is closed under the request.
            let _ = tokio::time::timeout(patience, asked).await;
        });
        if number % 8 == 0 {
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
    }
    while requests.join_next().await.is_some() {}
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..5 {
        let left = psql(
            &database.url,
            "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'",
        );
        assert_eq!(left, "0");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(partner.job(posted.id).await.expect("it goes on").id, posted.id);
}
