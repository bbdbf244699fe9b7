//! Sold goods that come back: all or part of the lines, each return once.

use contracts::inventory::StockReturned;
use orderly_inventory::Input;
use orderly_inventory::domain::MOST;

use crate::shop::Shop;

const NOTHING: Vec<String> = Vec::new();

/// Three cups and a plate were sold to o-1.
async fn sold() -> Shop {
    let mut shop = Shop::open().await;
    shop.reserve("o-1", &[("CUP", 1), ("PLATE", 1), ("CUP", 2)]).await;
    assert_eq!(shop.said().await, "StockReserved");
    shop.commit("o-1").await;
    assert_eq!(shop.said().await, "StockCommitted");
    assert_eq!(shop.levels().await, [(7, 0), (9, 0)]);
    shop
}

/// The next answer, which must be a return: its number.
async fn returned(shop: &mut Shop) -> i32 {
    let answer = shop.answer().await;
    assert_eq!((answer.short_kind(), answer.correlation_id.as_str()), ("StockReturned", "o-1"));
    answer.payload::<StockReturned>().unwrap().refund
}

#[tokio::test]
async fn sold_goods_come_back_in_parts_and_are_for_sale_again() {
    let mut shop = sold().await;
    shop.give_back("o-1", 1, &[("CUP", 2)]).await;
    assert_eq!(returned(&mut shop).await, 1);
    assert_eq!(shop.levels().await, [(9, 0), (9, 0)]);
    shop.give_back("o-1", 2, &[("PLATE", 1), ("CUP", 1)]).await;
    assert_eq!(returned(&mut shop).await, 2);
    assert_eq!(shop.levels().await, [(10, 0), (10, 0)]);
    assert_eq!(shop.returned_orders().await, [("o-1".to_owned(), 4)]);
    assert_eq!(shop.breaches().await, NOTHING);
    shop.reserve("o-2", &[("CUP", 10), ("PLATE", 10)]).await;
    assert_eq!(shop.said().await, "StockReserved");
}

#[tokio::test]
async fn a_repeated_return_is_told_again_and_brings_nothing() {
    let mut shop = sold().await;
    for _ in 0..2 {
        for (refund, lines) in [(1, [("CUP", 1)]), (2, [("CUP", 2)])] {
            shop.give_back("o-1", refund, &lines).await;
            assert_eq!(returned(&mut shop).await, refund);
        }
        // What came back is known to the next process too.
        shop = shop.restart().await;
        assert_eq!(shop.levels().await, [(10, 0), (9, 0)]);
    }
    shop.commit("o-1").await;
    assert_eq!(shop.said().await, "StockCommitted", "sold once, and told again");
    assert_eq!(shop.levels().await, [(10, 0), (9, 0)]);
    assert_eq!(shop.breaches().await, NOTHING);
}

#[tokio::test]
async fn a_return_that_no_order_of_messages_explains_becomes_a_dead_letter_and_moves_nothing() {
    for (refund, lines, why) in [
        (1, vec![("PLATE", 1), ("CUP", 4)], "return 1 of 4 CUP, where 3 can come back"),
        (1, vec![("SAUCER", 1)], "return 1 of 1 SAUCER, where 0 can come back"),
        (0, vec![("CUP", 1)], "refunds count from 1"),
        (1, vec![("CUP", 0)], "a return of nothing"),
        (1, vec![("CUP", -1)], "a return of nothing"),
        (1, vec![], "a return of nothing"),
    ] {
        let mut shop = sold().await;
        shop.give_back("o-1", refund, &lines).await;
        let told = shop.dead_letter().await;
        assert!(told.contains(why), "{told}");
        assert_eq!(shop.levels().await, [(7, 0), (9, 0)], "{why}");
        assert_eq!(shop.breaches().await, NOTHING, "{why}");
    }
}

#[tokio::test]
async fn a_number_that_was_used_for_other_goods_becomes_a_dead_letter() {
    let mut shop = sold().await;
    shop.give_back("o-1", 1, &[("CUP", 1)]).await;
    assert_eq!(returned(&mut shop).await, 1);
    shop.give_back("o-1", 1, &[("PLATE", 1)]).await;
    let why = shop.dead_letter().await;
    assert!(why.contains("return 1 was of other lines"), "{why}");
    assert_eq!(shop.levels().await, [(8, 0), (9, 0)]);
}

#[tokio::test]
async fn what_was_never_sold_does_not_come_back() {
    for (state, why) in [
        ("open", "a return after the reservation was open"),
        ("released", "a return after the reservation was released"),
        ("refused", "a return after the reservation was refused"),
        ("never", "a return after the reservation was never made"),
    ] {
        let mut shop = Shop::open().await;
        match state {
            "open" | "released" => {
                shop.reserve("o-1", &[("CUP", 1)]).await;
                assert_eq!(shop.said().await, "StockReserved");
            }
            "refused" => {
                shop.reserve("o-1", &[("CUP", 11)]).await;
                assert_eq!(shop.said().await, "StockShort");
            }
            _ => {}
        }
        if state == "released" {
            shop.release("o-1").await;
            assert_eq!(shop.said().await, "StockReleased");
        }
        let before = shop.levels().await;
        shop.give_back("o-1", 1, &[("CUP", 1)]).await;
        let told = shop.dead_letter().await;
        assert!(told.contains(why), "{told}");
        assert_eq!(shop.levels().await, before, "{state}");
        assert_eq!(shop.breaches().await, NOTHING, "{state}");
    }
}

#[tokio::test]
async fn a_return_onto_a_full_shelf_becomes_a_dead_letter() {
    let mut shop = sold().await;
    shop.operator(Input::Adjust { sku: "CUP".into(), delta: MOST - 7 }).await;
    shop.give_back("o-1", 1, &[("CUP", 1)]).await;
    let why = shop.dead_letter().await;
    assert!(why.contains("return 1 makes more CUP than can be counted"), "{why}");
    assert_eq!(shop.levels().await, [(MOST, 0), (9, 0)]);
}
