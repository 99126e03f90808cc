//! The entries of a recording.

use crate::record::{Checkpoint, End, Learned, Outage, Record};

/// One of them; they are applied in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// What was known when the recording began; first of all, if it is there.
    Checkpoint(Box<Checkpoint>),
    /// A record that was applied to the ledger.
    Record(Record),
    /// A time that was passed to the ledger (`CLOCK_MONOTONIC`, ns).
    Time(u64),
    /// What follows was recorded later. It is in no file.
    Outage(Outage),
    /// The last one.
    End(End),
}

impl Entry {
    /// When it was applied (`CLOCK_MONOTONIC`, ns); `None`: it goes with the one before.
    pub fn t_ns(&self) -> Option<u64> {
        match self {
            Self::Checkpoint(checkpoint) => Some(checkpoint.t_ns),
            Self::Record(Record::Event(event)) => Some(event.t_ns()),
            Self::Record(Record::Walk(snapshot)) => Some(snapshot.ended_ns),
            Self::Record(Record::Lost { t_ns, .. } | Record::Missed { t_ns, .. }) => Some(*t_ns),
            Self::Record(Record::Learned(Learned::Copies(_) | Learned::Pins(_))) => None,
            Self::Record(Record::Learned(Learned::Names { .. } | Learned::NamesMissing(_))) => None,
            Self::Time(now_ns) => Some(*now_ns),
            Self::Outage(outage) => Some(outage.to_ns),
            Self::End(end) => Some(end.ended_ns),
        }
    }
}
