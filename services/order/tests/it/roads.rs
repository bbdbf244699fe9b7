//! The roads of an order through the service, step by step: what is said, what is
//! asked, how the order stands, and that the row is the fold of its events all
//! along.

use std::time::Duration;

use contracts::common::Money;
use contracts::inventory::{
    CommitStock, ReleaseStock, ReserveStock, ReturnStock, StockCommitted, StockReleased, StockReserved, StockReturned,
};
use contracts::order::{Order, OrderStatus};
use contracts::payment::{
    AuthorisePayment, CapturePayment, PaymentAuthorised, PaymentCaptureRefused, PaymentCaptured, PaymentRefunded,
    PaymentVoided, RefundPayment, VoidPayment,
};
use orderly_order::domain::Status;

use crate::shop::{Shop, ada, lines};

/// An order whose money is held and whose capture is asked for.
pub(crate) async fn paid(shop: &mut Shop) -> Order {
    let order = shop.place().await;
    assert_eq!(shop.events().await, ["OrderPlaced"]);
    assert_eq!(shop.inventory_is_asked::<ReserveStock>().await.lines, lines(&[("CUP", 2), ("POT", 1)]));
    shop.inventory_says(&order.id, &StockReserved {}).await;
    assert_eq!(shop.events().await, ["OrderAwaitingPayment", "OrderPaymentRequested"]);
    let asked = shop.payment_is_asked::<AuthorisePayment>().await;
    assert_eq!(asked.amount.as_ref().map(|money| money.amount), Some(2_400));
    let authorised = PaymentAuthorised { attempt: 1, authorisation_id: "auth".into(), amount: asked.amount };
    shop.payment_says(&order.id, &authorised).await;
    assert_eq!(shop.events().await, ["OrderPaid"]);
    assert_eq!(shop.payment_is_asked::<CapturePayment>().await.attempt, 1);
    order
}

pub(crate) async fn confirmed(shop: &mut Shop) -> Order {
    let order = paid(shop).await;
    shop.payment_says(&order.id, &PaymentCaptured { attempt: 1, ..Default::default() }).await;
    assert_eq!(shop.events().await, ["OrderPaymentCaptured"]);
    shop.inventory_is_asked::<CommitStock>().await;
    shop.inventory_says(&order.id, &StockCommitted {}).await;
    assert_eq!(shop.events().await, ["OrderConfirmed"]);
    order
}

pub(crate) async fn delivered(shop: &mut Shop) -> Order {
    let order = confirmed(shop).await;
    shop.clock.advance(Duration::from_secs(60));
    assert_eq!(shop.events().await, ["OrderShipped"]);
    shop.clock.advance(Duration::from_secs(120));
    assert_eq!(shop.events().await, ["OrderDelivered"]);
    order
}

async fn refunded(shop: &mut Shop, order: &Order, refund: i32, amount: i64) {
    let asked = shop.payment_is_asked::<RefundPayment>().await;
    let money = Money { amount, currency: "GBP".into() };
    assert_eq!((asked.attempt, asked.refund, asked.amount.as_ref()), (1, refund, Some(&money)));
    shop.payment_says(&order.id, &PaymentRefunded { attempt: 1, refund, amount: Some(money) }).await;
}

#[tokio::test]
async fn an_order_is_shipped_and_delivered_by_the_delay_queue() {
    let mut shop = Shop::open().await;
    let order = confirmed(&mut shop).await;
    shop.clock.advance(Duration::from_secs(59));
    assert_eq!(shop.standing().await.status, Status::Confirmed);
    shop.clock.advance(Duration::from_secs(1));
    assert_eq!(shop.events().await, ["OrderShipped"]);
    let refused = shop.cancel(&ada(), "", &order.id, "").await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Aborted);
    assert!(refused.message().contains("on its way"), "{refused}");
    shop.clock.advance(Duration::from_secs(120));
    assert_eq!(shop.events().await, ["OrderDelivered"]);
    assert_eq!(shop.breaches().await, Vec::<String>::new());
    let standing = shop.standing().await;
    assert_eq!((standing.status, standing.captured, standing.stock_committed), (Status::Delivered, true, true));
}

