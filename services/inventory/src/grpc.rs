//! The gRPC server: validates, submits to the loop, maps errors.

use contracts::inventory::inventory_server::Inventory as Server;
use contracts::inventory::{AdjustStockRequest, Product, QuoteReply, QuoteRequest, UpsertProductRequest};
use platform::error::{Failure, Rejection, Unavailable};
use platform::grpc::Identity;
use platform::service_loop::Handle;
use platform::store::Db;
use platform::store::idempotency::fingerprint;
use platform::text;
use serde_json::json;
use tonic::{Request, Response, Status};

use crate::store::ProductRow;
use crate::{Input, Inventory, producer};

/// Most SKUs in one quote.
const QUOTE: usize = 500;

/// Serves `orderly.inventory.v1.Inventory`.
#[derive(Clone)]
pub struct InventoryServer {
    handle: Handle<Inventory>,
    db: Db,
}

impl InventoryServer {
    /// A server over the running loop and its store.
    pub const fn new(handle: Handle<Inventory>, db: Db) -> Self {
        Self { handle, db }
    }
}

#[tonic::async_trait]
impl Server for InventoryServer {
    async fn upsert_product(&self, request: Request<UpsertProductRequest>) -> Result<Response<Product>, Status> {
        Identity::of(&request)?.require_operator()?;
        let request = request.into_inner();
        let price = request.price.unwrap_or_default();
        text::key("sku", &request.sku).map_err(Failure::from)?;
        text::line("name", &request.name, 200).map_err(Failure::from)?;
        text::currency(&price.currency).map_err(Failure::from)?;
        if !(1..=i64::from(i32::MAX)).contains(&price.amount) {
            return Err(
                Failure::from(Rejection::bad_input("price must be between 1 and 2147483647 minor units")).into()
            );
        }
        let input = Input::Upsert {
            sku: request.sku.clone(),
            name: request.name.clone(),
            price: price.amount,
            currency: price.currency.clone(),
        };
        let print = json!([request.sku, request.name, price.amount, price.currency]).to_string();
        let id = text::command_id(request.command_id).map_err(Failure::from)?;
        Ok(Response::new(self.handle.submit(id, fingerprint(print.as_bytes()), input).await?))
    }

    async fn adjust_stock(&self, request: Request<AdjustStockRequest>) -> Result<Response<Product>, Status> {
        Identity::of(&request)?.require_operator()?;
        let request = request.into_inner();
        text::key("sku", &request.sku).map_err(Failure::from)?;
        let print = json!([request.sku, request.delta]).to_string();
        let id = text::command_id(request.command_id).map_err(Failure::from)?;
        let input = Input::Adjust { sku: request.sku, delta: request.delta };
        Ok(Response::new(self.handle.submit(id, fingerprint(print.as_bytes()), input).await?))
    }

    async fn quote(&self, request: Request<QuoteRequest>) -> Result<Response<QuoteReply>, Status> {
        let skus = request.into_inner().skus;
        if skus.len() > QUOTE {
            return Err(Failure::from(Rejection::bad_input(format!("at most {QUOTE} SKUs in a quote"))).into());
        }
        for sku in &skus {
            text::key("sku", sku).map_err(Failure::from)?;
        }
        let args: Vec<_> = skus.iter().map(|sku| json!({ "sku": sku })).collect();
        let rows: Vec<ProductRow> = self
            .db
            .read(
                "SELECT sku, name, price, currency, version FROM products
                 WHERE sku IN (SELECT r.value->>'sku' FROM jsonb_each($1) AS r)",
                &args,
            )
            .await
            .map_err(|error| Failure::from(Unavailable::new(error)))?;
        Ok(Response::new(QuoteReply { products: rows.iter().map(producer::quote).collect() }))
    }
}
