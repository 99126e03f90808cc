//! The result of a probe: yes, no with the next step, or could not tell.

use std::{error::Error, fmt};

use super::{hooks::plan::Planned, pod};
use crate::record::{Backend, WalkMeans};

/// The result of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Yes {
        detail: String,
    },
    No {
        reason: String,
        /// The next step for the user.
        next: String,
    },
    /// Could not tell.
    Unknown {
        reason: String,
    },
}

/// Something that may work here. Displays as people call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbilityId {
    Privileges,
    /// What is in force once privileges are dropped.
    Confinement,
    Lockdown,
    Sysctls,
    Hierarchy,
    /// Answered only where a part of it is mounted.
    WholeHierarchy,
    Runtimes,
    Btf,
    Layout,
    Counters,
    Walk(WalkMeans),
    /// What refers to dying memcgs.
    Pins,
    MemcgCaches,
    Backend(Backend),
    /// One hook of a backend.
    Hook(Backend, &'static Planned),
    SelfTest,
    /// A command, by its name.
    Command(&'static str),
}

/// A feature, and whether it works here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ability {
    pub id: AbilityId,
    pub answer: Answer,
}

impl fmt::Display for AbilityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Privileges => f.write_str("privileges"),
            Self::Confinement => f.write_str("confinement of threads"),
            Self::Pins => f.write_str("explain"),
            Self::Lockdown => f.write_str("kernel not locked down"),
            Self::Sysctls => f.write_str("kernel settings"),
            Self::Hierarchy => f.write_str("memory controller"),
            Self::WholeHierarchy => f.write_str("the whole cgroup hierarchy"),
            Self::Runtimes => f.write_str("container runtimes"),
            Self::Btf => f.write_str("type information (BTF)"),
            Self::Layout => f.write_str("layout of kernel structs"),
            Self::Counters => f.write_str("what memcgs are charged for"),
            Self::Walk(means) => write!(f, "walk {means}"),
            Self::MemcgCaches => f.write_str("slab caches of memcgs"),
            Self::Backend(backend) => write!(f, "{backend} backend"),
            Self::Hook(backend, planned) => write!(f, "{backend}: {}", planned.place()),
            Self::SelfTest => f.write_str("self-test"),
            Self::Command(name) => write!(f, "memcg-trace {name}"),
        }
    }
}

/// An error that means that the machine or kernel lacks something.
pub trait Lack: Error {
    /// The next step. If the error's text ends with a next step, it is this exact string.
    fn next_step(&self) -> String;

    /// The line of a pod's manifest that grants it; see [`pod`].
    fn manifest(&self) -> Option<&'static str> {
        None
    }
}

impl Answer {
    pub fn yes(detail: impl Into<String>) -> Self {
        Self::Yes { detail: detail.into() }
    }

    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown { reason: reason.into() }
    }

    /// Splits the error's text into reason and next step, which in a pod is the line of its manifest.
    pub fn no(lack: &impl Lack) -> Self {
        let (text, next) = (lack.to_string(), lack.next_step());
        let reason = text.strip_suffix(&next).map_or(&*text, |reason| reason.trim_end_matches([';', ' ']));
        let manifest = lack.manifest().filter(|_| pod::is_pod());
        let next = manifest.map_or(next, |line| format!("in the pod's manifest: {line}"));
        Self::No { reason: reason.to_owned(), next }
    }

    /// `detail` describes what was found.
    pub fn of<T, E: Lack>(found: &Result<T, E>, detail: impl FnOnce(&T) -> String) -> Self {
        match found {
            Ok(found) => Self::yes(detail(found)),
            Err(lack) => Self::no(lack),
        }
    }

    pub fn is_yes(&self) -> bool {
        matches!(self, Self::Yes { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{
        cgroupfs::hierarchy::ControllerError, hooks::attach::AttachError, privileges::PrivilegeError,
    };

    #[test]
    fn next_step_stands_by_itself() {
        let no = |reason: &str, next: &str| Answer::No { reason: reason.to_owned(), next: next.to_owned() };
        assert_eq!(
            Answer::no(&AttachError::KprobesOff),
            no("kprobes are switched off", "switch them on: echo 1 > /sys/kernel/debug/kprobes/enabled")
        );
        assert_eq!(
            Answer::no(&PrivilegeError::Lockdown("confidentiality")),
            no(
                "the kernel is locked down (confidentiality), which keeps eBPF programs from reading kernel memory",
                "boot without lockdown=confidentiality"
            )
        );
        let controller = Answer::no(&ControllerError::Disabled);
        let (reason, next) = (
            "the memory controller is disabled on this kernel",
            "boot without cgroup_disable=memory (or with cgroup_enable=memory)",
        );
        assert_eq!(controller, no(reason, next));
    }
}
