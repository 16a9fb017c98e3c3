//! DECIDE. The dispatcher: pure, synchronous, without clock or chance of its own.

pub mod capacity;
pub mod claim;
pub mod decision;
pub mod effect;
pub mod gates;
pub mod globe;
pub mod input;
pub mod job;
pub mod nearest;
