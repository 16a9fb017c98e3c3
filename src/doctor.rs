//! `kiez doctor`: what an operator would look at before a start, and when something is wrong. Each line says how it is,
//! and a line that is not good says what mends it. It reads and tries; it changes nothing, and works beside a running
//! server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kiez::clock::Clock;
use kiez::config::{Config, Loaded, Source};
use kiez::ledger::checkup::{Checkup, Found, Lock, Place, checkup};
use kiez::serve::files::OTHERS;
use kiez::server::Keys;
use rustix::fs::{Access, access, statvfs};
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

/// Nothing that is asked may take longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A ledger of SQLite needs room for its log and for what grows: below this a server should not start, bytes.
const DISK_LEAST: u64 = 64 << 20;
/// Below this somebody should look soon, bytes.
const DISK_LOW: u64 = 1 << 30;
/// Further apart than this two clocks are wrong, ms: tokens are good for minutes, and people read the times.
const CLOCKS_APART_MS: i64 = 2_000;
/// A secret that holds less than this can be guessed, bits.
const SECRET_BITS: f64 = 96.0;

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Good.
    Ok,
    /// It works; somebody should look at it.
    Warn,
    /// A server cannot start, or must not.
    Fail,
}

/// One line.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub says: String,
    /// What mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

fn ok(check: &'static str, says: impl Into<String>) -> Line {
    Line { check, state: State::Ok, says: says.into(), mend: None }
}

fn warn(check: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Line {
    Line { check, state: State::Warn, says: says.into(), mend: Some(mend.into()) }
}

fn fail(check: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Line {
    Line { check, state: State::Fail, says: says.into(), mend: Some(mend.into()) }
}

/// Looks at everything.
pub async fn examine(loaded: anyhow::Result<Loaded>) -> Vec<Line> {
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            let mend = "mend what it names; `kiez config env` lists every knob, `kiez config schema` is for editors";
            return vec![fail("configuration", format!("{error:#}"), mend)];
        }
    };
    let config = &loaded.config;
    let mut lines = vec![configuration(&loaded)];
    lines.extend(secrets(&loaded));
    lines.push(address("server.listen", &config.server.listen));
    lines.push(address("admin.listen", &config.admin.listen));
    lines.push(files(config));
    lines.extend(database(config).await);
    lines
}

/// The lines for people.
pub fn page(lines: &[Line]) -> String {
    let mut page = String::new();
    for line in lines {
        let state = match line.state {
            State::Ok => "ok  ",
            State::Warn => "warn",
            State::Fail => "FAIL",
        };
        page += &format!("{state}  {:15}{}\n", line.check, line.says);
        if let Some(mend) = &line.mend {
            page += &format!("      {:15}→ {mend}\n", "");
        }
    }
    page
}

fn configuration(loaded: &Loaded) -> Line {
    let set: Vec<&Source> =
        loaded.sources.values().map(|(_, source)| source).filter(|source| **source != Source::Default).collect();
    let mut files: Vec<String> = set
        .iter()
        .filter_map(|source| match source {
            Source::File(path) => Some(path.display().to_string()),
            Source::Default | Source::Environment(_) | Source::Flag(_) => None,
        })
        .collect();
    files.dedup();
    let file = files.first().map_or("no file".to_owned(), Clone::clone);
    ok("configuration", format!("{file}, {} of {} values set", set.len(), loaded.sources.len()))
}

fn secrets(loaded: &Loaded) -> Vec<Line> {
    const SECRET: &str = "set KIEZ_AUTH__SECRET to the output of `openssl rand -hex 32`";
    let (config, check) = (&loaded.config, "secret");
    let mut lines = Vec::new();
    match Keys::of(config) {
        Err(error) => lines.push(fail(check, error.to_string(), SECRET)),
        Ok(_) if config.auth.secret.is_empty() => {
            lines.push(warn(check, "none: who has the development key may do everything, on loopback only", SECRET));
        }
        Ok(_) if bits(&config.auth.secret) < SECRET_BITS => {
            lines.push(warn(check, "auth.secret can be guessed: whoever does makes tokens for anybody", SECRET));
        }
        Ok(_) => lines.push(ok(check, format!("auth.secret has {} characters", config.auth.secret.chars().count()))),
    }
    if !config.auth.development_key.is_empty() && !config.auth.secret.is_empty() {
        let says = "auth.development_key is set: whoever has it may do everything";
        lines.push(warn(check, says, "take it out: `kiez token ops --role admin` makes tokens that end"));
    }
    for key in ["auth.secret", "auth.development_key", "database.url"] {
        if let Some((value, Source::File(path))) = loaded.sources.get(key)
            && value.as_str().is_some_and(|value| key != "database.url" || value.contains("://"))
            && is_open_to_all(path)
        {
            let says = format!("{} has {key} and everybody on this machine can read it", path.display());
            lines.push(warn(check, says, format!("chmod 640 {}", path.display())));
            break;
        }
    }
    lines
}

