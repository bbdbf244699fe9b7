//! One order's page: as it is, live, and as it was at any moment of its past.
//!
//! *Read your own writes*: placing, paying, cancelling and returning lead to the page with the
//! version they made, and the page waits for the read model to have seen it. If that takes long, a
//! page says so and looks again by itself.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use futures_util::future::try_join;
use gateway::api::{Order, OrderWithTimeline, TimelineEntry};

use super::{fresh_key, log_in_first};
use crate::Shop;
use crate::cards::TEST_CARDS;
use crate::error::PageError;
use crate::fields::whole_number;
use crate::form::{Query, Segment};
use crate::layout::{Shell, page};
use crate::mistakes::Mistakes;
use crate::order_view::{Actions, OrderView, path};
use crate::session::Visitor;
use crate::when;

/// The parts that change while one looks; also sent live, alone.
#[derive(Template)]
#[template(path = "_order_live.html")]
pub(crate) struct LivePart {
    pub(crate) shell: Shell,
    pub(crate) order: OrderView,
    /// Idempotency key of the form to pay.
    pub(crate) key: String,
    /// The card that is marked.
    pub(crate) chosen: String,
    /// Cards may be put off; not here.
    pub(crate) later: bool,
    pub(crate) mistakes: Mistakes,
    /// Set while the order is looked at as it was.
    pub(crate) past: Option<Past>,
}

/// A moment of the past, and the ways from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Past {
    /// Unix milliseconds.
    pub(crate) at: i64,
    pub(crate) at_text: String,
    pub(crate) at_machine: String,
    /// The moment before at which something happened, if there is one: Unix milliseconds.
    pub(crate) earlier: Option<i64>,
    /// The moment after.
    pub(crate) later: Option<i64>,
}

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage {
    shell: Shell,
    order: OrderView,
    key: String,
    chosen: String,
    later: bool,
    mistakes: Mistakes,
    past: Option<Past>,
}

impl LivePart {
    /// The live part of an order's page, for this visitor, at this time.
    pub(crate) fn new(visitor: &Visitor, found: &OrderWithTimeline, now: DateTime<Utc>) -> Self {
        Self {
            shell: visitor.shell(),
            order: OrderView::of(found, now),
            key: fresh_key(),
            chosen: TEST_CARDS[0].number.to_owned(),
            later: false,
            mistakes: Mistakes::default(),
            past: None,
        }
    }

    /// The whole page around it.
    pub(crate) fn into_page(self, status: StatusCode) -> Response {
        let Self { shell, order, key, chosen, later, mistakes, past } = self;
        page(status, &OrderPage { shell, order, key, chosen, later, mistakes, past })
    }
}

/// `GET /orders/{id}`: `?version=` is the least that it must show, `?at=` (Unix milliseconds) a
/// moment of its past.
pub(crate) async fn show(
    State(shop): State<Shop>,
    visitor: Visitor,
    Segment(id): Segment,
    Query(query): Query,
) -> Result<Response, PageError> {
    if !visitor.is_logged_in() {
        return Ok(log_in_first(&path(&id)));
    }
    let number = |name, wrong| {
        let text = query.optional(name);
        text.map(|text| whole_number(text).ok_or_else(|| PageError::bad_request(wrong))).transpose()
    };
    let version = number("version", "The address names no version of the order.")?;
    if let Some(at) = number("at", "The address names no moment of the order.")? {
        return show_past(&shop, &visitor, &id, at).await;
    }
    let found = shop.api.order_with_timeline(&visitor.caller, &id, version).await?.ok_or_else(not_found)?;
    Ok(LivePart::new(&visitor, &found, now(&shop)).into_page(StatusCode::OK))
}

/// The order folded from what had happened by then. Nothing is offered there, and nothing runs.
async fn show_past(shop: &Shop, visitor: &Visitor, id: &str, at: i64) -> Result<Response, PageError> {
    let then = shop.api.order_at(&visitor.caller, id, at);
    let now = shop.api.order_with_timeline(&visitor.caller, id, None);
    let (then, now) = try_join(then, now).await?;
    let now = now.ok_or_else(not_found)?;
    let then = then.ok_or_else(|| PageError::not_found("The order had not been placed yet at that moment."))?;
    let mut part = LivePart::new(visitor, &then, when::from_millis(at));
    part.order.actions = Actions::NONE;
    part.order.moving = false;
    part.past = Some(Past::of(at, &now.timeline));
    Ok(part.into_page(StatusCode::OK))
}

impl Past {
    fn of(at: i64, timeline: &[TimelineEntry]) -> Self {
        let moments = || timeline.iter().map(|entry| entry.at.timestamp_millis());
        // The moment shown is the one of the last event by then, so the one before that is earlier.
        let shown = moments().filter(|moment| *moment <= at).max();
        Self {
            at,
            at_text: when::moment(when::from_millis(at)),
            at_machine: when::machine(when::from_millis(at)),
            earlier: moments().filter(|moment| Some(*moment) < shown).max(),
            later: moments().filter(|moment| *moment > at).min(),
        }
    }
}

/// The order, for a visitor who is about to do something with it.
pub(crate) async fn look_up(shop: &Shop, visitor: &Visitor, id: &str) -> Result<OrderWithTimeline, PageError> {
    shop.api.order_with_timeline(&visitor.caller, id, None).await?.ok_or_else(not_found)
}

/// On to the page of an order that was just changed, as it is from that change on.
pub(crate) fn changed(order: &Order) -> Response {
    Redirect::to(&format!("{}?version={}", path(&order.id), order.version)).into_response()
}

/// Nobody learns whether an order of somebody else exists.
pub(crate) fn not_found() -> PageError {
    PageError::not_found("You have no such order.")
}

pub(crate) fn now(shop: &Shop) -> DateTime<Utc> {
    when::from_millis(shop.options.clock.now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(at: i64) -> TimelineEntry {
        TimelineEntry {
            at: when::from_millis(at),
            service: "order".into(),
            kind: "OrderPlaced".into(),
            summary: String::new(),
            event_id: at.to_string(),
        }
    }

    #[test]
    fn from_a_moment_of_the_past_the_ways_lead_to_the_moments_beside_it() {
        let timeline = [10, 20, 20, 30].map(told);
        let ways = |at| {
            let past = Past::of(at, &timeline);
            (past.earlier, past.later)
        };
        assert_eq!(ways(10), (None, Some(20)));
        assert_eq!(ways(20), (Some(10), Some(30)));
        assert_eq!(ways(25), (Some(10), Some(30)));
        assert_eq!(ways(30), (Some(20), None));
        assert_eq!(ways(99), (Some(20), None));
        assert_eq!(ways(5), (None, Some(10)));
    }
}
