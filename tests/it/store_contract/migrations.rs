//! Migrations: forward, once, whoever asks how often.

use super::*;

contract! {
    migrating_again_changes_nothing
    four_processes_migrate_at_once
    a_new_migration_is_applied_to_what_is_there
    an_applied_migration_whose_text_has_changed_is_refused
    a_migration_that_fails_leaves_nothing
}

const fn step(version: i64, sql: &'static str) -> Migration {
    Migration { version, name: "step", sql }
}

async fn migrating_again_changes_nothing(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    insert(db, &[thing("a", 1)]).await?;
    let applied = count(db, "migrations").await?;
    db.migrate(&THINGS).await?;
    Db::open(&store.address).await?.migrate(&THINGS).await?;
    assert_eq!(count(db, "migrations").await?, applied);
    assert_eq!(keys(db).await?, ["a"]);
    Ok(())
}

async fn four_processes_migrate_at_once(store: &Store) -> Result<()> {
    let mut processes = Vec::new();
    for _ in 0..4 {
        processes.push(Db::open(&store.address).await?);
    }
    let tasks: Vec<_> =
        processes.into_iter().map(|db| tokio::spawn(async move { db.migrate(&THINGS).await })).collect();
    for task in tasks {
        task.await??;
    }
    insert(&store.db, &[thing("a", 1)]).await?;
    let applied = count(&store.db, "migrations").await?;
    assert!(applied > 1, "the platform's and ours");
    store.db.migrate(&THINGS).await?;
    assert_eq!(count(&store.db, "migrations").await?, applied, "nothing was left to do");
    Ok(())
}

async fn a_new_migration_is_applied_to_what_is_there(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    insert(db, &[thing("a", 1)]).await?;
    let second = step(2, "ALTER TABLE things ADD COLUMN colour TEXT; UPDATE things SET colour = 'red', n = n + 1");
    db.migrate(&[THINGS[0], second]).await?;
    db.migrate(&[THINGS[0], second]).await?;
    assert_eq!(all(db).await?[0].n, 2, "applied once");
    Ok(())
}

async fn an_applied_migration_whose_text_has_changed_is_refused(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    insert(db, &[thing("a", 1)]).await?;
    let result = db.migrate(&[step(1, "CREATE TABLE other (key TEXT)"), step(2, "DROP TABLE things")]).await;
    assert!(matches!(&result, Err(StoreError::Refused(why)) if why.contains("another text")), "{result:?}");
    assert_eq!(keys(db).await?, ["a"], "and nothing after it is applied");
    Ok(())
}

async fn a_migration_that_fails_leaves_nothing(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let broken = step(2, "CREATE TABLE half (key TEXT); UPDATE nowhere SET x = 1");
    let result = db.migrate(&[THINGS[0], broken]).await;
    assert!(matches!(result, Err(StoreError::Refused(_))), "{result:?}");
    assert!(count(db, "half").await.is_err(), "not even its first half");
    db.migrate(&[THINGS[0], step(2, "CREATE TABLE half (key TEXT)")]).await?;
    assert_eq!(count(db, "half").await?, 0);
    Ok(())
}
