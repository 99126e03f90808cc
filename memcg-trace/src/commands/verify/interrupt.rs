//! Ctrl-C and SIGTERM: recorded by the handler and checked between steps, so that everything created is cleaned up.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use thiserror::Error;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// A signal asked us to stop.
#[derive(Debug, Error)]
#[error("interrupted: nothing was judged, and everything created was removed")]
pub struct Interrupted;

/// Installs the handlers: from now on the signals do not terminate the process.
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

/// Fails if one of them was received.
pub fn check() -> Result<()> {
    if REQUESTED.load(Ordering::Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
}
