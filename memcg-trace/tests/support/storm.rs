//! Many cgroups in a short time.

use std::ffi::CString;

use nix::{
    sys::wait::{WaitStatus, waitpid},
    unistd::{ForkResult, Pid, fork},
};

use super::cgroup::Cgroup;

/// Lets each of `processes` create and remove a cgroup below `home`, `rounds` times, concurrently.
pub fn storm(home: &Cgroup, processes: u32, rounds: u32) {
    let start = |process| {
        let path = home.directory().join(format!("storm-{process}"));
        let path = CString::new(path.into_os_string().into_encoded_bytes()).expect("a path without NUL");
        // SAFETY: the child makes system calls only, and leaves without running anything of its parent's.
        match unsafe { fork() }.expect("fork") {
            ForkResult::Parent { child } => child,
            // SAFETY: `path` is a C string; _exit takes none of the locks that another thread may have held.
            ForkResult::Child => unsafe {
                let round = |_| libc::mkdir(path.as_ptr(), 0o755) == 0 && libc::rmdir(path.as_ptr()) == 0;
                libc::_exit(i32::from(!(0..rounds).all(round)))
            },
        }
    };
    let children: Vec<Pid> = (0..processes).map(start).collect();
    let ends: Vec<_> = children.iter().map(|child| waitpid(*child, None)).collect();
    for (child, end) in children.into_iter().zip(ends) {
        assert_eq!(end, Ok(WaitStatus::Exited(child, 0)), "a process of the storm failed");
    }
}
