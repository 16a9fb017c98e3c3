//! kiez.
pub mod dispatch;
pub mod live;
pub mod sync;
