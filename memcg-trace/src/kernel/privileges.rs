//! Privileges of the process: checked before tracing, dropped after attaching.

use std::{fs, io, os::fd::AsFd, path::Path, thread};

use ::landlock::RulesetError;
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::{
    prctl::set_no_new_privs,
    resource::{Resource, getrlimit, setrlimit},
};
use thiserror::Error;

use super::{
    ability::Lack,
    confinement::Confinement,
    landlock, pod,
    refused::{self, Guard},
    seccomp,
};

/// `PROC_USER_INIT_INO` (include/linux/proc_ns.h), the same since 3.8.
const INITIAL_USER_NAMESPACE: &str = "user:[4026531837]";

/// A missing privilege.
#[derive(Debug, Error)]
pub enum PrivilegeError {
    #[error(
        "missing {0}: tracing the kernel requires CAP_BPF and CAP_PERFMON (before Linux 5.8: CAP_SYS_ADMIN); run it as root"
    )]
    Missing(String),
    #[error(
        "root of a user namespace has no privilege over the kernel, whatever capabilities it has; run it as root of the node"
    )]
    UserNamespace,
    #[error(
        "bpf(2) is refused by {0}, although the capabilities are there; let it pass bpf(2) and perf_event_open(2)"
    )]
    Refused(Guard),
    #[error(
        "the kernel is locked down ({0}), which keeps eBPF programs from reading kernel memory; boot without \
         lockdown=confidentiality"
    )]
    Lockdown(&'static str),
}

impl Lack for PrivilegeError {
    fn next_step(&self) -> String {
        match self {
            Self::Missing(_) => "run it as root",
            Self::UserNamespace => "run it as root of the node, outside the user namespace",
            Self::Refused(_) => "let it pass bpf(2) and perf_event_open(2)",
            Self::Lockdown(_) => "boot without lockdown=confidentiality",
        }
        .to_owned()
    }

    fn manifest(&self) -> Option<&'static str> {
        match self {
            Self::Missing(_) => Some(pod::CAPABILITIES),
            Self::UserNamespace => Some(pod::HOST_USERS),
            Self::Refused(Guard::Seccomp) => Some(pod::UNCONFINED),
            Self::Refused(Guard::SecurityModule) => Some(pod::SPC_T),
            Self::Lockdown(_) => None,
        }
    }
}

/// Checks the capabilities, whether bpf(2) may be called, and the lockdown state.
pub fn check() -> Result<(), PrivilegeError> {
    capabilities()?;
    bpf_call()?;
    match lockdown() {
        Some(Lockdown::Confidentiality) => Err(PrivilegeError::Lockdown("confidentiality")),
        _ => Ok(()),
    }
}

/// Whether bpf(2) may be called by who has the capabilities for it.
pub fn bpf_call() -> Result<(), PrivilegeError> {
    refused::bpf_refused_by().map_or(Ok(()), |guard| Err(PrivilegeError::Refused(guard)))
}

/// Lockdown mode (kernel_lockdown(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lockdown {
    None,
    /// Root cannot modify the running kernel.
    Integrity,
    /// Root cannot read kernel memory either.
    Confidentiality,
}

/// The lockdown mode; `None`: unknown, because securityfs is not mounted or hidden, or the kernel has no lockdown.
pub fn lockdown() -> Option<Lockdown> {
    // "none integrity [confidentiality]"
    let state = fs::read_to_string("/sys/kernel/security/lockdown").ok()?;
    let is = |name: &str| state.contains(&format!("[{name}]"));
    [
        ("none", Lockdown::None),
        ("integrity", Lockdown::Integrity),
        ("confidentiality", Lockdown::Confidentiality),
    ]
    .into_iter()
    .find_map(|(name, lockdown)| is(name).then_some(lockdown))
}

