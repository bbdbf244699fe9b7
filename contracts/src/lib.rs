//! The contracts between the services: gRPC services, commands and events.
//!
//! The schema is protobuf (`contracts/proto`), compiled by protox at build time.
//! gRPC carries it as protobuf; messages carry it as proto3 JSON (by pbjson), so
//! that a stream can be read with `redis-cli XRANGE`. A message's type on the
//! wire is its full protobuf name, `orderly.order.v1.OrderPlaced`.
//!
//! Nothing here knows how a message travels: that is `platform`.

// Generated code: its documentation is in the .proto files.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::unwrap_used)]

macro_rules! package {
    ($module:ident) => {
        #[doc = concat!("Types of the protobuf package `orderly.", stringify!($module), ".v1`.")]
        pub mod $module {
            /// Version 1, the only one so far. The nesting is the generator's.
            pub mod v1 {
                include!(concat!(env!("OUT_DIR"), "/orderly.", stringify!($module), ".v1.rs"));
                include!(concat!(env!("OUT_DIR"), "/orderly.", stringify!($module), ".v1.serde.rs"));
            }
            pub use v1::*;
        }
    };
}

package!(common);
package!(order);
package!(inventory);
package!(payment);
package!(notification);
package!(query);
package!(ops);
package!(audit);

/// The compiled schema of everything above, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/orderly.binpb"));
