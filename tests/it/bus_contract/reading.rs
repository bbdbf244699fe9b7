//! What a group reads: everything, in order, and again until it is acked.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use rand::Rng;

use super::*;

contract! {
    each_partition_keeps_its_order
    every_group_sees_every_entry
    two_readers_of_one_group_share_its_partitions
    what_was_not_acked_comes_again_first_and_in_order
    what_was_acked_does_not_come_again
    who_subscribes_late_misses_nothing
    a_waiting_reader_is_woken
    a_read_that_is_given_up_loses_nothing
    no_more_is_given_than_was_asked_for
    five_thousand_entries_in_one_batch_arrive_whole
    any_text_arrives_unchanged
    an_entry_that_is_trimmed_while_pending_comes_again_without_its_body
}

async fn each_partition_keeps_its_order(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    let mut random = seeded();
    let mut said = BTreeMap::<u32, Vec<String>>::new();
    let mut positions = BTreeMap::<u32, Vec<Position>>::new();
    let mut count = 0;
    for _ in 0..20 {
        let mut batch = Vec::new();
        for _ in 0..random.random_range(1..30) {
            let partition = random.random_range(0..PARTITIONS);
            said.entry(partition).or_default().push(count.to_string());
            batch.push(entry(EVENTS, partition, count.to_string()));
            count += 1;
        }
        for (entry, position) in batch.iter().zip(publish(&bus, &batch).await?) {
            positions.entry(entry.partition).or_default().push(position);
        }
    }
    let mut reader = subscribe(&bus, "a", EVENTS, &[0, 1, 2, 3]).await?;
    let mut heard = BTreeMap::<u32, Vec<String>>::new();
    let mut heard_at = BTreeMap::<u32, Vec<Position>>::new();
    for delivery in take(&mut reader, count).await? {
        heard.entry(delivery.partition).or_default().push(delivery.body.unwrap().to_string());
        heard_at.entry(delivery.partition).or_default().push(delivery.position);
    }
    assert_eq!(heard, said);
    assert_eq!(heard_at, positions);
    assert!(positions.values().all(|positions| positions.is_sorted()));
    Ok(())
}

async fn every_group_sees_every_entry(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    publish(&bus, &entries(EVENTS, 2, 0..50)).await?;
    for group in ["a", "b"] {
        let mut reader = subscribe(&bus, group, EVENTS, &[2]).await?;
        let all = take(&mut reader, 50).await?;
        assert!(all.iter().enumerate().all(|(index, one)| one.body.as_deref() == Some(&index.to_string())));
        assert!(all.iter().all(|one| &*one.stream == EVENTS && one.partition == 2));
    }
    Ok(())
}

async fn two_readers_of_one_group_share_its_partitions(fixture: &dyn BusFixture) -> Result<()> {
    let (bus, other) = (fixture.declared().await?, fixture.declared().await?);
    let mut left = subscribe(&bus, "a", EVENTS, &[0, 1]).await?;
    let mut right = subscribe(&other, "a", EVENTS, &[2, 3]).await?;
    let batch: Vec<_> = (0..80).map(|index| entry(EVENTS, index % PARTITIONS, index.to_string())).collect();
    publish(&bus, &batch).await?;
    let (left, right) = (take(&mut left, 40).await?, take(&mut right, 40).await?);
    assert!(left.iter().all(|delivery| delivery.partition < 2));
    assert!(right.iter().all(|delivery| delivery.partition >= 2));
    Ok(())
}

async fn what_was_not_acked_comes_again_first_and_in_order(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    publish(&bus, &entries(EVENTS, 0, 0..10)).await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    let given = take(&mut reader, 6).await?;
    ack(&bus, "a", &[given[1].clone(), given[4].clone()]).await?;
    drop(reader);
    publish(&bus, &entries(EVENTS, 0, [10])).await?;

    let other = fixture.declared().await?;
    let mut reader = subscribe(&other, "a", EVENTS, &[0]).await?;
    let again = take(&mut reader, 9).await?;
    assert_eq!(bodies(&again), ["0", "2", "3", "5", "6", "7", "8", "9", "10"]);
    assert_eq!(again[0].position, given[0].position);
    assert_nothing_left(&other, &mut reader, EVENTS, 0).await
}

async fn what_was_acked_does_not_come_again(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    publish(&bus, &entries(EVENTS, 3, 0..20)).await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[3]).await?;
    let given = take(&mut reader, 20).await?;
    ack(&bus, "a", &given).await?;
    // Again: whoever is not sure whether the ack arrived may repeat it.
    ack(&bus, "a", &given).await?;
    drop(reader);
    let mut reader = subscribe(&bus, "a", EVENTS, &[3]).await?;
    assert_nothing_left(&bus, &mut reader, EVENTS, 3).await?;
    let mut of_another_group = subscribe(&bus, "b", EVENTS, &[3]).await?;
    assert_eq!(take(&mut of_another_group, 21).await?.len(), 21);
    Ok(())
}

