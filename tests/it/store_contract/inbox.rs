//! The inbox and the stored results of commands: what makes an effect happen once.

use platform::error::Rejection;
use platform::store::idempotency::{self, Stored};
use platform::store::inbox::{self, Line, Progress};
use platform::store::parked;

use super::parked::parked;
use super::*;

contract! {
    a_line_that_was_never_heard_stands_at_nothing
    a_line_moves_forward
    a_line_never_moves_backwards
    a_decision_on_an_older_reading_is_a_conflict
    what_is_parked_is_part_of_the_progress
    a_stored_result_comes_back_whatever_it_was
    a_result_is_stored_once
}

fn line(source: &str, subject: &str) -> Line {
    (source.to_owned(), subject.to_owned())
}

async fn progress(db: &Db, line: &Line) -> Result<Progress, StoreError> {
    let mut tx = db.begin().await?;
    Ok(inbox::load(&mut tx, [line]).await?[line])
}

async fn save(db: &Db, moved: &[(Line, i64, i64)]) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    inbox::save(&mut tx, moved, 1_000).await?;
    tx.commit().await
}

async fn a_line_that_was_never_heard_stands_at_nothing(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let (a, b) = (line("/x", "a"), line("/x", "b"));
    let mut tx = db.begin().await?;
    assert!(inbox::load(&mut tx, []).await?.is_empty());
    let loaded = inbox::load(&mut tx, [&a, &b, &a]).await?;
    assert_eq!(loaded.len(), 2);
    assert!(loaded.values().all(|progress| *progress == Progress::default()));
    Ok(())
}

async fn a_line_moves_forward(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    // The same subject from another source is another line, whatever is in the names.
    let lines = [line("/x", "a"), line("/y", "a"), line("/x", "it's \"ü\" \\"), line("/x/a", ""), line("/x", "/a")];
    save(db, &[]).await?;
    save(db, &lines.clone().map(|line| (line, 0, 3))).await?;
    save(db, &[(lines[0].clone(), 3, 4), (lines[2].clone(), 3, 9), (line("/z", "new"), 0, 1)]).await?;
    let lasts = [4, 3, 9, 3, 3];
    for (line, last) in lines.iter().zip(lasts) {
        assert_eq!(progress(db, line).await?, Progress { last, parked: None }, "{line:?}");
    }
    Ok(())
}

async fn a_line_never_moves_backwards(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let (a, b) = (line("/x", "a"), line("/x", "b"));
    save(db, &[(a.clone(), 0, 5)]).await?;
    for (from, to) in [(0, 1), (0, 5), (5, 5), (5, 4), (4, 5)] {
        let result = save(db, &[(b.clone(), 0, 1), (a.clone(), from, to)]).await;
        assert!(matches!(result, Err(StoreError::Conflict(_))), "from {from} to {to}: {result:?}");
    }
    assert_eq!((progress(db, &a).await?.last, progress(db, &b).await?.last), (5, 0));
    Ok(())
}

async fn a_decision_on_an_older_reading_is_a_conflict(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let a = line("/x", "a");
    save(db, &[(a.clone(), 0, 5)]).await?;
    let read = progress(db, &a).await?.last;
    // Somebody else obeys the sixth meanwhile.
    save(db, &[(a.clone(), read, 6)]).await?;
    let result = save(db, &[(a.clone(), read, 8)]).await;
    assert!(matches!(result, Err(StoreError::Conflict(_))), "or the sixth is obeyed twice: {result:?}");
    let result = save(db, &[(a.clone(), 0, 8)]).await;
    assert!(matches!(result, Err(StoreError::Conflict(_))), "nor as if it were new: {result:?}");
    assert_eq!(progress(db, &a).await?.last, 6);
    Ok(())
}

async fn what_is_parked_is_part_of_the_progress(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let a = line("/x", "a");
    save(db, &[(a.clone(), 0, 5)]).await?;
    let mut tx = db.begin().await?;
    parked::save(&mut tx, &[parked("a", 6, "RETRY", Some(1)), parked("a", 7, "BEHIND", None)]).await?;
    parked::save(&mut tx, &[parked("never obeyed", 1, "DEAD", None)]).await?;
    tx.commit().await?;
    assert_eq!(progress(db, &a).await?, Progress { last: 5, parked: Some(7) });
    assert_eq!(progress(db, &line("/x", "never obeyed")).await?, Progress { last: 0, parked: Some(1) });
    Ok(())
}

fn success(fingerprint: &str, reply: Value) -> Stored<Value> {
    Stored { fingerprint: fingerprint.to_owned(), result: Ok(reply) }
}

async fn a_stored_result_comes_back_whatever_it_was(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let reply = json!({ "text": "it's \\ \"ü\"", "n": i64::MAX, "none": null });
    let no = Rejection::conflict("not any more: \"it's\" gone");
    let results = [
        ("yes".to_owned(), success("f1", reply.clone())),
        ("it's 'no'".to_owned(), Stored { fingerprint: "f2".into(), result: Err(no.clone()) }),
    ];
    let mut tx = db.begin().await?;
    idempotency::save::<Value>(&mut tx, &[], 1).await?;
    idempotency::save(&mut tx, &results, 1).await?;
    tx.commit().await?;
    let mut tx = db.begin().await?;
    let stored = idempotency::load::<Value>(&mut tx, &["yes", "it's 'no'", "unknown", "yes"]).await?;
    assert_eq!(stored.len(), 2);
    assert_eq!(stored["yes"].result.as_ref().unwrap(), &reply);
    assert_eq!(stored["yes"].fingerprint, "f1");
    assert_eq!(stored["it's 'no'"].result.as_ref().unwrap_err(), &no);
    Ok(())
}

async fn a_result_is_stored_once(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let tasks: Vec<_> = (0..4)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut tx = db.begin().await?;
                idempotency::save(&mut tx, &[("id".to_owned(), success("f", json!(n)))], 1).await?;
                tx.commit().await
            })
        })
        .collect();
    let mut stored = Vec::new();
    for (n, task) in tasks.into_iter().enumerate() {
        match task.await? {
            Ok(()) => stored.push(json!(n)),
            Err(error) => assert!(matches!(error, StoreError::Conflict(_)), "{error:?}"),
        }
    }
    assert_eq!(stored.len(), 1, "the others decide again and find it");
    let mut tx = db.begin().await?;
    assert_eq!(idempotency::load::<Value>(&mut tx, &["id"]).await?["id"].result.as_ref().unwrap(), &stored[0]);
    Ok(())
}
