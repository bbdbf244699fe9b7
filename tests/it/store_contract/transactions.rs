//! What a transaction promises to the one who has it: sets, versions, all or
//! nothing, and text that comes back as it went in.

use super::*;

contract! {
    a_statement_works_on_a_whole_set
    an_empty_set_changes_nothing
    a_row_in_another_version_is_a_conflict
    a_dropped_transaction_leaves_nothing_and_lets_the_next_writer_in
    a_rolled_back_transaction_leaves_nothing
    durable_and_lazy_commits_are_seen_by_all
    a_lazy_transaction_is_a_transaction
    a_snapshot_sees_one_moment_and_changes_nothing
    text_comes_back_as_it_went_in
    a_nul_is_refused_where_the_engine_cannot_keep_it
    numbers_keep_all_their_bits
    sorted_text_is_sorted_by_bytes
    a_key_that_is_there_already_is_a_conflict
    what_a_check_forbids_is_refused
    nonsense_is_refused
}

async fn a_statement_works_on_a_whole_set(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let many: Vec<_> = (0..5_000).map(|index| thing(&format!("k{index:05}"), index)).collect();
    let mut tx = db.begin().await?;
    assert_eq!(tx.execute(INSERT, &many).await?, 5_000);
    let more: Vec<_> = (0..5_000).map(|index| changed(&format!("k{index:05}"), index * 2, 1)).collect();
    tx.execute_each(UPDATE, &more).await?;
    tx.commit().await?;
    let things = all(db).await?;
    assert_eq!(things.len(), 5_000);
    assert_eq!(things[4_999], Thing { key: "k04999".into(), n: 9_998, note: None, version: 2 });
    Ok(())
}

async fn an_empty_set_changes_nothing(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let nothing: [Value; 0] = [];
    let mut tx = db.begin().await?;
    assert_eq!(tx.execute(INSERT, &nothing).await?, 0);
    tx.execute_each(UPDATE, &nothing).await?;
    tx.commit().await?;
    assert_eq!(count(db, "things").await?, 0);
    Ok(())
}

async fn a_row_in_another_version_is_a_conflict(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    insert(db, &[thing("a", 1), thing("b", 1)]).await?;
    for wrong in [changed("b", 5, 7), changed("nobody", 5, 1)] {
        let mut tx = db.begin().await?;
        let result = tx.execute_each(UPDATE, &[changed("a", 5, 1), wrong]).await;
        assert!(matches!(result, Err(StoreError::Conflict(_))), "{result:?}");
    }
    assert!(all(db).await?.iter().all(|thing| (thing.n, thing.version) == (1, 1)), "nothing was changed");
    Ok(())
}

async fn a_dropped_transaction_leaves_nothing_and_lets_the_next_writer_in(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    for round in 0..40 {
        let mut dropped = db.begin().await?;
        dropped.execute(INSERT, &[thing(&format!("dropped {round}"), 0)]).await?;
        drop(dropped);
        // Durable and lazy are two connections: both must get in.
        let mut next = if round % 2 == 0 { db.begin().await? } else { db.begin_lazy().await? };
        next.execute(INSERT, &[thing(&format!("kept {round:02}"), 0)]).await?;
        next.commit().await?;
    }
    let kept: Vec<_> = (0..40).map(|round| format!("kept {round:02}")).collect();
    assert_eq!(keys(db).await?, kept);
    Ok(())
}

async fn a_rolled_back_transaction_leaves_nothing(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let mut tx = db.begin().await?;
    tx.execute(INSERT, &[thing("a", 1)]).await?;
    assert_eq!(count_in(&mut tx, "things").await?, 1, "it sees its own changes");
    tx.rollback().await?;
    assert_eq!(count(db, "things").await?, 0);
    Ok(())
}

async fn durable_and_lazy_commits_are_seen_by_all(store: &Store) -> Result<()> {
    store.ready().await?;
    let other = Db::open(&store.address).await?;
    for (key, lazy) in [("1 durable", false), ("2 lazy", true), ("3 durable", false)] {
        let mut tx = if lazy { store.db.begin_lazy().await? } else { store.db.begin().await? };
        tx.execute(INSERT, &[thing(key, 0)]).await?;
        tx.commit().await?;
        assert_eq!(keys(&store.db).await?.last().unwrap(), key);
        assert_eq!(keys(&other).await?.last().unwrap(), key, "in another process");
    }
    Ok(())
}

async fn a_lazy_transaction_is_a_transaction(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let mut tx = db.begin_lazy().await?;
    tx.execute(INSERT, &[thing("a", 1)]).await?;
    assert_eq!(count(db, "things").await?, 0, "nobody sees it before its commit");
    tx.rollback().await?;
    assert_eq!(count(db, "things").await?, 0);
    if store.is_postgres() {
        let setting = "SELECT CASE current_setting('synchronous_commit') WHEN 'off' THEN 0 ELSE 1 END::bigint AS n WHERE $1 <> ''";
        let mut lazy = db.begin_lazy().await?;
        let rows: Vec<Number> = lazy.fetch(setting, &[0; 0]).await?;
        assert_eq!(rows[0].n, 0, "its commit does not wait for the disk");
        lazy.commit().await?;
        // Every connection of the pool: the setting must not stick to one.
        let rows: Vec<Number> = db.begin().await?.fetch(setting, &[0; 0]).await?;
        assert_eq!(rows[0].n, 1, "a durable one waits");
    }
    Ok(())
}

