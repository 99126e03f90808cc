//! Reads of kernel memory in bulk, on demand: many addresses a run, many entries of a list a run, or one large block.
//!
//! The programs know nothing of what they read; the loader does (`kernel/memory`).

/// Addresses that one run reads. The verifier follows a bounded loop through all its rounds: with four times as many, the program
/// takes four times as long to load, and 300,000 reads take 5 ms less.
pub const BATCH: usize = 64;
/// Bytes that it reads at each of them, at most.
pub const READ_MAX: usize = 256;
/// Entries of a list that one run follows. See [`BATCH`].
pub const LIST_STEPS: usize = 64;
/// Words that are copied of each entry: as many as a `struct page` has.
pub const ENTRY_WORDS: usize = 8;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 64 << 10;

/// One address to be read.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub address: u64,
    /// Bytes; those of a string with its NUL, at most.
    pub length: u32,
    /// 1: a string, which ends with its NUL.
    pub string: u32,
}

/// The requests of one run.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Requests {
    pub count: u64,
    pub requests: [Request; BATCH],
}

/// The answers of one run.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Answers {
    /// Bytes that are valid, the NUL of a string counted; negative: the address could not be read.
    pub lengths: [i64; BATCH],
    pub bytes: [[u8; READ_MAX]; BATCH],
}

/// A circular list (`struct list_head`) whose entries may have to carry a mark, and how to read it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// Address of the head, where the list ends.
    pub head: u64,
    /// Address of the node to begin with, in the first entry that is read.
    pub node: u64,
    /// From the first byte that is copied of an entry to its node.
    pub back: u64,
    /// Index of the copied word that is the address of the next node.
    pub next: u32,
    /// Index of the copied word that is the mark.
    pub mark: u32,
    /// Bits of the mark that count; 0: there is none.
    pub mask: u64,
    /// Their value. An entry that differs is not copied, and the run ends.
    pub value: u64,
}

/// The reason why a run ended.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListEnd {
    /// After its last step: go on with [`Entries::node`].
    More = 0,
    /// At the head.
    Head = 1,
    /// An entry could not be read, or has another mark: it left the list meanwhile.
    Torn = 2,
}

/// The entries that one run read.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Entries {
    pub count: u32,
    /// A [`ListEnd`].
    pub end: u32,
    /// Address of the node behind the last entry.
    pub node: u64,
    /// The copied words of each entry. Each has the address of the next one; the first is that of [`List::node`].
    pub entries: [[u64; ENTRY_WORDS]; LIST_STEPS],
}

/// Memory as it is, from a given address on.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Block {
    pub bytes: [u8; BLOCK_BYTES],
}

impl ListEnd {
    pub const fn from_raw(raw: u32) -> Self {
        match raw {
            0 => Self::More,
            1 => Self::Head,
            _ => Self::Torn,
        }
    }
}

const _: () = assert!(size_of::<Requests>() == 8 + BATCH * 16);
const _: () = assert!(size_of::<Answers>() == BATCH * (8 + READ_MAX));
const _: () = assert!(size_of::<List>() == 6 * 8);
const _: () = assert!(size_of::<Entries>() == 16 + LIST_STEPS * ENTRY_WORDS * 8);
const _: () = assert!(size_of::<Block>() == BLOCK_BYTES);
const _: () = assert!(ENTRY_WORDS.is_power_of_two());
