//! One event of each kind, and a store to fold them into, for this crate's tests.

use std::sync::Arc;

use contracts::common::{Address, Card, LineRequest, Money};
use contracts::inventory::{
    ProductUpserted, Shortage, StockCommitted, StockLevelChanged, StockReleased, StockReserved, StockReturned,
    StockShort,
};
use contracts::notification::{CustomerMailed, CustomerNotified};
use contracts::order::{
    OrderAwaitingPayment, OrderCancelRequested, OrderCancelled, OrderCaptureRefused, OrderCardOffered, OrderConfirmed,
    OrderDelivered, OrderExpired, OrderLatePaymentRefused, OrderLine, OrderPaid, OrderPaymentAbandoned,
    OrderPaymentCaptured, OrderPaymentDeclined, OrderPaymentRefunded, OrderPaymentRequested, OrderPaymentVoided,
    OrderPlaced, OrderRefundRequested, OrderRefunded, OrderRejected, OrderShipped, OrderStepRetried,
    OrderStockReturned, RefundCause,
};
use contracts::payment::{
    PaymentAuthorised, PaymentCaptureRefused, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided,
};
use platform::bus::Bus;
use platform::bus::embedded::EmbeddedBus;
use platform::clock::Clock;
use platform::error::Rejection;
use platform::message::{Envelope, Outgoing, Payload, fresh_id};
use platform::runtime::{self, Running, Surroundings};
use platform::service::{Announcement, Heard, Moment, Outcome, Service};
use platform::store::Db;
use platform::store::parked::Backoff;
use platform::topology::Topology;
use tempfile::TempDir;

use crate::engines::Engine;
use crate::grpc::QueryServer;
use crate::notices::Notices;
use crate::rebuild::{Progress, Step};
use crate::{Input, Query, SPEC};

/// When the specimens happen, Unix milliseconds.
pub(crate) const NOW: i64 = 1_700_000_000_000;
/// A card token that must show nowhere.
pub(crate) const TOKEN: &str = "tok_secret";

/// An event as its producer's outbox would write it.
pub(crate) fn envelope<T: Payload>(
    source: &str,
    subject: &str,
    sequence: i64,
    correlation: &str,
    payload: &T,
) -> Envelope {
    let Outgoing { outlet: _, subject, kind, correlation_id, data } = Outgoing::new(0, subject, correlation, payload);
    Envelope {
        id: fresh_id(),
        kind,
        source: source.to_owned(),
        subject,
        sequence,
        time: NOW + sequence,
        dataschema: "1".to_owned(),
        correlation_id,
        causation_id: String::new(),
        traceparent: None,
        deliver_at: None,
        data,
        text: None,
    }
}

/// An event of a type that is not known yet.
pub(crate) fn unknown() -> Envelope {
    let mut message = envelope("/payment", "o-9", 1, "o-9", &OrderConfirmed { ship_at: 0 });
    message.kind = "orderly.payment.v1.PaymentAdmired".to_owned();
    message
}

pub(crate) fn pounds(amount: i64) -> Option<Money> {
    Some(Money { amount, currency: "GBP".to_owned() })
}

pub(crate) fn card() -> Option<Card> {
    Some(Card { token: TOKEN.to_owned(), last4: "4242".to_owned() })
}

/// An order of two mugs.
pub(crate) fn placed(customer_id: &str) -> OrderPlaced {
    OrderPlaced {
        customer_id: customer_id.to_owned(),
        customer_email: "ada@example.com".to_owned(),
        lines: vec![OrderLine { sku: "MUG-1".into(), name: "Mug".into(), quantity: 2, unit_price: 1_250, returned: 0 }],
        total: pounds(2_500),
        pay_before: NOW + 900_000,
        card: card(),
        address: Some(Address {
            recipient: "Ada".into(),
            street: "1 St James's Square".into(),
            city: "London".into(),
            postal_code: "SW1Y 4JU".into(),
            country: "GB".into(),
        }),
    }
}

