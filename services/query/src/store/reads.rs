//! What is asked from outside, answered by the pool of readers.
//!
//! Every statement looks up the live generation of its read model once, so that a
//! reader sees the one generation or the other and never both. Lists are paged by
//! **keyset**: the next page begins after the sort key of the last row seen, which
//! the index finds at once. A page reads one row more than it shows, to know whether
//! another follows. The arguments of a statement are made a one-row table `a`, which
//! both engines read once.

pub(crate) mod orders;
pub(crate) mod products;
pub(crate) mod standings;

use platform::clock::Millis;
use platform::store::{Db, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{generation, rows_of};
use crate::read_model::{Model, Scope};

/// A notification as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct NotificationRow {
    pub(crate) id: String,
    pub(crate) customer_id: String,
    pub(crate) order_id: String,
    pub(crate) topic: String,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) at: Millis,
    pub(crate) mailed_at: Option<Millis>,
}

#[derive(Deserialize)]
struct Count {
    n: i64,
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
        let mut conditions = String::new();
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

/// A list that is read newest first.
struct List {
    model: Model,
    columns: &'static str,
    /// The column that it is sorted by, before the id.
    time: &'static str,
}

const ARGUMENTS: &str = "WITH a AS MATERIALIZED (
    SELECT r.value->>'customer' AS customer, r.value->>'status' AS status, CAST(r.value->>'time' AS BIGINT) AS time,
           r.value->>'id' AS id, CAST(r.value->>'rows' AS BIGINT) AS size FROM jsonb_each($1) AS r)";

/// A page of notifications, newest first, and how many there are in all.
pub(crate) async fn notifications(
    db: &Db,
    filter: &Filter,
    page: &Page<Newest>,
) -> Result<(Vec<NotificationRow>, i64), StoreError> {
    let list = List {
        model: Model::Notifications,
        columns: "t.id, t.customer_id, t.order_id, t.topic, t.title, t.body, t.at, t.mailed_at",
        time: "at",
    };
    newest(db, &list, filter, page).await
}

async fn newest<T: platform::store::Row>(
    db: &Db,
    list: &List,
    filter: &Filter,
    page: &Page<Newest>,
) -> Result<(Vec<T>, i64), StoreError> {
    let (after_time, after_id) = page.after.as_ref().map(|(time, id)| (*time, id.as_str())).unzip();
    let args = [json!({
        "customer": filter.customer, "status": filter.status, "time": after_time, "id": after_id, "rows": page.rows + 1,
    })];
    let List { model, columns, time } = list;
    let from = format!(
        "FROM {} AS t WHERE t.generation = {}{}",
        model.as_str(),
        generation(Scope::Live, *model),
        filter.conditions()
    );
    let after = if page.after.is_some() {
        format!(" AND (t.{time}, t.id) < ((SELECT time FROM a), (SELECT id FROM a))")
    } else {
        String::new()
    };
    let rows = db
        .read(
            format!(
                "{ARGUMENTS} SELECT {columns} {from}{after}
                 ORDER BY t.{time} DESC, t.id DESC LIMIT (SELECT size FROM a)"
            ),
            &args,
        )
        .await?;
    let total: Vec<Count> = db.read(format!("{ARGUMENTS} SELECT COUNT(*) AS n {from}"), &args).await?;
    Ok((rows, total.first().map_or(0, |count| count.n)))
}
