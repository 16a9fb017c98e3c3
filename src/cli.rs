//! The command line: parse, connect, hand over.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use kiez::clock::Clock;
use kiez::config::{Config, Loaded};
use kiez::dispatch::effect::By;
use kiez::ledger;
use kiez::serve::auth::{Auth, partner_key};
use kiez::server::{Entry, Keys, Running, Start, StartError};
use kiez_protocol::audit::AuditRole;
use kiez_protocol::directory::OpsRole;
use kiez_protocol::ids::{FriendId, PartnerSlug};
use tokio_util::sync::CancellationToken;

use crate::log;

/// A command that is over in a moment may leave so much of its log to a reader who is slow, bytes.
const LOG_WAITING_BYTES_MAX: usize = 64 * 1024;

/// The dispatch server for neighbourhood tech help.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  kiez demo                                     a Berlin that lives in one process; prints its links
  kiez serve                                    on 127.0.0.1:8080, with SQLite in kiez.db
  kiez migrate --database-url postgres:///kiez  prepares a database
  kiez import friends friends.ndjson            all good lines or none
  kiez token partner my-shop                    an API key, shown once
  kiez doctor                                   when something is wrong, or before a start

Every value has a knob: `kiez config env` lists the variables, `kiez config print` shows what is in force and why."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
struct Common {
    /// The configuration file; without it `kiez.toml`, if there is one.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The database, sqlite:PATH or postgres://…; without it KIEZ_DATABASE__URL, the file, or sqlite:kiez.db.
    #[arg(long, value_name = "URL", global = true)]
    database_url: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server.
    #[command(after_help = "\
Examples:
  kiez serve
  KIEZ_AUTH__SECRET=… kiez serve --database-url postgres://kiez@db/kiez
  KIEZ_AUTH__SECRET=… kiez serve --listen 10.0.0.5:8080 --plain-public     behind a proxy that has TLS
  kiez serve --standby                          beside another on the same Postgres: serves when that one ends
  kiez serve --take-over                        in the place of a process that hangs
  kiez serve --time-scale 240                   development: a day in six minutes")]
    Serve(Serve),
    /// A Berlin that lives in one process: friends and partners over real sockets.
    #[command(after_help = "\
Examples:
  kiez demo                                     until Ctrl-C; open the links it prints
  kiez demo --for 30s --report r.json           ends by itself and tells what it saw
  kiez demo --world pilot                       sixty friends, as in the old pilot
  kiez demo --database-url postgres:///kiez     outcomes in Postgres")]
    Demo(Box<crate::demo::Demo>),
    /// A city under virtual time and a seed: tries every rule, or sets one policy against another.
    #[command(after_help = "\
Examples:
  kiez simulate --days 2 --friends 200 --seed 11          one seed; the same bytes every time
  kiez simulate --seeds 1..1000 --faults mixed            the long run: about a minute on four cores
  kiez simulate --policy a.toml --against b.toml --days 30 --friends 1000 --html policies.html
  kiez simulate --break unique-index --faults harsh       the checks themselves are tried: this must fail")]
    Simulate(Box<crate::simulation::Simulate>),
    /// Prepares an empty database, or brings an older one up to date.
    #[command(after_help = "Example:\n  createdb kiez && kiez migrate --database-url postgres:///kiez")]
    Migrate(Common),
    /// Makes a token for a friend or ops, or an API key for a partner.
    #[command(after_help = "\
Examples:
  kiez token friend 0192f000-0000-7000-8000-000000000001 --minutes 60
  kiez token ops --role admin
  kiez token partner my-shop")]
    Token {
        #[command(subcommand)]
        whose: Token,
    },
    /// Takes in communities, packages, partners or friends from a file, one JSON object a line.
    #[command(after_help = "\
Each line is a document as in PUT /v1/admin/…, with or without its \"kind\". All lines are taken or none; every line that
is wrong is named. A running server follows within a second.

Examples:
  kiez import communities examples/communities.ndjson
  kiez import friends friends.ndjson --database-url postgres:///kiez")]
    Import {
        /// What the file holds.
        kind: Kind,
        /// NDJSON: one document a line.
        file: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// Looks at everything a start needs, and says what mends what is wrong.
    #[command(after_help = "\
Configuration, secrets, addresses, open files, the database with its schema, durability and holder, clocks, room on the
disk. It changes nothing and works beside a running server. Ends with 1 if something fails; a warning is no failure.

Examples:
  kiez doctor
  kiez doctor --database-url postgres://kiez@db/kiez --json")]
    Doctor {
        /// One JSON object instead of lines for people.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Receives webhooks on this machine: a partner's first hour.
    Webhook {
        #[command(subcommand)]
        action: crate::listen::WebhookCommand,
    },
    /// Prints the HTTP API as an OpenAPI 3.1 document.
    #[command(after_help = "A server shows the same at /openapi.json.\n\nExample:\n  kiez openapi > openapi.json")]
    Openapi,
    /// Prints the sockets as an AsyncAPI 3 document.
    #[command(after_help = "A server shows the same at /asyncapi.json.\n\nExample:\n  kiez asyncapi > asyncapi.json")]
    Asyncapi,
    /// Prints completions for a shell.
    #[command(after_help = "Example:\n  kiez completions bash > ~/.local/share/bash-completion/completions/kiez")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Checks or shows the configuration.
    #[command(after_help = "\
Examples:
  kiez config check --config kiez.toml
  kiez config print | grep KIEZ_                what the environment has set
  kiez config env > kiez.env                    every variable with its default, to begin with
  kiez config schema > kiez.schema.json         for an editor")]
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    common: Common,
    /// Where friends, partners and ops connect; without it server.listen, 127.0.0.1:8080 by default.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where the operator looks at metrics and health; without it admin.listen, 127.0.0.1:9464 by default.
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<String>,
    /// Waits while another kiez has the database (Postgres), and serves when that one ends or falls silent.
    #[arg(long)]
    standby: bool,
    /// Takes the place of another kiez that has the database: that one writes nothing more, and ends.
    #[arg(long, conflicts_with = "standby")]
    take_over: bool,
    /// Development: accepts a Postgres that may lose commits in a crash, and on loopback webhooks to this machine.
    #[arg(long)]
    dev: bool,
    /// Development: the trade's time runs N times as fast. A database keeps the scale of its first start.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    time_scale: u32,
    /// Serves without TLS on an address that is not loopback: only behind a proxy that has it.
    #[arg(long)]
    plain_public: bool,
    /// How the log is written, to stderr; `KIEZ_LOG` says what is in it, such as kiez=debug,warn.
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<log::Format>,
}

#[derive(Debug, Subcommand)]
enum Token {
    /// A friend's token.
    Friend {
        /// The friend's id, a UUID.
        #[arg(value_parser = friend_id)]
        friend: FriendId,
        #[command(flatten)]
        token: TokenArgs,
    },
    /// A token for the map and the admin API.
    Ops {
        /// What it may do.
        #[arg(long, value_enum, default_value = "viewer")]
        role: Role,
        #[command(flatten)]
        token: TokenArgs,
    },
    /// An API key, kz_live_…: shown once, only its hash is kept.
    Partner {
        /// The partner, as imported.
        partner: PartnerSlug,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Args)]
struct TokenArgs {
    /// Minutes it is valid; without it auth.token_minutes, 15 by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=525_600))]
    minutes: Option<u32>,
    /// The key that a server without auth.secret has printed at its start: signs for that one.
    #[arg(long, value_name = "KEY")]
    development_key: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    /// Looks at the map.
    Viewer,
    /// Acts on jobs.
    Dispatcher,
    /// Maintains the directory.
    Admin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Communities.
    Communities,
    /// Packages.
    Packages,
    /// Partners.
    Partners,
    /// Friends.
    Friends,
}

impl Kind {
    fn of_line(self) -> &'static str {
        match self {
            Kind::Communities => "community",
            Kind::Packages => "package",
            Kind::Partners => "partner",
            Kind::Friends => "friend",
        }
    }
}

#[derive(Debug, Subcommand)]
enum ConfigAction {
    /// Says whether the configuration can be used.
    Check(Common),
    /// Shows every value, where it came from, and what it is for.
    Print(Common),
    /// Lists the environment variables, each with its default.
    Env,
    /// Prints a JSON Schema of the configuration file.
    Schema,
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// In words for whoever typed it.
    pub async fn run(self) -> anyhow::Result<()> {
        match &self.command {
            // They say how they want their log.
            Command::Serve(_) | Command::Demo(_) => {}
            Command::Migrate(_)
            | Command::Token { .. }
            | Command::Import { .. }
            | Command::Completions { .. }
            | Command::Doctor { .. }
            | Command::Openapi
            | Command::Asyncapi
            | Command::Simulate(_)
            | Command::Webhook { .. }
            | Command::Config { .. } => log::start(log::Format::Text, LOG_WAITING_BYTES_MAX, log::STORIES)?,
        }
        match self.command {
            Command::Serve(serve) => serve.run().await,
            Command::Demo(demo) => demo.run().await,
            Command::Simulate(simulate) => simulate.run(),
            Command::Migrate(common) => {
                let loaded = common.load(&[])?;
                ledger::migrate(&loaded.config.database.url).await?;
                println!("the database is up to date");
                Ok(())
            }
            Command::Token { whose } => token(whose).await,
            Command::Import { kind, file, common } => import(kind, &file, &common).await,
            Command::Config { action } => config(action),
            Command::Doctor { json, common } => doctor(json, &common).await,
            Command::Webhook { action: crate::listen::WebhookCommand::Listen(listen) } => listen.run().await,
            Command::Openapi => say(kiez_protocol::OPENAPI),
            Command::Asyncapi => say(kiez_protocol::ASYNCAPI),
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Cli::command(), "kiez", &mut std::io::stdout());
                Ok(())
            }
        }
    }
}

