//! Standard output and standard error of the process: data and messages.
//!
//! An error names its stream. Nobody waits for a reader of messages, and nothing fails for lack of one.

mod opened;
mod stderr;
mod stdout;

pub use stderr::say;
pub use stdout::Stdout;

use std::io;

use nix::sys::signal::{SigHandler, Signal, signal};

/// To be called first: a file that reaches RLIMIT_FSIZE is an error (EFBIG) then, and no signal that ends the process.
pub fn set_up() {
    // SAFETY: no handler is installed.
    let ignored = unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) };
    if let Err(error) = ignored {
        log::debug!("cannot ignore SIGXFSZ: {error}");
    }
}

/// The same error, with what could not be written to.
fn naming(stream: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write to {stream}: {error}"))
}
