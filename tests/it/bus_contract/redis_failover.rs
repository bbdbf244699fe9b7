//! The server is another one, or an older one: what it lacks is noticed by whoever publishes,
//! and by whoever only waits for what was published.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use platform::bus::BusError;
use redis::aio::MultiplexedConnection;

use super::redis_faults::{by_hand, once_reachable, private};
use super::*;
use crate::servers::proxy::Proxy;
use crate::servers::{Persistence, RedisServer, until};

async fn replicate(hand: &mut MultiplexedConnection, primary: Option<SocketAddr>) -> Result<()> {
    let mut command = redis::cmd("REPLICAOF");
    match primary {
        Some(primary) => command.arg((primary.ip().to_string(), primary.port())),
        None => command.arg(("NO", "ONE")),
    };
    Ok(command.query_async(hand).await?)
}

/// Two servers, and the names by which the shop and the replica find the primary.
struct Pair {
    primary: RedisServer,
    replica: RedisServer,
    /// Where the shop connects.
    name: Proxy,
    /// Through which the replica copies.
    copying: Proxy,
    fixture: OnRedis,
    at_replica: MultiplexedConnection,
}

impl Pair {
    async fn start() -> Result<Self> {
        let primary = RedisServer::start(Persistence::None).await?;
        let replica = RedisServer::start(Persistence::None).await?;
        let (name, url) = Proxy::before(&primary.url()).await?;
        let copying = Proxy::start(primary.address()?).await?;
        let mut at_replica = by_hand(&OnRedis { url: replica.url() }).await?;
        replicate(&mut at_replica, Some(copying.address())).await?;
        Ok(Self { primary, replica, name, copying, fixture: OnRedis { url }, at_replica })
    }

    /// Waits until the replica has all that the primary has.
    async fn in_step(&mut self) -> Result<()> {
        let mut at_primary = by_hand(&OnRedis { url: self.primary.url() }).await?;
        until("the replica is in step", PATIENCE, async || {
            let asked: u64 = redis::cmd("WAIT").arg((1, 100)).query_async(&mut at_primary).await?;
            let info: String = redis::cmd("INFO").arg("replication").query_async(&mut self.at_replica).await?;
            Ok((asked == 1 && info.contains("master_link_status:up")).then_some(()))
        })
        .await
    }
}

#[tokio::test]
async fn a_replica_that_takes_over_without_the_last_second_is_noticed() -> Result<()> {
    let mut pair = Pair::start().await?;
    let bus = pair.fixture.declared().await?;
    let known = bus.incarnation().await?;
    publish(&bus, &entries(EVENTS, 0, 0..3)).await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0, 1]).await?;
    let heard = take(&mut reader, 3).await?;
    pair.in_step().await?;
    pair.copying.swallow(true);
    ack(&bus, "a", &heard).await?;
    let lost = publish(&bus, &entries(EVENTS, 0, ["lost"])).await?[0];
    assert_eq!(bodies(&take(&mut reader, 1).await?), ["lost"]);

    pair.primary.kill9()?;
    pair.copying.cut();
    let refusal = bus.publish(&known, &entries(EVENTS, 0, ["x"])).await;
    assert!(matches!(refusal, Err(BusError::Unreachable(_))), "{refusal:?}");
    replicate(&mut pair.at_replica, None).await?;
    pair.name.retarget(pair.replica.address()?);

    let refusal = once_reachable("the replica is found", async || bus.publish(&known, &[]).await).await;
    assert!(matches!(refusal, Err(BusError::Reborn)), "{refusal:?}");
    assert!(bus.lost_since(Some(&known), &[(EVENTS.into(), 0, lost)]).await?);
    publish(&bus, &entries(EVENTS, 0, ["said again"])).await?;
    // Acked at the one, still pending at the other: it comes again.
    let mut again = Vec::new();
    while again.len() < 4 {
        again.extend(once_reachable("the reader reads again", async || reader.next(10).await).await?);
    }
    assert_eq!(bodies(&again), ["0", "1", "2", "said again"]);
    Ok(())
}

