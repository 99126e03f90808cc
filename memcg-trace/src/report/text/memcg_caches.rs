//! The slab caches of memcgs, and those that pin them.

use std::io::{self, Write};

use super::{
    Page,
    table::{Columns, heading},
    words::or,
};
use crate::{
    report::{
        escape::Name,
        view::{CachePin, MemcgView},
    },
    tracker::Memcg,
    units::{Count, UNKNOWN},
};

/// Maximum number of caches shown per memcg; JSON has all.
const NAMED: usize = 3;
/// Maximum number of rows.
const ROWS: usize = 20;

/// `a`, `a and b`, `a, b and c`, `a, b, c and 4 more`
pub fn names(caches: &[Name<'_>]) -> String {
    let (named, more) = caches.split_at(caches.len().min(NAMED));
    let mut parts: Vec<String> = named.iter().map(Name::to_string).collect();
    let last = match more.len() {
        0 => parts.pop().unwrap_or_default(),
        more => format!("{} more", Count(more as u64)),
    };
    if parts.is_empty() { last } else { format!("{} and {last}", parts.join(", ")) }
}

/// Header of the column for the caches of these memcgs; `None`: nothing to show. Caches give way to all that holds these memcgs, where
/// that is known.
pub fn column<'a>(mut memcgs: impl Iterator<Item = &'a Memcg> + Clone) -> Option<&'static str> {
    let of_their_own = memcgs.clone().filter_map(|memcg| memcg.slab_caches.as_ref());
    let hold = of_their_own.filter(|caches| !caches.names.is_empty()).map(|caches| caches.hold).next()?;
    let known = memcgs.any(|memcg| memcg.pinned.is_some());
    (!known).then_some(if hold { "PINNED BY" } else { "SLAB CACHES" })
}

/// A cell of that column.
pub fn cell(memcg: &MemcgView<'_>) -> String {
    match memcg.slab_caches.as_deref() {
        Some([]) => "-".to_owned(),
        caches => or(caches.map(names), UNKNOWN),
    }
}

/// Table of caches with the number of memcgs they pin.
pub fn pinned(
    out: &mut impl Write,
    what: &str,
    pins: Option<&[CachePin<'_>]>,
    how: &str,
    page: Page,
) -> io::Result<()> {
    let Some(pins @ [_, ..]) = pins else { return Ok(()) };
    heading(out, what, page)?;
    let mut table = Columns::new(["MEMCGS>", "CACHE<"]);
    for pin in pins.iter().take(ROWS) {
        table.row([Count(pin.memcgs).to_string(), pin.cache.to_string()]);
    }
    table.print(out, page, pins.len() as u64, how)
}
