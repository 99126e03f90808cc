//! Text output: columns for live lines, and a summary.

pub(super) mod doctor;
pub(super) mod event;
mod explain;
pub(super) mod fit;
pub(super) mod memcg_caches;
mod npd;
mod page;
mod pin;
pub(super) mod pinned;
mod reap;
mod scan;
mod slab;
pub(super) mod summary;
pub(super) mod table;
pub(super) mod verdict;
pub(super) mod verify;
mod whois;
pub(super) mod words;

pub use doctor::doctor;
pub use event::{event, header, name as event_name};
pub use explain::explain;
pub use fit::{Elastic, fit, width};
pub use npd::npd;
pub use page::{Color, Page, ROWS};
pub use pin::{holders, what as part};
pub use pinned::{group_cell as pin_kinds, pinned};
pub use reap::reap;
pub use scan::{counted, scan};
pub use slab::{slab, slab_delta, slab_event};
pub use summary::summary;
pub use table::{owner_name, size, size_and_held};
pub use verify::verify;
pub use whois::whois;
pub use words::{id, many};

use anstyle::{AnsiColor, Style};

const BAD: Style = AnsiColor::Red.on_default().bold();
const WARN: Style = AnsiColor::Yellow.on_default();
const GOOD: Style = AnsiColor::Green.on_default();
const HEADING: Style = Style::new().bold();
