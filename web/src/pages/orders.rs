//! A customer's orders as a list, narrowed by status; an operator sees everybody's.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use gateway::api::{Order, OrderStatus};
use platform::money;

use super::{customer, log_in_first, next_page};
use crate::Shop;
use crate::error::PageError;
use crate::form::Query;
use crate::layout::{Shell, page};
use crate::order_view::{Badge, badge, number, path};
use crate::session::Visitor;
use crate::when;

const PAGE: i32 = 20;

struct RowView {
    path: String,
    /// "Enamel mug and 2 more".
    what: String,
    number: String,
    badge: Badge,
    /// A cancellation or a return is under way.
    unwinding: bool,
    placed: String,
    placed_machine: String,
    total: String,
    /// Whose it is, where one sees other people's.
    customer: Option<String>,
}

impl RowView {
    fn of(order: &Order, for_operator: bool) -> Self {
        let first = order.lines.first().map_or("Nothing", |line| &line.name);
        let what = match order.lines.len() {
            0 | 1 => first.to_owned(),
            lines => format!("{first} and {} more", lines - 1),
        };
        Self {
            path: path(&order.id),
            what,
            number: number(&order.id),
            badge: badge(order.status),
            unwinding: order.unwinding,
            placed: when::date_and_time(order.placed_at),
            placed_machine: when::machine(order.placed_at),
            total: money::format(order.total.amount, &order.total.currency),
            customer: for_operator.then(|| customer(&order.customer_id)),
        }
    }
}

/// A way to narrow the list.
struct Filter {
    path: String,
    text: &'static str,
    current: bool,
}

#[derive(Template)]
#[template(path = "orders.html")]
struct OrdersPage {
    shell: Shell,
    orders: Vec<RowView>,
    filters: Vec<Filter>,
    /// What it is narrowed to, in a word or two.
    filtered: Option<&'static str>,
    total: i64,
    /// Not the first page.
    further: bool,
    /// Where this list begins.
    start: String,
    next: Option<String>,
}

/// `GET /orders`: `?status=` narrows, `?after=` goes on.
pub(crate) async fn list(
    State(shop): State<Shop>,
    visitor: Visitor,
    Query(query): Query,
) -> Result<Response, PageError> {
    if !visitor.is_logged_in() {
        return Ok(log_in_first("/orders"));
    }
    let after = query.optional("after");
    let status = query.optional("status").map(status_named).transpose()?;
    let found = shop.api.orders(&visitor.caller, PAGE, after, status).await?;
    let filter = status.map(|status| ("status", status.as_str()));
    let for_operator = visitor.caller.is_operator();
    let shown = OrdersPage {
        shell: visitor.shell(),
        orders: found.nodes().map(|order| RowView::of(order, for_operator)).collect(),
        filters: filters(status),
        filtered: status.map(|status| badge(status).text),
        total: found.total,
        further: after.is_some(),
        start: narrowed_to(status),
        next: next_page("/orders", filter, found.has_next_page, found.end_cursor()),
    };
    Ok(page(StatusCode::OK, &shown))
}

fn status_named(name: &str) -> Result<OrderStatus, PageError> {
    let found = OrderStatus::ALL.into_iter().find(|status| status.as_str() == name);
    found.ok_or_else(|| PageError::bad_request("Orders have no such status."))
}

fn filters(current: Option<OrderStatus>) -> Vec<Filter> {
    let one = |status: Option<OrderStatus>| Filter {
        path: narrowed_to(status),
        text: status.map_or("All", |status| badge(status).text),
        current: current == status,
    };
    std::iter::once(None).chain(OrderStatus::ALL.map(Some)).map(one).collect()
}

fn narrowed_to(status: Option<OrderStatus>) -> String {
    status.map_or_else(|| "/orders".to_owned(), |status| format!("/orders?status={}", status.as_str()))
}
