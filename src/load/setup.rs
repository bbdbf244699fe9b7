//! Before the load: the operator, a few customers, products with enough in stock.
//!
//! All of it through the public API, and idempotent: products that are there are used again, and
//! stock is added only where there is too little. The customers are new with each run; their
//! passwords are random and forgotten.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::{self, Answer, Refusal, ask, read, try_ask};
use super::book::millis;
use super::line::{Address, Line};

/// Customers of a run.
const CUSTOMERS: usize = 8;
/// Pieces that a product has at least when a run begins, and what is added where it has not.
const ENOUGH: i64 = 100_000_000;
const MORE: i64 = 1_000_000_000;

/// Ready to be loaded.
pub(super) struct Ready {
    /// The operator's token.
    pub(super) operator: String,
    /// Those of the customers.
    pub(super) customers: Vec<String>,
    pub(super) skus: Vec<String>,
    /// Names this run in idempotency keys: no other has the same.
    pub(super) run: String,
}

/// Makes everything ready.
///
/// # Errors
/// Nobody answers, somebody else does, or the shop refuses; in words that say what to do.
pub(super) async fn prepare(to: &Rc<Address>, email: &str, password: &str, products: usize) -> anyhow::Result<Ready> {
    let operator = log_in(to, email, password).await?;
    let mut line = Line::try_new(to, Some(&operator))?;
    let run = Uuid::new_v4().simple().to_string()[..12].to_owned();
    let mut skus = Vec::new();
    for number in 0..products {
        let sku = format!("LOAD-{number}");
        stock(&mut line, to, &sku, number).await?;
        skus.push(sku);
    }
    let mut customers = Vec::new();
    for number in 0..CUSTOMERS {
        customers.push(sign_up(to, &format!("load-{run}-{number}@load.invalid")).await?);
    }
    Ok(Ready { operator, customers, skus, run })
}

async fn log_in(to: &Rc<Address>, email: &str, password: &str) -> anyhow::Result<String> {
    let query = "mutation($email: String!, $password: String!) { logIn(email: $email, password: $password) { token } }";
    let mut line = Line::try_new(to, None)?;
    match try_ask(&mut line, to, query, &json!({ "email": email, "password": password })).await? {
        Answer::Done(data) => token(&data, "logIn"),
        Answer::Refused(Refusal { code, .. }) => {
            bail!("{to} refused the log-in of {email} ({code}); give an operator's with --email and ORDERLY_PASSWORD")
        }
    }
}

async fn sign_up(to: &Rc<Address>, email: &str) -> anyhow::Result<String> {
    let query =
        "mutation($email: String!, $password: String!) { signUp(email: $email, password: $password) { token } }";
    let password = Uuid::new_v4().to_string();
    let mut line = Line::try_new(to, None)?;
    loop {
        match try_ask(&mut line, to, query, &json!({ "email": email, "password": password })).await? {
            Answer::Done(data) => return token(&data, "signUp"),
            // Passwords take a while, and from one address there are not many at once.
            Answer::Refused(Refusal { code, .. }) if code == "OVERLOADED" || code == "RATE_LIMITED" => {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Answer::Refused(Refusal { code, message }) => bail!("{to} makes no account: {message} ({code})"),
        }
    }
}

fn token(data: &Value, of: &str) -> anyhow::Result<String> {
    data[of]["token"].as_str().map(str::to_owned).context("the shop answered a log-in without a token")
}

/// The product is there, and has enough.
async fn stock(line: &mut Line, to: &Address, sku: &str, number: usize) -> anyhow::Result<()> {
    let known = ask(line, to, "query($sku: ID!) { product(sku: $sku) { available } }", &json!({ "sku": sku })).await?;
    let available = known["product"]["available"].as_i64();
    if available.is_none() {
        let input = json!({
            "sku": sku, "name": format!("Load product {number}"), "price": { "amount": 1_000 + number, "currency": "GBP" },
        });
        let query = "mutation($input: ProductInput!) { upsertProduct(input: $input) { sku } }";
        ask(line, to, query, &json!({ "input": input })).await?;
    }
    if available.unwrap_or_default() < ENOUGH {
        let query = "mutation($sku: ID!, $delta: Int!) { adjustStock(sku: $sku, delta: $delta) { available } }";
        ask(line, to, query, &json!({ "sku": sku, "delta": MORE })).await?;
    }
    Ok(())
}

/// How long the shop waits for its money: what an order without a card says, which is called off
/// again.
///
/// # Errors
/// As [`prepare`].
pub(super) async fn payment_window(to: &Rc<Address>, ready: &Ready) -> anyhow::Result<Duration> {
    let mut line = Line::try_new(to, Some(&ready.customers[0]))?;
    let key = format!("load-{}-window", ready.run);
    let body = api::place_order(&key, &[&ready.skus[0]], false);
    let (status, answer) = line.post(body).await.map_err(|lost| anyhow!("{to} does not answer: {lost}"))?;
    let order = match read::<api::Placed>(status, &answer) {
        Answer::Done(placed) => placed.order,
        Answer::Refused(Refusal { code, message }) => bail!("{to} takes no order: {message} ({code})"),
    };
    let moment = |moment: &Option<String>| moment.as_deref().and_then(millis);
    let window = moment(&order.pay_before).zip(moment(&order.placed_at)).map(|(before, placed)| before - placed);
    let window = window.context("an order without a card says no payBefore")?;
    let cancel = "mutation($id: ID!) { cancelOrder(orderId: $id) { id } }";
    // One that has expired meanwhile is as good.
    try_ask(&mut line, to, cancel, &json!({ "id": order.id })).await?;
    Ok(Duration::from_millis(u64::try_from(window).unwrap_or(0)))
}
