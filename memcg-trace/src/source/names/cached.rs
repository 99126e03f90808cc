//! What was read of a file or directory, for as long as that does not change.

use std::path::Path;

use super::node_root::{Root, Stamp};

/// The outcome of the last reading.
#[derive(Debug)]
pub struct Cached<T> {
    read: Option<(Stamp, T)>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self { read: None }
    }
}

impl<T> Cached<T> {
    /// As it is now; `None`: it is not there.
    pub fn get(&mut self, root: &Root, path: &Path, read: impl FnOnce(&Root, &Path) -> T) -> Option<&T> {
        // Before it is read: a change meanwhile is seen the next time.
        let stamp = root.stamp(path).ok();
        match (stamp, &self.read) {
            (None, _) => self.read = None,
            (Some(now), Some((then, _))) if now == *then => {}
            (Some(now), _) => self.read = Some((now, read(root, path))),
        }
        self.read.as_ref().map(|(_, read)| read)
    }
}
