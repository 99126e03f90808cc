//! The page of `verify`: scenarios and kernels, with the reasons.

use std::io::{self, Write};

use clap::ValueEnum as _;

use super::{frame, markup::Markup, side::section as titled};
use crate::{
    report::{
        escape::Name,
        text::{pinned, table::size_and_held, verdict::Tone, verify::gone, words::many},
        view::{MatrixCell, MatrixColumn},
    },
    units::Count,
    verdict::{ScenarioName, Verdict},
};

/// What the words mean.
const WORDS: &[(Verdict, &str)] = &[
    (Verdict::Clean, "every memcg was freed by itself"),
    (Verdict::Leak, "memcgs were not freed, because something pins them; +ID: they hold memcg IDs as well"),
    (Verdict::Late, "every memcg was freed by itself, but took longer than half the settle time"),
    (Verdict::Inconclusive, "events were lost, the witnesses disagree, or the leak could not be provoked"),
    (Verdict::Skipped, "it cannot run here; this does not count as a pass"),
];

/// The verdicts of each of these runs, the one that matters last.
pub fn verify(out: &mut impl Write, columns: &[MatrixColumn]) -> io::Result<()> {
    let (tone, headline) = headline(columns);
    let mut page = Markup::default();
    frame::page(&mut page, &headline, |page| {
        page.element("header", &[("class", frame::class(tone))], |page| {
            page.leaf("h1", &[], &headline);
            for column in columns {
                page.leaf("p", &[("class", "lead")], format!("{}: {}", title(column), counts(column)));
            }
            page.leaf("p", &[], frame::WHAT_IT_IS);
            page.leaf("p", &[], "Each scenario does to new memory cgroups what is known to pin memcgs, removes them, and looks at what stays.");
        });
        titled(page, "Scenarios and kernels", |page| matrix(page, columns));
        titled(page, "What the words mean", |page| {
            page.element("dl", &[("class", "facts")], |page| {
                for (verdict, meaning) in WORDS {
                    page.leaf("dt", &[], verdict);
                    page.leaf("dd", &[], meaning);
                }
            });
        });
    });
    out.write_all(page.as_str().as_bytes())
}

/// Of the last run: whether it leaks, and whether that was expected.
fn headline(columns: &[MatrixColumn]) -> (Tone, String) {
    let Some(MatrixColumn { kernel, cells, .. }) = columns.last() else {
        return (Tone::Warn, "No kernel was tried".to_owned());
    };
    let count = |verdict| cells.values().filter(|cell| cell.verdict == verdict).count() as u64;
    let tried = cells.len() as u64 - count(Verdict::Skipped);
    let unexpected = cells.values().filter(|cell| cell.as_expected == Some(false)).count() as u64;
    let kernel = Name(kernel.as_bytes());
    let (tone, mut headline) = match (count(Verdict::Leak), count(Verdict::Inconclusive)) {
        (0, 0) => {
            (Tone::Good, format!("Linux {kernel} freed every memory cgroup in {}", many(tried, "scenario")))
        }
        (0, some) => (
            Tone::Warn,
            format!(
                "It cannot be said for certain whether Linux {kernel} leaks: {} inconclusive",
                Count(some)
            ),
        ),
        (leaks, _) => (
            Tone::Bad,
            format!("Linux {kernel} leaks memory cgroups in {} of {}", Count(leaks), many(tried, "scenario")),
        ),
    };
    let tone = match unexpected {
        0 if tone == Tone::Bad => Tone::Warn,
        _ => tone,
    };
    headline += &match unexpected {
        0 => ", as expected".to_owned(),
        some => format!(", {} otherwise than expected", Count(some)),
    };
    (tone, headline)
}

/// `6.12.118+deb13-cloud-amd64, cgroup v2`
fn title(MatrixColumn { kernel, controller, .. }: &MatrixColumn) -> String {
    // Where it is mounted is the same on nearly all.
    let version = controller.split(" at ").next().unwrap_or_default();
    format!("{}, {}", Name(kernel.as_bytes()), Name(version.as_bytes()))
}

