//! Decodes the structs of a css, read by either method, into an event.

use memcg_trace_common::{
    ABSENT, Charges, EventHeader, Field, Hook, NAME_MAX, PERCPU_COUNT_BIAS, PERCPU_REF_DEAD, WalkLayout,
};
use zerocopy::{FromBytes, FromZeros};

use crate::kernel::memory::kcore::Struct;

type StructBytes<'a> = Struct<&'a [u8]>;

/// The structs read for one css. `None`: unreadable, or not wanted.
pub struct Structs<'a> {
    pub css: u64,
    pub memcg: StructBytes<'a>,
    /// The target of `mem_cgroup.vmstats`.
    pub counters: Option<StructBytes<'a>>,
    pub cgroup: Option<StructBytes<'a>>,
    pub kn: Option<StructBytes<'a>>,
    /// If the name is too long, one byte more than the maximum.
    pub name: Option<&'a [u8]>,
    /// `percpu_ref_data.count`
    pub ref_count: Option<u64>,
    pub parent_serial: Option<u64>,
    pub parent_cgroup_id: Option<u64>,
}

/// One memcg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked<'a> {
    pub header: EventHeader,
    pub name: &'a [u8],
    pub charges: Charges,
    /// Number of structs that should exist but could not be read.
    pub unreadable: u64,
}

impl<'a> Structs<'a> {
    pub fn decode(&self, walk: &WalkLayout, t_ns: u64) -> Walked<'a> {
        let layout = &walk.layout;
        let memcg = &self.memcg;
        let mut facts =
            HeaderFacts(EventHeader { t_ns, hook: Hook::Walk as u16, ..EventHeader::new_zeroed() });
        facts.0.css = self.css;
        facts.0.known |= Field::CSS;
        facts.0.memcg_id = facts.member(memcg, layout.memcg_id, Field::MEMCG_ID);
        facts.0.id_refs = facts.member(memcg, layout.memcg_id_ref, Field::ID_REFS);
        facts.0.serial = facts.member(memcg, layout.css_serial, Field::SERIAL);
        facts.0.css_id = facts.member(memcg, layout.css_id, Field::CSS_ID);
        facts.0.css_flags = facts.member(memcg, layout.css_flags, Field::CSS_FLAGS);
        facts.0.charged_pages = facts.member(memcg, layout.memcg_usage, Field::CHARGED);
        let refs = self.ref_count.or_else(|| memcg.get(layout.css_ref_count));
        let exact = refs.filter(|count| is_dying(memcg, walk) && *count < PERCPU_COUNT_BIAS);
        facts.0.css_refs = facts.value(exact, Field::CSS_REFS);
        let parent = memcg.get(layout.css_parent).filter(|parent| *parent != 0);
        facts.0.parent_css = facts.value(parent, Field::PARENT);
        if parent.is_some() {
            facts.0.parent_serial = facts.value(self.parent_serial, Field::PARENT_SERIAL);
            facts.0.parent_cgroup_id = facts.value(self.parent_cgroup_id, Field::PARENT_CGROUP_ID);
        }
        facts.0.cgroup = memcg.get(layout.css_cgroup).unwrap_or(0);
        if let Some(cgroup) = &self.cgroup {
            facts.0.level = facts.member(cgroup, layout.cgroup_level, Field::LEVEL);
            // No need to check for populated descendants, as there are no descendants.
            let counts = [walk.cgroup_descendants, walk.cgroup_populated];
            if counts.into_iter().all(|count| cgroup.get::<u32>(count) == Some(0)) {
                facts.0.known |= Field::EMPTY;
            }
        }
        if let Some(kn) = &self.kn {
            let id = kn.get(layout.kn_id).map(|id| layout.inode_number(id));
            facts.0.cgroup_id = facts.value(id, Field::CGROUP_ID);
        }
        let name = self.name.unwrap_or_default();
        if self.name.is_some() {
            facts.0.known |= Field::NAME;
        }
        if name.len() > NAME_MAX {
            facts.0.known |= Field::NAME_TRUNCATED;
        }
        let name = &name[..name.len().min(NAME_MAX)];
        facts.0.name_len = name.len() as u16;
        let unread = [
            self.cgroup.is_none(),
            self.kn.is_none(),
            self.name.is_none(),
            self.counters.is_none() && walk.state != ABSENT && walk.kinds.iter().any(|kind| *kind != ABSENT),
            parent.is_some() && self.parent_serial.is_none(),
            parent.is_some() && self.parent_cgroup_id.is_none(),
        ];
        let unreadable = unread.into_iter().map(u64::from).sum();
        Walked { header: facts.0, name, charges: self.charges(walk), unreadable }
    }

    fn charges(&self, walk: &WalkLayout) -> Charges {
        let mut charges = Charges::UNKNOWN;
        let pages = [
            (walk.swap, Charges::SWAP, &mut charges.swap_pages),
            (walk.kmem, Charges::KMEM, &mut charges.kmem_pages),
            (walk.tcpmem, Charges::TCPMEM, &mut charges.tcpmem_pages),
        ];
        for (offset, known, pages) in pages {
            if let Some(value) = self.memcg.get(offset) {
                *pages = value;
                charges.known |= known;
            }
        }
        let (counters, start) = match (walk.vmstats, walk.state) {
            (ABSENT, _) => return charges,
            (vmstats, ABSENT) => (Some(self.memcg), vmstats),
            (_, state) => (self.counters, state),
        };
        let Some(counters) = counters else { return charges };
        for (kind, offset) in walk.kinds.iter().enumerate().filter(|(_, offset)| **offset != ABSENT) {
            if let Some(value) = counters.get(start + offset) {
                charges.kinds[kind] = value;
                charges.known |= 1 << kind;
            }
        }
        charges
    }
}

/// Whether the css's refcount is dying: no longer per-CPU, and so exact or about to be.
pub fn is_dying<B: AsRef<[u8]>>(memcg: &Struct<B>, walk: &WalkLayout) -> bool {
    let pointer = memcg.get::<u64>(walk.layout.css_percpu_count_ptr);
    pointer.is_some_and(|pointer| pointer & PERCPU_REF_DEAD != 0)
}

/// A header being filled.
struct HeaderFacts(EventHeader);

impl HeaderFacts {
    /// Reads a member and marks it as known; or returns zero.
    fn member<T: FromBytes>(&mut self, object: &StructBytes<'_>, offset: u32, field: u32) -> T {
        self.value(object.get(offset), field)
    }

    fn value<T: FromZeros>(&mut self, value: Option<T>, field: u32) -> T {
        if value.is_some() {
            self.0.known |= field;
        }
        value.unwrap_or_else(T::new_zeroed)
    }
}
