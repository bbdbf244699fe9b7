//! Every step of the saga, failing, repeated, and crashed before and after.
//!
//! Each road of an order is driven once without faults, and the messages that were
//! heard on it are written down. Then it is driven again for each of them, with
//! the shop crashing just before that message is heard, and just after its effect
//! was committed. The shop starts again on the same stores, the client asks again
//! with its keys, and the order must come to the same end, with the audit green.

mod fault_bus;
mod roads;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateway::api::{
    Caller, CancelOrder, CardNumber, LineRequest, Order, OrderStatus, OrderWithTimeline, PayOrder, PlaceOrder,
    ReturnOrder,
};
use orderly::shop::{Options, Shop};
use orderly::{Stores, audit};
use platform::bus::Bus as _;
use platform::bus::embedded::EmbeddedBus;
use platform::clock::Clock;
use platform::store::{outbox, parked};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use fault_bus::{FaultBus, Phase, Plan, Step};
use roads::{Act, Road};

/// Longest a road may take, with all its restarts.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two moves of the shop's clock.
const TICK: Duration = Duration::from_millis(2);

/// The shop has crashed under the client.
#[derive(Debug)]
struct Crashed;

/// One life of the shop, between two crashes.
struct Life {
    shop: Shop,
    stores: Stores,
    bus: Arc<FaultBus>,
    clock: Clock,
    ticking: JoinHandle<()>,
}

impl Life {
    async fn begin(folder: &Path, road: &Road, plan: Plan, clock: &Clock) -> Self {
        let stores = Stores::in_folder(folder).await.expect("the stores open");
        let embedded = EmbeddedBus::open(Some(&folder.join("bus.db"))).await.expect("the bus opens");
        let bus = Arc::new(FaultBus::around(embedded, plan));
        let options = Options {
            payment_window: road.window,
            ship_after: road.fulfil,
            deliver_after: road.fulfil,
            ..Options::default()
        };
        let shop = Shop::start(stores.clone(), bus.clone(), clock.clone(), options).await.expect("the shop starts");
        shop.accounts.ensure_demo().await.expect("the demo log-ins are made");
        let ticking = tokio::spawn({
            let (clock, pace) = (clock.clone(), road.pace);
            async move {
                loop {
                    sleep(TICK).await;
                    clock.advance(TICK * pace);
                }
            }
        });
        Self { shop, stores, bus, clock: clock.clone(), ticking }
    }

    /// As if the process had been killed.
    async fn kill(self) -> BTreeSet<Step> {
        self.ticking.abort();
        let heard = self.bus.heard();
        self.shop.abort();
        self.stores.close().await;
        heard
    }

    /// What a client does on this road. Safe to do again: every command has a key.
    async fn drive(&self, road: &Road) -> Result<(), Crashed> {
        let mut crashed = self.bus.crashed();
        tokio::select! {
            biased;
            _ = crashed.wait_for(|crashed| *crashed) => Err(Crashed),
            () = self.client(road) => Ok(()),
        }
    }

    async fn client(&self, road: &Road) {
        let api = &self.shop.api;
        let session = api.log_in("operator@example.com", "orderly", None).await.expect("logs in");
        let operator = api.session(&session.token).await.expect("answers").expect("is logged in");
        let key = |name: &str| Some(format!("{}-{name}", road.name));
        let product = gateway::api::UpsertProduct {
            sku: "CUP".into(),
            name: "Cup".into(),
            price: gateway::api::Money { amount: 450, currency: "GBP".into() },
            idempotency_key: key("product"),
        };
        api.upsert_product(&operator, product).await.expect("the product is made");
        let stock = gateway::api::AdjustStock { sku: "CUP".into(), delta: 10, idempotency_key: key("stock") };
        api.adjust_stock(&operator, stock).await.expect("the product is stocked");

        let session = api.log_in("ada@example.com", "orderly", None).await.expect("logs in");
        let ada = api.session(&session.token).await.expect("answers").expect("is logged in");
        let place = PlaceOrder {
            lines: vec![LineRequest { sku: "CUP".into(), quantity: road.quantity }],
            card: road.card.map(CardNumber::from),
            address: None,
            customer: None,
            idempotency_key: key("order"),
        };
        let order = api.place_order(&ada, place).await.expect("the order is placed");
        for (number, act) in road.acts.iter().enumerate() {
            self.act(&ada, &order, act, key(&format!("act {number}"))).await;
        }
        self.until(&ada, &order.id, |found| found.order.status == road.end).await;
    }

