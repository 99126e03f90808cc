//! Operations of a firing on slab caches, like `firing.rs` for memcgs.

use aya_ebpf::{
    EbpfContext,
    helpers::generated::bpf_probe_read_kernel_str,
    macros::map,
    maps::{HashMap, StackTrace},
    programs::{ProbeContext, tracing::StackIdContext as _},
};
use memcg_trace_common::{ABSENT, MODULE_NAME_SIZE, RawSlabEvent, SlabField};

use crate::{
    frame::{Firing, IN_FLIGHT, thread},
    memory,
};

/// Name of the module whose init function a thread runs.
#[map]
static INITIALISING: HashMap<u64, [u8; MODULE_NAME_SIZE]> = HashMap::with_max_entries(1024, 0);
/// Call stacks, innermost frame first; there are some hundreds in a kernel.
#[map]
static STACKS: StackTrace = StackTrace::with_max_entries(4096, 0);

/// The current stack, as a key of [`STACKS`]; negative: unknown, as another stack has its slot.
#[inline(always)]
pub fn stack(ctx: &ProbeContext) -> i32 {
    ctx.get_stackid(&STACKS, 0).map_or(-1, |stack| stack as i32)
}

/// Called when the init function of this thread's module has returned.
#[inline(always)]
pub fn initialised() {
    // Missing if the hook was attached while it ran.
    let _ = INITIALISING.remove(thread());
}

impl Firing {
    /// Records that the kernel creates a new cache for the call remembered by [`Self::enter`]. If there is none, the
    /// allocator creates one for itself.
    #[inline(always)]
    pub fn made(&mut self, cache: u64) {
        match IN_FLIGHT.get_ptr_mut(thread()) {
            // SAFETY: only this thread uses the entry, and it is running this.
            Some(entry) => unsafe { (*entry).new = cache },
            None => self.ignore(),
        }
    }

    /// All facts of a cache.
    #[inline(always)]
    pub fn cache(&mut self, cache: u64) {
        let layout = self.config;
        self.event.header.cache = cache;
        self.event.header.known |= SlabField::CACHE;
        if let Some(size) = self.read(cache, layout.size) {
            self.event.header.size = size;
            self.event.header.known |= SlabField::SIZE;
        }
        if let Some(size) = self.read(cache, layout.object_size) {
            self.event.header.object_size = size;
            self.event.header.known |= SlabField::OBJECT_SIZE;
        }
        if let Some(flags) = self.read(cache, layout.flags) {
            self.event.header.flags = flags;
            self.event.header.known |= SlabField::FLAGS;
        }
        if let Some(refcount) = self.read(cache, layout.refcount) {
            self.event.header.refcount = refcount;
            self.event.header.known |= SlabField::REFCOUNT;
        }
        if let Some(name) = self.read::<u64>(cache, layout.name)
            && self.text(name, Text::Name)
        {
            self.event.header.known |= SlabField::NAME;
        }
    }

    /// Marks the cache as new, created for the caller.
    #[inline(always)]
    pub fn is_new(&mut self, new: bool) {
        if new {
            self.event.header.known |= SlabField::NEW;
        }
    }

    /// The requested name.
    #[inline(always)]
    pub fn asked(&mut self, name: u64) {
        if self.text(name, Text::Asked) {
            self.event.header.known |= SlabField::ASKED;
        }
    }

    /// The creator: the stack, and the module whose init function this thread runs.
    #[inline(always)]
    pub fn site(&mut self, stack: i32) {
        if stack >= 0 {
            self.event.header.stack = stack;
            self.event.header.known |= SlabField::STACK;
        }
        // SAFETY: only this thread uses the entry, and it is running this.
        if let Some(module) = unsafe { INITIALISING.get(thread()) } {
            self.event.module = *module;
            self.event.header.known |= SlabField::MODULE;
        }
    }

    /// The memcg that owns the cache.
    #[inline(always)]
    pub fn memcg(&mut self, css: u64) {
        let layout = self.config;
        self.event.header.memcg = css;
        self.event.header.known |= SlabField::MEMCG;
        if let Some(serial) = self.read(css, layout.css_serial) {
            self.event.header.memcg_serial = serial;
            self.event.header.known |= SlabField::SERIAL;
        }
    }

    /// The module of the event.
    #[inline(always)]
    pub fn module(&mut self, module: u64) -> bool {
        let layout = self.config;
        let name = module.wrapping_add(u64::from(layout.module_name));
        let known = layout.module_name != ABSENT && self.text(name, Text::Module);
        if known {
            self.event.header.known |= SlabField::MODULE;
        }
        known
    }

    /// Remembers that this thread runs the init function of `module`.
    #[inline(always)]
    pub fn initialising(&mut self, module: u64) {
        if self.module(module) && INITIALISING.insert(thread(), self.event.module, 0).is_err() {
            self.counters.no_entry += 1;
        }
    }

    /// Emits the event.
    #[inline(always)]
    pub fn emit<C: EbpfContext>(self, ctx: &C) {
        self.output(ctx, size_of::<RawSlabEvent>());
    }

    /// Reads a member; `None` if this kernel does not have it, or if the read faulted (counted).
    #[inline(always)]
    fn read<T: Copy>(&mut self, base: u64, offset: u32) -> Option<T> {
        let value = memory::read(base, offset)?;
        if value.is_err() {
            self.counters.unreadable += 1;
        }
        value.ok()
    }

    /// Reads a string into the event; `false`: unreadable (counted).
    #[inline(always)]
    fn text(&mut self, address: u64, place: Text) -> bool {
        let slot: &mut [u8] = match place {
            Text::Asked => &mut self.event.asked,
            Text::Name => &mut self.event.name,
            Text::Module => &mut self.event.module,
        };
        // SAFETY: probe_read tolerates any address and writes at most the slot's bytes.
        let written = unsafe {
            bpf_probe_read_kernel_str(slot.as_mut_ptr().cast(), slot.len() as u32, address as *const _)
        };
        if written <= 0 {
            self.counters.unreadable += 1;
        }
        written > 0
    }
}

/// Strings of an event.
enum Text {
    Asked,
    Name,
    Module,
}
