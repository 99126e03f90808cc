//! What is read of a css through /proc/kcore: the same as the programs read of it in the kernel.

use memcg_trace_common::{
    ABSENT, Charges, EventHeader, Field, Hook, LEAF_SLOTS, NAME_MAX, RawEvent, WalkLayout, Walked,
};
use zerocopy::{FromBytes, FromZeros};

use crate::kernel::kcore::{Kcore, Struct};

/// `percpu_ref.percpu_count_ptr`: the reference is dying (`__PERCPU_REF_DEAD`, percpu-refcount.h).
const PERCPU_REF_DEAD: u64 = 2;
/// Set in a dying reference's count until the counts of all CPUs are summed up in it (percpu-refcount.c).
const PERCPU_COUNT_BIAS: u64 = 1 << 63;

/// How much of each struct has to be read for the members that are wanted.
pub struct Lengths {
    pub memcg: usize,
    pub node: usize,
    parent: usize,
    cgroup: usize,
    kn: usize,
    ref_data: usize,
    kinds: usize,
}

/// One css being read.
pub struct Facts<'a> {
    kcore: &'a Kcore,
    layout: &'a WalkLayout,
    lengths: &'a Lengths,
    header: EventHeader,
    /// Structs that could not be read.
    pub unreadable: u64,
}

impl Lengths {
    pub fn of(walk: &WalkLayout) -> Self {
        let layout = &walk.layout;
        let kinds = length(&walk.kinds);
        // The counters are in the memcg itself, or behind a pointer.
        let counters =
            if walk.state == ABSENT && walk.vmstats != ABSENT { walk.vmstats as usize + kinds } else { 0 };
        let memcg = length(&[
            layout.css_cgroup,
            layout.css_ss,
            layout.css_percpu_count_ptr,
            layout.css_ref_data,
            layout.css_id,
            layout.css_flags,
            layout.css_serial,
            layout.css_parent,
            layout.memcg_id,
            layout.memcg_id_ref,
            layout.memcg_usage,
            walk.swap,
            walk.kmem,
            walk.tcpmem,
            walk.vmstats,
        ]);
        Self {
            memcg: memcg.max(counters),
            node: length(&[walk.xa_shift, walk.xa_slots + 8 * (LEAF_SLOTS as u32 - 1)]),
            parent: length(&[layout.css_serial, layout.css_cgroup]),
            cgroup: length(&[
                layout.cgroup_level,
                layout.cgroup_kn,
                walk.cgroup_descendants,
                walk.cgroup_populated,
            ]),
            kn: length(&[layout.kn_id, layout.kn_name]),
            ref_data: length(&[layout.ref_data_count]),
            kinds,
        }
    }
}

/// Up to the end of the farthest member; none is longer than a word.
fn length(offsets: &[u32]) -> usize {
    let present = offsets.iter().filter(|offset| **offset != ABSENT);
    present.max().map_or(0, |farthest| *farthest as usize + size_of::<u64>())
}

impl<'a> Facts<'a> {
    pub fn new(kcore: &'a Kcore, layout: &'a WalkLayout, lengths: &'a Lengths) -> Self {
        Self { kcore, layout, lengths, header: EventHeader::new_zeroed(), unreadable: 0 }
    }

    /// All facts of the css at `css`, of whose memcg the first bytes are `memcg`.
    pub fn read(&mut self, css: u64, memcg: &Struct, t_ns: u64) -> Walked {
        let layout = &self.layout.layout;
        self.header.t_ns = t_ns;
        self.header.hook = Hook::Walk as u16;
        self.header.css = css;
        self.header.known |= Field::CSS;
        self.header.memcg_id = self.fact(memcg, layout.memcg_id, Field::MEMCG_ID);
        self.header.id_refs = self.fact(memcg, layout.memcg_id_ref, Field::ID_REFS);
        self.header.serial = self.fact(memcg, layout.css_serial, Field::SERIAL);
        self.header.css_id = self.fact(memcg, layout.css_id, Field::CSS_ID);
        self.header.css_flags = self.fact(memcg, layout.css_flags, Field::CSS_FLAGS);
        self.header.charged_pages = self.fact(memcg, layout.memcg_usage, Field::CHARGED);
        self.refs(memcg);
        self.parent(memcg.get(layout.css_parent).unwrap_or(0));
        let mut event = RawEvent { header: self.header, name: [0; NAME_MAX + 1] };
        if let Some(name) = self.cgroup(memcg.get(layout.css_cgroup).unwrap_or(0)) {
            let length = name.len().min(NAME_MAX);
            event.name[..length].copy_from_slice(&name[..length]);
            self.header.name_len = length as u16;
            self.header.known |= Field::NAME;
            if name.len() > NAME_MAX {
                self.header.known |= Field::NAME_TRUNCATED;
            }
        }
        event.header = self.header;
        Walked { event, charges: self.charges(memcg) }
    }

