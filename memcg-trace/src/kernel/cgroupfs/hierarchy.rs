//! The hierarchy of the memory controller: its version, mount point and cgroups.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fmt, fs, io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{
    mounts::{self, directories, mount_point},
    namespace,
};
use crate::{
    kernel::{ability::Lack, mountinfo, pod},
    record::Version,
};

/// The mounted hierarchy of the memory controller.
#[derive(Clone, Debug)]
pub struct Controller {
    pub version: Version,
    pub mount: PathBuf,
}

/// The reason why the memory controller cannot be traced.
#[derive(Debug, Error)]
pub enum ControllerError {
    #[error(
        "the memory controller is disabled on this kernel; boot without cgroup_disable=memory (or with \
         cgroup_enable=memory)"
    )]
    Disabled,
    #[error("this kernel has no memory controller (CONFIG_MEMCG is not set)")]
    Absent,
    #[error(
        "no cgroup hierarchy with the memory controller is mounted; mount one: \
         mount -t cgroup2 none /sys/fs/cgroup"
    )]
    NotMounted,
    #[error("the memory controller is in another hierarchy: {0}; a controller is in one hierarchy only")]
    Elsewhere(String),
    #[error("cannot read {path}: {error}")]
    Unreadable { path: &'static str, error: io::Error },
}

impl Lack for ControllerError {
    fn next_step(&self) -> String {
        match self {
            Self::Disabled => "boot without cgroup_disable=memory (or with cgroup_enable=memory)".to_owned(),
            Self::Absent => "run a kernel with CONFIG_MEMCG=y".to_owned(),
            Self::NotMounted => "mount one: mount -t cgroup2 none /sys/fs/cgroup".to_owned(),
            Self::Elsewhere(_) => "omit --hierarchy, or name the other one".to_owned(),
            Self::Unreadable { path, .. } => format!("mount /proc, and check the permissions of {path}"),
        }
    }

    fn manifest(&self) -> Option<&'static str> {
        matches!(self, Self::NotMounted).then_some(pod::CGROUP_MOUNT)
    }
}

/// The mount shows only a part of the hierarchy, which is what a container gets at /sys/fs/cgroup.
#[derive(Debug, Error)]
#[error(
    "{mount} shows only {part} and what is below it: counts by directories see nothing else, walks see all; mount the \
     node's /sys/fs/cgroup"
)]
pub struct PartlyMounted {
    mount: String,
    part: String,
}

impl Lack for PartlyMounted {
    fn next_step(&self) -> String {
        "mount the node's /sys/fs/cgroup".to_owned()
    }

    fn manifest(&self) -> Option<&'static str> {
        Some(pod::CGROUP_MOUNT)
    }
}

/// The cgroups that exist before the first event.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Paths of the cgroup directories, by cgroup id (inode number), as seen from the hierarchy's root.
    pub paths: HashMap<u64, Box<[u8]>>,
    /// Number of these that have a memcg.
    pub live: u64,
    /// Number of removed cgroups that still exist in the kernel, where it counts them.
    pub dying: Option<u64>,
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = match self.version {
            Version::V1 => "v1",
            Version::V2 => "v2",
        };
        write!(f, "cgroup {version} at {}", self.mount.display())
    }
}

impl Controller {
    /// Finds the hierarchy by /proc/cgroups and /proc/self/mountinfo.
    pub fn find() -> Result<Self, ControllerError> {
        let cgroups = read("/proc/cgroups")?;
        let mounts = fs::read(mountinfo::OWN)
            .map_err(|error| ControllerError::Unreadable { path: mountinfo::OWN, error })?;
        // Columns: name, hierarchy, number of cgroups, enabled. The row is missing since 6.12 where only v2 has the
        // controller (af000ce85293 "cgroup: Do not report unavailable v1 controllers in /proc/cgroups").
        let row = cgroups.lines().find_map(|line| {
            let columns: Vec<_> = line.split_whitespace().collect();
            (columns.first() == Some(&"memory")).then(|| columns.get(3) == Some(&"1"))
        });
        if row == Some(false) {
            return Err(ControllerError::Disabled);
        }
        if let Some(mount) =
            mount_point(&mounts, "cgroup", |options| options.split(',').any(|o| o == "memory"))
        {
            return Ok(Self { version: Version::V1, mount });
        }
        match mount_point(&mounts, "cgroup2", |_| true) {
            Some(mount) if controls_memory(&mount) => Ok(Self { version: Version::V2, mount }),
            Some(_) if row.is_none() => {
                let parameters = fs::read_to_string("/proc/cmdline").unwrap_or_default();
                let disabled = parameters.split_whitespace().any(|p| {
                    p.strip_prefix("cgroup_disable=")
                        .is_some_and(|list| list.split(',').any(|c| c == "memory"))
                });
                Err(if disabled { ControllerError::Disabled } else { ControllerError::Absent })
            }
            _ => Err(ControllerError::NotMounted),
        }
    }

