//! kiez, the dispatch server for neighbourhood tech help.
//!
//! | room | what it does |
//! | --- | --- |
//! | [`dispatch`] | DECIDE: pure; inputs and `now` in, records and messages out |
//! | [`live`] | REMEMBER NOW: who is where and connected; concurrent memory, built again after a restart |
//! | [`ledger`] | REMEMBER FOREVER: the only room with SQL; SQLite or Postgres |
//! | [`engine`] | the loop: mailbox → decide → commit → tell |
//! | [`serve`] | TALK: HTTP and WebSockets |
//! | [`simulate`] | a city under virtual time and a seed, and a model that says what must be true |
//! | `words` | what people read, in five languages |
//! | [`server`] | the rooms wired into one running server |
//! | [`config`], [`clock`], [`metrics`], [`import`] | the knobs, the time, the meters, documents from outside |
//!
//! Who may import whom is held by `tests/layers.rs`; ARCHITECTURE.md tells why.

pub mod clock;
pub mod config;
pub mod dispatch;
pub mod engine;
pub mod import;
pub mod ledger;
pub mod live;
pub mod metrics;
pub mod serve;
pub mod server;
pub mod simulate;
pub mod sync;
mod words;
