//! Instants on the wire: RFC 3339 in UTC with milliseconds, and in memory one integer.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An instant: milliseconds since 1970-01-01T00:00:00Z. On the wire an RFC 3339 text such as
/// `2026-11-23T17:00:00.000Z`; any offset is read, `Z` is written. Range: the years −9999 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub i64);

impl Time {
    /// Milliseconds from `earlier` to this instant; negative if `earlier` is later.
    pub fn since(self, earlier: Time) -> i64 {
        self.0 - earlier.0
    }
}

impl Add<i64> for Time {
    type Output = Time;
    /// The instant `ms` milliseconds later.
    fn add(self, ms: i64) -> Time {
        Time(self.0.saturating_add(ms))
    }
}

impl Sub<i64> for Time {
    type Output = Time;
    /// The instant `ms` milliseconds earlier.
    fn sub(self, ms: i64) -> Time {
        Time(self.0.saturating_sub(ms))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Time {
    type Err = jiff::Error;
    fn from_str(text: &str) -> Result<Time, jiff::Error> {
        text.parse::<jiff::Timestamp>().map(|instant| Time(instant.as_millisecond()))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 instant such as 2026-11-23T17:00:00Z")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(feature = "schemas")]
impl schemars::JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time"})
    }
}
