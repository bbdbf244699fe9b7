//! A network that says nothing, and commits of which nobody knows whether they happened.

use super::*;
use crate::servers::proxy::{Proxy, When};

/// The store behind a network that can be broken, and beside it the way past it.
async fn behind_a_proxy() -> Result<(Db, Db, Proxy)> {
    let (direct, address) = things().await?;
    let (proxy, through) = Proxy::before(&address).await?;
    Ok((Db::open_with(&through, IMPATIENT).await?, direct, proxy))
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_of_unknown_outcome_whether_it_happened_or_not() -> Result<()> {
    let (db, direct, proxy) = behind_a_proxy().await?;
    for (when, happened) in [(When::BeforeForwarding, 0), (When::AfterForwarding, 1)] {
        proxy.cut_at(b"COMMIT", when);
        let result = added(&db, "a", 1).await;
        assert!(matches!(result, Err(StoreError::Unknown(_))), "{result:?}");
        assert_eq!(value(&direct, "a").await?, happened, "{when:?}");
    }
    added(&db, "a", 1).await?;
    assert_eq!(value(&direct, "a").await?, 2);
    Ok(())
}

/// Nobody answers: each thing that can be asked ends by itself, and as often as it is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_waits_for_ever_for_a_silent_server() -> Result<()> {
    let (db, direct, proxy) = behind_a_proxy().await?;
    added(&db, "a", 1).await?;
    let mut inside = db.begin().await?;
    inside.execute(ADD, &add("a", 100)).await?;
    let mut committing = db.begin().await?;
    committing.execute(ADD, &add("b", 100)).await?;
    let snapshot = db.snapshot().await?;
    proxy.swallow(true);
    let all = async {
        let result = inside.execute(ADD, &add("a", 100)).await;
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
        let result = committing.commit().await;
        assert!(matches!(result, Err(StoreError::Unknown(_))), "{result:?}");
        let result = snapshot.rollback().await;
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
        drop(inside);
        // More often than there are sessions.
        for _ in 0..IMPATIENT.connections + 2 {
            let result = db.begin().await.map(drop);
            assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
            let result = value(&db, "a").await;
            assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("everything ends by itself");
    proxy.cut();
    proxy.swallow(false);
    added(&db, "a", 1).await?;
    assert_eq!((value(&direct, "a").await?, value(&direct, "b").await?), (2, 0), "the server undid the rest");
    Ok(())
}

/// The worst moment: the client has given up, and then its commit arrives. Whoever decides again
/// meets the rows of the first try, or waits for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_that_arrives_late_is_met_by_who_decides_again() -> Result<()> {
    let (db, direct, proxy) = behind_a_proxy().await?;
    // The version, as every state row has one: here n is its own.
    let once = "UPDATE things SET n = 1 FROM jsonb_each($1) AS r WHERE things.key = r.value->>'key' AND things.n = 0";
    let mut late = db.begin().await?;
    late.execute_each(once, &add("a", 0)).await?;
    proxy.swallow(true);
    let result = late.commit().await;
    assert!(matches!(result, Err(StoreError::Unknown(_))), "{result:?}");
    let again = tokio::spawn(async move {
        let mut tx = direct.begin().await?;
        let result = tx.execute_each(once, &add("a", 0)).await;
        drop(tx);
        Ok::<_, StoreError>((result, value(&direct, "a").await?))
    });
    proxy.swallow(false);
    let (result, n) = again.await??;
    // It came late, or (the server threw it out for its silence) not at all; never twice.
    match result {
        Err(StoreError::Conflict(_)) => assert_eq!(n, 1),
        Ok(()) => assert_eq!(n, 0, "undone by us, and nobody else has done it"),
        other => panic!("{other:?}"),
    }
    Ok(())
}

/// A session that was given up inside a transaction takes its locks with it.
#[tokio::test]
async fn a_broken_connection_lets_go_of_its_rows() -> Result<()> {
    let (db, direct, proxy) = behind_a_proxy().await?;
    for round in 0..5 {
        let mut tx = db.begin().await?;
        tx.execute(ADD, &add("a", 100)).await?;
        proxy.cut();
        added(&direct, "a", 1).await?;
        let result = tx.execute(ADD, &add("a", 100)).await;
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
        let result = tx.commit().await;
        assert!(result.is_err(), "nothing of it can be committed any more");
        assert_eq!(value(&db, "a").await?, round + 1);
    }
    Ok(())
}
