//! Messages: duplicates, gaps, and every kind that cannot be obeyed.

use super::toy::{TOO_MUCH, UNLUCKY};
use super::*;

everywhere! {
    duplicates_have_one_effect
    a_gap_waits_for_the_missing_one_and_then_all_go_in_order
    a_guilty_message_is_tried_again_and_ends_as_a_dead_letter
}

two_ways! {
    a_message_whose_decision_panics_is_parked_and_harms_nobody_else
    a_message_that_cannot_be_heard_without_a_panic_is_a_dead_letter
    a_malformed_message_is_a_dead_letter_at_once_and_its_line_queues_behind
    what_is_no_envelope_is_parked_alone
    a_message_that_the_business_rejects_is_a_dead_letter
    an_unknown_message_counts_and_does_nothing
}

async fn duplicates_have_one_effect(world: &World) -> Result<()> {
    use rand::Rng;
    let mut random = seeded();
    let running = world.start().await?;
    let mut said = Vec::new();
    for sequence in 1..=10 {
        for name in ["a", "b", "c", "d", "e"] {
            for _ in 0..random.random_range(1..4) {
                said.push((name, sequence, sequence));
            }
        }
    }
    world.say(&said).await?;
    for name in ["a", "b", "c", "d", "e"] {
        world.until_balance(name, 55).await?;
    }
    // All again, and some from the middle, as after a loss.
    world.say(&said).await?;
    world.say(&said[said.len() / 2..]).await?;
    world.until_everything_is_acked().await?;
    assert!(world.balances().await?.values().all(|balance| *balance == 55));
    running.stop().await;
    Ok(())
}

async fn a_gap_waits_for_the_missing_one_and_then_all_go_in_order(world: &World) -> Result<()> {
    let running = world.start().await?;
    let probe = Probe::start(world).await?;
    world.say(&[("a", 1, 1), ("a", 4, 1_000), ("a", 3, 100), ("a", 3, 100), ("b", 1, 5)]).await?;
    world.until_balance("b", 5).await?;
    world.until_balance("a", 1).await?;
    // Another round through the loop: still nothing but the first.
    world.say(&[("a", 5, 10_000), ("b", 2, 5)]).await?;
    world.until_balance("b", 10).await?;
    assert_eq!(world.balance("a").await?, 1);
    world.say(&[("a", 2, 10)]).await?;
    probe.until_changed("a", &[1, 10, 100, 1_000, 10_000]).await?;
    world.until_everything_is_acked().await?;
    running.stop().await;
    Ok(())
}

async fn a_guilty_message_is_tried_again_and_ends_as_a_dead_letter(world: &World) -> Result<()> {
    let running = world.start().await?;
    let mut said =
        vec![("a", 1, 1), ("guilty", 1, TOO_MUCH), ("b", 1, 2), ("guilty", 2, 5), ("c", 1, 3), ("guilty", 3, 5)];
    said.extend((2..50).map(|sequence| ("d", sequence - 1, 1)));
    world.say(&said).await?;
    for (name, balance) in [("a", 1), ("b", 2), ("c", 3), ("d", 48)] {
        world.until_balance(name, balance).await?;
    }
    let behind = [("guilty", 2, "BEHIND", 0), ("guilty", 3, "BEHIND", 0)];
    for attempt in 1..=2 {
        let parked = world.until_parked(&[("guilty", 1, "RETRY", attempt), behind[0], behind[1]]).await?;
        let wait = parked[0].next_due.unwrap() - world.clock.now();
        assert!((750 * attempt..=1_250 * attempt).contains(&wait), "back-off with jitter: {wait}");
        assert_eq!(parked[0].parked_at, NOON);
        world.clock.advance(A_WHILE);
    }
    let parked = world.until_parked(&[("guilty", 1, "DEAD", 3), behind[0], behind[1]]).await?;
    let errors: Vec<String> = serde_json::from_str(&parked[0].errors)?;
    assert_eq!(errors.len(), 3);
    assert!(errors.iter().all(|error| error.to_lowercase().contains("check")), "{errors:?}");
    assert_eq!((parked[0].next_due, parked[0].stream.as_str()), (None, IN));
    world.until_everything_is_acked().await?;
    assert_eq!(world.balance("guilty").await?, 0);
    running.stop().await;
    Ok(())
}

async fn a_message_whose_decision_panics_is_parked_and_harms_nobody_else(world: &World) -> Result<()> {
    let running = world.start().await?;
    world.say(&[("a", 1, 1), ("unlucky", 1, UNLUCKY), ("b", 1, 2), ("a", 2, 1)]).await?;
    world.until_balance("a", 2).await?;
    world.until_balance("b", 2).await?;
    let parked = world.until_parked(&[("unlucky", 1, "RETRY", 1)]).await?;
    assert!(parked[0].errors.contains("an unlucky number"), "{}", parked[0].errors);
    running.stop().await;
    Ok(())
}

