//! One partition: a log with consumer groups, in memory. No I/O and no waiting.
//!
//! Each group has a *cursor* (the next entry to hand out) and the *pending
//! entries*: handed out and not acked. What every group has acked is *settled*
//! and leaves the log from the front at once, so that memory holds only what
//! somebody still has to read.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Weak};

use tokio::sync::Notify;

/// The log of one partition. Entries are numbered from 1.
#[derive(Debug)]
pub(super) struct Partition {
    /// `None`: trimmed away before this process, and still pending.
    entries: VecDeque<Option<Arc<str>>>,
    /// The number of `entries[0]`; one past the head if there is none.
    first: u64,
    /// Only ever grows, so that an index into it stays good.
    groups: Vec<Group>,
    /// Up to where the file has it.
    written: u64,
    /// Whether the file is behind.
    changed: bool,
}

/// One listener's place.
#[derive(Debug)]
struct Group {
    name: Arc<str>,
    /// The next entry that nobody of the group has been given.
    cursor: u64,
    /// Given and not acked; all below `cursor`.
    pending: BTreeSet<u64>,
    /// Who waits for more. Dead ones are dropped when they are met.
    readers: Vec<Weak<Notify>>,
}

impl Group {
    /// Everything up to here is acked; 0: nothing is.
    fn settled(&self) -> u64 {
        self.pending.first().copied().unwrap_or(self.cursor) - 1
    }
}

/// How much one group has before it.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) group: Arc<str>,
    pub(super) length: u64,
    pub(super) lag: u64,
    pub(super) pending: u64,
}

/// What the file does not have yet.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub(super) head: u64,
    pub(super) settled: u64,
    pub(super) watermarks: Vec<(Arc<str>, u64)>,
    pub(super) entries: Vec<(u64, Option<Arc<str>>)>,
}

/// What the file had of a partition.
#[derive(Debug, Default)]
pub(super) struct Restored {
    pub(super) head: u64,
    /// Group and the position up to which it had acked everything.
    pub(super) watermarks: Vec<(String, u64)>,
    /// Gapless, up to the head.
    pub(super) entries: VecDeque<Option<Arc<str>>>,
}

impl Default for Partition {
    fn default() -> Self {
        Self { entries: VecDeque::new(), first: 1, groups: Vec::new(), written: 0, changed: false }
    }
}

impl Partition {
    /// The partition as the file had it. Whatever lies beyond a group's watermark
    /// is new to it again.
    pub(super) fn restore(restored: Restored, groups: &[String]) -> Self {
        let first = restored.head + 1 - restored.entries.len() as u64;
        let mut partition =
            Self { entries: restored.entries, first, groups: Vec::new(), written: restored.head, changed: false };
        for group in groups {
            partition.listen(group);
        }
        for (name, watermark) in &restored.watermarks {
            match partition.groups.iter_mut().find(|group| *group.name == **name) {
                Some(group) => group.cursor = watermark + 1,
                // No longer declared: forgotten in the file as well.
                None => partition.changed = true,
            }
        }
        partition.free(partition.settled());
        partition
    }

    /// Adds a group that starts with the oldest entry there is.
    pub(super) fn listen(&mut self, name: &str) {
        if self.group(name).is_none() {
            let group = Group { name: name.into(), cursor: self.first, pending: BTreeSet::new(), readers: Vec::new() };
            self.groups.push(group);
            self.changed = true;
        }
    }

    /// Where the group is in the list.
    pub(super) fn group(&self, name: &str) -> Option<usize> {
        self.groups.iter().position(|group| &*group.name == name)
    }

    /// The last entry's number; 0: none yet.
    pub(super) fn head(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }

    /// Adds an entry, or only counts it if nobody listens.
    pub(super) fn append(&mut self, body: Arc<str>) -> u64 {
        if self.groups.is_empty() {
            self.first += 1;
        } else {
            self.entries.push_back(Some(body));
        }
        self.changed = true;
        self.head()
    }

    /// Tells everyone who waits that there is more.
    pub(super) fn wake(&mut self) {
        for group in &mut self.groups {
            group.readers.retain(|reader| {
                let reader = reader.upgrade();
                if let Some(reader) = &reader {
                    reader.notify_one();
                }
                reader.is_some()
            });
        }
    }

    /// Lets `reader` be woken; says where what is pending ends and what is new begins.
    pub(super) fn attend(&mut self, group: usize, reader: &Arc<Notify>) -> u64 {
        self.groups[group].readers.push(Arc::downgrade(reader));
        self.groups[group].cursor
    }

    /// The next at most `max` pending entries in `from..until`.
    pub(super) fn pending(&self, group: usize, from: u64, until: u64, max: usize) -> Vec<(u64, Option<Arc<str>>)> {
        if from >= until {
            return Vec::new();
        }
        self.groups[group].pending.range(from..until).take(max).map(|&seq| (seq, self.body(seq))).collect()
    }

