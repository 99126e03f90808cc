//! What this process costs the node, by /proc/self.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};

/// Read at one instant; what cannot be read is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessCost {
    /// User and kernel mode, all threads.
    pub cpu_seconds: Option<f64>,
    pub resident_bytes: Option<u64>,
    /// Since boot, by CLOCK_BOOTTIME.
    pub started_seconds: Option<f64>,
    pub open_files: Option<u64>,
}

impl ProcessCost {
    pub fn now() -> Self {
        let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as f64;
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let field = |number: usize| stat_field(&stat, number).map(|value| value as f64 / ticks);
        Self {
            cpu_seconds: field(14).zip(field(15)).map(|(user, kernel)| user + kernel),
            resident_bytes: stat_field(&stat, 24).map(|pages| pages * super::page_bytes() as u64),
            started_seconds: field(22),
            // One of them is this directory.
            open_files: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|files| files.count().saturating_sub(1) as u64),
        }
    }
}

/// A field of /proc/PID/stat, by its number in proc(5). The second one, the name, may contain blanks and parentheses.
fn stat_field(stat: &str, number: usize) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_count_from_behind_the_name() {
        let stat = "7 (a ) b) S 1 2 3";
        assert_eq!([4, 5, 6, 7].map(|number| stat_field(stat, number)), [Some(1), Some(2), Some(3), None]);
    }

    #[test]
    fn it_knows_what_this_process_costs() {
        let cost = ProcessCost::now();
        assert!(cost.resident_bytes.is_some_and(|bytes| bytes > 1 << 20), "{cost:?}");
        assert!(cost.cpu_seconds.is_some() && cost.started_seconds.is_some(), "{cost:?}");
        assert!(cost.open_files.is_some_and(|files| files >= 3), "{cost:?}");
    }
}
