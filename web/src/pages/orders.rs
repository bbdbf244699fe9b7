//! A customer's orders: the list, one order's page, and paying for it.
//!
//! *Read your own writes*: placing and paying lead to the page with the version they made, and
//! the page waits for the read model to have seen it. If that takes long, a page says so and
//! looks again by itself.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use gateway::ApiError;
use gateway::api::{CardNumber, Order, OrderStatus, OrderWithTimeline, PayOrder};

use super::{fresh_key, log_in_first, next_page};
use crate::Shop;
use crate::cards::Choice;
use crate::error::{PageError, sentence, status};
use crate::form::{Form, Query, Segment};
use crate::layout::{Shell, page};
use crate::order_view::{Badge, OrderView, badge, number};
use crate::session::Visitor;
use crate::{money, url, when};

const PAGE: i32 = 20;

struct RowView {
    path: String,
    /// "Enamel mug and 2 more".
    what: String,
    number: String,
    badge: Badge,
    placed: String,
    placed_machine: String,
    total: String,
}

impl From<&Order> for RowView {
    fn from(order: &Order) -> Self {
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
            placed: when::date_and_time(order.placed_at),
            placed_machine: when::machine(order.placed_at),
            total: money::format(order.total.amount, &order.total.currency),
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
    filtered: bool,
    total: i64,
    further: bool,
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
    let shown = OrdersPage {
        shell: visitor.shell(),
        orders: found.nodes().map(RowView::from).collect(),
        filters: filters(status),
        filtered: status.is_some(),
        total: found.total,
        further: after.is_some(),
        next: next_page("/orders", filter, found.has_next_page, found.end_cursor()),
    };
    Ok(page(StatusCode::OK, &shown))
}

fn status_named(name: &str) -> Result<OrderStatus, PageError> {
    let found = OrderStatus::ALL.into_iter().find(|status| status.as_str() == name);
    found.ok_or_else(|| PageError::bad_request("Orders have no such status."))
}

/// The statuses that people look for.
fn filters(current: Option<OrderStatus>) -> Vec<Filter> {
    let offered = [OrderStatus::AwaitingPayment, OrderStatus::Confirmed, OrderStatus::Expired, OrderStatus::Rejected];
    let all = Filter { path: "/orders".to_owned(), text: "All", current: current.is_none() };
    let others = offered.into_iter().map(|status| Filter {
        path: format!("/orders?status={}", status.as_str()),
        text: badge(status).text,
        current: current == Some(status),
    });
    std::iter::once(all).chain(others).collect()
}

/// The parts that change while one looks; also sent live, alone.
#[derive(Template)]
#[template(path = "_order_live.html")]
pub(crate) struct LivePart {
    pub(crate) shell: Shell,
    pub(crate) order: OrderView,
    pub(crate) key: String,
    pub(crate) chosen: String,
    pub(crate) later: bool,
    pub(crate) error: Option<String>,
}

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage {
    shell: Shell,
    order: OrderView,
    key: String,
    chosen: String,
    later: bool,
    error: Option<String>,
}

/// The live part of an order's page, for this visitor, at this time.
pub(crate) fn live_part(visitor: &Visitor, found: &OrderWithTimeline, now: DateTime<Utc>) -> LivePart {
    let order = OrderView::of(found, now);
    LivePart {
        shell: visitor.shell(),
        chosen: order.cards[0].number.to_owned(),
        order,
        key: fresh_key(),
        later: false,
        error: None,
    }
}

/// `GET /orders/{id}`: `?version=` is the least that it must show.
pub(crate) async fn show(
    State(shop): State<Shop>,
    visitor: Visitor,
    Segment(id): Segment,
    Query(query): Query,
) -> Result<Response, PageError> {
    if !visitor.is_logged_in() {
        return Ok(log_in_first(&path(&id)));
    }
    let version = query.optional("version").map(|text| {
        let version = text.parse().ok().filter(|version| *version >= 0);
        version.ok_or_else(|| PageError::bad_request("The address names no version of the order."))
    });
    let found = shop.api.order_with_timeline(&visitor.caller, &id, version.transpose()?).await?;
    let found = found.ok_or_else(not_found)?;
    let part = live_part(&visitor, &found, now(&shop));
    Ok(page(StatusCode::OK, &OrderPage::from(part)))
}

/// `POST /orders/{id}/pay`.
pub(crate) async fn pay(
    State(shop): State<Shop>,
    visitor: Visitor,
    Segment(id): Segment,
    Form(form): Form,
) -> Result<Response, PageError> {
    if !visitor.is_logged_in() {
        return Ok(log_in_first(&path(&id)));
    }
    let key = form.bounded("key", 128)?;
    let answer = match Choice::of(form.optional("card"), form.bounded("card_number", 40)?) {
        Some(Choice::Now(number)) => {
            let command = PayOrder {
                order_id: id.clone(),
                card: CardNumber::from(number),
                idempotency_key: key.map(str::to_owned),
            };
            shop.api.pay_order(&visitor.caller, command).await
        }
        Some(Choice::Later) | None => Err(ApiError::bad_input("choose a card")),
    };
    let error = match answer {
        Ok(order) => {
            let path = format!("{}?version={}", path(&order.id), order.version);
            return Ok(Redirect::to(&path).into_response());
        }
        Err(error) => error,
    };
    // The page again, with what was wrong, and as the order stands now.
    let found = shop.api.order_with_timeline(&visitor.caller, &id, None).await?.ok_or_else(not_found)?;
    let mut part = live_part(&visitor, &found, now(&shop));
    part.error = Some(sentence(&error.message));
    if let Some(key) = key.filter(|_| error.code.is_unavailability()) {
        // Whether it was done is not known: the same key, so that it is done once.
        part.key = key.to_owned();
    }
    Ok(page(status(error.code), &OrderPage::from(part)))
}

impl From<LivePart> for OrderPage {
    fn from(part: LivePart) -> Self {
        let LivePart { shell, order, key, chosen, later, error } = part;
        Self { shell, order, key, chosen, later, error }
    }
}

/// Nobody learns whether an order of somebody else exists.
pub(crate) fn not_found() -> PageError {
    PageError::not_found("You have no such order.")
}

pub(crate) fn now(shop: &Shop) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(shop.options.clock.now()).unwrap_or_default()
}

fn path(id: &str) -> String {
    format!("/orders/{}", url::encode(id))
}
