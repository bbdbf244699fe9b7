//! Parked messages and dead letters: saved, found, moved up, removed.

use platform::clock::Millis;
use platform::store::parked::{self, Parked};

use super::*;

contract! {
    a_parked_message_comes_back_as_it_came
    parking_again_replaces_what_was_known
    the_head_of_a_line_is_its_lowest_sequence
    removing_one_lets_the_next_behind_it_be_tried
    what_is_parked_is_found_by_its_place_and_nothing_else_is
    retries_are_what_is_due_and_dead_letters_what_is_not
}

pub(super) fn parked(subject: &str, sequence: i64, state: &str, next_due: Option<Millis>) -> Parked {
    Parked {
        source: "/x".into(),
        subject: subject.into(),
        sequence,
        stream: "test.in".into(),
        envelope: "{}".into(),
        state: state.into(),
        attempts: 1,
        errors: "[]".into(),
        next_due,
        parked_at: 1_000 - sequence,
    }
}

async fn park(db: &Db, rows: &[Parked]) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    parked::save(&mut tx, rows).await?;
    tx.commit().await
}

async fn head(db: &Db, subject: &str) -> Result<Option<Parked>, StoreError> {
    parked::head(db, "/x", subject).await
}

async fn a_parked_message_comes_back_as_it_came(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let envelope = "not even JSON: \" ' \\ \u{1} \u{fffd} 日本";
    let sent = Parked {
        envelope: envelope.into(),
        errors: json!(["first: \"a\"", "second\n"]).to_string(),
        ..parked("it's", 3, "RETRY", Some(77))
    };
    park(db, &[]).await?;
    park(db, std::slice::from_ref(&sent)).await?;
    let found = head(db, "it's").await?.unwrap();
    assert_eq!(found.envelope, envelope);
    assert_eq!((&found.errors, &found.state, found.next_due), (&sent.errors, &sent.state, Some(77)));
    assert_eq!((found.sequence, found.attempts, found.parked_at), (3, 1, 997));
    assert!(head(db, "nobody").await?.is_none());
    Ok(())
}

async fn parking_again_replaces_what_was_known(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    park(db, &[parked("a", 1, "RETRY", Some(77))]).await?;
    let again = Parked { attempts: 2, errors: "[\"x\"]".into(), parked_at: 5, ..parked("a", 1, "DEAD", None) };
    park(db, &[again]).await?;
    let found = head(db, "a").await?.unwrap();
    assert_eq!((found.state.as_str(), found.attempts, found.next_due), ("DEAD", 2, None));
    assert_eq!(found.parked_at, 999, "when it was parked first");
    assert_eq!(count(db, "parked").await?, 1);
    Ok(())
}

async fn the_head_of_a_line_is_its_lowest_sequence(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let other = Parked { source: "/y".into(), ..parked("a", 1, "RETRY", Some(1)) };
    park(db, &[parked("a", 10, "BEHIND", None), parked("a", 9, "RETRY", Some(1)), other]).await?;
    assert_eq!(head(db, "a").await?.unwrap().sequence, 9, "as a number, not as text, and of this source");
    Ok(())
}

async fn removing_one_lets_the_next_behind_it_be_tried(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    let rows: Vec<_> = ["a", "b", "c"]
        .iter()
        .flat_map(|subject| [parked(subject, 1, "RETRY", Some(5)), parked(subject, 2, "BEHIND", None)])
        .chain([parked("a", 3, "BEHIND", None), parked("b", 3, "BEHIND", None)])
        .collect();
    park(db, &rows).await?;
    let done: Vec<_> = ["a", "b"].map(|subject| ("/x".to_owned(), subject.to_owned(), 1)).into();
    let mut tx = db.begin().await?;
    parked::remove(&mut tx, &[]).await?;
    parked::promote(&mut tx, &[], 8).await?;
    parked::remove(&mut tx, &done).await?;
    parked::promote(&mut tx, &done, 8).await?;
    tx.commit().await?;
    for subject in ["a", "b"] {
        let next = head(db, subject).await?.unwrap();
        assert_eq!((next.sequence, next.state.as_str(), next.next_due), (2, "RETRY", Some(8)));
    }
    assert_eq!(head(db, "c").await?.unwrap().sequence, 1, "another line");
    let due: Vec<_> = parked::retries(db, i64::MAX).await?.into_iter().map(|row| (row.subject, row.sequence)).collect();
    assert!(!due.contains(&("a".to_owned(), 3)), "the one after the next still waits: {due:?}");
    Ok(())
}

async fn what_is_parked_is_found_by_its_place_and_nothing_else_is(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    park(db, &[Parked { attempts: 7, ..parked("it's", 3, "RETRY", Some(1)) }, parked("b", 1, "DEAD", None)]).await?;
    let lines = ["it's", "b", "nobody"].map(|subject| ("/x".to_owned(), subject.to_owned()));
    let mut tx = db.begin().await?;
    assert!(parked::find(&mut tx, &[]).await?.is_empty());
    let keys = [(&lines[0], 3), (&lines[0], 4), (&lines[1], 1), (&lines[2], 1)];
    let found = parked::find(&mut tx, &keys).await?;
    assert_eq!(found.len(), 2);
    let tried = |index: usize, sequence| found[&(lines[index].clone(), sequence)].attempts;
    assert_eq!((tried(0, 3), tried(1, 1)), (7, 1));
    assert_eq!(parked::first_of_line(&mut tx, &lines[0]).await?, Some(3));
    assert_eq!(parked::first_of_line(&mut tx, &lines[2]).await?, None);
    Ok(())
}

async fn retries_are_what_is_due_and_dead_letters_what_is_not(store: &Store) -> Result<()> {
    let db = store.ready().await?;
    park(
        db,
        &[
            parked("a", 1, "RETRY", Some(100)),
            parked("b", 1, "RETRY", Some(200)),
            parked("b", 2, "BEHIND", None),
            parked("c", 1, "DEAD", None),
            parked("d", 2, "DEAD", None),
        ],
    )
    .await?;
    let due = |before| async move {
        let rows = parked::retries(db, before).await?;
        Ok::<_, StoreError>(rows.into_iter().map(|row| row.subject).collect::<Vec<_>>())
    };
    assert!(due(100).await?.is_empty());
    assert_eq!(due(101).await?, ["a"]);
    assert_eq!(due(i64::MAX).await?.len(), 2);
    let dead: Vec<_> = parked::dead_letters(db).await?.into_iter().map(|row| row.subject).collect();
    assert_eq!(dead, ["d", "c"], "oldest first");
    Ok(())
}
