//! Every knob: its unit, its default and the reason. Values come from built-in defaults, then `kiez.toml`, then
//! `KIEZ_SECTION__KEY`, then flags; `kiez config print` says which came from where. An unknown key is an error that names
//! its nearest neighbour.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

macro_rules! knobs {
    ($($section:ident: $kind:ident, $about:literal { $($key:ident: $type:ty = $default:expr, $reason:literal;)* })*) => {
        $(
            #[doc = $about]
            #[derive(Clone, Debug, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $kind { $(#[doc = $reason] pub $key: $type,)* }
        )*

        /// The whole configuration.
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Config { $(#[doc = $about] pub $section: $kind,)* }

        /// Every knob: path, default, reason.
        pub fn knobs() -> Vec<Knob> {
            vec![$($(Knob {
                path: concat!(stringify!($section), ".", stringify!($key)),
                kind: stringify!($type),
                default: Value::from($default),
                reason: $reason,
            },)*)*]
        }
    };
}

knobs! {
    server: Server, "Where friends, partners and ops connect." {
        listen: String = "127.0.0.1:8080", "address:port for friends, partners and ops";
        public_url: String = "", "what customers' links begin with, as in `https://kiez.example.org`; empty: http:// and the address on which it listens";
    }
    admin: Admin, "Where the operator looks; never public." {
        listen: String = "127.0.0.1:9464", "address:port for metrics and health; never public";
    }
    database: Database, "Where outcomes are kept." {
        url: String = "sqlite:kiez.db", "sqlite:PATH (one file, one process) or postgres://… (production)";
        silence_ms: u64 = 10_000, "ms without a sign of life after which a standby takes over; a process that itself stood still so long goes on as after a restart; 3,000 or more";
    }
    auth: Auth, "Who may come in." {
        secret: String = "", "HS256 secret of friend and ops tokens, at least 32 characters; empty: a development key is made, on loopback only";
        development_key: String = "", "bearer key that may do everything, on loopback only; empty: made at start when there is no secret";
        token_minutes: u32 = 15, "minutes a token made by kiez is valid unless asked otherwise, 1 to 525,600";
        customer_days: u32 = 90, "days from the post for which a customer's link is good, in the trade's time: 7 until a job expires, 14 to dispute it, and what lies between; 1 to 3,650";
    }
    log: Log, "How the log is written, to stderr; KIEZ_LOG says what is in it." {
        format: String = "text", "text for people, or json: one object a line";
        waiting_bytes_max: usize = 1_048_576, "bytes of lines that may wait for a reader of stderr who is slow, at least 4,096; then lines are dropped and counted";
    }
    ops: Ops, "The live map." {
        origins: String = "", "pages that may open the map's feed, as in `https://ops.example.org https://desk.example.org`; empty: pages of the feed's own host";
    }
    webhooks: Webhooks, "What is told to partners' servers." {
        private_targets: bool = false, "development: plain http, and addresses of this machine and of private networks, are taken as targets; with `--dev` they are, on loopback; refused where server.listen is not loopback";
        sealing_key: String = "", "text of at least 32 characters under which the secrets of endpoints are sealed in the ledger; empty: they stand there as they are; with another key those sealed before cannot sign";
        deadline_ms: u64 = 15_000, "ms for one try, from the look for the host to the end of the answer, 100 or more; then it counts as failed";
        retry_percent: u32 = 100, "per cent of the pauses between two tries (5 s, 5 min, 30 min, 2, 5, 10, 14, 20, 24 h), 1 to 100; less than 100 only for trials";
        retry_after_max_ms: i64 = 86_400_000, "ms that an endpoint may put off its next try by Retry-After";
        in_flight_max: usize = 256, "requests to endpoints at once";
        endpoint_in_flight_max: usize = 4, "requests to one endpoint at once; one that failed last has a single one until it answers again";
        waiting_len_max: usize = 4_096, "rows held in memory to be sent; the others wait in the ledger";
        kept_days: i64 = 30, "days for which what was delivered or given up stays in the list of deliveries, 1 to 3,650";
    }
    limits: Limits, "What is too much." {
        hello_ms: u64 = 5_000, "ms from the connection to the first frame; also headers, message assembly and one write";
        friend_message_bytes_max: usize = 4_096, "bytes of one frame from a friend; then 1009";
        ops_message_bytes_max: usize = 8_192, "bytes of one frame from a map; then 1009";
        body_bytes_max: usize = 16_384, "bytes of an HTTP body; then 413";
        import_bytes_max: usize = 67_108_864, "bytes of an import; then 413";
        import_line_bytes_max: usize = 16_384, "bytes of one line of an import; then 413";
        json_depth_max: usize = 16, "levels of objects and arrays in a body or a frame; then 413 or 1009";
        unauthenticated_max: usize = 512, "sockets that have not said hello; then 503";
        questions_in_flight_max: usize = 8, "questions of friends about jobs that went to others, answered at once; then try again";
        connections_max: usize = 19_000, "connections at once, sockets included; then 503; fewer where the machine allows fewer files";
        admin_connections_max: usize = 64, "connections of the operator at once; then 503";
        turned_away_max: usize = 128, "connections above the limit that hear 503 at the same time; more are dropped without a word";
        head_bytes_max: usize = 8_192, "bytes of a request's line and headers; then 431";
        idle_ms: u64 = 75_000, "ms a connection waits for its next request: longer than proxies keep one, 60 s as a rule, so that it is they who close";
        body_ms: u64 = 10_000, "ms for an HTTP body to arrive, and as much again for each whole MiB of it; then 408";
        unheard_ms: u64 = 30_000, "ms a peer may leave what was sent to it unacknowledged, and ms of silence before TCP asks; then the connection goes";
        accept_pause_ms: u64 = 1_000, "longest pause, ms, between two tries to accept a connection while no file is to be had";
        partner_jobs_per_s: u32 = 50, "jobs posted with one API key a second, 1 to 1,000; then 429; a partner's `quota` goes first";
        partner_jobs_burst: u32 = 100, "jobs posted with one API key at once; then 429; a partner's `quota` goes first";
        partner_in_flight_max: usize = 1_000, "requests of one API key that are being answered; then 429; a partner's `quota` goes first";
        link_interval_ms: i64 = 500, "ms between two requests by one customer's link, whatever they ask, with a burst of forty; then 429";
        unknown_keys_per_s: u32 = 100, "API keys a second, 1 to 1,000, that are looked up in the ledger because nobody here knows them; then 429";
        photo_bytes_max: usize = 65_536, "bytes of a friend's photo, at most 65,536; then 413";
        photo_side_max: u32 = 2_048, "pixels of a photo's width and height: a few bytes may unpack to more than a browser can bear";
        photo_interval_ms: i64 = 60_000, "ms between two photos of one friend, with a burst of five; then 429";
        outbox_len_max: usize = 64, "messages waiting for one friend; then 4008";
        outbox_bytes_max: usize = 65_536, "bytes waiting for one friend; then 4008";
        fix_interval_ms: i64 = 2_000, "ms between two fixes of one friend, with a burst of five; the newest is kept";
        accept_interval_ms: i64 = 50, "ms between two accepts of one friend, with a burst of forty; then refused";
        settings_interval_ms: i64 = 5_000, "ms between two `settings` of one friend, with a burst of five; then refused";
        frame_interval_ms: i64 = 200, "ms between two other frames of one friend, with a burst of twenty; then refused";
        refusals_per_minute_max: u32 = 100, "frames refused for speed in a minute; then 4013";
        heartbeat_ms: u64 = 25_000, "ms between pings to a silent friend";
        pong_ms: u64 = 10_000, "ms for the pong; then 4012";
        expiring_ms: i64 = 60_000, "ms before the end of a token at which its friend is told";
        token_grace_ms: i64 = 30_000, "ms a session goes on after the end of its token; then 4005";
        resume_ms: i64 = 300_000, "ms a session without a connection is kept for its app to come back to";
        resume_len_max: usize = 64, "messages kept for a friend to be sent again; beyond it the session cannot be resumed";
        resume_bytes_max: usize = 65_536, "bytes kept for a friend to be sent again; beyond it the session cannot be resumed";
        verdicts_len_max: usize = 32, "verdicts of the last 24 hours remembered for one friend, the newest";
        hellos_per_s: u32 = 5_000, "friends who come in in a second; who comes beyond is told when to come again, then 1013";
        hellos_burst: u32 = 5_000, "friends who come in at once, before the rate counts";
        returns_per_s: u32 = 2_500, "friends in a second over whom returns are spread when the server goes down: fewer than may come in";
        come_back_ms: u32 = 1_000, "ms before the first of those comes back who were told when: about what a restart takes";
        live_ms: i64 = 35_000, "ms since the last frame for which a connected friend is live: a heartbeat and its pong";
        suspect_ms: i64 = 40_000, "ms a friend who is silent, or has no connection, stays reachable after that";
        arrivals_per_s: usize = 256, "friends in a second for whom open jobs look because they have come into reach without a fix, as at the hour at which all anchors change";
        mailbox_len_max: usize = 8_192, "inputs waiting for the dispatcher, a quarter kept for accepts; then jobs get 503";
        ledger_queue_len_max: usize = 4_096, "records waiting for the ledger, 2,048 or more; new jobs get 503 from half of it on";
        answer_ms: u64 = 10_000, "ms a request waits for its commit; then 503, and the same key asks again";
    }
}

/// One knob as `config print` shows it.
#[derive(Clone, Debug)]
pub struct Knob {
    /// `section.key`.
    pub path: &'static str,
    /// The type of its value, as in Rust.
    pub kind: &'static str,
    /// The built-in default.
    pub default: Value,
    /// What it is, with its unit, and why.
    pub reason: &'static str,
}

impl Knob {
    /// The environment variable that sets it: `KIEZ_SECTION__KEY`.
    pub fn variable(&self) -> String {
        format!("KIEZ_{}", self.path.to_uppercase().replace('.', "__"))
    }

    /// The type of its value, as JSON Schema and TOML name it.
    fn json_type(&self) -> &'static str {
        match &self.default {
            Value::String(_) | Value::Datetime(_) => "string",
            Value::Integer(_) => "integer",
            Value::Float(_) => "number",
            Value::Boolean(_) => "boolean",
            Value::Array(_) => "array",
            Value::Table(_) => "object",
        }
    }
}

/// A JSON Schema of the configuration file, for editors.
pub fn schema() -> serde_json::Value {
    let mut sections = serde_json::Map::new();
    for knob in knobs() {
        let (section, key) = knob.path.split_once('.').expect("every knob has a section");
        let default = serde_json::to_value(&knob.default).expect("a default is plain data");
        let section = sections
            .entry(section)
            .or_insert_with(|| serde_json::json!({"type": "object", "additionalProperties": false, "properties": {}}));
        let mut property =
            serde_json::json!({"type": knob.json_type(), "default": default, "description": knob.reason});
        if knob.kind.starts_with('u') {
            property["minimum"] = 0.into();
        }
        if knob.kind == "u32" {
            property["maximum"] = u32::MAX.into();
        }
        section["properties"][key] = property;
    }
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kiez.toml",
        "type": "object",
        "additionalProperties": false,
        "properties": sections,
    })
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Built in.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag(&'static str),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Environment(name) => f.write_str(name),
            Source::Flag(flag) => f.write_str(flag),
        }
    }
}

