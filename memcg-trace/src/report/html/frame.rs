//! The page around what is reported.

use std::fmt::Display;

use jiff::Timestamp;

use super::{markup::Markup, side::Side};
use crate::{
    report::text::{
        verdict::{Tone, verdict},
        words::or,
    },
    units::Time,
};

/// Nothing is fetched, and nothing runs, whatever a name in it tries.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// For people who have not met one.
pub const WHAT_IT_IS: &str = "The kernel keeps a memory cgroup (memcg) for each container. One that stays after its container has \
    gone keeps memory, and some keep one of the 65,535 memcg IDs: when those are used up, no container starts any more.";

pub fn page(markup: &mut Markup, title: &str, inside: impl FnOnce(&mut Markup)) {
    markup.literal("<!DOCTYPE html>\n");
    markup.element("html", &[("lang", "en")], |markup| {
        markup.element("head", &[], |markup| {
            markup.open("meta", &[("charset", "utf-8")]);
            markup.open("meta", &[("http-equiv", "Content-Security-Policy"), ("content", POLICY)]);
            markup.open("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
            markup.open("meta", &[("name", "color-scheme"), ("content", "light dark")]);
            markup.leaf("title", &[], format!("{title} - memcg-trace"));
            markup.element("style", &[], |markup| markup.literal(include_str!("style.css")));
        });
        markup.line();
        markup.element("body", &[], |markup| markup.element("main", &[], inside));
    });
    markup.line();
}

/// What is most important, and what it is about.
pub fn head(markup: &mut Markup, tone: Tone, headline: &str, sides: &[Side<'_>]) {
    markup.element("header", &[("class", class(tone))], |markup| {
        markup.leaf("h1", &[], headline);
        for side in sides {
            let (_, verdict) = verdict(&side.view.summary);
            markup.leaf("p", &[("class", "lead")], side.finding(&verdict));
        }
        markup.leaf("p", &[], WHAT_IT_IS);
        for side in sides {
            about(markup, side);
        }
    });
    markup.line();
}

/// Facts that do not break within, if there is room.
fn about(markup: &mut Markup, side: &Side<'_>) {
    let view = side.view;
    let facts = [
        side.finding(&format!("Linux {}", view.kernel)),
        view.controller.to_owned(),
        format!("{} backend", view.summary.backend),
        format!("{} from {} on", Time { ns: view.summary.duration_ns }, utc(view.started)),
        or(view.recording.map(|file| format!("recording {file}")), "this node, live"),
        format!("memcg-trace {}", env!("CARGO_PKG_VERSION")),
    ];
    markup.element("p", &[("class", "about")], |markup| {
        for fact in facts {
            markup.leaf("span", &[], fact);
            markup.text(" ");
        }
    });
}

/// `2026-11-23 18:03:56 UTC`
pub fn utc(time: Timestamp) -> impl Display {
    time.strftime("%Y-%m-%d %H:%M:%S UTC")
}

pub fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Warn => "warn",
        Tone::Bad => "bad",
    }
}
