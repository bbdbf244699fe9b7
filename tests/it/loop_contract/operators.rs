//! Operators and parked messages: redrive, discard, edit, beside a loop that goes on.

use std::collections::BTreeSet;

use super::toy::AskThenChange;
use super::*;

everywhere! {
    a_redriven_dead_letter_is_obeyed_and_its_line_goes_on
    a_discarded_dead_letter_is_skipped_and_what_stood_behind_it_goes_on
    an_edited_dead_letter_waits_for_its_redrive_and_is_obeyed_as_edited
}

two_ways! {
    a_redrive_that_fails_again_is_a_dead_letter_again
    a_retry_can_be_redriven_before_its_time
    only_the_head_of_a_line_is_redriven_or_discarded_and_only_what_is_parked
    what_was_discarded_while_the_partner_was_asked_stays_discarded
    what_was_edited_while_the_partner_was_asked_is_asked_again_as_edited
    what_an_operator_did_outlives_the_process
    what_never_was_a_message_is_discarded_for_good
}

on! { replicas, true, true,
    whoever_the_operator_asks_no_line_is_lost_or_stuck
}

fn ask(name: &str, sequence: i64, n: i64) -> (&str, String) {
    (name, letter(name, sequence, &AskThenChange { name: name.into(), n }))
}

fn change(name: &str, sequence: i64, n: i64) -> (&str, String) {
    (name, letter(name, sequence, &Change { name: name.into(), n }))
}

/// One that is a dead letter as soon as it is heard.
fn malformed(name: &str, sequence: i64) -> (&str, String) {
    (name, change(name, sequence, 1).1.replace("\"n\":1", "\"n\":\"many\""))
}

async fn until_asked(world: &World, names: &[&str]) -> Result<()> {
    until("the partner is asked", PATIENCE, async || Ok((world.script.asked() == names).then_some(()))).await
}

/// A dead letter with two behind it: the partner answers no sooner.
async fn with_a_dead_letter(world: &World, running: &Running<Tally>) -> Result<()> {
    world.script.failures.lock().unwrap().insert("a".to_owned(), usize::MAX);
    world.publish(&[ask("a", 1, 1), change("a", 2, 10), change("a", 3, 100)]).await?;
    let behind = [("a", 2, "BEHIND", 0), ("a", 3, "BEHIND", 0)];
    for attempt in 1..=2 {
        world.until_parked(&[("a", 1, "RETRY", attempt), behind[0], behind[1]]).await?;
        world.clock.advance(A_WHILE);
    }
    world.until_parked(&[("a", 1, "DEAD", 3), behind[0], behind[1]]).await?;
    add(running, "the loop goes on", "b", 1).await?;
    Ok(())
}

fn partner_answers(world: &World) {
    world.script.failures.lock().unwrap().clear();
}

fn refused(result: Result<(), Failure>) -> Code {
    match result {
        Err(Failure::Rejected(rejection)) => rejection.code,
        other => panic!("not refused: {other:?}"),
    }
}

async fn a_redriven_dead_letter_is_obeyed_and_its_line_goes_on(world: &World) -> Result<()> {
    let running = world.start().await?;
    let probe = Probe::start(world).await?;
    with_a_dead_letter(world, &running).await?;
    partner_answers(world);
    running.inside().redrive(OUTSIDE, "a", 1).await?;
    probe.until_changed("a", &[1, 10, 100]).await?;
    world.until_parked(&[]).await?;
    world.publish(&[change("a", 4, 1_000)]).await?;
    world.until_balance("a", 1_111).await?;
    world.until_everything_is_acked().await?;
    running.stop().await;
    Ok(())
}

async fn a_discarded_dead_letter_is_skipped_and_what_stood_behind_it_goes_on(world: &World) -> Result<()> {
    let running = world.start().await?;
    let probe = Probe::start(world).await?;
    with_a_dead_letter(world, &running).await?;
    running.inside().discard(OUTSIDE, "a", 1).await?;
    probe.until_changed("a", &[10, 100]).await?;
    world.until_parked(&[]).await?;
    // Said again, as after a loss of the broker: its sequence counts as seen.
    partner_answers(world);
    world.publish(&[ask("a", 1, 1), change("a", 4, 1_000)]).await?;
    world.until_balance("a", 1_110).await?;
    assert_eq!(refused(running.inside().discard(OUTSIDE, "a", 1).await), Code::NotFound, "a second time");
    world.until_everything_is_acked().await?;
    running.stop().await;
    Ok(())
}

