//! What the shop told its customer, and which of it also goes out by mail.
//!
//! The messages come from a read model, the preference from the notification service itself. Is
//! that one down, the messages are still here, and only the preference is not.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use gateway::ApiError;
use gateway::api::{MailPreference, Notification};

use super::{customer, fresh_key, log_in_first, next_page};
use crate::Shop;
use crate::error::{PageError, status};
use crate::fields::Fields;
use crate::form::{Form, Query};
use crate::layout::{Shell, page};
use crate::mistakes::Mistakes;
use crate::order_view::{number, path};
use crate::session::Visitor;
use crate::topic::TopicView;
use crate::when;

const PAGE: i32 = 20;

struct MessageView {
    topic: TopicView,
    title: String,
    body: String,
    when: String,
    when_machine: String,
    /// Where the order is, and how it is called.
    order: Option<(String, String)>,
    /// When a mail server took it: for people, and for the `datetime` attribute.
    mailed: Option<(String, String)>,
    /// To whom, where one sees other people's.
    customer: Option<String>,
}

impl MessageView {
    fn of(message: &Notification, for_operator: bool) -> Self {
        let id = &message.order_id;
        let mailed_at = message.mailed_at.map(when::from_millis);
        Self {
            topic: TopicView::of(&message.topic),
            title: message.title.clone(),
            body: message.body.clone(),
            when: when::date_and_time(message.at),
            when_machine: when::machine(message.at),
            order: (!id.is_empty()).then(|| (path(id), number(id))),
            mailed: mailed_at.map(|at| (when::date_and_time(at), when::machine(at))),
            customer: for_operator.then(|| customer(&message.customer_id)),
        }
    }
}

/// One of the preferences, as the form offers it.
struct Choice {
    value: &'static str,
    name: &'static str,
    what: &'static str,
    chosen: bool,
}

const CHOICES: [(MailPreference, &str, &str, &str); 3] = [
    (MailPreference::All, "all", "All of them", "every turn that an order takes"),
    (
        MailPreference::Essential,
        "essential",
        "What matters",
        "what asks for something, is about money, or ends an order without goods",
    ),
    (MailPreference::None, "none", "None", "you read them here"),
];

#[derive(Template)]
#[template(path = "messages.html")]
struct MessagesPage {
    shell: Shell,
    messages: Vec<MessageView>,
    further: bool,
    next: Option<String>,
    /// Empty if the preference cannot be asked for now.
    choices: Vec<Choice>,
    key: String,
    /// The preference was just saved.
    saved: bool,
    mistakes: Mistakes,
}

/// `GET /messages`: `?after=` goes on, `?mail=saved` says that it was.
pub(crate) async fn list(
    State(shop): State<Shop>,
    visitor: Visitor,
    Query(query): Query,
) -> Result<Response, PageError> {
    if !visitor.is_logged_in() {
        return Ok(log_in_first("/messages"));
    }
    let shown = draw(&shop, &visitor, &query).await?;
    Ok(page(StatusCode::OK, &shown))
}

async fn draw(shop: &Shop, visitor: &Visitor, query: &Fields) -> Result<MessagesPage, PageError> {
    let after = query.optional("after");
    let (found, preference) = futures_util::future::join(
        shop.api.notifications(&visitor.caller, PAGE, after),
        shop.api.mail_preference(&visitor.caller),
    )
    .await;
    let found = found?;
    let for_operator = visitor.caller.is_operator();
    Ok(MessagesPage {
        shell: visitor.shell(),
        messages: found.nodes().map(|message| MessageView::of(message, for_operator)).collect(),
        further: after.is_some(),
        next: next_page("/messages", None, found.has_next_page, found.end_cursor()),
        // Why it cannot be asked for was logged where it was noticed.
        choices: preference.map_or_else(|_| Vec::new(), choices),
        key: fresh_key(),
        saved: query.optional("mail") == Some("saved"),
        mistakes: Mistakes::default(),
    })
}

fn choices(current: MailPreference) -> Vec<Choice> {
    let one = |(preference, value, name, what)| Choice { value, name, what, chosen: preference == current };
    CHOICES.into_iter().map(one).collect()
}

/// `POST /messages/mail`: which messages the visitor also wants by mail.
pub(crate) async fn set_mail(
    State(shop): State<Shop>,
    visitor: Visitor,
    Form(form): Form,
) -> Result<Response, PageError> {
    if !visitor.is_logged_in() {
        return Ok(log_in_first("/messages"));
    }
    let key = form.bounded("key", 128)?;
    let asked = CHOICES.into_iter().find(|(_, value, _, _)| form.optional("mail") == Some(value));
    let answer = match asked {
        Some((preference, ..)) => shop.api.set_mail_preference(&visitor.caller, preference, key).await,
        None => Err(ApiError::bad_input("choose which messages you want by mail")),
    };
    match answer {
        Ok(_) => Ok(Redirect::to("/messages?mail=saved").into_response()),
        Err(error) => {
            let mut again = draw(&shop, &visitor, &Fields::default()).await?;
            again.mistakes = Mistakes::from(&error);
            if let Some((preference, ..)) = asked.filter(|_| !again.choices.is_empty()) {
                again.choices = choices(preference);
            }
            if let Some(key) = key.filter(|_| error.code.is_unavailability()) {
                again.key = key.to_owned();
            }
            Ok(page(status(error.code), &again))
        }
    }
}
