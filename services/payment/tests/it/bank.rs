//! The bank alone: the six cards at the far end of its line.

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

#[tokio::test]
async fn the_slow_card_is_approved_when_three_seconds_have_passed() {
    let clock = Clock::manual(1_000_000);
    let shop = Shop::open(clock.clone()).await;
    let client = shop.client();
    let answer = tokio::spawn(async move { client.ask(authorise("tok_slow_0077")).await });
    // The bank has done it; its answer is on its way.
    until(async || shop.at_bank().await == ["HELD 1250"]).await;
    clock.advance(Duration::from_millis(2_999));
    assert!(!answer.is_finished());
    until(async || {
        clock.advance(Duration::from_millis(100));
        answer.is_finished()
    })
    .await;
    assert!(matches!(answer.await.unwrap(), Ok(Answer::Approved { .. })));
}

#[tokio::test]
async fn the_unreachable_card_gets_through_at_the_third_call_also_over_a_restart() {
    let shop = Shop::open(Clock::system()).await;
    assert!(refused_for_now(&shop.client(), authorise("tok_unreachable_0119")).await);
    let shop = shop.restart().await;
    assert!(refused_for_now(&shop.client(), authorise("tok_unreachable_0119")).await);
    assert!(shop.at_bank().await.is_empty());
    let answer = shop.client().ask(authorise("tok_unreachable_0119")).await;
    assert!(matches!(answer, Ok(Answer::Approved { .. })), "{answer:?}");
}

#[tokio::test]
async fn the_card_whose_first_answer_is_lost_is_held_once_and_charged_once() {
    let shop = Shop::open(Clock::system()).await;
    let bank = shop.client();
    assert!(refused_for_now(&bank, authorise("tok_lost_0341")).await);
    assert_eq!(shop.at_bank().await, ["HELD 1250"], "done, though nobody was told");
    let told = bank.ask(authorise("tok_lost_0341")).await.unwrap();
    assert_eq!(bank.ask(authorise("tok_lost_0341")).await.unwrap(), told);

    assert!(refused_for_now(&bank, call(Operation::Capture)).await);
    assert_eq!(shop.at_bank().await, ["CHARGED 1250"]);
    let shop = shop.restart().await;
    assert_eq!(shop.client().ask(call(Operation::Capture)).await.unwrap(), Answer::Captured);
    assert_eq!(shop.at_bank().await, ["CHARGED 1250"]);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_for_good() {
    let shop = Shop::open(Clock::system()).await;
    let bank = shop.client();
    let refused = async |request| matches!(bank.ask(request).await, Err(Failure::Rejected(_)));
    assert!(refused(call(Operation::Capture)).await, "nothing is held");
    bank.ask(authorise("tok_approve_4242")).await.unwrap();
    bank.ask(call(Operation::Void)).await.unwrap();
    assert!(refused(call(Operation::Capture)).await, "it was let go");
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
