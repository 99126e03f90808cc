//! Tasks that run in a cgroup. They fork without exec: otherwise pages of the program and its libraries would be read
//! in the cgroup, and pin it as well. They exit when we do, for whatever reason.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::fd::{AsRawFd as _, RawFd},
    panic::{AssertUnwindSafe, catch_unwind},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    errno::Errno,
    sys::{
        prctl,
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::{ForkResult, Pid, fork, getpid, getppid},
};

use crate::kernel::cgroupfs::cgroup::{Cgroup, Door};

/// A child process. Dropping it kills and reaps it.
#[derive(Debug)]
pub struct ForkedTask(Pid);

/// Lets a task report that it has done its work and stays.
pub struct Ready(io::PipeWriter);

/// Byte sent by a task that stays. One that fails sends the reason.
const STAYS: u8 = 0;

impl ForkedTask {
    /// Starts a task in the cgroup and waits until it stays or has exited; then it is a zombie, as nobody has reaped
    /// it.
    pub fn start(cgroup: &Cgroup, work: impl FnOnce(&mut Ready) -> io::Result<()>) -> Result<Self> {
        let door = cgroup.door()?;
        let (mut ours, theirs) = io::pipe().context("cannot create a pipe")?;
        let parent = getpid();
        // SAFETY: verify is single-threaded, so the child may do anything. (In tests, which have more threads, glibc
        // keeps its allocator usable after fork, and the child takes no other lock.)
        let task = match unsafe { fork() }.context("cannot fork")? {
            ForkResult::Parent { child } => Self(child),
            ForkResult::Child => {
                let done = catch_unwind(AssertUnwindSafe(|| run(parent, door, Ready(theirs), work)));
                // SAFETY: takes no pointer. Nothing owned by the parent may be dropped here.
                unsafe { libc::_exit(i32::from(!done.unwrap_or(false))) }
            }
        };
        drop(theirs);
        let mut first = [0];
        let length = ours.read(&mut first).context("cannot read from a pipe")?;
        let mut said = first[..length].to_vec();
        if said == [STAYS] {
            return Ok(task);
        }
        ours.read_to_end(&mut said).context("cannot read from a pipe")?;
        let status = waitid(Id::Pid(task.0), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        if !matches!(status, Ok(WaitStatus::Exited(_, 0))) {
            let said = String::from_utf8_lossy(&said);
            bail!("a task in {} failed ({status:?}): {said}", cgroup.directory().display());
        }
        Ok(task)
    }

    /// Runs a task in the cgroup until it exits.
    pub fn run(cgroup: &Cgroup, work: impl FnOnce() -> io::Result<()>) -> Result<()> {
        Self::start(cgroup, |_| work()).map(drop)
    }

    pub fn pid(&self) -> i32 {
        self.0.as_raw()
    }
}

impl Drop for ForkedTask {
    fn drop(&mut self) {
        // Fails if it has already exited, which is fine.
        let _ = kill(self.0, Signal::SIGKILL);
        while waitpid(self.0, None) == Err(Errno::EINTR) {}
    }
}

impl Ready {
    /// Reports that it stays, and waits to be killed.
    pub fn stay(&mut self) -> io::Result<()> {
        self.0.write_all(&[STAYS])?;
        loop {
            nix::unistd::pause();
        }
    }
}

/// Runs in the child; true on success.
fn run(parent: Pid, door: Door, mut ready: Ready, work: impl FnOnce(&mut Ready) -> io::Result<()>) -> bool {
    // The parent's descriptors of programs and maps would keep them attached.
    close_all_but(&[ready.0.as_raw_fd(), door.as_raw_fd()]);
    let begin = || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if getppid() != parent {
            // The parent has just exited.
            return Err(io::Error::from(Errno::ESRCH));
        }
        door.enter()
    };
    let done = begin().and_then(|()| work(&mut ready));
    if let Err(error) = &done {
        let _ = write!(ready.0, "{error}");
    }
    done.is_ok()
}

fn close_all_but(kept: &[RawFd]) {
    let numbers = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let open: Vec<RawFd> = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| *fd > 2 && !kept.contains(fd)) {
        // SAFETY: the child only uses the descriptors that are kept.
        unsafe { libc::close(fd) };
    }
}
