//! A corner of the shop: the inventory service over a SQLite file, and the saga's
//! side of the bus played by the test.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use contracts::common::LineRequest;
use contracts::inventory::{CommitStock, ReleaseStock, ReserveStock, ReturnStock};
use orderly_inventory::{Input, Inventory, SPEC};
use platform::bus::embedded::EmbeddedBus;
use platform::bus::{Bus, Entry, Subscription};
use platform::clock::Clock;
use platform::message::{Envelope, Payload, fresh_id};
use platform::runtime::{Running, Surroundings, declare, start};
use platform::store::Db;
use platform::store::parked::{self, Backoff};
use platform::topology::Topology;
use tempfile::TempDir;
use tokio::time::timeout;

const COMMANDS: &str = "orderly.inventory.commands";
const EVENTS: &str = "orderly.inventory";
const STORE: &str = "inventory.db";
/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Shop {
    bus: Arc<EmbeddedBus>,
    clock: Clock,
    folder: TempDir,
    inventory: Running<Inventory>,
    answers: Box<dyn Subscription>,
    /// The last sequence of each order.
    sequences: HashMap<String, i64>,
}

impl Shop {
    /// A shop with ten cups and ten plates.
    pub(crate) async fn open() -> Self {
        let (bus, clock) = (EmbeddedBus::open(None).await.unwrap(), Clock::system());
        let mut topology = Topology::new(1);
        declare(&SPEC, &mut topology);
        topology.listen(EVENTS, "order");
        bus.declare(&topology).await.unwrap();
        let folder = TempDir::new().unwrap();
        let inventory = begin(&bus, &clock, &folder).await;
        let answers = bus.subscribe("order", &[(EVENTS.into(), 0)]).await.unwrap();
        let shop = Self { bus, clock, folder, inventory, answers, sequences: HashMap::new() };
        for sku in ["CUP", "PLATE"] {
            let upsert = Input::Upsert { sku: sku.into(), name: sku.into(), price: 100, currency: "GBP".into() };
            shop.operator(upsert).await;
            shop.operator(Input::Adjust { sku: sku.into(), delta: 10 }).await;
        }
        shop
    }

    /// Stops it and starts it over the same file.
    pub(crate) async fn restart(self) -> Self {
        let Self { bus, clock, folder, inventory, answers, sequences } = self;
        inventory.stop().await;
        let inventory = begin(&bus, &clock, &folder).await;
        Self { bus, clock, folder, inventory, answers, sequences }
    }

    /// Stops it and leaves its file.
    pub(crate) async fn close(self) -> TempDir {
        self.inventory.stop().await;
        self.folder
    }

    pub(crate) async fn operator(&self, input: Input) {
        self.inventory.handle().submit(fresh_id(), String::new(), input).await.unwrap();
    }

    pub(crate) async fn reserve(&mut self, order: &str, lines: &[(&str, i64)]) {
        self.command(order, &ReserveStock { lines: requests(lines) }).await;
    }

    pub(crate) async fn release(&mut self, order: &str) {
        self.command(order, &ReleaseStock {}).await;
    }

    pub(crate) async fn commit(&mut self, order: &str) {
        self.command(order, &CommitStock {}).await;
    }

    pub(crate) async fn give_back(&mut self, order: &str, refund: i32, lines: &[(&str, i64)]) {
        self.command(order, &ReturnStock { refund, lines: requests(lines) }).await;
    }

    async fn command<T: Payload>(&mut self, order: &str, payload: &T) {
        let sequence = self.sequences.entry(order.to_owned()).or_default();
        *sequence += 1;
        let envelope = Envelope {
            id: fresh_id(),
            kind: T::type_name(),
            source: "/order/inventory.commands".into(),
            subject: order.into(),
            sequence: *sequence,
            time: self.clock.now(),
            dataschema: "1".into(),
            correlation_id: order.into(),
            causation_id: "test".into(),
            traceparent: None,
            deliver_at: None,
            data: serde_json::value::to_raw_value(payload).unwrap(),
            text: None,
        };
        let body = serde_json::to_string(&envelope).unwrap();
        let known = self.bus.incarnation().await.unwrap();
        let entry = Entry { stream: COMMANDS.into(), partition: 0, body: body.into() };
        self.bus.publish(&known, &[entry]).await.unwrap();
    }

    /// The next answer to the saga; what is said about products is passed over.
    pub(crate) async fn answer(&mut self) -> Envelope {
        loop {
            let deliveries = timeout(DEADLINE, self.answers.next(1)).await.expect("an answer in time").unwrap();
            let delivery = deliveries.first().expect("an answer");
            self.bus.ack("order", &[(EVENTS.into(), 0, delivery.position)]).await.unwrap();
            let envelope = Envelope::parse(delivery.body.as_ref().unwrap()).unwrap();
            if self.sequences.contains_key(&envelope.subject) {
                return envelope;
            }
        }
    }

    /// The kind of the next answer.
    pub(crate) async fn said(&mut self) -> String {
        self.answer().await.short_kind().to_owned()
    }

    /// Why the first dead letter is one.
    pub(crate) async fn dead_letter(&self) -> String {
        let db = open(self.folder.path()).await;
        timeout(DEADLINE, async {
            loop {
                if let Some(dead) = parked::dead_letters(&db).await.unwrap().first() {
                    return dead.errors.clone();
                }
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("in time")
    }

    /// On hand and reserved of the cups, then of the plates.
    pub(crate) async fn levels(&self) -> [(i64, i64); 2] {
        let db = open(self.folder.path()).await;
        let rows: Vec<Level> =
            db.read("SELECT on_hand, reserved FROM stock WHERE $1 <> '' ORDER BY sku", &[0; 0]).await.unwrap();
        [0, 1].map(|row| (rows[row].on_hand, rows[row].reserved))
    }

    /// The orders of which goods came back, with how many pieces.
    pub(crate) async fn returned_orders(&self) -> Vec<(String, i64)> {
        let db = open(self.folder.path()).await;
        orderly_inventory::audit::returned_orders(&mut db.snapshot().await.unwrap()).await.unwrap()
    }

    pub(crate) async fn breaches(&self) -> Vec<String> {
        breaches(self.folder.path()).await
    }
}

#[derive(serde::Deserialize)]
struct Level {
    on_hand: i64,
    reserved: i64,
}

/// Breaches of all rules in a folder's store, each behind its rule.
pub(crate) async fn breaches(folder: &Path) -> Vec<String> {
    let db = open(folder).await;
    let findings = orderly_inventory::audit::audit(&mut db.snapshot().await.unwrap()).await.unwrap();
    findings
        .into_iter()
        .flat_map(|finding| finding.breaches.into_iter().map(move |breach| format!("{}: {breach}", finding.rule)))
        .collect()
}

/// The store of a folder.
pub(crate) async fn open(folder: &Path) -> Db {
    Db::open_sqlite(&folder.join(STORE)).await.unwrap()
}

fn requests(lines: &[(&str, i64)]) -> Vec<LineRequest> {
    lines.iter().map(|(sku, quantity)| LineRequest { sku: (*sku).into(), quantity: *quantity }).collect()
}

async fn begin(bus: &Arc<EmbeddedBus>, clock: &Clock, folder: &TempDir) -> Running<Inventory> {
    let around = Surroundings {
        db: open(folder.path()).await,
        bus: bus.clone(),
        clock: clock.clone(),
        partitions: 1,
        backoff: Backoff { first: 10, cap: 20, attempts: 20 },
    };
    start(Arc::new(Inventory), around).await.unwrap()
}
