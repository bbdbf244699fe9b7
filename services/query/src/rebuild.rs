//! The **rebuild** of a read model, beside the live one.
//!
//! ```text
//!            Begin ──► Fold ──► Fold ──► … ──► Fold ──────► Clear ──► Clear ──► …
//!  live:     1         1        1              1 ─► 2       2         2
//!  building: 2 @0      2 @5000  2 @10000       2 @head      –         –
//! ```
//!
//! Each step is an input of the service loop, and so one transaction among those
//! that fold what is happening now: orders flow on between two steps. A step folds
//! the next chunk of the event log into rows of a generation that nobody sees. The
//! step that reaches the head of the log also compares the two generations and
//! switches the readers over; then what nobody sees any more is cleared away.
//!
//! # On crash
//! The live generation is untouched until the switch, which is one transaction. A
//! rebuild that was left half way counts as under way until [`LAPSE`] after its last
//! step (or, where only one process can be at work, until that process has ended);
//! then the next one takes its place with a new generation and clears its rows away.
//!
//! Here are the decisions; the SQL is in the store, and who drives the steps is
//! [`grpc::rebuild`](crate::grpc).

use platform::clock::Millis;
use platform::error::Rejection;
use serde::{Deserialize, Serialize};

use crate::read_model::{Building, Model, Rebuild, Standing};

/// Events of the log that a step looks at, at most. It holds up what happens now for as long
/// as folding so many takes.
pub(crate) const CHUNK: i64 = 5_000;
/// Rows that a step clears away, at most.
pub(crate) const CLEARED: i64 = 5_000;
/// How long after its last step a rebuild counts as left half way, milliseconds.
pub const LAPSE: Millis = 30_000;

/// A step of a rebuild.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Begins one.
    Begin {
        /// Of which read model.
        model: Model,
        /// The rebuild's own id.
        id: String,
        /// Whether nobody else can be at work: then one that is under way was left
        /// by a process that has ended.
        alone: bool,
    },
    /// Folds the next chunk.
    Fold {
        /// Of which read model.
        model: Model,
        /// The rebuild that it belongs to.
        id: String,
        /// Where the last step came to.
        after: i64,
        /// Events of the log to look at, at most.
        most: i64,
    },
    /// Clears away some of the rows that nobody sees any more.
    Clear {
        /// Of which read model.
        model: Model,
        /// Rows to clear away, at most.
        most: i64,
    },
}

impl Step {
    /// Which read model it is about.
    pub const fn model(&self) -> Model {
        match self {
            Self::Begin { model, .. } | Self::Fold { model, .. } | Self::Clear { model, .. } => *model,
        }
    }
}

/// What a step comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Which generation it is about.
    pub generation: i64,
    /// Up to where in the log it is folded.
    pub position: i64,
    /// Events of the log that the step looked at.
    pub events: i64,
    /// Whether there is nothing left to do: folded and live, or cleared.
    pub done: bool,
}

/// The next events of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// The position of its last event.
    pub(crate) upto: i64,
    /// How many there are.
    pub(crate) events: i64,
    /// Whether no event was logged after it.
    pub(crate) is_last: bool,
}

/// Begins a rebuild.
///
/// # Errors
/// CONFLICT if another one is under way.
pub(crate) fn begin(standing: &mut Standing, id: &str, alone: bool, now: Millis) -> Result<Progress, Rejection> {
    let mut newest = standing.generation;
    if let Some(Rebuild { id: other, begun_at: _, at, building: Some(building) }) = &standing.rebuild {
        if other != id {
            if !alone && now.saturating_sub(*at) < LAPSE {
                return Err(Rejection::conflict("this read model is being rebuilt already"));
            }
            newest = newest.max(building.generation);
        } else {
            // Begun already: the commit that said so was not heard of.
            return Ok(Progress {
                generation: building.generation,
                position: building.position,
                events: 0,
                done: false,
            });
        }
    }
    let building = Building { generation: newest + 1, position: 0 };
    standing.rebuild = Some(Rebuild { id: id.to_owned(), begun_at: now, at: now, building: Some(building) });
    Ok(Progress { generation: building.generation, position: 0, events: 0, done: false })
}

