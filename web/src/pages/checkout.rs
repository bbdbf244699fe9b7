//! The checkout: where it goes, how it is paid, and the order is placed.
//!
//! The form carries the lines as they were shown and a fresh *idempotency key*. Sent twice, by a
//! double click or the back button, it makes one order; the gateway answers the second time what
//! it answered the first.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use gateway::ApiError;
use gateway::api::{Address, CardNumber, LineRequest, PlaceOrder};

use super::cart::{PricedCart, priced};
use super::{fresh_key, log_in_first};
use crate::Shop;
use crate::cards::{Choice, TEST_CARDS, TestCard};
use crate::cart::Cart;
use crate::error::{PageError, sentence, status};
use crate::fields::Fields;
use crate::form::Form;
use crate::layout::{Shell, page};
use crate::session::{Visitor, with_cart};
use crate::url;

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
    error: Option<String>,
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
    draw(&shop, &visitor, &cart, &Fields::default(), fresh_key(), None).await
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
    let again = async |error: &ApiError| {
        // What is not known to have failed keeps its key; a refused form becomes a new one.
        let unknown = error.code.is_unavailability();
        let key = if unknown { key.to_owned() } else { fresh_key() };
        draw(&shop, &visitor, &cart, &form, key, Some(error)).await
    };
    let (card, address) = match (card(&form), address(&form)) {
        (Ok(card), Ok(address)) => (card, address),
        (Err(error), _) | (_, Err(error)) => return again(&error).await,
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
        Err(error) => again(&error).await,
    }
}

/// The card to pay with at once, if any.
fn card(form: &Fields) -> Result<Option<CardNumber>, ApiError> {
    match Choice::of(form.optional("card"), form.bounded("card_number", 40).map_err(too_long)?) {
        Some(Choice::Later) => Ok(None),
        Some(Choice::Now(number)) => Ok(Some(number.into())),
        None => Err(ApiError::bad_input("choose a card, or to pay later")),
    }
}

/// Where it goes: nowhere in particular if every field is empty, else all but the postal code
/// must be there.
fn address(form: &Fields) -> Result<Option<Address>, ApiError> {
    let address = typed_address(form);
    let needed = [&address.recipient, &address.street, &address.city, &address.country];
    let filled = needed.iter().filter(|text| !text.is_empty()).count();
    match (filled, address.postal_code.is_empty()) {
        (0, true) => Ok(None),
        (4, _) => Ok(Some(address)),
        _ => Err(ApiError::bad_input(
            "an address needs a name, a street, a town and a country; or leave all of it empty",
        )),
    }
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

fn too_long(_: PageError) -> ApiError {
    ApiError::bad_input("that is no card number")
}

async fn draw(
    shop: &Shop,
    visitor: &Visitor,
    cart: &Cart,
    form: &Fields,
    key: String,
    error: Option<&ApiError>,
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
        error: error.map(|error| sentence(&error.message)),
    };
    Ok(page(error.map_or(StatusCode::OK, |error| status(error.code)), &shown))
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
    }

    #[test]
    fn a_card_is_chosen_typed_or_put_off() {
        assert!(card(&fields("card=later")).is_ok_and(|card| card.is_none()));
        assert!(card(&fields("card=4242424242424242")).is_ok_and(|card| card.is_some()));
        assert!(card(&fields("card=4242424242424242&card_number=4000")).is_ok_and(|card| card.is_some()));
        assert!(card(&fields("card=&card_number=")).is_err());
        assert!(card(&fields(&format!("card_number={}", "4".repeat(41)))).is_err());
    }
}
