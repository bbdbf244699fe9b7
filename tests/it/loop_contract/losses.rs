//! The broker loses its memory, or is away; the store ends its sessions. The rows
//! repair the first two, repetition under the same id the third.

use sqlx::Connection;
use tokio::sync::watch;

use super::held_bus::HeldBus;
use super::*;
use crate::servers::{Persistence, RedisServer};

everywhere! {
    a_slow_broker_makes_the_loop_neither_wait_nor_forget
    a_full_broker_is_emptied_of_what_was_heard
    a_broker_that_lost_everything_is_told_again_what_was_not_settled
}

/// The relay is stuck in one publish while the loop commits far more batches than
/// can be handed over: what was not handed over is found in the rows.
async fn a_slow_broker_makes_the_loop_neither_wait_nor_forget(world: &World) -> Result<()> {
    let gate = watch::Sender::new(false);
    let bus = HeldBus { bus: world.bus().await?, gate: gate.clone(), full: watch::Sender::new(false) };
    let running = world.start_on(Arc::new(bus)).await?;
    let probe = Probe::start(world).await?;
    for index in 0..200 {
        add(&running, &index.to_string(), "a", 1).await?;
    }
    gate.send_replace(true);
    assert_eq!(probe.until_count("a", 200).await?, 200);
    world.until_everything_is_settled().await?;
    running.stop().await;
    Ok(())
}

/// It refuses whatever is published. What it had before is acked meanwhile, and must be settled
/// and trimmed all the same, or it stays full for ever.
async fn a_full_broker_is_emptied_of_what_was_heard(world: &World) -> Result<()> {
    let full = watch::Sender::new(false);
    let bus = HeldBus { bus: world.bus().await?, gate: watch::Sender::new(true), full: full.clone() };
    let running = world.start_on(Arc::new(bus)).await?;
    for index in 0..20 {
        add(&running, &index.to_string(), "a", 1).await?;
    }
    until("all is published", PATIENCE, async || {
        let unpublished = world.db.read::<(i64,)>("SELECT id FROM outbox WHERE position IS NULL AND $1 <> ''", &[0; 0]);
        Ok(unpublished.await?.is_empty().then_some(()))
    })
    .await?;
    full.send_replace(true);
    add(&running, "refused", "a", 1).await?;
    let probe = Probe::start(world).await?;
    until("the rest is settled", PATIENCE, async || Ok((world.count("outbox").await? == 1).then_some(()))).await?;
    until("the streams are empty", PATIENCE, async || {
        let groups = world.bus().await?.inspect().await?.groups;
        Ok(groups.iter().all(|group| group.stream != OUT || group.length == 0).then_some(()))
    })
    .await?;
    full.send_replace(false);
    assert_eq!(probe.until_count("a", 21).await?, 21);
    world.until_everything_is_settled().await?;
    running.stop().await;
    Ok(())
}

/// Nobody has heard anything yet when the broker loses it.
async fn a_broker_that_lost_everything_is_told_again_what_was_not_settled(world: &World) -> Result<()> {
    let running = world.start().await?;
    let changes: Vec<_> = (1..=40).flat_map(|sequence| ["a", "b", "c"].map(|name| (name, sequence, 1))).collect();
    world.say(&changes).await?;
    for name in ["a", "b", "c"] {
        world.until_balance(name, 40).await?;
    }
    until("all is published", PATIENCE, async || {
        let unpublished = world.db.read::<(i64,)>("SELECT id FROM outbox WHERE position IS NULL AND $1 <> ''", &[0; 0]);
        Ok(unpublished.await?.is_empty().then_some(()))
    })
    .await?;
    running.stop().await;
    assert_eq!(world.count("outbox").await?, 120, "published, and not settled");
    world.lose_the_broker().await?;
    // The outside world says its own again, too.
    world.say(&changes).await?;
    let running = world.start().await?;
    let probe = Probe::start(world).await?;
    for name in ["a", "b", "c"] {
        assert_eq!(probe.until_count(name, 40).await?, 40);
    }
    world.until_everything_is_settled().await?;
    world.until_everything_is_acked().await?;
    assert!(world.balances().await?.values().all(|balance| *balance == 40), "the effects are still one each");
    running.stop().await;
    Ok(())
}

