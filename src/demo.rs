//! `kiez demo`: a Berlin that lives in one process. The server is the real one; friends and partners are bots of
//! `kiez-load` who know only the wire, and an observer checks from outside what the server promises.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use kiez::clock::Stopwatch;
use kiez::config::Config;
use kiez::server::{Running, Start};
use kiez_load::bots::{Bot, Habits};
use kiez_load::chance::Chance;
use kiez_load::client::{AdminClient, Http, Server};
use kiez_load::clock::RunClock;
use kiez_load::fleet::{self, Fleet, FleetConfig, Partners};
use kiez_load::observe::{Observation, Observer, Rules};
use kiez_load::report::{Live, Report};
use kiez_load::route::{Route, Wander};
use kiez_load::world::{Resident, World, WorldKind};
use kiez_protocol::directory::{ImportLine, OpsRole};
use kiez_protocol::ids::FriendId;
use tokio_util::sync::CancellationToken;

/// People who may join a running demo.
const GUESTS: u64 = 3;
/// The bots leave a person so long before they accept, ms.
const LEAVE_TIME_MS: u64 = 15_000;
/// How often the demo looks whether a person has joined, ms.
const GUEST_LOOK_MS: u64 = 100;
/// A person without an offer gets a job near by this often, ms.
const GUEST_JOB_MS: u64 = 10_000;
/// A demo's tokens last a day.
const TOKEN_MINUTES: u32 = 24 * 60;
/// Bots wander at most so far from home, metres.
const WANDER_M: f64 = 800.0;

/// What a demo is asked for.
#[derive(Debug, Args)]
pub struct Demo {
    /// Which world: `dense` has some hundreds of friends, `pilot` sixty on the 890 km² of Berlin.
    #[arg(long, value_enum, default_value = "dense")]
    world: WorldKind,
    /// How many friends; without it as many as the world has.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=18_000))]
    friends: Option<u32>,
    /// Jobs that partners post in a minute of real time, on average.
    #[arg(long, value_name = "N", default_value_t = 60.0)]
    jobs_per_minute: f64,
    /// The same seed makes the same people and jobs.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The trade's time runs N times as fast.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    speed: u32,
    /// Ends by itself after a span such as 30s or 5m; without it at Ctrl-C.
    #[arg(long = "for", value_name = "SPAN", value_parser = crate::cli::span)]
    lasts: Option<Duration>,
    /// Writes what was seen as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Keeps outcomes here instead of in a folder that goes with the demo.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Where friends, partners and ops connect; another free port if it is taken.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// How the log is written, to stderr; `KIEZ_LOG` says what is in it, such as kiez=debug,warn.
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<crate::log::Format>,
}

/// Everything that runs.
struct Stage {
    running: Running,
    world: Arc<World>,
    guests: Vec<Resident>,
    observer: Arc<Observer>,
    fleet: Fleet,
    partners: Partners,
}

impl Demo {
    /// Runs it.
    ///
    /// # Errors
    /// In words; also when a check failed.
    pub async fn run(self) -> anyhow::Result<()> {
        let folder = tempfile::tempdir().context("a folder for the demo")?;
        let stage = self.set(folder.path()).await?;
        self.welcome(&stage)?;
        let watch = Stopwatch::start();
        let stop = CancellationToken::new();
        let posting = {
            let (partners, world, stop) = (stage.partners.clone(), stage.world.clone(), stop.clone());
            let (rate, seed) = (self.jobs_per_minute, self.seed);
            tokio::spawn(async move { partners.post_by_chance(&world, rate, seed, &stop).await })
        };
        self.live(&stage).await;
        stop.cancel();
        let mut troubles = posting.await.context("the partners' task")?;
        let Stage { running, observer, fleet, partners, .. } = stage;
        troubles.extend(fleet.finish(Duration::from_secs(10)).await);
        let duration_s = watch.elapsed().as_secs_f64();
        let views = partners.look().await?;
        let mut report = observer.note(|seen, _| seen.finish(&views));
        "demo".clone_into(&mut report.run);
        report.seed = self.seed;
        report.duration_s = (duration_s * 10.0).round() / 10.0;
        report.troubles = troubles;
        running.stop().await;
        self.conclude(&report)
    }

