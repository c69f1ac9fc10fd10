//! The whole suite: the real service over a real socket, on SQLite and on PostgreSQL.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking, and its name documents it")]

mod architecture;
mod auth;
mod bad_input;
mod carriers;
mod chaos;
mod connections;
mod contact;
mod country;
mod delivery;
mod demo;
mod event_delivery;
mod events;
mod flood;
mod guesses;
mod harness;
mod intercept;
mod migrations;
mod model;
mod moves;
mod operations;
mod parallel;
mod people;
mod pool;
mod process;
mod proxies;
mod recovery;
mod relay_latency;
mod ride;
mod strangers;
mod words;
