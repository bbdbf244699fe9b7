//! The delay queue: an upsert index that moves what is due into its stream.

use anyhow::Result;
use platform::bus::{Timer, TimerKey};
use platform::clock::Millis;
use platform::topology::partition_of;
use rand::seq::SliceRandom;

use super::*;

contract! {
    timers_fire_in_the_order_of_their_time_and_never_early
    scheduling_again_moves_a_timer
    a_cancelled_timer_does_not_fire
    a_timer_fires_into_the_partition_of_its_subject
    no_more_fire_than_was_asked_for
    two_movers_fire_each_timer_once
    any_subject_can_wait
}

/// A time as real ones are: 13 digits.
const NOON: Millis = 1_700_000_000_000;

fn timer(subject: &str, attempt: i64, due: Millis) -> Timer {
    Timer { subject: subject.into(), kind: "pay_before".into(), attempt, due }
}

/// What has fired, from all partitions.
async fn fired(reader: &mut Box<dyn Subscription>, count: usize) -> Result<Vec<Timer>> {
    let deliveries = take(reader, count).await?;
    Ok(deliveries.iter().map(|one| serde_json::from_str(one.body.as_deref().unwrap())).collect::<Result<_, _>>()?)
}

async fn timers_fire_in_the_order_of_their_time_and_never_early(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    let mut random = seeded();
    let mut timers: Vec<_> = (0..50).map(|index| timer("one subject", index, NOON + index * 10)).collect();
    timers.shuffle(&mut random);
    let nothing = bus.fire_due(EVENTS, NOON, 100).await?;
    assert_eq!((nothing.count, nothing.next_due), (0, None));
    bus.schedule(EVENTS, &timers).await?;
    assert_eq!(bus.inspect().await?.delayed[1], (EVENTS.to_owned(), 50));

    let early = bus.fire_due(EVENTS, NOON - 1, 100).await?;
    assert_eq!((early.count, early.next_due), (0, Some(NOON)));
    let some = bus.fire_due(EVENTS, NOON + 199, 100).await?;
    assert_eq!((some.count, some.next_due), (20, Some(NOON + 200)));
    let rest = bus.fire_due(EVENTS, NOON + 490, 100).await?;
    assert_eq!((rest.count, rest.next_due), (30, None));

    let mut reader = subscribe(&bus, "a", EVENTS, &[0, 1, 2, 3]).await?;
    let heard = fired(&mut reader, 50).await?;
    timers.sort_by_key(|timer| timer.due);
    assert_eq!(heard, timers);
    Ok(())
}

async fn scheduling_again_moves_a_timer(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    bus.schedule(EVENTS, &[timer("s", 1, NOON), timer("s", 2, NOON + 5)]).await?;
    bus.schedule(EVENTS, &[timer("s", 1, NOON + 10), timer("s", 2, NOON + 5)]).await?;
    let first = bus.fire_due(EVENTS, NOON + 9, 10).await?;
    assert_eq!((first.count, first.next_due), (1, Some(NOON + 10)));
    assert_eq!(bus.fire_due(EVENTS, NOON + 10, 10).await?.count, 1);
    // Earlier works as well, and so does scheduling again what has fired.
    bus.schedule(EVENTS, &[timer("s", 1, NOON + 10)]).await?;
    bus.schedule(EVENTS, &[timer("s", 1, NOON - 10)]).await?;
    assert_eq!(bus.fire_due(EVENTS, NOON - 10, 10).await?.count, 1);
    let mut reader = subscribe(&bus, "a", EVENTS, &[0, 1, 2, 3]).await?;
    let heard: Vec<_> = fired(&mut reader, 3).await?.iter().map(|timer| (timer.attempt, timer.due)).collect();
    assert_eq!(heard, [(2, NOON + 5), (1, NOON + 10), (1, NOON - 10)]);
    Ok(())
}

