//! Findings word for word, where one fact changes the sentence.

use super::*;

#[test]
fn sentences() {
    type Case<'a> = (fn(&mut Node), FindingKind, &'a str);
    let by_caches: fn(&mut Node) = |node| {
        let pinned = [Pin::SlabCache, Pin::File, Pin::SlabCache].map(|pin| {
            let by = PinnedBy { pin, refs: 1, things: 1, what: None, holder: None, holders: 0 };
            Pinned { refs: 1, explained: 1, complete: true, by: vec![by] }
        });
        node.memcgs.pinned = Some(pinned.into());
        node.kmem.charged = 0;
    };
    let cases: &[Case<'_>] = &[
        (|node| node.memcgs.removed = Some(0), FindingKind::Live, "120"),
        (|node| node.memcgs.removed = Some(7), FindingKind::Live, "120, and 7 removed, not offline yet"),
        // No page is charged, whatever the references might be.
        (
            |node| (node.memcgs.held_bytes, node.memcgs.held_bytes_max) = (Some(0), Some(420 << 20)),
            FindingKind::HeldMemory,
            "0 B of 16.0 GiB",
        ),
        (
            |node| (node.kmem.nokmem, node.kmem.containers) = (true, 9),
            FindingKind::Kmem,
            "not accounted for: booted with cgroup.memory=nokmem",
        ),
        (
            by_caches,
            FindingKind::Kmem,
            "accounted for: slab caches of their own pin 2 dying memcgs; none of 120 cgroups is charged for any",
        ),
    ];
    for (change, what, text) in cases {
        let mut node = healthy();
        change(&mut node);
        let findings = diagnose(&node, &LIMITS).findings;
        let found = findings.iter().find(|finding| finding.what == *what).map(|finding| &*finding.text);
        assert_eq!(found, Some(*text), "{what:?}");
    }
}
