//! One firing of a hook on slab caches: what `firing.rs` is for memcgs.

use core::slice;

use aya_ebpf::{
    EbpfContext,
    helpers::{
        bpf_get_current_pid_tgid, bpf_get_smp_processor_id, bpf_ktime_get_ns,
        generated::{bpf_get_current_comm, bpf_probe_read_kernel_str},
    },
    macros::map,
    maps::{Array, HashMap, PerCpuArray, PerfEventByteArray, StackTrace},
    programs::{ProbeContext, tracing::StackIdContext as _},
};
use memcg_trace_common::{
    ABSENT, Counters, MODULE_NAME_SIZE, RawSlabEvent, SlabField, SlabHook, SlabInFlight, SlabLayout,
};

use crate::memory;

#[map]
static CONFIG: Array<SlabLayout> = Array::with_max_entries(1, 0);
#[map]
static EVENTS: PerfEventByteArray = PerfEventByteArray::new(0);
#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(SlabHook::COUNT as u32, 0);
/// An event does not fit on the 512-byte stack. One slot for each hook, because hooks may nest on one CPU.
#[map]
static SCRATCH: PerCpuArray<RawSlabEvent> = PerCpuArray::with_max_entries(SlabHook::COUNT as u32, 0);
/// Entries of functions whose return has not come, by thread. A thread is in one of them at a time.
#[map]
static IN_FLIGHT: HashMap<u64, SlabInFlight> = HashMap::with_max_entries(4096, 0);
/// Name of the module that a thread initialises.
#[map]
static INITIALISING: HashMap<u64, [u8; MODULE_NAME_SIZE]> = HashMap::with_max_entries(1024, 0);
/// Who called, from the inside out; there are some hundreds in a kernel.
#[map]
static STACKS: StackTrace = StackTrace::with_max_entries(4096, 0);

/// One firing of one hook.
pub struct CacheFiring {
    pub event: &'static mut RawSlabEvent,
    counters: &'static mut Counters,
    layout: &'static SlabLayout,
}

/// Who is calling, as a key of [`STACKS`]; negative: not known, another stack has its place.
#[inline(always)]
pub fn stack(ctx: &ProbeContext) -> i32 {
    ctx.get_stackid(&STACKS, 0).map_or(-1, |stack| stack as i32)
}

/// The init function of this thread's module has returned.
#[inline(always)]
pub fn initialised() {
    // Not there: the hook was attached while it ran.
    let _ = INITIALISING.remove(bpf_get_current_pid_tgid());
}

impl CacheFiring {
    /// Starts an event; `None` when a map look-up failed, which is counted.
    #[inline(always)]
    pub fn start(hook: SlabHook) -> Option<Self> {
        // SAFETY: per-CPU slots of this hook alone; the kernel does not run one program twice at once on one CPU.
        let counters = unsafe { &mut *COUNTERS.get_ptr_mut(hook as u32)? };
        counters.fired += 1;
        let (Some(layout), Some(event)) = (CONFIG.get(0), SCRATCH.get_ptr_mut(hook as u32)) else {
            counters.no_config += 1;
            return None;
        };
        // SAFETY: as above.
        let event = unsafe { &mut *event };
        let thread = bpf_get_current_pid_tgid();
        let header = &mut event.header;
        // SAFETY: the helpers take no pointers.
        (header.t_ns, header.cpu) = unsafe { (bpf_ktime_get_ns(), bpf_get_smp_processor_id()) };
        header.seq = counters.emitted + 1;
        header.hook = hook as u16;
        header.pid = thread as u32;
        header.tgid = (thread >> 32) as u32;
        header.known = 0;
        // SAFETY: the slot has room for the length given.
        unsafe { bpf_get_current_comm(header.comm.as_mut_ptr().cast(), header.comm.len() as u32) };
        Some(Self { event, counters, layout })
    }

    /// Remembers what the function was called with, for its return.
    #[inline(always)]
    pub fn enter(&mut self, entry: SlabInFlight) {
        if IN_FLIGHT.insert(bpf_get_current_pid_tgid(), entry, 0).is_err() {
            self.counters.no_entry += 1;
        }
    }

