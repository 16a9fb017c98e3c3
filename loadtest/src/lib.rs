//! Load for kiez, and friends who live on the wire: bots, a Berlin to put them in, the replay of real days, and an
//! observer who checks from outside what the server promises. It speaks the wire and imports only `kiez-protocol`; kiez
//! itself calls it for `kiez demo`.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`client`] | a friend, a partner and an admin of a server |
//! | [`chance`] | everything random, by seed |
//! | [`world`] | a Berlin of real places and invented people |

pub mod chance;
pub mod check;
pub mod client;
pub mod observe;
pub mod report;
pub mod world;