fn is_open_to_all(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}

/// What a secret holds, judged by itself: by the spread of its characters, and less where pairs of them come again.
fn bits(secret: &str) -> f64 {
    let (bytes, length) = (secret.as_bytes(), secret.len() as f64);
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let each = |count: &u32| f64::from(*count) * (length / f64::from(*count)).log2();
    let spread: f64 = counts.iter().filter(|count| **count > 0).map(each).sum();
    let pairs: std::collections::HashSet<&[u8]> = bytes.windows(2).collect();
    spread * pairs.len() as f64 / (length - 1.0).max(1.0)
}

/// Whether a server could listen there; a kiez that does already is no fault.
fn address(check: &'static str, text: &str) -> Line {
    let Ok(address) = text.parse::<SocketAddr>() else {
        return fail(check, format!("`{text}` is not an address"), "such as 127.0.0.1:8080");
    };
    match TcpListener::bind(address) {
        Ok(_) if check == "server.listen" && !address.ip().is_loopback() => warn(
            check,
            format!("{address} is free, and not loopback: kiez speaks plain HTTP"),
            "put a proxy with TLS before it and start with --plain-public",
        ),
        Ok(_) if !address.ip().is_loopback() => warn(
            check,
            format!("{address} is free, and not loopback: metrics and health are for the operator alone"),
            "listen on loopback, or see to it that only your own machines reach it",
        ),
        Ok(_) => ok(check, format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            if is_kiez(address) {
                ok(check, format!("a kiez answers on {address}"))
            } else {
                let mend = format!("end what listens there (`ss -ltnp` names it), or set {check} to another address");
                fail(check, format!("{address} is taken by something that is no kiez"), mend)
            }
        }
        Err(error) => fail(check, format!("{address}: {error}"), format!("set {check} to an address of this machine")),
    }
}

