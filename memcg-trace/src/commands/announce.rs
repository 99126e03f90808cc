//! What is said on stderr before a run.

use crate::{
    record::{Backend, Snapshot, Start},
    slab::{ListCounts, SlabRun},
};

/// What is traced, and how.
pub fn tracing(start: &Start) {
    let why = start.backend_reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    eprintln!("memcg-trace: tracing {}, {} backend{why}", start.controller, start.backend);
}

/// What this backend cannot tell, what is there already, and what is not known.
pub fn details(start: &Start, snapshot: Option<&Snapshot>) {
    if start.backend == Backend::Tracepoint {
        eprintln!(
            "memcg-trace: this backend cannot tell when a memcg ID is released, nor why one is refused"
        );
    }
    if let Some(snapshot) = snapshot {
        let (all, dying) = (snapshot.events.len(), snapshot.dying().count());
        eprintln!("memcg-trace: {all} memcgs are there already, {dying} of them dying");
    }
    not_known(&start.unknown);
}

/// The same of slab caches.
pub fn slab(run: &SlabRun) {
    let how = match &run.backend_reason {
        None => "kprobe backend".to_owned(),
        Some(reason) => format!("by the kernel's list alone: {reason}"),
    };
    eprintln!("memcg-trace: tracing slab caches, {how}");
    if let Some(ListCounts { caches, links, stale_links }) = run.listed {
        let stale =
            if stale_links > 0 { format!(", {stale_links} more lead nowhere") } else { String::new() };
        eprintln!("memcg-trace: {caches} caches are there already; {links} names link to them{stale}");
    }
    not_known(&run.unknown);
}

fn not_known(unknown: &[(String, String)]) {
    for (what, reason) in unknown {
        eprintln!("memcg-trace: not known: {what}, because {reason}");
    }
}
