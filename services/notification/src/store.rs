//! All SQL of the notification service.

mod rows;

use std::collections::{BTreeMap, BTreeSet};

use platform::bus::Timer;
use platform::clock::Millis;
use platform::store::{Db, StoreError, Tx};
use serde_json::json;

use crate::REMINDER;
use crate::domain::Order;
use crate::topic::{MailPreference, Topic};
use rows::{
    Id, MailingRow, OrderRow, PreferenceRow, ReminderRow, SavedPreference, changed_order, ended, mail_preference,
    new_notification, new_order, nonsense, order,
};

/// A message to a customer.
#[derive(Debug, Clone)]
pub(crate) struct Notification {
    /// The id of the event that it tells of; a reminder's is made from its order's.
    pub(crate) notification_id: String,
    pub(crate) customer_id: String,
    pub(crate) order_id: String,
    pub(crate) topic: Topic,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) at: Millis,
}

/// A stored message that is to go out by mail.
#[derive(Debug, Clone)]
pub(crate) struct Mailing {
    pub(crate) topic: Topic,
    pub(crate) fate: Option<Fate>,
    changed: bool,
}

/// How a mailing has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A mail server took it, Unix milliseconds.
    Mailed(Millis),
    /// It was not mailed and will not be: why.
    NotMailed(String),
}

/// Which rows a batch touches.
#[derive(Debug, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) orders: BTreeSet<&'a str>,
    /// Those of the orders come on top.
    pub(crate) customers: BTreeSet<&'a str>,
    /// Ids of messages that are being mailed.
    pub(crate) mailings: BTreeSet<&'a str>,
}

/// What one batch touches.
#[derive(Debug, Default)]
pub struct Batch {
    orders: BTreeMap<String, Slot>,
    preferences: BTreeMap<String, MailPreference>,
    /// Customers whose preference this batch has changed.
    preferred: BTreeSet<String>,
    notifications: Vec<Notification>,
    mailings: BTreeMap<String, Mailing>,
}

#[derive(Debug)]
struct Slot {
    order: Order,
    /// As loaded; 0: not stored yet.
    version: i64,
    changed: bool,
}

impl Batch {
    pub(crate) fn order(&self, id: &str) -> Option<&Order> {
        self.orders.get(id).map(|slot| &slot.order)
    }

    pub(crate) fn set_order(&mut self, id: &str, order: Order) {
        match self.orders.get_mut(id) {
            Some(slot) => {
                slot.changed |= slot.order != order;
                slot.order = order;
            }
            None => {
                self.orders.insert(id.to_owned(), Slot { order, version: 0, changed: true });
            }
        }
    }

    /// Who has never said gets all.
    pub(crate) fn preference(&self, customer_id: &str) -> MailPreference {
        self.preferences.get(customer_id).copied().unwrap_or_default()
    }

    pub(crate) fn set_preference(&mut self, customer_id: &str, mail: MailPreference) {
        self.preferences.insert(customer_id.to_owned(), mail);
        self.preferred.insert(customer_id.to_owned());
    }

    pub(crate) fn keep(&mut self, notification: Notification) {
        self.notifications.push(notification);
    }

    pub(crate) fn mailing(&self, notification_id: &str) -> Option<&Mailing> {
        self.mailings.get(notification_id)
    }

    pub(crate) fn settle(&mut self, notification_id: &str, fate: Fate) {
        if let Some(mailing) = self.mailings.get_mut(notification_id) {
            mailing.fate = Some(fate);
            mailing.changed = true;
        }
    }
}

/// Loads orders and mailings, locked in key order, and preferences (if
/// `with_preferences`), which are only looked at.
pub(crate) async fn load(tx: &mut Tx, wanted: &Wanted<'_>, with_preferences: bool) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    if !wanted.orders.is_empty() {
        let rows: Vec<OrderRow> = tx
            .fetch_for_update(
                "SELECT order_id, customer_id, email, goods, total, currency, pay_before, standing, paying, remind_at,
                        refunded, version
                 FROM orders WHERE order_id IN (SELECT r.value->>'id' FROM jsonb_each($1) AS r) ORDER BY order_id",
                &ids(&wanted.orders),
            )
            .await?;
        for row in rows {
            let (id, version) = (row.order_id.clone(), row.version);
            batch.orders.insert(id, Slot { order: order(row)?, version, changed: false });
        }
    }
    if !wanted.mailings.is_empty() {
        let rows: Vec<MailingRow> = tx
            .fetch_for_update(
                "SELECT notification_id, topic, mailed_at, mail_error FROM notifications
                 WHERE notification_id IN (SELECT r.value->>'id' FROM jsonb_each($1) AS r) ORDER BY notification_id",
                &ids(&wanted.mailings),
            )
            .await?;
        for row in rows {
            let topic = Topic::of(&row.topic).ok_or_else(|| nonsense("topic of a message", &row.topic))?;
            let fate = row.mailed_at.map(Fate::Mailed).or(row.mail_error.map(Fate::NotMailed));
            batch.mailings.insert(row.notification_id, Mailing { topic, fate, changed: false });
        }
    }
    if with_preferences {
        let of_orders = batch.orders.values().map(|slot| slot.order.customer_id.as_str());
        let customers: BTreeSet<&str> = wanted.customers.iter().copied().chain(of_orders).collect();
        if !customers.is_empty() {
            let rows: Vec<PreferenceRow> = tx.fetch_each(PREFERENCES, &ids(&customers)).await?;
            for row in rows {
                batch.preferences.insert(row.customer_id, mail_preference(&row.mail)?);
            }
        }
    }
    Ok(batch)
}

