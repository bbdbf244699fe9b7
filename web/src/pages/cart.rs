//! The cart: shown with today's prices and stock, changed by forms.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use gateway::ApiError;
use gateway::api::Product;
use platform::money;

use super::catalogue::{ProductView, Stock, refused};
use crate::Shop;
use crate::cart::{Cart, Line};
use crate::error::PageError;
use crate::form::{Form, Query};
use crate::layout::{Shell, page};
use crate::mistakes::Mistakes;
use crate::session::{Visitor, with_cart};
use crate::url;

/// A cart with what the catalogue says about it now.
#[derive(Debug, Clone)]
pub(crate) struct PricedCart {
    pub(crate) lines: Vec<PricedLine>,
    /// One sum for each currency; nearly always one.
    pub(crate) total: String,
    /// Something in it is not sold any more.
    pub(crate) blocked: bool,
    /// Something in it is short. Only the order decides, so that is no reason not to try.
    pub(crate) short: bool,
}

/// A line of it.
#[derive(Debug, Clone)]
pub(crate) struct PricedLine {
    pub(crate) sku: String,
    pub(crate) quantity: i64,
    /// What stands in its field: the quantity, or what was typed by mistake.
    pub(crate) typed: String,
    /// What is wrong with that.
    pub(crate) mistake: Option<String>,
    /// `None` if it is not sold any more.
    pub(crate) product: Option<ProductView>,
    pub(crate) sum: String,
    pub(crate) stock: Stock,
    /// There are fewer than asked for.
    pub(crate) short: bool,
}

/// Looks up every line, all in one question.
pub(crate) async fn priced(shop: &Shop, visitor: &Visitor, cart: &Cart) -> Result<PricedCart, ApiError> {
    let skus: Vec<String> = cart.lines().iter().map(|line| line.sku.clone()).collect();
    let products = shop.api.products_by_sku(&visitor.caller, &skus).await?;
    Ok(PricedCart::of(cart.lines(), &products))
}

impl PricedCart {
    fn of(lines: &[Line], products: &[Option<Product>]) -> Self {
        let mut sums: Vec<(&str, i64)> = Vec::new();
        let mut priced = Vec::with_capacity(lines.len());
        for (line, product) in lines.iter().zip(products) {
            let mut sum = String::new();
            if let Some(product) = product {
                let (amount, currency) = (product.price.amount.saturating_mul(line.quantity), &product.price.currency);
                match sums.iter_mut().find(|(known, _)| known == currency) {
                    Some((_, total)) => *total = total.saturating_add(amount),
                    None => sums.push((currency, amount)),
                }
                sum = money::format(amount, currency);
            }
            let available = product.as_ref().map_or(0, |product| product.available);
            priced.push(PricedLine {
                sku: line.sku.clone(),
                quantity: line.quantity,
                typed: line.quantity.to_string(),
                mistake: None,
                product: product.as_ref().map(ProductView::from),
                sum,
                stock: Stock::of(available),
                short: available < line.quantity,
            });
        }
        let totals: Vec<String> = sums.iter().map(|(currency, sum)| money::format(*sum, currency)).collect();
        Self {
            total: totals.join(" + "),
            blocked: priced.iter().any(|line| line.product.is_none()),
            short: priced.iter().any(|line| line.product.is_some() && line.short),
            lines: priced,
        }
    }
}

#[derive(Template)]
#[template(path = "cart.html")]
struct CartPage {
    shell: Shell,
    cart: PricedCart,
    /// What was just put in.
    added: Option<String>,
}

/// `GET /cart`: `?added=` names what was just put in.
pub(crate) async fn show(
    State(shop): State<Shop>,
    visitor: Visitor,
    Query(query): Query,
) -> Result<Response, PageError> {
    let cart = priced(&shop, &visitor, &visitor.cart).await?;
    let added = query.optional("added").and_then(|sku| {
        let line = cart.lines.iter().find(|line| line.sku == sku)?;
        line.product.as_ref().map(|product| product.name.clone())
    });
    let shown = CartPage { shell: visitor.shell(), cart, added };
    Ok(page(StatusCode::OK, &shown))
}

