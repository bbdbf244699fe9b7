//! A small shop for the tests: the part of the GraphQL contract that an import uses,
//! in memory, over real HTTP, idempotent as the real one, and as unreliable as told.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use chrono::Utc;
use futures_util::stream;
use serde_json::{Value, json};

mod order;

use order::{Line, No, Order};

pub(crate) const PASSWORD: &str = "a very secret word";
const TOKEN: &str = "a-token";

/// What the shop has, and how it misbehaves.
#[derive(Default)]
pub(crate) struct Shop {
    pub(crate) products: BTreeMap<String, (String, i64)>,
    pub(crate) stock: BTreeMap<String, i64>,
    pub(crate) orders: BTreeMap<String, Order>,
    /// How many calls changed something.
    pub(crate) effects: u64,
    pub(crate) calls: u64,
    pub(crate) adjusted: BTreeMap<String, (String, i64)>,
    /// Results of returns by their idempotency keys, refusals too.
    pub(crate) returns: BTreeMap<String, StoredReturn>,

    /// Some calls meet an overload, some answers are lost, some are no JSON.
    pub(crate) troubled: bool,
    /// After so many effects nothing is served any more.
    pub(crate) dies_after: Option<u64>,
    /// Orders never leave PLACED.
    pub(crate) stuck: bool,
    /// The account that logs in is no operator.
    pub(crate) customer_only: bool,
    /// This SKU is refused.
    pub(crate) refused_sku: Option<&'static str>,
    /// Stock is adjusted by this much less than asked.
    pub(crate) short: i64,
    /// Orders are shipped so long after they are confirmed, ms.
    pub(crate) ship_after: i64,
    /// Confirmed orders are never shipped.
    pub(crate) never_ships: bool,
    /// So many returns meet another one that is under way.
    pub(crate) rivals: u32,
    /// So many log-ins come too fast.
    pub(crate) limited: u32,
}

/// What a return asked for, and what it was answered.
type StoredReturn = ((String, Vec<(String, i64)>), Result<Value, No>);

type Shared = Arc<Mutex<Shop>>;

/// A shop that is open; closed when dropped.
pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    shop: Shared,
    task: tokio::task::JoinHandle<io::Result<()>>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stage {
    pub(crate) async fn open(shop: Shop) -> Self {
        let shop = Arc::new(Mutex::new(shop));
        let app = Router::new().route("/graphql", post(answer)).with_state(Arc::clone(&shop));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, app).await });
        Stage { address, shop, task }
    }

    pub(crate) fn shop(&self) -> MutexGuard<'_, Shop> {
        self.shop.lock().unwrap()
    }

    /// What came back of each SKU of an invoice's order, without what did not.
    pub(crate) fn returned(&self, invoice: &str) -> Vec<(String, i64)> {
        let shop = self.shop();
        let lines = shop.orders[invoice].lines.iter().filter(|line| line.returned > 0);
        lines.map(|line| (line.sku.clone(), line.returned)).collect()
    }
}

async fn answer(State(shop): State<Shared>, headers: HeaderMap, Json(call): Json<Value>) -> Response {
    let mut shop = shop.lock().unwrap();
    let query = call["query"].as_str().unwrap();
    let variables = &call["variables"];
    if query.contains("logIn(") {
        return shop.log_in(variables);
    }
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok());
    if bearer != Some(&format!("Bearer {TOKEN}")) {
        return refusal("UNAUTHENTICATED");
    }
    if shop.customer_only {
        return refusal("FORBIDDEN");
    }
    if shop.dies_after.is_some_and(|effects| shop.effects >= effects) {
        return refusal("UNAVAILABLE");
    }
    shop.calls += 1;
    let call_number = shop.calls;
    let troubled = |every: u64| shop.troubled && call_number.is_multiple_of(every);
    let (overloaded, page, lost) = (troubled(5), troubled(11), troubled(7));
    if overloaded {
        return refusal("OVERLOADED");
    }
    if page {
        return (StatusCode::BAD_GATEWAY, "<h1>Bad gateway</h1>").into_response();
    }
    let answer = shop.obey(query, variables);
    if lost {
        // The effect stands; the connection breaks before the answer is through.
        let broken = stream::iter([Err::<Bytes, _>(io::Error::other("gone"))]);
        return Response::new(Body::from_stream(broken));
    }
    answer
}

fn data(data: Value) -> Response {
    Json(json!({ "data": data })).into_response()
}

fn refusal(code: &str) -> Response {
    refused((code, "told by the stage"))
}

fn refused((code, message): (&str, &str)) -> Response {
    let error = json!({ "message": message, "extensions": { "code": code } });
    Json(json!({ "data": null, "errors": [error] })).into_response()
}

impl Shop {
    fn log_in(&mut self, variables: &Value) -> Response {
        if self.limited > 0 {
            self.limited -= 1;
            let error = json!({ "message": "", "extensions": { "code": "RATE_LIMITED", "retryAfter": 1 } });
            return Json(json!({ "data": null, "errors": [error] })).into_response();
        }
        if variables["password"] == PASSWORD {
            data(json!({ "logIn": { "token": TOKEN } }))
        } else {
            refusal("UNAUTHENTICATED")
        }
    }

