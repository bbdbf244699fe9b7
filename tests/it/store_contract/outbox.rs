//! The outbox: gapless sequences under concurrency, and a row's way from
//! unpublished to settled, in a table that deletes and in one that keeps.

use std::collections::BTreeMap;

use platform::bus::Position;
use platform::message::{Envelope, Outgoing};
use platform::store::outbox::{self, Mark, OutboxRow, Outlet, Stamp};
use platform::topology::partition_of;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::value::RawValue;

use super::*;

contract! {
    appended_rows_come_back_in_the_order_of_the_messages
    sequences_are_gapless_under_concurrent_transactions
    a_row_goes_from_unpublished_to_settled
    what_is_kept_is_marked_and_never_published_again
    only_rows_of_the_asked_partitions_are_seen
}

const DELETING: usize = 0;
const KEEPING: usize = 1;
const OUTLETS: [Outlet; 2] = [
    Outlet { source: "/test", stream: "test.out", table: "outbox", keeps: false },
    Outlet { source: "/test/events", stream: "test.events", table: "events", keeps: true },
];
const PARTITIONS: u32 = 4;
const ALL: [u32; 4] = [0, 1, 2, 3];

/// The columns of the platform's outbox, as an event store has them.
const EVENTS: [Migration; 1] = [Migration {
    version: 1,
    name: "events",
    sql: "CREATE TABLE events (
        id {identity}, stream TEXT NOT NULL, partition BIGINT NOT NULL, source TEXT NOT NULL, subject TEXT NOT NULL,
        sequence BIGINT NOT NULL, type TEXT NOT NULL, time BIGINT NOT NULL, envelope TEXT NOT NULL,
        position TEXT, settled BIGINT NOT NULL DEFAULT 0, UNIQUE (source, subject, sequence))",
}];

fn message(outlet: usize, subject: &str, text: &str) -> Outgoing {
    Outgoing {
        outlet,
        subject: subject.to_owned(),
        kind: "test.v1.Said".to_owned(),
        correlation_id: "c".to_owned(),
        data: RawValue::from_string(json!({ "text": text }).to_string()).unwrap(),
    }
}

async fn append(tx: &mut Tx, messages: &[Outgoing]) -> Result<Vec<(&'static str, OutboxRow)>, StoreError> {
    let causes: Vec<_> = (0..messages.len()).map(|index| format!("cause {index}")).collect();
    let stamp = Stamp { outlets: &OUTLETS, partitions: PARTITIONS, now: 1_700_000_000_000, causes: &causes };
    outbox::append(tx, messages, stamp).await
}

async fn appended(db: &Db, messages: &[Outgoing]) -> Result<Vec<(&'static str, OutboxRow)>, StoreError> {
    let mut tx = db.begin().await?;
    let rows = append(&mut tx, messages).await?;
    tx.commit().await?;
    Ok(rows)
}

async fn unpublished(db: &Db, table: &str) -> Result<Vec<OutboxRow>, StoreError> {
    outbox::unpublished(db, table, &ALL, 100_000).await
}

fn ids(rows: &[OutboxRow]) -> Vec<i64> {
    rows.iter().map(|row| row.id).collect()
}

/// Positions as they are given out, one after the other.
fn marks(ids: &[i64]) -> Vec<Mark> {
    (1..).zip(ids).map(|(seq, id)| Mark { id: *id, position: Position { ms: 7, seq } }).collect()
}

