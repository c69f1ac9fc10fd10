//! x
mod domain;
mod lifecycle;
mod provider;
mod service;
mod store;
mod transport;
mod worker;
