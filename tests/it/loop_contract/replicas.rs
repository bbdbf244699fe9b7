//! Two processes of one service on one Postgres.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

on! { embedded, true, false,
    two_replicas_hammering_the_same_accounts_lose_nothing
    one_id_at_two_replicas_has_one_effect
    who_survives_takes_over_the_partitions
    an_orderly_end_hands_the_partitions_over
    who_slept_through_its_lease_does_no_harm
}
on! { redis, true, true,
    two_replicas_hammering_the_same_accounts_lose_nothing
    one_id_at_two_replicas_has_one_effect
    who_survives_takes_over_the_partitions
    an_orderly_end_hands_the_partitions_over
    who_slept_through_its_lease_does_no_harm
}

const ACCOUNTS: usize = 5;

async fn two_replicas_hammering_the_same_accounts_lose_nothing(world: &World) -> Result<()> {
    let mut random = seeded();
    let replicas = [world.start().await?, world.start().await?];
    let probe = Probe::start(world).await?;
    let clients: Vec<_> = (0..16)
        .map(|client| {
            let handle = replicas[client % 2].handle();
            let mut random = StdRng::seed_from_u64(random.random());
            tokio::spawn(async move {
                let mut sums = [0; ACCOUNTS];
                for index in 0..50 {
                    let account = random.random_range(0..ACCOUNTS);
                    let n = random.random_range(-5..10);
                    // 13 is not among them: an unlucky number.
                    let input = Input::add(&format!("account {account}"), n);
                    match submit(handle.clone(), command(&format!("{client} {index}"), input)).await {
                        Ok(_) => sums[account] += n,
                        Err(Failure::Rejected(rejection)) => assert_eq!(rejection.code, Code::Shortage),
                        Err(other) => panic!("{other}"),
                    }
                }
                sums
            })
        })
        .collect();
    // And messages for the same accounts, to whoever holds their partitions.
    let messages: Vec<_> = (1..=100).map(|sequence| ("account 0", sequence, 2)).collect();
    world.say(&messages).await?;
    let mut sums = [0; ACCOUNTS];
    for client in clients {
        let theirs = client.await?;
        sums.iter_mut().zip(theirs).for_each(|(sum, theirs)| *sum += theirs);
    }
    sums[0] += 200;
    for (account, sum) in sums.iter().enumerate() {
        world.until_balance(&format!("account {account}"), *sum).await?;
    }
    world.until_everything_is_settled().await?;
    let heads: Vec<(String, i64)> =
        world.db.read("SELECT subject, last FROM outbox_heads WHERE $1 <> ''", &[0; 0]).await?;
    for (account, said) in heads {
        let last = probe.until_count(&account, usize::try_from(said)?).await?;
        assert_eq!(last, world.balance(&account).await?, "the last word is the truth");
    }
    world.until_everything_is_acked().await?;
    for replica in replicas {
        replica.stop().await;
    }
    Ok(())
}

async fn one_id_at_two_replicas_has_one_effect(world: &World) -> Result<()> {
    let replicas = [world.start().await?, world.start().await?];
    for round in 0..30 {
        let ask =
            |replica: usize| submit(replicas[replica].handle(), command(&format!("id {round}"), Input::add("a", 1)));
        let (one, other) = tokio::join!(ask(0), ask(1));
        assert_eq!((one?, other?), (round + 1, round + 1));
    }
    assert_eq!(world.balance("a").await?, 30);
    for replica in replicas {
        replica.stop().await;
    }
    Ok(())
}

fn one_each(sequence: i64) -> Vec<(&'static str, i64, i64)> {
    ["a", "b", "c", "d", "e", "f"].map(|name| (name, sequence, 1)).into()
}

async fn until_all_have(world: &World, balance: i64) -> Result<()> {
    for (name, ..) in one_each(0) {
        world.until_balance(name, balance).await?;
    }
    Ok(())
}

async fn who_survives_takes_over_the_partitions(world: &World) -> Result<()> {
    let victim = world.start().await?;
    world.say(&one_each(1)).await?;
    until_all_have(world, 1).await?;
    let survivor = world.start().await?;
    // What the victim has been given and has not done when it is killed.
    world.script.work.send_replace(false);
    let before = world.script.loads();
    world.say(&one_each(2)).await?;
    until("one is at work", PATIENCE, async || Ok((world.script.loads() > before).then_some(()))).await?;
    victim.abort();
    world.script.work.send_replace(true);
    world.say(&one_each(3)).await?;
    // Once the leases of the dead have lapsed.
    until_all_have(world, 3).await?;
    let probe = Probe::start(world).await?;
    for (name, ..) in one_each(0) {
        assert_eq!(probe.until_count(name, 3).await?, 3);
    }
    world.until_everything_is_settled().await?;
    world.until_everything_is_acked().await?;
    survivor.stop().await;
    Ok(())
}

async fn an_orderly_end_hands_the_partitions_over(world: &World) -> Result<()> {
    let first = world.start().await?;
    world.say(&one_each(1)).await?;
    until_all_have(world, 1).await?;
    let second = world.start().await?;
    first.stop().await;
    world.say(&one_each(2)).await?;
    until_all_have(world, 2).await?;
    let holders: Vec<(String,)> = world.db.read("SELECT DISTINCT holder FROM leases WHERE $1 <> ''", &[0; 0]).await?;
    assert_eq!(holders.len(), 1);
    second.stop().await;
    Ok(())
}

/// A process holds messages that it was given under a lease which another has
/// taken over by the time it comes to decide them.
async fn who_slept_through_its_lease_does_no_harm(world: &World) -> Result<()> {
    let sleeper = world.start().await?;
    world.say(&one_each(1)).await?;
    until_all_have(world, 1).await?;
    world.until_everything_is_acked().await?;
    // Asleep in a unit of work that has nothing to do with any lease.
    world.script.work.send_replace(false);
    let before = world.script.loads();
    let asleep = tokio::spawn(submit(sleeper.handle(), command("plug", Input::add("plug", 0))));
    until("it sleeps", PATIENCE, async || Ok((world.script.loads() > before).then_some(()))).await?;
    world.say(&one_each(2)).await?;
    let bus = world.bus().await?;
    until("it has been given the messages", PATIENCE, async || {
        let groups = bus.inspect().await?.groups;
        let given: u64 = groups.iter().filter(|group| group.stream == IN).map(|group| group.pending).sum();
        // All six, or as many reads as there is room for while the loop sleeps.
        Ok((given >= 4).then_some(()))
    })
    .await?;
    let mut tx = world.db.begin().await?;
    let take_over =
        "UPDATE leases SET holder = 'another', epoch = epoch + 1, expires_at = 9000000000000 WHERE $1 <> ''";
    assert_eq!(tx.execute(take_over, &[0; 0]).await?, u64::from(PARTITIONS));
    tx.commit().await?;
    world.script.work.send_replace(true);
    asleep.await??;
    // Deliveries go before commands: when this is answered, they have been decided.
    add(&sleeper, "after", "plug", 1).await?;
    assert!(world.balances().await?.iter().all(|(_, balance)| *balance == 1), "fenced off");
    // The other one ends, without having touched them.
    let mut tx = world.db.begin().await?;
    tx.execute("UPDATE leases SET expires_at = 0 WHERE $1 <> ''", &[0; 0]).await?;
    tx.commit().await?;
    until_all_have(world, 2).await?;
    world.until_everything_is_acked().await?;
    sleeper.stop().await;
    Ok(())
}
