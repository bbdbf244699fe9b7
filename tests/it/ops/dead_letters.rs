//! Dead letters of a real shop: made by an injected fault, listed, redriven, discarded,
//! while the orders of others, and other services, go on.

use std::path::Path;

use anyhow::Result;
use contracts::common::{Card, LineRequest, Money, Page};
use contracts::inventory::inventory_client::InventoryClient;
use contracts::inventory::{AdjustStockRequest, UpsertProductRequest};
use contracts::ops::ops_client::OpsClient;
use contracts::ops::{
    DiscardRequest, Fault, FaultKind, InspectRequest, ListParkedRequest, ParkedMessage, RedriveRequest, SetFaultRequest,
};
use contracts::order::orders_client::OrdersClient;
use contracts::order::{OrderStatus, PlaceOrderRequest};
use contracts::payment::TokenizeCardRequest;
use contracts::payment::payments_client::PaymentsClient;
use contracts::query::query_client::QueryClient;
use contracts::query::{GetOrderRequest, ListNotificationsRequest};
use orderly::shop::{Options, Shop};
use orderly::{Stores, audit};
use platform::bus::embedded::EmbeddedBus;
use platform::clock::Clock;
use platform::grpc::Connection;
use platform::store::parked::Backoff;
use tonic::Code;

use super::{APPROVED, PATIENCE, operator};
use crate::servers::until;

/// Two attempts, a moment apart: then a dead letter. (Notification has more of them.)
const BACKOFF: Backoff = Backoff { first: 1, cap: 1, attempts: 2 };

/// A shop in this process, with its operator.
struct Scene {
    shop: Shop,
    stores: Stores,
    clock: Clock,
    ops: OpsClient<Connection>,
}

impl Scene {
    async fn open(folder: &Path) -> Result<Self> {
        let stores = Stores::in_folder(folder).await?;
        let bus = EmbeddedBus::open(Some(&folder.join("bus.db"))).await?;
        let clock = Clock::system();
        let options = Options { backoff: BACKOFF, ..Options::default() };
        let shop = Shop::start(stores.clone(), bus, clock.clone(), options).await?;
        let mut inventory = InventoryClient::new(shop.connections.inventory.clone());
        inventory
            .upsert_product(operator().request(UpsertProductRequest {
                sku: "CUP".into(),
                name: "Cup".into(),
                price: Some(Money { amount: 450, currency: "GBP".into() }),
                ..UpsertProductRequest::default()
            })?)
            .await?;
        let stock = AdjustStockRequest { sku: "CUP".into(), delta: 10, ..AdjustStockRequest::default() };
        inventory.adjust_stock(operator().request(stock)?).await?;
        let ops = OpsClient::new(shop.ops.clone());
        Ok(Self { shop, stores, clock, ops })
    }

    /// Places an order that is paid at once.
    async fn order(&self) -> Result<String> {
        let card = TokenizeCardRequest { number: APPROVED.into() };
        let card: Card =
            PaymentsClient::new(self.shop.connections.payments.clone()).tokenize_card(card).await?.into_inner();
        let place = PlaceOrderRequest {
            customer_id: "c-1".into(),
            customer_email: "c@example.com".into(),
            lines: vec![LineRequest { sku: "CUP".into(), quantity: 1 }],
            card: Some(card),
            ..PlaceOrderRequest::default()
        };
        let mut orders = OrdersClient::new(self.shop.connections.orders.clone());
        Ok(orders.place_order(operator().request(place)?).await?.into_inner().id)
    }

    async fn until_status(&self, id: &str, wanted: OrderStatus) -> Result<()> {
        let mut query = QueryClient::new(self.shop.connections.query.clone());
        until(&format!("the order is {wanted:?}"), PATIENCE, async || {
            let asked = GetOrderRequest { id: id.to_owned(), ..GetOrderRequest::default() };
            match query.get_order(operator().request(asked)?).await {
                Ok(found) => {
                    let status = found.into_inner().order.unwrap_or_default().status();
                    Ok((status == wanted).then_some(()))
                }
                Err(status) if status.code() == Code::NotFound => Ok(None),
                Err(status) => Err(status.into()),
            }
        })
        .await
    }

    /// The topics of what the customer was told about the order.
    async fn told(&self, id: &str) -> Result<Vec<String>> {
        let mut query = QueryClient::new(self.shop.connections.query.clone());
        let page = Some(Page { first: 100, ..Page::default() });
        let asked = ListNotificationsRequest { customer_id: "c-1".into(), page };
        let page = query.list_notifications(operator().request(asked)?).await?.into_inner();
        let messages = page.edges.into_iter().filter_map(|edge| edge.node);
        Ok(messages.filter(|message| message.order_id == id).map(|message| message.topic).collect())
    }

