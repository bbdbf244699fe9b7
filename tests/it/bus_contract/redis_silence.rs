//! A Redis that is there and does not answer: nobody waits for ever, and nothing is lost by it.

use anyhow::{Context, Result};
use futures_util::future::join_all;
use platform::bus::BusError;

use super::redis_faults::{by_hand, hear_again, once_reachable, private};
use super::*;
use crate::servers::proxy::Proxy;
use crate::servers::{Persistence, RedisServer};

/// So many that, one after the other, they would wait for minutes.
const CALLERS: usize = 60;

/// Callers of every kind at once: each gets its answer, and it is that Redis is out of reach.
async fn nobody_hangs(bus: &Arc<dyn Bus>, known: &str) -> Result<()> {
    let calls = (0..CALLERS).map(|number| {
        let bus = bus.clone();
        async move {
            match number % 6 {
                0 => bus.publish(known, &entries(EVENTS, 0, ["x"])).await.map(drop),
                1 => bus.tail("sport").await.map(drop),
                2 => bus.subscribe("a", &[(EVENTS.into(), 0)]).await.map(drop),
                3 => bus.settled(EVENTS, 0).await.map(drop),
                4 => bus.inspect().await.map(drop),
                _ => bus.incarnation().await.map(drop),
            }
        }
    });
    let answers = tokio::time::timeout(PATIENCE, join_all(calls)).await.context("somebody waits and waits")?;
    for (number, answer) in answers.into_iter().enumerate() {
        assert!(matches!(answer, Err(BusError::Unreachable(_))), "{number}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_frozen_redis_keeps_nobody_and_goes_on_where_it_was() -> Result<()> {
    let (server, fixture, bus) = private(Persistence::None).await?;
    let known = bus.incarnation().await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    let tail = bus.tail("news").await?;
    publish(&bus, &entries(EVENTS, 0, ["before"])).await?;
    assert_eq!(bodies(&take(&mut reader, 1).await?), ["before"]);
    server.freeze()?;
    // First on the connections that there are, then on new ones.
    for _ in 0..2 {
        nobody_hangs(&bus, &known).await?;
    }
    let refused = tokio::time::timeout(PATIENCE, reader.next(1)).await.context("the reader hangs")?;
    assert!(matches!(refused, Err(BusError::Unreachable(_))), "{refused:?}");
    let refused = tokio::time::timeout(PATIENCE, RedisBus::connect(&fixture.url)).await.context("connect hangs")?;
    assert!(matches!(refused, Err(BusError::Unreachable(_))));

    server.thaw()?;
    // It has forgotten nothing: the same incarnation.
    once_reachable("it answers again", async || bus.publish(&known, &entries(EVENTS, 1, ["after"])).await).await?;
    let mut heard = Vec::new();
    while heard.is_empty() {
        heard = once_reachable("the reader reads again", async || reader.next(1).await).await?;
    }
    assert_eq!(bodies(&heard), ["before"], "it was not acked");
    hear_again(&bus, tail).await?;
    Ok(())
}

#[tokio::test]
async fn a_network_that_swallows_everything_keeps_nobody() -> Result<()> {
    let server = RedisServer::start(Persistence::None).await?;
    let (network, url) = Proxy::before(&server.url()).await?;
    let fixture = OnRedis { url };
    let bus = fixture.declared().await?;
    let known = bus.incarnation().await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    network.swallow(true);
    for _ in 0..2 {
        nobody_hangs(&bus, &known).await?;
    }
    let refused = tokio::time::timeout(PATIENCE, reader.next(1)).await.context("the reader hangs")?;
    assert!(matches!(refused, Err(BusError::Unreachable(_))), "{refused:?}");
    network.cut();
    network.swallow(false);
    once_reachable("it answers again", async || bus.publish(&known, &entries(EVENTS, 0, ["x"])).await).await?;
    let heard = once_reachable("the reader reads again", async || reader.next(1).await).await?;
    assert_eq!(bodies(&heard), ["x"]);
    Ok(())
}

#[tokio::test]
async fn a_slow_redis_is_slow_and_nothing_else() -> Result<()> {
    let (_server, fixture, bus) = private(Persistence::None).await?;
    let known = bus.incarnation().await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    let mut hand = by_hand(&fixture).await?;
    redis::cmd("CLIENT").arg(("PAUSE", 1_500, "ALL")).query_async::<()>(&mut hand).await?;
    bus.publish(&known, &entries(EVENTS, 0, ["late"])).await?;
    assert_eq!(bodies(&take(&mut reader, 1).await?), ["late"]);
    Ok(())
}