async fn a_message_that_cannot_be_heard_without_a_panic_is_a_dead_letter(world: &World) -> Result<()> {
    let running = world.start().await?;
    let change = |name: &str| letter(name, 1, &Change { name: name.into(), n: 1 });
    world
        .publish(&[("a", change("a")), ("b", change("b").replace("v1.Change", "v1.Explode")), ("c", change("c"))])
        .await?;
    world.until_balance("c", 1).await?;
    let parked = world.until_parked(&[("b", 1, "DEAD", 1)]).await?;
    assert!(parked[0].errors.contains("it exploded"), "{}", parked[0].errors);
    world.until_everything_is_acked().await?;
    running.stop().await;
    Ok(())
}

async fn a_malformed_message_is_a_dead_letter_at_once_and_its_line_queues_behind(world: &World) -> Result<()> {
    let running = world.start().await?;
    let good = |name: &str, sequence| letter(name, sequence, &Change { name: name.into(), n: 1 });
    let malformed = good("a", 2).replace("\"n\":1", "\"n\":\"many\"");
    let texts = [("a", good("a", 1)), ("a", malformed), ("b", good("b", 1)), ("a", good("a", 3)), ("a", good("a", 4))];
    world.publish(&texts).await?;
    world.until_balance("b", 1).await?;
    let parked = world.until_parked(&[("a", 2, "DEAD", 1), ("a", 3, "BEHIND", 0), ("a", 4, "BEHIND", 0)]).await?;
    assert!(parked[0].errors.contains("does not read as its type"), "{}", parked[0].errors);
    assert_eq!(world.balance("a").await?, 1);
    world.until_everything_is_acked().await?;
    running.stop().await;
    Ok(())
}

/// Whatever somebody wrote into the stream by hand: it is put aside where an
/// operator can see it, and the partition goes on.
async fn what_is_no_envelope_is_parked_alone(world: &World) -> Result<()> {
    let running = world.start().await?;
    let mut rubbish = vec![
        String::new(),
        "not an envelope".to_owned(),
        "{}".to_owned(),
        "with a \0 in it".to_owned(),
        letter("a", 1, &Change { name: "a".into(), n: 1 }).replace("\"sequence\":1", "\"sequence\":\"first\""),
    ];
    // An envelope by its form, with names that Postgres cannot store.
    rubbish.push(letter("a\0b", 1, &Change { name: "a".into(), n: 1 }));
    rubbish.push(letter("a", 1, &Change { name: "a".into(), n: 1 }).replace("/test", "/te\\u0000st"));
    // And one that is too long for its index, however well it compresses.
    let endless: String = (0..5_000_u32).map(|index| char::from(b'a' + (index * index % 7_919 % 26) as u8)).collect();
    rubbish.push(letter(&endless, 1, &Change { name: "a".into(), n: 1 }));
    let mut texts = vec![("a", letter("a", 1, &Change { name: "a".into(), n: 1 }))];
    texts.extend(rubbish.iter().map(|text| ("a", text.clone())));
    texts.push(("a", letter("a", 2, &Change { name: "a".into(), n: 1 })));
    world.publish(&texts).await?;
    world.until_balance("a", 2).await?;
    let parked = until("all the rubbish is parked", PATIENCE, async || {
        let parked = world.parked().await?;
        Ok((parked.len() == rubbish.len()).then_some(parked))
    })
    .await?;
    for row in &parked {
        assert_eq!((row.state.as_str(), row.stream.as_str(), row.attempts), ("DEAD", IN, 1), "{row:?}");
        assert!(row.source.starts_with("unreadable:toy.in."), "{}", row.source);
    }
    world.until_everything_is_acked().await?;
    running.stop().await;
    Ok(())
}

async fn a_message_that_the_business_rejects_is_a_dead_letter(world: &World) -> Result<()> {
    let running = world.start().await?;
    world.say(&[("a", 1, 5), ("a", 2, -6), ("a", 3, 1), ("b", 1, 1)]).await?;
    world.until_balance("b", 1).await?;
    let parked = world.until_parked(&[("a", 2, "DEAD", 1), ("a", 3, "BEHIND", 0)]).await?;
    assert!(parked[0].errors.contains("a has only 5"), "{}", parked[0].errors);
    running.stop().await;
    Ok(())
}

async fn an_unknown_message_counts_and_does_nothing(world: &World) -> Result<()> {
    let running = world.start().await?;
    let change = |sequence| letter("a", sequence, &Change { name: "a".into(), n: 1 });
    let unknown = change(2).replace("toy.v1.Change", "toy.v9.SomethingNew");
    world.publish(&[("a", change(1)), ("a", unknown), ("a", change(3))]).await?;
    world.until_balance("a", 2).await?;
    world.until_everything_is_acked().await?;
    assert_eq!(world.count("parked").await?, 0);
    running.stop().await;
    Ok(())
}
