//! `memcg-trace scan`: lists the memcgs that are in the kernel now.

use std::{
    fs,
    io::{BufWriter, Write as _},
};

use anyhow::{Context as _, Result};

use super::{
    args::{BtfArg, Format, NamesArgs, OutputArgs, RowsArg},
    progress::Progress,
};
use crate::{
    event::Key,
    exit::Exit,
    kernel::{
        self, Kernel, ability::AbilityId, cgroupfs::cgroup_stat::KernelCounts, clock, pins::PinsError,
        privileges, slab::memcg_caches::CachesError,
    },
    record::{Learned, Record},
    report::{
        json, text,
        view::{Accounting, By, ScanRequest, ScanView, Scanned, Selection, Sort, Viewpoint},
    },
    session::{Empty, Survey, names_of_all},
    source::{Caches, MemcgPins},
    streams::Stdout,
    tracker::{Memcg, Tracker},
};

/// List the dying memcgs in the kernel now, including those that died long before
///
/// Walks the kernel's table of memcgs once: every memcg, dying ones included, with its references, memcg ID and
/// charges. Nothing stays attached. The walk is compared with the kernel's own counts, and repeated if they differ, as
/// cgroups come and go meanwhile.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HOW_TO_READ)]
pub struct Args {
    /// Also list live memcgs
    #[arg(long)]
    pub all: bool,

    /// List live memcgs with no processes and no children: forgotten directories, not the leak
    ///
    /// Without systemd's slices, mounts and the like, which are empty by design. The age is the directory's mtime, or
    /// that of a directory created later: the real age may be higher, as the kernel loses mtimes under memory pressure,
    /// and has none for a directory that nobody looked at.
    #[arg(long, conflicts_with = "all")]
    pub empty: bool,

    /// Count them by group instead of listing them
    #[arg(long, value_enum, value_name = "WHAT")]
    pub by: Option<By>,

    /// Order of the list; groups are sorted by size
    #[arg(long, value_enum, value_name = "BY", default_value_t = Sort::Age)]
    pub sort: Sort,

    /// List only the first N
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,

    /// Exit with 3 if any memcg is dying
    #[arg(long)]
    pub fail_on_leak: bool,

    #[command(flatten)]
    pub names: NamesArgs,

    #[command(flatten)]
    pub btf: BtfArg,

