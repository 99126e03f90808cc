//! The matrix of verdicts: results of `memcg-trace verify -o json` on each kernel.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// Verdicts of several kernels; the scenarios are the same in each.
#[derive(Default)]
pub struct Matrix {
    pub columns: Vec<Column>,
}

/// One kernel with one hierarchy.
pub struct Column {
    /// Kernel release and hierarchy.
    kernel: String,
    hierarchy: String,
    verdicts: Vec<Verdict>,
    summary: Summary,
}

/// A `verdict` line.
#[derive(Deserialize)]
struct Verdict {
    scenario: String,
    verdict: String,
    reason: Option<String>,
    stayed: Option<u64>,
    memcgs: Option<u64>,
    ids_held: Option<u64>,
    gone_after: Option<String>,
}

/// The `summary` line.
#[derive(Deserialize)]
struct Summary {
    kernel: String,
    cgroups: u64,
    settle_ns: u64,
    conclusive: bool,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
}

impl Column {
    pub fn parse(output: &[u8], hierarchy: &str) -> Result<Self> {
        let text = String::from_utf8_lossy(output);
        let mut verdicts = Vec::new();
        let mut summary = None;
        for line in text.lines() {
            let Ok(Line { kind }) = serde_json::from_str(line) else { continue };
            match kind.as_str() {
                "verdict" => verdicts.push(serde_json::from_str(line).context("cannot read a verdict")?),
                "summary" => summary = serde_json::from_str(line).context("cannot read the summary")?,
                _ => {}
            }
        }
        let summary: Summary = summary.with_context(|| format!("it has no summary: {text:?}"))?;
        Ok(Self { kernel: summary.kernel.clone(), hierarchy: hierarchy.to_owned(), verdicts, summary })
    }

    fn verdict(&self, scenario: &str) -> Option<&Verdict> {
        self.verdicts.iter().find(|verdict| verdict.scenario == scenario)
    }

    fn name(&self) -> String {
        format!("{} {}", self.kernel, self.hierarchy)
    }
}

impl Verdict {
    /// The verdict as a table cell.
    fn cell(&self) -> String {
        let mut cell = self.verdict.to_uppercase();
        if self.verdict == "leak" {
            if self.ids_held.is_some_and(|held| held > 0) {
                cell += " +ID";
            }
            // Show the number if only some stayed.
            if let (Some(stayed), Some(memcgs)) = (self.stayed, self.memcgs)
                && stayed < memcgs
            {
                let _ = write!(cell, " {stayed}/{memcgs}");
            }
        }
        cell
    }

    fn gone_after(&self) -> Option<&'static str> {
        Some(match self.gone_after.as_deref()? {
            "drop_caches" => "drop_caches",
            "pin_removed" => "pin removed",
            "pin_removed_and_drop_caches" => "pin removed, then drop_caches",
            _ => "none of the steps",
        })
    }
}

impl Matrix {
    pub fn is_conclusive(&self) -> bool {
        self.columns.iter().all(|column| column.summary.conclusive)
    }

    /// The scenarios of the first column; the others have the same.
    fn scenarios(&self) -> impl Iterator<Item = &str> {
        self.columns
            .first()
            .into_iter()
            .flat_map(|column| column.verdicts.iter().map(|v| v.scenario.as_str()))
    }

    /// Cells of each scenario, and after which step it was freed; per kernel only where kernels differ.
    fn rows(&self) -> Vec<Vec<String>> {
        let row = |scenario: &str| {
            let verdicts: Vec<_> = self.columns.iter().map(|column| column.verdict(scenario)).collect();
            let cells = verdicts.iter().map(|verdict| verdict.map_or("-".to_owned(), Verdict::cell));
            let mut after: Vec<&str> =
                verdicts.iter().filter_map(|verdict| verdict.and_then(Verdict::gone_after)).collect();
            after.sort_unstable();
            after.dedup();
            let ends = [after.join(" or ")];
            std::iter::once(scenario.to_owned()).chain(cells).chain(ends).collect()
        };
        self.scenarios().map(row).collect()
    }

    fn header(&self) -> Vec<String> {
        let kernels = self.columns.iter().map(Column::name);
        std::iter::once("scenario".to_owned()).chain(kernels).chain(["gone after".to_owned()]).collect()
    }

