//! Calling off, sending back, mail, and what can be read of it all.

use contracts::common::{Card, LineRequest, Page};
use contracts::notification::{GetPreferenceRequest, SetPreferenceRequest};
use contracts::order::{CancelOrderRequest, OrderStatus, PlaceOrderRequest, ReturnOrderRequest};
use contracts::query::{
    GetOrderRequest, GetProductsRequest, GetTimelinesRequest, ListNotificationsRequest, ListReadModelsRequest,
    ListSalesRequest, RebuildReadModelRequest,
};
use platform::grpc::Identity;
use tonic::Code::{Aborted, InvalidArgument, NotFound, Ok as Fine, PermissionDenied, Unauthenticated};

use super::{Desk, key, line};
use crate::bad_input::hostile::Hostile;
use crate::bad_input::{PATIENCE, PLENTY};
use crate::servers;

/// Longest reason that the order service takes, in characters.
const REASON: usize = 500;

/// What the order service takes as a reason: nothing at all, or a line without the spaces around it.
fn is_reason(text: &Hostile) -> bool {
    let trimmed = text.text.trim();
    trimmed.is_empty() || line(&Hostile { text: trimmed.into(), ..text.clone() }, REASON) == Fine
}

impl Desk {
    /// Places an order that is paid at once, and waits until it has arrived.
    pub(super) async fn delivered(&mut self, quantity: i64) -> String {
        let place = PlaceOrderRequest {
            customer_id: "c-1".into(),
            lines: vec![LineRequest { sku: PLENTY.into(), quantity }],
            card: Some(Card { token: "tok_approve_4242".into(), last4: "4242".into() }),
            ..PlaceOrderRequest::default()
        };
        let placed = self.orders.place_order(self.ask(place)).await.expect("is taken");
        let id = placed.into_inner().id;
        self.until(&id, |order| order.status() == OrderStatus::Delivered).await;
        id
    }

    async fn until(&mut self, id: &str, wanted: impl Fn(&contracts::order::Order) -> bool) {
        let mut query = self.query.clone();
        let mut last = None;
        let there = servers::until("the order is as it should be", PATIENCE, async || {
            let asked = GetOrderRequest { id: id.to_owned(), ..GetOrderRequest::default() };
            last = query.get_order(self.ask(asked)).await.ok().and_then(|found| found.into_inner().order);
            Ok(last.as_ref().filter(|order| wanted(order)).map(drop))
        });
        there.await.unwrap_or_else(|error| panic!("{error}: {last:?}"));
    }

    async fn cancel(&mut self, what: &str, wanted: tonic::Code, change: impl FnOnce(&mut CancelOrderRequest)) {
        let mut request = CancelOrderRequest { order_id: "nobody-s".into(), ..CancelOrderRequest::default() };
        change(&mut request);
        let answer = self.orders.cancel_order(self.ask(request)).await;
        self.judge(&format!("CancelOrder, {what}"), wanted, answer);
    }

    async fn send_back(&mut self, what: &str, wanted: tonic::Code, change: impl FnOnce(&mut ReturnOrderRequest)) {
        let mut request = ReturnOrderRequest { order_id: "nobody-s".into(), ..ReturnOrderRequest::default() };
        change(&mut request);
        let answer = self.orders.return_order(self.ask(request)).await;
        self.judge(&format!("ReturnOrder, {what}"), wanted, answer);
    }

