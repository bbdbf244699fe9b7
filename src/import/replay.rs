//! Writes what [`parse`](super::parse) read to a shop: products, stock, orders, returns.
//!
//! Everything goes through the public API with an *idempotency key* that follows from
//! the file alone: `import:<hash>:<sku>` for products and stock, the invoice number for
//! orders, both invoices' numbers for returns. So a broken run is resumed by running it
//! again, and a second run finds everything done and changes nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{anyhow, ensure};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};

use super::client::{CallError, Client, Refusal};
use super::fields::MAX_INT;
use super::parse::{Invoice, Parsed, needed_stock};
use super::progress::Progress;
use super::rejects::{Reason, Rejects};
use super::returns;
use super::settle::{Ending, Placed, settle};

/// How many calls are under way at once.
pub(crate) const AT_ONCE: usize = 32;

/// How many orders are placed before their endings are awaited: bounds what lies open
/// in the shop, and keeps the invoices near their date order.
const WAVE: usize = 1_000;

/// The bank's test card that is always approved.
const CARD: &str = "4242 4242 4242 4242";

const UPSERT: &str = "mutation Upsert($input: ProductInput!, $key: String) {
  upsertProduct(input: $input, idempotencyKey: $key) { sku }
}";

const ADJUST: &str = "mutation Adjust($sku: ID!, $delta: Int!, $key: String) {
  adjustStock(sku: $sku, delta: $delta, idempotencyKey: $key) { sku }
}";

const PLACE: &str = "mutation Place($input: PlaceOrderInput!) {
  placeOrder(input: $input) { id lines { sku quantity unitPrice { amount } } }
}";

/// What was written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) products: u64,
    pub(crate) orders: u64,
    /// Returns made; a `C…` invoice makes one per order that it takes from.
    pub(crate) returns: u64,
    /// Rows that are in the shop now.
    pub(crate) imported: u64,
    pub(crate) sold: Goods,
    pub(crate) returned: Goods,
}

/// Goods that went over the counter, in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Goods {
    /// Rows of which every piece is in the shop.
    pub(crate) rows: u64,
    /// Their pieces, and those of rows that were returned in part.
    pub(crate) pieces: i64,
    /// What the shop took or gives back for them, minor units of GBP.
    pub(crate) pence: i64,
}

/// Writes the catalogue, and with `orders` the stock that the invoices need, the
/// invoices as paid orders and what the `C…` invoices return of them. Rows that the shop
/// refuses join `parsed.rejects`, and without `orders` those that return something.
///
/// `file_key` is derived from the file's content.
///
/// # Errors
/// The shop vanished, or refuses this account. What is written stays written.
///
/// # On crash
/// Some products, stock changes, orders and returns exist, the rest do not; the same file run
/// again repeats all calls with the same keys, of which only the missing have an effect.
pub(crate) async fn write(
    client: &Client,
    parsed: &mut Parsed,
    file_key: &str,
    orders: bool,
    progress: &Progress,
) -> anyhow::Result<Written> {
    let mut written = Written::default();
    let refused = upsert_products(client, parsed, file_key, progress).await?;
    written.products = (parsed.products.len() - refused.len()) as u64;
    leave_out(parsed, refused);
    if !orders {
        let rows = parsed.products.iter().map(|product| product.rows.len() as u64);
        written.imported = rows.sum();
        reject_returns(parsed);
        return Ok(written);
    }
    let refused = stock(client, parsed, file_key, progress).await?;
    leave_out(parsed, refused);
    let orders = place_orders(client, parsed, progress, &mut written).await?;
    returns::take_back(client, parsed, &orders, progress, &mut written).await?;
    written.imported = written.sold.rows + written.returned.rows;
    Ok(written)
}

/// Where nothing is sold, nothing can be taken back.
fn reject_returns(parsed: &mut Parsed) {
    let Parsed { plan, rejects, .. } = parsed;
    for planned in &plan.returns {
        let detail = format!("{} takes an earlier sale back; only --replay sells and returns", planned.number);
        rejects.add_all(&planned.rows().collect::<Vec<_>>(), &Reason::Cancellation, &detail);
    }
}

/// SKUs that the shop will not have, and why.
type RefusedSkus = BTreeMap<String, Refusal>;

async fn upsert_products(
    client: &Client,
    parsed: &Parsed,
    file_key: &str,
    progress: &Progress,
) -> anyhow::Result<RefusedSkus> {
    progress.start("products", parsed.products.len());
    let calls = parsed.products.iter().map(|product| {
        let variables = json!({
            "input": {
                "sku": product.sku,
                "name": product.name,
                "price": { "amount": product.price, "currency": "GBP" },
            },
            "key": format!("import:{file_key}:{}", product.sku),
        });
        (product.sku.clone(), variables)
    });
    each(client, UPSERT, calls, progress).await
}

/// Gives each SKU what the invoices will take. A need beyond GraphQL's `Int` goes in
/// parts, each with a key of its own.
async fn stock(client: &Client, parsed: &Parsed, file_key: &str, progress: &Progress) -> anyhow::Result<RefusedSkus> {
    let mut calls = Vec::new();
    for (sku, mut needed) in needed_stock(&parsed.invoices) {
        let mut key = format!("import:{file_key}:{sku}");
        for part in 2.. {
            let delta = needed.min(MAX_INT);
            let variables = json!({ "sku": sku, "delta": delta, "key": key });
            calls.push((sku.to_owned(), variables));
            needed -= delta;
            if needed == 0 {
                break;
            }
            key = format!("import:{file_key}:{sku}:{part}");
        }
    }
    progress.start("stock", calls.len());
    each(client, ADJUST, calls.into_iter(), progress).await
}

