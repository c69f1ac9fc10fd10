//! Domain types: phones, people, numbers, rides, texts and calls.
//!
//! Pure: no I/O, no framework, no configuration. Every decision depends only on its arguments, and the current time is
//! one of them. This module must not depend on a database, a web framework or a provider.

pub mod address;
pub mod breaker;
pub mod call;
pub mod client;
pub mod clock;
pub mod comparison;
pub mod contact;
pub mod endpoint;
pub mod error;
pub mod event;
pub mod hex;
pub mod ids;
pub mod intercept;
pub mod json;
pub mod jwt;
pub mod message;
pub mod notice;
pub mod number;
pub mod origin;
pub mod outbound;
pub mod pace;
pub mod page;
pub mod peers;
pub mod person;
pub mod phone;
pub mod pool;
pub mod retry;
pub mod ride;
pub mod scope;
pub mod screen;
pub mod signature;
pub(crate) mod string_enum;
pub mod target;
pub mod text;
mod unicode;
pub mod version;
