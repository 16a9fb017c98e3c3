//! The wire of kiez, written once, for everyone who talks to a kiez server: friend apps, partners, ops pages,
//! load generators and the server itself.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`ids`] | ids and slugs as types of their own |
//! | [`time`], [`place`], [`money`] | instants, points on the earth, amounts in minor units |
//! | [`friend`] | the friend socket: frames to the server and messages to the friend |
//! | [`partner`] | the partner's HTTP API: jobs in, their state out |
//! | [`customer`] | the customer's link: one job |
//! | [`listing`] | friends who chose to be found by a partner's page |
//! | [`talk`] | questions, proposals, messages |
//! | [`directory`] | what admins maintain: communities with their policy, packages, friends, partners |
//! | [`profile`], [`hours`] | what a friend's profile holds besides name and skills; hours of the week |
//! | [`gate`] | what a friend must be, have and want to be asked |
//! | [`ops`] | the feed of the live map |
//! | [`desk`] | what ops see of jobs and do to them by hand |
//! | [`audit`] | who did what to whom, when and why |
//! | [`people`] | the life of an account, what friends set themselves, what ops see of them |
//! | [`refusal`] | every code with which the server says no, `problem+json`, close codes |
//! | [`routes`] | every HTTP route: what it takes, what it answers |
//! | [`health`] | alive, ready |
//!
//! JSON, UTF-8, snake_case. Clients ignore unknown fields and unknown message types. The server ignores unknown fields
//! in socket frames and refuses them in HTTP bodies.
//!
//! The same, for machines, is in two documents: [`OPENAPI`] and [`ASYNCAPI`]. With the feature `schemas` they are made anew
//! of the types (`openapi`, `asyncapi`); a test holds the committed ones to it.

#[cfg(feature = "schemas")]
pub mod asyncapi;
pub mod audit;
pub mod customer;
pub mod desk;
pub mod directory;
pub mod friend;
pub mod gate;
pub mod health;
pub mod hours;
pub mod ids;
pub mod listing;
pub mod money;
#[cfg(feature = "schemas")]
pub mod openapi;
pub mod ops;
pub mod partner;
pub mod people;
pub mod place;
pub mod profile;
pub mod refusal;
pub mod routes;
#[cfg(feature = "schemas")]
pub mod schema;
pub mod talk;
pub mod time;

/// The WebSocket subprotocol of the friend socket. A breaking change becomes `kiez.v2` beside it.
pub const FRIEND_SUBPROTOCOL: &str = "kiez.v1";

/// The HTTP API as an OpenAPI 3.1 document.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// The sockets as an AsyncAPI 3 document.
pub const ASYNCAPI: &str = include_str!("../asyncapi.json");

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
