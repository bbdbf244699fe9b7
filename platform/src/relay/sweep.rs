//! Taking bearings at the start of a session, and the sweep over unpublished rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::{Interruption, PUBLISH, Relay};
use crate::bus::Position;
use crate::relay::marks::{Marks, fence};
use crate::store::outbox::{self, Mark};
use crate::tenure::{Held, lease_name, leases};

/// Most rows in one page of what is to be published again.
const FORGET: usize = 16_384;

#[derive(Deserialize)]
struct Known {
    incarnation: String,
}

impl Relay {
    /// Finds out whether the broker is the one we knew. If it may have lost
    /// something, every unsettled row counts as unpublished again, and the delay
    /// queue is rebuilt. Otherwise takes up the unsettled rows where they stand.
    ///
    /// # On crash
    /// The new incarnation is written when all positions are forgotten: a crash before
    /// it takes bearings once more and forgets the rest, after it the sweep finds the rows.
    pub(super) async fn take_bearings(&self, held: &Held) -> Result<(String, Marks), Interruption> {
        let incarnation = self.bus.incarnation().await?;
        let partitions: Vec<u32> = held.keys().copied().collect();
        let leases = if self.db.is_exclusive() { Vec::new() } else { leases(held) };
        let names: Vec<String> = partitions.iter().map(|partition| lease_name(*partition)).collect();
        let known: Vec<Known> = self
            .db
            .read(
                "SELECT incarnation FROM relay, jsonb_each($1) AS r WHERE relay.name = r.value->>'name'",
                &names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
            )
            .await?;
        // Known only if every partition was last published to the same one.
        let known = known
            .first()
            .filter(|first| known.len() == names.len() && known.iter().all(|row| row.incarnation == first.incarnation))
            .map(|row| row.incarnation.as_str());

        let mut marks = Marks::new(self.tables(), leases.clone());
        let mut newest: BTreeMap<(Arc<str>, u32), Position> = BTreeMap::new();
        for outlet in self.tables() {
            for row in outbox::unsettled(&self.db, outlet.table, &partitions).await? {
                let position: Position = row.position.parse()?;
                let stream: Arc<str> = row.stream.as_str().into();
                let partition = u32::try_from(row.partition).unwrap_or(0);
                newest
                    .entry((stream.clone(), partition))
                    .and_modify(|newest| *newest = position.max(*newest))
                    .or_insert(position);
                marks.published(outlet.table, stream, partition, Mark { id: row.id, position }, true);
            }
        }
        let newest: Vec<_> =
            newest.into_iter().map(|((stream, partition), position)| (stream, partition, position)).collect();
        let lost = self.bus.lost_since(known, &newest).await?;
        if !lost && known == Some(incarnation.as_str()) {
            return Ok((incarnation, marks));
        }
        if lost {
            for outlet in self.tables() {
                let forgotten = self.forget(outlet.table, &partitions, &leases).await?;
                if forgotten > 0 {
                    tracing::warn!(
                        service = self.spec.name,
                        table = outlet.table,
                        rows = forgotten,
                        "the broker may have lost messages; publishing them again"
                    );
                }
            }
            marks = Marks::new(self.tables(), leases.clone());
        }
        let mut tx = self.db.begin().await?;
        fence(&mut tx, &leases).await?;
        tx.execute(
            "INSERT INTO relay (name, incarnation)
             SELECT r.value->>'name', r.value->>'incarnation' FROM jsonb_each($1) AS r WHERE true
             ON CONFLICT (name) DO UPDATE SET incarnation = excluded.incarnation",
            &names.iter().map(|name| json!({ "name": name, "incarnation": incarnation })).collect::<Vec<_>>(),
        )
        .await?;
        tx.commit().await?;
        if lost {
            self.delay_queue.rebuild();
        }
        Ok((incarnation, marks))
    }

    /// Makes every unsettled row count as unpublished, page by page: all at once it might take
    /// longer than a statement may, for ever.
    async fn forget(&self, table: &str, partitions: &[u32], leases: &[(String, i64)]) -> Result<u64, Interruption> {
        let mut all = 0;
        loop {
            let mut tx = self.db.begin().await?;
            fence(&mut tx, leases).await?;
            let forgotten = outbox::forget_positions(&mut tx, table, partitions, FORGET).await?;
            tx.commit().await?;
            all += forgotten;
            if forgotten < FORGET as u64 {
                return Ok(all);
            }
        }
    }

    /// Publishes every row that is not known to be published, oldest first.
    pub(super) async fn sweep(&self, held: &Held, incarnation: &str, marks: &mut Marks) -> Result<(), Interruption> {
        let partitions: Vec<u32> = held.keys().copied().collect();
        for outlet in self.tables() {
            loop {
                let rows = outbox::unpublished(&self.db, outlet.table, &partitions, PUBLISH).await?;
                let found = rows.len();
                let rows = rows
                    .into_iter()
                    .filter(|row| !marks.knows(outlet.table, row.id))
                    .map(|row| (outlet.table, row))
                    .collect();
                self.publish(rows, incarnation, marks).await?;
                if found < PUBLISH {
                    break;
                }
                // So that the next round finds the next rows.
                marks.write(&self.db, &*self.bus).await?;
            }
        }
        Ok(())
    }
}
