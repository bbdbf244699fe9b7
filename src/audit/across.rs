//! The rules across stores: implications, each read with the effect's store first.
//!
//! ```text
//!   what is there                          what must have caused it
//!   ─────────────────────────────────────────────────────────────────────────
//!   an order in the read model          ─► the order, at least as far
//!   stock set aside, money on hold      ─► an order that is open
//!   goods sold                          ─► the order's money was taken
//!   money taken                         ─► an order that is PAID or later
//!   goods that came back                ─► money given back
//!   money given back                    ─► an order whose money was taken, and no more than it cost
//!   an order CONFIRMED or later         ─► its money taken, its goods sold
//!   an order REFUNDED                   ─► its money given back, all of it
//! ```

use std::collections::{BTreeMap, BTreeSet};

use order::audit::Standing;
use order::domain::Status;
use platform::audit::Finding;
use platform::store::StoreError;

use crate::Stores;

/// The shop as its stores told it one after the other, in this order.
struct Seen {
    read_model: Vec<query::audit::OrderStanding>,
    sold: Vec<String>,
    came_back: Vec<(String, i64)>,
    reserved: Vec<String>,
    money: Money,
    orders: BTreeMap<String, Standing>,
    /// The causes of what the orders say, read after them.
    sold_after: BTreeSet<String>,
    money_after: Money,
}

/// What payment says about orders.
struct Money {
    captured: BTreeSet<String>,
    /// Order and attempt.
    held: Vec<(String, i64)>,
    /// Order and minor units.
    refunded: BTreeMap<String, i64>,
}

/// Checks every rule; a finding each.
///
/// # Errors
/// A store cannot be read.
pub(super) async fn rules(stores: &Stores) -> Result<Vec<Finding>, StoreError> {
    let seen = look(stores).await?;
    let mut findings = effects(&seen);
    findings.extend(ends(&seen));
    findings.extend(payment::audit::audit_against_bank(&stores.payment, &stores.bank).await?);
    Ok(findings)
}

async fn look(stores: &Stores) -> Result<Seen, StoreError> {
    let mut tx = stores.query.unhurried_snapshot().await?;
    let read_model = query::audit::orders(&mut tx).await?;
    tx.rollback().await?;
    let mut tx = stores.inventory.unhurried_snapshot().await?;
    let sold = inventory::audit::sold_orders(&mut tx).await?;
    let came_back = inventory::audit::returned_orders(&mut tx).await?;
    let reserved = inventory::audit::open_reservations(&mut tx).await?;
    tx.rollback().await?;
    let money = money(stores).await?;
    let mut tx = stores.order.unhurried_snapshot().await?;
    let standings = order::audit::standings(&mut tx).await?;
    tx.rollback().await?;
    let mut tx = stores.inventory.unhurried_snapshot().await?;
    let sold_after = inventory::audit::sold_orders(&mut tx).await?.into_iter().collect();
    tx.rollback().await?;
    let orders = standings.into_iter().map(|standing| (standing.id.clone(), standing)).collect();
    Ok(Seen {
        read_model,
        sold,
        came_back,
        reserved,
        money,
        orders,
        sold_after,
        money_after: self::money(stores).await?,
    })
}

async fn money(stores: &Stores) -> Result<Money, StoreError> {
    let mut tx = stores.payment.unhurried_snapshot().await?;
    let captured = payment::audit::captured_orders(&mut tx).await?.into_iter().collect();
    let held = payment::audit::open_authorisations(&mut tx).await?;
    let refunded = payment::audit::refunded_orders(&mut tx).await?.into_iter().collect();
    tx.rollback().await?;
    Ok(Money { captured, held, refunded })
}

