//! References to dying memcgs, read from kernel memory: one file for each kind. They read and never judge; what it
//! means, and whether it adds up, [`crate::cause`] says.
//!
//! The ways through the kernel's structs are pointers alone, from the memcg itself and from our own task, by offsets of BTF.
//! Nothing is locked: whatever was followed may have changed meanwhile, so each step checks what it can, every loop has a
//! bound, and the references are counted before and after.

mod addresses;
mod anon_inodes;
mod areas;
mod bpf_maps;
mod by_memcg;
mod children;
mod css_sets;
mod fds;
mod files;
mod folio;
mod groups;
mod ipc;
mod ksm;
mod laps;
mod layout;
mod lru;
mod mms;
mod mounts;
mod namespaces;
mod nets;
mod notify;
mod page_set;
mod pass;
mod paths;
mod perf_events;
mod queues;
mod scan;
mod sock_tables;
mod sockets;
mod stocks;
mod super_blocks;
mod swap;
mod tails;
mod tasks;
mod vmemmap;
mod wholes;
mod writeback;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use memcg_trace_common::{ABSENT, DentryLayout, WalkLayout};
use thiserror::Error;

use self::{
    by_memcg::ByMemcg,
    fds::OpenFiles,
    groups::Groups,
    laps::Laps,
    layout::PinLayout,
    mounts::Mounts,
    namespaces::Namespaces,
    page_set::PageSet,
    pass::{CountedMemcg, KnownMemcgs, Pass, count},
    tasks::Tasks,
    vmemmap::Vmemmap,
};
use super::{
    Kernel,
    ability::Lack,
    boot, clock,
    layout::{LayoutError, Types},
    memory::{self, Memory, MemoryError, symbols},
    page_bytes,
};
use crate::{
    cause::{Look, Referenced},
    event::Key,
};

/// Extra passes over memcgs whose count moved meanwhile.
const AGAIN: u32 = 3;

/// The reason why references cannot be looked for.
#[derive(Debug, Error)]
pub enum PinsError {
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error("the struct layout of memcgs is not known")]
    NoLayout,
    #[error("cannot list memcgs: {0}")]
    NoIds(String),
    #[error("cannot read kernel memory: {0}")]
    Memory(#[from] MemoryError),
}

impl Lack for PinsError {
    fn next_step(&self) -> String {
        match self {
            Self::Layout(error) => error.next_step(),
            Self::NoLayout => LayoutError::NoBtf.next_step(),
            Self::NoIds(_) | Self::Memory(_) => {
                "memcg-trace scan: it shows what memcgs are charged for".to_owned()
            }
        }
    }
}

/// Use of the memory map scan, which finds folios that are on no list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScanMemory {
    /// If references stay unexplained without it.
    #[default]
    Auto,
    Never,
    Always,
}

/// Limits of a look.
#[derive(Clone, Copy, Debug, Default)]
pub struct LookOptions {
    pub scan_memory: ScanMemory,
    /// Time limit: references that are not found within it stay unexplained. `None`: no limit.
    pub budget: Option<Duration>,
}

/// A way to find what refers to memcgs. Opening it takes the privileges that the walk takes, looking takes none.
pub struct Pins(WayToPins);

enum WayToPins {
    ByCss(Box<ByCss>),
    ByMemcg(Box<ByMemcg>),
}

/// By what refers to their csses.
struct ByCss {
    memory: Box<dyn Memory>,
    walk: WalkLayout,
    layout: PinLayout,
    /// The cgroup above all others; 0: not known.
    root: u64,
    node_ids: u32,
    /// Or why it is not known.
    map: Result<Vmemmap, String>,
}

impl Pins {
    /// With the kernel's own BTF, or with `btf`.
    pub fn open(kernel: &Kernel, btf: Option<&Path>) -> Result<Self, PinsError> {
        if kernel.dentry != DentryLayout::NONE {
            return Ok(Self(WayToPins::ByMemcg(Box::new(ByMemcg::open(kernel)?))));
        }
        Self::through(memory::open()?, kernel, btf)
    }

    /// The same through the given way to read kernel memory.
    pub fn through(
        mut memory: Box<dyn Memory>,
        kernel: &Kernel,
        btf: Option<&Path>,
    ) -> Result<Self, PinsError> {
        if kernel.layout.layout.css_serial == ABSENT {
            return Err(PinsError::NoLayout);
        }
        let mut layout = PinLayout::of(&Types::of(btf)?);
        if layout.stock.distance.is_none() {
            layout.stock.distance = stocks::distance_by_symbols();
        }
        if layout.net.icmp != ABSENT {
            layout.cpu_offsets = nets::cpu_offsets_by_symbol();
        }
        symbols::open_early();
        let root = match (kernel.memory_root, layout.cgroup.of_root) {
            (0, _) | (_, ABSENT) => 0,
            (root, offset) => root.wrapping_add(offset.into()),
        };
        let nothing = KnownMemcgs::new(Vec::new(), 0);
        let mut pass = Pass::new(&mut *memory, &kernel.layout, &layout, &nothing, root, None);
        let map = Vmemmap::find(&mut pass)?;
        let by_css = ByCss { memory, walk: kernel.layout, layout, root, node_ids: node_ids(), map };
        Ok(Self(WayToPins::ByCss(Box::new(by_css))))
    }