fn counts(column: &MatrixColumn) -> String {
    let count = |verdict| column.cells.values().filter(|cell| cell.verdict == verdict).count() as u64;
    let counts = WORDS.iter().map(|(verdict, _)| (verdict, count(*verdict))).filter(|(_, count)| *count > 0);
    counts.map(|(verdict, count)| format!("{} {verdict}", Count(count))).collect::<Vec<_>>().join(", ")
}

/// A row for each scenario that any of them has.
fn matrix(markup: &mut Markup, columns: &[MatrixColumn]) {
    let has = |name: &&ScenarioName| columns.iter().any(|column| column.cells.contains_key(name));
    let kernels: Vec<String> = columns.iter().map(title).collect();
    markup.element("table", &[("class", "matrix")], |markup| {
        markup.element("thead", &[], |markup| {
            markup.element("tr", &[], |markup| {
                markup.leaf("th", &[("scope", "col")], "SCENARIO");
                kernels.iter().for_each(|kernel| markup.leaf("th", &[("scope", "col")], kernel));
            });
        });
        markup.element("tbody", &[], |markup| {
            for name in ScenarioName::all().iter().filter(has) {
                markup.element("tr", &[], |markup| {
                    markup.element("th", &[("scope", "row")], |markup| {
                        markup.text(name);
                        let help = name.to_possible_value();
                        let help = help.as_ref().and_then(|value| value.get_help());
                        help.into_iter().for_each(|help| markup.leaf("small", &[], help));
                    });
                    for (column, kernel) in columns.iter().zip(&kernels) {
                        cell(markup, column.cells.get(name), kernel);
                    }
                });
                markup.line();
            }
        });
    });
}

fn cell(markup: &mut Markup, cell: Option<&MatrixCell>, kernel: &str) {
    let Some(cell) = cell else { return markup.leaf("td", &[("data-l", kernel)], "not run") };
    let class = match cell.verdict {
        Verdict::Clean => "clean",
        Verdict::Leak => "leak",
        Verdict::Late => "late",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Skipped => "skipped",
    };
    markup.element("td", &[("class", class), ("data-l", kernel)], |markup| {
        markup.leaf("strong", &[], short(cell));
        let expected = cell.expected.filter(|_| cell.as_expected == Some(false));
        if let Some(expected) = expected {
            markup.leaf("em", &[], format!("expected {expected}"));
        }
        let facts = facts(cell);
        if !facts.is_empty() {
            markup.leaf("small", &[], facts.join(" | "));
        }
    });
}

/// `LEAK +ID 98/100`
fn short(cell: &MatrixCell) -> String {
    let mut short = cell.verdict.to_string();
    if cell.verdict == Verdict::Leak {
        if cell.ids_held.is_some_and(|held| held > 0) {
            short += " +ID";
        }
        if let Some((stayed, memcgs)) =
            cell.stayed.zip(cell.memcgs).filter(|(stayed, memcgs)| stayed < memcgs)
        {
            short += &format!(" {}/{}", Count(stayed), Count(memcgs));
        }
    }
    short
}

fn facts(cell: &MatrixCell) -> Vec<String> {
    let leak = cell.verdict == Verdict::Leak;
    let charged = cell.charged_bytes.filter(|_| leak);
    let charged = charged.map(|bytes| format!("{} charged", size_and_held(Some(bytes), cell.held_bytes_max)));
    let pins = cell.pinned_by.as_deref().filter(|pins| !pins.is_empty());
    let pins = pins.map(|pins| format!("pinned by {}", pinned::group_cell(pins)));
    let pin = cell.pin.as_deref().map(|pin| Name(pin.as_bytes()).to_string());
    let after = cell.gone_after.map(|after| format!("gone after: {}", gone(after, pin.as_deref())));
    let reason = cell.reason.as_deref().map(|reason| Name(reason.as_bytes()).to_string());
    [charged, pins, after, reason].into_iter().flatten().collect()
}
