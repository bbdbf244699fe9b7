//! Writes what [`parse`](super::parse) read to a shop: products, stock, orders.
//!
//! Everything goes through the public API with an *idempotency key* that follows from
//! the file alone: `import:<hash>:<sku>` for products and stock, the invoice number for
//! orders. So a broken run is resumed by running it again, and a second run finds
//! everything done and changes nothing.

use std::collections::{BTreeMap, HashSet};

use anyhow::{anyhow, ensure};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::client::{CallError, Client, Refusal};
use super::fields::MAX_INT;
use super::parse::{Invoice, Parsed, needed_stock};
use super::progress::Progress;
use super::rejects::{Reason, Rejects};
use super::settle::{Ending, settle};

/// How many calls are under way at once.
const AT_ONCE: usize = 32;

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
  placeOrder(input: $input) { id }
}";

/// What was written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) products: u64,
    pub(crate) orders: u64,
    /// Rows that are in the shop now.
    pub(crate) imported: u64,
}

/// Writes the catalogue, and with `orders` the stock that the invoices need and the
/// invoices as paid orders. Rows that the shop refuses join `parsed.rejects`.
///
/// `file_key` is derived from the file's content.
///
/// # Errors
/// The shop vanished, or refuses this account. What is written stays written.
///
/// # On crash
/// Some products, stock changes and orders exist, the rest do not; the same file run
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
        return Ok(written);
    }
    let refused = stock(client, parsed, file_key, progress).await?;
    leave_out(parsed, refused);
    place_orders(client, parsed, progress, &mut written).await?;
    Ok(written)
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

async fn place_orders(
    client: &Client,
    parsed: &mut Parsed,
    progress: &Progress,
    written: &mut Written,
) -> anyhow::Result<()> {
    let Parsed { invoices, rejects, .. } = parsed;
    progress.start("orders", invoices.len());
    // One order may not answer for two invoices: its rows would be counted twice.
    let mut known: HashSet<String> = HashSet::new();
    for wave in invoices.chunks(WAVE) {
        let mut placed: Vec<(String, &Invoice)> = Vec::with_capacity(wave.len());
        let calls = wave.iter().map(|invoice| async move { (invoice, place(client, invoice).await) });
        let mut answers = stream::iter(calls).buffer_unordered(AT_ONCE);
        while let Some((invoice, answer)) = answers.next().await {
            match answer {
                Ok(id) => {
                    ensure!(known.insert(id.clone()), "{} gave two invoices the same order {id}", client.address());
                    placed.push((id, invoice));
                }
                Err(CallError::Refused(refusal)) => {
                    let what = format!("invoice {}", invoice.number);
                    reject(rejects, &rows_of(invoice), &refusal, &what);
                    progress.step(1);
                }
                Err(CallError::Stopped(error)) => return Err(error),
            }
        }
        settle(client, placed, progress, |invoice, ending| match ending {
            Ending::Taken => {
                written.orders += 1;
                written.imported += rows_of(invoice).len() as u64;
            }
            Ending::Failed { status, reason } => {
                let detail = format!("order of invoice {}: {reason}", invoice.number);
                rejects.add_all(&rows_of(invoice), &Reason::Order(status), &detail);
            }
        })
        .await?;
    }
    Ok(())
}

/// Places an invoice as a paid order; its number is the key. Gives the order's id.
async fn place(client: &Client, invoice: &Invoice) -> Result<String, CallError> {
    let lines = invoice.lines.iter();
    let lines = lines.map(|line| json!({ "sku": line.sku, "quantity": line.quantity }));
    let variables = json!({ "input": {
        "lines": lines.collect::<Vec<_>>(),
        "idempotencyKey": invoice.number,
        "card": CARD,
        "customer": invoice.customer,
    }});
    let data = client.call(PLACE, &variables).await?;
    let id = data["placeOrder"]["id"].as_str().map(ToOwned::to_owned);
    id.ok_or_else(|| CallError::Stopped(anyhow!("{} took an order without an id", client.address())))
}

fn rows_of(invoice: &Invoice) -> Vec<u64> {
    invoice.lines.iter().flat_map(|line| line.rows.iter().copied()).collect()
}
