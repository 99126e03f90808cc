//! The common start and end of every firing: configuration, scratch event, counters, sequence number, emission.
//!
//! Each object has these maps with its own types, which its root (`hooks.rs`, `slab.rs`) names `Config`, `Hook`,
//! `Event`, `Copied` and `InFlight`; `firing.rs` and `cache_firing.rs` add the operations for that object.

use core::slice;

use aya_ebpf::{
    EbpfContext,
    helpers::{
        bpf_get_current_pid_tgid, bpf_get_smp_processor_id, bpf_ktime_get_ns, generated::bpf_get_current_comm,
    },
    macros::map,
    maps::{Array, HashMap, PerCpuArray, PerfEventByteArray},
};
use memcg_trace_common::Counters;

use crate::{Config, Copied, Event, Hook, InFlight};

#[map]
static CONFIG: Array<Config> = Array::with_max_entries(1, 0);
#[map]
static EVENTS: PerfEventByteArray = PerfEventByteArray::new(0);
#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(Hook::COUNT as u32, 0);
/// One slot per hook, because hooks may nest on a CPU.
#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(Hook::COUNT as u32, 0);
/// State of entered functions that have not returned, by thread. A thread is in one of them at a time.
#[map]
pub static IN_FLIGHT: HashMap<u64, InFlight> = HashMap::with_max_entries(8192, 0);

/// What does not fit on the 512-byte stack.
#[repr(C)]
struct Scratch {
    event: Event,
    copied: Copied,
}

/// One firing of one hook.
pub struct Firing {
    pub event: &'static mut Event,
    /// Room for structs that are copied before their members are read.
    #[allow(dead_code, reason = "the hooks on slab caches copy none")]
    pub copied: &'static mut Copied,
    pub counters: &'static mut Counters,
    pub config: &'static Config,
}

impl Firing {
    /// Starts an event; `None` if a map lookup failed, which is counted.
    #[inline(always)]
    pub fn start(hook: Hook) -> Option<Self> {
        // SAFETY: per-CPU slots of this hook alone; the kernel does not run one program twice at once on one CPU.
        let counters = unsafe { &mut *COUNTERS.get_ptr_mut(hook as u32)? };
        counters.fired += 1;
        let (Some(config), Some(scratch)) = (CONFIG.get(0), SCRATCH.get_ptr_mut(hook as u32)) else {
            counters.no_config += 1;
            return None;
        };
        // SAFETY: as above.
        let Scratch { event, copied } = unsafe { &mut *scratch };
        event.clear();
        let thread = thread();
        let header = &mut event.header;
        // SAFETY: the helpers take no pointers.
        (header.t_ns, header.cpu) = unsafe { (bpf_ktime_get_ns(), bpf_get_smp_processor_id()) };
        header.seq = counters.emitted + 1;
        header.hook = hook as u16;
        header.pid = thread as u32;
        header.tgid = (thread >> 32) as u32;
        // SAFETY: the slot has room for the length given.
        unsafe { bpf_get_current_comm(header.comm.as_mut_ptr().cast(), header.comm.len() as u32) };
        Some(Self { event, copied, counters, config })
    }

    /// Counts an intended early return: this firing is not about the memory controller.
    #[inline(always)]
    pub fn ignore(&mut self) {
        self.counters.not_memory += 1;
    }

    /// Remembers the arguments of the function for its return.
    #[inline(always)]
    pub fn enter(&mut self, entry: InFlight) {
        if IN_FLIGHT.insert(thread(), entry, 0).is_err() {
            self.counters.no_entry += 1;
        }
    }

    /// The state remembered by [`Self::enter`]; `None` is counted.
    #[inline(always)]
    pub fn entered(&mut self) -> Option<InFlight> {
        let thread = thread();
        // SAFETY: only this thread uses the entry, and it is here.
        let entry = unsafe { IN_FLIGHT.get(thread) }.copied();
        match entry {
            Some(_) => drop(IN_FLIGHT.remove(thread)),
            None => self.counters.no_entry += 1,
        }
        entry
    }

    /// Emits the first `length` bytes of the event. Must be a constant: old verifiers do not track variable lengths.
    #[inline(always)]
    pub fn output<C: EbpfContext>(self, ctx: &C, length: usize) {
        self.counters.emitted += 1;
        // As bytes: by value, the event would be copied to the stack, which is too small.
        let bytes = (&raw const *self.event).cast::<u8>();
        // SAFETY: the slot has this size, and the map zeroed it or an earlier firing filled it.
        let record = unsafe { slice::from_raw_parts(bytes, length.min(size_of::<Event>())) };
        EVENTS.output(ctx, record, 0);
    }
}

/// The thread that the hook fired in, as a map key.
#[inline(always)]
pub fn thread() -> u64 {
    bpf_get_current_pid_tgid()
}