/// Checks the capabilities, and returns the ones used.
pub fn capabilities() -> Result<&'static str, PrivilegeError> {
    let namespace = fs::read_link("/proc/self/ns/user");
    if namespace.is_ok_and(|namespace| namespace.as_os_str() != INITIAL_USER_NAMESPACE) {
        return Err(PrivilegeError::UserNamespace);
    }
    let has = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    if has(Capability::CAP_SYS_ADMIN) {
        return Ok("CAP_SYS_ADMIN");
    }
    let missing: Vec<_> = [Capability::CAP_BPF, Capability::CAP_PERFMON]
        .into_iter()
        .filter(|capability| !has(*capability))
        .map(|capability| capability.to_string())
        .collect();
    if missing.is_empty() {
        Ok("CAP_BPF and CAP_PERFMON; without CAP_SYS_ADMIN, missed kprobes are not counted")
    } else {
        Err(PrivilegeError::Missing(missing.join(" and ")))
    }
}

/// Of locked memory, to which kernels before 5.11 charge maps and buffers; of open files (a buffer of each CPU is one)
/// as far as it may be raised.
pub fn raise_limits() {
    let unlimited = libc::RLIM_INFINITY;
    if let Err(error) = setrlimit(Resource::RLIMIT_MEMLOCK, unlimited, unlimited) {
        log::debug!("cannot raise the memlock limit: {error}");
    }
    let files = Resource::RLIMIT_NOFILE;
    if let Err(error) = getrlimit(files).and_then(|(_, hard)| setrlimit(files, hard, hard)) {
        log::debug!("cannot raise the limit of open files: {error}");
    }
}

/// Keeps only the capabilities needed to read maps without being preempted. Kernels without CAP_BPF (before 5.8) need
/// CAP_SYS_ADMIN for that.
pub fn drop_unneeded() {
    let permitted = caps::read(None, CapSet::Permitted).unwrap_or_default();
    let wanted = [Capability::CAP_BPF, Capability::CAP_PERFMON];
    let reading = if wanted.iter().all(|capability| permitted.contains(capability)) {
        wanted.to_vec()
    } else {
        vec![Capability::CAP_SYS_ADMIN]
    };
    keep(reading.into_iter().chain([Capability::CAP_SYS_NICE]));
}

/// For a thread that only reads other users' files, on the node with this root. (Capabilities and Landlock are per thread.)
pub fn keep_reading_files(root: &Path) -> Confinement {
    let landlock = landlock::read_only_below(root);
    keep([Capability::CAP_DAC_READ_SEARCH]);
    Confinement::of_this_thread(enforced(landlock))
}

/// For a thread that only writes to files that are open.
pub fn keep_none() {
    enforced(landlock::forbid_changes());
    keep([]);
}

/// For a thread that makes, writes and removes files in one directory, as the user that it runs as may.
pub fn keep_changing(directory: impl AsFd) {
    enforced(landlock::forbid_changes_elsewhere(directory));
    keep([]);
}

/// What is in force in a thread that keeps next to nothing: tried on one that ends with it. `None`: there can be no other thread.
pub fn try_confinement() -> Option<Confinement> {
    thread::spawn(|| keep_reading_files(Path::new("/"))).join().ok()
}

fn enforced(landlock: Result<Option<i32>, RulesetError>) -> Option<i32> {
    landlock.inspect_err(|error| log::debug!("cannot restrict access to files: {error}")).ok().flatten()
}

/// Drops all others from this thread, and those that it starts, for good: nothing that it may be brought to do regains them.
fn keep(capabilities: impl IntoIterator<Item = Capability>) {
    let permitted = caps::read(None, CapSet::Permitted).unwrap_or_default();
    let keep: CapsHashSet =
        capabilities.into_iter().filter(|capability| permitted.contains(capability)).collect();
    // While there is CAP_SETPCAP.
    let bounded = caps::clear(None, CapSet::Bounding);
    let dropped =
        caps::set(None, CapSet::Effective, &keep).and_then(|()| caps::set(None, CapSet::Permitted, &keep));
    if let Err(error) = dropped {
        log::warn!("cannot drop capabilities: {error}");
    }
    if let Err(error) = bounded {
        log::debug!("cannot empty the bounding set: {error}");
    }
    let no_new_privileges = set_no_new_privs().map_err(io::Error::from);
    if let Err(error) = no_new_privileges.and_then(|()| seccomp::forbid()) {
        log::debug!("cannot forbid system calls: {error}");
    }
}
