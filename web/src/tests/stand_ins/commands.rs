//! The stand-ins for the services that do something: each command once.

use contracts::common::{Card, Money};
use contracts::inventory::inventory_server::Inventory;
use contracts::inventory::{
    AdjustStockRequest, Product as StockedProduct, QuoteReply, QuoteRequest, UpsertProductRequest,
};
use contracts::notification::notifications_server::Notifications;
use contracts::notification::{GetPreferenceRequest, MailPreference, Preference, SetPreferenceRequest};
use contracts::order::orders_server::Orders;
use contracts::order::{
    CancelOrderRequest, Order, OrderLine, OrderStatus, PayOrderRequest, PlaceOrderRequest, ReturnOrderRequest,
};
use contracts::payment::TokenizeCardRequest;
use contracts::payment::payments_server::Payments;
use contracts::query::Notification;
use tonic::{Request, Response, Status};

use super::{Answer, Placed, StandIns, entry};

impl StandIns {
    fn priced(&self, line: &contracts::common::LineRequest) -> Result<OrderLine, Status> {
        let found = self.products.iter().find(|product| product.sku == line.sku);
        let product = found.ok_or_else(|| Status::not_found("there is no such product"))?;
        Ok(OrderLine {
            sku: product.sku.clone(),
            name: product.name.clone(),
            quantity: line.quantity,
            unit_price: product.price.as_ref().map_or(0, |price| price.amount),
            returned: 0,
        })
    }

    /// Does a command to an order once; the second time only its answer comes back.
    fn once<T>(
        &self,
        request: &Request<T>,
        command_id: &str,
        order_id: &str,
        act: impl FnOnce(&mut Order) -> Result<(), Status>,
    ) -> Answer<Order> {
        let mut state = self.state();
        if state.no_orders {
            return Err(Status::unavailable("the order service is away"));
        }
        if let Some(known) = state.answered.get(command_id) {
            return Ok(Response::new(known.clone()));
        }
        let placed = state.order(request, order_id)?;
        act(&mut placed.order)?;
        placed.order.version += 1;
        let answer = placed.order.clone();
        state.answered.insert(command_id.to_owned(), answer.clone());
        Ok(Response::new(answer))
    }
}

#[tonic::async_trait]
impl Orders for StandIns {
    async fn place_order(&self, request: Request<PlaceOrderRequest>) -> Answer<Order> {
        let asked = request.into_inner();
        if let Some(known) = self.state().answered.get(&asked.command_id) {
            return Ok(Response::new(known.clone()));
        }
        let lines: Vec<OrderLine> = asked.lines.iter().map(|line| self.priced(line)).collect::<Result<_, _>>()?;
        let amount = lines.iter().map(|line| line.unit_price * line.quantity).sum();
        let money = |amount| Some(Money { amount, currency: "GBP".to_owned() });
        let mut state = self.state();
        let placed_at = platform::clock::Clock::system().now();
        let order = Order {
            id: format!("019ab3f0-0000-7000-8000-{:012x}", state.orders.len() + 0x3f9a2c),
            version: 2,
            status: OrderStatus::AwaitingPayment.into(),
            status_reason: String::new(),
            customer_id: asked.customer_id,
            lines,
            total: money(amount),
            placed_at,
            pay_before: Some(placed_at + 900_000),
            address: asked.address,
            refunded: money(0),
            unwinding: false,
            fulfil_at: None,
        };
        state.orders.push(Placed {
            order: order.clone(),
            timeline: vec![entry(placed_at, "order", "OrderPlaced", "Order placed: <b>2</b> items")],
        });
        state.answered.insert(asked.command_id, order.clone());
        Ok(Response::new(order))
    }

