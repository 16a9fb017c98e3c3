//! REMEMBER NOW. Concurrent memory: who is where, who is connected, what is offered under which terms, what the map
//! shows. All of it is built again after a restart; nothing here is the truth about a job.
//!
//! The maps stand behind types whose methods return values, never guards: a guard held across an await, or a second one
//! taken while the first is held, stops the server. Copy out, let go, then act.

pub mod directory;
pub mod epoch;
pub mod feed;
pub mod index;
pub mod outbox;
pub mod roster;
pub mod sessions;
