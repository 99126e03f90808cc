//! Whether a walk finds what the ledger has, although nothing was lost: a second opinion on the events.

use std::collections::HashSet;

use crate::{event::Key, record::Snapshot, session::Book, tracker::Found};

/// Longer than an event lags behind what a walk sees of it, ns: a memcg leaves the walked table some 30 ms before it is
/// freed.
const LAG_NS: u64 = 1_000_000_000;

/// Of the last walk, once events had time to explain what differs.
#[derive(Debug, Default)]
pub struct Disagreement {
    /// What the walk found differently, and until when an event may explain it, ns.
    different: Vec<(Key, Found)>,
    explained_ns: Option<u64>,
    found: bool,
}

impl Disagreement {
    /// Of the walks whose events have all come.
    pub fn found(&self) -> bool {
        self.found
    }

    /// A memcg that was not known was found by a walk.
    pub fn added(&mut self, key: Key) {
        self.different.push((key, Found::Added));
    }

    /// Call after [`Disagreement::added`], with the walk applied.
    pub fn walked(&mut self, book: &Book, walk: &Snapshot) {
        let seen: HashSet<Key> = walk.events.iter().filter_map(Key::of).collect();
        // They can differ in any way, and the ledger says so itself.
        if !book.tracker().conclusive() {
            self.different.clear();
            self.explained_ns = None;
            return;
        }
        let gone = book.tracker().memcgs().filter(|memcg| {
            let existed = memcg.online_ns.is_none_or(|online_ns| online_ns < walk.began_ns);
            // A walk is one of csses, which memcgs of 3.10 outlive.
            existed && memcg.css_freed_ns.is_none() && !seen.contains(&memcg.key)
        });
        self.different.extend(gone.map(|memcg| (memcg.key, Found::Freed)));
        self.explained_ns = Some(walk.ended_ns.saturating_add(LAG_NS));
    }

    /// Time passed.
    pub fn look(&mut self, book: &Book) {
        if self.explained_ns.take_if(|explained_ns| *explained_ns <= book.now_ns()).is_none() {
            return;
        }
        let unexplained = |(key, found): (Key, Found)| {
            let memcg = book.tracker().get(&key);
            memcg.is_some_and(|memcg| found == Found::Freed || memcg.online_ns.is_none())
        };
        self.found = self.different.drain(..).any(unexplained);
    }
}