    fn obey(&mut self, query: &str, variables: &Value) -> Response {
        if query.contains("upsertProduct(") {
            self.upsert(&variables["input"])
        } else if query.contains("adjustStock(") {
            self.adjust(variables)
        } else if query.contains("placeOrder(") {
            self.place(&variables["input"])
        } else if query.contains("returnOrder(") {
            self.take_back(variables)
        } else if query.contains("order(id:") {
            self.tell(variables)
        } else {
            Json(json!({ "errors": [{ "message": "Unknown field" }] })).into_response()
        }
    }

    fn upsert(&mut self, input: &Value) -> Response {
        let sku = input["sku"].as_str().unwrap();
        if self.refused_sku == Some(sku) {
            return refusal("BAD_USER_INPUT");
        }
        assert_eq!(input["price"]["currency"], "GBP");
        let name = input["name"].as_str().unwrap().to_owned();
        let product = (name, input["price"]["amount"].as_i64().unwrap());
        if self.products.get(sku) != Some(&product) {
            self.products.insert(sku.to_owned(), product);
            self.effects += 1;
        }
        data(json!({ "upsertProduct": { "sku": sku } }))
    }

    fn adjust(&mut self, variables: &Value) -> Response {
        let sku = variables["sku"].as_str().unwrap().to_owned();
        let key = variables["key"].as_str().unwrap().to_owned();
        let delta = i64::from(i32::try_from(variables["delta"].as_i64().unwrap()).unwrap());
        assert!(self.products.contains_key(&sku));
        let request = (sku.clone(), delta);
        match self.adjusted.get(&key) {
            Some(earlier) if *earlier != request => return refusal("CONFLICT"),
            Some(_) => {}
            None => {
                *self.stock.entry(sku.clone()).or_default() += delta - self.short;
                self.adjusted.insert(key, request);
                self.effects += 1;
            }
        }
        data(json!({ "adjustStock": { "sku": sku } }))
    }

    fn place(&mut self, input: &Value) -> Response {
        assert_eq!(input["card"], "4242 4242 4242 4242");
        let lines = lines(&input["lines"]).into_iter().map(|(sku, quantity)| {
            let price = self.products[&sku].1;
            Line { sku, quantity, price, returned: 0 }
        });
        let order = Order::new(text(&input["customer"]), lines.collect());
        let key = text(&input["idempotencyKey"]);
        let answer = match self.orders.get(&key) {
            Some(old) if !old.is_like(&order) => return refusal("CONFLICT"),
            Some(old) => old.answer(),
            None => {
                let answer = order.answer();
                self.orders.insert(key.clone(), order);
                self.effects += 1;
                answer
            }
        };
        let mut answer = answer;
        answer["id"] = format!("order-{key}").into();
        data(json!({ "placeOrder": answer }))
    }

    /// As the real one: what was answered to a key is answered to it for ever.
    fn take_back(&mut self, variables: &Value) -> Response {
        let asked = (text(&variables["order"]), lines(&variables["lines"]));
        let key = text(&variables["key"]);
        let result = match self.returns.get(&key) {
            Some((earlier, _)) if *earlier != asked => {
                return refused(("CONFLICT", "this idempotency key was used for a different request"));
            }
            Some((_, result)) => result.clone(),
            None => {
                let order = self.orders.get_mut(asked.0.strip_prefix("order-").unwrap()).unwrap();
                let result = if self.rivals > 0 {
                    self.rivals -= 1;
                    Err(("CONFLICT", "a return of this order is already under way"))
                } else {
                    order.take_back(&asked.1)
                };
                self.effects += u64::from(result.is_ok());
                self.returns.insert(key, (asked, result.clone()));
                result
            }
        };
        match result {
            Ok(order) => data(json!({ "returnOrder": order })),
            Err(no) => refused(no),
        }
    }

    /// The read model lags: an order shows only at the second question.
    fn tell(&mut self, variables: &Value) -> Response {
        let mut told = serde_json::Map::new();
        for (name, id) in variables.as_object().unwrap() {
            let key = id.as_str().unwrap().strip_prefix("order-").unwrap();
            let order = self.orders.get_mut(key).unwrap();
            if order.is_undecided() && !self.stuck {
                let enough = order.lines.iter().all(|line| self.stock.get(&line.sku) >= Some(&line.quantity));
                let ship_at = Utc::now().timestamp_millis() + self.ship_after;
                if enough {
                    order.move_to("CONFIRMED", (!self.never_ships).then_some(ship_at));
                } else {
                    order.move_to("REJECTED", None);
                }
                for line in order.lines.iter().filter(|_| enough) {
                    *self.stock.get_mut(&line.sku).unwrap() -= line.quantity;
                }
            }
            told.insert(name.replace('i', "o"), order.view());
        }
        data(Value::Object(told))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn lines(lines: &Value) -> Vec<(String, i64)> {
    let lines = lines.as_array().unwrap().iter();
    lines.map(|line| (text(&line["sku"]), line["quantity"].as_i64().unwrap())).collect()
}
