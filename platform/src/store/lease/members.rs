//! **Membership**: which processes of a service are at work, so that the partitions can
//! be shared out among them.
//!
//! A member is a row that its process renews together with its leases, in one
//! transaction: who cannot do the one cannot do the other. A member that is not
//! renewed lapses like a lease, and whoever looks next removes it.

use serde::Deserialize;
use serde_json::json;

use super::{Claimant, Lease, taking};
use crate::clock::Millis;
use crate::store::{Db, StoreError};

/// How things stand after a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attendance {
    /// Ours, renewed. What is missing is lost.
    pub leases: Vec<Lease>,
    /// Everybody who is at work, ourselves among them, in one order for all.
    pub members: Vec<String>,
    /// Names of the leases that others hold.
    pub taken: Vec<String>,
    /// Members whose time had run out; each is seen by one process only.
    pub gone: Vec<String>,
}

#[derive(Deserialize)]
struct Holder {
    holder: String,
}

#[derive(Deserialize)]
struct Taken {
    name: String,
}

impl Claimant {
    /// Makes itself known, renews what it holds, removes members that have lapsed, and
    /// looks round. Lazy: what a power cut forgets ends a lease earlier.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn attend(&self, db: &Db, now: Millis) -> Result<Attendance, StoreError> {
        let me = [json!({ "holder": self.holder, "now": now, "until": now + self.ttl })];
        let mut tx = db.begin_lazy().await?;
        // Ourselves first: who removes members skips those that are in hand, so that two
        // processes that hold each other dead do not wait for each other.
        tx.execute(
            "INSERT INTO members (holder, expires_at)
             SELECT r.value->>'holder', CAST(r.value->>'until' AS BIGINT) FROM jsonb_each($1) AS r WHERE true
             ON CONFLICT (holder) DO UPDATE SET expires_at = excluded.expires_at",
            &me,
        )
        .await?;
        let gone: Vec<Holder> = tx
            .fetch(
                format!(
                    "SELECT m.holder FROM members AS m, jsonb_each($1) AS r
                     WHERE m.expires_at < CAST(r.value->>'now' AS BIGINT) ORDER BY m.holder{}",
                    taking(db, "m")
                ),
                &me,
            )
            .await?;
        let gone: Vec<String> = gone.into_iter().map(|row| row.holder).collect();
        if !gone.is_empty() {
            tx.execute(
                "DELETE FROM members WHERE holder IN (SELECT r.value->>'holder' FROM jsonb_each($1) AS r)",
                &gone.iter().map(|holder| json!({ "holder": holder })).collect::<Vec<_>>(),
            )
            .await?;
        }
        let leases = self.renew(&mut tx, now).await?;
        let members: Vec<Holder> = tx
            .fetch(
                "SELECT m.holder FROM members AS m, jsonb_each($1) AS r
                 WHERE m.expires_at >= CAST(r.value->>'now' AS BIGINT) ORDER BY m.holder",
                &me,
            )
            .await?;
        let taken: Vec<Taken> = tx
            .fetch(
                "SELECT l.name FROM leases AS l, jsonb_each($1) AS r
                 WHERE l.holder <> r.value->>'holder' AND l.expires_at >= CAST(r.value->>'now' AS BIGINT)",
                &me,
            )
            .await?;
        tx.commit().await?;
        Ok(Attendance {
            leases,
            members: members.into_iter().map(|row| row.holder).collect(),
            taken: taken.into_iter().map(|row| row.name).collect(),
            gone,
        })
    }

    /// Is no member any more, and holds nothing of `held` any more. Harmless for who never
    /// was one.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn leave(&self, db: &Db, held: &[Lease]) -> Result<(), StoreError> {
        let mut tx = db.begin().await?;
        self.give_back(&mut tx, held).await?;
        tx.execute(
            "DELETE FROM members WHERE holder IN (SELECT r.value->>'holder' FROM jsonb_each($1) AS r)",
            &[json!({ "holder": self.holder })],
        )
        .await?;
        tx.commit().await
    }
}
