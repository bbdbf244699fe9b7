//! `kill -9` at any moment, while customers buy.
//!
//! The real binary, killed at random moments and started again, more than twenty
//! times; between kill and start its broker's memory is at random taken away,
//! replaced by an older copy, or flushed. Customers keep buying with idempotency
//! keys, call orders off, and, as real clients do, ask again for what was not
//! answered; what is delivered in the end, some send back. In the end: every
//! accepted order has come to an end, a key that was answered twice was answered
//! alike, who was told that his order is off has his money, nobody is charged or
//! refunded twice, no stock has leaked, the audit is green.
//!
//! The seed is printed; `ORDERLY_SEED=…` repeats its choices (moments, lines,
//! cards, faults). What the scheduler does between them is its own.

#![expect(clippy::print_stdout, reason = "a seed must be seen to be used again")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use orderly::{Stores, audit};
use platform::clock::Clock;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::servers::{self, Persistence, RedisServer, until};
use crate::shop::{Client, Shop, ShopOptions};
use crate::topologies;

const KILLS: u32 = 22;
const BUYERS: u64 = 6;
const TIMES: [&str; 6] = ["--payment-window", "6s", "--ship-after", "1s", "--deliver-after", "1s"];
const PATIENCE: Duration = Duration::from_secs(120);
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
const SHELF: [(&str, i64); 5] =
    [("KILL-A", 1_000_000), ("KILL-B", 1_000_000), ("KILL-C", 1_000_000), ("KILL-RARE", 25), ("KILL-RARER", 7)];

/// What a customer asked for under a key, and the order's id once it was answered.
#[derive(Debug, Clone)]
struct Asked {
    lines: Vec<(&'static str, i64)>,
    card: Option<&'static str>,
    answered: Option<String>,
    regrets: Regret,
    /// Whether calling it off was accepted, once that was answered.
    called_off: Option<bool>,
}

/// What a customer does about an order afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Regret {
    /// Keeps it.
    None,
    /// Calls it off, at once.
    Cancel,
    /// Sends a piece back when it is delivered.
    Return,
}

type Book = Arc<Mutex<BTreeMap<String, Asked>>>;

