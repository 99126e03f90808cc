//! Decoding: bytes of the perf buffer into a [`SlabEvent`].

use memcg_trace_common::{RawSlabEvent, SlabField, SlabHeader, SlabHook};
use thiserror::Error;
use zerocopy::FromBytes as _;

use super::{Listing, Symbol};
use crate::{
    event::Task,
    record::{CacheCopies, HookEvent},
};

/// What a hook on slab caches saw. A fact that it could not read is `None`, never zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlabEvent {
    raw: Box<RawSlabEvent>,
    hook: SlabHook,
    /// The function that asked for the cache, once the stack was looked up.
    pub caller: Option<Symbol>,
}

/// Bytes that are not an event of this ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SlabDecodeError {
    #[error("slab event of {0} bytes is shorter than {needed}", needed = size_of::<RawSlabEvent>())]
    Short(usize),
    #[error("slab event names hook {0}, which does not exist")]
    Hook(u16),
}

impl SlabEvent {
    /// An event from its parts.
    pub fn new(raw: RawSlabEvent) -> Result<Self, SlabDecodeError> {
        let hook = raw.header.hook;
        let hook = SlabHook::from_number(hook).ok_or(SlabDecodeError::Hook(hook))?;
        Ok(Self { raw: Box::new(raw), hook, caller: None })
    }

    fn header(&self) -> &SlabHeader {
        &self.raw.header
    }

    pub fn hook(&self) -> SlabHook {
        self.hook
    }

    /// `CLOCK_MONOTONIC`, ns.
    pub fn t_ns(&self) -> u64 {
        self.header().t_ns
    }

    /// The thread that ran the hook.
    pub fn task(&self) -> Task {
        let header = self.header();
        Task { pid: header.pid, tgid: header.tgid, comm: header.comm }
    }

    /// Address of the cache; `None` in a creation: it failed.
    pub fn cache(&self) -> Option<u64> {
        self.field(SlabField::CACHE, self.header().cache)
    }

    /// The cache that a memcg's own is a copy of.
    pub fn root(&self) -> Option<u64> {
        self.field(SlabField::ROOT, self.header().root)
    }

    /// css address and serial number of the memcg that it is about.
    pub fn memcg(&self) -> Option<(u64, Option<u64>)> {
        let serial = self.field(SlabField::SERIAL, self.header().memcg_serial);
        self.field(SlabField::MEMCG, (self.header().memcg, serial))
    }

    /// Bytes that an object takes, with all that is put around it.
    pub fn size(&self) -> Option<u32> {
        self.field(SlabField::SIZE, self.header().size)
    }

    /// Bytes of an object.
    pub fn object_size(&self) -> Option<u32> {
        let asked = self.field(SlabField::ASKED_SIZE, self.header().asked_size);
        self.field(SlabField::OBJECT_SIZE, self.header().object_size).or(asked)
    }

    /// How often the cache is held: after a creation, before a destruction.
    pub fn refcount(&self) -> Option<i32> {
        self.field(SlabField::REFCOUNT, self.header().refcount)
    }

    /// The kernel made a cache for this creation; `hooked`: it would have said so.
    pub fn is_new(&self, hooked: bool) -> bool {
        let said = self.known(SlabField::NEW);
        if hooked { said } else { said || self.refcount().is_none_or(|refcount| refcount <= 1) }
    }

    /// Key of the stack of whoever asked.
    pub fn stack(&self) -> Option<u32> {
        self.field(SlabField::STACK, self.header().stack).and_then(|stack| stack.try_into().ok())
    }

    /// The name that was asked for.
    pub fn asked(&self) -> Option<&[u8]> {
        self.field(SlabField::ASKED, text(&self.raw.asked))
    }

    /// The name that the cache has.
    pub fn name(&self) -> Option<&[u8]> {
        self.field(SlabField::NAME, text(&self.raw.name))
    }

    /// The module that the thread initialises, or the one that goes.
    pub fn module(&self) -> Option<&[u8]> {
        self.field(SlabField::MODULE, text(&self.raw.module))
    }

    fn known(&self, field: u32) -> bool {
        self.header().known & field != 0
    }

    fn field<T>(&self, field: u32, value: T) -> Option<T> {
        self.known(field).then_some(value)
    }
}

impl HookEvent for SlabEvent {
    type Hook = SlabHook;
    type Snapshot = Listing;
    /// Of memcgs that are dying.
    type Learned = CacheCopies;
    type DecodeError = SlabDecodeError;

    fn decode(bytes: &[u8]) -> Result<Self, SlabDecodeError> {
        // The perf buffer pads records.
        let (raw, _) =
            RawSlabEvent::read_from_prefix(bytes).map_err(|_| SlabDecodeError::Short(bytes.len()))?;
        Self::new(raw)
    }

    fn hook(&self) -> SlabHook {
        self.hook
    }

    fn cpu(&self) -> u32 {
        self.header().cpu
    }

    fn seq(&self) -> u64 {
        self.header().seq
    }

    fn t_ns(&self) -> u64 {
        self.header().t_ns
    }
}

/// Up to the first NUL.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}
