//! The bank alone: the test cards at the far end of its line.

use std::time::Duration;

use orderly_payment::bank::{Answer, BankClient, Operation, Request};
use orderly_payment::domain::Money;
use platform::clock::Clock;
use platform::error::Failure;

use crate::shop::{Shop, until};

fn call(operation: Operation) -> Request {
    Request { order_id: "o-1".into(), attempt: 1, operation }
}

fn authorise(token: &str) -> Request {
    call(Operation::Authorise { amount: Money { amount: 1250, currency: "GBP".into() }, token: token.into() })
}

fn refund(refund: i32, amount: i64) -> Request {
    call(Operation::Refund { refund, amount: Money { amount, currency: "GBP".into() } })
}

async fn refused_for_now(client: &BankClient, request: Request) -> bool {
    matches!(client.ask(request).await, Err(Failure::Unavailable(_)))
}

#[tokio::test]
async fn the_good_card_is_approved_and_charged_once_however_often_it_is_asked() {
    let shop = Shop::open(Clock::system()).await;
    let bank = shop.client();
    let first = bank.ask(authorise("tok_approve_4242")).await.unwrap();
    assert!(matches!(first, Answer::Approved { .. }), "{first:?}");
    assert_eq!(bank.ask(authorise("tok_approve_4242")).await.unwrap(), first);
    for _ in 0..3 {
        assert_eq!(bank.ask(call(Operation::Capture)).await.unwrap(), Answer::Captured);
    }
    assert_eq!(shop.at_bank().await, ["CHARGED 1250"]);
}

#[tokio::test]
async fn the_two_bad_cards_are_declined_each_with_its_reason() {
    let shop = Shop::open(Clock::system()).await;
    let bank = shop.client();
    let mut reasons = Vec::new();
    for (attempt, token) in [(1, "tok_decline_0002"), (2, "tok_insufficient_9995")] {
        match bank.ask(Request { attempt, ..authorise(token) }).await.unwrap() {
            Answer::Declined { reason } => reasons.push(reason),
            other => panic!("{token}: {other:?}"),
        }
    }
    assert_ne!(reasons[0], reasons[1]);
    assert!(shop.at_bank().await.is_empty());
}

