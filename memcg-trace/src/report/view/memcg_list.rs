//! Memcgs that are listed.

use std::fmt;

use super::ListedMemcg;
use crate::tracker::Memcg;

/// Memcgs in the order of a list. What is shown of one takes a hundred times the room of a reference, and a node may have
/// 65,535 of them: it is made when the list comes to it.
pub struct MemcgList<'a> {
    memcgs: Vec<&'a Memcg>,
    show: Box<dyn Fn(&Memcg) -> ListedMemcg<'_> + 'a>,
}

impl<'a> MemcgList<'a> {
    /// `show` makes what is shown of a memcg.
    pub fn new(memcgs: Vec<&'a Memcg>, show: impl Fn(&Memcg) -> ListedMemcg<'_> + 'a) -> Self {
        Self { memcgs, show: Box::new(show) }
    }

    /// What is shown of each.
    pub fn iter(&self) -> impl Iterator<Item = ListedMemcg<'a>> {
        self.memcgs.iter().map(|memcg| (self.show)(memcg))
    }

    pub fn memcgs(&self) -> impl Iterator<Item = &'a Memcg> + Clone {
        self.memcgs.iter().copied()
    }

    /// Only the first so many.
    pub fn truncate(&mut self, most: usize) {
        self.memcgs.truncate(most);
    }

    pub fn len(&self) -> usize {
        self.memcgs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.memcgs.is_empty()
    }
}

impl fmt::Debug for MemcgList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
