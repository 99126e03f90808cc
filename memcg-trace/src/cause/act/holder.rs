//! Acts on who has a thing: it is freed when they let go.

use std::collections::BTreeSet;

use super::{Act, ActKind, NO_COST};
use crate::cause::{
    facts::{Holder, How},
    shell::Word,
};

/// More processes than this are not ended by one command that somebody pastes.
const MOST: usize = 8;
/// Not even by pasting a line: without init the machine stops.
const INIT: u32 = 1;

/// Everyone who holds it lets go.
#[derive(Default)]
struct LettingGo {
    pids: BTreeSet<u32>,
    /// Mount points of namespaces, which only an umount releases.
    mounts: BTreeSet<String>,
    advice: BTreeSet<String>,
    /// Processes that have it in another way than by a descriptor, too: closing that frees nothing.
    others: BTreeSet<u32>,
    /// Something holds it that no command is given for.
    left: bool,
}

/// Ends or unmounts what holds it.
pub(super) fn end(holders: &[Holder], refs: u64) -> Act {
    let mut end = LettingGo { others: others(holders), ..LettingGo::default() };
    holders.iter().for_each(|holder| end.add(holder));
    if holders.is_empty() {
        return Act::unknown("nobody was found who has it");
    }
    if end.pids.len() > MOST {
        end.left = true;
        end.advice.insert(format!("end the {} processes that have it", end.pids.len()));
        end.pids.clear();
    }
    let kill = (!end.pids.is_empty()).then(|| {
        let pids: Vec<_> = end.pids.iter().map(u32::to_string).collect();
        format!("kill {}", pids.join(" "))
    });
    let umounts = end.mounts.iter().map(|point| format!("umount {point}"));
    let steps: Vec<_> = kill.iter().cloned().chain(umounts).collect();
    let kind = match (&kill, steps.is_empty()) {
        (Some(_), _) => ActKind::End,
        (None, false) => ActKind::Umount,
        (None, true) => ActKind::Unknown,
    };
    let advice = end.advice.into_iter().collect::<Vec<_>>().join("; ");
    Act {
        kind,
        command: (!steps.is_empty()).then(|| steps.join("; ")),
        advice: (!advice.is_empty()).then_some(advice),
        cost: match kind {
            ActKind::End => "those processes",
            ActKind::Umount => "the namespace",
            _ => NO_COST,
        },
        frees: if end.left || steps.is_empty() { 0 } else { refs },
    }
}

fn others(holders: &[Holder]) -> BTreeSet<u32> {
    let by_descriptor = |holder: &&Holder| matches!(holder.how, How::Open { .. } | How::PerfEvent { .. });
    let others = holders.iter().filter(|holder| !by_descriptor(holder));
    others.filter_map(|holder| Some(holder.process.as_ref()?.pid)).collect()
}

impl LettingGo {
    fn add(&mut self, holder: &Holder) {
        let pid = holder.process.as_ref().map(|process| process.pid);
        match (&holder.how, pid) {
            (How::Unreaped { parent }, _) => {
                self.process(parent.pid, "the parent has to wait for its children");
            }
            (How::Open { fd } | How::PerfEvent { fd }, Some(pid)) => {
                let close = format!("or have pid {pid} close fd {fd}");
                self.process(pid, if self.others.contains(&pid) { "" } else { &close });
            }
            (How::Mapped | How::Task | How::InNamespace | How::Attached, Some(pid)) => self.process(pid, ""),
            (How::Mounted { point }, None) => match Word::path(point) {
                Some(point) => {
                    self.mounts.insert(point.to_string());
                }
                None => self.leave("it is mounted under a name that cannot be pasted".into()),
            },
            // umount(2) takes mounts of the own mount namespace alone, and whose umount it is in there nobody knows.
            (How::Mounted { .. }, Some(pid)) => {
                self.leave(format!("it is mounted in the mount namespace of pid {pid}: end that"))
            }
            (How::InFlight { socket }, _) => {
                self.leave(format!("it is in a message at unix socket {socket}: close that, or receive it"))
            }
            (How::Queued { socket }, _) => {
                self.leave(format!("it waits at unix socket {socket}: close that, or accept and receive"))
            }
            (How::Peer { socket }, _) => {
                self.leave(format!("its other end is unix socket {socket}: close that"))
            }
            (_, None) => self.leave("something has it that is no process".into()),
        }
    }

    fn process(&mut self, pid: u32, advice: &str) {
        if pid <= INIT {
            return self.leave(format!("pid {pid} has it, which cannot be ended"));
        }
        self.pids.insert(pid);
        if !advice.is_empty() {
            self.advice.insert(advice.to_owned());
        }
    }

    fn leave(&mut self, advice: String) {
        self.left = true;
        self.advice.insert(advice);
    }
}
