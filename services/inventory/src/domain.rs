//! Reservations: all lines of an order or none, and never below zero.
//!
//! ```text
//!              reserve, enough          commit
//!   (absent) ───────────────────► OPEN ────────► COMMITTED
//!      │  └─ reserve, short ─► REFUSED │ release
//!      │ release (undo before do)  │   ▼
//!      └───────────────────────────┴► RELEASED   a tombstone: a late reserve is refused
//! ```
//!
//! Every input may come again and is then answered again: the asker may not have
//! heard. What cannot follow from any order of messages is [`Illegal`].

use std::collections::BTreeMap;

/// So many of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Stock keeping unit.
    pub sku: String,
    /// At least 1.
    pub quantity: i64,
}

/// What became of an order's lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reservation {
    /// The lines are set aside.
    Open(Vec<Line>),
    /// The lines have left the stock.
    Committed(Vec<Line>),
    /// Given back, or never to be made.
    Released,
    /// There was not enough.
    Refused,
}

/// What the saga asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// All lines or none.
    Reserve(Vec<Line>),
    /// Undo it.
    Release,
    /// Sell it.
    Commit,
}

/// One product's level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    /// Pieces in the house.
    pub on_hand: i64,
    /// Of these, set aside for orders. `0 <= reserved <= on_hand`.
    pub reserved: i64,
}

impl Level {
    /// What may still be promised.
    pub const fn available(self) -> i64 {
        self.on_hand - self.reserved
    }
}

/// A change of one product's level; every one is kept as a stock movement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Which product.
    pub sku: String,
    /// Why.
    pub kind: MovementKind,
    /// Pieces into the house, or out of it.
    pub on_hand: i64,
    /// Pieces set aside, or no longer.
    pub reserved: i64,
}

/// Why a level changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MovementKind {
    /// An operator counted.
    Adjusted,
    /// Set aside for an order.
    Reserved,
    /// Given back by an order.
    Released,
    /// Sold to an order.
    Committed,
}

/// A line that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// Which product.
    pub sku: String,
    /// How many were asked for.
    pub requested: i64,
    /// How many there are.
    pub available: i64,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Every line is set aside.
    Reserved,
    /// Nothing is set aside.
    Short(Vec<Shortage>),
    /// Nothing is set aside any more, or ever will be.
    Released,
    /// The goods are sold.
    Committed,
}

/// What a request comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The reservation's next state; `None` leaves it.
    pub next: Option<Reservation>,
    /// The levels that change with it.
    pub movements: Vec<Movement>,
    /// What is said.
    pub event: Event,
}

/// A request that no order of messages can explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {request} after the reservation was {state}")]
pub struct Illegal {
    request: &'static str,
    state: &'static str,
}

impl Decision {
    const fn again(event: Event) -> Self {
        Self { next: None, movements: Vec::new(), event }
    }
}

/// Decides a request. `level` gives the present level of a SKU, `None` if there is
/// no such product.
///
/// # Errors
/// [`Illegal`].
pub fn decide(
    reservation: Option<&Reservation>,
    request: &Request,
    level: impl Fn(&str) -> Option<Level>,
) -> Result<Decision, Illegal> {
    match (reservation, request) {
        (None, Request::Reserve(lines)) => Ok(reserve(&merged(lines), level)),
        (Some(Reservation::Open(lines)), Request::Release) => Ok(Decision {
            next: Some(Reservation::Released),
            movements: movements(lines, MovementKind::Released, 0, -1),
            event: Event::Released,
        }),
        (Some(Reservation::Open(lines)), Request::Commit) => Ok(Decision {
            next: Some(Reservation::Committed(lines.clone())),
            movements: movements(lines, MovementKind::Committed, -1, -1),
            event: Event::Committed,
        }),
        // The undo came before its do, or after a refusal: leave a tombstone.
        (None | Some(Reservation::Refused), Request::Release) => {
            Ok(Decision { next: Some(Reservation::Released), movements: Vec::new(), event: Event::Released })
        }
        // Asked again.
        (Some(Reservation::Open(_) | Reservation::Committed(_)), Request::Reserve(_)) => {
            Ok(Decision::again(Event::Reserved))
        }
        (Some(Reservation::Committed(_)), Request::Commit) => Ok(Decision::again(Event::Committed)),
        (Some(Reservation::Released), Request::Release) => Ok(Decision::again(Event::Released)),
        // The do after its undo, or asked again after a refusal.
        (Some(Reservation::Released | Reservation::Refused), Request::Reserve(_)) => {
            Ok(Decision::again(Event::Short(Vec::new())))
        }
        (None, Request::Commit) => Err(Illegal { request: "commit", state: "never made" }),
        (Some(Reservation::Refused), Request::Commit) => Err(Illegal { request: "commit", state: "refused" }),
        (Some(Reservation::Released), Request::Commit) => Err(Illegal { request: "commit", state: "released" }),
        (Some(Reservation::Committed(_)), Request::Release) => Err(Illegal { request: "release", state: "committed" }),
    }
}

