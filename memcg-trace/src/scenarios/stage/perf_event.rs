//! A perf event of a task.

use std::{
    io,
    os::fd::{FromRawFd as _, OwnedFd},
};

use nix::errno::Errno;

/// linux/perf_event.h
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;

/// Opens an event that counts the CPU time of the task `pid`; 0: of this one.
pub fn perf_event_of(pid: i32) -> io::Result<OwnedFd> {
    // perf_event_attr (linux/perf_event.h) of 64 bytes: PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK.
    let attr: [u64; 8] = [1 | 64 << 32, 0, 0, 0, 0, 0, 0, 0];
    // SAFETY: the attributes are as long as they say.
    let fd =
        unsafe { libc::syscall(libc::SYS_perf_event_open, attr.as_ptr(), pid, -1, -1, PERF_FLAG_FD_CLOEXEC) };
    let fd = i32::try_from(Errno::result(fd)?).map_err(io::Error::other)?;
    // SAFETY: it was just opened, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
