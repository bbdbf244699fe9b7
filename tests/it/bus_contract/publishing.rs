//! What publishers rely on: the declaration, the incarnation, what is settled.

use anyhow::Result;
use platform::bus::BusError;
use rand::Rng;
use rand::seq::SliceRandom;

use super::*;

contract! {
    declaring_twice_changes_nothing
    another_number_of_partitions_is_refused
    what_was_not_declared_is_refused
    a_group_that_is_declared_later_hears_what_is_still_there
    publishing_under_an_unknown_incarnation_publishes_nothing
    the_incarnation_is_the_same_for_everybody
    a_loss_is_seen_by_who_knows_nothing_or_too_much
    settled_is_what_every_group_has_acked
    what_nobody_listens_to_is_settled_at_once
    trimming_what_is_settled_takes_nothing_from_anyone
    lengths_lags_and_pending_entries_are_shown
}

async fn declaring_twice_changes_nothing(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    let incarnation = bus.incarnation().await?;
    publish(&bus, &entries(EVENTS, 0, 0..4)).await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    let given = take(&mut reader, 2).await?;
    ack(&bus, "a", &given).await?;

    bus.declare(&topology()).await?;
    fixture.declared().await?;
    assert_eq!(bus.incarnation().await?, incarnation);
    assert_eq!(bodies(&take(&mut reader, 2).await?), ["2", "3"]);
    Ok(())
}

async fn another_number_of_partitions_is_refused(fixture: &dyn BusFixture) -> Result<()> {
    fixture.declared().await?;
    let bus = fixture.bus().await?;
    let other = Topology { partitions: PARTITIONS + 1, ..topology() };
    let refusal = bus.declare(&other).await.unwrap_err();
    assert!(matches!(&refusal, BusError::Broken(text) if text.contains("made with 4 partitions, not 5")), "{refusal}");
    Ok(())
}

async fn what_was_not_declared_is_refused(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    let good = entry(EVENTS, 0, "good");
    for bad in [entry("test.unknown", 0, "bad"), entry(EVENTS, PARTITIONS, "bad")] {
        let refusal = publish(&bus, &[good.clone(), bad]).await;
        assert!(refusal.is_err(), "{refusal:?}");
    }
    assert!(subscribe(&bus, "b", COMMANDS, &[0]).await.is_err());
    assert!(subscribe(&bus, "a", EVENTS, &[PARTITIONS]).await.is_err());
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    assert_nothing_left(&bus, &mut reader, EVENTS, 0).await
}

async fn a_group_that_is_declared_later_hears_what_is_still_there(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    publish(&bus, &entries(EVENTS, 0, 0..3)).await?;
    let mut grown = topology();
    grown.listen(EVENTS, "late");
    grown.listen("test.new", "late");
    bus.declare(&grown).await?;
    let mut reader = subscribe(&bus, "late", EVENTS, &[0]).await?;
    assert_eq!(bodies(&take(&mut reader, 3).await?), ["0", "1", "2"]);
    publish(&bus, &entries("test.new", 3, ["new"])).await?;
    let mut reader = subscribe(&bus, "late", "test.new", &[3]).await?;
    assert_eq!(bodies(&take(&mut reader, 1).await?), ["new"]);
    Ok(())
}

async fn publishing_under_an_unknown_incarnation_publishes_nothing(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    let incarnation = bus.incarnation().await?;
    for unknown in ["", "unknown", ":", &format!("x{incarnation}"), &format!("{incarnation}x")] {
        let refusal = bus.publish(unknown, &entries(EVENTS, 0, ["lost"])).await;
        assert!(matches!(refusal, Err(BusError::Reborn)), "{unknown:?}: {refusal:?}");
    }
    let mut reader = subscribe(&bus, "a", EVENTS, &[0]).await?;
    assert_nothing_left(&bus, &mut reader, EVENTS, 0).await
}

async fn the_incarnation_is_the_same_for_everybody(fixture: &dyn BusFixture) -> Result<()> {
    let (bus, other) = (fixture.declared().await?, fixture.declared().await?);
    assert_eq!(bus.incarnation().await?, other.incarnation().await?);
    assert!(!bus.incarnation().await?.is_empty());
    Ok(())
}

async fn a_loss_is_seen_by_who_knows_nothing_or_too_much(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    let incarnation = bus.incarnation().await?;
    let last = publish(&bus, &entries(EVENTS, 0, 0..3)).await?[2];
    let beyond = Position { seq: last.seq + 1, ..last };
    let newest = |position| [(EVENTS.into(), 0, position)];
    assert!(bus.lost_since(None, &[]).await?);
    assert!(bus.lost_since(Some("another one"), &[]).await?);
    assert!(!bus.lost_since(Some(&incarnation), &[]).await?);
    assert!(!bus.lost_since(Some(&incarnation), &newest(last)).await?);
    assert!(bus.lost_since(Some(&incarnation), &newest(beyond)).await?);
    // What was trimmed was not lost.
    bus.trim(EVENTS, 0, last).await?;
    assert!(!bus.lost_since(Some(&incarnation), &newest(last)).await?);
    Ok(())
}