fn seed() -> u64 {
    let seed = std::env::var("ORDERLY_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("ORDERLY_SEED={seed}");
    seed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_killed_at_any_moment_loses_nothing_and_charges_nobody_twice() {
    let mut random = StdRng::seed_from_u64(seed());
    let mut shop = Shop::start(ShopOptions::with_args(TIMES)).await.expect("the shop starts");
    let folder = shop.data_dir().to_owned();
    let copy = folder.with_extension("older-broker");
    let book = Book::default();
    fill_the_shelf(&shop.client()).await;
    for round in 0..KILLS {
        let pause = random.random_range(30..700);
        buy_until_killed(&mut shop, &book, &mut random, round, pause).await;
        match random.random_range(0..4) {
            0 => remove_broker(&folder),
            1 => copy_broker(&copy, &folder),
            2 => copy_broker(&folder, &copy),
            _ => {}
        }
        shop.restart().await.expect("the shop starts again");
    }
    come_to_an_end(&shop.client(), &book).await;
    let stores = Stores::in_existing_folder(&folder).await.expect("the stores open");
    all_is_well(&stores).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_on_postgres_and_redis_killed_and_flushed_loses_nothing_and_charges_nobody_twice() {
    let mut random = StdRng::seed_from_u64(seed());
    let postgres = servers::postgres().await.expect("Postgres starts");
    let redis = RedisServer::start(Persistence::None).await.expect("Redis starts");
    let url = topologies::databases(postgres).await.expect("databases");
    let options = topologies::on_servers(&url, Some(&redis.url()), &TIMES);
    let mut shop = Shop::start(options).await.expect("the shop starts");
    let book = Book::default();
    fill_the_shelf(&shop.client()).await;
    for round in 0..KILLS {
        // A killed shop's partitions are free only when its leases lapse; some
        // rounds are long enough for that.
        let pause = random.random_range(100..2_000);
        let flush_at = random.random_bool(0.5).then(|| random.random_range(0..pause));
        let flush = async {
            if let Some(moment) = flush_at {
                tokio::time::sleep(Duration::from_millis(moment)).await;
                redis.flushall().await.expect("Redis is flushed");
            }
        };
        tokio::join!(flush, buy_until_killed(&mut shop, &book, &mut random, round, pause));
        if random.random_bool(0.3) {
            redis.flushall().await.expect("Redis is flushed");
        }
        shop.restart().await.expect("the shop starts again");
    }
    come_to_an_end(&shop.client(), &book).await;
    let stores = Stores::on_postgres(&url).await.expect("the stores open");
    all_is_well(&stores).await;
}

async fn fill_the_shelf(visitor: &Client) {
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

/// Customers buy; after `pause` milliseconds the shop is killed under them.
async fn buy_until_killed(shop: &mut Shop, book: &Book, random: &mut StdRng, round: u32, pause: u64) {
    let mut buyers = JoinSet::new();
    for buyer in 0..BUYERS {
        let (client, book, mut random) = (shop.client(), book.clone(), StdRng::seed_from_u64(random.random()));
        buyers.spawn(async move {
            let Ok(ada) = client.log_in("ada@example.com", "orderly").await else { return };
            for number in 0.. {
                let key = format!("r{round}-b{buyer}-n{number}");
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
                let Some(id) = ask(&ada, &key, &asked).await else { return };
                if let Some(entry) = book.lock().expect("no buyer panics").get_mut(&key) {
                    entry.answered = Some(id.clone());
                }
                if asked.regrets == Regret::Cancel {
                    let Some(accepted) = call_off(&ada, &key, &id).await else { return };
                    if let Some(entry) = book.lock().expect("no buyer panics").get_mut(&key) {
                        entry.called_off = Some(accepted);
                    }
                }
            }
        });
    }
    // Not a wait for anything: the moment of the fault.
    tokio::time::sleep(Duration::from_millis(pause)).await;
    shop.kill9().expect("the shop is killed");
    buyers.join_all().await;
}

/// Places an order; `None` if there was no answer.
async fn ask(ada: &Client, key: &str, asked: &Asked) -> Option<String> {
    let order = ada.place_order(&asked.lines, asked.card, Some(key)).await.ok()?;
    order["id"].as_str().map(str::to_owned)
}

/// Calls an order off: whether that was accepted; `None` if there was no answer.
async fn call_off(ada: &Client, key: &str, id: &str) -> Option<bool> {
    match ada.cancel_order(id, Some(&format!("{key}-off"))).await {
        Ok(_) => Some(true),
        Err(error) if error.has_code("CONFLICT") => Some(false),
        Err(_) => None,
    }
}

/// Sends one piece of a delivered order back and waits for its money.
async fn send_back(ada: &Client, key: &str, order: &Value) {
    let (id, line) = (order["id"].as_str().expect("an id"), &order["lines"][0]);
    let piece = [(line["sku"].as_str().expect("a SKU"), 1)];
    until("an answer to the return", PATIENCE, async || {
        Ok(ada.return_order(id, &piece, Some(&format!("{key}-back"))).await.ok())
    })
    .await
    .expect("a delivered order is taken back");
    until("the money of the return", PATIENCE, async || {
        let order = ada.order(id).await?;
        Ok((order["refunded"]["amount"] == line["unitPrice"]["amount"] && order["unwinding"] == false).then_some(()))
    })
    .await
    .expect("one piece is refunded, once");
}

/// Asks again for everything, answered or not, and waits for every order's end.
async fn come_to_an_end(visitor: &Client, book: &Book) {
    let ada = visitor.log_in("ada@example.com", "orderly").await.expect("logs in");
    let asked = book.lock().expect("no buyer panics").clone();
    let mut ids = BTreeMap::new();
    for (key, asked) in &asked {
        let id = until("an answer", PATIENCE, async || Ok(ask(&ada, key, asked).await)).await.expect("an answer");
        if let Some(first) = &asked.answered {
            assert_eq!(&id, first, "{key} was answered with two orders");
        }
        let mut off = None;
        if asked.regrets == Regret::Cancel {
            let answer = until("an answer", PATIENCE, async || Ok(call_off(&ada, key, &id).await)).await;
            off = Some(answer.expect("an answer"));
            assert!(asked.called_off.is_none() || asked.called_off == off, "{key}-off was answered in two ways");
        }
        assert_eq!(ids.insert(id, (key, asked.regrets, off)), None, "two keys have one order");
    }
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for (id, (key, regrets, off)) in &ids {
        let order = ada.await_any_status(id, &ENDED, PATIENCE).await.expect("every order comes to an end");
        let status = order["status"].as_str().unwrap_or_default();
        if *off == Some(true) {
            assert!(["CANCELLED", "REFUNDED"].contains(&status), "{key} was called off and is {status}: {order}");
        }
        if *regrets == Regret::Return && status == "DELIVERED" {
            send_back(&ada, key, &order).await;
        }
        *ends.entry(status.to_owned()).or_default() += 1;
    }
    println!("{} orders: {ends:?}", ids.len());
    for end in ["DELIVERED", "CANCELLED"] {
        assert!(ends.contains_key(end), "nobody came to {end}: {ends:?}");
    }
}

async fn all_is_well(stores: &Stores) {
    for finding in audit(stores, &Clock::system()).await.expect("the stores answer") {
        assert!(finding.breaches.is_empty(), "{finding:?}");
    }
}

fn remove_broker(folder: &Path) {
    for file in ["bus.db", "bus.db-wal", "bus.db-shm"] {
        let _ = std::fs::remove_file(folder.join(file));
    }
}

/// Copies the broker's file from one folder to another, if there is one.
fn copy_broker(from: &Path, to: &Path) {
    if !from.join("bus.db").is_file() {
        return;
    }
    std::fs::create_dir_all(to).expect("a folder for the copy");
    remove_broker(to);
    for file in ["bus.db", "bus.db-wal", "bus.db-shm"] {
        if from.join(file).is_file() {
            std::fs::copy(from.join(file), to.join(file)).expect("a copy");
        }
    }
}
