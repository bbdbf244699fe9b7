//! Other people's orders, and doors that are closed to customers or to nobody in particular.

use serde_json::json;

use super::post::Sender;
use super::visitor::Visitor;
use super::{APPROVED, CUSTOMER, OPERATOR, PASSWORD, assert_well, roads, shop};

/// A customer who has nothing to do with her.
async fn stranger() -> String {
    let email = format!("{}@example.com", uuid::Uuid::new_v4());
    shop().await.client().sign_up(&email, PASSWORD).await.expect("signs up");
    email
}

#[tokio::test]
async fn another_customers_order_is_not_there_whatever_way_one_comes() {
    let (id, stranger) = (roads::awaiting().await, stranger().await);
    let bob = Sender::of(&stranger).await;
    let order = bob.ask("query($id: ID!) { order(id: $id) { id } }", &json!({ "id": id }).to_string()).await;
    assert_eq!(order.json, json!({ "data": { "order": null } }));
    let unknown = bob.ask("query($id: ID!) { order(id: $id) { id } }", "{\"id\":\"nobody-s\"}").await;
    assert_eq!(unknown.json, order.json, "what is somebody else's looks like what is nobody's");
    let waited =
        bob.ask("query($id: ID!) { order(id: $id, minVersion: 1) { id } }", &json!({ "id": id }).to_string()).await;
    assert!(waited.json["data"]["order"].is_null() && waited.fault.is_none());
    let pay = "mutation($id: ID!, $c: String!) { payOrder(orderId: $id, card: $c) { id } }";
    let paid = bob.ask(pay, &json!({ "id": id, "c": APPROVED }).to_string()).await;
    assert_eq!((paid.code(), paid.fault.as_deref()), ("NOT_FOUND", None));
    let then = "query($id: ID!) { order(id: $id, at: \"2099-01-01T00:00:00Z\") { id timeline { summary } } }";
    let was = bob.ask(then, &json!({ "id": id }).to_string()).await;
    assert_eq!(was.json, order.json, "nor was it ever his");
    for document in [
        "mutation($id: ID!) { cancelOrder(orderId: $id, reason: \"not mine\") { id } }",
        "mutation($id: ID!) { returnOrder(orderId: $id, reason: \"not mine\") { id } }",
        "mutation($id: ID!) { returnOrder(orderId: $id, lines: [{ sku: \"PLENTY-1\", quantity: 1 }]) { id } }",
    ] {
        let refused = bob.ask(document, &json!({ "id": id }).to_string()).await;
        let unknown = bob.ask(document, "{\"id\":\"nobody-s\"}").await;
        assert_eq!((refused.code(), refused.fault.as_deref()), ("NOT_FOUND", None), "{document}");
        assert_eq!(refused.json, unknown.json, "what is somebody else's looks like what is nobody's");
    }
    let list = bob.ask("{ orders { totalCount } notifications { totalCount } }", "{}").await;
    assert_eq!(list.json["data"], json!({ "orders": { "totalCount": 0 }, "notifications": { "totalCount": 0 } }));

    let mut bob = Visitor::logged_in(shop().await.base_url(), &stranger).await;
    for ending in ["", "?version=1", "?at=4070908800000", "/events", "/cancel", "/return"] {
        let path = format!("/orders/{id}{ending}");
        let (found, unknown) = (bob.get(&path).await, bob.get(&path.replace(&id, "nobody-s")).await);
        // A page that asks for a version waits for an order that may be on its way.
        let wanted = if path.contains("version") { found.status } else { unknown.status };
        assert_eq!((found.status, wanted, found.fault()), (404, found.status, None), "{path}");
    }
    let paid = bob.post(&format!("/orders/{id}/pay"), &[("key", "k"), ("card", "4242424242424242")]).await;
    assert_eq!((paid.status, paid.fault()), (404, None));
    for (path, field) in
        [("cancel", ("reason", "not mine")), ("return", ("all", "1")), ("return", ("quantity-PLENTY-1", "1"))]
    {
        let refused = bob.post(&format!("/orders/{id}/{path}"), &[("key", "k"), field]).await;
        assert_eq!((refused.status, refused.fault()), (404, None), "{path}");
    }

    let ada = shop().await.client().log_in(CUSTOMER, PASSWORD).await.expect("logs in");
    assert_eq!(ada.order(&id).await.expect("is hers")["status"], "AWAITING_PAYMENT");
    let operator = Sender::of(OPERATOR).await;
    let seen = operator.ask("query($id: ID!) { order(id: $id) { id } }", &json!({ "id": id }).to_string()).await;
    assert_eq!(seen.json["data"]["order"]["id"], id.as_str(), "an operator sees all");
    assert_well(shop().await).await;
}

