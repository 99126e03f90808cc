//! The summary of a run, most important last, where it stays on the screen.

use std::io::{self, Write};

use super::{
    Page, memcg_caches, pinned,
    slab::slab_section,
    table::{Columns, charged, common, heading, owner, owner_name, size, time},
    verdict::{Deaths, verdict},
    words::{id, lines_dropped, many, name_of, or},
};
use crate::{
    report::view::{Common, Group, ListedMemcg, NamesMissingView, Rolled, SummaryView},
    units::{Count, Time, UNKNOWN},
};

/// Where the values of the counts begin.
const INDENT: usize = 17;
/// Maximum number of rows of a table; JSON has all.
const ROWS: usize = 20;
const IN_JSON: &str = "-o json has all";
pub const OWNERS: &str = "Created and still dying";
/// Heading of lists with nothing else in them.
const LEAKED: &str = "Leaked";

/// Counts, leaked memcgs, and the verdict.
pub fn summary(out: &mut impl Write, summary: &SummaryView<'_>, page: impl Into<Page>) -> io::Result<()> {
    let page = page.into();
    let reason = summary.backend_reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let duration = Time { ns: summary.duration_ns };
    writeln!(out)?;
    writeln!(out, "Traced for {duration}, {} backend{reason}", summary.backend)?;
    for unknown in &summary.unknown {
        writeln!(out, "Unknown: {} ({})", unknown.what, unknown.reason)?;
    }
    writeln!(out)?;
    counts(out, page, summary)?;
    if let Some(missing) = &summary.names_missing {
        writeln!(out, "  {:<14} {}", "names", names_missing(missing))?;
    }
    loss(out, summary)?;
    if summary.lines_dropped > 0 {
        writeln!(out, "  {:<14} {}", "output", lines_dropped(summary.lines_dropped))?;
    }
    if let Some(glob) = summary.listed_cgroups {
        let glob = name_of(glob);
        writeln!(out, "  {:<14} counts are of all memcgs, lists of those that match {glob}", "--cgroup")?;
    }
    if !summary.survivors.is_empty() {
        let what = listed(summary);
        heading(out, &format!("{what}, longest dying first"), page)?;
        survivors(out, page, summary)?;
        memcg_caches::pinned(out, "Pinned by", summary.pinned_by.as_deref(), IN_JSON, page)?;
        if let Some(pins) = &summary.pins {
            heading(out, "Pinned by", page)?;
            pinned::table(out, pins, page)?;
        }
        heading(out, &format!("{what}, by parent"), page)?;
        groups(out, page, what, "PARENT~", &summary.leaked_by_parent)?;
        let some = |group: &Group<'_>| !matches!(group.of, Common::Container(None));
        if summary.leaked_by_container.iter().any(some) {
            heading(out, &format!("{what}, by container"), page)?;
            groups(out, page, what, "CONTAINER~", &summary.leaked_by_container)?;
        }
    }
    if !summary.rolled.is_empty() {
        heading(out, OWNERS, page)?;
        owners(out, page, summary)?;
    }
    if let Some(slab) = &summary.slab {
        slab_section(out, slab, &summary.leaked_slab_caches, page)?;
    }
    writeln!(out)?;
    let (tone, verdict) = verdict(summary);
    let style = page.style(tone.style());
    page.line(out, &format!("{style}{verdict}{style:#}"), 0)
}

