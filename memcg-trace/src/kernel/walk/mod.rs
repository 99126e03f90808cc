//! The walk: reads every memcg of the kernel on demand, dying ones included.

mod by_id;
mod decode;
mod lengths;
pub mod members;
mod program;
mod table;

use std::{
    sync::Once,
    time::{Duration, Instant},
};

use aya::{maps::MapError, programs::ProgramError};
use memcg_trace_common::{ABSENT, DentryLayout, LEAF_SLOTS, TABLE_LEVELS, WalkLayout};
use thiserror::Error;

pub use self::{by_id::IdTable, decode::Walked};
use self::{program::Program, table::Table};
use super::{
    ability::Lack,
    layout::LayoutError,
    memory::{
        MappedError,
        kcore::{Kcore, KcoreError},
    },
};
use crate::{event::DecodeError, record::WalkMeans};

/// The reason why the kernel cannot be walked.
#[derive(Debug, Error)]
pub enum WalkError {
    #[error(
        "this kernel has no BTF, which the walk needs; provide a BTF file of exactly this kernel with --btf \
         FILE (BTFHub has them for many distribution kernels)"
    )]
    NoLayout,
    #[error("this kernel's BTF does not describe the table of csses (css_idr)")]
    NoTable,
    #[error("the table of memcg IDs cannot be read: {0}")]
    NoIds(String),
    #[error("cannot load the walk: {0}")]
    Load(#[from] aya::EbpfError),
    #[error("this kernel cannot run the walk (test runs of raw tracepoints need Linux 5.10): {0}")]
    Program(#[from] ProgramError),
    #[error("cannot use the maps of the walk: {0}")]
    Map(#[from] MapError),
    #[error(transparent)]
    Mapped(#[from] MappedError),
    #[error("this kernel's structs are larger than the buffers of the walk")]
    TooLarge,
    #[error("the eBPF object has no {0}")]
    Absent(&'static str),
    #[error(transparent)]
    Kcore(#[from] KcoreError),
    #[error("our own css, read from /proc/kcore, is not one of the memory controller's's")]
    NotMemory,
    #[error("{program}; and {kcore}")]
    Neither { program: Box<WalkError>, kcore: Box<WalkError> },
    #[error("the walk could not follow the table of csses at css id {0}: is the BTF of this kernel?")]
    Broken(u64),
    #[error("what the walk found at css id {0} is no table of csses: the BTF is not of this kernel")]
    NoneThere(u64),
    #[error("the walk returned an invalid event: {0}")]
    Decode(#[from] DecodeError),
}

impl Lack for WalkError {
    fn next_step(&self) -> String {
        match self {
            Self::NoLayout => LayoutError::NoBtf.next_step(),
            Self::NoTable | Self::NoneThere(_) | Self::Broken(_) => {
                "provide a BTF file of exactly this kernel with --btf FILE".to_owned()
            }
            Self::Kcore(error) => error.next_step(),
            _ => "use trace: it sees memcgs that are removed from now on".to_owned(),
        }
    }
}

/// Most runs in a row that find no memcg. The kernel frees empty nodes, so such a run has skipped an empty slot of an inner node,
/// and one slot of each inner node leads to a memcg. What cannot be read is none: tables that are not the kernel's may have no end.
const EMPTY_RUNS_MAX: u64 = LEAF_SLOTS as u64 * TABLE_LEVELS as u64;

/// A way to read the table of csses.
pub struct Walk(Means);

enum Means {
    Program(Box<Program>),
    Kcore(Box<Table>),
    Ids(Box<IdTable>),
}

/// Statistics of a walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walks {
    pub memcgs: u64,
    /// Number of leaves of the table, each read separately.
    pub runs: u64,
    /// Csses in the table that could not be read: there may be memcgs that the walk did not see.
    pub missed: u64,
    /// Number of other structs that could not be read.
    pub unreadable: u64,
    pub took: Duration,
}

/// Result of reading one leaf, in addition to its memcgs.
pub struct LeafRead {
    memcgs: u64,
    missed: u64,
    unreadable: u64,
    /// The css id to continue with; `None`: this was the last leaf.
    next: Option<u64>,
}

impl Walk {
    /// Walks by program, or through /proc/kcore where the kernel cannot run it.
    pub fn load(layout: &WalkLayout) -> Result<Self, WalkError> {
        let program = match Self::program(layout) {
            Err(error) if !matches!(error, WalkError::NoTable | WalkError::NoLayout) => error,
            result => return result,
        };
        match Self::kcore(layout) {
            Ok(walk) => {
                // Several walks are loaded in one run: to prove a BTF file, to list memcgs, to check the ledger.
                static TOLD: Once = Once::new();
                TOLD.call_once(|| {
                    log::warn!("reading memcgs from /proc/kcore, which takes longer: {program}")
                });
                Ok(walk)
            }
            Err(kcore) => Err(WalkError::Neither { program: program.into(), kcore: kcore.into() }),
        }
    }

    /// Walks by eBPF program; loading takes about a second where the CPU is emulated.
    pub fn program(layout: &WalkLayout) -> Result<Self, WalkError> {
        has_table(layout)?;
        let mut program = Program::load(layout)?;
        // Not every kernel that loads the program can run it.
        program.leaf(0, |_| ())?;
        Ok(Self(Means::Program(program.into())))
    }

    /// Walks through /proc/kcore. Still works after capabilities have been dropped.
    pub fn kcore(layout: &WalkLayout) -> Result<Self, WalkError> {
        has_table(layout)?;
        Self::through_kcore(Kcore::open()?, layout)
    }

    /// The same through a file like it.
    pub fn through_kcore(kcore: Kcore, layout: &WalkLayout) -> Result<Self, WalkError> {
        has_table(layout)?;
        Ok(Self(Means::Kcore(Box::new(Table::through(kcore, layout)?))))
    }

    /// Walks by memcg ID, where memcgs outlive their cgroups (3.10).
    pub fn by_ids(dentry: &DentryLayout) -> Result<Self, WalkError> {
        Ok(Self(Means::Ids(Box::new(IdTable::open(dentry)?))))
    }

    /// Whether it also finds memcgs whose cgroups are gone, which are not in any count of cgroups.
    pub fn outlives_cgroups(&self) -> bool {
        matches!(self.0, Means::Ids(_))
    }

    /// How the table is read.
    pub fn means(&self) -> WalkMeans {
        match self.0 {
            Means::Program(_) => WalkMeans::Program,
            Means::Kcore(_) => WalkMeans::Kcore,
            Means::Ids(_) => WalkMeans::Ids,
        }
    }

    /// Visits every css of the memory subsystem, in the order of css ids.
    pub fn walk(&mut self, mut visit: impl FnMut(&Walked<'_>)) -> Result<Walks, WalkError> {
        let started = Instant::now();
        let mut walks = Walks::default();
        match &mut self.0 {
            Means::Program(_) => {}
            Means::Kcore(table) => table.refresh()?,
            Means::Ids(ids) => ids.refresh()?,
        }
        let mut id = 0;
        let mut empty_runs = 0;
        loop {
            let leaf = match &mut self.0 {
                Means::Program(program) => program.leaf(id, &mut visit)?,
                Means::Kcore(table) => table.leaf(id, &mut visit)?,
                Means::Ids(ids) => ids.leaf(&mut visit)?,
            };
            walks.runs += 1;
            walks.memcgs += leaf.memcgs;
            walks.missed += leaf.missed;
            walks.unreadable += leaf.unreadable;
            empty_runs = if leaf.memcgs == 0 { empty_runs + 1 } else { 0 };
            // The root is in the first leaf.
            if empty_runs > EMPTY_RUNS_MAX || walks.runs == 1 && empty_runs == 1 {
                return Err(WalkError::NoneThere(id));
            }
            let Some(next) = leaf.next else {
                walks.took = started.elapsed();
                return Ok(walks);
            };
            // Strictly increasing, so that the loop ends however the table changes.
            id = next.max(id + 1);
        }
    }
}

fn has_table(layout: &WalkLayout) -> Result<(), WalkError> {
    if *layout == WalkLayout::UNKNOWN {
        return Err(WalkError::NoLayout);
    }
    if [layout.css_idr, layout.xa_shift, layout.xa_slots, layout.layout.css_id].contains(&ABSENT) {
        return Err(WalkError::NoTable);
    }
    Ok(())
}
