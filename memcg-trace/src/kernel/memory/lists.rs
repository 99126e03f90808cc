//! Circular lists (`struct list_head`) whose entries carry no mark.

use foldhash::{HashSet, HashSetExt as _};
use memcg_trace_common::{List, ListEnd};

use super::{Memory, MemoryError};

/// One list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Addresses of the structs in it, each once.
    pub entries: Vec<u64>,
    /// It ended where it began. Otherwise it changed while it was followed, or is none.
    pub complete: bool,
}

/// The shape of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lists {
    /// Offset of the node in each entry.
    pub node: u32,
    /// More entries than there can be, in all lists of a kind.
    pub limit: usize,
}

impl<'a> dyn Memory + 'a {
    /// Follows the list with this head.
    pub fn list(&mut self, head: u64, lists: Lists) -> Result<Listed, MemoryError> {
        Ok(self.lists(&[head], lists)?.pop().unwrap_or_default())
    }

    /// Follows the list with each of these heads. All of them together have as many entries as the limit says at most.
    pub fn lists(&mut self, heads: &[u64], lists: Lists) -> Result<Vec<Listed>, MemoryError> {
        let firsts = self.pointers(heads, 0)?;
        let mut left = lists.limit;
        let mut follow = |(head, first): (&u64, u64)| {
            let listed = self.from(*head, first, Lists { limit: left, ..lists })?;
            left -= listed.entries.len();
            Ok(listed)
        };
        heads.iter().zip(firsts).map(&mut follow).collect()
    }

    /// Follows a chain of structs that ends with NULL, from the pointer at `first` on; `next` is the offset of the pointer to the
    /// next struct.
    pub fn chain(&mut self, first: u64, next: u32, limit: usize) -> Result<Listed, MemoryError> {
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        let mut at = self.pointers(&[first], 0)?[0];
        while at != 0 && entries.len() < limit && seen.insert(at) {
            entries.push(at);
            at = self.pointers(&[at], next)?[0];
        }
        Ok(Listed { entries, complete: at == 0 })
    }

    /// Follows a list of which the head and the first node are known.
    fn from(&mut self, head: u64, first: u64, lists: Lists) -> Result<Listed, MemoryError> {
        if first == head || first == 0 || lists.limit == 0 {
            return Ok(Listed { entries: Vec::new(), complete: first == head });
        }
        let mut list = List { head, node: first, back: 0, next: 0, mark: 0, mask: 0, value: 0 };
        let mut nodes = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let mut node = list.node;
            let mut again = false;
            let end = self.follow(&mut list, &mut |words| {
                again |= !seen.insert(node);
                if !again {
                    nodes.push(node);
                }
                node = words[0];
            })?;
            if again || end != ListEnd::More || nodes.len() >= lists.limit {
                nodes.truncate(lists.limit);
                let entries = nodes.into_iter().map(|node| node.wrapping_sub(lists.node.into())).collect();
                return Ok(Listed { entries, complete: end == ListEnd::Head && !again });
            }
        }
    }
}
