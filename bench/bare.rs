//! The yardstick of the catalogue query: the least that can answer it in the same two libraries.
//!
//! A service of axum and async-graphql with the same part of the schema as the shop
//! (`products(first:)` in the Relay cursor form), which answers from memory and does nothing else: no
//! session, no limits, no call to a service, no store. It parses, validates and executes each
//! request in the usual way and sends the same headers, so that the two answers are equal in every
//! byte. What the shop is slower than this is what its own layers cost.
//!
//! `bare ADDRESS ANSWER.json`: listens there, with the products of an answer that the shop gave.
//! `bench/run` starts it and compares; the chapter is `docs/benchmarks.md`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use async_graphql::connection::PageInfo;
use async_graphql::{Context, EmptyMutation, EmptySubscription, ID, Object, Request, Schema};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt as _;
use serde::Deserialize;

/// The shop's: so that the two differ in nothing else.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// All products, in the order of the catalogue, and how many the shop has.
struct Catalogue {
    rows: Vec<Row>,
    total: i32,
}

/// A product and its cursor.
#[derive(Deserialize)]
struct Row {
    cursor: String,
    node: Product,
}

#[derive(Deserialize)]
struct Product {
    sku: String,
    name: String,
    price: Money,
    available: i32,
}

#[derive(Deserialize)]
struct Money {
    amount: i32,
    currency: String,
}

#[Object]
impl Money {
    async fn amount(&self) -> i32 {
        self.amount
    }

    async fn currency(&self) -> &str {
        &self.currency
    }
}

#[Object]
impl Product {
    async fn sku(&self) -> ID {
        ID::from(&self.sku)
    }

    async fn name(&self) -> &str {
        &self.name
    }

    async fn price(&self) -> &Money {
        &self.price
    }

    async fn available(&self) -> i32 {
        self.available
    }
}

#[Object(name = "ProductEdge")]
impl Row {
    async fn cursor(&self) -> &str {
        &self.cursor
    }

    async fn node(&self) -> &Product {
        &self.node
    }
}

/// The first rows of the catalogue.
struct Page<'a> {
    rows: &'a [Row],
    total: i32,
}

#[Object(name = "ProductConnection")]
impl Page<'_> {
    async fn edges(&self) -> &[Row] {
        self.rows
    }

    async fn nodes(&self) -> Vec<&Product> {
        self.rows.iter().map(|row| &row.node).collect()
    }

    async fn page_info(&self) -> PageInfo {
        PageInfo {
            has_previous_page: false,
            has_next_page: i32::try_from(self.rows.len()).is_ok_and(|shown| shown < self.total),
            start_cursor: self.rows.first().map(|row| row.cursor.clone()),
            end_cursor: self.rows.last().map(|row| row.cursor.clone()),
        }
    }

    async fn total_count(&self) -> i32 {
        self.total
    }
}

struct Query;

#[Object]
impl Query {
    async fn products<'a>(
        &self,
        ctx: &Context<'a>,
        #[graphql(default = 24)] first: i32,
    ) -> async_graphql::Result<Page<'a>> {
        let Catalogue { rows, total } = ctx.data::<Arc<Catalogue>>()?.as_ref();
        let first = usize::try_from(first)?.min(rows.len());
        Ok(Page { rows: &rows[..first], total: *total })
    }
}

type Bare = Schema<Query, EmptyMutation, EmptySubscription>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(address), Some(file), None) = (args.next(), args.next(), args.next()) else {
        anyhow::bail!("usage: bare ADDRESS ANSWER.json");
    };
    let address: SocketAddr = address.parse().with_context(|| format!("{address} is no address"))?;
    let answer = std::fs::read(&file).with_context(|| format!("{file} cannot be read"))?;
    let catalogue = catalogue(&answer).with_context(|| format!("{file} is no answer of the shop"))?;
    let schema = Schema::build(Query, EmptyMutation, EmptySubscription).data(Arc::new(catalogue)).finish();
    let routes = Router::new().route("/graphql", post(answer_to)).with_state(schema);
    let listener =
        tokio::net::TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    // As the shop: answers are small and wanted now.
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    Ok(axum::serve(listener, routes).await?)
}

fn catalogue(answer: &[u8]) -> anyhow::Result<Catalogue> {
    #[derive(Deserialize)]
    struct Answer {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        products: Products,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Products {
        edges: Vec<Row>,
        total_count: i32,
    }
    let Products { edges, total_count } = serde_json::from_slice::<Answer>(answer)?.data.products;
    Ok(Catalogue { rows: edges, total: total_count })
}

async fn answer_to(State(schema): State<Bare>, body: Bytes) -> Response {
    let Ok(request) = serde_json::from_slice::<Request>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let Ok(answer) = serde_json::to_vec(&schema.execute(request).await) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers =
        [(CONTENT_TYPE, "application/json"), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (CACHE_CONTROL, "no-store")];
    (headers, answer).into_response()
}
