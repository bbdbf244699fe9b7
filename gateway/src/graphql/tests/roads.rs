//! The roads of an order after it was placed, and what operators look at.

use super::*;

const OTHERS: &str = "somebody";

fn account(caller: &Caller) -> String {
    caller.account().expect("logged in").id.clone()
}

#[tokio::test]
async fn a_customer_calls_an_order_off_with_a_reason() {
    let fixture = Fixture::new().await;
    let ada = ada(&fixture).await;
    fixture.project("o", &account(&ada), 1);
    let cancel = "mutation($reason: String) { cancelOrder(orderId: \"o\", reason: $reason, idempotencyKey: \"k\") \
                  { version status timeline { type } } }";
    let response = run(&fixture, ada.clone(), cancel, json!({ "reason": "  found it cheaper " })).await;
    let expected = json!({ "version": 2, "status": "CANCELLED", "timeline": [{ "type": "OrderPlaced" }] });
    assert_eq!(response, json!({ "data": { "cancelOrder": expected } }));
    let sent = fixture.shop.lock().cancelled[0].clone();
    assert_eq!((sent.reason.as_str(), sent.order_id.as_str()), ("found it cheaper", "o"));
    assert_eq!(sent.command_id, format!("{}/cancelOrder/k", account(&ada)));

    for wrong in ["x".repeat(201), "a\u{0}b".into()] {
        assert_eq!(codes(&run(&fixture, ada.clone(), cancel, json!({ "reason": wrong })).await), ["BAD_USER_INPUT"]);
    }
    let unknown = "mutation { cancelOrder(orderId: \"none\") { id } }";
    assert_eq!(codes(&run(&fixture, ada, unknown, json!({})).await), ["NOT_FOUND"]);
    assert_eq!(codes(&anonymous(&fixture, unknown).await), ["UNAUTHENTICATED"]);
    assert_eq!(fixture.shop.lock().cancelled.len(), 2, "what is wrong in itself is not sent");
}

#[tokio::test]
async fn goods_come_back_in_part_or_all_at_once() {
    let fixture = Fixture::new().await;
    let ada = ada(&fixture).await;
    fixture.project("o", &account(&ada), 7);
    let back = "mutation($lines: [OrderLineInput!]) { returnOrder(orderId: \"o\", lines: $lines, reason: \"too small\") \
                { unwinding refunded { amount currency } lines { sku quantity returned } fulfilAt } }";
    let lines = json!([{ "sku": "a", "quantity": 1 }, { "sku": "A", "quantity": 1 }]);
    let response = run(&fixture, ada.clone(), back, json!({ "lines": lines })).await;
    let expected = json!({
        "unwinding": true, "refunded": { "amount": 50, "currency": "GBP" }, "fulfilAt": null,
        "lines": [{ "sku": "A", "quantity": 2, "returned": 1 }],
    });
    assert_eq!(response["data"]["returnOrder"], expected, "{response}");
    run(&fixture, ada.clone(), back, json!({})).await;
    let sent: Vec<Vec<_>> = {
        let shop = fixture.shop.lock();
        let lines = |lines: &[contracts::common::LineRequest]| {
            lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect()
        };
        shop.returned.iter().map(|sent| lines(&sent.lines)).collect()
    };
    assert_eq!(sent, [vec![("A".to_owned(), 2)], vec![]], "left out means all");

    for wrong in [json!([]), json!([{ "sku": "A", "quantity": 0 }]), json!([{ "sku": "..", "quantity": 1 }])] {
        let response = run(&fixture, ada.clone(), back, json!({ "lines": wrong })).await;
        assert_eq!(codes(&response), ["BAD_USER_INPUT"], "{wrong}");
    }
    let busy = run(&fixture, ada, "mutation { returnOrder(orderId: \"busy\") { id } }", json!({})).await;
    assert_eq!(codes(&busy), ["CONFLICT"]);
}

#[tokio::test]
async fn an_order_is_shown_as_it_was_at_a_moment() {
    let fixture = Fixture::new().await;
    let ada = ada(&fixture).await;
    fixture.project("o", &account(&ada), 3);
    fixture.project("theirs", OTHERS, 3);
    let at = "query($id: ID!, $at: DateTime!, $version: Int) { order(id: $id, at: $at, minVersion: $version) \
              { version address { city } timeline { type } } }";
    let ask = |id: &str, at: &str, version: Value| json!({ "id": id, "at": at, "version": version });
    let now = ask("o", "2023-11-14T22:13:20Z", Value::Null);
    let then = run(&fixture, ada.clone(), at, now).await;
    let expected = json!({ "version": 3, "address": null, "timeline": [{ "type": "OrderPlaced" }] });
    assert_eq!(then, json!({ "data": { "order": expected } }));
    for none in [ask("o", "2023-11-14T22:13:19.999Z", Value::Null), ask("theirs", "2024-01-01T00:00:00Z", Value::Null)]
    {
        assert_eq!(run(&fixture, ada.clone(), at, none).await, json!({ "data": { "order": null } }));
    }
    for wrong in [
        ask("o", "2023-11-14T22:13:20Z", json!(3)),
        ask("o", "yesterday", Value::Null),
        ask("o", "1969-12-31T23:59:59Z", Value::Null),
        ask("o", "+10000-01-01T00:00:00Z", Value::Null),
    ] {
        assert_eq!(codes(&run(&fixture, ada.clone(), at, wrong.clone()).await), ["BAD_USER_INPUT"], "{wrong}");
    }
}

