//! What the relay knows to be published and not yet settled, and the writing of
//! it into the outbox.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Interruption;
use crate::bus::Bus;
use crate::store::outbox::{self, Mark, Outlet};
use crate::store::{Db, Tx, lease};

/// Most rows settled in one go. A listener that comes back after an hour leaves a million to
/// settle, and one statement over all of them would take longer than a statement may.
const SETTLE: usize = 16_384;

/// How long a row may be published before it is told so, where nobody else can write. Most are
/// settled by then, and cost one write in place of two. After a crash those that are not are
/// published once more, and every inbox recognises them. (Where others can write, they sweep
/// every few milliseconds, and read each time what is not marked.)
const RIPE: Duration = Duration::from_secs(1);

/// A published row.
struct Published {
    mark: Mark,
    table: &'static str,
    /// When we came to know of it.
    since: Instant,
    /// Whether the row itself says so already.
    written: bool,
}

/// Published, not settled; per stream and partition in the order of positions.
pub(super) struct Marks {
    tables: Vec<Outlet>,
    /// The leases under which they were published; none where nobody else can write.
    leases: Vec<(String, i64)>,
    lines: BTreeMap<(Arc<str>, u32), VecDeque<Published>>,
    /// By table: ids are counted in each.
    ids: BTreeMap<&'static str, HashSet<i64>>,
}

impl Marks {
    pub(super) fn new(tables: Vec<Outlet>, leases: Vec<(String, i64)>) -> Self {
        Self { tables, leases, lines: BTreeMap::new(), ids: BTreeMap::new() }
    }

    /// Whether the row is published already, as far as we know.
    pub(super) fn knows(&self, table: &'static str, id: i64) -> bool {
        self.ids.get(table).is_some_and(|ids| ids.contains(&id))
    }

    /// Whether anything is left to mark or to settle.
    pub(super) fn any(&self) -> bool {
        self.ids.values().any(|ids| !ids.is_empty())
    }

    pub(super) fn published(
        &mut self,
        table: &'static str,
        stream: Arc<str>,
        partition: u32,
        mark: Mark,
        written: bool,
    ) {
        self.ids.entry(table).or_default().insert(mark.id);
        let row = Published { mark, table, since: Instant::now(), written };
        self.lines.entry((stream, partition)).or_default().push_back(row);
    }

    /// Like [`write`](Self::write), and marks only what has stood in its stream for a while.
    pub(super) async fn write_ripe(&mut self, db: &Db, bus: &dyn Bus) -> Result<bool, Interruption> {
        self.write_those(db, bus, if db.is_exclusive() { RIPE } else { Duration::ZERO }).await
    }

    /// Settles what every group has acked (the oldest of it, if it is very much), marks the
    /// rest, trims the streams. `true` if it is worth looking again soon: something was settled,
    /// or something is neither settled nor marked yet.
    ///
    /// Fenced: whoever holds a partition by now may have begun anew with a broker that
    /// had lost its memory, and our positions would settle what nobody has heard.
    ///
    /// # On crash
    /// Before the write: the rows are published again. Between write and trim: the
    /// next trim catches up.
    pub(super) async fn write(&mut self, db: &Db, bus: &dyn Bus) -> Result<bool, Interruption> {
        self.write_those(db, bus, Duration::ZERO).await
    }

    /// The same; marks what was published `ripe` ago or earlier.
    async fn write_those(&mut self, db: &Db, bus: &dyn Bus, ripe: Duration) -> Result<bool, Interruption> {
        let mut settled: BTreeMap<&'static str, Vec<Mark>> = BTreeMap::new();
        let mut published: BTreeMap<&'static str, Vec<Mark>> = BTreeMap::new();
        let mut trims = Vec::new();
        let mut unmarked = false;
        let mut room = SETTLE;
        let now = Instant::now();
        for ((stream, partition), line) in &mut self.lines {
            let Some(oldest) = line.front() else { continue };
            let reached = bus.settled(stream, *partition).await?;
            if let Some(reached) = reached.filter(|reached| *reached >= oldest.mark.position) {
                while room > 0
                    && let Some(row) = line.pop_front_if(|row| row.mark.position <= reached)
                {
                    room -= 1;
                    if let Some(ids) = self.ids.get_mut(row.table) {
                        ids.remove(&row.mark.id);
                    }
                    settled.entry(row.table).or_default().push(row.mark);
                }
                trims.push((stream.clone(), *partition, reached));
            }
            // They were published one after the other, so behind one that is not ripe none is.
            let is_ripe = |row: &&mut Published| now.duration_since(row.since) >= ripe;
            for row in line.iter_mut().take_while(is_ripe).filter(|row| !row.written) {
                published.entry(row.table).or_default().push(row.mark);
                row.written = true;
            }
            unmarked |= line.back().is_some_and(|row| !row.written);
        }
        if !settled.is_empty() || !published.is_empty() {
            let mut tx = db.begin_lazy().await?;
            fence(&mut tx, &self.leases).await?;
            for outlet in &self.tables {
                outbox::mark_published(&mut tx, outlet.table, published.get(outlet.table).map_or(&[], Vec::as_slice))
                    .await?;
                outbox::settle(&mut tx, outlet, settled.get(outlet.table).map_or(&[], Vec::as_slice)).await?;
            }
            tx.commit().await?;
        }
        for (stream, partition, reached) in trims {
            bus.trim(&stream, partition, reached).await?;
        }
        Ok(!settled.is_empty() || unmarked)
    }
}

/// Holds leases in place until the transaction ends.
///
/// # Errors
/// One of them is lost.
pub(super) async fn fence(tx: &mut Tx, leases: &[(String, i64)]) -> Result<(), Interruption> {
    let standing = lease::fence(tx, leases).await?;
    if standing.len() == leases.len() { Ok(()) } else { Err(Interruption::Fenced) }
}
