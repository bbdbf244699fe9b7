//! An order's page and the list of them.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use contracts::order::OrderStatus;
use futures_util::StreamExt;
use tower::ServiceExt;

use super::browser::TestShop;
use super::{CARD, bought};

#[tokio::test]
async fn an_order_is_seen_and_paid_by_its_customer_only() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    let path = bought(&mut ada, "ada@shop.example").await;
    let page = ada.get(&path).await;
    assert!(page.text.contains("Awaiting payment") && page.text.contains("£19.00"));
    assert!(!page.text.contains("<b>2</b>") && !page.text.contains("<script>alert"));
    let plain = path.split('?').next().expect("a path").to_owned();

    let mut eve = shop.browser();
    eve.sign_up("eve@shop.example").await;
    for other in ["", "/events", "/cancel", "/return", "?at=1", "?at=9999999999999", "?version=1"] {
        assert_eq!(eve.get(&format!("{plain}{other}")).await.status, StatusCode::NOT_FOUND, "{other}");
    }
    for (action, fields) in [("pay", ("card", CARD)), ("cancel", ("reason", "")), ("return", ("all", "1"))] {
        let refused = eve.post(&format!("{plain}/{action}"), &[fields]).await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{action}");
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
    let messages = ada.get("/messages").await;
    assert!(messages.text.contains("&#60;confirmed") && messages.text.contains(&format!("href=\"{plain}\"")));
}

#[tokio::test]
async fn a_page_that_is_behind_says_so_and_looks_again() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    let path = bought(&mut ada, "ada@shop.example").await;
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
    let path = bought(&mut ada, "ada@shop.example").await;
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

#[tokio::test]
async fn the_list_is_narrowed_by_every_status_and_its_further_pages_stay_narrowed() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    bought(&mut ada, "ada@shop.example").await;
    let all = ada.get("/orders").await;
    for status in gateway::api::OrderStatus::ALL {
        let path = format!("/orders?status={}", status.as_str());
        assert!(all.text.contains(&format!("href=\"{path}\"")), "{path}");
        let narrowed = ada.get(&path).await;
        let empty = status != gateway::api::OrderStatus::AwaitingPayment;
        assert_eq!(narrowed.text.contains("None here"), empty, "{path}");
        assert!(narrowed.text.contains(&format!("href=\"{path}\" aria-current")), "{path}");
    }
    {
        let mut state = shop.services.state();
        let placed = state.orders[0].clone();
        for number in 0..20 {
            let mut another = placed.clone();
            another.order.id = format!("other-{number}");
            state.orders.push(another);
        }
    }
    let first = ada.get("/orders?status=AWAITING_PAYMENT").await;
    let (_, rest) = first.text.split_once("rel=\"next\" href=\"").expect("there are more");
    assert!(rest.starts_with("/orders?status=AWAITING_PAYMENT&#38;after=other-18"), "{}", &rest[..80]);
    let further = ada.get("/orders?status=AWAITING_PAYMENT&after=other-18").await;
    assert!(further.text.contains("href=\"/orders?status=AWAITING_PAYMENT\">Newest orders"));
}

#[tokio::test]
async fn an_operator_sees_whose_order_it_is_and_may_open_it() {
    let shop = TestShop::open().await;
    let path = bought(&mut shop.browser(), "ada@shop.example").await;
    let mut operator = shop.operator().await;
    let list = operator.get("/orders").await;
    assert!(list.text.contains("All orders") && list.text.contains("· customer "));
    assert_eq!(operator.get(&path).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_confirmed_order_says_when_it_leaves_and_a_page_without_a_script_looks_again_then() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    let path = bought(&mut ada, "ada@shop.example").await;
    let plain = path.split('?').next().expect("a path");
    let now = platform::clock::Clock::system().now();
    shop.services.change(OrderStatus::Confirmed, |placed| placed.order.fulfil_at = Some(now + 50_000));
    let page = ada.get(plain).await;
    assert!(page.text.contains("Leaves the house in") && page.text.contains("data-remaining"));
    assert!(!page.text.contains("data-left"), "the clock of the payment is gone");
    assert!(page.text.contains("<noscript><meta http-equiv=\"refresh\""));
    assert!(page.text.contains("id=\"cancel\"") && !page.text.contains("id=\"return\""));
}
