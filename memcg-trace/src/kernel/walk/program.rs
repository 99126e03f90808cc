//! The walk as an eBPF program: one run reads one leaf, inside one RCU section.

use aya::{
    Ebpf,
    maps::Array,
    programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _},
};
use memcg_trace_common::{self as common, ABSENT, Copied, LEAF_SLOTS, Layout, WalkConfig, WalkLayout};
use zerocopy::IntoBytes as _;

use super::{
    LeafRead, WalkError,
    decode::{Structs, Walked},
    lengths,
};
use crate::kernel::{
    hooks::objects,
    memory::{Mapped, kcore::Struct},
};

/// The loaded program.
pub struct Program {
    ebpf: Ebpf,
    leaf: Mapped<common::Leaf>,
    config: WalkConfig,
}

impl Program {
    pub fn load(layout: &WalkLayout) -> Result<Self, WalkError> {
        let config = WalkConfig { layout: *layout, lengths: lengths::of(layout) };
        if !lengths::fit(&config.lengths) {
            return Err(WalkError::TooLarge);
        }
        let mut ebpf = objects::load(objects::WALK, &[])?;
        let map = ebpf.map_mut("WALK_CONFIG").ok_or(WalkError::Absent("WALK_CONFIG"))?;
        Array::<_, WalkConfig>::try_from(map)?.set(0, config, 0)?;
        let leaf = Mapped::of(&ebpf, "LEAF")?;
        let mut program = Self { ebpf, leaf, config };
        program.walk()?.load()?;
        Ok(program)
    }

    /// Visits the leaf that holds css id `id`.
    pub fn leaf(&mut self, id: u64, mut visit: impl FnMut(&Walked<'_>)) -> Result<LeafRead, WalkError> {
        let mut options = RawTracePointRunOptions::new();
        options.args[0] = id;
        let result = self.walk()?.test_run(options)?;
        if result.return_value != 0 {
            return Err(WalkError::Broken(id));
        }
        // The run is over: nothing writes to the map.
        let read = self.leaf.get();
        let next = (read.last == 0).then_some(read.next);
        let mut leaf = LeafRead { memcgs: 0, missed: 0, unreadable: 0, next };
        for copied in read.memcgs.iter().take(read.count as usize) {
            match structs(copied, &self.config.layout.layout) {
                Some(structs) => {
                    let walked = structs.decode(&self.config.layout, read.t_ns);
                    // A css has its id before the table has the css.
                    if u64::from(walked.header.css_id) / LEAF_SLOTS as u64 != id / LEAF_SLOTS as u64 {
                        return Err(WalkError::NoneThere(id));
                    }
                    visit(&walked);
                    leaf.memcgs += 1;
                    leaf.unreadable += walked.unreadable;
                }
                None => leaf.missed += 1,
            }
        }
        Ok(leaf)
    }

    fn walk(&mut self) -> Result<&mut RawTracePoint, WalkError> {
        let program = self.ebpf.program_mut("walk").ok_or(WalkError::Absent("walk"))?;
        Ok(program.try_into()?)
    }
}

/// The structs that the program copied; `None`: not even the memcg.
fn structs<'a>(copied: &'a Copied, layout: &Layout) -> Option<Structs<'a>> {
    let has = |part: u32| copied.copied & part != 0;
    let knows = |members: &[u32]| !members.contains(&ABSENT);
    let (serial, id) =
        (knows(&[layout.css_serial]), knows(&[layout.css_cgroup, layout.cgroup_kn, layout.kn_id]));
    Some(Structs {
        css: copied.css,
        memcg: has(Copied::MEMCG).then_some(Struct(copied.memcg.as_bytes()))?,
        counters: has(Copied::COUNTERS).then_some(Struct(copied.counters.as_bytes())),
        cgroup: has(Copied::CGROUP).then_some(Struct(copied.cgroup.as_bytes())),
        kn: has(Copied::KN).then_some(Struct(copied.kn.as_bytes())),
        name: copied.name.as_bytes().get(..copied.name_len as usize).filter(|_| has(Copied::NAME)),
        ref_count: has(Copied::REF_COUNT).then_some(copied.ref_count),
        parent_serial: (serial && has(Copied::PARENT_SERIAL)).then_some(copied.parent_serial),
        parent_cgroup_id: (id && has(Copied::PARENT_CGROUP_ID)).then_some(copied.parent_cgroup_id),
    })
}
