//! Slab caches: lines for events and periodic changes, then list or groups, counts, and a verdict.

use std::io::{self, Write};

use anstyle::Style;

use super::{
    BAD, GOOD, Page, WARN,
    table::{Columns, heading, size, time},
    words::{lines_dropped, many, or},
};
use crate::{
    report::view::{
        SlabCacheView, SlabDelta, SlabEventKind, SlabEventView, SlabGroup, SlabLoss, SlabSummary, SlabView,
        TaskView,
    },
    slab::{Leak, SlabBackend},
    units::{Count, Size, Time, TimeOfDay, UNKNOWN},
};

/// Where the values of the counts begin.
const INDENT: usize = 17;
/// Maximum number of leaked caches in a summary of `trace`; JSON has all.
const ROWS: usize = 20;

/// One line.
pub fn slab_event(out: &mut impl Write, event: &SlabEventView<'_>, page: impl Into<Page>) -> io::Result<()> {
    let page = page.into();
    let style = page.style(style(event.event));
    let when = TimeOfDay { ns: event.time.as_nanosecond() };
    write!(out, "{style}{when} {:<12} ", word(event.event))?;
    match (&event.loss, &event.slab_cache, event.asked) {
        (Some(SlabLoss::Lost { hook, cpu, events }), ..) => {
            write!(out, "{} of {hook} on CPU {cpu} did not fit in the buffer", many(*events, "event"))?;
        }
        (Some(SlabLoss::Missed { hook, firings }), ..) => {
            write!(out, "{} of {hook} missed: the kernel skipped the hook", many(*firings, "firing"))?;
        }
        // The requested name, and the cache it was merged into.
        (None, Some(cache), Some(asked)) => write!(out, "{asked} -> {}", or(cache.name, UNKNOWN))?,
        (None, None, Some(asked)) => write!(out, "{asked}")?,
        (None, Some(cache), None) => step(out, event.event, cache)?,
        (None, None, None) => write!(out, "{UNKNOWN}")?,
    }
    if let Some(creator) = &event.creator {
        write!(out, " | by {creator}, {}", by(&creator.task))?;
    }
    if let Some(task) = &event.task {
        write!(out, " | by {}", by(task))?;
    }
    writeln!(out, "{style:#}")
}

fn step(out: &mut impl Write, event: SlabEventKind, cache: &SlabCacheView<'_>) -> io::Result<()> {
    write!(out, "{}", or(cache.name, UNKNOWN))?;
    match event {
        SlabEventKind::SlabCreated => match cache.object_size {
            Some(bytes) => write!(out, " | objects of {}", Size { bytes: bytes.into() }),
            None => Ok(()),
        },
        SlabEventKind::SlabUnaliased => match cache.refs {
            Some(refs) => write!(out, " | still held {}", many(refs.try_into().unwrap_or(0), "time")),
            None => Ok(()),
        },
        SlabEventKind::SlabLeaked => write!(out, " | {}", why(cache)),
        _ => Ok(()),
    }
}

/// The reason why it counts as leaked.
fn why(cache: &SlabCacheView<'_>) -> String {
    let age = cache.age_ns.map(|ns| format!(" for {}", Time { ns })).unwrap_or_default();
    match cache.leak {
        Some(Leak::NotReleased) => format!("destroyed but not released{age}: it still has objects"),
        Some(Leak::MemcgDead) => format!("its memcg is offline{age}"),
        Some(Leak::ModuleGone) => "its module was unloaded without destroying it".to_owned(),
        None => UNKNOWN.to_owned(),
    }
}

/// Changes since the previous report.
pub fn slab_delta(out: &mut impl Write, delta: &SlabDelta) -> io::Result<()> {
    let when = TimeOfDay { ns: delta.time.as_nanosecond() };
    write!(out, "{when} {:<12} {}", "total", many(delta.caches, "cache"))?;
    write!(out, ", +{} created, -{} released", Count(delta.created), Count(delta.released))?;
    if delta.aliased > 0 {
        write!(out, ", +{} aliased", Count(delta.aliased))?;
    }
    if delta.leaked != 0 {
        write!(out, ", {:+} leaked", delta.leaked)?;
    }
    writeln!(out)
}

