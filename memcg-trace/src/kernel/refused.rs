//! Why the kernel refused bpf(2) or perf_event_open(2): an errno has many reasons, and its text names none of them.

use std::{error::Error, fmt, fs, io};

use anyhow::Chain;
use nix::sys::resource::{Resource, getrlimit};

use super::pod;

/// What forbids a system call to a process that has the capabilities for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    Seccomp,
    SecurityModule,
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seccomp => "a seccomp filter",
            Self::SecurityModule => "a security module (SELinux, AppArmor)",
        })
    }
}

/// What refuses bpf(2), by a call that does nothing: a look-up in a map that does not exist, which the kernel itself
/// answers with EBADF. Asked with the capabilities for it.
pub fn bpf_refused_by() -> Option<Guard> {
    const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
    // `union bpf_attr` (include/uapi/linux/bpf.h): map_fd -1.
    let attributes = [u64::from(u32::MAX), 0, 0, 0];
    let size = size_of_val(&attributes);
    // SAFETY: the kernel reads `size` bytes at the pointer, and writes nothing without a map.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_LOOKUP_ELEM, attributes.as_ptr(), size) };
    let errno = (result < 0).then(|| io::Error::last_os_error().raw_os_error()).flatten()?;
    match (errno, Restrictions::read().seccomp) {
        (libc::EPERM | libc::ENOSYS | libc::EACCES, true) => Some(Guard::Seccomp),
        (libc::EPERM | libc::EACCES, false) => Some(Guard::SecurityModule),
        _ => None,
    }
}

/// What is asked when a call was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restrictions {
    /// A seccomp filter is installed (`Seccomp: 2` in /proc/self/status).
    pub seccomp: bool,
    /// kernel.perf_event_paranoid; from 3 on, which only Debian's and Ubuntu's kernels know, CAP_SYS_ADMIN is needed.
    pub perf_event_paranoid: Option<i64>,
    /// `ulimit -v` is not unlimited.
    pub address_space_limited: bool,
}

impl Restrictions {
    /// Of this process.
    pub fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").ok();
        let address_space = getrlimit(Resource::RLIMIT_AS);
        Self {
            seccomp: status.lines().any(|line| line.split_whitespace().eq(["Seccomp:", "2"])),
            perf_event_paranoid: paranoid.and_then(|text| text.trim().parse().ok()),
            address_space_limited: address_space.is_ok_and(|(soft, _)| soft != libc::RLIM_INFINITY),
        }
    }

    /// What to do about a refusal; `None`: its errno says nothing of that kind.
    pub fn next_step(self, error: &(dyn Error + 'static)) -> Option<String> {
        let paranoid = self.perf_event_paranoid.filter(|level| *level >= 3);
        let step = match (errno(error)?, paranoid) {
            (libc::EMFILE | libc::ENFILE, _) => "raise the limit of open files: ulimit -n 4096".to_owned(),
            (libc::ENOMEM, _) if self.address_space_limited => {
                "raise the limit of the address space: ulimit -v unlimited".to_owned()
            }
            (libc::ENOMEM, _) => {
                "free memory, raise the memory limit of the cgroup that it runs in, or try a smaller --perf-pages".to_owned()
            }
            (libc::EPERM | libc::EACCES | libc::ENOSYS, _) if self.seccomp => {
                format!(
                    "a seccomp filter is installed: let it pass bpf(2) and perf_event_open(2) (docker run --security-opt \
                     seccomp=unconfined; in Kubernetes, {})",
                    pod::UNCONFINED
                )
            }
            (libc::EACCES | libc::EPERM, Some(level)) => format!(
                "kernel.perf_event_paranoid is {level}, which takes CAP_SYS_ADMIN: run it with that (in Kubernetes, \
                 {}), or sysctl kernel.perf_event_paranoid=2",
                pod::SYS_ADMIN
            ),
            (libc::EPERM, None) => format!(
                "raise the limit of locked memory: ulimit -l unlimited (in Kubernetes, {})",
                pod::CAPABILITIES
            ),
            _ => return None,
        };
        Some(step)
    }
}

/// Of the last cause that has one.
fn errno(error: &(dyn Error + 'static)) -> Option<i32> {
    Chain::new(error).filter_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error()).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_step_is_that_of_the_reason() {
        let none = Restrictions::default();
        let seccomp = Restrictions { seccomp: true, ..none };
        let paranoid = Restrictions { perf_event_paranoid: Some(4), ..none };
        let limited = Restrictions { address_space_limited: true, ..none };
        let table = [
            (seccomp, libc::EPERM, Some("seccomp")),
            (seccomp, libc::ENOSYS, Some("seccomp")),
            (seccomp, libc::EMFILE, Some("ulimit -n")),
            (paranoid, libc::EACCES, Some("kernel.perf_event_paranoid is 4")),
            (Restrictions { perf_event_paranoid: Some(2), ..none }, libc::EACCES, None),
            (none, libc::EPERM, Some("ulimit -l")),
            (none, libc::ENOMEM, Some("--perf-pages")),
            (limited, libc::ENOMEM, Some("ulimit -v")),
            (none, libc::EINVAL, None),
        ];
        for (facts, errno, expected) in table {
            let step = facts.next_step(&io::Error::from_raw_os_error(errno));
            match expected {
                Some(part) => {
                    assert!(step.as_deref().is_some_and(|step| step.contains(part)), "{errno}: {step:?}")
                }
                None => assert_eq!(step, None, "{errno}"),
            }
        }
    }
}