async fn an_edited_dead_letter_waits_for_its_redrive_and_is_obeyed_as_edited(world: &World) -> Result<()> {
    let running = world.start().await?;
    let probe = Probe::start(world).await?;
    world.publish(&[malformed("a", 1), change("a", 2, 10)]).await?;
    world.until_parked(&[("a", 1, "DEAD", 1), ("a", 2, "BEHIND", 0)]).await?;
    let inside = running.inside();
    for (_, wrong) in [malformed("a", 1), change("a", 2, 5), change("b", 1, 5), ("", "no envelope".to_owned())] {
        assert_eq!(refused(inside.edit(OUTSIDE, "a", 1, wrong).await), Code::BadInput);
    }
    inside.edit(OUTSIDE, "a", 1, change("a", 1, 5).1).await?;
    inside.edit(OUTSIDE, "a", 2, change("a", 2, 20).1).await?;
    let parked = world.until_parked(&[("a", 1, "DEAD", 1), ("a", 2, "BEHIND", 0)]).await?;
    assert!(parked[0].envelope.contains("\"n\":5") && parked[1].envelope.contains("\"n\":20"), "{parked:?}");
    inside.redrive(OUTSIDE, "a", 1).await?;
    probe.until_changed("a", &[5, 20]).await?;
    world.until_parked(&[]).await?;
    world.until_everything_is_acked().await?;
    running.stop().await;
    Ok(())
}

async fn a_redrive_that_fails_again_is_a_dead_letter_again(world: &World) -> Result<()> {
    let running = world.start().await?;
    with_a_dead_letter(world, &running).await?;
    running.inside().redrive(OUTSIDE, "a", 1).await?;
    let parked = world.until_parked(&[("a", 1, "DEAD", 4), ("a", 2, "BEHIND", 0), ("a", 3, "BEHIND", 0)]).await?;
    let errors: Vec<String> = serde_json::from_str(&parked[0].errors)?;
    assert_eq!(errors.len(), 4, "one an attempt: {errors:?}");
    running.stop().await;
    Ok(())
}

async fn a_retry_can_be_redriven_before_its_time(world: &World) -> Result<()> {
    world.script.failures.lock().unwrap().insert("a".to_owned(), 1);
    let running = world.start().await?;
    world.publish(&[ask("a", 1, 1)]).await?;
    world.until_parked(&[("a", 1, "RETRY", 1)]).await?;
    // The clock stands still, and so would the message.
    running.inside().redrive(OUTSIDE, "a", 1).await?;
    world.until_balance("a", 1).await?;
    world.until_parked(&[]).await?;
    assert_eq!(world.script.asked(), ["a", "a"]);
    running.stop().await;
    Ok(())
}

async fn only_the_head_of_a_line_is_redriven_or_discarded_and_only_what_is_parked(world: &World) -> Result<()> {
    let running = world.start().await?;
    with_a_dead_letter(world, &running).await?;
    let inside = running.inside();
    assert_eq!(refused(inside.redrive(OUTSIDE, "a", 2).await), Code::Conflict);
    assert_eq!(refused(inside.discard(OUTSIDE, "a", 3).await), Code::Conflict);
    for (source, subject, sequence) in [(OUTSIDE, "a", 4), (OUTSIDE, "b", 1), ("/other", "a", 1), ("it's \"ü\"", "", 0)]
    {
        assert_eq!(refused(inside.redrive(source, subject, sequence).await), Code::NotFound);
        assert_eq!(refused(inside.discard(source, subject, sequence).await), Code::NotFound);
        assert_eq!(refused(inside.edit(source, subject, sequence, "{}".to_owned()).await), Code::NotFound);
    }
    world.until_parked(&[("a", 1, "DEAD", 3), ("a", 2, "BEHIND", 0), ("a", 3, "BEHIND", 0)]).await?;
    running.stop().await;
    Ok(())
}

async fn what_was_discarded_while_the_partner_was_asked_stays_discarded(world: &World) -> Result<()> {
    let running = world.start().await?;
    let probe = Probe::start(world).await?;
    with_a_dead_letter(world, &running).await?;
    partner_answers(world);
    world.script.partner.send_replace(false);
    running.inside().redrive(OUTSIDE, "a", 1).await?;
    until_asked(world, &["a"; 4]).await?;
    running.inside().discard(OUTSIDE, "a", 1).await?;
    world.script.partner.send_replace(true);
    probe.until_changed("a", &[10, 100]).await?;
    world.until_everything_is_acked().await?;
    assert_eq!(world.balance("a").await?, 110, "the answer came too late");
    running.stop().await;
    Ok(())
}

async fn what_was_edited_while_the_partner_was_asked_is_asked_again_as_edited(world: &World) -> Result<()> {
    let running = world.start().await?;
    let probe = Probe::start(world).await?;
    with_a_dead_letter(world, &running).await?;
    partner_answers(world);
    world.script.partner.send_replace(false);
    running.inside().redrive(OUTSIDE, "a", 1).await?;
    until_asked(world, &["a"; 4]).await?;
    running.inside().edit(OUTSIDE, "a", 1, ask("a", 1, 5).1).await?;
    world.script.partner.send_replace(true);
    probe.until_changed("a", &[5, 10, 100]).await?;
    assert_eq!(world.script.asked(), ["a"; 5]);
    world.until_parked(&[]).await?;
    world.until_everything_is_acked().await?;
    running.stop().await;
    Ok(())
}