    /// Whether its mount shows the whole hierarchy. `namespace_root` is the path of our cgroup namespace's root in it, if known.
    pub fn wholly_mounted(&self, namespace_root: Option<&Path>) -> Result<(), PartlyMounted> {
        let Some(shown) = mounts::root_of(&mountinfo::own(), &self.mount) else { return Ok(()) };
        let in_namespace = namespace::is_private() && namespace_root != Some(Path::new("/"));
        if mounts::is_whole(&shown, in_namespace) {
            return Ok(());
        }
        let part = if in_namespace { "our own cgroup".to_owned() } else { shown.display().to_string() };
        Err(PartlyMounted { mount: self.mount.display().to_string(), part })
    }

    /// Whether swap is charged at all: always visible on v1, on v2 in every cgroup but the root.
    pub fn accounts_swap(&self) -> bool {
        match self.version {
            Version::V1 => self.mount.join("memory.memsw.usage_in_bytes").exists(),
            Version::V2 => true,
        }
    }

    /// Cgroup id of the directory at the mount point: the hierarchy's root, unless we are in a cgroup namespace.
    pub fn mounted_id(&self) -> Option<u64> {
        fs::metadata(&self.mount).ok().map(|directory| directory.ino())
    }

    /// Walks the mounted hierarchy. Directories that come and go meanwhile may be missed; events report them.
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        for directory in directories(&self.mount) {
            let Ok(metadata) = fs::metadata(&directory) else { continue };
            let below = directory.strip_prefix(&self.mount).unwrap_or(Path::new(""));
            let path = [b"/", below.as_os_str().as_bytes()].concat();
            census.paths.insert(metadata.ino(), path.into());
            census.live += u64::from(self.has_memcg(&directory));
        }
        census.dying = self.dying(census.live);
        census
    }

    /// Dying memcgs as counted by the kernel. v2: cgroup.stat, preferably the memory counter (6.12, ab0312526867),
    /// otherwise that of all cgroups. v1: /proc/cgroups minus the directories.
    pub fn dying(&self, live: u64) -> Option<u64> {
        match self.version {
            Version::V2 => {
                let stat = fs::read_to_string(self.mount.join("cgroup.stat")).ok()?;
                let counter = |name| {
                    stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
                };
                counter("nr_dying_subsys_memory").or_else(|| counter("nr_dying_descendants"))
            }
            Version::V1 => {
                let cgroups = fs::read_to_string("/proc/cgroups").ok()?;
                let all: u64 = cgroups.lines().find_map(|line| {
                    let mut columns = line.split_whitespace();
                    (columns.next() == Some("memory")).then(|| columns.nth(1)?.parse().ok())?
                })?;
                Some(all.saturating_sub(live))
            }
        }
    }

    fn has_memcg(&self, directory: &Path) -> bool {
        match self.version {
            Version::V1 => true,
            // The root has a memcg, but no memory.stat.
            Version::V2 => directory == self.mount || directory.join("memory.stat").exists(),
        }
    }
}

/// The path in the memory controller's hierarchy, from /proc/PID/cgroup. cgroups(7): `hierarchy-ID:controllers:path`;
/// the v2 line names no controllers, and counts unless a v1 hierarchy has the memory controller.
pub fn memory_path(lines: &[u8]) -> Option<&[u8]> {
    let path = |version| lines.split(|byte| *byte == b'\n').find_map(|line| path_in(version, line));
    path(Version::V1).or_else(|| path(Version::V2))
}

/// Our own path in the hierarchy of the memory controller, from /proc/self/cgroup: below the root of our cgroup namespace.
pub fn own_path() -> PathBuf {
    let lines = fs::read("/proc/self/cgroup").unwrap_or_default();
    PathBuf::from(OsStr::from_bytes(memory_path(&lines).unwrap_or(b"/")))
}

/// The path of one line, if it is that of the memory controller's hierarchy. The kernel appends ` (deleted)` to a
/// removed v2 cgroup.
fn path_in(version: Version, line: &[u8]) -> Option<&[u8]> {
    let mut fields = line.splitn(3, |byte| *byte == b':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    match version {
        Version::V1 => controllers.split(|byte| *byte == b',').any(|name| name == b"memory").then_some(path),
        Version::V2 => controllers.is_empty().then(|| path.strip_suffix(b" (deleted)").unwrap_or(path)),
    }
}

fn read(path: &'static str) -> Result<String, ControllerError> {
    fs::read_to_string(path).map_err(|error| ControllerError::Unreadable { path, error })
}

fn controls_memory(mount: &Path) -> bool {
    fs::read_to_string(mount.join("cgroup.controllers"))
        .is_ok_and(|controllers| controllers.split_whitespace().any(|controller| controller == "memory"))
}

#[cfg(test)]
mod tests {
    use super::memory_path;

    #[test]
    fn the_line_of_the_memory_controller() {
        let table: &[(&str, Option<&str>)] = &[
            ("7:pids:/other\n4:cpu,memory:/a:b\n0::/unified\n", Some("/a:b")),
            ("1:name=systemd:/init\n0::/unified\n", Some("/unified")),
            ("0::/gone (deleted)\n", Some("/gone")),
            ("1:name=memory:/no\n", None),
            ("", None),
        ];
        for (lines, path) in table {
            assert_eq!(memory_path(lines.as_bytes()), path.map(str::as_bytes), "{lines:?}");
        }
    }
}