async fn settled_is_what_every_group_has_acked(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    assert_eq!(bus.settled(EVENTS, 0).await?, None);
    let positions = publish(&bus, &entries(EVENTS, 0, 0..4)).await?;
    // A position just before `positions[index]`, whatever the adapter calls it.
    let before = |settled: Option<Position>, index: usize| {
        settled.is_none_or(|settled| settled < positions[index])
            && (index == 0 || settled.is_some_and(|settled| settled >= positions[index - 1]))
    };
    let mut a = subscribe(&bus, "a", EVENTS, &[0]).await?;
    let mut b = subscribe(&bus, "b", EVENTS, &[0]).await?;
    let (of_a, of_b) = (take(&mut a, 4).await?, take(&mut b, 2).await?);
    assert!(before(bus.settled(EVENTS, 0).await?, 0));
    ack(&bus, "a", &of_a).await?;
    assert!(before(bus.settled(EVENTS, 0).await?, 0), "b has acked nothing");
    ack(&bus, "b", &of_b[1..]).await?;
    assert!(before(bus.settled(EVENTS, 0).await?, 0), "b has not acked the first");
    ack(&bus, "b", &of_b[..1]).await?;
    assert_eq!(bus.settled(EVENTS, 0).await?, Some(positions[1]));
    let rest = take(&mut b, 2).await?;
    ack(&bus, "b", &rest[..1]).await?;
    assert!(before(bus.settled(EVENTS, 0).await?, 3));
    ack(&bus, "b", &rest[1..]).await?;
    assert_eq!(bus.settled(EVENTS, 0).await?, Some(positions[3]));
    assert_eq!(bus.settled(EVENTS, 1).await?, None);
    Ok(())
}

async fn what_nobody_listens_to_is_settled_at_once(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    assert_eq!(bus.settled(SILENT, 0).await?, None);
    let positions = publish(&bus, &entries(SILENT, 0, 0..3)).await?;
    assert_eq!(bus.settled(SILENT, 0).await?, Some(positions[2]));
    bus.trim(SILENT, 0, positions[2]).await?;
    assert_eq!(bus.settled(SILENT, 0).await?, Some(positions[2]));
    Ok(())
}

/// Two groups read and ack at random while everything settled is trimmed: both
/// still hear all of it, once each.
async fn trimming_what_is_settled_takes_nothing_from_anyone(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    let mut random = seeded();
    let mut readers = Vec::new();
    for group in ["a", "b"] {
        readers.push((group, subscribe(&bus, group, EVENTS, &[0]).await?, Vec::new(), Vec::new()));
    }
    for round in 0..30 {
        publish(&bus, &entries(EVENTS, 0, round * 5..round * 5 + 5)).await?;
        for (group, reader, heard, open) in &mut readers {
            let count = random.random_range(0..=(round + 1) * 5 - heard.len());
            for delivery in take(reader, count).await? {
                heard.push(delivery.body.as_deref().map(str::to_owned));
                open.push(delivery);
            }
            open.shuffle(&mut random);
            let done = open.split_off(random.random_range(0..=open.len()));
            ack(&bus, group, &done).await?;
        }
        if let Some(settled) = bus.settled(EVENTS, 0).await? {
            bus.trim(EVENTS, 0, settled).await?;
        }
    }
    for (_, reader, heard, _) in &mut readers {
        let rest = take(reader, 150 - heard.len()).await?;
        heard.extend(rest.iter().map(|delivery| delivery.body.as_deref().map(str::to_owned)));
        assert!(heard.iter().zip(0..).all(|(body, number)| *body == Some(number.to_string())), "{heard:?}");
    }
    // What was left open is still there as well.
    for (group, _, _, mut open) in readers {
        let mut reader = subscribe(&bus, group, EVENTS, &[0]).await?;
        let again = take(&mut reader, open.len()).await?;
        open.sort_by_key(|delivery| delivery.position);
        assert_eq!(bodies(&again[..open.len()]), bodies(&open));
    }
    Ok(())
}

async fn lengths_lags_and_pending_entries_are_shown(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    publish(&bus, &entries(EVENTS, 1, 0..10)).await?;
    let mut a = subscribe(&bus, "a", EVENTS, &[1]).await?;
    let given = take(&mut a, 4).await?;
    ack(&bus, "a", &given[..1]).await?;
    let shown = bus.inspect().await?;
    let line = |group: &str, partition: u32| {
        let found = |line: &&platform::bus::GroupInfo| {
            line.stream == EVENTS && line.group == group && line.partition == partition
        };
        let line = shown.groups.iter().find(found).unwrap();
        (line.length, line.lag, line.pending)
    };
    assert_eq!(line("a", 1), (10, 6, 3));
    assert_eq!(line("b", 1), (10, 10, 0));
    assert_eq!(line("a", 0), (0, 0, 0));
    assert_eq!(shown.groups.len(), 3 * PARTITIONS as usize);
    let delayed: Vec<_> = shown.delayed.iter().map(|(stream, count)| (stream.as_str(), *count)).collect();
    assert_eq!(delayed, [(COMMANDS, 0), (EVENTS, 0), (SILENT, 0)]);
    Ok(())
}