    #[command(flatten)]
    pub rows: RowsArg,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// Reads the slab caches of dying memcgs, where memcgs have their own.
fn read_caches(caches: Option<Caches>, tracker: &mut Tracker) -> Result<(), CachesError> {
    let dying: Vec<Key> = tracker.dying().map(|memcg| memcg.key).collect();
    if let Some(mut caches) = caches.filter(|_| !dying.is_empty()) {
        let copies = Learned::Copies(caches.read(&dying)?);
        tracker.apply(&Record::Learned(copies), &mut Vec::new());
    }
    Ok(())
}

/// Looks for what pins the dying memcgs.
fn read_pins(mut pins: MemcgPins, tracker: &mut Tracker) -> Result<(), PinsError> {
    let dying: Vec<Key> = tracker.dying().map(|memcg| memcg.key).collect();
    if !dying.is_empty() {
        let pins = Learned::Pins(pins.look(&dying)?);
        tracker.apply(&Record::Learned(pins), &mut Vec::new());
    }
    Ok(())
}

const HOW_TO_READ: &str = "\
How to read it:
  ID             the memcg ID while the memcg owns it (65,535 exist); a dying one only keeps it for swapped-out pages,
                 before Linux 4.7 until it is freed
  REFS           references that pin a dying memcg; before Linux 7.1, one per charged folio (one or more pages)
  CHARGED        its counter, descendants included. Kernel memory, and since 7.1 pages, go to the parent when a memcg
                 dies, and stay in its counter: `holds` is the most that it can still hold by its references
  CHARGED FOR    the largest kinds, as in memory.stat
  PINNED BY      what these references come from; memcg-trace explain shows all of them, and what frees them
  empty          directories without processes, but pages may be charged to them: empty them first (v1: echo 0 >
                 memory.force_empty; v2 since 5.19: echo 1T > memory.reclaim), then rmdir; a memcg that is still
                 charged when it is removed stays as a dying one

A memcg that was just removed is dying for about 100 ms: scan twice, or use `trace`, which knows ages.

Examples:
  memcg-trace scan --by parent --top 10         who owns them?
  memcg-trace scan --sort charged --top 20      which ones hold the most memory?
  memcg-trace scan -o json | jq -r 'select(.type == \"memcg\") | .memcg.path'
  memcg-trace scan --fail-on-leak > /dev/null   for scripts: exit code 3 if any memcg is dying";

impl Args {
    /// Walks, compares and prints.
    pub fn run(self) -> Result<Exit> {
        let mut kernel = Kernel::probe(self.btf.file())?;
        let mut unknown = Vec::new();
        if let Err(error) = kernel.find_counters() {
            unknown.push((AbilityId::Counters.to_string(), error.to_string()));
        }
        let controller = &kernel.controller;
        let mut walk = kernel.load_walk().with_context(|| {
            let counted = text::counted(&KernelCounts::now(controller));
            format!("cannot list memcgs; the kernel's own counts are {counted}")
        })?;
        let caches = Caches::open(&kernel);
        let pins = MemcgPins::open(&kernel, self.btf.file());
        let resolver = self.names.resolver()?;
        privileges::drop_unneeded();
        // Reading this file makes the kernel flush its per-CPU counters.
        let _ = fs::read(controller.mount.join("memory.stat"));

        let progress = Progress::start("walking the kernel's memcgs".to_owned());
        let survey = Survey::take(&mut walk, controller)?;
        let mut tracker = Tracker::of_walk(&survey.snapshot);
        if let Err(error) = caches.and_then(|caches| read_caches(caches, &mut tracker)) {
            unknown.push(("slab caches of dying memcgs".to_owned(), error.to_string()));
        }
        if let Err(error) = pins.and_then(|pins| read_pins(pins, &mut tracker)) {
            unknown.push(("what pins dying memcgs".to_owned(), error.to_string()));
        }
        let mut empty = Empty::of(&survey.snapshot, &tracker);
        if self.empty {
            empty.find_ages(&tracker, controller);
        }
        let page_bytes = kernel::page_bytes() as u64;
        let names = resolver.map(|resolver| names_of_all(&resolver, &tracker)).unwrap_or_default();
        let scanned = Scanned {
            backend: walk.means(),
            walked: survey.snapshot.into(),
            accounting: Accounting {
                version: controller.version,
                swap: controller.accounts_swap(),
                page_bytes,
            },
            counted: survey.counted,
            agrees: survey.agrees,
            walks: survey.walks,
            moved: survey.moved,
            empty: empty.memcgs,
            names_missing: names.missing.clone(),
            unknown,
        };
        let viewpoint = Viewpoint { clock: clock::offsets(), page_bytes, dying_unseen: Some(0) };
        let container = |memcg: &Memcg| names.container_of(&memcg.key, memcg.path.as_deref());
        let view = ScanView::new(&scanned, &tracker, viewpoint, self.request(), container);
        drop(progress);
        self.print(&view)?;
        Ok(if !view.conclusive {
            Exit::Inconclusive
        } else if self.fail_on_leak && view.dying > 0 {
            Exit::Leak
        } else {
            Exit::Done
        })
    }

    fn request(&self) -> ScanRequest {
        let selection = match (self.all, self.empty) {
            (_, true) => Selection::Empty,
            (true, false) => Selection::All,
            (false, false) => Selection::Dying,
        };
        ScanRequest { selection, by: self.by, sort: self.sort, top: self.top }
    }

    fn print(&self, view: &ScanView<'_>) -> Result<()> {
        let mut out = BufWriter::new(Stdout::new());
        match self.output.format {
            Format::Text => {
                let page = self.rows.page(&self.output, self.top);
                text::scan(&mut out, view, page)?
            }
            Format::Json => json::scan(&mut out, view)?,
        }
        Ok(out.flush()?)
    }
}
