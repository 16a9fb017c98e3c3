//! Bad input, over the wire, and each answer as it appeared. Every line of a table is a story of its own: what was sent,
//! and word for word what came back. `cargo test --test bad_input -- --nocapture` prints them.

#[path = "../common/mod.rs"]
mod common;
mod frames;
mod http;
mod people;
#[path = "../common/raw.rs"]
mod raw;
mod requests;
mod table;
mod webhooks;
