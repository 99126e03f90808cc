//! One firing of a hook: its scratch event, its counters, and how the event goes out.

use core::slice;

use aya_ebpf::{
    EbpfContext,
    helpers::{
        bpf_get_current_pid_tgid, bpf_get_smp_processor_id, bpf_ktime_get_ns, generated::bpf_get_current_comm,
    },
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, PerfEventByteArray},
};
use memcg_trace_common::{
    ABSENT, Config, Counters, EventHeader, Field, Hook, InFlight, NAME_SHORT, RawEvent,
};

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

/// Which memcg a cgroup has, where the offset of `cgroup.subsys[]` need not be known: kept from its creation on. The loader
/// gives it room where it is used.
#[map]
static MEMCGS: HashMap<u64, u64> = HashMap::with_max_entries(1, 0);

/// The path that a thread gave to mkdir last, an address in its memory. The loader gives it room where it is used.
#[map]
static ASKED: LruHashMap<u64, u64> = LruHashMap::with_max_entries(1, 0);

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

    /// Nothing leads from a css to its cgroup: the layout is not known.
    #[inline(always)]
    pub fn is_blind(&self) -> bool {
        self.config.layout.css_cgroup == ABSENT
    }

    /// The css that came online in this thread since it entered `cgroup_mkdir`.
    #[inline(always)]
    pub fn newborn(&self) -> Option<u64> {
        // SAFETY: only this thread uses the entry, and it is here.
        unsafe { IN_FLIGHT.get(bpf_get_current_pid_tgid()) }.map(|entry| entry.css)
    }

    /// What this thread left is not about what it does now.
    #[inline(always)]
    pub fn leave(&self) {
        // Mostly there is nothing.
        let _ = IN_FLIGHT.remove(bpf_get_current_pid_tgid());
    }

    /// A path, which begins with `/`, in place of the cgroup's name.
    #[inline(always)]
    pub fn path(&mut self, path: u64) {
        self.facts.name(path);
        self.facts.event.header.known |= Field::PATH;
    }

    /// This thread asks for a directory.
    #[inline(always)]
    pub fn ask(&mut self, path: u64) {
        if ASKED.insert(bpf_get_current_pid_tgid(), path, 0).is_err() {
            self.counters.no_entry += 1;
        }
    }

    /// What this thread asked for last.
    #[inline(always)]
    pub fn asked(&self) -> Option<u64> {
        // SAFETY: only this thread uses the entry, and it is here.
        unsafe { ASKED.get(bpf_get_current_pid_tgid()) }.copied()
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
        if layout.cgroup_memory == ABSENT {
            // SAFETY: the entry is replaced or removed as a whole.
            let css = unsafe { MEMCGS.get(cgroup) }.copied();
            if css.is_none() {
                self.not_memory();
            }
            return css;
        }
        Some(self.facts.read(cgroup, layout.cgroup_memory).unwrap_or(0))
    }

    /// A memcg with all that is known of it, while its cgroup is there.
    #[inline(always)]
    pub fn css(&mut self, css: u64) {
        self.facts.css(css);
        let Config { dentry, layout, .. } = self.config;
        if dentry.cgroup_parent == ABSENT {
            return;
        }
        let Some(cgroup) = self.facts.read(css, layout.css_cgroup) else { return };
        if let Some(number) = self.inode_number(cgroup) {
            self.facts.event.header.cgroup_id = number;
            self.facts.event.header.known |= Field::CGROUP_ID;
        }
        if let Some(parent) = self.facts.read(cgroup, dentry.cgroup_parent) {
            self.parent_cgroup(parent);
        }
    }

    /// The cgroup that the new one hangs below, where only cgroups know their parents.
    #[inline(always)]
    fn parent_cgroup(&mut self, parent: u64) {
        let css: Option<u64> = self.facts.read(parent, self.config.layout.cgroup_memory);
        let Some(css) = css.filter(|css| *css != 0) else { return };
        self.facts.parent(css);
        if let Some(number) = self.inode_number(parent) {
            self.facts.event.header.parent_cgroup_id = number;
            self.facts.event.header.known |= Field::PARENT_CGROUP_ID;
        }
    }

    /// Number of the cgroup's directory, where that is a dentry.
    #[inline(always)]
    fn inode_number(&mut self, cgroup: u64) -> Option<u64> {
        let Config { dentry, layout, .. } = self.config;
        if dentry.inode_number == ABSENT {
            return None;
        }
        let directory: u64 = self.facts.read(cgroup, layout.cgroup_kn)?;
        let inode: u64 = self.facts.read(directory, dentry.dentry_inode)?;
        self.facts.read(inode, dentry.inode_number)
    }

    /// The parent of a cgroup that has no memcg yet.
    #[inline(always)]
    pub fn parent_of(&mut self, cgroup: u64) {
        if let Some(parent) = self.facts.read(cgroup, self.config.dentry.cgroup_parent) {
            self.parent_cgroup(parent);
        }
    }

    /// From now on the cgroup has this memcg.
    #[inline(always)]
    pub fn remember(&mut self, cgroup: u64, css: u64) {
        if MEMCGS.insert(cgroup, css, 0).is_err() {
            self.counters.no_entry += 1;
        }
    }

    /// The cgroup goes.
    #[inline(always)]
    pub fn forget(&mut self, cgroup: u64) {
        // One that is older than the tool was not there.
        let _ = MEMCGS.remove(cgroup);
    }

    /// The memcg of a cgroup. `None`, which is counted: the cgroup is older than the tool, and the layout is not known.
    #[inline(always)]
    pub fn memcg_of(&mut self, cgroup: u64) -> Option<u64> {
        // SAFETY: the entry is replaced or removed as a whole.
        let css = match unsafe { MEMCGS.get(cgroup) } {
            Some(css) => Some(*css),
            None => self.facts.read(cgroup, self.config.layout.cgroup_memory),
        };
        if css.is_none() {
            self.counters.no_entry += 1;
        }
        css
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