    pub(super) async fn after_sale(&mut self, text: &Hostile) {
        let said = |field: &str| format!("{field} = {}", text.name);
        let value = || text.text.clone();
        let right = |right: bool| if right { NotFound } else { InvalidArgument };
        // Of its own, or it would be another command's.
        let own = |what: &str| Hostile { text: format!("{}{what}", text.text), ..text.clone() };
        self.cancel(&said("order_id"), NotFound, |request| request.order_id = value()).await;
        self.cancel(&said("reason"), right(is_reason(text)), |request| request.reason = value()).await;
        let id = own("cancel");
        self.cancel(&said("command_id"), right(line(&id, 400) == Fine), |request| request.command_id = id.text).await;
        self.send_back(&said("order_id"), NotFound, |request| request.order_id = value()).await;
        self.send_back(&said("reason"), right(is_reason(text)), |request| request.reason = value()).await;
        let id = own("return");
        self.send_back(&said("command_id"), right(line(&id, 400) == Fine), |request| request.command_id = id.text)
            .await;
        let lines = vec![LineRequest { sku: value(), quantity: 1 }];
        self.send_back(&said("sku"), key(text, NotFound), |request| request.lines = lines).await;

        let answer = self.notifications.get_preference(self.ask(GetPreferenceRequest { customer_id: value() })).await;
        self.judge(&said("GetPreference, customer_id"), line(text, 100), answer);
        let set = SetPreferenceRequest { customer_id: value(), mail: 1, command_id: String::new() };
        let answer = self.notifications.set_preference(self.ask(set)).await;
        self.judge(&said("SetPreference, customer_id"), line(text, 100), answer);
        let id = own("mail");
        let wanted = line(&id, 400);
        let set = SetPreferenceRequest { customer_id: "c-1".into(), mail: 1, command_id: id.text };
        let answer = self.notifications.set_preference(self.ask(set)).await;
        self.judge(&said("SetPreference, command_id"), wanted, answer);

        let order = GetOrderRequest { id: value(), at: Some(1), ..GetOrderRequest::default() };
        let answer = self.query.get_order(self.ask(order)).await;
        self.judge(&said("GetOrder at, id"), key(text, NotFound), answer);
        let asked = GetTimelinesRequest { order_ids: vec!["nobody-s".into(), value()] };
        let answer = self.query.get_timelines(self.ask(asked)).await;
        self.judge(&said("GetTimelines, order_ids"), key(text, Fine), answer);
        let answer = self.query.get_products(GetProductsRequest { skus: vec![PLENTY.into(), value()] }).await;
        self.judge(&said("GetProducts, skus"), key(text, Fine), answer);
        let page = Some(Page { first: 1, after: Some(value()) });
        let told = ListNotificationsRequest { customer_id: String::new(), page };
        let answer = self.query.list_notifications(self.ask(told)).await;
        self.judge(&said("ListNotifications, after"), InvalidArgument, answer);
        let answer = self.query.rebuild_read_model(self.ask(RebuildReadModelRequest { name: value() })).await;
        self.judge(&said("RebuildReadModel, name"), NotFound, answer);
    }

    /// Of one order that has arrived.
    pub(super) async fn returns(&mut self) {
        let id = self.delivered(3).await;
        let goods = |sku: &str, quantity| LineRequest { sku: sku.into(), quantity };
        let mut cases = vec![
            ("4 of 3", Aborted, vec![goods(PLENTY, 4)]),
            ("2 and 2 of 3", Aborted, vec![goods(PLENTY, 2), goods(PLENTY, 2)]),
            ("all there is", Aborted, vec![goods(PLENTY, i64::MAX), goods(PLENTY, i64::MAX)]),
            ("too much of what is not in it", InvalidArgument, vec![goods("NOT-IN-IT", i64::MAX)]),
            ("501 lines", InvalidArgument, vec![goods(PLENTY, 1); 501]),
        ];
        cases.extend([0, -1, i64::MIN].map(|quantity| ("none", InvalidArgument, vec![goods(PLENTY, quantity)])));
        cases.push(("one and less than none", InvalidArgument, vec![goods(PLENTY, 1), goods(PLENTY, -1)]));
        for (what, wanted, lines) in cases {
            self.send_back(what, wanted, |request| (request.order_id, request.lines) = (id.clone(), lines)).await;
        }
        self.cancel("what has arrived", Aborted, |request| request.order_id = id.clone()).await;
        let lines = vec![goods(PLENTY, 2)];
        let reason = "' OR '1'='1 <script>alert(1)</script>".to_owned();
        self.send_back("two", Fine, |request| {
            (request.order_id, request.lines, request.reason) = (id.clone(), lines, reason);
        })
        .await;
        self.until(&id, |order| order.lines[0].returned == 2 && !order.unwinding).await;
        self.send_back("two of the last", Aborted, |request| {
            (request.order_id, request.lines) = (id.clone(), vec![goods(PLENTY, 2)]);
        })
        .await;
        self.send_back("the rest", Fine, |request| request.order_id = id.clone()).await;
        self.until(&id, |order| order.status() == OrderStatus::Refunded).await;
        self.send_back("what is back", Aborted, |request| request.order_id = id).await;
    }

