//! Orderly: an event-driven shop in one binary.
//!
//! This crate is the composition root: the only place that knows every service,
//! and who is wired to what ([`shop`]). Around it are the commands of the command
//! line ([`cli`]).

mod audit;
mod auditor;
pub mod cli;
mod config;
mod data_dir;
mod dead_letters;
mod demo;
mod events;
mod grpc;
mod health;
mod http;
mod import;
mod load;
mod ops;
mod parts;
mod print;
mod read_model;
mod remote;
mod serve;
mod settings;
pub mod shop;
mod stores;
mod up;

pub use audit::audit;
pub use stores::Stores;
