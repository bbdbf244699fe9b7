//! The store over SQLite: envelopes through load, fold and save.

mod auditing;
mod migrating;
mod rebuilding;

use contracts::inventory::StockLevelChanged;
use contracts::order::{
    OrderAwaitingPayment, OrderCancelRequested, OrderConfirmed, OrderPaid, OrderPaymentCaptured, OrderPaymentDeclined,
    OrderPaymentRefunded, OrderPaymentRequested, OrderStatus, RefundCause,
};
use contracts::query::OrderChanged;
use platform::store::{Db, StoreError};

use super::reads::standings::{self, SalesRow};
use super::reads::{self, Filter, Page, orders, products};
use crate::engines::{Engine, on_both_engines};
use crate::projections::sales::{MINUTE, minute_of};
use crate::specimens::{self, NOW, card, envelope, fold, placed, pounds, product, refund_requested};
use crate::{NOTICES, timeline};

on_both_engines! {
    every_event_is_logged_once_in_the_order_in_which_it_came
    an_order_is_the_same_whether_its_events_come_in_one_batch_or_in_many
    a_batch_announces_each_changed_order_once_at_its_last_version
    an_order_s_timeline_comes_from_all_services_in_the_order_of_time
    a_level_without_its_product_does_not_show_until_the_product_comes
    a_search_finds_what_has_all_its_words_literally_and_in_any_case
    orders_of_one_millisecond_are_paged_without_skipping_one
    a_message_is_marked_as_mailed_in_the_same_batch_or_later
    a_message_that_was_mailed_but_never_told_stays_in_the_log_alone
    sales_add_up_in_their_minutes_whichever_batch_they_come_in
    an_order_called_off_before_it_was_confirmed_is_neither_sold_nor_given_back
    every_batch_moves_all_read_models_to_the_head_of_the_log
    an_order_s_past_is_read_with_the_timeline_that_it_had_then
    an_event_that_is_logged_already_is_a_conflict
    what_was_loaded_for_a_duplicate_is_not_written
}

#[derive(serde::Deserialize)]
struct Logged {
    position: i64,
    source: String,
    subject: String,
    sequence: i64,
}

async fn log(db: &Db) -> Vec<Logged> {
    db.read("SELECT position, source, subject, sequence FROM event_log WHERE $1 <> '' ORDER BY position", &[0; 0])
        .await
        .expect("reads")
}

/// Breaks the store on purpose.
async fn spoil(db: &Db, sql: &'static str) {
    let mut tx = db.begin().await.expect("begins");
    tx.execute(sql, &[0; 0]).await.expect("executes");
    tx.commit().await.expect("commits");
}

async fn every_event_is_logged_once_in_the_order_in_which_it_came(engine: Engine) {
    let (_folder, db) = engine.store().await;
    let mut messages = specimens::one_of_each();
    messages.push(specimens::unknown());
    fold(&db, &messages[..11]).await;
    fold(&db, &messages[11..]).await;
    let log = log(&db).await;
    let logged: Vec<_> = log.iter().map(|entry| (entry.source.as_str(), entry.sequence)).collect();
    let spoken: Vec<_> = messages.iter().map(|message| (message.source.as_str(), message.sequence)).collect();
    assert_eq!(logged, spoken);
    assert!(log.is_sorted_by_key(|entry| entry.position));
}

async fn an_order_is_the_same_whether_its_events_come_in_one_batch_or_in_many(engine: Engine) {
    let messages: Vec<_> = specimens::one_of_each().into_iter().filter(|message| message.source == "/order").collect();
    let (_folder, together) = engine.store().await;
    fold(&together, &messages).await;
    let (_other, apart) = engine.store().await;
    for message in &messages {
        fold(&apart, std::slice::from_ref(message)).await;
    }
    let row = orders::one(&together, "o-1").await.expect("reads").expect("is there");
    assert_eq!(orders::one(&apart, "o-1").await.expect("reads").as_ref(), Some(&row));
    assert_eq!((row.version, row.customer_id.as_str(), row.total), (23, "ada", 2_500));
    assert!(row.address.is_some_and(|address| address.contains("London")));
}

