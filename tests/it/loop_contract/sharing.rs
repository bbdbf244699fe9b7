//! Processes that come and go share the partitions among them.

use std::sync::atomic::{AtomicBool, Ordering};

use super::island::Island;
use super::*;
use crate::servers::proxy::Proxy;

on! { embedded, true, false,
    replicas_share_equally_and_who_ends_in_order_is_followed_at_once
    nothing_is_lost_or_reordered_while_replicas_come_and_go
    what_is_in_flight_is_done_before_the_partition_changes_hands
    what_takes_too_long_does_not_keep_a_partition
    a_member_that_is_dead_is_followed_when_its_time_is_up
    who_slept_through_its_lease_is_fenced_off_and_gets_a_share_again
    what_a_replica_says_in_another_s_partition_needs_no_sweep
    a_hint_that_is_lost_costs_one_sweep
    a_timer_of_a_process_that_died_rings_at_another
    a_timer_that_was_committed_and_not_set_is_found_by_who_survives
}
on! { redis, true, true,
    replicas_share_equally_and_who_ends_in_order_is_followed_at_once
    nothing_is_lost_or_reordered_while_replicas_come_and_go
    what_is_in_flight_is_done_before_the_partition_changes_hands
    what_takes_too_long_does_not_keep_a_partition
    a_member_that_is_dead_is_followed_when_its_time_is_up
    who_slept_through_its_lease_is_fenced_off_and_gets_a_share_again
    what_a_replica_says_in_another_s_partition_needs_no_sweep
    a_hint_that_is_lost_costs_one_sweep
    a_timer_of_a_process_that_died_rings_at_another
    a_timer_that_was_committed_and_not_set_is_found_by_who_survives
}

const HOUR: Duration = Duration::from_secs(3_600);
const SECOND: Duration = Duration::from_secs(1);
const ACCOUNTS: [&str; 16] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];

/// The same world with eight partitions, in which leases last so long and sweeps are so
/// far apart.
fn eight(world: &World, lease: Duration, sweep: Duration) -> World {
    World { partitions: 8, pace: Pace { lease, sweep, grace: HOUR }, ..world.clone() }
}

/// How many partitions each holder has, most first.
async fn shares(world: &World) -> Result<Vec<i64>> {
    let sql = "SELECT COUNT(*) FROM leases WHERE holder <> $1 AND holder <> '' GROUP BY holder ORDER BY 1 DESC";
    let rows: Vec<(i64,)> = world.db.read(sql, &[0; 0]).await?;
    Ok(rows.into_iter().map(|(share,)| share).collect())
}

async fn until_shared(world: &World, wanted: &[i64]) -> Result<()> {
    let mut seen = Vec::new();
    until(&format!("shares are {wanted:?}"), PATIENCE, async || {
        seen = shares(world).await?;
        Ok((seen == wanted).then_some(()))
    })
    .await
    .map_err(|error| error.context(format!("shares are {seen:?}")))
}

/// By which message `sequence` changes an account. Never 13.
const fn amount(sequence: i64) -> i64 {
    20 + sequence % 100
}

/// One message to each account.
async fn say_to_all(world: &World, sequence: i64) -> Result<()> {
    world.say(&ACCOUNTS.map(|name| (name, sequence, amount(sequence)))).await
}

/// Waits until every account has obeyed messages 1 to `last`, and asserts that it did so
/// in their order and once.
async fn until_all_obeyed(world: &World, probe: &Probe, last: i64) -> Result<()> {
    let amounts: Vec<i64> = (1..=last).map(amount).collect();
    for name in ACCOUNTS {
        probe.until_changed(name, &amounts).await?;
        assert_eq!(world.balance(name).await?, amounts.iter().sum::<i64>());
    }
    Ok(())
}

/// No turn comes by itself here before the test is over.
async fn replicas_share_equally_and_who_ends_in_order_is_followed_at_once(world: &World) -> Result<()> {
    let world = eight(world, HOUR, HOUR);
    let first = world.start().await?;
    until_shared(&world, &[8]).await?;
    let second = world.start().await?;
    until_shared(&world, &[4, 4]).await?;
    let third = world.start().await?;
    until_shared(&world, &[3, 3, 2]).await?;
    let fourth = world.start().await?;
    until_shared(&world, &[2, 2, 2, 2]).await?;
    first.stop().await;
    until_shared(&world, &[3, 3, 2]).await?;
    fourth.stop().await;
    until_shared(&world, &[4, 4]).await?;
    let probe = Probe::start(&world).await?;
    say_to_all(&world, 1).await?;
    until_all_obeyed(&world, &probe, 1).await?;
    second.stop().await;
    until_shared(&world, &[8]).await?;
    say_to_all(&world, 2).await?;
    until_all_obeyed(&world, &probe, 2).await?;
    world.until_everything_is_settled().await?;
    third.stop().await;
    assert_eq!(
        (shares(&world).await?, world.count("members").await?),
        (vec![], 0),
        "the last one leaves nothing behind"
    );
    Ok(())
}

