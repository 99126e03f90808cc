//! From what was found to refer to a memcg to parts that sum up to its count of references.

use std::collections::BTreeMap;

use super::{
    act::Act,
    behind::Behind,
    facts::{FileKind, Holder, How, Look, NetNamespace, Notify, Reference, Referenced, Socket, Thing},
    pin::Pin,
    what,
};
use crate::event::Key;

/// What pins one memcg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub key: Key,
    /// References as counted while its parts were read; `None`: this kernel's count cannot be read.
    pub counted: Option<RefCount>,
    /// What the parts sum up to; a count that moved lets it be anything between its ends.
    pub refs: u64,
    /// Of these, references with a thing behind them.
    pub explained: u64,
    /// Most references first, what is unexplained last.
    pub parts: Vec<ExplainedPart>,
    /// The count changed meanwhile, or more was found than was counted: some of it came or went.
    pub moved: bool,
}

/// The count of references, before and after the look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefCount {
    pub low: u64,
    pub high: u64,
}

/// References of one memcg with one thing behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedPart {
    pub pin: Pin,
    pub refs: u64,
    /// Path, address or name; `None`: it has none.
    pub what: Option<Box<[u8]>>,
    pub behind: Behind,
    pub holders: Vec<Holder>,
    /// The least that frees it.
    pub act: Act,
}

/// What pins the memcgs of a look, in its order.
pub fn explain(look: &Look) -> Vec<Explanation> {
    look.memcgs.iter().map(Explanation::of).collect()
}

impl Explanation {
    pub fn of(referenced: &Referenced) -> Self {
        let Referenced { key, before, after, references } = referenced;
        let ends = before.zip(*after).or(before.or(*after).map(|count| (count, count)));
        let counted = ends.map(|(one, other)| RefCount { low: one.min(other), high: one.max(other) });
        let mut parts = parts(references);
        parts.sort_by(|one, other| (other.refs, one.pin, &one.what).cmp(&(one.refs, other.pin, &other.what)));
        let found = parts.iter().map(|part| part.refs).fold(0, u64::saturating_add);
        let refs = counted.map_or(found, |RefCount { low, high }| found.clamp(low, high));
        let explained = found.min(refs);
        clip(&mut parts, found - explained);
        for part in &mut parts {
            part.act = Act::on(&part.behind, part.refs, &part.holders);
        }
        if refs > explained {
            parts.push(ExplainedPart::unexplained(refs - explained));
        }
        let moved = counted.is_some_and(|RefCount { low, high }| low != high || found > high);
        Self { key: *key, counted, refs, explained, parts, moved }
    }

    pub fn unexplained(&self) -> u64 {
        self.refs - self.explained
    }

    /// Every reference that was counted has a thing behind it.
    pub fn is_complete(&self) -> bool {
        self.counted.is_some() && self.unexplained() == 0
    }

    /// It was freed while it was looked at.
    pub fn is_freed(&self) -> bool {
        self.counted.is_some_and(|counted| counted.low == 0)
    }
}

/// Takes what was found in excess of the count from the largest parts: folios come and go, tasks and sockets hardly do.
fn clip(parts: &mut Vec<ExplainedPart>, mut excess: u64) {
    for part in parts.iter_mut() {
        let clipped = part.refs.min(excess);
        part.refs -= clipped;
        excess -= clipped;
    }
    parts.retain(|part| part.refs > 0);
}

