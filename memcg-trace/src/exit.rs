//! Exit codes: part of the interface, documented in `--help`.

use std::process::{ExitCode, Termination};

use crate::{
    kernel::{
        attach::AttachError, controller::ControllerError, layout::LayoutError, pins::PinsError, privileges::PrivilegeError,
        proof::ProofError, slab_list::SlabListError, walk::WalkError,
    },
    source::live::LiveError,
};

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    /// clap ends the process with this one by itself.
    Usage = 2,
    /// A leak was found, and the caller asked to be told.
    Leak = 3,
    /// Events were lost, or a hook is missing, and the answer depends on them.
    Inconclusive = 4,
    /// This kernel or machine lacks something that is needed.
    Unsupported = 69,
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}

/// The exit code of an error: what the machine lacks is told apart from what went wrong.
pub fn of(error: &anyhow::Error) -> Exit {
    let lacking = error.chain().any(|cause| {
        cause.is::<AttachError>()
            || cause.is::<ControllerError>()
            || cause.is::<LayoutError>()
            || cause.is::<LiveError>()
            || cause.is::<PinsError>()
            || cause.is::<PrivilegeError>()
            || cause.is::<ProofError>()
            || cause.is::<SlabListError>()
            || cause.is::<WalkError>()
    });
    if lacking { Exit::Unsupported } else { Exit::Failed }
}
