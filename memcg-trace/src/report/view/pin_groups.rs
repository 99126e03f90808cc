//! Pins of all memcgs with something in common.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use serde::Serialize;

use super::{ActView, ExplainedMemcg, HolderView, PartView, ProcessView};
use crate::{
    attribution::{Owner, Workload},
    cause::{ActKind, Pin},
    report::escape::Name,
};

/// `--by` of explain
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ExplainBy {
    /// Files, with what frees each
    File,
    /// Kinds of pins
    Pin,
    /// Processes; a reference counts for each process that has the thing
    Holder,
    /// Workloads that the memcgs were of
    Owner,
}

/// What the parts of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InCommon<'a> {
    /// Null: no file.
    File(Option<FileView<'a>>),
    Pin(Pin),
    /// Null: no process.
    Holder(Option<ProcessView<'a>>),
    Workload(Workload),
}

/// A file, however many memcgs it pins.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct FileView<'a> {
    pub path: Option<Name<'a>>,
    pub device: Option<String>,
    pub inode: Option<u64>,
    pub pin: Pin,
}

/// Serializes as a line of type `group`.
#[derive(Clone, Debug, Serialize)]
pub struct PinGroup<'a> {
    #[serde(flatten)]
    pub of: InCommon<'a>,
    pub refs: u64,
    pub memcgs: u64,
    /// What frees all of it; null: each of its things needs an act of its own.
    pub act: Option<&'a str>,
    pub act_is_command: bool,
    /// What else helps, with all of it.
    pub act_advice: Option<&'a str>,
    /// What is lost by it; null: nothing.
    pub act_cost: Option<String>,
}

/// What one group adds up to.
struct Sum<'a> {
    refs: u64,
    memcgs: u64,
    /// Place of the memcg that was counted last.
    last: Option<usize>,
    /// Of its first part, and whether it is that of all.
    act: ActView<'a>,
    same_act: bool,
    same_advice: bool,
    costs: BTreeSet<&'static str>,
}

/// Most references first.
pub(super) fn of<'a>(memcgs: &[ExplainedMemcg<'a>], by: ExplainBy) -> Vec<PinGroup<'a>> {
    let mut sums: HashMap<InCommon<'a>, Sum<'a>> = HashMap::new();
    for (place, memcg) in memcgs.iter().enumerate() {
        for part in &memcg.parts {
            for of in common(memcg, part, by) {
                let new = || Sum {
                    refs: 0,
                    memcgs: 0,
                    last: None,
                    act: part.act,
                    same_act: true,
                    same_advice: true,
                    costs: BTreeSet::new(),
                };
                sums.entry(of).or_insert_with(new).add(place, part);
            }
        }
    }
    let mut groups: Vec<PinGroup<'a>> = sums.into_iter().map(|(of, sum)| sum.group(of)).collect();
    groups.sort_by_cached_key(|group| (Reverse(group.refs), format!("{:?}", group.of)));
    groups
}

/// The groups of one part: several where several processes have it.
fn common<'a>(memcg: &ExplainedMemcg<'a>, part: &PartView<'a>, by: ExplainBy) -> Vec<InCommon<'a>> {
    match by {
        ExplainBy::Pin => vec![InCommon::Pin(part.pin)],
        ExplainBy::File => {
            let file = part.filesystem.map(|_| FileView {
                path: part.what,
                device: part.device.clone(),
                inode: part.inode,
                pin: part.pin,
            });
            vec![InCommon::File(file)]
        }
        ExplainBy::Holder => {
            let mut holders: Vec<ProcessView<'a>> = part.holders.iter().filter_map(process).collect();
            holders.sort_by_key(|process| process.pid);
            holders.dedup();
            match holders.is_empty() {
                true => vec![InCommon::Holder(None)],
                false => holders.into_iter().map(|process| InCommon::Holder(Some(process))).collect(),
            }
        }
        ExplainBy::Owner => match memcg.owner() {
            Owner::Workload(workload) => vec![InCommon::Workload(workload)],
            _ => Vec::new(),
        },
    }
}

/// Who could let go: of a task that nobody has waited for, its parent.
fn process<'a>(holder: &HolderView<'a>) -> Option<ProcessView<'a>> {
    holder.parent.or_else(|| Some(ProcessView { pid: holder.pid?, comm: holder.comm? }))
}

impl<'a> Sum<'a> {
    fn add(&mut self, memcg: usize, part: &PartView<'a>) {
        self.refs += part.refs;
        if self.last != Some(memcg) {
            self.last = Some(memcg);
            self.memcgs += 1;
        }
        self.same_act &= (self.act.act, self.act.is_command) == (part.act.act, part.act.is_command);
        self.same_advice &= self.act.advice == part.act.advice;
        self.costs.extend(part.act.costs());
    }

    fn group(self, of: InCommon<'a>) -> PinGroup<'a> {
        let Self { refs, memcgs, act, same_act, same_advice, costs, .. } = self;
        // How many folios stay is told of one memcg.
        let of_one = act.kind == ActKind::DropCache && memcgs > 1;
        let costs = costs.into_iter().collect::<Vec<_>>().join("; ");
        PinGroup {
            of,
            refs,
            memcgs,
            act: act.act.filter(|_| same_act),
            act_is_command: act.is_command && same_act,
            act_advice: act.advice.filter(|_| same_act && same_advice && !of_one),
            act_cost: (same_act && !costs.is_empty()).then_some(costs),
        }
    }
}
