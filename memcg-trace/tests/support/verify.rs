//! `memcg-trace verify -o json`: its verdicts, and what it leaves behind.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::Value;

use super::{cgroup::hierarchy, process::command, scan::Scan};

/// What one run printed, and how it ended.
pub struct Verified {
    pub code: Option<i32>,
    pub verdicts: Vec<Value>,
    pub changes: Vec<Value>,
    pub summary: Value,
    pub stderr: String,
}

impl Verified {
    pub fn run(arguments: &[&str]) -> Self {
        Self::of(command().args(["verify", "-o", "json"]).args(arguments))
    }

    /// The same for a command that a test made.
    pub fn of(command: &mut Command) -> Self {
        let Scan { code, lines, summary, stderr } = Scan::of(command);
        let (verdicts, changes) = lines.into_iter().partition(|line| line["type"] == "verdict");
        Self { code, verdicts, changes, summary, stderr }
    }

    /// What pins the memcgs of each leak was named, and all of it. Of memcgs that are being swapped out, one reference was
    /// seen on 5.10 that nothing was found for.
    pub fn assert_pins_are_named(&self) {
        for verdict in self.verdicts.iter().filter(|verdict| verdict["verdict"] == "leak") {
            let reason = verdict["reason"].as_str().unwrap_or_default();
            let swapping = verdict["scenario"] == "swap" && reason.ends_with("unexplained");
            assert!(verdict["pins_as_expected"] == true || swapping, "{verdict:#}");
        }
    }

    /// Scenario, verdict, what it was gone after, and how many of the memcgs hold their ID, as far as it is a leak.
    pub fn table(&self) -> Vec<(&str, &str, Option<&str>, bool)> {
        let row = |verdict: &'_ Value| {
            let held = verdict["ids_held"].as_u64();
            let all = held.is_some_and(|held| held > 0) && held == verdict["memcgs"].as_u64();
            (all, held.is_some_and(|held| held > 0))
        };
        self.verdicts
            .iter()
            .map(|verdict| {
                let (all, some) = row(verdict);
                assert_eq!(all, some, "all hold their ID, or none does: {verdict}");
                (
                    verdict["scenario"].as_str().expect("a scenario"),
                    verdict["verdict"].as_str().expect("a verdict"),
                    verdict["gone_after"].as_str(),
                    some,
                )
            })
            .collect()
    }
}

/// What verify makes and must not leave.
#[derive(Debug, PartialEq, Eq)]
pub struct Left {
    cgroups: Vec<String>,
    swaps: String,
    zram: BTreeSet<String>,
    /// Loop devices that are set up, with what they are set up for.
    loops: BTreeSet<String>,
    mounts: String,
}

impl Left {
    /// KiB that are swapped to a device that was not there before; `None`: there is no such device.
    pub fn swapped_since(&self, before: &Self) -> Option<u64> {
        let mut new = self.swaps.lines().filter(|line| !before.swaps.contains(line));
        // Name, type, size, what is used of it, priority.
        new.find_map(|line| line.split_whitespace().nth(3)?.parse().ok())
    }

    /// Compared with an earlier state, the rest shows.
    pub fn assert_nothing_of_verify(&self) {
        assert!(self.cgroups.is_empty() && !self.swaps.contains("zram"), "{self:#?}");
        assert!(!self.loops.iter().any(|file| file.contains("disk.img")), "{self:#?}");
    }

    pub fn now() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let names = |directory: &str| {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let root = hierarchy().1;
        let mut cgroups = names(&root.to_string_lossy());
        cgroups.retain(|name| name.starts_with("memcg-trace-verify-"));
        let blocks = names("/sys/block");
        let backing = |name: &String| {
            let file = fs::read_to_string(format!("/sys/block/{name}/loop/backing_file")).ok()?;
            Some(format!("{name}: {file}"))
        };
        Self {
            cgroups,
            swaps: read("/proc/swaps"),
            zram: blocks.iter().filter(|name| name.starts_with("zram")).cloned().collect(),
            loops: blocks.iter().filter_map(backing).collect(),
            mounts: read("/proc/self/mounts"),
        }
    }
}
