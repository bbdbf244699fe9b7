//! The payment's state machine: given a state, when an input, then a decision.

use super::*;

const ATTEMPT: i32 = 1;

fn offer() -> Offer {
    Offer {
        amount: Money { amount: 1250, currency: "GBP".into() },
        card: Card { token: "tok_approve_4242".into(), last4: "4242".into() },
    }
}

fn hold() -> Hold {
    Hold { offer: offer(), authorisation_id: "auth_1".into() }
}

fn refusal() -> Refusal {
    Refusal { offer: offer(), reason: "no".into() }
}

fn refund(number: i32, amount: i64) -> Refund {
    Refund { number, amount: Money { amount, currency: "GBP".into() } }
}

/// Captured, with the given refunds.
fn charged(refunds: &[(i32, i64)]) -> Payment {
    Payment::Captured(Charge { hold: hold(), refunds: refunds.iter().copied().collect() })
}

fn given(payment: Payment) -> BTreeMap<i32, Payment> {
    BTreeMap::from([(ATTEMPT, payment)])
}

fn states() -> [Payment; 9] {
    [
        Payment::Absent,
        Payment::Authorised(hold()),
        Payment::Declined(refusal()),
        charged(&[]),
        charged(&[(1, 500)]),
        charged(&[(1, 500), (2, 750)]),
        Payment::CaptureRefused { hold: hold(), reason: "no".into() },
        Payment::Voided(Some(hold())),
        Payment::Voided(None),
    ]
}

fn inputs() -> [Input; 13] {
    [
        Input::Command(Command::Authorise(offer())),
        Input::Command(Command::Capture),
        Input::Command(Command::Void),
        Input::Command(Command::Refund(refund(1, 500))),
        Input::Command(Command::Refund(refund(3, 100))),
        Input::BankApproved(hold()),
        Input::BankDeclined(refusal()),
        Input::BankCaptured,
        Input::BankRefusedCapture("no".into()),
        Input::BankVoided,
        Input::BankRefunded(refund(1, 500)),
        Input::BankRefunded(refund(3, 100)),
        Input::BankRefused("gone".into()),
    ]
}

/// A decision in a word: `+` changes the state, without it it is only said again.
fn word(decision: &Result<Decision, Illegal>) -> &'static str {
    let event = |event: &Event| match event {
        Event::Authorised(_) => 0,
        Event::Declined(_) => 1,
        Event::Captured(_) => 2,
        Event::CaptureRefused { .. } => 3,
        Event::Voided(Some(_)) => 4,
        Event::Voided(None) => 5,
        Event::Refunded { .. } => 6,
    };
    match decision {
        Ok(Decision::Ask(_)) => "ask",
        Ok(Decision::Record(recorded)) => {
            ["+held", "+declined", "+taken", "+kept", "+gone", "+never", "+back"][event(recorded)]
        }
        Ok(Decision::Answer(told)) => ["held", "declined", "taken", "kept", "gone", "never", "back"][event(told)],
        Err(Illegal::Transition { .. }) => "-",
        Err(Illegal::PaidAlready(_)) => "paid",
        Err(Illegal::AnotherRefund { .. }) => "another",
        Err(Illegal::BeyondCaptured { .. }) => "beyond",
        Err(Illegal::AnotherCurrency { .. }) => "currency",
        Err(Illegal::Bank(_)) => "bank",
    }
}

#[test]
fn every_pair_of_state_and_input_is_decided_as_the_table_says() {
    #[rustfmt::skip]
    let table = [
        // commands                                             | answers of the bank
        // authorise  capture  void      refund 1  refund 3       approved  declined     captured  no        voided   back 1   back 3    refused
        ["ask",      "-",     "+never", "-",      "-",           "+held",  "+declined", "-",      "-",      "-",     "-",     "-",      "bank"], // absent
        ["held",     "ask",   "ask",    "-",      "-",           "held",   "-",         "+taken", "+kept",  "+gone", "-",     "-",      "bank"], // authorised
        ["declined", "-",     "never",  "-",      "-",           "-",      "declined",  "-",      "-",      "-",     "-",     "-",      "bank"], // declined
        ["taken",    "taken", "-",      "ask",    "ask",         "taken",  "-",         "taken",  "-",      "-",     "+back", "+back",  "bank"], // captured
        ["taken",    "taken", "-",      "back",   "ask",         "taken",  "-",         "taken",  "-",      "-",     "back",  "+back",  "bank"], // partly refunded
        ["taken",    "taken", "-",      "back",   "beyond",      "taken",  "-",         "taken",  "-",      "-",     "back",  "beyond", "bank"], // refunded
        ["kept",     "kept",  "ask",    "-",      "-",           "kept",   "-",         "-",      "kept",   "+gone", "-",     "-",      "bank"], // capture refused
        ["declined", "-",     "gone",   "-",      "-",           "-",      "-",         "-",      "-",      "gone",  "-",     "-",      "bank"], // voided
        ["declined", "-",     "never",  "-",      "-",           "-",      "-",         "-",      "-",      "never", "-",     "-",      "bank"], // tombstone
    ];
    for (state, row) in states().into_iter().zip(table) {
        for (input, expected) in inputs().iter().zip(row) {
            let decision = decide(&given(state.clone()), ATTEMPT, input);
            assert_eq!(word(&decision), expected, "{state:?} and {input:?}");
        }
    }
}

