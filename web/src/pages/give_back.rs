//! Sending goods of a delivered order back: how many of each line, and why.
//!
//! A quantity's field is named after its SKU, so the form says by itself what it asks for. Like
//! every command it carries an *idempotency key*: sent twice it counts once.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use gateway::api::{LineRequest, OrderWithTimeline, ReturnOrder};

use super::order::{changed, look_up, now};
use super::{LONGEST_REASON, fresh_key, log_in_first, reason};
use crate::Shop;
use crate::cart::is_sku;
use crate::error::{PageError, status};
use crate::fields::{Fields, whole_number};
use crate::form::{Form, Segment};
use crate::layout::{Shell, page};
use crate::mistakes::Mistakes;
use crate::order_view::{LineView, OrderView, path};
use crate::session::Visitor;

/// What the names of the quantities begin with; the SKU follows.
const QUANTITY: &str = "quantity-";
/// The name of the button for all that is left.
const ALL: &str = "all";

#[derive(Template)]
#[template(path = "return.html")]
struct ReturnPage {
    shell: Shell,
    order: OrderView,
    /// What may come back; empty if that has become impossible, and no form is shown.
    lines: Vec<ReturnLine>,
    key: String,
    reason: String,
    longest_reason: usize,
    mistakes: Mistakes,
}

/// A line of the order with its field.
struct ReturnLine {
    line: LineView,
    field: String,
    /// What stands in the field, as it was typed.
    typed: String,
}

impl ReturnPage {
    fn new(shop: &Shop, visitor: &Visitor, found: &OrderWithTimeline, form: &Fields) -> Self {
        let order = OrderView::of(found, now(shop));
        let offered = if order.actions.give_back { order.lines.as_slice() } else { &[] };
        let lines: Vec<&LineView> = offered.iter().filter(|line| line.kept > 0).collect();
        // Where there is no choice, it is made.
        let only_one = matches!(lines[..], [line] if line.kept == 1);
        let line = |line: &LineView| {
            let field = format!("{QUANTITY}{}", line.sku);
            let typed = form.optional(&field).unwrap_or(if only_one { "1" } else { "0" }).to_owned();
            ReturnLine { line: line.clone(), field, typed }
        };
        Self {
            lines: lines.into_iter().map(line).collect(),
            shell: visitor.shell(),
            order,
            key: fresh_key(),
            reason: form.optional("reason").unwrap_or_default().to_owned(),
            longest_reason: LONGEST_REASON,
            mistakes: Mistakes::default(),
        }
    }
}

/// `GET /orders/{id}/return`. An order of which nothing can be returned says so on its own page.
pub(crate) async fn show(
    State(shop): State<Shop>,
    visitor: Visitor,
    Segment(id): Segment,
) -> Result<Response, PageError> {
    if !visitor.is_logged_in() {
        return Ok(log_in_first(&path(&id)));
    }
    let found = look_up(&shop, &visitor, &id).await?;
    let form = ReturnPage::new(&shop, &visitor, &found, &Fields::default());
    if form.lines.is_empty() {
        return Ok(Redirect::to(&form.order.path).into_response());
    }
    Ok(page(StatusCode::OK, &form))
}

/// `POST /orders/{id}/return`.
pub(crate) async fn give_back(
    State(shop): State<Shop>,
    visitor: Visitor,
    Segment(id): Segment,
    Form(form): Form,
) -> Result<Response, PageError> {
    if !visitor.is_logged_in() {
        return Ok(log_in_first(&path(&id)));
    }
    let key = form.bounded("key", 128)?;
    let (code, mistakes, unknown) = match (lines(&form), reason(&form)) {
        (Err(mistakes), _) | (_, Err(mistakes)) => (StatusCode::BAD_REQUEST, mistakes, false),
        (Ok(lines), Ok(reason)) => {
            let command = ReturnOrder { order_id: id.clone(), lines, reason, idempotency_key: key.map(str::to_owned) };
            match shop.api.return_order(&visitor.caller, command).await {
                Ok(order) => return Ok(changed(&order)),
                Err(error) => (status(error.code), Mistakes::from(&error), error.code.is_unavailability()),
            }
        }
    };
    let found = look_up(&shop, &visitor, &id).await?;
    let mut again = ReturnPage::new(&shop, &visitor, &found, &form);
    again.mistakes = mistakes;
    if let Some(key) = key.filter(|_| unknown) {
        // Whether it was done is not known: the same key, so that it is done once.
        again.key = key.to_owned();
    }
    Ok(page(code, &again))
}

/// What comes back; `None` for all that is left.
fn lines(form: &Fields) -> Result<Option<Vec<LineRequest>>, Mistakes> {
    if form.optional(ALL).is_some() {
        return Ok(None);
    }
    let (mut lines, mut mistakes) = (Vec::new(), Mistakes::default());
    for (sku, typed) in form.beginning(QUANTITY).filter(|(sku, _)| is_sku(sku)) {
        match whole_number(typed) {
            Some(0) => {}
            Some(quantity) => lines.push(LineRequest { sku: sku.to_owned(), quantity }),
            None => mistakes.add(format!("{QUANTITY}{sku}"), "Give a whole number, or 0 to keep all of them."),
        }
    }
    match (mistakes.is_empty(), lines.is_empty()) {
        (true, false) => Ok(Some(lines)),
        (true, true) => Err(Mistakes::of_the_form("Say how many you are sending back.")),
        (false, _) => Err(mistakes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(encoded: &str) -> Result<Option<Vec<LineRequest>>, Mistakes> {
        lines(&Fields::parse(encoded.as_bytes()).expect("well-formed"))
    }

    #[test]
    fn what_comes_back_is_what_has_a_quantity() {
        let one = |sku: &str, quantity| LineRequest { sku: sku.into(), quantity };
        assert_eq!(asked("quantity-A=1&quantity-B%2FC=0&quantity-D=2"), Ok(Some(vec![one("A", 1), one("D", 2)])));
        assert_eq!(asked("quantity-A=1&all=1"), Ok(None), "the button for all of it counts");
    }

    #[test]
    fn the_largest_order_there_is_can_be_sent_back_line_by_line() {
        let sku = |n: usize| format!("{:/>64}", format!("A{n}"));
        let quantities = (0..500).map(|n| format!("quantity-{}=1000000&", crate::url::encode(&sku(n))));
        let form = quantities.collect::<String>() + &format!("csrf={0}&key={0}&reason={0}", "x".repeat(200));
        assert!(form.len() <= crate::form::LARGEST_FORM, "{}", form.len());
        let lines = asked(&form).expect("makes sense").expect("not all that is left");
        assert_eq!((lines.len(), lines[499].quantity), (500, 1_000_000));
    }

    #[test]
    fn what_is_no_quantity_is_told_beside_its_field() {
        for typed in ["x", "-1", "1.5", "%2B1", "99999999999999999999", "%D9%A3"] {
            let mistakes = asked(&format!("quantity-A=1&quantity-B={typed}")).expect_err("refused");
            assert!(mistakes.at("quantity-B").is_some() && mistakes.at("quantity-A").is_none(), "{typed}");
        }
        for nothing in ["", "quantity-A=0", "quantity-A=", "quantity-=1", "quantity-%3Cscript%3E=1"] {
            assert!(asked(nothing).expect_err("refused").whole().is_some(), "{nothing}");
        }
    }
}
