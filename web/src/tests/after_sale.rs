//! Calling an order off, sending goods back, and looking back at an order's past.

use axum::http::StatusCode;
use contracts::order::OrderStatus;

use super::bought;
use super::browser::{Browser, TestShop};
use super::stand_ins::entry;

/// A customer with an order, and where the order is.
async fn customer(shop: &TestShop) -> (Browser, String) {
    let mut ada = shop.browser();
    let path = bought(&mut ada, "ada@shop.example").await;
    let plain = path.split('?').next().expect("a path").to_owned();
    (ada, plain)
}

#[tokio::test]
async fn an_order_is_cancelled_by_a_form_that_says_what_will_happen() {
    let shop = TestShop::open().await;
    let (mut ada, order) = customer(&shop).await;
    assert!(ada.get(&order).await.text.contains(&format!("href=\"{order}/cancel\"")));
    let form = ada.get(&format!("{order}/cancel")).await;
    assert_eq!(form.status, StatusCode::OK);
    assert!(form.text.contains("Nothing has been charged") && form.text.contains("Keep it"));
    let key = form.field("key");
    let fields = [("key", key.as_str()), ("reason", "Found it <i>cheaper</i>")];
    let done = ada.post(&format!("{order}/cancel"), &fields).await;
    assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, format!("{order}?version=3").as_str()));
    let again = ada.post(&format!("{order}/cancel"), &fields).await;
    assert_eq!(again.location(), done.location(), "sent twice it counts once");
    let page = ada.get(done.location()).await;
    assert!(page.text.contains("Called off") && page.text.contains("Cancelled"));
    assert!(!page.text.contains("<i>cheaper") && !page.text.contains("id=\"actions\""));
    assert_eq!(ada.get(&format!("{order}/cancel")).await.location(), order, "there is nothing left to cancel");
}

#[tokio::test]
async fn a_confirmed_order_that_is_cancelled_shows_that_its_money_comes_back_and_offers_nothing_meanwhile() {
    let shop = TestShop::open().await;
    let (mut ada, order) = customer(&shop).await;
    shop.services.change(OrderStatus::Confirmed, |_| {});
    let form = ada.get(&format!("{order}/cancel")).await;
    assert!(form.text.contains("all of your money goes back to you"));
    let done = ada.post(&format!("{order}/cancel"), &[("key", &form.field("key"))]).await;
    let page = ada.get(done.location()).await;
    assert!(page.text.contains("Calling it off") && page.text.contains("Money back"));
    assert!(page.text.contains("id=\"closed\"") && !page.text.contains("id=\"cancel\""));
    assert!(ada.get("/orders").await.text.contains("Coming back"));
}

#[tokio::test]
async fn a_cancellation_that_comes_too_late_says_so_beside_its_form() {
    let shop = TestShop::open().await;
    let (mut ada, order) = customer(&shop).await;
    let form = ada.get(&format!("{order}/cancel")).await;
    shop.services.change(OrderStatus::Shipped, |_| {});
    let late = ada.post(&format!("{order}/cancel"), &[("key", &form.field("key"))]).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(late.text.contains("It is too late to cancel the order.") && late.text.contains("Back to the order"));
    assert!(!late.text.contains("id=\"cancel-form\""));
    assert!(ada.get(&order).await.text.contains("can no longer be cancelled"));
}

#[tokio::test]
async fn a_form_whose_outcome_is_unknown_keeps_its_key_and_a_refused_one_gets_a_new_one() {
    let shop = TestShop::open().await;
    let (mut ada, order) = customer(&shop).await;
    let long = "x".repeat(201);
    let refused = ada.post(&format!("{order}/cancel"), &[("key", "k"), ("reason", &long)]).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.text.contains("id=\"reason-wrong\"") && refused.field("key") != "k");
    assert_eq!(refused.field("reason"), long);
    shop.services.state().no_orders = true;
    let away = ada.post(&format!("{order}/cancel"), &[("key", "k"), ("reason", "because")]).await;
    assert_eq!((away.status, away.field("key").as_str()), (StatusCode::SERVICE_UNAVAILABLE, "k"));
    assert_eq!(away.field("reason"), "because");
    shop.services.change(OrderStatus::Delivered, |_| {});
    let away = ada.post(&format!("{order}/return"), &[("key", "r"), ("quantity-MUG-1", "2")]).await;
    assert_eq!((away.status, away.field("key").as_str()), (StatusCode::SERVICE_UNAVAILABLE, "r"));
    assert_eq!(away.field("quantity-MUG-1"), "2");
}

#[tokio::test]
async fn goods_are_sent_back_in_part_and_what_is_left_can_follow() {
    let shop = TestShop::open().await;
    let (mut ada, order) = customer(&shop).await;
    let path = format!("{order}/return");
    assert_eq!(ada.get(&path).await.location(), order, "not before it has arrived");
    shop.services.change(OrderStatus::Delivered, |_| {});
    assert!(ada.get(&order).await.text.contains(&format!("href=\"{path}\"")));
    let form = ada.get(&path).await;
    assert!(form.text.contains("max=\"2\"") && !form.text.contains("<script>alert"));
    let key = form.field("key");
    let fields = [("key", key.as_str()), ("quantity-MUG-1", "1"), ("reason", "chipped")];
    let done = ada.post(&path, &fields).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    assert_eq!(ada.post(&path, &fields).await.location(), done.location(), "sent twice it counts once");
    let page = ada.get(done.location()).await;
    assert!(page.text.contains("1 of 2 sent back") && page.text.contains("A return is under way"));
    assert_eq!(ada.get(&path).await.location(), order, "one at a time");

    shop.services.change(OrderStatus::Delivered, |placed| {
        placed.order.unwinding = false;
        placed.order.refunded = Some(contracts::common::Money { amount: 950, currency: "GBP".into() });
    });
    assert!(ada.get(&order).await.text.contains("<dt>Given back so far</dt><dd class=\"number\">£9.50</dd>"));
    let form = ada.get(&path).await;
    assert!(form.text.contains("1 of 2 sent back already"));
    assert_eq!(form.field("quantity-MUG-1"), "1", "where there is no choice, it is made");
    let rest = ada.post(&path, &[("key", &form.field("key")), ("quantity-MUG-1", "nonsense"), ("all", "1")]).await;
    assert_eq!(rest.status, StatusCode::SEE_OTHER, "all of it needs no quantities");
    assert!(ada.get(rest.location()).await.text.contains("2 of 2 sent back"));
}

