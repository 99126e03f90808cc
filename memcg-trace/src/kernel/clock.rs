//! The kernel's clocks against each other.

use nix::time::{ClockId, clock_gettime};

use crate::record::Clock;

/// Nanoseconds of a clock.
fn now(clock: ClockId) -> i128 {
    // Fails for unknown clocks only, and these three are older than eBPF.
    clock_gettime(clock).map_or(0, |t| i128::from(t.tv_sec()) * 1_000_000_000 + i128::from(t.tv_nsec()))
}

/// `CLOCK_MONOTONIC`, ns: the clock of the events.
pub fn monotonic_ns() -> u64 {
    now(ClockId::CLOCK_MONOTONIC) as u64
}

/// The clocks as they are now. They move against each other with a suspend or a set clock.
pub fn offsets() -> Clock {
    let monotonic = now(ClockId::CLOCK_MONOTONIC);
    let offset = |clock| (now(clock) - monotonic) as i64;
    Clock {
        boottime_offset_ns: offset(ClockId::CLOCK_BOOTTIME),
        realtime_offset_ns: offset(ClockId::CLOCK_REALTIME),
    }
}
