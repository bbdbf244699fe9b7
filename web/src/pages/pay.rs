//! Paying for an order that waits for it: the form on the order's page.

use axum::extract::State;
use axum::response::Response;
use gateway::ApiError;
use gateway::api::{CardNumber, PayOrder};

use super::log_in_first;
use super::order::{LivePart, changed, look_up, now};
use crate::Shop;
use crate::cards::{Choice, TEST_CARDS, is_card_number};
use crate::error::{PageError, status};
use crate::fields::Fields;
use crate::form::{Form, Segment};
use crate::mistakes::Mistakes;
use crate::order_view::path;
use crate::session::Visitor;

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
    let (error, mistakes) = match card(&form) {
        Err(mistakes) => (ApiError::bad_input("no card"), mistakes),
        Ok(card) => {
            let command = PayOrder { order_id: id.clone(), card, idempotency_key: key.map(str::to_owned) };
            match shop.api.pay_order(&visitor.caller, command).await {
                Ok(order) => return Ok(changed(&order)),
                Err(error) => {
                    let mistakes = Mistakes::from(&error);
                    (error, mistakes)
                }
            }
        }
    };
    // The page again, with what was wrong, and as the order stands now.
    let found = look_up(&shop, &visitor, &id).await?;
    let mut part = LivePart::new(&visitor, &found, now(&shop));
    part.mistakes = mistakes;
    if let Some(card) = TEST_CARDS.iter().find(|card| form.optional("card") == Some(card.number)) {
        part.chosen = card.number.to_owned();
    }
    if let Some(key) = key.filter(|_| error.code.is_unavailability()) {
        // Whether it was done is not known: the same key, so that it is done once.
        part.key = key.to_owned();
    }
    Ok(part.into_page(status(error.code)))
}

/// The card to pay with.
fn card(form: &Fields) -> Result<CardNumber, Mistakes> {
    match Choice::of(form.optional("card"), form.optional("card_number")) {
        Some(Choice::Now(number)) if is_card_number(number) => Ok(CardNumber::from(number)),
        Some(Choice::Now(_)) => Err(Mistakes::at_field("card_number", "A card number has 12 to 19 digits.")),
        Some(Choice::Later) | None => Err(Mistakes::of_the_form("Choose a card.")),
    }
}
