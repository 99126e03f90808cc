//! Exit codes: part of the interface, documented in `--help`.

use std::{
    error::Error,
    process::{ExitCode, Termination},
};

use crate::{
    kernel::{
        ability::Lack,
        cgroupfs::hierarchy::ControllerError,
        hooks::attach::AttachError,
        layout::{LayoutError, proof::ProofError},
        pins::PinsError,
        privileges::PrivilegeError,
        slab::listing::SlabListError,
        walk::WalkError,
    },
    source::LiveError,
};

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    /// Used by clap itself.
    Usage = 2,
    /// A leak was found, and `--fail-on-leak` or the like was given.
    Leak = 3,
    /// Events were lost or a hook is missing, and the result depends on them.
    Inconclusive = 4,
    /// This kernel or machine lacks something required.
    Unsupported = 69,
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}

/// The exit code of an error: distinguishes what the machine lacks from failures.
pub fn of(error: &anyhow::Error) -> Exit {
    let lacking = error.chain().any(|cause| LACKING.iter().any(|is_such| is_such(cause)));
    if lacking { Exit::Unsupported } else { Exit::Failed }
}

/// Errors about something that the machine lacks.
const LACKING: &[fn(&(dyn Error + 'static)) -> bool] = &[
    is::<AttachError>,
    is::<ControllerError>,
    is::<LayoutError>,
    is::<LiveError>,
    is::<PinsError>,
    is::<PrivilegeError>,
    is::<ProofError>,
    is::<SlabListError>,
    is::<WalkError>,
];

fn is<E: Lack + 'static>(cause: &(dyn Error + 'static)) -> bool {
    cause.is::<E>()
}
