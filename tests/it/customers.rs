//! Customers as they are: they buy with idempotency keys, call orders off, send things back, and
//! ask again for what was not answered, at another gateway if there is one.
//!
//! What each was told is kept in a [`Book`]. [`come_to_an_end`] then asks for all of it again and
//! compares: whoever got an answer was told the truth.

#![expect(clippy::print_stdout, reason = "a seed must be seen to be used again")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use orderly::{Stores, audit};
use platform::clock::Clock;
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::servers::until;
use crate::shop::{Client, GraphqlError};

const PATIENCE: Duration = Duration::from_secs(120);
/// How many orders are seen to their ends at a time.
const AT_ONCE: usize = 16;
const ENDED: [&str; 5] = ["DELIVERED", "REJECTED", "EXPIRED", "CANCELLED", "REFUNDED"];

const CARDS: [Option<&str>; 9] = [
    None,
    Some("4242 4242 4242 4242"),
    Some("4242 4242 4242 4242"),
    Some("4000 0000 0000 0002"),
    Some("4000 0000 0000 9995"),
    Some("4000 0000 0000 0077"),
    Some("4000 0000 0000 0119"),
    Some("4000 0000 0000 0341"),
    Some("4000 0000 0000 0069"),
];

/// SKU and stock at the beginning: plenty, and two that run out.
pub(crate) const SHELF: [(&str, i64); 5] =
    [("KILL-A", 1_000_000), ("KILL-B", 1_000_000), ("KILL-C", 1_000_000), ("KILL-RARE", 25), ("KILL-RARER", 7)];

/// What a customer asked for under a key, and the order's id once it was answered.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    lines: Vec<(&'static str, i64)>,
    card: Option<&'static str>,
    answered: Option<String>,
    regrets: Regret,
    /// Whether calling it off was accepted, once that was answered.
    called_off: Option<bool>,
}

/// What a customer does about an order afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Regret {
    /// Keeps it.
    None,
    /// Calls it off, at once.
    Cancel,
    /// Sends a piece back when it is delivered.
    Return,
}

pub(crate) type Book = Arc<Mutex<BTreeMap<String, Asked>>>;

/// Somebody who is logged in, and knows every door to the shop.
#[derive(Debug, Clone)]
pub(crate) struct Customer {
    doors: Vec<Client>,
    /// How often he tries all of them before he gives up.
    rounds: u32,
}

/// The seed of a run, printed; `ORDERLY_SEED=…` repeats its choices.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("ORDERLY_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("ORDERLY_SEED={seed}");
    seed
}

