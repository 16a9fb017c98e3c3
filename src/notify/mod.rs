//! TELL THE OUTSIDE. What partners' servers hear of their jobs: the rows that the ledger has written in the commit of what they
//! tell of, sent at least once, however often a target fails and this process is started anew. Notices to customers and pushes
//! to friends' apps will be rows of the same table.
//!
//! | page | what is there |
//! | --- | --- |
//! | [`deliverer`] | the loop: what is due, what came of it |
//! | `lane` | what is held in memory, endpoint by endpoint |
//! | `schedule` | when it is tried again |
//! | [`post`] | one request |
//! | [`address`] | which addresses may be spoken to |
//! | [`signature`] | what proves to a partner that it comes from here |
//!
//! A target is somebody else's: it may refuse, hang, lead us to our own database or answer without an end. Each of it costs a
//! deadline and a place among its own, and nothing else.

pub mod address;
pub mod deliverer;
mod lane;
pub mod post;
mod schedule;
pub mod signature;
