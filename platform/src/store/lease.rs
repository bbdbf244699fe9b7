//! **Leases**: who may act for a partition, until when; and **fencing**.
//!
//! A lease is a row in the service's own database, so that it and the work it
//! guards stand or fall together. It is renewed by its holder and taken over by
//! another when it lapses. Every take-over raises the *epoch*; a commit that was
//! prepared under an older epoch is refused ([`fence`]), so that a holder that
//! slept through its lease can do no harm when it wakes up.
//!
//! The claim repeats its predicate in the `WHERE` of the writing statement:
//! choosing in a sub-select alone lets two claimers take the same row.
//!
//! Who shares the leases is in [`members`].
//!
//! Chapter: `docs/leases.md`.

pub mod members;

use serde::Deserialize;
use serde_json::json;

use super::{Db, StoreError, Tx};
use crate::clock::{Clock, Millis};

/// A lease that is held.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Lease {
    /// What is leased.
    pub name: String,
    /// Raised by every take-over.
    pub epoch: i64,
    /// Unix milliseconds by [`time`]; renewed before.
    pub expires_at: Millis,
}

/// Who claims, and for how long.
#[derive(Debug, Clone)]
pub struct Claimant {
    /// Unique per process start; not empty, which is nobody.
    pub holder: String,
    /// Milliseconds that a claim or renewal lasts.
    pub ttl: i64,
}

/// The time that leases are measured by, Unix milliseconds: the database's own where
/// several machines share one, so that their clocks need not agree.
///
/// # Errors
/// As the store answers.
pub async fn time(db: &Db) -> Result<Millis, StoreError> {
    if db.is_exclusive() {
        return Ok(Clock::system().now());
    }
    // Not `now()`, which is the time when a transaction began.
    let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now WHERE $1 <> ''";
    let rows: Vec<Time> = db.read(sql, &[0; 0]).await?;
    rows.first().map(|row| row.now).ok_or_else(|| StoreError::Refused("the database has no time".into()))
}

#[derive(Deserialize)]
struct Time {
    now: Millis,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

/// What ends a query that takes rows of the alias `of` to change them, and leaves alone
/// what another transaction has its hands on. Without it one process that stops in the
/// middle of a transaction would make every other one wait.
fn taking(db: &Db, of: &str) -> String {
    if db.is_exclusive() { String::new() } else { format!(" FOR UPDATE OF {of} SKIP LOCKED") }
}

impl Claimant {
    /// Claims at most `most` of `names`: those that are free, lapsed, or (where this
    /// process alone can write) left behind by an earlier process. Durable before it
    /// returns: an epoch must never be handed out twice.
    ///
    /// What a transaction holds in place ([`fence`], [`hold_still`]) is left for the
    /// next time.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn claim(&self, db: &Db, names: &[String], most: usize, now: Millis) -> Result<Vec<Lease>, StoreError> {
        if names.is_empty() || most == 0 {
            return Ok(Vec::new());
        }
        let force = i64::from(db.is_exclusive());
        let row = |name: &String| json!({ "name": name, "holder": self.holder, "now": now, "until": now + self.ttl, "force": force });
        let rows: Vec<_> = names.iter().map(row).collect();
        let mut tx = db.begin().await?;
        // What nobody ever had is a row that nobody holds: something to lock.
        tx.execute(
            "INSERT INTO leases (name, holder, epoch, expires_at)
             SELECT r.value->>'name', '', 0, 0 FROM jsonb_each($1) AS r WHERE true
             ON CONFLICT (name) DO NOTHING",
            &rows,
        )
        .await?;
        let free: Vec<Name> = tx
            .fetch(
                format!(
                    "SELECT l.name FROM leases AS l, jsonb_each($1) AS r
                     WHERE l.name = r.value->>'name' AND (l.expires_at < CAST(r.value->>'now' AS BIGINT)
                       OR (l.holder <> r.value->>'holder' AND CAST(r.value->>'force' AS BIGINT) = 1))
                     ORDER BY l.name LIMIT {most}{}",
                    taking(db, "l")
                ),
                &rows,
            )
            .await?;
        let rows: Vec<_> = free.iter().map(|free| row(&free.name)).collect();
        let leases = if rows.is_empty() { Vec::new() } else { take(&mut tx, &rows).await? };
        tx.commit().await?;
        Ok(leases)
    }

