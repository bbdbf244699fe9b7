//! All SQL of the notification service.

use std::collections::{BTreeMap, BTreeSet};

use platform::clock::Millis;
use platform::store::{StoreError, Tx};
use serde_json::{Value, json};

use crate::texts::Subject;

/// A message to a customer.
#[derive(Debug, Clone)]
pub(crate) struct Notification {
    /// The id of the event that it tells of.
    pub(crate) notification_id: String,
    pub(crate) customer_id: String,
    pub(crate) order_id: String,
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) at: Millis,
}

/// What one batch touches.
#[derive(Debug, Default)]
pub struct Batch {
    subjects: BTreeMap<String, Subject>,
    learned: BTreeSet<String>,
    notifications: Vec<Notification>,
}

impl Batch {
    pub(crate) fn subject(&self, order_id: &str) -> Option<&Subject> {
        self.subjects.get(order_id)
    }

    /// What an order is about never changes, so the first word stands.
    pub(crate) fn learn(&mut self, order_id: &str, subject: &Subject) {
        if !self.subjects.contains_key(order_id) {
            self.subjects.insert(order_id.to_owned(), subject.clone());
            self.learned.insert(order_id.to_owned());
        }
    }

    pub(crate) fn keep(&mut self, notification: Notification) {
        self.notifications.push(notification);
    }
}

#[derive(sqlx::FromRow)]
struct SubjectRow {
    order_id: String,
    customer_id: String,
    email: String,
    goods: String,
    total: i64,
    currency: String,
    pay_before: i64,
    card_offered: i64,
}

/// Loads what is known of the orders. Nothing of it is ever changed, so nothing
/// is locked.
pub(crate) async fn load(tx: &mut Tx, orders: impl Iterator<Item = &str>) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    let orders: BTreeSet<&str> = orders.collect();
    if orders.is_empty() {
        return Ok(batch);
    }
    let args: Vec<Value> = orders.iter().map(|id| json!({ "id": id })).collect();
    let rows: Vec<SubjectRow> = tx
        .fetch(
            "SELECT order_id, customer_id, email, goods, total, currency, pay_before, card_offered
             FROM order_customers WHERE order_id IN (SELECT r.value->>'id' FROM jsonb_each($1) AS r)",
            &args,
        )
        .await?;
    for row in rows {
        let subject = Subject {
            customer_id: row.customer_id,
            email: row.email,
            goods: row.goods,
            total: row.total,
            currency: row.currency,
            pay_before: row.pay_before,
            card_offered: row.card_offered != 0,
        };
        batch.subjects.insert(row.order_id, subject);
    }
    Ok(batch)
}

/// Adds what the batch learned and wrote.
pub(crate) async fn save(tx: &mut Tx, batch: &Batch) -> Result<(), StoreError> {
    let learned: Vec<Value> = batch
        .learned
        .iter()
        .filter_map(|order_id| {
            let subject = batch.subjects.get(order_id)?;
            Some(json!({
                "order_id": order_id, "customer_id": subject.customer_id, "email": subject.email,
                "goods": subject.goods, "total": subject.total, "currency": subject.currency,
                "pay_before": subject.pay_before, "card_offered": i64::from(subject.card_offered),
            }))
        })
        .collect();
    if !learned.is_empty() {
        tx.execute(
            "INSERT INTO order_customers (order_id, customer_id, email, goods, total, currency, pay_before,
                                          card_offered)
             SELECT r.value->>'order_id', r.value->>'customer_id', r.value->>'email', r.value->>'goods',
                    CAST(r.value->>'total' AS BIGINT), r.value->>'currency', CAST(r.value->>'pay_before' AS BIGINT),
                    CAST(r.value->>'card_offered' AS BIGINT)
             FROM jsonb_each($1) AS r",
            &learned,
        )
        .await?;
    }
    let notifications: Vec<Value> = batch
        .notifications
        .iter()
        .map(|notification| {
            json!({
                "id": notification.notification_id, "customer_id": notification.customer_id,
                "order_id": notification.order_id, "kind": notification.kind, "title": notification.title,
                "body": notification.body, "at": notification.at,
            })
        })
        .collect();
    if !notifications.is_empty() {
        tx.execute(
            "INSERT INTO notifications (notification_id, customer_id, order_id, kind, title, body, at)
             SELECT r.value->>'id', r.value->>'customer_id', r.value->>'order_id', r.value->>'kind',
                    r.value->>'title', r.value->>'body', CAST(r.value->>'at' AS BIGINT)
             FROM jsonb_each($1) AS r",
            &notifications,
        )
        .await?;
    }
    Ok(())
}
