//! Messages.

use std::{
    io::{self, Write as _},
    os::fd::AsFd as _,
};

use nix::poll::{PollFd, PollFlags, poll};

/// How long a message waits for its reader, ms.
const PATIENCE_MS: u8 = 100;

/// Writes a message to standard error, or drops it where that is closed, full, or not read.
pub fn say(message: &str) {
    let stderr = io::stderr();
    let mut polled = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    // A pipe that is ready takes PIPE_BUF (4096) bytes at once.
    let ready = poll(&mut polled, PATIENCE_MS).is_ok_and(|ready| ready > 0);
    if ready {
        let _ = stderr.lock().write_all(format!("memcg-trace: {message}\n").as_bytes());
    }
}
