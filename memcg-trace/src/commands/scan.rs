//! `memcg-trace scan`: what is in the kernel now, read once.

use std::{
    fs,
    io::{self, BufWriter, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, Result};

use super::{Format, color, names::NamesArgs};
use crate::{
    event::Key,
    exit::Exit,
    kernel::{
        self, Kernel, cgroupfs::cgroup_stat::Counted, clock, privileges, slab::memcg_caches::CachesError,
    },
    report::{
        json, text,
        view::{Accounting, By, Request, ScanView, Scanned, Selection, Sort, Viewpoint},
    },
    session::{Empty, Survey, names_of_all},
    source::Caches,
    tracker::{Memcg, Tracker},
};

/// List what is dying in the kernel now, also what died long before
///
/// The kernel's table of memcgs is walked once: every memcg, dying ones included, with its references, its memcg ID and
/// what it is charged for. Nothing stays attached. The walk is compared with the kernel's own counts, and repeated where
/// the two differ, for cgroups come and go meanwhile.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HOW_TO_READ)]
pub struct Args {
    /// List live memcgs, too
    #[arg(long)]
    pub all: bool,

    /// List live memcgs without a process and without anything below: forgotten directories, not the leak
    ///
    /// Systemd's slices, mounts and the like are left out, they are empty on purpose. The age is the directory's mtime,
    /// or that of one created later: it may be older, for the kernel forgets mtimes when memory is short.
    #[arg(long, conflicts_with = "all")]
    pub empty: bool,

    /// Count by what they have in common instead of listing them
    #[arg(long, value_enum, value_name = "WHAT")]
    pub by: Option<By>,

    /// Order of the list; groups stand in the order of their size
    #[arg(long, value_enum, value_name = "BY", default_value_t = Sort::Age)]
    pub sort: Sort,

    /// List only the first N
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,

    /// Exit with 3 if a memcg is dying
    #[arg(long)]
    pub fail_on_leak: bool,

    #[command(flatten)]
    pub names: NamesArgs,

    /// Type information of exactly this kernel, where /sys/kernel/btf/vmlinux does not exist: raw BTF, a vmlinux with a section
    /// .BTF, or a .btf.tar.xz of BTFHub
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,

    /// Output format; json is one object a line
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,

    /// Colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t = clap::ColorChoice::Auto)]
    pub color: clap::ColorChoice,
}

/// Finds out which slab caches the dying memcgs have, where memcgs have any of their own.
fn read_caches(caches: Option<Caches>, tracker: &mut Tracker) -> Result<(), CachesError> {
    let dying: Vec<Key> = tracker.dying().map(|memcg| memcg.key).collect();
    if let Some(mut caches) = caches.filter(|_| !dying.is_empty()) {
        tracker.apply(&caches.read(&dying)?, &mut Vec::new());
    }
    Ok(())
}

const HOW_TO_READ: &str = "\
How to read it:
  ID             the memcg ID while the memcg owns it (65,535 exist); a dying one keeps it for swapped-out pages alone,
                 and before Linux 4.7 until it is freed
  REFS           references that keep a dying memcg; up to Linux 7.1, one for each charged page
  CHARGED        what its counter says, everything below included; since 7.2 pages move to the parent when a memcg
                 dies and may stay in its counter: charged is not held
  CHARGED FOR    the largest kinds, as in memory.stat
  empty          `rmdir` removes these directories; dying memcgs have none

A memcg that was removed a moment ago is dying for some 100 ms: look twice, or use `trace`, which knows ages.

Examples:
  memcg-trace scan --by parent --top 10         whose are they?
  memcg-trace scan --sort charged --top 20      which ones cost most?
  memcg-trace scan -o json | jq -r 'select(.type == \"memcg\") | .memcg.path'
  memcg-trace scan --fail-on-leak > /dev/null   for scripts: exit code 3 if a memcg is dying";

impl Args {
    /// Walks, compares, prints.
    pub fn run(self) -> Result<Exit> {
        let mut kernel = Kernel::probe(self.btf.as_deref())?;
        let mut unknown = Vec::new();
        if let Err(error) = kernel.find_counters() {
            unknown.push(("what memcgs are charged for".to_owned(), error.to_string()));
        }
        let controller = &kernel.controller;
        let mut walk = kernel.load_walk().with_context(|| {
            let counted = text::counted(&Counted::now(controller));
            format!("cannot list memcgs; all that the kernel says of itself is {counted}")
        })?;
        let caches = Caches::open(&kernel);
        let resolver = self.names.resolver()?;
        privileges::drop_unneeded();
        // The counters of each CPU are summed up for whoever reads this file. It is read for that alone.
        let _ = fs::read(controller.mount.join("memory.stat"));

        let survey = Survey::take(&mut walk, controller)?;
        let mut tracker = Tracker::of_walk(&survey.snapshot);
        if let Err(error) = caches.and_then(|caches| read_caches(caches, &mut tracker)) {
            unknown.push(("slab caches of dying memcgs".to_owned(), error.to_string()));
        }
        let mut empty = Empty::of(&survey.snapshot, &tracker);
        if self.empty {
            empty.find_ages(&tracker, controller);
        }
        let page_bytes = kernel::page_bytes() as u64;
        let names = resolver.map(|resolver| names_of_all(&resolver, &tracker)).unwrap_or_default();
        let scanned = Scanned {
            backend: walk.means(),
            snapshot: survey.snapshot,
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
        let view = ScanView::new(&scanned, &tracker, &viewpoint, self.request(), container);
        self.print(&view)?;
        Ok(if !view.conclusive {
            Exit::Inconclusive
        } else if self.fail_on_leak && view.dying > 0 {
            Exit::Leak
        } else {
            Exit::Done
        })
    }

    fn request(&self) -> Request {
        let selection = match (self.all, self.empty) {
            (_, true) => Selection::Empty,
            (true, false) => Selection::All,
            (false, false) => Selection::Dying,
        };
        Request { selection, by: self.by, sort: self.sort, top: self.top }
    }

    fn print(&self, view: &ScanView<'_>) -> Result<()> {
        let mut out = BufWriter::new(io::stdout());
        match self.output {
            Format::Text => text::scan(&mut out, view, color(self.color))?,
            Format::Json => json::scan(&mut out, view)?,
        }
        Ok(out.flush()?)
    }
}
