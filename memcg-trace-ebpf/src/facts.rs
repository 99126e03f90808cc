//! Reads the facts of a css and its cgroup, for hooks and the walk.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_kernel_str};
use memcg_trace_common::{Field, Layout, NAME_MAX, PERCPU_COUNT_BIAS, PERCPU_REF_DEAD, RawEvent};

use crate::memory;

/// The beginning of a `struct mem_cgroup`, which has all that is read of it on most kernels: one helper call instead of ten.
pub type Beginning = [u64; 64];

/// An event being filled.
pub struct Facts<'a> {
    pub event: &'a mut RawEvent,
    pub layout: &'a Layout,
    pub beginning: &'a mut Beginning,
    /// Number of members that could not be read although this kernel has them.
    pub unreadable: &'a mut u64,
}

impl Facts<'_> {
    /// All facts of a css that is linked into its cgroup.
    #[inline(always)]
    pub fn css(&mut self, css: u64) {
        let layout = self.layout;
        if !self.memcg(css) {
            return;
        }
        self.refs(css);
        if let Some(parent) = self.member(css, layout.css_parent) {
            self.parent(parent);
        }
        if let Some(cgroup) = self.member(css, layout.css_cgroup) {
            self.cgroup(cgroup);
        }
    }

    /// The facts of a css from its allocation on, before it is linked anywhere. False: it cannot be read, which is counted.
    #[inline(always)]
    pub fn memcg(&mut self, css: u64) -> bool {
        let layout = self.layout;
        self.event.header.css = css;
        self.event.header.known |= Field::CSS;
        // SAFETY: probe_read tolerates any address; there is room for the length.
        let copied = unsafe {
            bpf_probe_read_kernel(
                self.beginning.as_mut_ptr().cast(),
                size_of::<Beginning>() as u32,
                css as *const _,
            )
        };
        if copied != 0 {
            *self.unreadable += 1;
            return false;
        }
        if let Some(id) = self.member(css, layout.memcg_id) {
            self.event.header.memcg_id = id;
            self.event.header.known |= Field::MEMCG_ID;
        }
        if let Some(refs) = self.member(css, layout.memcg_id_ref) {
            self.event.header.id_refs = refs;
            self.event.header.known |= Field::ID_REFS;
        }
        true
    }

    /// The parent css; a root has none.
    #[inline(always)]
    pub fn parent(&mut self, parent: u64) {
        if parent == 0 {
            return;
        }
        let layout = self.layout;
        self.event.header.parent_css = parent;
        self.event.header.known |= Field::PARENT;
        if let Some(serial) = self.read(parent, layout.css_serial) {
            self.event.header.parent_serial = serial;
            self.event.header.known |= Field::PARENT_SERIAL;
        }
        let cgroup: Option<u64> = self.read(parent, layout.css_cgroup);
        let kn: Option<u64> = cgroup.and_then(|cgroup| self.read(cgroup, layout.cgroup_kn));
        if let Some(id) = kn.and_then(|kn| self.read(kn, layout.kn_id)) {
            self.event.header.parent_cgroup_id = layout.inode_number(id);
            self.event.header.known |= Field::PARENT_CGROUP_ID;
        }
    }

    /// Level, id and name of a cgroup.
    #[inline(always)]
    pub fn cgroup(&mut self, cgroup: u64) {
        let layout = self.layout;
        self.event.header.cgroup = cgroup;
        if let Some(level) = self.read(cgroup, layout.cgroup_level) {
            self.event.header.level = level;
            self.event.header.known |= Field::LEVEL;
        }
        let Some(kn) = self.read::<u64>(cgroup, layout.cgroup_kn) else { return };
        if let Some(id) = self.read(kn, layout.kn_id) {
            self.event.header.cgroup_id = layout.inode_number(id);
            self.event.header.known |= Field::CGROUP_ID;
        }
        if let Some(name) = self.read::<u64>(kn, layout.kn_name) {
            self.name(name);
        }
    }

    /// Serial number, id, flags, charge, and the reference count where it is exact.
    #[inline(always)]
    fn refs(&mut self, css: u64) {
        let layout = self.layout;
        if let Some(serial) = self.member(css, layout.css_serial) {
            self.event.header.serial = serial;
            self.event.header.known |= Field::SERIAL;
        }
        if let Some(id) = self.member(css, layout.css_id) {
            self.event.header.css_id = id;
            self.event.header.known |= Field::CSS_ID;
        }
        if let Some(flags) = self.member(css, layout.css_flags) {
            self.event.header.css_flags = flags;
            self.event.header.known |= Field::CSS_FLAGS;
        }
        if let Some(charged) = self.member(css, layout.memcg_usage) {
            self.event.header.charged_pages = charged;
            self.event.header.known |= Field::CHARGED;
        }
        let Some(pointer) = self.member::<u64>(css, layout.css_percpu_count_ptr) else { return };
        if pointer & PERCPU_REF_DEAD == 0 {
            return;
        }
        let count = match self.member::<u64>(css, layout.css_ref_data) {
            Some(data) => self.read::<u64>(data, layout.ref_data_count),
            None => self.member(css, layout.css_ref_count),
        };
        match count {
            Some(count) if count < PERCPU_COUNT_BIAS => {
                self.event.header.css_refs = count;
                self.event.header.known |= Field::CSS_REFS;
            }
            _ => {}
        }
    }

    #[inline(always)]
    pub fn name(&mut self, name: u64) {
        let (slot, size) = (self.event.name.as_mut_ptr(), self.event.name.len() as u32);
        // The safe wrapper bounds the length with an instruction that BPF v1 lacks; here the length is not used for
        // access. SAFETY: probe_read tolerates any address; it writes at most the slot's 256 bytes, and counts the NUL.
        let written = unsafe { bpf_probe_read_kernel_str(slot.cast(), size, name as *const _) };
        if written <= 0 {
            *self.unreadable += 1;
            return;
        }
        let length = written as usize - 1;
        self.event.header.name_len = length as u16;
        self.event.header.known |= Field::NAME;
        if length == NAME_MAX && self.read::<u8>(name, NAME_MAX as u32) != Some(0) {
            self.event.header.known |= Field::NAME_TRUNCATED;
        }
    }

    /// A member of the css, or of its memcg, whose beginning was copied; see [`Self::read`].
    #[inline(always)]
    fn member<T: Copy>(&mut self, css: u64, offset: u32) -> Option<T> {
        if offset as usize > size_of::<Beginning>() - size_of::<u64>() {
            return self.read(css, offset);
        }
        let beginning = self.beginning.as_ptr().cast::<u8>();
        // SAFETY: the offset was checked; words are aligned for every member, which structs align to its size.
        Some(unsafe { beginning.add(offset as usize).cast::<T>().read() })
    }

    /// Reads a member; `None` if this kernel does not have it, the struct is NULL, or the read faulted (counted).
    #[inline(always)]
    pub fn read<T: Copy>(&mut self, base: u64, offset: u32) -> Option<T> {
        let value = memory::read(base, offset)?;
        if value.is_err() {
            *self.unreadable += 1;
        }
        value.ok()
    }
}
