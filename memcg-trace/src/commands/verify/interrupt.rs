//! Ctrl-C and SIGTERM: noted when they come, answered between two steps, so that whatever was made is known and goes.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use thiserror::Error;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Somebody wants us to end.
#[derive(Debug, Error)]
#[error("interrupted: nothing was judged, and all that was made is removed")]
pub struct Interrupted;

/// From now on the signals end nothing by themselves.
pub fn listen() -> Result<()> {
    extern "C" fn note(_: libc::c_int) {
        REQUESTED.store(true, Ordering::Relaxed);
    }
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler stores to an atomic, nothing else.
        unsafe { sigaction(signal, &action) }.context("cannot listen for signals")?;
    }
    Ok(())
}

/// An error if one of them came.
pub fn check() -> Result<()> {
    if REQUESTED.load(Ordering::Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
}
