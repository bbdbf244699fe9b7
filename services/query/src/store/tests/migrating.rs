//! A store of before there were generations, brought forward with its rows.

use contracts::inventory::StockLevelChanged;
use contracts::notification::CustomerNotified;
use contracts::order::{OrderAwaitingPayment, OrderConfirmed, OrderPaid, OrderPaymentCaptured};
use platform::message::{Envelope, Payload};
use platform::store::Db;
use serde_json::json;

use super::auditing::breaches;
use super::{log, spoil};
use crate::SPEC;
use crate::engines::{Engine, on_both_engines};
use crate::read_model::Model;
use crate::rebuild::Step;
use crate::specimens::{self, NOW, envelope, placed, product};
use crate::store::reads::{self, Filter, Page, orders, products, standings};

on_both_engines! {
    a_store_of_the_first_version_is_brought_forward_with_everything_in_it
    positions_are_counted_anew_and_every_read_model_goes_along
}

fn order<T: Payload>(id: &str, sequence: i64, payload: &T) -> Envelope {
    envelope("/order", id, sequence, id, payload)
}

/// What the first version of this program had in its store after a confirmed order,
/// a second one that waits for its payment, a product and a message.
async fn filled(db: &Db) -> Vec<Envelope> {
    let mut second = placed("bob");
    second.lines[0].quantity = 3;
    second.total = specimens::pounds(3_750);
    second.address = None;
    let level = StockLevelChanged { sku: "MUG-1".into(), on_hand: 10, reserved: 2 };
    let told = CustomerNotified {
        notification_id: "n-1".into(),
        customer_id: "ada".into(),
        order_id: "o-1".into(),
        title: "Your order is confirmed".into(),
        body: "Thank you.".into(),
        // There were none yet.
        topic: String::new(),
    };
    let mut old_confirmation = order("o-1", 5, &OrderConfirmed { ship_at: 0 });
    old_confirmation.time = NOW + 60_001;
    let messages = vec![
        envelope("/inventory", "MUG-1", 1, "MUG-1", &product("MUG-1", "Mug")),
        envelope("/inventory", "MUG-1", 2, "MUG-1", &level),
        order("o-1", 1, &placed("ada")),
        order("o-1", 2, &OrderAwaitingPayment {}),
        order("o-1", 3, &OrderPaid { attempt: 1, authorisation_id: "auth_1".into() }),
        order("o-2", 1, &second),
        order("o-1", 4, &OrderPaymentCaptured { attempt: 1 }),
        old_confirmation,
        envelope("/notification", "ada", 1, "o-1", &told),
    ];
    let entries: Vec<_> = messages
        .iter()
        .map(|message| {
            json!({
                "source": message.source, "subject": message.subject, "sequence": message.sequence,
                "kind": message.kind, "time": message.time, "correlation_id": message.correlation_id,
                "event_id": message.id, "envelope": *message.text(),
            })
        })
        .collect();
    let lines = |quantity: i64| {
        json!([{ "sku": "MUG-1", "name": "Mug", "quantity": quantity, "unit_price": 1_250 }]).to_string()
    };
    let address = json!({
        "recipient": "Ada", "street": "1 St James's Square", "city": "London", "postal_code": "SW1Y 4JU", "country": "GB",
    });
    let rows = json!([
        { "id": "o-1", "customer": "ada", "status": "CONFIRMED", "version": 5, "total": 2_500, "lines": lines(2),
          "address": address.to_string(), "pay_before": null },
        { "id": "o-2", "customer": "bob", "status": "PLACED", "version": 1, "total": 3_750, "lines": lines(3),
          "address": null, "pay_before": NOW + 900_000 },
    ]);
    let mut tx = db.begin().await.expect("begins");
    tx.execute(
        "INSERT INTO event_log (source, subject, sequence, type, time, correlation_id, event_id, envelope)
         SELECT r.value->>'source', r.value->>'subject', CAST(r.value->>'sequence' AS BIGINT), r.value->>'kind',
                CAST(r.value->>'time' AS BIGINT), r.value->>'correlation_id', r.value->>'event_id', r.value->>'envelope'
         FROM jsonb_each($1) AS r",
        &entries,
    )
    .await
    .expect("the log");
    tx.execute(
        "INSERT INTO orders (id, customer_id, status, status_reason, version, placed_at, pay_before, total, currency,
                             lines, address)
         SELECT r.value->>'id', r.value->>'customer', r.value->>'status', '', CAST(r.value->>'version' AS BIGINT),
                1700000000001, CAST(r.value->>'pay_before' AS BIGINT), CAST(r.value->>'total' AS BIGINT), 'GBP',
                r.value->>'lines', r.value->>'address'
         FROM jsonb_each($1) AS r",
        &rows,
    )
    .await
    .expect("orders");
    tx.execute(
        "INSERT INTO products (sku, name, price, currency, on_hand, reserved, search_text)
         SELECT 'MUG-1', 'Mug', 1250, 'GBP', 10, 2, 'mug-1 mug' WHERE $1 <> ''",
        &[0; 0],
    )
    .await
    .expect("products");
    tx.execute(
        "INSERT INTO notifications (id, customer_id, order_id, title, body, at)
         SELECT 'n-1', 'ada', 'o-1', 'Your order is confirmed', 'Thank you.', 1700000000001 WHERE $1 <> ''",
        &[0; 0],
    )
    .await
    .expect("notifications");
    tx.commit().await.expect("commits");
    messages
}

