//! Other people's orders, and doors that are closed to customers or to nobody in particular.

use serde_json::json;

use super::post::Sender;
use super::visitor::Visitor;
use super::{APPROVED, CUSTOMER, OPERATOR, PASSWORD, PATIENCE, PLENTY, assert_well, shop};

/// An order of Ada's that awaits its payment.
async fn adas_order() -> String {
    let ada = shop().await.client().log_in(CUSTOMER, PASSWORD).await.expect("logs in");
    let order = ada.place_order(&[(PLENTY, 1)], None, None).await.expect("the order is taken");
    let id = order["id"].as_str().expect("an id").to_owned();
    ada.await_status(&id, "AWAITING_PAYMENT", PATIENCE).await.expect("waits for a card");
    id
}

/// A customer who has nothing to do with her.
async fn stranger() -> String {
    let email = format!("{}@example.com", uuid::Uuid::new_v4());
    shop().await.client().sign_up(&email, PASSWORD).await.expect("signs up");
    email
}

#[tokio::test]
async fn another_customers_order_is_not_there_whatever_way_one_comes() {
    let (id, stranger) = (adas_order().await, stranger().await);
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
    let list = bob.ask("{ orders { totalCount } notifications { totalCount } }", "{}").await;
    assert_eq!(list.json["data"], json!({ "orders": { "totalCount": 0 }, "notifications": { "totalCount": 0 } }));

    let mut bob = Visitor::logged_in(shop().await.base_url(), &stranger).await;
    for path in [format!("/orders/{id}"), format!("/orders/{id}?version=1"), format!("/orders/{id}/events")] {
        let (found, unknown) = (bob.get(&path).await, bob.get(&path.replace(&id, "nobody-s")).await);
        // A page that asks for a version waits for an order that may be on its way.
        let wanted = if path.contains("version") { found.status } else { unknown.status };
        assert_eq!((found.status, wanted, found.fault()), (404, found.status, None), "{path}");
    }
    let paid = bob.post(&format!("/orders/{id}/pay"), &[("key", "k"), ("card", "4242424242424242")]).await;
    assert_eq!((paid.status, paid.fault()), (404, None));

    let ada = shop().await.client().log_in(CUSTOMER, PASSWORD).await.expect("logs in");
    assert_eq!(ada.order(&id).await.expect("is hers")["status"], "AWAITING_PAYMENT");
    let operator = Sender::of(OPERATOR).await;
    let seen = operator.ask("query($id: ID!) { order(id: $id) { id } }", &json!({ "id": id }).to_string()).await;
    assert_eq!(seen.json["data"]["order"]["id"], id.as_str(), "an operator sees all");
    assert_well(shop().await).await;
}

const FOR_CUSTOMERS: [&str; 6] = [
    "{ orders { totalCount } }",
    "{ order(id: \"x\") { id } }",
    "{ notifications { totalCount } }",
    "mutation { placeOrder(input: { lines: [{ sku: \"PLENTY-1\", quantity: 1 }] }) { id } }",
    "mutation { payOrder(orderId: \"x\", card: \"4242424242424242\") { id } }",
    "mutation { placeOrder(input: { customer: \"ada@example.com\", lines: [{ sku: \"PLENTY-1\", quantity: 1 }] }) { id } }",
];

const FOR_OPERATORS: [&str; 3] = [
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
    let id = adas_order().await;
    let mut visitor = Visitor::new(shop().await.base_url());
    visitor.get("/").await;
    let order = format!("/orders/{id}");
    for (path, back) in
        [("/orders", "/orders"), ("/messages", "/messages"), ("/checkout", "/checkout"), (&order, &order)]
    {
        let page = visitor.get(path).await;
        assert_eq!((page.status, page.location()), (303, format!("/login?next={}", back.replace('/', "%2F")).as_str()));
    }
    assert_eq!(visitor.get(&format!("{order}/events")).await.status, 401);
    let page = visitor.post(&format!("{order}/pay"), &[("key", "k"), ("card", "4242424242424242")]).await;
    assert!(page.status == 303 && page.location().starts_with("/login?next="), "{} {}", page.status, page.location());
    let page = visitor.post("/checkout", &[("lines", "PLENTY-1:1"), ("key", "k"), ("card", "later")]).await;
    assert!(page.status == 303 && page.location().starts_with("/login?next="), "{} {}", page.status, page.location());
}
