//! What customers read.

use contracts::common::{Card, LineRequest};
use contracts::notification::CustomerNotified;
use contracts::order::{
    OrderAwaitingPayment, OrderCancelRequested, OrderCancelled, OrderCaptureRefused, OrderConfirmed, OrderDelivered,
    OrderExpired, OrderPaid, OrderPaymentCaptured, OrderPaymentRefunded, OrderPaymentRequested, OrderPaymentVoided,
    OrderRefundRequested, OrderRefunded, OrderShipped, OrderStockReturned, RefundCause,
};
use orderly_notification::{SPEC, Settings};
use platform::clock::Clock;
use platform::store::Db;
use serde_json::json;
use tempfile::TempDir;

use crate::shop::{MINUTE, NOON, Shop, placed, pounds, until};

const CONFIRMED: OrderConfirmed = OrderConfirmed { ship_at: NOON + MINUTE };

fn paid() -> OrderPaid {
    OrderPaid { attempt: 1, authorisation_id: "auth".into() }
}

fn refund_requested(cause: RefundCause, amount: i64) -> OrderRefundRequested {
    OrderRefundRequested {
        refund: 1,
        cause: cause.into(),
        amount: Some(pounds(amount)),
        lines: vec![LineRequest { sku: "M1".into(), quantity: 2 }],
        reason: String::new(),
    }
}

/// An order up to its payment, with a card from the beginning.
async fn pay(shop: &mut Shop, order: &str, customer: &str) {
    let card = Card { token: "tok_approve_4242".into(), last4: "4242".into() };
    shop.happens(order, &contracts::order::OrderPlaced { card: Some(card.clone()), ..placed(customer) }).await;
    shop.happens(order, &OrderAwaitingPayment {}).await;
    shop.happens(order, &OrderPaymentRequested { attempt: 1, card: Some(card) }).await;
    shop.happens(order, &paid()).await;
}

async fn topics(shop: &mut Shop, count: usize) -> Vec<String> {
    shop.told(count).await.into_iter().map(|(_, topic)| topic).collect()
}

#[tokio::test]
async fn a_customer_reads_what_matters_once_and_in_order() {
    let mut shop = Shop::open(Settings::default()).await;
    shop.happens("o-1", &placed("ada")).await;
    shop.happens("o-1", &OrderAwaitingPayment {}).await;
    shop.happens_again("o-1", &OrderAwaitingPayment {}).await;
    shop.happens("o-1", &paid()).await;
    shop.happens("o-1", &CONFIRMED).await;
    shop.happens("o-1", &OrderShipped { deliver_at: NOON + 2 * MINUTE }).await;
    shop.happens("o-1", &OrderDelivered {}).await;

    let said = shop.said(5).await;
    let told: Vec<CustomerNotified> = said.iter().map(|envelope| envelope.payload().unwrap()).collect();
    let topics: Vec<_> = told.iter().map(|event| event.topic.as_str()).collect();
    assert_eq!(
        topics,
        ["order-placed", "order-awaiting-payment", "order-confirmed", "order-shipped", "order-delivered"]
    );
    assert!(told[0].body.contains("2 × <b>White</b> mug"), "as it is called: {}", told[0].body);
    assert!(said.iter().all(|envelope| envelope.subject == "ada" && envelope.correlation_id == "o-1"));
    assert_eq!(said.iter().map(|envelope| envelope.sequence).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);

    let rows = shop.stored().await;
    assert_eq!(rows.iter().map(|row| row.topic.as_str()).collect::<Vec<_>>(), topics);
    assert_eq!(
        rows.iter().map(|row| &row.title).collect::<Vec<_>>(),
        told.iter().map(|t| &t.title).collect::<Vec<_>>()
    );
    assert!(rows.iter().all(|row| row.customer_id == "ada" && row.order_id == "o-1" && row.at == NOON));
    assert_eq!(rows[0].notification_id, "o-1#1", "named after the event that it tells of");
    shop.service.stop().await;
}

#[tokio::test]
async fn two_customers_of_one_batch_each_read_of_their_own_order() {
    let mut shop = Shop::open(Settings::default()).await;
    shop.happens("o-1", &placed("ada")).await;
    shop.happens("o-2", &placed("bob")).await;
    shop.happens("o-2", &CONFIRMED).await;
    let said = shop.said(3).await;
    let told = |customer: &str| said.iter().filter(|envelope| envelope.subject == customer).count();
    assert_eq!((told("ada"), told("bob")), (1, 2));
}

#[tokio::test]
async fn news_of_an_order_that_nobody_placed_waits_for_an_operator() {
    let mut shop = Shop::open(Settings::default()).await;
    shop.happens("o-9", &CONFIRMED).await;
    until("a dead letter", async || shop.dead_letters().await == 1).await;
    shop.happens("o-1", &placed("ada")).await;
    assert_eq!(shop.told(1).await, [("o-1".to_owned(), "order-placed".to_owned())]);
}

#[tokio::test]
async fn what_happened_while_the_service_was_down_is_told_when_it_is_back() {
    let mut shop = Shop::open(Settings::default()).await;
    shop.happens("o-1", &placed("ada")).await;
    shop.told(1).await;
    let mut shop = shop
        .while_it_is_down(async |down| {
            down.happens("o-1", &OrderAwaitingPayment {}).await;
            down.happens("o-1", &paid()).await;
            down.happens("o-1", &CONFIRMED).await;
            down.happens("o-2", &placed("bob")).await;
            down.clock.advance(std::time::Duration::from_secs(3_600));
        })
        .await;
    assert_eq!(topics(&mut shop, 3).await, ["order-awaiting-payment", "order-confirmed", "order-placed"]);
    assert!(shop.stored().await.iter().all(|row| row.at == NOON), "told with the time at which it happened");
}

