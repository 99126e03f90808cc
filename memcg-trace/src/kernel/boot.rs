//! Which kernel runs, and since which boot.

use std::fs;

/// `uname -r`; empty if /proc does not tell.
pub fn release() -> String {
    read("/proc/sys/kernel/osrelease").unwrap_or_default()
}

/// Differs for every boot.
pub fn id() -> Option<String> {
    read("/proc/sys/kernel/random/boot_id")
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned())
}