/// What the other services hold or did, and the orders behind it.
fn effects(seen: &Seen) -> Vec<Finding> {
    let status = |id: &str| seen.orders.get(id).map(|standing| standing.status);
    let unless = |id: &String, fits: fn(Status) -> bool| {
        let status = status(id);
        (!status.is_some_and(fits)).then(|| format!("{id}: {}", told(status)))
    };
    vec![
        finding(
            "the read model has no order, and no version, that the order service has not",
            seen.read_model.len(),
            seen.read_model.iter().filter_map(|view| {
                let known = seen.orders.get(&view.id).is_some_and(|standing| standing.version >= view.version);
                (!known).then(|| format!("{}: version {}", view.id, view.version))
            }),
        ),
        finding(
            "an open reservation -> its order exists and is open",
            seen.reserved.len(),
            seen.reserved.iter().filter_map(|id| unless(id, is_open)),
        ),
        finding(
            "money on hold -> its order is open, or it is being given back",
            seen.money.held.len(),
            seen.money
                .held
                .iter()
                .filter_map(|(id, attempt)| unless(id, is_open).map(|breach| format!("{breach}, attempt {attempt}"))),
        ),
        finding(
            "a captured payment -> its order is PAID or later",
            seen.money.captured.len(),
            seen.money.captured.iter().filter_map(|id| unless(id, is_paid_or_later)),
        ),
        finding(
            "goods sold -> their order's money was taken",
            seen.sold.len(),
            seen.sold.iter().filter(|id| !seen.money.captured.contains(*id)).cloned(),
        ),
        finding(
            "goods that came back -> money of their order was given back",
            seen.came_back.len(),
            seen.came_back
                .iter()
                .filter(|(id, _)| !seen.money.refunded.contains_key(id))
                .map(|(id, pieces)| format!("{id}: {pieces} pieces")),
        ),
        finding(
            "money given back -> its order's money was taken, and cost no less",
            seen.money.refunded.len(),
            seen.money.refunded.iter().filter_map(|(id, amount)| {
                let order = seen.orders.get(id);
                let fits = order.is_some_and(|order| order.captured && *amount <= order.total);
                (!fits).then(|| format!("{id}: {amount} back, {}", told(order.map(|order| order.status))))
            }),
        ),
    ]
}

/// What the orders say, and what must be so elsewhere.
fn ends(seen: &Seen) -> Vec<Finding> {
    let those = |fits: fn(Status) -> bool| seen.orders.values().filter(move |standing| fits(standing.status));
    let back = |id: &str| seen.money_after.refunded.get(id).copied().unwrap_or_default();
    vec![
        finding(
            "CONFIRMED -> its payment was captured",
            those(is_settled).count(),
            those(is_settled)
                .filter(|standing| !seen.money_after.captured.contains(&standing.id))
                .map(|standing| standing.id.clone()),
        ),
        finding(
            "CONFIRMED, SHIPPED or DELIVERED -> its goods were sold",
            those(is_sold).count(),
            those(is_sold)
                .filter(|standing| !seen.sold_after.contains(&standing.id))
                .map(|standing| standing.id.clone()),
        ),
        finding(
            "what an order knows to be refunded was refunded, all of it if it is REFUNDED",
            those(is_settled).count(),
            those(is_settled).filter_map(|standing| {
                let whole = standing.status == Status::Refunded;
                let least = if whole { standing.total } else { standing.refunded };
                let back = back(&standing.id);
                (back < least).then(|| format!("{}: {back} back, should be {least}", standing.id))
            }),
        ),
    ]
}

fn finding(rule: &'static str, checked: usize, breaches: impl Iterator<Item = String>) -> Finding {
    Finding { rule: rule.into(), checked: i64::try_from(checked).unwrap_or(i64::MAX), breaches: breaches.collect() }
}

fn told(status: Option<Status>) -> String {
    status.map_or_else(|| "no such order".to_owned(), |status| format!("the order is {status:?}"))
}

const fn is_paid_or_later(status: Status) -> bool {
    match status {
        Status::Paid | Status::Confirmed | Status::Shipped | Status::Delivered | Status::Refunded => true,
        Status::Placed | Status::AwaitingPayment | Status::Rejected | Status::Expired | Status::Cancelled => false,
    }
}

/// Its money was taken, and it says so.
const fn is_settled(status: Status) -> bool {
    match status {
        Status::Confirmed | Status::Shipped | Status::Delivered | Status::Refunded => true,
        Status::Placed
        | Status::AwaitingPayment
        | Status::Paid
        | Status::Rejected
        | Status::Expired
        | Status::Cancelled => false,
    }
}

/// Its goods have left the house. Not REFUNDED: that may have been called off before.
const fn is_sold(status: Status) -> bool {
    match status {
        Status::Confirmed | Status::Shipped | Status::Delivered => true,
        Status::Placed
        | Status::AwaitingPayment
        | Status::Paid
        | Status::Rejected
        | Status::Expired
        | Status::Cancelled
        | Status::Refunded => false,
    }
}

/// May still have stock set aside and money on hold.
const fn is_open(status: Status) -> bool {
    match status {
        Status::Placed | Status::AwaitingPayment | Status::Paid => true,
        Status::Confirmed
        | Status::Shipped
        | Status::Delivered
        | Status::Rejected
        | Status::Expired
        | Status::Cancelled
        | Status::Refunded => false,
    }
}
