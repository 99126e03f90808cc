//! Caches the content of a file or directory until it changes.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::node_root::{Root, Stamp};

/// For so long it is not looked again: a scan asks for thousands of containers in a row. What was born meanwhile is
/// looked for again anyway.
const FRESH: Duration = Duration::from_millis(2);
/// Times of files move in steps of a tick, 10 ms at most: of two changes within one, the second leaves no trace.
const TICK: Duration = Duration::from_millis(20);

/// The outcome of the last reading.
#[derive(Debug)]
pub struct Cached<T> {
    looked: Option<Instant>,
    /// No stamp: it changed a moment ago, and is read again.
    read: Option<(Option<Stamp>, T)>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self { looked: None, read: None }
    }
}

impl<T> Cached<T> {
    /// The current content; `None`: it does not exist.
    pub fn get(&mut self, root: &Root, path: &Path, read: impl FnOnce(&Root, &Path) -> T) -> Option<&T> {
        if self.looked.is_none_or(|looked| looked.elapsed() > FRESH) {
            // Before it is read: a change meanwhile is seen the next time.
            match (root.stamp(path).ok(), &self.read) {
                (None, _) => self.read = None,
                (Some(now), Some((Some(then), _))) if now == *then => {}
                (Some(now), _) => {
                    let settled = now.modified.elapsed().is_ok_and(|age| age > TICK);
                    self.read = Some((settled.then_some(now), read(root, path)));
                }
            }
            self.looked = Some(Instant::now());
        }
        self.read.as_ref().map(|(_, read)| read)
    }

    /// When it was last looked at.
    pub fn looked(&self) -> Option<Instant> {
        self.looked
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    #[test]
    fn two_changes_within_a_tick_are_both_seen() {
        let directory = std::env::temp_dir().join(format!("memcg-trace-cache-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let root = Root::open(&directory).expect("the root");
        let mut cached = Cached::default();
        let mut stale = Vec::new();
        for number in 0..20 {
            fs::write(directory.join(number.to_string()), "").expect("a file");
            thread::sleep(FRESH * 2);
            let listed = cached.get(&root, Path::new("/"), |root, path| root.list(path).unwrap_or_default());
            stale.extend((listed.map(Vec::len) != Some(number + 1)).then_some(number));
        }
        fs::remove_dir_all(&directory).expect("remove the directory");
        assert!(stale.is_empty(), "{stale:?}");
    }
}