/// List or groups, counts, and the verdict.
pub fn slab(out: &mut impl Write, slab: &SlabView<'_>, page: impl Into<Page>) -> io::Result<()> {
    let page = page.into();
    match &slab.groups {
        _ if slab.selected == 0 => {}
        Some(groups) => {
            heading(out, "Slab caches", page)?;
            grouped(out, page, slab, groups)?;
        }
        None if slab.request.leaked => {
            heading(out, "Leaked slab caches", page)?;
            leaked(out, page, &slab.caches, slab.selected, page.how_to_get_all())?;
        }
        None => {
            heading(out, "Slab caches", page)?;
            listed(out, page, slab)?;
        }
    }
    writeln!(out)?;
    counts(out, page, &slab.summary)?;
    writeln!(out)?;
    let (style, verdict) = verdict(&slab.summary);
    let style = page.style(style);
    page.line(out, &format!("{style}{verdict}{style:#}"), 0)
}

/// The section about slab caches in a trace's summary.
pub fn slab_section(
    out: &mut impl Write,
    summary: &SlabSummary<'_>,
    survivors: &[SlabCacheView<'_>],
    page: Page,
) -> io::Result<()> {
    heading(out, "Slab caches", page)?;
    counts(out, page, summary)?;
    if !survivors.is_empty() {
        heading(out, "Leaked slab caches", page)?;
        let some = &survivors[..survivors.len().min(ROWS)];
        leaked(out, page, some, survivors.len() as u64, "-o json has all")?;
    }
    Ok(())
}

fn listed(out: &mut impl Write, page: Page, slab: &SlabView<'_>) -> io::Result<()> {
    let mut table =
        Columns::new(["OBJECTS>", "SIZE>", "MEMORY>", "LINKS>", "STATE", "NAME~", "MODULE", "CREATOR<"]);
    for cache in slab.caches.iter().take(page.rows.unwrap_or(usize::MAX)) {
        table.row([
            or(cache.objects.map(Count), UNKNOWN),
            size(cache.size.map(u64::from)),
            size(cache.bytes),
            // Without the cache's own name.
            Count(cache.links.len().saturating_sub(1) as u64).to_string(),
            cache.state.to_string(),
            name(cache),
            or(cache.module, UNKNOWN),
            match &cache.creator {
                Some(creator) => creator.to_string(),
                None if cache.before_start => "before start".to_owned(),
                None => UNKNOWN.to_owned(),
            },
        ]);
    }
    table.print(out, page, slab.selected, page.how_to_get_all())
}

/// The name, with the names merged into it.
fn name(cache: &SlabCacheView<'_>) -> String {
    let name = or(cache.name, UNKNOWN);
    if cache.aliases.is_empty() {
        return name;
    }
    let aliases: Vec<_> = cache.aliases.iter().map(ToString::to_string).collect();
    format!("{name} (also {})", aliases.join(", "))
}

fn leaked(
    out: &mut impl Write,
    page: Page,
    caches: &[SlabCacheView<'_>],
    all: u64,
    how: &str,
) -> io::Result<()> {
    let mut table = Columns::new(["AGE>", "SIZE>", "NAME~", "MODULE", "CREATOR<", "WHY<"]);
    for cache in caches.iter().take(page.rows.unwrap_or(usize::MAX)) {
        table.row([
            if cache.before_start && cache.age_ns.is_none() {
                "before start".to_owned()
            } else {
                time(cache.age_ns)
            },
            size(cache.object_size.map(u64::from)),
            name(cache),
            or(cache.module, UNKNOWN),
            or(cache.creator.as_ref(), UNKNOWN),
            {
                let destroyer = cache.destroyer.as_ref().map(|task| format!(", by {}", by(task)));
                why(&SlabCacheView { age_ns: None, ..cache.clone() }) + &destroyer.unwrap_or_default()
            },
        ]);
    }
    table.print(out, page, all, how)
}

fn grouped(out: &mut impl Write, page: Page, slab: &SlabView<'_>, groups: &[SlabGroup]) -> io::Result<()> {
    let mut table = Columns::new(["CACHES>", "CREATED>", "LEAKED>", "MEMORY>", "OF~"]);
    for group in groups.iter().take(page.rows.unwrap_or(usize::MAX)) {
        table.row([
            Count(group.caches).to_string(),
            Count(group.created).to_string(),
            Count(group.leaked).to_string(),
            size(group.bytes),
            or(group.of.as_ref(), "unknown"),
        ]);
    }
    table.print(out, page, slab.selected, page.how_to_get_all())
}

fn counts(out: &mut impl Write, page: Page, summary: &SlabSummary<'_>) -> io::Result<()> {
    let mut row = |name: &str, value: String| page.line(out, &format!("  {name:<14} {value}"), INDENT);
    let grace = Time { ns: summary.grace_ns };
    let watched = summary.duration_ns.is_some();
    row("live", Count(summary.live).to_string())?;
    if watched {
        row("created", Count(summary.created).to_string())?;
        row("released", Count(summary.released).to_string())?;
        if summary.late > 0 {
            row("late", format!("{}, released after being reported as leaked", Count(summary.late)))?;
        }
        if summary.aliased > 0 || summary.unaliased > 0 {
            let text = "merged into existing caches";
            row(
                "aliases",
                format!("{} {text}, {} dropped", Count(summary.aliased), Count(summary.unaliased)),
            )?;
        }
    }
    if summary.destroying > 0 {
        row("destroying", format!("{}, not yet for {grace}", Count(summary.destroying)))?;
    }
    if summary.failed > 0 {
        row("failed", format!("{} could not be created", Count(summary.failed)))?;
    }
    if summary.misread > 0 {
        let misread = Count(summary.misread);
        row("misread", format!("{misread}: the BTF does not match this kernel"))?;
    }
    row("leaked", Count(summary.leaked).to_string())?;
    if let (Some(caches), Some(links), Some(stale)) =
        (summary.kernel_caches, summary.kernel_links, summary.kernel_stale_links)
    {
        let entries = caches + links + stale;
        let mut text = format!("{} caches; {} links to them", Count(caches), Count(links));
        if stale > 0 {
            text += &format!(", {} stale", Count(stale));
        }
        row("/sys lists", format!("{text} ({} entries)", Count(entries)))?;
    }
    for growing in &summary.growing {
        row(
            "growing",
            format!("{}: {} to {} caches", growing.family, Count(growing.from), Count(growing.to)),
        )?;
    }
    let memcg = match summary.per_memcg_caches {
        Some(true) => "memcgs have their own caches on this kernel",
        Some(false) => "memcgs share caches on this kernel (as on all since 5.9): they cannot leak them",
        None => "could not tell whether memcgs have their own caches on this kernel",
    };
    row("per memcg", memcg.to_owned())?;
    if summary.lost_events + summary.missed_firings + summary.undecodable_records > 0 {
        let (lost, missed) = (Count(summary.lost_events), Count(summary.missed_firings));
        let undecodable = Count(summary.undecodable_records);
        row(
            "loss",
            format!("{lost} events lost, {missed} firings missed, {undecodable} records undecodable"),
        )?;
    }
    if summary.lines_dropped > 0 {
        row("output", lines_dropped(summary.lines_dropped))?;
    }
    for unknown in &summary.unknown {
        row("unknown", format!("{}: {}", unknown.what, unknown.reason))?;
    }
    Ok(())
}

fn verdict(summary: &SlabSummary<'_>) -> (Style, String) {
    let leaked = format!("{} leaked", many(summary.leaked, "slab cache"));
    let growing = match summary.growing.len() as u64 {
        0 => String::new(),
        1 => "; 1 family of caches only grows".to_owned(),
        more => format!("; {} families of caches only grow", Count(more)),
    };
    match summary.leaked {
        _ if !summary.conclusive => (WARN, format!("Inconclusive: {leaked}, but some events were not seen.")),
        0 if summary.duration_ns.is_none() => (
            GOOD,
            "No listed slab cache has leaked. Many kernels do not list leaked ones: use --watch.".to_owned(),
        ),
        0 if summary.backend == SlabBackend::List => (
            if growing.is_empty() { GOOD } else { WARN },
            format!(
                "No slab cache is known to have leaked, but most leaks do not show in the list{growing}."
            ),
        ),
        0 => (if growing.is_empty() { GOOD } else { WARN }, format!("No slab cache leaked{growing}.")),
        _ => (BAD, format!("{leaked}{growing}.")),
    }
}

fn by(task: &TaskView<'_>) -> String {
    format!("{} (pid {})", task.comm, task.tgid)
}

fn word(event: SlabEventKind) -> &'static str {
    match event {
        SlabEventKind::SlabCreated => "created",
        SlabEventKind::SlabAliased => "aliased",
        SlabEventKind::SlabUnaliased => "unaliased",
        SlabEventKind::SlabDestroying => "destroying",
        SlabEventKind::SlabLeaked => "LEAKED",
        SlabEventKind::SlabReleased => "released",
        SlabEventKind::SlabLate => "late",
        SlabEventKind::SlabFailed => "FAILED",
        SlabEventKind::Lost => "LOST",
        SlabEventKind::Missed => "MISSED",
    }
}

fn style(event: SlabEventKind) -> Style {
    match event {
        SlabEventKind::SlabLeaked | SlabEventKind::SlabFailed => BAD,
        SlabEventKind::SlabLate | SlabEventKind::Lost | SlabEventKind::Missed => WARN,
        _ => Style::new(),
    }
}
