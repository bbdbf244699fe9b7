//! The notification service on the service loop, over SQLite and the embedded
//! bus: what happens to an order, what its customer reads, and what is mailed.

#![allow(clippy::unwrap_used)]

#[path = "it/post_office.rs"]
mod post_office;
#[path = "it/shop.rs"]
mod shop;

#[path = "it/mail.rs"]
mod mail;
#[path = "it/mail_faults.rs"]
mod mail_faults;
#[path = "it/messages.rs"]
mod messages;
#[path = "it/preference.rs"]
mod preference;
#[path = "it/reminder.rs"]
mod reminder;
