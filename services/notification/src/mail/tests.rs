//! Settings, and what a mail looks like on the wire.

use super::*;

const FROM: &str = "Orderly <shop@orderly.example>";

fn letter() -> Letter {
    Letter {
        notification_id: "019a-7".into(),
        customer_id: "ada".into(),
        order_id: "o-1".into(),
        to: "ada@example.com".into(),
        title: "Your order is confirmed".into(),
        body: "Thank you! £12.50 is paid.".into(),
    }
}

fn wire(letter: &Letter) -> String {
    let mailer = Mailer::try_new("smtp://localhost", FROM).expect("a mailer");
    String::from_utf8(mailer.compose(letter).expect("a mail").formatted()).expect("ASCII")
}

/// The headers, unfolded.
fn headers(letter: &Letter) -> Vec<String> {
    let wire = wire(letter);
    let (headers, _) = wire.split_once("\r\n\r\n").expect("headers and a body");
    headers.replace("\r\n ", " ").split("\r\n").map(str::to_owned).collect()
}

#[tokio::test]
async fn a_mail_bears_the_id_of_its_message_so_that_a_second_copy_can_be_told() {
    let headers = headers(&letter());
    for header in [
        "Message-ID: <019a-7@orderly.example>",
        "From: Orderly <shop@orderly.example>",
        "To: ada@example.com",
        "Subject: Your order is confirmed",
        "Auto-Submitted: auto-generated",
    ] {
        assert!(headers.iter().any(|line| line == header), "{header}: {headers:?}");
    }
    assert!(headers.iter().any(|line| line.starts_with("Date: ")), "{headers:?}");
    assert!(headers.iter().any(|line| line.contains("text/plain")), "{headers:?}");
}

#[tokio::test]
async fn nothing_that_a_customer_or_a_product_is_called_becomes_a_header() {
    let evil = "x\r\nBcc: eve@example.com\r\n\r\n<b>body</b>\r\n.\r\nMAIL FROM:<eve@example.com>";
    let letter = Letter {
        notification_id: evil.into(),
        title: format!("Your order {evil}"),
        body: format!("We have put 1 × {evil} aside."),
        ..letter()
    };
    let names: Vec<String> =
        headers(&letter).iter().map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect();
    assert!(!names.iter().any(|name| name.contains("Bcc")), "{names:?}");
    assert_eq!(names.iter().filter(|name| *name == "Subject").count(), 1);
    assert_eq!(names.len(), headers(&self::letter()).len(), "no header more than usual: {names:?}");
}

#[tokio::test]
async fn a_title_is_one_line_whatever_is_in_it() {
    let letter = Letter { title: "Your order\r\n\tis here\0".into(), ..letter() };
    let headers = headers(&letter);
    assert!(headers.iter().any(|line| line.trim_end() == "Subject: Your order   is here"), "{headers:?}");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_without_asking_anybody() {
    // Nobody listens there; it would be unavailable, if anybody were asked.
    let mailer = Mailer::try_new("smtp://127.0.0.1:1", FROM).expect("a mailer");
    for to in ["ada", "ada@example.com\r\nRCPT TO:<eve@example.com>", "a b@example.com", "<ada@example.com>"] {
        let answer = mailer.send(&Letter { to: to.into(), ..letter() }).await;
        assert!(matches!(answer, Ok(Answer::Refused { .. })), "{to}: {answer:?}");
    }
    assert!(mailer.send(&letter()).await.is_err(), "a server that is not there is unavailable");
}

#[tokio::test]
async fn a_setting_that_is_none_is_named_without_its_password() {
    for url in [
        "mail.example.com",
        "http://user:hunter2@mail.example.com",
        "smtp://user:hunter2@mail.example.com?tls=yes",
        "smtp://user:hunter2@mail.example.com?tsl=required",
        "smtps://user:hunter2@:99999",
        "",
    ] {
        let error = Mailer::try_new(url, FROM).err().expect(url).to_string();
        assert!(error.starts_with("--smtp-url"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    for from in ["", "nobody", "Orderly <>"] {
        let error = Mailer::try_new("smtp://localhost", from).err().expect(from).to_string();
        assert!(error.starts_with("--mail-from"), "{error}");
    }
}

#[tokio::test]
async fn the_ways_to_write_a_mail_server_are_understood() {
    for url in [
        "smtp://localhost:2525",
        "smtps://user:p%40ss@mail.example.com",
        "smtp://user:password@mail.example.com:587?tls=required",
        "smtp://mail.example.com?tls=opportunistic",
    ] {
        assert!(Mailer::try_new(url, FROM).is_ok(), "{url}");
    }
    assert!(Mailer::try_new("smtp://localhost", "shop@example.com").is_ok());
}