    /// The kernel makes a new cache for what [`Self::enter`] remembered. Nothing remembered: the allocator makes one for
    /// itself.
    #[inline(always)]
    pub fn made(&mut self, cache: u64) {
        match IN_FLIGHT.get_ptr_mut(bpf_get_current_pid_tgid()) {
            // SAFETY: only this thread uses the entry, and it is here.
            Some(entry) => unsafe { (*entry).new = cache },
            None => self.nothing(),
        }
    }

    /// What [`Self::enter`] remembered; `None` is counted.
    #[inline(always)]
    pub fn entered(&mut self) -> Option<SlabInFlight> {
        let thread = bpf_get_current_pid_tgid();
        // SAFETY: only this thread uses the entry, and it is here.
        let entry = unsafe { IN_FLIGHT.get(thread) }.copied();
        match entry {
            Some(_) => drop(IN_FLIGHT.remove(thread)),
            None => self.counters.no_entry += 1,
        }
        entry
    }

    /// An early return as intended: there is nothing to tell.
    #[inline(always)]
    pub fn nothing(&mut self) {
        self.counters.not_memory += 1;
    }

    /// All facts of a cache.
    #[inline(always)]
    pub fn cache(&mut self, cache: u64) {
        let layout = self.layout;
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

    /// The kernel made this cache for the caller, and no other has it yet.
    #[inline(always)]
    pub fn is_new(&mut self, new: bool) {
        if new {
            self.event.header.known |= SlabField::NEW;
        }
    }

    /// The name that was asked for.
    #[inline(always)]
    pub fn asked(&mut self, name: u64) {
        if self.text(name, Text::Asked) {
            self.event.header.known |= SlabField::ASKED;
        }
    }

    /// Who did it: the stack, and the module that this thread initialises.
    #[inline(always)]
    pub fn site(&mut self, stack: i32) {
        if stack >= 0 {
            self.event.header.stack = stack;
            self.event.header.known |= SlabField::STACK;
        }
        // SAFETY: only this thread uses the entry, and it is here.
        if let Some(module) = unsafe { INITIALISING.get(bpf_get_current_pid_tgid()) } {
            self.event.module = *module;
            self.event.header.known |= SlabField::MODULE;
        }
    }

    /// The memcg that it belongs to.
    #[inline(always)]
    pub fn memcg(&mut self, css: u64) {
        let layout = self.layout;
        self.event.header.memcg = css;
        self.event.header.known |= SlabField::MEMCG;
        if let Some(serial) = self.read(css, layout.css_serial) {
            self.event.header.memcg_serial = serial;
            self.event.header.known |= SlabField::SERIAL;
        }
    }

    /// The module that it is about.
    #[inline(always)]
    pub fn module(&mut self, module: u64) -> bool {
        let layout = self.layout;
        let name = module.wrapping_add(u64::from(layout.module_name));
        let known = layout.module_name != ABSENT && self.text(name, Text::Module);
        if known {
            self.event.header.known |= SlabField::MODULE;
        }
        known
    }

    /// From now on this thread initialises `module`.
    #[inline(always)]
    pub fn initialising(&mut self, module: u64) {
        if self.module(module)
            && INITIALISING.insert(bpf_get_current_pid_tgid(), self.event.module, 0).is_err()
        {
            self.counters.no_entry += 1;
        }
    }

    /// Emits the event.
    #[inline(always)]
    pub fn emit<C: EbpfContext>(self, ctx: &C) {
        self.counters.emitted += 1;
        // As bytes: the event by value would be copied to the stack, which is too small for it.
        let bytes = (&raw const *self.event).cast::<u8>();
        // SAFETY: the slot has this size, and the map zeroed it.
        EVENTS.output(ctx, unsafe { slice::from_raw_parts(bytes, size_of::<RawSlabEvent>()) }, 0);
    }

    /// Reads a member; `None` when this kernel has none, or when the read faulted (counted).
    #[inline(always)]
    fn read<T: Copy>(&mut self, base: u64, offset: u32) -> Option<T> {
        let value = memory::read(base, offset)?;
        if value.is_err() {
            self.counters.unreadable += 1;
        }
        value.ok()
    }

    /// Reads a string into its place in the event; `false`: not readable (counted).
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

/// Texts of an event.
enum Text {
    Asked,
    Name,
    Module,
}
