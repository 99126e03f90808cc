//! Operations of a firing on memcgs: read a css, find the memcg of a cgroup, emit.

use aya_ebpf::{
    EbpfContext,
    macros::map,
    maps::{HashMap, LruHashMap},
};
use memcg_trace_common::{ABSENT, Config, EventHeader, Field, InFlight, NAME_SHORT, RawEvent};

use crate::{
    facts::Facts,
    frame::{Firing, IN_FLIGHT, thread},
};

/// Memcgs by cgroup, for kernels where the offset of `cgroup.subsys[]` may be unknown: recorded at creation. The loader
/// sizes it where it is used.
#[map]
static MEMCGS: HashMap<u64, u64> = HashMap::with_max_entries(1, 0);

/// The path that a thread passed to mkdir last, an address in its memory. The loader sizes it where it is used.
#[map]
static ASKED: LruHashMap<u64, u64> = LruHashMap::with_max_entries(1, 0);

impl Firing {
    /// The event, to be filled with facts read through the layout.
    #[inline(always)]
    pub fn facts(&mut self) -> Facts<'_> {
        Facts {
            event: self.event,
            layout: &self.config.layout,
            beginning: self.copied,
            unreadable: &mut self.counters.unreadable,
        }
    }

    /// Remembers the css, or cgroup, for the return of this function.
    #[inline(always)]
    pub fn enter_css(&mut self, css: u64) {
        self.enter(InFlight { css });
    }

    /// The value remembered by [`Self::enter_css`]; `None` is counted.
    #[inline(always)]
    pub fn entered_css(&mut self) -> Option<u64> {
        self.entered().map(|entry| entry.css)
    }

    /// Whether the layout is unknown, so that a css does not lead to its cgroup.
    #[inline(always)]
    pub fn is_blind(&self) -> bool {
        self.config.layout.css_cgroup == ABSENT
    }

    /// The css that came online in this thread since it entered `cgroup_mkdir`.
    #[inline(always)]
    pub fn newborn(&self) -> Option<u64> {
        // SAFETY: only this thread uses the entry, and it is here.
        unsafe { IN_FLIGHT.get(thread()) }.map(|entry| entry.css)
    }

    /// Discards a stale entry of this thread.
    #[inline(always)]
    pub fn leave(&self) {
        // Usually there is none.
        let _ = IN_FLIGHT.remove(thread());
    }

    /// Reads a path, which starts with `/`, instead of the cgroup's name.
    #[inline(always)]
    pub fn path(&mut self, path: u64) {
        self.facts().name(path);
        self.event.header.known |= Field::PATH;
    }

    /// Remembers the path that this thread passes to mkdir.
    #[inline(always)]
    pub fn ask(&mut self, path: u64) {
        if ASKED.insert(thread(), path, 0).is_err() {
            self.counters.no_entry += 1;
        }
    }

    /// The path that this thread passed to mkdir last.
    #[inline(always)]
    pub fn asked(&self) -> Option<u64> {
        // SAFETY: only this thread uses the entry, and it is here.
        unsafe { ASKED.get(thread()) }.copied()
    }

    /// The memory controller's css of this cgroup; 0 if it has none, or if the cgroup is in another hierarchy (then the
    /// firing is over).
    #[inline(always)]
    pub fn memory_css(&mut self, cgroup: u64) -> Option<u64> {
        let layout = &self.config.layout;
        let root = self.config.memory_root;
        if root != 0 && self.facts().read(cgroup, layout.cgroup_root) != Some(root) {
            self.ignore();
            return None;
        }
        if layout.cgroup_memory == ABSENT {
            // SAFETY: entries are replaced or removed as a whole.
            let css = unsafe { MEMCGS.get(cgroup) }.copied();
            if css.is_none() {
                self.ignore();
            }
            return css;
        }
        Some(self.facts().read(cgroup, layout.cgroup_memory).unwrap_or(0))
    }

    /// All facts of a memcg whose cgroup still exists.
    #[inline(always)]
    pub fn css(&mut self, css: u64) {
        self.facts().css(css);
        let Config { dentry, layout, .. } = self.config;
        if dentry.cgroup_parent == ABSENT {
            return;
        }
        let Some(cgroup) = self.facts().read(css, layout.css_cgroup) else { return };
        if let Some(number) = self.inode_number(cgroup) {
            self.event.header.cgroup_id = number;
            self.event.header.known |= Field::CGROUP_ID;
        }
        if let Some(parent) = self.facts().read(cgroup, dentry.cgroup_parent) {
            self.parent_cgroup(parent);
        }
    }

    /// The parent cgroup, where only cgroups have parent pointers.
    #[inline(always)]
    fn parent_cgroup(&mut self, parent: u64) {
        let layout = &self.config.layout;
        let css: Option<u64> = self.facts().read(parent, layout.cgroup_memory);
        let Some(css) = css.filter(|css| *css != 0) else { return };
        self.facts().parent(css);
        if let Some(number) = self.inode_number(parent) {
            self.event.header.parent_cgroup_id = number;
            self.event.header.known |= Field::PARENT_CGROUP_ID;
        }
    }

    /// Inode number of the cgroup's directory, where that is a dentry.
    #[inline(always)]
    fn inode_number(&mut self, cgroup: u64) -> Option<u64> {
        let Config { dentry, layout, .. } = self.config;
        if dentry.inode_number == ABSENT {
            return None;
        }
        let mut facts = self.facts();
        let directory: u64 = facts.read(cgroup, layout.cgroup_kn)?;
        let inode: u64 = facts.read(directory, dentry.dentry_inode)?;
        facts.read(inode, dentry.inode_number)
    }

    /// The parent of a cgroup that has no memcg yet.
    #[inline(always)]
    pub fn parent_of(&mut self, cgroup: u64) {
        let dentry = &self.config.dentry;
        if let Some(parent) = self.facts().read(cgroup, dentry.cgroup_parent) {
            self.parent_cgroup(parent);
        }
    }

    /// Records the memcg of a cgroup.
    #[inline(always)]
    pub fn remember(&mut self, cgroup: u64, css: u64) {
        if MEMCGS.insert(cgroup, css, 0).is_err() {
            self.counters.no_entry += 1;
        }
    }

    /// Removes a cgroup that is freed.
    #[inline(always)]
    pub fn forget(&mut self, cgroup: u64) {
        // Missing if it is older than the tool.
        let _ = MEMCGS.remove(cgroup);
    }

    /// The memcg of a cgroup. `None`, which is counted: the cgroup is older than the tool, and the layout is unknown.
    #[inline(always)]
    pub fn memcg_of(&mut self, cgroup: u64) -> Option<u64> {
        let layout = &self.config.layout;
        // SAFETY: entries are replaced or removed as a whole.
        let css = match unsafe { MEMCGS.get(cgroup) } {
            Some(css) => Some(*css),
            None => self.facts().read(cgroup, layout.cgroup_memory),
        };
        if css.is_none() {
            self.counters.no_entry += 1;
        }
        css
    }

    /// Records the errno of a failed call.
    #[inline(always)]
    pub fn errno(&mut self, errno: u32) {
        self.event.header.errno = errno;
        self.event.header.known |= Field::ERRNO;
    }

    /// Emits the event, in a record that fits its name.
    #[inline(always)]
    pub fn emit<C: EbpfContext>(self, ctx: &C) {
        #[cfg(feature = "log")]
        aya_log_ebpf::debug!(
            ctx,
            "hook {} seq {} css {:x} known {:x}",
            self.event.header.hook,
            self.event.header.seq,
            self.event.header.css,
            self.event.header.known
        );
        const HEADER: usize = size_of::<EventHeader>();
        match usize::from(self.event.header.name_len) {
            0 => self.output(ctx, HEADER),
            1..=NAME_SHORT => self.output(ctx, HEADER + NAME_SHORT),
            _ => self.output(ctx, size_of::<RawEvent>()),
        }
    }
}
