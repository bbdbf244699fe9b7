//! The operators' commands, as a person and as a script would use them.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::{APPROVED, CUSTOMER, PASSWORD, PATIENCE, SKU};
use crate::command_line::{Ended, orderly};
use crate::servers::until;
use crate::shop::{Client, Shop, ShopOptions};

/// A shop with its customer and its operator.
struct Scene {
    shop: Shop,
    ada: Client,
    /// What tells a command where the shop is.
    way: Vec<String>,
}

impl Scene {
    async fn open() -> Self {
        let shop = Shop::start(ShopOptions::default()).await.expect("the shop starts");
        let ada = shop.client().log_in(CUSTOMER, PASSWORD).await.expect("logs in");
        let to = shop.grpc_url().await.expect("the shop says its gRPC port");
        let folder = shop.data_dir().display().to_string();
        Self { shop, ada, way: vec!["--to".into(), to, "--data-dir".into(), folder] }
    }

    async fn run(&self, args: &[&str]) -> Ended {
        orderly(None, args.iter().map(|arg| (*arg).to_owned()).chain(self.way.clone())).await
    }

    /// Runs a command that must succeed; what it printed.
    async fn done(&self, args: &[&str]) -> String {
        let ended = self.run(args).await;
        assert_eq!(ended.code, 0, "{args:?}: {ended:?}");
        ended.out
    }

