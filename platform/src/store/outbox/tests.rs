//! What an appended message looks like, and which id each row is given.

use super::*;
use crate::message::Envelope;

const OUTLETS: [Outlet; 2] = [
    Outlet { source: "/a", stream: "a", table: "outbox", keeps: false },
    Outlet { source: "/a/b.commands", stream: "b.commands", table: "outbox", keeps: false },
];

#[tokio::test]
async fn an_envelope_is_written_as_envelopes_are() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open_sqlite(&folder.path().join("store.db")).await.unwrap();
    db.migrate(&[]).await.unwrap();
    let message = |outlet| Outgoing {
        outlet,
        subject: "s\"1".into(),
        kind: "test.v1.Said".into(),
        correlation_id: "c".into(),
        data: RawValue::from_string(r#"{"z":1,"a":"ü"}"#.into()).unwrap(),
    };
    let causes = ["command".to_owned(), "message".to_owned(), "message".to_owned()];
    let stamp = Stamp { outlets: &OUTLETS, partitions: 1, now: 1_700_000_000_007, causes: &causes };
    let mut tx = db.begin().await.unwrap();
    let rows = append(&mut tx, &[message(0), message(1), message(0)], stamp).await.unwrap();
    let mut sequences = Vec::new();
    for (_, row) in &rows {
        let envelope = Envelope::parse(&row.envelope).unwrap();
        assert_eq!(*row.envelope, *serde_json::to_string(&envelope).unwrap());
        sequences.push((envelope.source, envelope.sequence));
    }
    let expected = [("/a", 1), ("/a/b.commands", 1), ("/a", 2)];
    assert_eq!(sequences, expected.map(|(source, sequence)| (source.to_owned(), sequence)));
}

#[test]
fn ids_find_their_rows_in_whatever_order_they_come() {
    let row = |source: &'static str, sequence: i64| NewRow {
        stream: "a",
        partition: 0,
        source,
        subject: "s",
        sequence,
        kind: "k",
        time: 0,
        envelope: "".into(),
    };
    let rows = [row("/a", 1), row("/b", 1), row("/a", 2), row("/b", 2)];
    let keys: Vec<Key> = [3, 1, 2, 0]
        .into_iter()
        .map(|index: usize| Key {
            id: 10 + i64::try_from(index).unwrap(),
            source: rows[index].source.into(),
            subject: "s".into(),
            sequence: rows[index].sequence,
        })
        .collect();
    assert_eq!(ids_of(&rows, &keys).unwrap(), [10, 11, 12, 13]);
    assert!(matches!(ids_of(&rows, &keys[1..]), Err(StoreError::Refused(_))), "an id is missing");
}