/// Makes what is on the [`SHELF`].
pub(crate) async fn fill_the_shelf(visitor: &Client) {
    let operator = visitor.log_in("operator@example.com", "orderly").await.expect("logs in");
    for (sku, stock) in SHELF {
        operator
            .query(
                "mutation($sku: ID!, $delta: Int!, $name: String!) {
                    upsertProduct(input: {sku: $sku, name: $name, price: {amount: 199, currency: \"GBP\"}}) { sku }
                    adjustStock(sku: $sku, delta: $delta) { available } }",
                json!({ "sku": sku, "delta": stock, "name": sku }),
            )
            .await
            .expect("the product is made");
    }
}

impl Customer {
    /// Logs in at one door; the session is good at all of them.
    pub(crate) async fn log_in(doors: &[Client], rounds: u32) -> Option<Self> {
        let visitor = Self { doors: doors.to_vec(), rounds };
        let ada = visitor.told(|door| async move { door.log_in("ada@example.com", "orderly").await }).await.ok()?;
        Some(Self { doors: doors.iter().map(|door| ada.at(door)).collect(), rounds })
    }

    /// Asks until somebody gives a definite answer, yes or no; or gives up.
    async fn told<T, F>(&self, ask: impl Fn(Client) -> F) -> Result<T, GraphqlError>
    where
        F: Future<Output = Result<T, GraphqlError>>,
    {
        let mut tries = 0;
        loop {
            for door in &self.doors {
                match ask(door.clone()).await {
                    Err(error) if !error.is_definite() => {
                        tries += 1;
                        if tries >= self.rounds * u32::try_from(self.doors.len()).unwrap_or(1) {
                            return Err(error);
                        }
                    }
                    answer => return answer,
                }
            }
            // Not a wait for anything: how soon a person tries again.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Buys one thing after the other under keys that begin with `prefix`, as long as
    /// `goes_on` says so and there are answers.
    pub(crate) async fn buy(&self, book: &Book, prefix: &str, random: &mut StdRng, goes_on: impl Fn() -> bool) {
        let mut number = 0;
        while goes_on() {
            let key = format!("{prefix}-n{number}");
            number += 1;
            let lines: BTreeMap<&str, i64> = (0..random.random_range(1..=3))
                .map(|_| (SHELF[random.random_range(0..SHELF.len())].0, random.random_range(1..=3)))
                .collect();
            let asked = Asked {
                lines: lines.into_iter().collect(),
                card: CARDS[random.random_range(0..CARDS.len())],
                answered: None,
                regrets: [Regret::None, Regret::None, Regret::Cancel, Regret::Return][random.random_range(0..4)],
                called_off: None,
            };
            book.lock().expect("no buyer panics").insert(key.clone(), asked.clone());
            let Some(id) = self.ask(&key, &asked).await else { return };
            if let Some(entry) = book.lock().expect("no buyer panics").get_mut(&key) {
                entry.answered = Some(id.clone());
            }
            if asked.regrets == Regret::Cancel {
                let Some(accepted) = self.call_off(&key, &id).await else { return };
                if let Some(entry) = book.lock().expect("no buyer panics").get_mut(&key) {
                    entry.called_off = Some(accepted);
                }
            }
        }
    }

    /// Places an order; `None` if there was no answer.
    async fn ask(&self, key: &str, asked: &Asked) -> Option<String> {
        self.told(|door| async move { door.take_order(&asked.lines, asked.card, Some(key)).await }).await.ok()
    }

    /// Calls an order off: whether that was accepted; `None` if there was no answer.
    async fn call_off(&self, key: &str, id: &str) -> Option<bool> {
        let key = &format!("{key}-off");
        match self.told(|door| async move { door.call_off(id, key).await }).await {
            Ok(()) => Some(true),
            Err(error) if error.has_code("CONFLICT") => Some(false),
            Err(_) => None,
        }
    }

    /// Asks again for what was asked under this key, compares the answers, and waits for the order's
    /// end; gives its id and how it stands.
    async fn see_to_its_end(&self, key: &str, asked: &Asked) -> (String, String) {
        let id = until("an answer", PATIENCE, async || Ok(self.ask(key, asked).await)).await.expect("an answer");
        if let Some(first) = &asked.answered {
            assert_eq!(&id, first, "{key} was answered with two orders");
        }
        let mut off = None;
        if asked.regrets == Regret::Cancel {
            let answer = until("an answer", PATIENCE, async || Ok(self.call_off(key, &id).await)).await;
            off = Some(answer.expect("an answer"));
            assert!(asked.called_off.is_none() || asked.called_off == off, "{key}-off was answered in two ways");
        }
        let order = self.doors[0].await_any_status(&id, &ENDED, PATIENCE).await.expect("every order comes to an end");
        let status = order["status"].as_str().unwrap_or_default().to_owned();
        if off == Some(true) {
            assert!(["CANCELLED", "REFUNDED"].contains(&&*status), "{key} was called off and is {status}: {order}");
        }
        if asked.regrets == Regret::Return && status == "DELIVERED" {
            self.send_back(key, &order).await;
        }
        (id, status)
    }

    /// Sends one piece of a delivered order back and waits for its money.
    async fn send_back(&self, key: &str, order: &Value) {
        let (id, line) = (order["id"].as_str().expect("an id"), &order["lines"][0]);
        let piece = &[(line["sku"].as_str().expect("a SKU"), 1)];
        let key = &format!("{key}-back");
        until("an answer to the return", PATIENCE, async || {
            Ok(self.told(|door| async move { door.return_order(id, piece, Some(key)).await }).await.ok())
        })
        .await
        .expect("a delivered order is taken back");
        until("the money of the return", PATIENCE, async || {
            let order = self.doors[0].order(id).await?;
            let back = order["refunded"]["amount"] == line["unitPrice"]["amount"] && order["unwinding"] == false;
            Ok(back.then_some(()))
        })
        .await
        .expect("one piece is refunded, once");
    }
}

/// Asks again for everything, answered or not, and waits for every order's end; many at a time.
pub(crate) async fn come_to_an_end(ada: &Customer, book: &Book) {
    let asked = book.lock().expect("no buyer panics").clone();
    let ends: Vec<(String, String)> = stream::iter(&asked)
        .map(|(key, asked)| ada.see_to_its_end(key, asked))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let ids: BTreeSet<&str> = ends.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids.len(), asked.len(), "two keys have one order");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, end) in &ends {
        *counts.entry(end).or_default() += 1;
    }
    println!("{} orders: {counts:?}", ends.len());
    for end in ["DELIVERED", "CANCELLED"] {
        assert!(counts.contains_key(end), "nobody came to {end}: {counts:?}");
    }
}

pub(crate) async fn all_is_well(stores: &Stores) {
    for finding in audit(stores, &Clock::system()).await.expect("the stores answer") {
        assert!(finding.breaches.is_empty(), "{finding:?}");
    }
}
