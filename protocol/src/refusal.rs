//! How the server says no. A refusal is a value with a stable code; HTTP wraps it in `problem+json` (RFC 9457), the
//! friend socket in an `error` message. Treat a code you do not know as its class: the HTTP status.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal, $title:literal;)*) => {
        /// Why a request or frame was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }
        impl Code {
            /// Every code, in the order of this page.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];
            /// The HTTP status of the code's class.
            pub fn status(self) -> u16 {
                match self { $(Code::$name => $status),* }
            }
            /// A short English title, the same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title),* }
            }
        }
    };
}

codes! {
    /// The body or frame is not what this route or frame type takes.
    BadRequest = 400, "The request is not well formed";
    /// No credentials, or ones that are not valid.
    Unauthorized = 401, "The credentials are missing or not valid";
    /// The credentials do not allow this.
    Forbidden = 403, "The credentials do not allow this";
    /// It does not exist, or it is not yours: the answer is the same.
    NotFound = 404, "There is no such thing";
    /// This route does not take this method.
    MethodNotAllowed = 405, "This route does not take this method";
    /// A request with the same idempotency key is being answered.
    KeyInFlight = 409, "A request with this key is in flight";
    /// The job's state does not allow this; `allowed` says what it does allow.
    WrongState = 409, "The job's state does not allow this";
    /// The job was changed since the revision that was named.
    NeedsReconfirm = 409, "The job has changed";
    /// The body is larger than this route takes.
    TooLarge = 413, "The body is too large";
    /// The idempotency key was used with another body.
    KeyReused = 422, "This key was used for another request";
    /// A field's value is out of its range.
    Invalid = 422, "A value is out of range";
    /// No package of this name.
    UnknownPackage = 422, "There is no such package";
    /// No community of this name.
    UnknownCommunity = 422, "There is no such community";
    /// The package is not offered in this community.
    NotOffered = 422, "The package is not offered there";
    /// The frame's `type` is not known.
    UnknownType = 422, "The frame's type is not known";
    /// More requests or frames than the limit.
    TooMany = 429, "Too many requests";
    /// Something in the server failed; the request id finds it in the log.
    Internal = 500, "The server failed";
    /// The server cannot take this now; `Retry-After` says when.
    Unavailable = 503, "The server cannot take this now";
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.title())
    }
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Fault {
    /// The field, as a path: `location.lat`.
    pub param: String,
    /// What is wrong with it.
    pub detail: String,
}

/// The body of every HTTP refusal, `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Problem {
    /// A URI reference that names the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every occurrence of the code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong this time.
    pub detail: String,
    /// The code.
    pub code: Code,
    /// The field that is wrong, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
    /// Everything that is wrong, if it is several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    /// Finds the request in the log; also in the header `x-request-id`.
    pub request_id: String,
}

/// Close codes of the friend socket: 4000 to 4499 come back, 4500 to 4999 do not.
pub mod close {
    /// The session goes on over a newer connection of the same app; nothing is left to do (RFC 6455).
    pub const NORMAL: u16 = 1000;
    /// The server restarts; come back when `draining` said.
    pub const RESTARTING: u16 = 4001;
    /// The token has expired; come back with a new one.
    pub const TOKEN_EXPIRED: u16 = 4005;
    /// The connection took too little off its queue.
    pub const TOO_SLOW: u16 = 4008;
    /// App and server do not agree on what was said: an acknowledgement of what was never sent. Come back and take the
    /// snapshot.
    pub const RESYNC: u16 = 4010;
    /// No pong.
    pub const NO_PONG: u16 = 4012;
    /// Far more frames than the limit.
    pub const TOO_FAST: u16 = 4013;
    /// The token is not valid.
    pub const BAD_TOKEN: u16 = 4500;
    /// A frame was not a JSON object with `type`.
    pub const BAD_FRAME: u16 = 4501;
    /// No hello within five seconds.
    pub const NO_HELLO: u16 = 4502;
    /// Another device of the same friend has connected.
    pub const REPLACED: u16 = 4504;
    /// The account may not connect.
    pub const FORBIDDEN: u16 = 4507;
    /// A message larger than the limit (RFC 6455).
    pub const TOO_BIG: u16 = 1009;
    /// Overload: come back later (IANA registry).
    pub const TRY_AGAIN_LATER: u16 = 1013;
}