    /// The way kernel memory is read, in a word: `program` or `kcore`.
    pub fn means(&self) -> &'static str {
        match &self.0 {
            WayToPins::ByCss(way) => way.memory.means(),
            WayToPins::ByMemcg(_) => "kcore",
        }
    }

    /// Finds the references to these memcgs in one pass. Memcgs whose count moved are looked at again.
    pub fn look(&mut self, keys: &[Key], options: &LookOptions) -> Result<Look, PinsError> {
        let began_ns = clock::monotonic_ns();
        let look = match &mut self.0 {
            WayToPins::ByCss(way) => way.look(keys, options),
            WayToPins::ByMemcg(way) => way.look(keys),
        };
        Ok(Look { began_ns, ended_ns: clock::monotonic_ns(), ..look? })
    }
}

impl ByCss {
    fn look(&mut self, keys: &[Key], options: &LookOptions) -> Result<Look, PinsError> {
        let deadline = options.budget.and_then(|budget| Instant::now().checked_add(budget));
        self.memory.refresh()?;
        let mut look = self.pass(keys, options, deadline)?;
        for _ in 0..AGAIN {
            let moved = |memcg: &&Referenced| memcg.before != memcg.after;
            let moved: Vec<Key> = look.memcgs.iter().filter(moved).map(|memcg| memcg.key).collect();
            if moved.is_empty() || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break;
            }
            for again in self.pass(&moved, options, deadline)?.memcgs {
                if let Some(memcg) = look.memcgs.iter_mut().find(|memcg| memcg.key == again.key) {
                    *memcg = again;
                }
            }
        }
        Ok(look)
    }

    fn pass(
        &mut self,
        keys: &[Key],
        options: &LookOptions,
        deadline: Option<Instant>,
    ) -> Result<Look, PinsError> {
        let mut laps = Laps::start();
        let counts = count(&mut *self.memory, &self.walk, keys)?;
        let lives = |(key, refs): (&Key, Option<_>)| Some(CountedMemcg { key: *key, refs: refs? });
        let memcgs: Vec<CountedMemcg> = keys.iter().zip(counts).filter_map(lives).collect();
        let bytes = boot::memory_bytes().unwrap_or(u64::MAX);
        let memcgs = KnownMemcgs::new(memcgs, bytes / page_bytes() as u64);
        let mut pass = Pass::new(&mut *self.memory, &self.walk, &self.layout, &memcgs, self.root, deadline);

        let seen = PageSet::new(self.layout.page.size, bytes, page_bytes() as u64);
        let mut groups = Groups::new(self.layout.page, seen);
        laps.end("references counted");
        lru::read(&mut pass, &mut groups, self.node_ids)?;
        laps.end("folios on lists");
        let tasks = Tasks::read(&mut pass)?;
        laps.end("tasks");
        let mut open = OpenFiles::read(&mut pass, &tasks)?;
        let reached = queues::read(&mut pass, &mut open)?;
        laps.end("open files");
        let super_blocks = super_blocks::read(&mut pass, &open)?;
        let mut mounts = Mounts::own(namespaces::of_mounts(&mut pass, &tasks)?);
        let namespaces = Namespaces::read(&mut pass, &tasks, &open, &super_blocks, &mut mounts)?;
        let mut css_sets = css_sets::read(&mut pass, &tasks)?;
        namespaces.hold(&mut pass, &tasks, &mut css_sets)?;
        let anon = anon_inodes::read(&mut pass, &open)?;
        perf_events::hold(&mut pass, &tasks, &open, &anon, &mut css_sets)?;
        css_sets::refer(&mut pass, css_sets);
        notify::read(&mut pass, &tasks, &open, &anon)?;
        bpf_maps::read(&mut pass, &tasks, &open, &anon)?;
        swap::read(&mut pass, &tasks, &mut mounts)?;
        sockets::read(&mut pass, &tasks, &open, &namespaces, reached)?;
        children::read(&mut pass)?;
        mms::read(&mut pass, &tasks)?;
        let stocks = stocks::read(&mut pass, &tasks)?;
        writeback::read(&mut pass, &super_blocks, &mut mounts)?;
        groups.settle(pass.memory)?;
        laps.end("all but folios");
        let scans = match options.scan_memory {
            ScanMemory::Auto => pass.misses(&groups.refs(memcgs.len())),
            ScanMemory::Never => false,
            ScanMemory::Always => true,
        };
        let map = match &self.map {
            Ok(map) if scans => scan::read(&mut pass, &mut groups, map)?,
            Err(why) if scans => {
                pass.unread("pages on no list", why);
                None
            }
            _ => None,
        };
        groups.settle(pass.memory)?;
        laps.end("map of pages");
        wholes::refer(&mut pass, groups, &tasks, &open, &mut mounts)?;
        stocks::settle(&mut pass, &stocks);

        laps.end("what folios are");
        let (referenced, unread) = pass.finish()?;
        let mut referenced = referenced.into_iter().peekable();
        let gone =
            |key: &Key| Referenced { key: *key, before: Some(0), after: Some(0), references: Vec::new() };
        let each = |key: &Key| referenced.next_if(|memcg| memcg.key == *key).unwrap_or_else(|| gone(key));
        Ok(Look { memcgs: keys.iter().map(each).collect(), unread, map, ..Look::default() })
    }
}

/// The number of possible memory nodes: `/sys/devices/system/node/possible` is a list such as `0-3`.
fn node_ids() -> u32 {
    let possible = fs::read_to_string("/sys/devices/system/node/possible").unwrap_or_default();
    let last = possible.trim().rsplit([',', '-']).next().and_then(|last| last.parse::<u32>().ok());
    // CONFIG_NODES_SHIFT is 10 at most.
    last.map_or(1, |last| (last + 1).min(1 << 10))
}
