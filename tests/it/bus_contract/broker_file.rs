//! The embedded bus's file: going on after a restart, and noticing a loss.

use std::path::{Path, PathBuf};

use anyhow::Result;
use platform::bus::BusError;
use rusqlite::Connection;

use super::*;
use crate::servers::until;

struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("bus.db")
    }

    async fn open(&self) -> Result<Arc<dyn Bus>> {
        open(&self.path()).await
    }

    /// What a process leaves behind that publishes and ends in order: its
    /// incarnation and the last position.
    async fn life(&self, bodies: &[&str]) -> Result<(String, Position)> {
        let bus = self.open().await?;
        let last = publish(&bus, &entries(EVENTS, 0, bodies)).await?.pop().unwrap();
        bus.close().await?;
        Ok((bus.incarnation().await?, last))
    }

    fn change(&self, statement: &str) -> Result<()> {
        Connection::open(self.path())?.execute(statement, [])?;
        Ok(())
    }

    fn moved_aside(&self) -> Result<usize> {
        let names = std::fs::read_dir(self.folder.path())?.map(|file| Ok(file?.file_name()));
        let names = names.collect::<Result<Vec<_>>>()?;
        Ok(names.iter().filter(|name| name.to_string_lossy().contains("unusable")).count())
    }
}

async fn open(path: &Path) -> Result<Arc<dyn Bus>> {
    let bus = EmbeddedBus::open(Some(path)).await?;
    bus.declare(&topology()).await?;
    Ok(bus)
}

fn newest(position: Position) -> [(Arc<str>, u32, Position); 1] {
    [(EVENTS.into(), 0, position)]
}

async fn held(bus: &Arc<dyn Bus>) -> Result<u64> {
    let shown = bus.inspect().await?;
    Ok(shown.groups.iter().find(|line| line.stream == EVENTS && line.partition == 0).unwrap().length)
}

#[tokio::test]
async fn a_restart_goes_on_behind_what_was_acked() -> Result<()> {
    let home = Home::new()?;
    let bus = home.open().await?;
    publish(&bus, &entries(EVENTS, 0, ["0", "1\n\"ü€𝄞\\", "2", "3", "4"])).await?;
    let mut a = subscribe(&bus, "a", EVENTS, &[0]).await?;
    let mut b = subscribe(&bus, "b", EVENTS, &[0]).await?;
    let (of_a, of_b) = (take(&mut a, 5).await?, take(&mut b, 5).await?);
    ack(&bus, "a", &[of_a[0].clone(), of_a[1].clone(), of_a[3].clone()]).await?;
    ack(&bus, "b", &of_b[..1]).await?;
    let known = bus.incarnation().await?;
    bus.close().await?;

    let bus = home.open().await?;
    assert_ne!(bus.incarnation().await?, known);
    assert!(!bus.lost_since(Some(&known), &newest(of_a[4].position)).await?);
    assert_eq!(bus.settled(EVENTS, 0).await?, Some(of_a[0].position));
    let mut a = subscribe(&bus, "a", EVENTS, &[0]).await?;
    let mut b = subscribe(&bus, "b", EVENTS, &[0]).await?;
    assert_eq!(bodies(&take(&mut a, 3).await?), ["2", "3", "4"], "3 again: it was acked out of order");
    assert_eq!(bodies(&take(&mut b, 4).await?), ["1\n\"ü€𝄞\\", "2", "3", "4"]);
    // Positions go on, they do not begin again.
    let next = publish(&bus, &entries(EVENTS, 0, [5])).await?;
    assert_eq!(next[0].seq, of_a[4].position.seq + 1);
    Ok(())
}

#[tokio::test]
async fn what_is_settled_leaves_the_file() -> Result<()> {
    let home = Home::new()?;
    home.life(&["0", "1", "2"]).await?;
    let bus = home.open().await?;
    for group in ["a", "b"] {
        let mut reader = subscribe(&bus, group, EVENTS, &[0]).await?;
        let heard = take(&mut reader, 2).await?;
        ack(&bus, group, &heard).await?;
    }
    bus.close().await?;
    let file = Connection::open(home.path())?;
    let mut left = file.prepare("SELECT body FROM entry")?;
    let left: Vec<String> = left.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    assert_eq!(left, ["2"]);
    Ok(())
}

#[tokio::test]
async fn it_is_written_soon_without_being_closed() -> Result<()> {
    let (home, copy) = (Home::new()?, Home::new()?);
    let bus = home.open().await?;
    publish(&bus, &entries(EVENTS, 0, 0..3)).await?;
    until("the entries are in the file", PATIENCE, async || {
        for suffix in ["", "-wal"] {
            let name = format!("bus.db{suffix}");
            std::fs::copy(home.folder.path().join(&name), copy.folder.path().join(&name))?;
        }
        let copied = copy.open().await?;
        let held = held(&copied).await?;
        copied.close().await?;
        Ok((held == 3).then_some(()))
    })
    .await
}

