//! The pages as a browser meets them: cookies, forms, redirects, refusals.

mod browser;
mod stand_ins;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use futures_util::StreamExt;
use tower::ServiceExt;

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
    for path in ["/nowhere", "/products/NO-SUCH", "/products/%3Cscript%3E"] {
        let seen = shop.browser().get(path).await;
        assert_eq!(seen.status, StatusCode::NOT_FOUND, "{path}");
        assert!(seen.text.contains("There is nothing here") && seen.text.contains("Search the shop"));
    }
    let asset = shop.browser().get("/assets/x.css").await;
    assert_eq!(asset.status, StatusCode::NOT_FOUND);
    assert!(!asset.headers.contains_key(header::SET_COOKIE));
    let wrong = shop.browser().get("/cart/add").await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
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
    let large = ada.post_raw("/cart/add", vec![b'a'; 65 * 1024]).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    for path in ["/?q=%ff", "/?q=%00", "/products/%ff", "/?after=a%20b", "/orders/%00"] {
        assert_eq!(ada.get(path).await.status.as_u16() / 100, 4, "{path}");
    }
}

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
    ada.post("/cart/update", &[("sku", "MUG-1"), ("quantity", "0")]).await;
    assert!(!ada.cookies.contains_key("orderly_cart"));
    ada.cookies.insert("orderly_cart".into(), "GONE:1~%%%~MUG-1:1".into());
    assert!(ada.get("/cart").await.text.contains("Not sold any more"));
}

#[tokio::test]
async fn logging_in_leads_back_and_rotates_session_and_visitor() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    ada.sign_up("ada@example.com").await;
    let first = ada.cookies.clone();
    ada.post("/logout", &[]).await;
    assert!(!ada.cookies.contains_key("orderly_session"));
    let sent_on = ada.get("/checkout").await;
    assert_eq!(sent_on.location(), "/login?next=%2Fcheckout");
    ada.get(sent_on.location()).await;
    let wrong = ada.post("/login", &[("email", "ada@example.com"), ("password", "wrong")]).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(!wrong.text.contains("wrong\""), "a password is not shown again");
    let fields = [("email", "ada@example.com"), ("password", "long enough"), ("next", "/checkout")];
    assert_eq!(ada.post("/login", &fields).await.location(), "/checkout");
    for cookie in ["orderly_session", "orderly_visitor"] {
        assert_ne!(first.get(cookie), ada.cookies.get(cookie), "{cookie}");
    }
    let mut old = shop.browser();
    old.cookies = first;
    assert_eq!(old.get("/orders").await.location(), "/login?next=%2Forders");
    assert!(!old.cookies.contains_key("orderly_session"), "an ended session is taken away");
}

#[tokio::test]
async fn nobody_is_sent_to_another_site() {
    let shop = TestShop::open().await;
    shop.browser().sign_up("ada@example.com").await;
    for next in ["//evil.example", "https://evil.example", "/\\evil.example"] {
        let mut ada = shop.browser();
        ada.get("/login").await;
        let fields = [("email", "ada@example.com"), ("password", "long enough"), ("next", next)];
        assert_eq!(ada.post("/login", &fields).await.location(), "/", "{next}");
    }
}

#[tokio::test]
async fn a_checkout_sent_twice_is_one_order_and_empties_the_cart() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    ada.sign_up("ada@example.com").await;
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
    assert_eq!(shop.services.orders.lock().expect("no panic").len(), 1);
}

#[tokio::test]
async fn a_checkout_that_is_refused_shows_the_form_again() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    ada.sign_up("ada@example.com").await;
    ada.get("/").await;
    let fields = |card: &'static str, town: &'static str| {
        [("lines", "MUG-1:1"), ("key", "k"), ("card", card), ("card_number", "42"), ("city", town)]
    };
    for (card, town, said) in
        [(CARD, "", "12 to 19 digits"), ("later", "<b>Bath", "An address needs"), ("", "", "12 to 19")]
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
async fn an_order_is_seen_and_paid_by_its_customer_only() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    let path = bought(&mut ada, "ada@example.com").await;
    let page = ada.get(&path).await;
    assert!(page.text.contains("Awaiting payment") && page.text.contains("£19.00"));
    assert!(!page.text.contains("<b>2</b>") && !page.text.contains("<script>alert"));
    let plain = path.split('?').next().expect("a path").to_owned();

    let mut eve = shop.browser();
    eve.sign_up("eve@example.com").await;
    for other in [plain.clone(), format!("{plain}/events")] {
        assert_eq!(eve.get(&other).await.status, StatusCode::NOT_FOUND, "{other}");
    }
    let anonymous = shop.browser().get(&plain).await;
    assert!(anonymous.location().starts_with("/login?next=%2Forders%2F"));
    assert_eq!(shop.browser().get(&format!("{plain}/events")).await.status, StatusCode::UNAUTHORIZED);

    ada.get(&plain).await;
    let bad = ada.post(&format!("{plain}/pay"), &[("card", "")]).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    let paid = ada.post(&format!("{plain}/pay"), &[("card", CARD)]).await;
    assert_eq!(paid.location(), format!("{plain}?version=3"));
    let again = ada.post(&format!("{plain}/pay"), &[("card", CARD)]).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.text.contains("Confirmed"));
    assert!(ada.get("/orders").await.text.contains("Confirmed"));
    assert!(ada.get("/orders?status=EXPIRED").await.text.contains("None here"));
    assert_eq!(ada.get("/orders?status=NONSENSE").await.status, StatusCode::BAD_REQUEST);
    assert!(ada.get("/messages").await.text.contains("&#60;confirmed"));
}

#[tokio::test]
async fn a_page_that_is_behind_says_so_and_looks_again() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    let path = bought(&mut ada, "ada@example.com").await;
    let ahead = path.replace("version=2", "version=9");
    let seen = ada.get(&ahead).await;
    assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(seen.text.contains("Catching up") && seen.text.contains("http-equiv=\"refresh\""));
    assert_eq!(ada.get(&path.replace("version=2", "version=-1")).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_order_is_told_live_by_the_same_fragment() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    let path = bought(&mut ada, "ada@example.com").await;
    let plain = path.split('?').next().expect("a path");
    let session = format!("orderly_session={}", ada.cookies["orderly_session"]);
    let request = Request::get(format!("{plain}/events")).header(header::COOKIE, session);
    let request = request.body(Body::empty()).expect("a request");
    let response = shop.router.clone().oneshot(request).await.expect("never fails");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let first = response.into_body().into_data_stream().next().await;
    let first = String::from_utf8(first.expect("a message").expect("whole").to_vec()).expect("text");
    assert!(first.starts_with("event: order\ndata: "), "{first}");
    assert!(first.contains("data-version=\"2\"") && first.contains("Awaiting payment"));
}
