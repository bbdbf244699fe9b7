//! What the contracts say of a method: may it be called again, and does it stream?
//!
//! `option idempotency_level` is a standard option of protobuf. NO_SIDE_EFFECTS marks
//! what only reads, IDEMPOTENT a command that carries a command id, so that a repeat is
//! answered with the first answer. What is not marked must not be sent twice.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use prost_types::method_options::IdempotencyLevel;

/// What is known of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Method {
    /// Sending it twice does what sending it once does.
    pub(super) idempotent: bool,
    /// The request may have no end.
    pub(super) streams_request: bool,
    /// The answer may have no end.
    pub(super) streams_answer: bool,
}

/// A method that no contract names: nothing can be taken for granted.
const UNKNOWN: Method = Method { idempotent: false, streams_request: true, streams_answer: true };

/// By path, `/package.Service/Method`.
static METHODS: LazyLock<HashMap<String, Method>> = LazyLock::new(|| {
    let described = FileDescriptorSet::decode(contracts::FILE_DESCRIPTOR_SET).unwrap_or_else(|error| {
        tracing::error!(%error, "the contracts' schema cannot be read: nothing is retried");
        FileDescriptorSet::default()
    });
    let mut methods = HashMap::new();
    for file in &described.file {
        for service in &file.service {
            for method in &service.method {
                let level = method
                    .options
                    .as_ref()
                    .map_or(IdempotencyLevel::IdempotencyUnknown, |options| options.idempotency_level());
                let known = Method {
                    idempotent: level != IdempotencyLevel::IdempotencyUnknown,
                    streams_request: method.client_streaming(),
                    streams_answer: method.server_streaming(),
                };
                methods.insert(format!("/{}.{}/{}", file.package(), service.name(), method.name()), known);
            }
        }
    }
    methods
});

impl Method {
    /// The method behind a path.
    pub(super) fn at(path: &str) -> Self {
        METHODS.get(path).copied().unwrap_or(UNKNOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_say_what_may_be_called_again() {
        let unary = |idempotent| Method { idempotent, streams_request: false, streams_answer: false };
        assert_eq!(Method::at("/orderly.query.v1.Query/GetOrder"), unary(true), "a read");
        assert_eq!(Method::at("/orderly.order.v1.Orders/PlaceOrder"), unary(true), "a command with an id");
        assert_eq!(Method::at("/orderly.ops.v1.Ops/Redrive"), unary(false), "a command without one");
        let streams = Method { idempotent: false, streams_request: false, streams_answer: true };
        assert_eq!(Method::at("/orderly.ops.v1.Ops/Tail"), streams);
        assert_eq!(Method::at("/orderly.order.v1.Orders/NoSuchMethod"), UNKNOWN);
    }
}