/// `POST /cart/add`. A quantity that is none leads to the product's page, with the mistake.
pub(crate) async fn add(State(shop): State<Shop>, visitor: Visitor, Form(form): Form) -> Result<Response, PageError> {
    let sku = form.sku()?;
    let product = shop.api.product(&visitor.caller, sku).await?;
    let product = product.ok_or_else(|| PageError::not_found("The shop has no such product."))?;
    let mut cart = visitor.cart.clone();
    let added = form.quantity(1).and_then(|quantity| cart.add(&product.sku, quantity).map_err(|_| FULL.to_owned()));
    if let Err(said) = added {
        let typed = form.optional("quantity").unwrap_or_default();
        return Ok(refused(&visitor, &product, typed, Mistakes::at_field("quantity", said)));
    }
    let cookie = [with_cart(shop.jar, &cart)];
    Ok((cookie, Redirect::to(&format!("/cart?added={}", url::encode(&product.sku)))).into_response())
}

/// `POST /cart/update`: another quantity; 0 takes the line out. One that is none leads to the cart
/// again, with the mistake beside its line.
pub(crate) async fn update(
    State(shop): State<Shop>,
    visitor: Visitor,
    Form(form): Form,
) -> Result<Response, PageError> {
    let mut cart = visitor.cart.clone();
    let sku = form.sku()?;
    let changed = form.quantity(0).and_then(|quantity| cart.set(sku, quantity).map_err(|_| FULL.to_owned()));
    let Err(said) = changed else {
        return Ok(([with_cart(shop.jar, &cart)], Redirect::to("/cart")).into_response());
    };
    let mut cart = priced(&shop, &visitor, &visitor.cart).await?;
    if let Some(line) = cart.lines.iter_mut().find(|line| line.sku == sku) {
        form.optional("quantity").unwrap_or_default().clone_into(&mut line.typed);
        line.mistake = Some(said);
    }
    Ok(page(StatusCode::BAD_REQUEST, &CartPage { shell: visitor.shell(), cart, added: None }))
}

const FULL: &str = "The cart is full. Check out first, or take something out.";

#[cfg(test)]
mod tests {
    use gateway::api::Money;

    use super::*;

    fn product(sku: &str, amount: i64, currency: &str, available: i64) -> Option<Product> {
        Some(Product {
            sku: sku.into(),
            name: format!("The <{sku}>"),
            price: Money { amount, currency: currency.into() },
            available,
        })
    }

    #[test]
    fn a_cart_is_summed_up_by_currency_and_flags_what_is_short_or_gone() {
        let cart = Cart::parse("A:2~B:1~C:3~D:1");
        let products = [product("A", 100, "GBP", 9), product("B", 250, "GBP", 0), product("C", 5, "EUR", 3), None];
        let priced = PricedCart::of(cart.lines(), &products);
        assert_eq!(priced.total, "£4.50 + €0.15");
        assert!(priced.short && priced.blocked);
        let short: Vec<bool> = priced.lines.iter().map(|line| line.short).collect();
        assert_eq!(short, [false, true, false, true]);
    }

    #[test]
    fn an_empty_cart_says_so_and_a_full_one_escapes_its_names() {
        let draw = |cart: &str, products: &[Option<Product>]| {
            let cart = PricedCart::of(Cart::parse(cart).lines(), products);
            let shell = Shell::new(None, false, 0, "token".into());
            CartPage { shell, cart, added: None }.render().expect("draws")
        };
        assert!(draw("", &[]).contains("Your cart is empty"));
        let html = draw("A:1", &[product("A", 1, "GBP", 1)]);
        assert!(!html.contains("<A>") && html.contains("/checkout"));
    }
}
