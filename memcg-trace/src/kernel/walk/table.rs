//! The walk through /proc/kcore: reads the same table as the program `walk`, leaf by leaf.
//!
//! There is no RCU protection here. So a css only counts once it is confirmed: it has the right subsystem and the css
//! id of its slot, its serial number is the same after everything else was read, and the table, followed again from its
//! head, still has it in that slot. A css that exists during the whole walk is confirmed; one that comes or goes
//! meanwhile may be.

use memcg_trace_common::{LEAF_SLOTS, Lengths, NAME_MAX, TABLE_LEVELS, WalkLayout};

use super::{
    LeafRead, WalkError,
    decode::{Structs, Walked, is_dying},
    lengths,
};
use crate::kernel::{
    clock,
    memory::kcore::{Kcore, Struct},
};

/// Bits of the index per level of the table (`XA_CHUNK_SHIFT`).
const CHUNK_SHIFT: u32 = 6;
const CHUNK_MASK: u64 = LEAF_SLOTS as u64 - 1;
/// Number of attempts to read a leaf that changes meanwhile.
const ATTEMPTS: u32 = 8;

/// The table of all csses of the memory subsystem.
pub struct Table {
    kcore: Kcore,
    layout: WalkLayout,
    lengths: Lengths,
    node_length: usize,
    /// Address of `memory_cgrp_subsys`.
    subsystem: u64,
}

/// The entry of the table at a css id.
#[derive(PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, used where it is made")]
enum Place {
    /// Past the end of the table.
    Beyond,
    /// Nothing up to this id.
    Gap { next: u64 },
    /// The csses of the leaf; 0 in empty slots.
    Leaf([u64; LEAF_SLOTS]),
}

impl Table {
    /// Finds the table as the program does: from our own task to its memory css to its subsystem.
    pub fn through(kcore: Kcore, layout: &WalkLayout) -> Result<Self, WalkError> {
        let task = kcore.own_task()?;
        let members = &layout.layout;
        let subsystem = task
            .get::<u64>(members.task_cgroups)
            .and_then(|css_set| kcore.member::<u64>(css_set, members.css_set_memory))
            .and_then(|css| kcore.member::<u64>(css, members.css_ss))
            .ok_or(WalkError::NotMemory)?;
        let name = kcore.member(subsystem, members.ss_name).and_then(|name| kcore.string(name, NAME_MAX));
        if name.as_deref() != Some(b"memory") {
            return Err(WalkError::NotMemory);
        }
        let (lengths, node_length) = (lengths::of(layout), lengths::of_node(layout));
        if !lengths::are_possible(&lengths, node_length) {
            return Err(WalkError::TooLarge);
        }
        Ok(Self { kcore, layout: *layout, lengths, node_length, subsystem })
    }

    /// Must be called before each walk.
    pub fn refresh(&mut self) -> Result<(), WalkError> {
        Ok(self.kcore.refresh()?)
    }

