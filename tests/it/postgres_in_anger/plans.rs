//! The plans of the statements on the hot path: rows are found by their index, however large the
//! table has grown.

use super::*;

/// What the loop and its neighbours say in each batch; `jsonb_each($1)` is inlined, and Postgres
/// guesses its length.
const HOT: [(&str, &str); 6] = [
    ("things", ADD),
    (
        "things",
        "SELECT t.key, t.n FROM things AS t
         WHERE t.key IN (SELECT r.value->>'key' FROM jsonb_each($1) AS r) ORDER BY t.key FOR UPDATE",
    ),
    (
        "inbox",
        "SELECT r.value->>'source' AS source, COALESCE(i.last, 0) AS last,
                (SELECT MAX(p.sequence) FROM parked AS p
                 WHERE p.source = r.value->>'source' AND p.subject = r.value->>'subject') AS parked
         FROM jsonb_each($1) AS r
         LEFT JOIN inbox AS i ON i.source = r.value->>'source' AND i.subject = r.value->>'subject'",
    ),
    (
        "inbox",
        "UPDATE inbox SET last = 2 FROM jsonb_each($1) AS r
         WHERE inbox.source = r.value->>'source' AND inbox.subject = r.value->>'subject'
           AND inbox.last = CAST(r.value->>'n' AS BIGINT)",
    ),
    (
        "idempotency",
        "SELECT command_id FROM idempotency
         WHERE command_id IN (SELECT r.value->>'key' FROM jsonb_each($1) AS r)",
    ),
    (
        "outbox",
        "UPDATE outbox SET position = r.value->>'key' FROM jsonb_each($1) AS r
         WHERE outbox.id = CAST(r.value->>'n' AS BIGINT)",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_batch_finds_its_rows_by_index_in_a_large_table() -> Result<()> {
    let (db, address) = things().await?;
    by_hand(
        &address,
        "INSERT INTO things SELECT 'k' || i, 0 FROM generate_series(1, 100000) AS i;
         INSERT INTO inbox (source, subject, last, moved_at) SELECT '/s', 'k' || i, 1, 0
             FROM generate_series(1, 100000) AS i;
         INSERT INTO idempotency (command_id, fingerprint, result, at) SELECT 'k' || i, 'f', '{}', 0
             FROM generate_series(1, 100000) AS i;
         INSERT INTO outbox (stream, partition, source, subject, sequence, type, time, envelope)
             SELECT 's', 0, '/s', 'k' || i, 1, 't', 0, '{}' FROM generate_series(1, 100000) AS i;
         ANALYZE",
    )
    .await?;
    let args: Vec<_> = (1..=200)
        .map(|i| json!({ "key": format!("k{i}"), "n": 1, "source": "/s", "subject": format!("k{i}") }))
        .collect();
    let literal = serde_json::to_string(&args)?;
    let mut connection = sqlx::PgConnection::connect(&address).await?;
    // As after the fifth use of a prepared statement; and as in the first five.
    for mode in ["force_generic_plan", "force_custom_plan"] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SET plan_cache_mode TO {mode}"))).execute(&mut connection).await?;
        for (index, (table, sql)) in HOT.iter().enumerate() {
            let name = format!("{mode}_{index}");
            let prepare = format!("PREPARE {name}(text) AS {sql}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(prepare)).execute(&mut connection).await?;
            let explain = format!("EXPLAIN EXECUTE {name}('{literal}')");
            let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(explain)).fetch_all(&mut connection).await?;
            let plan: Vec<String> = rows.iter().map(|row| sqlx::Row::get(row, 0)).collect();
            let plan = plan.join("\n");
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{mode}: {sql}\n{plan}");
            assert!(plan.contains("Index"), "{mode}: {sql}\n{plan}");
        }
    }
    drop(db);
    Ok(())
}

/// Of a table that the server itself does not look at, as it has not yet looked at a new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_table_that_grows_is_analysed_before_autovacuum_comes_round() -> Result<()> {
    let (db, address) = things().await?;
    by_hand(&address, "ALTER TABLE things SET (autovacuum_enabled = off)").await?;
    let mut connection = sqlx::PgConnection::connect(&address).await?;
    let mut rows = 2;
    for transactions in [64, 64, 128] {
        let grow = format!("INSERT INTO things SELECT 'k' || i, 0 FROM generate_series({rows}, 2 * {rows} - 1) AS i");
        by_hand(&address, &grow).await?;
        rows *= 2;
        for _ in 0..transactions {
            added(&db, "a", 1).await?;
        }
        let analysed = until("the server knows how large the table is", PATIENCE, async || {
            let known = "SELECT CAST(reltuples AS BIGINT) FROM pg_class WHERE relname = 'things'";
            let known: i64 = sqlx::query_scalar(known).fetch_one(&mut connection).await?;
            Ok((known == rows).then_some(()))
        });
        analysed.await?;
    }
    Ok(())
}