/// One call per SKU, several at once.
async fn each(
    client: &Client,
    operation: &'static str,
    calls: impl Iterator<Item = (String, Value)>,
    progress: &Progress,
) -> anyhow::Result<RefusedSkus> {
    let calls = calls.map(|(sku, variables)| async move { (sku, client.call(operation, &variables).await) });
    let mut answers = stream::iter(calls).buffer_unordered(AT_ONCE);
    let mut refused = RefusedSkus::new();
    while let Some((sku, answer)) = answers.next().await {
        match answer {
            Ok(_) => {}
            Err(CallError::Refused(refusal)) => drop(refused.insert(sku, refusal)),
            Err(CallError::Stopped(error)) => return Err(error),
        }
        progress.step(1);
    }
    Ok(refused)
}

/// Takes SKUs that the shop refused out of everything that is still to be written.
fn leave_out(parsed: &mut Parsed, refused: RefusedSkus) {
    if refused.is_empty() {
        return;
    }
    let Parsed { products, invoices, rejects, .. } = parsed;
    products.retain(|product| match refused.get(&product.sku) {
        Some(refusal) => {
            reject(rejects, &product.rows, refusal, &product.sku);
            false
        }
        None => true,
    });
    for invoice in invoices.iter_mut() {
        invoice.lines.retain(|line| !refused.contains_key(&line.sku));
    }
    invoices.retain(|invoice| !invoice.lines.is_empty());
}

fn reject(rejects: &mut Rejects, rows: &[u64], refusal: &Refusal, what: &str) {
    let detail = format!("the shop refused {what}: {}", refusal.message);
    rejects.add_all(rows, &Reason::Refused(refusal.code.clone()), &detail);
}

/// Gives the orders' ids by the numbers of their invoices.
async fn place_orders(
    client: &Client,
    parsed: &mut Parsed,
    progress: &Progress,
    written: &mut Written,
) -> anyhow::Result<HashMap<String, String>> {
    let Parsed { invoices, rejects, .. } = parsed;
    progress.start("orders", invoices.len());
    let mut orders = HashMap::with_capacity(invoices.len());
    // One order may not answer for two invoices: its rows would be counted twice.
    let mut known: HashSet<String> = HashSet::new();
    for wave in invoices.chunks(WAVE) {
        let mut placed: Vec<Placed<'_>> = Vec::with_capacity(wave.len());
        let calls = wave.iter().map(|invoice| async move { (invoice, place(client, invoice).await) });
        let mut answers = stream::iter(calls).buffer_unordered(AT_ONCE);
        while let Some((invoice, answer)) = answers.next().await {
            match answer {
                Ok((id, total)) => {
                    ensure!(known.insert(id.clone()), "{} gave two invoices the same order {id}", client.address());
                    orders.insert(invoice.number.clone(), id.clone());
                    placed.push(Placed { id, invoice, total });
                }
                Err(CallError::Refused(refusal)) => {
                    let what = format!("invoice {}", invoice.number);
                    reject(rejects, &rows_of(invoice), &refusal, &what);
                    progress.step(1);
                }
                Err(CallError::Stopped(error)) => return Err(error),
            }
        }
        settle(client, placed, progress, |Placed { invoice, total, .. }, ending| match ending {
            Ending::Taken => {
                written.orders += 1;
                written.sold.rows += rows_of(invoice).len() as u64;
                written.sold.pieces += invoice.lines.iter().map(|line| line.quantity).sum::<i64>();
                written.sold.pence += total;
            }
            Ending::Failed { status, reason } => {
                let detail = format!("order of invoice {}: {reason}", invoice.number);
                rejects.add_all(&rows_of(invoice), &Reason::Order(status), &detail);
            }
        })
        .await?;
    }
    Ok(orders)
}

/// Places an invoice as a paid order; its number is the key. Gives the order's id and
/// what it costs, minor units.
async fn place(client: &Client, invoice: &Invoice) -> Result<(String, i64), CallError> {
    let lines = invoice.lines.iter();
    let lines = lines.map(|line| json!({ "sku": line.sku, "quantity": line.quantity }));
    let variables = json!({ "input": {
        "lines": lines.collect::<Vec<_>>(),
        "idempotencyKey": invoice.number,
        "card": CARD,
        "customer": invoice.customer,
    }});
    let data = client.call(PLACE, &variables).await?;
    let order = &data["placeOrder"];
    let id = order["id"].as_str().map(ToOwned::to_owned);
    let id = id.ok_or_else(|| CallError::Stopped(anyhow!("{} took an order without an id", client.address())))?;
    let quantity = |sku: &str| invoice.lines.iter().filter(|line| line.sku == sku).map(|line| line.quantity).sum();
    Ok((id, amount_of(order, quantity)))
}

/// What so many of each of an order's lines cost, minor units: by the order's own prices,
/// for those are paid and given back.
pub(crate) fn amount_of(order: &Value, quantity: impl Fn(&str) -> i64) -> i64 {
    let lines = order["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
    let amounts = lines.iter().map(|line| {
        let price = line["unitPrice"]["amount"].as_i64().unwrap_or_default();
        price * quantity(line["sku"].as_str().unwrap_or_default())
    });
    amounts.sum()
}

fn rows_of(invoice: &Invoice) -> Vec<u64> {
    invoice.lines.iter().flat_map(|line| line.rows.iter().copied()).collect()
}
