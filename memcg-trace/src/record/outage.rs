//! Time that nothing was recorded of.

use std::fmt;

/// Between two recordings of a rotation that do not follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The last that is known of before it, `CLOCK_MONOTONIC`, ns.
    pub from_ns: u64,
    pub to_ns: u64,
    pub reason: OutageReason,
}

/// The reason for an [`Outage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageReason {
    /// The run ended, and another one began later.
    Stopped,
    /// The recording of a run ends without its end.
    CutOff,
    /// The run went on, but could not write for some time.
    NotWritten,
    /// A recording cannot be read to its end.
    Damaged,
    /// Recordings in between are not there: somebody removed them, or not even their beginning could be written.
    Missing,
}

impl OutageReason {
    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::CutOff => "cut_off",
            Self::NotWritten => "not_written",
            Self::Damaged => "damaged",
            Self::Missing => "missing",
        }
    }
}

impl fmt::Display for OutageReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "memcg-trace was stopped",
            Self::CutOff => "memcg-trace was killed, or the disk was full",
            Self::NotWritten => "the disk was full, or could not be written to",
            Self::Damaged => "the recording is damaged",
            Self::Missing => "a recording is missing: it was removed, or could not be begun",
        })
    }
}
