//! What a probe answers: yes, no, or could not tell; and what to do about a no.

use std::error::Error;

use super::{
    attach::AttachError, controller::ControllerError, counters::CountersError, kcore::KcoreError,
    layout::LayoutError, memcg_caches::CachesError, privileges::PrivilegeError, proof::ProofError,
    symbols::SymbolError, walk::WalkError,
};

/// The answer to "does this work here?".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Yes {
        detail: String,
    },
    No {
        reason: String,
        /// What to do about it.
        next: String,
    },
    /// Could not tell.
    Unknown {
        reason: String,
    },
}

/// Something that may work here, and whether it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ability {
    pub what: String,
    pub answer: Answer,
}

/// Something that the machine lacks.
pub trait Lack: Error {
    /// What to do about it. Where the error's text ends with it, it says exactly this.
    fn next_step(&self) -> String;
}

impl Answer {
    pub fn yes(detail: impl Into<String>) -> Self {
        Self::Yes { detail: detail.into() }
    }

    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown { reason: reason.into() }
    }

    /// The error's text, of which the next step stands by itself.
    pub fn no(lack: &impl Lack) -> Self {
        let (text, next) = (lack.to_string(), lack.next_step());
        let reason = text.strip_suffix(&next).map_or(&*text, |reason| reason.trim_end_matches([';', ' ']));
        Self::No { reason: reason.to_owned(), next }
    }

    /// `detail` makes a yes of what was found.
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

impl Lack for PrivilegeError {
    fn next_step(&self) -> String {
        match self {
            Self::Missing(_) => "run it as root",
            Self::Lockdown(_) => "boot without lockdown=confidentiality",
        }
        .to_owned()
    }
}

impl Lack for ControllerError {
    fn next_step(&self) -> String {
        match self {
            Self::Disabled => "boot without cgroup_disable=memory (or with cgroup_enable=memory)".to_owned(),
            Self::Absent => "run a kernel with CONFIG_MEMCG=y".to_owned(),
            Self::NotMounted => "mount one: mount -t cgroup2 none /sys/fs/cgroup".to_owned(),
            Self::Elsewhere(_) => "leave out --hierarchy, or name the other one".to_owned(),
            Self::Unreadable { path, .. } => format!("mount /proc, and see who may read {path}"),
        }
    }
}

impl Lack for LayoutError {
    fn next_step(&self) -> String {
        match self {
            Self::NoBtf => {
                "give a BTF file made for exactly this kernel with --btf FILE (BTFHub has those of many distributions' kernels)"
            }
            Self::Unreadable { .. } => {
                "give raw BTF, a vmlinux with a section .BTF or a .btf.tar.xz of BTFHub with --btf FILE"
            }
            Self::Missing { .. } => "check --btf",
        }
        .to_owned()
    }
}

impl Lack for ProofError {
    fn next_step(&self) -> String {
        match self {
            Self::Unreadable(_) => "run where /proc/kcore can be read: containers often hide it",
            Self::Impossible(_) => "use the kernel's own type information, without --btf",
            Self::Refuted { .. } => "use the BTF file of exactly this kernel",
        }
        .to_owned()
    }
}

impl Lack for SymbolError {
    fn next_step(&self) -> String {
        match self {
            Self::Unreadable(_) => "mount /proc",
            Self::Hidden => "sysctl kernel.kptr_restrict=1, and run it as root",
            Self::Absent(_) => "a kernel with CONFIG_KALLSYMS_ALL=y",
        }
        .to_owned()
    }
}

impl Lack for CountersError {
    fn next_step(&self) -> String {
        match self {
            Self::Symbol(error) => error.next_step(),
            Self::Run(_) | Self::Foreign | Self::Ambiguous(..) => {
                "none needed: memcgs are listed all the same, without kinds".to_owned()
            }
        }
    }
}

impl Lack for WalkError {
    fn next_step(&self) -> String {
        match self {
            Self::NoLayout => LayoutError::NoBtf.next_step(),
            Self::NoTable => "give a BTF file of exactly this kernel with --btf FILE".to_owned(),
            Self::Kcore(error) => error.next_step(),
            _ => "the other way to walk, or trace: it follows what is removed from now on".to_owned(),
        }
    }
}

impl Lack for CachesError {
    fn next_step(&self) -> String {
        match self {
            Self::Kcore(error) => error.next_step(),
            Self::SlabInfo(_) => "mount /proc".to_owned(),
            Self::Symbol(error) => error.next_step(),
            Self::Broken | Self::Refuted => "none needed: which of them hold memcgs stays unknown".to_owned(),
        }
    }
}

impl Lack for KcoreError {
    fn next_step(&self) -> String {
        match self {
            Self::Open(_) => "it takes CONFIG_PROC_KCORE, CAP_SYS_RAWIO and no lockdown".to_owned(),
            Self::Format(_) => "run it on the host: containers often hide it".to_owned(),
            Self::NoTask => "none: this core cannot be used".to_owned(),
        }
    }
}

impl Lack for AttachError {
    fn next_step(&self) -> String {
        match self {
            Self::NoLayout => LayoutError::NoBtf.next_step(),
            Self::NoKprobes => "--backend tracepoint does without (no release of IDs, no errno)".to_owned(),
            Self::KprobesOff => {
                format!("switch them on: echo 1 > {}", super::attach::KPROBES_ENABLED)
            }
            Self::Refused { .. } => "see the other hooks; the backend takes those that are needed".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                "the kernel is locked down (confidentiality), which forbids eBPF programs to read kernel memory",
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
