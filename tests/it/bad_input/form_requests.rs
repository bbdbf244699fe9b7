//! Forms and addresses that are wrong as a whole: forged, foreign, too large, no text, no form.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, COOKIE, ORIGIN};

use super::visitor::{Visitor, encode};
use super::{CUSTOMER, PASSWORD, PLENTY, assert_none, assert_well, shop};

const FORM: &str = "application/x-www-form-urlencoded";

/// Every form of the shop, filled in rightly but for its token.
const FORMS: [(&str, &str); 10] = [
    ("/cart/add", "sku=PLENTY-1&quantity=1"),
    ("/cart/update", "sku=PLENTY-1&quantity=3"),
    ("/login", "email=ada%40example.com&password=orderly"),
    ("/signup", "email=forged%40example.com&password=orderly&key=k"),
    ("/logout", ""),
    ("/checkout", "lines=PLENTY-1%3A1&key=forged&card=later"),
    ("/orders/0/pay", "key=forged&card=4242424242424242"),
    ("/orders/0/cancel", "key=forged&reason=forged"),
    ("/orders/0/return", "key=forged&all=1"),
    ("/messages/mail", "key=forged&mail=none"),
];

#[tokio::test]
async fn a_form_without_the_visitors_own_token_is_forbidden_and_does_nothing() {
    let base = shop().await.base_url();
    let mut ada = Visitor::logged_in(base, CUSTOMER).await;
    ada.post("/cart/add", &[("sku", PLENTY), ("quantity", "1")]).await;
    let mut other = Visitor::logged_in(base, CUSTOMER).await;
    other.get("/cart").await;
    let mut before_log_in = Visitor::new(base);
    before_log_in.get("/login").await;
    let zeros = "0".repeat(64);
    let short = ada.csrf[1..].to_owned();
    let tokens = ["", "x", &zeros, &other.csrf, &before_log_in.csrf, &short, "\u{e9}", "<script>alert(1)</script>"];
    let mut wrong = Vec::new();
    for (path, fields) in FORMS {
        let without = ada.post_raw(path, fields.into()).await;
        let mut pages = vec![("none".to_owned(), without)];
        for token in tokens {
            let body = format!("{fields}&csrf={}", encode(token));
            pages.push((token.to_owned(), ada.post_raw(path, body.into_bytes()).await));
        }
        for (token, page) in pages {
            if page.status != 403 || page.fault().is_some() || page.headers.contains_key("set-cookie") {
                wrong.push(format!("{path} with {token}: {} {:?}", page.status, page.fault()));
            }
        }
    }
    assert_none(&wrong);
    assert_eq!(ada.cookie("orderly_cart"), Some("PLENTY-1:1"));
    assert_eq!(ada.get("/orders").await.status, 200, "is still logged in");
}

#[tokio::test]
async fn a_form_of_another_origin_is_forbidden_even_with_the_token() {
    let base = shop().await.base_url();
    let mut ada = Visitor::logged_in(base, CUSTOMER).await;
    let origins: [&[u8]; 7] = [
        b"https://evil.example",
        b"http://127.0.0.1",
        b"http://127.0.0.1:1",
        b"null",
        b"file://",
        b"<script>",
        b"\xff",
    ];
    let mut wrong = Vec::new();
    for (path, fields) in FORMS {
        for origin in origins {
            let body = format!("{fields}&csrf={}", ada.csrf);
            let request = ada.request(Method::POST, path).header(CONTENT_TYPE, FORM).header(ORIGIN, origin).body(body);
            let page = ada.send(request).await;
            if page.status != 403 || page.fault().is_some() {
                wrong.push(format!("{path} from {}: {}", String::from_utf8_lossy(origin), page.status));
            }
        }
    }
    assert_none(&wrong);
    assert_eq!(ada.post("/cart/add", &[("sku", PLENTY), ("quantity", "2")]).await.status, 303, "from here it counts");
}

#[tokio::test]
async fn a_form_of_ten_megabytes_is_too_large() {
    let mut ada = Visitor::logged_in(shop().await.base_url(), CUSTOMER).await;
    for (path, fields) in FORMS {
        let mut body = format!("csrf={}&{fields}&more=", ada.csrf).into_bytes();
        body.resize(10 << 20, b'a');
        let page = ada.post_raw(path, body).await;
        assert_eq!((page.status, page.fault()), (413, None), "{path}");
    }
    assert_well(shop().await).await;
}