/// Why the configuration cannot be used, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is there and cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path}: {error}")]
    NotToml {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        error: Box<toml::de::Error>,
    },
    /// A key that kiez does not know.
    #[error("{from}: unknown key `{key}`{}", nearest.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Unknown {
        /// The key.
        key: String,
        /// The known key that looks most like it.
        nearest: Option<String>,
        /// Where it stands.
        from: String,
    },
    /// A value that does not fit.
    #[error("{key}: {error}")]
    Unfit {
        /// Which key.
        key: String,
        /// Why.
        error: String,
    },
}

impl ConfigError {
    /// With where the value stands, if it is a value and does not stand in the binary.
    fn located(self, values: &BTreeMap<&'static str, (Value, Source)>) -> ConfigError {
        match self {
            ConfigError::Unfit { key, error } => match values.get(key.as_str()) {
                Some((_, source)) if *source != Source::Default => {
                    let error = format!("{error} (from {source})");
                    ConfigError::Unfit { key, error }
                }
                Some(_) | None => ConfigError::Unfit { key, error },
            },
            ConfigError::Unreadable { .. } | ConfigError::NotToml { .. } | ConfigError::Unknown { .. } => self,
        }
    }
}

/// The configuration with the source of each value.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Their sources by path.
    pub sources: BTreeMap<&'static str, (Value, Source)>,
}

