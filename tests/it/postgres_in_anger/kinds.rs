//! Which error is of which kind: that is, what the loop does about it.

use super::*;

/// Raises whatever is asked for.
const FAIL: &str = "CREATE FUNCTION fail(code text) RETURNS bigint LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'as you wish' USING ERRCODE = code; END $$";

/// By their codes (appendix A of Postgres's manual); the ones that can be had for real follow.
#[tokio::test]
async fn every_code_is_of_the_kind_that_the_loop_can_act_upon() -> Result<()> {
    let (db, address) = things().await?;
    by_hand(&address, FAIL).await?;
    for (codes, kind) in [
        ("40001 40P01 23505", "conflict"),
        // Connections, resources (disk full, memory, connections), the administrator, too slow,
        // locked too long, asleep, read-only, no right.
        ("08006 08003 53000 53100 53200 53300 57P01 57P02 57P03 57014 55P03 25P03 25006 42501", "unavailable"),
        // A CHECK, not null, no number, out of range, no such text, too long, nonsense.
        ("23514 23502 22P02 22003 22021 22001 42601 54000 XX000 P0001", "refused"),
    ] {
        for code in codes.split(' ') {
            let sql = "SELECT fail(r.value->>'code') FROM jsonb_each($1) AS r";
            let error = db.read::<(i64,)>(sql, &[json!({ "code": code })]).await.expect_err("as you wish");
            let is = match &error {
                StoreError::Conflict(_) => "conflict",
                StoreError::Unknown(_) => "unknown",
                StoreError::Unavailable(_) => "unavailable",
                StoreError::Refused(_) => "refused",
            };
            assert_eq!(is, kind, "{code}: {error}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_in_a_deadlock_one_is_told_to_decide_again() -> Result<()> {
    let (db, _) = things().await?;
    let (mut one, mut other) = (db.begin().await?, db.begin().await?);
    one.execute(ADD, &add("a", 1)).await?;
    other.execute(ADD, &add("b", 1)).await?;
    let crossing = async |mut tx: Tx, key| {
        tx.execute(ADD, &add(key, 1)).await?;
        tx.commit().await
    };
    let (one, other) = tokio::join!(crossing(one, "b"), crossing(other, "a"));
    let results = [one, other];
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    let is_conflict = |result: &Result<(), StoreError>| matches!(result, Err(StoreError::Conflict(_)));
    assert!(results.iter().any(is_conflict), "{results:?}");
    assert_eq!((value(&db, "a").await?, value(&db, "b").await?), (1, 1), "one of them, whole");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_serialised_is_told_to_decide_again() -> Result<()> {
    let (db, address) = things().await?;
    let stricter =
        format!("ALTER DATABASE {} SET default_transaction_isolation TO 'repeatable read'", name_of(&address));
    by_hand(&address, &stricter).await?;
    let db = {
        db.close().await;
        Db::open(&address).await?
    };
    let mut tx = db.begin().await?;
    let _: Vec<(i64,)> = tx.fetch("SELECT n FROM things WHERE $1 <> ''", &[0; 0]).await?;
    added(&db, "a", 1).await?;
    let result = tx.execute(ADD, &add("a", 1)).await;
    assert!(matches!(result, Err(StoreError::Conflict(_))), "{result:?}");
    Ok(())
}

/// Read-only, as the old primary is after a failover; and the next session is a new one, since that
/// may be with the new primary.
#[tokio::test]
async fn a_store_that_became_read_only_is_unavailable_until_it_is_not() -> Result<()> {
    let (db, address) = things().await?;
    added(&db, "a", 1).await?;
    let name = name_of(&address);
    by_hand(&address, &format!("ALTER DATABASE {name} SET default_transaction_read_only TO on")).await?;
    let read_only = Db::open(&address).await?;
    let result = added(&read_only, "a", 1).await;
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    assert_eq!(value(&read_only, "a").await?, 1, "reading goes on");
    postgres().await?.configure(&format!("ALTER DATABASE {name} RESET ALL")).await?;
    // No session was kept that still thinks so.
    until("it can be written again", PATIENCE, async || Ok(added(&read_only, "a", 1).await.ok())).await?;
    assert_eq!(value(&db, "a").await?, 2);
    Ok(())
}

/// A row that another holds, and a statement that takes too long: the server says so before the
/// client gives up, and the session lives.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_takes_too_long_is_ended_by_the_server() -> Result<()> {
    let (db, address) = things().await?;
    let impatient = Db::open_with(&address, IMPATIENT).await?;
    let mut holder = db.begin().await?;
    holder.execute(ADD, &add("a", 1)).await?;
    let result = added(&impatient, "a", 1).await;
    assert!(matches!(&result, Err(StoreError::Unavailable(why)) if why.contains("lock timeout")), "{result:?}");
    holder.commit().await?;
    let slow = "SELECT CAST(COUNT(*) AS BIGINT) FROM pg_sleep(60) WHERE $1 <> ''";
    let result = impatient.read::<(i64,)>(slow, &[0; 0]).await;
    assert!(matches!(&result, Err(StoreError::Unavailable(why)) if why.contains("statement timeout")), "{result:?}");
    added(&impatient, "a", 1).await?;
    assert_eq!(value(&db, "a").await?, 2);
    Ok(())
}

/// A process that was stopped inside a transaction holds its rows no longer than that.
#[tokio::test]
async fn who_falls_asleep_inside_a_transaction_is_thrown_out_of_it() -> Result<()> {
    let (db, address) = things().await?;
    let impatient = Db::open_with(&address, IMPATIENT).await?;
    let mut asleep = impatient.begin().await?;
    asleep.execute(ADD, &add("a", 100)).await?;
    added(&db, "a", 1).await?;
    let result = asleep.commit().await;
    assert!(matches!(result, Err(StoreError::Unknown(_) | StoreError::Unavailable(_))), "{result:?}");
    assert_eq!(value(&db, "a").await?, 1);
    added(&impatient, "a", 1).await?;
    Ok(())
}

/// Postgres answers the `COMMIT` of a transaction that has failed with a roll-back, and calls it a
/// success.
#[tokio::test]
async fn a_commit_after_a_failed_statement_is_no_success() -> Result<()> {
    let (db, _) = things().await?;
    let mut tx = db.begin().await?;
    tx.execute(ADD, &add("a", 1)).await?;
    assert!(tx.execute(ADD, &add("b", -666)).await.is_err());
    let result = tx.commit().await;
    assert!(matches!(result, Err(StoreError::Refused(_))), "{result:?}");
    assert_eq!((value(&db, "a").await?, value(&db, "b").await?), (0, 0));
    Ok(())
}

/// Migrations, and audits, take the time they need.
#[tokio::test]
async fn who_reads_or_rebuilds_everything_is_not_hurried() -> Result<()> {
    let (_, address) = things().await?;
    let impatient = Db::open_with(&address, IMPATIENT).await?;
    let slow = Migration { version: 2, name: "slow", sql: "SELECT pg_sleep(1); CREATE TABLE slow (key TEXT)" };
    impatient.migrate(&[THINGS[0], slow]).await?;
    let mut audit = impatient.unhurried_snapshot().await?;
    let sleep = "SELECT CAST(COUNT(*) AS BIGINT) FROM pg_sleep(1) WHERE $1 <> ''";
    assert_eq!(audit.fetch::<(i64,)>(sleep, &[0; 0]).await?, [(1,)]);
    // It may think in between, too.
    tokio::time::sleep(IMPATIENT.patience * 2).await;
    assert_eq!(audit.fetch::<(i64,)>("SELECT n FROM things WHERE $1 <> ''", &[0; 0]).await?.len(), 2);
    drop(audit);
    // And is not contagious.
    let result = impatient.read::<(i64,)>(sleep, &[0; 0]).await;
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    Ok(())
}
