//! Who may know whom, held by a test (the table is in ARCHITECTURE.md and in `src/lib.rs`). It reads the sources, takes
//! comments, strings and unit tests out, and looks at paths, not at words: "brand" is ours, `rand::` is not.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms under `src/`. The front of the house (`main`, `lib`, `cli`, `server`, `demo`, `simulation`, `import`)
/// connects them and may know all.
const ROOMS: &[&str] = &[
    "clock", "config", "dispatch", "engine", "ledger", "live", "metrics", "notify", "serve", "simulate", "sync",
    "words",
];

/// Who may know whom: the room, and the paths under `crate::` it may name. A path ends in `*` where any beginning will
/// do. `config`, `clock`, `metrics` and `sync` are at hand for everybody but `dispatch`, and know nobody.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("dispatch", &["sync"]),
    ("live", &["dispatch"]),
    ("ledger", &["dispatch"]),
    ("engine", &["live", "ledger", "dispatch"]),
    (
        "serve",
        &[
            "engine",
            "live",
            "import",
            "words",
            // What is closed is read, and what admins maintain is written, without the dispatcher.
            "ledger::Read*",
            "ledger::read*",
            "ledger::Registry*",
            "ledger::registry*",
            "ledger::DirectoryRows",
            "ledger::AuditFilter",
            "ledger::JobFilter",
            "ledger::JobFile",
            "ledger::ListedJob",
            "ledger::Around",
            "dispatch::account",
            "dispatch::input",
            "dispatch::claim",
            "dispatch::effect",
            "dispatch::edges",
            "dispatch::job",
            "dispatch::fits",
            // Records of choices and lists of who may do what, as data.
            "dispatch::decision",
            "dispatch::edges",
            "dispatch::hindsight",
            "dispatch::trial",
            // What may be shown of a text of somebody.
            "dispatch::contact",
        ],
    ),
    ("notify", &["words", "engine", "ledger::outbox*", "ledger::Outbox*"]),
    ("simulate", &["dispatch"]),
    ("config", &[]),
    ("clock", &[]),
    ("metrics", &[]),
    ("sync", &[]),
    ("words", &[]),
];
const AT_HAND: &[&str] = &["config", "clock", "metrics"];

/// Crates with one room of their own (files that connect the rooms included where named).
const ONLY_IN: &[(&str, &[&str])] = &[
    ("sqlx", &["ledger"]),
    ("dashmap", &["live"]),
    ("axum", &["serve"]),
    ("tokio_tungstenite", &["serve"]),
    ("kiez_load", &["demo", "main", "cli"]),
];

/// The crates `dispatch` may name besides std.
const DISPATCH_TAKES: &[&str] = &["kiez_protocol", "h3o", "smallvec", "uuid", "serde"];
/// The crates `protocol` may stand on.
const PROTOCOL_TAKES: &[&str] = &["serde", "uuid", "jiff", "schemars", "serde_json"];
/// Who asks what time it is: `clock.rs` alone. Sleeping and waiting are no questions.
const ASKS_THE_TIME: &[&str] = &["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now", "Utc::now"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files under a folder: the path from there, and the text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let (base, mut files, mut folders) = (root().join(folder), Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).expect("a folder of sources");
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(&base).expect("below").to_string_lossy().replace('\\', "/");
                files.push((name, fs::read_to_string(&path).expect("a source")));
            }
        }
    }
    files.sort();
    files
}

/// The names of a manifest's dependencies, as crates are named in paths.
fn dependencies(manifest: &Path) -> Vec<String> {
    let text = fs::read_to_string(manifest).expect("a manifest");
    let section = text.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| Some(line.split_once('=')?.0.trim().replace('-', "_"))).collect()
}

