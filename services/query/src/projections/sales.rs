//! The projection **sales**: what was sold and refunded, minute by minute.
//!
//! A **tumbling window** of one minute over the stream of orders, by *event time*:
//! an event belongs to the minute in which it happened, whenever it is heard. There
//! is no watermark after which a window is closed: a late event still finds its
//! window, since the window is a row that is added to. A sum forgets the order of its
//! events, so a fold over many windows needs no more than an upsert.
//!
//! A sale counts when it is confirmed, also if it is refunded in the same breath. A
//! refund counts if its order had counted: money of an order that was called off
//! between payment and confirmation comes and goes without one. So revenue less
//! refunds is what the shop has.

use std::collections::BTreeMap;

use super::orders::{OrderEvent, Placement};

/// The length of a window, milliseconds.
pub const MINUTE: i64 = 60_000;

/// What of an order counts when it is sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basket {
    /// Minor units.
    pub total: i64,
    /// ISO 4217.
    pub currency: String,
    /// The sum of its lines' quantities.
    pub pieces: i64,
}

impl Basket {
    /// Of an order as it was placed.
    pub fn of(placement: &Placement) -> Self {
        Self { total: placement.total, currency: placement.currency.clone(), pieces: placement.pieces() }
    }
}

/// Which window: the minute's begin in Unix milliseconds, and the currency.
pub type Key = (i64, String);

/// What a window holds, or what is to be added to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// Orders confirmed.
    pub orders: i64,
    /// Pieces in these.
    pub pieces: i64,
    /// Minor units.
    pub revenue: i64,
    /// Minor units given back.
    pub refunded: i64,
}

/// The window of a time, both Unix milliseconds.
pub const fn minute_of(time: i64) -> i64 {
    time - time.rem_euclid(MINUTE)
}

/// Folds an order's event of the time `at` into the windows. `basket`: what was
/// ordered; without it (see [`orders::fold`](super::orders::fold)) nothing was sold.
/// `is_confirmed`: whether the order has counted, with this event or before it.
pub fn fold(
    windows: &mut BTreeMap<Key, Window>,
    event: &OrderEvent,
    basket: Option<&Basket>,
    is_confirmed: bool,
    at: i64,
) {
    match (event, basket) {
        (OrderEvent::Confirmed { .. }, Some(basket)) => {
            let window = windows.entry((minute_of(at), basket.currency.clone())).or_default();
            window.orders += 1;
            window.pieces += basket.pieces;
            window.revenue += basket.total;
        }
        (OrderEvent::PaymentRefunded { amount, currency }, Some(_)) if is_confirmed => {
            windows.entry((minute_of(at), currency.clone())).or_default().refunded += amount;
        }
        (OrderEvent::Confirmed { .. }, None) | (OrderEvent::PaymentRefunded { .. }, _) => {}
        (
            OrderEvent::Placed { .. }
            | OrderEvent::AwaitingPayment
            | OrderEvent::Rejected { .. }
            | OrderEvent::CardOffered
            | OrderEvent::PaymentRequested
            | OrderEvent::PaymentDeclined { .. }
            | OrderEvent::PaymentAbandoned { .. }
            | OrderEvent::Paid
            | OrderEvent::PaymentCaptured
            | OrderEvent::CaptureRefused
            | OrderEvent::Shipped { .. }
            | OrderEvent::Delivered
            | OrderEvent::Expired
            | OrderEvent::Cancelled { .. }
            | OrderEvent::CancelRequested { .. }
            | OrderEvent::RefundRequested(_)
            | OrderEvent::Refunded
            | OrderEvent::LatePaymentRefused
            | OrderEvent::PaymentVoided
            | OrderEvent::StockReturned { .. }
            | OrderEvent::StepRetried
            | OrderEvent::Unknown,
            _,
        ) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_700_000_040_000;

    fn basket() -> Basket {
        Basket { total: 2_500, currency: "GBP".into(), pieces: 2 }
    }

    fn given(events: &[(i64, OrderEvent)]) -> BTreeMap<Key, Window> {
        let mut windows = BTreeMap::new();
        for (at, event) in events {
            fold(&mut windows, event, Some(&basket()), true, *at);
        }
        windows
    }

    fn confirmed() -> OrderEvent {
        OrderEvent::Confirmed { ship_at: Some(1) }
    }

    fn refunded(amount: i64) -> OrderEvent {
        OrderEvent::PaymentRefunded { amount, currency: "GBP".into() }
    }

    fn pounds(minute: i64) -> Key {
        (minute, "GBP".to_owned())
    }

    #[test]
    fn an_order_counts_in_the_minute_in_which_it_was_confirmed() {
        let windows = given(&[(NOON, confirmed()), (NOON + MINUTE - 1, confirmed()), (NOON + MINUTE, confirmed())]);
        let one = Window { orders: 1, pieces: 2, revenue: 2_500, refunded: 0 };
        let two = Window { orders: 2, pieces: 4, revenue: 5_000, refunded: 0 };
        assert_eq!(windows, [(pounds(NOON), two), (pounds(NOON + MINUTE), one)].into());
    }

    #[test]
    fn a_refund_counts_in_its_own_minute() {
        let windows = given(&[(NOON, confirmed()), (NOON + 2 * MINUTE, refunded(1_250))]);
        assert_eq!(windows[&pounds(NOON)].refunded, 0);
        assert_eq!(windows[&pounds(NOON + 2 * MINUTE)], Window { refunded: 1_250, ..Window::default() });
    }

    #[test]
    fn a_sale_that_is_refunded_at_once_comes_to_nothing() {
        let windows = given(&[(NOON, OrderEvent::Confirmed { ship_at: None }), (NOON, refunded(2_500))]);
        let window = windows[&pounds(NOON)];
        assert_eq!((window.orders, window.revenue - window.refunded), (1, 0));
    }

    #[test]
    fn the_order_of_the_events_does_not_matter() {
        let mut events = vec![(NOON, confirmed()), (NOON + 5 * MINUTE, confirmed()), (NOON + 1, refunded(10))];
        let first = given(&events);
        events.reverse();
        assert_eq!(given(&events), first);
    }

    #[test]
    fn an_order_whose_placing_was_never_heard_is_no_sale() {
        let mut windows = BTreeMap::new();
        fold(&mut windows, &confirmed(), None, true, NOON);
        fold(&mut windows, &refunded(10), None, true, NOON);
        assert_eq!(windows, BTreeMap::new());
    }

    #[test]
    fn what_is_given_back_of_an_order_that_was_never_confirmed_was_no_sale_either() {
        let mut windows = BTreeMap::new();
        fold(&mut windows, &refunded(2_500), Some(&basket()), false, NOON);
        assert_eq!(windows, BTreeMap::new());
    }

    #[test]
    fn a_window_begins_on_the_full_minute_also_before_1970() {
        assert_eq!((minute_of(0), minute_of(59_999), minute_of(60_000), minute_of(-1)), (0, 0, 60_000, -60_000));
    }
}