    async fn fails(&mut self, service: &str, kind: &str, times: i64) -> Result<()> {
        let fault = Fault { kind: FaultKind::MessageFails.into(), r#type: kind.into(), times };
        let set = SetFaultRequest { service: service.into(), fault: Some(fault), active: true };
        self.ops.set_fault(operator().request(set)?).await?;
        Ok(())
    }

    /// Waits until the service has this one dead letter.
    async fn until_dead(&mut self, service: &str) -> Result<ParkedMessage> {
        let mut ops = self.ops.clone();
        until("a dead letter", PATIENCE, async || {
            let asked = ListParkedRequest { service: service.into(), dead_only: true, ..ListParkedRequest::default() };
            let mut parked = ops.list_parked(operator().request(asked)?).await?.into_inner();
            assert_eq!(i64::try_from(parked.messages.len())?, parked.total);
            Ok(parked.messages.pop())
        })
        .await
    }

    /// Nothing is parked, nothing is broken.
    async fn end(mut self) -> Result<()> {
        for service in ["order", "payment", "inventory", "notification", "query"] {
            until(&format!("nothing is parked in {service}"), PATIENCE, async || {
                let asked = InspectRequest { service: service.into() };
                let seen = self.ops.inspect(operator().request(asked)?).await?.into_inner();
                Ok((seen.dead_letters + seen.parked_behind + seen.parked_retrying == 0).then_some(()))
            })
            .await?;
        }
        for finding in audit(&self.stores, &self.clock).await? {
            assert!(finding.breaches.is_empty(), "{finding:?}");
        }
        self.shop.stop().await;
        self.stores.close().await;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_command_became_a_dead_letter_is_completed_by_a_redrive() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut scene = Scene::open(folder.path()).await?;
    scene.fails("payment", "orderly.payment.v1.CapturePayment", BACKOFF.attempts).await?;
    let stuck = scene.order().await?;
    let letter = scene.until_dead("payment").await?;
    assert_eq!((letter.subject.as_str(), letter.state.as_str(), letter.attempts), (stuck.as_str(), "DEAD", 2));
    assert_eq!(letter.errors.len(), 2, "one an attempt");
    assert!(letter.errors.iter().all(|error| error.starts_with("fault injection")), "{:?}", letter.errors);
    assert!(letter.envelope.contains("CapturePayment") && letter.next_due.is_none());
    scene.until_status(&stuck, OrderStatus::Paid).await?;
    // The fault is used up, and nobody else is held up.
    let other = scene.order().await?;
    scene.until_status(&other, OrderStatus::Confirmed).await?;

    let redrive = RedriveRequest {
        service: "payment".into(),
        source: letter.source,
        subject: letter.subject,
        sequence: letter.sequence,
    };
    scene.ops.redrive(operator().request(redrive.clone())?).await?;
    scene.until_status(&stuck, OrderStatus::Confirmed).await?;
    let again = scene.ops.redrive(operator().request(redrive)?).await.expect_err("it is done");
    assert_eq!(again.code(), Code::NotFound);
    scene.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_order_waits_for_a_listener_with_a_dead_letter_and_a_discard_frees_its_line() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut scene = Scene::open(folder.path()).await?;
    // More often than even the most patient service tries.
    scene.fails("notification", "orderly.order.v1.OrderPaid", 1_000_000).await?;
    let id = scene.order().await?;
    scene.until_status(&id, OrderStatus::Confirmed).await?;
    let letter = scene.until_dead("notification").await?;
    assert!(!scene.told(&id).await?.contains(&"order-confirmed".to_owned()), "it waits behind the dead letter");
    let discard = DiscardRequest {
        service: "notification".into(),
        source: letter.source.clone(),
        subject: letter.subject.clone(),
        sequence: letter.sequence,
    };
    let behind = DiscardRequest { sequence: letter.sequence + 1, ..discard.clone() };
    let refused = scene.ops.discard(operator().request(behind)?).await.expect_err("it stands behind");
    assert!(matches!(refused.code(), Code::Aborted | Code::NotFound), "{refused}");
    scene.ops.discard(operator().request(discard)?).await?;
    until("the customer is told", PATIENCE, async || {
        Ok(scene.told(&id).await?.contains(&"order-confirmed".to_owned()).then_some(()))
    })
    .await?;
    scene.end().await
}