    /// Visits the leaf that holds css id `id`.
    pub fn leaf(&self, id: u64, mut visit: impl FnMut(&Walked<'_>)) -> Result<LeafRead, WalkError> {
        let t_ns = clock::monotonic_ns();
        let mut leaf = LeafRead { memcgs: 0, missed: 0, unreadable: 0, next: None };
        let mut read = [const { None }; LEAF_SLOTS];
        let mut place = self.find(id);
        for _ in 0..ATTEMPTS {
            if let Some(Place::Leaf(slots)) = &place {
                for ((read, css), id) in read.iter_mut().zip(slots).zip(id & !CHUNK_MASK..) {
                    if css_of(read) != *css {
                        *read = self.css(*css, id);
                    }
                }
            }
            let again = self.find(id);
            let settled = match &again {
                None => false,
                Some(Place::Leaf(slots)) => read.iter().zip(slots).all(|(read, css)| css_of(read) == *css),
                nothing => *nothing == place,
            };
            place = again;
            if settled {
                break;
            }
        }
        match place.ok_or(WalkError::Broken(id))? {
            Place::Beyond => {}
            Place::Gap { next } => leaf.next = Some(next),
            Place::Leaf(slots) => {
                leaf.next = Some((id | CHUNK_MASK) + 1);
                for (read, css) in read.iter().zip(slots).filter(|(_, css)| *css != 0) {
                    match read {
                        Some(read) if read.css == css => {
                            let walked = read.structs().decode(&self.layout, t_ns);
                            visit(&walked);
                            leaf.memcgs += 1;
                            leaf.unreadable += walked.unreadable;
                        }
                        // Csses that come and go faster than they can be read.
                        _ => leaf.missed += 1,
                    }
                }
            }
        }
        Ok(leaf)
    }

    /// Follows the table from its head. `None`: found something that is not a node, or not of this level.
    fn find(&self, id: u64) -> Option<Place> {
        let mut entry: u64 = self.kcore.member(self.subsystem, self.layout.css_idr)?;
        let mut expected: Option<u32> = None;
        for _ in 0..TABLE_LEVELS {
            let node = self.kcore.read(inner_node(entry)?, self.node_length)?;
            let shift = u32::from(node.get::<u8>(self.layout.xa_shift)?);
            let level = shift < CHUNK_SHIFT * TABLE_LEVELS && shift.is_multiple_of(CHUNK_SHIFT);
            if !level || expected.is_some_and(|expected| shift != expected) {
                return None;
            }
            let slot = |slot: u64| node.get::<u64>(self.layout.xa_slots + 8 * slot as u32);
            if expected.is_none() && id >> shift > CHUNK_MASK {
                return Some(Place::Beyond);
            }
            if shift == 0 {
                let mut csses = [0; LEAF_SLOTS];
                for (css, index) in csses.iter_mut().zip(0..) {
                    // A tagged entry is none of a css; one that is being created has none (`cgroup_idr_alloc` of NULL).
                    let entry = slot(index)?;
                    *css = if entry & 3 == 0 { entry } else { 0 };
                }
                return Some(Place::Leaf(csses));
            }
            entry = slot(id >> shift & CHUNK_MASK)?;
            if entry == 0 {
                return Some(Place::Gap { next: ((id >> shift) + 1) << shift });
            }
            expected = Some(shift - CHUNK_SHIFT);
        }
        None
    }

    /// Reads the css found in the table under `id`. `None`: it is not, or no longer, the css with that id.
    fn css(&self, css: u64, id: u64) -> Option<Read> {
        if css == 0 {
            return None;
        }
        let layout = &self.layout.layout;
        let memcg = self.kcore.read(css, self.lengths.memcg as usize)?;
        let is = (memcg.get(layout.css_ss), memcg.get::<u32>(layout.css_id).map(u64::from));
        if is.0 != Some(self.subsystem) || is.1.is_some_and(|is| is != id) {
            return None;
        }
        let serial = memcg.get::<u64>(layout.css_serial)?;
        let read = self.read(css, memcg);
        (self.kcore.member::<u64>(css, layout.css_serial)? == serial).then_some(read)
    }

    /// Reads all structs that the css leads to; `memcg` are the first bytes of its memcg.
    fn read(&self, css: u64, memcg: Struct<Vec<u8>>) -> Read {
        let layout = &self.layout.layout;
        let lengths = &self.lengths;
        let object = |address: Option<u64>, length: u32| {
            let address = address.filter(|address| *address != 0 && length != 0)?;
            self.kcore.read(address, length as usize)
        };
        let cgroup = object(memcg.get(layout.css_cgroup), lengths.cgroup);
        let kn_of =
            |cgroup: &Option<Struct<Vec<u8>>>| object(cgroup.as_ref()?.get(layout.cgroup_kn), lengths.kn);
        let kn = kn_of(&cgroup);
        let name = kn.as_ref().and_then(|kn| self.kcore.string(kn.get(layout.kn_name)?, NAME_MAX + 1));
        let data = memcg.get::<u64>(layout.css_ref_data).filter(|_| is_dying(&memcg, &self.layout));
        let counters = object(memcg.get(self.layout.vmstats), lengths.counters);
        let parent = memcg.get::<u64>(layout.css_parent).filter(|parent| *parent != 0);
        let above = parent.and_then(|parent| self.kcore.member(parent, layout.css_cgroup));
        Read {
            css,
            counters,
            ref_count: data.and_then(|data| self.kcore.member(data, layout.ref_data_count)),
            parent_serial: parent.and_then(|parent| self.kcore.member(parent, layout.css_serial)),
            parent_cgroup_id: kn_of(&object(above, lengths.cgroup))
                .and_then(|kn| kn.get(layout.kn_id))
                .map(|id| layout.inode_number(id)),
            memcg,
            cgroup,
            kn,
            name,
        }
    }
}

/// The structs read for a css.
struct Read {
    css: u64,
    memcg: Struct<Vec<u8>>,
    counters: Option<Struct<Vec<u8>>>,
    cgroup: Option<Struct<Vec<u8>>>,
    kn: Option<Struct<Vec<u8>>>,
    name: Option<Vec<u8>>,
    ref_count: Option<u64>,
    parent_serial: Option<u64>,
    parent_cgroup_id: Option<u64>,
}

impl Read {
    fn structs(&self) -> Structs<'_> {
        Structs {
            css: self.css,
            memcg: self.memcg.borrow(),
            counters: self.counters.as_ref().map(Struct::borrow),
            cgroup: self.cgroup.as_ref().map(Struct::borrow),
            kn: self.kn.as_ref().map(Struct::borrow),
            name: self.name.as_deref(),
            ref_count: self.ref_count,
            parent_serial: self.parent_serial,
            parent_cgroup_id: self.parent_cgroup_id,
        }
    }
}

fn css_of(read: &Option<Read>) -> u64 {
    read.as_ref().map_or(0, |read| read.css)
}

/// `xa_is_node` and `xa_to_node` (include/linux/xarray.h), which mark nodes with a 2; `radix_tree_is_internal_node` and
/// `entry_to_node` (include/linux/radix-tree.h, before 4.20) with a 1. This table has no other tags.
fn inner_node(entry: u64) -> Option<u64> {
    (matches!(entry & 3, 1 | 2) && entry > 4096).then_some(entry & !3)
}
