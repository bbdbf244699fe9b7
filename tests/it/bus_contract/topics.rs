//! Topics: whoever listens now hears it, in any process; nothing is kept.

use anyhow::{Context, Result};

use super::*;

contract! {
    every_tail_hears_its_topic_and_no_other
    what_nobody_heard_is_gone
    a_topic_can_be_heard_again_after_its_last_tail_has_gone
}

async fn hear(tail: &mut tokio::sync::broadcast::Receiver<Arc<str>>) -> Result<String> {
    let heard = tokio::time::timeout(PATIENCE, tail.recv()).await.context("nothing was heard")??;
    Ok(heard.to_string())
}

async fn every_tail_hears_its_topic_and_no_other(fixture: &dyn BusFixture) -> Result<()> {
    let (bus, other) = (fixture.declared().await?, fixture.declared().await?);
    let mut tails = [bus.tail("news").await?, bus.tail("news").await?, other.tail("news").await?];
    let mut of_sport = other.tail("sport").await?;
    other.announce("news", &["one".to_owned(), "zwei ü\n\"".to_owned()]).await?;
    bus.announce("sport", &["goal".to_owned()]).await?;
    bus.announce("news", &["three".to_owned()]).await?;
    for tail in &mut tails {
        // Two processes spoke: only each one's own order is kept.
        let mut heard = [hear(tail).await?, hear(tail).await?, hear(tail).await?];
        heard.sort();
        assert_eq!(heard, ["one", "three", "zwei ü\n\""]);
    }
    assert_eq!(hear(&mut of_sport).await?, "goal");
    assert!(of_sport.is_empty() && tails.iter().all(|tail| tail.is_empty()));
    Ok(())
}

async fn what_nobody_heard_is_gone(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    bus.announce("news", &["unheard".to_owned()]).await?;
    bus.announce("news", &[]).await?;
    let mut tail = bus.tail("news").await?;
    bus.announce("news", &["heard".to_owned()]).await?;
    assert_eq!(hear(&mut tail).await?, "heard");
    Ok(())
}

async fn a_topic_can_be_heard_again_after_its_last_tail_has_gone(fixture: &dyn BusFixture) -> Result<()> {
    let bus = fixture.declared().await?;
    for round in 0..5 {
        let mut tail = bus.tail("news").await?;
        bus.announce("news", &[format!("round {round}")]).await?;
        // What was said just before the tail began may still be on its way to it.
        let mut heard = hear(&mut tail).await?;
        while heard == "unheard" {
            heard = hear(&mut tail).await?;
        }
        assert_eq!(heard, format!("round {round}"));
        drop(tail);
        bus.announce("news", &["unheard".to_owned()]).await?;
    }
    Ok(())
}
