//! The **fault run**: the real topology under load, and something breaks all the time.
//!
//! Two processes of every service and two gateways on one Redis and one Postgres. Customers buy
//! without a pause while, at random: any process is killed with `kill -9` or stopped for five
//! seconds (SIGSTOP), Redis is killed and comes back with what its file has (AOF every second), is
//! emptied (FLUSHALL), Postgres is killed and comes back. In the end every order that was
//! acknowledged is in a right state, the audit is green on Postgres, and everybody who got an
//! answer was told the truth.
//!
//! The seed is printed, and the whole plan of faults follows from it: `ORDERLY_SEED=…` runs the
//! same plan again. `ORDERLY_FAULTS=…` makes it longer.

#![expect(clippy::print_stdout, reason = "a run is judged by its summary")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::Mutex;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep;

use crate::cluster::{Cluster, Node, Plan, ROLES};
use crate::command_line::orderly;
use crate::customers::{Book, Customer, come_to_an_end, fill_the_shelf, seed};
use crate::servers::{Durability, Persistence, PgServer, RedisServer};
use crate::topologies;

/// Of inventory, order, payment, notification, query, auditor, gateway.
const REPLICAS: [usize; 7] = [2, 2, 2, 2, 2, 1, 2];
const FAULTS: usize = 100;
const BUYERS: u64 = 5;
const TIMES: [&str; 8] =
    ["--payment-window", "20s", "--ship-after", "1s", "--deliver-after", "1s", "--audit-every", "5s"];

/// One fault, and how long after the one before it.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Milliseconds.
    after: u64,
    fault: Fault,
}

/// What breaks. Numbers choose a process among all.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// `kill -9`, and started again after so many milliseconds.
    Kill(usize, u64),
    /// SIGSTOP for five seconds: sockets stay open, leases lapse.
    Pause(usize),
    /// `kill -9` of Redis, and started again after so many milliseconds.
    KillRedis(u64),
    /// Redis forgets everything.
    Flush,
    /// `kill -9` of Postgres, and started again.
    KillPostgres,
}

impl Fault {
    /// For the summary: what happened to what.
    fn kind(self, names: &[String]) -> String {
        let role = |node: usize| names[node].split('-').next().unwrap_or_default();
        match self {
            Self::Kill(node, _) => format!("kill -9 {}", role(node)),
            Self::Pause(node) => format!("SIGSTOP {}", role(node)),
            Self::KillRedis(_) => "kill -9 Redis".to_owned(),
            Self::Flush => "FLUSHALL".to_owned(),
            Self::KillPostgres => "kill -9 Postgres".to_owned(),
        }
    }
}

/// The plan, from the seed alone. Every kind is in it.
fn plan(random: &mut StdRng, nodes: usize, faults: usize) -> Vec<Step> {
    let step = |number: usize| Step {
        after: random.random_range(200..1_200),
        fault: match if number < 5 { [0, 60, 80, 90, 96][number] } else { random.random_range(0..100) } {
            0..60 => Fault::Kill(random.random_range(0..nodes), random.random_range(0..1_500)),
            60..80 => Fault::Pause(random.random_range(0..nodes)),
            80..90 => Fault::KillRedis(random.random_range(0..1_500)),
            90..96 => Fault::Flush,
            _ => Fault::KillPostgres,
        },
    };
    (0..faults).map(step).collect()
}

/// Everything that can break.
struct World {
    nodes: Vec<Arc<Mutex<Node>>>,
    redis: Arc<Mutex<RedisServer>>,
    postgres: Arc<Mutex<PgServer>>,
    /// Faults that are not over yet.
    open: JoinSet<()>,
}

