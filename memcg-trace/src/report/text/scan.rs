//! The output of `scan`: list or groups, counts, and a verdict.

use std::{
    cmp::Reverse,
    io::{self, Write},
};

use anstyle::Style;

use super::{
    BAD, GOOD, Page, WARN, memcg_caches, pinned,
    summary::names_missing,
    table::{Columns, charged, common, heading, owner, size},
    words::{id, many, or},
};
use crate::{
    kernel::cgroupfs::cgroup_stat::KernelCounts,
    record::Version,
    report::view::{ChargesView, ScanGroup, ScanView, Selection, state_name},
    units::{Count, Size, Time, UNKNOWN},
};

/// Maximum number of kinds of charges per row; the largest are shown.
const KINDS: usize = 3;
/// Where the values of the counts begin.
const INDENT: usize = 17;
const IN_JSON: &str = "-o json has all";

/// List or groups, counts, and the verdict.
pub fn scan(out: &mut impl Write, scan: &ScanView<'_>, page: impl Into<Page>) -> io::Result<()> {
    let page = page.into();
    let what = match scan.selection {
        Selection::Dying => "Dying",
        Selection::All => "All memcgs",
        Selection::Empty => "Live, with no processes and no children",
    };
    match &scan.groups {
        _ if scan.selected == 0 => {}
        Some(groups) => {
            heading(out, what, page)?;
            grouped(out, page, scan, groups)?;
        }
        None => {
            heading(out, what, page)?;
            listed(out, page, scan)?;
        }
    }
    if scan.selection == Selection::Empty && scan.empty > 0 {
        writeln!(out)?;
        page.line(out, &before_rmdir(scan), 0)?;
    }
    let what = if scan.pins.is_some() { "Slab caches that pin them" } else { "Pinned by" };
    memcg_caches::pinned(out, what, scan.pinned_by.as_deref(), IN_JSON, page)?;
    if let Some(pins) = &scan.pins {
        heading(out, "Pinned by", page)?;
        pinned::table(out, pins, page)?;
    }
    writeln!(out)?;
    counts(out, page, scan)?;
    writeln!(out)?;
    let (style, verdict) = verdict(scan);
    let style = page.style(style);
    page.line(out, &format!("{style}{verdict}{style:#}"), 0)
}

fn listed(out: &mut impl Write, page: Page, scan: &ScanView<'_>) -> io::Result<()> {
    let second = match scan.selection {
        Selection::Dying => "REFS>",
        Selection::All => "STATE",
        Selection::Empty => "AGE>",
    };
    let caches = memcg_caches::column(scan.listed.memcgs());
    let pins = pinned::column(scan.listed.memcgs()).filter(|_| caches.is_none());
    let names = ["ID>", second, "CHARGED>", "CONTAINER<", "POD<", "PATH~", "CHARGED FOR<"];
    let mut table = Columns::new(names.into_iter().chain(caches).chain(pins));
    for listed in scan.listed.iter().take(page.rows.unwrap_or(usize::MAX)) {
        let memcg = &listed.memcg;
        let (container, pod) = owner(listed.container.as_ref());
        let cells = [
            id(memcg),
            match scan.selection {
                Selection::Dying => or(memcg.css_refs.map(Count), UNKNOWN),
                Selection::All => state_name(memcg.state).to_owned(),
                Selection::Empty => or(memcg.age_min_ns.map(|ns| format!("≥ {}", Time { ns })), UNKNOWN),
            },
            charged(memcg),
            container,
            pod,
            or(memcg.path, UNKNOWN),
            memcg.charges.as_ref().map_or_else(|| UNKNOWN.to_owned(), kinds),
        ];
        let more = caches.map(|_| memcg_caches::cell(memcg)).or(pins.map(|_| pinned::cell(memcg)));
        table.row(cells.into_iter().chain(more));
    }
    table.print(out, page, scan.selected, page.how_to_get_all())
}

/// How to remove the empty ones without making zombies of them.
fn before_rmdir(scan: &ScanView<'_>) -> String {
    let how = match scan.version {
        Version::V1 => "echo 0 > memory.force_empty",
        Version::V2 => "echo 1T > memory.reclaim, since 5.19",
    };
    match scan.charged_to_empty_bytes {
        Some(0) => "Nothing is charged to them: rmdir removes them for good.".to_owned(),
        charged => format!(
            "{} are charged to them. Empty each one first ({how}), then rmdir: what is still charged to one when it is \
             removed stays as a dying memcg.",
            size(charged)
        ),
    }
}