const PREFERENCES: &str = "SELECT customer_id, mail FROM preferences
                           WHERE customer_id IN (SELECT r.value->>'id' FROM jsonb_each($1) AS r)";

/// A customer's preference.
pub(crate) async fn preference(db: &Db, customer_id: &str) -> Result<MailPreference, StoreError> {
    let rows: Vec<PreferenceRow> = db.read(PREFERENCES, &[json!({ "id": customer_id })]).await?;
    rows.first().map_or(Ok(MailPreference::default()), |row| mail_preference(&row.mail))
}

/// The timers that stand in the rows, due before `before`.
pub(crate) async fn timers(db: &Db, before: Millis) -> Result<Vec<Timer>, StoreError> {
    let rows: Vec<ReminderRow> = db
        .read(
            "SELECT o.order_id, o.remind_at FROM orders AS o, jsonb_each($1) AS r
             WHERE o.remind_at IS NOT NULL AND o.remind_at < CAST(r.value->>'before' AS BIGINT)",
            &[json!({ "before": before })],
        )
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| Timer { subject: row.order_id, kind: REMINDER.to_owned(), attempt: 0, due: row.remind_at })
        .collect())
}

/// Saves what changed. A changed order tests the version it was loaded with, and a
/// mailing that it had not ended yet.
pub(crate) async fn save(tx: &mut Tx, batch: &Batch, now: Millis) -> Result<(), StoreError> {
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for (id, slot) in batch.orders.iter().filter(|(_, slot)| slot.changed) {
        if slot.version == 0 {
            new.push(new_order(id, &slot.order));
        } else {
            changed.push(changed_order(id, slot));
        }
    }
    tx.execute_each(
        "INSERT INTO orders (order_id, customer_id, email, goods, total, currency, pay_before, standing, paying,
                             remind_at, refunded, version)
         SELECT r.value->>'order_id', r.value->>'customer_id', r.value->>'email', r.value->>'goods',
                CAST(r.value->>'total' AS BIGINT), r.value->>'currency', CAST(r.value->>'pay_before' AS BIGINT),
                r.value->>'standing', CAST(r.value->>'paying' AS BIGINT), CAST(r.value->>'remind_at' AS BIGINT),
                CAST(r.value->>'refunded' AS BIGINT), 1
         FROM jsonb_each($1) AS r",
        &new,
    )
    .await?;
    tx.execute_each(
        "UPDATE orders SET standing = r.value->>'standing', paying = CAST(r.value->>'paying' AS BIGINT),
                remind_at = CAST(r.value->>'remind_at' AS BIGINT), refunded = CAST(r.value->>'refunded' AS BIGINT),
                version = orders.version + 1
         FROM jsonb_each($1) AS r
         WHERE orders.order_id = r.value->>'order_id' AND orders.version = CAST(r.value->>'version' AS BIGINT)",
        &changed,
    )
    .await?;
    tx.execute_each(
        "INSERT INTO notifications (notification_id, customer_id, order_id, topic, title, body, at)
         SELECT r.value->>'id', r.value->>'customer_id', r.value->>'order_id', r.value->>'topic',
                r.value->>'title', r.value->>'body', CAST(r.value->>'at' AS BIGINT)
         FROM jsonb_each($1) AS r",
        &batch.notifications.iter().map(new_notification).collect::<Vec<_>>(),
    )
    .await?;
    tx.execute_each(
        "UPDATE notifications SET mailed_at = CAST(r.value->>'mailed_at' AS BIGINT), mail_error = r.value->>'error'
         FROM jsonb_each($1) AS r
         WHERE notifications.notification_id = r.value->>'id' AND notifications.mailed_at IS NULL
           AND notifications.mail_error IS NULL",
        &batch.mailings.iter().filter(|(_, mailing)| mailing.changed).filter_map(ended).collect::<Vec<_>>(),
    )
    .await?;
    let preferred: Vec<_> =
        batch.preferred.iter().map(|id| SavedPreference { id, mail: batch.preference(id).as_str(), at: now }).collect();
    // Whoever speaks last is right, whatever was there before.
    tx.execute_each(
        "INSERT INTO preferences (customer_id, mail, changed_at)
         SELECT r.value->>'id', r.value->>'mail', CAST(r.value->>'at' AS BIGINT) FROM jsonb_each($1) AS r WHERE true
         ON CONFLICT (customer_id) DO UPDATE SET mail = excluded.mail, changed_at = excluded.changed_at",
        &preferred,
    )
    .await
}

fn ids<'a>(ids: &BTreeSet<&'a str>) -> Vec<Id<'a>> {
    ids.iter().map(|id| Id { id }).collect()
}
