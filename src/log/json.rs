//! A line as JSON: one object with `timestamp`, `level`, `target` and `message`, then the fields of the line and of the
//! spans it stands in, all on one level, so that `select(.job == "…")` finds a job whether a line names it or its span
//! does. Where both name a field the innermost counts.

use std::fmt::{self, Debug};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// Formats events as JSON lines. The fields of spans must be formatted as JSON too.
#[derive(Clone, Copy, Debug)]
pub struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            let formatted = extensions.get::<FormattedFields<N>>().map_or("", |formatted| formatted.fields.as_str());
            if let Ok(Value::Object(named)) = serde_json::from_str(formatted) {
                fields.0.extend(named);
            }
        }
        event.record(&mut fields);
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let about = event.metadata();
        let head = [
            ("timestamp", Value::from(timestamp)),
            ("level", Value::from(about.level().as_str())),
            ("target", Value::from(about.target())),
            ("message", fields.0.remove("message").unwrap_or_default()),
        ];
        let (named, mut first) = (|name: &str| head.iter().any(|(taken, _)| *taken == name), true);
        let rest = fields.0.iter().filter(|(name, _)| !named(name)).map(|(name, value)| (name.as_str(), value));
        for (name, value) in head.iter().map(|(name, value)| (*name, value)).chain(rest) {
            let before = if std::mem::take(&mut first) { '{' } else { ',' };
            write!(writer, "{before}{}:{value}", Value::from(name))?;
        }
        writer.write_str("}\n")
    }
}

/// The fields of a line by name.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}").into());
    }
}
