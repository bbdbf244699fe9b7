//! Commands: batched, answered each for itself, with one effect per id; and what
//! becomes of those that cannot be done.

use super::toy::{AskThenChange, TOO_MUCH, UNLUCKY, UNSPEAKABLE};
use super::*;

everywhere! {
    concurrent_commands_are_batched_and_each_gets_its_own_answer
    an_id_that_comes_again_has_one_effect_and_the_same_answer
    what_a_command_says_is_published_and_settles
}

two_ways! {
    one_id_many_times_in_one_batch_has_one_effect
    an_id_with_another_request_is_a_conflict
    a_rejected_command_is_rejected_alone
    a_rejection_is_stored_like_an_answer
    a_command_without_an_id_is_decided_whenever_it_comes_and_leaves_no_result
    a_guilty_command_is_told_unavailable_and_its_neighbours_are_committed
    a_command_whose_decision_panics_harms_nobody_else
    a_command_whose_saving_panics_harms_nobody_else
    a_full_queue_answers_overloaded_and_loses_nothing_that_it_took
    a_command_may_ask_outside
    a_stop_answers_what_is_in_and_refuses_the_rest
}

fn one_more(count: usize, name: &str) -> Vec<Command> {
    (0..count).map(|index| command(&format!("{name} {index}"), Input::add(name, 1))).collect()
}

async fn concurrent_commands_are_batched_and_each_gets_its_own_answer(world: &World) -> Result<()> {
    let running = world.start().await?;
    let mut commands = Vec::new();
    for account in 0..20 {
        commands.extend(one_more(100, &format!("account {account}")));
    }
    let before = world.script.loads();
    let answers = world.in_one_go(&running.handle(), commands).await?;
    assert_eq!(world.script.loads() - before, 3, "the plug, then 1,024, then the rest");
    for answers in answers.chunks(100) {
        let balances: Vec<i64> = answers.iter().map(|answer| *answer.as_ref().unwrap()).collect();
        assert_eq!(balances, (1..=100).collect::<Vec<_>>(), "each sees what the one before it did");
    }
    assert!(world.balances().await?.iter().all(|(name, balance)| *balance == 100 || name == "plug"));
    running.stop().await;
    Ok(())
}

async fn an_id_that_comes_again_has_one_effect_and_the_same_answer(world: &World) -> Result<()> {
    let running = world.start().await?;
    assert_eq!(add(&running, "1", "a", 5).await?, 5);
    assert_eq!(add(&running, "2", "a", 5).await?, 10);
    assert_eq!(add(&running, "1", "a", 5).await?, 5, "as it was answered then");
    running.stop().await;
    let running = world.start().await?;
    assert_eq!(add(&running, "1", "a", 5).await?, 5, "also by the next process");
    assert_eq!(world.balance("a").await?, 10);
    running.stop().await;
    Ok(())
}

async fn what_a_command_says_is_published_and_settles(world: &World) -> Result<()> {
    let running = world.start().await?;
    let probe = Probe::start(world).await?;
    for n in [5, 7, -3] {
        add(&running, &n.to_string(), "a", n).await?;
    }
    probe.until_changed("a", &[5, 7, -3]).await?;
    world.until_everything_is_settled().await?;
    running.stop().await;
    Ok(())
}

async fn one_id_many_times_in_one_batch_has_one_effect(world: &World) -> Result<()> {
    let running = world.start().await?;
    let same = || command("same", Input::add("a", 5));
    let mut commands: Vec<_> = (0..50).map(|_| same()).collect();
    commands.insert(20, command("other", Input::add("a", 1)));
    let before = world.script.loads();
    let answers = world.in_one_go(&running.handle(), commands).await?;
    assert_eq!(world.script.loads() - before, 2, "the plug, then one unit of work");
    assert!(
        answers.iter().enumerate().all(|(index, answer)| *answer.as_ref().unwrap() == if index == 20 { 6 } else { 5 })
    );
    assert_eq!(world.balance("a").await?, 6);
    running.stop().await;
    Ok(())
}

async fn an_id_with_another_request_is_a_conflict(world: &World) -> Result<()> {
    let running = world.start().await?;
    add(&running, "1", "a", 5).await?;
    let answers = world
        .in_one_go(&running.handle(), vec![command("2", Input::add("a", 1)), command("2", Input::add("a", 2))])
        .await?;
    assert_eq!(answers.iter().map(code).collect::<Vec<_>>(), [None, Some(Code::Conflict)], "within a batch");
    assert_eq!(code(&add(&running, "1", "a", 6).await), Some(Code::Conflict));
    assert_eq!(world.balance("a").await?, 6);
    running.stop().await;
    Ok(())
}

async fn a_rejected_command_is_rejected_alone(world: &World) -> Result<()> {
    let running = world.start().await?;
    let amounts = [5, -6, 1, -7, -6, 2];
    let commands = amounts.iter().enumerate().map(|(id, n)| command(&id.to_string(), Input::add("a", *n))).collect();
    let before = world.script.loads();
    let answers = world.in_one_go(&running.handle(), commands).await?;
    assert_eq!(world.script.loads() - before, 2, "all in one batch");
    let told: Vec<_> = answers.iter().map(|answer| answer.as_ref().ok().copied()).collect();
    assert_eq!(told, [Some(5), None, Some(6), None, Some(0), Some(2)]);
    assert_eq!(code(&answers[1]), Some(Code::Shortage));
    assert_eq!(answers[3].as_ref().unwrap_err().public_message(), "a has only 6");
    assert_eq!(world.balance("a").await?, 2);
    running.stop().await;
    Ok(())
}

