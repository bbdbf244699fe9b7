//! Ends of the process, orderly or not: whatever was answered is there, whatever
//! was said is heard, and nothing happens twice.

use rand::Rng;

use super::*;

everywhere! {
    a_service_goes_on_where_it_was_stopped
    killed_again_and_again_it_loses_nothing_and_repeats_nothing
}

two_ways! {
    what_was_decided_before_a_kill_is_published_after_it
}

async fn a_service_goes_on_where_it_was_stopped(world: &World) -> Result<()> {
    let running = world.start().await?;
    add(&running, "1", "a", 1).await?;
    world.say(&[("a", 1, 10)]).await?;
    world.until_balance("a", 11).await?;
    running.stop().await;
    world.say(&[("a", 2, 100), ("b", 1, 5)]).await?;
    let running = world.start().await?;
    let probe = Probe::start(world).await?;
    world.until_balance("a", 111).await?;
    world.until_balance("b", 5).await?;
    add(&running, "2", "a", 1_000).await?;
    probe.until_changed("a", &[1, 10, 100, 1_000]).await?;
    world.until_everything_is_settled().await?;
    world.until_everything_is_acked().await?;
    running.stop().await;
    Ok(())
}

async fn what_was_decided_before_a_kill_is_published_after_it(world: &World) -> Result<()> {
    let running = world.start().await?;
    let commands: Vec<_> = (0..300).map(|id| command(&id.to_string(), Input::add("a", 1))).collect();
    // Killed in the moment of the answer: the relay has hardly begun.
    world.in_one_go(&running.handle(), commands).await?.into_iter().collect::<Result<Vec<_>, _>>()?;
    running.abort();
    let running = world.start().await?;
    let probe = Probe::start(world).await?;
    assert_eq!(probe.until_count("a", 300).await?, 300);
    world.until_everything_is_settled().await?;
    running.stop().await;
    Ok(())
}

/// Five lives of a random number of answers each. Clients repeat what was not
/// answered under the same id; messages are published once and stay with the broker.
async fn killed_again_and_again_it_loses_nothing_and_repeats_nothing(world: &World) -> Result<()> {
    const CLIENTS: usize = 8;
    const EACH: usize = 60;
    const MESSAGES: i64 = 100;
    let mut random = seeded();
    let mut left: Vec<usize> = vec![0; CLIENTS];
    let probe = Probe::start(world).await?;
    let messages: Vec<_> =
        (1..=MESSAGES).flat_map(|sequence| ["a", "b", "c"].map(|name| (name, sequence, 1))).collect();
    world.say(&messages).await?;
    for _ in 0..4 {
        let running = world.start().await?;
        let mut answers = random.random_range(1..CLIENTS * EACH / 5);
        let handle = running.handle();
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let clients: Vec<_> = left
            .iter()
            .enumerate()
            .map(|(client, from)| {
                let (from, handle, tell) = (*from, handle.clone(), tell.clone());
                tokio::spawn(async move {
                    for index in from..EACH {
                        let command = command(&format!("{client} {index}"), Input::add("a", 1));
                        if submit(handle.clone(), command).await.is_err() || tell.send(client).is_err() {
                            return;
                        }
                    }
                })
            })
            .collect();
        drop(tell);
        while answers > 0
            && let Some(client) = told.recv().await
        {
            left[client] += 1;
            answers -= 1;
        }
        running.abort();
        for client in clients {
            client.await?;
        }
        while let Some(client) = told.recv().await {
            left[client] += 1;
        }
    }
    let running = world.start().await?;
    for (client, from) in left.iter().enumerate() {
        for index in *from..EACH {
            add(&running, &format!("{client} {index}"), "a", 1).await?;
        }
    }
    let total = i64::try_from(CLIENTS * EACH)? + MESSAGES;
    world.until_balance("a", total).await?;
    world.until_balance("b", MESSAGES).await?;
    world.until_balance("c", MESSAGES).await?;
    assert_eq!(probe.until_count("a", CLIENTS * EACH + usize::try_from(MESSAGES)?).await?, total);
    world.until_everything_is_settled().await?;
    world.until_everything_is_acked().await?;
    assert_eq!(world.balance("a").await?, total);
    running.stop().await;
    Ok(())
}
