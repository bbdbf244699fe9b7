//! What the generator itself takes of the machine.

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde::Serialize;

/// Above this part of the machine the generator is in the way of what it measures.
pub(super) const TOO_MUCH: f64 = 0.4;

/// The processor time of this process, from a begin to an end.
#[derive(Debug)]
pub(super) struct Cost {
    begun: (Instant, Duration),
    wall: Duration,
    cpu: Duration,
    operations: u64,
}

/// It in figures.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figures {
    /// Seconds of processor time.
    pub(super) cpu_s: f64,
    pub(super) cpu_us_per_op: f64,
    /// 1 is every core, all the time.
    pub(super) cpu_share_of_machine: f64,
}

impl Cost {
    /// From now on.
    pub(super) fn begin() -> Self {
        Self { begun: (Instant::now(), cpu()), wall: Duration::ZERO, cpu: Duration::ZERO, operations: 0 }
    }

    /// Until now, for so many operations.
    pub(super) fn end(&mut self, operations: u64) {
        let (begun, before) = self.begun;
        self.wall = begun.elapsed();
        self.cpu = cpu().saturating_sub(before);
        self.operations = operations;
    }

    pub(super) fn figures(&self) -> Figures {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let (cpu_s, wall_s) = (self.cpu.as_secs_f64(), self.wall.as_secs_f64().max(1e-3));
        Figures {
            cpu_s,
            cpu_us_per_op: cpu_s * 1e6 / (self.operations.max(1) as f64),
            cpu_share_of_machine: cpu_s / (wall_s * cores),
        }
    }
}

/// User and system time; none where the system does not tell.
fn cpu() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Duration::ZERO };
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_costs_time_and_is_shared_among_the_operations() {
        let mut cost = Cost::begin();
        let begun = cpu();
        let mut sum = 0_u64;
        while cpu() - begun < Duration::from_millis(20) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        cost.end(10);
        let figures = cost.figures();
        assert!(figures.cpu_s >= 0.02, "{figures:?}");
        assert!(figures.cpu_us_per_op >= 2_000.0, "{figures:?}");
        assert!(figures.cpu_share_of_machine > 0.0, "{figures:?}");
    }
}