/// A product at 12.50.
pub(crate) fn product(sku: &str, name: &str) -> ProductUpserted {
    ProductUpserted { sku: sku.to_owned(), name: name.to_owned(), price: pounds(1_250) }
}

/// So many mugs of an order go back.
pub(crate) fn refund_requested(refund: i32, cause: RefundCause, mugs: i64) -> OrderRefundRequested {
    OrderRefundRequested {
        refund,
        cause: cause.into(),
        amount: pounds(1_250 * mugs),
        lines: vec![LineRequest { sku: "MUG-1".into(), quantity: mugs }],
        reason: String::new(),
    }
}

/// Every kind once, in the order of [`Kind::ALL`](crate::kind::Kind::ALL), all of
/// the order `o-1` that can be.
pub(crate) fn one_of_each() -> Vec<Envelope> {
    fn order<T: Payload>(sequence: i64, payload: &T) -> Envelope {
        envelope("/order", "o-1", sequence, "o-1", payload)
    }
    fn inventory<T: Payload>(sequence: i64, payload: &T) -> Envelope {
        envelope("/inventory", "o-1", sequence, "o-1", payload)
    }
    fn payment<T: Payload>(sequence: i64, payload: &T) -> Envelope {
        envelope("/payment", "o-1", sequence, "o-1", payload)
    }
    let level = StockLevelChanged { sku: "MUG-1".into(), on_hand: 10, reserved: 2 };
    let shortages = vec![Shortage { sku: "MUG-1".into(), requested: 3, available: 1 }];
    let told = CustomerNotified {
        notification_id: "n-1".into(),
        customer_id: "ada".into(),
        order_id: "o-1".into(),
        title: "Your order is confirmed".into(),
        body: "Thank you.".into(),
        topic: "order-confirmed".into(),
    };
    let mailed = CustomerMailed { notification_id: "n-1".into(), customer_id: "ada".into(), order_id: "o-1".into() };
    vec![
        order(1, &placed("ada")),
        order(2, &OrderAwaitingPayment {}),
        order(3, &OrderRejected { reason: "MUG-1: 3 wanted, 1 left".into() }),
        order(4, &OrderCardOffered { card: card() }),
        order(5, &OrderPaymentRequested { attempt: 1, card: card() }),
        order(6, &OrderPaymentDeclined { attempt: 1, reason: "insufficient funds".into(), tries_left: 2 }),
        order(7, &OrderPaymentAbandoned { attempt: 1, reason: "the bank did not answer".into() }),
        order(8, &OrderPaid { attempt: 1, authorisation_id: "auth_1".into() }),
        order(9, &OrderPaymentCaptured { attempt: 1 }),
        order(10, &OrderConfirmed { ship_at: NOW + 60_000 }),
        order(11, &OrderExpired { pay_before: NOW }),
        order(12, &OrderLatePaymentRefused { attempt: 1, reason: "the order has expired".into() }),
        order(13, &OrderPaymentVoided { attempt: 1 }),
        order(14, &OrderStockReturned { refund: 0 }),
        order(15, &OrderStepRetried { step: "capture".into(), retry: 2 }),
        order(16, &OrderCaptureRefused { attempt: 1, reason: "the hold was lost".into() }),
        order(17, &OrderCancelled { reason: "found it cheaper".into() }),
        order(18, &OrderCancelRequested { reason: String::new() }),
        order(19, &refund_requested(1, RefundCause::Cancelled, 2)),
        order(20, &OrderPaymentRefunded { refund: 1, amount: pounds(2_500) }),
        order(21, &OrderRefunded {}),
        order(22, &OrderShipped { deliver_at: NOW + 180_000 }),
        order(23, &OrderDelivered {}),
        envelope("/inventory", "MUG-1", 1, "MUG-1", &product("MUG-1", "Mug")),
        envelope("/inventory", "MUG-1", 2, "MUG-1", &level),
        inventory(1, &StockReserved {}),
        inventory(2, &StockShort { shortages }),
        inventory(3, &StockReleased {}),
        inventory(4, &StockCommitted {}),
        inventory(5, &StockReturned { refund: 1 }),
        payment(1, &PaymentAuthorised { attempt: 1, amount: pounds(2_500), authorisation_id: "auth_1".into() }),
        payment(2, &PaymentDeclined { attempt: 1, reason: "insufficient funds".into() }),
        payment(3, &PaymentCaptured { attempt: 1, amount: pounds(2_500) }),
        payment(4, &PaymentVoided { attempt: 1, amount: pounds(2_500) }),
        payment(5, &PaymentCaptureRefused { attempt: 1, reason: "the hold was lost".into() }),
        payment(6, &PaymentRefunded { attempt: 1, refund: 1, amount: pounds(2_500) }),
        envelope("/notification", "ada", 1, "o-1", &told),
        envelope("/notification", "ada", 2, "o-1", &mailed),
    ]
}

