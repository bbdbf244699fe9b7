//! The checkout: where it goes, how it is paid, and the order is placed.
//!
//! The form carries the lines as they were shown and a fresh *idempotency key*. Sent twice, by a
//! double click or the back button, it makes one order; the gateway answers the second time what
//! it answered the first.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use gateway::api::{Address, CardNumber, LineRequest, PlaceOrder};

use super::cart::{PricedCart, priced};
use super::{fresh_key, log_in_first};
use crate::Shop;
use crate::cards::{Choice, TEST_CARDS, TestCard, is_card_number};
use crate::cart::Cart;
use crate::error::{PageError, status};
use crate::fields::Fields;
use crate::form::Form;
use crate::layout::{Shell, page};
use crate::mistakes::Mistakes;
use crate::session::{Visitor, with_cart};
use crate::url;

/// The fields of an address: name, longest value in characters, and what is to be said where one is
/// missing that an address needs.
const ADDRESS: [(&str, usize, Option<&str>); 5] = [
    ("recipient", 200, Some("Say who receives it.")),
    ("street", 200, Some("Give the street and number.")),
    ("postal_code", 20, None),
    ("city", 100, Some("Give the town.")),
    ("country", 100, Some("Give the country.")),
];

#[derive(Template)]
#[template(path = "checkout.html")]
struct CheckoutPage {
    shell: Shell,
    cart: PricedCart,
    /// The lines as the form carries them.
    lines: String,
    key: String,
    address: Address,
    cards: &'static [TestCard],
    /// May be paid afterwards.
    later: bool,
    /// The value of the card that is marked.
    chosen: String,
    mistakes: Mistakes,
}

/// `GET /checkout`.
pub(crate) async fn show(State(shop): State<Shop>, visitor: Visitor) -> Result<Response, PageError> {
    if !visitor.is_logged_in() {
        return Ok(log_in_first("/checkout"));
    }
    if visitor.cart.is_empty() {
        return Ok(Redirect::to("/cart").into_response());
    }
    let cart = visitor.cart.clone();
    draw(&shop, &visitor, &cart, &Fields::default(), fresh_key(), Mistakes::default(), StatusCode::OK).await
}

/// `POST /checkout`.
///
/// # On crash
/// Placed, and the cart not emptied: the form sent again with its key leads to the same order.
pub(crate) async fn place(State(shop): State<Shop>, visitor: Visitor, Form(form): Form) -> Result<Response, PageError> {
    if !visitor.is_logged_in() {
        return Ok(log_in_first("/checkout"));
    }
    let incomplete = || PageError::bad_request("The form is not complete. Start again from your cart.");
    let cart = form.optional("lines").and_then(Cart::parse_whole).ok_or_else(incomplete)?;
    let key = form.bounded("key", 128)?.ok_or_else(incomplete)?;
    let (card, address) = match (card(&form), address(&form)) {
        (Ok(card), Ok(address)) => (card, address),
        (card, address) => {
            // All at once, so that nothing has to be mended twice; a new form with a new key.
            let mut mistakes = card.err().unwrap_or_default();
            mistakes.extend(address.err().unwrap_or_default());
            return draw(&shop, &visitor, &cart, &form, fresh_key(), mistakes, StatusCode::BAD_REQUEST).await;
        }
    };
    let lines = cart.lines().iter().map(|line| LineRequest { sku: line.sku.clone(), quantity: line.quantity });
    let command =
        PlaceOrder { lines: lines.collect(), card, address, customer: None, idempotency_key: Some(key.to_owned()) };
    match shop.api.place_order(&visitor.caller, command).await {
        Ok(order) => {
            let emptied = [with_cart(shop.jar, &Cart::default())];
            let path = format!("/orders/{}?version={}", url::encode(&order.id), order.version);
            Ok((emptied, Redirect::to(&path)).into_response())
        }
        Err(error) => {
            // What is not known to have failed keeps its key; a refused form becomes a new one.
            let key = if error.code.is_unavailability() { key.to_owned() } else { fresh_key() };
            draw(&shop, &visitor, &cart, &form, key, Mistakes::from(&error), status(error.code)).await
        }
    }
}