#[tokio::test]
async fn what_is_no_text_or_no_form_is_a_bad_request() {
    let mut ada = Visitor::logged_in(shop().await.base_url(), CUSTOMER).await;
    let mut wrong = Vec::new();
    for (path, fields) in FORMS {
        let start = format!("csrf={}&{fields}", ada.csrf).into_bytes();
        for garbage in
            [&b"&x=%ff"[..], b"&x=\xff", b"&x=%c3%28", b"&x=%", b"&x=%zz", b"&x=%00", b"&x=%ed%a0%80", b"&%ff=x"]
        {
            let page = ada.post_raw(path, [start.as_slice(), garbage].concat()).await;
            if page.status != 400 || page.fault().is_some() {
                wrong.push(format!("{path} with {}: {}", String::from_utf8_lossy(garbage), page.status));
            }
        }
        for kind in ["text/plain", "application/json", "multipart/form-data; boundary=x", ""] {
            let request = ada.request(Method::POST, path).header(CONTENT_TYPE, kind).body(start.clone());
            let page = ada.send(request).await;
            if page.status != 400 || page.fault().is_some() {
                wrong.push(format!("{path} as {kind:?}: {}", page.status));
            }
        }
        for method in [Method::PUT, Method::DELETE, Method::PATCH] {
            let request = ada.request(method.clone(), path);
            let page = ada.send(request).await;
            if page.status != 405 || page.fault().is_some() {
                wrong.push(format!("{method} {path}: {}", page.status));
            }
        }
    }
    for path in [
        "/%ff",
        "/%00",
        "/products/%ff",
        "/products/%c3%28",
        "/orders/%ff",
        "/orders/%ff/events",
        "/?q=%ff",
        "/?%ff",
        "/?q=%zz",
    ] {
        let page = ada.get(path).await;
        let wanted = if path.len() == 4 { 404 } else { 400 };
        if page.status != wanted || page.fault().is_some() {
            wrong.push(format!("GET {path}: {} {:?}", page.status, page.fault()));
        }
    }
    assert_none(&wrong);
    assert_well(shop().await).await;
}

#[tokio::test]
async fn the_log_in_never_leads_off_the_site() {
    let base = shop().await.base_url();
    let away = [
        "//evil.example",
        "///evil.example",
        "https://evil.example",
        "http:evil.example",
        "HTTPS://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "\\/evil.example",
        "/\t/evil.example",
        "/%09/evil.example\t",
        "javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "evil.example",
        "@evil.example",
        ".evil.example",
        " //evil.example",
        "/ /evil.example",
        "/\u{a0}/evil.example",
        "//evil.example/%2f..",
        "/.evil\r\nLocation: https://evil.example",
    ];
    for next in away {
        for path in ["/login", "/signup"] {
            let mut visitor = Visitor::new(base);
            let page = visitor.get(&format!("{path}?next={}", encode(next))).await;
            assert!(page.fault().is_none() && !page.text.contains("evil.example\""), "{path}?next={next}");
            visitor.get(path).await;
            let email = format!("{}@example.com", uuid::Uuid::new_v4());
            let email = if path == "/login" { CUSTOMER } else { &email };
            let page = visitor.post(path, &[("email", email), ("password", PASSWORD), ("next", next)]).await;
            // Refused as unreadable, or led to a page of the shop.
            assert!(matches!(page.status, 303 | 400), "{next:?}: {}", page.status);
            let url = reqwest::Url::parse(base).and_then(|base| base.join(page.location())).expect("an address");
            assert_eq!(url.origin(), reqwest::Url::parse(base).expect("an address").origin(), "{path} {next:?}");
            // Who is logged in already is led on at once.
            let page = visitor.get(&format!("{path}?next={}", encode(next))).await;
            let url = reqwest::Url::parse(base).and_then(|base| base.join(page.location())).expect("an address");
            assert_eq!(url.origin(), reqwest::Url::parse(base).expect("an address").origin(), "{path}?next={next:?}");
        }
    }
    let mut visitor = Visitor::new(base);
    visitor.get("/login").await;
    let page =
        visitor.post("/login", &[("email", CUSTOMER), ("password", PASSWORD), ("next", "/orders?status=PLACED")]).await;
    assert_eq!(page.location(), "/orders?status=PLACED");
}

#[tokio::test]
async fn cookies_of_nonsense_are_read_as_none() {
    let base = shop().await.base_url();
    let values: [&[u8]; 9] = [
        b"<script>alert(1)</script>",
        b"\"><img src=x onerror=alert(1)>",
        b"' OR '1'='1",
        b"PLENTY-1:2147483648",
        b"PLENTY-1:-1~PLENTY-1:abc",
        b"\xff\xfe",
        b"=",
        b"%00",
        b"~:~:~",
    ];
    let mut wrong = Vec::new();
    for name in ["orderly_cart", "orderly_session", "orderly_visitor"] {
        for value in values {
            for path in ["/", "/cart", "/checkout", "/orders", "/login"] {
                let mut visitor = Visitor::new(base);
                let cookie = [name.as_bytes(), b"=", value].concat();
                let request = visitor.request(Method::GET, path).header(COOKIE, cookie);
                let page = visitor.send(request).await;
                if !matches!(page.status, 200 | 303) || page.fault().is_some() {
                    let value = String::from_utf8_lossy(value);
                    wrong.push(format!("{name}={value} on {path}: {} {:?}", page.status, page.fault()));
                }
            }
        }
    }
    assert_none(&wrong);
    assert_well(shop().await).await;
}

#[tokio::test]
async fn an_order_form_sent_twice_is_one_order() {
    let mut ada = Visitor::logged_in(shop().await.base_url(), CUSTOMER).await;
    let key = uuid::Uuid::new_v4().to_string();
    let fields = [("lines", "PLENTY-1:1"), ("key", key.as_str()), ("card", "later")];
    let (one, two) = (ada.post("/checkout", &fields).await, ada.post("/checkout", &fields).await);
    assert_eq!((one.status, two.status), (303, 303));
    assert_eq!(one.location().split('?').next(), two.location().split('?').next());
    let other = ada.post("/checkout", &[("lines", "PLENTY-1:2"), ("key", key.as_str()), ("card", "later")]).await;
    assert_eq!((other.status, other.fault()), (409, None));
}