/// Asks for `/livez`. Whoever answers it like a kiez is one.
fn is_kiez(address: SocketAddr) -> bool {
    let asked = || -> std::io::Result<String> {
        let mut to = address;
        if to.ip().is_unspecified() {
            let loopback: SocketAddr =
                if to.is_ipv4() { ([127, 0, 0, 1], 0).into() } else { ([0, 0, 0, 0, 0, 0, 0, 1], 0).into() };
            to.set_ip(loopback.ip());
        }
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        write!(stream, "GET /livez HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        // Enough for the head and the answer of a kiez; whatever else it is may go on talking.
        stream.take(4_096).read_to_string(&mut answer)?;
        Ok(answer)
    };
    asked().is_ok_and(|answer| answer.contains("\"alive\":true"))
}

fn files(config: &Config) -> Line {
    let check = "open files";
    let limit = getrlimit(Resource::Nofile);
    // The server raises the soft limit as far as it may.
    let most = limit.maximum.map_or("unlimited".to_owned(), |most| most.to_string());
    let wanted = config.limits.connections_max;
    let needed = u64::try_from(wanted.saturating_add(OTHERS)).unwrap_or(u64::MAX);
    if limit.maximum.is_none_or(|most| most >= needed) {
        return ok(check, format!("{most} may be open, for limits.connections_max = {wanted}"));
    }
    warn(
        check,
        format!(
            "{most} may be open, and limits.connections_max = {wanted} needs {needed}: there will be fewer connections"
        ),
        "raise the limit (LimitNOFILE= of the unit, `ulimit -Hn`), or lower the knob",
    )
}

async fn database(config: &Config) -> Vec<Line> {
    let looked = tokio::time::timeout(PATIENCE, checkup(&config.database.url)).await;
    let mend = "see that it runs and that database.url leads to it, with a user who may use it";
    let found = match looked {
        Err(_) => return vec![fail("database", format!("no answer within {} s", PATIENCE.as_secs()), mend)],
        Ok(Err(error)) => return vec![fail("database", error.to_string(), mend)],
        Ok(Ok(found)) => found,
    };
    let mut lines = vec![match &found.place {
        Place::File(path) => ok("database", format!("{}, {}", found.engine, path.display())),
        Place::Server(server) => ok("database", format!("{}, {server}", found.engine)),
    }];
    lines.push(schema(&found));
    lines.push(durability(&found));
    lines.push(holder(&found));
    lines.push(clock(&found));
    if let Place::File(path) = &found.place {
        lines.push(disk(path));
    }
    lines
}

fn schema(found: &Checkup) -> Line {
    match &found.schema {
        Ok(Found::Current) => ok("schema", "current"),
        Ok(Found::Nothing) => ok("schema", "nothing there yet: the first start makes it"),
        Ok(Found::Older) => {
            fail("schema", "older than this kiez", "stop every kiez on it, back it up, run `kiez migrate`")
        }
        Err(error) => fail("schema", error.to_string(), "install the kiez it belongs to, or restore a backup"),
    }
}

fn durability(found: &Checkup) -> Line {
    let check = "durability";
    if found.is_replica {
        return fail(check, "the database is a replica", "give database.url the primary");
    }
    if !found.not_durable.is_empty() {
        let says = format!("{} = off: a crash would lose what was told", found.not_durable.join(", "));
        return fail(check, says, "set it to on (`alter system set …`), or start with --dev and lose it");
    }
    match found.place {
        Place::File(_) => ok(check, "every commit is synced, by kiez itself"),
        Place::Server(_) => ok(check, "fsync, full_page_writes and synchronous_commit are on"),
    }
}

fn holder(found: &Checkup) -> Line {
    let check = "holder";
    let fence = found.fence.as_ref().filter(|fence| !fence.holder.is_empty()).map(|fence| {
        let seconds = fence.now.since(fence.seen_at).max(0) / 1_000;
        format!("; epoch {}, {}, last sign of life {seconds} s ago", fence.epoch, fence.holder)
    });
    let left = || match found.fence.as_ref()?.epoch {
        0 => Some("; no server has had it yet".to_owned()),
        epoch => Some(format!("; epoch {epoch}, left in order")),
    };
    let fence = fence.or_else(left).unwrap_or_default();
    match &found.lock {
        Lock::Free => ok(check, format!("nobody has the ledger{fence}")),
        Lock::Held(by) => ok(check, format!("{by} has the ledger{fence}")),
        Lock::Unknown => warn(
            check,
            format!("this machine does not tell who has the lock{fence}"),
            "look for other processes with the same database.url before a start",
        ),
    }
}

fn clock(found: &Checkup) -> Line {
    let (check, now) = ("clock", Clock::start().real());
    let mend = "keep it by NTP (`timedatectl` says whether): tokens and offers end by it";
    if let Some(fence) = &found.fence
        && fence.seen_at.since(fence.now) > CLOCKS_APART_MS
    {
        let says =
            format!("the ledger was last written at {}, and it is {} now: a clock went back", fence.seen_at, fence.now);
        return warn(check, says, mend);
    }
    match found.clock {
        Some(theirs) if theirs.since(now).abs() > CLOCKS_APART_MS => {
            let seconds = theirs.since(now) as f64 / 1_000.0;
            warn(check, format!("the database's clock is {seconds:+.1} s from this machine's, {now}"), mend)
        }
        Some(_) => ok(check, format!("{now}, and the database agrees")),
        None => ok(check, now.to_string()),
    }
}

fn disk(path: &Path) -> Line {
    let check = "disk";
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        Some(_) | None => PathBuf::from("."),
    };
    // The log and the lock stand beside the file.
    let file = path.exists().then_some(path);
    let closed = [Some(folder.as_path()), file]
        .into_iter()
        .flatten()
        .find(|place| place.exists() && access(*place, Access::WRITE_OK).is_err());
    if let Some(place) = closed {
        let mend = "give it to the user who runs kiez, or set database.url to another place";
        return fail(check, format!("{} cannot be written", place.display()), mend);
    }
    let Ok(stat) = statvfs(&folder) else {
        return fail(check, format!("{} is not there", folder.display()), "make the folder");
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let says = format!("{} MiB free for {}", free >> 20, path.display());
    let mend = "make room: a full disk stops all that is decided";
    if free < DISK_LEAST {
        fail(check, says, mend)
    } else if free < DISK_LOW {
        warn(check, says, mend)
    } else {
        ok(check, says)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_repeats_itself_holds_little() {
        assert!(bits(&"a".repeat(64)) < 1.0);
        assert!(bits("password-password-password-password") < SECRET_BITS);
        assert!(bits("0123456789abcdef0123456789abcdef") < SECRET_BITS);
        assert!(bits("9f2c7c1e5b0d44a18e36f7c2a90b1d5e") > SECRET_BITS);
    }

    #[test]
    fn an_address_is_free_or_a_kiezs_or_somebody_elses() {
        let other = TcpListener::bind("127.0.0.1:0").expect("a port");
        let taken = other.local_addr().expect("bound").to_string();
        std::thread::spawn(move || {
            for stream in other.incoming() {
                let _ = stream.and_then(|mut stream| stream.write_all(b"220 a mail server\r\n"));
            }
        });
        assert_eq!(address("server.listen", &taken).state, State::Fail);
        assert_eq!(address("server.listen", "127.0.0.1:0").state, State::Ok);
        assert_eq!(address("server.listen", "0.0.0.0:0").state, State::Warn);
        assert_eq!(address("server.listen", "203.0.113.1:80").state, State::Fail);
    }
}
