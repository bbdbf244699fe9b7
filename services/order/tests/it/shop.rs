//! A corner of the shop: the order service over a SQLite file, its customers at the
//! gRPC server, and the test in the place of inventory and payment.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use contracts::common::{Card, LineRequest, Money};
use contracts::inventory::ProductUpserted;
use contracts::order::orders_server::Orders as Server;
use contracts::order::{CancelOrderRequest, Order, PayOrderRequest, PlaceOrderRequest, ReturnOrderRequest};
use orderly_order::audit::{Standing, audit, standings};
use orderly_order::grpc::OrdersServer;
use orderly_order::{Orders, SPEC, Terms};
use platform::bus::embedded::EmbeddedBus;
use platform::bus::{Bus, Entry, Subscription};
use platform::clock::Clock;
use platform::grpc::{Connection, Identity};
use platform::message::{Envelope, Payload, fresh_id};
use platform::runtime::{Running, Surroundings, declare, start};
use platform::store::Db;
use platform::store::parked::Backoff;
use platform::topology::Topology;
use tempfile::TempDir;
use tokio::time::timeout;
use tonic::Status;

const NOW: i64 = 1_000_000;
const TERMS: Terms = Terms { payment_window: 900_000, ship_after: 60_000, deliver_after: 120_000 };
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

const EVENTS: &str = "orderly.order";
const INVENTORY: (&str, &str) = ("/inventory", "orderly.inventory");
const PAYMENT: (&str, &str) = ("/payment", "orderly.payment");

pub(crate) struct Shop {
    bus: Arc<EmbeddedBus>,
    pub(crate) clock: Clock,
    folder: TempDir,
    running: Running<Orders>,
    heard: HashMap<&'static str, Box<dyn Subscription>>,
    /// The last sequence of each (source, subject).
    sequences: HashMap<(&'static str, String), i64>,
    /// The last sequence heard of each (source, subject): the test's own inbox, since
    /// after a crash what was not settled is published again.
    inbox: HashMap<(String, String), i64>,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::over(TempDir::new().unwrap()).await
    }

    /// A shop over the store that is in this folder already, if any.
    pub(crate) async fn over(folder: TempDir) -> Self {
        let clock = Clock::manual(NOW);
        let (bus, heard) = broker().await;
        let running = begin(&bus, &clock, &folder).await;
        let mut shop = Self { bus, clock, folder, running, heard, sequences: HashMap::new(), inbox: HashMap::new() };
        shop.product("CUP", 450).await;
        shop.product("POT", 1_500).await;
        shop.until_prices_are_known().await;
        shop
    }

    /// Kills the service, and starts it with a broker that has forgotten everything.
    pub(crate) async fn crash(self) -> Self {
        self.crash_for(Duration::ZERO).await
    }

    /// The same, and so much time passes in between.
    pub(crate) async fn crash_for(self, time: Duration) -> Self {
        let Self { clock, folder, running, sequences, inbox, .. } = self;
        running.abort();
        clock.advance(time);
        let (bus, heard) = broker().await;
        let running = begin(&bus, &clock, &folder).await;
        Self { bus, clock, folder, running, heard, sequences, inbox }
    }

    pub(crate) fn server(&self) -> OrdersServer {
        OrdersServer::new(self.running.handle())
    }

    pub(crate) async fn db(&self) -> Db {
        Db::open_sqlite(&self.folder.path().join("order.db")).await.unwrap()
    }

    async fn product(&mut self, sku: &str, price: i64) {
        let price = Some(Money { amount: price, currency: "GBP".into() });
        self.inventory_says(sku, &ProductUpserted { sku: sku.into(), name: sku.into(), price }).await;
    }

