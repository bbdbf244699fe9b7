//! Sessions: how many, what becomes of them, and opening a store that is not there.

use super::*;
use crate::servers::{Durability, PgServer};

const TWO: StoreOptions = StoreOptions { connections: 2, patience: Duration::from_millis(400) };

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn there_are_never_more_sessions_than_were_allowed() -> Result<()> {
    let (_, address) = things().await?;
    let db = Db::open_with(&address, StoreOptions { connections: 2, ..StoreOptions::default() }).await?;
    let tasks: Vec<_> = (0..20)
        .map(|task| {
            let db = db.clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    added(&db, ["a", "b"][task % 2], 1).await?;
                    value(&db, "a").await?;
                    let mut dropped = db.begin().await?;
                    dropped.execute(ADD, &add(["a", "b"][task % 2], 1_000)).await?;
                }
                Ok::<_, StoreError>(())
            })
        })
        .collect();
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        assert!(sessions(&address).await? <= 2);
    }
    for task in tasks {
        task.await??;
    }
    assert_eq!((value(&db, "a").await?, value(&db, "b").await?), (100, 100));
    db.close().await;
    until("no session is left", PATIENCE, async || Ok((sessions(&address).await? == 0).then_some(()))).await?;
    let result = db.begin().await.map(drop);
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "closed: {result:?}");
    Ok(())
}

#[tokio::test]
async fn who_waits_for_a_session_in_vain_is_told_that_all_are_busy() -> Result<()> {
    let (_, address) = things().await?;
    let db = Db::open_with(&address, TWO).await?;
    let busy = [db.begin().await?, db.begin().await?];
    let result = db.begin().await.map(drop);
    assert!(matches!(&result, Err(StoreError::Unavailable(why)) if why.contains("busy")), "{result:?}");
    drop(busy);
    added(&db, "a", 1).await?;
    Ok(())
}

/// A caller that goes away in the middle of a statement: the session is tidied up and used again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cancelled_statement_costs_no_session() -> Result<()> {
    let (db, address) = things().await?;
    let few = Db::open_with(&address, StoreOptions { connections: 2, ..StoreOptions::default() }).await?;
    let process = "SELECT CAST(pg_backend_pid() AS BIGINT) FROM pg_sleep(0) WHERE $1 <> ''";
    let mut holder = db.begin().await?;
    holder.execute(ADD, &add("a", 1)).await?;
    let first: Vec<(i64,)> = few.read(process, &[0; 0]).await?;
    for _ in 0..5 {
        let waiting = tokio::spawn({
            let few = few.clone();
            async move { added(&few, "a", 1).await }
        });
        until("it waits for the row", PATIENCE, async || {
            let sql = "SELECT CAST(COUNT(*) AS BIGINT) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock' AND $1 <> ''";
            let rows: Vec<(i64,)> = db.read(sql, &[0; 0]).await?;
            Ok((rows[0].0 > 0).then_some(()))
        })
        .await?;
        waiting.abort();
        assert!(waiting.await.is_err());
        holder.commit().await?;
        holder = db.begin().await?;
        holder.execute(ADD, &add("a", 1)).await?;
    }
    holder.rollback().await?;
    assert_eq!(value(&few, "a").await?, 5, "nothing of the cancelled ones");
    added(&few, "a", 1).await?;
    let mut seen = std::collections::BTreeSet::from([first[0].0]);
    for _ in 0..10 {
        seen.insert(few.read::<(i64,)>(process, &[0; 0]).await?[0].0);
    }
    assert!(seen.len() <= 2, "the same sessions all the time: {seen:?}");
    Ok(())
}

/// The sessions that the store had have died with the server; nobody hears of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_restart_between_two_calls_is_not_noticed() -> Result<()> {
    let server = PgServer::start(Durability::ProcessCrash).await?;
    let db = Db::open(&server.fresh_database().await?).await?;
    db.migrate(&THINGS).await?;
    for round in 0..3 {
        let open = [db.begin().await?, db.begin().await?, db.begin().await?];
        for tx in open {
            tx.rollback().await?;
        }
        if round % 2 == 0 {
            server.stop().await?
        } else {
            server.kill9()?
        }
        server.restart().await?;
        // A read, a transaction, a snapshot: each may be the first to find a dead one.
        assert_eq!(value(&db, "a").await?, round);
        added(&db, "a", 1).await?;
        db.snapshot().await?.rollback().await?;
    }
    Ok(())
}