async fn appended_rows_come_back_in_the_order_of_the_messages(store: &Store) -> Result<()> {
    store.db.migrate(&EVENTS).await?;
    let texts = ["'", "\\", "ü \u{1} \"", "{}", "\0"];
    let mut messages = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        messages.push(message(index % 2, "s", text));
        messages.push(message(KEEPING, "other", text));
    }
    let rows = appended(&store.db, &messages).await?;
    assert_eq!(rows.len(), messages.len());
    let mut sequences: BTreeMap<(usize, &str), i64> = BTreeMap::new();
    for (index, ((table, row), message)) in rows.iter().zip(&messages).enumerate() {
        let sequence = sequences.entry((message.outlet, &message.subject)).or_default();
        *sequence += 1;
        let outlet = OUTLETS[message.outlet];
        let envelope = Envelope::parse(&row.envelope)?;
        assert_eq!((*table, row.stream.as_str()), (outlet.table, outlet.stream));
        assert_eq!(row.partition, i64::from(partition_of(&message.subject, PARTITIONS)));
        assert_eq!((envelope.source.as_str(), envelope.sequence), (outlet.source, *sequence));
        assert_eq!((envelope.causation_id, envelope.time), (format!("cause {index}"), 1_700_000_000_000));
        assert_eq!(envelope.data.get(), message.data.get(), "not a byte of the payload is touched");
    }
    let mut kept = unpublished(&store.db, "outbox").await?;
    kept.extend(unpublished(&store.db, "events").await?);
    for (_, row) in &rows {
        assert!(
            kept.iter().any(|kept| kept.id == row.id && kept.envelope == row.envelope),
            "what was handed over stands there"
        );
    }
    Ok(())
}

async fn sequences_are_gapless_under_concurrent_transactions(store: &Store) -> Result<()> {
    store.db.migrate(&EVENTS).await?;
    let mut random = seeded();
    let tasks: Vec<_> =
        (0..8).map(|_| tokio::spawn(fifty_batches(store.db.clone(), StdRng::seed_from_u64(random.random())))).collect();
    let mut said = 0;
    for task in tasks {
        said += task.await??;
    }
    let mut found = 0;
    for table in ["outbox", "events"] {
        let mut lines: BTreeMap<(String, String), i64> = BTreeMap::new();
        // In the order of ids, as the relay's sweep publishes them.
        for row in unpublished(&store.db, table).await? {
            let envelope = Envelope::parse(&row.envelope)?;
            let last = lines.entry((envelope.source, envelope.subject)).or_default();
            assert_eq!(envelope.sequence, *last + 1, "row {}", row.id);
            *last += 1;
            found += 1;
        }
    }
    assert_eq!(found, said, "every committed message, and no other");
    Ok(())
}

/// Gives how many messages were committed. A third of the transactions is not.
async fn fifty_batches(db: Db, mut random: StdRng) -> Result<usize, StoreError> {
    let mut said = 0;
    for _ in 0..50 {
        let messages: Vec<_> = (0..random.random_range(1..20))
            .map(|_| message(random.random_range(0..2), &format!("s{}", random.random_range(0..6)), "x"))
            .collect();
        let given_up = random.random_ratio(1, 3);
        loop {
            let mut tx = db.begin().await?;
            let result = match append(&mut tx, &messages).await {
                Ok(_) if given_up => break,
                Ok(_) => tx.commit().await,
                Err(error) => Err(error),
            };
            match result {
                Ok(()) => {
                    said += messages.len();
                    break;
                }
                Err(StoreError::Conflict(_)) => {}
                Err(other) => return Err(other),
            }
        }
    }
    Ok(said)
}

