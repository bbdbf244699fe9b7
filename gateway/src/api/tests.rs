//! The API over fake services: watching, and what never shows.

use std::time::Duration;

use futures_util::StreamExt;
use platform::error::Code;

use super::*;
use crate::fakes::Fixture;

/// Fails instead of hanging.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), what).await.expect("in time")
}

#[tokio::test]
async fn a_watcher_sees_the_order_as_it_is_and_then_only_higher_versions() {
    let fixture = Fixture::new().await;
    let account = fixture.ada().await.account;
    let ada = Caller::Account(account.clone());
    fixture.project("o", &account.id, 1);
    let mut watched = fixture.api.watch(&ada, "o", None).await.expect("watches");
    assert_eq!(soon(watched.next()).await.expect("the first").order.version, 1);

    // An old one twice, another order's, and then the news: only the news shows.
    fixture.announce("o", 1).await;
    fixture.announce("other", 9).await;
    fixture.project("o", &account.id, 2);
    fixture.announce("o", 2).await;
    let second = soon(watched.next()).await.expect("the second");
    assert_eq!(second.order.version, 2);
    assert_eq!(second.timeline.len(), 1);

    fixture.project("o", &account.id, 5);
    fixture.announce("o", 5).await;
    assert_eq!(soon(watched.next()).await.expect("the third").order.version, 5);
    fixture.api.end_watches();
    assert_eq!(soon(watched.next()).await, None);
}

#[tokio::test]
async fn only_who_may_see_an_order_may_watch_it() {
    let fixture = Fixture::new().await;
    fixture.project("theirs", "somebody", 1);
    let code = |result: Result<OrderStream, ApiError>| result.err().map(|error| error.code);
    let ada = Caller::Account(fixture.ada().await.account);
    assert_eq!(code(fixture.api.watch(&ada, "theirs", None).await), Some(Code::NotFound));
    assert_eq!(code(fixture.api.watch(&Caller::Anonymous, "theirs", None).await), Some(Code::Unauthenticated));
    let operator = Caller::Account(fixture.operator().await.account);
    assert_eq!(code(fixture.api.watch(&operator, "theirs", None).await), None);
    assert_eq!(code(fixture.api.watch(&operator, "theirs", Some(2)).await), Some(Code::Stale));
}

#[tokio::test]
async fn an_operator_watches_every_order_and_sees_no_version_twice() {
    let fixture = Fixture::new().await;
    let operator = Caller::Account(fixture.operator().await.account);
    let mut watched = fixture.api.watch_orders(&operator).await.expect("watches");
    fixture.project("a", "somebody", 1);
    fixture.announce("a", 1).await;
    let first = soon(watched.next()).await.expect("the first");
    assert_eq!((first.order.id.as_str(), first.order.version), ("a", 1));

    // What was shown, what is unknown, and then news of another order.
    fixture.announce("a", 1).await;
    fixture.announce("unknown", 1).await;
    fixture.project("b", "somebody else", 4);
    fixture.announce("b", 4).await;
    let second = soon(watched.next()).await.expect("the second");
    assert_eq!((second.order.id.as_str(), second.order.version), ("b", 4));

    fixture.api.end_watches();
    assert_eq!(soon(watched.next()).await, None);
    assert!(fixture.api.has_ended());
}

#[tokio::test]
async fn a_look_at_a_changed_order_that_fails_is_made_up_for() {
    let fixture = Fixture::new().await;
    let operator = Caller::Account(fixture.operator().await.account);
    let mut watched = fixture.api.watch_orders(&operator).await.expect("watches");
    fixture.project("a", "somebody", 1);
    fixture.shop.lock().failing = 1;
    fixture.announce("a", 1).await;
    assert_eq!(soon(watched.next()).await.expect("in the end").order.id, "a");
}

#[tokio::test]
async fn only_operators_watch_every_order() {
    let fixture = Fixture::new().await;
    let code = |result: Result<OrderStream, ApiError>| result.err().map(|error| error.code);
    let ada = Caller::Account(fixture.ada().await.account);
    assert_eq!(code(fixture.api.watch_orders(&ada).await), Some(Code::Forbidden));
    assert_eq!(code(fixture.api.watch_orders(&Caller::Anonymous).await), Some(Code::Unauthenticated));
}

#[tokio::test]
async fn a_batch_is_bounded_and_answers_in_the_order_of_asking() {
    let fixture = Fixture::new().await;
    let ada = Caller::Account(fixture.ada().await.account);
    let skus = ["b", "gone", "a"].map(str::to_owned);
    let found = fixture.api.products_by_sku(&ada, &skus).await.expect("finds");
    let found: Vec<_> = found.iter().map(|product| product.as_ref().map(|product| product.sku.as_str())).collect();
    assert_eq!(found, [Some("B"), None, Some("A")]);
    let many = vec!["a".to_owned(); LARGEST_BATCH + 1];
    assert_eq!(fixture.api.products_by_sku(&ada, &many).await.map_err(|error| error.code), Err(Code::BadInput));
    assert_eq!(fixture.api.timelines(&ada, &many).await.map_err(|error| error.code), Err(Code::BadInput));
    assert_eq!(fixture.api.timelines(&ada, &[]).await, Ok(Vec::new()));
    assert_eq!(fixture.shop.lock().asked, ["GetProducts"], "nothing is asked for nothing");
}

#[tokio::test]
async fn a_card_s_number_is_not_in_debug_output() {
    let command = PlaceOrder {
        lines: vec![LineRequest { sku: "A".into(), quantity: 1 }],
        card: Some("4242424242424242".into()),
        address: None,
        customer: None,
        idempotency_key: None,
    };
    assert!(!format!("{command:?}").contains("4242"));
    let command = PayOrder { order_id: "o".into(), card: "4242424242424242".into(), idempotency_key: None };
    assert!(!format!("{command:?}").contains("4242"));
}

#[tokio::test]
async fn an_order_with_a_bad_line_reaches_nobody() {
    let fixture = Fixture::new().await;
    let ada = Caller::Account(fixture.ada().await.account);
    for quantity in [0, -1, 1 << 31, i64::MAX] {
        let command = PlaceOrder {
            lines: vec![LineRequest { sku: "A".into(), quantity }],
            card: Some("4242424242424242".into()),
            address: None,
            customer: None,
            idempotency_key: None,
        };
        let error = fixture.api.place_order(&ada, command).await.expect_err("refused");
        assert_eq!(error.code, Code::BadInput);
    }
    assert!(fixture.shop.lock().tokenized.is_empty());
    assert!(fixture.shop.lock().placed.is_empty());
}