/// Whoever starts first, the service or its server.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_is_not_there_yet_is_waited_for() -> Result<()> {
    let server = PgServer::start(Durability::ProcessCrash).await?;
    let address = server.fresh_database().await?;
    server.stop().await?;
    let absent = Db::open(&address).await.map(drop);
    assert!(matches!(&absent, Err(StoreError::Unavailable(why)) if why.contains(name_of(&address))), "{absent:?}");
    let opening = tokio::spawn({
        let address = address.clone();
        async move { Db::open_patiently(&address, StoreOptions::default(), PATIENCE * 4).await }
    });
    server.restart().await?;
    opening.await??.migrate(&THINGS).await?;
    let impatient = Db::open_patiently(&address.replace("127.0.0.1", "nowhere.invalid"), TWO, Duration::ZERO).await;
    assert!(matches!(impatient, Err(StoreError::Unavailable(_))));
    Ok(())
}

/// What no waiting will mend is said at once, and the password is in none of it.
#[tokio::test]
async fn a_wrong_address_is_refused_at_once_and_without_the_password() -> Result<()> {
    let server = PgServer::start(Durability::ProcessCrash).await?;
    let address = server.fresh_database().await?;
    server.configure("CREATE ROLE ada LOGIN PASSWORD 'right'; CREATE ROLE bob LOGIN PASSWORD 'right'").await?;
    server.admit("local all all trust\nhost all postgres all trust\nhost all ada all scram-sha-256\n").await?;
    let port = server.port()?;
    let database = name_of(&address);
    let url = |login: &str, database: &str| format!("postgres://{login}@127.0.0.1:{port}/{database}");
    Db::open(&url("ada:right", database)).await?;
    for (address, part) in [
        (url("ada:s3cret", database), "password authentication failed"),
        (url("bob:s3cret", database), "no pg_hba.conf entry"),
        (url("ada:right", "nowhere"), "does not exist"),
        ("postgres://ada:s3cret@127.0.0.1:port/x".into(), "not the url"),
        (url("ada:s3cret", "x?sslmode=perhaps"), "ssl_mode"),
    ] {
        let begun = std::time::Instant::now();
        let error = Db::open_patiently(&address, StoreOptions::default(), PATIENCE * 10).await.map(drop);
        let error = error.expect_err(&address);
        assert!(matches!(error, StoreError::Refused(_)), "{error:?}");
        let text = format!("{error} {error:?}").to_lowercase();
        assert!(text.contains(part), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
        assert!(begun.elapsed() < PATIENCE * 10, "not waited for");
    }
    // Nor does a store that is open show it.
    let db = Db::open(&url("ada:right", database)).await?;
    assert!(!format!("{db:?}").contains("right"), "{db:?}");
    // A password that is changed while the service runs is nobody's input's fault.
    db.close().await;
    let db = Db::open_with(&url("ada:right", database), TWO).await?;
    server.configure("ALTER ROLE ada PASSWORD 'new'").await?;
    let _held = db.begin().await?;
    let result = db.begin().await.map(drop);
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    Ok(())
}

#[tokio::test]
async fn a_server_without_a_connection_to_spare_says_so() -> Result<()> {
    let server = PgServer::start(Durability::ProcessCrash).await?;
    let address = server.fresh_database().await?;
    server.configure("CREATE ROLE ada LOGIN CONNECTION LIMIT 1").await?;
    let url = format!("postgres://ada@127.0.0.1:{}/{}", server.port()?, name_of(&address));
    let first = Db::open(&url).await?;
    let second = Db::open(&url).await.map(drop);
    let says = |result: &Result<(), StoreError>| matches!(result, Err(StoreError::Unavailable(why)) if why.contains("no connection left"));
    assert!(says(&second), "{second:?}");
    // The same when it is a second session of one store.
    let _held = first.begin().await?;
    let result = first.begin().await.map(drop);
    assert!(says(&result), "{result:?}");
    Ok(())
}
