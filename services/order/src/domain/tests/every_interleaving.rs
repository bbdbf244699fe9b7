//! Every order of arrival: the order with the other two services around it, and
//! every way in which their messages, the customer's wishes and the timers can
//! interleave, to the end of each.
//!
//! The two services are played by their contracts in a few lines each: they answer
//! in the order in which they are asked, they answer again what they are asked
//! again, and what makes no sense to them fails the test. The bank may approve or
//! not, capture or not, and the stock may suffice or not: every choice is tried.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fmt::Write;
use std::hash::Hasher;

use super::*;

/// An attempt at the payment service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Held,
    Declined,
    Captured,
    /// Held, and never to be captured.
    Refused,
    Voided,
}

/// The order's goods at the inventory service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shelf {
    Unheard,
    Reserved,
    Short,
    Released,
    Committed,
}

/// The order, the two services, and everything on its way between them.
#[derive(Debug, Clone)]
struct World {
    order: Order,
    to_payment: VecDeque<Command>,
    to_inventory: VecDeque<Command>,
    from_payment: VecDeque<Input>,
    from_inventory: VecDeque<Input>,
    attempts: BTreeMap<i32, Attempt>,
    refunds: BTreeMap<i32, i64>,
    goods: Shelf,
    returns: BTreeMap<i32, Vec<Goods>>,
    /// Wishes that the customer still has.
    cards: u8,
    cancels: u8,
    returns_of_part: u8,
    returns_of_all: u8,
    /// How often a step may still take too long.
    delays: u8,
}

impl World {
    fn begin(cards: u8, cancels: u8, returns: u8, delays: u8) -> Self {
        let mut world = Self {
            order: given(&[Event::Placed(placed(None))]).unwrap(),
            to_payment: VecDeque::new(),
            to_inventory: VecDeque::from([Command::ReserveStock]),
            from_payment: VecDeque::new(),
            from_inventory: VecDeque::new(),
            attempts: BTreeMap::new(),
            refunds: BTreeMap::new(),
            goods: Shelf::Unheard,
            returns: BTreeMap::new(),
            cards,
            cancels,
            returns_of_part: returns,
            returns_of_all: returns,
            delays,
        };
        world.settle();
        world
    }

    /// Every world that may come next, by one step of anybody.
    fn next(&self) -> Vec<Self> {
        let mut worlds = Vec::new();
        let mut with = |change: &dyn Fn(&mut Self)| {
            let mut world = self.clone();
            change(&mut world);
            world.settle();
            worlds.push(world);
        };
        if self.cards > 0 {
            with(&|world| world.wish(&Input::Pay { card: card() }, |world| world.cards -= 1));
        }
        if self.cancels > 0 {
            with(&|world| world.wish(&cancel(), |world| world.cancels -= 1));
        }
        if self.returns_of_part > 0 {
            with(&|world| world.wish(&return_lines(&[("CUP", 1)]), |world| world.returns_of_part -= 1));
        }
        if self.returns_of_all > 0 {
            with(&|world| world.wish(&return_all(), |world| world.returns_of_all -= 1));
        }
        for (message, queue) in [(self.from_payment.front(), true), (self.from_inventory.front(), false)] {
            let Some(message) = message else { continue };
            with(&|world| {
                if queue { &mut world.from_payment } else { &mut world.from_inventory }.pop_front();
                world.hear(message);
            });
        }
        if let Some(command) = self.to_payment.front() {
            for bank_is_kind in [true, false] {
                with(&|world| {
                    world.to_payment.pop_front();
                    world.at_payment(command, bank_is_kind);
                });
            }
        }
        if let Some(command) = self.to_inventory.front() {
            for in_stock in [true, false] {
                with(&|world| {
                    world.to_inventory.pop_front();
                    world.at_inventory(command, in_stock);
                });
            }
        }
        if let Some(due) = self.order.pay_before {
            with(&|world| world.hear(&Input::DeadlinePassed { due }));
        }
        if let Some(due) = self.order.fulfil_at {
            with(&|world| world.hear(&Input::FulfilmentDue { due }));
        }
        if let Some(due) = self.order.step_due.filter(|_| self.delays > 0) {
            with(&|world| {
                world.delays -= 1;
                world.hear(&Input::StepOverdue { due });
            });
        }
        worlds
    }

    /// The customer wants something; only what is not refused counts.
    fn wish(&mut self, input: &Input, granted: impl Fn(&mut Self)) {
        if let Ok(events) = decide(Some(&self.order), input, THEN, TERMS) {
            granted(self);
            self.play(&events);
        }
    }

