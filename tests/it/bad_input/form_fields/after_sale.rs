//! The same for calling off, sending back, mail, moments of the past, and the operators' pages.

use super::{Status, unreadable, wrong};
use crate::bad_input::hostile::{self, Hostile};
use crate::bad_input::visitor::{Page, Visitor, encode, field};
use crate::bad_input::{CUSTOMER, OPERATOR, PATIENCE, assert_none, assert_well, roads, shop};

/// The field of a return for a product of which there is enough.
const QUANTITY: &str = "quantity-PLENTY-1";

/// What is wrong with a page that should have this status.
fn told(what: &str, page: &Page, wanted: u16) -> Option<String> {
    let right = page.status == wanted && page.fault().is_none();
    (!right).then(|| format!("{what}: {}, should be {wanted} {:?}", page.status, page.fault()))
}

/// A form's key, in which nothing is as good as a new one.
fn key(text: &Hostile) -> u16 {
    if text.is_line(0, 128) { 303 } else { 400 }
}

fn reason(text: &Hostile) -> u16 {
    if text.is_line(0, 200) { 303 } else { 400 }
}

#[tokio::test]
async fn every_field_of_a_cancellation_takes_every_hostile_text() {
    let mut ada = Visitor::logged_in(shop().await.base_url(), CUSTOMER).await;
    let mut faults = Vec::new();
    for (name, status) in [("reason", reason as Status), ("key", key), ("nothing", |_| 303)] {
        for text in hostile::all() {
            let order = roads::placed(1, None).await;
            let fresh = uuid::Uuid::new_v4().to_string();
            let mut fields = vec![("key", fresh.as_str()), ("reason", "changed my mind")];
            fields.retain(|(known, _)| *known != name);
            fields.push((name, &text.text));
            let page = ada.post(&format!("/orders/{order}/cancel"), &fields).await;
            let wanted = if unreadable(&text) { 400 } else { status(&text) };
            faults.extend(told(&format!("{name} = {}", text.name), &page, wanted));
        }
    }
    assert_none(&faults);
    assert_well(shop().await).await;
}

#[tokio::test]
async fn every_field_of_a_return_takes_every_hostile_text() {
    let mut ada = Visitor::logged_in(shop().await.base_url(), CUSTOMER).await;
    let order = roads::delivered(1, 3).await.remove(0);
    let path = format!("/orders/{order}/return");
    let mut faults = Vec::new();
    // None of the texts is a number, and without one nothing is sent back.
    for name in [QUANTITY, "quantity-NOT-IN-IT", "reason", "nothing"] {
        for text in hostile::all() {
            let page = ada.post(&path, &[("key", "k"), (name, &text.text)]).await;
            faults.extend(told(&format!("{name} = {}", text.name), &page, 400));
        }
    }
    // As the names of fields, which become SKUs.
    for text in hostile::all() {
        let body = format!("csrf={}&key=k&quantity-{}=1", ada.csrf, encode(&text.text));
        let page = ada.post_raw(&path, body.into_bytes()).await;
        faults.extend(told(&format!("quantity of {}", text.name), &page, 400));
    }
    for quantity in
        ["-1", "1.5", "1e2", "+1", "0x1", "\u{663}", "99999999999999999999", "9223372036854775807", "1000001"]
    {
        faults.extend(told(quantity, &ada.post(&path, &[("key", "k"), (QUANTITY, quantity)]).await, 400));
    }
    let many: String = (0..600).map(|n| format!("&quantity-S-{n}=1")).collect();
    let body = format!("csrf={}&key=k{many}", ada.csrf);
    faults.extend(told("600 lines", &ada.post_raw(&path, body.into_bytes()).await, 400));
    faults.extend(told("0", &ada.post(&path, &[("key", "k"), (QUANTITY, "0")]).await, 400));
    // More than there is, and then what there is.
    faults.extend(told("4 of 3", &ada.post(&path, &[("key", "k"), (QUANTITY, "4")]).await, 409));
    faults.extend(told("1 of 3", &ada.post(&path, &[("key", "k1"), (QUANTITY, "1")]).await, 303));
    let form = crate::servers::until("one is back", PATIENCE, async || {
        let form = ada.get(&path).await;
        Ok((form.status == 200).then_some(form))
    });
    assert_eq!(form.await.expect("the others can be sent back").fault(), None);
    assert_none(&faults);
    assert_well(shop().await).await;
}

#[tokio::test]
async fn a_return_takes_every_hostile_reason_key_and_button() {
    let mut ada = Visitor::logged_in(shop().await.base_url(), CUSTOMER).await;
    let texts = hostile::all();
    let mut orders = roads::delivered(3 * texts.len(), 1).await;
    let mut faults = Vec::new();
    for (name, status) in
        [("reason", reason as Status), ("key", key), ("all", |text| if text.is_blank() { 400 } else { 303 })]
    {
        for text in &texts {
            let path = format!("/orders/{}/return", orders.pop().expect("there is one for each"));
            let fresh = uuid::Uuid::new_v4().to_string();
            let mut fields = vec![("key", fresh.as_str()), ("all", "1")];
            fields.retain(|(known, _)| *known != name);
            fields.push((name, &text.text));
            let page = ada.post(&path, &fields).await;
            let wanted = if unreadable(text) { 400 } else { status(text) };
            faults.extend(told(&format!("{name} = {}", text.name), &page, wanted));
        }
    }
    assert_none(&faults);
    assert_well(shop().await).await;
}

