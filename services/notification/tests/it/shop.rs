//! A corner of the shop: the notification service over a SQLite file, and the
//! order service's side of the bus played by the test.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use contracts::common::Money;
use contracts::notification::CustomerNotified;
use contracts::order::{OrderLine, OrderPlaced};
use orderly_notification::{Notification, SPEC, Settings};
use platform::bus::embedded::EmbeddedBus;
use platform::bus::{Bus, Entry, Subscription};
use platform::clock::{Clock, Millis};
use platform::message::{Envelope, Payload};
use platform::runtime::{Running, Surroundings, declare, start};
use platform::store::parked::{self, Backoff};
use platform::store::{Db, Tx};
use platform::topology::Topology;
use tempfile::TempDir;
use tokio::time::timeout;

const ORDERS: &str = "orderly.order";
const NOTIFICATIONS: &str = "orderly.notification";
const COMMANDS: &str = "orderly.notification.commands";
/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const MINUTE: Millis = 60_000;
/// When the tests' clock begins.
pub(crate) const NOON: Millis = 1_700_000_000_000;

pub(crate) struct Shop {
    pub(crate) bus: Arc<EmbeddedBus>,
    pub(crate) clock: Clock,
    pub(crate) folder: TempDir,
    pub(crate) service: Running<Notification>,
    settings: Settings,
    said: Box<dyn Subscription>,
    /// The last sequence of each order.
    sequences: HashMap<String, i64>,
}

/// A message as it stands in the store.
#[derive(Debug, Clone, serde::Deserialize)]
pub(crate) struct Row {
    pub(crate) notification_id: String,
    pub(crate) customer_id: String,
    pub(crate) order_id: String,
    pub(crate) topic: String,
    pub(crate) title: String,
    pub(crate) at: i64,
    pub(crate) mailed_at: Option<i64>,
    pub(crate) mail_error: Option<String>,
}

#[derive(serde::Deserialize)]
struct Reminder {
    remind_at: Option<i64>,
}

impl Shop {
    pub(crate) async fn open(settings: Settings) -> Self {
        Self::open_in(TempDir::new().unwrap(), Clock::manual(NOON), settings).await
    }

    pub(crate) async fn open_in(folder: TempDir, clock: Clock, settings: Settings) -> Self {
        let bus = broker().await;
        let service = begin(&bus, &clock, &folder, &settings).await;
        let said = bus.subscribe("query", &[(NOTIFICATIONS.into(), 0)]).await.unwrap();
        Self { bus, clock, folder, service, settings, said, sequences: HashMap::new() }
    }

    /// Stops the service, lets `meanwhile` happen, and starts it again.
    pub(crate) async fn while_it_is_down(self, meanwhile: impl AsyncFnOnce(&mut Down)) -> Self {
        let Self { bus, clock, folder, service, settings, said, sequences } = self;
        service.stop().await;
        let mut down = Down { bus, clock, sequences };
        meanwhile(&mut down).await;
        let Down { bus, clock, sequences } = down;
        let service = begin(&bus, &clock, &folder, &settings).await;
        Self { bus, clock, folder, service, settings, said, sequences }
    }

    /// Stops the service and starts it with other settings.
    pub(crate) async fn with(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self.while_it_is_down(async |_| ()).await
    }

    /// Stops the service and starts it with a broker that remembers nothing.
    pub(crate) async fn with_a_new_broker(self) -> Self {
        let Self { clock, folder, service, settings, sequences, .. } = self;
        service.stop().await;
        let bus = broker().await;
        let service = begin(&bus, &clock, &folder, &settings).await;
        let said = bus.subscribe("query", &[(NOTIFICATIONS.into(), 0)]).await.unwrap();
        Self { bus, clock, folder, service, settings, said, sequences }
    }

    /// Kills the service where it stands and starts it again.
    pub(crate) async fn crash(self) -> Self {
        let Self { bus, clock, folder, service, settings, said, sequences } = self;
        service.abort();
        let service = begin(&bus, &clock, &folder, &settings).await;
        Self { bus, clock, folder, service, settings, said, sequences }
    }

    /// The next event of an order.
    pub(crate) async fn happens<T: Payload>(&mut self, order: &str, event: &T) {
        let sequence = next(&mut self.sequences, order);
        publish(&self.bus, ORDERS, "/order", order, sequence, self.clock.now(), event).await;
    }

    /// The service's own command, as if it had said it once more.
    pub(crate) async fn commands<T: Payload>(&mut self, order: &str, sequence: i64, command: &T) {
        let now = self.clock.now();
        publish(&self.bus, COMMANDS, "/notification/commands", order, sequence, now, command).await;
    }

    /// An event of an order that was delivered before.
    pub(crate) async fn happens_again<T: Payload>(&self, order: &str, event: &T) {
        let sequence = self.sequences[order];
        publish(&self.bus, ORDERS, "/order", order, sequence, self.clock.now(), event).await;
    }

    /// The next so many envelopes said.
    pub(crate) async fn said(&mut self, count: usize) -> Vec<Envelope> {
        let mut said = Vec::new();
        while said.len() < count {
            let deliveries = timeout(DEADLINE, self.said.next(count - said.len())).await.expect("in time").unwrap();
            for delivery in deliveries {
                self.bus.ack("query", &[(NOTIFICATIONS.into(), 0, delivery.position)]).await.unwrap();
                said.push(Envelope::parse(delivery.body.as_ref().unwrap()).unwrap());
            }
        }
        said
    }

