//! Ids and slugs. Each kind is a type of its own, so that a friend's id cannot stand where a job's belongs.
//! Ids are UUIDs of version 7 (they sort by creation); slugs are short names that people choose.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(
    /// A friend: the person who helps.
    FriendId
);
id!(
    /// A job: one customer's package at one place.
    JobId
);
id!(
    /// An offer: one job offered to one friend in one wave.
    OfferId
);
id!(
    /// A friend's session: one connection, or several if it is resumed.
    SessionId
);
id!(
    /// An endpoint of a partner, to which webhooks go.
    EndpointId
);
id!(
    /// The key a client chooses for something it may have to repeat. The same key gets the same answer.
    Key
);

/// The longest slug, in bytes.
pub const SLUG_LEN_MAX: usize = 64;

/// Why a text is not a slug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotASlug;

impl fmt::Display for NotASlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a slug is 1 to {SLUG_LEN_MAX} characters of a-z, 0-9, '-' or '_', beginning with a letter or digit")
    }
}
impl std::error::Error for NotASlug {}

fn slug(text: &str) -> Result<Arc<str>, NotASlug> {
    let first_fits = text.as_bytes().first().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let all_fit = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if first_fits && all_fit && text.len() <= SLUG_LEN_MAX { Ok(text.into()) } else { Err(NotASlug) }
}

macro_rules! slug {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        #[cfg(feature = "schemas")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"})
            }
        }

        impl $name {
            /// The slug as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = NotASlug;
            fn try_from(text: String) -> Result<Self, NotASlug> {
                slug(&text).map(Self)
            }
        }
        impl FromStr for $name {
            type Err = NotASlug;
            fn from_str(text: &str) -> Result<Self, NotASlug> {
                slug(text).map(Self)
            }
        }
        impl From<$name> for String {
            fn from(slug: $name) -> String {
                slug.0.as_ref().to_owned()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

slug!(
    /// A community: a crowd with a brand, `berlin-tech`.
    CommunitySlug
);
slug!(
    /// A package: a bookable service, `wifi-setup`.
    PackageSlug
);
slug!(
    /// A partner: a company that injects jobs.
    PartnerSlug
);
slug!(
    /// A skill, a certificate, a question or a category: the words a deployment chooses for its trade.
    Word
);
