//! The notification service on the service loop, over SQLite and the embedded
//! bus: what happens to an order, and what its customer reads.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use contracts::common::Money;
use contracts::notification::CustomerNotified;
use contracts::order::{OrderAwaitingPayment, OrderConfirmed, OrderLine, OrderPaid, OrderPlaced};
use orderly_notification::{Notification, SPEC};
use platform::bus::embedded::EmbeddedBus;
use platform::bus::{Bus, Entry};
use platform::clock::Clock;
use platform::message::{Envelope, Payload};
use platform::runtime::{Running, Surroundings, declare, start};
use platform::store::parked::{self, Backoff};
use platform::store::{Db, Tx};
use platform::topology::Topology;
use tempfile::TempDir;
use tokio::time::timeout;

const ORDERS: &str = "orderly.order";
const NOTIFICATIONS: &str = "orderly.notification";
/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

struct Shop {
    bus: Arc<EmbeddedBus>,
    folder: TempDir,
    service: Running<Notification>,
}

impl Shop {
    async fn open() -> Self {
        let bus = EmbeddedBus::open(None).await.unwrap();
        let mut topology = Topology::new(1);
        declare(&SPEC, &mut topology);
        topology.listen(NOTIFICATIONS, "query");
        bus.declare(&topology).await.unwrap();
        let folder = TempDir::new().unwrap();
        let around = Surroundings {
            db: Db::open_sqlite(&folder.path().join("notification.db")).await.unwrap(),
            bus: bus.clone(),
            clock: Clock::system(),
            partitions: 1,
            backoff: Backoff::default(),
        };
        let service = start(Arc::new(Notification), around).await.unwrap();
        Self { bus, folder, service }
    }

    async fn happens<T: Payload>(&self, order: &str, sequence: i64, event: &T) {
        let envelope = Envelope {
            id: format!("{order}#{sequence}"),
            kind: T::type_name(),
            source: "/order".into(),
            subject: order.into(),
            sequence,
            time: 1_700_000_000_000 + sequence,
            dataschema: "1".into(),
            correlation_id: order.into(),
            causation_id: "test".into(),
            traceparent: None,
            deliver_at: None,
            data: serde_json::value::to_raw_value(event).unwrap(),
        };
        let body = serde_json::to_string(&envelope).unwrap();
        let known = self.bus.incarnation().await.unwrap();
        self.bus.publish(&known, &[Entry { stream: ORDERS.into(), partition: 0, body: body.into() }]).await.unwrap();
    }

    /// The next so many envelopes said.
    async fn said(&self, count: usize) -> Vec<Envelope> {
        let mut subscription = self.bus.subscribe("query", &[(NOTIFICATIONS.into(), 0)]).await.unwrap();
        let mut said = Vec::new();
        while said.len() < count {
            let deliveries = timeout(DEADLINE, subscription.next(count)).await.expect("in time").unwrap();
            said.extend(deliveries.iter().map(|delivery| Envelope::parse(delivery.body.as_ref().unwrap()).unwrap()));
        }
        said
    }

    async fn db(&self) -> Db {
        Db::open_sqlite(&self.folder.path().join("notification.db")).await.unwrap()
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    notification_id: String,
    customer_id: String,
    title: String,
}

async fn stored(tx: &mut Tx) -> Vec<Row> {
    tx.fetch(
        "SELECT notification_id, customer_id, title FROM notifications WHERE $1 <> '' ORDER BY notification_id",
        &[0; 0],
    )
    .await
    .unwrap()
}

fn placed(customer: &str) -> OrderPlaced {
    OrderPlaced {
        customer_id: customer.into(),
        customer_email: format!("{customer}@example.com"),
        lines: vec![OrderLine { sku: "M1".into(), name: "<b>White</b> mug".into(), quantity: 2, unit_price: 625 }],
        total: Some(Money { amount: 1250, currency: "GBP".into() }),
        pay_before: 1_796_308_320_000,
        card: None,
        address: None,
    }
}

#[tokio::test]
async fn a_customer_reads_what_matters_once_and_in_order() {
    let shop = Shop::open().await;
    shop.happens("o-1", 1, &placed("ada")).await;
    shop.happens("o-1", 2, &OrderAwaitingPayment {}).await;
    shop.happens("o-1", 2, &OrderAwaitingPayment {}).await;
    shop.happens("o-1", 3, &OrderPaid { attempt: 1, authorisation_id: "auth".into() }).await;
    shop.happens("o-1", 4, &OrderConfirmed {}).await;

    let said = shop.said(3).await;
    let titles: Vec<_> = said.iter().map(|envelope| envelope.payload::<CustomerNotified>().unwrap().title).collect();
    assert_eq!(titles, ["We have your order", "Your order is set aside for you", "Your order is confirmed"]);
    assert!(said.iter().all(|envelope| envelope.subject == "ada" && envelope.correlation_id == "o-1"));
    assert_eq!(said.iter().map(|envelope| envelope.sequence).collect::<Vec<_>>(), [1, 2, 3]);

    let db = shop.db().await;
    let rows = stored(&mut db.snapshot().await.unwrap()).await;
    assert_eq!(rows.iter().map(|row| row.title.as_str()).collect::<Vec<_>>(), titles);
    assert!(rows.iter().all(|row| row.customer_id == "ada"));
    assert_eq!(rows[0].notification_id, "o-1#1", "named after the event that it tells of");
    shop.service.stop().await;
}

#[tokio::test]
async fn two_customers_of_one_batch_each_read_of_their_own_order() {
    let shop = Shop::open().await;
    shop.happens("o-1", 1, &placed("ada")).await;
    shop.happens("o-2", 1, &placed("bob")).await;
    shop.happens("o-2", 2, &OrderConfirmed {}).await;
    let said = shop.said(3).await;
    let told = |customer: &str| said.iter().filter(|envelope| envelope.subject == customer).count();
    assert_eq!((told("ada"), told("bob")), (1, 2));
}

#[tokio::test]
async fn news_of_an_order_that_nobody_placed_waits_for_an_operator() {
    let shop = Shop::open().await;
    shop.happens("o-9", 1, &OrderConfirmed {}).await;
    let db = shop.db().await;
    timeout(DEADLINE, async {
        while parked::dead_letters(&db).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("a dead letter in time");
}
