//! A corner of the shop: the bank and the payment service, started over two
//! SQLite files, and the saga's side of the bus played by the test.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use contracts::common::{Card, Money};
use contracts::payment::{AuthorisePayment, CapturePayment, RefundPayment, VoidPayment};
use orderly_payment::bank::{self, Bank, BankClient};
use orderly_payment::{Payment, SPEC};
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

const COMMANDS: &str = "orderly.payment.commands";
const EVENTS: &str = "orderly.payment";
/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Shop {
    bus: Arc<EmbeddedBus>,
    clock: Clock,
    pub(crate) folder: TempDir,
    pub(crate) bank: Running<Bank>,
    pub(crate) payment: Running<Payment>,
    answers: Box<dyn Subscription>,
    /// The last sequence of each order.
    sequences: HashMap<String, i64>,
}

impl Shop {
    pub(crate) async fn open(clock: Clock) -> Self {
        let bus = EmbeddedBus::open(None).await.unwrap();
        let mut topology = Topology::new(1);
        declare(&bank::SPEC, &mut topology);
        declare(&SPEC, &mut topology);
        topology.listen(EVENTS, "order");
        bus.declare(&topology).await.unwrap();
        let folder = TempDir::new().unwrap();
        let (bank, payment) = begin(&bus, &clock, &folder).await;
        let answers = bus.subscribe("order", &[(EVENTS.into(), 0)]).await.unwrap();
        Self { bus, clock, folder, bank, payment, answers, sequences: HashMap::new() }
    }

    /// Stops both and starts them over the same files.
    pub(crate) async fn restart(self) -> Self {
        let Self { bus, clock, folder, bank, payment, answers, sequences } = self;
        payment.stop().await;
        bank.stop().await;
        let (bank, payment) = begin(&bus, &clock, &folder).await;
        Self { bus, clock, folder, bank, payment, answers, sequences }
    }

    /// Stops both and leaves their files.
    pub(crate) async fn close(self) -> TempDir {
        self.payment.stop().await;
        self.bank.stop().await;
        self.folder
    }

    pub(crate) fn client(&self) -> BankClient {
        BankClient::new(self.bank.handle(), self.clock.clone())
    }

    pub(crate) async fn db(&self, name: &str) -> Db {
        open(self.folder.path(), name).await
    }

    pub(crate) async fn authorise(&mut self, order: &str, attempt: i32, amount: i64, token: &str) {
        let amount = Some(Money { amount, currency: "GBP".into() });
        let card = Some(Card { token: token.into(), last4: token[token.len() - 4..].into() });
        self.command(order, &AuthorisePayment { attempt, amount, card }).await;
    }

    pub(crate) async fn capture(&mut self, order: &str, attempt: i32) {
        self.command(order, &CapturePayment { attempt }).await;
    }

    pub(crate) async fn void(&mut self, order: &str, attempt: i32) {
        self.command(order, &VoidPayment { attempt }).await;
    }

    pub(crate) async fn refund(&mut self, order: &str, attempt: i32, refund: i32, amount: i64) {
        let amount = Some(Money { amount, currency: "GBP".into() });
        self.command(order, &RefundPayment { attempt, refund, amount }).await;
    }

    pub(crate) async fn command<T: Payload>(&mut self, order: &str, payload: &T) {
        let sequence = self.sequences.entry(order.to_owned()).or_default();
        *sequence += 1;
        let envelope = Envelope {
            id: fresh_id(),
            kind: T::type_name(),
            source: "/order/payment.commands".into(),
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

    /// The next answer of the payment service.
    pub(crate) async fn answer(&mut self) -> Envelope {
        let deliveries = timeout(DEADLINE, self.answers.next(1)).await.expect("an answer in time").unwrap();
        let delivery = deliveries.first().expect("an answer");
        self.bus.ack("order", &[(EVENTS.into(), 0, delivery.position)]).await.unwrap();
        Envelope::parse(delivery.body.as_ref().unwrap()).unwrap()
    }

    /// Why the first dead letter is one.
    pub(crate) async fn dead_letter(&self) -> String {
        let db = self.db("payment.db").await;
        until(async || !parked::dead_letters(&db).await.unwrap().is_empty()).await;
        parked::dead_letters(&db).await.unwrap()[0].errors.clone()
    }

    /// Breaches of all rules, inside the payment's store and against the bank's.
    pub(crate) async fn breaches(&self) -> Vec<String> {
        breaches(self.folder.path()).await
    }

    pub(crate) async fn open_authorisations(&self) -> Vec<(String, i64)> {
        let db = self.db("payment.db").await;
        orderly_payment::audit::open_authorisations(&mut db.snapshot().await.unwrap()).await.unwrap()
    }

    /// The orders that were given money back, with how much.
    pub(crate) async fn refunded_orders(&self) -> Vec<(String, i64)> {
        let db = self.db("payment.db").await;
        orderly_payment::audit::refunded_orders(&mut db.snapshot().await.unwrap()).await.unwrap()
    }

    /// The states of all holds at the bank, with what is left of them there.
    pub(crate) async fn at_bank(&self) -> Vec<String> {
        let db = self.db("bank.db").await;
        let holds = bank::holds(&mut db.snapshot().await.unwrap()).await.unwrap();
        holds.into_iter().map(|hold| format!("{} {}", hold.state, hold.amount - hold.refunded)).collect()
    }
}

/// Breaches of all rules in a folder's stores, each behind its rule.
pub(crate) async fn breaches(folder: &Path) -> Vec<String> {
    let (payment, bank) = (open(folder, "payment.db").await, open(folder, "bank.db").await);
    let mut findings = orderly_payment::audit::audit(&mut payment.snapshot().await.unwrap()).await.unwrap();
    findings.extend(orderly_payment::audit::audit_against_bank(&payment, &bank).await.unwrap());
    findings
        .into_iter()
        .flat_map(|finding| finding.breaches.into_iter().map(move |breach| format!("{}: {breach}", finding.rule)))
        .collect()
}

/// One store of a folder.
pub(crate) async fn open(folder: &Path, name: &str) -> Db {
    Db::open_sqlite(&folder.join(name)).await.unwrap()
}

async fn begin(bus: &Arc<EmbeddedBus>, clock: &Clock, folder: &TempDir) -> (Running<Bank>, Running<Payment>) {
    let around = async |name: &str| Surroundings {
        db: Db::open_sqlite(&folder.path().join(name)).await.unwrap(),
        bus: bus.clone(),
        clock: clock.clone(),
        partitions: 1,
        backoff: Backoff { first: 10, cap: 20, attempts: 20 },
    };
    let bank = start(Arc::new(Bank), around("bank.db").await).await.unwrap();
    let client = BankClient::new(bank.handle(), clock.clone());
    let payment = start(Arc::new(Payment::new(client)), around("payment.db").await).await.unwrap();
    (bank, payment)
}

/// Waits until `done`, and fails if it takes too long.
pub(crate) async fn until(mut done: impl AsyncFnMut() -> bool) {
    timeout(DEADLINE, async {
        while !done().await {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("in time");
}
