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
    a_lease_that_was_given_back_can_be_had_again
    no_more_is_claimed_than_was_asked_for
    members_are_seen_by_all_until_they_leave_or_lapse
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
    // To its end: what a transaction holds is not claimed.
    tx.rollback().await?;
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
                    claimed.extend(claimant.claim(&db, &part, part.len(), NOW).await?);
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
    assert!(a.claim(db, &[], 9, NOW).await?.is_empty());
    let held = a.claim(db, &names(3), 9, NOW).await?;
    assert_eq!(held.len(), 3);
    assert!(held.iter().all(|lease| (lease.epoch, lease.expires_at) == (1, NOW + TTL)));
    assert!(a.claim(db, &names(3), 9, NOW + TTL).await?.is_empty());
    assert_eq!(a.claim(db, &names(4), 9, NOW).await?.len(), 1, "but what is new");
    Ok(())
}

async fn renewal_keeps_a_lease_and_nothing_else(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let (a, b) = (claimant("a"), claimant("b"));
    a.claim(db, &names(2), 9, NOW).await?;
    let renewed = a.attend(db, NOW + 4_000).await?.leases;
    assert_eq!(renewed.len(), 2);
    assert!(renewed.iter().all(|lease| (lease.epoch, lease.expires_at) == (1, NOW + 4_000 + TTL)));
    let other = b.attend(db, NOW).await?;
    assert!(other.leases.is_empty(), "not another's");
    assert_eq!(other.taken.len(), 2);
    if !db.is_exclusive() {
        assert!(b.claim(db, &names(2), 9, NOW + TTL + 1).await?.is_empty(), "it has not lapsed");
    }
    Ok(())
}

async fn a_take_over_raises_the_epoch_and_fences_off_the_holder_before(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let (a, b) = (claimant("a"), claimant("b"));
    let old = a.claim(db, &names(1), 9, NOW).await?.remove(0);
    assert!(stands(db, &old).await?);
    let new = b.claim(db, &names(1), 9, NOW + TTL + 1).await?.remove(0);
    assert_eq!((new.epoch, new.expires_at), (2, NOW + TTL + 1 + TTL));
    assert!(!stands(db, &old).await? && stands(db, &new).await?);
    assert!(a.attend(db, NOW).await?.leases.is_empty());
    a.release(db, std::slice::from_ref(&old)).await?;
    a.leave(db, &[old]).await?;
    assert!(stands(db, &new).await?, "giving back what is lost takes nothing from its holder");
    assert_eq!(b.attend(db, NOW).await?.leases.len(), 1);
    let mut tx = db.begin().await?;
    assert!(lease::fence(&mut tx, &[]).await?.is_empty());
    assert!(lease::fence(&mut tx, &[("unknown".to_owned(), 1)]).await?.is_empty());
    Ok(())
}

async fn a_released_lease_is_free_at_once(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let (a, b) = (claimant("a"), claimant("b"));
    let held = a.claim(db, &names(3), 9, NOW).await?;
    a.release(db, &held[..2]).await?;
    a.release(db, &[]).await?;
    let taken = b.claim(db, &names(if db.is_exclusive() { 2 } else { 3 }), 9, NOW + 1).await?;
    assert_eq!(taken.len(), 2);
    assert!(taken.iter().all(|lease| lease.epoch == 2));
    Ok(())
}

async fn a_lease_that_was_given_back_can_be_had_again(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let a = claimant("a");
    let held = a.claim(db, &names(1), 9, NOW).await?;
    a.release(db, &held).await?;
    assert!(a.attend(db, NOW).await?.leases.is_empty(), "it is not renewed");
    assert_eq!(a.claim(db, &names(1), 9, NOW).await?[0].epoch, 2);
    // Nor is one lost for ever whose claim was committed and not answered.
    assert_eq!(a.claim(db, &names(1), 9, NOW + TTL + 1).await?[0].epoch, 3);
    Ok(())
}

async fn no_more_is_claimed_than_was_asked_for(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let (a, b) = (claimant("a"), claimant("b"));
    assert!(a.claim(db, &names(8), 0, NOW).await?.is_empty());
    assert_eq!(a.claim(db, &names(8), 5, NOW).await?.len(), 5);
    if !db.is_exclusive() {
        assert_eq!(b.claim(db, &names(8), 5, NOW).await?.len(), 3, "what is left");
    }
    Ok(())
}

