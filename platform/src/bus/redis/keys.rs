//! Every key that the shop has in Redis, in one place.
//!
//! Several shops can share a server, each in a logical database of its own.

use crate::bus::{Timer, TimerKey};
use crate::topology::partition_of;

/// A random word: gone when Redis has lost everything.
pub(super) const EPOCH: &str = "orderly.epoch";

/// The number of partitions that the streams were made with.
pub(super) const PARTITIONS: &str = "orderly.partitions";

/// There is never such a key, nor a topic that anybody hears: for trying what is allowed.
pub(super) const PROBE: &str = "orderly.probe";

/// The one field of an entry: its body. The scripts name it too.
pub(super) const BODY: &str = "e";

/// A partition of a stream, such as `orderly.order.0`.
pub(super) fn partition(stream: &str, partition: u32) -> String {
    format!("{stream}.{partition}")
}

/// A stream's delay queue.
pub(super) fn delayed(stream: &str) -> String {
    format!("{stream}.delayed")
}

/// The channel of a topic. It names the database: keys are inside theirs, but
/// channels are shared by all.
pub(super) fn channel(topic: &str, database: i64) -> String {
    format!("{topic}@{database}")
}

/// A delay queue's member: the partition where it fires, then the key as JSON.
/// The script that fires it adds the due time, which is the member's score.
pub(super) fn member(key: &TimerKey, partitions: u32) -> String {
    let json = serde_json::json!({ "subject": key.subject, "kind": key.kind, "attempt": key.attempt });
    format!("{} {json}", partition_of(&key.subject, partitions))
}

/// The member of a timer after its score.
pub(super) fn scored(timer: &Timer, partitions: u32) -> (i64, String) {
    (timer.due, member(&timer.key(), partitions))
}
