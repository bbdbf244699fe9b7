//! The delay queue as an index over rows: a timer is obeyed if and only if its
//! due time equals the row's, and whatever the index has lost is found again.

use platform::bus::Timer;

use super::toy::TOO_MUCH;
use super::*;

everywhere! {
    a_timer_rings_when_its_time_has_come_and_once
    timers_are_rebuilt_from_the_rows_after_the_broker_lost_everything
}

two_ways! {
    a_timer_that_was_moved_rings_at_its_new_time_only
    an_earlier_timer_wakes_the_mover
    a_timer_that_the_row_does_not_know_is_disobeyed
    a_cancelled_timer_does_not_ring
    what_is_due_together_rings_together
    a_timer_beyond_the_horizon_of_a_rebuild_rings_all_the_same
    what_one_batch_says_of_a_timer_ends_with_its_last_word
    a_timer_that_the_store_refuses_is_set_again_by_the_sweep
    what_has_rung_does_not_stay_with_the_broker
    what_came_due_while_the_service_was_stopped_rings_at_its_start
    a_timer_that_wakes_with_a_panic_harms_no_other
}

const SECOND: i64 = 1_000;

async fn remind(running: &Running<Tally>, name: &str, due: i64) -> Result<()> {
    submit(running.handle(), command(&fresh_id(), Input::remind(name, due))).await?;
    Ok(())
}

/// Moves the clock to the time, and waits until a reminder of that very time has
/// rung: then every earlier one has had its turn.
async fn pass_to(world: &World, running: &Running<Tally>, time: i64) -> Result<()> {
    let witness = format!("witness of {time}");
    remind(running, &witness, time).await?;
    world.clock.advance(Duration::from_millis(u64::try_from(time - world.clock.now())?));
    world.until_balance(&witness, 1).await
}

async fn a_timer_rings_when_its_time_has_come_and_once(world: &World) -> Result<()> {
    let running = world.start().await?;
    remind(&running, "a", NOON + 10 * SECOND).await?;
    pass_to(world, &running, NOON + 10 * SECOND - 1).await?;
    assert_eq!(world.balance("a").await?, 0, "not early");
    pass_to(world, &running, NOON + 10 * SECOND).await?;
    world.until_balance("a", 1).await?;
    // Over several sweeps, which set again whatever the rows still say.
    pass_to(world, &running, NOON + 500 * SECOND).await?;
    assert_eq!(world.balance("a").await?, 1);
    world.until_everything_is_acked().await?;
    running.stop().await;
    Ok(())
}

async fn a_timer_that_was_moved_rings_at_its_new_time_only(world: &World) -> Result<()> {
    let running = world.start().await?;
    remind(&running, "later", NOON + 10 * SECOND).await?;
    remind(&running, "sooner", NOON + 30 * SECOND).await?;
    remind(&running, "later", NOON + 20 * SECOND).await?;
    remind(&running, "sooner", NOON + 5 * SECOND).await?;
    pass_to(world, &running, NOON + 15 * SECOND).await?;
    world.until_balance("sooner", 1).await?;
    assert_eq!(world.balance("later").await?, 0);
    pass_to(world, &running, NOON + 40 * SECOND).await?;
    world.until_balance("later", 1).await?;
    assert_eq!(world.balance("sooner").await?, 1, "once");
    running.stop().await;
    Ok(())
}

async fn an_earlier_timer_wakes_the_mover(world: &World) -> Result<()> {
    let running = world.start().await?;
    remind(&running, "far", NOON + 50 * SECOND).await?;
    pass_to(world, &running, NOON + SECOND).await?;
    // The mover now sleeps until `far`.
    remind(&running, "near", NOON + 3 * SECOND).await?;
    world.clock.advance(Duration::from_secs(2));
    world.until_balance("near", 1).await?;
    remind(&running, "past", NOON - SECOND).await?;
    world.until_balance("past", 1).await?;
    assert_eq!(world.balance("far").await?, 0);
    running.stop().await;
    Ok(())
}

