//! The numbers that matter, large.

use super::markup::Markup;
use crate::{
    report::{
        text::{
            summary::lost,
            table::size,
            verdict::Deaths,
            words::{many, or},
        },
        view::ReportView,
    },
    units::{Count, Time, UNKNOWN},
};

pub fn tiles(markup: &mut Markup, view: &ReportView<'_>) {
    let summary = &view.summary;
    let Deaths { leaked, before, pending } = Deaths::of(summary);
    let grace = Time { ns: summary.grace_ns };
    let trend = match summary.ids_exhausted_in_ns {
        Some(ns) => format!("all used in {} if it goes on", Time { ns }),
        None => "no trend".to_owned(),
    };
    let held = summary.ids_held_by_dying.map(|held| format!("{} held by dying memcgs; ", Count(held)));
    let charged = view.timeline.stretches.last().and_then(|stretch| stretch.charged_bytes);
    let survivors = |of: String| {
        if before > 0 { format!("{of}, and {} from before the start", Count(before)) } else { of }
    };
    let young = if pending > 0 { format!("{} not yet for {grace}", Count(pending)) } else { String::new() };
    let tiles = [
        ("leaked", Count(leaked).to_string(), survivors(format!("dying for {grace} and longer")), leaked > 0),
        ("dying", Count(summary.dying).to_string(), young, false),
        (
            "memcg IDs in use",
            or(summary.ids_used.map(Count), UNKNOWN),
            format!("of {}; {}{trend}", Count(summary.ids_limit), held.unwrap_or_default()),
            summary.ids_exhausted_in_ns.is_some(),
        ),
        ("charged to dying memcgs", size(charged), "by their counters".to_owned(), false),
        (
            "created",
            Count(summary.created).to_string(),
            match summary.alloc_failed {
                0 => format!("{} freed, {} late", Count(summary.freed), Count(summary.late)),
                failed => format!("{} could not be created", many(failed, "memcg")),
            },
            summary.alloc_failed > 0,
        ),
        (
            "conclusive",
            if summary.conclusive { "yes" } else { "no" }.to_owned(),
            format!("loss: {}", lost(summary)),
            !summary.conclusive,
        ),
    ];
    markup.element("dl", &[("class", "tiles")], |markup| {
        for (name, value, note, bad) in tiles {
            markup.element("div", &[("class", if bad { "tile bad" } else { "tile" })], |markup| {
                markup.leaf("dt", &[], name);
                markup.leaf("dd", &[("class", "figure")], value);
                markup.leaf("dd", &[("class", "note")], note);
            });
        }
    });
    markup.line();
}
