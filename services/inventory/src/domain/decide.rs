//! The table of the reservation's state machine: every pair of state and request.

use std::collections::BTreeMap;

use super::{Decision, Event, Level, Line, MOST, Movement, MovementKind, Request, Reservation, Sale, Shortage};

/// A request that no order of messages can explain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// The pair of state and request is none of the machine's.
    #[error("a {request} after the reservation was {state}")]
    Transition {
        /// What came.
        request: &'static str,
        /// Where the reservation stands.
        state: &'static str,
    },
    /// The number of a return was used for other lines.
    #[error("return {refund} was of other lines")]
    AnotherReturn {
        /// Which refund's.
        refund: i32,
    },
    /// More would come back than was sold.
    #[error("return {refund} of {asked} {sku}, where {left} can come back")]
    BeyondSold {
        /// Which refund's.
        refund: i32,
        /// Which product.
        sku: String,
        /// Pieces that were sold and have not come back.
        left: i64,
        /// Pieces that are said to come back.
        asked: i64,
    },
    /// The shelf has no number for so many. An operator can count some away and
    /// redrive the return.
    #[error("return {refund} makes more {sku} than can be counted")]
    TooMuch {
        /// Which refund's.
        refund: i32,
        /// Which product.
        sku: String,
    },
}

impl Decision {
    pub(super) const fn again(event: Event) -> Self {
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
    let illegal = |request, state| Err(Illegal::Transition { request, state });
    match (reservation, request) {
        (None, Request::Reserve(lines)) => Ok(reserve(merged(lines), level)),
        (Some(Reservation::Open(lines)), Request::Release) => Ok(Decision {
            next: Some(Reservation::Released),
            movements: movements(lines, MovementKind::Released, 0, -1),
            event: Event::Released,
        }),
        (Some(Reservation::Open(lines)), Request::Commit) => Ok(Decision {
            next: Some(Reservation::Committed(Sale::new(lines.clone()))),
            movements: movements(lines, MovementKind::Committed, -1, -1),
            event: Event::Committed,
        }),
        (Some(Reservation::Committed(sale)), Request::Return { refund, lines }) => {
            take_back(sale, *refund, merged(lines), level)
        }
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
        (None, Request::Commit) => illegal("commit", "never made"),
        (Some(Reservation::Refused), Request::Commit) => illegal("commit", "refused"),
        (Some(Reservation::Released), Request::Commit) => illegal("commit", "released"),
        (Some(Reservation::Committed(_)), Request::Release) => illegal("release", "committed"),
        (None, Request::Return { .. }) => illegal("return", "never made"),
        (Some(Reservation::Open(_)), Request::Return { .. }) => illegal("return", "open"),
        (Some(Reservation::Refused), Request::Return { .. }) => illegal("return", "refused"),
        (Some(Reservation::Released), Request::Return { .. }) => illegal("return", "released"),
    }
}

fn reserve(lines: Vec<Line>, level: impl Fn(&str) -> Option<Level>) -> Decision {
    let shortages: Vec<Shortage> = lines
        .iter()
        .filter_map(|line| {
            let available = level(&line.sku).map_or(0, Level::available);
            (available < line.quantity).then(|| Shortage { sku: line.sku.clone(), requested: line.quantity, available })
        })
        .collect();
    if shortages.is_empty() {
        Decision {
            movements: movements(&lines, MovementKind::Reserved, 0, 1),
            next: Some(Reservation::Open(lines)),
            event: Event::Reserved,
        }
    } else {
        Decision { next: Some(Reservation::Refused), movements: Vec::new(), event: Event::Short(shortages) }
    }
}

/// Goods come back as they went: never more of a product than was sold.
fn take_back(
    sale: &Sale,
    refund: i32,
    lines: Vec<Line>,
    level: impl Fn(&str) -> Option<Level>,
) -> Result<Decision, Illegal> {
    if let Some(before) = sale.returns.get(&refund) {
        return if *before == lines {
            Ok(Decision::again(Event::Returned { refund }))
        } else {
            Err(Illegal::AnotherReturn { refund })
        };
    }
    for Line { sku, quantity } in &lines {
        let left = sale.left(sku);
        if !(1..=left).contains(quantity) {
            return Err(Illegal::BeyondSold { refund, sku: sku.clone(), left, asked: *quantity });
        }
        // What was sold has a level: products are never taken away.
        if level(sku).is_none_or(|level| level.on_hand > MOST - quantity) {
            return Err(Illegal::TooMuch { refund, sku: sku.clone() });
        }
    }
    let movements = movements(&lines, MovementKind::Returned, 1, 0);
    let mut sale = sale.clone();
    sale.returns.insert(refund, lines);
    Ok(Decision { next: Some(Reservation::Committed(sale)), movements, event: Event::Returned { refund } })
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
        let quantity = by_sku.entry(&line.sku).or_default();
        // More than there can be is too many, however many.
        *quantity = quantity.saturating_add(line.quantity);
    }
    by_sku.into_iter().map(|(sku, quantity)| Line { sku: sku.to_owned(), quantity }).collect()
}
