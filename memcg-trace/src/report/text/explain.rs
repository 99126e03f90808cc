//! What pins dying memcgs: a block for each, most references first, then the sums and one sentence.

use std::io::{self, Write};

use anstyle::Style;

use super::{
    BAD, GOOD, HEADING, Page, WARN, pin, pinned,
    table::{Columns, heading, owner_name},
    words::{id, many, name_of, or, pod},
};
use crate::{
    attribution::{Container, Owner},
    cause::{MapCompared, Pin, RefCount},
    report::view::{ExplainView, ExplainedMemcg, FileView, InCommon, PartView},
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
    if !explain.pins.is_empty() {
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
    let held = (!held.is_empty()).then_some(("held by", held));
    let loses = part.act_is_command && part.act_kind.loses();
    let costs = loses.then(|| ("costs", part.act_cost.to_owned()));
    let act = part.act.map(|act| (if part.act_is_command { "free by" } else { "to free" }, act.to_owned()));
    let advice = part.act_advice.map(|advice| ("", advice.to_owned()));
    for (name, text) in [held, act, advice, costs].into_iter().flatten() {
        writeln!(out, "  {:>9}    {name:<7}  {text}", "")?;
    }
    Ok(())
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
    writeln!(out)?;
    let mut table = Columns::new(["REFS>", "MEMCGS>", "OF~", "FREE BY<"]);
    let groups = explain.groups.as_deref().unwrap_or_default();
    for group in groups {
        let act = group.act.filter(|_| group.act_is_command);
        table.row([
            Count(group.refs).to_string(),
            Count(group.memcgs).to_string(),
            in_common(&group.of),
            or(act, "-"),
        ]);
    }
    table.print(out, page, explain.selected, ALL)
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