    async fn until_prices_are_known(&self) {
        #[derive(serde::Deserialize)]
        struct Known {
            known: i64,
        }
        let db = self.db().await;
        timeout(PATIENCE, async {
            loop {
                let known: Vec<Known> =
                    db.read("SELECT COUNT(*) AS known FROM prices WHERE $1 <> ''", &[0; 0]).await.unwrap();
                if known[0].known == 2 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("prices in time");
    }

    pub(crate) async fn inventory_says<T: Payload>(&mut self, subject: &str, payload: &T) {
        self.say(INVENTORY, subject, payload).await;
    }

    pub(crate) async fn payment_says<T: Payload>(&mut self, subject: &str, payload: &T) {
        self.say(PAYMENT, subject, payload).await;
    }

    async fn say<T: Payload>(&mut self, (source, stream): (&'static str, &str), subject: &str, payload: &T) {
        let sequence = self.sequences.entry((source, subject.to_owned())).or_default();
        *sequence += 1;
        let envelope = Envelope {
            id: fresh_id(),
            kind: T::type_name(),
            source: source.into(),
            subject: subject.into(),
            sequence: *sequence,
            time: self.clock.now(),
            dataschema: "1".into(),
            correlation_id: subject.into(),
            causation_id: "test".into(),
            traceparent: None,
            deliver_at: None,
            data: serde_json::value::to_raw_value(payload).unwrap(),
            text: None,
        };
        let body = serde_json::to_string(&envelope).unwrap();
        let known = self.bus.incarnation().await.unwrap();
        let entry = Entry { stream: stream.into(), partition: 0, body: body.into() };
        self.bus.publish(&known, &[entry]).await.unwrap();
    }

    /// The next events of the order service: their kinds.
    pub(crate) async fn events<const N: usize>(&mut self) -> [String; N] {
        let mut kinds = Vec::new();
        for _ in 0..N {
            kinds.push(self.hear(EVENTS).await.short_kind().to_owned());
        }
        kinds.try_into().unwrap()
    }

    /// The next command to inventory.
    pub(crate) async fn inventory_is_asked<T: Payload>(&mut self) -> T {
        self.command("orderly.inventory.commands").await
    }

    /// The next command to payment.
    pub(crate) async fn payment_is_asked<T: Payload>(&mut self) -> T {
        self.command("orderly.payment.commands").await
    }

    async fn command<T: Payload>(&mut self, stream: &'static str) -> T {
        let envelope = self.hear(stream).await;
        assert_eq!(envelope.kind, T::type_name());
        envelope.payload().unwrap()
    }

    /// The next message that was not heard before.
    async fn hear(&mut self, stream: &'static str) -> Envelope {
        loop {
            let subscription = self.heard.get_mut(stream).unwrap();
            let deliveries = timeout(PATIENCE, subscription.next(1)).await.expect("a message in time").unwrap();
            let delivery = deliveries.first().expect("a message");
            self.bus.ack("test", &[(stream.into(), 0, delivery.position)]).await.unwrap();
            let envelope = Envelope::parse(delivery.body.as_ref().unwrap()).unwrap();
            let last = self.inbox.entry((envelope.source.clone(), envelope.subject.clone())).or_default();
            if envelope.sequence > *last {
                *last = envelope.sequence;
                return envelope;
            }
        }
    }

    /// Breaches of the rules inside the store.
    pub(crate) async fn breaches(&self) -> Vec<String> {
        let findings = audit(&mut self.db().await.snapshot().await.unwrap(), self.clock.now()).await.unwrap();
        findings.into_iter().flat_map(|finding| finding.breaches).collect()
    }

    pub(crate) async fn standing(&self) -> Standing {
        let mut standings = standings(&mut self.db().await.snapshot().await.unwrap()).await.unwrap();
        assert_eq!(standings.len(), 1);
        standings.remove(0)
    }

    /// Places an order of two cups and a pot for Ada, paid with a card at once.
    pub(crate) async fn place(&self) -> Order {
        let request = PlaceOrderRequest {
            command_id: "place".into(),
            customer_id: "ada".into(),
            customer_email: "ada@example.com".into(),
            lines: lines(&[("CUP", 2), ("POT", 1)]),
            card: Some(card()),
            address: None,
        };
        self.server().place_order(ada().request(request).unwrap()).await.unwrap().into_inner()
    }

    pub(crate) async fn pay(&self, who: &Identity, id: &str) -> Result<Order, Status> {
        let request = PayOrderRequest { command_id: String::new(), order_id: id.into(), card: Some(card()) };
        Ok(self.server().pay_order(who.request(request)?).await?.into_inner())
    }

    pub(crate) async fn cancel(&self, who: &Identity, key: &str, id: &str, reason: &str) -> Result<Order, Status> {
        let request = CancelOrderRequest { command_id: key.into(), order_id: id.into(), reason: reason.into() };
        Ok(self.server().cancel_order(who.request(request)?).await?.into_inner())
    }

    pub(crate) async fn give_back(
        &self,
        who: &Identity,
        key: &str,
        id: &str,
        lines: Vec<LineRequest>,
    ) -> Result<Order, Status> {
        let reason = String::new();
        let request = ReturnOrderRequest { command_id: key.into(), order_id: id.into(), lines, reason };
        Ok(self.server().return_order(who.request(request)?).await?.into_inner())
    }
}

pub(crate) fn ada() -> Identity {
    Identity { account: "ada".into(), operator: false }
}

pub(crate) fn lines(lines: &[(&str, i64)]) -> Vec<LineRequest> {
    lines.iter().map(|(sku, quantity)| LineRequest { sku: (*sku).into(), quantity: *quantity }).collect()
}

fn card() -> Card {
    Card { token: "tok_approve_4242".into(), last4: "4242".into() }
}

async fn broker() -> (Arc<EmbeddedBus>, HashMap<&'static str, Box<dyn Subscription>>) {
    let bus = EmbeddedBus::open(None).await.unwrap();
    let listened = [EVENTS, "orderly.inventory.commands", "orderly.payment.commands"];
    let mut topology = Topology::new(1);
    declare(&SPEC, &mut topology);
    for stream in listened {
        topology.listen(stream, "test");
    }
    bus.declare(&topology).await.unwrap();
    let mut heard = HashMap::new();
    for stream in listened {
        heard.insert(stream, bus.subscribe("test", &[(stream.into(), 0)]).await.unwrap());
    }
    (bus, heard)
}

async fn begin(bus: &Arc<EmbeddedBus>, clock: &Clock, folder: &TempDir) -> Running<Orders> {
    // Inventory is down: whoever is asked for a price that was not heard of has none.
    let down = tower::service_fn(async |_| Err(Status::unavailable("inventory is down")));
    let around = Surroundings {
        db: Db::open_sqlite(&folder.path().join("order.db")).await.unwrap(),
        bus: bus.clone(),
        clock: clock.clone(),
        partitions: 1,
        backoff: Backoff { first: 10, cap: 20, attempts: 20 },
    };
    start(Arc::new(Orders::new(Connection::new(down), TERMS)), around).await.unwrap()
}
