//! Text output: columns for live lines, and a summary.

mod caches;
mod doctor;
mod explain;
mod live;
mod pin;
mod pinned;
mod reap;
mod scan;
mod slab;
mod summary;
mod table;
mod verify;
mod whois;
mod words;

pub use doctor::doctor;
pub use explain::explain;
pub use live::{event, header};
pub use reap::reap;
pub use scan::{counted, scan};
pub use slab::{slab, slab_delta, slab_event};
pub use summary::summary;
pub use verify::verify;
pub use whois::whois;

use anstyle::{AnsiColor, Style};

/// Whether to use escape sequences for colours; names from the kernel are always escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    On,
    Off,
}

const BAD: Style = AnsiColor::Red.on_default().bold();
const WARN: Style = AnsiColor::Yellow.on_default();
const GOOD: Style = AnsiColor::Green.on_default();
const HEADING: Style = Style::new().bold();

impl Color {
    fn style(self, style: Style) -> Style {
        match self {
            Self::On => style,
            Self::Off => Style::new(),
        }
    }
}
