//! The gRPC server: validates, submits to the loop, maps errors.

use contracts::common;
use contracts::order::orders_server::Orders as Server;
use contracts::order::{CancelOrderRequest, Order, PayOrderRequest, PlaceOrderRequest, ReturnOrderRequest};
use platform::error::{Failure, Rejection};
use platform::grpc::Identity;
use platform::message::fresh_id;
use platform::service_loop::Handle;
use platform::store::idempotency::fingerprint;
use platform::text;
use serde_json::json;
use tonic::{Request, Response, Status};

use crate::domain::{Address, Card, Goods, Input as OrderInput};
use crate::event_store;
use crate::pricing::MOST_LINES;
use crate::{Input, Orders, PlaceOrder};

/// Most characters of a reason.
const MOST_WORDS: usize = 500;

/// Serves `orderly.order.v1.Orders`.
#[derive(Clone)]
pub struct OrdersServer {
    handle: Handle<Orders>,
}

impl OrdersServer {
    /// A server over the running loop.
    pub const fn new(handle: Handle<Orders>) -> Self {
        Self { handle }
    }
}

#[tonic::async_trait]
impl Server for OrdersServer {
    async fn place_order(&self, request: Request<PlaceOrderRequest>) -> Result<Response<Order>, Status> {
        let caller = Identity::of(&request)?;
        let request = request.into_inner();
        if !caller.operator && request.customer_id != caller.account {
            return Err(Status::permission_denied("for operators only"));
        }
        let (id, print, input) = place(request).map_err(Failure::from)?;
        Ok(Response::new(self.handle.submit(id, print, input).await?))
    }

    async fn pay_order(&self, request: Request<PayOrderRequest>) -> Result<Response<Order>, Status> {
        let caller = Identity::of(&request)?;
        let (id, print, input) = pay(request.into_inner(), caller).map_err(Failure::from)?;
        Ok(Response::new(self.handle.submit(id, print, input).await?))
    }

    async fn cancel_order(&self, request: Request<CancelOrderRequest>) -> Result<Response<Order>, Status> {
        let caller = Identity::of(&request)?;
        let (id, print, input) = cancel(request.into_inner(), caller).map_err(Failure::from)?;
        Ok(Response::new(self.handle.submit(id, print, input).await?))
    }

    async fn return_order(&self, request: Request<ReturnOrderRequest>) -> Result<Response<Order>, Status> {
        let caller = Identity::of(&request)?;
        let (id, print, input) = return_goods(request.into_inner(), caller).map_err(Failure::from)?;
        Ok(Response::new(self.handle.submit(id, print, input).await?))
    }
}

type Submission = (String, String, Input);

fn place(request: PlaceOrderRequest) -> Result<Submission, Rejection> {
    text::line("customer", &request.customer_id, 100)?;
    if !request.customer_email.is_empty() {
        text::line("email", &request.customer_email, 254)?;
    }
    if request.lines.len() > MOST_LINES {
        return Err(Rejection::bad_input(format!("an order has 1 to {MOST_LINES} lines")));
    }
    for line in &request.lines {
        text::key("sku", &line.sku)?;
    }
    let card = request.card.map(card).transpose()?;
    let address = request.address.map(address).transpose()?;
    let lines: Vec<(String, i64)> = request.lines.into_iter().map(|line| (line.sku, line.quantity)).collect();
    let print = json!([request.customer_id, lines, card, address]).to_string();
    let place = PlaceOrder {
        id: fresh_id(),
        customer_id: request.customer_id,
        customer_email: request.customer_email,
        lines,
        card,
        address,
        quoted: None,
    };
    Ok((text::command_id(request.command_id)?, fingerprint(print.as_bytes()), Input::Place(place)))
}

fn pay(request: PayOrderRequest, caller: Identity) -> Result<Submission, Rejection> {
    let card = card(request.card.unwrap_or_default())?;
    let print = json!([request.order_id, card]).to_string();
    ask(request.command_id, &print, request.order_id, caller, OrderInput::Pay { card })
}

fn cancel(request: CancelOrderRequest, caller: Identity) -> Result<Submission, Rejection> {
    let reason = reason(&request.reason)?;
    let print = json!([request.order_id, reason]).to_string();
    ask(request.command_id, &print, request.order_id, caller, OrderInput::Cancel { reason })
}

fn return_goods(request: ReturnOrderRequest, caller: Identity) -> Result<Submission, Rejection> {
    let reason = reason(&request.reason)?;
    if request.lines.len() > MOST_LINES {
        return Err(Rejection::bad_input(format!("a return has 1 to {MOST_LINES} lines, or none for everything")));
    }
    for line in &request.lines {
        text::key("sku", &line.sku)?;
    }
    let lines: Option<Vec<Goods>> =
        (!request.lines.is_empty()).then(|| request.lines.into_iter().map(event_store::goods).collect());
    let print = json!([request.order_id, lines, reason]).to_string();
    ask(request.command_id, &print, request.order_id, caller, OrderInput::Return { lines, reason })
}

/// Something that only the order's customer may ask, or an operator.
fn ask(
    command_id: String,
    print: &str,
    id: String,
    caller: Identity,
    input: OrderInput,
) -> Result<Submission, Rejection> {
    text::key("order id", &id).map_err(|_| Rejection::not_found("there is no such order"))?;
    let customer_id = (!caller.operator).then_some(caller.account);
    Ok((text::command_id(command_id)?, fingerprint(print.as_bytes()), Input::Ask { id, customer_id, input }))
}

/// The customer's words, without the space around them; they may be none.
fn reason(reason: &str) -> Result<String, Rejection> {
    let reason = reason.trim();
    if !reason.is_empty() {
        text::line("reason", reason, MOST_WORDS)?;
    }
    Ok(reason.to_owned())
}

fn card(card: common::Card) -> Result<Card, Rejection> {
    text::key("card", &card.token)?;
    if card.last4.len() != 4 || !card.last4.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Rejection::bad_input("a card's last four digits are four digits"));
    }
    Ok(event_store::card(Some(card)))
}

fn address(address: common::Address) -> Result<Address, Rejection> {
    for (field, value) in [
        ("recipient", &address.recipient),
        ("street", &address.street),
        ("city", &address.city),
        ("postal code", &address.postal_code),
        ("country", &address.country),
    ] {
        if !value.is_empty() {
            text::line(field, value, 200)?;
        }
    }
    Ok(event_store::address(address))
}
