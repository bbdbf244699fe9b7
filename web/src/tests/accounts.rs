//! Signing up, logging in and out.

use axum::http::{StatusCode, header};

use super::browser::TestShop;

#[tokio::test]
async fn logging_in_leads_back_and_rotates_session_and_visitor() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    ada.sign_up("ada@shop.example").await;
    let first = ada.cookies.clone();
    ada.post("/logout", &[]).await;
    assert!(!ada.cookies.contains_key("orderly_session"));
    let sent_on = ada.get("/checkout").await;
    assert_eq!(sent_on.location(), "/login?next=%2Fcheckout");
    ada.get(sent_on.location()).await;
    let wrong = ada.post("/login", &[("email", "ada@shop.example"), ("password", "wrong")]).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(!wrong.text.contains("wrong\""), "a password is not shown again");
    let fields = [("email", "ada@shop.example"), ("password", "long enough"), ("next", "/checkout")];
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
    shop.browser().sign_up("ada@shop.example").await;
    for next in ["//evil.example", "https://evil.example", "/\\evil.example"] {
        let mut ada = shop.browser();
        ada.get("/login").await;
        let fields = [("email", "ada@shop.example"), ("password", "long enough"), ("next", next)];
        assert_eq!(ada.post("/login", &fields).await.location(), "/", "{next}");
    }
}

#[tokio::test]
async fn a_sign_up_that_is_refused_says_at_which_field_and_keeps_the_address() {
    let shop = TestShop::open().await;
    shop.browser().sign_up("ada@shop.example").await;
    let mut ada = shop.browser();
    ada.get("/signup").await;
    for (email, password, status, field, said) in [
        ("", "long enough", 400, "email", "such as ada@example.com"),
        ("no address", "long enough", 400, "email", "such as ada@example.com"),
        ("no@address", "long enough", 400, "email", "That is no email address"),
        ("ada@shop.example", "short", 400, "password", "7 to 200 characters"),
        ("ada@shop.example", "long enough\u{202e}", 400, "password", "no control characters"),
        ("ada@shop.example", "long enough", 409, "email", "already an account"),
    ] {
        let seen = ada.post("/signup", &[("email", email), ("password", password)]).await;
        assert_eq!(seen.status.as_u16(), status, "{email}");
        assert!(seen.text.contains(&format!("id=\"{field}-wrong\"")) && seen.text.contains(said), "{email}: {said}");
        assert_eq!(seen.field("email"), email);
        assert!(password == "short" || !seen.text.contains(password), "a password is not shown again");
    }
    let long = ada.post("/login", &[("email", &"a".repeat(255)), ("password", "x")]).await;
    assert_eq!(long.status, StatusCode::BAD_REQUEST);
    assert!(long.text.contains("at most 254 characters"));
    let empty = ada.post("/login", &[]).await;
    assert_eq!(empty.status, StatusCode::UNAUTHORIZED);
    assert!(empty.text.contains("id=\"email-wrong\"") && empty.text.contains("id=\"password-wrong\""));
}

#[tokio::test]
async fn who_guesses_passwords_is_told_how_long_to_wait() {
    let shop = TestShop::open().await;
    let mut eve = shop.browser();
    eve.get("/login").await;
    let mut tries = 0;
    let limited = loop {
        let seen = eve.post("/login", &[("email", "ada@shop.example"), ("password", "a guess")]).await;
        if seen.status != StatusCode::UNAUTHORIZED {
            break seen;
        }
        tries += 1;
        assert!(tries < 1_000, "guesses are not limited");
    };
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(limited.text.contains("Too many attempts. Try again in"), "{}", limited.text);
    let wait: u64 = limited.headers[header::RETRY_AFTER].to_str().expect("plain").parse().expect("seconds");
    assert!(wait > 0);
    assert_eq!(limited.field("email"), "ada@shop.example");
}

#[tokio::test]
async fn attempts_are_counted_for_the_address_that_they_come_from() {
    let shop = TestShop::open().await;
    let statuses = async |address: [u8; 4]| {
        let mut eve = shop.browser();
        eve.from = Some((address, 40_000).into());
        eve.get("/login").await;
        let mut seen = Vec::new();
        // A new email each time, so that only the address can be what is counted.
        for number in 0..100 {
            let email = format!("{number}@{}.example", address[3]);
            seen.push(eve.post("/login", &[("email", &email), ("password", "a guess")]).await.status);
        }
        seen
    };
    let first = statuses([192, 0, 2, 1]).await;
    assert_eq!(first.last(), Some(&StatusCode::TOO_MANY_REQUESTS));
    let other = statuses([192, 0, 2, 2]).await;
    assert_eq!(other.first(), Some(&StatusCode::UNAUTHORIZED), "another address is another's");
}