async fn nothing_is_lost_or_reordered_while_replicas_come_and_go(world: &World) -> Result<()> {
    let world = eight(world, SECOND, SECOND);
    let probe = Probe::start(&world).await?;
    let go_on = AtomicBool::new(true);
    let speak = async {
        let mut last = 0;
        while go_on.load(Ordering::SeqCst) || last < 50 {
            last += 1;
            say_to_all(&world, last).await?;
            // Not faster than they are obeyed, or the end is far behind.
            let enough: i64 = (1..=last - 10).map(amount).sum();
            until("it is heard", PATIENCE, async || Ok((world.balance("a").await? >= enough).then_some(()))).await?;
        }
        anyhow::Ok(last)
    };
    let come_and_go = async {
        let first = world.start().await?;
        until_shared(&world, &[8]).await?;
        let second = world.start().await?;
        until_shared(&world, &[4, 4]).await?;
        let third = world.start().await?;
        until_shared(&world, &[3, 3, 2]).await?;
        // As if killed.
        second.abort();
        until_shared(&world, &[4, 4]).await?;
        first.stop().await;
        until_shared(&world, &[8]).await?;
        let fourth = world.start().await?;
        until_shared(&world, &[4, 4]).await?;
        go_on.store(false, Ordering::SeqCst);
        anyhow::Ok([third, fourth])
    };
    let (last, replicas) = tokio::try_join!(speak, come_and_go)?;
    until_all_obeyed(&world, &probe, last).await?;
    world.until_everything_is_settled().await?;
    world.until_everything_is_acked().await?;
    for replica in replicas {
        replica.stop().await;
    }
    Ok(())
}

/// Asks the partner about each account, with his answer held back; until all are asked.
async fn all_on_the_telephone(world: &World) -> Result<()> {
    world.script.partner.send_replace(false);
    let ask = |name: &'static str| (name, letter(name, 1, &toy::AskThenChange { name: name.into(), n: amount(1) }));
    world.publish(&ACCOUNTS.map(ask)).await?;
    until("all are asked", PATIENCE, async || Ok((world.script.asked().len() == ACCOUNTS.len()).then_some(()))).await
}

async fn what_is_in_flight_is_done_before_the_partition_changes_hands(world: &World) -> Result<()> {
    let world = eight(world, HOUR, HOUR);
    let first = world.start().await?;
    until_shared(&world, &[8]).await?;
    all_on_the_telephone(&world).await?;
    let second = world.start().await?;
    // The first one keeps the lower half, and reads nothing else any more.
    let others: Vec<String> = (0..32).map(|number| format!("other {number}")).collect();
    let changes: Vec<_> = others.iter().map(|name| (name.as_str(), 1, 1)).collect();
    until("it reads the lower half only", PATIENCE, async || {
        let sequence = 1 + world.balances().await?.values().copied().max().unwrap_or(0);
        let said: Vec<_> = changes.iter().map(|(name, ..)| (*name, sequence, 1)).collect();
        world.say(&said).await?;
        let kept: Vec<&String> = others.iter().filter(|name| partition_of(name, 8) < 4).collect();
        for name in &kept {
            world.until_balance(name, sequence).await?;
        }
        let balances = world.balances().await?;
        Ok((balances.values().filter(|balance| **balance == sequence).count() == kept.len()).then_some(()))
    })
    .await?;
    assert_eq!(shares(&world).await?, [8], "it has not let go of what is on the telephone");
    world.script.partner.send_replace(true);
    until_shared(&world, &[4, 4]).await?;
    for name in ACCOUNTS {
        world.until_balance(name, amount(1)).await?;
    }
    world.until_everything_is_acked().await?;
    assert_eq!(world.script.asked().len(), ACCOUNTS.len(), "nobody was asked twice");
    first.stop().await;
    second.stop().await;
    Ok(())
}

