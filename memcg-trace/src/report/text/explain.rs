//! What pins dying memcgs: a block for each, most references first, then the sums and one sentence.

use std::io::{self, Write};

use anstyle::Style;

use super::{
    BAD, GOOD, HEADING, Page, WARN, pin, pinned,
    table::{heading, owner_name},
    words::{id, many, name_of, or, pod},
};
use crate::{
    attribution::{Container, Owner},
    cause::{MapCompared, Pin, RefCount},
    report::view::{ActView, ExplainView, ExplainedMemcg, FileView, InCommon, PartView, PinGroup},
    units::{Count, Time},
};

const ALL: &str = "--all: all of them";

/// `parts`: how many of one memcg are listed at most.
pub fn explain(
    out: &mut impl Write,
    explain: &ExplainView<'_>,
    parts: Option<usize>,
    page: impl Into<Page>,
) -> io::Result<()> {
    let page = page.into();
    match &explain.groups {
        None => {
            for memcg in &explain.explained {
                block(out, memcg, parts, page)?;
            }
            more(out, "memcg", explain.selected.saturating_sub(explain.explained.len() as u64), "")?;
        }
        Some(groups) if groups.is_empty() => {}
        Some(_) => grouped(out, page, explain)?,
    }
    let by_pin = explain.groups.iter().flatten().any(|group| matches!(group.of, InCommon::Pin(_)));
    if !explain.pins.is_empty() && !by_pin {
        heading(out, "Pinned by", page)?;
        pinned::table(out, &explain.pins, page)?;
    }
    writeln!(out)?;
    counts(out, explain)?;
    writeln!(out)?;
    let (style, verdict) = verdict(explain);
    let style = page.style(style);
    writeln!(out, "{style}{verdict}{style:#}")
}

fn block(
    out: &mut impl Write,
    memcg: &ExplainedMemcg<'_>,
    most: Option<usize>,
    page: Page,
) -> io::Result<()> {
    let ExplainedMemcg { listed, explanation, parts } = memcg;
    let style = page.style(HEADING);
    let path = or(listed.memcg.path, "a memcg whose name is not known");
    writeln!(out, "\n{style}{path}{style:#}")?;
    let facts = [
        listed.container.as_ref().and_then(container),
        listed.memcg.serial.map(|serial| format!("serial {serial}")),
        Some(format!("memcg ID {}", id(&listed.memcg))),
        listed.memcg.age_ns.map(|ns| format!("dying for {}", Time { ns })),
    ];
    writeln!(out, "  {}", facts.into_iter().flatten().collect::<Vec<_>>().join(", "))?;
    let (style, sum) = match explanation.unexplained() {
        _ if explanation.counted.is_none() => (WARN, "found; this kernel's count cannot be read".to_owned()),
        0 => (Style::new(), "all explained".to_owned()),
        unexplained => (BAD, format!("{} UNEXPLAINED", Count(unexplained))),
    };
    let moved = match explanation.counted {
        Some(RefCount { low, high }) if low != high => {
            format!(" (moved: {} to {} while it was read)", Count(low), Count(high))
        }
        Some(_) if explanation.moved => " (moved: some went while it was read)".to_owned(),
        _ => String::new(),
    };
    let style = page.style(style);
    writeln!(out, "  {}, {style}{sum}{style:#}{moved}", many(explanation.refs, "reference"))?;
    let most = most.unwrap_or(usize::MAX);
    parts.iter().take(most).try_for_each(|part| row(out, part, page))?;
    let rest = parts.get(most..).unwrap_or_default();
    let refs: u64 = rest.iter().map(|part| part.refs).sum();
    more(out, "thing", rest.len() as u64, &format!(" with {}", many(refs, "reference")))
}

fn row(out: &mut impl Write, part: &PartView<'_>, page: Page) -> io::Result<()> {
    let style = page.style(if part.pin == Pin::Unexplained { BAD } else { Style::new() });
    writeln!(out, "  {:>9}  {style}{}{style:#}", Count(part.refs).to_string(), pin::what(part))?;
    let held = pin::holders(&part.holders);
    if !held.is_empty() {
        beside(out, 9, "held by", &held)?;
    }
    let ActView { act, is_command, advice, .. } = part.act;
    freeing(out, 9, (act, is_command), advice, part.act.costs())
}

/// What frees it, what else helps, and what that costs. Never cut: it is to be pasted.
fn freeing(
    out: &mut impl Write,
    width: usize,
    (act, is_command): (Option<&str>, bool),
    advice: Option<&str>,
    costs: Option<&str>,
) -> io::Result<()> {
    let lines = [(if is_command { "free by" } else { "to free" }, act), ("", advice), ("costs", costs)];
    let mut lines = lines.into_iter().filter_map(|(name, text)| Some((name, text?)));
    lines.try_for_each(|(name, text)| beside(out, width, name, text))
}

