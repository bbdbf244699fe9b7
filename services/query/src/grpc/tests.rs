//! The server over a real store: who sees what, paging, and waiting for versions.

mod operating;

use std::time::Duration;

use contracts::common::Page;
use contracts::order::{OrderAwaitingPayment, OrderPaid};
use contracts::query::Notification;
use platform::error::Code;
use platform::message::Envelope;
use tonic::Code as Grpc;

use super::*;
use crate::NOTICES;
use crate::specimens::{self, NOW, Served, envelope, fold, placed, product, serve, store};

fn ask<T>(account: &str, message: T) -> Request<T> {
    Identity { account: account.into(), operator: false }.request(message).expect("a request")
}

fn operator<T>(message: T) -> Request<T> {
    Identity { account: "op".into(), operator: true }.request(message).expect("a request")
}

fn order(id: &str, min_version: Option<i64>, with_timeline: bool) -> GetOrderRequest {
    GetOrderRequest { id: id.into(), min_version, with_timeline, at: None }
}

fn page(first: i32, after: Option<String>) -> Option<Page> {
    Some(Page { first, after })
}

fn orders(customer_id: &str, page: Option<Page>) -> ListOrdersRequest {
    ListOrdersRequest { customer_id: customer_id.into(), status: 0, page }
}

fn refusal<T>(answer: Result<T, Status>) -> Grpc {
    answer.map(|_| ()).expect_err("a refusal").code()
}

fn placed_for(id: &str, customer: &str) -> Envelope {
    envelope("/order", id, 1, id, &placed(customer))
}

/// What the loop does after a commit.
async fn announce(bus: &dyn platform::bus::Bus, announcements: Vec<(&str, String)>) {
    let bodies: Vec<String> = announcements.into_iter().map(|(_, body)| body).collect();
    bus.announce(NOTICES, &bodies).await.expect("announces");
}

#[tokio::test]
async fn a_customer_sees_their_own_order_and_nobody_else_s() {
    let (_folder, db) = store().await;
    fold(&db, &specimens::one_of_each()).await;
    let Served { server, .. } = &serve(&db).await;
    let mine = server.get_order(ask("ada", order("o-1", None, true))).await.expect("ada's own").into_inner();
    let shown = mine.order.expect("an order");
    assert_eq!((shown.status(), shown.version, shown.lines.len()), (OrderStatus::Delivered, 23, 1));
    assert_eq!(shown.total.map(|total| total.amount), Some(2_500));
    assert_eq!(mine.timeline.len(), 36);
    assert!(
        server
            .get_order(operator(order("o-1", None, false)))
            .await
            .expect("an operator's")
            .into_inner()
            .timeline
            .is_empty()
    );
    for asked in [order("o-1", None, true), order("o-1", Some(1), false), order("o-2", None, false)] {
        assert_eq!(refusal(server.get_order(ask("bob", asked)).await), Grpc::NotFound);
    }
    assert_eq!(refusal(server.get_order(Request::new(order("o-1", None, false))).await), Grpc::Unauthenticated);
}

#[tokio::test]
async fn a_customer_lists_their_own_whoever_they_name() {
    let (_folder, db) = store().await;
    fold(&db, &[placed_for("o-1", "ada"), placed_for("o-2", "bob")]).await;
    let Served { server, .. } = &serve(&db).await;
    let ids = |page: Response<OrderPage>| -> Vec<String> {
        page.into_inner().edges.into_iter().filter_map(|edge| Some(edge.node?.id)).collect()
    };
    assert_eq!(ids(server.list_orders(ask("ada", orders("bob", page(9, None)))).await.expect("lists")), ["o-1"]);
    assert_eq!(ids(server.list_orders(operator(orders("bob", page(9, None)))).await.expect("lists")), ["o-2"]);
    assert_eq!(ids(server.list_orders(operator(orders("", page(9, None)))).await.expect("lists")), ["o-2", "o-1"]);
}

#[tokio::test]
async fn pages_follow_one_another_by_their_cursors() {
    let (_folder, db) = store().await;
    let messages: Vec<_> = (0..5)
        .map(|n| format!("S-{n}"))
        .map(|sku| envelope("/inventory", &sku, 1, &sku, &product(&sku, if sku == "S-4" { "A mug" } else { "B mug" })))
        .collect();
    fold(&db, &messages).await;
    let Served { server, .. } = &serve(&db).await;
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let request = ListProductsRequest { search: "Mug".into(), page: page(2, after.take()) };
        let answer = server.list_products(Request::new(request)).await.expect("lists").into_inner();
        assert_eq!(answer.total, 5);
        after = answer.edges.last().map(|edge| edge.cursor.clone());
        seen.extend(answer.edges.into_iter().filter_map(|edge| Some(edge.node?.sku)));
        if !answer.has_next {
            break;
        }
    }
    assert_eq!(seen, ["S-4", "S-0", "S-1", "S-2", "S-3"]);
}

