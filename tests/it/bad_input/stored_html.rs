//! HTML that was let in as text is shown as text, on every page that shows it.

use serde_json::json;

use super::hostile::runnable_in;
use super::post::Sender;
use super::visitor::{Page, Visitor, field};
use super::{APPROVED, CUSTOMER, OPERATOR, PATIENCE, assert_well, roads, shop};

const PAYLOAD: &str = "</title><script>alert(1)</script>\"><img src=x onerror=alert(1)>' onfocus='alert(1)' x='";

/// What is left of the payload when it is shown as text, however it is escaped.
const SHOWN: &str = "onerror=alert(1)";

fn assert_text(what: &str, text: &str) {
    assert_eq!(runnable_in(text), None, "{what}");
    assert!(text.contains(SHOWN), "{what} does not show it at all: {text}");
}

fn assert_page(what: &str, page: &Page) {
    assert_eq!((page.status, page.fault()), (200, None), "{what}");
    assert_text(what, &page.text);
}

/// What the shop tells about an order that it has just changed, again and again until it is told.
async fn until_told(visitor: &mut Visitor, path: &str, told: impl Fn(&str) -> bool) -> Page {
    let found = crate::servers::until("the page tells it", PATIENCE, async || {
        let page = visitor.get(path).await;
        Ok(told(&page.text).then_some(page))
    });
    found.await.unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[tokio::test]
async fn html_in_names_and_addresses_is_shown_as_text_on_every_page() {
    let base = shop().await.base_url();
    let operator = Sender::of(OPERATOR).await;
    let document = "mutation($x: ProductInput!) { upsertProduct(input: $x) { name } adjustStock(sku: \"MARKUP-1\", delta: 50) { sku } }";
    let product = json!({ "sku": "MARKUP-1", "name": PAYLOAD, "price": { "amount": 700, "currency": "GBP" } });
    let made = operator.ask(document, &json!({ "x": product }).to_string()).await;
    assert_eq!(made.json["data"]["upsertProduct"]["name"], PAYLOAD, "GraphQL gives back what it was given");

    let mut ada = Visitor::logged_in(base, CUSTOMER).await;
    let found = until_told(&mut ada, "/?q=onerror", |page| page.contains("/products/MARKUP-1")).await;
    assert_page("the shelf", &found);
    assert_page("the product", &ada.get("/products/MARKUP-1").await);
    assert_eq!(ada.post("/cart/add", &[("sku", "MARKUP-1"), ("quantity", "2")]).await.status, 303);
    assert_page("the cart", &ada.get("/cart?added=MARKUP-1").await);
    let checkout = ada.get("/checkout").await;
    assert_page("the checkout", &checkout);

    let (lines, key) = (field(&checkout.text, "lines").expect("lines"), field(&checkout.text, "key").expect("a key"));
    let form = [
        ("lines", lines.as_str()),
        ("key", &key),
        ("card", "4000000000000002"),
        ("recipient", PAYLOAD),
        ("street", PAYLOAD),
        ("city", PAYLOAD),
        ("postal_code", "<b>'\"&</b>"),
        ("country", PAYLOAD),
    ];
    let placed = ada.post("/checkout", &form).await;
    assert_eq!(placed.status, 303, "{}", placed.text);
    let page = ada.get(placed.location()).await;
    assert_page("the order", &page);
    assert!(page.text.matches(SHOWN).count() >= 5, "name, recipient, street, town and country");
    assert!(!page.text.contains("<b>'"));
    let order = placed.location().split('?').next().unwrap_or_default().to_owned();
    let news = ada.first_news(&format!("{order}/events")).await;
    assert!(news.contains("event: order") && runnable_in(&news).is_none(), "{news}");
    assert_page("the orders", &ada.get("/orders").await);

    let told = until_told(&mut ada, "/messages", |page| page.contains(&order)).await;
    assert_eq!((told.status, told.fault()), (200, None));
    let refused = ada.post(&format!("{order}/pay"), &[("key", "k"), ("card_number", PAYLOAD)]).await;
    assert_eq!((refused.status, refused.fault()), (400, None));

    let mut operator = Visitor::logged_in(base, OPERATOR).await;
    assert_page("the operator's orders", &operator.get("/orders").await);
    assert_page("the operator's view of the order", &operator.get(&order).await);
    assert_eq!(operator.get("/messages").await.fault(), None);
    assert_well(shop().await).await;
}

/// Everything that shows an order whose reason is the payload, to its customer and to an operator.
async fn assert_order(ada: &mut Visitor, operator: &mut Visitor, id: &str, ended: &str) {
    let (path, news) = (format!("/orders/{id}"), format!("/orders/{id}/events"));
    let page = until_told(ada, &path, |page| page.contains(ended) && page.contains(SHOWN)).await;
    assert_page(ended, &page);
    let (_, timeline) = page.text.split_once("class=\"timeline\"").expect("a timeline");
    assert_text("the timeline", timeline);
    assert_page("its last moment", &ada.get(&format!("{path}?at=253402300799999")).await);
    assert_text("what is sent live", &ada.first_news(&news).await);
    assert_page("what an operator sees of it", &operator.get(&path).await);
    for path in ["/orders", "/messages", "/sales", "/read-models", "/audit"] {
        assert_eq!(operator.get(path).await.fault(), None, "{path}");
    }
}

#[tokio::test]
async fn html_in_reasons_is_shown_as_text_wherever_they_are_told() {
    let base = shop().await.base_url();
    let (mut ada, mut operator) = (Visitor::logged_in(base, CUSTOMER).await, Visitor::logged_in(base, OPERATOR).await);
    let client = roads::ada().await;

    // Called off before its payment: the reason is in a message, too.
    let waiting = roads::awaiting().await;
    let form = [("key", "reasons-1"), ("reason", PAYLOAD)];
    assert_eq!(ada.post(&format!("/orders/{waiting}/cancel"), &form).await.status, 303);
    assert_order(&mut ada, &mut operator, &waiting, "OrderCancelled").await;
    for visitor in [&mut ada, &mut operator] {
        let told = |page: &str| page.split("<li").any(|one| one.contains(&waiting) && one.contains(SHOWN));
        assert_page("the message", &until_told(visitor, "/messages", told).await);
    }

    // While its money was being taken, which this bank is slow at: remembered, then refunded.
    let paid = roads::placed(1, Some("4000 0000 0000 0077")).await;
    client.await_status(&paid, "PAID", PATIENCE).await.expect("the money is held");
    let form = [("key", "reasons-2"), ("reason", PAYLOAD)];
    assert_eq!(ada.post(&format!("/orders/{paid}/cancel"), &form).await.status, 303);
    assert_order(&mut ada, &mut operator, &paid, "OrderCancelRequested").await;
    client.await_status(&paid, "REFUNDED", PATIENCE).await.expect("the money goes back");
    assert_order(&mut ada, &mut operator, &paid, "OrderRefundRequested").await;

    // Sent back: one of two by GraphQL, and the other by the form.
    let sent_back = roads::delivered(1, 2).await.remove(0);
    let document = "mutation($id: ID!, $r: String) {
        returnOrder(orderId: $id, lines: [{ sku: \"PLENTY-1\", quantity: 1 }], reason: $r) { id } }";
    let returned = client.query(document, json!({ "id": sent_back, "r": PAYLOAD })).await;
    returned.expect("comes back");
    assert_order(&mut ada, &mut operator, &sent_back, "OrderRefundRequested").await;
    let form = until_told(&mut ada, &format!("/orders/{sent_back}/return"), |page| page.contains("return-form")).await;
    assert_eq!((form.status, form.fault()), (200, None));
    let fields = [("key", "reasons-3"), ("all", "1"), ("reason", PAYLOAD)];
    assert_eq!(ada.post(&format!("/orders/{sent_back}/return"), &fields).await.status, 303);
    assert_order(&mut ada, &mut operator, &sent_back, "OrderRefunded").await;
    let page = ada.get(&format!("/orders/{sent_back}")).await;
    assert!(page.text.matches(SHOWN).count() >= 2, "both reasons: {}", page.text);

    // GraphQL gives back what it was given.
    let order = client.order(&sent_back).await.expect("is hers");
    assert!(order["timeline"].to_string().contains(json!(PAYLOAD).to_string().trim_matches('"')), "{order}");
    assert_well(shop().await).await;
}

#[tokio::test]
async fn html_in_a_name_is_shown_as_text_by_the_forms_for_calling_off_and_sending_back() {
    let base = shop().await.base_url();
    let operator = Sender::of(OPERATOR).await;
    let document = "mutation($x: ProductInput!) { upsertProduct(input: $x) { name } adjustStock(sku: \"MARKUP-2\", delta: 50) { sku } }";
    let product = json!({ "sku": "MARKUP-2", "name": PAYLOAD, "price": { "amount": 700, "currency": "GBP" } });
    assert_eq!(operator.ask(document, &json!({ "x": product }).to_string()).await.code(), "");
    let client = roads::ada().await;
    let bought = async |card: Option<&str>, status: &str| {
        let order = client.place_order(&[("MARKUP-2", 2)], card, None).await.expect("the order is taken");
        let id = order["id"].as_str().expect("an id").to_owned();
        client.await_status(&id, status, PATIENCE).await.expect("comes there");
        id
    };
    let (waiting, delivered) = (bought(None, "AWAITING_PAYMENT").await, bought(Some(APPROVED), "DELIVERED").await);
    let mut ada = Visitor::logged_in(base, CUSTOMER).await;
    for (path, field) in [
        (format!("/orders/{waiting}/cancel"), ("nothing", "")),
        (format!("/orders/{delivered}/return"), ("quantity-MARKUP-2", "1")),
    ] {
        assert_page(&path, &ada.get(&path).await);
        // And once more with a mistake in it.
        let long = PAYLOAD.repeat(3);
        let page = ada.post(&path, &[("key", "k"), ("reason", &long), field]).await;
        assert_eq!((page.status, page.fault()), (400, None), "{path}");
        assert!(page.text.matches(SHOWN).count() >= 4, "the name, and three times what was typed");
    }
    assert_well(shop().await).await;
}