#[tokio::test]
async fn a_delivered_order_comes_back_in_parts() {
    let mut shop = Shop::open().await;
    let order = delivered(&mut shop).await;
    let answer = shop.give_back(&ada(), "", &order.id, lines(&[("CUP", 1)])).await.unwrap();
    assert_eq!((answer.status(), answer.unwinding), (OrderStatus::Delivered, true));
    assert_eq!(answer.status_reason, "1 of 3 items being returned");
    assert_eq!(shop.events().await, ["OrderRefundRequested"]);
    refunded(&mut shop, &order, 1, 450).await;
    assert_eq!(shop.events().await, ["OrderPaymentRefunded"]);
    let goods = shop.inventory_is_asked::<ReturnStock>().await;
    assert_eq!((goods.refund, goods.lines), (1, lines(&[("CUP", 1)])));
    let early = shop.give_back(&ada(), "", &order.id, vec![]).await.unwrap_err();
    assert_eq!(early.code(), tonic::Code::Aborted);
    shop.inventory_says(&order.id, &StockReturned { refund: 1 }).await;
    assert_eq!(shop.events().await, ["OrderStockReturned"]);
    assert_eq!(shop.breaches().await, Vec::<String>::new());

    let answer = shop.give_back(&ada(), "", &order.id, vec![]).await.unwrap();
    assert_eq!((answer.status(), answer.unwinding), (OrderStatus::Delivered, true));
    assert_eq!(answer.refunded.map(|money| money.amount), Some(450));
    let returned: Vec<(String, i64)> = answer.lines.into_iter().map(|line| (line.sku, line.returned)).collect();
    assert_eq!(returned, [("CUP".to_owned(), 1), ("POT".to_owned(), 0)]);
    assert_eq!(shop.events().await, ["OrderRefundRequested"]);
    refunded(&mut shop, &order, 2, 1_950).await;
    assert_eq!(shop.inventory_is_asked::<ReturnStock>().await.lines, lines(&[("CUP", 1), ("POT", 1)]));
    shop.inventory_says(&order.id, &StockReturned { refund: 2 }).await;
    assert_eq!(shop.events().await, ["OrderPaymentRefunded", "OrderStockReturned", "OrderRefunded"]);
    assert_eq!(shop.breaches().await, Vec::<String>::new());
    let standing = shop.standing().await;
    assert_eq!((standing.status, standing.refunded, standing.total), (Status::Refunded, 2_400, 2_400));
}

