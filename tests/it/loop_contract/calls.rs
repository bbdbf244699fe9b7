//! External calls: beside the loop, in order per subject, and asked again.

use platform::bus::Timer;

use super::toy::{AskThenChange, TABOO};
use super::*;

everywhere! {
    a_partner_that_fails_twice_is_asked_again_and_the_order_is_kept
}

two_ways! {
    while_the_partner_thinks_its_subject_waits_and_others_go_on
    what_another_source_says_of_the_subject_waits_too
    a_redrive_that_fires_twice_is_one_attempt
    a_redrive_before_its_time_is_disobeyed
    a_partner_that_never_answers_makes_a_dead_letter
    a_call_that_panics_is_a_failed_call
    who_is_killed_during_a_call_asks_again
    a_parked_message_outlives_the_process
}

fn ask(name: &str, sequence: i64, n: i64) -> (&str, String) {
    (name, letter(name, sequence, &AskThenChange { name: name.into(), n }))
}

fn change(name: &str, sequence: i64, n: i64) -> (&str, String) {
    (name, letter(name, sequence, &Change { name: name.into(), n }))
}

fn fails(world: &World, name: &str, times: usize) {
    world.script.failures.lock().unwrap().insert(name.to_owned(), times);
}

async fn until_asked(world: &World, names: &[&str]) -> Result<()> {
    until("the partner is asked", PATIENCE, async || Ok((world.script.asked() == names).then_some(()))).await
}

async fn a_partner_that_fails_twice_is_asked_again_and_the_order_is_kept(world: &World) -> Result<()> {
    fails(world, "a", 2);
    let running = world.start().await?;
    let probe = Probe::start(world).await?;
    world.publish(&[ask("a", 1, 1), change("a", 2, 10), ask("a", 3, 100), change("b", 1, 5)]).await?;
    world.until_balance("b", 5).await?;
    let behind = [("a", 2, "BEHIND", 0), ("a", 3, "BEHIND", 0)];
    for attempt in 1..=2 {
        let parked = world.until_parked(&[("a", 1, "RETRY", attempt), behind[0], behind[1]]).await?;
        assert!(parked[0].errors.contains("the partner does not answer"), "{}", parked[0].errors);
        assert_eq!(world.balance("a").await?, 0, "nobody of the subject overtakes it");
        world.clock.advance(A_WHILE);
    }
    probe.until_changed("a", &[1, 10, 100]).await?;
    world.until_parked(&[]).await?;
    assert_eq!(world.script.asked(), ["a"; 4], "twice in vain, then for the first and the third");
    // The line is free again.
    world.publish(&[change("a", 4, 1_000)]).await?;
    world.until_balance("a", 1_111).await?;
    world.until_everything_is_acked().await?;
    running.stop().await;
    Ok(())
}

async fn while_the_partner_thinks_its_subject_waits_and_others_go_on(world: &World) -> Result<()> {
    world.script.partner.send_replace(false);
    let running = world.start().await?;
    let probe = Probe::start(world).await?;
    world.publish(&[ask("a", 1, 1), change("a", 2, 10), change("b", 1, 5)]).await?;
    world.until_balance("b", 5).await?;
    until_asked(world, &["a"]).await?;
    world.publish(&[change("a", 3, 100), ask("a", 4, 1_000), ask("c", 1, 7), change("b", 2, 5)]).await?;
    world.until_balance("b", 10).await?;
    until_asked(world, &["a", "c"]).await?;
    // Delivered a second time meanwhile: no second question.
    world.publish(&[ask("a", 1, 1), change("b", 3, 5)]).await?;
    world.until_balance("b", 15).await?;
    assert_eq!(world.balance("a").await?, 0);
    assert_eq!(world.script.asked(), ["a", "c"]);
    // Nor do commands wait for it.
    assert_eq!(add(&running, "1", "b", 5).await?, 20);
    world.script.partner.send_replace(true);
    probe.until_changed("a", &[1, 10, 100, 1_000]).await?;
    probe.until_changed("c", &[7]).await?;
    world.until_everything_is_acked().await?;
    assert_eq!(world.script.asked(), ["a", "c", "a"]);
    running.stop().await;
    Ok(())
}

async fn what_another_source_says_of_the_subject_waits_too(world: &World) -> Result<()> {
    world.script.partner.send_replace(false);
    let running = world.start().await?;
    let probe = Probe::start(world).await?;
    let other = |sequence, n| ("a", letter_from("/other", "a", sequence, &Change { name: "a".into(), n }));
    // In one batch with the question, and after it.
    world.publish(&[ask("a", 1, 1), other(1, 20), change("b", 1, 5)]).await?;
    world.until_balance("b", 5).await?;
    world.publish(&[other(2, 300), change("b", 2, 5)]).await?;
    world.until_balance("b", 10).await?;
    assert_eq!(world.balance("a").await?, 0);
    world.script.partner.send_replace(true);
    probe.until_changed("a", &[1, 20, 300]).await?;
    world.until_everything_is_acked().await?;
    running.stop().await;
    Ok(())
}

