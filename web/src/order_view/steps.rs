//! How far an order has come: the saga's road as a picture, a point for each step.
//!
//! The status says how far it must have come at least, the timeline when, and also how far one had
//! come that ended otherwise. An order that ended before its goal shows no further steps, only its
//! end; one whose money goes back shows the way back instead.

use gateway::api::{Order, OrderStatus, TimelineEntry};

use crate::when;

/// One step of an order's life, as a point on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// Who does it; it becomes a class.
    pub(crate) service: &'static str,
    /// A class of the style sheet: done, now, todo, stopped.
    pub(crate) state: &'static str,
    /// What the colour says, for those who do not see it.
    pub(crate) said: &'static str,
    /// When it was done, since the order was placed; empty for the start and for what is to come.
    pub(crate) after: String,
}

/// A step of the road: its name, who does it, and the order's event that says it is done.
struct Stage(&'static str, &'static str, &'static str);

/// The way there.
const ROAD: [Stage; 7] = [
    Stage("Placed", "order", "OrderPlaced"),
    Stage("Reserved", "inventory", "OrderAwaitingPayment"),
    Stage("Authorised", "payment", "OrderPaid"),
    Stage("Captured", "payment", "OrderPaymentCaptured"),
    Stage("Committed", "inventory", "OrderConfirmed"),
    Stage("Shipped", "order", "OrderShipped"),
    Stage("Delivered", "order", "OrderDelivered"),
];

/// The way back, for each refund anew.
const BACK: [Stage; 2] =
    [Stage("Money back", "payment", "OrderPaymentRefunded"), Stage("Goods back", "inventory", "OrderStockReturned")];

/// How many of [`ROAD`] an order with this status has behind it, whatever else is known of it.
const fn least(status: OrderStatus) -> usize {
    match status {
        OrderStatus::Placed | OrderStatus::Rejected | OrderStatus::Expired | OrderStatus::Cancelled => 1,
        OrderStatus::AwaitingPayment => 2,
        OrderStatus::Paid => 3,
        OrderStatus::Refunded => 4,
        OrderStatus::Confirmed => 5,
        OrderStatus::Shipped => 6,
        OrderStatus::Delivered => 7,
    }
}

/// What comes after the steps that are done.
enum Ahead {
    /// The rest of the road; whether its next step is under way.
    Road { under_way: bool },
    /// Nothing: it ended so.
    End(&'static str),
    /// The way back.
    Back,
}

const fn ahead(order: &Order) -> Ahead {
    if order.unwinding {
        return Ahead::Back;
    }
    match order.status {
        OrderStatus::Placed | OrderStatus::AwaitingPayment | OrderStatus::Paid => Ahead::Road { under_way: true },
        OrderStatus::Confirmed | OrderStatus::Shipped | OrderStatus::Delivered => {
            Ahead::Road { under_way: order.fulfil_at.is_some() }
        }
        OrderStatus::Rejected => Ahead::End("Rejected"),
        OrderStatus::Expired => Ahead::End("Expired"),
        OrderStatus::Cancelled => Ahead::End("Cancelled"),
        OrderStatus::Refunded => Ahead::Back,
    }
}

/// The steps of an order.
pub(super) fn of(order: &Order, timeline: &[TimelineEntry]) -> Vec<Step> {
    let told = |stage: &Stage| timeline.iter().find(|entry| entry.kind == stage.2);
    let after =
        |entry: Option<&TimelineEntry>| entry.map_or_else(String::new, |entry| when::after(order.placed_at, entry.at));
    let furthest = ROAD.iter().rposition(|stage| told(stage).is_some()).map_or(0, |last| last + 1);
    let done = furthest.max(least(order.status));
    let mut steps: Vec<Step> = ROAD[..done].iter().map(|stage| step(stage, "done", after(told(stage)))).collect();
    match ahead(order) {
        Ahead::Road { under_way } => {
            for (index, stage) in ROAD[done..].iter().enumerate() {
                let state = if index == 0 && under_way { "now" } else { "todo" };
                steps.push(step(stage, state, String::new()));
            }
        }
        Ahead::End(name) => steps.push(step(&Stage(name, "order", ""), "stopped", String::new())),
        Ahead::Back => {
            // Called off while its money was being collected: that comes first.
            let collecting = order.unwinding && order.status == OrderStatus::Paid && done < 4;
            if collecting {
                steps.push(step(&ROAD[3], "now", String::new()));
            }
            way_back(&mut steps, order, timeline, collecting);
        }
    }
    steps
}

/// The way back of the last refund; earlier ones are in the timeline.
fn way_back(steps: &mut Vec<Step>, order: &Order, timeline: &[TimelineEntry], collecting: bool) {
    let begun = timeline.iter().rposition(|entry| entry.kind == "OrderRefundRequested");
    let since = begun.map_or(&[][..], |begun| &timeline[begun..]);
    let over = order.status == OrderStatus::Refunded && !order.unwinding;
    let mut waiting = collecting;
    for stage in &BACK {
        let entry = since.iter().find(|entry| entry.kind == stage.2);
        let state = if entry.is_some() || over {
            "done"
        } else if waiting {
            "todo"
        } else {
            "now"
        };
        waiting |= state == "now";
        steps.push(step(stage, state, entry.map_or_else(String::new, |entry| when::after(order.placed_at, entry.at))));
    }
}

fn step(&Stage(name, service, _): &Stage, state: &'static str, after: String) -> Step {
    let said = match state {
        "done" => "done",
        "now" => "under way",
        "stopped" => "it ended here",
        _ => "to come",
    };
    Step { name, service, state, said, after }
}
