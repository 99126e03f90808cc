//! What helps, what was done to know all this, and how to do it again.

use super::{
    frame::utc,
    markup::Markup,
    side::{Side, section as titled},
};
use crate::{
    report::{
        text::{
            doctor::{KNOWN, REMEDIES, known},
            summary::{lost, names_missing, outages, reconciled},
            words::or,
        },
        view::ReportView,
    },
    units::{Count, Time},
};

/// Of the run that is reported; of two, of the later one.
pub fn remedies(markup: &mut Markup, view: &ReportView<'_>) {
    if !view.remedies.is_empty() {
        titled(markup, REMEDIES, |markup| {
            markup.element("ol", &[], |markup| {
                for remedy in &view.remedies {
                    markup.element("li", &[], |markup| {
                        markup.leaf("strong", &[], &remedy.action);
                        markup.leaf("p", &[], remedy.helps);
                        markup.leaf("p", &[("class", "note")], format!("costs: {}", remedy.cost));
                    });
                }
            });
        });
    }
    if !view.known.is_empty() {
        titled(markup, KNOWN, |markup| {
            for bug in &view.known {
                let lines = known(bug);
                markup.element("details", &[], |markup| {
                    markup.leaf("summary", &[], or(lines.first(), ""));
                    markup.element("ul", &[], |markup| {
                        lines.iter().skip(1).for_each(|line| markup.leaf("li", &[], line));
                    });
                });
            }
        });
    }
}

pub fn section(markup: &mut Markup, sides: &[Side<'_>]) {
    titled(markup, "How it was measured", |markup| {
        for side in sides {
            side.heading(markup);
            markup.element("dl", &[("class", "facts")], |markup| {
                for (name, fact) in facts(side.view) {
                    markup.leaf("dt", &[], name);
                    markup.leaf("dd", &[], fact);
                }
            });
        }
    });
}

fn facts(view: &ReportView<'_>) -> Vec<(&'static str, String)> {
    let summary = &view.summary;
    let reason = summary.backend_reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let mut facts = vec![
        ("kernel", format!("Linux {}", view.kernel)),
        ("hierarchy", view.controller.to_owned()),
        ("backend", format!("{}{reason}", summary.backend)),
        (
            "time",
            format!("{} to {}, {}", utc(view.started), utc(summary.time), Time { ns: summary.duration_ns }),
        ),
        ("grace time", format!("{}: dying for longer counts as leaked", Time { ns: summary.grace_ns })),
        ("loss", lost(summary)),
    ];
    facts.extend(reconciled(summary).map(|reconciled| ("", reconciled)));
    facts.extend(outages(summary).map(|outages| ("outages", outages)));
    let conclusive =
        if summary.conclusive { "yes: nothing that the answer depends on was missed" } else { "no" };
    facts.push(("conclusive", conclusive.to_owned()));
    facts.extend(
        summary.unknown.iter().map(|unknown| ("unknown", format!("{} ({})", unknown.what, unknown.reason))),
    );
    facts.extend(summary.names_missing.as_ref().map(|missing| ("names", names_missing(missing))));
    facts.push(("older", format!("{} created before the start or not seen", Count(summary.adopted))));
    facts
}

/// The command lines for it.
pub fn reproduce(markup: &mut Markup, sides: &[Side<'_>]) {
    titled(markup, "How to reproduce it", |markup| {
        for side in sides {
            side.heading(markup);
            let grace =
                humantime::format_duration(std::time::Duration::from_nanos(side.view.summary.grace_ns));
            if let Some(file) = side.view.recording {
                command(markup, "the lines behind this report", &format!("memcg-trace replay {file}"));
            }
            command(
                markup,
                "the same on a node, with a recording to send",
                &format!("memcg-trace trace --grace {grace} --record FILE"),
            );
            if side.view.summary.dying > 0 {
                command(markup, "each reference of what is dying there", "memcg-trace explain");
            }
            let scenarios: Vec<String> = side.view.scenarios.iter().map(ToString::to_string).collect();
            if !scenarios.is_empty() {
                let verify = format!("memcg-trace verify {}", scenarios.join(" "));
                command(markup, "the same kinds of pins, provoked on another kernel", &verify);
            }
        }
    });
}

fn command(markup: &mut Markup, what: &str, line: &str) {
    markup.leaf("p", &[("class", "note")], what);
    markup.leaf("pre", &[], line);
}
