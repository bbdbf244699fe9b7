//! The order service, running on the service loop over SQLite and the embedded bus:
//! its gRPC server, its roads to the end, crashes, the audit, and stores of an
//! earlier version.

#![allow(clippy::unwrap_used)]

#[path = "it/shop.rs"]
mod shop;

#[path = "it/asking.rs"]
mod asking;
#[path = "it/auditing.rs"]
mod auditing;
#[path = "it/earlier_store.rs"]
mod earlier_store;
#[path = "it/roads.rs"]
mod roads;