#[test]
fn every_road_through_the_machine_leaves_a_ledger_that_sums_to_zero() {
    for start in states() {
        for input in inputs() {
            if let Ok(Decision::Record(event)) = decide(&given(start.clone()), ATTEMPT, &input)
                && let Some(entry) = ledger::entry("o-1", ATTEMPT, &event)
            {
                assert_eq!(entry.postings.iter().map(|posting| posting.amount).sum::<i64>(), 0, "{entry:?}");
            }
        }
    }
}

#[test]
fn a_captured_payment_has_released_its_hold_and_made_its_amount_in_revenue() {
    let balance = |account: &str| -> i64 {
        [Event::Authorised(hold()), Event::Captured(hold())]
            .iter()
            .filter_map(|event| ledger::entry("o-1", ATTEMPT, event))
            .flat_map(|entry| entry.postings)
            .filter(|posting| posting.account == account)
            .map(|posting| posting.amount)
            .sum()
    };
    assert_eq!(balance(ledger::BANK_HOLDS), 0);
    assert_eq!(balance("customer:o-1"), 0);
    assert_eq!(balance(ledger::BANK_SETTLED), 1250);
    assert_eq!(balance(ledger::SHOP_REVENUE), -1250);
}

#[test]
fn what_was_recorded_is_what_a_repeated_command_is_told() {
    let event = Event::Captured(hold());
    let state = evolve(&event);
    assert_eq!(decide(&given(state), ATTEMPT, &Input::Command(Command::Capture)), Ok(Decision::Answer(event)));
}

#[test]
fn a_void_before_its_authorisation_leaves_a_tombstone_that_refuses_the_late_one() {
    let mut attempts = BTreeMap::new();
    let decision = decide(&attempts, ATTEMPT, &Input::Command(Command::Void));
    assert_eq!(decision, Ok(Decision::Record(Event::Voided(None))));
    attempts.insert(ATTEMPT, evolve(&Event::Voided(None)));

    let late = decide(&attempts, ATTEMPT, &Input::Command(Command::Authorise(offer())));
    assert!(matches!(late, Ok(Decision::Answer(Event::Declined(_)))), "{late:?}");
    let next = decide(&attempts, ATTEMPT + 1, &Input::Command(Command::Authorise(offer())));
    assert!(matches!(next, Ok(Decision::Ask(_))), "another attempt is another payment: {next:?}");
}

#[test]
fn an_order_is_captured_in_one_attempt_only() {
    let attempts = BTreeMap::from([(1, charged(&[])), (2, Payment::Authorised(hold()))]);
    let capture = Input::Command(Command::Capture);
    assert_eq!(decide(&attempts, 2, &capture), Err(Illegal::PaidAlready(1)));
    // What is too much can still be let go.
    assert_eq!(decide(&attempts, 2, &Input::Command(Command::Void)), Ok(Decision::Ask(Command::Void)));
}

#[test]
fn a_decline_moves_no_money() {
    assert_eq!(ledger::entry("o-1", ATTEMPT, &Event::Declined(refusal())), None);
    assert_eq!(ledger::entry("o-1", ATTEMPT, &Event::Voided(None)), None);
}

#[test]
fn refunds_add_up_to_what_was_captured_and_not_to_more() {
    let mut payment = charged(&[]);
    for (number, amount, left) in [(1, 500, 750), (2, 749, 1), (5, 1, 0)] {
        let bank = Input::BankRefunded(refund(number, amount));
        let Ok(Decision::Record(event)) = decide(&given(payment.clone()), ATTEMPT, &bank) else {
            panic!("refund {number} of {amount} from {payment:?}")
        };
        payment = evolve(&event);
        assert!(matches!(&payment, Payment::Captured(charge) if charge.left() == left), "{payment:?}");
    }
    let more = decide(&given(payment), ATTEMPT, &Input::Command(Command::Refund(refund(6, 1))));
    assert_eq!(more, Err(Illegal::BeyondCaptured { number: 6, left: 0, asked: 1 }));
}

