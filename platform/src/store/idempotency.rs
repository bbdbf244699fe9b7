//! **Idempotent commands**: the result of a command is stored with its effect.
//!
//! A client that lost the answer asks again with the same key and gets the same
//! answer; the effect happens once. Only a success or a definite rejection is
//! stored: "not now" may be followed by a success. The fingerprint of the request
//! catches a key that is used again for something else. A command without an id has
//! none of this: its input brings a key of its own.
//!
//! Chapter: `docs/idempotency.md`.

use std::collections::HashMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{StoreError, Tx};
use crate::clock::Millis;
use crate::error::Rejection;

/// A stored result.
#[derive(Debug, Clone)]
pub struct Stored<R> {
    /// Of the request that had this result.
    pub fingerprint: String,
    /// What was answered.
    pub result: Result<R, Rejection>,
}

#[derive(Deserialize)]
struct StoredRow {
    command_id: String,
    fingerprint: String,
    result: String,
}

#[derive(Serialize)]
struct Asked<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct NewRow<'a> {
    id: &'a str,
    fingerprint: &'a str,
    result: String,
    at: Millis,
}

/// The fingerprint of a request: equal for equal requests. 128 bits of SHA-256.
pub fn fingerprint(request: &[u8]) -> String {
    let half = Sha256::digest(request).into_iter().take(16).fold(0_u128, |bits, byte| bits << 8 | u128::from(byte));
    format!("{half:032x}")
}

/// Reads the stored results of the given command ids.
///
/// # Errors
/// As the store answers.
pub async fn load<R: DeserializeOwned>(
    tx: &mut Tx,
    command_ids: &[&str],
) -> Result<HashMap<String, Stored<R>>, StoreError> {
    if command_ids.is_empty() {
        return Ok(HashMap::new());
    }
    let args: Vec<_> = command_ids.iter().map(|id| Asked { id }).collect();
    let rows: Vec<StoredRow> = tx
        .fetch_each(
            "SELECT command_id, fingerprint, result FROM idempotency
             WHERE command_id IN (SELECT r.value->>'id' FROM jsonb_each($1) AS r)",
            &args,
        )
        .await?;
    rows.into_iter()
        .map(|row| {
            let result = serde_json::from_str(&row.result)
                .map_err(|error| StoreError::Refused(format!("stored result of {}: {error}", row.command_id)))?;
            Ok((row.command_id, Stored { fingerprint: row.fingerprint, result }))
        })
        .collect()
}

/// Stores results. Two commands with one id in two processes are a conflict of
/// which the second decides again and finds the first one's result.
///
/// # Errors
/// As the store answers.
pub async fn save<R: Serialize>(tx: &mut Tx, results: &[(String, Stored<R>)], now: Millis) -> Result<(), StoreError> {
    if results.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(results.len());
    for (id, stored) in results {
        let result = serde_json::to_string(&stored.result)
            .map_err(|error| StoreError::Refused(format!("result of {id}: {error}")))?;
        rows.push(NewRow { id, fingerprint: &stored.fingerprint, result, at: now });
    }
    tx.execute_each(
        "INSERT INTO idempotency (command_id, fingerprint, result, at)
         SELECT r.value->>'id', r.value->>'fingerprint', r.value->>'result', CAST(r.value->>'at' AS BIGINT)
         FROM jsonb_each($1) AS r",
        &rows,
    )
    .await
}