/// Moves a rebuild forward by a chunk; `None`: there was none to be had, since the
/// rebuild does not stand where the step thinks. Says whether the chunk counts.
///
/// # Errors
/// CONFLICT if another rebuild has taken this one's place.
pub(crate) fn fold(
    standing: &mut Standing,
    id: &str,
    after: i64,
    chunk: Option<Chunk>,
    now: Millis,
) -> Result<(Progress, bool), Rejection> {
    let superseded = || Rejection::conflict("another rebuild has taken this one's place");
    let Some(rebuild) = standing.rebuild.as_mut().filter(|rebuild| rebuild.id == id) else {
        return Err(superseded());
    };
    let Some(building) = &mut rebuild.building else {
        // Switched already: the commit that did it was not heard of.
        let progress = Progress { generation: standing.generation, position: standing.position, events: 0, done: true };
        return Ok((progress, false));
    };
    match chunk {
        Some(Chunk { upto, events, is_last }) if building.position == after => {
            building.position = upto;
            rebuild.at = now;
            let progress = Progress { generation: building.generation, position: upto, events, done: is_last };
            if is_last {
                standing.generation = building.generation;
                rebuild.building = None;
            }
            Ok((progress, true))
        }
        // Folded already, see above.
        Some(_) | None if building.position > after => Ok((
            Progress { generation: building.generation, position: building.position, events: 0, done: false },
            false,
        )),
        Some(_) | None => Err(superseded()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_000_000;

    fn live(position: i64) -> Standing {
        Standing { generation: 3, position, rebuild: None }
    }

    fn building(position: i64) -> Standing {
        let building = Some(Building { generation: 4, position });
        Standing { rebuild: Some(Rebuild { id: "a".into(), begun_at: NOW, at: NOW, building }), ..live(20) }
    }

    const fn chunk(upto: i64, is_last: bool) -> Option<Chunk> {
        Some(Chunk { upto, events: 10, is_last })
    }

    #[test]
    fn a_rebuild_begins_at_the_first_event_under_the_next_generation() {
        let mut standing = live(20);
        let begun = begin(&mut standing, "a", false, NOW).expect("begins");
        assert_eq!(begun, Progress { generation: 4, position: 0, events: 0, done: false });
        assert_eq!(standing, building(0));
    }

    #[test]
    fn a_second_rebuild_is_told_that_one_is_under_way() {
        let mut standing = building(10);
        let refused = begin(&mut standing, "b", false, NOW + LAPSE - 1).expect_err("refused");
        assert_eq!(refused.code, platform::error::Code::Conflict);
        assert_eq!(standing, building(10));
    }

    #[test]
    fn one_that_was_left_half_way_is_begun_anew_under_a_generation_of_its_own() {
        for (alone, now) in [(false, NOW + LAPSE), (true, NOW)] {
            let mut standing = building(10);
            let begun = begin(&mut standing, "b", alone, now).expect("begins");
            assert_eq!((begun.generation, begun.position), (5, 0));
            assert_eq!(
                fold(&mut standing, "a", 10, chunk(20, true), now).map_err(|no| no.code),
                Err(platform::error::Code::Conflict)
            );
            assert_eq!(standing.generation, 3, "what was superseded never goes live");
        }
    }

    #[test]
    fn a_chunk_moves_the_building_generation_and_not_the_live_one() {
        let mut standing = building(0);
        let (progress, counts) = fold(&mut standing, "a", 0, chunk(10, false), NOW).expect("folds");
        assert_eq!((progress, counts), (Progress { generation: 4, position: 10, events: 10, done: false }, true));
        assert_eq!(standing, building(10));
    }

    #[test]
    fn the_last_chunk_switches_over() {
        let mut standing = building(10);
        let (progress, counts) = fold(&mut standing, "a", 10, chunk(20, true), NOW).expect("folds");
        assert_eq!((progress.done, counts, standing.generation), (true, true, 4));
        assert_eq!(standing.rebuild, Some(Rebuild { id: "a".into(), begun_at: NOW, at: NOW, building: None }));
    }

    #[test]
    fn a_repeated_step_is_answered_and_changes_nothing() {
        let mut standing = building(0);
        begin(&mut standing, "a", false, NOW).expect("begun already");
        assert_eq!(standing, building(0));
        fold(&mut standing, "a", 0, chunk(10, false), NOW).expect("folds");
        let (again, counts) = fold(&mut standing, "a", 0, chunk(10, false), NOW).expect("answers");
        assert_eq!((again.position, again.done, counts), (10, false, false));
        fold(&mut standing, "a", 10, chunk(20, true), NOW).expect("switches");
        let (again, counts) = fold(&mut standing, "a", 10, None, NOW).expect("answers");
        assert_eq!((again.generation, again.done, counts), (4, true, false));
    }
}