async fn a_timer_that_the_row_does_not_know_is_disobeyed(world: &World) -> Result<()> {
    let running = world.start().await?;
    remind(&running, "a", NOON + 50 * SECOND).await?;
    let stray = |subject: &str, kind: &str, attempt| Timer {
        subject: subject.into(),
        kind: kind.into(),
        attempt,
        due: NOON + SECOND,
    };
    let strays = [
        stray("a", "bell", 7),
        stray("nobody", "bell", 1),
        stray("a", "a kind of tomorrow", 1),
        stray("a", "redrive:/test", 0),
    ];
    world.bus().await?.schedule(SPEC.timers, &strays).await?;
    pass_to(world, &running, NOON + 2 * SECOND).await?;
    world.until_everything_is_acked().await?;
    assert_eq!((world.balance("a").await?, world.balance("nobody").await?), (0, 0));
    pass_to(world, &running, NOON + 50 * SECOND).await?;
    world.until_balance("a", 1).await?;
    running.stop().await;
    Ok(())
}

async fn a_cancelled_timer_does_not_ring(world: &World) -> Result<()> {
    let running = world.start().await?;
    remind(&running, "a", NOON + 10 * SECOND).await?;
    remind(&running, "b", NOON + 10 * SECOND).await?;
    submit(running.handle(), command("1", Input::Forget { name: "a".into() })).await?;
    let bus = world.bus().await?;
    until("its entry is gone", PATIENCE, async || {
        let delayed = bus.inspect().await?.delayed;
        Ok(delayed.iter().any(|(queue, count)| queue == SPEC.timers && *count == 1).then_some(()))
    })
    .await?;
    pass_to(world, &running, NOON + 10 * SECOND).await?;
    world.until_balance("b", 1).await?;
    assert_eq!(world.balance("a").await?, 0);
    // Taken back and set again: it stands.
    remind(&running, "a", NOON + 20 * SECOND).await?;
    submit(running.handle(), command("2", Input::Forget { name: "a".into() })).await?;
    remind(&running, "a", NOON + 20 * SECOND).await?;
    pass_to(world, &running, NOON + 20 * SECOND).await?;
    world.until_balance("a", 1).await?;
    running.stop().await;
    Ok(())
}

async fn what_is_due_together_rings_together(world: &World) -> Result<()> {
    let running = world.start().await?;
    let commands = (0..2_500)
        .map(|index| command(&index.to_string(), Input::remind(&format!("r{index}"), NOON + 10 * SECOND)))
        .collect();
    world.in_one_go(&running.handle(), commands).await?.into_iter().collect::<Result<Vec<_>, _>>()?;
    world.clock.advance(Duration::from_secs(10));
    until("all have rung", PATIENCE, async || Ok((world.balances().await?.len() == 2_501).then_some(()))).await?;
    world.until_everything_is_acked().await?;
    assert_eq!(world.balances().await?.values().sum::<i64>(), 2_500, "once each; the plug counts nothing");
    running.stop().await;
    Ok(())
}

async fn timers_are_rebuilt_from_the_rows_after_the_broker_lost_everything(world: &World) -> Result<()> {
    let running = world.start().await?;
    remind(&running, "a", NOON + 10 * SECOND).await?;
    remind(&running, "b", NOON + 90 * SECOND).await?;
    running.stop().await;
    world.lose_the_broker().await?;
    let running = world.start().await?;
    pass_to(world, &running, NOON + 10 * SECOND).await?;
    world.until_balance("a", 1).await?;
    assert_eq!(world.balance("b").await?, 0);
    pass_to(world, &running, NOON + 90 * SECOND).await?;
    world.until_balance("b", 1).await?;
    running.stop().await;
    Ok(())
}