#[test]
fn a_refund_that_cannot_be_is_illegal_before_the_bank_is_asked() {
    let partly = given(charged(&[(1, 500)]));
    let of_pence = |number, amount| Input::Command(Command::Refund(refund(number, amount)));
    let in_euros = Money { amount: 500, currency: "EUR".into() };
    for (input, expected) in [
        (of_pence(2, 751), Illegal::BeyondCaptured { number: 2, left: 750, asked: 751 }),
        (of_pence(2, i64::MAX), Illegal::BeyondCaptured { number: 2, left: 750, asked: i64::MAX }),
        (of_pence(2, 0), Illegal::BeyondCaptured { number: 2, left: 750, asked: 0 }),
        (of_pence(2, -1), Illegal::BeyondCaptured { number: 2, left: 750, asked: -1 }),
        (of_pence(1, 501), Illegal::AnotherRefund { number: 1, was: 500, asked: 501 }),
        (
            Input::Command(Command::Refund(Refund { number: 1, amount: in_euros })),
            Illegal::AnotherCurrency { captured: "GBP".into(), asked: "EUR".into() },
        ),
    ] {
        assert_eq!(decide(&partly, ATTEMPT, &input), Err(expected), "{input:?}");
    }
    assert_eq!(decide(&partly, ATTEMPT, &of_pence(2, 750)), Ok(Decision::Ask(Command::Refund(refund(2, 750)))));
}

#[test]
fn a_repeated_refund_is_told_again_whatever_came_after_it() {
    let attempts = given(charged(&[(1, 500), (2, 750)]));
    let again = decide(&attempts, ATTEMPT, &Input::Command(Command::Refund(refund(1, 500))));
    assert!(matches!(&again, Ok(Decision::Answer(Event::Refunded { refund: told, .. })) if *told == refund(1, 500)));
}

#[test]
fn an_order_that_was_refunded_is_not_captured_again() {
    let attempts = BTreeMap::from([(1, charged(&[(1, 1250)])), (2, Payment::Authorised(hold()))]);
    assert_eq!(decide(&attempts, 2, &Input::Command(Command::Capture)), Err(Illegal::PaidAlready(1)));
}

#[test]
fn money_that_was_given_back_leaves_the_settled_account_and_stays_in_revenue() {
    let Payment::Captured(charge) = charged(&[(1, 500)]) else { unreachable!() };
    let events =
        [Event::Authorised(hold()), Event::Captured(hold()), Event::Refunded { charge, refund: refund(1, 500) }];
    let balance = |account: &str| -> i64 {
        events
            .iter()
            .filter_map(|event| ledger::entry("o-1", ATTEMPT, event))
            .flat_map(|entry| entry.postings)
            .filter(|posting| posting.account == account)
            .map(|posting| posting.amount)
            .sum()
    };
    assert_eq!(balance(ledger::BANK_HOLDS), 0);
    assert_eq!(balance("customer:o-1"), 0);
    assert_eq!(balance(ledger::BANK_SETTLED), 750);
    assert_eq!(balance(ledger::SHOP_REVENUE), -1250);
    assert_eq!(balance(ledger::SHOP_REFUNDS), 500);
}

#[test]
fn each_refund_is_an_entry_of_its_own() {
    let Payment::Captured(charge) = charged(&[(1, 500), (2, 750)]) else { unreachable!() };
    let ids: Vec<_> = [refund(1, 500), refund(2, 750)]
        .into_iter()
        .filter_map(|refund| ledger::entry("o-1", ATTEMPT, &Event::Refunded { charge: charge.clone(), refund }))
        .map(|entry| entry.id)
        .collect();
    assert_eq!(ids, ["o-1/1/refund-1", "o-1/1/refund-2"]);
}

#[test]
fn a_refused_capture_keeps_the_hold_in_the_books_until_its_void() {
    let refused = Event::CaptureRefused { hold: hold(), reason: "no".into() };
    assert_eq!(ledger::entry("o-1", ATTEMPT, &refused), None);
    let attempts = given(evolve(&refused));
    assert_eq!(decide(&attempts, ATTEMPT, &Input::Command(Command::Capture)), Ok(Decision::Answer(refused)));
    let Ok(Decision::Record(voided)) = decide(&attempts, ATTEMPT, &Input::BankVoided) else { panic!("not let go") };
    assert_eq!(ledger::entry("o-1", ATTEMPT, &voided).map(|entry| entry.id), Some("o-1/1/release".into()));
    // An attempt whose capture was refused does not stand in the way of another.
    let attempts = BTreeMap::from([(1, attempts[&ATTEMPT].clone()), (2, Payment::Authorised(hold()))]);
    assert_eq!(decide(&attempts, 2, &Input::Command(Command::Capture)), Ok(Decision::Ask(Command::Capture)));
}
