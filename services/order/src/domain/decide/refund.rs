//! The way back from taken money: the refund is opened, the money goes, the goods
//! follow, the refund is closed.

use std::collections::BTreeMap;

use crate::domain::{Event, Goods, Order, Refund, RefundCause, Refusal, Status};

pub(super) fn return_goods(order: &Order, lines: Option<&[Goods]>, reason: &str) -> Result<Vec<Event>, Refusal> {
    match order.status {
        Status::Delivered if order.unwinding() => Err(Refusal::ReturnUnderWay),
        Status::Delivered => {
            let lines = lines.map_or_else(|| Ok(order.left()), |wanted| still_there(order, wanted))?;
            Ok(vec![open(order, RefundCause::Returned, price(order, &lines), lines, reason)])
        }
        Status::Refunded => Err(Refusal::AllBack),
        Status::Placed
        | Status::AwaitingPayment
        | Status::Paid
        | Status::Confirmed
        | Status::Shipped
        | Status::Rejected
        | Status::Expired
        | Status::Cancelled => Err(Refusal::NotDelivered),
    }
}

/// What is wanted, one a SKU, if the customer still has it.
fn still_there(order: &Order, wanted: &[Goods]) -> Result<Vec<Goods>, Refusal> {
    if wanted.is_empty() {
        return Err(Refusal::NoLines);
    }
    let mut quantities: BTreeMap<&str, i64> = BTreeMap::new();
    for goods in wanted {
        if goods.quantity < 1 {
            return Err(Refusal::Quantity { sku: goods.sku.clone() });
        }
        let sum = quantities.entry(&goods.sku).or_default();
        *sum = sum.saturating_add(goods.quantity);
    }
    let mut lines = Vec::with_capacity(quantities.len());
    for (sku, quantity) in quantities {
        let line = order.placed.lines.iter().find(|line| line.sku == sku);
        let line = line.ok_or_else(|| Refusal::NotInOrder { sku: sku.to_owned() })?;
        let left = line.quantity - order.came_back(sku);
        if quantity > left {
            return Err(Refusal::MoreThanLeft { sku: sku.to_owned(), left });
        }
        lines.push(Goods { sku: sku.to_owned(), quantity });
    }
    Ok(lines)
}

/// What goods cost when they were ordered, minor units. At most the order's total.
fn price(order: &Order, goods: &[Goods]) -> i64 {
    let unit_price =
        |sku: &str| order.placed.lines.iter().find(|line| line.sku == sku).map_or(0, |line| line.unit_price);
    goods.iter().map(|goods| unit_price(&goods.sku) * goods.quantity).sum()
}

fn pieces(goods: &[Goods]) -> i64 {
    goods.iter().map(|goods| goods.quantity).sum()
}

fn open(order: &Order, cause: RefundCause, amount: i64, lines: Vec<Goods>, reason: &str) -> Event {
    let number = order.refunds + 1;
    Event::RefundRequested(Refund { number, cause, amount, lines, reason: reason.to_owned() })
}

/// The refund of an order that was called off: all money, all goods.
pub(super) fn the_whole_order(order: &Order, reason: &str) -> Event {
    open(order, RefundCause::Cancelled, order.placed.total, order.left(), reason)
}

/// The refund of an order whose goods went back without it.
pub(super) fn the_money(order: &Order, reason: &str) -> Event {
    open(order, RefundCause::Cancelled, order.placed.total, Vec::new(), reason)
}

pub(super) fn payment_refunded(order: &Order, number: i32) -> Vec<Event> {
    match &order.refund {
        Some(refund) if refund.number == number && !order.money_back => {
            let mut events = vec![Event::PaymentRefunded { refund: number, amount: refund.amount }];
            if refund.lines.is_empty() {
                events.push(Event::Refunded);
            }
            events
        }
        // Told again.
        Some(_) | None => Vec::new(),
    }
}

/// Goods that had left the stock are back. Those of a refund that came before they
/// were committed come back as a released reservation.
pub(super) fn stock_returned(order: &Order, number: i32) -> Vec<Event> {
    match &order.refund {
        Some(refund) if refund.number == number && order.money_back && order.stock_committed => {
            let mut events = vec![Event::StockReturned { refund: number }];
            if pieces(&refund.lines) == pieces(&order.left()) {
                events.push(Event::Refunded);
            }
            events
        }
        // Told again.
        Some(_) | None => Vec::new(),
    }
}