    async fn pay_order(&self, request: Request<PayOrderRequest>) -> Answer<Order> {
        let asked = request.get_ref();
        let answer = self.once(&request, &asked.command_id, &asked.order_id, |order| {
            if order.status() != OrderStatus::AwaitingPayment {
                return Err(Status::aborted("the order does not wait for a card"));
            }
            order.set_status(OrderStatus::Confirmed);
            order.pay_before = None;
            Ok(())
        })?;
        let order = answer.get_ref();
        self.state().notifications.push(Notification {
            id: "1".to_owned(),
            customer_id: order.customer_id.clone(),
            order_id: order.id.clone(),
            title: "Your order is <confirmed>".to_owned(),
            body: "Thank you. Everything is packed and on its way to you.".to_owned(),
            at: order.placed_at,
            topic: "order-confirmed".to_owned(),
            mailed_at: None,
        });
        Ok(answer)
    }

    async fn cancel_order(&self, request: Request<CancelOrderRequest>) -> Answer<Order> {
        let asked = request.get_ref();
        self.once(&request, &asked.command_id, &asked.order_id, |order| match order.status() {
            OrderStatus::Placed | OrderStatus::AwaitingPayment => {
                order.set_status(OrderStatus::Cancelled);
                order.status_reason.clone_from(&asked.reason);
                Ok(())
            }
            OrderStatus::Paid | OrderStatus::Confirmed => {
                order.unwinding = true;
                order.fulfil_at = None;
                Ok(())
            }
            _ => Err(Status::aborted("it is too late to cancel the order")),
        })
    }

    async fn return_order(&self, request: Request<ReturnOrderRequest>) -> Answer<Order> {
        let asked = request.get_ref();
        self.once(&request, &asked.command_id, &asked.order_id, |order| {
            if order.status() != OrderStatus::Delivered || order.unwinding {
                return Err(Status::aborted("nothing of the order can be returned now"));
            }
            for line in &mut order.lines {
                let kept = line.quantity - line.returned;
                let wanted = asked.lines.iter().find(|wanted| wanted.sku == line.sku);
                let back = if asked.lines.is_empty() { kept } else { wanted.map_or(0, |wanted| wanted.quantity) };
                if back > kept {
                    return Err(Status::aborted("more than was bought"));
                }
                line.returned += back;
            }
            order.unwinding = true;
            order.status_reason.clone_from(&asked.reason);
            Ok(())
        })
    }
}

#[tonic::async_trait]
impl Notifications for StandIns {
    async fn get_preference(&self, request: Request<GetPreferenceRequest>) -> Answer<Preference> {
        let state = self.state();
        if state.no_notifications {
            return Err(Status::unavailable("the notification service is away"));
        }
        let customer_id = request.into_inner().customer_id;
        let mail = state.mail.get(&customer_id).copied().unwrap_or(MailPreference::All).into();
        Ok(Response::new(Preference { customer_id, mail }))
    }

    async fn set_preference(&self, request: Request<SetPreferenceRequest>) -> Answer<Preference> {
        let mut state = self.state();
        if state.no_notifications {
            return Err(Status::unavailable("the notification service is away"));
        }
        let asked = request.get_ref();
        state.mail.insert(asked.customer_id.clone(), asked.mail());
        Ok(Response::new(Preference { customer_id: asked.customer_id.clone(), mail: asked.mail }))
    }
}

#[tonic::async_trait]
impl Payments for StandIns {
    async fn tokenize_card(&self, request: Request<TokenizeCardRequest>) -> Answer<Card> {
        let number = &request.get_ref().number;
        Ok(Response::new(Card { token: "tok".to_owned(), last4: number[number.len() - 4..].to_owned() }))
    }
}

#[tonic::async_trait]
impl Inventory for StandIns {
    async fn upsert_product(&self, _: Request<UpsertProductRequest>) -> Answer<StockedProduct> {
        Err(Status::unimplemented("no page asks for it"))
    }

    async fn adjust_stock(&self, _: Request<AdjustStockRequest>) -> Answer<StockedProduct> {
        Err(Status::unimplemented("no page asks for it"))
    }

    async fn quote(&self, _: Request<QuoteRequest>) -> Answer<QuoteReply> {
        Err(Status::unimplemented("no page asks for it"))
    }
}