async fn a_rejection_is_stored_like_an_answer(world: &World) -> Result<()> {
    let running = world.start().await?;
    assert_eq!(code(&add(&running, "1", "a", -5).await), Some(Code::Shortage));
    add(&running, "2", "a", 10).await?;
    let again = add(&running, "1", "a", -5).await;
    assert_eq!(code(&again), Some(Code::Shortage), "although it could be done by now");
    assert_eq!(again.unwrap_err().public_message(), "a has only 0");
    running.stop().await;
    Ok(())
}

async fn a_command_without_an_id_is_decided_whenever_it_comes_and_leaves_no_result(world: &World) -> Result<()> {
    let running = world.start().await?;
    assert_eq!(code(&add(&running, "", "a", -5).await), Some(Code::Shortage));
    for balance in [5, 10] {
        assert_eq!(add(&running, "", "a", 5).await?, balance);
    }
    assert_eq!(code(&add(&running, "", "a", -11).await), Some(Code::Shortage), "another request is no conflict");
    assert_eq!(world.count("idempotency").await?, 0);
    let both = world
        .in_one_go(&running.handle(), vec![command("", Input::add("a", 1)), command("", Input::add("a", 1))])
        .await?;
    assert_eq!(both.iter().map(|answer| answer.as_ref().ok().copied()).collect::<Vec<_>>(), [Some(11), Some(12)]);
    assert_eq!(world.count("idempotency").await?, 1, "the plug's");
    running.stop().await;
    Ok(())
}

/// Thirty commands, one of them guilty.
async fn with_a_guilty_one(world: &World, guilty: i64) -> Result<()> {
    let running = world.start().await?;
    let mut commands = Vec::new();
    for index in 0..30 {
        let n = if index == 17 { guilty } else { 1 };
        commands.push(command(&index.to_string(), Input::add(&format!("account {}", index % 7), n)));
    }
    let answers = world.in_one_go(&running.handle(), commands).await?;
    for (index, answer) in answers.iter().enumerate() {
        let expected = (index == 17).then_some(Code::Unavailable);
        assert_eq!(code(answer), expected, "command {index}");
    }
    assert_eq!(world.balances().await?.values().sum::<i64>(), 29);
    let again = add(&running, "17", "account 3", guilty).await;
    assert_eq!(code(&again), Some(Code::Unavailable), "not stored: it may be tried again");
    // It has the commands 3, 10 and 24 by now.
    assert_eq!(add(&running, "31", "account 3", 1).await?, 4);
    running.stop().await;
    Ok(())
}

async fn a_guilty_command_is_told_unavailable_and_its_neighbours_are_committed(world: &World) -> Result<()> {
    with_a_guilty_one(world, TOO_MUCH).await
}

async fn a_command_whose_decision_panics_harms_nobody_else(world: &World) -> Result<()> {
    with_a_guilty_one(world, UNLUCKY).await
}

async fn a_command_whose_saving_panics_harms_nobody_else(world: &World) -> Result<()> {
    with_a_guilty_one(world, UNSPEAKABLE).await
}

async fn a_full_queue_answers_overloaded_and_loses_nothing_that_it_took(world: &World) -> Result<()> {
    let running = world.start().await?;
    let answers = world.in_one_go(&running.handle(), one_more(8_192 + 100, "a")).await?;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.is_ok());
    assert_eq!((taken.len(), refused.len()), (8_192, 100));
    assert!(refused.iter().all(|answer| code(answer) == Some(Code::Overloaded)));
    assert_eq!(world.balance("a").await?, 8_192);
    running.stop().await;
    Ok(())
}

async fn a_command_may_ask_outside(world: &World) -> Result<()> {
    let running = world.start().await?;
    let ask = || command("1", Input::Ask(AskThenChange { name: "a".into(), n: 5 }));
    world.script.failures.lock().unwrap().insert("a".into(), 1);
    assert_eq!(code(&submit(running.handle(), ask()).await), Some(Code::Unavailable));
    let answers = world.in_one_go(&running.handle(), vec![ask(), ask(), ask()]).await?;
    assert!(answers.iter().all(|answer| *answer.as_ref().unwrap() == 5));
    assert_eq!(submit(running.handle(), ask()).await?, 5);
    assert_eq!(world.balance("a").await?, 5, "whoever asked how often");
    running.stop().await;
    Ok(())
}

/// More clients than fit into a batch, who never pause: the queue is never empty.
async fn a_stop_answers_what_is_in_and_refuses_the_rest(world: &World) -> Result<()> {
    let running = world.start().await?;
    let clients: Vec<_> = (0..3_000)
        .map(|client| {
            let handle = running.handle();
            tokio::spawn(async move {
                let mut done = 0;
                for attempt in 0.. {
                    let command = command(&format!("{client} {attempt}"), Input::add("a", 1));
                    match submit(handle.clone(), command).await {
                        Ok(_) => done += 1,
                        // Each asks on while it is told anything else than the stop.
                        Err(Failure::Unavailable(told)) if told.cause.contains("stop") => break,
                        Err(_) => tokio::task::yield_now().await,
                    }
                }
                done
            })
        })
        .collect();
    until("they are at it", PATIENCE, async || Ok((world.balance("a").await? > 5_000).then_some(()))).await?;
    running.stop().await;
    let mut done = 0;
    for client in clients {
        done += tokio::time::timeout(PATIENCE, client).await??;
    }
    assert_eq!(world.balance("a").await?, done, "what was answered is in the store, and nothing else");
    Ok(())
}
