//! Several processes of each service on one Redis and one Postgres: work is shared and handed over,
//! what one process does is seen at another, and only the shop's own may call.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use contracts::ops::ops_client::OpsClient;
use contracts::ops::{InspectRequest, ListRequest};
use contracts::order::PayOrderRequest;
use contracts::order::orders_client::OrdersClient;
use futures_util::future::join_all;
use platform::grpc::{Connection, Identity, Peers, remote};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use uuid::Uuid;

use crate::cluster::{Cluster, Node, Plan, TOKEN};
use crate::command_line::orderly;
use crate::customers::{Book, Customer, come_to_an_end, fill_the_shelf, seed};
use crate::journey::{BADGE, CUSTOMER, Journey, PASSWORD};
use crate::servers::proxy::Proxy;
use crate::servers::{self, Persistence, RedisServer, until};
use crate::shop::Client;
use crate::subscriptions::{Socket, WATCH};
use crate::topologies;

const APPROVED: &str = "4242 4242 4242 4242";
const PATIENCE: Duration = Duration::from_secs(120);
const TIMES: [&str; 6] = ["--payment-window", "30s", "--ship-after", "1s", "--deliver-after", "1s"];
const PARTITIONS: usize = 8;

/// A cluster on databases of its own and a Redis of its own.
async fn start(replicas: [usize; 7], args: &[&str]) -> (Cluster, RedisServer, String) {
    let postgres = servers::postgres().await.expect("Postgres starts");
    let redis = RedisServer::start(Persistence::None).await.expect("Redis starts");
    let url = topologies::databases(postgres).await.expect("databases");
    let plan = Plan::new(&url, &redis.url(), replicas).with_args(args);
    (Cluster::start(&plan).await.expect("it starts"), redis, url)
}

async fn green(url: &str) {
    let audit = orderly(None, ["audit", "--database-url", url]).await;
    assert_eq!(audit.code, 0, "{audit:?}");
}

fn operator() -> Identity {
    Identity { account: "olga".to_owned(), operator: true }
}

/// A gateway's gRPC port, as an operator's tools see it.
fn ops(gateway: &Node) -> OpsClient<Connection> {
    let peers = Peers::try_new(&gateway.grpc_url()).expect("an address");
    OpsClient::new(remote(peers, "orderly.ops.v1.Ops", TOKEN))
}

/// The partitions of a service by their holders; holders whose lease has lapsed are left out.
async fn holders(ops: &mut OpsClient<Connection>, service: &str) -> Result<Vec<usize>> {
    let asked = ListRequest { service: service.to_owned(), first: 100 };
    let leases = ops.list_leases(operator().request(asked)?).await?.into_inner().leases;
    let now = platform::clock::Clock::system().now();
    let held: Vec<&str> = leases
        .iter()
        .filter(|lease| lease.name.starts_with("partition-") && lease.expires_at.is_none_or(|at| at > now))
        .map(|lease| lease.holder.as_str())
        .collect();
    let names: BTreeSet<&str> = held.iter().copied().collect();
    let mut counts: Vec<usize> =
        names.iter().map(|name| held.iter().filter(|holder| holder == &name).count()).collect();
    counts.sort_unstable();
    Ok(counts)
}

