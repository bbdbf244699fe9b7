//! Who gets a call, and who no longer.

use std::sync::Arc;

use tokio::sync::Notify;
use tonic::Code;
use tonic_health::ServingStatus;

use super::replica::{Replica, Script, no, silence, yes};
use super::{Client, NOTIFICATIONS, OPS, code, nowhere, until};
use crate::error::Failure;
use crate::grpc::{Peers, REFUSED, REFUSED_TOKEN, remote};

#[tokio::test]
async fn calls_are_spread_over_the_replicas() {
    let replicas = [Replica::start(yes()).await, Replica::start(yes()).await, Replica::start(yes()).await];
    let client = Client::of(NOTIFICATIONS, &[&replicas[0], &replicas[1], &replicas[2]]);
    client.sees(&[&replicas[0], &replicas[1], &replicas[2]]).await;
    for _ in 0..300 {
        client.read("ada").await.expect("an answer");
    }
    let shares: Vec<usize> = replicas.iter().map(|replica| replica.seen().len()).collect();
    assert_eq!(shares.iter().sum::<usize>(), 300, "each call was sent once");
    // One in a hundred million runs would have a smaller share by chance.
    assert!(shares.iter().all(|share| *share > 50), "{shares:?}");
}

#[tokio::test]
async fn of_two_replicas_the_less_busy_one_is_asked() {
    let (busy, idle) = (Replica::start(silence()).await, Replica::start(yes()).await);
    let client = Client::fixed(OPS, &[busy.address, idle.address]);
    let mut calls = Vec::new();
    while busy.seen().is_empty() {
        let remote = Client { remote: client.remote.clone(), name: client.name.clone() };
        let call = tokio::spawn(async move { remote.redrive("a").await });
        until("the call is somewhere", async || call.is_finished() || !busy.seen().is_empty()).await;
        calls.push(call);
    }
    for _ in 0..50 {
        client.redrive("b").await.expect("the idle one's answer");
    }
    assert_eq!(busy.seen().len(), 1);
}

#[tokio::test]
async fn a_replica_that_is_not_serving_drains_and_comes_back() {
    let finish = Arc::new(Notify::new());
    let held = finish.clone();
    let script: Script = Arc::new(move |_| {
        let held = held.clone();
        Box::pin(async move {
            held.notified().await;
            Ok(())
        })
    });
    let (leaving, staying) = (Replica::start(script).await, Replica::start(yes()).await);
    let client = Client::of(NOTIFICATIONS, &[&leaving]);
    client.sees(&[&leaving]).await;
    let early = Client { remote: client.remote.clone(), name: client.name.clone() };
    let early = tokio::spawn(async move { early.read("early").await });
    until("the call has arrived", async || leaving.seen().len() == 1).await;

    client.name.means(&[leaving.address, staying.address]);
    leaving.say(ServingStatus::NotServing).await;
    client.sees(&[&staying]).await;
    for _ in 0..20 {
        client.read("late").await.expect("the other one's answer");
    }
    assert_eq!(leaving.seen().len(), 1, "no new calls");
    finish.notify_one();
    // Its caller may have been answered by the other one meanwhile: a read, and slow.
    early.await.expect("ends").expect("an answer");

    leaving.say(ServingStatus::Serving).await;
    client.sees(&[&leaving, &staying]).await;
}