fn reserve(lines: &[Line], level: impl Fn(&str) -> Option<Level>) -> Decision {
    let shortages: Vec<Shortage> = lines
        .iter()
        .filter_map(|line| {
            let available = level(&line.sku).map_or(0, Level::available);
            (available < line.quantity).then(|| Shortage { sku: line.sku.clone(), requested: line.quantity, available })
        })
        .collect();
    if shortages.is_empty() {
        Decision {
            next: Some(Reservation::Open(lines.to_vec())),
            movements: movements(lines, MovementKind::Reserved, 0, 1),
            event: Event::Reserved,
        }
    } else {
        Decision { next: Some(Reservation::Refused), movements: Vec::new(), event: Event::Short(shortages) }
    }
}

fn movements(lines: &[Line], kind: MovementKind, on_hand: i64, reserved: i64) -> Vec<Movement> {
    lines
        .iter()
        .map(|line| Movement {
            sku: line.sku.clone(),
            kind,
            on_hand: on_hand * line.quantity,
            reserved: reserved * line.quantity,
        })
        .collect()
}

/// One line a SKU: two lines of one SKU must fit together, not one by one.
fn merged(lines: &[Line]) -> Vec<Line> {
    let mut by_sku: BTreeMap<&str, i64> = BTreeMap::new();
    for line in lines {
        *by_sku.entry(&line.sku).or_default() += line.quantity;
    }
    by_sku.into_iter().map(|(sku, quantity)| Line { sku: sku.to_owned(), quantity }).collect()
}

/// Why the stock cannot be adjusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotAdjust {
    /// More is promised to orders than would be left.
    #[error("{reserved} are reserved for orders; {would_be} would be left")]
    BelowReserved {
        /// Set aside.
        reserved: i64,
        /// What would be in the house.
        would_be: i64,
    },
    /// More than fits a number.
    #[error("more stock than can be counted")]
    TooMuch,
}

/// The most pieces of one product: what a GraphQL `Int` can show.
pub const MOST: i64 = i32::MAX as i64;

/// Decides an operator's adjustment.
///
/// # Errors
/// [`CannotAdjust`].
pub fn adjust(sku: &str, level: Level, delta: i64) -> Result<Movement, CannotAdjust> {
    let would_be = level.on_hand.checked_add(delta).filter(|sum| *sum <= MOST).ok_or(CannotAdjust::TooMuch)?;
    if would_be < level.reserved {
        return Err(CannotAdjust::BelowReserved { reserved: level.reserved, would_be });
    }
    Ok(Movement { sku: sku.to_owned(), kind: MovementKind::Adjusted, on_hand: delta, reserved: 0 })
}

#[cfg(test)]
mod tests {
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

    /// Every (state, request) pair: what is said, and whether anything changes.
    #[test]
    fn every_request_in_every_state_has_one_answer() {
        let lines = vec![line("CUP", 1)];
        let open = Reservation::Open(lines.clone());
        let committed = Reservation::Committed(lines);
        type Row<'a> = (Option<&'a Reservation>, Request, Option<(Event, bool)>);
        let table: [Row<'_>; 15] = [
            (None, cups(1), Some((Event::Reserved, true))),
            (None, Request::Release, Some((Event::Released, true))),
            (None, Request::Commit, None),
            (Some(&open), cups(1), Some((Event::Reserved, false))),
            (Some(&open), Request::Release, Some((Event::Released, true))),
            (Some(&open), Request::Commit, Some((Event::Committed, true))),
            (Some(&committed), cups(1), Some((Event::Reserved, false))),
            (Some(&committed), Request::Release, None),
            (Some(&committed), Request::Commit, Some((Event::Committed, false))),
            (Some(&Reservation::Released), cups(1), Some((Event::Short(vec![]), false))),
            (Some(&Reservation::Released), Request::Release, Some((Event::Released, false))),
            (Some(&Reservation::Released), Request::Commit, None),
            (Some(&Reservation::Refused), cups(1), Some((Event::Short(vec![]), false))),
            (Some(&Reservation::Refused), Request::Release, Some((Event::Released, true))),
            (Some(&Reservation::Refused), Request::Commit, None),
        ];
        for (state, request, expected) in table {
            let decided = decide(state, &request, shelf).ok().map(|decision| (decision.event, decision.next.is_some()));
            assert_eq!(decided, expected, "{request:?} in {state:?}");
        }
    }

    #[test]
    fn what_is_promised_cannot_be_counted_away() {
        let level = Level { on_hand: 5, reserved: 2 };
        assert!(adjust("CUP", level, -3).is_ok());
        assert_eq!(adjust("CUP", level, -4), Err(CannotAdjust::BelowReserved { reserved: 2, would_be: 1 }));
        assert_eq!(adjust("CUP", level, i64::MAX), Err(CannotAdjust::TooMuch));
        assert_eq!(adjust("CUP", level, MOST - 5).map(|movement| movement.on_hand), Ok(MOST - 5));
    }
}