async fn until_shared(ops: &mut OpsClient<Connection>, service: &str, wanted: &[usize]) {
    let mut last = Vec::new();
    let shared = until("the partitions are shared", PATIENCE, async || {
        // A process that has just been killed may be asked once more.
        last = holders(ops, service).await.unwrap_or_default();
        Ok((last == wanted).then_some(()))
    })
    .await;
    shared.unwrap_or_else(|error| panic!("{service}: {last:?}, not {wanted:?}: {error}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_shared_taken_over_from_the_dead_and_given_back() {
    let (mut cluster, _redis, url) = start([1, 3, 2, 1, 2, 1, 1], &TIMES).await;
    let mut ops = ops(cluster.of("gateway").next().expect("there is one"));
    until_shared(&mut ops, "order", &[2, 3, 3]).await;
    until_shared(&mut ops, "payment", &[4, 4]).await;
    until_shared(&mut ops, "query", &[4, 4]).await;
    until_shared(&mut ops, "inventory", &[PARTITIONS]).await;
    until_on_the_shelf(&cluster.client(0), "SOAP-OLIVE-BAR").await;
    let ada = cluster.client(0).log_in(CUSTOMER, PASSWORD).await.expect("logs in");
    buy(&ada, 20).await;

    cluster.node("order", 1).kill9().expect("it is killed");
    buy(&ada, 20).await;
    until_shared(&mut ops, "order", &[4, 4]).await;
    cluster.node("order", 1).restart().await.expect("it comes back");
    until_shared(&mut ops, "order", &[2, 3, 3]).await;
    let status = cluster.node("order", 0).terminate().await.expect("it ends");
    assert_eq!(status.code(), Some(0));
    until_shared(&mut ops, "order", &[4, 4]).await;
    buy(&ada, 20).await;
    for service in ["order", "payment", "bank", "inventory", "notification", "query"] {
        let asked = InspectRequest { service: service.to_owned() };
        let seen = ops.inspect(operator().request(asked).expect("a request")).await.expect("answers").into_inner();
        assert_eq!(seen.dead_letters, 0, "{service}");
    }
    green(&url).await;
}

/// Waits for a demo product: the gateway makes them once it serves. What is refused before that stays
/// refused under its key.
async fn until_on_the_shelf(visitor: &Client, sku: &str) {
    let stocked = until("the demo product", PATIENCE, async || {
        let asked = visitor.query("query($sku: ID!) { product(sku: $sku) { available } }", json!({ "sku": sku })).await;
        let available = asked.ok().and_then(|seen| seen["product"]["available"].as_i64());
        Ok((available > Some(0)).then_some(()))
    });
    stocked.await.expect("the shelves are filled");
}

/// Buys so many times at once, and waits until all of it is confirmed.
async fn buy(ada: &Client, orders: usize) {
    let each = (0..orders).map(|_| async {
        let key = Uuid::new_v4().to_string();
        // While a dead process holds partitions by lease, the read model may be too far behind for the
        // answer's timeline (STALE); the order is taken once.
        let mut put_off = None;
        let order = until("an answer", PATIENCE, async || {
            let order = ada.place_order(&[("SOAP-OLIVE-BAR", 1)], Some(APPROVED), Some(&key)).await;
            Ok(order.map_err(|error| put_off = Some(error)).ok())
        });
        let order = order.await.unwrap_or_else(|error| panic!("{key}: {error}: {put_off:?}"));
        let id = order["id"].as_str().expect("an id").to_owned();
        ada.await_any_status(&id, &["CONFIRMED", "SHIPPED", "DELIVERED"], PATIENCE).await.expect("is paid");
    });
    join_all(each).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_in_one_process_is_seen_live_behind_every_gateway() {
    let (cluster, _redis, url) = start([1, 2, 1, 1, 2, 1, 2], &["--payment-window", "10m"]).await;
    let (here, there) = (cluster.client(0), cluster.client(1));
    until_on_the_shelf(&here, "MUG-ENAMEL-BLUE").await;
    // One log-in is good at both.
    let ada = here.log_in(CUSTOMER, PASSWORD).await.expect("logs in");
    let elsewhere = ada.at(&there);
    let order = elsewhere.place_order(&[("MUG-ENAMEL-BLUE", 1)], None, Some("live")).await.expect("is taken");
    let id = order["id"].as_str().expect("an id").to_owned();
    elsewhere.await_status(&id, "AWAITING_PAYMENT", PATIENCE).await.expect("its stock is reserved");

    let gateway = cluster.of("gateway").next().expect("there is one");
    let mut socket = Socket::connect(&gateway.http_url(), ada.token().expect("logged in")).await.expect("connects");
    socket.subscribe("w", WATCH, json!({ "id": id })).await.expect("is sent");
    let first = socket.hear().await.expect("the order as it is");
    assert_eq!(first["payload"]["data"]["orderUpdated"]["status"], "AWAITING_PAYMENT", "{first}");
    let journey = Journey::at(&gateway.http_url()).await;
    journey.log_in().await;
    journey.visit(&format!("/orders/{id}")).await;
    journey.until_shows(BADGE, "Awaiting payment").await;
    journey.mark().await;

    let paid = "mutation($id: ID!) { payOrder(orderId: $id, card: \"4242 4242 4242 4242\") { status } }";
    elsewhere.query(paid, json!({ "id": id })).await.expect("the card is taken");
    let mut version = first["payload"]["data"]["orderUpdated"]["version"].as_i64().expect("a number");
    loop {
        let news = socket.hear().await.expect("news")["payload"]["data"]["orderUpdated"].take();
        let next = news["version"].as_i64().expect("a number");
        assert!(next > version, "only what is newer: {next} after {version}");
        version = next;
        if news["status"] == "CONFIRMED" {
            break;
        }
    }
    journey.until_shows(BADGE, "Confirmed").await;
    journey.assert_not_reloaded().await;
    journey.end().await;
    green(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_are_replaced_one_by_one_and_no_customer_notices() {
    let mut random = StdRng::seed_from_u64(seed());
    let (mut cluster, _redis, url) = start([2, 2, 2, 1, 2, 1, 1], &TIMES).await;
    let door = cluster.client(0);
    fill_the_shelf(&door).await;
    let (book, open) = (Book::default(), Arc::new(AtomicBool::new(true)));
    let mut buyers = JoinSet::new();
    for buyer in 0..4 {
        let (door, book, open, mut random) = (door.clone(), book.clone(), open.clone(), StdRng::from_rng(&mut random));
        buyers.spawn(async move {
            // One try for each question: whoever is not answered, or put off, stops.
            let ada = Customer::log_in(&[door], 1).await.expect("logs in");
            ada.buy(&book, &format!("b{buyer}"), &mut random, || open.load(Ordering::Relaxed)).await;
            open.load(Ordering::Relaxed)
        });
    }
    for (role, count) in [("order", 2), ("inventory", 2), ("payment", 2), ("query", 2), ("notification", 1)] {
        for number in 0..count {
            let node = cluster.node(role, number);
            let status = node.terminate().await.expect("it ends");
            assert_eq!(status.code(), Some(0), "{}", node.log_tail());
            node.restart().await.expect("it comes back");
        }
    }
    open.store(false, Ordering::Relaxed);
    while let Some(put_off) = buyers.join_next().await {
        assert!(!put_off.expect("no buyer panics"), "a customer was not answered while a process was replaced");
    }
    come_to_an_end(&Customer::log_in(&[door], 1).await.expect("logs in"), &book).await;
    green(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_calls_a_service_without_the_token() {
    let (cluster, _redis, _url) = start([1, 1, 1, 1, 1, 1, 1], &[]).await;
    for node in &cluster.nodes {
        let channel: Channel =
            Endpoint::from_shared(node.grpc_url()).expect("an address").connect().await.expect("the port is open");
        let inspect = InspectRequest { service: "order".to_owned() };
        for token in [None, Some("Bearer another-token-of-16"), Some("Bearer ")] {
            let mut request = operator().request(inspect.clone()).expect("a request");
            if let Some(token) = token {
                request.metadata_mut().insert("authorization", token.parse().expect("a header"));
            }
            let refused = OpsClient::new(channel.clone()).inspect(request).await.expect_err("is refused");
            // The auditor has no service to look into, and says so only to who may ask.
            assert_eq!(refused.code(), Code::Unauthenticated, "{} {token:?}: {refused}", node.role);
        }
    }
    let order = cluster.of("order").next().expect("there is one");
    let channel = Endpoint::from_shared(order.grpc_url()).expect("an address").connect_lazy();
    let pay = PayOrderRequest::default();
    let refused = OrdersClient::new(channel.clone()).pay_order(pay.clone()).await.expect_err("is refused");
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    // With the token it is the order service that answers.
    let mut request: Request<PayOrderRequest> = operator().request(pay).expect("a request");
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().expect("a header"));
    let answer = OrdersClient::new(channel).pay_order(request).await.expect_err("there is no such order");
    assert_ne!(answer.code(), Code::Unauthenticated, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_waits_for_its_servers_when_it_starts_and_not_when_it_ends() {
    let postgres = servers::postgres().await.expect("Postgres starts");
    let redis = RedisServer::start(Persistence::None).await.expect("Redis starts");
    let url = topologies::databases(postgres).await.expect("databases");
    let (network, url) = Proxy::before(&url).await.expect("a proxy");
    let mut cluster = Cluster::start(&Plan::new(&url, &redis.url(), [0, 0, 1, 0, 0, 0, 0])).await.expect("it starts");
    let payment = cluster.node("payment", 0);

    // It would wait for each of its databases, one after the other, for half a minute.
    network.swallow(true);
    let status = payment.terminate().await.expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", payment.log_tail());
    let said = payment.stderr();
    assert!(said.contains("did not end in time") || said.contains("is not waited for"), "{}", payment.log_tail());
    network.swallow(false);

    redis.kill9().expect("it is killed");
    payment.spawn().expect("it is started");
    let waiting = until("it waits for Redis", PATIENCE, async || {
        Ok(payment.stderr().contains("the broker is not there yet").then_some(()))
    });
    waiting.await.unwrap_or_else(|error| panic!("{error}: {}", payment.log_tail()));
    redis.restart().await.expect("Redis starts");
    payment.until_ready().await.expect("it serves");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_away_is_named_to_operators_and_the_others_are_shown() {
    let (mut cluster, _redis, _url) = start([1, 1, 1, 1, 1, 1, 1], &[]).await;
    let to = cluster.of("gateway").next().expect("there is one").grpc_url();
    let asked = async |args: &[&str]| orderly(None, [args, &["--to", &to, "--grpc-token", TOKEN]].concat()).await;
    let whole = asked(&["ops", "inspect"]).await;
    assert!(whole.code == 0 && whole.out.contains("bank") && whole.out.contains("payment"), "{whole:?}");
    cluster.node("payment", 0).kill9().expect("it is killed");
    let seen = asked(&["ops", "inspect"]).await;
    assert!(seen.code == 1 && !seen.out.contains("payment"), "{seen:?}");
    for service in ["order", "inventory", "notification", "query"] {
        assert!(seen.out.contains(service), "{service}: {seen:?}");
    }
    let letters = asked(&["dead-letters", "list"]).await;
    assert!(letters.code == 1 && letters.out.is_empty(), "none were found, and not all were asked: {letters:?}");
    for ended in [seen, letters] {
        assert!(
            ended.err.contains("bank does not answer") && ended.err.contains("payment does not answer"),
            "{ended:?}"
        );
    }
}
