//! Several at once: nothing is lost, whoever is slower waits or is told; and a
//! server that ends a session in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::Connection;

use super::*;
use crate::servers::{PATIENCE, until};

contract! {
    no_increment_is_lost_under_the_test_of_versions
    no_increment_is_lost_under_row_locks_and_nobody_has_to_repeat
    two_who_make_the_same_key_make_it_once
}

const TASKS: i64 = 8;
const ROUNDS: i64 = 40;

const READ: &str = "SELECT t.key, t.n, t.note, t.version FROM things AS t
    WHERE t.key IN (SELECT r.value->>'key' FROM jsonb_each($1) AS r) ORDER BY t.key";

/// One more on each of the keys; reads with locks if told to.
async fn increment(db: &Db, keys: &[&str], locking: bool) -> Result<(), StoreError> {
    let args: Vec<_> = keys.iter().map(|key| json!({ "key": key })).collect();
    let mut tx = db.begin().await?;
    let found: Vec<Thing> =
        if locking { tx.fetch_for_update(READ, &args).await? } else { tx.fetch(READ, &args).await? };
    let next: Vec<_> = found.iter().map(|thing| changed(&thing.key, thing.n + 1, thing.version)).collect();
    tx.execute_each(UPDATE, &next).await?;
    tx.commit().await
}

/// Everybody increments both keys; gives how many conflicts that cost.
async fn everybody_increments(db: &Db, locking: bool) -> Result<u64> {
    insert(db, &[thing("a", 0), thing("b", 0)]).await?;
    let conflicts = Arc::new(AtomicU64::new(0));
    let tasks = (0..TASKS).map(|_| {
        let (db, conflicts) = (db.clone(), conflicts.clone());
        tokio::spawn(async move {
            for _ in 0..ROUNDS {
                loop {
                    match increment(&db, &["a", "b"], locking).await {
                        Ok(()) => break,
                        Err(StoreError::Conflict(_)) => conflicts.fetch_add(1, Ordering::Relaxed),
                        Err(other) => return Err(other),
                    };
                }
            }
            Ok(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    for thing in all(db).await? {
        assert_eq!((thing.n, thing.version), (TASKS * ROUNDS, TASKS * ROUNDS + 1), "{}", thing.key);
    }
    Ok(conflicts.load(Ordering::Relaxed))
}

async fn no_increment_is_lost_under_the_test_of_versions(store: &Store) -> Result<()> {
    let conflicts = everybody_increments(store.ready().await?, false).await?;
    assert!(store.is_postgres() || conflicts == 0, "SQLite's writer is alone");
    Ok(())
}

async fn no_increment_is_lost_under_row_locks_and_nobody_has_to_repeat(store: &Store) -> Result<()> {
    assert_eq!(everybody_increments(store.ready().await?, true).await?, 0);
    Ok(())
}

async fn two_who_make_the_same_key_make_it_once(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    for round in 0..20 {
        let key = format!("key {round}");
        let make = || {
            let (db, key) = (db.clone(), key.clone());
            tokio::spawn(async move { insert(&db, &[thing(&key, 1)]).await })
        };
        let made = [make(), make(), make(), make()];
        let mut successes = 0;
        for result in made {
            match result.await? {
                Ok(()) => successes += 1,
                Err(error) => assert!(matches!(error, StoreError::Conflict(_)), "{error:?}"),
            }
        }
        assert_eq!(successes, 1);
    }
    assert_eq!(count(db, "things").await?, 20);
    Ok(())
}

/// A server may end any session at any time: for its own stop, a failover, or an
/// administrator. It is never the fault of the statement.
#[tokio::test]
async fn a_session_that_the_server_ends_is_no_fault_of_the_input() -> Result<()> {
    let store = Store::postgres().await?;
    let db = store.ready().await?;
    let own_session = "SELECT CAST(pg_backend_pid() AS BIGINT) AS n WHERE $1 <> ''";
    for at_commit in [false, true] {
        let mut tx = db.begin().await?;
        tx.execute(INSERT, &[thing("a", 1)]).await?;
        let session: Vec<Number> = tx.fetch(own_session, &[0; 0]).await?;
        terminate(&store.address, session[0].n).await?;
        if at_commit {
            let result = tx.commit().await;
            assert!(matches!(result, Err(StoreError::Unknown(_))), "nobody knows whether it happened: {result:?}");
        } else {
            for key in ["b", "c"] {
                let result = tx.execute(INSERT, &[thing(key, 1)]).await;
                assert!(matches!(result, Err(StoreError::Unavailable(_) | StoreError::Conflict(_))), "{result:?}");
            }
        }
        assert_eq!(count_again(db).await?, 0);
    }
    Ok(())
}

/// All sessions at once, idle ones too, as when the server restarts.
#[tokio::test]
async fn a_store_whose_sessions_have_ended_makes_new_ones() -> Result<()> {
    let store = Store::postgres().await?;
    let db = store.ready().await?;
    let open = [db.begin().await?, db.begin().await?, db.snapshot().await?];
    drop(open);
    terminate(&store.address, 0).await?;
    assert_eq!(count_again(db).await?, 0);
    insert(db, &[thing("a", 1)]).await?;
    Ok(())
}

/// Asks until the store is there again; fails at once on anything but absence.
async fn count_again(db: &Db) -> Result<i64> {
    until("the store is there again", PATIENCE, async || match count(db, "things").await {
        Ok(count) => Ok(Some(count)),
        Err(StoreError::Unavailable(_)) => Ok(None),
        Err(other) => Err(other.into()),
    })
    .await
}

/// Ends a session; 0: all of the database but the own.
async fn terminate(address: &str, session: i64) -> Result<()> {
    let mut connection = sqlx::PgConnection::connect(address).await?;
    sqlx::query(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND (pid = $1 OR $1 = 0)",
    )
    .bind(session)
    .execute(&mut connection)
    .await?;
    Ok(())
}
