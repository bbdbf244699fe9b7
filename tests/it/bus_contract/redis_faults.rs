//! What Redis can do to us: be emptied, die, come back older, hold foreign things.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use platform::bus::BusError;
use redis::aio::MultiplexedConnection;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::*;
use crate::servers::{Persistence, RedisServer, until};

/// A server of its own, and a bus on it.
pub(super) async fn private(persistence: Persistence) -> Result<(RedisServer, OnRedis, Arc<dyn Bus>)> {
    let server = RedisServer::start(persistence).await?;
    let fixture = OnRedis { url: server.url() };
    let bus = fixture.declared().await?;
    Ok((server, fixture, bus))
}

pub(super) async fn by_hand(fixture: &OnRedis) -> Result<MultiplexedConnection> {
    Ok(redis::Client::open(fixture.url.as_str())?.get_multiplexed_async_connection().await?)
}

/// Asks again while Redis is out of reach.
pub(super) async fn once_reachable<T>(
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<T, BusError>,
) -> Result<T, BusError> {
    let answer = until(what, PATIENCE, async || match ask().await {
        Err(BusError::Unreachable(_)) => Ok(None),
        answer => Ok(Some(answer)),
    });
    answer.await.unwrap()
}

#[tokio::test]
async fn an_emptied_redis_is_noticed_and_made_again() -> Result<()> {
    let (server, fixture, bus) = private(Persistence::None).await?;
    let other = fixture.declared().await?;
    let known = bus.incarnation().await?;
    let last = publish(&bus, &entries(EVENTS, 0, ["lost"])).await?[0];
    let mut reader = subscribe(&bus, "a", EVENTS, &[0, 1]).await?;
    take(&mut reader, 1).await?;
    let reading = tokio::spawn(async move { take(&mut reader, 2).await });
    tokio::task::yield_now().await;

    server.flushall().await?;
    assert!(matches!(bus.publish(&known, &entries(EVENTS, 0, ["x"])).await, Err(BusError::Reborn)));
    assert!(matches!(other.publish(&known, &entries(EVENTS, 0, ["x"])).await, Err(BusError::Reborn)));
    assert!(bus.lost_since(Some(&known), &[(EVENTS.into(), 0, last)]).await?);

    let next = bus.incarnation().await?;
    assert_ne!(next, known);
    assert_eq!(other.incarnation().await?, next);
    assert!(!bus.lost_since(Some(&next), &[]).await?);
    other.publish(&next, &entries(EVENTS, 0, ["said again"])).await?;
    bus.publish(&next, &entries(EVENTS, 1, ["new"])).await?;
    // The reader was in the middle of a read all the time.
    let mut heard: Vec<_> = reading.await??;
    heard.sort_by_key(|delivery| delivery.partition);
    assert_eq!(bodies(&heard), ["said again", "new"]);
    // Nobody of group b was there: the group is made again at 0.
    let mut b = subscribe(&bus, "b", EVENTS, &[0]).await?;
    assert_eq!(bodies(&take(&mut b, 1).await?), ["said again"]);
    Ok(())
}

#[tokio::test]
async fn nothing_is_settled_on_an_emptied_redis() -> Result<()> {
    let (server, _fixture, bus) = private(Persistence::None).await?;
    publish(&bus, &entries(EVENTS, 0, ["lost"])).await?;
    server.flushall().await?;
    assert!(matches!(bus.settled(EVENTS, 0).await, Err(BusError::Reborn)));
    bus.incarnation().await?;
    assert_eq!(bus.settled(EVENTS, 0).await?, None);
    Ok(())
}

/// Part of the memory gone is the memory gone: the epoch changes with it.
#[tokio::test]
async fn a_group_that_was_destroyed_is_a_loss() -> Result<()> {
    let fixture = OnRedis::open().await?;
    let bus = fixture.declared().await?;
    let known = bus.incarnation().await?;
    publish(&bus, &entries(EVENTS, 0, 0..3)).await?;
    let mut a = subscribe(&bus, "a", EVENTS, &[0]).await?;
    let heard = take(&mut a, 3).await?;
    ack(&bus, "a", &heard).await?;
    let mut hand = by_hand(&fixture).await?;
    redis::cmd("XGROUP").arg(("DESTROY", format!("{EVENTS}.0"), "b")).query_async::<()>(&mut hand).await?;
    assert!(matches!(bus.settled(EVENTS, 0).await, Err(BusError::Reborn)), "b has not heard it");
    assert!(matches!(bus.publish(&known, &[]).await, Err(BusError::Reborn)));
    assert!(bus.lost_since(Some(&known), &[]).await?);
    assert_eq!(bus.settled(EVENTS, 0).await?, None);
    let mut b = subscribe(&bus, "b", EVENTS, &[0]).await?;
    assert_eq!(bodies(&take(&mut b, 3).await?), ["0", "1", "2"]);
    Ok(())
}

