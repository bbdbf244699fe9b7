//! Every step of the saga, failing, repeated, and crashed before and after.
//!
//! Each road of an order is driven once without faults, and the messages that were
//! heard on it are written down. Then it is driven again for each of them, with
//! the shop crashing just before that message is heard, and just after its effect
//! was committed. The shop starts again on the same stores, the client asks again
//! with its keys, and the order must come to the same end, with the audit green.

mod fault_bus;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateway::api::{Caller, CardNumber, LineRequest, OrderStatus, PayOrder, PlaceOrder};
use orderly::shop::{Options, Shop};
use orderly::{Stores, audit};
use platform::bus::Bus as _;
use platform::bus::embedded::EmbeddedBus;
use platform::clock::Clock;
use platform::store::{outbox, parked};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use fault_bus::{FaultBus, Phase, Plan, Step};

const APPROVED: &str = "4242 4242 4242 4242";
const DECLINED: &str = "4000 0000 0000 0002";
const SLOW: &str = "4000 0000 0000 0077";
const UNREACHABLE: &str = "4000 0000 0000 0119";
const ANSWER_LOST: &str = "4000 0000 0000 0341";

/// Longest a road may take, with all its restarts.
const PATIENCE: Duration = Duration::from_secs(60);

/// A road of an order.
#[derive(Debug, Clone, Copy)]
struct Road {
    name: &'static str,
    quantity: i64,
    /// Offered with the order.
    card: Option<&'static str>,
    /// Offered one after the other, once the one before was declined.
    then: &'static [&'static str],
    window: Duration,
    end: OrderStatus,
    /// Heard on the way, if nothing goes wrong.
    must_hear: &'static [&'static str],
}

const LONG: Duration = Duration::from_secs(900);
const SHORT: Duration = Duration::from_secs(2);

