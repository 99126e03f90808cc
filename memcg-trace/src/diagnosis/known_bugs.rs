//! Known bugs of kernel releases. `known_bugs.json` is the table; a row is not a finding, and has the scenarios of
//! `verify` that confirm it.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{
    node::Node,
    release::{Match, Range, Release},
    remedy_kind::RemedyKind,
};
use crate::{
    cause::{Pin, Pinned},
    record::Version,
};

/// One row of the table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownBug {
    pub id: String,
    releases: Vec<Range>,
    pub bug: String,
    pub symptom: String,
    /// The first release without it; `None`: none known.
    pub fixed_in: Option<String>,
    /// Details of the fix.
    pub fixed_note: String,
    pub remedies: Vec<RemedyKind>,
    /// Scenarios of `memcg-trace verify`.
    pub confirm: Vec<String>,
    /// What it pins memcgs with: where this is what pins memcgs here, the bug is at work.
    #[serde(default)]
    pins: Vec<Pin>,
    /// Requires kernel memory accounting.
    #[serde(default)]
    unless_nokmem: bool,
    /// Requires the memory controller on a v2 hierarchy.
    #[serde(default)]
    v2_only: bool,
    /// Not a bug of the memory controller.
    #[serde(default)]
    pub elsewhere: bool,
    /// Not visible before it is too late: the remedies apply to healthy nodes, too.
    #[serde(default)]
    pub prevent: bool,
    pub evidence: KnownBy,
    pub sources: Vec<String>,
}

/// The evidence for a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownBy {
    /// Reproduced on releases of this range.
    Seen,
    /// Read in the kernel's source.
    Source,
    /// Reported by others.
    Reported,
}

/// A bug of the node's kernel.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub bug: &'static KnownBug,
    /// The release is certainly affected.
    pub certain: bool,
    /// Memcgs of this node that are pinned by what it pins with; `None`: not looked at, or the bug pins none.
    pub here: Option<u64>,
}

static TABLE: LazyLock<Vec<KnownBug>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("known_bugs.json")).expect("a test parses the table that is built in")
});

/// The bugs of this node's kernel.
pub(super) fn of(node: &Node) -> Vec<Known> {
    let Some(release) = Release::parse(&node.release) else { return Vec::new() };
    let known = |bug: &'static KnownBug| {
        let has = bug.releases.iter().map(|range| range.has(&release)).max().unwrap_or(Match::No);
        let prevented =
            bug.unless_nokmem && node.kmem.nokmem || bug.v2_only && node.version == Some(Version::V1);
        (has != Match::No && !prevented).then(|| Known {
            bug,
            certain: has == Match::Yes,
            here: here(bug, node),
        })
    };
    TABLE.iter().filter_map(known).collect()
}

fn here(bug: &KnownBug, node: &Node) -> Option<u64> {
    let pinned = node.memcgs.pinned.as_ref().filter(|_| !bug.pins.is_empty())?;
    let by_it = |pinned: &&Pinned| pinned.by.iter().any(|by| bug.pins.contains(&by.pin));
    Some(pinned.iter().filter(by_it).count() as u64)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;
    use crate::{record::Kmem, verdict::ScenarioName};

    fn ids(release: &str, nokmem: bool) -> Vec<String> {
        let kmem = Kmem { nokmem, ..Kmem::default() };
        let known = of(&Node { release: release.to_owned(), kmem, ..Node::default() });
        known
            .iter()
            .map(|known| format!("{}{}", known.bug.id, if known.certain { "" } else { "?" }))
            .collect()
    }

    #[test]
    fn every_row_is_whole() {
        for bug in &*TABLE {
            assert!(!bug.releases.is_empty() && !bug.sources.is_empty(), "{}", bug.id);
            for scenario in &bug.confirm {
                assert!(ScenarioName::from_str(scenario, false).is_ok(), "{}: {scenario}", bug.id);
            }
        }
    }

    #[test]
    fn releases_and_their_bugs() {
        let table: &[(&str, bool, &[&str])] = &[
            ("3.10.0-957.el7.x86_64", false, &["el7-kmem-ids", "el7-slab-caches", "enomem-for-ids"]),
            ("3.10.0-1062.12.1.el7.x86_64", false, &["el7-kmem-ids", "enomem-for-ids"]),
            ("3.10.0-1062.12.1.el7.x86_64", true, &["enomem-for-ids"]),
            ("4.18.0-305.el8.x86_64", false, &["lru-pins", "swap-ids"]),
            (
                "4.4.0-36-generic",
                false,
                &["ids-until-freed?", "slab-pins", "memcg-slab-caches", "lru-pins", "writeback-pins"],
            ),
            (
                "4.19.48",
                false,
                &[
                    "slab-pins",
                    "memcg-slab-caches",
                    "enomem-for-ids",
                    "lru-pins",
                    "swap-ids",
                    "writeback-pins",
                ],
            ),
            (
                "5.4.0-150-generic",
                false,
                &["memcg-slab-caches", "enomem-for-ids?", "lru-pins", "swap-ids", "writeback-pins"],
            ),
            ("5.10.0-35-cloud-amd64", false, &["lru-pins", "swap-ids", "writeback-pins"]),
            ("6.1.0-28-cloud-amd64", false, &["lru-pins", "swap-ids", "writeback-pins", "stock-pins"]),
            ("5.19.4-200.fc36.x86_64", false, &["lru-pins", "swap-ids", "writeback-pins", "blkio-5.19"]),
            ("7.2.12+deb14-cloud-amd64", false, &["swap-ids", "writeback-pins", "stock-pins"]),
            ("no release", false, &[]),
        ];
        for (release, nokmem, expected) in table {
            assert_eq!(ids(release, *nokmem), *expected, "{release}");
        }
    }
}