async fn a_cancelled_timer_does_not_fire(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    let (stays, goes) = (timer("s", 1, NOON), timer("s", 2, NOON));
    bus.schedule(EVENTS, &[stays.clone(), goes.clone()]).await?;
    bus.schedule(COMMANDS, std::slice::from_ref(&goes)).await?;
    let unknown = TimerKey { subject: "nobody".into(), kind: "nothing".into(), attempt: 0 };
    bus.cancel(EVENTS, &[goes.key(), unknown]).await?;
    assert_eq!(bus.fire_due(EVENTS, NOON, 10).await?.count, 1);
    assert_eq!(bus.fire_due(COMMANDS, NOON, 10).await?.count, 1, "queues are apart");
    let mut reader = subscribe(&bus, "a", EVENTS, &[0, 1, 2, 3]).await?;
    assert_eq!(fired(&mut reader, 1).await?, [stays]);
    Ok(())
}

async fn a_timer_fires_into_the_partition_of_its_subject(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    let timers: Vec<_> = (0..40).map(|index| timer(&format!("subject {index}"), 0, NOON)).collect();
    bus.schedule(EVENTS, &timers).await?;
    bus.fire_due(EVENTS, NOON, 100).await?;
    let mut reader = subscribe(&bus, "a", EVENTS, &[0, 1, 2, 3]).await?;
    for delivery in take(&mut reader, 40).await? {
        let timer: Timer = serde_json::from_str(delivery.body.as_deref().unwrap())?;
        assert_eq!(delivery.partition, partition_of(&timer.subject, PARTITIONS));
    }
    Ok(())
}

async fn no_more_fire_than_was_asked_for(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    let timers: Vec<_> = (0..10).map(|index| timer("s", index, NOON + index)).collect();
    bus.schedule(EVENTS, &timers).await?;
    let first = bus.fire_due(EVENTS, NOON + 100, 4).await?;
    assert_eq!((first.count, first.next_due), (4, Some(NOON + 4)));
    let second = bus.fire_due(EVENTS, NOON + 100, 100).await?;
    assert_eq!((second.count, second.next_due), (6, None));
    Ok(())
}

async fn two_movers_fire_each_timer_once(fixture: &dyn BusFixture) -> Result<()> {
    let (bus, other) = (fixture.declared().await?, fixture.declared().await?);
    let timers: Vec<_> = (0..400).map(|index| timer(&format!("s{index}"), 0, NOON)).collect();
    bus.schedule(EVENTS, &timers).await?;
    let mover = |bus: Arc<dyn Bus>| {
        tokio::spawn(async move {
            let mut count = 0;
            loop {
                let fired = bus.fire_due(EVENTS, NOON, 7).await?;
                count += fired.count;
                tokio::task::yield_now().await;
                if fired.next_due.is_none() {
                    return Ok::<_, platform::bus::BusError>(count);
                }
            }
        })
    };
    let (one, two) = (mover(bus.clone()), mover(other));
    assert_eq!(one.await?? + two.await??, 400);
    let mut reader = subscribe(&bus, "a", EVENTS, &[0, 1, 2, 3]).await?;
    let mut subjects: Vec<_> = fired(&mut reader, 400).await?.into_iter().map(|timer| timer.subject).collect();
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), 400);
    assert_eq!(bus.fire_due(EVENTS, Millis::MAX / 4, 10).await?.count, 0);
    Ok(())
}

async fn any_subject_can_wait(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    let subjects = ["plain", "two words", "\"}", "{", "back\\slash", "ü€𝄞", "line\nline", "7 {\"subject\":1}"];
    for subject in subjects {
        bus.schedule(EVENTS, &[timer(subject, -1, NOON)]).await?;
    }
    assert_eq!(bus.fire_due(EVENTS, NOON, 100).await?.count, subjects.len());
    let mut reader = subscribe(&bus, "a", EVENTS, &[0, 1, 2, 3]).await?;
    let mut heard = fired(&mut reader, subjects.len()).await?;
    heard.sort_by(|a, b| a.subject.cmp(&b.subject));
    let mut wanted: Vec<_> = subjects.iter().map(|subject| timer(subject, -1, NOON)).collect();
    wanted.sort_by(|a, b| a.subject.cmp(&b.subject));
    assert_eq!(heard, wanted);
    Ok(())
}
