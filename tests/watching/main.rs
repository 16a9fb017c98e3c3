//! What an operator sees of a running server: the log, in which a job's id finds its whole story and nobody's name or
//! place, and the meters. The server is a process of its own, with the log and the meters as they are in production.

#[path = "../common/mod.rs"]
mod common;
mod house;
mod life;
mod log;
mod meters;
mod pipe;
mod secrets;
