//! Leases: one holder at a time, and no harm from the one before.

use std::collections::HashSet;

use platform::store::lease::{self, Claimant, Lease};
use rand::seq::SliceRandom;

use super::*;
use crate::servers::{PATIENCE, until};

contract! {
    no_epoch_of_a_lease_is_handed_out_twice
    a_holder_does_not_claim_what_it_holds
    renewal_keeps_a_lease_and_nothing_else
    a_take_over_raises_the_epoch_and_fences_off_the_holder_before
    a_released_lease_is_free_at_once
}

const NOW: i64 = 1_700_000_000_000;
const TTL: i64 = 5_000;

fn claimant(holder: &str) -> Claimant {
    Claimant { holder: holder.to_owned(), ttl: TTL }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("name-{index:04}")).collect()
}

async fn stands(db: &Db, held: &Lease) -> Result<bool, StoreError> {
    let mut tx = db.begin().await?;
    let standing = lease::fence(&mut tx, &[(held.name.clone(), held.epoch)]).await?;
    Ok(standing == std::slice::from_ref(&held.name))
}

/// Eight claimers, all names, at one moment. Where leases lapse by time alone
/// each name goes to one; an engine whose writer is alone hands over at once,
/// because whoever held it before must be dead.
async fn no_epoch_of_a_lease_is_handed_out_twice(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let mut random = seeded();
    let tasks: Vec<_> = (0..8)
        .map(|index| {
            let db = db.clone();
            let all = names(2_000);
            let mut parts: Vec<_> = all.chunks(100).map(<[String]>::to_vec).collect();
            parts.shuffle(&mut random);
            tokio::spawn(async move {
                let claimant = claimant(&format!("process {index}"));
                let mut claimed = Vec::new();
                for part in parts {
                    claimed.extend(claimant.claim(&db, &part, NOW).await?);
                }
                Ok::<_, StoreError>(claimed)
            })
        })
        .collect();
    let mut handed_out = HashSet::new();
    for task in tasks {
        for lease in task.await?? {
            assert!(handed_out.insert((lease.name.clone(), lease.epoch)), "{lease:?} twice");
        }
    }
    assert_eq!(handed_out.len(), if db.is_exclusive() { 16_000 } else { 2_000 });
    Ok(())
}

async fn a_holder_does_not_claim_what_it_holds(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let a = claimant("a");
    assert!(a.claim(db, &[], NOW).await?.is_empty());
    let held = a.claim(db, &names(3), NOW).await?;
    assert_eq!(held.len(), 3);
    assert!(held.iter().all(|lease| (lease.epoch, lease.expires_at) == (1, NOW + TTL)));
    assert!(a.claim(db, &names(3), NOW + 2 * TTL).await?.is_empty());
    assert_eq!(a.claim(db, &names(4), NOW).await?.len(), 1, "but what is new");
    Ok(())
}

async fn renewal_keeps_a_lease_and_nothing_else(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let (a, b) = (claimant("a"), claimant("b"));
    let held = a.claim(db, &names(2), NOW).await?;
    let renewed = a.renew(db, &held, NOW + 4_000).await?;
    assert_eq!(renewed.len(), 2);
    assert!(renewed.iter().all(|lease| (lease.epoch, lease.expires_at) == (1, NOW + 4_000 + TTL)));
    assert!(b.renew(db, &held, NOW).await?.is_empty(), "not another's");
    let forged: Vec<_> = held.iter().map(|lease| Lease { epoch: 2, ..lease.clone() }).collect();
    assert!(a.renew(db, &forged, NOW).await?.is_empty(), "not another epoch");
    if !db.is_exclusive() {
        assert!(b.claim(db, &names(2), NOW + TTL + 1).await?.is_empty(), "it has not lapsed");
    }
    Ok(())
}

async fn a_take_over_raises_the_epoch_and_fences_off_the_holder_before(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let (a, b) = (claimant("a"), claimant("b"));
    let old = a.claim(db, &names(1), NOW).await?.remove(0);
    assert!(stands(db, &old).await?);
    let new = b.claim(db, &names(1), NOW + TTL + 1).await?.remove(0);
    assert_eq!((new.epoch, new.expires_at), (2, NOW + TTL + 1 + TTL));
    assert!(!stands(db, &old).await? && stands(db, &new).await?);
    assert!(a.renew(db, std::slice::from_ref(&old), NOW).await?.is_empty());
    a.release(db, &[old]).await?;
    assert!(stands(db, &new).await?, "giving back what is lost takes nothing from its holder");
    let mut tx = db.begin().await?;
    assert!(lease::fence(&mut tx, &[]).await?.is_empty());
    assert!(lease::fence(&mut tx, &[("unknown".to_owned(), 1)]).await?.is_empty());
    Ok(())
}

async fn a_released_lease_is_free_at_once(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let (a, b) = (claimant("a"), claimant("b"));
    let held = a.claim(db, &names(3), NOW).await?;
    a.release(db, &held[..2]).await?;
    a.release(db, &[]).await?;
    let taken = b.claim(db, &names(if db.is_exclusive() { 2 } else { 3 }), NOW + 1).await?;
    assert_eq!(taken.len(), 2);
    assert!(taken.iter().all(|lease| lease.epoch == 2));
    Ok(())
}

/// Between the check and the commit nobody takes the lease away.
#[tokio::test]
async fn a_take_over_waits_for_the_commit_that_was_let_through() -> Result<()> {
    let store = Store::postgres().await?;
    let db = store.ready().await?;
    let held = claimant("a").claim(db, &names(1), NOW).await?.remove(0);
    let mut tx = db.begin().await?;
    assert_eq!(lease::fence(&mut tx, &[(held.name.clone(), held.epoch)]).await?.len(), 1);
    let other = db.clone();
    let take_over = tokio::spawn(async move { claimant("b").claim(&other, &names(1), NOW + TTL + 1).await });
    let waiting = "SELECT COUNT(*) AS n FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND $1 <> ''";
    until("the claim waits", PATIENCE, async || {
        let rows: Vec<Number> = db.read(waiting, &[0; 0]).await?;
        Ok((rows[0].n == 1).then_some(()))
    })
    .await?;
    assert!(!take_over.is_finished());
    tx.execute(INSERT, &[thing("written under the lease", 1)]).await?;
    tx.commit().await?;
    assert_eq!(take_over.await??[0].epoch, 2);
    assert!(!stands(db, &held).await?);
    Ok(())
}
