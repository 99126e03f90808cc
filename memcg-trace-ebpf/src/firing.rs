//! One firing of a hook: its scratch event, its counters, and how the event goes out.

use core::slice;

use aya_ebpf::{
    EbpfContext,
    helpers::{
        bpf_get_current_pid_tgid, bpf_get_smp_processor_id, bpf_ktime_get_ns, generated::bpf_get_current_comm,
    },
    macros::map,
    maps::{Array, HashMap, PerCpuArray, PerfEventByteArray},
};
use memcg_trace_common::{Config, Counters, EventHeader, Field, Hook, InFlight, NAME_SHORT, RawEvent};

use crate::facts::Facts;

#[map]
static CONFIG: Array<Config> = Array::with_max_entries(1, 0);
#[map]
static EVENTS: PerfEventByteArray = PerfEventByteArray::new(0);
#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(Hook::COUNT as u32, 0);
/// An event does not fit on the 512-byte stack. One slot for each hook, because hooks may nest on one CPU.
#[map]
static SCRATCH: PerCpuArray<RawEvent> = PerCpuArray::with_max_entries(Hook::COUNT as u32, 0);
/// Entries of functions whose return has not come, by thread. A thread is in one of them at a time.
#[map]
static IN_FLIGHT: HashMap<u64, InFlight> = HashMap::with_max_entries(8192, 0);

/// One firing of one hook.
pub struct Firing {
    pub facts: Facts<'static>,
    counters: &'static mut Counters,
    config: &'static Config,
}

impl Firing {
    /// Starts an event; `None` when a map look-up failed, which is counted.
    #[inline(always)]
    pub fn start(hook: Hook) -> Option<Self> {
        // SAFETY: per-CPU slots of this hook alone; the kernel does not run one program twice at once on one CPU.
        let counters = unsafe { &mut *COUNTERS.get_ptr_mut(hook as u32)? };
        counters.fired += 1;
        let (Some(config), Some(event)) = (CONFIG.get(0), SCRATCH.get_ptr_mut(hook as u32)) else {
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
        header.name_len = 0;
        // SAFETY: the slot has room for the length given.
        unsafe { bpf_get_current_comm(header.comm.as_mut_ptr().cast(), header.comm.len() as u32) };
        let facts = Facts { event, layout: &config.layout, unreadable: 0 };
        Some(Self { facts, counters, config })
    }

    /// Remembers what the function was called with, for its return.
    #[inline(always)]
    pub fn enter(&mut self, css: u64) {
        if IN_FLIGHT.insert(bpf_get_current_pid_tgid(), InFlight { css }, 0).is_err() {
            self.counters.no_entry += 1;
        }
    }

    /// What [`Self::enter`] remembered; `None` is counted.
    #[inline(always)]
    pub fn entered(&mut self) -> Option<u64> {
        let thread = bpf_get_current_pid_tgid();
        // SAFETY: only this thread uses the entry, and it is here.
        let css = unsafe { IN_FLIGHT.get(thread) }.map(|entry| entry.css);
        match css {
            Some(_) => drop(IN_FLIGHT.remove(thread)),
            None => self.counters.no_entry += 1,
        }
        css
    }

    /// An early return as intended: this firing is not about a memcg.
    #[inline(always)]
    pub fn not_memory(&mut self) {
        self.counters.not_memory += 1;
    }

    /// The css of the memory controller in this cgroup; 0 when it has none, or when the cgroup's hierarchy does not carry
    /// the controller (then the firing is over).
    #[inline(always)]
    pub fn memory_css(&mut self, cgroup: u64) -> Option<u64> {
        let layout = self.facts.layout;
        let root = self.config.memory_root;
        if root != 0 && self.facts.read(cgroup, layout.cgroup_root) != Some(root) {
            self.not_memory();
            return None;
        }
        Some(self.facts.read(cgroup, layout.cgroup_memory).unwrap_or(0))
    }

    /// The call failed.
    #[inline(always)]
    pub fn errno(&mut self, errno: u32) {
        self.facts.event.header.errno = errno;
        self.facts.event.header.known |= Field::ERRNO;
    }

    /// Emits the event, in a record that fits its name.
    #[inline(always)]
    pub fn emit<C: EbpfContext>(self, ctx: &C) {
        self.counters.emitted += 1;
        self.counters.unreadable += self.facts.unreadable;
        let event = &*self.facts.event;
        #[cfg(feature = "log")]
        aya_log_ebpf::debug!(
            ctx,
            "hook {} seq {} css {:x} known {:x}",
            event.header.hook,
            event.header.seq,
            event.header.css,
            event.header.known
        );
        const HEADER: usize = size_of::<EventHeader>();
        let bytes = (&raw const *event).cast::<u8>();
        let name = usize::from(event.header.name_len);
        // SAFETY: each length is within the slot, which the map zeroed or an earlier firing filled. The lengths are
        // constants because old verifiers do not follow a variable one.
        let record = |length| unsafe { slice::from_raw_parts(bytes, length) };
        if name == 0 {
            EVENTS.output(ctx, record(HEADER), 0);
        } else if name <= NAME_SHORT {
            EVENTS.output(ctx, record(HEADER + NAME_SHORT), 0);
        } else {
            EVENTS.output(ctx, record(size_of::<RawEvent>()), 0);
        }
    }
}
