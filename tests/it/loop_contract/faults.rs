//! Injected faults: a service that fails as it was told to, and loses nothing.

use platform::ops::Fault;

use super::*;

two_ways! {
    messages_of_a_type_fail_so_often_as_was_said_and_then_no_more
    a_fault_may_use_up_all_attempts
    while_reading_is_paused_nothing_is_heard_and_commands_are_decided
    while_the_relay_is_paused_its_rows_pile_up_and_then_leave_in_order
    a_service_that_is_stopped_while_it_is_paused_stops
}

fn change(name: &str, sequence: i64, n: i64) -> (&str, String) {
    (name, letter(name, sequence, &Change { name: name.into(), n }))
}

/// Waits until these faults are left; they are counted a moment after the commit.
async fn until_left(running: &Running<Tally>, faults: &[Fault]) -> Result<()> {
    let inside = running.inside();
    let left = async || Ok((inside.faults().list() == faults).then_some(()));
    until(&format!("the faults left are {faults:?}"), PATIENCE, left).await
}

fn fails(times: i64) -> Fault {
    Fault::MessageFails { kind: "toy.v1.Change".to_owned(), times }
}

async fn messages_of_a_type_fail_so_often_as_was_said_and_then_no_more(world: &World) -> Result<()> {
    let running = world.start().await?;
    let inside = running.inside();
    inside.faults().set(&fails(2))?;
    let ignored = change("c", 1, 1).1.replace("toy.v1.Change", "toy.v9.SomethingNew");
    world.publish(&[change("a", 1, 1), ("c", ignored)]).await?;
    let parked = world.until_parked(&[("a", 1, "RETRY", 1)]).await?;
    assert!(parked[0].errors.contains("fault injection"), "{}", parked[0].errors);
    until_left(&running, &[fails(1)]).await?;
    world.clock.advance(A_WHILE);
    world.until_parked(&[("a", 1, "RETRY", 2)]).await?;
    until_left(&running, &[]).await?;
    world.clock.advance(A_WHILE);
    world.until_balance("a", 1).await?;
    world.publish(&[change("b", 1, 1)]).await?;
    world.until_balance("b", 1).await?;
    world.until_parked(&[]).await?;
    world.until_everything_is_acked().await?;
    running.stop().await;
    Ok(())
}

async fn a_fault_may_use_up_all_attempts(world: &World) -> Result<()> {
    let running = world.start().await?;
    let inside = running.inside();
    inside.faults().set(&fails(100))?;
    world.publish(&[change("a", 1, 1), change("a", 2, 10)]).await?;
    for attempt in 1..=2 {
        world.until_parked(&[("a", 1, "RETRY", attempt), ("a", 2, "BEHIND", 0)]).await?;
        world.clock.advance(A_WHILE);
    }
    world.until_parked(&[("a", 1, "DEAD", 3), ("a", 2, "BEHIND", 0)]).await?;
    // What lines up behind has not failed.
    until_left(&running, &[fails(97)]).await?;
    inside.faults().clear(&fails(0));
    inside.redrive(OUTSIDE, "a", 1).await?;
    world.until_balance("a", 11).await?;
    world.until_parked(&[]).await?;
    running.stop().await;
    Ok(())
}

async fn while_reading_is_paused_nothing_is_heard_and_commands_are_decided(world: &World) -> Result<()> {
    let running = world.start().await?;
    world.publish(&[change("a", 1, 1)]).await?;
    world.until_balance("a", 1).await?;
    world.until_everything_is_acked().await?;
    running.inside().faults().set(&Fault::ReadingPaused)?;
    world.publish(&[change("a", 2, 10), change("b", 1, 1)]).await?;
    // Rounds through the loop, during which it would be heard.
    for round in 0..20 {
        add(&running, &format!("{round}"), "c", 1).await?;
    }
    let bus = world.bus().await?;
    let groups = bus.inspect().await?.groups;
    let unread: u64 = groups.iter().filter(|group| group.group == SPEC.name).map(|group| group.lag).sum();
    assert_eq!(unread, 2, "they stay with the broker");
    assert_eq!((world.balance("a").await?, world.balance("b").await?), (1, 0));
    running.inside().faults().clear(&Fault::ReadingPaused);
    world.until_balance("a", 11).await?;
    world.until_balance("b", 1).await?;
    world.until_everything_is_acked().await?;
    running.stop().await;
    Ok(())
}

async fn while_the_relay_is_paused_its_rows_pile_up_and_then_leave_in_order(world: &World) -> Result<()> {
    let running = world.start().await?;
    let probe = Probe::start(world).await?;
    add(&running, "before", "a", 1).await?;
    probe.until_changed("a", &[1]).await?;
    world.until_everything_is_settled().await?;
    running.inside().faults().set(&Fault::RelayPaused)?;
    let many: Vec<i64> = (101..=300).collect();
    for n in &many {
        add(&running, &format!("{n}"), "a", *n).await?;
    }
    assert_eq!(world.count("outbox").await?, 200);
    assert_eq!(probe.changes("a").map(|changes| changes.len()), Some(1));
    running.inside().faults().clear(&Fault::RelayPaused);
    probe.until_changed("a", &[&[1], many.as_slice()].concat()).await?;
    world.until_everything_is_settled().await?;
    running.stop().await;
    Ok(())
}

async fn a_service_that_is_stopped_while_it_is_paused_stops(world: &World) -> Result<()> {
    let running = world.start().await?;
    running.inside().faults().set(&Fault::ReadingPaused)?;
    running.inside().faults().set(&Fault::RelayPaused)?;
    add(&running, "1", "a", 1).await?;
    world.publish(&[change("b", 1, 1)]).await?;
    running.stop().await;
    // A restart ends every fault.
    let running = world.start().await?;
    assert!(running.inside().faults().list().is_empty());
    let probe = Probe::start(world).await?;
    probe.until_changed("a", &[1]).await?;
    world.until_balance("b", 1).await?;
    running.stop().await;
    Ok(())
}