async fn a_store_of_the_first_version_is_brought_forward_with_everything_in_it(engine: Engine) {
    let (_folder, db) = engine.empty_store().await;
    db.migrate(&SPEC.migrations[..1]).await.expect("the first version");
    let messages = filled(&db).await;
    db.migrate(SPEC.migrations).await.expect("migrates");

    let page = Page { after: None, rows: 9 };
    let (rows, _) = orders::list(&db, &Filter::default(), &page).await.expect("reads");
    let shown: Vec<_> = rows.iter().map(|row| (row.id.as_str(), row.status.as_str(), row.pieces)).collect();
    assert_eq!(shown, [("o-2", "PLACED", 3), ("o-1", "CONFIRMED", 2)]);
    assert_eq!(products::by_sku(&db, &["MUG-1".to_owned()]).await.expect("reads")[0].available, 8);
    let (told, _) = reads::notifications(&db, &Filter::default(), &page).await.expect("reads");
    assert_eq!((told.len(), told[0].topic.as_str(), told[0].mailed_at), (1, "", None));
    let windows = standings::sales(&db, i64::MIN, i64::MAX, 9).await.expect("reads");
    assert_eq!(windows.len(), 1);
    let window = (windows[0].minute, windows[0].orders, windows[0].pieces, windows[0].revenue);
    assert_eq!(window, (crate::projections::sales::minute_of(NOW + 60_001), 1, 2, 2_500));
    let models = standings::read_models(&db).await.expect("reads");
    let head = i64::try_from(messages.len()).expect("few");
    assert!(models.iter().all(|row| (row.generation, row.position, row.head) == (1, head, head)), "{models:?}");

    // As if this program had folded them from the first event on.
    assert_eq!(breaches(&db).await, []);
    // And what comes next finds the rows that it belongs to.
    let paid = order("o-2", 2, &OrderAwaitingPayment {});
    specimens::fold(&db, &[paid]).await;
    let row = orders::one(&db, "o-2").await.expect("reads").expect("is there");
    assert_eq!((row.status.as_str(), row.version), ("AWAITING_PAYMENT", 2));
    // The timeline has what names the order as its own, and what is about it.
    let (_, events) = orders::with_events(&db, "o-1").await.expect("reads").expect("is there");
    let kinds: Vec<_> = events.iter().map(Envelope::short_kind).collect();
    let own = ["OrderPlaced", "CustomerNotified", "OrderAwaitingPayment", "OrderPaid", "OrderPaymentCaptured"];
    assert_eq!(kinds, [&own[..], &["OrderConfirmed"]].concat());
}

/// A log in which positions were left out, as Postgres does where a batch was undone.
async fn positions_are_counted_anew_and_every_read_model_goes_along(engine: Engine) {
    let (_folder, db) = engine.empty_store().await;
    db.migrate(&SPEC.migrations[..1]).await.expect("the first version");
    let messages = filled(&db).await;
    db.migrate(&SPEC.migrations[..2]).await.expect("the second version");
    spoil(&db, "UPDATE event_log SET position = position + 1000 WHERE $1 <> ''").await;
    spoil(&db, "UPDATE event_log SET position = (position - 1000) * 10 WHERE $1 <> ''").await;
    spoil(&db, "UPDATE read_models SET position = position * 10 WHERE $1 <> ''").await;
    let halfway = "UPDATE read_models SET building_generation = 2, building_position = 40, rebuild_id = 'r-1',
                   rebuild_begun_at = 1, rebuild_at = 1 WHERE name = 'orders' AND $1 <> ''";
    spoil(&db, halfway).await;

    db.migrate(SPEC.migrations).await.expect("migrates");
    let positions: Vec<i64> = log(&db).await.iter().map(|entry| entry.position).collect();
    let head = i64::try_from(messages.len()).expect("few");
    assert_eq!(positions, (1..=head).collect::<Vec<_>>());
    assert_eq!(breaches(&db).await, []);
    let fold = Step::Fold { model: Model::Orders, id: "r-1".into(), after: 4, most: 1 };
    assert_eq!(specimens::step(&db, fold).await.expect("goes on where it was").position, 5);
}