impl Config {
    /// Gathers the configuration. `file` must exist if given; otherwise `kiez.toml` is read if there is one. `flags` win.
    ///
    /// # Errors
    /// An unreadable file, an unknown key, a value of the wrong type or out of range.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        flags: &[(&'static str, &'static str, Option<String>)],
    ) -> Result<Loaded, ConfigError> {
        let knobs = knobs();
        let known: Vec<&'static str> = knobs.iter().map(|knob| knob.path).collect();
        let mut values: BTreeMap<&'static str, (Value, Source)> =
            knobs.into_iter().map(|knob| (knob.path, (knob.default, Source::Default))).collect();
        let mut set = |path: &str, value: Value, source: Source| -> Result<(), ConfigError> {
            let Some(known) = known.iter().find(|known| **known == path) else {
                let nearest = nearest(path, &known);
                return Err(ConfigError::Unknown { key: path.to_owned(), nearest, from: source.to_string() });
            };
            values.insert(known, (value, source));
            Ok(())
        };
        for (path, value, source) in from_file(file)? {
            set(&path, value, source)?;
        }
        for (name, value) in environment {
            let Some(key) = name.strip_prefix("KIEZ_").filter(|key| key.contains("__")) else { continue };
            let path = key.to_lowercase().replace("__", ".");
            set(&path, typed(&value), Source::Environment(name))?;
        }
        for (path, flag, value) in flags {
            if let Some(value) = value {
                set(path, typed(value), Source::Flag(flag))?;
            }
        }
        let mut whole = Table::new();
        for (path, (value, _)) in &mut values {
            let default_is_text = knobs_default_is_text(path);
            if default_is_text && !value.is_str() {
                *value = Value::String(value.to_string());
            }
            let (section, key) = path.split_once('.').expect("every knob has a section");
            let section = whole.entry(section).or_insert_with(|| Value::Table(Table::new()));
            section.as_table_mut().expect("sections are tables").insert(key.to_owned(), value.clone());
        }
        let unfit = |error: serde_path_to_error::Error<toml::de::Error>| ConfigError::Unfit {
            key: error.path().to_string(),
            error: error.inner().message().to_owned(),
        };
        let config: Result<Config, ConfigError> = serde_path_to_error::deserialize(Value::Table(whole)).map_err(unfit);
        match config.and_then(|config: Config| config.check().map(|()| config)) {
            Ok(config) => Ok(Loaded { config, sources: values }),
            Err(error) => Err(error.located(&values)),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let unfit = |key: &str, error: &str| Err(ConfigError::Unfit { key: key.to_owned(), error: error.to_owned() });
        for (key, listen) in [("server.listen", &self.server.listen), ("admin.listen", &self.admin.listen)] {
            if listen.parse::<std::net::SocketAddr>().is_err() {
                return unfit(key, &format!("`{listen}` is not an address and port such as 127.0.0.1:8080"));
            }
        }
        if !self.database.url.starts_with("sqlite:") && !self.database.url.starts_with("postgres") {
            return unfit("database.url", "takes sqlite:PATH or postgres://…");
        }
        if self.database.silence_ms < 3_000 {
            return unfit("database.silence_ms", "takes 3,000 or more: a sign of life comes once a second");
        }
        if self.limits.photo_bytes_max > 65_536 {
            return unfit("limits.photo_bytes_max", "takes at most 65,536: the ledger keeps no larger ones");
        }
        if self.limits.ledger_queue_len_max < 2_048 {
            return unfit(
                "limits.ledger_queue_len_max",
                "takes 2,048 or more: one input may lead to hundreds of records",
            );
        }
        if !self.auth.secret.is_empty() && self.auth.secret.len() < 32 {
            return unfit("auth.secret", "a secret has at least 32 characters");
        }
        if !(1..=525_600).contains(&self.auth.token_minutes) {
            return unfit("auth.token_minutes", "takes 1 to 525,600");
        }
        if !(1..=3_650).contains(&self.auth.customer_days) {
            return unfit("auth.customer_days", "takes 1 to 3,650");
        }
        if !self.server.public_url.is_empty() && !is_origin(&self.server.public_url) {
            return unfit("server.public_url", "takes scheme and host, as in https://kiez.example.org");
        }
        if !["text", "json"].contains(&self.log.format.as_str()) {
            return unfit("log.format", "takes text or json");
        }
        if self.log.waiting_bytes_max < 4_096 {
            return unfit("log.waiting_bytes_max", "takes at least 4,096: a line may be long");
        }
        if let Some(origin) = self.ops.origins.split_whitespace().find(|origin| !is_origin(origin)) {
            return unfit("ops.origins", &format!("`{origin}` is not an origin such as https://ops.example.org"));
        }
        if !self.webhooks.sealing_key.is_empty() && self.webhooks.sealing_key.len() < 32 {
            return unfit("webhooks.sealing_key", "a key has at least 32 characters");
        }
        let loopback = self.server.listen.parse::<std::net::SocketAddr>().is_ok_and(|at| at.ip().is_loopback());
        if self.webhooks.private_targets && !loopback {
            return unfit("webhooks.private_targets", "is for development: server.listen must be loopback");
        }
        if self.webhooks.deadline_ms < 100 {
            return unfit("webhooks.deadline_ms", "takes 100 or more");
        }
        if !(1..=100).contains(&self.webhooks.retry_percent) {
            return unfit("webhooks.retry_percent", "takes 1 to 100");
        }
        if !(1..=3_650).contains(&self.webhooks.kept_days) {
            return unfit("webhooks.kept_days", "takes 1 to 3,650");
        }
        let limits = &self.limits;
        let rates = [
            ("limits.partner_jobs_per_s", limits.partner_jobs_per_s),
            ("limits.unknown_keys_per_s", limits.unknown_keys_per_s),
        ];
        if let Some((key, _)) = rates.iter().find(|(_, rate)| !(1..=1_000).contains(rate)) {
            return unfit(key, "takes 1 to 1,000");
        }
        let rooms = [
            ("limits.json_depth_max", limits.json_depth_max),
            ("limits.connections_max", limits.connections_max),
            ("limits.admin_connections_max", limits.admin_connections_max),
            ("limits.partner_in_flight_max", limits.partner_in_flight_max),
            ("limits.partner_jobs_burst", limits.partner_jobs_burst as usize),
            ("webhooks.in_flight_max", self.webhooks.in_flight_max),
            ("webhooks.endpoint_in_flight_max", self.webhooks.endpoint_in_flight_max),
            ("webhooks.waiting_len_max", self.webhooks.waiting_len_max),
        ];
        if let Some((key, _)) = rooms.iter().find(|(_, room)| *room == 0) {
            return unfit(key, "takes at least 1");
        }
        if !(1_024..=1_048_576).contains(&limits.head_bytes_max) {
            return unfit("limits.head_bytes_max", "takes 1,024 to 1,048,576");
        }
        Ok(())
    }
}

