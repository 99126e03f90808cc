//! Recordings: a run in a file, with all inputs of its views, in the order in which they were applied.
//!
//! ```text
//! MAGIC, FORMAT (u16), ABI (u32)
//! one LZ4 frame of linked blocks with checksums:
//!     start      length (u32), JSON; number of paths (u64), each: cgroup id (u64), length (u32), bytes
//!     entries    a tag each:
//!         EVENT      EventHeader, name
//!         WALK       began, ended (u64), number (u64), each: EventHeader, name, 0 or 1 and Charges
//!         LOST       time (u64), hook (u16), cpu (u32), events (u64)
//!         MISSED     time (u64), hook (u16), firings (u64)
//!         NAMES      css (u64), serial (u64), length (u32), JSON: facts; since format 2
//!         CACHES     time (u64), hold (0 or 1), number (u64), each: css, serial (u64), number (u64), each: length (u32), bytes;
//!                    since format 3
//!         PINS       time (u64), number (u64), each: css, serial (u64), length (u32), JSON: what pins it; since format 4
//!         MISSING    memcgs (u64), of the slice (u64), length (u32), bytes: names that are missing; since format 4
//!         CHECKPOINT length (u32), JSON; number (u64), each: length (u32), JSON: the memcg; 0 or 1 and its path: length (u32),
//!                    bytes; length (u32), JSON: its names; first of all entries, since format 5
//!         TIME       time (u64): time passed to the ledger
//!         END        time (u64), clock offsets (i64, i64), undecodable (u64)
//! ```
//!
//! Numbers are little-endian; structs are those of `memcg-trace-common`, with version [`memcg_trace_common::ABI`]. A
//! file without END was truncated; it is valid up to the last complete block, and each flush closes a block.

mod budget;
mod entry;
mod joined;
mod read;
mod write;

pub use entry::Entry;
pub use joined::{Joined, TimeWindow};
pub use read::{Damage, OpenError, Reader};
pub use write::Writer;

const MAGIC: &[u8; 22] = b"memcg-trace recording\n";
/// Version of this format; incremented with every change.
const FORMAT: u16 = 5;
/// The oldest format that can be read: later ones only add kinds of entries.
const FORMAT_OLDEST: u16 = 1;

const EVENT: u8 = 1;
const WALK: u8 = 2;
const LOST: u8 = 3;
const MISSED: u8 = 4;
const TIME: u8 = 5;
const END: u8 = 6;
const NAMES: u8 = 7;
const CACHES: u8 = 8;
const PINS: u8 = 9;
const MISSING: u8 = 10;
const CHECKPOINT: u8 = 11;