async fn a_batch_announces_each_changed_order_once_at_its_last_version(engine: Engine) {
    let (_folder, db) = engine.store().await;
    let told = fold(
        &db,
        &[
            envelope("/order", "o-1", 1, "o-1", &placed("ada")),
            envelope("/order", "o-2", 1, "o-2", &placed("bob")),
            envelope("/order", "o-1", 2, "o-1", &OrderAwaitingPayment {}),
            specimens::unknown(),
        ],
    )
    .await;
    let told: Vec<(&str, OrderChanged)> =
        told.iter().map(|(topic, text)| (*topic, serde_json::from_str(text).expect("JSON"))).collect();
    let changed = |order_id: &str, customer_id: &str, version, status: OrderStatus, at| {
        let (order_id, customer_id) = (order_id.into(), customer_id.into());
        (NOTICES, OrderChanged { order_id, customer_id, version, status: status.into(), at })
    };
    let expected = [
        changed("o-1", "ada", 2, OrderStatus::AwaitingPayment, NOW + 2),
        changed("o-2", "bob", 1, OrderStatus::Placed, NOW + 1),
    ];
    assert_eq!(told, expected);
}

async fn an_order_s_timeline_comes_from_all_services_in_the_order_of_time(engine: Engine) {
    let (_folder, db) = engine.store().await;
    let declined = OrderPaymentDeclined { attempt: 1, reason: "insufficient funds".into(), tries_left: 2 };
    fold(
        &db,
        &[
            envelope("/order", "o-1", 4, "o-1", &declined),
            envelope("/order", "o-1", 1, "o-1", &placed("ada")),
            envelope("/inventory", "o-1", 2, "o-1", &contracts::inventory::StockReserved {}),
            envelope("/order", "o-1", 3, "o-1", &OrderPaymentRequested { attempt: 1, card: card() }),
            envelope("/order", "o-2", 1, "o-2", &placed("bob")),
        ],
    )
    .await;
    let (_, events) = orders::with_events(&db, "o-1").await.expect("reads").expect("is there");
    let told: Vec<_> = timeline::tell(&events).into_iter().map(|entry| entry.summary).collect();
    assert_eq!(
        told,
        [
            "Order placed: 2 items for £25.00",
            "Stock reserved",
            "Payment requested, card ending 4242",
            "Card ending 4242 declined: insufficient funds, 2 tries left",
        ]
    );
}

async fn shown(db: &Db) -> Vec<products::ShownProduct> {
    products::by_sku(db, &["MUG-1".to_owned(), "NONE".to_owned()]).await.expect("reads")
}

async fn a_level_without_its_product_does_not_show_until_the_product_comes(engine: Engine) {
    let (_folder, db) = engine.store().await;
    let level = StockLevelChanged { sku: "MUG-1".into(), on_hand: 7, reserved: 2 };
    fold(&db, &[envelope("/inventory", "MUG-1", 1, "MUG-1", &level)]).await;
    assert_eq!(shown(&db).await, []);
    fold(&db, &[envelope("/inventory", "MUG-1", 2, "MUG-1", &product("MUG-1", "Mug"))]).await;
    let shown = shown(&db).await;
    assert_eq!((shown[0].name.as_str(), shown[0].price, shown[0].available), ("Mug", 1_250, 5));
}

async fn a_search_finds_what_has_all_its_words_literally_and_in_any_case(engine: Engine) {
    let (_folder, db) = engine.store().await;
    let names = [("A-1", "Tea for TWO"), ("A-2", "Tee 100% Ä"), ("A-3", "Tea_pot"), ("A-4", r"Back\slash tea")];
    let messages: Vec<_> =
        names.iter().map(|(sku, name)| envelope("/inventory", sku, 1, sku, &product(sku, name))).collect();
    fold(&db, &messages).await;
    for (search, expected) in [
        ("", vec!["A-4", "A-1", "A-3", "A-2"]),
        ("TEA", vec!["A-4", "A-1", "A-3"]),
        ("two tea", vec!["A-1"]),
        ("a-3", vec!["A-3"]),
        ("%", vec!["A-2"]),
        ("_", vec!["A-3"]),
        (r"\", vec!["A-4"]),
        ("ä", vec!["A-2"]),
        ("'; DROP TABLE products; --", vec![]),
    ] {
        let page = Page { after: None, rows: 10 };
        let (rows, total) = products::search(&db, &products::patterns(search), &page).await.expect("reads");
        let skus: Vec<_> = rows.iter().map(|row| row.sku.as_str()).collect();
        assert_eq!(skus, expected, "{search}");
        assert_eq!(total, i64::try_from(expected.len()).expect("few"), "{search}");
    }
}

async fn orders_of_one_millisecond_are_paged_without_skipping_one(engine: Engine) {
    let (_folder, db) = engine.store().await;
    let messages: Vec<_> = (0..5)
        .map(|n| {
            let id = format!("o-{n}");
            envelope("/order", &id, 1, &id, &placed(if n == 2 { "bob" } else { "ada" }))
        })
        .collect();
    fold(&db, &messages).await;
    let filter = Filter { customer: Some("ada".into()), status: Some("PLACED".into()) };
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let (rows, total) = orders::list(&db, &filter, &Page { after, rows: 1 }).await.expect("reads");
        assert_eq!(total, 4);
        let Some(row) = rows.first() else { break };
        seen.push(row.id.clone());
        after = Some((row.placed_at, row.id.clone()));
    }
    assert_eq!(seen, ["o-4", "o-3", "o-1", "o-0"]);
    let none = Filter { customer: None, status: Some("PAID".into()) };
    let (rows, total) = orders::list(&db, &none, &Page { after: None, rows: 9 }).await.expect("reads");
    assert_eq!((rows.len(), total), (0, 0));
}