/// One part for each thing; what only makes sense together is one.
fn parts(references: &[Reference]) -> Vec<ExplainedPart> {
    let mut parts = Vec::with_capacity(references.len());
    let mut namespaces: BTreeMap<u64, ExplainedPart> = BTreeMap::new();
    let mut stocks: Option<ExplainedPart> = None;
    for reference in references.iter().filter(|reference| reference.refs > 0) {
        let Reference { refs, thing, holders } = reference;
        match thing {
            Thing::Socket(socket) if let Some(net) = whose(socket, holders) => {
                let part = namespaces.entry(net.inode).or_insert_with(|| {
                    ExplainedPart::new(
                        Pin::NetNamespace,
                        0,
                        Behind::NetNamespace(net.clone()),
                        sorted(net.holders.clone()),
                    )
                });
                part.refs = part.refs.saturating_add(*refs);
            }
            Thing::ChargeStock { cpu, pages } => {
                let empty = Behind::ChargeStocks { cpus: Vec::new(), pages: Some(0) };
                let part =
                    stocks.get_or_insert_with(|| ExplainedPart::new(Pin::ChargeStock, 0, empty, Vec::new()));
                part.refs = part.refs.saturating_add(*refs);
                if let Behind::ChargeStocks { cpus, pages: sum } = &mut part.behind {
                    cpus.push(*cpu);
                    cpus.sort_unstable();
                    cpus.dedup();
                    *sum = sum.zip(*pages).map(|(sum, pages)| sum.saturating_add(pages));
                }
            }
            thing => {
                let pin = pin_of(thing, holders);
                parts.push(ExplainedPart::new(
                    pin,
                    *refs,
                    Behind::Thing(thing.clone()),
                    sorted(holders.clone()),
                ));
            }
        }
    }
    parts.extend(namespaces.into_values().chain(stocks));
    parts
}

/// The network namespace that a socket is told as: it is the namespace's own, or nobody has it and nobody lives in the
/// namespace that could. A socket that is closed and still has to send is told as itself.
fn whose<'a>(socket: &'a Socket, holders: &[Holder]) -> Option<&'a NetNamespace> {
    let net = socket.net.as_ref().filter(|net| !net.is_initial)?;
    let inhabited = net.holders.iter().any(|holder| holder.how == How::InNamespace);
    let nobodys = holders.is_empty() && !socket.orphan && !inhabited;
    (net.kernel_socket || nobodys).then_some(net)
}

fn sorted(mut holders: Vec<Holder>) -> Vec<Holder> {
    holders.sort();
    holders.dedup();
    holders
}

/// What kind of thing it is. A css_set is named after whatever has it: tasks first, for they hold the most.
fn pin_of(thing: &Thing, holders: &[Holder]) -> Pin {
    match thing {
        Thing::File { file, .. } => match file.kind {
            FileKind::Regular => Pin::File,
            FileKind::Tmpfs => Pin::Tmpfs,
            FileKind::Memfd => Pin::Memfd,
            FileKind::SysvShm => Pin::SysvShm,
            FileKind::SharedAnon => Pin::SharedAnon,
            FileKind::Hugetlbfs => Pin::Hugetlb,
            FileKind::BlockDevice => Pin::BlockDevice,
        },
        Thing::Anon { .. } => Pin::Anon,
        Thing::Detached { .. } => Pin::Detached,
        Thing::KernelPages { .. } => Pin::KernelPages,
        Thing::KernelMemory { .. } => Pin::KernelMemory,
        Thing::Swap { .. } => Pin::Swap,
        Thing::CssSet => {
            let has = |of: fn(&How) -> bool| holders.iter().any(|holder| of(&holder.how));
            if holders.is_empty() || has(|how| matches!(how, How::Task | How::Unreaped { .. })) {
                Pin::Task
            } else if has(|how| matches!(how, How::PerfEvent { .. })) {
                Pin::PerfEvent
            } else {
                Pin::CgroupNamespace
            }
        }
        Thing::Socket(_) => Pin::Socket,
        Thing::Notify { kind: Notify::Inotify } => Pin::Inotify,
        Thing::Notify { kind: Notify::Fanotify } => Pin::Fanotify,
        Thing::Writeback { .. } => Pin::Writeback,
        Thing::ChargeStock { .. } => Pin::ChargeStock,
        Thing::Child { .. } => Pin::Child,
        Thing::Directory { .. } => Pin::Directory,
        Thing::Mm => Pin::Mm,
        Thing::SlabCache { .. } => Pin::SlabCache,
        Thing::BpfMap { .. } => Pin::BpfMap,
    }
}

impl ExplainedPart {
    fn new(pin: Pin, refs: u64, behind: Behind, holders: Vec<Holder>) -> Self {
        Self { pin, refs, what: what::name_of(&behind), behind, holders, act: Act::NONE }
    }

    fn unexplained(refs: u64) -> Self {
        Self { act: Act::scan_memory(), ..Self::new(Pin::Unexplained, refs, Behind::Nothing, Vec::new()) }
    }
}

#[cfg(test)]
#[path = "explanation_tests.rs"]
mod tests;
