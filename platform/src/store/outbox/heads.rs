//! The **heads** of the lines that a service speaks in: the last sequence given per
//! (source, subject).
//!
//! A head is moved in the transaction that says the message and stays locked until it ends,
//! so a line has no gaps: who rolls back takes his numbers back with him.
//!
//! Chapter: `docs/outbox.md`.

use serde::{Deserialize, Serialize};

use super::Outlet;
use crate::message::Outgoing;
use crate::store::{StoreError, Tx};

#[derive(Serialize)]
struct Moved<'a> {
    source: &'static str,
    subject: &'a str,
    count: usize,
}

#[derive(Deserialize)]
struct Head {
    source: String,
    subject: String,
    last: i64,
}

const MOVE: &str = "INSERT INTO outbox_heads (source, subject, last)
    SELECT r.value->>'source', r.value->>'subject', CAST(r.value->>'count' AS BIGINT)
    FROM jsonb_each($1) AS r WHERE true
    ON CONFLICT (source, subject) DO UPDATE SET last = outbox_heads.last + excluded.last";

/// The sequence of each message. Moves the heads of all lines they speak in forward, on a
/// server in one statement that says where they are now; the heads are locked in the order of
/// their keys, so two batches cannot deadlock over them.
pub(super) async fn next_sequences(
    tx: &mut Tx,
    messages: &[Outgoing],
    outlets: &'static [Outlet],
) -> Result<Vec<i64>, StoreError> {
    let line = |index: usize| (outlets[messages[index].outlet].source, messages[index].subject.as_str());
    // Line by line; a stable sort leaves the messages of a line in their order.
    let mut by_line: Vec<usize> = (0..messages.len()).collect();
    by_line.sort_by_key(|index| line(*index));
    let lines: Vec<&[usize]> = by_line.chunk_by(|one, next| line(*one) == line(*next)).collect();

    let moved: Vec<_> = lines
        .iter()
        .map(|of_line| {
            let (source, subject) = line(of_line[0]);
            Moved { source, subject, count: of_line.len() }
        })
        .collect();
    let mut heads: Vec<Head> = if tx.is_row_by_row() {
        tx.execute_each(MOVE, &moved).await?;
        let read = "SELECT source, subject, last FROM outbox_heads WHERE (source, subject) IN
                    (SELECT r.value->>'source', r.value->>'subject' FROM jsonb_each($1) AS r)";
        tx.fetch_each(read, &moved).await?
    } else {
        tx.fetch(format!("{MOVE} RETURNING source, subject, last"), &moved).await?
    };
    // No order is promised.
    heads.sort_unstable_by(|one, other| (&one.source, &one.subject).cmp(&(&other.source, &other.subject)));

    let mut sequences = vec![0; messages.len()];
    let mut heads = heads.into_iter();
    for of_line in lines {
        let (source, subject) = line(of_line[0]);
        let head = heads
            .next()
            .filter(|head| (head.source.as_str(), head.subject.as_str()) == (source, subject))
            .ok_or_else(|| StoreError::Refused(format!("no sequence for {source} {subject}")))?;
        // The last message of the line has the head's number, those before it the numbers before.
        for (index, sequence) in of_line.iter().rev().zip((1..=head.last).rev()) {
            sequences[*index] = sequence;
        }
    }
    Ok(sequences)
}