#[tokio::test]
async fn a_stream_that_was_deleted_is_noticed_by_its_reader() -> Result<()> {
    let fixture = OnRedis::open().await?;
    let bus = fixture.declared().await?;
    let known = bus.incarnation().await?;
    publish(&bus, &entries(EVENTS, 0, ["lost"])).await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[1, 0]).await?;
    take(&mut reader, 1).await?;
    let reading = tokio::spawn(async move { take(&mut reader, 1).await });
    let mut hand = by_hand(&fixture).await?;
    redis::cmd("DEL").arg(format!("{EVENTS}.0")).query_async::<()>(&mut hand).await?;
    until("the publishers are told", PATIENCE, async || match bus.publish(&known, &[]).await {
        Err(BusError::Reborn) => Ok(Some(())),
        answer => Ok(answer.map(|_| None)?),
    })
    .await?;
    publish(&bus, &entries(EVENTS, 0, ["said again"])).await?;
    assert_eq!(bodies(&reading.await??), ["said again"]);
    Ok(())
}

/// A tail that may have missed something ends.
pub(super) async fn ends(tail: &mut Receiver<Arc<str>>) -> Result<()> {
    loop {
        match tokio::time::timeout(PATIENCE, tail.recv()).await.context("the tail goes on")? {
            Err(RecvError::Closed) => return Ok(()),
            Ok(_) | Err(RecvError::Lagged(_)) => {}
        }
    }
}

/// The topic "news" is heard, by this tail or, where it has ended, by a new one.
pub(super) async fn hear_again(bus: &Arc<dyn Bus>, mut tail: Receiver<Arc<str>>) -> Result<()> {
    until("the topic is heard again", PATIENCE, async || {
        if matches!(tail.try_recv(), Err(TryRecvError::Closed)) {
            let Ok(anew) = bus.tail("news").await else { return Ok(None) };
            tail = anew;
        }
        bus.announce("news", &["again".to_owned()]).await?;
        Ok(tail.try_recv().ok().filter(|heard| &**heard == "again").map(drop))
    })
    .await
}

#[tokio::test]
async fn a_redis_that_died_is_unreachable_and_then_reborn() -> Result<()> {
    let (server, fixture, bus) = private(Persistence::None).await?;
    let known = bus.incarnation().await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    let mut tail = bus.tail("news").await?;
    server.kill9()?;
    for _ in 0..3 {
        let refusal = bus.publish(&known, &entries(EVENTS, 0, ["x"])).await;
        assert!(matches!(refusal, Err(BusError::Unreachable(_))), "{refusal:?}");
    }
    assert!(matches!(
        bus.ack("a", &[(EVENTS.into(), 0, Position { ms: 1, seq: 1 })]).await,
        Err(BusError::Unreachable(_))
    ));
    assert!(matches!(bus.tail("sport").await, Err(BusError::Unreachable(_))));
    assert!(RedisBus::connect(&fixture.url).await.is_err());

    server.restart().await?;
    let refusal = once_reachable("Redis is back", async || bus.publish(&known, &[]).await).await;
    assert!(matches!(refusal, Err(BusError::Reborn)), "{refusal:?}");
    assert!(bus.lost_since(Some(&known), &[]).await?);
    publish(&bus, &entries(EVENTS, 0, ["said again"])).await?;
    let heard = once_reachable("the reader reads again", async || reader.next(10).await).await?;
    assert_eq!(bodies(&heard), ["said again"]);
    ends(&mut tail).await?;
    hear_again(&bus, tail).await?;
    Ok(())
}

