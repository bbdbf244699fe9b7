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

use std::path::Path;
use std::time::Duration;

use orderly::Stores;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::task::JoinSet;

use crate::customers::{self, Book, Customer, all_is_well, fill_the_shelf, seed};
use crate::servers::{self, Persistence, RedisServer};
use crate::shop::{Client, Shop, ShopOptions};
use crate::topologies;

const KILLS: u32 = 22;
const BUYERS: u64 = 6;
const TIMES: [&str; 6] = ["--payment-window", "6s", "--ship-after", "1s", "--deliver-after", "1s"];

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
    end(&shop.client(), &book).await;
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
    end(&shop.client(), &book).await;
    let stores = Stores::on_postgres(&url).await.expect("the stores open");
    all_is_well(&stores).await;
}

/// Customers buy; after `pause` milliseconds the shop is killed under them.
async fn buy_until_killed(shop: &mut Shop, book: &Book, random: &mut StdRng, round: u32, pause: u64) {
    let mut buyers = JoinSet::new();
    for buyer in 0..BUYERS {
        let (client, book, mut random) = (shop.client(), book.clone(), StdRng::seed_from_u64(random.random()));
        buyers.spawn(async move {
            let Some(ada) = Customer::log_in(&[client], 1).await else { return };
            ada.buy(&book, &format!("r{round}-b{buyer}"), &mut random, || true).await;
        });
    }
    // Not a wait for anything: the moment of the fault.
    tokio::time::sleep(Duration::from_millis(pause)).await;
    shop.kill9().expect("the shop is killed");
    buyers.join_all().await;
}

async fn end(client: &Client, book: &Book) {
    let ada = Customer::log_in(std::slice::from_ref(client), 1).await.expect("logs in");
    customers::come_to_an_end(&ada, book).await;
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