#[tokio::test]
async fn a_customer_chooses_what_is_mailed_and_sees_what_was() {
    let fixture = Fixture::new().await;
    let ada = ada(&fixture).await;
    let mine = "{ me { mailPreference } }";
    assert_eq!(run(&fixture, ada.clone(), mine, json!({})).await["data"]["me"]["mailPreference"], "ALL");
    let set = "mutation { setMailPreference(preference: ESSENTIAL, idempotencyKey: \"k\") }";
    assert_eq!(run(&fixture, ada.clone(), set, json!({})).await["data"]["setMailPreference"], "ESSENTIAL");
    assert_eq!(run(&fixture, ada.clone(), mine, json!({})).await["data"]["me"]["mailPreference"], "ESSENTIAL");
    let operator = operator(&fixture).await;
    assert_eq!(run(&fixture, operator, mine, json!({})).await["data"]["me"]["mailPreference"], "ALL");
    assert_eq!(codes(&anonymous(&fixture, set).await), ["UNAUTHENTICATED"]);

    let told = run(&fixture, ada, "{ notifications { edges { node { topic mailedAt } } } }", json!({})).await;
    let node = &told["data"]["notifications"]["edges"][0]["node"];
    assert_eq!(*node, json!({ "topic": "order-shipped", "mailedAt": "2023-11-14T22:13:21+00:00" }));
}

#[tokio::test]
async fn another_account_s_mail_preference_is_not_told() {
    let fixture = Fixture::new().await;
    let log_in = "mutation { logIn(email: \"ada@example.com\", password: \"orderly\") { account { mailPreference } } }";
    let session = anonymous(&fixture, log_in).await;
    assert_eq!(session, json!({ "data": { "logIn": { "account": { "mailPreference": null } } } }));
}

#[tokio::test]
async fn operators_see_sales_and_read_models_and_nobody_else_does() {
    let fixture = Fixture::new().await;
    let (ada, operator) = (ada(&fixture).await, operator(&fixture).await);
    let sales = "query($first: Int) { sales(from: \"2023-11-14T22:00:00Z\", first: $first) \
                 { minute orders pieces revenue { amount } refunded { amount currency } } }";
    let models = "{ readModels { head unheard models { name generation position lag foldedAt rebuildingAt } } }";
    for closed in [sales, models] {
        assert_eq!(codes(&anonymous(&fixture, closed).await), ["UNAUTHENTICATED"]);
        assert_eq!(codes(&run(&fixture, ada.clone(), closed, json!({})).await), ["FORBIDDEN"]);
    }
    let response = run(&fixture, operator.clone(), sales, json!({})).await;
    let expected = json!({
        "minute": "2023-11-14T22:14:00+00:00", "orders": 2, "pieces": 5, "revenue": { "amount": 250 },
        "refunded": { "amount": 50, "currency": "GBP" },
    });
    assert_eq!(response, json!({ "data": { "sales": [expected] } }));
    let asked = fixture.shop.lock().sales[0];
    assert_eq!((asked.from, asked.to, asked.first), (Some(1_699_999_200_000), None, 60));
    for wrong in [0, -1, 1_441] {
        let response = run(&fixture, operator.clone(), sales, json!({ "first": wrong })).await;
        assert_eq!(codes(&response), ["BAD_USER_INPUT"], "{wrong}");
    }
    let response = run(&fixture, operator, models, json!({})).await;
    let orders = json!({
        "name": "orders", "generation": 1, "position": 40, "lag": 2, "foldedAt": "2023-11-14T22:13:20+00:00",
        "rebuildingAt": "2023-11-14T22:13:21+00:00",
    });
    assert_eq!(
        (&response["data"]["readModels"]["head"], &response["data"]["readModels"]["unheard"]),
        (&json!(41), &json!(1))
    );
    assert_eq!(response["data"]["readModels"]["models"][0], orders);
    assert_eq!(response["data"]["readModels"]["models"][1]["foldedAt"], Value::Null);
}

#[tokio::test]
async fn guessing_a_password_has_to_wait_and_is_told_how_long() {
    let fixture = Fixture::new().await;
    let log_in = "mutation($p: String!) { logIn(email: \"ada@example.com\", password: $p) { token } }";
    for _ in 0..10 {
        let wrong = run(&fixture, Caller::Anonymous, log_in, json!({ "p": "a wrong one" })).await;
        assert_eq!(codes(&wrong), ["UNAUTHENTICATED"]);
    }
    let limited = run(&fixture, Caller::Anonymous, log_in, json!({ "p": "orderly" })).await;
    assert_eq!(limited["errors"][0]["extensions"], json!({ "code": "RATE_LIMITED", "retryAfter": 6 }));
    fixture.clock.advance(std::time::Duration::from_secs(6));
    let right = run(&fixture, Caller::Anonymous, log_in, json!({ "p": "orderly" })).await;
    assert!(right["errors"].is_null(), "{right}");
}
