//! kiez.
pub mod dispatch;
pub mod sync;