const FOR_CUSTOMERS: [&str; 10] = [
    "{ order(id: \"x\", at: \"2026-01-01T00:00:00Z\") { id } }",
    "mutation { cancelOrder(orderId: \"x\") { id } }",
    "mutation { returnOrder(orderId: \"x\") { id } }",
    "mutation { setMailPreference(preference: NONE) }",
    "{ orders { totalCount } }",
    "{ order(id: \"x\") { id } }",
    "{ notifications { totalCount } }",
    "mutation { placeOrder(input: { lines: [{ sku: \"PLENTY-1\", quantity: 1 }] }) { id } }",
    "mutation { payOrder(orderId: \"x\", card: \"4242424242424242\") { id } }",
    "mutation { placeOrder(input: { customer: \"ada@example.com\", lines: [{ sku: \"PLENTY-1\", quantity: 1 }] }) { id } }",
];

const FOR_OPERATORS: [&str; 5] = [
    "{ sales { minute } }",
    "{ readModels { head models { name position } } }",
    "mutation { upsertProduct(input: { sku: \"PLENTY-1\", name: \"X\", price: { amount: 1, currency: \"GBP\" } }) { sku } }",
    "mutation { adjustStock(sku: \"PLENTY-1\", delta: -1) { sku } }",
    "mutation { placeOrder(input: { customer: \"17850\", lines: [{ sku: \"PLENTY-1\", quantity: 1 }] }) { id } }",
];

#[tokio::test]
async fn nobody_in_particular_is_unauthenticated_and_a_customer_is_no_operator() {
    let (nobody, customer) = (Sender::anonymous().await, Sender::of_somebody_new().await);
    for document in FOR_CUSTOMERS.iter().chain(&FOR_OPERATORS) {
        let answer = nobody.ask(document, "{}").await;
        assert_eq!((answer.code(), answer.fault.as_deref()), ("UNAUTHENTICATED", None), "{document}");
    }
    for document in FOR_OPERATORS {
        let answer = customer.ask(document, "{}").await;
        assert_eq!((answer.code(), answer.fault.as_deref()), ("FORBIDDEN", None), "{document}");
    }
}

#[tokio::test]
async fn a_visitor_is_led_to_the_log_in_and_back() {
    let id = roads::awaiting().await;
    let mut visitor = Visitor::new(shop().await.base_url());
    visitor.get("/").await;
    let order = format!("/orders/{id}");
    let (cancel, back_to_it) = (format!("{order}/cancel"), format!("{order}/return"));
    let then = format!("{order}?at=4070908800000");
    for (path, back) in [
        ("/orders", "/orders"),
        ("/messages", "/messages"),
        ("/checkout", "/checkout"),
        (&order, &order),
        (&then, &order),
        (&cancel, &order),
        (&back_to_it, &order),
    ] {
        let page = visitor.get(path).await;
        assert_eq!((page.status, page.location()), (303, format!("/login?next={}", back.replace('/', "%2F")).as_str()));
    }
    assert_eq!(visitor.get(&format!("{order}/events")).await.status, 401);
    let page = visitor.post(&format!("{order}/pay"), &[("key", "k"), ("card", "4242424242424242")]).await;
    assert!(page.status == 303 && page.location().starts_with("/login?next="), "{} {}", page.status, page.location());
    for (path, fields) in [
        ("/checkout", &[("lines", "PLENTY-1:1"), ("key", "k"), ("card", "later")][..]),
        (&cancel, &[("key", "k"), ("reason", "not mine")]),
        (&back_to_it, &[("key", "k"), ("all", "1")]),
        ("/messages/mail", &[("key", "k"), ("mail", "none")]),
    ] {
        let page = visitor.post(path, fields).await;
        let led = page.status == 303 && page.location().starts_with("/login?next=");
        assert!(led, "{path}: {} {}", page.status, page.location());
    }
    assert_eq!(roads::ada().await.order(&id).await.expect("is hers")["status"], "AWAITING_PAYMENT");
}

#[tokio::test]
async fn the_operators_pages_are_not_there_for_anybody_else() {
    let base = shop().await.base_url();
    let mut visitor = Visitor::new(base);
    let mut ada = Visitor::logged_in(base, CUSTOMER).await;
    let mut operator = Visitor::logged_in(base, OPERATOR).await;
    let nowhere = ada.get("/nowhere").await;
    for path in ["/sales", "/sales?before=0", "/sales?before=x", "/read-models", "/audit"] {
        for who in [&mut visitor, &mut ada] {
            let page = who.get(path).await;
            assert_eq!((page.status, page.fault()), (nowhere.status, None), "{path}");
        }
        let page = operator.get(path).await;
        assert_eq!((page.status, page.fault()), (if path.ends_with('x') { 400 } else { 200 }, None), "{path}");
    }
    assert_well(shop().await).await;
}
