//! The wire of kiez, written once, for everyone who talks to a kiez server: friend apps, partners, ops pages,
//! load generators and the server itself.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`ids`] | ids and slugs as types of their own |
//! | [`time`], [`place`], [`money`] | instants, points on the earth, amounts in minor units |
//! | [`friend`] | the friend socket: frames to the server and messages to the friend |
//! | [`partner`] | the partner's HTTP API: jobs in, their state out |
//! | [`directory`] | what admins maintain: communities with their policy, packages, friends, partners |
//! | [`profile`], [`hours`] | what a friend's profile holds besides name and skills; hours of the week |
//! | [`ops`] | the feed of the live map |
//! | [`refusal`] | every code with which the server says no, and `problem+json` |
//!
//! JSON, UTF-8, snake_case. Clients ignore unknown fields and unknown message types. The server ignores unknown fields
//! in socket frames and refuses them in HTTP bodies. With the feature `schemas` every message has a JSON Schema, listed by
//! `schema::all`.

pub mod directory;
pub mod friend;
pub mod hours;
pub mod ids;
pub mod money;
pub mod ops;
pub mod partner;
pub mod place;
pub mod profile;
pub mod refusal;
#[cfg(feature = "schemas")]
pub mod schema;
pub mod time;

/// The WebSocket subprotocol of the friend socket. A breaking change becomes `kiez.v2` beside it.
pub const FRIEND_SUBPROTOCOL: &str = "kiez.v1";

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
