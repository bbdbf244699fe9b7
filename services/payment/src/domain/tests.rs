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

fn given(payment: Payment) -> BTreeMap<i32, Payment> {
    BTreeMap::from([(ATTEMPT, payment)])
}

fn states() -> [Payment; 6] {
    [
        Payment::Absent,
        Payment::Authorised(hold()),
        Payment::Declined(refusal()),
        Payment::Captured(hold()),
        Payment::Voided(Some(hold())),
        Payment::Voided(None),
    ]
}

fn inputs() -> [Input; 8] {
    [
        Input::Command(Command::Authorise(offer())),
        Input::Command(Command::Capture),
        Input::Command(Command::Void),
        Input::BankApproved(hold()),
        Input::BankDeclined(refusal()),
        Input::BankCaptured,
        Input::BankVoided,
        Input::BankRefused("gone".into()),
    ]
}

/// A decision in a word.
fn word(decision: &Result<Decision, Illegal>) -> &'static str {
    let event = |event: &Event| match event {
        Event::Authorised(_) => 0,
        Event::Declined(_) => 1,
        Event::Captured(_) => 2,
        Event::Voided(Some(_)) => 3,
        Event::Voided(None) => 4,
    };
    match decision {
        Ok(Decision::Ask(_)) => "ask",
        Ok(Decision::Record(recorded)) => {
            ["+authorised", "+declined", "+captured", "+voided", "+nothing"][event(recorded)]
        }
        Ok(Decision::Answer(told)) => ["authorised", "declined", "captured", "voided", "nothing"][event(told)],
        Err(Illegal::Transition { .. }) => "illegal",
        Err(Illegal::PaidAlready(_)) => "paid",
        Err(Illegal::Bank(_)) => "bank",
    }
}

#[test]
fn every_pair_of_state_and_input_is_decided_as_the_table_says() {
    // `+` changes the state; without it, it is only said again.
    #[rustfmt::skip]
    let table = [
        // authorise     capture     void        approved      declined     captured     voided      refused
        ["ask",        "illegal",  "+nothing", "+authorised", "+declined", "illegal",   "illegal",  "bank"], // absent
        ["authorised", "ask",      "ask",      "authorised",  "illegal",   "+captured", "+voided",  "bank"], // authorised
        ["declined",   "illegal",  "nothing",  "illegal",     "declined",  "illegal",   "illegal",  "bank"], // declined
        ["captured",   "captured", "illegal",  "captured",    "illegal",   "captured",  "illegal",  "bank"], // captured
        ["declined",   "illegal",  "voided",   "illegal",     "illegal",   "illegal",   "voided",   "bank"], // voided
        ["declined",   "illegal",  "nothing",  "illegal",     "illegal",   "illegal",   "nothing",  "bank"], // tombstone
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
    let attempts = BTreeMap::from([(1, Payment::Captured(hold())), (2, Payment::Authorised(hold()))]);
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
