//! The walk through /proc/kcore: the same table, leaf by leaf, as the program `walk` reads it.
//!
//! No RCU section protects what is read here. So nothing counts before it was confirmed: a css has the subsystem and the
//! css id of the place where it was found, its serial number is the same after everything else was read, and the table,
//! followed once more from its head, still has it in that place. A css that lives through the whole walk is confirmed;
//! one that comes or goes meanwhile may be.

use memcg_trace_common::{LEAF_SLOTS, NAME_MAX, TABLE_LEVELS, WalkLayout, Walked};

use super::{
    Leaf, WalkError,
    facts::{Facts, Lengths},
};
use crate::kernel::{clock, kcore::Kcore};

/// Bits that an index takes in one level of the table (`XA_CHUNK_SHIFT`).
const CHUNK_SHIFT: u32 = 6;
const CHUNK_MASK: u64 = LEAF_SLOTS as u64 - 1;
/// How often a leaf is read that changes under the reader.
const ATTEMPTS: u32 = 8;

/// The table of all csses of the memory subsystem.
pub struct Table {
    kcore: Kcore,
    layout: WalkLayout,
    lengths: Lengths,
    /// Address of `memory_cgrp_subsys`.
    subsystem: u64,
}

/// What the table has at a css id.
#[derive(PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, used where it is made")]
enum Place {
    /// Nothing, nor above.
    Beyond,
    /// Nothing below this id.
    Gap { next: u64 },
    /// The csses of the leaf; 0 where there is none.
    Leaf([u64; LEAF_SLOTS]),
}

impl Table {
    /// Finds the table the way that the program takes: our own task, its memory css, that one's subsystem.
    pub fn open(layout: &WalkLayout) -> Result<Self, WalkError> {
        let kcore = Kcore::open()?;
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
        Ok(Self { kcore, layout: *layout, lengths: Lengths::of(layout), subsystem })
    }

    /// To be called before each walk.
    pub fn refresh(&mut self) -> Result<(), WalkError> {
        Ok(self.kcore.refresh()?)
    }

    /// Visits the leaf that holds css id `id`.
    pub fn leaf(&self, id: u64, mut visit: impl FnMut(&Walked)) -> Result<Leaf, WalkError> {
        let t_ns = clock::monotonic_ns();
        let mut leaf = Leaf { memcgs: 0, unreadable: 0, next: None };
        let mut read = [const { None }; LEAF_SLOTS];
        let mut place = self.find(id);
        for _ in 0..ATTEMPTS {
            if let Some(Place::Leaf(slots)) = &place {
                for ((read, css), id) in read.iter_mut().zip(slots).zip(id & !CHUNK_MASK..) {
                    if css_of(read) != *css {
                        *read = self.css(*css, id, t_ns);
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
                        Some((walked, unreadable)) if walked.event.header.css == css => {
                            visit(walked);
                            leaf.memcgs += 1;
                            leaf.unreadable += unreadable;
                        }
                        // They come and go faster than they can be read.
                        _ => leaf.unreadable += 1,
                    }
                }
            }
        }
        Ok(leaf)
    }

    /// Follows the table from its head. `None`: what is there is no node, or not one of this level.
    fn find(&self, id: u64) -> Option<Place> {
        let mut entry: u64 = self.kcore.member(self.subsystem, self.layout.css_idr)?;
        let mut expected: Option<u32> = None;
        for _ in 0..TABLE_LEVELS {
            let node = self.kcore.read(inner_node(entry)?, self.lengths.node)?;
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
                    // Empty, or reserved for a css that is being made (`XA_ZERO_ENTRY`).
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

    /// What `css` is, found in the table under `id`, and how many of its structs could not be read. `None`: it is not, or
    /// no longer, the css with that id.
    fn css(&self, css: u64, id: u64, t_ns: u64) -> Option<(Walked, u64)> {
        if css == 0 {
            return None;
        }
        let layout = &self.layout.layout;
        let memcg = self.kcore.read(css, self.lengths.memcg)?;
        let is = (memcg.get(layout.css_ss), memcg.get::<u32>(layout.css_id).map(u64::from));
        if is.0 != Some(self.subsystem) || is.1.is_some_and(|is| is != id) {
            return None;
        }
        let mut facts = Facts::new(&self.kcore, &self.layout, &self.lengths);
        let walked = facts.read(css, &memcg, t_ns);
        let serial = self.kcore.member::<u64>(css, layout.css_serial)?;
        (serial == walked.event.header.serial).then_some((walked, facts.unreadable))
    }
}

fn css_of(read: &Option<(Walked, u64)>) -> u64 {
    read.as_ref().map_or(0, |(walked, _)| walked.event.header.css)
}

/// `xa_is_node` and `xa_to_node` (include/linux/xarray.h).
fn inner_node(entry: u64) -> Option<u64> {
    (entry & 3 == 2 && entry > 4096).then(|| entry - 2)
}
