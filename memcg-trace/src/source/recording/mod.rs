//! A run in a file: everything that its views were made from, in the order in which it was applied.
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
//!         MISSING    memcgs (u64), of the slice (u64), length (u32), bytes: names that are missing; since format 4
//!         TIME       time (u64): the ledger was told that it has passed
//!         END        time (u64), clock offsets (i64, i64), undecodable (u64)
//! ```
//!
//! Numbers are little-endian, structs are those of `memcg-trace-common` as they are: [`memcg_trace_common::ABI`] says
//! which. A file without END was cut off; it is good up to its last whole block, and a block is closed at each flush.

mod read;
mod write;

pub use read::{Damage, Entry, OpenError, Reader};
pub use write::Writer;

const MAGIC: &[u8; 22] = b"memcg-trace recording\n";
/// Rises with every change of what is written here.
const FORMAT: u16 = 4;
/// Reads all formats from here on: a later one only has more kinds of entries.
const FORMAT_OLDEST: u16 = 1;

const EVENT: u8 = 1;
const WALK: u8 = 2;
const LOST: u8 = 3;
const MISSED: u8 = 4;
const TIME: u8 = 5;
const END: u8 = 6;
const NAMES: u8 = 7;
const CACHES: u8 = 8;
const MISSING: u8 = 9;
