//! How the log is written: one line for each thing that happened, to stderr, as text for people or as JSON for machines.
//! What is told at which level is the business of those who tell it; what may be in a line is held here as far as it can
//! be: other crates are heard from INFO up whatever `KIEZ_LOG` asks for (below that they write down the frames and values
//! that pass through them), and a panic is told by its place, without a backtrace and without the values in its message.

mod json;
mod pipe;

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt};

use pipe::Pipe;

/// What is told when `KIEZ_LOG` does not say.
pub const STORIES: &str = "kiez=info,warn";
/// The same for a demo, which has a line of its own to show.
pub const ALARMS: &str = "warn";
/// The last lines have so long to leave when the process ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

impl Format {
    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Text => "text",
            Format::Json => "json",
        }
    }
}

/// `--log-format` as the configuration takes it.
pub fn flag(format: Option<Format>) -> (&'static str, &'static str, Option<String>) {
    ("log.format", "--log-format", format.map(|format| format.as_str().to_owned()))
}

/// Begins the log as the configuration says; `otherwise` is told when `KIEZ_LOG` does not say.
///
/// # Errors
/// As [`start`].
pub fn begin(config: &kiez::config::Log, otherwise: &str) -> anyhow::Result<()> {
    let format = Format::from_str(&config.format, false).map_err(anyhow::Error::msg).context("log.format")?;
    start(format, config.waiting_bytes_max, otherwise)
}

static PIPE: OnceLock<Arc<Pipe>> = OnceLock::new();

/// Begins the log of this process: `KIEZ_LOG` says what is told, and if it does not, `otherwise`; `bytes_max` how much may
/// wait for a reader who is slow.
///
/// # Errors
/// A `KIEZ_LOG` that cannot be read; a second call.
pub fn start(format: Format, bytes_max: usize, otherwise: &str) -> anyhow::Result<()> {
    let filter = filter(otherwise)?;
    let stderr = std::io::stderr();
    // A handle of its own: writing through `std::io::stderr` would hold its lock for as long as nobody reads.
    let out = std::fs::File::from(stderr.as_fd().try_clone_to_owned().context("stderr")?);
    let pipe = Pipe::start(out, bytes_max)?;
    let pen = pipe::Pen(pipe.clone());
    let written = fmt::layer().with_writer(move || pen.clone()).log_internal_errors(false);
    let written = match format {
        Format::Text => written.with_ansi(stderr.is_terminal()).boxed(),
        Format::Json => written.with_ansi(false).event_format(json::Lines).fmt_fields(JsonFields::new()).boxed(),
    };
    let subscriber = Registry::default().with(filter).with(filter_fn(may_be_told)).with(written);
    tracing::subscriber::set_global_default(subscriber).context("the log has begun before")?;
    PIPE.set(pipe).ok().context("the log has begun before")?;
    std::panic::set_hook(Box::new(panicked));
    Ok(())
}

/// A last word to whoever started the process: through the log's own pipe once it has begun, so that nobody who does not
/// read can hold up the end.
pub fn last_word(text: &str) {
    match PIPE.get() {
        Some(pipe) => pipe.push(format!("{text}\n").as_bytes()),
        None => eprintln!("{text}"),
    }
}

/// Lets the last lines leave when it is dropped, also by a panic. Waits a second at most.
#[derive(Debug)]
pub struct Farewell;

impl Drop for Farewell {
    fn drop(&mut self) {
        if let Some(pipe) = PIPE.get() {
            pipe.drain(FAREWELL);
        }
    }
}

fn filter(otherwise: &str) -> anyhow::Result<EnvFilter> {
    let wanted = std::env::var_os("KIEZ_LOG").filter(|wanted| !wanted.is_empty());
    let wanted = wanted.as_ref().map_or(Some(otherwise), |wanted| wanted.to_str()).context("KIEZ_LOG is not UTF-8")?;
    EnvFilter::builder().parse(wanted).context("KIEZ_LOG takes directives such as kiez=debug,warn")
}

/// Libraries write down what passes through them: frames, statements, headers. Theirs is told from INFO up.
fn may_be_told(line: &Metadata<'_>) -> bool {
    line.target().starts_with("kiez") || *line.level() <= Level::INFO
}

fn panicked(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(|at| format!("{}:{}:{}", at.file(), at.line(), at.column()));
    // A message that was formatted may hold a name or an address; one that stands in the source does not.
    let what = panic.payload().downcast_ref::<&'static str>().copied();
    tracing::error!(place, what, "panicked");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_without_wishes_can_be_read() {
        assert!([STORIES, ALARMS].iter().all(|filter| EnvFilter::builder().parse(filter).is_ok()));
        assert!(EnvFilter::builder().parse("kiez=loud").is_err());
    }
}