    /// Starts the server, fills its directory and brings everybody to their places.
    async fn set(&self, folder: &std::path::Path) -> anyhow::Result<Stage> {
        anyhow::ensure!(self.listen.ip().is_loopback(), "a demo listens on loopback only");
        anyhow::ensure!(
            self.jobs_per_minute > 0.0 && self.jobs_per_minute <= 100_000.0,
            "--jobs-per-minute takes more than 0 and at most 100,000"
        );
        let url = self.database_url.clone().unwrap_or_else(|| format!("sqlite:{}", folder.join("demo.db").display()));
        // Somebody's server may have the usual port.
        let listen = match tokio::net::TcpListener::bind(self.listen).await {
            Ok(_) => self.listen.to_string(),
            Err(_) => "127.0.0.1:0".to_owned(),
        };
        let flags = [
            ("database.url", "--database-url", Some(url)),
            ("server.listen", "--listen", Some(listen)),
            ("admin.listen", "demo", Some("127.0.0.1:0".to_owned())),
            crate::log::flag(self.log_format),
        ];
        let config = Config::load(None, std::iter::empty(), &flags)?.config;
        crate::log::begin(&config.log, crate::log::ALARMS)?;
        let metrics = kiez::metrics::install().ok();
        let running =
            Running::start(&config, Start { dev: true, time_scale: self.speed, metrics, ..Start::default() }).await?;
        let key = running.keys.development_key.clone().context("a demo has a development key")?;

        let friends = self.friends.map_or(self.world.friends(), |friends| friends as usize);
        fleet::room_for(friends + GUESTS as usize).map_err(anyhow::Error::msg)?;
        let world = Arc::new(World::new(self.world, friends, self.seed));
        let guests: Vec<Resident> = (0..GUESTS).map(|number| world.guest(number)).collect();
        let documents = world.documents();
        let guest_documents: Vec<_> = guests.iter().map(|guest| ImportLine::Friend(guest.profile.clone())).collect();
        let server = Server::at(&format!("http://{}", running.address))?;
        let admin = AdminClient::new(Http::new(server.clone(), key));
        admin.import(&documents).await?;
        admin.import(&guest_documents).await?;

        let rules = Rules::at_scale(self.speed);
        let settle = Duration::from_micros(rules.in_flight_us);
        let mut observation = Observation::new(rules, &documents);
        // Guests are not watched: what they do is theirs.
        observation.expect_strangers();
        let profiles: Vec<_> = world.residents.iter().map(|resident| Arc::new(resident.profile.clone())).collect();
        for profile in &profiles {
            observation.watch(profile.clone());
        }
        let observer = Arc::new(Observer::new(observation));
        let partners = Partners::with_keys(&admin, &world.partners(), observer.clone(), 30_000).await?;
        let ids: Vec<FriendId> = profiles.iter().map(|profile| profile.id).collect();
        let tokens = fleet::tokens(&admin, &ids).await?;
        let bots = profiles.into_iter().zip(tokens).zip(&world.residents).enumerate().map(
            |(number, ((profile, token), resident))| {
                let chance = Chance::of(self.seed, "wander", number as u64);
                let wander = Wander::new(resident.home, WANDER_M, resident.pace_m_s, 120_000.0, chance);
                Bot { profile, token, route: Route::Wander(wander) }
            },
        );
        let clock = RunClock::new(0, self.speed);
        let config = FleetConfig {
            server,
            habits: Habits::demo(self.speed),
            clock: clock.clone(),
            seed: self.seed,
            connects_per_s: 400,
            admin: Some(admin),
        };
        let fleet = Fleet::start(&config, bots.collect(), observer.clone());
        let ready = fleet.wait_ready(friends, Duration::from_secs(60)).await;
        anyhow::ensure!(ready == friends, "{ready} of {friends} friends came: {}", fleet.troubles().join("; "));
        // Everybody's first position has arrived when the first job is posted.
        tokio::time::sleep(settle).await;
        clock.start();
        Ok(Stage { running, world, guests, observer, fleet, partners })
    }

    fn welcome(&self, stage: &Stage) -> anyhow::Result<()> {
        let address = stage.running.address;
        let ops = stage.running.ops_token(OpsRole::Dispatcher, TOKEN_MINUTES)?;
        let guest = stage.guests.first().context("a demo has guests")?;
        let (token, _) = stage.running.app.auth.friend_token(guest.profile.id, TOKEN_MINUTES)?;
        println!(
            "{} friends are on duty{}; partners post about {} jobs a minute.\n",
            stage.world.residents.len(),
            if self.speed > 1 { format!(", time runs {} times as fast", self.speed) } else { String::new() },
            self.jobs_per_minute,
        );
        println!("  The map         http://{address}/ops#token={ops}\n");
        // Through `cargo run` there is no `kiez-load` on the path yet.
        let load =
            if std::env::var_os("CARGO").is_some() { "cargo run --release -p kiez-load --" } else { "kiez-load" };
        println!(
            "  Be a friend     {load} friend --url http://{address} --at {:.5},{:.5} --token {token}\n",
            guest.home.lat(),
            guest.home.lng()
        );
        Ok(())
    }

