//! One event of each kind, and a store to fold them into, for this crate's tests.

use contracts::common::{Address, Card, Money};
use contracts::inventory::{
    ProductUpserted, Shortage, StockCommitted, StockLevelChanged, StockReleased, StockReserved, StockShort,
};
use contracts::notification::CustomerNotified;
use contracts::order::{
    OrderAwaitingPayment, OrderCardOffered, OrderConfirmed, OrderExpired, OrderLatePaymentRefused, OrderLine,
    OrderPaid, OrderPaymentAbandoned, OrderPaymentCaptured, OrderPaymentDeclined, OrderPaymentRequested,
    OrderPaymentVoided, OrderPlaced, OrderRejected, OrderStepRetried, OrderStockReturned,
};
use contracts::payment::{PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentVoided};
use platform::bus::embedded::EmbeddedBus;
use platform::clock::Clock;
use platform::message::{Envelope, Outgoing, Payload, fresh_id};
use platform::service::{Announcement, Heard, Moment, Service};
use platform::store::Db;
use tempfile::TempDir;

use crate::grpc::QueryServer;
use crate::notices::Notices;
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
    }
}

/// An event of a type that is not known yet.
pub(crate) fn unknown() -> Envelope {
    let mut message = envelope("/payment", "o-9", 1, "o-9", &OrderConfirmed {});
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
        lines: vec![OrderLine { sku: "MUG-1".into(), name: "Mug".into(), quantity: 2, unit_price: 1_250 }],
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
    };
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
        order(10, &OrderConfirmed {}),
        order(11, &OrderExpired { pay_before: NOW }),
        order(12, &OrderLatePaymentRefused { attempt: 1, reason: "the order has expired".into() }),
        order(13, &OrderPaymentVoided { attempt: 1 }),
        order(14, &OrderStockReturned {}),
        order(15, &OrderStepRetried { step: "capture".into(), retry: 2 }),
        envelope("/inventory", "MUG-1", 1, "MUG-1", &product("MUG-1", "Mug")),
        envelope("/inventory", "MUG-1", 2, "MUG-1", &level),
        inventory(1, &StockReserved {}),
        inventory(2, &StockShort { shortages }),
        inventory(3, &StockReleased {}),
        inventory(4, &StockCommitted {}),
        payment(1, &PaymentAuthorised { attempt: 1, amount: pounds(2_500), authorisation_id: "auth_1".into() }),
        payment(2, &PaymentDeclined { attempt: 1, reason: "insufficient funds".into() }),
        payment(3, &PaymentCaptured { attempt: 1, amount: pounds(2_500) }),
        payment(4, &PaymentVoided { attempt: 1, amount: pounds(2_500) }),
        envelope("/notification", "ada", 1, "o-1", &told),
    ]
}

/// A fresh SQLite store, gone with the folder.
pub(crate) async fn store() -> (TempDir, Db) {
    let folder = tempfile::tempdir().expect("a folder");
    let db = Db::open_sqlite(&folder.path().join("query.db")).await.expect("a store");
    db.migrate(SPEC.migrations).await.expect("migrates");
    (folder, db)
}

/// Folds messages as one batch, as the loop does, and gives what it would announce.
pub(crate) async fn fold(db: &Db, messages: &[Envelope]) -> Vec<Announcement> {
    let inputs: Vec<Input> = messages
        .iter()
        .map(|message| match Query.hear(message).expect("reads") {
            Heard::Input(input) => input,
            Heard::Ignored => panic!("every event is for the log"),
        })
        .collect();
    let moment = Moment { now: NOW };
    let mut tx = db.begin().await.expect("begins");
    let mut batch = Query.load(&mut tx, &inputs.iter().collect::<Vec<_>>()).await.expect("loads");
    for input in &inputs {
        Query.decide(&mut batch, input, moment).expect("an event is never rejected");
    }
    Query.save(&mut tx, &batch, moment).await.expect("saves");
    tx.commit().await.expect("commits");
    Query.announcements(&batch)
}

/// A server over the store, the bus it listens to, and its clock.
pub(crate) async fn server(db: &Db) -> (QueryServer, std::sync::Arc<EmbeddedBus>, Clock) {
    let bus = EmbeddedBus::open(None).await.expect("a bus");
    let clock = Clock::manual(NOW);
    (QueryServer::new(db.clone(), Notices::listen(bus.clone()), clock.clone()), bus, clock)
}