/// The source without comments, texts, characters and unit tests.
fn bare(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let (mut out, mut at) = (String::with_capacity(source.len()), 0);
    while at < chars.len() {
        let next = chars.get(at + 1).copied();
        let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
        match chars[at] {
            '/' if next == Some('/') => at = until(&chars, at, |c| c == '\n'),
            '/' if next == Some('*') => {
                let mut depth = 0;
                loop {
                    match (chars.get(at), chars.get(at + 1)) {
                        (Some('/'), Some('*')) => (depth, at) = (depth + 1, at + 2),
                        (Some('*'), Some('/')) => (depth, at) = (depth - 1, at + 2),
                        (Some(_), _) => at += 1,
                        (None, _) => break,
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            'r' if !in_word && matches!(next, Some('"' | '#')) && raw(&chars, at).is_some() => {
                at = raw(&chars, at).expect("just seen");
                out.push_str("\"\"");
            }
            '"' => {
                at += 1;
                while at < chars.len() && chars[at] != '"' {
                    at += if chars[at] == '\\' { 2 } else { 1 };
                }
                at += 1;
                out.push_str("\"\"");
            }
            // A character, not a lifetime.
            '\'' if next == Some('\\') => {
                at = until(&chars, at + 3, |c| c == '\'') + 1;
                out.push_str("' '");
            }
            '\'' if chars.get(at + 2) == Some(&'\'') => {
                at += 3;
                out.push_str("' '");
            }
            c => {
                out.push(c);
                at += 1;
            }
        }
    }
    without_tests(&out)
}

fn until(chars: &[char], from: usize, stop: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|at| stop(chars[*at])).unwrap_or(chars.len())
}

/// Where a raw text that begins at `at` ends.
fn raw(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    (chars.get(at + 1 + hashes) == Some(&'"')).then_some(())?;
    let closes = |at: usize| chars[at] == '"' && (1..=hashes).all(|n| chars.get(at + n) == Some(&'#'));
    Some((at + 2 + hashes..chars.len()).find(|at| closes(*at)).map_or(chars.len(), |end| end + 1 + hashes))
}

/// Cuts out `#[cfg(test)]` modules.
fn without_tests(source: &str) -> String {
    let mut out = String::new();
    let mut rest = source;
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        let after = &rest[at..];
        let Some(open) = after.find('{').filter(|open| !after[..*open].contains(';')) else {
            // A declaration without a body: `#[cfg(test)] use …;`.
            rest = &after[after.find(';').map_or(after.len(), |end| end + 1)..];
            continue;
        };
        let mut depth = 0;
        let end = after[open..].char_indices().find_map(|(index, c)| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            (depth == 0).then_some(open + index + 1)
        });
        rest = &after[end.unwrap_or(after.len())..];
    }
    out + rest
}

/// Every path that is named, groups in `use` taken apart, with `super` read from where the file stands.
fn paths(file: &str, bare: &str) -> Vec<String> {
    let tight = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (mut found, mut elsewhere) = (Vec::new(), String::new());
    let text = tight(bare).replace(":: ", "::");
    let mut rest = text.as_str();
    // Uses, with their trees.
    while let Some(at) = rest.find("use ") {
        let starts = rest[..at].chars().last().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let after = &rest[at + 4..];
        let Some(end) = after.find(';') else { break };
        elsewhere.push_str(&rest[..at]);
        if starts {
            expand("", &after[..end], &mut found);
        }
        rest = if starts { &after[end..] } else { after };
    }
    elsewhere.push_str(rest);
    // And paths where they stand.
    let mut word = String::new();
    for c in elsewhere.chars().chain([' ']) {
        if c.is_alphanumeric() || c == '_' || c == ':' {
            word.push(c);
        } else {
            let path = word.trim_matches(':');
            if path.contains("::") {
                found.push(path.to_owned());
            }
            word.clear();
        }
    }
    found.into_iter().map(|path| rooted(file, &path)).collect()
}

fn expand(before: &str, tree: &str, found: &mut Vec<String>) {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let name = tree.split(" as ").next().unwrap_or(tree).trim();
        let path = format!("{before}{}", name.trim_start_matches("::"));
        found.push(path.trim_end_matches("::self").to_owned());
        return;
    };
    let before = format!("{before}{}", &tree[..open]);
    let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
    let (mut depth, mut from) = (0, 0);
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c == ',' && depth == 0 {
            if !inner[from..at].trim().is_empty() {
                expand(&before, &inner[from..at], found);
            }
            from = at + 1;
        }
    }
}

