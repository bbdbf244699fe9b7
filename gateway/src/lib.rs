//! The gateway: the shop's outer door, over GraphQL.
//!
//! It owns accounts and sessions, in a store of its own. Everything else it asks
//! the services for, by gRPC, with the caller's identity on each call. Reading
//! order: [`api`], the typed façade that resolvers and web pages share;
//! [`accounts`]; [`graphql`], the schema; [`http`], how it is served.

pub mod accounts;
pub mod api;
pub mod graphql;
pub mod http;

#[cfg(test)]
mod fakes;

pub use accounts::Accounts;
pub use api::{Api, ApiError, Caller, Connections};
