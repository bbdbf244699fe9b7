//! Orders of Ada's that stand where a test wants them.

use super::{APPROVED, CUSTOMER, PASSWORD, PATIENCE, PLENTY, shop};
use crate::shop::Client;

pub(super) async fn ada() -> Client {
    shop().await.client().log_in(CUSTOMER, PASSWORD).await.expect("logs in")
}

/// An order of so many pieces, with a card or without; its id.
pub(super) async fn placed(pieces: i64, card: Option<&str>) -> String {
    let order = ada().await.place_order(&[(PLENTY, pieces)], card, None).await.expect("the order is taken");
    order["id"].as_str().expect("an id").to_owned()
}

/// An order that awaits its payment, whoever offers one.
pub(super) async fn awaiting() -> String {
    let id = placed(1, None).await;
    ada().await.await_status(&id, "AWAITING_PAYMENT", PATIENCE).await.expect("waits for a card");
    id
}

/// So many orders that have arrived, each of so many pieces.
pub(super) async fn delivered(count: usize, pieces: i64) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(placed(pieces, Some(APPROVED)).await);
    }
    let ada = ada().await;
    for id in &ids {
        ada.await_status(id, "DELIVERED", PATIENCE).await.expect("arrives");
    }
    ids
}