    /// Shows what happens until the time is over or somebody stops it. Cares for people who join.
    async fn live(&self, stage: &Stage) {
        let terminal = std::io::stdout().is_terminal();
        let watch = Stopwatch::start();
        let mut show = tokio::time::interval(Duration::from_millis(if terminal { 500 } else { 5_000 }));
        let mut guests = tokio::time::interval(Duration::from_millis(GUEST_LOOK_MS));
        let mut care = tokio::time::interval(Duration::from_millis(GUEST_JOB_MS));
        // What has long ended is counted and forgotten: a demo may run for days.
        let mut tidy = tokio::time::interval(Duration::from_secs(10));
        let mut chance = Chance::of(self.seed, "guests", 0);
        let end = self.lasts.unwrap_or(Duration::MAX);
        let over = async {
            match self.lasts {
                Some(lasts) => tokio::time::sleep(lasts).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        let stopped = crate::cli::asked_to_stop();
        tokio::pin!(stopped);
        let mut number = 0_u64;
        loop {
            tokio::select! {
                () = &mut over => break,
                () = &mut stopped => break,
                _ = show.tick() => {
                    let live = stage.observer.note(|seen, _| seen.live());
                    let left = end.saturating_sub(watch.elapsed());
                    print_live(terminal, watch.elapsed(), self.lasts.map(|_| left), &live);
                }
                _ = guests.tick() => leave_time(stage),
                _ = tidy.tick() => stage.observer.tidy(),
                _ = care.tick() => {
                    number += 1;
                    self.care(stage, &mut chance, number).await;
                }
            }
        }
        if terminal {
            println!();
        }
    }

    /// Whoever has joined gets a job near by as long as they hold no offer.
    async fn care(&self, stage: &Stage, chance: &mut Chance, number: u64) {
        let app = &stage.running.app;
        for guest in &stage.guests {
            let id = guest.profile.id;
            let Some(fix) = app.live.roster.position(id) else { continue };
            if app.live.sessions.hand_len(id) > 0 {
                continue;
            }
            let now = app.clock.now();
            let draft = stage.world.job_near(fix.at, 150.0, chance, now);
            if let Err(error) = stage.partners.post(&draft.partner, &format!("guest-{number}-{id}"), &draft.job).await {
                tracing::warn!(%error, "no job for a guest");
            }
        }
    }

    fn conclude(&self, report: &Report) -> anyhow::Result<()> {
        println!("\n{report}");
        if let Some(path) = &self.report {
            let text = serde_json::to_string_pretty(report).context("the report")?;
            std::fs::write(path, text + "\n").with_context(|| path.display().to_string())?;
        }
        let failures = report.failures();
        anyhow::ensure!(failures.is_empty(), "checks failed: {}", failures.join("; "));
        Ok(())
    }
}

/// Whoever has joined finds the bots patient.
fn leave_time(stage: &Stage) {
    let sessions = &stage.running.app.live.sessions;
    let here = stage.guests.iter().any(|guest| sessions.outbox(guest.profile.id).is_some());
    stage.fleet.leave_time_ms(if here { LEAVE_TIME_MS } else { 0 });
}

fn print_live(terminal: bool, elapsed: Duration, left: Option<Duration>, live: &Live) {
    let left = left.map(|left| format!(" (ends in {} s)", left.as_secs())).unwrap_or_default();
    let line = format!(
        "{:>4} s{left}  jobs {}  assigned {}  done {}  offers {}  accepts {}  races {}  median to assign {:.1} s  verdict {:.1} ms",
        elapsed.as_secs(),
        live.jobs_posted,
        live.jobs_assigned,
        live.jobs_completed,
        live.offers,
        live.accepts,
        live.races,
        live.time_to_assign_ms / 1_000.0,
        live.accept_ms,
    );
    if terminal {
        use std::io::Write;
        print!("\r\x1b[2K{line}");
        if std::io::stdout().flush().is_err() {
            tracing::debug!("the terminal has gone");
        }
    } else {
        println!("{line}");
    }
}
