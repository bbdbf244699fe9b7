//! What is tried again, and what never.

use tokio::task::JoinHandle;
use tonic::{Code, Status};

use super::replica::{Replica, no, silence, yes};
use super::{Client, NOTIFICATIONS, OPS, code, nowhere, until};

/// Calls until one of the calls hangs in `silent`; that one.
async fn hanging<T, F>(client: &Client, silent: &Replica, call: impl Fn(Client, String) -> F) -> (String, JoinHandle<T>)
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let before = silent.seen().len();
    for number in 0.. {
        let id = format!("call-{number}");
        let own = Client { remote: client.remote.clone(), name: client.name.clone() };
        let running = tokio::spawn(call(own, id.clone()));
        until("the call is somewhere", async || running.is_finished() || silent.seen().len() > before).await;
        if silent.seen().len() > before {
            return (id, running);
        }
    }
    unreachable!("half of all calls go there")
}

fn has_seen(replica: &Replica, id: &str) -> usize {
    replica.seen().iter().filter(|seen| seen.body.windows(id.len()).any(|part| part == id.as_bytes())).count()
}

#[tokio::test]
async fn a_read_whose_replica_dies_is_answered_by_another() {
    let (mut mortal, other) = (Replica::start(silence()).await, Replica::start(yes()).await);
    let client = Client::of(NOTIFICATIONS, &[&mortal, &other]);
    client.sees(&[&mortal, &other]).await;
    let (id, call) = hanging(&client, &mortal, |client, id| async move { client.read(&id).await }).await;
    mortal.kill();
    call.await.expect("ends").expect("the other one's answer");
    assert_eq!(has_seen(&other, &id), 1);
}

#[tokio::test]
async fn a_command_with_an_id_is_repeated_to_the_byte() {
    let (mut mortal, other) = (Replica::start(silence()).await, Replica::start(yes()).await);
    let client = Client::of(NOTIFICATIONS, &[&mortal, &other]);
    client.sees(&[&mortal, &other]).await;
    let (id, call) = hanging(&client, &mortal, |client, id| async move { client.set(&id).await }).await;
    mortal.kill();
    call.await.expect("ends").expect("the other one's answer");
    assert_eq!(has_seen(&other, &id), 1);
    let (first, second) = (mortal.seen().last().cloned(), other.seen().last().cloned());
    let (first, second) = (first.expect("a call"), second.expect("a call"));
    assert_eq!(first.body, second.body);
    assert_eq!(first.parts.uri.path(), second.parts.uri.path());
    for header in ["authorization", "content-type", "te"] {
        assert_eq!(first.header(header), second.header(header));
        assert!(first.header(header).is_some(), "{header}");
    }
}

#[tokio::test]
async fn a_command_without_an_id_is_not_repeated() {
    let (mut mortal, other) = (Replica::start(silence()).await, Replica::start(yes()).await);
    let client = Client::of(OPS, &[&mortal, &other]);
    client.sees(&[&mortal, &other]).await;
    let (id, call) = hanging(&client, &mortal, |client, id| async move { client.redrive(&id).await }).await;
    mortal.kill();
    assert_eq!(code(call.await.expect("ends")), Code::Unavailable);
    assert_eq!(has_seen(&other, &id), 0);
}

#[tokio::test]
async fn a_command_that_cannot_have_arrived_is_sent_elsewhere() {
    let other = Replica::start(yes()).await;
    for number in 0..20 {
        let id = format!("call-{number}");
        // Each time, what is not there is taken to serve.
        let client = Client::fixed(OPS, &[nowhere(), other.address]);
        client.redrive(&id).await.expect("the other one's answer");
        assert_eq!(has_seen(&other, &id), 1);
    }
}

#[tokio::test]
async fn a_silent_replica_s_read_is_answered_by_another_and_it_is_suspect_then() {
    let (silent, other) = (Replica::start(silence()).await, Replica::start(yes()).await);
    // Nobody but a call can cast doubt on these.
    let client = Client::fixed(NOTIFICATIONS, &[silent.address, other.address]);
    let (id, call) = hanging(&client, &silent, |client, id| async move { client.read(&id).await }).await;
    call.await.expect("ends").expect("the other one's answer");
    assert_eq!(has_seen(&other, &id), 1);
    client.sees(&[&other]).await;
}

#[tokio::test]
async fn unavailable_is_tried_elsewhere_three_times_in_all() {
    let (away, other) = (Replica::start(no(Code::Unavailable)).await, Replica::start(yes()).await);
    let client = Client::of(NOTIFICATIONS, &[&away, &other]);
    client.sees(&[&away, &other]).await;
    for _ in 0..100 {
        client.read("ada").await.expect("the other one's answer");
    }
    assert!(!away.seen().is_empty() && away.seen().len() < 100, "no call was there twice");
    let alone = Client::of(NOTIFICATIONS, &[&away]);
    alone.sees(&[&away]).await;
    away.seen().clear();
    let status = alone.read("ada").await.expect_err("away");
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "as it was told to"), "its own words");
    assert_eq!(away.seen().len(), 3);
}

#[tokio::test]
async fn other_answers_are_answers() {
    for answer in [Code::ResourceExhausted, Code::NotFound, Code::Aborted, Code::Internal, Code::DeadlineExceeded] {
        let replicas = [Replica::start(no(answer)).await, Replica::start(no(answer)).await];
        let client = Client::of(NOTIFICATIONS, &[&replicas[0], &replicas[1]]);
        client.sees(&[&replicas[0], &replicas[1]]).await;
        let status: Status = client.read("ada").await.expect_err("a no");
        assert_eq!((status.code(), status.message()), (answer, "as it was told to"));
        assert_eq!(replicas.iter().map(|replica| replica.seen().len()).sum::<usize>(), 1, "{answer:?}");
    }
}