async fn what_an_operator_did_outlives_the_process(world: &World) -> Result<()> {
    let running = world.start().await?;
    world.publish(&[malformed("a", 1), change("a", 2, 10), malformed("b", 1), change("b", 2, 20)]).await?;
    let behind = |name| (name, 2, "BEHIND", 0);
    world.until_parked(&[("a", 1, "DEAD", 1), behind("a"), ("b", 1, "DEAD", 1), behind("b")]).await?;
    world.until_everything_is_acked().await?;
    // Killed before it could be tried: the switch holds back the timers, too.
    running.inside().faults().set(&platform::ops::Fault::ReadingPaused)?;
    running.inside().edit(OUTSIDE, "a", 1, change("a", 1, 1).1).await?;
    running.inside().redrive(OUTSIDE, "a", 1).await?;
    running.inside().discard(OUTSIDE, "b", 1).await?;
    running.abort();
    world.lose_the_broker().await?;
    let running = world.start().await?;
    world.until_balance("a", 11).await?;
    world.until_balance("b", 20).await?;
    world.until_parked(&[]).await?;
    running.stop().await;
    Ok(())
}

async fn what_never_was_a_message_is_discarded_for_good(world: &World) -> Result<()> {
    let running = world.start().await?;
    world.publish(&[("a", "not an envelope".to_owned()), change("a", 1, 1)]).await?;
    world.until_balance("a", 1).await?;
    let garbage = world.parked().await?.remove(0);
    let inside = running.inside();
    let refusal = inside.edit(&garbage.source, &garbage.subject, 1, change("a", 1, 1).1).await;
    assert_eq!(refused(refusal), Code::Conflict);
    inside.redrive(&garbage.source, &garbage.subject, 1).await?;
    world.until_parked(&[(&garbage.subject, 1, "DEAD", 2)]).await?;
    inside.discard(&garbage.source, &garbage.subject, 1).await?;
    world.until_parked(&[]).await?;
    world.until_everything_is_acked().await?;
    running.stop().await;
    Ok(())
}

/// Two processes share the partitions, messages keep coming, every third is a dead
/// letter, and operators at both discard whatever they see, often the same one at the
/// same time and mostly not where the line is held.
async fn whoever_the_operator_asks_no_line_is_lost_or_stuck(world: &World) -> Result<()> {
    const LINES: usize = 8;
    const MESSAGES: i64 = 60;
    let replicas = [world.start().await?, world.start().await?];
    let names: Vec<String> = (0..LINES).map(|line| format!("line {line}")).collect();
    let bad = |sequence: i64| sequence % 3 == 0;
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let operators: Vec<_> = replicas
        .iter()
        .map(|replica| {
            let (inside, done, db) = (replica.inside(), done.clone(), world.db.clone());
            tokio::spawn(async move {
                let mut discarded = BTreeSet::new();
                while !done.load(std::sync::atomic::Ordering::Acquire) {
                    for row in platform::store::parked::dead_letters(&db).await.unwrap() {
                        match inside.discard(&row.source, &row.subject, row.sequence).await {
                            Ok(()) => drop(discarded.insert((row.subject, row.sequence))),
                            // The other one was faster.
                            Err(Failure::Rejected(rejection)) => assert_eq!(rejection.code, Code::NotFound),
                            Err(other) => panic!("{other}"),
                        }
                    }
                    tokio::task::yield_now().await;
                }
                discarded
            })
        })
        .collect();
    for sequence in 1..=MESSAGES {
        let texts: Vec<_> = names
            .iter()
            .map(|name| if bad(sequence) { malformed(name, sequence) } else { change(name, sequence, 1) })
            .collect();
        world.publish(&texts).await?;
    }
    let good = (1..=MESSAGES).filter(|sequence| !bad(*sequence)).count();
    for name in &names {
        world.until_balance(name, i64::try_from(good)?).await?;
    }
    world.until_parked(&[]).await?;
    done.store(true, std::sync::atomic::Ordering::Release);
    let mut discarded = 0;
    let mut all = BTreeSet::new();
    for operator in operators {
        let theirs = operator.await?;
        discarded += theirs.len();
        all.extend(theirs);
    }
    let expected: BTreeSet<_> = (1..=MESSAGES)
        .filter(|sequence| bad(*sequence))
        .flat_map(|sequence| names.iter().map(move |name| (name.clone(), sequence)))
        .collect();
    assert_eq!(all, expected);
    assert_eq!(discarded, all.len(), "each by one of them");
    world.until_everything_is_acked().await?;
    for replica in replicas {
        replica.stop().await;
    }
    Ok(())
}
