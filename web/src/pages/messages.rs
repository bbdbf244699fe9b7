//! What the shop told its customer.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use gateway::api::Notification;

use super::{log_in_first, next_page};
use crate::Shop;
use crate::error::PageError;
use crate::form::Query;
use crate::layout::{Shell, page};
use crate::order_view::number;
use crate::session::Visitor;
use crate::{url, when};

const PAGE: i32 = 20;

struct MessageView {
    title: String,
    body: String,
    when: String,
    when_machine: String,
    /// Where the order is, and how it is called.
    order: Option<(String, String)>,
}

impl From<&Notification> for MessageView {
    fn from(message: &Notification) -> Self {
        let id = &message.order_id;
        Self {
            title: message.title.clone(),
            body: message.body.clone(),
            when: when::date_and_time(message.at),
            when_machine: when::machine(message.at),
            order: (!id.is_empty()).then(|| (format!("/orders/{}", url::encode(id)), number(id))),
        }
    }
}

#[derive(Template)]
#[template(path = "messages.html")]
struct MessagesPage {
    shell: Shell,
    messages: Vec<MessageView>,
    further: bool,
    next: Option<String>,
}

/// `GET /messages`.
pub(crate) async fn list(
    State(shop): State<Shop>,
    visitor: Visitor,
    Query(query): Query,
) -> Result<Response, PageError> {
    if !visitor.is_logged_in() {
        return Ok(log_in_first("/messages"));
    }
    let after = query.optional("after");
    let found = shop.api.notifications(&visitor.caller, PAGE, after).await?;
    let shown = MessagesPage {
        shell: visitor.shell(),
        messages: found.nodes().map(MessageView::from).collect(),
        further: after.is_some(),
        next: next_page("/messages", None, found.has_next_page, found.end_cursor()),
    };
    Ok(page(StatusCode::OK, &shown))
}
