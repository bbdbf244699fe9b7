//! From the shelf to the order: cart and checkout.

use axum::http::StatusCode;

use super::CARD;
use super::browser::TestShop;

#[tokio::test]
async fn the_cart_is_filled_changed_and_emptied() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    assert!(ada.get("/cart").await.text.contains("Your cart is empty"));
    ada.get("/").await;
    let added = ada.post("/cart/add", &[("sku", "MUG-1"), ("quantity", "2")]).await;
    assert_eq!(added.location(), "/cart?added=MUG-1");
    assert!(ada.get("/cart?added=MUG-1").await.text.contains("£19.00"));
    ada.post("/cart/update", &[("sku", "MUG-1"), ("quantity", "30")]).await;
    let short = ada.get("/cart").await.text;
    assert!(short.contains("£285.00") && short.contains("less of something"));
    let wrong = ada.post("/cart/update", &[("sku", "MUG-1"), ("quantity", "-3")]).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text.contains("value=\"-3\"") && wrong.text.contains("from 0 to 999"), "beside what was typed");
    assert_eq!(ada.cookies["orderly_cart"], "MUG-1:30");
    ada.post("/cart/update", &[("sku", "MUG-1"), ("quantity", "0")]).await;
    assert!(!ada.cookies.contains_key("orderly_cart"));
    ada.cookies.insert("orderly_cart".into(), "GONE:1~%%%~MUG-1:1".into());
    assert!(ada.get("/cart").await.text.contains("Not sold any more"));
}

#[tokio::test]
async fn a_checkout_sent_twice_is_one_order_and_empties_the_cart() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    ada.sign_up("ada@shop.example").await;
    assert_eq!(ada.get("/checkout").await.location(), "/cart", "with nothing in it");
    ada.get("/").await;
    ada.post("/cart/add", &[("sku", "MUG-1"), ("quantity", "2")]).await;
    let form = ada.get("/checkout").await;
    let (lines, key) = (form.field("lines"), form.field("key"));
    let fields = [("lines", lines.as_str()), ("key", &key), ("card", CARD)];
    let first = ada.post("/checkout", &fields).await;
    let again = ada.post("/checkout", &fields).await;
    assert!(first.location().starts_with("/orders/") && first.location().ends_with("?version=2"));
    assert_eq!(first.location(), again.location());
    assert!(!ada.cookies.contains_key("orderly_cart"));
    assert_eq!(shop.services.state().orders.len(), 1);
}

#[tokio::test]
async fn a_checkout_that_is_refused_shows_the_form_again() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    ada.sign_up("ada@shop.example").await;
    ada.get("/").await;
    let fields = |card: &'static str, town: &'static str| {
        [("lines", "MUG-1:1"), ("key", "k"), ("card", card), ("card_number", "42"), ("city", town)]
    };
    for (card, town, said) in
        [(CARD, "", "12 to 19 digits"), ("later", "<b>Bath", "Give the country."), ("", "", "12 to 19")]
    {
        let seen = ada.post("/checkout", &fields(card, town)).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST);
        assert!(seen.text.contains(said) && !seen.text.contains("<b>Bath"), "{card}");
        assert_ne!(seen.field("key"), "k", "a refused form becomes a new one");
    }
    for lines in ["", "garbage", "MUG-1:0", "MUG-1:1~MUG-1:1"] {
        let seen = ada.post("/checkout", &[("lines", lines), ("key", "k"), ("card", "later")]).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{lines}");
    }
}

#[tokio::test]
async fn every_mistake_of_a_checkout_stands_beside_its_field_and_what_was_typed_is_kept() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    ada.sign_up("ada@shop.example").await;
    ada.get("/").await;
    let fields = [
        ("lines", "MUG-1:1"),
        ("key", "k"),
        ("card", CARD),
        ("card_number", "42"),
        ("recipient", "Ada \"L\" <b>"),
        ("postal_code", "BA1"),
    ];
    let seen = ada.post("/checkout", &fields).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    for field in ["card_number", "street", "city", "country"] {
        assert!(seen.text.contains(&format!("id=\"{field}-wrong\"")), "{field}");
        assert!(seen.text.contains(&format!("aria-describedby=\"{field}-wrong\"")), "{field}");
    }
    for right in ["recipient-wrong", "postal_code-wrong", "<b>", "value=\"42\""] {
        assert!(!seen.text.contains(right), "{right}");
    }
    assert_eq!(seen.field("postal_code"), "BA1");
    assert_eq!(seen.field("recipient"), "Ada &#34;L&#34; &#60;b&#62;");
}

#[tokio::test]
async fn an_order_goes_to_its_address() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    ada.sign_up("ada@shop.example").await;
    ada.get("/").await;
    let address =
        [("recipient", "Ada"), ("street", "1 Mill Lane"), ("city", "Bath"), ("postal_code", "BA1"), ("country", "UK")];
    let fields: Vec<_> = [("lines", "MUG-1:1"), ("key", "k"), ("card", "later")].into_iter().chain(address).collect();
    let placed = ada.post("/checkout", &fields).await;
    assert_eq!(placed.status, StatusCode::SEE_OTHER, "{}", placed.text);
    let page = ada.get(placed.location()).await;
    assert!(page.text.contains("1 Mill Lane<br>BA1 Bath<br>UK"));
}
