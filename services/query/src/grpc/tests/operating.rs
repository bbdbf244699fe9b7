//! What operators are for: sales, where the read models stand, rebuilds.

use contracts::order::OrderConfirmed;
use contracts::query::RebuildProgress;
use platform::bus::{Bus, Entry};
use tokio_stream::StreamExt as _;

use super::*;
use crate::engines::{Engine, on_both_engines};
use crate::rebuild::Step;
use crate::store::reads::standings;

on_both_engines! {
    a_rebuild_of_another_process_is_left_alone_where_there_can_be_one
    orders_flow_on_while_every_read_model_is_rebuilt
}

async fn read_models(server: &QueryServer) -> ListReadModelsReply {
    server.list_read_models(operator(ListReadModelsRequest {})).await.expect("lists").into_inner()
}

/// Asks until it is so; the test fails if that takes too long.
async fn until<T>(mut asks: impl AsyncFnMut() -> Option<T>) -> T {
    let patience = async {
        loop {
            if let Some(answer) = asks().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), patience).await.expect("in time")
}

/// Publishes as an outbox's relay does.
async fn publish(bus: &dyn Bus, messages: &[Envelope]) {
    let entry = |message: &Envelope| Entry {
        stream: format!("orderly.{}", message.source.trim_start_matches('/')).into(),
        partition: 0,
        body: serde_json::to_string(message).expect("JSON").into(),
    };
    let known = bus.incarnation().await.expect("is alive");
    bus.publish(&known, &messages.iter().map(entry).collect::<Vec<_>>()).await.expect("publishes");
}

/// Rebuilds to the end: what was told on the way, and in the end.
async fn rebuild(server: &QueryServer, name: &str) -> Result<(Vec<RebuildProgress>, RebuildProgress), Status> {
    let request = RebuildReadModelRequest { name: name.to_owned() };
    let mut told = server.rebuild_read_model(operator(request)).await?.into_inner();
    let mut progress = Vec::new();
    let listening = async {
        while let Some(message) = told.next().await {
            progress.push(message?);
        }
        Ok::<_, Status>(())
    };
    tokio::time::timeout(Duration::from_secs(60), listening).await.expect("in time")?;
    let last = progress.pop().expect("a last word");
    Ok((progress, last))
}

#[tokio::test]
async fn what_is_for_operators_is_for_nobody_else() {
    let (_folder, db) = store().await;
    let Served { server, .. } = &serve(&db).await;
    let sales = ListSalesRequest { from: None, to: None, first: 5 };
    assert_eq!(refusal(server.list_sales(ask("ada", sales)).await), Grpc::PermissionDenied);
    assert_eq!(refusal(server.list_sales(Request::new(sales)).await), Grpc::Unauthenticated);
    assert_eq!(refusal(server.list_read_models(ask("ada", ListReadModelsRequest {})).await), Grpc::PermissionDenied);
    let rebuild = RebuildReadModelRequest { name: "orders".into() };
    assert_eq!(refusal(server.rebuild_read_model(ask("ada", rebuild.clone())).await), Grpc::PermissionDenied);
    assert_eq!(refusal(server.rebuild_read_model(Request::new(rebuild)).await), Grpc::Unauthenticated);
    let unknown = RebuildReadModelRequest { name: "customers".into() };
    assert_eq!(refusal(server.rebuild_read_model(operator(unknown)).await), Grpc::NotFound);
}

#[tokio::test]
async fn sales_are_listed_newest_first_within_their_bounds() {
    let (_folder, db) = store().await;
    let minute = crate::projections::sales::minute_of(NOW);
    for n in 0..4_i64 {
        let id = format!("o-{n}");
        let mut confirmed = envelope("/order", &id, 2, &id, &OrderConfirmed { ship_at: 1 });
        confirmed.time = NOW + n * 60_000;
        fold(&db, &[placed_for(&id, "ada"), confirmed]).await;
    }
    let Served { server, .. } = &serve(&db).await;
    let listed = async |from: Option<i64>, to: Option<i64>, first: i32| -> Vec<i64> {
        let reply = server.list_sales(operator(ListSalesRequest { from, to, first })).await.expect("lists");
        reply.into_inner().minutes.into_iter().map(|window| (window.minute - minute) / 60_000).collect()
    };
    assert_eq!(listed(None, None, 9).await, [3, 2, 1, 0]);
    assert_eq!(listed(None, None, 2).await, [3, 2]);
    assert_eq!(listed(Some(minute + 60_000), Some(minute + 180_000), 9).await, [2, 1]);
    assert_eq!(listed(Some(i64::MIN), Some(i64::MIN), 9).await, [0; 0]);
    for first in [0, -1, 1_441] {
        let bad = ListSalesRequest { from: None, to: None, first };
        assert_eq!(refusal(server.list_sales(operator(bad)).await), Grpc::InvalidArgument);
    }
}

#[tokio::test]
async fn the_lag_is_what_the_shop_has_said_and_the_log_has_not() {
    let (_folder, db) = store().await;
    let Served { server, bus, running, .. } = serve(&db).await;
    publish(&*bus, &[placed_for("o-1", "ada"), envelope("/order", "o-1", 2, "o-1", &OrderAwaitingPayment {})]).await;
    let caught_up =
        until(async || Some(read_models(&server).await).filter(|reply| reply.head == 2 && reply.unheard == 0));
    let reply = caught_up.await;
    let stand: Vec<_> =
        reply.models.iter().map(|model| (model.name.as_str(), model.position, model.lag, model.folded_at)).collect();
    let at_head = |name| (name, 2, 0, NOW);
    assert_eq!(stand, [at_head("notifications"), at_head("orders"), at_head("products"), at_head("sales")]);
    // An hour of maintenance: the shop goes on, and nobody hears it.
    running.abort();
    publish(&*bus, &[placed_for("o-2", "ada"), placed_for("o-3", "ada"), placed_for("o-4", "ada")]).await;
    let reply = read_models(&server).await;
    assert_eq!((reply.head, reply.unheard), (2, 3));
    assert!(reply.models.iter().all(|model| model.lag == 3), "{reply:?}");
}

