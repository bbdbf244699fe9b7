//! The pages as a browser meets them: cookies, forms, redirects, refusals.

mod accounts;
mod after_sale;
mod browser;
mod buying;
mod messages;
mod operations;
mod orders;
mod stand_ins;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};

use browser::{Browser, TestShop};

const CARD: &str = "4242424242424242";

/// Logs in, fills the cart, and returns the order's path.
async fn bought(browser: &mut Browser, email: &str) -> String {
    browser.sign_up(email).await;
    browser.get("/products/MUG-1").await;
    browser.post("/cart/add", &[("sku", "MUG-1"), ("quantity", "2")]).await;
    let form = browser.get("/checkout").await;
    let (lines, key) = (form.field("lines"), form.field("key"));
    let placed = browser.post("/checkout", &[("lines", &lines), ("key", &key), ("card", "later")]).await;
    assert_eq!(placed.status, StatusCode::SEE_OTHER, "{}", placed.text);
    placed.location().to_owned()
}

#[tokio::test]
async fn every_answer_is_fenced_in() {
    let shop = TestShop::open().await;
    for path in ["/", "/nowhere", "/assets/orderly.css", "/healthz", "/orders"] {
        let seen = shop.browser().get(path).await;
        let policy = seen.headers[header::CONTENT_SECURITY_POLICY].to_str().expect("plain");
        assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{path}");
        assert_eq!(seen.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_a_page_that_says_so() {
    let shop = TestShop::open().await;
    for path in ["/nowhere", "/products/NO-SUCH", "/products/%3Cscript%3E", "/products/%2E%2E"] {
        let seen = shop.browser().get(path).await;
        assert_eq!(seen.status, StatusCode::NOT_FOUND, "{path}");
        assert!(seen.text.contains("There is nothing here") && seen.text.contains("Search the shop"));
    }
    let asset = shop.browser().get("/assets/x.css").await;
    assert_eq!(asset.status, StatusCode::NOT_FOUND);
    assert!(!asset.headers.contains_key(header::SET_COOKIE));
    let wrong = shop.browser().get("/cart/add").await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(wrong.text.contains("That is not how this page works"));
}

#[tokio::test]
async fn the_shelf_shows_products_and_escapes_their_names() {
    let shop = TestShop::open().await;
    let shelf = shop.browser().get("/").await;
    assert_eq!(shelf.status, StatusCode::OK);
    assert!(shelf.text.contains("£9.50") && shelf.text.contains("Sold out"));
    assert!(!shelf.text.contains("<script>alert"));
    let found = shop.browser().get("/?q=%3Cimg+src%3Dx%3E").await;
    assert!(found.text.contains("Nothing found") && !found.text.contains("<img"));
}

#[tokio::test]
async fn a_form_without_its_visitors_token_is_refused() {
    let shop = TestShop::open().await;
    let mut eve = shop.browser();
    eve.get("/").await;
    let mut ada = shop.browser();
    ada.get("/").await;
    let fields = [("sku", "MUG-1"), ("quantity", "1")];
    for foreign in [eve.csrf.clone(), String::new(), "zz".to_owned()] {
        let own = std::mem::replace(&mut ada.csrf, foreign);
        let refused = ada.post("/cart/add", &fields).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        ada.csrf = own;
    }
    ada.get("/").await;
    assert_eq!(ada.post("/cart/add", &fields).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_form_of_another_origin_is_refused_even_with_the_token() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    ada.get("/").await;
    let request = Request::post("/cart/add")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::HOST, "shop.example")
        .header(header::ORIGIN, "http://evil.example")
        .body(Body::from(format!("sku=MUG-1&quantity=1&csrf={}", ada.csrf)))
        .expect("a request");
    assert_eq!(ada.send(request).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn bad_forms_are_the_visitors_mistake_and_never_ours() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    ada.get("/").await;
    for quantity in ["0", "-1", "1000", "2147483648", "x", ""] {
        let seen = ada.post("/cart/add", &[("sku", "MUG-1"), ("quantity", quantity)]).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{quantity}");
        assert!(seen.text.contains("aria-describedby=\"quantity-wrong\"") && seen.text.contains("from 1 to 999"));
    }
    for sku in ["", "NO\u{0}PE", "'; DROP TABLE stock; --", "<script>"] {
        let seen = ada.post("/cart/add", &[("sku", sku), ("quantity", "1")]).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{sku}");
        assert!(!seen.text.contains("DROP") && !seen.text.contains("<script>"));
    }
    let unknown = ada.post("/cart/add", &[("sku", "NO-SUCH"), ("quantity", "1")]).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let utf_8 = ada.post_raw("/cart/add", b"sku=\xff\xfe&csrf=1".to_vec()).await;
    assert_eq!(utf_8.status, StatusCode::BAD_REQUEST);
    let large = ada.post_raw("/cart/add", vec![b'a'; 129 * 1024]).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    for path in ["/?q=%ff", "/?q=%00", "/products/%ff", "/?after=a%20b", "/orders/%00"] {
        assert_eq!(ada.get(path).await.status.as_u16() / 100, 4, "{path}");
    }
}
