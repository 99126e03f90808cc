//! Takes a walk, as events sorted so that parents come first.

use foldhash::{HashMap, HashMapExt as _};
use memcg_trace_common::EventHeader;

use crate::{
    event::{Event, Key},
    kernel::{
        clock,
        walk::{Walk, WalkError},
    },
    record::Snapshot,
};

/// Walks and decodes.
pub fn take_walk(walk: &mut Walk) -> Result<Snapshot, WalkError> {
    Ok(take_counted_walk(walk)?.0)
}

/// The same, and how many memcgs it may have missed.
pub fn take_counted_walk(walk: &mut Walk) -> Result<(Snapshot, u64), WalkError> {
    let began_ns = clock::monotonic_ns();
    let mut seen = Vec::new();
    let mut charges = HashMap::new();
    let walks = walk.walk(|walked| {
        let header = walked.header;
        charges.insert(Key { css: header.css, serial: header.serial }, walked.charges);
        seen.push((header, Box::from(walked.name)));
    })?;
    log::debug!("{walks:?}");
    let ended_ns = clock::monotonic_ns();
    seen.sort_by_key(|(header, _)| header.level);
    let event = |(header, name): (EventHeader, Box<[u8]>)| {
        Event::new(EventHeader { t_ns: ended_ns, ..header }, &name)
    };
    let events = seen.into_iter().map(event).collect::<Result<_, _>>()?;
    Ok((Snapshot { began_ns, ended_ns, events, charges }, walks.missed))
}