    fn hear(&mut self, input: &Input) {
        let events = decide(Some(&self.order), input, THEN, TERMS).expect("no service is ever refused");
        self.play(&events);
    }

    fn play(&mut self, events: &[Event]) {
        for event in events {
            self.order = evolve(Some(self.order.clone()), event, THEN).unwrap();
            match react(&self.order, event) {
                None => {}
                Some(
                    command @ (Command::AuthorisePayment { .. }
                    | Command::CapturePayment { .. }
                    | Command::VoidPayment { .. }
                    | Command::RefundPayment { .. }),
                ) => self.to_payment.push_back(command),
                Some(command) => self.to_inventory.push_back(command),
            }
        }
    }

    /// What counts up does not make a world another one.
    fn settle(&mut self) {
        self.order.version = 1;
        self.order.retries = 0;
        self.order.status_reason.clear();
    }

    fn at_payment(&mut self, command: &Command, bank_is_kind: bool) {
        let answer = match *command {
            Command::AuthorisePayment { attempt, .. } => {
                let approved = if bank_is_kind { Attempt::Held } else { Attempt::Declined };
                match self.attempts.entry(attempt).or_insert(approved) {
                    Attempt::Held => authorised(attempt),
                    Attempt::Declined | Attempt::Voided => Input::PaymentDeclined { attempt, reason: "no".into() },
                    Attempt::Captured | Attempt::Refused => unreachable!("authorised twice"),
                }
            }
            Command::CapturePayment { attempt } => {
                let state = self.attempts.get_mut(&attempt).expect("captured what was never held");
                if *state == Attempt::Held {
                    *state = if bank_is_kind { Attempt::Captured } else { Attempt::Refused };
                }
                match state {
                    Attempt::Captured => Input::PaymentCaptured { attempt },
                    Attempt::Refused => Input::PaymentCaptureRefused { attempt, reason: "refused".into() },
                    // The retry of a capture that was refused and let go meanwhile cannot
                    // be: it was sent before the void.
                    Attempt::Held | Attempt::Declined | Attempt::Voided => panic!("captured what is {state:?}"),
                }
            }
            Command::VoidPayment { attempt } => {
                let state = self.attempts.entry(attempt).or_insert(Attempt::Voided);
                assert_ne!(*state, Attempt::Captured, "voided what was taken");
                *state = Attempt::Voided;
                Input::PaymentVoided { attempt }
            }
            Command::RefundPayment { attempt, refund, amount } => {
                assert_eq!(self.attempts.get(&attempt), Some(&Attempt::Captured), "refunded what was not taken");
                let given = *self.refunds.entry(refund).or_insert(amount);
                assert_eq!(given, amount, "another refund under the same number");
                assert!(self.refunds.values().sum::<i64>() <= TOTAL, "refunded more than was taken");
                Input::PaymentRefunded { refund }
            }
            Command::ReserveStock | Command::ReleaseStock | Command::CommitStock | Command::ReturnStock { .. } => {
                unreachable!("not payment's")
            }
        };
        self.from_payment.push_back(answer);
    }

    fn at_inventory(&mut self, command: &Command, in_stock: bool) {
        let answer = match (command, self.goods) {
            (Command::ReserveStock, Shelf::Unheard) if in_stock => {
                self.goods = Shelf::Reserved;
                Input::StockReserved
            }
            (Command::ReserveStock, Shelf::Unheard | Shelf::Released) => {
                if self.goods == Shelf::Unheard {
                    self.goods = Shelf::Short;
                }
                Input::StockShort { reason: "short".into() }
            }
            (Command::ReleaseStock, Shelf::Unheard | Shelf::Reserved | Shelf::Short | Shelf::Released) => {
                self.goods = Shelf::Released;
                Input::StockReleased
            }
            (Command::CommitStock, Shelf::Reserved | Shelf::Committed) => {
                self.goods = Shelf::Committed;
                Input::StockCommitted
            }
            (Command::ReturnStock { refund, lines }, Shelf::Committed) => {
                let known = self.returns.entry(*refund).or_insert_with(|| lines.clone());
                assert_eq!(known, lines, "another return under the same number");
                Input::StockReturned { refund: *refund }
            }
            (command, goods) => panic!("{command:?} for goods that are {goods:?}"),
        };
        self.from_inventory.push_back(answer);
    }

    /// Nothing is on its way and nothing is planned: only the customer could go on.
    fn is_at_rest(&self) -> bool {
        let order = &self.order;
        [&self.to_payment, &self.to_inventory].iter().all(|queue| queue.is_empty())
            && [&self.from_payment, &self.from_inventory].iter().all(|queue| queue.is_empty())
            && order.pay_before.is_none()
            && order.fulfil_at.is_none()
    }

