//! Bugs that releases of the kernel are known for. `known_bugs.json` is the table; a row is knowledge, not a finding, and
//! says which scenario of `verify` confirms it.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{
    node::Node,
    release::{Match, Range, Release},
    remedy_kind::RemedyKind,
};
use crate::record::Version;

/// One row of the table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownBug {
    pub id: String,
    releases: Vec<Range>,
    pub bug: String,
    pub symptom: String,
    /// The first release without it; `None`: none that is known.
    pub fixed_in: Option<String>,
    /// What else is known of the fix.
    pub fixed_note: String,
    pub remedies: Vec<RemedyKind>,
    /// Scenarios of `memcg-trace verify`.
    pub confirm: Vec<String>,
    /// It takes kernel memory being accounted for.
    #[serde(default)]
    unless_nokmem: bool,
    /// It takes the memory controller on a v2 hierarchy.
    #[serde(default)]
    v2_only: bool,
    /// It is not the memory controller's.
    #[serde(default)]
    pub elsewhere: bool,
    /// Nothing shows before it is too late: the remedies are for healthy nodes, too.
    #[serde(default)]
    pub prevent: bool,
    pub evidence: Evidence,
    pub sources: Vec<String>,
}

/// How it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
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
    /// The release is of the range for certain.
    pub certain: bool,
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
        (has != Match::No && !prevented).then_some(Known { bug, certain: has == Match::Yes })
    };
    TABLE.iter().filter_map(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Kmem;

    const SCENARIOS: &[&str] = &[
        "churn",
        "kmem-limit",
        "id-exhaustion",
        "slab-caches",
        "tmpfs",
        "page-cache",
        "page-cache-dirty",
        "mapped-file",
        "moved-task",
        "swap",
        "socket",
        "unreaped-task",
        "cgroup-namespace",
        "controller-toggle",
        "nested",
        "dentries",
    ];

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
            assert!(bug.confirm.iter().all(|scenario| SCENARIOS.contains(&&**scenario)), "{}", bug.id);
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