/// The epoch key survives in the append-only file; the last second may not.
#[tokio::test]
async fn a_restart_counts_as_a_loss_even_if_the_file_was_kept() -> Result<()> {
    let (server, _fixture, bus) = private(Persistence::AppendOnlyEverySecond).await?;
    let known = bus.incarnation().await?;
    publish(&bus, &entries(EVENTS, 0, 0..3)).await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    let given = take(&mut reader, 2).await?;
    ack(&bus, "a", &given[..1]).await?;
    server.kill9()?;
    server.restart().await?;
    let refusal = once_reachable("Redis is back", async || bus.publish(&known, &[]).await).await;
    assert!(matches!(refusal, Err(BusError::Reborn)), "{refusal:?}");
    assert!(bus.lost_since(Some(&known), &[]).await?);
    // What was pending comes first, then what is new, without a new subscription.
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.extend(once_reachable("the reader reads again", async || reader.next(10).await).await?);
    }
    assert_eq!(bodies(&heard), ["1", "2"]);
    Ok(())
}

#[tokio::test]
async fn a_foreign_entry_does_not_stop_its_neighbours() -> Result<()> {
    let fixture = OnRedis::open().await?;
    let bus = fixture.declared().await?;
    let mut hand = by_hand(&fixture).await?;
    publish(&bus, &entries(EVENTS, 0, ["before"])).await?;
    let key = format!("{EVENTS}.0");
    for fields in [vec![("x", &b"y"[..])], vec![("e", &b"\xff\xfe"[..])], vec![("a", &b"b"[..]), ("e", &b"ours"[..])]] {
        redis::cmd("XADD").arg((&key, "*", fields)).query_async::<()>(&mut hand).await?;
    }
    publish(&bus, &entries(EVENTS, 0, ["after"])).await?;
    for _ in 0..2 {
        // The second time as pending entries.
        let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
        let heard = take(&mut reader, 5).await?;
        assert_eq!(bodies(&heard), ["before", "x y", "\u{fffd}\u{fffd}", "ours", "after"]);
    }
    Ok(())
}

#[tokio::test]
async fn an_entry_that_is_deleted_while_pending_stops_nothing() -> Result<()> {
    let fixture = OnRedis::open().await?;
    let bus = fixture.declared().await?;
    let positions = publish(&bus, &entries(EVENTS, 0, 0..3)).await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    take(&mut reader, 3).await?;
    let id = format!("{}-{}", positions[1].ms, positions[1].seq);
    let mut hand = by_hand(&fixture).await?;
    redis::cmd("XDEL").arg((format!("{EVENTS}.0"), id)).query_async::<()>(&mut hand).await?;
    drop(reader);
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    let again = take(&mut reader, 3).await?;
    assert_eq!(bodies(&again), ["0", "(gone)", "2"]);
    ack(&bus, "a", &again).await?;
    assert_nothing_left(&bus, &mut reader, EVENTS, 0).await?;
    let shown = bus.inspect().await?;
    assert!(shown.groups.iter().any(|line| line.group == "a" && line.partition == 0 && line.pending == 1));
    Ok(())
}

/// A dead reader's last blocking read can still be waiting inside Redis when its
/// successor has claimed everything; what it is given then belongs to nobody.
#[tokio::test]
async fn what_a_dead_reader_is_given_late_is_taken_over() -> Result<()> {
    let fixture = OnRedis::open().await?;
    let bus = fixture.declared().await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0, 1]).await?;
    assert_nothing_left(&bus, &mut reader, EVENTS, 0).await?;
    let dead = tokio::time::timeout(Duration::from_millis(1), take(&mut reader, 1)).await;
    assert!(dead.is_err(), "its read goes on");
    drop(reader);
    // Now by hand, what would need luck to meet: a read in the name of the dead.
    publish(&bus, &entries(EVENTS, 0, ["left"])).await?;
    let mut hand = by_hand(&fixture).await?;
    let mut successor = subscribe(&bus, "a", EVENTS, &[0, 1]).await?;
    let again = take(&mut successor, 2).await?;
    ack(&bus, "a", &again).await?;
    publish(&bus, &entries(EVENTS, 1, ["late"])).await?;
    redis::cmd("XREADGROUP")
        .arg(("GROUP", "a", "dead", "STREAMS", format!("{EVENTS}.1"), ">"))
        .query_async::<()>(&mut hand)
        .await?;
    let late = take(&mut successor, 1).await?;
    assert_eq!(bodies(&late), ["late"]);
    ack(&bus, "a", &late).await?;
    // Its name goes when it holds nothing any more.
    let reading = tokio::spawn(async move { take(&mut successor, 1).await });
    until("the dead is forgotten", PATIENCE, async || {
        let names: Vec<HashMap<String, redis::Value>> =
            redis::cmd("XINFO").arg(("CONSUMERS", format!("{EVENTS}.1"), "a")).query_async(&mut hand).await?;
        let dead = redis::Value::BulkString(b"dead".to_vec());
        Ok((!names.iter().any(|consumer| consumer.get("name") == Some(&dead))).then_some(()))
    })
    .await?;
    publish(&bus, &entries(EVENTS, 0, ["still heard"])).await?;
    assert_eq!(bodies(&reading.await??), ["still heard"]);
    Ok(())
}

