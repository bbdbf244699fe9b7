//! HTML that was let in as text is shown as text, on every page that shows it.

use serde_json::json;

use super::hostile::runnable_in;
use super::post::Sender;
use super::visitor::{Page, Visitor, field};
use super::{CUSTOMER, OPERATOR, PATIENCE, assert_well, shop};

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

#[tokio::test]
async fn html_in_names_and_addresses_is_shown_as_text_on_every_page() {
    let base = shop().await.base_url();
    let operator = Sender::of(OPERATOR).await;
    let document = "mutation($x: ProductInput!) { upsertProduct(input: $x) { name } adjustStock(sku: \"MARKUP-1\", delta: 50) { sku } }";
    let product = json!({ "sku": "MARKUP-1", "name": PAYLOAD, "price": { "amount": 700, "currency": "GBP" } });
    let made = operator.ask(document, &json!({ "x": product }).to_string()).await;
    assert_eq!(made.json["data"]["upsertProduct"]["name"], PAYLOAD, "GraphQL gives back what it was given");

    let mut ada = Visitor::logged_in(base, CUSTOMER).await;
    let found = crate::servers::until("the product is on the shelf", PATIENCE, async || {
        let page = ada.get("/?q=onerror").await;
        Ok(page.text.contains("/products/MARKUP-1").then_some(page))
    });
    assert_page("the shelf", &found.await.expect("found"));
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

    let told = crate::servers::until("a message about it", PATIENCE, async || {
        let page = ada.get("/messages").await;
        Ok(page.text.contains(&order).then_some(page))
    });
    let told = told.await.expect("told");
    assert_eq!((told.status, told.fault()), (200, None));
    let refused = ada.post(&format!("{order}/pay"), &[("key", "k"), ("card_number", PAYLOAD)]).await;
    assert_eq!((refused.status, refused.fault()), (400, None));

    let mut operator = Visitor::logged_in(base, OPERATOR).await;
    assert_page("the operator's orders", &operator.get("/orders").await);
    assert_page("the operator's view of the order", &operator.get(&order).await);
    assert_eq!(operator.get("/messages").await.fault(), None);
    assert_well(shop().await).await;
}
