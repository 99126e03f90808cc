//! Offsets between the clocks of a machine.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Converts `CLOCK_MONOTONIC`, the clock of event timestamps, to the clocks that people and other tools use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// `CLOCK_BOOTTIME` minus `CLOCK_MONOTONIC`, ns: time spent suspended.
    pub boottime_offset_ns: i64,
    /// `CLOCK_REALTIME` minus `CLOCK_MONOTONIC`, ns.
    pub realtime_offset_ns: i64,
}

impl Clock {
    /// Since boot, ns.
    pub fn boot_ns(&self, t_ns: u64) -> u64 {
        t_ns.saturating_add_signed(self.boottime_offset_ns)
    }

    /// Since the epoch, ns.
    pub fn real_ns(&self, t_ns: u64) -> i128 {
        i128::from(t_ns) + i128::from(self.realtime_offset_ns)
    }

    /// RFC 3339, UTC.
    pub fn utc(&self, t_ns: u64) -> Timestamp {
        // 64-bit nanoseconds end in the year 2841, timestamps in 9999.
        Timestamp::from_nanosecond(self.real_ns(t_ns)).unwrap_or(Timestamp::MAX)
    }
}
