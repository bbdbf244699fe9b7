//! Calling an order off: a page that says what will happen, with a form of its own.
//!
//! A page and not a button, so that nothing is called off by a slip, and so that the order's page
//! may go on changing meanwhile. The form carries an *idempotency key*: sent twice it counts once.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use gateway::api::{CancelOrder, OrderWithTimeline};

use super::order::{changed, look_up, now};
use super::{LONGEST_REASON, fresh_key, log_in_first, reason};
use crate::Shop;
use crate::error::{PageError, status};
use crate::form::{Form, Segment};
use crate::layout::{Shell, page};
use crate::mistakes::Mistakes;
use crate::order_view::{OrderView, path};
use crate::session::Visitor;

#[derive(Template)]
#[template(path = "cancel.html")]
struct CancelPage {
    shell: Shell,
    order: OrderView,
    /// What will happen; `None` if it has become too late, and no form is shown.
    consequence: Option<&'static str>,
    key: String,
    reason: String,
    longest_reason: usize,
    mistakes: Mistakes,
}

impl CancelPage {
    fn new(shop: &Shop, visitor: &Visitor, found: &OrderWithTimeline) -> Self {
        let order = OrderView::of(found, now(shop));
        Self {
            shell: visitor.shell(),
            consequence: order.actions.cancel,
            order,
            key: fresh_key(),
            reason: String::new(),
            longest_reason: LONGEST_REASON,
            mistakes: Mistakes::default(),
        }
    }
}

/// `GET /orders/{id}/cancel`. An order that cannot be cancelled says so on its own page.
pub(crate) async fn show(
    State(shop): State<Shop>,
    visitor: Visitor,
    Segment(id): Segment,
) -> Result<Response, PageError> {
    if !visitor.is_logged_in() {
        return Ok(log_in_first(&path(&id)));
    }
    let form = CancelPage::new(&shop, &visitor, &look_up(&shop, &visitor, &id).await?);
    if form.consequence.is_none() {
        return Ok(Redirect::to(&form.order.path).into_response());
    }
    Ok(page(StatusCode::OK, &form))
}

/// `POST /orders/{id}/cancel`.
pub(crate) async fn cancel(
    State(shop): State<Shop>,
    visitor: Visitor,
    Segment(id): Segment,
    Form(form): Form,
) -> Result<Response, PageError> {
    if !visitor.is_logged_in() {
        return Ok(log_in_first(&path(&id)));
    }
    let key = form.bounded("key", 128)?;
    let (code, mistakes, unknown) = match reason(&form) {
        Err(mistakes) => (StatusCode::BAD_REQUEST, mistakes, false),
        Ok(reason) => {
            let command = CancelOrder { order_id: id.clone(), reason, idempotency_key: key.map(str::to_owned) };
            match shop.api.cancel_order(&visitor.caller, command).await {
                Ok(order) => return Ok(changed(&order)),
                Err(error) => (status(error.code), Mistakes::from(&error), error.code.is_unavailability()),
            }
        }
    };
    let mut again = CancelPage::new(&shop, &visitor, &look_up(&shop, &visitor, &id).await?);
    again.mistakes = mistakes;
    again.reason = form.optional("reason").unwrap_or_default().to_owned();
    if let Some(key) = key.filter(|_| unknown) {
        // Whether it was done is not known: the same key, so that it is done once.
        again.key = key.to_owned();
    }
    Ok(page(code, &again))
}
