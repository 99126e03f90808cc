//! Red-black trees (`struct rb_node`), many at once, level by level.

use super::{Members, Memory, MemoryError};

/// `rb_node.rb_right` and `rb_node.rb_left` (include/linux/rbtree_types.h), the same on every kernel.
const RIGHT: u32 = 8;
const LEFT: u32 = 16;
/// A tree of as many nodes as fit into memory is no deeper than that.
const DEPTH_MAX: u32 = 96;

impl<'a> dyn Memory + 'a {
    /// The nodes of the trees with these roots, `limit` of all at most: the number of the tree, and the node. What changes
    /// meanwhile may be missing, or be there twice.
    pub fn trees(&mut self, roots: &[u64], limit: usize) -> Result<Vec<(usize, u64)>, MemoryError> {
        let mut nodes: Vec<(usize, u64)> = Vec::new();
        let mut level: Vec<(usize, u64)> =
            roots.iter().copied().enumerate().filter(|(_, root)| *root != 0).collect();
        for _ in 0..DEPTH_MAX {
            level.truncate(limit.saturating_sub(nodes.len()));
            if level.is_empty() {
                break;
            }
            let addresses: Vec<u64> = level.iter().map(|(_, node)| *node).collect();
            let rows = self.rows(&addresses, &Members::of(&[RIGHT, LEFT]))?;
            let mut below = Vec::new();
            for (row, &(tree, node)) in level.iter().enumerate() {
                nodes.push((tree, node));
                let children = [LEFT, RIGHT].map(|child| rows.pointer(row, child));
                below.extend(children.into_iter().filter(|child| *child != 0).map(|child| (tree, child)));
            }
            level = below;
        }
        Ok(nodes)
    }
}
