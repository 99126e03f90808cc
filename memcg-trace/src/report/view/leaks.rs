//! The leaked memcgs of a run that goes on.

use std::cmp::Reverse;

use jiff::Timestamp;
use serde::Serialize;

use super::{ListedMemcg, MemcgView, Viewpoint, rfc3339};
use crate::{
    session::{Book, counts_as_leaked},
    tracker::Memcg,
};

/// Serializes as the page `/leaks.json` of `serve`.
#[derive(Clone, Debug, Serialize)]
pub struct LeaksView<'a> {
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    /// Nothing was lost or missed, or a walk has reconciled it.
    pub conclusive: bool,
    /// Dying memcgs that outlived the grace time or the last start.
    pub leaked: u64,
    /// Those dying longest, at most so many as were asked for.
    pub memcgs: Vec<ListedMemcg<'a>>,
}

impl<'a> LeaksView<'a> {
    pub fn new(book: &'a Book, most: usize) -> Self {
        let (start, tracker, now_ns) = (book.start(), book.tracker(), book.now_ns());
        let viewpoint =
            Viewpoint { clock: start.clock, page_bytes: start.page_bytes, dying_unseen: start.dying_unseen };
        let mut leaked: Vec<&Memcg> = tracker.dying().filter(|memcg| counts_as_leaked(memcg)).collect();
        // Of unknown age, that is from before the start, first.
        leaked.sort_by_key(|memcg| (Reverse(memcg.died_before_start()), memcg.dying_since_ns(), memcg.key));
        let listed = leaked.iter().take(most).map(|memcg| {
            ListedMemcg::new(MemcgView::new(memcg, now_ns, &viewpoint), book.container_of(memcg))
        });
        Self {
            time: start.clock.utc(now_ns),
            conclusive: book.conclusive(),
            memcgs: listed.collect(),
            leaked: leaked.len() as u64,
        }
    }
}
