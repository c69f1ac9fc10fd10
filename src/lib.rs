//! x
mod domain;
mod store;
