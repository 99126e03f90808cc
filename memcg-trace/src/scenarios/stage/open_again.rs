//! A descriptor that a task gets of what its parent has open: tasks start without their parent's descriptors.

use std::{fs::File, io, os::fd::RawFd};

use nix::unistd::getppid;

/// Opens for writing what `fd` of our parent is a descriptor of: a file without a name, or a pipe.
pub fn open_again(fd: RawFd) -> io::Result<File> {
    File::options().write(true).open(format!("/proc/{}/fd/{fd}", getppid()))
}
