//! Sixty buyers at once for ten units: exactly ten pay. On both stores.

use std::time::Duration;

use serde_json::json;

use crate::servers;
use crate::shop::{Client, Shop, ShopOptions};
use crate::topologies;

const BUYERS: usize = 60;
const UNITS: i64 = 10;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn sixty_buyers_for_ten_units_are_exactly_ten_paid_on_sqlite() {
    let shop = Shop::start(ShopOptions::default()).await.expect("the shop starts");
    sell_out(&shop.client()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_buyers_for_ten_units_are_exactly_ten_paid_on_postgres_and_redis() {
    let postgres = servers::postgres().await.expect("Postgres starts");
    let redis = servers::RedisServer::start(servers::Persistence::None).await.expect("Redis starts");
    let url = topologies::databases(postgres).await.expect("databases");
    let options = topologies::on_servers(&url, Some(&redis.url()), &[]);
    let shop = Shop::start(options).await.expect("the shop starts");
    sell_out(&shop.client()).await;
}

async fn sell_out(visitor: &Client) {
    let operator = visitor.log_in("operator@example.com", "orderly").await.expect("logs in");
    operator
        .query(
            r#"mutation {
                upsertProduct(input: {sku: "RARE", name: "Rare", price: {amount: 100, currency: "GBP"}}) { sku }
                adjustStock(sku: "RARE", delta: 10) { available } }"#,
            json!({}),
        )
        .await
        .expect("the product is there");

    let ada = visitor.log_in("ada@example.com", "orderly").await.expect("logs in");
    let orders = futures_util::future::join_all((0..BUYERS).map(|buyer| {
        let ada = ada.clone();
        async move {
            let key = format!("buyer-{buyer}");
            let order = ada
                .place_order(&[("RARE", 1)], Some("4242 4242 4242 4242"), Some(&key))
                .await
                .expect("the order is taken");
            let id = order["id"].as_str().expect("an id").to_owned();
            ada.await_any_status(&id, &["CONFIRMED", "REJECTED"], PATIENCE).await.expect("an end")["status"]
                .as_str()
                .expect("a status")
                .to_owned()
        }
    }))
    .await;

    let confirmed = orders.iter().filter(|status| *status == "CONFIRMED").count();
    assert_eq!(confirmed, usize::try_from(UNITS).expect("ten"), "{orders:?}");
    let left = servers::until("the catalogue to show an empty shelf", PATIENCE, async || {
        let product = operator.query(r#"{ product(sku: "RARE") { available } }"#, json!({})).await?;
        Ok((product["product"]["available"] == 0).then_some(()))
    });
    left.await.expect("nothing is left");
}
