//! Rebuilds, step by step: beside what is folded meanwhile, over broken rows, and
//! after one that was left half way.

use contracts::order::{OrderAwaitingPayment, OrderConfirmed, OrderPaid, OrderPaymentRefunded, RefundCause};
use platform::error::Code;
use platform::message::{Envelope, Payload};
use platform::store::Db;

use super::auditing::breaches;
use super::spoil;
use crate::Input;
use crate::engines::{Engine, on_both_engines};
use crate::read_model::Model;
use crate::rebuild::{LAPSE, Progress, Step};
use crate::specimens::{self, NOW, batch, envelope, fold, heard, placed, pounds, refund_requested, step};
use crate::store::reads::standings::{self, Outcome};

on_both_engines! {
    every_read_model_rebuilt_is_the_one_that_was_there
    an_empty_log_makes_an_empty_read_model
    a_rebuild_among_what_happens_meanwhile_comes_to_the_same
    a_broken_row_is_one_difference_and_is_mended
    sales_are_rebuilt_from_the_log_and_not_from_broken_orders
    sales_are_rebuilt_without_what_was_given_back_before_it_was_sold
    rows_of_several_past_generations_are_all_cleared_away
    readers_see_the_live_generation_until_the_switch
    one_that_was_left_half_way_changes_nothing_and_the_next_one_clears_it_away
    where_one_process_is_alone_it_need_not_wait_for_the_one_before
    a_step_that_comes_twice_counts_once
    positions_are_in_the_order_of_the_commits
}

fn order<T: Payload>(id: &str, sequence: i64, payload: &T) -> Envelope {
    envelope("/order", id, sequence, id, payload)
}

/// A life of an order, each event in its own batch with those of others.
fn life(id: &str) -> Vec<Envelope> {
    vec![
        order(id, 1, &placed("ada")),
        order(id, 2, &OrderAwaitingPayment {}),
        order(id, 3, &OrderPaid { attempt: 1, authorisation_id: "auth_1".into() }),
        order(id, 4, &OrderConfirmed { ship_at: NOW + 60_000 }),
        order(id, 5, &refund_requested(1, RefundCause::Cancelled, 2)),
        order(id, 6, &OrderPaymentRefunded { refund: 1, amount: pounds(2_500) }),
    ]
}

fn next(model: Model, id: &str, progress: Progress) -> Step {
    Step::Fold { model, id: id.to_owned(), after: progress.position, most: 3 }
}

async fn begin(db: &Db, model: Model, id: &str) -> Progress {
    step(db, Step::Begin { model, id: id.to_owned(), alone: false }).await.expect("begins")
}

/// Rebuilds with nothing else going on, and says what it came to.
async fn rebuild(db: &Db, model: Model, id: &str) -> Outcome {
    let mut progress = begin(db, model, id).await;
    while !progress.done {
        progress = step(db, next(model, id, progress)).await.expect("folds");
    }
    while !step(db, Step::Clear { model, most: 2 }).await.expect("clears").done {}
    standings::outcome(db, model, id).await.expect("an outcome")
}

/// The generations that have rows, and the live one.
async fn generations(db: &Db, model: Model) -> (Vec<i64>, i64) {
    #[derive(serde::Deserialize)]
    struct Generation {
        generation: i64,
    }
    let sql = format!("SELECT DISTINCT generation FROM {} WHERE $1 <> '' ORDER BY generation", model.as_str());
    let rows: Vec<Generation> = db.read(sql, &[0; 0]).await.expect("reads");
    let models = standings::read_models(db).await.expect("reads");
    let live = models.iter().find(|row| row.name == model.as_str()).expect("stands").generation;
    (rows.iter().map(|row| row.generation).collect(), live)
}

async fn every_read_model_rebuilt_is_the_one_that_was_there(engine: Engine) {
    for model in Model::ALL {
        let (_folder, db) = engine.store().await;
        fold(&db, &specimens::one_of_each()).await;
        fold(&db, &[life("o-2"), life("o-3")].concat()).await;
        let rows = if model == Model::Orders { 3 } else { 1 };
        assert_eq!(rebuild(&db, model, "r-1").await, Outcome { rows, differences: 0 }, "{model:?}");
        assert_eq!(generations(&db, model).await, (vec![2], 2), "{model:?}");
        assert_eq!(breaches(&db).await, [], "{model:?}");
        fold(&db, &life("o-4")).await;
        assert_eq!(breaches(&db).await, [], "and it is folded on, {model:?}");
    }
}