async fn a_timer_beyond_the_horizon_of_a_rebuild_rings_all_the_same(world: &World) -> Result<()> {
    let running = world.start().await?;
    remind(&running, "a", NOON + 3_600 * SECOND).await?;
    running.stop().await;
    world.lose_the_broker().await?;
    let running = world.start().await?;
    pass_to(world, &running, NOON + 1_800 * SECOND).await?;
    assert_eq!(world.balance("a").await?, 0);
    world.clock.advance(Duration::from_secs(1_801));
    world.until_balance("a", 1).await?;
    running.stop().await;
    Ok(())
}

async fn what_one_batch_says_of_a_timer_ends_with_its_last_word(world: &World) -> Result<()> {
    let running = world.start().await?;
    let forget = |name: &str| Input::Forget { name: name.into() };
    let said = [
        Input::remind("set", NOON + SECOND),
        forget("set"),
        Input::remind("set", NOON + SECOND),
        Input::remind("gone", NOON + SECOND),
        forget("gone"),
        Input::remind("moved", NOON + SECOND),
        Input::remind("moved", NOON + 10 * SECOND),
    ];
    let commands = said.into_iter().enumerate().map(|(id, input)| command(&id.to_string(), input)).collect();
    world.in_one_go(&running.handle(), commands).await?.into_iter().collect::<Result<Vec<_>, _>>()?;
    pass_to(world, &running, NOON + 2 * SECOND).await?;
    world.until_balance("set", 1).await?;
    assert_eq!((world.balance("gone").await?, world.balance("moved").await?), (0, 0));
    pass_to(world, &running, NOON + 10 * SECOND).await?;
    world.until_balance("moved", 1).await?;
    running.stop().await;
    Ok(())
}

async fn a_timer_that_the_store_refuses_is_set_again_by_the_sweep(world: &World) -> Result<()> {
    let running = world.start().await?;
    add(&running, "1", "guilty", TOO_MUCH - 1).await?;
    remind(&running, "guilty", NOON + SECOND).await?;
    remind(&running, "b", NOON + SECOND).await?;
    pass_to(world, &running, NOON + 2 * SECOND).await?;
    world.until_balance("b", 1).await?;
    world.until_everything_is_acked().await?;
    assert_eq!(world.balance("guilty").await?, TOO_MUCH - 1);
    add(&running, "2", "guilty", -10).await?;
    pass_to(world, &running, NOON + 90 * SECOND).await?;
    world.until_balance("guilty", TOO_MUCH - 10).await?;
    running.stop().await;
    Ok(())
}

async fn what_has_rung_does_not_stay_with_the_broker(world: &World) -> Result<()> {
    let running = world.start().await?;
    for index in 0..20 {
        remind(&running, &format!("r{index}"), NOON + SECOND).await?;
    }
    pass_to(world, &running, NOON + 2 * SECOND).await?;
    world.until_everything_is_acked().await?;
    // The next sweep frees it.
    world.clock.advance(Duration::from_secs(120));
    let bus = world.bus().await?;
    until("the timers' stream is empty", PATIENCE, async || {
        let groups = bus.inspect().await?.groups;
        Ok(groups.iter().all(|group| group.stream != SPEC.timers || group.length == 0).then_some(()))
    })
    .await?;
    running.stop().await;
    Ok(())
}

async fn what_came_due_while_the_service_was_stopped_rings_at_its_start(world: &World) -> Result<()> {
    let running = world.start().await?;
    remind(&running, "a", NOON + 10 * SECOND).await?;
    running.stop().await;
    world.clock.advance(Duration::from_secs(3_600));
    let running = world.start().await?;
    world.until_balance("a", 1).await?;
    running.stop().await;
    Ok(())
}

async fn a_timer_that_wakes_with_a_panic_harms_no_other(world: &World) -> Result<()> {
    let running = world.start().await?;
    let boom = Timer { subject: "a".into(), kind: "boom".into(), attempt: 1, due: NOON };
    world.bus().await?.schedule(SPEC.timers, &[boom]).await?;
    // Makes the mover look.
    pass_to(world, &running, NOON + SECOND).await?;
    world.until_everything_is_acked().await?;
    add(&running, "1", "a", 5).await?;
    running.stop().await;
    Ok(())
}
