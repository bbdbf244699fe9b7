//! Every field of every form, and every part of an address that a visitor may change.
//!
//! What comes after the sale, and what operators look at, is in `after_sale.rs`.

mod after_sale;

use super::hostile::{self, Hostile};
use super::visitor::{Visitor, encode, field};
use super::{CUSTOMER, PASSWORD, PLENTY, assert_none, assert_well, shop};

/// The longest value that a form or address takes at all, in characters.
const LONGEST: usize = 4_000;

type Status = fn(&Hostile) -> u16;

/// What no field and no query takes, whichever it is.
fn unreadable(text: &Hostile) -> bool {
    text.has_control() || text.text.chars().count() > LONGEST
}

fn wrong(_: &Hostile) -> u16 {
    400
}

fn line<const LEAST: usize, const MOST: usize>(text: &Hostile) -> u16 {
    if text.is_line(LEAST, MOST) { 303 } else { 400 }
}

/// An order's checkout form with one field changed.
const CHECKOUT: [(&str, &str); 8] = [
    ("lines", "PLENTY-1:1"),
    ("card", "later"),
    ("card_number", ""),
    ("recipient", "Ada"),
    ("street", "1 Mill Lane"),
    ("city", "Bath"),
    ("postal_code", "BA1"),
    ("country", "UK"),
];

fn forms() -> Vec<(&'static str, &'static str, Status)> {
    vec![
        ("/cart/add", "sku", wrong),
        ("/cart/add", "quantity", wrong),
        ("/cart/update", "sku", wrong),
        ("/cart/update", "quantity", wrong),
        ("/checkout", "lines", wrong),
        ("/checkout", "key", |text| if text.is_line(1, 128) { 303 } else { 400 }),
        ("/checkout", "card", wrong),
        ("/checkout", "card_number", |text| if text.is_blank() { 303 } else { 400 }),
        ("/checkout", "recipient", line::<1, 200>),
        ("/checkout", "street", line::<1, 200>),
        ("/checkout", "city", line::<1, 100>),
        ("/checkout", "postal_code", line::<0, 20>),
        ("/checkout", "country", line::<1, 100>),
    ]
}

/// Sends a form that is right but for one field.
async fn send(visitor: &mut Visitor, path: &str, name: &str, value: &str) -> super::visitor::Page {
    let key = uuid::Uuid::new_v4().to_string();
    let mut fields: Vec<(&str, &str)> = match path {
        "/checkout" => CHECKOUT.into_iter().chain([("key", key.as_str())]).collect(),
        _ => vec![("sku", PLENTY), ("quantity", "1")],
    };
    if name == "card_number" {
        fields.retain(|(name, _)| *name != "card");
        fields.push(("card", "4242424242424242"));
    }
    fields.retain(|(known, _)| *known != name);
    fields.push((name, value));
    visitor.post(path, &fields).await
}

