//! Swap devices and files, by /proc/swaps.

use std::fs;

use crate::kernel::mountinfo::unescape;

const SWAPS: &str = "/proc/swaps";

/// A device, in the order in which the kernel has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListedSwap {
    /// Its path.
    pub name: Box<[u8]>,
    /// `None`: not told.
    pub kib: Option<u64>,
}

pub(super) fn listed() -> Vec<ListedSwap> {
    parse(&fs::read(SWAPS).unwrap_or_default())
}

/// The lines below that of titles.
fn parse(text: &[u8]) -> Vec<ListedSwap> {
    let device = |line: &[u8]| {
        let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        let name = unescape(words.next()?);
        // Behind the type.
        let kib = words.nth(1).and_then(|kib| str::from_utf8(kib).ok()?.parse().ok());
        Some(ListedSwap { name, kib })
    };
    text.split(|byte| *byte == b'\n').skip(1).filter_map(device).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_proc_swaps() {
        let titles = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        let table: &[(&str, &[(&str, u64)])] = &[
            ("", &[]),
            (
                "/dev/zram0                              partition\t65532\t\t1024\t\t-2\n",
                &[("/dev/zram0", 65532)],
            ),
            (
                "/dev/dm-1 partition\t1\t0\t-2\n/swap\\040file file\t4\t0\t-3\n",
                &[("/dev/dm-1", 1), ("/swap file", 4)],
            ),
        ];
        for (lines, expected) in table {
            let expected: Vec<ListedSwap> = expected
                .iter()
                .map(|(name, kib)| ListedSwap { name: name.as_bytes().into(), kib: Some(*kib) })
                .collect();
            assert_eq!(parse([titles, lines].concat().as_bytes()), expected, "{lines}");
        }
    }
}
