//! What time alone drives.

use super::*;

#[test]
fn a_confirmed_order_is_shipped_and_then_delivered() {
    let order = given(&history_confirmed()).unwrap();
    assert_eq!((order.fulfil_at, order.step_due), (Some(SHIP_AT), None));
    let shipped = after(&history_confirmed(), &Input::FulfilmentDue { due: SHIP_AT });
    let order = given(&shipped).unwrap();
    assert_eq!((order.status, order.fulfil_at), (Status::Shipped, Some(DELIVER_AT)));
    let delivered = after(&shipped, &Input::FulfilmentDue { due: DELIVER_AT });
    let order = given(&delivered).unwrap();
    assert_eq!((order.status, order.fulfil_at), (Status::Delivered, None));
}

#[test]
fn an_order_that_ships_late_is_delivered_as_long_after() {
    let order = given(&history_confirmed());
    let late = SHIP_AT + 3_600_000;
    let events = decide(order.as_ref(), &Input::FulfilmentDue { due: SHIP_AT }, late, TERMS);
    assert_eq!(events, Ok(vec![Event::Shipped { deliver_at: late + TERMS.deliver_after }]));
}

#[test]
fn a_shop_that_does_not_wait_still_tells_shipping_from_delivery() {
    let at_once = Terms { ship_after: 0, deliver_after: 0, ..TERMS };
    let events = decide(given(&history_captured()).as_ref(), &Input::StockCommitted, THEN, at_once).unwrap();
    assert_eq!(events, [Event::Confirmed { ship_at: Some(THEN) }]);
    let history = then(&history_captured(), &events);
    let due = Input::FulfilmentDue { due: THEN };
    let events = decide(given(&history).as_ref(), &due, THEN, at_once).unwrap();
    assert_eq!(events, [Event::Shipped { deliver_at: THEN + 1 }]);
    // The timer that has shipped it, firing twice, does not deliver it.
    let history = then(&history, &events);
    assert_eq!(decide(given(&history).as_ref(), &due, THEN, at_once), Ok(vec![]));
}