async fn a_row_goes_from_unpublished_to_settled(store: &Store) -> Result<()> {
    store.db.migrate(&EVENTS).await?;
    let db = &store.db;
    appended(db, &[message(DELETING, "a", "1"), message(DELETING, "b", "1"), message(DELETING, "a", "2")]).await?;
    let rows = unpublished(db, "outbox").await?;
    assert_eq!(rows.len(), 3);
    assert!(outbox::unsettled(db, "outbox", &ALL).await?.is_empty());
    assert_eq!(ids(&outbox::unpublished(db, "outbox", &ALL, 2).await?), ids(&rows)[..2], "oldest first");

    let marks = marks(&ids(&rows));
    let mut tx = db.begin_lazy().await?;
    outbox::mark_published(&mut tx, "outbox", &marks[..2]).await?;
    tx.commit().await?;
    assert_eq!(ids(&unpublished(db, "outbox").await?), [rows[2].id]);
    let unsettled = outbox::unsettled(db, "outbox", &ALL).await?;
    assert_eq!(unsettled.iter().map(|row| row.id).collect::<Vec<_>>(), [rows[0].id, rows[1].id]);
    assert_eq!(unsettled[0].position.parse::<Position>()?, marks[0].position);

    let mut tx = db.begin_lazy().await?;
    outbox::settle(&mut tx, &OUTLETS[DELETING], &marks[..1]).await?;
    tx.commit().await?;
    assert_eq!(count(db, "outbox").await?, 2, "a settled row is gone");

    let mut tx = db.begin().await?;
    assert_eq!(outbox::forget_positions(&mut tx, "outbox", &ALL, 100).await?, 1);
    tx.commit().await?;
    assert_eq!(ids(&unpublished(db, "outbox").await?), [rows[1].id, rows[2].id], "after a loss, in order");

    // Most rows settle before they were ever marked.
    let mut tx = db.begin_lazy().await?;
    outbox::settle(&mut tx, &OUTLETS[DELETING], &marks).await?;
    tx.commit().await?;
    assert_eq!(count(db, "outbox").await?, 0);
    let again = appended(db, &[message(DELETING, "a", "3")]).await?;
    assert_eq!(Envelope::parse(&again[0].1.envelope)?.sequence, 3, "the sequence outlives its rows");
    assert!(again[0].1.id > rows[2].id, "and an id is never given again");
    Ok(())
}

async fn what_is_kept_is_marked_and_never_published_again(store: &Store) -> Result<()> {
    store.db.migrate(&EVENTS).await?;
    let db = &store.db;
    appended(db, &[message(KEEPING, "a", "1"), message(KEEPING, "a", "2")]).await?;
    let rows = unpublished(db, "events").await?;
    let marks = marks(&ids(&rows));
    let mut tx = db.begin_lazy().await?;
    outbox::mark_published(&mut tx, "events", &marks).await?;
    outbox::settle(&mut tx, &OUTLETS[KEEPING], &marks[..1]).await?;
    tx.commit().await?;
    assert_eq!(count(db, "events").await?, 2, "an event is kept");
    assert_eq!(outbox::unsettled(db, "events", &ALL).await?.len(), 1);
    let mut tx = db.begin().await?;
    assert_eq!(outbox::forget_positions(&mut tx, "events", &ALL, 100).await?, 1);
    tx.commit().await?;
    assert_eq!(ids(&unpublished(db, "events").await?), [rows[1].id], "only what is not settled");
    Ok(())
}

async fn only_rows_of_the_asked_partitions_are_seen(store: &Store) -> Result<()> {
    store.db.migrate(&EVENTS).await?;
    let db = &store.db;
    let messages: Vec<_> = (0..40).map(|index| message(DELETING, &format!("s{index}"), "x")).collect();
    appended(db, &messages).await?;
    let mut seen = 0;
    for partition in ALL {
        let rows = outbox::unpublished(db, "outbox", &[partition], 100).await?;
        assert!(!rows.is_empty() && rows.iter().all(|row| row.partition == i64::from(partition)));
        seen += rows.len();
        let mut tx = db.begin().await?;
        outbox::mark_published(&mut tx, "outbox", &marks(&ids(&rows))).await?;
        tx.commit().await?;
    }
    assert_eq!(seen, 40);
    assert!(outbox::unpublished(db, "outbox", &[], 100).await?.is_empty());
    let mut tx = db.begin().await?;
    let forgotten = outbox::forget_positions(&mut tx, "outbox", &[0, 3], 100).await?;
    assert_eq!(outbox::forget_positions(&mut tx, "outbox", &[1, 2], 5).await?, 5, "no more than was asked for");
    tx.commit().await?;
    assert_eq!(outbox::unsettled(db, "outbox", &[1, 2]).await?.len() as u64, 40 - 5 - forgotten);
    assert!(outbox::unsettled(db, "outbox", &[0, 3]).await?.is_empty());
    Ok(())
}