#[tokio::test]
async fn bad_requests_are_told_so() {
    let (_folder, db) = store().await;
    let Served { server, .. } = &serve(&db).await;
    let bad = [
        ListProductsRequest { search: String::new(), page: None },
        ListProductsRequest { search: String::new(), page: page(0, None) },
        ListProductsRequest { search: String::new(), page: page(101, None) },
        ListProductsRequest { search: String::new(), page: page(-1, None) },
        ListProductsRequest { search: String::new(), page: page(5, Some("nonsense".into())) },
        ListProductsRequest { search: "x".repeat(201), page: page(5, None) },
        ListProductsRequest { search: "nul\0".into(), page: page(5, None) },
    ];
    for request in bad {
        assert_eq!(
            refusal(server.list_products(Request::new(request.clone())).await),
            Grpc::InvalidArgument,
            "{request:?}"
        );
    }
    let wrong = ListOrdersRequest { customer_id: String::new(), status: 99, page: page(5, None) };
    assert_eq!(refusal(server.list_orders(ask("ada", wrong)).await), Grpc::InvalidArgument);
    assert_eq!(refusal(server.get_order(ask("ada", order("o-1", Some(-1), false))).await), Grpc::InvalidArgument);
    assert_eq!(refusal(server.get_order(ask("ada", order("o\0", None, false))).await), Grpc::InvalidArgument);
    assert_eq!(
        refusal(server.get_product(Request::new(GetProductRequest { sku: "NONE".into() })).await),
        Grpc::NotFound
    );
}

#[tokio::test]
async fn every_product_that_is_shown_has_what_is_available() {
    let (_folder, db) = store().await;
    fold(&db, &specimens::one_of_each()).await;
    let Served { server, .. } = &serve(&db).await;
    let product = server.get_product(Request::new(GetProductRequest { sku: "MUG-1".into() })).await.expect("is shown");
    assert_eq!(product.into_inner().available, 8);
}

#[tokio::test]
async fn a_read_waits_for_the_version_that_was_written() {
    let (_folder, db) = store().await;
    let Served { server, bus, .. } = &serve(&db).await;
    let asking = {
        let server = server.clone();
        tokio::spawn(async move { server.get_order(ask("ada", order("o-1", Some(2), true))).await })
    };
    for message in [placed_for("o-1", "ada"), envelope("/order", "o-1", 2, "o-1", &OrderAwaitingPayment {})] {
        let announcements = fold(&db, &[message]).await;
        announce(&**bus, announcements).await;
    }
    let answer = tokio::time::timeout(Duration::from_secs(10), asking).await.expect("in time").expect("no panic");
    let view = answer.expect("an order").into_inner();
    assert_eq!(view.order.map(|order| order.version), Some(2));
    assert_eq!(view.timeline.len(), 2);
}

#[tokio::test]
async fn a_version_that_does_not_come_is_stale_after_two_seconds() {
    let (_folder, db) = store().await;
    fold(&db, &[placed_for("o-1", "ada")]).await;
    let Served { server, clock, .. } = &serve(&db).await;
    for id in ["o-1", "o-not-heard-of"] {
        let server = server.clone();
        let mut asking = tokio::spawn(async move { server.get_order(ask("ada", order(id, Some(2), false))).await });
        let answer = loop {
            // Its deadline is counted from when it began to wait, so the clock is
            // moved until it has passed.
            clock.advance(Duration::from_millis(500));
            tokio::select! {
                answer = &mut asking => break answer.expect("no panic"),
                () = tokio::task::yield_now() => {}
            }
        };
        assert_eq!(refusal(answer), Code::Stale.grpc());
    }
}

#[tokio::test]
async fn notifications_are_for_whom_they_are() {
    let (_folder, db) = store().await;
    fold(&db, &specimens::one_of_each()).await;
    let Served { server, .. } = &serve(&db).await;
    let request = |customer_id: &str| ListNotificationsRequest { customer_id: customer_id.into(), page: page(5, None) };
    let mine = server.list_notifications(ask("ada", request(""))).await.expect("lists").into_inner();
    let node = mine.edges.into_iter().next().and_then(|edge| edge.node);
    let expected = Notification {
        id: "n-1".into(),
        customer_id: "ada".into(),
        order_id: "o-1".into(),
        title: "Your order is confirmed".into(),
        body: "Thank you.".into(),
        at: specimens::NOW + 1,
        topic: "order-confirmed".into(),
        mailed_at: Some(specimens::NOW + 2),
    };
    assert_eq!(node, Some(expected));
    assert_eq!(server.list_notifications(ask("bob", request("ada"))).await.expect("lists").into_inner().total, 0);
    assert_eq!(server.list_notifications(operator(request("ada"))).await.expect("lists").into_inner().total, 1);
}

