//! External events that end a run.

use std::{mem, ptr};

use anyhow::{Context as _, Result};
use nix::sys::signal::{self, SigHandler};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep_until},
};

/// The signals that end a run.
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
    /// `None`: ignored from the start, by nohup(1).
    hangup: Option<Signal>,
}

impl Stop {
    /// Starts listening; requires a tokio runtime.
    pub fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: (!ignored(signal::SIGHUP)).then(|| listen(SignalKind::hangup())).transpose()?,
        })
    }

    /// Returns at the first signal, or when the time is up.
    pub async fn requested(&mut self, end: Option<Instant>) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = received(self.hangup.as_mut()) => {}
            () = until(end) => {}
        }
    }
}

/// The run ends, which takes time, too: another signal ends the process at once.
impl Drop for Stop {
    fn drop(&mut self) {
        let hangup = self.hangup.is_some().then_some(signal::SIGHUP);
        for number in [signal::SIGINT, signal::SIGTERM].into_iter().chain(hangup) {
            // SAFETY: no handler is installed.
            if let Err(error) = unsafe { signal::signal(number, SigHandler::SigDfl) } {
                log::debug!("cannot reset {number}: {error}");
            }
        }
    }
}

fn ignored(number: signal::Signal) -> bool {
    // SAFETY: all zeroes is an action: SIG_DFL with an empty mask.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: without a new action it only writes the present one to `action`, which lives.
    let asked = unsafe { libc::sigaction(number as libc::c_int, ptr::null(), &mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Waits forever if nobody listens.
async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Waits forever if there is no end.
async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}