impl World {
    /// Begins a fault, after an earlier one of the same thing is over.
    async fn suffer(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(node, down) => {
                let mut node = self.nodes[node].clone().lock_owned().await;
                node.kill9().expect("it is killed");
                self.open.spawn_local(async move {
                    sleep(Duration::from_millis(down)).await;
                    node.restart_as_often_as_it_takes().await.expect("it comes back");
                });
            }
            Fault::Pause(node) => {
                let mut node = self.nodes[node].clone().lock_owned().await;
                node.signal("STOP").expect("it is stopped");
                self.open.spawn_local(async move {
                    sleep(Duration::from_secs(5)).await;
                    node.signal("CONT").expect("it goes on");
                });
            }
            Fault::KillRedis(down) => {
                let redis = self.redis.clone().lock_owned().await;
                redis.kill9().expect("Redis is killed");
                self.open.spawn_local(async move {
                    sleep(Duration::from_millis(down)).await;
                    redis.restart().await.expect("Redis comes back");
                });
            }
            Fault::Flush => {
                let redis = self.redis.clone().lock_owned().await;
                redis.flushall().await.expect("Redis is emptied");
            }
            Fault::KillPostgres => {
                let postgres = self.postgres.clone().lock_owned().await;
                postgres.kill9().expect("Postgres is killed");
                self.open.spawn_local(async move {
                    postgres.restart().await.expect("Postgres comes back");
                });
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_faults_under_load_and_nobody_was_told_an_untruth() {
    LocalSet::new().run_until(run()).await;
}

async fn run() {
    let mut random = StdRng::seed_from_u64(seed());
    let faults = std::env::var("ORDERLY_FAULTS").ok().and_then(|text| text.parse().ok()).unwrap_or(FAULTS);
    let postgres = PgServer::start(Durability::ProcessCrash).await.expect("Postgres starts");
    let redis = RedisServer::start(Persistence::AppendOnlyEverySecond).await.expect("Redis starts");
    let url = topologies::databases(&postgres).await.expect("databases");
    let cluster = Cluster::start(&Plan::new(&url, &redis.url(), REPLICAS).with_args(&TIMES)).await.expect("it starts");
    let doors = [cluster.client(0), cluster.client(1)];
    fill_the_shelf(&doors[0]).await;
    let steps = plan(&mut random, cluster.nodes.len(), faults);

    let book = Book::default();
    let open = Arc::new(AtomicBool::new(true));
    let mut buyers = JoinSet::new();
    for buyer in 0..BUYERS {
        let mut doors = doors.to_vec();
        doors.rotate_left((buyer % 2) as usize);
        let (book, open, mut random) = (book.clone(), open.clone(), StdRng::seed_from_u64(random.random()));
        buyers.spawn(async move {
            let mut visit = 0;
            while open.load(Ordering::Relaxed) {
                visit += 1;
                let Some(ada) = Customer::log_in(&doors, 3).await else { continue };
                let goes_on = || open.load(Ordering::Relaxed);
                ada.buy(&book, &format!("b{buyer}-v{visit}"), &mut random, goes_on).await;
            }
        });
    }

    let begun = Instant::now();
    let nodes: Vec<_> = cluster.nodes.into_iter().map(|node| Arc::new(Mutex::new(node))).collect();
    let names: Vec<String> = names();
    let mut world = World {
        nodes,
        redis: Arc::new(Mutex::new(redis)),
        postgres: Arc::new(Mutex::new(postgres)),
        open: JoinSet::new(),
    };
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for (number, step) in steps.into_iter().enumerate() {
        // Not a wait for anything: the moment of the fault.
        sleep(Duration::from_millis(step.after)).await;
        let whom = match step.fault {
            Fault::Kill(node, _) | Fault::Pause(node) => names[node].as_str(),
            Fault::KillRedis(_) | Fault::Flush | Fault::KillPostgres => "",
        };
        println!("{:>7.1} s  fault {:>3}: {:?} {whom}", begun.elapsed().as_secs_f32(), number + 1, step.fault);
        world.suffer(step.fault).await;
        *counted.entry(step.fault.kind(&names)).or_default() += 1;
    }
    world.open.join_all().await;
    let took = begun.elapsed();
    open.store(false, Ordering::Relaxed);
    buyers.join_all().await;

    for node in &world.nodes {
        let mut node = node.lock().await;
        assert!(node.runs(), "a process ended by itself: {}", node.log_tail());
        assert!(!node.stderr().contains("panicked"), "{}", node.log_tail());
    }
    let ada = Customer::log_in(&doors, 100).await.expect("logs in");
    come_to_an_end(&ada, &book).await;
    let audit = orderly(None, ["audit", "--database-url", &url]).await;
    println!("{counted:?} in {took:.0?}\n{}", audit.out);
    assert_eq!(audit.code, 0, "{audit:?}");
}

/// `order-1` and so on, in the order of the cluster's processes.
fn names() -> Vec<String> {
    let each = ROLES.into_iter().zip(REPLICAS);
    each.flat_map(|(role, count)| (0..count).map(move |number| format!("{role}-{number}"))).collect()
}

#[test]
fn a_seed_gives_the_same_plan_again() {
    let plans = [7, 7, 8].map(|seed| format!("{:?}", plan(&mut StdRng::seed_from_u64(seed), 13, 100)));
    assert_eq!(plans[0], plans[1]);
    assert_ne!(plans[0], plans[2]);
    for kind in ["Kill(", "Pause(", "KillRedis(", "Flush", "KillPostgres"] {
        assert!(plans[0].contains(kind), "{kind}");
    }
}
