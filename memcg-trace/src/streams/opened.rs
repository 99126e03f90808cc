//! Whether the process was started with its standard streams open.
//!
//! Before `main`, Rust's runtime opens /dev/null in the place of closed ones (std/src/sys/pal/unix/mod.rs,
//! `sanitize_standard_fds`), lest a file that is opened later becomes one. Output would go nowhere, and all would seem well.

use std::sync::atomic::{AtomicBool, Ordering};

static STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);

// SAFETY: the C library calls the functions of this section before `main`; this one makes a system call and stores to an
// atomic, which needs nothing of Rust's runtime.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: F_GETFD takes no pointer; a number that is no open file is an error.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    STDOUT_CLOSED.store(flags == -1, Ordering::Relaxed);
}

/// Whether standard output was closed (`>&-`).
pub fn stdout_was_closed() -> bool {
    STDOUT_CLOSED.load(Ordering::Relaxed)
}