/// A consumer group keeps a name for each reader that there ever was.
#[tokio::test]
async fn names_of_former_readers_do_not_pile_up() -> Result<()> {
    let fixture = OnRedis::open().await?;
    let bus = fixture.declared().await?;
    for number in 0..5 {
        let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
        publish(&bus, &entries(EVENTS, 0, [number])).await?;
        let heard = take(&mut reader, 1).await?;
        ack(&bus, "a", &heard).await?;
    }
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    let mut hand = by_hand(&fixture).await?;
    let reading = tokio::spawn(async move { take(&mut reader, 1).await });
    // Redis 7.2 knows a reader from its first question, 7.0 from its first answer.
    until("at most one is left", PATIENCE, async || {
        let names: Vec<redis::Value> =
            redis::cmd("XINFO").arg(("CONSUMERS", format!("{EVENTS}.0"), "a")).query_async(&mut hand).await?;
        Ok((names.len() <= 1).then_some(()))
    })
    .await?;
    publish(&bus, &entries(EVENTS, 0, ["still heard"])).await?;
    assert_eq!(bodies(&reading.await??), ["still heard"]);
    Ok(())
}

/// Scripts are sent by their hash; a restart or `SCRIPT FLUSH` forgets them.
#[tokio::test]
async fn forgotten_scripts_are_sent_again() -> Result<()> {
    let (_server, fixture, bus) = private(Persistence::None).await?;
    publish(&bus, &entries(EVENTS, 0, ["one"])).await?;
    let mut hand = by_hand(&fixture).await?;
    redis::cmd("SCRIPT").arg("FLUSH").query_async::<()>(&mut hand).await?;
    publish(&bus, &entries(EVENTS, 0, ["two"])).await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    assert_eq!(bodies(&take(&mut reader, 2).await?), ["one", "two"]);
    Ok(())
}

/// After a restart it reads its file first, and answers everything with LOADING. Whoever connects
/// then is told that it is not there yet, and not that it is and cannot be worked with.
#[tokio::test]
async fn a_redis_that_is_still_loading_is_not_there_yet() -> Result<()> {
    // Microseconds for each command in its file. It listens once in a thousand of them.
    let slowly = ["--key-load-delay", "300"];
    let server = RedisServer::start_with(Persistence::AppendOnlyEverySecond, &slowly).await?;
    let fixture = OnRedis { url: server.url() };
    let mut connection = by_hand(&fixture).await?;
    let mut filling = redis::pipe();
    for number in 0..12_000 {
        filling.cmd("SET").arg(format!("other.{number}")).arg("").ignore();
    }
    filling.query_async::<()>(&mut connection).await?;
    server.kill9()?;
    let mut loading = 0;
    let connected = until("it is there", PATIENCE, async || match RedisBus::connect(&fixture.url).await {
        Err(BusError::Unreachable(why)) => {
            loading += usize::from(why.contains("oading"));
            Ok(None)
        }
        Err(error) => Err(error.into()),
        Ok(bus) => Ok(Some(bus.incarnation().await)),
    });
    let (restarted, incarnation) = tokio::join!(server.restart(), connected);
    restarted?;
    incarnation??;
    assert!(loading > 0, "it was met while it loaded");
    Ok(())
}