fn beside(out: &mut impl Write, width: usize, name: &str, text: &str) -> io::Result<()> {
    writeln!(out, "  {:>width$}    {name:<7}  {text}", "")
}

/// A pod's own cgroup is of no container.
fn container(container: &Container) -> Option<String> {
    let pod = pod(container);
    let Some(title) = container.title() else { return pod };
    let pod = pod.map(|pod| format!(" ({pod})")).unwrap_or_default();
    Some(format!("container {}{pod}", name_of(&title)))
}

fn more(out: &mut impl Write, noun: &str, count: u64, what: &str) -> io::Result<()> {
    match count {
        0 => Ok(()),
        _ => writeln!(out, "  and {}{what} ({ALL})", many(count, &format!("more {noun}"))),
    }
}

fn grouped(out: &mut impl Write, page: Page, explain: &ExplainView<'_>) -> io::Result<()> {
    let style = page.style(HEADING);
    writeln!(out, "\n{style}  {:>9}  {:>7}  OF{style:#}", "REFS", "MEMCGS")?;
    let groups = explain.groups.as_deref().unwrap_or_default();
    for group in groups {
        let (refs, memcgs) = (Count(group.refs).to_string(), Count(group.memcgs).to_string());
        writeln!(out, "  {refs:>9}  {memcgs:>7}  {}", in_common(&group.of))?;
        let PinGroup { act, act_is_command, act_advice, act_cost, .. } = group;
        freeing(out, 18, (*act, *act_is_command), *act_advice, act_cost.as_deref())?;
    }
    more(out, "group", explain.selected.saturating_sub(groups.len() as u64), "")
}

fn in_common(of: &InCommon<'_>) -> String {
    match of {
        InCommon::File(Some(FileView { path, device, inode, pin })) => match (path, inode) {
            (Some(path), _) => format!("{} {path}", pin.name()),
            (None, inode) => format!(
                "{} without a name, inode {} of {}",
                pin.name(),
                or(inode.as_ref(), "?"),
                or(device.as_ref(), "?")
            ),
        },
        InCommon::File(None) => "no file".to_owned(),
        InCommon::Pin(pin) => pin.name().to_owned(),
        InCommon::Holder(Some(process)) => format!("{} (pid {})", process.comm, process.pid),
        InCommon::Holder(None) => "no process".to_owned(),
        InCommon::Workload(workload) => owner_name(&Owner::Workload(workload.clone())),
    }
}

fn counts(out: &mut impl Write, explain: &ExplainView<'_>) -> io::Result<()> {
    let mut row = |name: &str, value: String| writeln!(out, "  {name:<12} {value}");
    let (all, explained) = (Count(explain.memcgs), Count(explain.memcgs_explained));
    let dying = Count(explain.dying);
    row("memcgs", format!("{all} of {dying} dying looked at, {explained} explained"))?;
    let (all, explained) = (Count(explain.refs_total), Count(explain.refs_explained));
    row("references", format!("{explained} of {all} explained"))?;
    if explain.moved > 0 {
        row("moved", format!("{} whose count changed meanwhile", many(explain.moved, "memcg")))?;
    }
    if explain.freed > 0 {
        row("freed", format!("{} meanwhile", many(explain.freed, "memcg")))?;
    }
    if let Some(MapCompared { on_lists, on_no_list, gone }) = explain.map {
        let gone =
            if gone > 0 { format!(", {} on lists were gone by then", Count(gone)) } else { String::new() };
        let (listed, others) = (many(on_lists, "folio"), Count(on_no_list));
        row("all pages", format!("{listed} on lists, {others} on none{gone}"))?;
    }
    for unread in &explain.unread {
        row("not read", format!("{}: {}", unread.what, unread.reason))?;
    }
    Ok(())
}

fn verdict(explain: &ExplainView<'_>) -> (Style, String) {
    let refs = many(explain.refs_total, "reference");
    if explain.uncounted > 0 {
        let memcgs = many(explain.uncounted, "memcg");
        return (WARN, format!("Inconclusive: the count of references of {memcgs} cannot be read here."));
    }
    match (explain.memcgs, explain.refs_unexplained) {
        (0, _) => (GOOD, "No memcg is dying.".to_owned()),
        (_, 0) => (GOOD, format!("Every reference is explained: {refs}.")),
        (_, unexplained) => {
            let are = if unexplained == 1 { "is" } else { "are" };
            (WARN, format!("Inconclusive: {} of {refs} {are} unexplained.", Count(unexplained)))
        }
    }
}
