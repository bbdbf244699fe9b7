//! What is asked from outside, answered by the pool of readers.
//!
//! Lists are paged by **keyset**: the next page begins after the sort key of the
//! last row seen, which the index finds at once. A page reads one row more than it
//! shows, to know whether another follows. The arguments of a statement are made a
//! one-row table `a`, which both engines read once.

use platform::clock::Millis;
use platform::message::Envelope;
use platform::store::{Db, StoreError, Tx};
use serde::Serialize;
use serde_json::json;
use sqlx::FromRow;

/// An order as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct OrderRow {
    pub(crate) id: String,
    pub(crate) customer_id: String,
    pub(crate) status: String,
    pub(crate) status_reason: String,
    pub(crate) version: i64,
    pub(crate) placed_at: Millis,
    pub(crate) pay_before: Option<Millis>,
    pub(crate) total: i64,
    pub(crate) currency: String,
    pub(crate) lines: String,
    pub(crate) address: Option<String>,
}

/// A product that is shown.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct ShownProduct {
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) price: i64,
    pub(crate) currency: String,
    pub(crate) available: i64,
}

/// A notification as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct NotificationRow {
    pub(crate) id: String,
    pub(crate) customer_id: String,
    pub(crate) order_id: String,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) at: Millis,
}

#[derive(FromRow)]
struct Count {
    n: i64,
}

#[derive(FromRow)]
struct Text {
    envelope: String,
}

/// Which orders, or notifications, are listed.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Filter {
    /// Only this customer's.
    pub(crate) customer: Option<String>,
    /// Only with this status (orders).
    pub(crate) status: Option<String>,
}

impl Filter {
    /// Conditions for what is set and none for what is not, so that each
    /// combination can use its index.
    fn conditions(&self) -> String {
        let mut conditions = "true".to_owned();
        if self.customer.is_some() {
            conditions.push_str(" AND t.customer_id = (SELECT customer FROM a)");
        }
        if self.status.is_some() {
            conditions.push_str(" AND t.status = (SELECT status FROM a)");
        }
        conditions
    }
}

/// A page of a list that is sorted by `K`.
#[derive(Debug)]
pub(crate) struct Page<K> {
    /// The sort key of the last row seen.
    pub(crate) after: Option<K>,
    /// At most so many.
    pub(crate) rows: i64,
}

/// Sort key of what is listed newest first.
pub(crate) type Newest = (Millis, String);
/// Sort key of the catalogue: name, SKU.
pub(crate) type ByName = (String, String);

const ORDER: &str =
    "SELECT t.id, t.customer_id, t.status, t.status_reason, t.version, t.placed_at, t.pay_before, t.total,
    t.currency, t.lines, t.address FROM orders AS t";
const ORDER_BY_ID: &str = "SELECT id, customer_id, status, status_reason, version, placed_at, pay_before, total,
    currency, lines, address FROM orders WHERE id IN (SELECT r.value->>'id' FROM jsonb_each($1) AS r)";
const NOTIFICATION: &str = "SELECT t.id, t.customer_id, t.order_id, t.title, t.body, t.at FROM notifications AS t";
const NEWEST_ARGUMENTS: &str = "WITH a AS MATERIALIZED (
    SELECT r.value->>'customer' AS customer, r.value->>'status' AS status, CAST(r.value->>'time' AS BIGINT) AS time,
           r.value->>'id' AS id, CAST(r.value->>'rows' AS BIGINT) AS size FROM jsonb_each($1) AS r)";

/// One order.
pub(crate) async fn order(db: &Db, id: &str) -> Result<Option<OrderRow>, StoreError> {
    Ok(db.read(ORDER_BY_ID, &[json!({ "id": id })]).await?.pop())
}

/// One order and the events of its timeline, both of the same moment, so that
/// neither tells more than the other.
pub(crate) async fn order_with_events(db: &Db, id: &str) -> Result<Option<(OrderRow, Vec<Envelope>)>, StoreError> {
    let args = [json!({ "id": id })];
    let mut tx = db.snapshot().await?;
    let order: Option<OrderRow> = tx.fetch(ORDER_BY_ID, &args).await?.pop();
    let Some(order) = order else { return Ok(None) };
    let texts: Vec<Text> = tx
        .fetch(
            "SELECT envelope FROM event_log
             WHERE correlation_id IN (SELECT r.value->>'id' FROM jsonb_each($1) AS r) ORDER BY time, position",
            &args,
        )
        .await?;
    tx.rollback().await?;
    let events = texts.iter().map(|text| envelope(&text.envelope)).collect::<Result<_, _>>()?;
    Ok(Some((order, events)))
}

/// Reads an envelope from the log.
pub(crate) fn envelope(text: &str) -> Result<Envelope, StoreError> {
    Envelope::parse(text).map_err(|error| StoreError::Refused(format!("event log: {error}")))
}

/// A page of orders, newest first, and how many there are in all.
pub(crate) async fn orders(db: &Db, filter: &Filter, page: &Page<Newest>) -> Result<(Vec<OrderRow>, i64), StoreError> {
    newest(db, ORDER, "placed_at", filter, page).await
}

/// A page of notifications, newest first, and how many there are in all.
pub(crate) async fn notifications(
    db: &Db,
    filter: &Filter,
    page: &Page<Newest>,
) -> Result<(Vec<NotificationRow>, i64), StoreError> {
    newest(db, NOTIFICATION, "at", filter, page).await
}