    /// Gives leases back, so that another need not wait for them to lapse.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn release(&self, db: &Db, held: &[Lease]) -> Result<(), StoreError> {
        if held.is_empty() {
            return Ok(());
        }
        let mut tx = db.begin().await?;
        self.give_back(&mut tx, held).await?;
        tx.commit().await
    }

    async fn give_back(&self, tx: &mut Tx, held: &[Lease]) -> Result<(), StoreError> {
        let rows: Vec<_> = held
            .iter()
            .map(|lease| json!({ "name": lease.name, "epoch": lease.epoch, "holder": self.holder }))
            .collect();
        self.lock_by_name(tx).await?;
        tx.execute(
            "UPDATE leases SET holder = '', expires_at = 0 FROM jsonb_each($1) AS r
             WHERE leases.name = r.value->>'name' AND leases.holder = r.value->>'holder'
               AND leases.epoch = CAST(r.value->>'epoch' AS BIGINT)",
            &rows,
        )
        .await?;
        Ok(())
    }

    /// Locks what is held under our name in the order in which [`fence`] does. An `UPDATE` alone
    /// takes the rows as they happen to lie, and a commit that is fenced meanwhile takes them by
    /// name: a deadlock, which holds up this process's work for a second.
    async fn lock_by_name(&self, tx: &mut Tx) -> Result<(), StoreError> {
        tx.fetch_for_update::<Name>(
            "SELECT l.name FROM leases AS l
             WHERE l.holder IN (SELECT r.value->>'holder' FROM jsonb_each($1) AS r) ORDER BY l.name",
            &[json!({ "holder": self.holder })],
        )
        .await?;
        Ok(())
    }

    /// Renews all that is held under our name.
    async fn renew(&self, tx: &mut Tx, now: Millis) -> Result<Vec<Lease>, StoreError> {
        self.lock_by_name(tx).await?;
        tx.fetch(
            "UPDATE leases SET expires_at = CAST(r.value->>'until' AS BIGINT) FROM jsonb_each($1) AS r
             WHERE leases.holder = r.value->>'holder'
             RETURNING leases.name, leases.epoch, leases.expires_at",
            &[json!({ "holder": self.holder, "until": now + self.ttl })],
        )
        .await
    }
}

/// The claim itself; asks once more whether each is free.
async fn take(tx: &mut Tx, rows: &[serde_json::Value]) -> Result<Vec<Lease>, StoreError> {
    tx.fetch(
        "UPDATE leases
         SET holder = r.value->>'holder', epoch = leases.epoch + 1, expires_at = CAST(r.value->>'until' AS BIGINT)
         FROM jsonb_each($1) AS r
         WHERE leases.name = r.value->>'name' AND (leases.expires_at < CAST(r.value->>'now' AS BIGINT)
           OR (leases.holder <> r.value->>'holder' AND CAST(r.value->>'force' AS BIGINT) = 1))
         RETURNING leases.name, leases.epoch, leases.expires_at",
        &rows,
    )
    .await
}

/// Keeps whoever holds a lease from committing under it until the transaction ends, and
/// waits for what it has begun: for a change of the holder's own rows by somebody else.
/// Must be the transaction's first statement, so that it sees what the holder has done.
///
/// # Errors
/// As the store answers.
pub async fn hold_still(tx: &mut Tx, name: &str) -> Result<(), StoreError> {
    tx.fetch_for_update::<Name>(
        "SELECT l.name FROM leases AS l
         WHERE l.name IN (SELECT r.value->>'name' FROM jsonb_each($1) AS r) ORDER BY l.name",
        &[json!({ "name": name })],
    )
    .await?;
    Ok(())
}

/// Which of the given (name, epoch) pairs still stand, checked and held in place
/// until the transaction ends.
///
/// # Errors
/// As the store answers.
pub async fn fence(tx: &mut Tx, leases: &[(String, i64)]) -> Result<Vec<String>, StoreError> {
    if leases.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<_> = leases.iter().map(|(name, epoch)| json!({ "name": name, "epoch": epoch })).collect();
    let standing: Vec<Name> = tx
        .fetch_for_share(
            "SELECT l.name FROM leases AS l WHERE (l.name, l.epoch) IN
             (SELECT r.value->>'name', CAST(r.value->>'epoch' AS BIGINT) FROM jsonb_each($1) AS r)
             ORDER BY l.name",
            &rows,
        )
        .await?;
    Ok(standing.into_iter().map(|row| row.name).collect())
}
