//! Load for kiez, and friends who live on the wire: bots, a Berlin to put them in, the replay of real days, and an
//! observer who checks from outside what the server promises. It speaks the wire and imports only `kiez-protocol`; kiez
//! itself calls it for `kiez demo`. Nothing in here ends the process.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`client`] | a friend, a partner and an admin of a server |
//! | [`world`], [`route`] | a Berlin of real places and invented people, and how they move |
//! | [`bots`], [`fleet`] | friends who are programs, and the partners who keep them busy |
//! | [`observe`], [`check`] | what was seen on the wire, and whether the server was right |
//! | [`trace`], [`replay`] | real days, run again |
//! | [`report`] | what a run came to |
//! | [`chance`], [`clock`] | everything random, by seed; the time of a run |

pub mod bots;
pub mod chance;
pub mod check;
pub mod client;
pub mod clock;
pub mod fleet;
mod judge;
pub mod observe;
pub mod replay;
pub mod report;
pub mod route;
pub mod trace;
pub mod world;