    /// Hands out the next at most `max` new entries; they are pending from now on.
    pub(super) fn take_new(&mut self, group: usize, max: usize) -> Vec<(u64, Option<Arc<str>>)> {
        let from = self.groups[group].cursor;
        let until = (self.head() + 1).min(from.saturating_add(max as u64));
        let taken = (from..until).map(|seq| (seq, self.body(seq))).collect();
        let group = &mut self.groups[group];
        group.pending.extend(from..until);
        group.cursor = until;
        taken
    }

    /// Marks entries as done for the group. What is not pending is ignored.
    pub(super) fn ack(&mut self, group: usize, seqs: impl Iterator<Item = u64>) {
        let pending = &mut self.groups[group].pending;
        for seq in seqs {
            pending.remove(&seq);
        }
        self.free(self.settled());
        self.changed = true;
    }

    /// The position up to which every group has acked everything; the head if
    /// nobody listens.
    pub(super) fn settled(&self) -> u64 {
        self.groups.iter().map(Group::settled).min().unwrap_or_else(|| self.head())
    }

    /// Frees what is numbered `up_to` or less. Who had it pending is given it
    /// again without its body; who had not seen it never will.
    pub(super) fn trim(&mut self, up_to: u64) {
        let up_to = up_to.min(self.head());
        self.free(up_to);
        for group in &mut self.groups {
            group.cursor = group.cursor.max(up_to + 1);
        }
        self.changed = true;
    }

    /// One line a group.
    pub(super) fn standings(&self) -> Vec<Standing> {
        let stand = |group: &Group| Standing {
            group: group.name.clone(),
            length: self.entries.len() as u64,
            lag: self.head() + 1 - group.cursor,
            pending: group.pending.len() as u64,
        };
        self.groups.iter().map(stand).collect()
    }

    /// What has changed since the last call, to be written outside the lock.
    pub(super) fn unwritten(&mut self) -> Option<Unwritten> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let (head, settled) = (self.head(), self.settled());
        Some(Unwritten {
            head,
            settled,
            watermarks: self.groups.iter().map(|group| (group.name.clone(), group.settled())).collect(),
            entries: (self.written.max(settled) + 1..=head).map(|seq| (seq, self.body(seq))).collect(),
        })
    }

    /// What [`Partition::unwritten`] gave is in the file, or is not.
    pub(super) fn wrote(&mut self, head: u64, success: bool) {
        if success {
            self.written = self.written.max(head);
        } else {
            self.changed = true;
        }
    }

    fn body(&self, seq: u64) -> Option<Arc<str>> {
        let index = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        self.entries.get(index).cloned().flatten()
    }

    fn free(&mut self, up_to: u64) {
        let gone = (up_to + 1).saturating_sub(self.first).min(self.entries.len() as u64);
        self.entries.drain(..usize::try_from(gone).unwrap_or(usize::MAX));
        self.first += gone;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(entries: u64, groups: &[&str]) -> Partition {
        let mut log = Partition::default();
        for group in groups {
            log.listen(group);
        }
        for seq in 1..=entries {
            assert_eq!(log.append(seq.to_string().into()), seq);
        }
        log
    }

    #[test]
    fn memory_holds_only_what_somebody_still_has_to_read() {
        let mut log = log(10, &["a", "b"]);
        log.take_new(0, 10);
        log.take_new(1, 4);
        log.ack(0, 1..=10);
        assert_eq!((log.settled(), log.entries.len()), (0, 10));
        log.ack(1, [2, 1, 4].into_iter());
        assert_eq!((log.settled(), log.entries.len()), (2, 8));
        log.ack(1, [3].into_iter());
        assert_eq!((log.settled(), log.entries.len()), (4, 6));
    }

    #[test]
    fn a_log_that_nobody_reads_keeps_nothing() {
        let log = log(10, &[]);
        assert_eq!((log.head(), log.settled(), log.entries.len()), (10, 10, 0));
    }

    #[test]
    fn what_settles_before_the_writing_is_never_written() {
        let mut log = log(10, &["a"]);
        log.take_new(0, 10);
        log.ack(0, 1..=7);
        let unwritten = log.unwritten().expect("it changed");
        assert_eq!(unwritten.entries.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [8, 9, 10]);
        assert!(log.unwritten().is_none());
        log.wrote(10, false);
        assert_eq!(log.unwritten().expect("it failed").entries.len(), 3);
        log.wrote(10, true);
        log.append("11".into());
        assert_eq!(log.unwritten().expect("it changed").entries.len(), 1);
    }

    #[test]
    fn a_group_that_is_no_longer_declared_holds_nothing_back() {
        let restored = Restored {
            head: 3,
            watermarks: vec![("a".into(), 2), ("gone".into(), 0)],
            entries: ["1", "2", "3"].into_iter().map(|body| Some(body.into())).collect(),
        };
        let mut log = Partition::restore(restored, &["a".to_owned()]);
        assert_eq!((log.settled(), log.entries.len()), (2, 1));
        assert_eq!(log.take_new(0, 9), [(3, Some("3".into()))]);
    }
}
