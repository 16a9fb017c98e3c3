//! kiez.
pub mod dispatch;
pub mod ledger;
pub mod sync;
