//! After the sale, in a real browser: calling off, delivery, sending back, looking at an order as it
//! was, messages, and what only operators see.

use fantoccini::Locator;
use serde_json::json;

use crate::journey::{BADGE, CUSTOMER, ENTER, Journey, OPERATOR, PASSWORD, PATIENCE, TAB, buy_later_or_with};
use crate::servers::until;
use crate::shop::ShopOptions;

#[tokio::test]
async fn a_browser_calls_an_order_off_and_sees_its_money_come_back() {
    let journey = Journey::begin(ShopOptions::default()).await;
    journey.log_in().await;
    buy_later_or_with(&journey, "PAN-IRON-26", "later").await;
    journey.until_shows(BADGE, "Awaiting payment").await;
    journey.click("#cancel").await;
    journey.type_into("#reason", "found another one").await;
    journey.picture("20-cancel", 1280).await;
    journey.click("#cancel-form button.danger").await;
    journey.until_shows(BADGE, "Cancelled").await;
    journey.until_shows("#live", "found another one").await;
    assert_eq!(journey.count("#pay").await + journey.count("#cancel").await, 0, "nothing is left to do");

    buy_later_or_with(&journey, "PAN-IRON-26", "4242424242424242").await;
    journey.until_shows(BADGE, "Confirmed").await;
    journey.click("#cancel").await;
    journey.click("#cancel-form button.danger").await;
    journey.until_shows(BADGE, "Refunded").await;
    journey.until_shows(".refunded dd", "£45.00").await;
    journey.picture("21-refunded", 1280).await;

    // The bank's own refusal comes to the same end, without anybody asking.
    buy_later_or_with(&journey, "PAN-IRON-26", "4000000000000069").await;
    journey.until_shows(BADGE, "Cancelled").await;
    journey.until_shows("#live", "withdrawn its approval").await;
    journey.picture("22-capture-refused", 1280).await;

    journey.visit("/orders?status=REFUNDED").await;
    assert_eq!(journey.count(".order-list > *").await, 1, "one of three is refunded");
    journey.visit("/orders?status=SHIPPED").await;
    assert_eq!(journey.count(".order-list > *").await, 0);
    journey.picture("23-no-such-orders", 1280).await;
    journey.end().await;
}

#[tokio::test]
async fn a_browser_sees_an_order_delivered_sends_one_piece_back_and_looks_at_its_past() {
    let journey = Journey::begin(ShopOptions::with_args(["--ship-after", "2s", "--deliver-after", "2s"])).await;
    journey.log_in().await;
    journey.visit("/products/MUG-ENAMEL-BLUE").await;
    journey.type_into(".buy input[name=quantity]", "3").await;
    journey.click(".buy button").await;
    journey.click("a[href='/checkout']").await;
    journey.click("aside button").await;
    journey.until_shows(BADGE, "Confirmed").await;
    journey.mark().await;
    journey.until_shows(BADGE, "Shipped").await;
    journey.until_shows(BADGE, "Delivered").await;
    journey.assert_not_reloaded().await;
    let id = journey.order_id().await;

    journey.click("#return").await;
    journey.type_into("input[name='quantity-MUG-ENAMEL-BLUE']", "1").await;
    journey.picture("24-return", 1280).await;
    journey.click("#return-form button:not([name=all])").await;
    journey.until_shows("#live", "1 of 3 items returned").await;
    journey.until_shows(".refunded dd", "£9.50").await;
    journey.picture("25-one-returned", 1280).await;

    // One entry of the timeline leads to the order as it was then.
    let past = journey.browser.page.find(Locator::Css(".timeline .of-order a[href*='?at=']")).await.expect("a link");
    let href = past.attr("href").await.expect("answers").expect("leads somewhere");
    journey.visit(&href).await;
    journey.until_shows("#as-it-was", "").await;
    assert_eq!(journey.count("#as-it-was").await, 1, "the page says that this is the past");
    assert_eq!(journey.count("#cancel").await + journey.count("#return").await, 0, "the past cannot be changed");
    journey.picture("26-as-it-was", 1280).await;
    journey.visit(&format!("/orders/{id}")).await;
    journey.until_shows(BADGE, "Delivered").await;

    journey.visit("/messages").await;
    for news in ["We have your order", "confirmed", "on its way", "has arrived", "return", "money is back"] {
        journey.until_shows("main", news).await;
    }
    journey.click("label:has(#mail-none)").await;
    journey.click("#mail button").await;
    journey.until_shows("main .note", "").await;
    journey.visit("/messages").await;
    let chosen = "return document.querySelector('#mail-none').checked";
    assert_eq!(journey.browser.page.execute(chosen, vec![]).await.expect("answers"), true, "the choice is kept");
    journey.picture("27-messages", 360).await;
    journey.end().await;
}