#[tokio::test]
async fn a_confirmed_order_that_is_cancelled_is_never_shipped() {
    let mut shop = Shop::open().await;
    let order = confirmed(&mut shop).await;
    shop.clock.advance(Duration::from_secs(10));
    let answer = shop.cancel(&ada(), "", &order.id, "too slow").await.unwrap();
    assert_eq!((answer.status(), answer.unwinding, answer.fulfil_at), (OrderStatus::Confirmed, true, None));
    assert_eq!(shop.events().await, ["OrderRefundRequested"]);
    // The time to ship passes; what comes next is the refund and nothing else.
    shop.clock.advance(Duration::from_secs(50));
    refunded(&mut shop, &order, 1, 2_400).await;
    assert_eq!(shop.events().await, ["OrderPaymentRefunded"]);
    shop.inventory_is_asked::<ReturnStock>().await;
    shop.inventory_says(&order.id, &StockReturned { refund: 1 }).await;
    assert_eq!(shop.events().await, ["OrderStockReturned", "OrderRefunded"]);
    let refused = shop.cancel(&ada(), "", &order.id, "").await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Aborted, "it has ended");
    assert_eq!(shop.breaches().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_cancellation_while_the_money_is_taken_is_remembered_over_a_crash() {
    let mut shop = Shop::open().await;
    let order = paid(&mut shop).await;
    let answer = shop.cancel(&ada(), "", &order.id, "").await.unwrap();
    assert_eq!((answer.status(), answer.unwinding), (OrderStatus::Paid, true));
    assert_eq!(answer.status_reason, "being cancelled");
    assert_eq!(shop.events().await, ["OrderCancelRequested"]);
    let mut shop = shop.crash().await;
    shop.payment_says(&order.id, &PaymentCaptured { attempt: 1, ..Default::default() }).await;
    assert_eq!(shop.events().await, ["OrderPaymentCaptured", "OrderRefundRequested"]);
    refunded(&mut shop, &order, 1, 2_400).await;
    assert_eq!(shop.events().await, ["OrderPaymentRefunded"]);
    // It was never committed.
    shop.inventory_is_asked::<ReleaseStock>().await;
    shop.inventory_says(&order.id, &StockReleased {}).await;
    assert_eq!(shop.events().await, ["OrderStockReturned", "OrderRefunded"]);
    assert_eq!(shop.breaches().await, Vec::<String>::new());
    let standing = shop.standing().await;
    assert_eq!((standing.status, standing.captured, standing.stock_committed), (Status::Refunded, true, false));
}

#[tokio::test]
async fn a_capture_that_is_refused_for_good_ends_the_order() {
    let mut shop = Shop::open().await;
    let order = paid(&mut shop).await;
    let refused = PaymentCaptureRefused { attempt: 1, reason: "the bank keeps it".into() };
    shop.payment_says(&order.id, &refused).await;
    assert_eq!(shop.events().await, ["OrderCaptureRefused", "OrderCancelled"]);
    assert_eq!(shop.payment_is_asked::<VoidPayment>().await.attempt, 1);
    shop.inventory_is_asked::<ReleaseStock>().await;
    shop.payment_says(&order.id, &PaymentVoided { attempt: 1, ..Default::default() }).await;
    shop.inventory_says(&order.id, &StockReleased {}).await;
    let mut told: [String; 2] = shop.events().await;
    told.sort();
    assert_eq!(told, ["OrderPaymentVoided", "OrderStockReturned"]);
    // Asked again it is answered as it stands.
    let answer = shop.cancel(&ada(), "", &order.id, "never mind").await.unwrap();
    assert_eq!((answer.status(), answer.status_reason.as_str()), (OrderStatus::Cancelled, "the bank keeps it"));
    assert_eq!(shop.breaches().await, Vec::<String>::new());
}

#[tokio::test]
async fn every_step_of_a_refund_is_asked_for_again_when_it_takes_too_long() {
    let mut shop = Shop::open().await;
    let order = confirmed(&mut shop).await;
    shop.cancel(&ada(), "", &order.id, "").await.unwrap();
    assert_eq!(shop.events().await, ["OrderRefundRequested"]);
    let first = shop.payment_is_asked::<RefundPayment>().await;
    shop.clock.advance(Duration::from_secs(60));
    assert_eq!(shop.events().await, ["OrderStepRetried"]);
    assert_eq!(shop.payment_is_asked::<RefundPayment>().await, first, "with the same words");
    // Both are answered; the second answer is known already.
    for _ in 0..2 {
        shop.payment_says(&order.id, &PaymentRefunded { attempt: 1, refund: 1, amount: first.amount.clone() }).await;
    }
    assert_eq!(shop.events().await, ["OrderPaymentRefunded"]);
    let first = shop.inventory_is_asked::<ReturnStock>().await;
    shop.clock.advance(Duration::from_secs(60));
    assert_eq!(shop.events().await, ["OrderStepRetried"]);
    assert_eq!(shop.inventory_is_asked::<ReturnStock>().await, first);
    for _ in 0..2 {
        shop.inventory_says(&order.id, &StockReturned { refund: 1 }).await;
    }
    assert_eq!(shop.events().await, ["OrderStockReturned", "OrderRefunded"]);
    assert_eq!(shop.breaches().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_planned_survives_a_crash_and_a_broker_that_has_forgotten_it() {
    let mut shop = Shop::open().await;
    confirmed(&mut shop).await;
    shop.clock.advance(Duration::from_secs(30));
    let mut shop = shop.crash().await;
    shop.clock.advance(Duration::from_secs(30));
    assert_eq!(shop.events().await, ["OrderShipped"]);
    // Nobody is there when it is due to arrive.
    let mut shop = shop.crash_for(Duration::from_secs(500)).await;
    assert_eq!(shop.events().await, ["OrderDelivered"]);
    assert_eq!(shop.breaches().await, Vec::<String>::new());
}