    /// Numbers and moments of what is read.
    pub(super) async fn reports(&mut self) {
        for mail in [0, -1, 4, i32::MAX, i32::MIN] {
            let set = SetPreferenceRequest { customer_id: "c-1".into(), mail, command_id: String::new() };
            let answer = self.notifications.set_preference(self.ask(set)).await;
            self.judge(&format!("SetPreference, mail {mail}"), InvalidArgument, answer);
        }
        for (first, wanted) in [
            (0, InvalidArgument),
            (-1, InvalidArgument),
            (1_441, InvalidArgument),
            (i32::MAX, InvalidArgument),
            (i32::MIN, InvalidArgument),
            (1_440, Fine),
        ] {
            let sales = ListSalesRequest { from: None, to: None, first };
            let answer = self.query.list_sales(self.ask(sales)).await;
            self.judge(&format!("ListSales, first {first}"), wanted, answer);
        }
        let moments = [i64::MIN, -1, 0, 253_402_300_800_000, i64::MAX];
        for from in moments {
            for to in moments {
                let sales = ListSalesRequest { from: Some(from), to: Some(to), first: 1 };
                let answer = self.query.list_sales(self.ask(sales)).await;
                self.judge(&format!("ListSales, {from} to {to}"), Fine, answer);
            }
        }
        for at in moments {
            let asked =
                |min_version| GetOrderRequest { id: "nobody-s".into(), min_version, with_timeline: true, at: Some(at) };
            let answer = self.query.get_order(self.ask(asked(None))).await;
            self.judge(&format!("GetOrder, at {at}"), NotFound, answer);
            let answer = self.query.get_order(self.ask(asked(Some(1)))).await;
            self.judge(&format!("GetOrder, at {at} and min_version"), InvalidArgument, answer);
        }
        let many = |count: usize| (0..count).map(|n| format!("S-{n}")).collect::<Vec<_>>();
        for (count, wanted) in [(0, Fine), (1_000, Fine), (1_001, InvalidArgument)] {
            let answer = self.query.get_products(GetProductsRequest { skus: many(count) }).await;
            self.judge(&format!("GetProducts, {count}"), wanted, answer);
            let answer = self.query.get_timelines(self.ask(GetTimelinesRequest { order_ids: many(count) })).await;
            self.judge(&format!("GetTimelines, {count}"), wanted, answer);
        }
    }

    /// Whose order, whose preference, whose report.
    pub(super) async fn strangers(&mut self) {
        let customer = Identity { account: "c-2".into(), operator: false };
        let id = self.delivered(1).await;
        macro_rules! of {
            ($method:ident of $client:ident, $what:expr, $nobody:expr, $stranger:expr) => {{
                let answer = self.$client.$method($what).await;
                self.judge(concat!(stringify!($method), " of nobody"), $nobody, answer);
                let answer = self.$client.$method(customer.request($what).expect("plain")).await;
                self.judge(concat!(stringify!($method), " of a stranger"), $stranger, answer);
            }};
        }
        let cancel = CancelOrderRequest { order_id: id.clone(), ..CancelOrderRequest::default() };
        of!(cancel_order of orders, cancel.clone(), Unauthenticated, NotFound);
        let back = ReturnOrderRequest { order_id: id.clone(), ..ReturnOrderRequest::default() };
        of!(return_order of orders, back.clone(), Unauthenticated, NotFound);
        let order = GetOrderRequest { id: id.clone(), ..GetOrderRequest::default() };
        of!(get_order of query, order.clone(), Unauthenticated, NotFound);
        let was = GetOrderRequest { at: Some(i64::MAX), ..order };
        of!(get_order of query, was.clone(), Unauthenticated, NotFound);
        let asked = GetPreferenceRequest { customer_id: "c-1".into() };
        of!(get_preference of notifications, asked.clone(), Unauthenticated, PermissionDenied);
        let set = SetPreferenceRequest { customer_id: "c-1".into(), mail: 3, command_id: String::new() };
        of!(set_preference of notifications, set.clone(), Unauthenticated, PermissionDenied);
        of!(list_sales of query, ListSalesRequest { first: 1, from: None, to: None }, Unauthenticated, PermissionDenied);
        of!(list_read_models of query, ListReadModelsRequest {}, Unauthenticated, PermissionDenied);
        let rebuild = RebuildReadModelRequest { name: "orders".into() };
        of!(rebuild_read_model of query, rebuild.clone(), Unauthenticated, PermissionDenied);
        // A timeline of somebody else's is as empty as one of nobody's.
        let asked = customer.request(GetTimelinesRequest { order_ids: vec![id.clone()] }).expect("plain");
        let told = self.query.get_timelines(asked).await.expect("answers").into_inner();
        assert!(told.timelines.iter().all(|timeline| timeline.entries.is_empty()), "{told:?}");
        self.until(&id, |order| order.status() == OrderStatus::Delivered && !order.unwinding).await;
        self.operators_only(&customer).await;
    }
}
