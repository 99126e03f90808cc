//! Caches the content of a file or directory until it changes.

use std::path::Path;

use super::root::{Root, Stamp};

/// The result of the last read.
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
    /// The current content; `None`: it does not exist.
    pub fn get(&mut self, root: &Root, path: &Path, read: impl FnOnce(&Root, &Path) -> T) -> Option<&T> {
        // Taken before reading: a change meanwhile is noticed the next time.
        let stamp = root.stamp(path).ok();
        match (stamp, &self.read) {
            (None, _) => self.read = None,
            (Some(now), Some((then, _))) if now == *then => {}
            (Some(now), _) => self.read = Some((now, read(root, path))),
        }
        self.read.as_ref().map(|(_, read)| read)
    }
}
