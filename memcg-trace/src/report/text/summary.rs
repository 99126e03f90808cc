//! The summary of a run, most important last, where it stays on the screen.

use std::io::{self, Write};

use anstyle::Style;

use super::{
    BAD, Color, GOOD, WARN, caches, pinned,
    slab::slab_section,
    table::{Columns, common, heading, owner, owner_name, size, time},
    words::{id, many, or},
};
use crate::{
    report::view::{Common, Group, NamesMissingView, SlabSummary, SummaryView},
    units::{Count, Time, UNKNOWN},
};

/// Maximum number of rows of a table; JSON has all.
const ROWS: usize = 20;
const IN_JSON: &str = "-o json has all";
/// Factor for suggesting a larger perf buffer.
const LARGER: u64 = 4;

/// Counts, leaked memcgs, and the verdict.
pub fn summary(out: &mut impl Write, summary: &SummaryView<'_>, color: Color) -> io::Result<()> {
    let reason = summary.backend_reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let duration = Time { ns: summary.duration_ns };
    writeln!(out)?;
    writeln!(out, "Traced for {duration}, {} backend{reason}", summary.backend)?;
    for unknown in &summary.unknown {
        writeln!(out, "Unknown: {} ({})", unknown.what, unknown.reason)?;
    }
    writeln!(out)?;
    counts(out, summary)?;
    if let Some(missing) = &summary.names_missing {
        writeln!(out, "  {:<14} {}", "names", names_missing(missing))?;
    }
    loss(out, summary)?;
    if !summary.survivors.is_empty() {
        heading(out, "Leaked, longest dying first", color)?;
        survivors(out, summary)?;
        caches::pinned(out, summary.pinned_by.as_deref(), IN_JSON, color)?;
        if let Some(pins) = &summary.pins {
            heading(out, "Pinned by", color)?;
            pinned::table(out, pins)?;
        }
        heading(out, "Leaked, by parent", color)?;
        groups(out, "PARENT", &summary.leaked_by_parent)?;
        let some = |group: &Group<'_>| !matches!(group.of, Common::Container(None));
        if summary.leaked_by_container.iter().any(some) {
            heading(out, "Leaked, by container", color)?;
            groups(out, "CONTAINER", &summary.leaked_by_container)?;
        }
    }
    if !summary.rolled.is_empty() {
        heading(out, "Created and still dying", color)?;
        rolled(out, summary)?;
    }
    if let Some(slab) = &summary.slab {
        slab_section(out, slab, &summary.leaked_slab_caches, color)?;
    }
    writeln!(out)?;
    let (style, verdict) = verdict(summary);
    let style = color.style(style);
    writeln!(out, "{style}{verdict}{style:#}")
}

fn counts(out: &mut impl Write, summary: &SummaryView<'_>) -> io::Result<()> {
    let mut row = |name: &str, value: String| writeln!(out, "  {name:<14} {value}");
    row("created", Count(summary.created).to_string())?;
    if summary.adopted > 0 {
        row("older", format!("{}, created before the start or not seen", Count(summary.adopted)))?;
    }
    let mut freed = Count(summary.freed).to_string();
    if summary.late > 0 {
        freed += &format!(", of them {} late", Count(summary.late));
        if let Some(ns) = summary.late_max_ns {
            freed += &format!(" (after up to {})", Time { ns });
        }
    }
    if let Some(css) = summary.css_freed {
        row("css freed", format!("{}, of them {} held", Count(css.memcgs), Count(css.held)))?;
    }
    row("freed", freed)?;
    if summary.removed > 0 {
        row("removed", format!("{}, not offline yet", Count(summary.removed)))?;
    }
    let grace = Time { ns: summary.grace_ns };
    row("dying", some(summary.dying.saturating_sub(summary.leaked), &format!(", not yet for {grace}")))?;
    let mut leaked = some(summary.leaked, &format!(", dying for {grace} and longer"));
    if summary.leaked > 0 && summary.dying_before_start > 0 {
        leaked += &format!(", of them {} since before the start", Count(summary.dying_before_start));
    }
    row("leaked", leaked)?;
    if let Some(before @ 1..) = summary.dying_unseen {
        row(
            "before start",
            format!("{} were dying already, and count above only once freed", Count(before)),
        )?;
    }
    for failure in &summary.alloc_failed_by_errno {
        row("alloc failed", format!("{} with {}: {}", Count(failure.count), failure.error, failure.meaning))?;
    }
    row("memcg IDs", ids(summary))
}

