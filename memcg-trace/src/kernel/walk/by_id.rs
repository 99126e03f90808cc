//! The walk where memcgs outlive their cgroups (3.10): by memcg ID, through /proc/kcore.
//!
//! There is no table of csses. But every memcg owns an ID until it is freed, and `mem_cgroup_idr` has them all. The
//! tree of cgroups tells which of them still have a cgroup; the cgroup pointer of any other memcg is dangling.
//!
//! Memory may change during the walk. A memcg counts if it has the ID under which it was found. One that is being
//! created has no cgroup yet, and is skipped.

use std::collections::HashMap;

use memcg_trace_common::{Charges, CssFlag, DentryLayout, EventHeader, Field, Hook};
use zerocopy::FromZeros as _;

use super::{LeafRead, WalkError, decode::Walked};
use crate::kernel::{
    clock,
    layout::el7::{FoundCgroup, MEMCG_ID, MEMCG_USAGE, Tree},
    memory::symbols::symbol,
};

/// Symbol of the table of memcg IDs, a `struct idr`.
const IDS: &str = "mem_cgroup_idr";
/// `idr.top`
const IDR_TOP: u32 = 8;
/// `idr_layer.ary[]`
const LAYER_SLOTS: u32 = 40;
const SLOTS: usize = 256;
const SLOTS_SHIFT: u32 = 8;
/// `idr_layer.layer`: distance from the leaves.
const LAYER_LEVEL: u32 = 2092;
const LAYER_LENGTH: usize = 2096;
/// IDs have 16 bits.
const LEVEL_MAX: u32 = 1;

/// The memcgs by ID.
pub struct IdTable {
    tree: Tree,
    dentry: DentryLayout,
    /// Address of `mem_cgroup_idr`.
    idr: u64,
}

impl IdTable {
    /// `dentry` is proven.
    pub fn open(dentry: &DentryLayout) -> Result<Self, WalkError> {
        let tree = Tree::open().map_err(|error| WalkError::NoIds(error.to_string()))?;
        let idr = symbol(IDS).map_err(|error| WalkError::NoIds(error.to_string()))?;
        Ok(Self { tree, dentry: *dentry, idr })
    }

    /// Must be called before each walk.
    pub fn refresh(&mut self) -> Result<(), WalkError> {
        Ok(self.tree.kcore.refresh()?)
    }

    /// Visits all, in the order of IDs.
    pub fn leaf(&self, mut visit: impl FnMut(&Walked<'_>)) -> Result<LeafRead, WalkError> {
        let mut leaf = LeafRead { memcgs: 0, missed: 0, unreadable: 0, next: None };
        let mut memcgs = Vec::new();
        if let Some(top @ 1..) = self.tree.kcore.member::<u64>(self.idr, IDR_TOP) {
            self.layer(top, 0, LEVEL_MAX, &mut memcgs).ok_or(WalkError::Broken(0))?;
        }
        // Read after the IDs: the memcg of a cgroup that is removed meanwhile shows as dying, which is right.
        let found = self.tree.all(&self.dentry);
        let cgroups: HashMap<u64, &FoundCgroup> = found.iter().map(|found| (found.memcg, found)).collect();
        for (id, memcg) in memcgs {
            let own: Option<u16> = self.tree.kcore.member(memcg, MEMCG_ID);
            match (own, self.tree.cgroup(memcg)) {
                (Some(own), Some(cgroup)) if own == id && cgroup != 0 => {
                    visit(&self.decode(id, memcg, cgroups.get(&memcg).copied()));
                    leaf.memcgs += 1;
                }
                // Being created, or freed meanwhile and already reused.
                (Some(_), Some(_)) => {}
                _ => leaf.missed += 1,
            }
        }
        Ok(leaf)
    }

    /// Name of its cgroup's directory. A memcg without a cgroup reads as anything.
    pub fn name(&self, memcg: u64) -> Option<Box<[u8]>> {
        let name = self.tree.name(self.tree.cgroup(memcg).filter(|cgroup| *cgroup != 0)?)?;
        (!name.is_empty()).then(|| name.into())
    }

    /// Reads the memcgs below a layer of the table: IDs from `first` on.
    fn layer(&self, address: u64, first: u32, limit: u32, memcgs: &mut Vec<(u16, u64)>) -> Option<()> {
        let layer = self.tree.kcore.read(address, LAYER_LENGTH)?;
        let level = layer.get::<u32>(LAYER_LEVEL).filter(|level| *level <= limit)?;
        for slot in 0..SLOTS as u32 {
            let Some(below @ 1..) = layer.get::<u64>(LAYER_SLOTS + 8 * slot) else { continue };
            let id = first + (slot << (SLOTS_SHIFT * level));
            match level {
                0 => memcgs.extend(u16::try_from(id).ok().map(|id| (id, below))),
                _ => self.layer(below, id, level - 1, memcgs)?,
            }
        }
        Some(())
    }

    fn decode<'a>(&self, id: u16, memcg: u64, cgroup: Option<&'a FoundCgroup>) -> Walked<'a> {
        let charged = self.tree.kcore.member::<u64>(memcg, MEMCG_USAGE);
        let mut header = EventHeader {
            t_ns: clock::monotonic_ns(),
            hook: Hook::Walk as u16,
            css: memcg,
            memcg_id: id.into(),
            charged_pages: charged.unwrap_or(0),
            css_flags: CssFlag::DYING,
            known: Field::CSS | Field::MEMCG_ID | Field::CSS_FLAGS,
            ..EventHeader::new_zeroed()
        };
        header.known |= if charged.is_some() { Field::CHARGED } else { 0 };
        if let Some(found) = cgroup {
            header.css_flags = CssFlag::ONLINE;
            header.cgroup = found.cgroup;
            header.cgroup_id = found.number;
            header.level = found.level;
            header.parent_css = found.parent_memcg;
            header.parent_cgroup_id = found.parent_number;
            header.known |= Field::CGROUP_ID | Field::LEVEL | Field::NAME;
            header.known |= if found.level > 0 { Field::PARENT | Field::PARENT_CGROUP_ID } else { 0 };
        }
        let name = cgroup.map_or(&[][..], |found| &found.name);
        header.name_len = name.len() as u16;
        Walked { header, name, charges: Charges::UNKNOWN, unreadable: 0 }
    }
}