async fn what_takes_too_long_does_not_keep_a_partition(world: &World) -> Result<()> {
    let mut world = eight(world, HOUR, HOUR);
    world.pace.grace = Duration::from_millis(100);
    let first = world.start().await?;
    until_shared(&world, &[8]).await?;
    all_on_the_telephone(&world).await?;
    let second = world.start().await?;
    until_shared(&world, &[4, 4]).await?;
    world.script.partner.send_replace(true);
    let probe = Probe::start(&world).await?;
    until_all_obeyed(&world, &probe, 1).await?;
    world.until_everything_is_acked().await?;
    first.stop().await;
    second.stop().await;
    Ok(())
}

async fn a_member_that_is_dead_is_followed_when_its_time_is_up(world: &World) -> Result<()> {
    let world = eight(world, SECOND, SECOND);
    let replicas = [world.start().await?, world.start().await?, world.start().await?];
    until_shared(&world, &[3, 3, 2]).await?;
    let probe = Probe::start(&world).await?;
    // Killed with hands full: what each has been given is pending.
    world.script.work.send_replace(false);
    let before = world.script.loads();
    say_to_all(&world, 1).await?;
    until("all are at work", PATIENCE, async || Ok((world.script.loads() >= before + 3).then_some(()))).await?;
    let [first, second, third] = replicas;
    second.abort();
    world.script.work.send_replace(true);
    say_to_all(&world, 2).await?;
    until_shared(&world, &[4, 4]).await?;
    until_all_obeyed(&world, &probe, 2).await?;
    world.until_everything_is_settled().await?;
    world.until_everything_is_acked().await?;
    assert_eq!(world.count("members").await?, 2);
    first.stop().await;
    third.stop().await;
    Ok(())
}

async fn who_slept_through_its_lease_is_fenced_off_and_gets_a_share_again(world: &World) -> Result<()> {
    let world = eight(world, SECOND, SECOND);
    let sleeper = Island::start(&world).await?;
    let other = world.start().await?;
    until_shared(&world, &[4, 4]).await?;
    let probe = Probe::start(&world).await?;
    for round in 0..3 {
        let last = 20 * round;
        // In the middle of its work.
        for sequence in 1..=5 {
            say_to_all(&world, last + sequence).await?;
        }
        let asked = ACCOUNTS.map(|name| {
            let handle = sleeper.handle.clone();
            tokio::spawn(submit(handle, command(&format!("{name} {round}"), Input::add("asked", 1))))
        });
        let thaw = sleeper.freeze().await?;
        for sequence in 6..=10 {
            say_to_all(&world, last + sequence).await?;
        }
        until_shared(&world, &[8]).await?;
        for sequence in 11..=15 {
            say_to_all(&world, last + sequence).await?;
        }
        until_all_obeyed(&world, &probe, last + 15).await?;
        // Whoever was not answered asks elsewhere, under the same id; and once more, for as long as the
        // sleeper lies in the middle of a transaction, with rows locked, and the server has not ended it.
        for name in ACCOUNTS {
            let told = until("somebody answers", PATIENCE, async || {
                match add(&other, &format!("{name} {round}"), "asked", 1).await {
                    Err(failure) if failure.code() == Code::Unavailable => Ok(None),
                    told => Ok(Some(told)),
                }
            });
            told.await??;
        }
        drop(thaw);
        for answer in asked {
            if let Err(failure) = answer.await? {
                assert_eq!(failure.code(), Code::Unavailable, "its transaction was ended for it: {failure}");
            }
        }
        for sequence in 16..=20 {
            say_to_all(&world, last + sequence).await?;
        }
        until_shared(&world, &[4, 4]).await?;
        until_all_obeyed(&world, &probe, last + 20).await?;
        assert_eq!(world.balance("asked").await?, 16 * (round + 1), "each command once");
    }
    world.until_everything_is_settled().await?;
    world.until_everything_is_acked().await?;
    other.stop().await;
    until_shared(&world, &[8]).await?;
    sleeper.stop().await
}

async fn what_a_replica_says_in_another_s_partition_needs_no_sweep(world: &World) -> Result<()> {
    let world = eight(world, HOUR, HOUR);
    let replicas = [world.start().await?, world.start().await?];
    until_shared(&world, &[4, 4]).await?;
    let probe = Probe::start(&world).await?;
    // Again and again: the first rounds may be found by the sweep that a change of shares
    // makes, the others are not.
    for round in 1..=20 {
        for replica in &replicas {
            for name in ACCOUNTS {
                add(replica, &fresh_id(), name, 1).await?;
            }
        }
        for name in ACCOUNTS {
            assert_eq!(probe.until_count(name, 2 * round).await?, i64::try_from(2 * round)?);
        }
    }
    world.until_everything_is_settled().await?;
    for replica in replicas {
        replica.stop().await;
    }
    Ok(())
}