/// The second copy comes while the first one's call is under way, as after a
/// reader's new beginning, and so its row is still as it was.
async fn a_redrive_that_fires_twice_is_one_attempt(world: &World) -> Result<()> {
    fails(world, "a", 2);
    let running = world.start().await?;
    world.publish(&[ask("a", 1, 1)]).await?;
    let parked = world.until_parked(&[("a", 1, "RETRY", 1)]).await?;
    world.script.partner.send_replace(false);
    world.clock.advance(A_WHILE);
    until_asked(world, &["a", "a"]).await?;
    let again =
        Timer { subject: "a".into(), kind: format!("redrive:{OUTSIDE}"), attempt: 9, due: parked[0].next_due.unwrap() };
    world.bus().await?.schedule(SPEC.timers, &[again]).await?;
    // Makes the mover look, and comes out of the same partition after it.
    let same = |name: &String| partition_of(name, PARTITIONS) == partition_of("a", PARTITIONS);
    let witness = (0..).map(|index| format!("witness {index}")).find(same).unwrap();
    submit(running.handle(), command("1", Input::remind(&witness, world.clock.now()))).await?;
    world.until_balance(&witness, 1).await?;
    world.script.partner.send_replace(true);
    world.until_parked(&[("a", 1, "RETRY", 2)]).await?;
    world.until_everything_is_acked().await?;
    assert_eq!(world.script.asked(), ["a", "a"], "the third question has its own time");
    world.clock.advance(A_WHILE);
    world.until_balance("a", 1).await?;
    running.stop().await;
    Ok(())
}

async fn a_redrive_before_its_time_is_disobeyed(world: &World) -> Result<()> {
    fails(world, "a", 1);
    let running = world.start().await?;
    world.publish(&[ask("a", 1, 1)]).await?;
    world.until_parked(&[("a", 1, "RETRY", 1)]).await?;
    let stray = Timer { subject: "a".into(), kind: format!("redrive:{OUTSIDE}"), attempt: 9, due: NOON };
    world.bus().await?.schedule(SPEC.timers, &[stray]).await?;
    // Makes the mover look.
    submit(running.handle(), command("1", Input::remind("b", NOON))).await?;
    world.until_balance("b", 1).await?;
    world.until_everything_is_acked().await?;
    add(&running, "2", "b", 1).await?;
    assert_eq!(world.script.asked(), ["a"], "not asked again yet");
    world.clock.advance(A_WHILE);
    world.until_balance("a", 1).await?;
    running.stop().await;
    Ok(())
}

async fn a_partner_that_never_answers_makes_a_dead_letter(world: &World) -> Result<()> {
    fails(world, "a", usize::MAX);
    let running = world.start().await?;
    world.publish(&[ask("a", 1, 1), change("a", 2, 10)]).await?;
    for attempt in 1..=2 {
        world.until_parked(&[("a", 1, "RETRY", attempt), ("a", 2, "BEHIND", 0)]).await?;
        world.clock.advance(A_WHILE);
    }
    world.until_parked(&[("a", 1, "DEAD", 3), ("a", 2, "BEHIND", 0)]).await?;
    world.clock.advance(A_WHILE);
    add(&running, "1", "b", 1).await?;
    assert_eq!(world.script.asked().len(), 3, "nobody asks any more");
    running.stop().await;
    Ok(())
}

async fn a_call_that_panics_is_a_failed_call(world: &World) -> Result<()> {
    let running = world.start().await?;
    world.publish(&[ask(TABOO, 1, 1), ask("b", 1, 5)]).await?;
    world.until_balance("b", 5).await?;
    let parked = world.until_parked(&[(TABOO, 1, "RETRY", 1)]).await?;
    assert!(parked[0].errors.contains("nobody speaks of that"), "{}", parked[0].errors);
    world.until_everything_is_acked().await?;
    running.stop().await;
    Ok(())
}

async fn who_is_killed_during_a_call_asks_again(world: &World) -> Result<()> {
    world.script.partner.send_replace(false);
    let running = world.start().await?;
    world.publish(&[ask("a", 1, 1), change("a", 2, 10)]).await?;
    until_asked(world, &["a"]).await?;
    running.abort();
    let running = world.start().await?;
    until_asked(world, &["a", "a"]).await?;
    // Now the question of the dead process is answered, too.
    world.script.partner.send_replace(true);
    world.until_balance("a", 11).await?;
    world.until_everything_is_acked().await?;
    assert_eq!(world.balance("a").await?, 11);
    running.stop().await;
    Ok(())
}

async fn a_parked_message_outlives_the_process(world: &World) -> Result<()> {
    fails(world, "a", 1);
    let running = world.start().await?;
    world.publish(&[ask("a", 1, 1), change("a", 2, 10)]).await?;
    world.until_parked(&[("a", 1, "RETRY", 1), ("a", 2, "BEHIND", 0)]).await?;
    world.until_everything_is_acked().await?;
    running.stop().await;
    // Not even the broker knows of it any more.
    world.lose_the_broker().await?;
    let running = world.start().await?;
    world.clock.advance(A_WHILE);
    world.until_balance("a", 11).await?;
    world.until_parked(&[]).await?;
    running.stop().await;
    Ok(())
}
