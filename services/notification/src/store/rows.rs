//! The rows of the notification service's tables: as they are read, and as they are
//! written.

use platform::clock::Millis;
use platform::store::StoreError;
use serde::Serialize;

use super::{Fate, Mailing, Notification, Slot};
use crate::domain::{Order, Standing};
use crate::topic::MailPreference;

#[derive(serde::Deserialize)]
pub(super) struct OrderRow {
    pub(super) order_id: String,
    pub(super) customer_id: String,
    pub(super) email: String,
    pub(super) goods: String,
    pub(super) total: i64,
    pub(super) currency: String,
    pub(super) pay_before: i64,
    pub(super) standing: String,
    pub(super) paying: i64,
    pub(super) remind_at: Option<i64>,
    pub(super) refunded: i64,
    pub(super) version: i64,
}

#[derive(serde::Deserialize)]
pub(super) struct PreferenceRow {
    pub(super) customer_id: String,
    pub(super) mail: String,
}

#[derive(serde::Deserialize)]
pub(super) struct MailingRow {
    pub(super) notification_id: String,
    pub(super) topic: String,
    pub(super) mailed_at: Option<i64>,
    pub(super) mail_error: Option<String>,
}

#[derive(serde::Deserialize)]
pub(super) struct ReminderRow {
    pub(super) order_id: String,
    pub(super) remind_at: i64,
}

/// The key of a row to load.
#[derive(Serialize)]
pub(super) struct Id<'a> {
    pub(super) id: &'a str,
}

/// An order to insert.
#[derive(Serialize)]
pub(super) struct NewOrder<'a> {
    order_id: &'a str,
    customer_id: &'a str,
    email: &'a str,
    goods: &'a str,
    total: i64,
    currency: &'a str,
    pay_before: Millis,
    standing: &'static str,
    paying: i64,
    remind_at: Option<Millis>,
    refunded: i64,
}

/// An order to update. What it is about never changes.
#[derive(Serialize)]
pub(super) struct ChangedOrder<'a> {
    order_id: &'a str,
    standing: &'static str,
    paying: i64,
    remind_at: Option<Millis>,
    refunded: i64,
    /// As loaded.
    version: i64,
}

/// A message to insert.
#[derive(Serialize)]
pub(super) struct NewNotification<'a> {
    id: &'a str,
    customer_id: &'a str,
    order_id: &'a str,
    topic: &'static str,
    title: &'a str,
    body: &'a str,
    at: Millis,
}

/// How a mailing has ended.
#[derive(Serialize)]
pub(super) struct EndedMailing<'a> {
    id: &'a str,
    mailed_at: Option<Millis>,
    error: Option<&'a str>,
}

/// A preference to save.
#[derive(Serialize)]
pub(super) struct SavedPreference<'a> {
    pub(super) id: &'a str,
    pub(super) mail: &'static str,
    pub(super) at: Millis,
}

pub(super) fn new_order<'a>(order_id: &'a str, order: &'a Order) -> NewOrder<'a> {
    NewOrder {
        order_id,
        customer_id: &order.customer_id,
        email: &order.email,
        goods: &order.goods,
        total: order.total,
        currency: &order.currency,
        pay_before: order.pay_before,
        standing: standing_name(order.standing),
        paying: i64::from(order.paying),
        remind_at: order.remind_at,
        refunded: order.refunded,
    }
}

pub(super) fn changed_order<'a>(order_id: &'a str, Slot { order, version, .. }: &Slot) -> ChangedOrder<'a> {
    ChangedOrder {
        order_id,
        standing: standing_name(order.standing),
        paying: i64::from(order.paying),
        remind_at: order.remind_at,
        refunded: order.refunded,
        version: *version,
    }
}

pub(super) fn new_notification(notification: &Notification) -> NewNotification<'_> {
    NewNotification {
        id: &notification.notification_id,
        customer_id: &notification.customer_id,
        order_id: &notification.order_id,
        topic: notification.topic.as_str(),
        title: &notification.title,
        body: &notification.body,
        at: notification.at,
    }
}

pub(super) fn ended<'a>((id, mailing): (&'a String, &'a Mailing)) -> Option<EndedMailing<'a>> {
    Some(match mailing.fate.as_ref()? {
        Fate::Mailed(at) => EndedMailing { id, mailed_at: Some(*at), error: None },
        Fate::NotMailed(reason) => EndedMailing { id, mailed_at: None, error: Some(reason) },
    })
}

pub(super) fn order(row: OrderRow) -> Result<Order, StoreError> {
    Ok(Order {
        customer_id: row.customer_id,
        email: row.email,
        goods: row.goods,
        total: row.total,
        currency: row.currency,
        pay_before: row.pay_before,
        standing: standing(&row.standing)?,
        paying: row.paying != 0,
        remind_at: row.remind_at,
        refunded: row.refunded,
    })
}

pub(super) fn standing(name: &str) -> Result<Standing, StoreError> {
    let all = [Standing::Waiting, Standing::Paid, Standing::CallingOff, Standing::Ended];
    all.into_iter().find(|standing| standing_name(*standing) == name).ok_or_else(|| nonsense("standing", name))
}

const fn standing_name(standing: Standing) -> &'static str {
    match standing {
        Standing::Waiting => "WAITING",
        Standing::Paid => "PAID",
        Standing::CallingOff => "CALLING_OFF",
        Standing::Ended => "ENDED",
    }
}

pub(super) fn mail_preference(name: &str) -> Result<MailPreference, StoreError> {
    MailPreference::of(name).ok_or_else(|| nonsense("preference", name))
}

pub(super) fn nonsense(what: &str, text: &str) -> StoreError {
    StoreError::Refused(format!("{text:?} is no {what}"))
}
