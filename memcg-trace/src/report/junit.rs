//! JUnit XML for CI servers: one test case per scenario.

use std::io::{self, Write};

use super::view::{VerdictView, VerifyView};
use crate::verdict::{Differs, Verdict};

pub fn verify(out: &mut impl Write, view: &VerifyView) -> io::Result<()> {
    let count = |of: fn(&VerdictView) -> bool| view.verdicts.iter().filter(|verdict| of(verdict)).count();
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(
        out,
        "<testsuite name=\"memcg-trace verify\" hostname=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">",
        escape(&view.ground.kernel),
        view.verdicts.len(),
        count(|verdict| matches!(verdict.differs, Differs::Other | Differs::Leak)),
        count(|verdict| verdict.verdict == Verdict::Inconclusive),
        count(|verdict| verdict.verdict == Verdict::Skipped),
    )?;
    for verdict in &view.verdicts {
        let message = escape(&message(verdict));
        let inner = match (verdict.differs, verdict.verdict) {
            (_, Verdict::Skipped) => format!("<skipped message=\"{message}\"/>"),
            (_, Verdict::Inconclusive) => format!("<error message=\"{message}\"/>"),
            (Differs::Other | Differs::Leak, _) => format!("<failure message=\"{message}\"/>"),
            (Differs::No | Differs::Unknown, _) => format!("<system-out>{message}</system-out>"),
        };
        let (name, class) = (verdict.scenario, escape(&verdict.controller));
        writeln!(out, "  <testcase name=\"{name}\" classname=\"{class}\">{inner}</testcase>")?;
    }
    writeln!(out, "</testsuite>")
}

/// A verdict in one line.
pub fn message(verdict: &VerdictView) -> String {
    let mut message = format!("{}, expected {}", verdict.verdict, verdict.expected);
    if let (Some(stayed), Some(memcgs)) = (verdict.stayed, verdict.memcgs) {
        message += &format!(": {stayed} of {memcgs} memcgs stayed");
    }
    if let Some(held) = verdict.ids_held.filter(|held| *held > 0) {
        message += &format!(", {held} hold their ID");
    }
    if let Some(reason) = &verdict.reason {
        message += &format!(": {reason}");
    }
    message
}

/// XML cannot represent most control characters.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