#[tokio::test]
async fn an_order_that_is_not_paid_in_time_is_told_so() {
    let mut shop = Shop::open(Settings::default()).await;
    shop.happens("o-1", &placed("ada")).await;
    shop.happens("o-1", &OrderAwaitingPayment {}).await;
    shop.happens("o-1", &OrderExpired { pay_before: NOON }).await;
    shop.happens("o-1", &OrderStockReturned { refund: 0 }).await;
    assert_eq!(topics(&mut shop, 3).await, ["order-placed", "order-awaiting-payment", "order-expired"]);
}

#[tokio::test]
async fn a_refused_capture_is_one_message_and_the_freed_money_another() {
    let mut shop = Shop::open(Settings::default()).await;
    pay(&mut shop, "o-1", "ada").await;
    shop.happens("o-1", &OrderCaptureRefused { attempt: 1, reason: "the account was closed".into() }).await;
    shop.happens("o-1", &OrderCancelled { reason: "the account was closed".into() }).await;
    shop.happens("o-1", &OrderStockReturned { refund: 0 }).await;
    shop.happens("o-1", &OrderPaymentVoided { attempt: 1 }).await;
    assert_eq!(topics(&mut shop, 3).await, ["order-placed", "capture-refused", "payment-voided"]);
}

#[tokio::test]
async fn a_remembered_cancellation_is_told_once_and_never_confirmed() {
    let mut shop = Shop::open(Settings::default()).await;
    pay(&mut shop, "o-1", "ada").await;
    shop.happens("o-1", &OrderPaymentCaptured { attempt: 1 }).await;
    shop.happens("o-1", &OrderCancelRequested { reason: String::new() }).await;
    shop.happens("o-1", &OrderConfirmed { ship_at: 0 }).await;
    shop.happens("o-1", &refund_requested(RefundCause::Cancelled, 1_250)).await;
    shop.happens("o-1", &OrderPaymentRefunded { refund: 1, amount: Some(pounds(1_250)) }).await;
    shop.happens("o-1", &OrderStockReturned { refund: 1 }).await;
    shop.happens("o-1", &OrderRefunded {}).await;
    shop.happens("o-2", &placed("bob")).await;
    assert_eq!(
        topics(&mut shop, 4).await,
        ["order-placed", "cancel-requested", "order-refunded", "order-placed"],
        "and then the next order"
    );
}

#[tokio::test]
async fn returns_add_up_over_restarts_until_all_is_refunded() {
    let mut shop = Shop::open(Settings::default()).await;
    pay(&mut shop, "o-1", "ada").await;
    shop.happens("o-1", &CONFIRMED).await;
    shop.happens("o-1", &OrderDelivered {}).await;
    shop.happens("o-1", &refund_requested(RefundCause::Returned, 500)).await;
    shop.happens("o-1", &OrderPaymentRefunded { refund: 1, amount: Some(pounds(500)) }).await;
    let told = topics(&mut shop, 5).await;
    assert_eq!(told[3..], ["refund-requested", "payment-refunded"]);
    let mut shop = shop.while_it_is_down(async |_| ()).await;
    shop.happens("o-1", &refund_requested(RefundCause::Returned, 750)).await;
    shop.happens("o-1", &OrderPaymentRefunded { refund: 2, amount: Some(pounds(750)) }).await;
    assert_eq!(topics(&mut shop, 2).await, ["refund-requested", "order-refunded"]);
}

#[tokio::test]
async fn a_store_of_the_first_version_is_brought_forward_with_its_messages() {
    let folder = TempDir::new().unwrap();
    let db = Db::open_sqlite(&folder.path().join("notification.db")).await.unwrap();
    db.migrate(&SPEC.migrations[..1]).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    tx.execute(
        "INSERT INTO order_customers (order_id, customer_id, email, goods, total, currency, pay_before, card_offered)
         SELECT 'o-1', 'ada', 'ada@example.com', '2 × White mug', 1250, 'GBP', 1796308320000, 0 WHERE $1 <> ''",
        &[0; 0],
    )
    .await
    .unwrap();
    tx.execute(
        "INSERT INTO notifications (notification_id, customer_id, order_id, kind, title, body, at)
         SELECT r.value->>'kind', 'ada', 'o-1', r.value->>'kind', 'A title', 'A body.', 7 FROM jsonb_each($1) AS r",
        &["OrderPlaced", "OrderPaymentDeclined", "OrderExpired"].map(|kind| json!({ "kind": kind })),
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    db.close().await;

    let mut shop = Shop::open_in(folder, Clock::manual(NOON), Settings::default()).await;
    shop.happens("o-1", &CONFIRMED).await;
    assert_eq!(topics(&mut shop, 1).await, ["order-confirmed"], "the order is still known");
    let topics: Vec<_> = shop.stored().await.into_iter().map(|row| row.topic).collect();
    assert_eq!(topics, ["order-expired", "payment-declined", "order-placed", "order-confirmed"]);
}