#[tokio::test]
async fn an_operator_s_browser_sees_sales_read_models_and_a_green_audit_and_a_customer_s_does_not() {
    let journey = Journey::begin(ShopOptions::with_args(["--audit-every", "1s"])).await;
    let ada = journey.client().await;
    let order = ada.place_order(&[("MUG-ENAMEL-BLUE", 2)], Some("4242 4242 4242 4242"), None).await.expect("is taken");
    let id = order["id"].as_str().expect("an id").to_owned();
    ada.await_status(&id, "CONFIRMED", PATIENCE).await.expect("is confirmed");

    let stranger = journey.visitor().sign_up("eve@example.com", "correct horse").await.expect("signs up");
    let theirs = stranger.query("query($id: ID!) { order(id: $id) { id } }", json!({ "id": id })).await;
    assert_eq!(theirs.expect("answers")["order"], json!(null));
    journey.log_in().await;
    for path in ["/sales", "/read-models", "/audit"] {
        journey.visit(path).await;
        journey.until_shows("main h1", "nothing here").await;
    }
    // A page that is not there is what the browser complains of, and should.
    let complaints = journey.browser.complaints().await.expect("the browser answers");
    assert!(complaints.iter().all(|complaint| complaint.contains("404")), "{complaints:#?}");

    journey.visit("/").await;
    journey.browser.page.delete_all_cookies().await.expect("logs out");
    journey.log_in_as(OPERATOR).await;
    let audited = until("the first audit", PATIENCE, async || {
        journey.visit("/audit").await;
        Ok((journey.count("table.rules tbody tr").await > 30).then_some(()))
    });
    audited.await.expect("the shop audits itself");
    assert!(!journey.text("main").await.expect("is there").contains("BREACH"));
    journey.picture("28-audit", 1280).await;
    journey.visit("/sales").await;
    journey.until_shows("table.sales", "£19.00").await;
    journey.picture("29-sales", 1280).await;
    journey.visit("/read-models").await;
    for model in ["orders", "products", "notifications", "sales"] {
        journey.until_shows("table.models", model).await;
    }
    journey.picture("30-read-models", 1280).await;
    journey.visit(&format!("/orders/{id}")).await;
    journey.until_shows(BADGE, "Confirmed").await;
    journey.end().await;
}

#[tokio::test]
async fn a_browser_without_a_mouse_logs_in_buys_and_pays() {
    let journey = Journey::begin(ShopOptions::default()).await;
    journey.visit("/login").await;
    // Everything from here on is typed into whatever has the focus.
    let keys = async |keys: &str| {
        let focused = journey.browser.page.active_element().await.expect("something has the focus");
        focused.send_keys(keys).await.expect("can be typed into");
    };
    let tab_to = async |css: &str| {
        for _ in 0..80 {
            let here = "return document.activeElement.matches(arguments[0])";
            if journey.browser.page.execute(here, vec![css.into()]).await.expect("answers") == json!(true) {
                let ring = "const style = getComputedStyle(document.activeElement); \
                            return style.outlineStyle !== 'none' || style.boxShadow !== 'none'";
                let seen = journey.browser.page.execute(ring, vec![]).await.expect("answers");
                assert_eq!(seen, true, "{css} does not show that it has the focus");
                return;
            }
            keys(&TAB.to_string()).await;
        }
        panic!("{css} cannot be reached by the keyboard");
    };
    tab_to("main input[name=email]").await;
    keys(CUSTOMER).await;
    tab_to("main input[name=password]").await;
    keys(&format!("{PASSWORD}{ENTER}")).await;
    journey.until_shows("header .menu summary", "Account").await;
    journey.visit("/products/MUG-ENAMEL-CREAM").await;
    tab_to(".buy button").await;
    keys(&ENTER.to_string()).await;
    journey.until_shows("main h1", "Cart").await;
    tab_to("a[href='/checkout']").await;
    keys(&ENTER.to_string()).await;
    journey.until_shows("main h1", "Check out").await;
    tab_to("aside button").await;
    keys(&ENTER.to_string()).await;
    journey.until_shows(BADGE, "Confirmed").await;
    tab_to("#cancel").await;
    keys(&ENTER.to_string()).await;
    tab_to("#cancel-form button.danger").await;
    keys(&ENTER.to_string()).await;
    journey.until_shows(BADGE, "Refunded").await;
    journey.end().await;
}
