//! What goes out by mail, to a real SMTP server.

use contracts::notification::{CustomerMailed, SendMail};
use contracts::order::{OrderAwaitingPayment, OrderConfirmed, OrderLine, OrderPaid, OrderPlaced};
use orderly_notification::Settings;
use orderly_notification::topic::MailPreference;
use platform::bus::Bus as _;

use crate::post_office::PostOffice;
use crate::shop::{NOON, Shop, minutes, placed, until};

const PLACED: &str = "We have your order";
const SET_ASIDE: &str = "Your order is set aside for you";
const CONFIRMED: &str = "Your order is confirmed";
const REMINDER: &str = "Your order is waiting for its payment";

/// Everything up to the confirmation: three messages, of which one is essential.
async fn buy(shop: &mut Shop, order: &str, customer: &str) {
    shop.happens(order, &placed(customer)).await;
    shop.happens(order, &OrderAwaitingPayment {}).await;
    shop.happens(order, &OrderPaid { attempt: 1, authorisation_id: "auth".into() }).await;
    shop.happens(order, &OrderConfirmed { ship_at: NOON }).await;
}

/// As a customer says it by gRPC.
pub(crate) async fn prefer(shop: &Shop, customer: &str, mail: MailPreference) {
    let input = orderly_notification::Input::SetPreference { customer_id: customer.into(), mail };
    shop.service.handle().submit(format!("{customer} wants {mail:?}"), String::new(), input).await.unwrap();
}

#[tokio::test]
async fn every_message_is_mailed_once_in_order_and_said_to_be() {
    let office = PostOffice::open();
    let mut shop = Shop::open(office.settings()).await;
    buy(&mut shop, "o-1", "ada").await;
    shop.happens_again("o-1", &OrderConfirmed { ship_at: NOON }).await;
    let said = shop.said(6).await;
    assert_eq!(office.subjects(), [PLACED, SET_ASIDE, CONFIRMED]);
    let mail = &office.mails()[1];
    assert_eq!(mail.to, ["ada@example.com"]);
    assert_eq!(mail.header("From"), "Orderly <shop@orderly.example>");
    assert_eq!(mail.header("Message-ID"), "<o-1-2@orderly.example>", "of the message o-1#2");

    let mailed: Vec<CustomerMailed> = said
        .iter()
        .filter(|envelope| envelope.short_kind() == "CustomerMailed")
        .inspect(|envelope| assert_eq!(envelope.subject, "ada"))
        .map(|envelope| envelope.payload().unwrap())
        .collect();
    assert_eq!(mailed.len(), 3);
    assert!(mailed.iter().all(|event| event.order_id == "o-1" && event.customer_id == "ada"));
    let stored = shop.stored().await;
    assert_eq!(
        mailed.iter().map(|event| &event.notification_id).collect::<Vec<_>>(),
        stored.iter().map(|row| &row.notification_id).collect::<Vec<_>>()
    );
    assert!(stored.iter().all(|row| row.mailed_at == Some(NOON) && row.mail_error.is_none()));

    // What another order is told of comes after anything that a repetition could cause.
    shop.happens("o-2", &placed("bob")).await;
    shop.said(2).await;
    assert_eq!(office.subjects(), [PLACED, SET_ASIDE, CONFIRMED, PLACED]);
}

#[tokio::test]
async fn a_message_that_was_mailed_is_not_mailed_again_whoever_asks() {
    let office = PostOffice::open();
    let mut shop = Shop::open(office.settings()).await;
    shop.happens("o-1", &placed("ada")).await;
    let notified = shop.said(2).await;
    let again = SendMail {
        notification_id: "o-1#1".into(),
        customer_id: "ada".into(),
        to: "ada@example.com".into(),
        title: "Once more".into(),
        body: "Once more.".into(),
    };
    assert_eq!(notified[1].short_kind(), "CustomerMailed");
    shop.commands("o-1", 2, &again).await;
    shop.commands("o-1", 3, &SendMail { notification_id: "o-1#7".into(), ..again }).await;
    until("a mail of a message that nobody wrote is a dead letter", async || shop.dead_letters().await == 1).await;
    assert_eq!(office.subjects(), [PLACED]);
}

#[tokio::test]
async fn a_reminder_is_mailed_too() {
    let office = PostOffice::open();
    let mut shop = Shop::open(office.settings()).await;
    shop.happens("o-1", &placed("ada")).await;
    shop.happens("o-1", &OrderAwaitingPayment {}).await;
    shop.said(4).await;
    shop.clock.advance(minutes(10));
    shop.said(2).await;
    assert_eq!(office.subjects(), [PLACED, SET_ASIDE, REMINDER]);
}

#[tokio::test]
async fn a_preference_restricts_what_is_mailed_and_never_what_is_kept() {
    let office = PostOffice::open();
    let mut shop = Shop::open(office.settings()).await;
    prefer(&shop, "ada", MailPreference::None).await;
    prefer(&shop, "bob", MailPreference::Essential).await;
    buy(&mut shop, "o-1", "ada").await;
    buy(&mut shop, "o-2", "bob").await;
    shop.said(7).await;
    assert_eq!(office.subjects(), [SET_ASIDE]);
    assert_eq!(office.mails()[0].to, ["bob@example.com"]);
    assert_eq!(shop.stored().await.len(), 6);
    assert_eq!(shop.parked().await, 0);
}

#[tokio::test]
async fn without_a_mailer_or_an_address_nothing_is_to_be_mailed() {
    let office = PostOffice::open();
    let nowhere = |mut placed: OrderPlaced| {
        placed.customer_email.clear();
        placed
    };
    for (settings, placed) in [(Settings::default(), placed("ada")), (office.settings(), nowhere(placed("ada")))] {
        let mut shop = Shop::open(settings).await;
        shop.happens("o-1", &placed).await;
        shop.happens("o-1", &OrderAwaitingPayment {}).await;
        shop.told(2).await;
        let asked = shop.bus.inspect().await.unwrap().groups;
        let asked: Vec<_> = asked.iter().filter(|group| group.stream == "orderly.notification.commands").collect();
        assert!(!asked.is_empty() && asked.iter().all(|group| group.length == 0), "{asked:?}");
        shop.service.stop().await;
    }
    assert!(office.mails().is_empty());
}

#[tokio::test]
async fn a_product_with_lines_in_its_name_adds_neither_headers_nor_recipients() {
    let office = PostOffice::open();
    let mut shop = Shop::open(office.settings()).await;
    let name = "mug\r\nBcc: eve@example.com\r\n.\r\nRCPT TO:<eve@example.com>\r\n".to_owned();
    let line = OrderLine { sku: "M1".into(), name, quantity: 1, unit_price: 625, returned: 0 };
    shop.happens("o-1", &OrderPlaced { lines: vec![line], ..placed("ada") }).await;
    until("mailed", async || !office.mails().is_empty()).await;
    shop.said(2).await;
    let mails = office.mails();
    assert_eq!((mails.len(), &mails[0].to), (1, &vec!["ada@example.com".to_owned()]));
    let headers = mails[0].text.split("\r\n\r\n").next().unwrap();
    assert!(!headers.to_lowercase().contains("bcc"), "{headers}");
}