#[tokio::test]
async fn a_paused_replica_gets_no_calls_until_it_goes_on() {
    let (paused, awake) = (Replica::start(yes()).await, Replica::start(yes()).await);
    let client = Client::of(NOTIFICATIONS, &[&paused, &awake]);
    client.sees(&[&paused, &awake]).await;
    let resume = paused.pause().await;
    // Some call runs into it, is answered by the other one, and has it found out.
    until("the pause is noticed", async || {
        client.read("ada").await.expect("an answer");
        client.remote.balancer.serving().len() == 1
    })
    .await;
    client.sees(&[&awake]).await;
    let before = awake.seen().len();
    for _ in 0..20 {
        client.read("ada").await.expect("an answer");
    }
    assert_eq!(awake.seen().len(), before + 20, "each of them the first time");
    drop(resume);
    client.sees(&[&paused, &awake]).await;
    let before = paused.seen().len();
    until("it gets calls again", async || {
        client.read("ada").await.expect("an answer");
        paused.seen().len() > before
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_was_killed_gets_calls_again_when_it_is_back() {
    let (mut mortal, other) = (Replica::start(yes()).await, Replica::start(yes()).await);
    let client = Client::of(NOTIFICATIONS, &[&mortal, &other]);
    client.sees(&[&mortal, &other]).await;
    mortal.kill();
    for _ in 0..50 {
        client.read("ada").await.expect("the other one's answer");
    }
    client.sees(&[&other]).await;
    let reborn = Replica::start_at(mortal.address, yes()).await;
    client.sees(&[&reborn, &other]).await;
    until("it gets calls again", async || {
        client.read("ada").await.expect("an answer");
        !reborn.seen().is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_name_that_stands_for_other_addresses_later_is_followed() {
    let (first, second) = (Replica::start(yes()).await, Replica::start(yes()).await);
    let client = Client::of(NOTIFICATIONS, &[&first]);
    client.read("ada").await.expect("waits until the first one serves");
    client.name.means(&[first.address, second.address]);
    client.sees(&[&first, &second]).await;
    client.name.means(&[second.address]);
    client.sees(&[&second]).await;
    let before = first.seen().len();
    client.read("ada").await.expect("an answer");
    assert_eq!(first.seen().len(), before);
}

#[tokio::test]
async fn a_real_name_is_looked_up() {
    let replica = Replica::start(yes()).await;
    let peers = Peers::try_new(&format!("http://localhost:{}", replica.address.port())).expect("peers");
    let asked = contracts::notification::GetPreferenceRequest::default();
    let connection = remote(peers, NOTIFICATIONS, "0123456789abcdef");
    let mut client = contracts::notification::notifications_client::NotificationsClient::new(connection);
    client.get_preference(asked).await.expect("an answer");
}

#[tokio::test]
async fn where_nobody_serves_a_call_is_unavailable_before_its_deadline() {
    let client = Client::of(NOTIFICATIONS, &[]);
    client.name.means(&[nowhere()]);
    let status = client.read("ada").await.expect_err("nobody is there");
    // Had it waited for its deadline of ten seconds, it would say that.
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains(NOTIFICATIONS), "{status}");
    assert!(std::error::Error::source(&status).is_some(), "nobody has logged it yet");
    let public = Failure::from(status).public_message().to_owned();
    assert!(!public.contains(NOTIFICATIONS), "{public}");
}

#[tokio::test]
async fn the_token_travels_and_is_not_shown() {
    let replica = Replica::start(yes()).await;
    let client = Client::of(NOTIFICATIONS, &[&replica]);
    client.read("ada").await.expect("an answer");
    assert_eq!(replica.seen()[0].header("authorization"), Some("Bearer 0123456789abcdef"));
    assert!(!format!("{:?}", client.remote.authorization).contains("0123456789abcdef"));
}

#[tokio::test]
async fn a_refused_token_is_not_the_customer_s_fault() {
    let port: Script = Arc::new(|_| {
        Box::pin(async {
            let mut refused = tonic::Status::unauthenticated("a call needs the shop's token");
            refused.metadata_mut().insert(REFUSED, REFUSED_TOKEN.parse().expect("a value"));
            Err(refused)
        })
    });
    let (port, service) = (Replica::start(port).await, Replica::start(no(Code::Unauthenticated)).await);
    let refused = Client::of(NOTIFICATIONS, &[&port]).read("ada").await.expect_err("refused");
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("--grpc-token"), "{refused}");
    assert_eq!(port.seen().len(), 1, "another attempt would be refused, too");
    assert_eq!(code(Client::of(NOTIFICATIONS, &[&service]).read("ada").await), Code::Unauthenticated);
}

#[tokio::test]
async fn a_server_that_stops_is_not_held_up_by_who_asks_for_its_health() {
    let mut server = Replica::start(yes()).await;
    let client = Client::of(NOTIFICATIONS, &[&server]);
    client.read("ada").await.expect("an answer");
    server.say(ServingStatus::NotServing).await;
    server.stop();
    until("the server has ended", async || server.has_ended()).await;
    drop(client);
}

#[tokio::test]
async fn what_runs_in_the_background_ends_with_the_connection() {
    let replica = Replica::start(yes()).await;
    let client = Client::of(NOTIFICATIONS, &[&replica]);
    client.read("ada").await.expect("an answer");
    let remains = client.remote.balancer.remains();
    let last = client.connection();
    drop(client);
    assert!(remains());
    drop(last);
    until("all tasks have ended", async || !remains()).await;
}