const ROADS: [Road; 8] = [
    Road {
        name: "paid at once",
        quantity: 2,
        card: Some(APPROVED),
        then: &[],
        window: LONG,
        end: OrderStatus::Confirmed,
        must_hear: &["ReserveStock", "AuthorisePayment", "CapturePayment", "CommitStock", "OrderConfirmed"],
    },
    Road {
        name: "declined, then paid",
        quantity: 2,
        card: None,
        then: &[DECLINED, APPROVED],
        window: LONG,
        end: OrderStatus::Confirmed,
        must_hear: &["PaymentDeclined", "OrderPaymentDeclined", "OrderConfirmed"],
    },
    Road {
        name: "the bank unreachable twice",
        quantity: 2,
        card: Some(UNREACHABLE),
        then: &[],
        window: LONG,
        end: OrderStatus::Confirmed,
        must_hear: &["timer redrive:/order/payment.commands", "OrderConfirmed"],
    },
    Road {
        name: "the bank's answer lost",
        quantity: 2,
        card: Some(ANSWER_LOST),
        then: &[],
        window: LONG,
        end: OrderStatus::Confirmed,
        must_hear: &["timer redrive:/order/payment.commands", "OrderConfirmed"],
    },
    Road {
        name: "the bank slow",
        quantity: 2,
        card: Some(SLOW),
        then: &[],
        window: LONG,
        end: OrderStatus::Confirmed,
        must_hear: &["OrderConfirmed"],
    },
    Road {
        name: "stock short",
        quantity: 1_000,
        card: Some(APPROVED),
        then: &[],
        window: LONG,
        end: OrderStatus::Rejected,
        must_hear: &["StockShort", "OrderRejected"],
    },
    Road {
        name: "not paid in time",
        quantity: 2,
        card: None,
        then: &[],
        window: SHORT,
        end: OrderStatus::Expired,
        must_hear: &["timer payment-deadline", "OrderExpired", "ReleaseStock", "StockReleased"],
    },
    Road {
        name: "paid too late",
        quantity: 2,
        card: Some(SLOW),
        then: &[],
        window: SHORT,
        end: OrderStatus::Expired,
        must_hear: &["OrderLatePaymentRefused", "VoidPayment", "PaymentVoided", "OrderPaymentVoided"],
    },
];

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
        let options = Options { payment_window: road.window, ..Options::default() };
        let shop = Shop::start(stores.clone(), bus.clone(), clock.clone(), options).await.expect("the shop starts");
        shop.accounts.ensure_demo().await.expect("the demo log-ins are made");
        // The shop's time runs five times as fast as ours.
        let ticking = tokio::spawn({
            let clock = clock.clone();
            async move {
                loop {
                    sleep(Duration::from_millis(2)).await;
                    clock.advance(Duration::from_millis(10));
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
        let session = api.log_in("operator@example.com", "orderly").await.expect("logs in");
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

        let session = api.log_in("ada@example.com", "orderly").await.expect("logs in");
        let ada = api.session(&session.token).await.expect("answers").expect("is logged in");
        let place = PlaceOrder {
            lines: vec![LineRequest { sku: "CUP".into(), quantity: road.quantity }],
            card: road.card.map(CardNumber::from),
            address: None,
            customer: None,
            idempotency_key: key("order"),
        };
        let order = api.place_order(&ada, place).await.expect("the order is placed");
        for (number, card) in road.then.iter().enumerate() {
            self.until(&ada, &order.id, |status, declines| {
                status != OrderStatus::Placed && (status != OrderStatus::AwaitingPayment || declines >= number)
            })
            .await;
            let pay = PayOrder {
                order_id: order.id.clone(),
                card: CardNumber::from(*card),
                idempotency_key: key(&format!("card {number}")),
            };
            // Refused if an earlier life of the client has paid already.
            let _ = api.pay_order(&ada, pay).await;
        }
        self.until(&ada, &order.id, |status, _| status == road.end).await;
    }

    /// Waits until the read model shows what is wanted of status and declines.
    async fn until(&self, ada: &Caller, id: &str, wanted: impl Fn(OrderStatus, usize) -> bool) {
        loop {
            if let Ok(Some(found)) = self.shop.api.order_with_timeline(ada, id, None).await {
                let declines = found.timeline.iter().filter(|entry| entry.kind == "OrderPaymentDeclined").count();
                if wanted(found.order.status, declines) {
                    return;
                }
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
async fn travel_with_every_fault(index: usize) {
    let road = &ROADS[index];
    let heard = travel(road, Plan::default()).await;
    for kind in road.must_hear {
        assert!(heard.iter().any(|(_, heard)| heard == kind), "{}: {kind} was not heard: {heard:?}", road.name);
    }
    travel(road, Plan { repeat_everything: true, crash: None }).await;
    // Who only listens does the same on every road: there, the first road and what is
    // particular to this one will do.
    let worth_a_crash = |(group, kind): &Step| {
        index == 0 || !["notification", "query"].contains(&group.as_str()) || road.must_hear.contains(&kind.as_str())
    };
    for step in heard.into_iter().filter(worth_a_crash) {
        for phase in [Phase::Before, Phase::After] {
            travel(road, Plan { crash: Some((step.clone(), phase)), repeat_everything: false }).await;
        }
    }
}

macro_rules! roads {
    ($($name:ident = $index:expr;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                travel_with_every_fault($index).await;
            }
        )*
    };
}

roads! {
    paid_at_once_ends_confirmed_whatever_step_fails = 0;
    declined_then_paid_ends_confirmed_whatever_step_fails = 1;
    unreachable_bank_ends_confirmed_whatever_step_fails = 2;
    lost_answer_ends_confirmed_and_charged_once_whatever_step_fails = 3;
    slow_bank_ends_confirmed_whatever_step_fails = 4;
    stock_short_ends_rejected_whatever_step_fails = 5;
    not_paid_in_time_ends_expired_with_its_stock_back_whatever_step_fails = 6;
    paid_too_late_ends_expired_and_voided_whatever_step_fails = 7;
}