/// A count, with details if it is not zero.
fn some(count: u64, more: &str) -> String {
    format!("{}{}", Count(count), if count > 0 { more } else { "" })
}

fn ids(summary: &SummaryView<'_>) -> String {
    let limit = Count(summary.ids_limit);
    let mut ids = match summary.ids_used {
        Some(used) => format!("{} of {limit} in use", Count(used)),
        None => format!("an unknown number of {limit} in use"),
    };
    if let Some(held) = summary.ids_held_by_dying {
        ids += &format!(", {} held by dying memcgs", Count(held));
    }
    if let Some(ns) = summary.ids_exhausted_in_ns {
        ids += &format!("; at this rate mkdir fails in {}", Time { ns });
    }
    ids
}

/// For lack of time.
pub fn names_missing(missing: &NamesMissingView<'_>) -> String {
    let NamesMissingView { memcgs, slice, of_slice, .. } = missing;
    let names = many(*memcgs, "name");
    if of_slice == memcgs {
        return format!("{names} missing, all of them from {slice}");
    }
    format!("{names} missing, most of them from {slice} ({})", Count(*of_slice))
}

fn loss(out: &mut impl Write, summary: &SummaryView<'_>) -> io::Result<()> {
    let lost = [
        (summary.lost_events, "event", "lost"),
        (summary.missed_firings, "firing", "missed"),
        (summary.unidentified_events, "event", "without identity"),
        (summary.undecodable_records, "record", "undecodable"),
    ];
    let lost: Vec<String> = lost
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, noun, what)| format!("{} {what}", many(count, noun)))
        .collect();
    let lost = if lost.is_empty() { "none".to_owned() } else { lost.join(", ") };
    writeln!(out, "  {:<14} {lost}", "loss")?;
    let (added, freed) = (summary.reconciled_added, summary.reconciled_freed);
    if summary.conclusive && summary.lost_events + summary.missed_firings > 0 {
        let (added, freed) = (Count(added), Count(freed));
        writeln!(
            out,
            "  {:<14} reconciled by walks: {added} found, {freed} gone; the counts of created and freed are lower bounds",
            ""
        )?;
    }
    Ok(())
}

/// The verdict, in one sentence. Only says that there is no leak if nothing was missed.
fn verdict(summary: &SummaryView<'_>) -> (Style, String) {
    let leaked = many(summary.leaked, "memcg");
    if !summary.conclusive {
        let mut verdict = "Inconclusive: ".to_owned();
        verdict += &match summary.leaked {
            0 => "leaks may have been missed".to_owned(),
            1 => "1 memcg looks leaked, but its release may have been missed".to_owned(),
            _ => format!("{leaked} look leaked, but their release may have been missed"),
        };
        if summary.lost_events > 0 {
            verdict += "; try a larger buffer, --perf-pages";
            verdict += &summary.perf_pages.map(|pages| format!(" {}", pages * LARGER)).unwrap_or_default();
        }
        return (WARN, verdict);
    }
    // Memcgs that died before the start are mentioned, but do not count as leaks of this run.
    let before = summary.dying_before_start;
    let leaks = summary.leaked.saturating_sub(before);
    let pending = (summary.dying - before.min(summary.dying)).saturating_sub(leaks) + summary.removed;
    let (style, mut verdict) = match (leaks, pending, summary.late) {
        (1.., ..) => (BAD, format!("{} leaked.", many(leaks, "memcg"))),
        (0, 1.., _) => (WARN, format!("No leak yet, but {} still dying.", were(pending))),
        (0, 0, 1..) => (GOOD, format!("No leak, but {} late.", were(summary.late))),
        (0, 0, 0) => (GOOD, "No leak: every memcg removed since the start was freed in time.".to_owned()),
    };
    if before > 0 {
        verdict += &format!(" {} dying since before the start.", were(before));
    }
    if let Some(slab @ SlabSummary { leaked: 1.., .. }) = &summary.slab {
        verdict += &format!(" {} leaked.", many(slab.leaked, "slab cache"));
        return (BAD, verdict);
    }
    if summary.alloc_failed > 0 {
        verdict += &format!(" {} could not be created.", many(summary.alloc_failed, "memcg"));
        return (BAD, verdict);
    }
    (style, verdict)
}