async fn an_empty_log_makes_an_empty_read_model(engine: Engine) {
    for model in Model::ALL {
        let (_folder, db) = engine.store().await;
        assert_eq!(rebuild(&db, model, "r-1").await, Outcome { rows: 0, differences: 0 });
    }
}

/// In each round a batch of what happens now, with the rebuild's step before it,
/// behind it, or between.
async fn a_rebuild_among_what_happens_meanwhile_comes_to_the_same(engine: Engine) {
    for model in Model::ALL {
        for place in 0..3 {
            let (_folder, db) = engine.store().await;
            fold(&db, &specimens::one_of_each()).await;
            let mut progress = begin(&db, model, "r-1").await;
            let mut round = 0;
            while !progress.done {
                round += 1;
                let life = life(&format!("n-{round}"));
                let mut inputs = heard(&life);
                // The lives of two rounds overlap: an order's rows are of both.
                let rest = if round % 2 == 0 { inputs.len() } else { 3 };
                let later = heard(&life[rest..]);
                inputs.truncate(rest);
                let at = [0, inputs.len(), inputs.len() / 2][place];
                inputs.insert(at, Input::Rebuild(next(model, "r-1", progress)));
                let (answers, _) = batch(&db, inputs, NOW).await;
                let before = progress.position;
                progress = *answers[0].as_ref().expect("folds");
                assert!(progress.done || progress.position == before + 3);
                if !later.is_empty() {
                    batch(&db, later, NOW).await;
                }
                // More events come than are folded, then none.
                assert!(round < 50, "it never catches up");
                if round > 8 {
                    progress = quietly(&db, model, progress).await;
                }
            }
            let outcome = standings::outcome(&db, model, "r-1").await.expect("an outcome");
            assert_eq!(outcome.differences, 0, "{model:?}, step at {place}");
            assert_eq!(breaches(&db).await, [], "{model:?}, step at {place}");
        }
    }
}

/// Folds until three events are left, so that the next step is the last one.
async fn quietly(db: &Db, model: Model, mut progress: Progress) -> Progress {
    let head = standings::read_models(db).await.expect("reads")[0].head;
    while !progress.done && head - progress.position > 3 {
        progress = step(db, next(model, "r-1", progress)).await.expect("folds");
    }
    progress
}

async fn a_broken_row_is_one_difference_and_is_mended(engine: Engine) {
    let broken = [
        (Model::Orders, "UPDATE orders SET status = 'PAID', total = 7, refund = '{}' WHERE id = 'o-1' AND $1 <> ''"),
        (Model::Orders, "DELETE FROM orders WHERE id = 'o-1' AND $1 <> ''"),
        (Model::Orders, "UPDATE orders SET id = 'o-x' WHERE id = 'o-1' AND $1 <> ''"),
        (Model::Products, "UPDATE products SET on_hand = 99 WHERE $1 <> ''"),
        (Model::Notifications, "UPDATE notifications SET mailed_at = NULL WHERE $1 <> ''"),
        (Model::Sales, "UPDATE sales SET revenue = revenue + 1 WHERE $1 <> ''"),
    ];
    for (model, sql) in broken {
        let (_folder, db) = engine.store().await;
        fold(&db, &[specimens::one_of_each(), life("o-2")].concat()).await;
        spoil(&db, sql).await;
        assert_eq!(breaches(&db).await.len(), 1, "{sql}");
        // A row under another key is two: one too many and one too few.
        let differences = if sql.contains("o-x") { 2 } else { 1 };
        assert_eq!(rebuild(&db, model, "r-1").await.differences, differences, "{sql}");
        assert_eq!(breaches(&db).await, [], "{sql}");
    }
}

