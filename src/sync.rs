//! The atomics the race words stand on. Here they are std's; `tests/race_loom.rs` puts loom's in their place and
//! includes `dispatch/claim.rs` unchanged.

pub use std::sync::atomic::{AtomicU64, Ordering};