    /// What an earlier life of the client has done already is done again, with its
    /// key, and answered or refused; what counts is where the order ends.
    async fn act(&self, ada: &Caller, order: &Order, act: &Act, idempotency_key: Option<String>) {
        let (api, order_id) = (&self.shop.api, order.id.clone());
        let done = match *act {
            Act::Pay { card, declines } => {
                self.until(ada, &order_id, |found| {
                    found.order.status != OrderStatus::Placed
                        && (found.order.status != OrderStatus::AwaitingPayment
                            || times(found, "OrderPaymentDeclined") >= declines)
                })
                .await;
                api.pay_order(ada, PayOrder { order_id, card: CardNumber::from(card), idempotency_key }).await
            }
            Act::Cancel { at } => {
                self.until(ada, &order_id, |found| at.contains(&found.order.status)).await;
                api.cancel_order(ada, CancelOrder { order_id, reason: None, idempotency_key }).await
            }
            Act::CancelInFlight => {
                self.until(ada, &order_id, |found| times(found, "OrderPaymentRequested") > 0).await;
                api.cancel_order(ada, CancelOrder { order_id, reason: None, idempotency_key }).await
            }
            Act::Return { pieces } => {
                let there = [OrderStatus::Delivered, OrderStatus::Refunded];
                self.until(ada, &order_id, |found| there.contains(&found.order.status) && !found.order.unwinding).await;
                let lines = Some(vec![LineRequest { sku: "CUP".into(), quantity: pieces }]);
                api.return_order(ada, ReturnOrder { order_id, lines, reason: None, idempotency_key }).await
            }
        };
        // The next act looks at an order that has seen this one.
        if let Ok(answer) = done {
            self.until(ada, &order.id, |found| found.order.version >= answer.version).await;
        }
    }

