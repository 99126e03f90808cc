//! Tasks that are forked and not executed: no program or library is read in their cgroup, whose pages would pin it.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
};

use nix::{
    sys::{
        prctl,
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::{ForkResult, Pid, fork},
};

use super::cgroup::{Cgroup, hierarchy};

/// A child that did its work and stays; it ends with the test.
pub struct Forked(Pid);

impl Forked {
    /// Does the work in a cgroup, or where the test is. The work may use system calls and memory, and no locks.
    pub fn new(cgroup: Option<&Cgroup>, work: impl FnOnce()) -> Self {
        let (mut ours, mut theirs) = io::pipe().expect("a pipe");
        let pid = fork_in(cgroup, || {
            work();
            theirs.write_all(b"r").expect("write to a pipe");
            loop {
                nix::unistd::pause();
            }
        });
        drop(theirs);
        let forked = Self(pid);
        let mut ready = [0];
        ours.read_exact(&mut ready).expect("a task that does its work");
        forked
    }

    /// A child that does the work again and again, outside of any cgroup of a test.
    pub fn again(mut work: impl FnMut()) -> Self {
        Self(fork_in(None, || {
            loop {
                work();
            }
        }))
    }

    pub fn pid(&self) -> u32 {
        self.0.as_raw().cast_unsigned()
    }

    /// Out of its cgroup, to the root of the hierarchy.
    pub fn move_to_root(self) -> Self {
        let procs = hierarchy().1.join("cgroup.procs");
        fs::write(procs, self.pid().to_string()).expect("move a task to the root cgroup");
        self
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        // Fails if it has ended: that is what is wanted.
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

/// A child that has ended and that nobody has waited for.
pub fn ended(cgroup: Option<&Cgroup>, work: impl FnOnce()) -> Pid {
    let pid = fork_in(cgroup, work);
    waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).expect("a child that ends");
    pid
}

/// A child that does its work to the end.
pub fn ended_well(cgroup: &Cgroup, work: impl FnOnce()) {
    let pid = fork_in(Some(cgroup), work);
    let status = waitpid(pid, None).expect("wait for a child");
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
}

/// Ends when `work` does, or when the test does.
pub fn fork_in(cgroup: Option<&Cgroup>, work: impl FnOnce()) -> Pid {
    let door = cgroup.map(|cgroup| cgroup.directory().join("cgroup.procs"));
    let mut door = door.map(|procs| fs::File::options().write(true).open(procs).expect("cgroup.procs"));
    // SAFETY: the child runs system calls and allocates, which glibc allows after a fork; it takes no lock of this process
    // and leaves by _exit.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let done = catch_unwind(AssertUnwindSafe(|| {
                prctl::set_pdeathsig(Signal::SIGKILL).expect("ask for a signal");
                if let Some(procs) = &mut door {
                    procs.write_all(b"0").expect("enter the cgroup");
                }
                work();
            }));
            // SAFETY: takes no pointer. Nothing that belongs to the parent may be dropped here.
            unsafe { libc::_exit(i32::from(done.is_err())) }
        }
    }
}