async fn a_snapshot_sees_one_moment_and_changes_nothing(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    insert(db, &[thing("before", 1)]).await?;
    let mut snapshot = db.snapshot().await?;
    assert_eq!(count_in(&mut snapshot, "things").await?, 1);
    insert(db, &[thing("meanwhile", 1)]).await?;
    assert_eq!(count(db, "things").await?, 2);
    assert_eq!(count_in(&mut snapshot, "things").await?, 1, "still the same moment");
    assert!(snapshot.execute(INSERT, &[thing("never", 1)]).await.is_err(), "it is for reading");
    drop(snapshot);
    assert_eq!(keys(db).await?, ["before", "meanwhile"]);
    Ok(())
}

async fn text_comes_back_as_it_went_in(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let texts = [
        "",
        " ",
        "'",
        "''; DROP TABLE things; --",
        "\"",
        "\\",
        "\\\\n",
        "\\u0041",
        "\n\r\t",
        "\u{1}\u{1f}\u{7f}",
        "ä",
        "a\u{308}",
        "日本語",
        "😀👩‍👩‍👧",
        "\u{2028}\u{feff}\u{fffd}\u{10ffff}",
        "null",
        "true",
        "123",
        "1e5",
        "0x10",
        "{\"a\":[1,\"b\"]}",
        "[]",
        "$1",
        "%s",
        "<script>alert(1)</script>",
    ];
    let rows: Vec<_> = texts.iter().map(|text| json!({ "key": text, "n": 1, "note": text })).collect();
    insert(db, &rows).await?;
    let mut sorted = texts.to_vec();
    sorted.sort_unstable();
    let found = all(db).await?;
    assert_eq!(found.iter().map(|thing| thing.key.as_str()).collect::<Vec<_>>(), sorted);
    assert!(found.iter().all(|thing| thing.note.as_ref() == Some(&thing.key)), "{found:?}");
    // And each is found by itself.
    let sql = "SELECT key, n, note, version FROM things WHERE key IN (SELECT r.value->>'key' FROM jsonb_each($1) AS r)";
    for text in texts {
        let found: Vec<Thing> = db.read(sql, &[json!({ "key": text })]).await?;
        assert_eq!(found.len(), 1, "{text:?}");
    }
    Ok(())
}

async fn a_nul_is_refused_where_the_engine_cannot_keep_it(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let result = insert(db, &[thing("innocent", 1), thing("a\0b", 1)]).await;
    if store.is_postgres() {
        assert!(matches!(result, Err(StoreError::Refused(_))), "{result:?}");
        assert_eq!(count(db, "things").await?, 0, "the whole set is refused");
    } else {
        result?;
        assert_eq!(keys(db).await?, ["a\0b", "innocent"]);
    }
    Ok(())
}

async fn numbers_keep_all_their_bits(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let numbers = [i64::MIN, -(1 << 53) - 1, -1, 0, (1 << 53) + 1, i64::MAX];
    let rows: Vec<_> = numbers.iter().enumerate().map(|(index, n)| thing(&index.to_string(), *n)).collect();
    insert(db, &rows).await?;
    assert_eq!(all(db).await?.iter().map(|thing| thing.n).collect::<Vec<_>>(), numbers);
    Ok(())
}

async fn sorted_text_is_sorted_by_bytes(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let mut texts = ["b", "B", "a", "A", "_", "-", "ä", "Ä", "z", "Z", "é", "😀", "ﬀ", "10", "9", " a", "aa", "a b"];
    insert(db, &texts.map(|text| thing(text, 1))).await?;
    texts.sort_unstable_by_key(|text| text.as_bytes());
    assert_eq!(keys(db).await?, texts);
    Ok(())
}

async fn a_key_that_is_there_already_is_a_conflict(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    insert(db, &[thing("a", 1)]).await?;
    for again in [vec![thing("a", 2)], vec![thing("b", 2), thing("b", 2)]] {
        let result = insert(db, &again).await;
        assert!(matches!(result, Err(StoreError::Conflict(_))), "{result:?}");
    }
    assert_eq!(keys(db).await?, ["a"]);
    Ok(())
}

async fn what_a_check_forbids_is_refused(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let result = insert(db, &[thing("a", 1), thing("b", -666)]).await;
    assert!(matches!(result, Err(StoreError::Refused(_))), "{result:?}");
    let result = insert(db, &[json!({ "key": "a", "n": null })]).await;
    assert!(matches!(result, Err(StoreError::Refused(_))), "{result:?}");
    assert_eq!(count(db, "things").await?, 0);
    Ok(())
}

async fn nonsense_is_refused(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let result = db.read::<Number>("SELEC 1 WHERE $1 <> ''", &[0; 0]).await;
    assert!(matches!(result, Err(StoreError::Refused(_))), "not SQL");
    let result = db.read::<Number>("SELECT n FROM nowhere WHERE $1 <> ''", &[0; 0]).await;
    assert!(matches!(result, Err(StoreError::Refused(_))), "no such table");
    let mut tx = db.begin().await?;
    let result = tx.execute(INSERT, &f64::NAN).await.map(drop);
    assert!(result.is_err() || !store.is_postgres(), "a number is no set");
    Ok(())
}
