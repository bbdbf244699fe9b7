//! What every service of the shop stands on, and no business word in it.
//!
//! Reading order: [`error`] and [`message`] first, then the two ports [`bus`] and
//! [`store`], then the heart, [`service`] and its [`service_loop`], then what runs
//! beside it: the relay, the [`delay_queue`], the executor; [`runtime`], which
//! starts and stops it all; and [`ops`], through which people look inside.

#![warn(missing_docs)]

pub mod clock;
pub mod error;
pub mod message;
pub mod money;
pub mod text;
pub mod topology;

pub mod bus;
pub mod store;

pub mod service;
pub mod service_loop;

pub mod delay_queue;
mod executor;
mod reader;
mod relay;
mod tenure;

pub mod audit;
pub mod grpc;
pub mod ops;
pub mod runtime;
