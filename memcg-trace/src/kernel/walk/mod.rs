//! The walk: every memcg of the kernel, dying ones included, read on demand.

mod by_id;
mod decode;
mod lengths;
mod mapped;
mod program;
mod table;

use std::time::{Duration, Instant};

use aya::{maps::MapError, programs::ProgramError};
use memcg_trace_common::{ABSENT, DentryLayout, WalkLayout};
use thiserror::Error;

pub use self::decode::Walked;
use self::{by_id::IdTable, program::Program, table::Table};
use super::{ability::Lack, layout::LayoutError, memory::kcore::KcoreError};
use crate::{event::DecodeError, record::WalkMeans};

/// Why the kernel cannot be walked.
#[derive(Debug, Error)]
pub enum WalkError {
    #[error(
        "this kernel has no type information, which the walk needs; give a BTF file made for exactly this kernel with --btf \
         FILE (BTFHub has those of many distributions' kernels)"
    )]
    NoLayout,
    #[error("this kernel's type information does not describe the table of csses (css_idr)")]
    NoTable,
    #[error("the table of memcg IDs cannot be read: {0}")]
    NoIds(String),
    #[error("cannot load the walk: {0}")]
    Load(#[from] aya::EbpfError),
    #[error("this kernel does not run the walk (test runs of raw tracepoints came with Linux 5.10): {0}")]
    Program(#[from] ProgramError),
    #[error("cannot use the maps of the walk: {0}")]
    Map(#[from] MapError),
    #[error("cannot map the memory of the walk: {0}")]
    Mapping(nix::Error),
    #[error("this kernel's structs are larger than the walk has room for")]
    TooLarge,
    #[error("the eBPF object has no {0}")]
    Absent(&'static str),
    #[error(transparent)]
    Kcore(#[from] KcoreError),
    #[error("our own css, read from /proc/kcore, is not one of the memory controller")]
    NotMemory,
    #[error("{program}; and {kcore}")]
    Neither { program: Box<WalkError>, kcore: Box<WalkError> },
    #[error("the walk could not follow a pointer at css id {0}")]
    Broken(u64),
    #[error("the walk brought no event: {0}")]
    Decode(#[from] DecodeError),
}

impl Lack for WalkError {
    fn next_step(&self) -> String {
        match self {
            Self::NoLayout => LayoutError::NoBtf.next_step(),
            Self::NoTable => "give a BTF file of exactly this kernel with --btf FILE".to_owned(),
            Self::Kcore(error) => error.next_step(),
            _ => "the other way to walk, or trace: it follows what is removed from now on".to_owned(),
        }
    }
}

/// A way to read the table of csses.
pub struct Walk(Means);

enum Means {
    Program(Box<Program>),
    Kcore(Box<Table>),
    Ids(Box<IdTable>),
}

/// What a walk did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walks {
    pub memcgs: u64,
    /// Leaves of the table, each read by itself.
    pub runs: u64,
    /// Structs that could not be read.
    pub unreadable: u64,
    pub took: Duration,
}

/// What reading one leaf brought, besides its memcgs.
struct LeafRead {
    memcgs: u64,
    unreadable: u64,
    /// The css id to go on with; `None`: there is nothing behind it.
    next: Option<u64>,
}

impl Walk {
    /// The program, and /proc/kcore where the kernel does not run it.
    pub fn load(layout: &WalkLayout) -> Result<Self, WalkError> {
        let program = match Self::program(layout) {
            Err(error) if !matches!(error, WalkError::NoTable | WalkError::NoLayout) => error,
            result => return result,
        };
        match Self::kcore(layout) {
            Ok(walk) => {
                log::warn!("memcgs are read from /proc/kcore, which takes longer: {program}");
                Ok(walk)
            }
            Err(kcore) => Err(WalkError::Neither { program: program.into(), kcore: kcore.into() }),
        }
    }

    /// By the eBPF program; loading takes a second or so where the processor is emulated.
    pub fn program(layout: &WalkLayout) -> Result<Self, WalkError> {
        has_table(layout)?;
        let mut program = Program::load(layout)?;
        // Not every kernel that loads it runs it.
        program.leaf(0, |_| ())?;
        Ok(Self(Means::Program(program.into())))
    }

    /// Through /proc/kcore. Stays possible when capabilities have been dropped.
    pub fn kcore(layout: &WalkLayout) -> Result<Self, WalkError> {
        has_table(layout)?;
        Ok(Self(Means::Kcore(Box::new(Table::open(layout)?))))
    }

    /// By memcg ID, where memcgs outlive their cgroups.
    pub fn by_ids(dentry: &DentryLayout) -> Result<Self, WalkError> {
        Ok(Self(Means::Ids(Box::new(IdTable::open(dentry)?))))
    }

    /// It brings memcgs whose cgroups are gone, too: those that no count of cgroups has.
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
        loop {
            let leaf = match &mut self.0 {
                Means::Program(program) => program.leaf(id, &mut visit)?,
                Means::Kcore(table) => table.leaf(id, &mut visit)?,
                Means::Ids(ids) => ids.leaf(&mut visit)?,
            };
            walks.runs += 1;
            walks.memcgs += leaf.memcgs;
            walks.unreadable += leaf.unreadable;
            let Some(next) = leaf.next else {
                walks.took = started.elapsed();
                return Ok(walks);
            };
            // Ever upwards: no table, however it changes, makes this endless.
            id = next.max(id + 1);
        }
    }
}

fn has_table(layout: &WalkLayout) -> Result<(), WalkError> {
    if *layout == WalkLayout::UNKNOWN {
        return Err(WalkError::NoLayout);
    }
    if [layout.css_idr, layout.xa_shift, layout.xa_slots].contains(&ABSENT) {
        return Err(WalkError::NoTable);
    }
    Ok(())
}
