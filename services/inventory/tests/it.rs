//! The inventory service, running on the service loop over SQLite and the embedded
//! bus: sold goods that come back, and the audit.

#![allow(clippy::unwrap_used)]

#[path = "it/shop.rs"]
mod shop;

#[path = "it/audit.rs"]
mod audit;
#[path = "it/returns.rs"]
mod returns;
