//! Messages, and which of them also go out by mail.

use axum::http::StatusCode;
use contracts::notification::MailPreference;
use contracts::query::Notification;

use super::browser::TestShop;

fn message(id: &str, topic: &str, mailed_at: Option<i64>) -> Notification {
    Notification {
        id: id.into(),
        customer_id: "somebody".into(),
        order_id: "019ab3f0-0000-7000-8000-0000003f9a2c".into(),
        title: "A title with <b>marks</b>".into(),
        body: "A body with <script>alert(1)</script>".into(),
        at: 1_795_234_449_120,
        topic: topic.into(),
        mailed_at,
    }
}

#[tokio::test]
async fn a_message_says_what_it_is_about_leads_to_its_order_and_tells_when_it_was_mailed() {
    let shop = TestShop::open().await;
    let mut operator = shop.operator().await;
    assert!(operator.get("/messages").await.text.contains("No messages yet"));
    shop.services.state().notifications =
        vec![message("1", "payment-reminder", Some(1_795_234_509_120)), message("2", "\"><script>", None)];
    let page = operator.get("/messages").await;
    assert!(page.text.contains("Payment reminder") && page.text.contains("sent by mail at"));
    assert!(page.text.contains("21 Nov 2026, 04:15 UTC"));
    assert_eq!(page.text.matches("sent by mail at").count(), 1);
    assert!(page.text.contains("href=\"/orders/019ab3f0-0000-7000-8000-0000003f9a2c\""));
    assert!(!page.text.contains("<script>") && !page.text.contains("<b>marks"));
}

#[tokio::test]
async fn which_messages_go_out_by_mail_is_chosen_by_a_form_and_remembered() {
    let shop = TestShop::open().await;
    let mut ada = shop.browser();
    ada.sign_up("ada@shop.example").await;
    let form = ada.get("/messages").await;
    assert!(form.text.contains("value=\"all\" checked"));
    let key = form.field("key");
    for _ in 0..2 {
        let saved = ada.post("/messages/mail", &[("mail", "essential"), ("key", &key)]).await;
        assert_eq!((saved.status, saved.location()), (StatusCode::SEE_OTHER, "/messages?mail=saved"));
    }
    let page = ada.get("/messages?mail=saved").await;
    assert!(page.text.contains("Saved.") && page.text.contains("value=\"essential\" checked"));
    let kept: Vec<_> = shop.services.state().mail.values().copied().collect();
    assert_eq!(kept, [MailPreference::Essential]);
    for wrong in ["", "some", "ALL"] {
        let refused = ada.post("/messages/mail", &[("mail", wrong), ("key", "k")]).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(refused.text.contains("Choose which messages"));
    }
    let own = std::mem::take(&mut ada.csrf);
    assert_eq!(ada.post("/messages/mail", &[("mail", "none")]).await.status, StatusCode::FORBIDDEN);
    ada.csrf = own;
}

#[tokio::test]
async fn messages_are_there_while_the_notification_service_is_not() {
    let shop = TestShop::open().await;
    let mut operator = shop.operator().await;
    shop.services.state().notifications = vec![message("1", "order-placed", None)];
    let form = operator.get("/messages").await;
    shop.services.state().no_notifications = true;
    let page = operator.get("/messages").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("Order placed") && page.text.contains("cannot be shown or changed just now"));
    assert!(!page.text.contains("id=\"mail\""));
    let refused = operator.post("/messages/mail", &[("mail", "none"), ("key", &form.field("key"))]).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.text.contains("Order placed"), "the messages are still there");
}
