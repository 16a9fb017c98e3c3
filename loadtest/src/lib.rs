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
//! | [`city`], [`arrivals`] | a city under load that needs no data |
//! | [`idle`] | what a friend costs who only stands there |
//! | [`killable`] | a server that is killed and started again |
//! | [`machine`], [`gauge`] | what a process has cost, and whether the generator kept up |
//! | [`report`], [`measure`], [`compare`] | what a run came to, and whether it was as good as another |
//! | [`chance`], [`clock`] | everything random, by seed; the time of a run |

pub mod arrivals;
pub mod bots;
pub mod chance;
pub mod check;
pub mod city;
pub mod client;
pub mod clock;
pub mod compare;
pub mod fleet;
pub mod gauge;
pub mod idle;
mod judge;
pub mod killable;
pub mod machine;
pub mod measure;
pub mod observe;
pub mod replay;
pub mod report;
pub mod route;
pub mod trace;
pub mod world;