    /// The lines of JSON that a command printed.
    async fn json(&self, args: &[&str]) -> Vec<Value> {
        let printed = self.done(&[args, &["--json"]].concat()).await;
        printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    async fn order(&self) -> String {
        let order = self.ada.place_order(&[(SKU, 1)], Some(APPROVED), None).await.expect("is taken");
        order["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until the message of this order is parked.
    async fn until_parked(&self, id: &str) -> Value {
        until("it is parked", PATIENCE, async || {
            let parked = self.json(&["dead-letters", "list", "--parked", "--service", "payment"]).await;
            Ok(parked.into_iter().find(|parked| parked["subject"] == id))
        })
        .await
        .expect("it is parked")
    }
}

const CAPTURE: &str = "orderly.payment.v1.CapturePayment";
const FAULT: [&str; 5] = ["ops", "fault", "payment", "message-fails", "--type"];

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_message_is_listed_shown_edited_and_redriven() {
    let scene = Scene::open().await;
    assert_eq!(scene.done(&["dead-letters", "list"]).await.trim(), "no dead letters");
    let set = scene.done(&[&FAULT[..], &[CAPTURE, "--times", "1000"]].concat()).await;
    assert!(set.contains("message-fails") && set.contains("1000"), "{set}");
    let id = scene.order().await;
    let parked = scene.until_parked(&id).await;
    assert_eq!(
        (&parked["service"], &parked["state"], &parked["sequence"]),
        (&json!("payment"), &json!("RETRY"), &json!(2))
    );
    assert_eq!(parked["envelope"]["type"], CAPTURE);
    assert!(parked["errors"][0].as_str().is_some_and(|error| error.contains("fault injection")), "{parked}");
    let table = scene.done(&["dead-letters", "list", "--parked"]).await;
    assert!(table.contains("SUBJECT") && table.contains(&id) && table.contains("CapturePayment"), "{table}");
    let shown = scene.done(&["dead-letters", "show", &id]).await;
    assert!(shown.contains("/order/payment.commands") && shown.contains("fault injection"), "{shown}");
    let faults = scene.json(&["ops", "faults", "payment"]).await;
    assert!((1..1_000).contains(&faults[0]["times"].as_i64().expect("a number")), "{faults:?}");
    let inspection = scene.json(&["ops", "inspect", "payment"]).await;
    assert_eq!(inspection[0]["parkedRetrying"], 1, "{inspection:?}");
    assert!(scene.done(&["ops", "inspect"]).await.contains("notification"));

    // Its own text, given back through a file; while it fails it stays where it is.
    let folder = tempfile::tempdir().expect("a folder");
    let (file, wrong) = (folder.path().join("envelope.json"), folder.path().join("wrong.json"));
    let envelope = scene.done(&["dead-letters", "show", &id, "--envelope"]).await;
    std::fs::write(&file, &envelope).expect("is written");
    std::fs::write(&wrong, envelope.replace(&id, "another")).expect("is written");
    let from = |path: &std::path::Path| path.display().to_string();
    let refused = scene.run(&["dead-letters", "edit", &id, "--from", &from(&wrong)]).await;
    refused.assert_refused(1, &["must stay"]);
    scene.done(&["dead-letters", "edit", &id, "--from", &from(&file)]).await;

    let cleared = scene.done(&[&FAULT[..], &[CAPTURE, "--clear"]].concat()).await;
    assert_eq!(cleared.trim(), "no faults");
    // Its next try, with the fault gone, may be faster.
    let redriven = scene.run(&["dead-letters", "redrive", &id]).await;
    if redriven.code != 0 {
        redriven.assert_refused(1, &["is parked"]);
    }
    scene.ada.await_status(&id, "CONFIRMED", PATIENCE).await.expect("the order goes on");
    assert_eq!(scene.done(&["dead-letters", "list", "--parked"]).await.trim(), "nothing is parked");
    assert_eq!(scene.done(&["dead-letters", "redrive", "--all"]).await.trim(), "0 dead letters are tried again now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_discarded_is_not_tried_again() {
    let scene = Scene::open().await;
    let authorise = "orderly.payment.v1.AuthorisePayment";
    scene.done(&[&FAULT[..], &[authorise, "--times", "1000"]].concat()).await;
    let id = scene.order().await;
    scene.until_parked(&id).await;
    let discarded = scene.done(&["dead-letters", "discard", &id]).await;
    assert!(discarded.contains(&id) && discarded.contains("given up"), "{discarded}");
    scene.done(&[&FAULT[..], &[authorise, "--clear"]].concat()).await;
    // The customer's next card is another message of the line, which goes on.
    let pay = "mutation($id: ID!) { payOrder(orderId: $id, card: \"4242 4242 4242 4242\") { id } }";
    let refused = scene.ada.query(pay, json!({ "id": id })).await.expect_err("one attempt at a time");
    assert!(refused.has_code("CONFLICT"), "{refused}");
    assert_eq!(scene.done(&["dead-letters", "list", "--parked"]).await.trim(), "nothing is parked");
    let again = scene.run(&["dead-letters", "discard", &id]).await;
    again.assert_refused(1, &["no such message is parked"]);
}

/// A command that goes on printing, until it is dropped.
struct Tail {
    lines: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Tail {
    fn start(scene: &Scene, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_orderly"))
            .args(["events", "tail"])
            .args(args)
            .args(&scene.way)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it can be run");
        let out = child.stdout.take().expect("is piped");
        Self { lines: BufReader::new(out).lines(), child }
    }

    /// The next line in which this stands.
    async fn until_said(&mut self, words: &str) -> String {
        let said = async {
            loop {
                let line = self.lines.next_line().await.expect("is readable").expect("it goes on");
                if line.contains(words) {
                    return line;
                }
            }
        };
        timeout(PATIENCE, said).await.expect("it is said")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tail_prints_each_message_as_it_is_published_until_the_shop_stops() {
    let mut scene = Scene::open().await;
    let mut people = Tail::start(&scene, &[]);
    let mut programs = Tail::start(&scene, &["--json", "--stream", "orderly.payment.commands"]);
    // Whoever begins to tail sees what comes after: orders until both have begun.
    let mut first = (false, false);
    while first != (true, true) {
        scene.order().await;
        let moment = std::time::Duration::from_millis(200);
        first.0 |= timeout(moment, people.lines.next_line()).await.is_ok();
        first.1 |= timeout(moment, programs.lines.next_line()).await.is_ok();
    }
    let id = scene.order().await;
    let line = people.until_said("OrderConfirmed").await;
    assert!(line.contains("orderly.order"), "{line}");
    assert!(people.until_said(&id).await.contains("  "), "in columns");
    let capture = programs.until_said(&id).await;
    let envelope: Value = serde_json::from_str(&capture).expect("an envelope");
    assert_eq!((&envelope["subject"], &envelope["source"]), (&json!(id), &json!("/order/payment.commands")));
    scene.ada.await_status(&id, "CONFIRMED", PATIENCE).await.expect("the order goes on");
    assert_eq!(scene.shop.terminate().await.expect("it ends").code(), Some(0));
    // What was still to be read is read, or the pipe would hold it up.
    for mut tail in [people, programs] {
        while timeout(PATIENCE, tail.lines.next_line()).await.expect("in time").expect("is readable").is_some() {}
        assert_eq!(timeout(PATIENCE, tail.child.wait()).await.expect("it ends").expect("has a status").code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn read_models_are_listed_and_folded_anew() {
    let scene = Scene::open().await;
    let id = scene.order().await;
    scene.ada.await_status(&id, "CONFIRMED", PATIENCE).await.expect("the order goes on");
    let models = scene.json(&["read-model", "list"]).await;
    let names: Vec<_> = models.iter().filter_map(|model| model["name"].as_str()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for name in names {
        let told = scene.json(&["read-model", "rebuild", name]).await;
        let done = told.last().expect("its end");
        assert_eq!((&done["name"], &done["differences"]), (&json!(name), &json!(0)), "{told:?}");
        assert!(done["events"].as_i64().is_some_and(|events| events > 0), "{done}");
    }
    let told = scene.done(&["read-model", "rebuild", "orders"]).await;
    assert!(told.contains("a second") && told.contains("equal to it"), "{told}");
    assert!(scene.done(&["read-model", "list"]).await.contains("GENERATION"));
    scene.run(&["read-model", "rebuild", "shoes"]).await.assert_refused(1, &["read model"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_cannot_reach_the_shop_says_what_to_do() {
    let closed = format!("http://127.0.0.1:{}", crate::servers::free_port().expect("a port"));
    let scene = Scene::open().await;
    let folder = scene.shop.data_dir().display().to_string();
    let to = scene.way[1].clone();
    for command in [&["ops", "inspect"][..], &["dead-letters", "list"], &["events", "tail"], &["read-model", "list"]] {
        let with = async |more: &[&str]| orderly(None, [command, more].concat()).await;
        with(&["--to", &closed, "--data-dir", &folder])
            .await
            .assert_refused(1, &["is it running?", "orderly up", "--to"]);
        with(&["--to", "ftp://shop", "--data-dir", &folder]).await.assert_refused(1, &["--to", "http://"]);
        with(&["--to", &to]).await.assert_refused(1, &["grpc-token", "--data-dir"]);
        with(&["--to", &to, "--grpc-token", "not-the-token-of-this-shop"]).await.assert_refused(1, &["--grpc-token"]);
        let http = scene.shop.base_url();
        with(&["--to", http, "--data-dir", &folder]).await.assert_refused(1, &["no gRPC port", "--to"]);
    }
    scene.run(&["ops", "inspect", "shipping"]).await.assert_refused(1, &["shipping", "payment"]);
    scene.run(&["dead-letters", "list", "--service", "shipping"]).await.assert_refused(1, &["shipping", "payment"]);
    scene.run(&["events", "tail", "--stream", "orderly.ordre"]).await.assert_refused(1, &["orderly.order"]);
    for wrong in [
        &["ops", "fault", "payment", "message-fails"][..],
        &["ops", "fault", "payment", "explodes"],
        &["ops", "fault", "payment", "message-fails", "--type", "x", "--times", "0"],
        &["dead-letters", "redrive"],
        &["dead-letters", "list", "--first", "1000"],
        &["read-model", "rebuild"],
    ] {
        scene.run(wrong).await.assert_refused(2, &[]);
    }
    let missing = scene.run(&["dead-letters", "edit", "x", "--from", "there-is-no-such-file"]).await;
    missing.assert_refused(1, &["there-is-no-such-file"]);
    scene.run(&["dead-letters", "edit", "x"]).await.assert_refused(1, &["empty"]);
}