/// Scheme and authority, without a path: what browsers send as `Origin`.
fn is_origin(text: &str) -> bool {
    let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    authority.is_some_and(|authority| !authority.is_empty() && !authority.contains(['/', '?', '#', '@', '*', ',']))
}

fn knobs_default_is_text(path: &str) -> bool {
    knobs().iter().any(|knob| knob.path == path && knob.default.is_str())
}

fn from_file(file: Option<&Path>) -> Result<Vec<(String, Value, Source)>, ConfigError> {
    let path = file.unwrap_or(Path::new("kiez.toml")).to_path_buf();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ConfigError::Unreadable { path, error }),
    };
    let table: Table =
        toml::from_str(&text).map_err(|error| ConfigError::NotToml { path: path.clone(), error: Box::new(error) })?;
    let mut values = Vec::new();
    for (section, value) in table {
        match value {
            Value::Table(keys) => {
                values.extend(
                    keys.into_iter()
                        .map(|(key, value)| (format!("{section}.{key}"), value, Source::File(path.clone()))),
                );
            }
            other => values.push((section, other, Source::File(path.clone()))),
        }
    }
    Ok(values)
}

/// A text from outside as the value it looks like.
fn typed(text: &str) -> Value {
    if let Ok(number) = text.parse::<i64>() {
        return Value::Integer(number);
    }
    text.parse::<bool>().map_or_else(|_| Value::String(text.to_owned()), Value::Boolean)
}

