//! The topology: which streams exist and which groups listen, declared in code.
//!
//! It is created whole, every group at `0`, before the first publish. A group
//! made later at `$`, or after trimming, would miss messages. A stream is cut
//! into partitions by the hash of the subject, so that a subject's messages stay
//! in order while partitions are read side by side.

/// A stream and who listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// `orderly.<service>` for events, `orderly.<service>.commands` for commands,
    /// `orderly.<service>.timers` for what the delay queue fired.
    pub name: String,
    /// The services that listen; a group's name is its service's.
    pub groups: Vec<String>,
}

/// All streams, each with the same number of partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// At least 1. Stored by the broker; a different number is refused at start.
    pub partitions: u32,
    /// Every stream of the shop.
    pub streams: Vec<Stream>,
}

impl Topology {
    /// A topology without streams yet.
    pub const fn new(partitions: u32) -> Self {
        Self { partitions, streams: Vec::new() }
    }

    /// Declares that `group` listens to `stream`.
    pub fn listen(&mut self, stream: &str, group: &str) {
        let index = self.declare(stream);
        let groups = &mut self.streams[index].groups;
        if !groups.iter().any(|known| known == group) {
            groups.push(group.to_owned());
        }
    }

    /// Declares that `stream` exists, also if nobody listens; says where it is.
    pub fn declare(&mut self, stream: &str) -> usize {
        if let Some(index) = self.streams.iter().position(|known| known.name == stream) {
            return index;
        }
        self.streams.push(Stream { name: stream.to_owned(), groups: Vec::new() });
        self.streams.len() - 1
    }

    /// Who listens to a stream.
    pub fn groups(&self, stream: &str) -> &[String] {
        self.streams.iter().find(|known| known.name == stream).map_or(&[], |known| known.groups.as_slice())
    }
}

/// The partition of a subject: FNV-1a, 64 bits, modulo the count. Fixed for ever,
/// since every process must agree on it.
pub fn partition_of(subject: &str, partitions: u32) -> u32 {
    let hash = subject
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    u32::try_from(hash % u64::from(partitions.max(1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_keeps_its_partition_for_ever() {
        assert_eq!(partition_of("", 8), 5);
        assert_eq!(partition_of("018f3b5a-0000-7000-8000-000000000001", 1), 0);
        assert_eq!(partition_of("a", 1_000_000), (0xaf63_dc4c_8601_ec8c_u64 % 1_000_000) as u32);
    }
}
