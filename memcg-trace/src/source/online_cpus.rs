//! Which CPUs are online, for those who look often: the file stays open, and is parsed when it changed.

use std::{fs::File, os::unix::fs::FileExt as _};

use aya::util::online_cpus;

const ONLINE: &str = "/sys/devices/system/cpu/online";
/// An attribute in sysfs is at most a page.
const MOST: usize = 4096;

pub(super) struct OnlineCpus {
    file: Option<File>,
    /// The text of the last look; empty before the first one.
    last: Vec<u8>,
}

impl OnlineCpus {
    pub fn open() -> Self {
        Self { file: File::open(ONLINE).ok(), last: Vec::new() }
    }

    /// The CPUs that are online, unless they are those of the last look or cannot be read.
    pub fn changed(&mut self) -> Option<Vec<u32>> {
        let mut text = [0; MOST];
        // At its beginning sysfs writes it anew.
        let length = self.file.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = &text[..length];
        if self.last == text {
            return None;
        }
        let online = online_cpus().ok()?;
        self.last = text.to_vec();
        Some(online)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_once() {
        let mut online = OnlineCpus::open();
        assert_eq!(online.changed(), online_cpus().ok());
        assert_eq!(online.changed(), None);
    }
}
