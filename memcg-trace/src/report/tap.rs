//! The Test Anything Protocol, version 13: one line per scenario.

use std::io::{self, Write};

use super::{
    junit::message,
    view::{VerdictView, VerifyView},
};
use crate::verdict::Verdict;

pub fn verify(out: &mut impl Write, view: &VerifyView) -> io::Result<()> {
    writeln!(out, "TAP version 13")?;
    writeln!(out, "1..{}", view.verdicts.len())?;
    for (number, verdict) in (1..).zip(&view.verdicts) {
        let VerdictView { scenario, .. } = verdict;
        let message: String = message(verdict).replace('#', "\\#").replace(char::is_control, " ");
        if verdict.verdict == Verdict::Skipped {
            writeln!(out, "ok {number} - {scenario} # SKIP {message}")?;
        } else {
            let ok = if verdict.as_expected == Some(true) { "ok" } else { "not ok" };
            writeln!(out, "{ok} {number} - {scenario}: {message}")?;
        }
    }
    Ok(())
}
