//! kiez.
pub mod clock;
pub mod config;
pub mod dispatch;
pub mod metrics;
pub mod sync;
