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
//! Chapter: `docs/leases.md`.

use serde_json::json;
use sqlx::FromRow;

use super::{Db, StoreError, Tx};
use crate::clock::Millis;

/// A lease that is held.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Lease {
    /// What is leased.
    pub name: String,
    /// Raised by every take-over.
    pub epoch: i64,
    /// Unix milliseconds; renewed before.
    pub expires_at: Millis,
}

/// Who claims, and for how long.
#[derive(Debug, Clone)]
pub struct Claimant {
    /// Unique per process start.
    pub holder: String,
    /// Milliseconds that a claim or renewal lasts.
    pub ttl: i64,
}

impl Claimant {
    /// Claims those of `names` that are free, lapsed, or (where this process alone
    /// can write) left behind by an earlier process. Durable before it returns:
    /// an epoch must never be handed out twice.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn claim(&self, db: &Db, names: &[String], now: Millis) -> Result<Vec<Lease>, StoreError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let force = i64::from(db.is_exclusive());
        let rows: Vec<_> = names
            .iter()
            .map(|name| {
                json!({
                    "name": name, "holder": self.holder, "now": now, "until": now + self.ttl, "force": force,
                })
            })
            .collect();
        let mut tx = db.begin().await?;
        let leases = tx
            .fetch(
                "INSERT INTO leases (name, holder, epoch, expires_at)
                 SELECT r.value->>'name', r.value->>'holder', 1, CAST(r.value->>'until' AS BIGINT)
                 FROM jsonb_each($1) AS r WHERE true
                 ON CONFLICT (name) DO UPDATE
                 SET holder = excluded.holder, epoch = leases.epoch + 1, expires_at = excluded.expires_at
                 WHERE leases.holder <> excluded.holder
                   AND (leases.expires_at < (SELECT MIN(CAST(n.value->>'now' AS BIGINT)) FROM jsonb_each($1) AS n)
                        OR (SELECT MIN(CAST(n.value->>'force' AS BIGINT)) FROM jsonb_each($1) AS n) = 1)
                 RETURNING name, epoch, expires_at",
                &rows,
            )
            .await?;
        tx.commit().await?;
        Ok(leases)
    }

    /// Renews what is held and still ours; what is missing from the answer is lost.
    /// Lazy: a renewal that a power cut forgets only ends the lease earlier.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn renew(&self, db: &Db, held: &[Lease], now: Millis) -> Result<Vec<Lease>, StoreError> {
        if held.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<_> = held
            .iter()
            .map(|lease| {
                json!({ "name": lease.name, "epoch": lease.epoch, "holder": self.holder, "until": now + self.ttl })
            })
            .collect();
        let mut tx = db.begin_lazy().await?;
        let leases = tx
            .fetch(
                "UPDATE leases SET expires_at = CAST(r.value->>'until' AS BIGINT) FROM jsonb_each($1) AS r
                 WHERE leases.name = r.value->>'name' AND leases.holder = r.value->>'holder'
                   AND leases.epoch = CAST(r.value->>'epoch' AS BIGINT)
                 RETURNING leases.name, leases.epoch, leases.expires_at",
                &rows,
            )
            .await?;
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
        let rows: Vec<_> = held
            .iter()
            .map(|lease| json!({ "name": lease.name, "epoch": lease.epoch, "holder": self.holder }))
            .collect();
        let mut tx = db.begin().await?;
        tx.execute(
            "UPDATE leases SET expires_at = 0 FROM jsonb_each($1) AS r
             WHERE leases.name = r.value->>'name' AND leases.holder = r.value->>'holder'
               AND leases.epoch = CAST(r.value->>'epoch' AS BIGINT)",
            &rows,
        )
        .await?;
        tx.commit().await
    }
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

#[derive(FromRow)]
struct Name {
    name: String,
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