    /// The order and topic of the next so many messages to customers.
    pub(crate) async fn told(&mut self, count: usize) -> Vec<(String, String)> {
        let mut told = Vec::new();
        while told.len() < count {
            let envelope = self.said(1).await.remove(0);
            if envelope.short_kind() == "CustomerNotified" {
                let event: CustomerNotified = envelope.payload().unwrap();
                told.push((event.order_id, event.topic));
            }
        }
        told
    }

    pub(crate) async fn db(&self) -> Db {
        Db::open_sqlite(&self.folder.path().join("notification.db")).await.unwrap()
    }

    /// All stored messages.
    pub(crate) async fn stored(&self) -> Vec<Row> {
        let db = self.db().await;
        stored(&mut db.snapshot().await.unwrap()).await
    }

    /// When the order's row says to remind.
    pub(crate) async fn remind_at(&self, order: &str) -> Option<i64> {
        let rows: Vec<Reminder> = self
            .db()
            .await
            .read(
                "SELECT o.remind_at FROM orders AS o, jsonb_each($1) AS r WHERE o.order_id = r.value->>'id'",
                &[serde_json::json!({ "id": order })],
            )
            .await
            .unwrap();
        rows[0].remind_at
    }

    /// The topics of the stored messages that a mail server has taken.
    pub(crate) async fn mailed(&self) -> Vec<String> {
        self.stored().await.into_iter().filter(|row| row.mailed_at.is_some()).map(|row| row.topic).collect()
    }

    /// How many messages wait for a retry.
    pub(crate) async fn parked(&self) -> usize {
        parked::retries(&self.db().await, Millis::MAX).await.unwrap().len()
    }

    pub(crate) async fn dead_letters(&self) -> usize {
        parked::dead_letters(&self.db().await).await.unwrap().len()
    }
}

/// The shop while the notification service is down.
pub(crate) struct Down {
    bus: Arc<EmbeddedBus>,
    pub(crate) clock: Clock,
    sequences: HashMap<String, i64>,
}

impl Down {
    pub(crate) async fn happens<T: Payload>(&mut self, order: &str, event: &T) {
        let sequence = next(&mut self.sequences, order);
        publish(&self.bus, ORDERS, "/order", order, sequence, self.clock.now(), event).await;
    }
}

pub(crate) async fn stored(tx: &mut Tx) -> Vec<Row> {
    tx.fetch(
        "SELECT notification_id, customer_id, order_id, topic, title, at, mailed_at, mail_error FROM notifications
         WHERE $1 <> '' ORDER BY notification_id",
        &[0; 0],
    )
    .await
    .unwrap()
}

fn next(sequences: &mut HashMap<String, i64>, order: &str) -> i64 {
    let sequence = sequences.entry(order.to_owned()).or_default();
    *sequence += 1;
    *sequence
}

async fn publish<T: Payload>(
    bus: &EmbeddedBus,
    stream: &str,
    source: &str,
    order: &str,
    sequence: i64,
    time: Millis,
    payload: &T,
) {
    let envelope = Envelope {
        id: format!("{order}#{sequence}"),
        kind: T::type_name(),
        source: source.into(),
        subject: order.into(),
        sequence,
        time,
        dataschema: "1".into(),
        correlation_id: order.into(),
        causation_id: "test".into(),
        traceparent: None,
        deliver_at: None,
        data: serde_json::value::to_raw_value(payload).unwrap(),
        text: None,
    };
    let body = serde_json::to_string(&envelope).unwrap();
    let known = bus.incarnation().await.unwrap();
    bus.publish(&known, &[Entry { stream: stream.into(), partition: 0, body: body.into() }]).await.unwrap();
}

async fn broker() -> Arc<EmbeddedBus> {
    let bus = EmbeddedBus::open(None).await.unwrap();
    let mut topology = Topology::new(1);
    declare(&SPEC, &mut topology);
    topology.listen(NOTIFICATIONS, "query");
    bus.declare(&topology).await.unwrap();
    bus
}

async fn begin(bus: &Arc<EmbeddedBus>, clock: &Clock, folder: &TempDir, settings: &Settings) -> Running<Notification> {
    let around = Surroundings {
        db: Db::open_sqlite(&folder.path().join("notification.db")).await.unwrap(),
        bus: bus.clone(),
        clock: clock.clone(),
        partitions: 1,
        backoff: Backoff { first: 10, cap: 20, attempts: 1_000_000 },
    };
    start(Arc::new(Notification::new(settings.clone())), around).await.unwrap()
}

/// An order of 12.50 GBP that is to be paid within a quarter of an hour.
pub(crate) fn placed(customer: &str) -> OrderPlaced {
    OrderPlaced {
        customer_id: customer.into(),
        customer_email: format!("{customer}@example.com"),
        lines: vec![OrderLine {
            sku: "M1".into(),
            name: "<b>White</b> mug".into(),
            quantity: 2,
            unit_price: 625,
            returned: 0,
        }],
        total: Some(pounds(1_250)),
        pay_before: NOON + 15 * MINUTE,
        card: None,
        address: None,
    }
}

pub(crate) fn pounds(amount: i64) -> Money {
    Money { amount, currency: "GBP".into() }
}

pub(crate) fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// Waits until `done`, and fails if it takes too long.
pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waiting = timeout(DEADLINE, async {
        while !done().await {
            tokio::task::yield_now().await;
        }
    });
    assert!(waiting.await.is_ok(), "never came true: {what}");
}