/// A fresh SQLite store, gone with the folder.
pub(crate) async fn store() -> (Option<TempDir>, Db) {
    Engine::Sqlite.store().await
}

/// Folds messages as one batch, as the loop does, and gives what it would announce.
pub(crate) async fn fold(db: &Db, messages: &[Envelope]) -> Vec<Announcement> {
    batch(db, heard(messages), NOW).await.1
}

/// What these messages are to the service.
pub(crate) fn heard(messages: &[Envelope]) -> Vec<Input> {
    let hear = |message: &Envelope| match Query.hear(message).expect("reads") {
        Heard::Input(input) => input,
        Heard::Ignored => panic!("every event is for the log"),
    };
    messages.iter().map(hear).collect()
}

/// Takes one step of a rebuild, as a batch of its own.
pub(crate) async fn step(db: &Db, step: Step) -> Result<Progress, Rejection> {
    batch(db, vec![Input::Rebuild(step)], NOW).await.0.pop().expect("a step has an answer")
}

/// Decides inputs as one batch and commits it, as the loop does: the answers of the
/// steps among them, and what would be announced.
pub(crate) async fn batch(
    db: &Db,
    inputs: Vec<Input>,
    now: i64,
) -> (Vec<Result<Progress, Rejection>>, Vec<Announcement>) {
    let moment = Moment { now };
    let mut tx = db.begin().await.expect("begins");
    let mut batch = Query.load(&mut tx, &inputs.iter().collect::<Vec<_>>()).await.expect("loads");
    let mut answers = Vec::new();
    for input in &inputs {
        match Query.decide(&mut batch, input, moment) {
            Ok(Outcome::Done(effects)) => answers.extend(effects.reply.map(Ok)),
            Ok(Outcome::Call(never)) => match never {},
            Err(rejection) => answers.push(Err(rejection)),
        }
    }
    assert_eq!(Query.closing(&mut batch).len(), 0, "reading says nothing");
    Query.save(&mut tx, &batch, moment).await.expect("saves");
    tx.commit().await.expect("commits");
    (answers, Query.announcements(&batch))
}

/// A server over the store, with a running loop behind it.
pub(crate) struct Served {
    pub(crate) server: QueryServer,
    pub(crate) bus: Arc<EmbeddedBus>,
    pub(crate) clock: Clock,
    pub(crate) running: Running<Query>,
}

/// Serves the store.
pub(crate) async fn serve(db: &Db) -> Served {
    let bus = EmbeddedBus::open(None).await.expect("a bus");
    let mut topology = Topology::new(1);
    runtime::declare(&SPEC, &mut topology);
    bus.declare(&topology).await.expect("declares");
    let clock = Clock::manual(NOW);
    let around = Surroundings {
        db: db.clone(),
        bus: bus.clone(),
        clock: clock.clone(),
        partitions: 1,
        backoff: Backoff::default(),
    };
    let running = runtime::start(Arc::new(Query), around).await.expect("starts");
    let notices = Notices::listen(bus.clone());
    let server = QueryServer::new(db.clone(), notices, clock.clone(), running.handle(), bus.clone());
    Served { server, bus, clock, running }
}