async fn sales_are_rebuilt_from_the_log_and_not_from_broken_orders(engine: Engine) {
    let (_folder, db) = engine.store().await;
    fold(&db, &life("o-1")).await;
    spoil(&db, "UPDATE orders SET total = 7, pieces = 7, currency = 'EUR' WHERE $1 <> ''").await;
    assert_eq!(rebuild(&db, Model::Sales, "r-1").await, Outcome { rows: 1, differences: 0 });
}

/// The confirmation stands in an earlier chunk than the refund, or nowhere.
async fn sales_are_rebuilt_without_what_was_given_back_before_it_was_sold(engine: Engine) {
    let (_folder, db) = engine.store().await;
    let called_off = [
        order("o-2", 1, &placed("bob")),
        order("o-2", 2, &OrderPaid { attempt: 1, authorisation_id: "auth_1".into() }),
        order("o-2", 3, &refund_requested(1, RefundCause::Cancelled, 2)),
        order("o-2", 4, &OrderPaymentRefunded { refund: 1, amount: pounds(2_500) }),
    ];
    fold(&db, &[&called_off[..], &life("o-1")].concat()).await;
    assert_eq!(rebuild(&db, Model::Sales, "r-1").await, Outcome { rows: 1, differences: 0 });
    let windows = standings::sales(&db, i64::MIN, i64::MAX, 9).await.expect("reads");
    assert_eq!((windows[0].orders, windows[0].revenue, windows[0].refunded), (1, 2_500, 2_500));
    assert_eq!(breaches(&db).await, []);
}

async fn rows_of_several_past_generations_are_all_cleared_away(engine: Engine) {
    for model in Model::ALL {
        let (_folder, db) = engine.store().await;
        fold(&db, &specimens::one_of_each()).await;
        let left = begin(&db, model, "r-1").await;
        let whole = Step::Fold { model, id: "r-1".into(), after: left.position, most: 37 };
        assert!(!step(&db, whole).await.expect("folds").done);
        let begun = Step::Begin { model, id: "r-2".into(), alone: true };
        let mut progress = step(&db, begun).await.expect("begins");
        while !progress.done {
            progress = step(&db, next(model, "r-2", progress)).await.expect("folds");
        }
        assert_eq!(generations(&db, model).await, (vec![1, 2, 3], 3), "{model:?}");
        // More than all rows there are: what says that it is done has done it.
        while !step(&db, Step::Clear { model, most: 100 }).await.expect("clears").done {}
        assert_eq!(generations(&db, model).await, (vec![3], 3), "{model:?}");
    }
}

async fn readers_see_the_live_generation_until_the_switch(engine: Engine) {
    let (_folder, db) = engine.store().await;
    fold(&db, &[life("o-1"), life("o-2")].concat()).await;
    spoil(&db, "UPDATE orders SET customer_id = 'eve' WHERE id = 'o-1' AND $1 <> ''").await;
    let seen = async || {
        let row = crate::store::reads::orders::one(&db, "o-1").await.expect("reads").expect("is there");
        let (_, total) = crate::store::reads::orders::list(
            &db,
            &crate::store::reads::Filter::default(),
            &crate::store::reads::Page { after: None, rows: 9 },
        )
        .await
        .expect("reads");
        (row.customer_id, total)
    };
    let mut progress = begin(&db, Model::Orders, "r-1").await;
    while !progress.done {
        assert_eq!(seen().await, ("eve".to_owned(), 2));
        progress = step(&db, next(Model::Orders, "r-1", progress)).await.expect("folds");
    }
    assert_eq!(seen().await, ("ada".to_owned(), 2));
}