async fn message(db: &Db) -> reads::NotificationRow {
    let filter = Filter { customer: Some("ada".into()), status: None };
    let (mut rows, total) = reads::notifications(db, &filter, &Page { after: None, rows: 5 }).await.expect("reads");
    assert_eq!((rows.len(), total), (1, 1));
    rows.remove(0)
}

async fn a_message_is_marked_as_mailed_in_the_same_batch_or_later(engine: Engine) {
    let mut messages = specimens::one_of_each();
    let mailed = messages.pop().expect("the last one says that it was mailed");
    let (_folder, db) = engine.store().await;
    fold(&db, &messages).await;
    let row = message(&db).await;
    assert_eq!((row.id.as_str(), row.order_id.as_str(), row.topic.as_str()), ("n-1", "o-1", "order-confirmed"));
    assert_eq!((row.at, row.mailed_at), (NOW + 1, None));
    fold(&db, std::slice::from_ref(&mailed)).await;
    assert_eq!(message(&db).await.mailed_at, Some(NOW + 2));
    let (_other, together) = engine.store().await;
    fold(&together, &specimens::one_of_each()).await;
    assert_eq!(message(&together).await, message(&db).await);
}

async fn a_message_that_was_mailed_but_never_told_stays_in_the_log_alone(engine: Engine) {
    let (_folder, db) = engine.store().await;
    let mailed = specimens::one_of_each().pop().expect("the last one says that it was mailed");
    fold(&db, &[mailed]).await;
    let all = Filter::default();
    let (rows, _) = reads::notifications(&db, &all, &Page { after: None, rows: 5 }).await.expect("reads");
    assert_eq!(rows, []);
}

async fn sales(db: &Db) -> Vec<(i64, i64, i64, i64, i64)> {
    let rows = standings::sales(db, i64::MIN, i64::MAX, 9).await.expect("reads");
    let window = |SalesRow { minute, orders, pieces, revenue, refunded, .. }: SalesRow| {
        (minute, orders, pieces, revenue, refunded)
    };
    rows.into_iter().map(window).collect()
}

async fn sales_add_up_in_their_minutes_whichever_batch_they_come_in(engine: Engine) {
    let (_folder, db) = engine.store().await;
    let confirmed = |id: &str, at: i64| {
        let mut message = envelope("/order", id, 2, id, &OrderConfirmed { ship_at: 1 });
        message.time = at;
        message
    };
    let mut refunded = envelope("/order", "o-1", 4, "o-1", &OrderPaymentRefunded { refund: 1, amount: pounds(1_250) });
    refunded.time = NOW + 3 * MINUTE;
    fold(&db, &[envelope("/order", "o-1", 1, "o-1", &placed("ada")), confirmed("o-1", NOW)]).await;
    fold(&db, &[envelope("/order", "o-2", 1, "o-2", &placed("bob"))]).await;
    let asked = envelope("/order", "o-1", 3, "o-1", &refund_requested(1, RefundCause::Returned, 1));
    fold(&db, &[asked, refunded, confirmed("o-2", NOW + 1)]).await;
    fold(&db, &[envelope("/order", "o-3", 1, "o-3", &placed("bob")), confirmed("o-3", NOW + MINUTE)]).await;
    let first = minute_of(NOW);
    assert_eq!(
        sales(&db).await,
        [(first + 3 * MINUTE, 0, 0, 0, 1_250), (first + MINUTE, 1, 2, 2_500, 0), (first, 2, 4, 5_000, 0)]
    );
    let windows = |from, to, first| standings::sales(&db, from, to, first);
    let only = windows(first + MINUTE, first + 2 * MINUTE, 9).await.expect("reads");
    assert_eq!(only.iter().map(|row| row.minute).collect::<Vec<_>>(), [first + MINUTE]);
    assert_eq!(windows(i64::MIN, i64::MAX, 1).await.expect("reads").len(), 1);
}

