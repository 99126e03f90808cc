//! The page of `doctor`: features, findings, known bugs and remedies, most important last.

use std::io::{self, Write};

use anstyle::Style;

use super::{
    BAD, GOOD, Page, WARN,
    table::heading,
    words::{many, or},
};
use crate::{
    diagnosis::{KnownBy, Severity},
    report::view::{AbilityView, AnswerKind, DoctorView, KnownView, NodeVerdict},
};

/// Where a line goes on that is too long.
const HANGING: usize = 8;
/// Width of the column of names.
const NAME: usize = 40;

pub const KNOWN: &str = "Known for this release";
pub const REMEDIES: &str = "What to do, least risk first (none of this is done for you)";

/// The page.
pub fn doctor(out: &mut impl Write, view: &DoctorView<'_>, page: impl Into<Page>) -> io::Result<()> {
    let page = page.into();
    let controller = or(view.controller.as_deref(), "no memory controller");
    writeln!(out, "Linux {}, {controller}", view.kernel)?;
    heading(out, "What the tool can do here", page)?;
    view.abilities.iter().try_for_each(|ability| self::ability(out, ability, page))?;
    if !view.findings.is_empty() {
        heading(out, "What this node suffers from", page)?;
        for finding in view.findings {
            let (word, style) = match finding.severity {
                Severity::Good => ("good", GOOD),
                Severity::Note => ("note", WARN),
                Severity::Sick => ("SICK", BAD),
                Severity::Unknown => ("?", WARN),
            };
            row(out, (word, style), finding.what.name(), &finding.text, page)?;
        }
    }
    if !view.known.is_empty() {
        heading(out, KNOWN, page)?;
        for known in view.known.iter().map(known) {
            for (line, indent) in known.iter().zip(std::iter::once(2).chain(std::iter::repeat(6))) {
                page.line(out, &format!("{:indent$}{line}", ""), HANGING)?;
            }
        }
    }
    if !view.remedies.is_empty() {
        heading(out, REMEDIES, page)?;
        for (remedy, number) in view.remedies.iter().zip(1..) {
            page.line(out, &format!("  {number:>2}. {}", remedy.action), HANGING)?;
            page.line(out, &format!("      {}", remedy.helps), HANGING)?;
            page.line(out, &format!("      costs: {}", remedy.cost), HANGING)?;
        }
    }
    writeln!(out)?;
    let (style, verdict) = verdict(view);
    let style = page.style(style);
    writeln!(out, "{style}{verdict}{style:#}")
}

fn ability(out: &mut impl Write, ability: &AbilityView<'_>, page: Page) -> io::Result<()> {
    let (answer, text) = match ability.answer {
        AnswerKind::Yes => (("yes", GOOD), ability.detail.unwrap_or_default().to_owned()),
        AnswerKind::No => (("no", BAD), or(ability.reason, "")),
        AnswerKind::Unknown => (("?", WARN), format!("could not tell: {}", or(ability.reason, ""))),
    };
    row(out, answer, &ability.what, &text, page)?;
    if let Some(next) = ability.next {
        page.line(out, &format!("  {:4}  {:NAME$}  next: {next}", "", ""), HANGING)?;
    }
    Ok(())
}

fn row(
    out: &mut impl Write,
    (word, style): (&str, Style),
    name: &str,
    text: &str,
    page: Page,
) -> io::Result<()> {
    let style = page.style(style);
    let line = format!("  {style}{word:<4}{style:#}  {name:NAME$}  {text}");
    page.line(out, line.trim_end(), HANGING)
}

/// A bug and what is known about it, line by line.
pub fn known(known: &KnownView<'_>) -> Vec<String> {
    let may = if known.certain { "" } else { "may already be fixed in this release: " };
    let fixed_in = or(known.fixed_in, "no known release");
    let evidence = match known.evidence {
        KnownBy::Seen => "reproduced",
        KnownBy::Source => "found in the source",
        KnownBy::Reported => "reported by others",
    };
    let here = known.here.map(|memcgs| match memcgs {
        0 => "here: it pins no memcg".to_owned(),
        memcgs => format!("here: what it pins with pins {}", many(memcgs, "memcg")),
    });
    let confirm = (!known.confirm.is_empty())
        .then(|| format!("confirm by: memcg-trace verify {}", known.confirm.join(" ")));
    let lines = [
        format!("{}: {may}{}", known.id, known.bug),
        format!("symptom: {}", known.symptom),
        format!("fixed in: {fixed_in} ({})", known.fixed_note),
        format!("known by: {evidence}; {}", known.sources.join(", ")),
    ];
    lines.into_iter().chain(here).chain(confirm).collect()
}

fn verdict(view: &DoctorView<'_>) -> (Style, String) {
    let notes = view.findings.iter().filter(|finding| finding.severity == Severity::Note).count();
    let verdict = match view.verdict {
        NodeVerdict::Healthy if notes > 0 => {
            return (GOOD, format!("Not sick; {} worth a look.", many(notes as u64, "thing")));
        }
        NodeVerdict::Healthy => (GOOD, "Healthy: no check found a problem."),
        NodeVerdict::Sick => (BAD, "Sick."),
        NodeVerdict::Inconclusive => {
            (WARN, "Inconclusive: not sick as far as known, but some checks failed.")
        }
        NodeVerdict::Unsupported => (BAD, "There is no memory controller."),
    };
    (verdict.0, verdict.1.to_owned())
}