async fn newest<T: platform::store::Row>(
    db: &Db,
    select: &'static str,
    time: &'static str,
    filter: &Filter,
    page: &Page<Newest>,
) -> Result<(Vec<T>, i64), StoreError> {
    let (after_time, after_id) = page.after.as_ref().map(|(time, id)| (*time, id.as_str())).unzip();
    let args = [json!({
        "customer": filter.customer, "status": filter.status, "time": after_time, "id": after_id, "rows": page.rows + 1,
    })];
    let conditions = filter.conditions();
    let after = if page.after.is_some() {
        format!(" AND (t.{time}, t.id) < ((SELECT time FROM a), (SELECT id FROM a))")
    } else {
        String::new()
    };
    let rows = db
        .read(
            format!(
                "{NEWEST_ARGUMENTS} {select} WHERE {conditions}{after}
                 ORDER BY t.{time} DESC, t.id DESC LIMIT (SELECT size FROM a)"
            ),
            &args,
        )
        .await?;
    let from = select.split_once(" FROM ").map_or(select, |(_, from)| from);
    let total: Vec<Count> =
        db.read(format!("{NEWEST_ARGUMENTS} SELECT COUNT(*) AS n FROM {from} WHERE {conditions}"), &args).await?;
    Ok((rows, total.first().map_or(0, |count| count.n)))
}

/// One product, if it is shown.
pub(crate) async fn product(db: &Db, sku: &str) -> Result<Option<ShownProduct>, StoreError> {
    let rows = db
        .read(
            "SELECT sku, name, price, currency, on_hand - reserved AS available FROM products
             WHERE name IS NOT NULL AND sku IN (SELECT r.value->>'sku' FROM jsonb_each($1) AS r)",
            &[json!({ "sku": sku })],
        )
        .await?;
    Ok(rows.into_iter().next())
}

/// The words of a search, as patterns: each must occur somewhere.
const WORDS: &str = "words AS MATERIALIZED (
    SELECT r.value->>'word' AS word FROM jsonb_each($1) AS r WHERE r.value->>'word' IS NOT NULL)";
const MATCHES: &str = r"p.name IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM words AS w WHERE p.search_text NOT LIKE w.word ESCAPE '\')";

/// A page of the shown products that all `patterns` match, by name, and how many
/// there are in all.
pub(crate) async fn products(
    db: &Db,
    patterns: &[String],
    page: &Page<ByName>,
) -> Result<(Vec<ShownProduct>, i64), StoreError> {
    let (name, sku) = page.after.as_ref().map(|(name, sku)| (name.as_str(), sku.as_str())).unzip();
    let mut args = vec![json!({ "name": name, "sku": sku, "rows": page.rows + 1 })];
    args.extend(patterns.iter().map(|pattern| json!({ "word": pattern })));
    let after =
        if page.after.is_some() { " AND (p.name, p.sku) > ((SELECT name FROM a), (SELECT sku FROM a))" } else { "" };
    let rows = db
        .read(
            format!(
                "WITH a AS MATERIALIZED (
                     SELECT r.value->>'name' AS name, r.value->>'sku' AS sku, CAST(r.value->>'rows' AS BIGINT) AS size
                     FROM jsonb_each($1) AS r WHERE r.value->>'rows' IS NOT NULL),
                 {WORDS}
                 SELECT p.sku, p.name, p.price, p.currency, p.on_hand - p.reserved AS available FROM products AS p
                 WHERE {MATCHES}{after} ORDER BY p.name, p.sku LIMIT (SELECT size FROM a)"
            ),
            &args,
        )
        .await?;
    let total: Vec<Count> =
        db.read(format!("WITH {WORDS} SELECT COUNT(*) AS n FROM products AS p WHERE {MATCHES}"), &args).await?;
    Ok((rows, total.first().map_or(0, |count| count.n)))
}

/// The patterns of a search text: its words in lower case, each to be found
/// anywhere, with what `LIKE` gives a meaning taken literally.
pub(crate) fn patterns(search: &str) -> Vec<String> {
    let mut words: Vec<String> = search.to_lowercase().split_whitespace().map(str::to_owned).collect();
    words.sort_unstable();
    words.dedup();
    words
        .iter()
        .map(|word| {
            let mut pattern = String::with_capacity(word.len() + 2);
            pattern.push('%');
            for letter in word.chars() {
                if matches!(letter, '%' | '_' | '\\') {
                    pattern.push('\\');
                }
                pattern.push(letter);
            }
            pattern.push('%');
            pattern
        })
        .collect()
}

/// The rows of these orders, in a transaction's snapshot.
pub(crate) async fn orders_in(tx: &mut Tx, ids: &[String]) -> Result<Vec<OrderRow>, StoreError> {
    tx.fetch(ORDER_BY_ID, &ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>()).await
}

#[cfg(test)]
mod pattern_tests {
    use super::patterns;

    #[test]
    fn a_search_is_its_words_in_lower_case() {
        assert_eq!(patterns("  Tea \t MUG tea "), ["%mug%", "%tea%"]);
        assert_eq!(patterns(" "), Vec::<String>::new());
    }

    #[test]
    fn what_like_gives_a_meaning_is_taken_literally() {
        assert_eq!(patterns(r"100% a_b c\d"), [r"%100\%%", r"%a\_b%", r"%c\\d%"]);
    }
}
