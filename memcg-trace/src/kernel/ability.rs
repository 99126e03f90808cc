//! The result of a probe: yes, no with the next step, or could not tell.

use std::error::Error;

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

/// A feature, and whether it works here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ability {
    pub what: String,
    pub answer: Answer,
}

/// An error that means that the machine or kernel lacks something.
pub trait Lack: Error {
    /// The next step. If the error's text ends with a next step, it is this exact string.
    fn next_step(&self) -> String;
}

impl Answer {
    pub fn yes(detail: impl Into<String>) -> Self {
        Self::Yes { detail: detail.into() }
    }

    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown { reason: reason.into() }
    }

    /// Splits the error's text into reason and next step.
    pub fn no(lack: &impl Lack) -> Self {
        let (text, next) = (lack.to_string(), lack.next_step());
        let reason = text.strip_suffix(&next).map_or(&*text, |reason| reason.trim_end_matches([';', ' ']));
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