#[tokio::test]
async fn what_was_published_after_the_last_writing_is_missed() -> Result<()> {
    let home = Home::new()?;
    let (_, first) = home.life(&["written"]).await?;
    let bus = home.open().await?;
    let known = bus.incarnation().await?;
    let last = publish(&bus, &entries(EVENTS, 0, ["not written"])).await?[0];
    // As a killed process: nothing of the last second is written.
    drop(bus);

    let bus = home.open().await?;
    assert!(!bus.lost_since(Some(&known), &newest(first)).await?);
    assert!(bus.lost_since(Some(&known), &newest(last)).await?);
    assert_eq!(held(&bus).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_deleted_file_is_a_loss() -> Result<()> {
    let home = Home::new()?;
    let (known, last) = home.life(&["lost"]).await?;
    std::fs::remove_file(home.path())?;
    let bus = home.open().await?;
    assert!(bus.lost_since(Some(&known), &[]).await?);
    assert!(bus.lost_since(Some(&known), &newest(last)).await?);
    assert!(matches!(bus.publish(&known, &[]).await, Err(BusError::Reborn)));
    Ok(())
}

#[tokio::test]
async fn an_older_copy_is_a_loss() -> Result<()> {
    let home = Home::new()?;
    let (older, _) = home.life(&["in the copy"]).await?;
    let copy = std::fs::read(home.path())?;
    let (known, last) = home.life(&["lost"]).await?;
    std::fs::write(home.path(), copy)?;
    let bus = home.open().await?;
    assert!(bus.lost_since(Some(&known), &[]).await?);
    assert!(!bus.lost_since(Some(&older), &[]).await?);
    assert!(bus.lost_since(Some(&older), &newest(last)).await?);
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_no_database_is_moved_aside() -> Result<()> {
    let home = Home::new()?;
    let (known, _) = home.life(&["lost"]).await?;
    std::fs::write(home.path(), b"this is not a database, it is a letter to my aunt ".repeat(100))?;
    let bus = home.open().await?;
    assert!(bus.lost_since(Some(&known), &[]).await?);
    assert_eq!((held(&bus).await?, home.moved_aside()?), (0, 1));
    bus.close().await?;
    // The new one is a whole one.
    home.life(&["kept"]).await?;
    assert_eq!((held(&home.open().await?).await?, home.moved_aside()?), (1, 1));
    Ok(())
}

#[tokio::test]
async fn a_file_with_a_hole_in_it_is_moved_aside() -> Result<()> {
    let home = Home::new()?;
    let (known, _) = home.life(&["0", "1", "2"]).await?;
    home.change("DELETE FROM entry WHERE seq = 2")?;
    let bus = home.open().await?;
    assert!(bus.lost_since(Some(&known), &[]).await?);
    assert_eq!((held(&bus).await?, home.moved_aside()?), (0, 1));
    Ok(())
}

/// The file is not synced while it is used, so a machine that lost its power may
/// have kept any part of it.
#[tokio::test]
async fn a_file_left_open_by_an_earlier_start_of_the_machine_is_a_loss() -> Result<()> {
    let home = Home::new()?;
    let (known, last) = home.life(&["kept"]).await?;
    home.change("UPDATE property SET value = 'an earlier start' WHERE name = 'boot'")?;
    let bus = home.open().await?;
    assert!(bus.lost_since(Some(&known), &newest(last)).await?);
    assert_eq!(held(&bus).await?, 1, "what is there is used all the same");
    Ok(())
}

#[tokio::test]
async fn the_file_remembers_the_number_of_partitions() -> Result<()> {
    let home = Home::new()?;
    home.life(&["one"]).await?;
    let bus = EmbeddedBus::open(Some(&home.path())).await?;
    let refusal = bus.declare(&Topology { partitions: 1, ..topology() }).await.unwrap_err();
    assert!(refusal.to_string().contains("made with 4 partitions, not 1"), "{refusal}");
    bus.declare(&topology()).await?;
    Ok(())
}

#[tokio::test]
async fn a_file_that_cannot_be_made_is_an_error() -> Result<()> {
    let home = Home::new()?;
    let nowhere = home.folder.path().join("no such folder").join("bus.db");
    assert!(matches!(EmbeddedBus::open(Some(&nowhere)).await.err(), Some(BusError::Broken(_))));
    // In use: it is somebody's, not garbage.
    let _bus = home.open().await?;
    assert!(matches!(EmbeddedBus::open(Some(&home.path())).await.err(), Some(BusError::Broken(_))));
    assert_eq!(home.moved_aside()?, 0);
    Ok(())
}