/// `1 memcg was`, `2 memcgs were`
fn were(count: u64) -> String {
    format!("{} {}", many(count, "memcg"), if count == 1 { "was" } else { "were" })
}

fn survivors(out: &mut impl Write, summary: &SummaryView<'_>) -> io::Result<()> {
    let caches = caches::column(summary.survivors.iter().map(|survivor| &survivor.memcg));
    let pins = pinned::column(summary.survivors.iter().map(|survivor| &survivor.memcg));
    let pins = pins.filter(|_| caches.is_none());
    let names = ["AGE>", "ID>", "CHARGED>", "REFS>", "CONTAINER", "POD", "PATH"];
    let mut table = Columns::new(names.into_iter().chain(caches).chain(pins));
    for survivor in summary.survivors.iter().take(ROWS) {
        let memcg = &survivor.memcg;
        let (container, pod) = owner(survivor.container.as_ref());
        let cells = [
            match memcg.age_ns {
                None if memcg.before_start => "before start".to_owned(),
                age_ns => time(age_ns),
            },
            id(memcg),
            size(memcg.charged_bytes),
            or(memcg.css_refs.map(Count), UNKNOWN),
            container,
            pod,
            or(memcg.path, UNKNOWN),
        ];
        let more = caches.map(|_| caches::cell(memcg)).or(pins.map(|_| pinned::cell(memcg)));
        table.row(cells.into_iter().chain(more));
    }
    table.print(out, summary.survivors.len() as u64, IN_JSON)
}

fn rolled(out: &mut impl Write, summary: &SummaryView<'_>) -> io::Result<()> {
    let pins = pinned::group_column(summary.rolled.iter().map(|group| &group.pins));
    let names = ["CREATED>", "DYING>", "SURVIVAL>", "IDS HELD>", "CHARGED>", "OLDEST>", "OF"];
    let mut table = Columns::new(names.into_iter().chain(pins));
    for group in summary.rolled.iter().take(ROWS) {
        let cells = [
            Count(group.created).to_string(),
            Count(group.dying).to_string(),
            or(group.survival.map(|survival| format!("{:.0} %", survival * 100.0)), "-"),
            or(group.ids_held.map(Count), UNKNOWN),
            size(group.charged_bytes),
            if group.dying == 0 { "-".to_owned() } else { time(group.oldest_ns) },
            owner_name(&group.of),
        ];
        table.row(cells.into_iter().chain(pins.map(|_| pinned::group_cell(&group.pins))));
    }
    table.print(out, summary.rolled.len() as u64, IN_JSON)
}

fn groups(out: &mut impl Write, of: &str, groups: &[Group<'_>]) -> io::Result<()> {
    let mut table = Columns::new(["LEAKED>", "IDS HELD>", "CHARGED>", "OLDEST>", of]);
    for group in groups.iter().take(ROWS) {
        table.row([
            Count(group.leaked).to_string(),
            or(group.ids_held.map(Count), UNKNOWN),
            size(group.charged_bytes),
            time(group.oldest_ns),
            common(&group.of),
        ]);
    }
    table.print(out, groups.len() as u64, IN_JSON)
}
