//! The payment service and the bank, both running on the service loop over SQLite
//! and the embedded bus: the test cards, refunds, crashes, and the audit.

#![allow(clippy::unwrap_used)]

#[path = "it/shop.rs"]
mod shop;

#[path = "it/audit.rs"]
mod audit;
#[path = "it/bank.rs"]
mod bank;
#[path = "it/card_desk.rs"]
mod card_desk;
#[path = "it/service.rs"]
mod service;
#[path = "it/undoing.rs"]
mod undoing;