/// Places an order, and sees its page; where that is.
async fn awaiting(visitor: &mut Visitor) -> String {
    let placed = send(visitor, "/checkout", "card", "later").await;
    assert_eq!(visitor.get(placed.location()).await.status, 200);
    placed.location().split('?').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn every_field_of_the_cart_and_of_the_checkout_takes_every_hostile_text() {
    let mut ada = Visitor::logged_in(shop().await.base_url(), CUSTOMER).await;
    let mut faults = Vec::new();
    for (path, name, status) in forms() {
        for text in hostile::all() {
            let wanted = if unreadable(&text) { 400 } else { status(&text) };
            let page = send(&mut ada, path, name, &text.text).await;
            if page.status != wanted || page.fault().is_some() {
                let fault = page.fault().unwrap_or_default();
                faults.push(format!("{path} {name} = {}: {}, should be {wanted} {fault}", text.name, page.status));
            }
        }
    }
    assert_none(&faults);
    assert_well(shop().await).await;
}

#[tokio::test]
async fn a_quantity_in_a_form_is_a_whole_number_from_one_to_999() {
    let mut visitor = Visitor::new(shop().await.base_url());
    visitor.get("/").await;
    let nonsense =
        ["abc", "-1", "1000", "2147483648", "99999999999999999999", "1.5", "1e2", "+1", "0x1", "\u{663}", "1;2"];
    for quantity in nonsense {
        for path in ["/cart/add", "/cart/update"] {
            assert_eq!(send(&mut visitor, path, "quantity", quantity).await.status, 400, "{path} {quantity}");
        }
    }
    assert_eq!(send(&mut visitor, "/cart/add", "quantity", "0").await.status, 400);
    assert_eq!(visitor.cookie("orderly_cart"), None);
    assert_eq!(send(&mut visitor, "/cart/add", "sku", "NOT-SOLD-HERE").await.status, 404);
    assert_eq!(send(&mut visitor, "/cart/add", "quantity", "999").await.status, 303);
    assert_eq!(visitor.cookie("orderly_cart"), Some("PLENTY-1:999"));
}

#[tokio::test]
async fn every_field_of_the_log_in_and_the_sign_up_takes_every_hostile_text() {
    let mut faults = Vec::new();
    let log_in: [(&str, Status); 3] = [
        ("email", |text| if text.text.chars().count() > 254 { 400 } else { 401 }),
        ("password", |_| 401),
        ("next", |_| 303),
    ];
    let sign_up: [(&str, Status); 4] = [
        ("email", wrong),
        ("password", |text| if text.is_exact(7, 200) { 303 } else { 400 }),
        ("next", |_| 303),
        ("key", |text| if text.is_line(0, 128) { 303 } else { 400 }),
    ];
    let all = log_in.map(|(name, status)| ("/login", name, status)).into_iter();
    for (path, name, status) in all.chain(sign_up.map(|(name, status)| ("/signup", name, status))) {
        for text in hostile::all() {
            let mut visitor = Visitor::new(shop().await.base_url());
            visitor.get(path).await;
            // Ten wrong guesses at somebody's password lock him out for a while.
            let email = match (path, name) {
                ("/login", "next") => CUSTOMER.into(),
                _ => format!("{}@example.com", uuid::Uuid::new_v4()),
            };
            let mut fields = vec![("email", email.as_str()), ("password", PASSWORD)];
            fields.retain(|(known, _)| *known != name);
            fields.push((name, &text.text));
            let page = visitor.post(path, &fields).await;
            let wanted = if unreadable(&text) { 400 } else { status(&text) };
            let led_away = page.status == 303 && !page.location().starts_with("/");
            if page.status != wanted || page.fault().is_some() || led_away {
                let told = format!("{} {}", page.fault().unwrap_or_default(), page.location());
                faults.push(format!("{path} {name} = {}: {}, should be {wanted} {told}", text.name, page.status));
            }
        }
    }
    assert_none(&faults);
    assert_well(shop().await).await;
}

#[tokio::test]
async fn every_field_of_the_payment_takes_every_hostile_text() {
    let mut ada = Visitor::logged_in(shop().await.base_url(), CUSTOMER).await;
    let order = awaiting(&mut ada).await;
    let mut faults = Vec::new();
    // At the end the key, since a form with any other mistake than in its card pays.
    for (name, status) in [
        ("card_number", wrong as Status),
        ("card", wrong),
        ("key", |text| if text.is_line(0, 128) { 303 } else { 400 }),
    ] {
        for text in hostile::all() {
            let mut fields = vec![("key", "k"), ("card", "4242424242424242")];
            fields.retain(|(known, _)| *known != name);
            fields.push((name, &text.text));
            if name == "card_number" && text.is_blank() {
                continue;
            }
            let page = ada.post(&format!("{order}/pay"), &fields).await;
            let wanted = if unreadable(&text) { 400 } else { status(&text) };
            // The first good one pays; then it is a conflict.
            let right = page.status == wanted || (name == "key" && wanted == 303 && page.status == 409);
            if !right || page.fault().is_some() {
                let fault = page.fault().unwrap_or_default();
                faults.push(format!("{name} = {}: {}, should be {wanted} {fault}", text.name, page.status));
            }
        }
    }
    assert_none(&faults);
    assert_well(shop().await).await;
}

#[tokio::test]
async fn every_part_of_an_address_takes_every_hostile_text() {
    let base = shop().await.base_url();
    let mut ada = Visitor::logged_in(base, CUSTOMER).await;
    let order = awaiting(&mut ada).await;
    let empty_is_fine: Status = |text| if text.is_blank() { 200 } else { 400 };
    let queries: [(String, Status); 10] = [
        ("/?q=".into(), |text| if text.is_line(0, 100) { 200 } else { 400 }),
        ("/?after=".into(), empty_is_fine),
        ("/?nothing=".into(), |_| 200),
        ("/orders?after=".into(), empty_is_fine),
        ("/orders?status=".into(), empty_is_fine),
        ("/messages?after=".into(), empty_is_fine),
        (format!("{order}?version="), empty_is_fine),
        ("/cart?added=".into(), |_| 200),
        ("/login?next=".into(), |_| 200),
        ("/signup?next=".into(), |_| 200),
    ];
    let mut faults = Vec::new();
    let mut judge = |what: &str, text: &Hostile, page: &super::visitor::Page, wanted: u16| {
        if page.status != wanted || page.fault().is_some() {
            let fault = page.fault().unwrap_or_default();
            faults.push(format!("{what} = {}: {}, should be {wanted} {fault}", text.name, page.status));
        }
    };
    for (query, status) in queries {
        for text in hostile::all() {
            let nobody = query.contains("?next=");
            let mut visitor = if nobody { Visitor::new(base) } else { ada.clone() };
            let page = visitor.get(&format!("{query}{}", encode(&text.text))).await;
            judge(&query, &text, &page, if unreadable(&text) { 400 } else { status(&text) });
        }
    }
    let paths: [(&str, &str, Status); 5] = [
        ("/products/", "", |text| if text.has_control() { 400 } else { 404 }),
        ("/orders/", "", |text| if text.text.is_empty() || text.is_key() { 404 } else { 400 }),
        ("/orders/", "/events", |text| if text.is_key() { 404 } else { 400 }),
        ("/assets/", "", |_| 404),
        ("/nowhere/", "", |_| 404),
    ];
    for (before, after, status) in paths {
        for text in hostile::all() {
            let page = ada.get(&format!("{before}{}{after}", encode(&text.text))).await;
            judge(before, &text, &page, status(&text));
        }
    }
    assert_none(&faults);
    assert_well(shop().await).await;
}

#[tokio::test]
async fn what_was_typed_is_still_there_after_a_mistake_and_is_only_text() {
    let mut ada = Visitor::logged_in(shop().await.base_url(), CUSTOMER).await;
    let payload = "\"><img src=x onerror=alert(1)>";
    let fields = [("lines", "PLENTY-1:1"), ("key", "k"), ("card", "later"), ("recipient", payload)];
    let page = ada.post("/checkout", &fields).await;
    assert_eq!((page.status, page.fault()), (400, None));
    let typed = field(&page.text, "recipient").expect("the field is there");
    assert!(typed.contains("onerror=alert(1)") && !typed.contains('<'), "{typed}");

    let mut visitor = Visitor::new(shop().await.base_url());
    visitor.get("/login").await;
    let page = visitor.post("/login", &[("email", payload), ("password", payload)]).await;
    assert_eq!((page.status, page.fault()), (401, None));
    assert_eq!(page.text.matches("onerror=alert(1)").count(), 1, "the email is there, the password is not");
}