impl Common {
    fn load(&self, more: &[(&'static str, &'static str, Option<String>)]) -> anyhow::Result<Loaded> {
        let mut flags = vec![("database.url", "--database-url", self.database_url.clone())];
        flags.extend_from_slice(more);
        Ok(Config::load(self.config.as_deref(), std::env::vars(), &flags)?)
    }
}

impl Serve {
    async fn run(self) -> anyhow::Result<()> {
        let flags = [
            ("server.listen", "--listen", self.listen.clone()),
            ("admin.listen", "--admin-listen", self.admin_listen.clone()),
            log::flag(self.log_format),
        ];
        let Loaded { config, .. } = self.common.load(&flags)?;
        log::begin(&config.log, log::STORIES)?;
        let address: std::net::SocketAddr = config.server.listen.parse().context("server.listen")?;
        anyhow::ensure!(
            address.ip().is_loopback() || self.plain_public,
            "{address} is not loopback and kiez speaks plain HTTP: put a proxy with TLS before it and say --plain-public"
        );
        let metrics = Some(kiez::metrics::install().context("the meters")?);
        let stop = CancellationToken::new();
        tokio::spawn({
            let stop = stop.clone();
            async move {
                asked_to_stop().await;
                stop.cancel();
            }
        });
        let entry = match (self.standby, self.take_over) {
            (true, _) => Entry::Standby,
            (false, true) => Entry::TakeOver,
            (false, false) => Entry::Alone,
        };
        let start =
            Start { dev: self.dev, time_scale: self.time_scale, metrics, entry, patient: true, stop: stop.clone() };
        let mut running = match Running::start(&config, start).await {
            Ok(running) => running,
            Err(stopped @ StartError::Stopped) => {
                println!("{stopped}");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        println!("kiez listens on http://{} (metrics and health on http://{})", running.address, running.admin_address);
        if let (Keys { made: true, development_key: Some(key), .. }, address) = (&running.keys, running.address) {
            println!(
                "\n  DEVELOPMENT: no auth.secret is set, so this key may do EVERYTHING, on loopback, until the next start:\n\
                 \n      {key}\n\n  The map: http://{address}/ops#token={key}\n"
            );
        }
        tokio::select! {
            end = running.ended() => anyhow::bail!("{end}"),
            () = stop.cancelled() => {}
        }
        say("stopping: sockets are told to come back, and what was decided is written\n")?;
        running.stop().await;
        Ok(())
    }
}

/// Ctrl-C, or a polite kill.
pub async fn asked_to_stop() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(error) => {
                tracing::warn!(%error, "SIGTERM cannot be heard");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => if interrupted.is_err() { std::future::pending::<()>().await },
        () = terminate => {}
    }
}

async fn token(whose: Token) -> anyhow::Result<()> {
    let token = match whose {
        Token::Partner { partner, common } => {
            let loaded = common.load(&[])?;
            let registry = ledger::open_registry(&loaded.config.database.url).await?;
            partner_key(&registry, partner, &operator()).await.with_context(|| {
                format!(
                    "{} (`kiez import partners FILE` takes partners in)",
                    without_password(&loaded.config.database.url)
                )
            })?
        }
        Token::Friend { friend, token } => {
            let (auth, minutes) = token.auth()?;
            auth.friend_token(friend, minutes).context("the token could not be signed")?.0
        }
        Token::Ops { role, token } => {
            let (auth, minutes) = token.auth()?;
            let role = match role {
                Role::Viewer => OpsRole::Viewer,
                Role::Dispatcher => OpsRole::Dispatcher,
                Role::Admin => OpsRole::Admin,
            };
            auth.ops_token(role, minutes).context("the token could not be signed")?.0
        }
    };
    println!("{token}");
    Ok(())
}

fn friend_id(text: &str) -> Result<FriendId, String> {
    text.parse().map_err(|_| "takes a UUID such as 0192f000-0000-7000-8000-000000000001".to_owned())
}

impl TokenArgs {
    fn auth(&self) -> anyhow::Result<(Auth, u32)> {
        let config =
            self.common.load(&[("auth.development_key", "--development-key", self.development_key.clone())])?.config;
        let secret = match (config.auth.secret.is_empty(), config.auth.development_key.is_empty()) {
            (false, _) => config.auth.secret.clone(),
            (true, false) => Auth::secret_of(&config.auth.development_key),
            (true, true) => anyhow::bail!(
                "no auth.secret is set: set KIEZ_AUTH__SECRET to the server's, or give the key that `kiez serve` printed \
                 by --development-key"
            ),
        };
        let minutes = self.minutes.unwrap_or(config.auth.token_minutes);
        Ok((Auth::new(&secret, None, Clock::start()), minutes))
    }
}

async fn import(kind: Kind, file: &std::path::Path, common: &Common) -> anyhow::Result<()> {
    let loaded = common.load(&[])?;
    let text = with_kind(&read_at_most(file, loaded.config.limits.import_bytes_max)?, kind);
    let line_bytes_max = loaded.config.limits.import_line_bytes_max;
    let lines = kiez::import::parse(&text, line_bytes_max).map_err(|faults| {
        let shown: Vec<_> =
            faults.iter().take(20).map(|fault| format!("  line {}: {}", fault.line, fault.what)).collect();
        let more = faults.len().saturating_sub(20);
        let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
        anyhow::anyhow!("{}: nothing was imported\n{}{more}", file.display(), shown.join("\n"))
    })?;
    for (index, line) in lines.iter().enumerate() {
        let found = kiez::import::kind(line);
        anyhow::ensure!(
            found == kind.of_line(),
            "{}: nothing was imported\n  document {}: is a {found}, not a {}",
            file.display(),
            index + 1,
            kind.of_line()
        );
    }
    let registry = ledger::open_registry(&loaded.config.database.url).await?;
    let report = registry.import(lines, &operator()).await?;
    let counts: Vec<_> = report.imported.iter().map(|(kind, count)| format!("{count} of kind {kind}")).collect();
    println!(
        "imported {}",
        if counts.is_empty() { "nothing: the file is empty".to_owned() } else { counts.join(", ") }
    );
    Ok(())
}

/// A file of at most so many bytes, as over the wire.
fn read_at_most(file: &std::path::Path, bytes_max: usize) -> anyhow::Result<String> {
    use std::io::Read;
    let (mut text, name) = (String::new(), || file.display().to_string());
    let opened = std::fs::File::open(file).with_context(name)?;
    opened.take(bytes_max as u64 + 1).read_to_string(&mut text).with_context(name)?;
    anyhow::ensure!(text.len() <= bytes_max, "{}: nothing was imported\n  has more than {bytes_max} bytes", name());
    Ok(text)
}

/// Whoever has the machine, as the audit log names them.
fn operator() -> By {
    By { actor: "command line".to_owned(), role: AuditRole::Operator, at: Clock::start().now() }
}

/// A line may leave out its kind: the command has named it.
fn with_kind(text: &str, kind: Kind) -> String {
    let line = |line: &str| match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(line) {
        Ok(mut object) if !object.contains_key("kind") => {
            object.insert("kind".to_owned(), kind.of_line().into());
            serde_json::Value::Object(object).to_string()
        }
        Ok(_) | Err(_) => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

async fn doctor(json: bool, common: &Common) -> anyhow::Result<()> {
    let lines = crate::doctor::examine(common.load(&[])).await;
    let failed = lines.iter().filter(|line| line.state == crate::doctor::State::Fail).count();
    if json {
        say(&format!("{:#}\n", serde_json::json!({"good": failed == 0, "checks": lines})))?;
    } else {
        say(&crate::doctor::page(&lines))?;
    }
    anyhow::ensure!(failed == 0, "{failed} of {} checks failed", lines.len());
    Ok(())
}

fn config(action: ConfigAction) -> anyhow::Result<()> {
    match action {
        ConfigAction::Check(common) => {
            common.load(&[])?;
            println!("the configuration can be used");
        }
        ConfigAction::Env => {
            let knobs = kiez::config::knobs();
            let line = |knob: &kiez::config::Knob| format!("{}={}  # {}\n", knob.variable(), knob.default, knob.reason);
            say(&knobs.iter().map(line).collect::<String>())?;
        }
        ConfigAction::Schema => say(&format!("{:#}\n", kiez::config::schema()))?,
        ConfigAction::Print(common) => {
            let loaded = common.load(&[])?;
            let knobs = kiez::config::knobs();
            let mut page = String::new();
            let mut section = "";
            for knob in &knobs {
                let (here, key) = knob.path.split_once('.').context("every knob has a section")?;
                if here != section {
                    page += &format!("{}[{here}]\n", if section.is_empty() { "" } else { "\n" });
                    section = here;
                }
                let (value, source) = &loaded.sources[knob.path];
                let secret =
                    here == "auth" && value.as_str().is_some_and(|text| !text.is_empty()) && key != "token_minutes";
                let value = if secret { "\"…\"".to_owned() } else { without_password(&value.to_string()) };
                page += &format!("{key} = {value}  # {source}; {}\n", knob.reason);
            }
            say(&page)?;
        }
    }
    Ok(())
}

/// Prints a page. Whoever reads only its beginning (`| head`) has read enough.
fn say(page: &str) -> anyhow::Result<()> {
    use std::io::Write;
    match std::io::stdout().write_all(page.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("the page could not be printed"),
    }
}

/// A URL's password is not for the screen.
fn without_password(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    match rest.split_once('@') {
        Some((user, host)) => {
            let user = user.split_once(':').map_or(user.to_owned(), |(user, _)| format!("{user}:…"));
            format!("{scheme}://{user}@{host}")
        }
        None => value.to_owned(),
    }
}

/// A span such as `30s`, `5m` or `2h`.
///
/// # Errors
/// In words.
pub fn span(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u64 =
        text[..text.len() - unit.len()].parse().map_err(|_| "takes a span such as 30s, 5m or 2h".to_owned())?;
    let seconds = match unit {
        "s" => number,
        "m" => number * 60,
        "h" => number * 3_600,
        _ => return Err("takes a span such as 30s, 5m or 2h".to_owned()),
    };
    Ok(Duration::from_secs(seconds))
}
