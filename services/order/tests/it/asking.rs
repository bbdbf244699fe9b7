//! What customers may ask about whose orders, and in which words.

use platform::grpc::Identity;
use tonic::Code;

use crate::roads::{confirmed, delivered};
use crate::shop::{Shop, ada, lines};

fn eve() -> Identity {
    Identity { account: "eve".into(), operator: false }
}

fn operator() -> Identity {
    Identity { account: "shopkeeper".into(), operator: true }
}

#[tokio::test]
async fn another_customer_s_order_does_not_exist() {
    let mut shop = Shop::open().await;
    let order = delivered(&mut shop).await;
    for refused in [
        shop.cancel(&eve(), "", &order.id, "").await,
        shop.give_back(&eve(), "", &order.id, vec![]).await,
        shop.pay(&eve(), &order.id).await,
        // Nor does one that nobody has placed, or could have.
        shop.cancel(&ada(), "", "0190-none", "").await,
        shop.give_back(&ada(), "", "../orders", vec![]).await,
        shop.cancel(&operator(), "", "", "").await,
    ] {
        assert_eq!(refused.unwrap_err().code(), Code::NotFound);
    }
    let answer = shop.give_back(&operator(), "", &order.id, vec![]).await.unwrap();
    assert!(answer.unwinding);
}

#[tokio::test]
async fn a_cancellation_asked_for_again_is_answered_as_the_first_time() {
    let mut shop = Shop::open().await;
    let order = confirmed(&mut shop).await;
    let first = shop.cancel(&ada(), "key", &order.id, "too slow").await.unwrap();
    assert_eq!(shop.cancel(&ada(), "key", &order.id, " too slow ").await.unwrap(), first);
    assert_eq!(shop.events().await, ["OrderRefundRequested"]);
    let other = shop.cancel(&ada(), "key", &order.id, "too dear").await.unwrap_err();
    assert_eq!(other.code(), Code::Aborted, "the key was used for another request");
    // With another key it is asked anew, and changes nothing.
    let again = shop.cancel(&ada(), "another key", &order.id, "too dear").await.unwrap();
    assert_eq!((again.version, again.status_reason.as_str()), (first.version, "being cancelled: too slow"));
}

#[tokio::test]
async fn a_return_asked_for_again_is_one_return() {
    let mut shop = Shop::open().await;
    let order = delivered(&mut shop).await;
    let first = shop.give_back(&ada(), "key", &order.id, lines(&[("CUP", 1)])).await.unwrap();
    assert_eq!(shop.give_back(&ada(), "key", &order.id, lines(&[("CUP", 1)])).await.unwrap(), first);
    let other = shop.give_back(&ada(), "key", &order.id, vec![]).await.unwrap_err();
    assert_eq!(other.code(), Code::Aborted);
    let other = shop.give_back(&ada(), "another key", &order.id, lines(&[("CUP", 1)])).await.unwrap_err();
    assert_eq!(other.code(), Code::Aborted);
    assert!(other.message().contains("under way"), "{other}");
}

#[tokio::test]
async fn a_request_that_is_wrong_in_itself_is_refused_before_anything_is_decided() {
    let mut shop = Shop::open().await;
    let order = delivered(&mut shop).await;
    for reason in ["x".repeat(501), "two\nlines".into(), "a nul \0".into()] {
        let refused = shop.cancel(&ada(), "", &order.id, &reason).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{reason:?}");
    }
    for wrong in [
        lines(&[("CUP", 0)]),
        lines(&[("CUP", -1)]),
        lines(&[("MUG", 1)]),
        lines(&[("..", 1)]),
        lines(&[("", 1)]),
        lines(&[("CUP", 1); 501]),
    ] {
        let refused = shop.give_back(&ada(), "", &order.id, wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    let refused = shop.give_back(&ada(), "", &order.id, lines(&[("CUP", 2), ("CUP", 1)])).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Aborted, "2 of CUP can still be returned, not more"));
    let refused = shop.cancel(&ada(), "", &order.id, "").await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Aborted, "the order has arrived; return it instead"));
    assert_eq!(shop.breaches().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_caller_without_a_name_is_not_let_in() {
    use contracts::order::orders_server::Orders as _;
    use contracts::order::{CancelOrderRequest, ReturnOrderRequest};
    let shop = Shop::open().await;
    let refused = shop.server().cancel_order(tonic::Request::new(CancelOrderRequest::default())).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused = shop.server().return_order(tonic::Request::new(ReturnOrderRequest::default())).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}