#[tokio::test]
async fn what_could_not_be_folded_is_behind_too() {
    let (_folder, db) = store().await;
    let Served { server, bus, .. } = &serve(&db).await;
    let mut unreadable = placed_for("o-1", "ada");
    unreadable.data = serde_json::value::RawValue::from_string("{}".to_owned()).expect("JSON");
    publish(&**bus, &[unreadable, placed_for("o-2", "ada")]).await;
    let parked = until(async || Some(read_models(server).await).filter(|reply| reply.head == 1 && reply.unheard == 1));
    assert!(parked.await.models.iter().all(|model| (model.position, model.lag) == (1, 1)));
}

#[tokio::test]
async fn a_rebuild_tells_how_far_it_is_and_what_was_wrong() {
    let (_folder, db) = store().await;
    let messages: Vec<_> = (0..12_000).map(|n| placed_for(&format!("o-{n}"), "ada")).collect();
    for some in messages.chunks(4_000) {
        fold(&db, some).await;
    }
    let Served { server, .. } = &serve(&db).await;
    let mut tx = db.begin().await.expect("begins");
    tx.execute("UPDATE orders SET total = 1 WHERE id = 'o-7' AND $1 <> ''", &[0; 0]).await.expect("spoils");
    tx.commit().await.expect("commits");
    let (told, last) = rebuild(server, "orders").await.expect("rebuilds");
    let steps: Vec<_> = told.iter().map(|step| (step.generation, step.folded, step.events, step.done)).collect();
    assert_eq!(steps, [(2, 0, 12_000, false), (2, 5_000, 12_000, false), (2, 10_000, 12_000, false)]);
    assert_eq!((last.name.as_str(), last.generation, last.folded, last.events), ("orders", 2, 12_000, 12_000));
    assert_eq!((last.done, last.rows, last.differences), (true, 12_000, 1));
    let models = read_models(server).await.models;
    let orders = models.iter().find(|model| model.name == "orders").expect("stands");
    assert_eq!((orders.generation, orders.position, orders.rebuilding_at), (2, 12_000, None));
    let (_, again) = rebuild(server, "orders").await.expect("and again");
    assert_eq!((again.generation, again.differences), (3, 0));
}

#[tokio::test]
async fn a_second_rebuild_of_one_read_model_is_refused_and_another_one_is_not() {
    let (_folder, db) = store().await;
    fold(&db, &specimens::one_of_each()).await;
    let Served { server, .. } = &serve(&db).await;
    // Both are under way before either has come to its end.
    let (one, two) = tokio::join!(rebuild(server, "orders"), rebuild(server, "orders"));
    assert_eq!(two.expect_err("refused").code(), Code::Conflict.grpc());
    assert!(one.expect("rebuilds").1.done);
    let (one, two) = tokio::join!(rebuild(server, "orders"), rebuild(server, "sales"));
    assert!(one.expect("rebuilds").1.done && two.expect("rebuilds").1.done);
}

/// On Postgres another process may be at work; a file has one process.
async fn a_rebuild_of_another_process_is_left_alone_where_there_can_be_one(engine: Engine) {
    let (_folder, db) = engine.store().await;
    fold(&db, &specimens::one_of_each()).await;
    let theirs = Step::Begin { model: Model::Orders, id: "theirs".into(), alone: false };
    specimens::step(&db, theirs).await.expect("begins");
    let Served { server, .. } = &serve(&db).await;
    let rebuilding = read_models(server).await.models.into_iter().filter(|model| model.rebuilding_at == Some(NOW));
    assert_eq!(rebuilding.map(|model| model.name).collect::<Vec<_>>(), ["orders"]);
    let ours = rebuild(server, "orders").await;
    match engine {
        Engine::Sqlite => assert!(ours.expect("that process has ended").1.done),
        Engine::Postgres => assert_eq!(ours.expect_err("refused").code(), Code::Conflict.grpc()),
    }
    assert!(standings::outcome(&db, Model::Orders, "theirs").await.is_err());
}

async fn orders_flow_on_while_every_read_model_is_rebuilt(engine: Engine) {
    let (_folder, db) = engine.store().await;
    let Served { server, bus, .. } = &serve(&db).await;
    let before: Vec<_> = (0..6_000).map(|n| placed_for(&format!("o-{n}"), "ada")).collect();
    for some in before.chunks(3_000) {
        fold(&db, some).await;
    }
    let customers = async {
        for n in 0..60 {
            let id = format!("n-{n}");
            let sold = envelope("/order", &id, 2, &id, &OrderConfirmed { ship_at: 1 });
            let goods = envelope("/inventory", &id, 1, &id, &product(&id, "A mug"));
            publish(&**bus, &[placed_for(&id, "bob"), sold, goods]).await;
            tokio::task::yield_now().await;
        }
    };
    let operators = async {
        for model in Model::ALL {
            let (_, last) = rebuild(server, model.as_str()).await.expect("rebuilds");
            assert_eq!(last.differences, 0, "{model:?}");
        }
    };
    tokio::join!(customers, operators);
    until(async || (read_models(server).await.head == 6_180).then_some(())).await;
    let mut tx = db.snapshot().await.expect("a snapshot");
    let findings = crate::audit::audit(&mut tx).await.expect("audits");
    assert!(findings.iter().all(|finding| finding.breaches.is_empty()), "{findings:?}");
}