    /// What must be true at rest.
    fn check(&self) {
        let order = &self.order;
        let told = |what: &str| panic!("{what}: {self:#?}");
        let taken = self.attempts.values().filter(|attempt| **attempt == Attempt::Captured).count() as i64 * TOTAL;
        let given_back: i64 = self.refunds.values().sum();
        let back: i64 = self.returns.values().flatten().map(|goods| goods.quantity).sum();
        let with_customer: i64 = order.left().iter().map(|goods| goods.quantity).sum();
        if self.attempts.values().any(|attempt| matches!(attempt, Attempt::Held | Attempt::Refused)) {
            told("money is held for nothing");
        }
        if order.step_due.is_some() || order.unwinding() || !order.voiding.is_empty() {
            told("the order waits for something that will not come");
        }
        if order.refunded != given_back || order.captured != (taken > 0) {
            told("order and payment do not agree");
        }
        let fits = match order.status {
            Status::Rejected => taken == 0 && self.goods == Shelf::Short,
            Status::Expired | Status::Cancelled => taken == 0 && self.goods == Shelf::Released && order.stock_returned,
            Status::Delivered => {
                let price = |sku: &str| if sku == "CUP" { 450 } else { 1_500 };
                let kept: i64 = order.left().iter().map(|goods| price(&goods.sku) * goods.quantity).sum();
                self.goods == Shelf::Committed && back + with_customer == 3 && taken - given_back == kept
            }
            Status::Refunded => {
                taken == given_back
                    && with_customer == 0
                    && (self.goods == Shelf::Released || (self.goods == Shelf::Committed && back == 3))
            }
            Status::Placed | Status::AwaitingPayment | Status::Paid | Status::Confirmed | Status::Shipped => false,
        };
        if !fits {
            told("an end that is none");
        }
    }

    /// Equal for equal worlds. The lines, which never change, are left out.
    fn key(&self) -> u64 {
        struct Hashed(DefaultHasher);
        impl Write for Hashed {
            fn write_str(&mut self, text: &str) -> std::fmt::Result {
                self.0.write(text.as_bytes());
                Ok(())
            }
        }
        let Self { order, .. } = self;
        let mut hashed = Hashed(DefaultHasher::new());
        let at = (order.status, order.in_flight, order.attempt, order.declines, order.paid_by, order.captured);
        let unwinding =
            (&order.cancelling, &order.refund, order.money_back, order.refunds, order.refunded, &order.returned);
        let stock = (&order.voiding, order.stock_committed, order.stock_returned, &order.card);
        let due = (order.pay_before, order.step_due, order.fulfil_at);
        let ways = (&self.to_payment, &self.to_inventory, &self.from_payment, &self.from_inventory);
        let there = (&self.attempts, &self.refunds, self.goods, &self.returns);
        let wishes = (self.cards, self.cancels, self.returns_of_part, self.returns_of_all, self.delays);
        write!(hashed, "{at:?}{unwinding:?}{stock:?}{due:?}{ways:?}{there:?}{wishes:?}").unwrap();
        hashed.0.finish()
    }
}

/// Goes through every interleaving; gives the ends there are.
fn explore(start: World) -> (usize, BTreeSet<Status>) {
    let mut known = HashSet::from([start.key()]);
    let mut open = vec![start];
    let mut ends = BTreeSet::new();
    while let Some(world) = open.pop() {
        if world.is_at_rest() {
            world.check();
            ends.insert(world.order.status);
        }
        for next in world.next() {
            if known.insert(next.key()) {
                open.push(next);
            }
        }
    }
    (known.len(), ends)
}

#[test]
fn two_cards_a_cancellation_and_a_slow_bank_leave_money_and_goods_where_they_belong() {
    let (worlds, ends) = explore(World::begin(3, 1, 0, 3));
    use Status::{Cancelled, Delivered, Expired, Refunded, Rejected};
    assert_eq!(ends, BTreeSet::from([Delivered, Rejected, Expired, Cancelled, Refunded]));
    assert!(worlds > 5_000, "only {worlds} worlds");
}

#[test]
fn returns_and_cancellations_and_retried_steps_leave_money_and_goods_where_they_belong() {
    let (worlds, ends) = explore(World::begin(1, 1, 2, 4));
    use Status::{Cancelled, Delivered, Expired, Refunded, Rejected};
    assert_eq!(ends, BTreeSet::from([Delivered, Rejected, Expired, Cancelled, Refunded]));
    assert!(worlds > 5_000, "only {worlds} worlds");
}