/// The known key that looks most like `key`, if any does.
fn nearest(key: &str, known: &[&'static str]) -> Option<String> {
    // The section was left out.
    if let Some(whole) = known.iter().find(|known| known.split_once('.').is_some_and(|(_, name)| name == key)) {
        return Some((*whole).to_owned());
    }
    let scored = known.iter().map(|known| (strsim::jaro_winkler(key, known), *known));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.7).then(|| best.1.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        environment: &[(&str, &str)],
        flags: &[(&'static str, &'static str, Option<String>)],
    ) -> Result<Loaded, ConfigError> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(None, environment, flags)
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_defaults() {
        let environment = [("KIEZ_SERVER__LISTEN", "127.0.0.1:1"), ("KIEZ_ADMIN__LISTEN", "127.0.0.1:2")];
        let flags = [("server.listen", "--listen", Some("127.0.0.1:3".to_owned()))];
        let loaded = load(&environment, &flags).expect("fits");
        assert_eq!(loaded.config.server.listen, "127.0.0.1:3");
        assert_eq!(loaded.config.admin.listen, "127.0.0.1:2");
        assert_eq!(loaded.config.limits.outbox_len_max, 64);
        assert_eq!(loaded.sources["server.listen"].1, Source::Flag("--listen"));
    }

    #[test]
    fn an_unknown_key_names_its_nearest_neighbour() {
        let error = load(&[("KIEZ_SERVER__LISTN", "x")], &[]).expect_err("unknown");
        assert_eq!(error.to_string(), "KIEZ_SERVER__LISTN: unknown key `server.listn`; did you mean `server.listen`?");
        let known: Vec<&'static str> = knobs().iter().map(|knob| knob.path).collect();
        assert_eq!(nearest("outbox_len_max", &known).as_deref(), Some("limits.outbox_len_max"));
    }

    #[test]
    fn a_value_that_does_not_fit_names_its_key() {
        let error = load(&[("KIEZ_LIMITS__HELLO_MS", "soon")], &[]).expect_err("not a number");
        assert!(error.to_string().starts_with("limits.hello_ms: "), "{error}");
        let error = load(&[("KIEZ_SERVER__LISTEN", "everywhere")], &[]).expect_err("not an address");
        assert!(error.to_string().starts_with("server.listen: "), "{error}");
        assert!(error.to_string().ends_with(" (from KIEZ_SERVER__LISTEN)"), "{error}");
        let error = load(&[("KIEZ_LOG__FORMAT", "xml")], &[]).expect_err("no such format");
        assert_eq!(error.to_string(), "log.format: takes text or json (from KIEZ_LOG__FORMAT)");
    }

    #[test]
    fn limits_and_origins_have_ranges() {
        for (name, value, key) in [
            ("KIEZ_LIMITS__PARTNER_JOBS_PER_S", "0", "limits.partner_jobs_per_s: "),
            ("KIEZ_LIMITS__CONNECTIONS_MAX", "0", "limits.connections_max: "),
            ("KIEZ_LIMITS__HEAD_BYTES_MAX", "10", "limits.head_bytes_max: "),
            ("KIEZ_OPS__ORIGINS", "https://a.example https://b.example/path", "ops.origins: `https://b.example/path`"),
            ("KIEZ_OPS__ORIGINS", "*", "ops.origins: "),
        ] {
            let error = load(&[(name, value)], &[]).expect_err(name);
            assert!(error.to_string().starts_with(key), "{error}");
        }
        assert!(load(&[("KIEZ_OPS__ORIGINS", "https://a.example http://127.0.0.1:8080")], &[]).is_ok());
    }

    #[test]
    fn every_variable_is_taken_and_every_key_is_in_the_schema() {
        let schema = schema();
        for knob in knobs() {
            let value = knob.default.as_str().map_or_else(|| knob.default.to_string(), ToOwned::to_owned);
            assert!(load(&[(&knob.variable(), &value)], &[]).is_ok(), "{}", knob.variable());
            let pointer = format!("/properties/{}", knob.path.replace('.', "/properties/"));
            let property = schema.pointer(&pointer).unwrap_or_else(|| panic!("{pointer}"));
            let of_the_type = match knob.kind {
                "String" => property["type"] == "string" && property["default"].is_string(),
                "bool" => property["type"] == "boolean" && property["default"].is_boolean(),
                "f64" => property["type"] == "number" && property["default"].is_number(),
                "i64" => property["type"] == "integer" && property.get("minimum").is_none(),
                "u16" | "u32" | "u64" | "usize" => property["type"] == "integer" && property["minimum"] == 0,
                other => panic!("say what a knob of the type {other} is in the schema"),
            };
            assert!(of_the_type, "{pointer}: {property}");
        }
    }

    #[test]
    fn a_secret_of_digits_is_a_text() {
        let secret = "1".repeat(40);
        let error = load(&[("KIEZ_AUTH__SECRET", "12345")], &[]).expect_err("too short");
        assert!(error.to_string().starts_with("auth.secret: "), "{error}");
        let loaded = load(&[("KIEZ_AUTH__SECRET", &secret)], &[]).expect("fits");
        assert_eq!(loaded.config.auth.secret, secret);
    }
}