/// The old primary still answers, now as a replica: it is left as soon as the name leads elsewhere.
#[tokio::test]
async fn a_demoted_primary_is_left() -> Result<()> {
    let mut pair = Pair::start().await?;
    let bus = pair.fixture.declared().await?;
    let known = bus.incarnation().await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    assert_nothing_left(&bus, &mut reader, EVENTS, 0).await?;
    let reading = tokio::spawn(async move {
        let mut heard = Vec::new();
        while bodies(&heard).last() != Some(&"at the new one") {
            match reader.next(10).await {
                Ok(more) => heard.extend(more),
                // It pauses by itself.
                Err(BusError::Unreachable(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    });
    pair.in_step().await?;
    replicate(&mut pair.at_replica, None).await?;
    let mut at_primary = by_hand(&OnRedis { url: pair.primary.url() }).await?;
    replicate(&mut at_primary, Some(pair.replica.address()?)).await?;
    for _ in 0..2 {
        let refusal = bus.publish(&known, &entries(EVENTS, 0, ["x"])).await;
        assert!(matches!(refusal, Err(BusError::Unreachable(_))), "{refusal:?}");
    }
    pair.name.retarget(pair.replica.address()?);
    let refusal = once_reachable("the new one is found", async || bus.publish(&known, &[]).await).await;
    assert!(matches!(refusal, Err(BusError::Reborn)), "{refusal:?}");
    publish(&bus, &entries(EVENTS, 0, ["at the new one"])).await?;
    tokio::time::timeout(PATIENCE, reading).await.context("the reader does not find it")???;
    Ok(())
}

/// Something between us and Redis keeps our connection over a failover: nothing tells but the
/// stream, which ends too early.
#[tokio::test]
async fn a_stream_that_lost_its_end_is_noticed_although_no_connection_broke() -> Result<()> {
    for idle in [false, true] {
        let (_server, fixture, bus) = private(Persistence::None).await?;
        let other = fixture.declared().await?;
        let known = bus.incarnation().await?;
        publish(&bus, &entries(EVENTS, 0, ["kept"])).await?;
        publish(&other, &entries(EVENTS, 1, ["kept"])).await?;
        let mut hand = by_hand(&fixture).await?;
        let key = format!("{EVENTS}.0");
        let older: Vec<u8> = redis::cmd("DUMP").arg(&key).query_async(&mut hand).await?;
        let lost = publish(&bus, &entries(EVENTS, 0, ["lost"])).await?[0];
        redis::cmd("RESTORE").arg((&key, 0, older, "REPLACE")).query_async::<()>(&mut hand).await?;

        // Who has more to say, and who waits for it to be settled.
        let told = match idle {
            false => bus.publish(&known, &entries(EVENTS, 0, ["next"])).await.map(drop),
            true => bus.settled(EVENTS, 0).await.map(drop),
        };
        assert!(matches!(told, Err(BusError::Reborn)), "{told:?}");
        assert!(bus.lost_since(Some(&known), &[(EVENTS.into(), 0, lost)]).await?);
        // Where one stream has lost its end, others may have: all are told, also the idle.
        assert!(matches!(other.settled(EVENTS, 1).await, Err(BusError::Reborn)));
        assert!(matches!(other.publish(&known, &[]).await, Err(BusError::Reborn)));

        let next = publish(&bus, &entries(EVENTS, 0, ["lost", "next"])).await?;
        assert_eq!(bus.settled(EVENTS, 0).await?, None);
        assert!(!bus.lost_since(Some(&bus.incarnation().await?), &[(EVENTS.into(), 0, next[1])]).await?);
        let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
        assert_eq!(bodies(&take(&mut reader, 3).await?), ["kept", "lost", "next"]);
    }
    Ok(())
}

/// Several services share the bus of a process. The first to call after the restart sees the
/// connection break; the others see nothing of it.
#[tokio::test]
async fn who_only_waits_is_told_of_a_restart_that_somebody_else_has_seen() -> Result<()> {
    let (server, fixture, bus) = private(Persistence::AppendOnlyEverySecond).await?;
    let known = bus.incarnation().await?;
    let position = publish(&bus, &entries(EVENTS, 0, ["perhaps lost"])).await?[0];
    // The same row, taken up by a relay that found it published.
    let other = fixture.declared().await?;
    assert!(!other.lost_since(Some(&known), &[(EVENTS.into(), 0, position)]).await?);
    server.kill9()?;
    server.restart().await?;
    for bus in [bus, other] {
        once_reachable("somebody else's call", async || bus.inspect().await).await?;
        let told = bus.settled(EVENTS, 0).await;
        assert!(matches!(told, Err(BusError::Reborn)), "{told:?}");
        assert_eq!(bus.settled(EVENTS, 0).await?, None, "told once: what is published again is to be settled");
    }
    Ok(())
}

/// The machine died: of the append-only file, what was not synced is gone. (`kill -9` alone loses
/// nothing that Redis has written.)
#[tokio::test]
async fn a_server_without_its_last_second_lets_nothing_lost_pass_for_settled() -> Result<()> {
    let (server, fixture, bus) = private(Persistence::AppendOnlyEverySecond).await?;
    let known = bus.incarnation().await?;
    let file = server.folder()?.join("appendonlydir/appendonly.aof.1.incr.aof");
    let mut hand = by_hand(&fixture).await?;
    publish(&bus, &entries(COMMANDS, 0, 0..3)).await?;
    let mut reader = subscribe(&bus, "a", COMMANDS, &[0]).await?;
    let heard = take(&mut reader, 3).await?;
    ack(&bus, "a", &heard[..1]).await?;
    // While the disk is busy Redis answers first and writes later.
    until("what was answered is written", PATIENCE, async || {
        let info: String = redis::cmd("INFO").arg("persistence").query_async(&mut hand).await?;
        Ok(info.contains("aof_buffer_length:0\r").then_some(()))
    })
    .await?;
    let synced = file.metadata()?.len();
    ack(&bus, "a", &heard[1..]).await?;
    let lost = publish(&bus, &entries(COMMANDS, 0, ["lost", "lost too"])).await?;
    let heard = take(&mut reader, 2).await?;
    ack(&bus, "a", &heard).await?;
    assert_eq!(bus.settled(COMMANDS, 0).await?, Some(lost[1]));

    server.kill9()?;
    std::fs::File::options().write(true).open(&file)?.set_len(synced)?;
    server.restart().await?;
    let told = once_reachable("Redis is back", async || bus.settled(COMMANDS, 0).await).await;
    assert!(matches!(told, Err(BusError::Reborn)), "{told:?}");
    assert!(bus.lost_since(Some(&known), &[(COMMANDS.into(), 0, lost[1])]).await?);
    let again = publish(&bus, &entries(COMMANDS, 0, ["lost", "lost too"])).await?;
    assert!(again[0] > heard[0].position, "no position is given twice while the clock goes on");
    assert!(bus.settled(COMMANDS, 0).await? < Some(again[0]));
    let mut heard = Vec::new();
    while heard.len() < 4 {
        let next = once_reachable("the reader reads again", async || reader.next(10).await);
        heard.extend(tokio::time::timeout(PATIENCE, next).await.with_context(|| format!("only {heard:?}"))??);
    }
    // Two acks were lost with the rest: these two come a second time, the inbox knows them.
    assert_eq!(bodies(&heard), ["1", "2", "lost", "lost too"]);
    Ok(())
}
