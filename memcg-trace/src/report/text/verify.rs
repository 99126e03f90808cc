//! Verdicts as a table, changes, and a sentence.

use std::io::{self, Write};

use anstyle::Style;

use super::{
    BAD, GOOD, Page, WARN, pinned,
    table::{Columns, heading, size_and_held},
    words::or,
};
use crate::{
    report::{
        escape::Name,
        view::{VerdictView, VerifyView},
    },
    units::{Count, Time},
    verdict::{GoneAfter, Outcome, Verdict},
};

pub fn verify(out: &mut impl Write, view: &VerifyView, page: impl Into<Page>) -> io::Result<()> {
    let page = page.into();
    let ground = &view.ground;
    let reason = ground.backend_reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    writeln!(out, "Linux {}, {}, {} backend{reason}", ground.kernel, ground.controller, ground.backend)?;
    writeln!(
        out,
        "{} cgroups per scenario, waited up to {}\n",
        Count(ground.cgroups),
        Time { ns: ground.settle_ns }
    )?;
    let mut table = Columns::new([
        "SCENARIO",
        "VERDICT",
        "STAYED>",
        "OF>",
        "IDS HELD>",
        "CHARGED>",
        "PINNED BY<",
        "GONE AFTER<",
    ]);
    for verdict in &view.verdicts {
        let leak = verdict.verdict == Verdict::Leak;
        let only = |text: String| if leak { text } else { String::new() };
        table.row([
            verdict.scenario.to_string(),
            verdict.verdict.to_string(),
            verdict.stayed.map(|count| Count(count).to_string()).unwrap_or_default(),
            verdict.memcgs.map(|count| Count(count).to_string()).unwrap_or_default(),
            only(or(verdict.ids_held.map(Count), "?")),
            only(size_and_held(verdict.charged_bytes, verdict.held_bytes_max)),
            verdict.pinned_by.as_deref().map(pinned::group_cell).unwrap_or_default(),
            verdict.gone_after.map(|after| gone(after, verdict.pin)).unwrap_or_default(),
        ]);
    }
    table.print(out, page, view.verdicts.len() as u64, "")?;
    reasons(out, view, page)?;
    changes(out, view, page)?;
    let (style, sentence) = sentence(view);
    let style = page.style(style);
    writeln!(out, "\n{style}{sentence}{style:#}")
}

/// After which step the memcgs of a leak were freed; `pin`: what was removed.
pub fn gone(after: GoneAfter, pin: Option<&str>) -> String {
    match after {
        GoneAfter::DropCaches => "drop_caches".to_owned(),
        GoneAfter::PinRemoved => format!("{} was gone", pin.unwrap_or("the pin")),
        GoneAfter::PinRemovedAndDropCaches => {
            format!("{} was gone, and drop_caches", pin.unwrap_or("the pin"))
        }
        GoneAfter::Nothing => "none of the steps".to_owned(),
    }
}

fn reasons(out: &mut impl Write, view: &VerifyView, page: Page) -> io::Result<()> {
    let with_reason: Vec<(&VerdictView, &str)> =
        view.verdicts.iter().filter_map(|verdict| Some((verdict, verdict.reason.as_deref()?))).collect();
    if with_reason.is_empty() {
        return Ok(());
    }
    heading(out, "Why", page)?;
    for (verdict, reason) in with_reason {
        let reason = Name(reason.as_bytes());
        writeln!(out, "  {} {}: {reason}", verdict.scenario, verdict.verdict)?;
    }
    Ok(())
}

fn changes(out: &mut impl Write, view: &VerifyView, page: Page) -> io::Result<()> {
    let Some(changes) = &view.changes else { return Ok(()) };
    heading(out, "Changed since the baseline", page)?;
    if changes.is_empty() {
        return writeln!(out, "  nothing");
    }
    let outcome = |outcome: &Option<Outcome>| match outcome {
        None => "not run".to_owned(),
        Some(Outcome { verdict, ids_held, gone_after, kernel, .. }) => {
            let ids = if ids_held.is_some_and(|held| held > 0) { ", IDs held" } else { "" };
            let after = gone_after.map(|after| format!(", gone after: {}", gone(after, None)));
            format!("{verdict}{ids}{} ({kernel})", after.unwrap_or_default())
        }
    };
    let mut table = Columns::new(["SCENARIO", "BEFORE", "AFTER"]);
    for change in changes {
        table.row([change.scenario.to_string(), outcome(&change.before), outcome(&change.after)]);
    }
    table.print(out, page, changes.len() as u64, "")
}

fn sentence(view: &VerifyView) -> (Style, String) {
    let counts = [
        (view.clean, "clean"),
        (view.leak, "leak"),
        (view.late, "late"),
        (view.inconclusive, "inconclusive"),
        (view.skipped, "skipped"),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let differ: Vec<String> = view
        .verdicts
        .iter()
        .filter(|verdict| verdict.as_expected == Some(false))
        .map(|verdict| verdict.scenario.to_string())
        .collect();
    let (style, judged) = match view.as_expected {
        Some(true) => (GOOD, "all verdicts are as expected".to_owned()),
        Some(false) => (BAD, format!("not as expected: {}", differ.join(", "))),
        None => (WARN, "some verdicts are inconclusive".to_owned()),
    };
    (style, format!("{}; {judged}.", counts.join(", ")))
}
