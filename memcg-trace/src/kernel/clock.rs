//! The kernel's clocks and the offsets between them.

use nix::time::{ClockId, clock_gettime};

use crate::record::Clock;

/// Reads a clock, ns.
fn now(clock: ClockId) -> i128 {
    // Fails only for unknown clocks; these three are older than eBPF.
    clock_gettime(clock).map_or(0, |t| i128::from(t.tv_sec()) * 1_000_000_000 + i128::from(t.tv_nsec()))
}

/// `CLOCK_MONOTONIC`, ns: the clock of the events.
pub fn monotonic_ns() -> u64 {
    now(ClockId::CLOCK_MONOTONIC) as u64
}

/// Offsets of the other clocks from `CLOCK_MONOTONIC`. They change when the machine suspends or the clock is set.
pub fn offsets() -> Clock {
    let monotonic = now(ClockId::CLOCK_MONOTONIC);
    let offset = |clock| (now(clock) - monotonic) as i64;
    Clock {
        boottime_offset_ns: offset(ClockId::CLOCK_BOOTTIME),
        realtime_offset_ns: offset(ClockId::CLOCK_REALTIME),
    }
}
