//! The description of one VM: which kernel, what is in it, what it runs.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::kernel::Kernel;

/// The cgroup hierarchy of the memory controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Cgroup {
    /// Memory and pids hierarchies below /sys/fs/cgroup
    V1,
    /// One hierarchy, with memory and pids enabled for the children of its root
    V2,
}

impl Cgroup {
    /// "v1" or "v2".
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// The init process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// A script of ours
    Busybox,
    /// Debian's systemd, and containerd beside it; the command is a service
    Systemd,
}

/// The kernel to boot and the command to run in it.
pub struct Vm {
    pub kernel: Kernel,
    pub cgroup: Cgroup,
    pub init: Init,
    pub memory_mb: u32,
    pub cpus: u32,
    /// Additional kernel parameters.
    pub append: String,
    /// KVM instead of emulation.
    pub kvm: bool,
    /// Additional kernel modules for modprobe.
    pub modules: Vec<String>,
    /// Files of the host, and their paths in the VM.
    pub files: Vec<(PathBuf, PathBuf)>,
    pub environment: Vec<(String, String)>,
    pub command: Vec<OsString>,
    pub timeout: Duration,
}
