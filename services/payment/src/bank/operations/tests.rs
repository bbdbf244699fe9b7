//! One call to the bank: given a record and a hold, when asked, then an answer.

use super::*;

fn pounds(amount: i64) -> Money {
    Money { amount, currency: "GBP".into() }
}

fn request(operation: Operation) -> Request {
    Request { order_id: "o-1".into(), attempt: 1, operation }
}

fn authorise(amount: i64, token: &str) -> Request {
    request(Operation::Authorise { amount: pounds(amount), token: token.into() })
}

fn refund(number: i32, amount: i64) -> Request {
    request(Operation::Refund { refund: number, amount: pounds(amount) })
}

/// Money of a card at the bank.
fn money(token: &str, state: HoldState, refunded: i64) -> Hold {
    Hold { token: token.into(), authorisation_id: "auth_1".into(), amount: pounds(100), state, refunded }
}

const GOOD: &str = "tok_approve_4242";

/// The four operations, each with the hold that it needs.
fn operations(token: &str) -> [(Request, Option<Hold>); 4] {
    [
        (authorise(100, token), None),
        (request(Operation::Capture), Some(money(token, HoldState::Held, 0))),
        (request(Operation::Void), Some(money(token, HoldState::Held, 0))),
        (refund(1, 40), Some(money(token, HoldState::Charged, 0))),
    ]
}

#[test]
fn a_key_that_is_used_again_gives_the_first_answer_and_moves_nothing() {
    for (call, hold) in operations(GOOD) {
        let first = decide(None, hold.as_ref(), &call, "auth_1".into()).expect("done");
        let moved = first.hold.as_ref().expect("something moved");
        let again = decide(Some(&first.record), Some(moved), &call, "auth_2".into()).expect("answered");
        assert_eq!(again.reply, first.reply, "{call:?}");
        assert_eq!(again.hold, None, "{call:?}");
        assert_eq!(again.record.calls, 2, "{call:?}");
    }
}

#[test]
fn a_key_that_is_used_for_another_amount_is_refused() {
    for (call, other, hold) in [
        (authorise(100, GOOD), authorise(101, GOOD), None),
        (refund(1, 40), refund(1, 41), Some(money(GOOD, HoldState::Charged, 0))),
    ] {
        let first = decide(None, hold.as_ref(), &call, "auth_1".into()).expect("done");
        assert!(decide(Some(&first.record), first.hold.as_ref(), &other, "auth_2".into()).is_err(), "{call:?}");
    }
}

#[test]
fn every_operation_on_every_state_of_a_hold_does_what_the_table_says() {
    use HoldState::{Charged, Held, Released};
    let word = |decision: Result<Decision, &'static str>| match decision {
        Err(_) => "no".to_owned(),
        Ok(Decision { hold: None, .. }) => "again".to_owned(),
        Ok(Decision { hold: Some(hold), .. }) => format!("{} {}", hold.state.as_str(), hold.refunded),
    };
    #[rustfmt::skip]
    let table = [
        // hold                                 capture       void          refund of 40
        (None,                                ["no",         "no",         "no"]),
        (Some(money(GOOD, Held, 0)),          ["CHARGED 0",  "RELEASED 0", "no"]),
        (Some(money(GOOD, Released, 0)),      ["no",         "again",      "no"]),
        (Some(money(GOOD, Charged, 0)),       ["again",      "no",         "CHARGED 40"]),
        (Some(money(GOOD, Charged, 60)),      ["again",      "no",         "CHARGED 100"]),
        (Some(money(GOOD, Charged, 61)),      ["again",      "no",         "no"]),
    ];
    for (hold, row) in table {
        let calls = [request(Operation::Capture), request(Operation::Void), refund(2, 40)];
        for (call, expected) in calls.iter().zip(row) {
            assert_eq!(word(decide(None, hold.as_ref(), call, String::new())), expected, "{call:?} of {hold:?}");
        }
    }
}

#[test]
fn a_refund_of_nothing_or_in_another_currency_is_refused() {
    let charged = money(GOOD, HoldState::Charged, 0);
    for amount in [pounds(0), pounds(-1), pounds(i64::MAX), Money { amount: 40, currency: "EUR".into() }] {
        let call = request(Operation::Refund { refund: 1, amount });
        assert!(decide(None, Some(&charged), &call, String::new()).is_err(), "{call:?}");
    }
}

#[test]
fn two_refunds_of_an_order_have_two_keys() {
    assert_eq!(refund(1, 40).key(), "o-1/1/refund-1");
    assert_eq!(refund(2, 40).key(), "o-1/1/refund-2");
    assert_eq!(authorise(100, GOOD).key(), "o-1/1/authorise");
}

#[test]
fn a_bad_line_is_bad_for_every_operation_alike() {
    for (token, expected) in [
        ("tok_slow_0077", ["slow", "slow", "slow"]),
        ("tok_unreachable_0119", ["not through", "not through", "clear"]),
        ("tok_lost_0341", ["lost", "clear", "clear"]),
    ] {
        for (call, hold) in operations(token) {
            let (mut record, mut hold) = (None, hold);
            for (nth, expected) in expected.into_iter().enumerate() {
                let done = decide(record.as_ref(), hold.as_ref(), &call, "auth_1".into()).expect("decided");
                let line = match &done.reply {
                    Reply::NotThrough => "not through",
                    Reply::Through(_, Line::Clear) => "clear",
                    Reply::Through(_, Line::Slow) => "slow",
                    Reply::Through(_, Line::Lost) => "lost",
                };
                assert_eq!(line, expected, "{token}, call {nth} of {call:?}");
                record = Some(done.record);
                hold = done.hold.or(hold);
            }
        }
    }
}

#[test]
fn the_card_that_is_approved_and_not_captured_is_held_until_it_is_let_go() {
    let token = "tok_capture_refused_0069";
    let held = decide(None, None, &authorise(100, token), "auth_1".into()).expect("approved").hold;
    let capture = request(Operation::Capture);
    let refused = decide(None, held.as_ref(), &capture, String::new()).expect("answered");
    assert!(matches!(refused.reply, Reply::Through(Answer::CaptureRefused { .. }, Line::Clear)), "{refused:?}");
    assert_eq!(refused.hold, None, "still held");
    let again = decide(Some(&refused.record), held.as_ref(), &capture, String::new()).expect("answered");
    assert_eq!(again.reply, refused.reply);
    let released = decide(None, held.as_ref(), &request(Operation::Void), String::new()).expect("let go").hold;
    assert_eq!(released.map(|hold| hold.state), Some(HoldState::Released));
}

#[test]
fn a_token_that_it_never_gave_out_is_declined() {
    let declined = decide(None, None, &authorise(100, "tok_made_up"), "auth_1".into()).expect("an answer");
    assert!(matches!(declined.reply, Reply::Through(Answer::Declined { .. }, Line::Clear)), "{declined:?}");
    assert_eq!(declined.hold, None);
}