    /// Aligned columns for a terminal.
    pub fn text(&self) -> String {
        let mut lines = vec![self.header()];
        lines.extend(self.rows());
        let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |cells: &Vec<String>| {
            let padded: Vec<_> =
                cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            padded.join("  ").trim_end().to_owned()
        };
        lines.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// The Markdown page.
    pub fn markdown(&self) -> String {
        let mut page = "# Which kernels leak what\n\n".to_owned();
        page +=
            "Written by `cargo xtask vm verify`, which boots each kernel and runs `memcg-trace verify` there";
        if let Some(Column { summary, .. }) = self.columns.first() {
            let seconds = summary.settle_ns / 1_000_000_000;
            let _ = write!(
                page,
                " with {} cgroups for each scenario and {seconds} s for them to go",
                summary.cgroups
            );
        }
        page += ".\n\nLEAK: memcgs stayed, because something pins them; `+ID`: they hold their memcg IDs as well. `gone after`: \
                 what it took until the last one went. `memcg-trace verify --help` explains the words, and each scenario is \
                 explained in its file in `memcg-trace/src/scenarios/`.\n\n";
        let header = self.header();
        let _ = writeln!(page, "| {} |", header.join(" | "));
        let _ = writeln!(page, "|{}", "---|".repeat(header.len()));
        for row in self.rows() {
            let _ = writeln!(page, "| {} |", row.join(" | "));
        }
        let reasons = self.reasons();
        if !reasons.is_empty() {
            let _ = writeln!(page, "\n{}", reasons.join("\n"));
        }
        page
    }

    /// Reasons for skipped and inconclusive verdicts, grouped by kernels with the same reason.
    fn reasons(&self) -> Vec<String> {
        let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
        for column in &self.columns {
            for verdict in &column.verdicts {
                let Some(reason) = &verdict.reason else { continue };
                let text = format!("{} {}: {reason}", verdict.scenario, verdict.verdict.to_uppercase());
                match reasons.iter_mut().find(|(known, _)| *known == text) {
                    Some((_, kernels)) => kernels.push(column.name()),
                    None => reasons.push((text, vec![column.name()])),
                }
            }
        }
        reasons.into_iter().map(|(text, kernels)| format!("- {text} ({})", kernels.join(", "))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kernel: &str, hierarchy: &str, verdicts: &[&str]) -> Column {
        let summary = format!(
            r#"{{"schema":1,"type":"summary","kernel":"{kernel}","cgroups":100,"settle_ns":10000000000,"conclusive":true}}"#
        );
        let output = [verdicts, &[&summary]].concat().join("\n");
        Column::parse(output.as_bytes(), hierarchy).expect("output of verify")
    }

    fn verdict(scenario: &str, verdict: &str, more: &str) -> String {
        let unknown = r#""reason":null,"stayed":100,"memcgs":100,"ids_held":0,"gone_after":null"#;
        let more = if more.is_empty() { unknown } else { more };
        format!(r#"{{"schema":1,"type":"verdict","scenario":"{scenario}","verdict":"{verdict}",{more}}}"#)
    }

    #[test]
    fn one_row_for_each_scenario() {
        let leak = |stayed: u32, held: u32, after: &str| {
            format!(
                r#""reason":null,"stayed":{stayed},"memcgs":100,"ids_held":{held},"gone_after":"{after}""#
            )
        };
        let skipped =
            r#""reason":"no such file","stayed":null,"memcgs":null,"ids_held":null,"gone_after":null"#;
        let old = [
            verdict("tmpfs", "leak", &leak(100, 0, "pin_removed")),
            verdict("swap", "leak", &leak(100, 100, "pin_removed")),
            verdict("kmem-limit", "clean", ""),
        ];
        let new = [
            verdict("tmpfs", "clean", ""),
            verdict("swap", "leak", &leak(98, 98, "drop_caches")),
            verdict("kmem-limit", "skipped", skipped),
        ];
        let columns = vec![
            column("5.10", "v1", &old.each_ref().map(String::as_str)),
            column("7.2", "v2", &new.each_ref().map(String::as_str)),
        ];
        let matrix = Matrix { columns };
        let expected = "\
scenario    5.10 v1   7.2 v2           gone after
tmpfs       LEAK      CLEAN            pin removed
swap        LEAK +ID  LEAK +ID 98/100  drop_caches or pin removed
kmem-limit  CLEAN     SKIPPED";
        assert_eq!(matrix.text(), expected);
        assert!(matrix.is_conclusive());
        let page = matrix.markdown();
        assert!(page.contains("| tmpfs | LEAK | CLEAN | pin removed |\n"), "{page}");
        assert!(page.ends_with("\n- kmem-limit SKIPPED: no such file (7.2 v2)\n"), "{page}");
    }

    #[test]
    fn output_without_a_summary_is_a_failure() {
        assert!(Column::parse(verdict("tmpfs", "clean", "").as_bytes(), "v2").is_err());
    }
}
