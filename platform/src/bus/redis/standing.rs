//! Where the groups of a partition stand, and what may be freed therefore.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::declared::{Shared, places};
use super::{incarnation, keys, reply};
use crate::bus::{BusError, Position};

/// Between two attempts to make room in a full server.
const MAKE_ROOM_EVERY: Duration = Duration::from_secs(1);

/// A partition at one instant.
pub(super) struct Standing {
    pub(super) incarnation: String,
    /// The last position that was ever given.
    pub(super) last: Position,
    /// What every group has acked. Nobody listens: everything.
    pub(super) settled: Position,
    /// Whether there is every group that was declared.
    pub(super) whole: bool,
}

impl Shared {
    /// Looks, and changes nothing. `None` for a stream that there is not, and that needs no group.
    pub(super) async fn standing(&self, stream: &str, partition: u32) -> Result<Option<Standing>, BusError> {
        let topology = self.topology();
        let declared = topology.groups(stream);
        let mut live = self.link.live().await?;
        let mut script = self.scripts.settled.key(keys::EPOCH);
        script.key(keys::partition(stream, partition));
        let answer: Option<Vec<String>> = self.link.invoke(&mut live, &script).await?;
        let answer = match answer {
            None if declared.is_empty() => return Ok(None),
            answer => answer.unwrap_or_default(),
        };
        let (head, groups) = answer.split_at(answer.len().min(2));
        let (epoch, last) = match head {
            [epoch, last] => (epoch.as_str(), last.parse()?),
            _ => ("", Position::default()),
        };
        let groups: Vec<_> = groups.chunks_exact(3).collect();
        let mut settled: Position = last;
        for group in &groups {
            settled = settled.min(match group[2].as_str() {
                "" => group[1].parse()?,
                pending => reply::before(pending.parse()?),
            });
        }
        let whole = declared.iter().all(|declared| groups.iter().any(|group| group[0] == *declared));
        Ok(Some(Standing { incarnation: incarnation(epoch, &live.run_id), last, settled, whole }))
    }

    pub(super) async fn trim(&self, stream: &str, partition: u32, up_to: Position) -> Result<(), BusError> {
        let key = keys::partition(stream, partition);
        let mut pipeline = redis::pipe();
        pipeline.cmd("XTRIM").arg((key, "MINID", "=", reply::id(reply::after(up_to))));
        self.run(&mut pipeline).await.map(drop)
    }

    /// After a refusal for lack of memory: frees what every group has acked. The relays
    /// trim too, but each its own streams and after it has published, which is what cannot
    /// be done now.
    pub(super) async fn relieve(&self) {
        if !self.link.was_full() || !self.may_make_room() {
            return;
        }
        tracing::warn!("Redis is full; freeing what everybody has read");
        let topology = self.topology();
        for (stream, partition) in places(&topology) {
            let freed = match self.standing(stream, partition).await {
                Ok(Some(standing)) if standing.whole && standing.settled > Position::default() => {
                    self.trim(stream, partition, standing.settled).await
                }
                answer => answer.map(drop),
            };
            if let Err(error) = freed {
                tracing::debug!(stream, partition, %error, "nothing freed");
                return;
            }
        }
    }

    fn may_make_room(&self) -> bool {
        let mut last = self.made_room.lock().unwrap_or_else(PoisonError::into_inner);
        let may = last.is_none_or(|last| last.elapsed() >= MAKE_ROOM_EVERY);
        if may {
            *last = Some(Instant::now());
        }
        may
    }
}