#[tokio::test]
async fn an_order_is_shown_as_it_was_at_a_past_moment() {
    let (_folder, db) = store().await;
    let paid = OrderPaid { attempt: 1, authorisation_id: "auth_1".into() };
    fold(
        &db,
        &[
            placed_for("o-1", "ada"),
            envelope("/order", "o-1", 2, "o-1", &OrderAwaitingPayment {}),
            envelope("/payment", "o-1", 3, "o-1", &contracts::payment::PaymentAuthorised::default()),
            envelope("/order", "o-1", 3, "o-1", &paid),
        ],
    )
    .await;
    let Served { server, .. } = &serve(&db).await;
    let as_of = |at: i64, caller: &str| {
        let asked = GetOrderRequest { id: "o-1".into(), min_version: None, with_timeline: true, at: Some(at) };
        server.get_order(ask(caller, asked))
    };
    let stood = |view: Response<OrderView>| {
        let OrderView { order, timeline } = view.into_inner();
        let order = order.expect("an order");
        (order.status(), order.version, order.pay_before.is_some(), timeline.len())
    };
    assert_eq!(refusal(as_of(NOW, "ada").await), Grpc::NotFound, "it was not placed yet");
    assert_eq!(stood(as_of(NOW + 1, "ada").await.expect("was placed")), (OrderStatus::Placed, 1, true, 1));
    assert_eq!(stood(as_of(NOW + 2, "ada").await.expect("waited")), (OrderStatus::AwaitingPayment, 2, true, 2));
    assert_eq!(stood(as_of(i64::MAX, "ada").await.expect("was paid")), (OrderStatus::Paid, 3, false, 4));
    assert_eq!(refusal(as_of(i64::MAX, "bob").await), Grpc::NotFound, "nor is it somebody else's");
    // Now and then are the same fold.
    let now = server.get_order(ask("ada", order("o-1", None, false))).await.expect("is there").into_inner().order;
    let then = as_of(NOW + 3, "ada").await.expect("was there").into_inner().order;
    assert_eq!(now, then);
    let both = GetOrderRequest { id: "o-1".into(), min_version: Some(1), with_timeline: false, at: Some(NOW) };
    assert_eq!(refusal(server.get_order(ask("ada", both)).await), Grpc::InvalidArgument);
}

#[tokio::test]
async fn many_timelines_come_in_the_order_of_asking_and_a_customer_s_own_only() {
    let (_folder, db) = store().await;
    fold(
        &db,
        &[
            placed_for("o-1", "ada"),
            placed_for("o-2", "bob"),
            envelope("/order", "o-1", 2, "o-1", &OrderAwaitingPayment {}),
            placed_for("o-3", "ada"),
        ],
    )
    .await;
    let Served { server, .. } = &serve(&db).await;
    let asked = || GetTimelinesRequest { order_ids: ["o-3", "o-2", "none", "o-1", "o-3"].map(str::to_owned).into() };
    let lengths = |reply: Response<GetTimelinesReply>| -> Vec<(String, usize)> {
        reply.into_inner().timelines.into_iter().map(|line| (line.order_id, line.entries.len())).collect()
    };
    let expected = |bobs: usize| {
        [("o-3", 1), ("o-2", bobs), ("none", 0), ("o-1", 2), ("o-3", 1)].map(|(id, n)| (id.to_owned(), n)).to_vec()
    };
    assert_eq!(lengths(server.get_timelines(ask("ada", asked())).await.expect("tells")), expected(0));
    assert_eq!(lengths(server.get_timelines(operator(asked())).await.expect("tells")), expected(1));
    let nothing = GetTimelinesRequest { order_ids: Vec::new() };
    assert_eq!(lengths(server.get_timelines(ask("ada", nothing)).await.expect("tells")), []);
    assert_eq!(refusal(server.get_timelines(Request::new(asked())).await), Grpc::Unauthenticated);
    let too_many = GetTimelinesRequest { order_ids: vec!["o-1".into(); 1_001] };
    assert_eq!(refusal(server.get_timelines(ask("ada", too_many)).await), Grpc::InvalidArgument);
    let dirty = GetTimelinesRequest { order_ids: vec!["o\0".into()] };
    assert_eq!(refusal(server.get_timelines(ask("ada", dirty)).await), Grpc::InvalidArgument);
}

#[tokio::test]
async fn many_products_are_those_that_exist() {
    let (_folder, db) = store().await;
    let messages: Vec<_> = ["S-1", "S-2", "S-3"]
        .into_iter()
        .map(|sku| envelope("/inventory", sku, 1, sku, &product(sku, "A mug")))
        .collect();
    fold(&db, &messages).await;
    let Served { server, .. } = &serve(&db).await;
    let asked = GetProductsRequest { skus: ["S-3", "S-1", "NONE", "S-1"].map(str::to_owned).into() };
    let reply = server.get_products(Request::new(asked)).await.expect("answers").into_inner();
    let mut skus: Vec<_> = reply.products.into_iter().map(|product| product.sku).collect();
    skus.sort();
    assert_eq!(skus, ["S-1", "S-3"]);
    let dirty = GetProductsRequest { skus: vec![String::new()] };
    assert_eq!(refusal(server.get_products(Request::new(dirty)).await), Grpc::InvalidArgument);
}