    /// Waits until the read model shows what is wanted.
    async fn until(&self, ada: &Caller, id: &str, wanted: impl Fn(&OrderWithTimeline) -> bool) {
        loop {
            if let Ok(Some(found)) = self.shop.api.order_with_timeline(ada, id, None).await
                && wanted(&found)
            {
                return;
            }
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until nothing is on its way any more, then audits.
    async fn settle_and_audit(&self, road: &Road) {
        loop {
            let inspection = self.bus.inspect().await.expect("the bus answers");
            let parked = parked::retries(&self.stores.payment, i64::MAX).await.expect("the store answers");
            let mut unpublished = 0;
            for (db, table) in [
                (&self.stores.order, "order_events"),
                (&self.stores.order, "outbox"),
                (&self.stores.payment, "outbox"),
                (&self.stores.inventory, "outbox"),
                (&self.stores.notification, "outbox"),
            ] {
                unpublished += outbox::unpublished(db, table, &[0], 100).await.expect("the store answers").len();
            }
            if unpublished == 0
                && parked.is_empty()
                && inspection.groups.iter().all(|group| group.lag == 0 && group.pending == 0)
            {
                break;
            }
            sleep(Duration::from_millis(2)).await;
        }
        for finding in audit(&self.stores, &self.clock).await.expect("the stores answer") {
            assert!(finding.breaches.is_empty(), "{}: {finding:?}", road.name);
        }
        for db in [&self.stores.order, &self.stores.payment, &self.stores.inventory, &self.stores.query] {
            let dead = parked::dead_letters(db).await.expect("the store answers");
            assert!(dead.is_empty(), "{}: dead letters {dead:?}", road.name);
        }
    }
}

/// How often something happened to the order.
fn times(found: &OrderWithTimeline, kind: &str) -> usize {
    found.timeline.iter().filter(|entry| entry.kind == kind).count()
}

/// Drives a road to its end under a plan; what was heard on it.
async fn travel(road: &Road, plan: Plan) -> BTreeSet<Step> {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::manual(1_800_000_000_000);
    let told = format!("{} under {plan:?}", road.name);
    timeout(PATIENCE, async {
        let repeat = Plan { crash: None, ..plan.clone() };
        let mut life = Life::begin(folder.path(), road, plan, &clock).await;
        let mut heard = BTreeSet::new();
        while let Err(Crashed) = life.drive(road).await {
            heard.extend(life.kill().await);
            life = Life::begin(folder.path(), road, repeat.clone(), &clock).await;
        }
        // The crash may lie behind the client's view of the end.
        let mut crashed = life.bus.crashed();
        let quiet = tokio::select! {
            biased;
            _ = crashed.wait_for(|crashed| *crashed) => false,
            () = life.settle_and_audit(road) => true,
        };
        if !quiet {
            heard.extend(life.kill().await);
            life = Life::begin(folder.path(), road, repeat, &clock).await;
            life.drive(road).await.expect("no second crash");
            life.settle_and_audit(road).await;
        }
        heard.extend(life.kill().await);
        heard
    })
    .await
    .unwrap_or_else(|_| panic!("{told}: did not come to its end"))
}

/// Drives one road without faults, with everything twice, and with a crash at
/// every step.
async fn travel_with_every_fault(road: &Road) {
    let heard = travel(road, Plan::default()).await;
    for kind in road.must_hear {
        assert!(heard.iter().any(|(_, heard)| heard == kind), "{}: {kind} was not heard: {heard:?}", road.name);
    }
    travel(road, Plan { repeat_everything: true, crash: None }).await;
    // Who only listens does the same on every road: there, the first road and what is
    // particular to this one will do, and nothing of a slow road that a fast one has,
    // too. The same goes for how a road begins that branches off from another one.
    let worth_a_crash = |(group, kind): &Step| {
        let listens = ["notification", "query"].contains(&group.as_str());
        let particular = road.must_hear.contains(&kind.as_str());
        road.name == roads::PAID_AT_ONCE.name
            || if listens { particular && road.card != Some(roads::SLOW) } else { particular || !road.branches_off }
    };
    for step in heard.into_iter().filter(worth_a_crash) {
        for phase in [Phase::Before, Phase::After] {
            travel(road, Plan { crash: Some((step.clone(), phase)), repeat_everything: false }).await;
        }
    }
}

macro_rules! roads {
    ($($name:ident = $road:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                travel_with_every_fault(&roads::$road).await;
            }
        )*
    };
}

roads! {
    paid_at_once_ends_confirmed_whatever_step_fails = PAID_AT_ONCE;
    declined_then_paid_ends_confirmed_whatever_step_fails = DECLINED_THEN_PAID;
    unreachable_bank_ends_confirmed_whatever_step_fails = BANK_UNREACHABLE;
    lost_answer_ends_confirmed_and_charged_once_whatever_step_fails = BANK_ANSWER_LOST;
    slow_bank_ends_confirmed_whatever_step_fails = BANK_SLOW;
    stock_short_ends_rejected_whatever_step_fails = STOCK_SHORT;
    not_paid_in_time_ends_expired_with_its_stock_back_whatever_step_fails = NOT_PAID_IN_TIME;
    paid_too_late_ends_expired_and_voided_whatever_step_fails = PAID_TOO_LATE;
    capture_refused_ends_cancelled_and_voided_whatever_step_fails = CAPTURE_REFUSED_FOR_GOOD;
    cancelled_at_once_ends_cancelled_whatever_step_fails = CANCELLED_AT_ONCE;
    cancelled_while_it_waits_ends_cancelled_with_its_stock_back_whatever_step_fails = CANCELLED_WAITING;
    cancelled_while_the_bank_is_slow_ends_voided_whatever_step_fails = CANCELLED_WHILE_BANK_IS_SLOW;
    cancelled_while_the_bank_is_away_ends_voided_whatever_step_fails = CANCELLED_WHILE_BANK_IS_AWAY;
    cancelled_while_an_answer_is_lost_ends_voided_whatever_step_fails = CANCELLED_WHILE_ANSWER_IS_LOST;
    cancelled_while_money_is_taken_ends_refunded_whatever_step_fails = CANCELLED_WHILE_MONEY_IS_TAKEN;
    cancelled_when_confirmed_ends_refunded_with_its_goods_back_whatever_step_fails = CANCELLED_WHEN_CONFIRMED;
    refund_by_an_unreachable_bank_is_made_once_whatever_step_fails = REFUND_UNREACHABLE;
    refund_whose_answer_is_lost_is_made_once_whatever_step_fails = REFUND_ANSWER_LOST;
    refund_by_a_slow_bank_is_made_once_whatever_step_fails = REFUND_SLOW;
    delivered_whatever_step_fails = DELIVERED;
    returned_ends_refunded_with_its_goods_back_whatever_step_fails = RETURNED;
    returned_in_parts_ends_refunded_once_whatever_step_fails = RETURNED_IN_PARTS;
}