/// Somebody writes a row and dies before he can say so.
async fn a_hint_that_is_lost_costs_one_sweep(world: &World) -> Result<()> {
    let world = eight(world, HOUR, Duration::from_millis(100));
    let running = world.start().await?;
    until_shared(&world, &[8]).await?;
    let probe = Probe::start(&world).await?;
    add(&running, "1", "a", 1).await?;
    probe.until_count("a", 1).await?;
    for count in 2..=4 {
        let mut tx = world.db.begin().await?;
        let said = [platform::message::Outgoing::new(0, "a", "a", &toy::Changed { n: 1, balance: 1 })];
        let stamp = platform::store::outbox::Stamp {
            outlets: SPEC.outlets,
            partitions: world.partitions,
            now: NOON,
            causes: &["test".to_owned()],
        };
        platform::store::outbox::append(&mut tx, &said, stamp).await?;
        tx.commit().await?;
        probe.until_count("a", count).await?;
    }
    running.stop().await;
    Ok(())
}

/// The shop's clock is moved by hand, past the due time and not as far as any sweep of
/// the delay queue.
async fn a_timer_of_a_process_that_died_rings_at_another(world: &World) -> Result<()> {
    let world = eight(world, SECOND, HOUR);
    let (first, second) = (world.start().await?, world.start().await?);
    until_shared(&world, &[4, 4]).await?;
    let due = NOON + 5_000;
    for name in ACCOUNTS {
        submit(first.handle(), command(&fresh_id(), Input::remind(name, due))).await?;
    }
    let bus = world.bus().await?;
    until("they are set", PATIENCE, async || {
        let delayed = bus.inspect().await?.delayed;
        Ok(delayed.iter().any(|(_, count)| *count == ACCOUNTS.len() as u64).then_some(()))
    })
    .await?;
    first.abort();
    world.clock.advance(Duration::from_secs(6));
    for name in ACCOUNTS {
        world.until_balance(name, 1).await?;
    }
    second.stop().await;
    Ok(())
}

/// Killed between the commit and the delay queue: the row says that it is due, and the
/// index does not know it.
async fn a_timer_that_was_committed_and_not_set_is_found_by_who_survives(world: &World) -> Result<()> {
    let world = eight(world, SECOND, HOUR);
    let (first, second) = (world.start().await?, world.start().await?);
    until_shared(&world, &[4, 4]).await?;
    let mut tx = world.db.begin().await?;
    let row = [serde_json::json!({ "due": NOON + 5_000 })];
    tx.execute(
        "INSERT INTO reminders (name, due, rung) SELECT 'a', CAST(r.value->>'due' AS BIGINT), 0 FROM jsonb_each($1) AS r",
        &row,
    )
    .await?;
    tx.commit().await?;
    first.abort();
    world.clock.advance(Duration::from_secs(6));
    world.until_balance("a", 1).await?;
    second.stop().await;
    Ok(())
}

/// It reaches the database, and could renew for ever what it cannot work at.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_does_not_reach_the_broker_leaves_its_share_to_those_who_do() -> Result<()> {
    let world = eight(&World::new(true, true).await?, SECOND, SECOND);
    let Broker::Redis(url) = &*world.broker else { anyhow::bail!("it is on Redis") };
    let (proxy, through) = Proxy::before(url).await?;
    let far = World { broker: Arc::new(Broker::Redis(through)), ..world.clone() };
    let (first, second) = (world.start().await?, far.start().await?);
    let probe = Probe::start(&world).await?;
    for (round, silent) in (0..).zip([false, true]) {
        until_shared(&world, &[4, 4]).await?;
        say_to_all(&world, 2 * round + 1).await?;
        until_all_obeyed(&world, &probe, 2 * round + 1).await?;
        if silent {
            proxy.swallow(true);
        } else {
            proxy.refuse(true);
            proxy.cut();
        }
        say_to_all(&world, 2 * round + 2).await?;
        until_all_obeyed(&world, &probe, 2 * round + 2).await?;
        until_shared(&world, &[8]).await?;
        // It takes commands all the same, and the other one tells what comes of them.
        let said = usize::try_from(round)? + 1;
        add(&second, &said.to_string(), "taken", 1).await?;
        probe.until_count("taken", said).await?;
        proxy.cut();
        proxy.refuse(false);
        proxy.swallow(false);
    }
    until_shared(&world, &[4, 4]).await?;
    world.until_everything_is_settled().await?;
    world.until_everything_is_acked().await?;
    first.stop().await;
    second.stop().await;
    Ok(())
}
