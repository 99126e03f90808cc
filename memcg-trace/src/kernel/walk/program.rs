//! The walk as an eBPF program: one run reads one leaf, inside one RCU section.

use aya::{
    Ebpf,
    maps::{Array, MapData},
    programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _},
};
use memcg_trace_common::{self as common, WalkLayout, Walked};

use super::{Leaf, WalkError};
use crate::kernel::objects;

/// The loaded program.
pub struct Program {
    ebpf: Ebpf,
}

impl Program {
    pub fn load(layout: &WalkLayout) -> Result<Self, WalkError> {
        let mut ebpf = Ebpf::load(objects::WALK)?;
        let map = ebpf.map_mut("WALK_LAYOUT").ok_or(WalkError::Absent("WALK_LAYOUT"))?;
        Array::<_, WalkLayout>::try_from(map)?.set(0, layout, 0)?;
        let mut program = Self { ebpf };
        program.walk()?.load()?;
        Ok(program)
    }

    /// Visits the leaf that holds css id `id`.
    pub fn leaf(&mut self, id: u64, visit: impl FnMut(&Walked)) -> Result<Leaf, WalkError> {
        let mut options = RawTracePointRunOptions::new();
        options.args[0] = id;
        let result = self.walk()?.test_run(options)?;
        if result.return_value != 0 {
            return Err(WalkError::Broken(id));
        }
        let map = self.ebpf.map("LEAF").ok_or(WalkError::Absent("LEAF"))?;
        let leaf = Array::<&MapData, common::Leaf>::try_from(map)?.get(&0, 0)?;
        leaf.memcgs.iter().take(leaf.count as usize).for_each(visit);
        let next = (leaf.last == 0).then_some(leaf.next);
        Ok(Leaf { memcgs: leaf.count.into(), unreadable: leaf.unreadable, next })
    }

    fn walk(&mut self) -> Result<&mut RawTracePoint, WalkError> {
        let program = self.ebpf.program_mut("walk").ok_or(WalkError::Absent("walk"))?;
        Ok(program.try_into()?)
    }
}
