//! The kernel's clocks against each other.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of a clock.
fn now(clock: ClockId) -> i128 {
    // Fails for unknown clocks only, and these three are older than eBPF.
    clock_gettime(clock).map_or(0, |t| i128::from(t.tv_sec()) * 1_000_000_000 + i128::from(t.tv_nsec()))
}

/// `CLOCK_MONOTONIC`, ns: the clock of the events.
pub fn monotonic_ns() -> u64 {
    now(ClockId::CLOCK_MONOTONIC) as u64
}

/// What to add to `CLOCK_MONOTONIC` to get `(CLOCK_BOOTTIME, CLOCK_REALTIME)`, ns. Changes with a suspend or a set clock.
pub fn offsets_ns() -> (i64, i64) {
    let monotonic = now(ClockId::CLOCK_MONOTONIC);
    let offset = |clock| (now(clock) - monotonic) as i64;
    (offset(ClockId::CLOCK_BOOTTIME), offset(ClockId::CLOCK_REALTIME))
}