async fn with_redis(postgres: bool, redis: &RedisServer) -> Result<World> {
    let world = World::new(postgres, false).await?;
    Ok(World { broker: Arc::new(Broker::Redis(redis.url())), ..world })
}

/// Emptied while everything runs, several times.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redis_that_is_emptied_while_the_service_runs_loses_no_event() -> Result<()> {
    let redis = RedisServer::start(Persistence::None).await?;
    for postgres in [false, true] {
        let world = with_redis(postgres, &redis).await?;
        redis.flushall().await?;
        let running = world.start().await?;
        let probe = Probe::start(&world).await?;
        submit(running.handle(), command("reminder", Input::remind("bell", NOON + 10_000))).await?;
        for round in 0..5 {
            for index in 0..60 {
                if index == 30 {
                    redis.flushall().await?;
                }
                add(&running, &format!("{round} {index}"), ["a", "b"][index % 2], 1).await?;
            }
        }
        for name in ["a", "b"] {
            assert_eq!(probe.until_count(name, 150).await?, 150);
        }
        world.until_everything_is_settled().await?;
        // Before any sweep: the delay queue was told of the loss.
        world.clock.advance(Duration::from_secs(10));
        world.until_balance("bell", 1).await?;
        // And it can be spoken to again.
        world.say(&[("c", 1, 5)]).await?;
        world.until_balance("c", 5).await?;
        running.stop().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commands_are_answered_while_redis_is_away() -> Result<()> {
    let redis = RedisServer::start(Persistence::None).await?;
    let world = with_redis(false, &redis).await?;
    let running = world.start().await?;
    let probe = Probe::start(&world).await?;
    add(&running, "before", "a", 1).await?;
    probe.until_count("a", 1).await?;
    redis.kill9()?;
    for index in 0..100 {
        add(&running, &index.to_string(), "a", 1).await?;
    }
    submit(running.handle(), command("reminder", Input::remind("b", NOON))).await?;
    redis.restart().await?;
    assert_eq!(probe.until_count("a", 101).await?, 101);
    world.until_balance("b", 1).await?;
    world.until_everything_is_settled().await?;
    running.stop().await;
    Ok(())
}

/// A client is told UNAVAILABLE and repeats under the same id, which is safe also
/// when nobody knows what became of the first try.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_that_postgres_ends_lose_nothing_and_repeat_nothing() -> Result<()> {
    let world = World::new(true, false).await?;
    let running = world.start().await?;
    let probe = Probe::start(&world).await?;
    let clients: Vec<_> = (0..6)
        .map(|client| {
            let handle = running.handle();
            tokio::spawn(async move {
                for index in 0..50 {
                    while let Err(failure) =
                        submit(handle.clone(), command(&format!("{client} {index}"), Input::add("a", 1))).await
                    {
                        assert_eq!(failure.code(), Code::Unavailable, "{failure}");
                    }
                }
            })
        })
        .collect();
    world.say(&(1..=50).map(|sequence| ("b", sequence, 1)).collect::<Vec<_>>()).await?;
    let mut administrator = sqlx::PgConnection::connect(&world.address).await?;
    let mut ended = 0;
    while !clients.iter().all(tokio::task::JoinHandle::is_finished) {
        let before = world_sum(&mut administrator).await?;
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .execute(&mut administrator)
        .await?;
        ended += 1;
        let going_on = || clients.iter().any(|client| !client.is_finished());
        until("it goes on", PATIENCE, async || {
            Ok((world_sum(&mut administrator).await? > before + 30 || !going_on()).then_some(()))
        })
        .await?;
    }
    assert!(ended > 3);
    for client in clients {
        client.await?;
    }
    assert_eq!(probe.until_count("a", 300).await?, 300);
    assert_eq!(probe.until_count("b", 50).await?, 50);
    running.stop().await;
    Ok(())
}

async fn world_sum(connection: &mut sqlx::PgConnection) -> Result<i64> {
    let sum = sqlx::query_scalar("SELECT CAST(COALESCE(SUM(balance), 0) AS BIGINT) FROM accounts");
    Ok(sum.fetch_one(connection).await?)
}