fn counts(out: &mut impl Write, page: Page, summary: &SummaryView<'_>) -> io::Result<()> {
    let mut row = |name: &str, value: String| page.line(out, &format!("  {name:<14} {value}"), INDENT);
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
    let Deaths { pending, leaked, before } = Deaths::of(summary);
    let grace = Time { ns: summary.grace_ns };
    row("dying", some(pending, &format!(", not yet for {grace}")))?;
    row("leaked", some(leaked, &format!(", dying for {grace} and longer")))?;
    if before > 0 {
        let (was, is) = if before == 1 { ("was", "is") } else { ("were", "are") };
        row("before start", format!("{} {was} dying already and still {is}, age unknown", Count(before)))?;
    }
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

/// What the lists are of, in one way for all of them.
pub fn listed(summary: &SummaryView<'_>) -> &'static str {
    let before = summary.survivors.memcgs().filter(|memcg| memcg.died_before_start()).count();
    match before {
        0 => LEAKED,
        _ if before == summary.survivors.len() => "Dying since before the start",
        _ => "Leaked, or dying since before the start",
    }
}

/// A count, with details if it is not zero.
fn some(count: u64, more: &str) -> String {
    format!("{}{}", Count(count), if count > 0 { more } else { "" })
}

/// How many are in use, and for how long the rest will last.
pub fn ids(summary: &SummaryView<'_>) -> String {
    let limit = Count(summary.ids_limit);
    let mut ids = match summary.ids_used {
        Some(used) => format!("{} of {limit} in use", Count(used)),
        None => format!("an unknown number of {limit} in use"),
    };
    if let Some(held) = summary.ids_held_by_dying {
        ids += &format!(", {} held by dying memcgs", Count(held));
    }
    if let Some((ns, seen_for_ns)) = summary.ids_exhausted_in_ns.zip(summary.ids_trend_ns) {
        let (left, seen_for) = (Time { ns }, Time { ns: seen_for_ns });
        ids += &format!("; as they grew for the last {seen_for}, mkdir fails in {left}");
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

/// What was lost or missed.
pub fn lost(summary: &SummaryView<'_>) -> String {
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
    if lost.is_empty() { "none".to_owned() } else { lost.join(", ") }
}

/// What walks made good of it.
pub fn reconciled(summary: &SummaryView<'_>) -> Option<String> {
    let (added, freed) = (Count(summary.reconciled_added), Count(summary.reconciled_freed));
    (summary.conclusive && summary.lost_events + summary.missed_firings > 0).then(|| {
        format!(
            "reconciled by walks: {added} found, {freed} gone; what exists is exact, what was created, freed and late is a lower bound"
        )
    })
}

/// The time that nothing was recorded of.
pub fn outages(summary: &SummaryView<'_>) -> Option<String> {
    let (times, time) = (Count(summary.outages), Time { ns: summary.outage_ns });
    let known = match summary.conclusive {
        true => "; what exists is exact, what was created, freed and late is a lower bound",
        false => "",
    };
    (summary.outages > 0).then(|| format!("{times}, nothing was recorded for {time} in all{known}"))
}

fn loss(out: &mut impl Write, summary: &SummaryView<'_>) -> io::Result<()> {
    writeln!(out, "  {:<14} {}", "loss", lost(summary))?;
    if let Some(reconciled) = reconciled(summary) {
        writeln!(out, "  {:<14} {reconciled}", "")?;
    }
    match outages(summary) {
        Some(outages) => writeln!(out, "  {:<14} {outages}", "outages"),
        None => Ok(()),
    }
}

/// The age of what was dying then.
const BEFORE: &str = "before start";

/// Columns of [`survivor`].
pub const SURVIVOR: [&str; 7] = ["AGE>", "ID>", "CHARGED>", "REFS>", "CONTAINER<", "POD<", "PATH~"];

/// A leaked memcg, in short.
pub fn survivor(survivor: &ListedMemcg<'_>) -> [String; 7] {
    let memcg = &survivor.memcg;
    let (container, pod) = owner(survivor.container.as_ref());
    [
        match memcg.age_ns {
            None if memcg.before_start => BEFORE.to_owned(),
            age_ns => time(age_ns),
        },
        id(memcg),
        charged(memcg),
        or(memcg.css_refs.map(Count), UNKNOWN),
        container,
        pod,
        or(memcg.path, UNKNOWN),
    ]
}

fn survivors(out: &mut impl Write, page: Page, summary: &SummaryView<'_>) -> io::Result<()> {
    let caches = memcg_caches::column(summary.survivors.memcgs());
    let pins = pinned::column(summary.survivors.memcgs());
    let pins = pins.filter(|_| caches.is_none());
    let mut table = Columns::new(SURVIVOR.into_iter().chain(caches).chain(pins));
    for listed in summary.survivors.iter().take(ROWS) {
        let memcg = &listed.memcg;
        let more = caches.map(|_| memcg_caches::cell(memcg)).or(pins.map(|_| pinned::cell(memcg)));
        table.row(survivor(&listed).into_iter().chain(more));
    }
    table.print(out, page, summary.survivors.len() as u64, IN_JSON)
}

/// Columns of [`rolled`].
pub const ROLLED: [&str; 7] = ["CREATED>", "DYING>", "SURVIVAL>", "IDS HELD>", "CHARGED>", "OLDEST>", "OF~"];

/// The memcgs of one owner.
pub fn rolled(group: &Rolled) -> [String; 7] {
    [
        Count(group.created).to_string(),
        Count(group.dying).to_string(),
        or(group.survival.map(|survival| format!("{:.0} %", survival * 100.0)), "-"),
        or(group.ids_held.map(Count), UNKNOWN),
        size(group.charged_bytes),
        if group.dying == 0 { "-".to_owned() } else { or(group.oldest_ns.map(|ns| Time { ns }), BEFORE) },
        owner_name(&group.of),
    ]
}

fn owners(out: &mut impl Write, page: Page, summary: &SummaryView<'_>) -> io::Result<()> {
    let pins = pinned::group_column(summary.rolled.iter().map(|group| &group.pins));
    let mut table = Columns::new(ROLLED.into_iter().chain(pins));
    for group in summary.rolled.iter().take(ROWS) {
        table.row(rolled(group).into_iter().chain(pins.map(|_| pinned::group_cell(&group.pins))));
    }
    table.print(out, page, summary.rolled.len() as u64, IN_JSON)
}

/// Columns of [`group`], but for the first and the last.
pub const GROUP: [&str; 3] = ["IDS HELD>", "CHARGED>", "OLDEST>"];

/// Leaked memcgs with something in common.
pub fn group(group: &Group<'_>) -> [String; 5] {
    [
        Count(group.leaked).to_string(),
        or(group.ids_held.map(Count), UNKNOWN),
        size(group.charged_bytes),
        or(group.oldest_ns.map(|ns| Time { ns }), BEFORE),
        common(&group.of),
    ]
}

/// What the groups of such a list count.
pub fn counted(what: &str) -> &'static str {
    if what == LEAKED { "LEAKED>" } else { "DYING>" }
}

fn groups(out: &mut impl Write, page: Page, what: &str, of: &str, groups: &[Group<'_>]) -> io::Result<()> {
    let mut table = Columns::new([counted(what)].into_iter().chain(GROUP).chain([of]));
    groups.iter().take(ROWS).for_each(|of| table.row(group(of)));
    table.print(out, page, groups.len() as u64, IN_JSON)
}