/// The four operations: what must be done before each, and what the bank has after it.
fn operations(token: &str) -> [(Vec<Request>, Request, &'static str); 4] {
    let (hold, take, give_back) = (authorise(token), call(Operation::Capture), refund(1, 500));
    [
        (vec![], hold.clone(), "HELD 1250"),
        (vec![hold.clone()], take.clone(), "CHARGED 1250"),
        (vec![hold.clone()], call(Operation::Void), "RELEASED 1250"),
        (vec![hold, take], give_back, "CHARGED 750"),
    ]
}

/// Asks until the bank answers, with a clock that runs meanwhile.
async fn through(shop: &Shop, clock: &Clock, request: &Request) -> Answer {
    for _ in 0..3 {
        let (client, request) = (shop.client(), request.clone());
        let call = tokio::spawn(async move { client.ask(request).await });
        until(async || {
            clock.advance(Duration::from_millis(100));
            call.is_finished()
        })
        .await;
        match call.await.unwrap() {
            Ok(answer) => return answer,
            Err(Failure::Unavailable(_)) => {}
            Err(Failure::Rejected(no)) => panic!("{no}"),
        }
    }
    panic!("the bank does not answer");
}

#[tokio::test]
async fn the_slow_card_is_served_at_once_and_answered_when_three_seconds_have_passed() {
    for (before, operation, done) in operations("tok_slow_0077") {
        let clock = Clock::manual(1_000_000);
        let shop = Shop::open(clock.clone()).await;
        for request in &before {
            through(&shop, &clock, request).await;
        }
        let (client, request) = (shop.client(), operation.clone());
        let answer = tokio::spawn(async move { client.ask(request).await });
        // The bank has done it; its answer is on its way.
        until(async || shop.at_bank().await == [done]).await;
        clock.advance(Duration::from_millis(2_999));
        tokio::task::yield_now().await;
        assert!(!answer.is_finished(), "{operation:?}");
        until(async || {
            clock.advance(Duration::from_millis(100));
            answer.is_finished()
        })
        .await;
        assert!(answer.await.unwrap().is_ok(), "{operation:?}");
    }
}

#[tokio::test]
async fn the_unreachable_card_gets_through_at_the_third_call_also_over_a_restart() {
    let clock = Clock::manual(1_000_000);
    for (before, operation, done) in operations("tok_unreachable_0119") {
        let shop = Shop::open(clock.clone()).await;
        for request in &before {
            through(&shop, &clock, request).await;
        }
        let untouched = shop.at_bank().await;
        assert!(refused_for_now(&shop.client(), operation.clone()).await, "{operation:?}");
        let shop = shop.restart().await;
        assert!(refused_for_now(&shop.client(), operation.clone()).await, "{operation:?}");
        assert_eq!(shop.at_bank().await, untouched, "{operation:?}");
        shop.client().ask(operation).await.unwrap();
        assert_eq!(shop.at_bank().await, [done]);
    }
}

#[tokio::test]
async fn the_card_whose_first_answer_is_lost_is_served_once_also_over_a_restart() {
    let clock = Clock::manual(1_000_000);
    for (before, operation, done) in operations("tok_lost_0341") {
        let shop = Shop::open(clock.clone()).await;
        for request in &before {
            through(&shop, &clock, request).await;
        }
        assert!(refused_for_now(&shop.client(), operation.clone()).await, "{operation:?}");
        assert_eq!(shop.at_bank().await, [done], "done, though nobody was told");
        let shop = shop.restart().await;
        let told = shop.client().ask(operation.clone()).await.unwrap();
        assert_eq!(shop.client().ask(operation).await.unwrap(), told);
        assert_eq!(shop.at_bank().await, [done]);
    }
}

#[tokio::test]
async fn the_card_whose_capture_is_refused_is_held_until_it_is_let_go() {
    let shop = Shop::open(Clock::system()).await;
    let bank = shop.client();
    bank.ask(authorise("tok_capture_refused_0069")).await.unwrap();
    let refused = bank.ask(call(Operation::Capture)).await.unwrap();
    assert!(matches!(&refused, Answer::CaptureRefused { reason } if !reason.is_empty()), "{refused:?}");
    assert_eq!(bank.ask(call(Operation::Capture)).await.unwrap(), refused, "for good");
    assert_eq!(shop.at_bank().await, ["HELD 1250"]);
    assert!(matches!(bank.ask(refund(1, 1)).await, Err(Failure::Rejected(_))), "nothing was taken");
    assert_eq!(bank.ask(call(Operation::Void)).await.unwrap(), Answer::Voided);
    assert_eq!(shop.at_bank().await, ["RELEASED 1250"]);
}

#[tokio::test]
async fn money_is_given_back_in_parts_each_part_once_and_never_more_than_was_taken() {
    let shop = Shop::open(Clock::system()).await;
    let bank = shop.client();
    bank.ask(authorise("tok_approve_4242")).await.unwrap();
    bank.ask(call(Operation::Capture)).await.unwrap();
    for (number, amount, left) in [(1, 500, 750), (1, 500, 750), (2, 700, 50), (2, 700, 50)] {
        assert_eq!(bank.ask(refund(number, amount)).await.unwrap(), Answer::Refunded);
        assert_eq!(shop.at_bank().await, [format!("CHARGED {left}")]);
    }
    let refused = async |request| matches!(bank.ask(request).await, Err(Failure::Rejected(_)));
    assert!(refused(refund(3, 51)).await, "more than is left");
    assert!(refused(refund(1, 50)).await, "the key was used for another amount");
    assert_eq!(bank.ask(refund(3, 50)).await.unwrap(), Answer::Refunded);
    assert_eq!(shop.at_bank().await, ["CHARGED 0"]);
}

#[tokio::test]
async fn two_refunds_at_once_that_do_not_fit_together_are_not_both_made() {
    let shop = Shop::open(Clock::system()).await;
    shop.client().ask(authorise("tok_approve_4242")).await.unwrap();
    shop.client().ask(call(Operation::Capture)).await.unwrap();
    let calls: Vec<_> = (1..=20)
        .map(|number| {
            let client = shop.client();
            tokio::spawn(async move { client.ask(refund(number, 400)).await.is_ok() })
        })
        .collect();
    let mut made = 0;
    for call in calls {
        made += i64::from(call.await.unwrap());
    }
    assert_eq!(made, 3, "1,250 is three times 400 and a rest");
    assert_eq!(shop.at_bank().await, ["CHARGED 50"]);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_for_good() {
    let shop = Shop::open(Clock::system()).await;
    let bank = shop.client();
    let refused = async |request| matches!(bank.ask(request).await, Err(Failure::Rejected(_)));
    for operation in operations("tok_approve_4242").map(|(_, operation, _)| operation).into_iter().skip(1) {
        assert!(refused(operation).await, "nothing is held");
    }
    bank.ask(authorise("tok_approve_4242")).await.unwrap();
    bank.ask(call(Operation::Void)).await.unwrap();
    assert!(refused(call(Operation::Capture)).await, "it was let go");
    assert!(refused(refund(1, 1)).await, "it was never taken");
    let other =
        Operation::Authorise { amount: Money { amount: 1, currency: "GBP".into() }, token: "tok_approve_4242".into() };
    assert!(refused(call(other)).await, "the key was used for another amount");
}

#[tokio::test]
async fn many_calls_of_one_key_at_once_make_one_hold() {
    let shop = Shop::open(Clock::system()).await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let client = shop.client();
            tokio::spawn(async move { client.ask(authorise("tok_approve_4242")).await.unwrap() })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(shop.at_bank().await, ["HELD 1250"]);
}

#[tokio::test]
async fn what_has_been_taken_cannot_be_let_go() {
    let shop = Shop::open(Clock::system()).await;
    let bank = shop.client();
    bank.ask(authorise("tok_approve_4242")).await.unwrap();
    bank.ask(call(Operation::Capture)).await.unwrap();
    assert!(matches!(bank.ask(call(Operation::Void)).await, Err(Failure::Rejected(_))));
    assert_eq!(shop.at_bank().await, ["CHARGED 1250"]);
}

#[derive(serde::Deserialize)]
struct Count {
    n: i64,
}

#[tokio::test]
async fn the_bank_keeps_one_row_a_key_and_none_a_call() {
    let shop = Shop::open(Clock::system()).await;
    for _ in 0..5 {
        shop.client().ask(authorise("tok_approve_4242")).await.unwrap();
    }
    let db = shop.db("bank.db").await;
    for (table, rows) in [("bank_operations", 1), ("idempotency", 0)] {
        let sql = format!("SELECT COUNT(*) AS n FROM {table} WHERE $1 <> ''");
        let count: Vec<Count> = db.read(sql, &[0; 0]).await.unwrap();
        assert_eq!(count[0].n, rows, "{table}");
    }
}