/// The largest kinds; kernel memory by kind where known.
fn kinds(charges: &ChargesView) -> String {
    let ChargesView { file, anon, shmem, slab, swap, sock, percpu, page_tables, kernel_stack, vmalloc, kmem } =
        *charges;
    let cache = file.zip(shmem).map(|(file, shmem)| file.saturating_sub(shmem));
    // What of it is of no kind of its own, such as pipes.
    let of_a_kind = [slab, percpu, page_tables, kernel_stack, vmalloc].into_iter().flatten().sum();
    let kernel = kmem.map(|kmem| kmem.saturating_sub(of_a_kind));
    let other = if slab.is_some() { "other kernel" } else { "kernel" };
    let kinds = [
        ("file", cache.or(file)),
        ("anon", anon),
        ("shmem", shmem),
        ("slab", slab),
        ("swap", swap),
        ("sock", sock),
        ("percpu", percpu),
        ("page tables", page_tables),
        ("kernel stacks", kernel_stack),
        ("vmalloc", vmalloc),
        (other, kernel),
    ];
    if kinds.iter().all(|(_, bytes)| bytes.is_none()) {
        return UNKNOWN.to_owned();
    }
    let mut kinds: Vec<_> = kinds
        .into_iter()
        .filter_map(|(name, bytes)| Some((name, bytes.filter(|&bytes| bytes > 0)?)))
        .collect();
    kinds.sort_by_key(|(_, bytes)| Reverse(*bytes));
    let kinds = kinds.into_iter().take(KINDS).map(|(name, bytes)| format!("{name} {}", Size { bytes }));
    kinds.collect::<Vec<_>>().join(", ")
}

fn grouped(
    out: &mut impl Write,
    page: Page,
    scan: &ScanView<'_>,
    groups: &[ScanGroup<'_>],
) -> io::Result<()> {
    let pins = pinned::group_column(groups.iter().map(|group| &group.pins));
    let mut table =
        Columns::new(["MEMCGS>", "DYING>", "IDS HELD>", "CHARGED>", "OF~"].into_iter().chain(pins));
    for group in groups.iter().take(page.rows.unwrap_or(usize::MAX)) {
        let cells = [
            Count(group.memcgs).to_string(),
            Count(group.dying).to_string(),
            or(group.ids_held.map(Count), UNKNOWN),
            size(group.charged_bytes),
            common(&group.of),
        ];
        table.row(cells.into_iter().chain(pins.map(|_| pinned::group_cell(&group.pins))));
    }
    table.print(out, page, scan.selected, page.how_to_get_all())
}

fn counts(out: &mut impl Write, page: Page, scan: &ScanView<'_>) -> io::Result<()> {
    let mut row = |name: &str, value: String| page.line(out, &format!("  {name:<14} {value}"), INDENT);
    row("live", Count(scan.live).to_string())?;
    if scan.removed > 0 {
        row("removed", format!("{}, not offline yet", Count(scan.removed)))?;
    }
    let mut dying = Count(scan.dying).to_string();
    if scan.dying > 0 {
        dying += &format!(", {} charged to them", size(scan.charged_to_dying_bytes));
        if scan.held_by_dying_bytes_max < scan.charged_to_dying_bytes
            && let Some(bytes) = scan.held_by_dying_bytes_max
        {
            let held = Size { bytes };
            dying += &format!("; by their references they hold {held} at most: the rest is with the parent");
        }
    }
    row("dying", dying)?;
    let used = or(scan.ids_used.map(Count), "an unknown number");
    let held = or(scan.ids_held_by_dying.map(Count), UNKNOWN);
    row("memcg IDs", format!("{used} of {} in use, {held} held by dying memcgs", Count(scan.ids_limit)))?;
    if scan.empty > 0 && scan.selection != Selection::Empty {
        row(
            "empty",
            format!(
                "{}, live but with no processes and no children, {} charged to them (--empty)",
                Count(scan.empty),
                size(scan.charged_to_empty_bytes)
            ),
        )?;
    }
    row("kernel counts", kernel(scan))?;
    if let Some(missing) = &scan.names_missing {
        row("names", names_missing(missing))?;
    }
    for unknown in &scan.unknown {
        row("unknown", format!("{}: {}", unknown.what, unknown.reason))?;
    }
    Ok(())
}

/// The kernel's own counts.
pub fn counted(counted: &KernelCounts) -> String {
    let counts = [
        (counted.live_memcgs, "live memcg"),
        (counted.dying_memcgs, "dying memcg"),
        (counted.cgroups, "cgroup"),
        (counted.dying_cgroups, "dying cgroup"),
    ];
    let counts = counts.into_iter().filter_map(|(count, noun)| Some(many(count?, noun)));
    counts.collect::<Vec<_>>().join(", ")
}

/// The kernel's counts compared with the walk.
fn kernel(scan: &ScanView<'_>) -> String {
    let counts = counted(&scan.kernel);
    let walked = Count(scan.memcgs);
    match scan.kernel_agrees {
        Some(true) if scan.moved > 0 => {
            format!("{counts}: agrees except for {} that came or went", many(scan.moved, "memcg"))
        }
        Some(true) => format!("{counts}: agrees"),
        Some(false) => format!("{counts}: DIFFERS from the {walked} found by the walk"),
        None => format!("{counts}: not comparable with the {walked} found by the walk"),
    }
}

fn verdict(scan: &ScanView<'_>) -> (Style, String) {
    let are = if scan.dying == 1 { "is" } else { "are" };
    let dying = format!("{} {are} dying", many(scan.dying, "memcg"));
    if !scan.conclusive {
        let walks = many(scan.walks, "walk");
        return (
            WARN,
            format!("Inconclusive: {dying}, but after {walks} the kernel's own counts still differ."),
        );
    }
    match scan.dying {
        0 => (GOOD, "No memcg is dying.".to_owned()),
        _ => (BAD, format!("{dying}.")),
    }
}
