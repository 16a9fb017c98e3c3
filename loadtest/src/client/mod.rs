//! The three who speak to a kiez server: a friend on a WebSocket, a partner and an admin over HTTP. Each hides what
//! every good client does (reconnect, repeat with the same key, acknowledge) and shows what has happened.

pub mod admin;
pub mod friend;
pub mod http;
mod link;
pub mod partner;

pub use admin::AdminClient;
pub use friend::{FriendClient, FriendConfig, FriendEvent, Reconnect};
pub use http::{CallError, Http, Server};
pub use partner::PartnerClient;