async fn an_order_called_off_before_it_was_confirmed_is_neither_sold_nor_given_back(engine: Engine) {
    let paid = OrderPaid { attempt: 1, authorisation_id: "auth_1".into() };
    let called_off = [
        envelope("/order", "o-1", 1, "o-1", &placed("ada")),
        envelope("/order", "o-1", 2, "o-1", &paid),
        envelope("/order", "o-1", 3, "o-1", &OrderCancelRequested { reason: String::new() }),
        envelope("/order", "o-1", 4, "o-1", &OrderPaymentCaptured { attempt: 1 }),
        envelope("/order", "o-1", 5, "o-1", &refund_requested(1, RefundCause::Cancelled, 2)),
        envelope("/order", "o-1", 6, "o-1", &OrderPaymentRefunded { refund: 1, amount: pounds(2_500) }),
    ];
    let (_folder, together) = engine.store().await;
    fold(&together, &called_off).await;
    let (_other, apart) = engine.store().await;
    for message in &called_off {
        fold(&apart, std::slice::from_ref(message)).await;
    }
    for db in [&together, &apart] {
        assert_eq!(sales(db).await, []);
        assert_eq!(auditing::breaches(db).await, []);
    }
}

async fn every_batch_moves_all_read_models_to_the_head_of_the_log(engine: Engine) {
    let (_folder, db) = engine.store().await;
    fold(&db, &[envelope("/order", "o-1", 1, "o-1", &placed("ada")), specimens::unknown()]).await;
    let models = standings::read_models(&db).await.expect("reads");
    let stand: Vec<_> =
        models.iter().map(|row| (row.name.as_str(), row.generation, row.position, row.head, row.folded_at)).collect();
    let at_head = |name| (name, 1, 2, 2, NOW);
    assert_eq!(stand, [at_head("notifications"), at_head("orders"), at_head("products"), at_head("sales")]);
}

async fn an_order_s_past_is_read_with_the_timeline_that_it_had_then(engine: Engine) {
    let (_folder, db) = engine.store().await;
    fold(&db, &specimens::one_of_each()).await;
    let (own, told) = orders::history(&db, "o-1", NOW + 2, true).await.expect("reads");
    assert_eq!(own.iter().map(|logged| logged.sequence).collect::<Vec<_>>(), (1..=23).collect::<Vec<_>>());
    // The first two of each of order, inventory, payment and notification.
    assert_eq!(timeline::tell(&told).len(), 8);
    let (own, told) = orders::history(&db, "o-2", NOW, true).await.expect("reads");
    assert_eq!((own.len(), told.len()), (0, 0));
}

async fn an_event_that_is_logged_already_is_a_conflict(engine: Engine) {
    let (_folder, db) = engine.store().await;
    let message = envelope("/order", "o-1", 1, "o-1", &placed("ada"));
    fold(&db, std::slice::from_ref(&message)).await;
    let inputs = specimens::heard(std::slice::from_ref(&message));
    let mut tx = db.begin().await.expect("begins");
    let mut batch = super::load(&mut tx, &inputs.iter().collect::<Vec<_>>()).await.expect("loads");
    inputs.iter().filter_map(|input| input.heard()).for_each(|heard| batch.hear(heard));
    let outcome = super::save(&mut tx, &batch, NOW).await;
    assert!(matches!(outcome, Err(StoreError::Conflict(_))), "{outcome:?}");
    drop(tx);
    assert_eq!(log(&db).await.len(), 1);
}

async fn what_was_loaded_for_a_duplicate_is_not_written(engine: Engine) {
    let (_folder, db) = engine.store().await;
    let level = StockLevelChanged { sku: "MUG-1".into(), on_hand: 5, reserved: 1 };
    let inputs = specimens::heard(&[
        envelope("/inventory", "MUG-1", 2, "MUG-1", &level),
        envelope("/order", "o-1", 1, "o-1", &placed("ada")),
    ]);
    let mut tx = db.begin().await.expect("begins");
    let batch = super::load(&mut tx, &inputs.iter().collect::<Vec<_>>()).await.expect("loads");
    super::save(&mut tx, &batch, NOW).await.expect("saves nothing");
    tx.commit().await.expect("commits");
    assert_eq!(auditing::breaches(&db).await, [], "there is no row without events");
}
