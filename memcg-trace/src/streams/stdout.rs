//! Data.

use std::io::{self, Write};

use super::{naming, opened};

/// Standard output, unbuffered; its errors name it.
#[derive(Debug)]
pub struct Stdout(io::Stdout);

impl Stdout {
    pub fn new() -> Self {
        Self(io::stdout())
    }
}

impl Default for Stdout {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if opened::stdout_was_closed() {
            return Err(naming("standard output", &io::Error::from_raw_os_error(libc::EBADF)));
        }
        self.0.write(bytes).map_err(|error| naming("standard output", &error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(|error| naming("standard output", &error))
    }
}