/// The card to pay with at once, if any.
fn card(form: &Fields) -> Result<Option<CardNumber>, Mistakes> {
    match Choice::of(form.optional("card"), form.optional("card_number")) {
        Some(Choice::Later) => Ok(None),
        Some(Choice::Now(number)) if is_card_number(number) => Ok(Some(number.into())),
        Some(Choice::Now(_)) => Err(Mistakes::at_field("card_number", "A card number has 12 to 19 digits.")),
        None => {
            Err(Mistakes::at_field("card_number", "Choose a card, type a number of 12 to 19 digits, or pay later."))
        }
    }
}

/// Where it goes: nowhere in particular if every field is empty, else all but the postal code
/// must be there.
fn address(form: &Fields) -> Result<Option<Address>, Mistakes> {
    if ADDRESS.iter().all(|(name, ..)| form.optional(name).is_none()) {
        return Ok(None);
    }
    let mut mistakes = Mistakes::default();
    for (name, longest, missing) in ADDRESS {
        match (form.optional(name), missing) {
            (None, Some(missing)) => mistakes.add(name, format!("{missing} Or leave the whole address empty.")),
            (Some(value), _) if value.chars().count() > longest => {
                mistakes.add(name, format!("At most {longest} characters."));
            }
            (Some(_), _) | (None, None) => {}
        }
    }
    if mistakes.is_empty() { Ok(Some(typed_address(form))) } else { Err(mistakes) }
}

fn typed_address(form: &Fields) -> Address {
    let field = |name| form.optional(name).unwrap_or_default().to_owned();
    Address {
        recipient: field("recipient"),
        street: field("street"),
        city: field("city"),
        postal_code: field("postal_code"),
        country: field("country"),
    }
}

async fn draw(
    shop: &Shop,
    visitor: &Visitor,
    cart: &Cart,
    form: &Fields,
    key: String,
    mistakes: Mistakes,
    code: StatusCode,
) -> Result<Response, PageError> {
    let shown = CheckoutPage {
        shell: visitor.shell(),
        cart: priced(shop, visitor, cart).await?,
        lines: cart.to_string(),
        key,
        address: typed_address(form),
        cards: &TEST_CARDS,
        later: true,
        chosen: form.optional("card").unwrap_or(TEST_CARDS[0].number).to_owned(),
        mistakes,
    };
    Ok(page(code, &shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(encoded: &str) -> Fields {
        Fields::parse(encoded.as_bytes()).expect("well-formed")
    }

    #[test]
    fn an_address_is_whole_or_absent() {
        assert_eq!(address(&fields("recipient=&street=+")), Ok(None));
        let whole = "recipient=Ada&street=1+Mill+Lane&city=Bath&country=UK";
        assert!(address(&fields(whole)).is_ok_and(|address| address.is_some()));
        for partial in ["recipient=Ada", "postal_code=BA1", "recipient=Ada&street=1&city=Bath"] {
            assert!(address(&fields(partial)).is_err(), "{partial}");
        }
        let mistakes = address(&fields("recipient=Ada&street=1")).expect_err("not whole");
        assert!(mistakes.at("city").is_some() && mistakes.at("country").is_some());
        assert!(mistakes.at("recipient").is_none() && mistakes.at("postal_code").is_none());
        let long = address(&fields(&format!("{whole}&postal_code={}", "1".repeat(21)))).expect_err("too long");
        assert_eq!(long.at("postal_code"), Some("At most 20 characters."));
    }

    #[test]
    fn a_card_is_chosen_typed_or_put_off() {
        assert!(card(&fields("card=later")).is_ok_and(|card| card.is_none()));
        assert!(card(&fields("card=4242424242424242")).is_ok_and(|card| card.is_some()));
        assert!(card(&fields("card=4242424242424242&card_number=4000")).is_err(), "a typed number counts");
        assert!(card(&fields("card=&card_number=")).is_err());
        assert!(card(&fields(&format!("card_number={}", "4".repeat(41)))).is_err());
    }
}
