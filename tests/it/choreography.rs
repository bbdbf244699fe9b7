//! A service that is down: notification only listens, so no order waits for it, and when it is back
//! it tells what it missed.

use std::time::Duration;

use serde_json::json;

use crate::command_line::orderly;
use crate::servers::until;
use crate::shop::{Client, Shop, ShopOptions};

const PATIENCE: Duration = Duration::from_secs(60);
const APPROVED: &str = "4242 4242 4242 4242";

/// The topics of the customer's messages, oldest first.
async fn topics(client: &Client) -> anyhow::Result<Vec<String>> {
    let answer = client.query("{ notifications(first: 50) { edges { node { topic } } } }", json!({})).await?;
    let edges = answer["notifications"]["edges"].as_array().cloned().unwrap_or_default();
    Ok(edges.iter().rev().map(|edge| edge["node"]["topic"].as_str().unwrap_or_default().to_owned()).collect())
}

/// Stops notification from hearing anything, or lets it hear again, as an operator would.
async fn set_down(shop: &Shop, down: bool) {
    let (to, folder) = (shop.grpc_url().await.expect("a port"), shop.data_dir().display().to_string());
    let mut args = vec!["ops", "fault", "notification", "reading-paused", "--to", &to, "--data-dir", &folder];
    if !down {
        args.push("--clear");
    }
    let ended = orderly(None, args).await;
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_order_waits_for_notification_and_it_tells_what_it_missed_when_it_is_back() {
    let times = ["--ship-after", "10ms", "--deliver-after", "10ms"];
    let shop = Shop::start(ShopOptions::with_args(times)).await.expect("the shop starts");
    let ada = shop.client().log_in("ada@example.com", "orderly").await.expect("logs in");
    set_down(&shop, true).await;

    let mut ids = Vec::new();
    for (card, cancel, end) in
        [(Some(APPROVED), false, "DELIVERED"), (None, true, "CANCELLED"), (Some(APPROVED), false, "DELIVERED")]
    {
        let order = ada.place_order(&[("MUG-ENAMEL-BLUE", 1)], card, None).await.expect("is taken");
        let id = order["id"].as_str().expect("an id").to_owned();
        if cancel {
            ada.cancel_order(&id, None).await.expect("is called off");
        }
        ada.await_status(&id, end, PATIENCE).await.expect("nothing waits for notification");
        ids.push(id);
    }
    ada.return_order(&ids[0], &[("MUG-ENAMEL-BLUE", 1)], None).await.expect("is taken back");
    ada.await_status(&ids[0], "REFUNDED", PATIENCE).await.expect("nothing waits for notification");
    assert_eq!(topics(&ada).await.expect("answers"), Vec::<String>::new(), "notification was to be down");

    set_down(&shop, false).await;
    let mut told = Vec::new();
    let all = until("the messages about everything", PATIENCE, async || {
        told = topics(&ada).await?;
        let last = ["order-refunded", "order-cancelled", "order-delivered"];
        let done = last.iter().all(|last| told.iter().any(|topic| topic == last))
            && told.iter().filter(|topic| *topic == "order-delivered").count() == 2;
        Ok(done.then_some(()))
    });
    all.await.unwrap_or_else(|error| panic!("{error}: {told:?}"));
    for (topic, times) in [("order-placed", 3), ("order-confirmed", 2), ("order-shipped", 2), ("order-refunded", 1)] {
        assert_eq!(told.iter().filter(|told| *told == topic).count(), times, "{topic} in {told:?}");
    }
}
