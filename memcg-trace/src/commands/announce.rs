//! Messages on stderr before a run.

use crate::{
    record::{Backend, Snapshot, Start},
    slab::{ListCounts, SlabRun},
    streams::say,
};

/// Reports the hierarchy and backend.
pub fn tracing(start: &Start) {
    let why = start.backend_reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    say(&format!("tracing {}, {} backend{why}", start.controller, start.backend));
}

/// Reports limits of the backend, existing memcgs, and what is unknown.
pub fn details(start: &Start, snapshot: Option<&Snapshot>) {
    if start.backend == Backend::Tracepoint {
        say("this backend does not see when a memcg ID is released, nor the errno of a failed mkdir");
    }
    if let Some(snapshot) = snapshot {
        let (all, dying) = (snapshot.events.len(), snapshot.dying().count());
        say(&format!("found {all} existing memcgs, {dying} of them dying"));
    }
    not_known(&start.unknown);
}

/// The same for slab caches.
pub fn slab(run: &SlabRun) {
    let how = match &run.backend_reason {
        None => "kprobe backend".to_owned(),
        Some(reason) => format!("only by the kernel's list: {reason}"),
    };
    say(&format!("tracing slab caches, {how}"));
    if let Some(ListCounts { caches, links, stale_links }) = run.listed {
        let stale = if stale_links > 0 { format!(", {stale_links} more are stale") } else { String::new() };
        say(&format!("found {caches} existing caches, with {links} links to them{stale}"));
    }
    not_known(&run.unknown);
}

fn not_known(unknown: &[(String, String)]) {
    for (what, reason) in unknown {
        say(&format!("unknown: {what} ({reason})"));
    }
}