async fn members_are_seen_by_all_until_they_leave_or_lapse(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let (a, b, c) = (claimant("a"), claimant("b"), claimant("c"));
    assert_eq!(c.attend(db, NOW).await?.members, ["c"]);
    assert_eq!(a.attend(db, NOW).await?.members, ["a", "c"]);
    assert_eq!(b.attend(db, NOW + TTL).await?.members, ["a", "b", "c"]);
    c.leave(db, &[]).await?;
    c.leave(db, &[]).await?;
    let lapsed = b.attend(db, NOW + TTL + 1).await?;
    assert_eq!((lapsed.members, lapsed.gone), (vec!["b".to_owned()], vec!["a".to_owned()]));
    assert!(b.attend(db, NOW + TTL + 1).await?.gone.is_empty(), "it has been seen");
    let back = a.attend(db, NOW + TTL + 1).await?;
    assert_eq!((back.members.len(), back.gone.len()), (2, 0), "who comes back is a member again");
    Ok(())
}

/// Between the check and the commit nobody takes the lease away, and who would like to
/// does not wait for it: the one that holds it may have stopped in mid-transaction.
#[tokio::test]
async fn a_take_over_leaves_alone_what_a_commit_holds_in_place() -> Result<()> {
    let store = Store::postgres().await?;
    let db = store.ready().await?;
    let held = claimant("a").claim(db, &names(1), 9, NOW).await?.remove(0);
    let mut tx = db.begin().await?;
    assert_eq!(lease::fence(&mut tx, &[(held.name.clone(), held.epoch)]).await?.len(), 1);
    let b = claimant("b");
    let claimed = b.claim(db, &names(2), 9, NOW + TTL + 1).await?;
    assert_eq!(claimed.iter().map(|lease| lease.name.as_str()).collect::<Vec<_>>(), ["name-0001"]);
    tx.execute(INSERT, &[thing("written under the lease", 1)]).await?;
    tx.commit().await?;
    assert_eq!(b.claim(db, &names(1), 9, NOW + TTL + 1).await?[0].epoch, 2);
    assert!(!stands(db, &held).await?);
    Ok(())
}

/// All at once, each with its own row and an eye on the lapsed ones of the others: as
/// after an outage of the database.
#[tokio::test]
async fn members_that_hold_each_other_dead_do_not_block_each_other() -> Result<()> {
    let store = Store::postgres().await?;
    let db = store.ready().await?;
    for round in 0..20 {
        let now = NOW + round * 2 * TTL;
        let all = (0..8).map(|index| {
            let db = db.clone();
            tokio::spawn(async move { claimant(&format!("{index}")).attend(&db, now).await })
        });
        for one in all.collect::<Vec<_>>() {
            one.await??;
        }
        assert_eq!(claimant("0").attend(db, now).await?.members.len(), 8);
    }
    Ok(())
}

/// A renewal takes the rows of several leases, and so does a commit that is fenced. Were it not
/// in one order, each would wait for the other until Postgres shoots one of them, a second later.
#[tokio::test]
async fn a_renewal_and_a_fenced_commit_never_wait_for_each_other() -> Result<()> {
    let store = Store::postgres().await?;
    let db = store.ready().await?;
    let a = claimant("a");
    // The last name lies first in the table.
    let mut held = Vec::new();
    for name in names(2).into_iter().rev() {
        held.extend(a.claim(db, &[name], 1, NOW).await?);
    }
    let lease = |index: usize| [(held[index].name.clone(), held[index].epoch)];
    let until_waiting = async || {
        let waiting = "SELECT CAST(COUNT(*) AS BIGINT) AS n FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock' AND $1 <> ''";
        until("it waits for the commit", PATIENCE, async || {
            Ok((db.read::<Number>(waiting, &[0; 0]).await?[0].n > 0).then_some(()))
        })
        .await
    };
    for releasing in [false, true] {
        let mut tx = db.begin().await?;
        assert_eq!(lease::fence(&mut tx, &lease(1)).await?.len(), 1);
        let other = tokio::spawn({
            let (db, a, held) = (db.clone(), a.clone(), held.clone());
            async move { if releasing { a.release(&db, &held).await } else { a.attend(&db, NOW + 1).await.map(drop) } }
        });
        until_waiting().await?;
        assert_eq!(lease::fence(&mut tx, &lease(0)).await?.len(), 1, "it holds nothing that comes later");
        tx.commit().await?;
        other.await??;
    }
    Ok(())
}

/// It is the database's, so that the clocks of several machines need not agree.
#[tokio::test]
async fn the_time_of_leases_goes_on() -> Result<()> {
    let store = Store::postgres().await?;
    let db = store.ready().await?;
    let first = lease::time(db).await?;
    until("time goes on", PATIENCE, async || Ok((lease::time(db).await? > first).then_some(()))).await
}