    /// The reference count, once it is exact.
    fn refs(&mut self, memcg: &Struct) {
        let layout = &self.layout.layout;
        let pointer = memcg.get::<u64>(layout.css_percpu_count_ptr).unwrap_or(0);
        let data = memcg.get(layout.css_ref_data).filter(|_| pointer & PERCPU_REF_DEAD != 0);
        let data = data.and_then(|data| self.object(data, self.lengths.ref_data));
        let count = data.and_then(|data| data.get::<u64>(layout.ref_data_count));
        if let Some(count) = count.filter(|count| *count < PERCPU_COUNT_BIAS) {
            self.header.css_refs = count;
            self.header.known |= Field::CSS_REFS;
        }
    }

    fn parent(&mut self, parent: u64) {
        let layout = &self.layout.layout;
        if parent == 0 {
            return;
        }
        self.header.parent_css = parent;
        self.header.known |= Field::PARENT;
        let Some(css) = self.object(parent, self.lengths.parent) else { return };
        self.header.parent_serial = self.fact(&css, layout.css_serial, Field::PARENT_SERIAL);
        let cgroup = self.object(css.get(layout.css_cgroup).unwrap_or(0), self.lengths.cgroup);
        let kn = cgroup.and_then(|cgroup| self.object(cgroup.get(layout.cgroup_kn)?, self.lengths.kn));
        if let Some(kn) = kn {
            self.header.parent_cgroup_id = self.fact(&kn, layout.kn_id, Field::PARENT_CGROUP_ID);
        }
    }

    /// Level and id of the cgroup, and whether it is empty; returns its name, with one byte more than fits if that is too
    /// long.
    fn cgroup(&mut self, cgroup: u64) -> Option<Vec<u8>> {
        let layout = &self.layout.layout;
        self.header.cgroup = cgroup;
        let cgroup = self.object(cgroup, self.lengths.cgroup)?;
        self.header.level = self.fact(&cgroup, layout.cgroup_level, Field::LEVEL);
        let counts = [self.layout.cgroup_descendants, self.layout.cgroup_populated];
        if counts.into_iter().all(|count| cgroup.get::<u32>(count) == Some(0)) {
            self.header.known |= Field::EMPTY;
        }
        let kn = self.object(cgroup.get(layout.cgroup_kn)?, self.lengths.kn)?;
        self.header.cgroup_id = self.fact(&kn, layout.kn_id, Field::CGROUP_ID);
        let name = self.kcore.string(kn.get(layout.kn_name)?, NAME_MAX + 1);
        self.unreadable += u64::from(name.is_none());
        name
    }

    fn charges(&mut self, memcg: &Struct) -> Charges {
        let walk = self.layout;
        let mut charges = Charges::UNKNOWN;
        if let Some(pages) = memcg.get(walk.swap) {
            charges.swap_pages = pages;
            charges.known |= Charges::SWAP;
        }
        if let Some(pages) = memcg.get(walk.kmem) {
            charges.kmem_pages = pages;
            charges.known |= Charges::KMEM;
        }
        if let Some(pages) = memcg.get(walk.tcpmem) {
            charges.tcpmem_pages = pages;
            charges.known |= Charges::TCPMEM;
        }
        if walk.vmstats == ABSENT || self.lengths.kinds == 0 {
            return charges;
        }
        let vmstats;
        let (counters, start) = if walk.state == ABSENT {
            (memcg, walk.vmstats)
        } else {
            let address = memcg.get(walk.vmstats).unwrap_or(0);
            vmstats = self.object(address, walk.state as usize + self.lengths.kinds);
            let Some(vmstats) = &vmstats else { return charges };
            (vmstats, walk.state)
        };
        for (kind, offset) in walk.kinds.iter().enumerate().filter(|(_, offset)| **offset != ABSENT) {
            if let Some(value) = counters.get(start + offset) {
                charges.kinds[kind] = value;
                charges.known |= 1 << kind;
            }
        }
        charges
    }

    /// The first bytes of the struct at `address`, unless that is NULL.
    fn object(&mut self, address: u64, length: usize) -> Option<Struct> {
        if address == 0 {
            return None;
        }
        let object = self.kcore.read(address, length);
        self.unreadable += u64::from(object.is_none());
        object
    }

    /// A member, noted as known; or nothing.
    fn fact<T: FromBytes>(&mut self, object: &Struct, offset: u32, field: u32) -> T {
        let value = object.get(offset);
        if value.is_some() {
            self.header.known |= field;
        }
        value.unwrap_or_else(T::new_zeroed)
    }
}