#[tokio::test]
async fn a_return_that_makes_no_sense_says_what_to_mend_and_changes_nothing() {
    let shop = TestShop::open().await;
    let (mut ada, order) = customer(&shop).await;
    shop.services.change(OrderStatus::Delivered, |_| {});
    let path = format!("{order}/return");
    for (typed, status, said) in [
        ("0", 400, "Say how many you are sending back."),
        ("\"><script>", 400, "Give a whole number"),
        ("9999999999", 400, "A quantity is between 1 and 1000000."),
        ("3", 409, "More than was bought."),
    ] {
        let seen = ada.post(&path, &[("key", "k"), ("quantity-MUG-1", typed)]).await;
        assert_eq!(seen.status.as_u16(), status, "{typed}");
        assert!(seen.text.contains(said) && seen.text.contains("id=\"return-form\""), "{typed}: {}", seen.text);
        assert!(!seen.text.contains("\"><script>") && seen.field("key") != "k", "{typed}");
    }
    let beside = ada.post(&path, &[("key", "k"), ("quantity-MUG-1", "x")]).await;
    assert!(beside.text.contains("aria-describedby=\"quantity-MUG-1-wrong\""));
    assert!(!ada.get(&order).await.text.contains("sent back</p>"));
}

#[tokio::test]
async fn actions_need_their_visitors_token_and_a_log_in() {
    let shop = TestShop::open().await;
    let (mut ada, order) = customer(&shop).await;
    for action in ["cancel", "return", "pay"] {
        let path = format!("{order}/{action}");
        let own = std::mem::take(&mut ada.csrf);
        assert_eq!(ada.post(&path, &[("key", "k"), ("all", "1")]).await.status, StatusCode::FORBIDDEN, "{action}");
        ada.csrf = own;
        let mut nobody = shop.browser();
        nobody.get("/cart").await;
        nobody.get("/login").await;
        let sent_on = nobody.post(&path, &[("key", "k"), ("all", "1")]).await;
        assert!(sent_on.location().starts_with("/login?next=%2Forders%2F"), "{action}");
    }
    assert!(ada.get(&order).await.text.contains("Awaiting payment"));
}

#[tokio::test]
async fn a_refused_form_that_looks_again_by_itself_looks_at_the_order_s_own_page() {
    let shop = TestShop::open().await;
    let (mut ada, order) = customer(&shop).await;
    shop.services.change(OrderStatus::Paid, |_| {});
    let late = ada.post(&format!("{order}/pay"), &[("key", "k"), ("card", super::CARD)]).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    let (_, rest) = late.text.split_once("http-equiv=\"refresh\" content=\"").expect("it moves on by itself");
    let (_, address) =
        rest.split('"').next().expect("a value").split_once("url=").expect("where the form went is no page");
    assert_eq!((address, ada.get(address).await.status), (order.as_str(), StatusCode::OK));
}

#[tokio::test]
async fn an_order_is_looked_at_as_it_was_and_nothing_can_be_done_there() {
    let shop = TestShop::open().await;
    let (mut ada, order) = customer(&shop).await;
    let placed_at = shop.services.state().orders[0].order.placed_at;
    shop.services.change(OrderStatus::Confirmed, |placed| {
        placed.timeline.push(entry(placed_at + 40, "inventory", "StockReserved", "Stock reserved"));
        placed.timeline.push(entry(placed_at + 90, "order", "OrderConfirmed", "Order confirmed"));
    });
    let now = ada.get(&order).await;
    let at = |millis: i64| format!("{order}?at={}", placed_at + millis);
    assert!(now.text.contains(&format!("href=\"{}\"", at(40))), "every entry leads to its moment");

    let then = ada.get(&at(40)).await;
    assert_eq!(then.status, StatusCode::OK);
    assert!(then.text.contains("id=\"as-it-was\"") && then.text.contains("Taking it off the shelf"));
    assert!(then.text.contains("Stock reserved") && !then.text.contains("Order confirmed"));
    for live in ["id=\"live\"", "id=\"actions\"", "id=\"pay\"", "http-equiv=\"refresh\""] {
        assert!(!then.text.contains(live), "{live}");
    }
    assert!(then.text.contains(&format!("rel=\"prev\" href=\"{}\"", at(0))));
    assert!(then.text.contains(&format!("rel=\"next\" href=\"{}\"", at(90))));
    assert!(then.text.contains(&format!("href=\"{order}\">Back to now")));

    assert_eq!(ada.get(&at(-1)).await.status, StatusCode::NOT_FOUND, "before it was placed");
    for nonsense in ["-1", "x", "1.5", "99999999999999999999", "253402300800000"] {
        assert_eq!(ada.get(&format!("{order}?at={nonsense}")).await.status, StatusCode::BAD_REQUEST, "{nonsense}");
    }
    assert_eq!(ada.get(&format!("{order}?at=")).await.status, StatusCode::OK);
}
