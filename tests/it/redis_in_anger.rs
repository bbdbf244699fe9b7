//! The whole shop on a Redis that is full, frozen, failed over, or unreachable: orders are taken all the time,
//! and none is lost or stuck.
//!
//! The real binary, its broker at the other end of a network that the test can break. Each fault
//! follows one plan: orders before, of which shipping is due while it lasts; orders while it
//! lasts; then it ends, and all are delivered, for which two timers of each must ring. What else a
//! broker can do (be emptied, be killed) happens in `kill`, under load.

use std::time::Duration;

use serde_json::json;

use crate::command_line::orderly;
use crate::servers::proxy::Proxy;
use crate::servers::{Persistence, RedisServer, until};
use crate::shop::{Client, Shop, ShopOptions};

const PATIENCE: Duration = Duration::from_secs(90);
const APPROVED: &str = "4242 4242 4242 4242";

/// A shop in front of its own Redis.
struct Anger {
    redis: RedisServer,
    network: Proxy,
    shop: Shop,
    ada: Client,
    orders: Vec<String>,
}

impl Anger {
    async fn start() -> anyhow::Result<Self> {
        let redis = RedisServer::start(Persistence::None).await?;
        let (network, url) = Proxy::before(&redis.url()).await?;
        let args = ["--redis-url", &url, "--ship-after", "1s", "--deliver-after", "1s"];
        let shop = Shop::start(ShopOptions::with_args(args)).await?;
        let ada = shop.client().log_in("ada@example.com", "orderly").await?;
        let mut anger = Self { redis, network, shop, ada, orders: Vec::new() };
        anger.buy(2).await?;
        anger.ada.await_any_status(&anger.orders[0], &["CONFIRMED", "SHIPPED", "DELIVERED"], PATIENCE).await?;
        Ok(anger)
    }

    /// Each is taken, and answered: what happens to it then is another matter.
    async fn buy(&mut self, count: usize) -> anyhow::Result<()> {
        for _ in 0..count {
            let input = json!({ "lines": [{ "sku": "MUG-ENAMEL-BLUE", "quantity": 1 }], "card": APPROVED });
            // Not its timeline: that is read from a model that lags now, and says so.
            let taken = self.ada.query(
                "mutation($input: PlaceOrderInput!) { placeOrder(input: $input) { id } }",
                json!({ "input": input }),
            );
            let answer = tokio::time::timeout(PATIENCE, taken).await??;
            self.orders.push(answer["placeOrder"]["id"].as_str().unwrap_or_default().to_owned());
        }
        Ok(())
    }

    async fn by_hand(&self) -> anyhow::Result<redis::aio::MultiplexedConnection> {
        Ok(redis::Client::open(self.redis.url())?.get_multiplexed_async_connection().await?)
    }

    /// Waits until the shop has said so; what it says while the fault lasts.
    async fn until_said(&self, words: &str) -> anyhow::Result<()> {
        until(words, PATIENCE, async || Ok(self.shop.stderr().contains(words).then_some(()))).await
    }

    /// The fault is over: all that was ordered comes to its end, and the books are right.
    async fn all_is_well(mut self) -> anyhow::Result<()> {
        self.buy(2).await?;
        for id in &self.orders {
            self.ada.await_status(id, "DELIVERED", PATIENCE).await?;
        }
        let folder = self.shop.data_dir().display().to_string();
        let audit = orderly(None, ["audit", "--data-dir", &folder]).await;
        anyhow::ensure!(audit.code == 0, "{audit:?}");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_taken_while_redis_is_full_go_through_when_there_is_room() -> anyhow::Result<()> {
    let mut anger = Anger::start().await?;
    let mut hand = anger.by_hand().await?;
    let mut limit =
        async |bytes: u64| redis::cmd("CONFIG").arg(("SET", "maxmemory", bytes)).query_async::<()>(&mut hand).await;
    limit(1).await?;
    anger.buy(4).await?;
    anger.until_said("OOM").await?;
    anger.buy(2).await?;
    limit(0).await?;
    anger.all_is_well().await
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_taken_while_redis_is_frozen_go_through_when_it_thaws() -> anyhow::Result<()> {
    let mut anger = Anger::start().await?;
    anger.redis.freeze()?;
    anger.buy(4).await?;
    anger.until_said("relay interrupted").await?;
    anger.buy(2).await?;
    anger.redis.thaw()?;
    anger.all_is_well().await
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_taken_while_the_network_swallows_everything_go_through_when_it_is_mended() -> anyhow::Result<()> {
    let mut anger = Anger::start().await?;
    anger.network.swallow(true);
    anger.buy(4).await?;
    anger.until_said("relay interrupted").await?;
    anger.network.cut();
    anger.network.swallow(false);
    anger.all_is_well().await
}

/// The replica has nothing of the last orders, and takes over.
#[tokio::test(flavor = "multi_thread")]
async fn orders_that_the_new_primary_never_heard_of_go_through() -> anyhow::Result<()> {
    let mut anger = Anger::start().await?;
    let replica = RedisServer::start(Persistence::None).await?;
    let copying = Proxy::start(anger.redis.address()?).await?;
    let mut at_replica = redis::Client::open(replica.url())?.get_multiplexed_async_connection().await?;
    let (host, port) = (copying.address().ip().to_string(), copying.address().port());
    redis::cmd("REPLICAOF").arg((host, port)).query_async::<()>(&mut at_replica).await?;
    until("the replica copies", PATIENCE, async || {
        let info: String = redis::cmd("INFO").arg("replication").query_async(&mut at_replica).await?;
        Ok(info.contains("master_link_status:up").then_some(()))
    })
    .await?;
    anger.buy(3).await?;
    copying.swallow(true);
    anger.buy(3).await?;
    anger.redis.kill9()?;
    copying.cut();
    anger.buy(3).await?;
    redis::cmd("REPLICAOF").arg(("NO", "ONE")).query_async::<()>(&mut at_replica).await?;
    anger.network.retarget(replica.address()?);
    anger.all_is_well().await
}