/// A path from the crate's root, if it begins with `super` and leads there.
fn rooted(file: &str, path: &str) -> String {
    let module = file.trim_end_matches(".rs").trim_end_matches("/mod");
    let (depth, mut up, mut rest) = (module.split('/').count(), 0, path);
    while let Some(after) = rest.strip_prefix("super::") {
        (up, rest) = (up + 1, after);
    }
    if up > 0 && up == depth { format!("crate::{rest}") } else { path.to_owned() }
}

fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// What is wrong with a file under `src/`.
fn faults(file: &str, source: &str, crates: &[String]) -> Vec<String> {
    let (bare, room) = (bare(source), room(file));
    let mut faults = Vec::new();
    let mut fault = |what: String| faults.push(format!("src/{file}: {what}"));
    let words: Vec<&str> = bare.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let paths = paths(file, &bare);
    for path in &paths {
        let first = path.split("::").next().unwrap_or(path);
        if let Some((name, rooms)) = ONLY_IN.iter().find(|(name, _)| *name == first)
            && !rooms.contains(&room)
        {
            fault(format!("{path}, but {name} is only for {rooms:?}"));
        }
        if ASKS_THE_TIME.iter().any(|asks| path.ends_with(asks)) && file != "clock.rs" {
            fault(format!("{path}, but only clock.rs asks what time it is"));
        }
        if room == "dispatch" && crates.iter().any(|name| name == first) && !DISPATCH_TAKES.contains(&first) {
            fault(format!("{path}, but dispatch takes only {DISPATCH_TAKES:?}"));
        }
        let Some(known) = path.strip_prefix("crate::") else { continue };
        let Some((_, may)) = MAY_KNOW.iter().find(|(name, _)| *name == room) else { continue };
        let is_room =
            |name: &str| ROOMS.contains(&name) || ["server", "demo", "simulation", "cli", "import"].contains(&name);
        let first = known.split("::").next().unwrap_or(known);
        let at_hand = AT_HAND.contains(&first) && room != "dispatch" && !AT_HAND.contains(&room) && room != "sync";
        if is_room(first) && first != room && !at_hand && !may.iter().any(|may| allows(may, known)) {
            fault(format!("{path}, but {room} knows only {may:?}"));
        }
    }
    if ["dispatch", "simulate"].contains(&room) && words.iter().any(|word| ["async", "await"].contains(word)) {
        fault(format!("waits, but {room} is pure: name the effect instead"));
    }
    if file == "dispatch/claim.rs" {
        for path in paths.iter().filter(|path| path.starts_with("crate::") || path.starts_with("super::")) {
            if !path.starts_with("crate::sync") {
                fault(format!("{path}, but claim.rs imports crate::sync alone: loom takes its place"));
            }
        }
        if source.contains("#[cfg(test)]") || bare.contains("const fn new") || words.contains(&"static") {
            fault("a test, a const fn new or a static: they fail under loom".to_owned());
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

fn allows(may: &str, known: &str) -> bool {
    match may.strip_suffix('*') {
        Some(beginning) => known.starts_with(beginning),
        None => known == may || known.strip_prefix(may).is_some_and(|rest| rest.starts_with("::")),
    }
}

#[test]
fn every_room_knows_only_whom_it_may() {
    let crates = dependencies(&root().join("Cargo.toml"));
    assert!(crates.iter().any(|name| name == "h3o"), "the manifest can be read: {crates:?}");
    let faults: Vec<String> = sources("src").iter().flat_map(|(file, source)| faults(file, source, &crates)).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_wire_stands_on_serde_alone() {
    let takes = dependencies(&root().join("protocol/Cargo.toml"));
    let strange: Vec<_> = takes.iter().filter(|name| !PROTOCOL_TAKES.contains(&name.as_str())).collect();
    assert!(strange.is_empty(), "protocol depends on {strange:?}");
    for (file, source) in sources("protocol/src") {
        let paths = paths(&file, &bare(&source));
        let strange = paths.iter().filter(|path| path.starts_with("kiez::") || path.starts_with("std::net"));
        assert_eq!(strange.collect::<Vec<_>>(), Vec::<&String>::new(), "protocol/src/{file}");
    }
}

#[test]
fn the_load_generator_speaks_the_wire_and_knows_nothing_else() {
    let takes = dependencies(&root().join("loadtest/Cargo.toml"));
    assert!(!takes.iter().any(|name| name == "kiez"), "loadtest depends on kiez");
    for (file, source) in sources("loadtest/src") {
        let paths = paths(&file, &bare(&source));
        assert!(!paths.iter().any(|path| path.starts_with("kiez::")), "loadtest/src/{file} imports kiez");
    }
}

#[test]
fn a_bad_import_is_seen() {
    let crates = ["h3o", "rand", "tokio", "sqlx", "tracing", "dashmap", "kiez_protocol"].map(str::to_owned);
    let bad = [
        ("dispatch/wave.rs", "use crate::live::roster;"),
        ("dispatch/wave.rs", "use crate::{sync, ledger::Reader};"),
        ("dispatch/wave.rs", "use super::super::live::Roster;"),
        ("dispatch/mod.rs", "use super::engine::Mailbox;"),
        ("dispatch/wave.rs", "fn f() { let x = crate::metrics::offers(); }"),
        ("dispatch/wave.rs", "fn f() -> u8 { rand::random() }"),
        ("dispatch/wave.rs", "use tokio::sync::mpsc;"),
        ("dispatch/wave.rs", "use ::tracing as log;"),
        ("dispatch/wave.rs", "async fn f() {}"),
        ("dispatch/wave.rs", "fn f() { std::time::Instant::now(); }"),
        ("dispatch/wave.rs", "fn f<'a>(s: &'a str) { let c = '\"'; dashmap::DashMap::new(); }"),
        ("dispatch/claim.rs", "use crate::dispatch::job::Job;"),
        ("dispatch/claim.rs", "use crate::sync::AtomicU64; #[cfg(test)] mod tests {}"),
        ("live/roster.rs", "use crate::ledger::Reader;"),
        ("ledger/mod.rs", "use crate::live;"),
        ("engine.rs", "use super::serve::auth;"),
        ("serve/partner.rs", "use crate::ledger::{self, Reader};"),
        ("serve/partner.rs", "use crate::ledger::{Reader, WriterHandle};"),
        ("serve/partner.rs", "use crate::dispatch::Dispatcher;"),
        ("serve/partner.rs", "fn f() { sqlx::query(\"select 1\"); }"),
        ("serve/partner.rs", "use std::time::{Duration, SystemTime}; fn f() { SystemTime::now(); }"),
        ("simulate/world.rs", "use crate::engine;"),
        ("simulate/world.rs", "async fn f() {}"),
        ("dispatch/wave.rs", "use crate::simulation;"),
        ("clock.rs", "use crate::config::Config;"),
        ("main.rs", "fn f() { jiff::Timestamp::now(); }"),
    ];
    for (file, source) in bad {
        assert!(!faults(file, source, &crates).is_empty(), "not seen in {file}: {source}");
    }
}

#[test]
fn what_is_allowed_is_left_alone() {
    let crates = ["h3o", "rand", "tokio", "sqlx", "tracing", "serde_json"].map(str::to_owned);
    let good = [
        ("dispatch/wave.rs", "// rand::random() would be wrong\nfn f() { let brand = \"tokio::spawn\"; }"),
        ("dispatch/wave.rs", "use h3o::CellIndex; use super::nearest::nearest; use crate::sync::AtomicU64;"),
        ("dispatch/wave.rs", "/* sqlx:: /* nested */ crate::live */ use std::sync::Arc;"),
        ("dispatch/pay.rs", "#[cfg(test)] mod tests { use super::*; fn f() { serde_json::json!({}); } }"),
        ("dispatch/wave.rs", "fn f() -> &'static str { r#\"async \"tokio::\" \"# }"),
        ("serve/partner.rs", "use crate::ledger::{ReadError, Reader}; use crate::dispatch::input::Input;"),
        ("serve/partner.rs", "use crate::{clock::Clock, config::Limits, metrics};"),
        ("engine.rs", "async fn f() { tokio::time::sleep(d).await; }"),
        ("ledger/writer.rs", "use crate::dispatch::effect::Record; use sqlx::Row;"),
        ("clock.rs", "fn f() { SystemTime::now(); }"),
        ("server.rs", "use crate::{engine, ledger, live, serve};"),
    ];
    for (file, source) in good {
        assert_eq!(faults(file, source, &crates), Vec::<String>::new(), "{file}: {source}");
    }
}