async fn one_that_was_left_half_way_changes_nothing_and_the_next_one_clears_it_away(engine: Engine) {
    let (_folder, db) = engine.store().await;
    fold(&db, &[life("o-1"), life("o-2")].concat()).await;
    let begun = begin(&db, Model::Orders, "r-1").await;
    step(&db, next(Model::Orders, "r-1", begun)).await.expect("folds");
    // Here the process ends.
    assert_eq!(generations(&db, Model::Orders).await, (vec![1, 2], 1));
    assert_eq!(breaches(&db).await, []);
    let again = Step::Begin { model: Model::Orders, id: "r-2".into(), alone: false };
    let refused = step(&db, again.clone()).await.expect_err("may still be at work");
    assert_eq!(refused.code, Code::Conflict);
    let (answers, _) = batch(&db, vec![Input::Rebuild(again)], NOW + LAPSE).await;
    let mut progress = *answers[0].as_ref().expect("begins anew");
    assert_eq!((progress.generation, progress.position), (3, 0));
    // The first one was only asleep: it is told so, and does no harm.
    let late = step(&db, Step::Fold { model: Model::Orders, id: "r-1".into(), after: 3, most: 3 }).await;
    assert_eq!(late.expect_err("superseded").code, Code::Conflict);
    while !progress.done {
        progress = step(&db, next(Model::Orders, "r-2", progress)).await.expect("folds");
    }
    assert_eq!(generations(&db, Model::Orders).await, (vec![1, 2, 3], 3));
    while !step(&db, Step::Clear { model: Model::Orders, most: 1 }).await.expect("clears").done {}
    assert_eq!(generations(&db, Model::Orders).await, (vec![3], 3));
    assert_eq!(breaches(&db).await, []);
}

async fn where_one_process_is_alone_it_need_not_wait_for_the_one_before(engine: Engine) {
    let (_folder, db) = engine.store().await;
    fold(&db, &life("o-1")).await;
    begin(&db, Model::Sales, "r-1").await;
    let again = Step::Begin { model: Model::Sales, id: "r-2".into(), alone: true };
    assert_eq!(step(&db, again).await.expect("begins").generation, 3);
}

async fn a_step_that_comes_twice_counts_once(engine: Engine) {
    let (_folder, db) = engine.store().await;
    fold(&db, &[life("o-1"), life("o-2")].concat()).await;
    let begun = begin(&db, Model::Sales, "r-1").await;
    let first = next(Model::Sales, "r-1", begun);
    let once = step(&db, first.clone()).await.expect("folds");
    let twice = step(&db, first).await.expect("answers");
    assert_eq!((twice.position, twice.events), (once.position, 0));
    let mut progress = twice;
    let mut last = next(Model::Sales, "r-1", progress);
    while !progress.done {
        last = next(Model::Sales, "r-1", progress);
        progress = step(&db, last.clone()).await.expect("folds");
    }
    assert!(step(&db, last).await.expect("answers").done);
    assert_eq!(standings::outcome(&db, Model::Sales, "r-1").await.expect("an outcome").differences, 0);
    assert_eq!(breaches(&db).await, []);
}

/// Who folds next waits until the one before has committed: else a position could be
/// given later and be seen earlier, and a rebuild that has passed it would never look
/// back.
async fn positions_are_in_the_order_of_the_commits(engine: Engine) {
    let (_folder, db) = engine.store().await;
    let first = heard(&life("o-1"));
    let mut tx = db.begin().await.expect("begins");
    let mut open = crate::store::load(&mut tx, &first.iter().collect::<Vec<_>>()).await.expect("loads");
    first.iter().filter_map(Input::heard).for_each(|heard| open.hear(heard));
    let second = tokio::spawn({
        let db = db.clone();
        async move { fold(&db, &life("o-2")).await }
    });
    if engine == Engine::Postgres {
        waits_for_a_lock(&db).await;
    }
    assert!(!second.is_finished());
    crate::store::save(&mut tx, &open, NOW).await.expect("saves");
    tx.commit().await.expect("commits");
    second.await.expect("no panic");
    let log: Vec<String> = super::log(&db).await.into_iter().map(|logged| logged.subject).collect();
    assert_eq!(log, [vec!["o-1"; 6], vec!["o-2"; 6]].concat());
    assert_eq!(breaches(&db).await, []);
}

async fn waits_for_a_lock(db: &Db) {
    #[derive(serde::Deserialize)]
    struct Waiting {
        n: i64,
    }
    let sql = "SELECT COUNT(*) AS n FROM pg_stat_activity
               WHERE datname = current_database() AND wait_event_type = 'Lock' AND $1 <> ''";
    let somebody_waits = async {
        loop {
            let waiting: Vec<Waiting> = db.read(sql, &[0; 0]).await.expect("reads");
            if waiting[0].n > 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), somebody_waits).await.expect("the second one waits");
}
