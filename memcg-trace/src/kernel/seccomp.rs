//! Filters for system calls: those that nothing needs once the hooks are attached, whatever privileges one may regain.

use std::{hash::RandomState, io};

use nix::sys::prctl::set_no_new_privs;

/// Fail with EPERM from then on: programs, namespaces, mounts, modules, memory of other processes, and serving.
const FORBIDDEN: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_open_by_handle_at,
    libc::SYS_io_uring_setup,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bind,
    libc::SYS_listen,
];

/// `AUDIT_ARCH_*` (include/uapi/linux/audit.h): numbers of system calls mean nothing without it.
#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7;

/// Calls of x32 have this bit in their number, and would be others to the filter.
const X32: u32 = 0x4000_0000;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// For this thread and those that it starts. Needs `no_new_privs`, or CAP_SYS_ADMIN.
pub fn forbid() -> io::Result<()> {
    install(&filter(FORBIDDEN))
}

/// From now on, this thread opens no file.
pub fn forbid_opening() -> io::Result<()> {
    // std seeds a thread's hash maps once, and opens /dev/urandom for that where getrandom says that it would have to wait: soon after
    // the start of a kernel before 5.6. Refused, it panics.
    let _ = RandomState::new();
    set_no_new_privs()?;
    install(&filter(&[libc::SYS_openat, libc::SYS_openat2]))
}

fn install(filter: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the kernel copies the program, which outlives the call, and writes nothing to it.
    match unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Allows what is neither of another architecture nor forbidden.
fn filter(forbidden: &[libc::c_long]) -> Vec<libc::sock_filter> {
    let load = |offset| instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, offset);
    let ret = |value| instruction(libc::BPF_RET | libc::BPF_K, 0, value);
    let deny = ret(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);
    // Each test skips the refusal that follows it.
    let mut filter = vec![load(ARCHITECTURE), instruction(JUMP_EQUAL, 1, ARCH), deny, load(NUMBER)];
    filter.extend([sock_filter_unless(libc::BPF_JGE, X32), deny]);
    for number in forbidden {
        filter.extend([sock_filter_unless(libc::BPF_JEQ, *number as u32), deny]);
    }
    filter.push(ret(libc::SECCOMP_RET_ALLOW));
    filter
}

const JUMP_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;

/// Skips an instruction unless the comparison holds.
fn sock_filter_unless(comparison: u32, value: u32) -> libc::sock_filter {
    let code = (libc::BPF_JMP | comparison | libc::BPF_K) as u16;
    libc::sock_filter { code, jt: 0, jf: 1, k: value }
}

/// `skip`: instructions that are skipped if a comparison holds.
fn instruction(code: u32, skip: u8, value: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: skip, jf: 0, k: value }
}

#[cfg(test)]
mod tests {
    use std::{process::Command, thread};

    use super::*;

    #[test]
    fn what_is_forbidden_fails_and_what_is_not_goes_on() {
        let of_a_thread = thread::spawn(|| {
            // SAFETY: it takes no pointers, and is of this thread alone.
            assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
            forbid().expect("a filter");
            let refused = Command::new("/bin/true").status().map_err(|error| error.raw_os_error());
            (refused.err(), std::fs::read_to_string("/proc/self/status").is_ok())
        });
        assert_eq!(of_a_thread.join().expect("it goes on"), (Some(Some(libc::EPERM)), true));
    }

    #[test]
    fn a_thread_that_may_not_open_files_does_all_else() {
        let of_a_thread = thread::spawn(|| {
            forbid_opening().expect("a filter");
            let refused = std::fs::read("/proc/self/status").map_err(|error| error.kind());
            (refused.err(), std::fs::read_link("/proc/self/exe").is_ok())
        });
        assert_eq!(of_a_thread.join().expect("it goes on"), (Some(io::ErrorKind::PermissionDenied), true));
        assert!(std::fs::read("/proc/self/status").is_ok(), "another thread");
    }

    #[test]
    fn a_thread_that_may_not_open_files_needs_no_random_numbers_any_more() {
        let of_a_thread = thread::spawn(|| {
            forbid_opening().expect("a filter");
            // A kernel that has none yet.
            install(&filter(&[libc::SYS_getrandom])).expect("a filter");
            std::collections::HashMap::from([(1, 2)]).len()
        });
        assert_eq!(of_a_thread.join().expect("hash maps"), 1);
    }
}
