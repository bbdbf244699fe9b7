//! Redis at its memory limit, with `noeviction`: it refuses what is new and loses nothing.

use anyhow::Result;
use platform::bus::{BusError, Timer};
use redis::aio::MultiplexedConnection;

use super::redis_faults::{by_hand, private};
use super::*;
use crate::servers::{Persistence, until};

/// 0: no limit. (`noeviction` is how Redis is unless told otherwise.)
async fn limit(hand: &mut MultiplexedConnection, bytes: u64) -> Result<()> {
    Ok(redis::cmd("CONFIG").arg(("SET", "maxmemory", bytes)).query_async(hand).await?)
}

async fn used(hand: &mut MultiplexedConnection) -> Result<u64> {
    let info: String = redis::cmd("INFO").arg("memory").query_async(hand).await?;
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap_or_default();
    Ok(used.trim().parse()?)
}

fn bell(due: i64) -> Timer {
    Timer { subject: "order".into(), kind: "bell".into(), attempt: 0, due }
}

#[tokio::test]
async fn a_full_redis_refuses_what_is_new_and_gives_out_what_it_has() -> Result<()> {
    let (_server, fixture, bus) = private(Persistence::None).await?;
    let known = bus.incarnation().await?;
    publish(&bus, &entries(COMMANDS, 0, 0..3)).await?;
    bus.schedule(COMMANDS, &[bell(1)]).await?;
    let mut tail = bus.tail("news").await?;
    let mut hand = by_hand(&fixture).await?;
    limit(&mut hand, 1).await?;

    let full = |answer: Option<BusError>| assert!(matches!(answer, Some(BusError::Unreachable(_))), "{answer:?}");
    full(bus.publish(&known, &entries(COMMANDS, 0, ["x"])).await.err());
    full(bus.schedule(COMMANDS, &[bell(2)]).await.err());
    full(bus.fire_due(COMMANDS, 10, 10).await.err());
    // A process that starts just now, or has its connection broken.
    let other = fixture.declared().await?;
    assert_eq!(other.incarnation().await?, known);
    let mut reader = subscribe(&other, "a", COMMANDS, &[0]).await?;
    let heard = take(&mut reader, 3).await?;
    ack(&other, "a", &heard).await?;
    assert_eq!(bus.settled(COMMANDS, 0).await?, Some(heard[2].position));
    bus.trim(COMMANDS, 0, heard[2].position).await?;
    other.announce("news", &["hello".to_owned()]).await?;
    assert_eq!(&*tokio::time::timeout(PATIENCE, tail.recv()).await??, "hello");
    bus.inspect().await?;

    limit(&mut hand, 0).await?;
    bus.publish(&known, &entries(COMMANDS, 0, ["y"])).await?;
    assert_eq!(bus.fire_due(COMMANDS, 10, 10).await?.count, 1, "the refused timer is still in the queue");
    assert_eq!(bodies(&take(&mut reader, 1).await?), ["y"]);
    Ok(())
}

/// The relays trim after they have published, and now nobody can.
#[tokio::test]
async fn a_full_redis_is_freed_of_what_everybody_has_read_and_of_nothing_else() -> Result<()> {
    let (_server, fixture, bus) = private(Persistence::None).await?;
    let known = bus.incarnation().await?;
    let mut hand = by_hand(&fixture).await?;
    let room = used(&mut hand).await? + 4 * 1024 * 1024;
    limit(&mut hand, room).await?;
    let kilobytes = "x".repeat(10_000);
    let mut count = 0;
    loop {
        match bus.publish(&known, &entries(EVENTS, count % PARTITIONS, [format!("{count} {kilobytes}")])).await {
            Ok(_) => count += 1,
            Err(BusError::Unreachable(_)) => break,
            Err(error) => return Err(error.into()),
        }
    }
    assert!(count > 100, "{count}");
    for group in ["a", "b"] {
        let mut reader = subscribe(&bus, group, EVENTS, &[0, 1, 2, 3]).await?;
        let heard = take(&mut reader, count as usize).await?;
        // One partition is not acked by b.
        let done: Vec<_> = heard.into_iter().filter(|delivery| group == "a" || delivery.partition > 0).collect();
        ack(&bus, group, &done).await?;
    }
    // Half as much again, and something of it that can be read. (The readers' own buffers take room too.)
    let mut more = 0;
    until("there is room again", PATIENCE, async || {
        while more < count / 2 {
            match bus.publish(&known, &entries(EVENTS, 2, [&kilobytes])).await {
                Ok(_) => more += 1,
                Err(BusError::Unreachable(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(()))
    })
    .await?;
    bus.publish(&known, &entries(EVENTS, 1, ["room again"])).await?;
    let mut reader = subscribe(&bus, "b", EVENTS, &[0, 1]).await?;
    let left = count.div_ceil(PARTITIONS) as usize;
    let heard = take(&mut reader, left + 1).await?;
    assert!(heard.iter().all(|delivery| delivery.body.is_some()), "nothing was freed that was not acked");
    assert!(bodies(&heard).contains(&"room again"));
    Ok(())
}
