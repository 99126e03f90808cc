//! The page of `doctor`: features, findings, known bugs and remedies, most important last.

use std::io::{self, Write};

use anstyle::Style;

use super::{
    BAD, Color, GOOD, WARN,
    table::heading,
    words::{many, or},
};
use crate::{
    diagnosis::{Evidence, Severity},
    report::view::{AbilityView, DoctorView, KnownView, Verdict},
};

/// Width of the column of names.
const NAME: usize = 40;

/// The page.
pub fn doctor(out: &mut impl Write, view: &DoctorView<'_>, color: Color) -> io::Result<()> {
    let controller = or(view.controller.as_deref(), "no memory controller");
    writeln!(out, "Linux {}, {controller}", view.kernel)?;
    heading(out, "What the tool can do here", color)?;
    view.abilities.iter().try_for_each(|ability| self::ability(out, ability, color))?;
    if !view.findings.is_empty() {
        heading(out, "What this node suffers from", color)?;
        for finding in view.findings {
            let (word, style) = match finding.severity {
                Severity::Good => ("good", GOOD),
                Severity::Note => ("note", WARN),
                Severity::Sick => ("SICK", BAD),
                Severity::Unknown => ("?", WARN),
            };
            row(out, (word, style), finding.what.name(), &finding.text, color)?;
        }
    }
    if !view.known.is_empty() {
        heading(out, "Known for this release", color)?;
        view.known.iter().try_for_each(|known| self::known(out, known))?;
    }
    if !view.remedies.is_empty() {
        heading(out, "What to do, least risk first (none of this is done for you)", color)?;
        for (remedy, number) in view.remedies.iter().zip(1..) {
            writeln!(out, "  {number:>2}. {}", remedy.action)?;
            writeln!(out, "      {}", remedy.helps)?;
            writeln!(out, "      costs: {}", remedy.cost)?;
        }
    }
    writeln!(out)?;
    let (style, verdict) = verdict(view);
    let style = color.style(style);
    writeln!(out, "{style}{verdict}{style:#}")
}

fn ability(out: &mut impl Write, ability: &AbilityView<'_>, color: Color) -> io::Result<()> {
    let (answer, text) = match ability.answer {
        "yes" => (("yes", GOOD), ability.detail.unwrap_or_default().to_owned()),
        "no" => (("no", BAD), or(ability.reason, "")),
        _ => (("?", WARN), format!("could not tell: {}", or(ability.reason, ""))),
    };
    row(out, answer, ability.what, &text, color)?;
    if let Some(next) = ability.next {
        writeln!(out, "  {:4}  {:NAME$}  next: {next}", "", "")?;
    }
    Ok(())
}

fn row(
    out: &mut impl Write,
    (word, style): (&str, Style),
    name: &str,
    text: &str,
    color: Color,
) -> io::Result<()> {
    let style = color.style(style);
    let line = format!("  {style}{word:<4}{style:#}  {name:NAME$}  {text}");
    writeln!(out, "{}", line.trim_end())
}

fn known(out: &mut impl Write, known: &KnownView<'_>) -> io::Result<()> {
    let may = if known.certain { "" } else { "may already be fixed in this release: " };
    writeln!(out, "  {}: {may}{}", known.id, known.bug)?;
    writeln!(out, "      symptom: {}", known.symptom)?;
    writeln!(out, "      fixed in: {} ({})", or(known.fixed_in, "no known release"), known.fixed_note)?;
    let evidence = match known.evidence {
        Evidence::Seen => "reproduced",
        Evidence::Source => "found in the source",
        Evidence::Reported => "reported by others",
    };
    writeln!(out, "      known by: {evidence}; {}", known.sources.join(", "))?;
    match known.here {
        Some(0) => writeln!(out, "      here: it pins no memcg")?,
        Some(memcgs) => writeln!(out, "      here: what it pins with pins {}", many(memcgs, "memcg"))?,
        None => {}
    }
    if known.confirm.is_empty() {
        return Ok(());
    }
    writeln!(out, "      confirm by: memcg-trace verify {}", known.confirm.join(" "))
}

fn verdict(view: &DoctorView<'_>) -> (Style, String) {
    let notes = view.findings.iter().filter(|finding| finding.severity == Severity::Note).count();
    let verdict = match view.verdict {
        Verdict::Healthy if notes > 0 => {
            return (GOOD, format!("Not sick; {} worth a look.", many(notes as u64, "thing")));
        }
        Verdict::Healthy => (GOOD, "Healthy: no check found a problem."),
        Verdict::Sick => (BAD, "Sick."),
        Verdict::Inconclusive => (WARN, "Inconclusive: not sick as far as known, but some checks failed."),
        Verdict::Unsupported => (BAD, "There is no memory controller."),
    };
    (verdict.0, verdict.1.to_owned())
}
