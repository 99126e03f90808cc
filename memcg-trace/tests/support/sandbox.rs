//! Simulates a machine that lacks something: runs a command with its own mounts.

use std::{ffi::CStr, io, os::unix::process::CommandExt as _, process::Command, ptr};

/// Makes these directories empty for the command.
pub fn hiding(command: &mut Command, places: &'static [&'static CStr]) {
    let enter = move || {
        // SAFETY: C strings, and null pointers where the call takes none.
        unsafe {
            done(libc::unshare(libc::CLONE_NEWNS))?;
            let private = libc::MS_REC | libc::MS_PRIVATE;
            done(libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), private, ptr::null()))?;
            for place in places {
                let tmpfs = c"tmpfs".as_ptr();
                done(libc::mount(tmpfs, place.as_ptr(), tmpfs, 0, ptr::null()))?;
            }
        }
        Ok(())
    };
    // SAFETY: after the fork it makes system calls only.
    unsafe { command.pre_exec(enter) };
}

/// Unmounts `places` for the command.
pub fn without_mounts(command: &mut Command, places: &'static [&'static CStr]) {
    let enter = move || {
        // SAFETY: C strings, and null pointers where the call takes none.
        unsafe {
            done(libc::unshare(libc::CLONE_NEWNS))?;
            let private = libc::MS_REC | libc::MS_PRIVATE;
            done(libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), private, ptr::null()))?;
            for place in places {
                done(libc::umount2(place.as_ptr(), libc::MNT_DETACH))?;
            }
        }
        Ok(())
    };
    // SAFETY: after the fork it makes system calls only.
    unsafe { command.pre_exec(enter) };
}

/// Makes this mount read-only for the command, as /sys is in a container; mounts below stay as they are.
pub fn read_only(command: &mut Command, mount: &'static CStr) {
    let enter = move || {
        // SAFETY: C strings, and null pointers where the call takes none.
        unsafe {
            done(libc::unshare(libc::CLONE_NEWNS))?;
            let private = libc::MS_REC | libc::MS_PRIVATE;
            done(libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), private, ptr::null()))?;
            let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY;
            done(libc::mount(ptr::null(), mount.as_ptr(), ptr::null(), flags, ptr::null()))
        }
    };
    // SAFETY: after the fork it makes system calls only.
    unsafe { command.pre_exec(enter) };
}

/// What a command in a private cgroup namespace has at /sys/fs/cgroup, where v2 is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupMount {
    /// The whole hierarchy.
    Node,
    /// What a container runtime mounts: the part below the root of the namespace.
    Container,
}

/// Moves the command into a cgroup namespace whose root is the cgroup that it is in by then.
pub fn in_cgroup_namespace(command: &mut Command, mount: CgroupMount) {
    let enter = move || {
        // SAFETY: C strings, and null pointers where the call takes none.
        unsafe {
            done(libc::unshare(libc::CLONE_NEWCGROUP))?;
            if mount == CgroupMount::Container {
                done(libc::unshare(libc::CLONE_NEWNS))?;
                let private = libc::MS_REC | libc::MS_PRIVATE;
                done(libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), private, ptr::null()))?;
                let (at, kind) = (c"/sys/fs/cgroup".as_ptr(), c"cgroup2".as_ptr());
                // Over itself it cannot be mounted.
                done(libc::umount2(at, libc::MNT_DETACH))?;
                done(libc::mount(kind, at, kind, libc::MS_RDONLY, ptr::null()))?;
            }
        }
        Ok(())
    };
    // SAFETY: after the fork it makes system calls only.
    unsafe { command.pre_exec(enter) };
}

/// Numbers of include/uapi/linux/capability.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    DacReadSearch = 2,
    IpcLock = 14,
    SysAdmin = 21,
    Syslog = 34,
    Perfmon = 38,
    Bpf = 39,
}

/// Takes all other capabilities from the command for good, as container runtimes do: those of root are cut to the bounding
/// set at exec. And no program that it runs gets more (`allowPrivilegeEscalation: false`).
pub fn with_capabilities(command: &mut Command, kept: &'static [Capability]) {
    let enter = move || {
        let mut number = 0;
        // SAFETY: numbers only. The first one that the kernel does not know ends the loop.
        while unsafe { libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) } >= 0 {
            if !kept.iter().any(|&capability| capability as libc::c_ulong == number) {
                // SAFETY: numbers only.
                done(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) })?;
            }
            number += 1;
        }
        // SAFETY: numbers only.
        done(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
    };
    // SAFETY: after the fork it makes system calls only.
    unsafe { command.pre_exec(enter) };
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes this system call fail with EPERM for the command, as the default filters of container runtimes do.
pub fn without_call(command: &mut Command, number: libc::c_long) {
    let statement = |code: u32, k| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    // struct seccomp_data begins with the call's number.
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter {
            code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
            jt: 0,
            jf: 1,
            k: number as u32,
        },
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let enter = move || {
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: the program and its instructions outlive the call.
        done(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) })
    };
    // SAFETY: after the fork it makes one system call.
    unsafe { command.pre_exec(enter) };
}

/// Makes test runs of programs fail for the command, as before Linux 5.10.
pub fn without_test_runs(command: &mut Command) {
    const BPF_PROG_TEST_RUN: u32 = 10;
    /// The error of such a kernel.
    const ENOTSUPP: u32 = 524;
    let (word, equal) =
        (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
    let ret = (libc::BPF_RET | libc::BPF_K) as u16;
    let statement = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let unless = |k, jf| libc::sock_filter { code: equal as u16, jt: 0, jf, k };
    // struct seccomp_data: the call's number at 0, its first argument at 16.
    let mut filter = [
        statement(word as u16, 0),
        unless(libc::SYS_bpf as u32, 3),
        statement(word as u16, 16),
        unless(BPF_PROG_TEST_RUN, 1),
        statement(ret, libc::SECCOMP_RET_ERRNO | ENOTSUPP),
        statement(ret, libc::SECCOMP_RET_ALLOW),
    ];
    let enter = move || {
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: the program and its instructions outlive the call.
        done(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) })
    };
    // SAFETY: after the fork it makes one system call.
    unsafe { command.pre_exec(enter) };
}
