//! The reservation's state machine: given a state, when a request, then a decision.

#![allow(clippy::unwrap_used)]
use super::*;

fn line(sku: &str, quantity: i64) -> Line {
    Line { sku: sku.into(), quantity }
}

/// Five cups, two of them promised.
fn shelf(sku: &str) -> Option<Level> {
    (sku == "CUP").then_some(Level { on_hand: 5, reserved: 2 })
}

fn cups(quantity: i64) -> Request {
    Request::Reserve(vec![line("CUP", quantity)])
}

#[test]
fn enough_is_reserved_to_the_last_piece() {
    let decision = decide(None, &cups(3), shelf).unwrap();
    assert_eq!(decision.next, Some(Reservation::Open(vec![line("CUP", 3)])));
    assert_eq!(decision.event, Event::Reserved);
    assert_eq!(decision.movements[0].reserved, 3);
}

#[test]
fn one_too_many_reserves_nothing_and_says_which() {
    let request = Request::Reserve(vec![line("CUP", 4), line("NONE", 1)]);
    let decision = decide(None, &request, shelf).unwrap();
    assert_eq!(decision.next, Some(Reservation::Refused));
    assert!(decision.movements.is_empty());
    assert_eq!(
        decision.event,
        Event::Short(vec![
            Shortage { sku: "CUP".into(), requested: 4, available: 3 },
            Shortage { sku: "NONE".into(), requested: 1, available: 0 },
        ])
    );
}

#[test]
fn two_lines_of_one_product_must_fit_together() {
    let request = Request::Reserve(vec![line("CUP", 2), line("CUP", 2)]);
    assert!(matches!(decide(None, &request, shelf).unwrap().event, Event::Short(_)));
}

#[test]
fn an_undo_before_its_do_leaves_a_tombstone_and_the_late_do_is_refused() {
    let undo = decide(None, &Request::Release, shelf).unwrap();
    assert_eq!((undo.next.clone(), undo.event), (Some(Reservation::Released), Event::Released));
    let late = decide(undo.next.as_ref(), &cups(1), shelf).unwrap();
    assert_eq!(late, Decision::again(Event::Short(Vec::new())));
}

/// Three cups and a plate, of which nothing, a cup, or everything has come back.
fn sold(returns: &[(i32, &[(&str, i64)])]) -> Reservation {
    let lines = |lines: &[(&str, i64)]| lines.iter().map(|(sku, quantity)| line(sku, *quantity)).collect::<Vec<_>>();
    Reservation::Committed(Sale {
        lines: lines(&[("CUP", 3), ("PLATE", 1)]),
        returns: returns.iter().map(|(refund, returned)| (*refund, lines(returned))).collect(),
    })
}

fn give_back(refund: i32, lines: &[(&str, i64)]) -> Request {
    Request::Return { refund, lines: lines.iter().map(|(sku, quantity)| line(sku, *quantity)).collect() }
}

/// Nothing of either is on the shelf.
fn empty_shelf(_: &str) -> Option<Level> {
    Some(Level::default())
}

/// Every (state, request) pair: what is said, and `+` if anything changes.
#[test]
fn every_request_in_every_state_has_one_answer() {
    let states = [
        None,
        Some(Reservation::Open(vec![line("CUP", 1)])),
        Some(sold(&[])),
        Some(sold(&[(1, &[("CUP", 1)])])),
        Some(sold(&[(1, &[("CUP", 1)]), (2, &[("CUP", 2), ("PLATE", 1)])])),
        Some(Reservation::Released),
        Some(Reservation::Refused),
    ];
    let requests =
        [cups(1), Request::Release, Request::Commit, give_back(1, &[("CUP", 1)]), give_back(3, &[("CUP", 2)])];
    #[rustfmt::skip]
    let table = [
        // reserve      release     commit       return 1     return 3
        ["+reserved",   "+released", "-",        "-",         "-"],         // never made
        ["reserved",    "+released", "+sold",    "-",         "-"],         // open
        ["reserved",    "-",         "sold",     "+back 1",   "+back 3"],   // committed
        ["reserved",    "-",         "sold",     "back 1",    "+back 3"],   // partly returned
        ["reserved",    "-",         "sold",     "back 1",    "too many"],  // returned
        ["short",       "released",  "-",        "-",         "-"],         // released
        ["short",       "+released", "-",        "-",         "-"],         // refused
    ];
    let word = |decided: Result<Decision, Illegal>| match decided {
        Err(Illegal::Transition { .. }) => "-".to_owned(),
        Err(Illegal::AnotherReturn { .. }) => "another".to_owned(),
        Err(Illegal::BeyondSold { .. }) => "too many".to_owned(),
        Err(Illegal::TooMuch { .. }) => "too much".to_owned(),
        Ok(Decision { next, movements, event }) => {
            assert!(next.is_some() || movements.is_empty(), "nothing moves without a change of state");
            let said = match event {
                Event::Reserved => "reserved".to_owned(),
                Event::Short(_) => "short".to_owned(),
                Event::Released => "released".to_owned(),
                Event::Committed => "sold".to_owned(),
                Event::Returned { refund } => format!("back {refund}"),
            };
            if next.is_some() { format!("+{said}") } else { said }
        }
    };
    for (state, row) in states.iter().zip(table) {
        for (request, expected) in requests.iter().zip(row) {
            assert_eq!(word(decide(state.as_ref(), request, shelf)), expected, "{request:?} in {state:?}");
        }
    }
}