async fn who_subscribes_late_misses_nothing(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    publish(&bus, &entries(COMMANDS, 1, 0..3)).await?;
    publish(&bus, &entries(COMMANDS, 1, 3..6)).await?;
    let mut reader = subscribe(&bus, "a", COMMANDS, &[0, 1]).await?;
    assert_eq!(bodies(&take(&mut reader, 6).await?), ["0", "1", "2", "3", "4", "5"]);
    Ok(())
}

async fn a_waiting_reader_is_woken(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0, 1, 2, 3]).await?;
    let waiting = tokio::spawn(async move { take(&mut reader, 1).await });
    tokio::task::yield_now().await;
    publish(&bus, &entries(EVENTS, 3, ["wake up"])).await?;
    assert_eq!(bodies(&waiting.await??), ["wake up"]);
    Ok(())
}

/// A `next` that is dropped (a `select!` does so) overtakes and loses nothing,
/// whether the subscription goes on or another one follows it.
async fn a_read_that_is_given_up_loses_nothing(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    let mut random = seeded();
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    let mut heard = Vec::new();
    for number in 0..60 {
        publish(&bus, &entries(EVENTS, 0, [number])).await?;
        let moment = Duration::from_micros(random.random_range(0..1500));
        if let Ok(next) = tokio::time::timeout(moment, reader.next(10)).await {
            let next = next?;
            ack(&bus, "a", &next).await?;
            heard.extend(next);
        }
        if number % 20 == 19 {
            drop(reader);
            reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
        }
    }
    let rest = take(&mut reader, 60 - heard.len()).await?;
    heard.extend(rest);
    assert_eq!(bodies(&heard), (0..60).map(|number| number.to_string()).collect::<Vec<_>>());
    Ok(())
}

async fn no_more_is_given_than_was_asked_for(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    let batch: Vec<_> = (0..100).map(|index| entry(EVENTS, index % PARTITIONS, index.to_string())).collect();
    publish(&bus, &batch).await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0, 1, 2, 3]).await?;
    let mut heard = Vec::new();
    for max in [1, 2, 3, 94, 100] {
        if heard.len() < 100 {
            let next = reader.next(max).await?;
            assert!((1..=max).contains(&next.len()));
            heard.extend(next);
        }
    }
    let rest = take(&mut reader, 100 - heard.len()).await?;
    heard.extend(rest);
    for partition in 0..PARTITIONS {
        let positions = heard.iter().filter(|one| one.partition == partition).map(|one| one.position);
        assert!(positions.is_sorted());
    }
    Ok(())
}

async fn five_thousand_entries_in_one_batch_arrive_whole(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    let filling = "x".repeat(300);
    let batch: Vec<_> =
        (0..5_000).map(|index| entry(EVENTS, index % PARTITIONS, format!("{index} {filling}"))).collect();
    let positions = publish(&bus, &batch).await?;
    assert_eq!(positions.len(), 5_000);
    let mut reader = subscribe(&bus, "a", EVENTS, &[0, 1, 2, 3]).await?;
    let mut heard = take(&mut reader, 5_000).await?;
    ack(&bus, "a", &heard).await?;
    let index =
        |delivery: &Delivery| -> u32 { delivery.body.as_deref().unwrap().split(' ').next().unwrap().parse().unwrap() };
    heard.sort_by_key(index);
    assert!(heard.iter().zip(0..).all(|(delivery, number)| index(delivery) == number));
    assert_nothing_left(&bus, &mut reader, EVENTS, 0).await
}

async fn any_text_arrives_unchanged(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    let texts =
        ["", " ", "ü€𝄞", "\"quoted\" \\ back", "line\nline\r\n\ttab", "{\"a\":[1,2]}", "'; DROP TABLE entry; --"];
    publish(&bus, &entries(EVENTS, 0, texts)).await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    assert_eq!(bodies(&take(&mut reader, texts.len()).await?), texts);
    Ok(())
}

async fn an_entry_that_is_trimmed_while_pending_comes_again_without_its_body(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    let positions = publish(&bus, &entries(EVENTS, 0, 0..3)).await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    take(&mut reader, 3).await?;
    drop(reader);
    bus.trim(EVENTS, 0, positions[1]).await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    let again = take(&mut reader, 3).await?;
    assert_eq!(bodies(&again), ["(gone)", "(gone)", "2"]);
    assert!(again.iter().map(|delivery| delivery.position).eq(positions));
    ack(&bus, "a", &again).await?;
    assert_nothing_left(&bus, &mut reader, EVENTS, 0).await
}
