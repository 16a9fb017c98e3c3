//! How the server says no. A refusal is a value with a stable code; HTTP wraps it in `problem+json` (RFC 9457), the
//! friend socket in an `error` message. Treat a code you do not know as its class: the HTTP status.

use serde::{Deserialize, Serialize};

use crate::partner::JobState;

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
    /// The body did not arrive in time.
    RequestTimeout = 408, "The request did not arrive in time";
    /// A request with the same idempotency key is being answered.
    KeyInFlight = 409, "A request with this key is in flight";
    /// The job's state does not allow this. On the socket `allowed` says what it does allow; over HTTP a job that may not
    /// be edited may not be cancelled either.
    WrongState = 409, "The job's state does not allow this";
    /// The friend cannot have this job, whoever wants it: no free place, beyond a cap of theirs, declined by them before.
    NotSuitable = 409, "The friend cannot have this job";
    /// The job was changed since the revision that was named.
    NeedsReconfirm = 409, "The job has changed";
    /// `If-Match` named another version than the one that stands.
    VersionConflict = 412, "Another version stands by now";
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
    /// The place is outside of the community's service area; the wish is noted on its waitlist.
    OutsideArea = 422, "The community does not serve this place";
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
    /// The same for every occurrence of the code, in the language that `Accept-Language` asks for (de, en, fr, it, pl).
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
    /// Where the job stands, if that is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<JobState>,
    /// What the same person may do there: `edit`, `answers`, `cancel`, and to ops `pause`, `resume`, `assign`, `redispatch`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
    /// Everything that is wrong, if it is several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    /// Finds the request in the log; also in the header `x-request-id`.
    pub request_id: String,
}

/// The keys of the texts for people that an `error` on the friend socket may carry, each with what it says. An app has a
/// text for each, and one for those it does not know.
pub const MESSAGE_KEYS: &[(&str, &str)] = &[
    ("error.bad_token", "a `refresh` with a token that is not valid, or not this friend's"),
    ("error.fix_off_earth", "a `fix` whose point is not on the earth"),
    ("error.hello_twice", "a second `hello`"),
    ("error.job_not_found", "there is no such job, or it was never yours"),
    (
        "error.missed_not_found",
        "a `why_not` about nothing that was in a `missed` of yours, or you were asked for it since",
    ),
    ("error.offer_not_found", "there is no such offer, or it is not yours"),
    ("error.questions_used_up", "a friend has a few questions about a job, and they were asked"),
    ("error.reason_too_long", "a `reason` of more than 300 characters"),
    ("error.refused", "refused; the code says why"),
    ("error.text_length", "a `text` that is empty or too long"),
    ("error.too_many", "faster than the limit; the frame was dropped"),
    ("error.try_again", "nothing was changed; send the same frame again"),
    ("error.unfit_field", "a field is missing or does not fit"),
    ("error.unknown_type", "this server does not know the frame's `type`"),
    ("error.until_is_past", "a `duty` whose `until` has passed"),
    ("error.windows", "one to three windows, each with an end after its beginning and after now"),
    ("error.wrong_state", "the job's state does not allow this; `allowed` says what it does allow"),
];

/// Close codes of the sockets: 4000 to 4499 come back, 4500 to 4999 do not. Treat a code you do not know as its class.
pub mod close {
    /// A close code.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Close {
        /// The code.
        pub code: u16,
        /// Its name in this module.
        pub name: &'static str,
        /// When the server closes with it.
        pub when: &'static str,
        /// What the app does.
        pub then: &'static str,
    }

    macro_rules! closes {
        ($($name:ident = $code:literal, $when:literal, $then:literal;)*) => {
            $(#[doc = concat!("When ", $when, ": ", $then, ".")] pub const $name: u16 = $code;)*

            /// Every close code that a server may send, in the order of the codes.
            pub const ALL: &[Close] =
                &[$(Close { code: $code, name: stringify!($name), when: $when, then: $then },)*];
        };
    }

    closes! {
        NORMAL = 1000, "the app has closed it, or the session goes on over a newer connection of the same app", "nothing";
        PROTOCOL = 1002, "a frame breaks the WebSocket protocol", "a mistake in the app: mend it; come back with back-off";
        UNSUPPORTED = 1003, "a message was binary", "a mistake in the app: mend it; come back with back-off";
        NOT_TEXT = 1007, "a text is not UTF-8", "a mistake in the app: mend it; come back with back-off";
        TOO_BIG = 1009, "a message is larger than the limit", "do not send that message again; come back with back-off";
        TRY_AGAIN_LATER = 1013, "the server takes no more just now", "come back with back-off";
        RESTARTING = 4001, "the server restarts", "come back when `draining` said";
        TOKEN_EXPIRED = 4005, "the token has expired", "get a new token, come back";
        TOO_SLOW = 4008, "too much was waiting to be read", "come back, take the snapshot, read faster";
        RESYNC = 4010, "app and server do not agree on what was said", "come back and take the snapshot";
        NO_PONG = 4012, "no pong came", "come back";
        TOO_FAST = 4013, "far too many frames came", "come back with back-off; send less";
        BAD_TOKEN = 4500, "the token is not valid, or nobody known is meant", "sign in anew";
        BAD_FRAME = 4501, "a frame was not a JSON object with `type`, or the first did not fit",
            "a mistake in the app: do not come back";
        NO_HELLO = 4502, "no first frame came in time", "do not come back by itself: look why";
        REPLACED = 4504, "another device of the same friend has connected", "stay away until the person wants this one";
        FORBIDDEN = 4507, "the account may not connect", "stay away and say so";
    }
}