#[test]
fn what_comes_back_is_on_hand_again_and_promised_to_nobody() {
    let decision = decide(Some(&sold(&[])), &give_back(1, &[("PLATE", 1), ("CUP", 2)]), empty_shelf).unwrap();
    let movement =
        |sku: &str, on_hand| Movement { sku: sku.into(), kind: MovementKind::Returned, on_hand, reserved: 0 };
    assert_eq!(decision.movements, [movement("CUP", 2), movement("PLATE", 1)]);
    assert_eq!(decision.next, Some(sold(&[(1, &[("CUP", 2), ("PLATE", 1)])])));
}

#[test]
fn parts_come_back_until_nothing_is_left() {
    let mut sale = sold(&[]);
    for (refund, lines) in [(1, vec![("CUP", 2)]), (2, vec![("CUP", 1), ("PLATE", 1)])] {
        sale = decide(Some(&sale), &give_back(refund, &lines), empty_shelf).unwrap().next.unwrap();
    }
    for sku in ["CUP", "PLATE", "NONE"] {
        let more = decide(Some(&sale), &give_back(3, &[(sku, 1)]), empty_shelf);
        assert_eq!(more, Err(Illegal::BeyondSold { refund: 3, sku: sku.into(), left: 0, asked: 1 }));
    }
}

#[test]
fn a_return_that_cannot_be_moves_nothing() {
    let partly = sold(&[(1, &[("CUP", 2)])]);
    for (request, expected) in [
        (
            give_back(2, &[("PLATE", 1), ("CUP", 2)]),
            Illegal::BeyondSold { refund: 2, sku: "CUP".into(), left: 1, asked: 2 },
        ),
        // Two lines of one product must fit together.
        (
            give_back(2, &[("CUP", 1), ("CUP", 1)]),
            Illegal::BeyondSold { refund: 2, sku: "CUP".into(), left: 1, asked: 2 },
        ),
        (
            give_back(2, &[("CUP", i64::MAX), ("CUP", i64::MAX)]),
            Illegal::BeyondSold { refund: 2, sku: "CUP".into(), left: 1, asked: i64::MAX },
        ),
        (give_back(2, &[("CUP", 0)]), Illegal::BeyondSold { refund: 2, sku: "CUP".into(), left: 1, asked: 0 }),
        (give_back(1, &[("CUP", 1)]), Illegal::AnotherReturn { refund: 1 }),
        (give_back(1, &[("CUP", 2), ("PLATE", 1)]), Illegal::AnotherReturn { refund: 1 }),
    ] {
        assert_eq!(decide(Some(&partly), &request, empty_shelf), Err(expected), "{request:?}");
    }
    // The same lines in another order are the same return.
    let again = decide(Some(&partly), &give_back(1, &[("CUP", 1), ("CUP", 1)]), empty_shelf);
    assert_eq!(again, Ok(Decision::again(Event::Returned { refund: 1 })));
}

#[test]
fn a_return_above_what_a_shelf_can_count_waits_for_an_operator() {
    let full = |_: &str| Some(Level { on_hand: MOST, reserved: 0 });
    let back = give_back(1, &[("CUP", 1)]);
    assert_eq!(decide(Some(&sold(&[])), &back, full), Err(Illegal::TooMuch { refund: 1, sku: "CUP".into() }));
    let almost = |_: &str| Some(Level { on_hand: MOST - 1, reserved: 0 });
    assert!(decide(Some(&sold(&[])), &back, almost).is_ok());
}

#[test]
fn what_is_promised_cannot_be_counted_away() {
    let level = Level { on_hand: 5, reserved: 2 };
    assert!(adjust("CUP", level, -3).is_ok());
    assert_eq!(adjust("CUP", level, -4), Err(CannotAdjust::BelowReserved { reserved: 2, would_be: 1 }));
    assert_eq!(adjust("CUP", level, i64::MAX), Err(CannotAdjust::TooMuch));
    assert_eq!(adjust("CUP", level, MOST - 5).map(|movement| movement.on_hand), Ok(MOST - 5));
}