#[tokio::test]
async fn every_field_of_the_mail_preference_takes_every_hostile_text() {
    let mut ada = Visitor::logged_in(shop().await.base_url(), CUSTOMER).await;
    let mut faults = Vec::new();
    for (name, status) in [("mail", wrong as Status), ("key", key)] {
        for text in hostile::all() {
            let mut fields = vec![("key", "k"), ("mail", "all")];
            fields.retain(|(known, _)| *known != name);
            fields.push((name, &text.text));
            let page = ada.post("/messages/mail", &fields).await;
            let wanted = if unreadable(&text) { 400 } else { status(&text) };
            faults.extend(told(&format!("{name} = {}", text.name), &page, wanted));
        }
    }
    for mail in ["ALL", "0", "3", "unspecified", "all none"] {
        faults.extend(told(mail, &ada.post("/messages/mail", &[("key", "k2"), ("mail", mail)]).await, 400));
    }
    assert_none(&faults);
    assert_well(shop().await).await;
}

#[tokio::test]
async fn every_part_of_an_address_after_the_sale_takes_every_hostile_text() {
    let base = shop().await.base_url();
    let mut ada = Visitor::logged_in(base, CUSTOMER).await;
    let mut operator = Visitor::logged_in(base, OPERATOR).await;
    let order = roads::awaiting().await;
    let empty_is_fine: Status = |text| if text.is_blank() { 200 } else { 400 };
    let any: Status = |_| 200;
    let at = format!("/orders/{order}?at=");
    let mut faults = Vec::new();
    for (query, of_operators, status) in [
        (at.as_str(), false, empty_is_fine),
        ("/messages?mail=", false, any),
        ("/sales?before=", true, empty_is_fine),
        ("/sales?still=", true, any),
        ("/read-models?still=", true, any),
        ("/audit?still=", true, any),
        ("/orders?after=", true, empty_is_fine),
        ("/orders?status=", true, empty_is_fine),
        ("/messages?after=", true, empty_is_fine),
    ] {
        for text in hostile::all() {
            let visitor = if of_operators { &mut operator } else { &mut ada };
            let page = visitor.get(&format!("{query}{}", encode(&text.text))).await;
            let wanted = if unreadable(&text) { 400 } else { status(&text) };
            faults.extend(told(&format!("{query} = {}", text.name), &page, wanted));
        }
    }
    let segment: Status = |text| if text.is_key() { 404 } else { 400 };
    for ending in ["/cancel", "/return"] {
        for text in hostile::all() {
            let path = format!("/orders/{}{ending}", encode(&text.text));
            faults.extend(told(&format!("{} {ending}", text.name), &ada.get(&path).await, segment(&text)));
            let page = ada.post(&path, &[("key", "k"), ("all", "1")]).await;
            faults.extend(told(&format!("POST {} {ending}", text.name), &page, segment(&text)));
        }
    }
    for (moment, wanted) in [
        ("0", 404),
        ("-1", 400),
        ("%2B1", 400),
        ("1.5", 400),
        ("253402300799999", 200),
        ("253402300800000", 400),
        ("9223372036854775807", 400),
        ("9223372036854775808", 400),
    ] {
        faults.extend(told(&format!("at {moment}"), &ada.get(&format!("{at}{moment}")).await, wanted));
        let wanted = if wanted == 404 { 200 } else { wanted };
        let page = operator.get(&format!("/sales?before={moment}")).await;
        faults.extend(told(&format!("before {moment}"), &page, wanted));
    }
    assert_none(&faults);
    assert_well(shop().await).await;
}

#[tokio::test]
async fn a_reason_that_was_too_long_is_still_there_and_is_only_text() {
    let mut ada = Visitor::logged_in(shop().await.base_url(), CUSTOMER).await;
    let long = format!("\"><img src=x onerror=alert(1)>{}", "!".repeat(200));
    let (waiting, delivered) = (roads::awaiting().await, roads::delivered(1, 2).await.remove(0));
    for (path, more) in [
        (format!("/orders/{waiting}/cancel"), ("nothing", "")),
        (format!("/orders/{delivered}/return"), (QUANTITY, "2")),
    ] {
        let page = ada.post(&path, &[("key", "k"), ("reason", &long), more]).await;
        assert_eq!((page.status, page.fault()), (400, None), "{path}");
        let typed = page.text.split("name=\"reason\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let typed = typed.expect("the field is there");
        assert!(typed.contains("onerror=alert(1)") && !typed.contains('<'), "{typed}");
    }
    // What was typed into a quantity, too.
    let page = ada.post(&format!("/orders/{delivered}/return"), &[("key", "k"), (QUANTITY, &long)]).await;
    assert_eq!((page.status, page.fault()), (400, None));
    let typed = field(&page.text, QUANTITY).expect("the field is there");
    assert!(typed.contains("onerror=alert(1)") && !typed.contains('<'), "{typed}");
    assert_well(shop().await).await;
}
