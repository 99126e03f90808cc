//! Creates, configures and removes cgroups in the hierarchy of the memory controller. The only place that knows how the
//! files of cgroup v1 and v2 differ.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::hierarchy::Controller;
use crate::record::Version;

/// rmdir fails with EBUSY while a task that ended is still exiting.
const LEAVING: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(2);

const KMEM_LIMIT: &str = "memory.kmem.limit_in_bytes";

/// A cgroup that we created. Dropping it removes it with all its descendants.
#[derive(Debug)]
pub struct Cgroup {
    version: Version,
    directory: PathBuf,
    id: u64,
}

impl Cgroup {
    /// A cgroup below the root of the hierarchy.
    pub fn below_root(controller: &Controller, name: &str) -> Result<Self> {
        let cgroup = Self::create(controller.version, controller.mount.join(name))?;
        if !cgroup.has_memcg() {
            let control = controller.mount.join("cgroup.subtree_control");
            bail!(
                "the memory controller is not enabled for cgroups below the root; enable it: echo +memory > {}",
                control.display()
            );
        }
        Ok(cgroup)
    }

    pub fn child(&self, name: &str) -> Result<Self> {
        Self::create(self.version, self.directory.join(name))
    }

    fn create(version: Version, directory: PathBuf) -> Result<Self> {
        fs::create_dir(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let id = fs::metadata(&directory).map(|metadata| metadata.ino());
        let cgroup = Self { version, directory, id: id.as_ref().copied().unwrap_or_default() };
        id.with_context(|| format!("cannot read {}", cgroup.directory.display()))?;
        Ok(cgroup)
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The cgroup id: inode number of the directory.
    pub fn id(&self) -> u64 {
        self.id
    }

    fn has_memcg(&self) -> bool {
        self.directory.join("memory.stat").exists()
    }

    fn has(&self, file: &str) -> bool {
        self.directory.join(file).exists()
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let file = self.directory.join(file);
        fs::write(&file, text).with_context(|| format!("cannot write \"{text}\" to {}", file.display()))
    }

    fn bytes(&self, file: &str) -> Result<u64> {
        let file = self.directory.join(file);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        text.trim().parse().with_context(|| format!("{} says \"{}\"", file.display(), text.trim()))
    }

    /// Gives the children memcgs; on v1 they always have one.
    pub fn enable_memory(&self) -> Result<()> {
        match self.version {
            Version::V1 => Ok(()),
            Version::V2 => self.write("cgroup.subtree_control", "+memory"),
        }
    }

    /// Takes the children's memcgs away; v2 only.
    pub fn disable_memory(&self) -> Result<()> {
        self.write("cgroup.subtree_control", "-memory")
    }

    /// Bytes charged, except for a batch in the stock of each CPU.
    pub fn charged_bytes(&self) -> Result<u64> {
        self.bytes(match self.version {
            Version::V1 => "memory.usage_in_bytes",
            Version::V2 => "memory.current",
        })
    }

    /// Bytes in swap, exact. v1 charges a swapped page to memsw only.
    pub fn swapped_bytes(&self) -> Result<u64> {
        match self.version {
            Version::V1 => {
                let both = self.bytes("memory.memsw.usage_in_bytes")?;
                Ok(both.saturating_sub(self.bytes("memory.usage_in_bytes")?))
            }
            Version::V2 => self.bytes("memory.swap.current"),
        }
    }

    /// Whether swap is charged to it.
    pub fn accounts_swap(&self) -> bool {
        self.has(match self.version {
            Version::V1 => "memory.memsw.usage_in_bytes",
            Version::V2 => "memory.swap.current",
        })
    }

    /// Lets the kernel reclaim what it can, which also drains the charge stocks.
    pub fn reclaim(&self) {
        // Fails if not everything can be reclaimed.
        let _ = match self.version {
            Version::V1 => self.write("memory.force_empty", "0"),
            Version::V2 => self.write("memory.high", "0").and_then(|()| self.write("memory.high", "max")),
        };
    }

    /// Lets the kernel swap out the memory of the tasks inside. (force_empty would try for seconds to reclaim their
    /// kernel memory as well.)
    pub fn swap_out(&self) {
        // Fails if not everything can be swapped out.
        let _ = match self.version {
            Version::V1 => {
                let limited = self.write("memory.limit_in_bytes", "0");
                limited.and_then(|()| self.write("memory.limit_in_bytes", "-1"))
            }
            Version::V2 => self.write("memory.high", "0").and_then(|()| self.write("memory.high", "max")),
        };
    }

    /// Whether kernel memory has a limit of its own: v1 only.
    pub fn has_kmem_limit(&self) -> bool {
        self.has(KMEM_LIMIT)
    }

    /// Limits kernel memory; -1 removes the limit. Before 4.5 this enables kernel memory accounting, permanently.
    pub fn limit_kmem(&self, bytes: i64) -> Result<()> {
        self.write(KMEM_LIMIT, &bytes.to_string())
    }

    /// Sets and removes a kernel memory limit, as runc did for every container (runc#1725).
    pub fn toggle_kmem_limit(&self) -> Result<()> {
        self.limit_kmem(1)?;
        self.limit_kmem(-1)
    }

    /// Number of slab caches of its memcg, up to 5.8. `None`: cannot be read.
    pub fn slab_caches(&self) -> Option<usize> {
        let text = fs::read(self.directory.join("memory.kmem.slabinfo")).ok()?;
        // Skip the two header lines.
        Some(text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count().saturating_sub(2))
    }

    /// Makes socket buffers charged to it. v2 always charges them; v1 only to a cgroup whose limit was ever set.
    pub fn charge_sockets(&self) -> Result<()> {
        match self.version {
            Version::V1 => self.write("memory.kmem.tcp.limit_in_bytes", "1073741824"),
            Version::V2 => Ok(()),
        }
    }

    /// Opens `cgroup.procs` in advance, for a process that cannot open it later.
    pub fn door(&self) -> Result<Door> {
        let procs = self.directory.join("cgroup.procs");
        let file = File::options().write(true).open(&procs);
        Ok(Door(file.with_context(|| format!("cannot open {}", procs.display()))?))
    }

    /// Removes the directory. Waits for tasks that are exiting.
    pub fn remove(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            match fs::remove_dir(&self.directory) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy && begun.elapsed() < LEAVING => {
                    thread::sleep(PAUSE);
                }
                result => {
                    return result.with_context(|| format!("cannot remove {}", self.directory.display()));
                }
            }
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.directory) {
            log::error!("{error:#}");
        }
    }
}

/// An open `cgroup.procs`.
pub struct Door(File);

impl Door {
    /// Moves the calling process into the cgroup. The file is closed: on 3.10 it would keep the memcg.
    pub fn enter(mut self) -> io::Result<()> {
        self.0.write_all(b"0")
    }
}

impl AsRawFd for Door {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Moves a process to the root of the hierarchy.
pub fn move_to_root(controller: &Controller, pid: i32) -> Result<()> {
    let procs = controller.mount.join("cgroup.procs");
    fs::write(&procs, pid.to_string())
        .with_context(|| format!("cannot move a process to {}", procs.display()))
}

/// Removes a directory and its descendants; not an error if they do not exist. Waits for tasks that are being killed.
pub fn remove_tree(directory: &Path) -> Result<()> {
    let begun = Instant::now();
    while let Err(error) = try_remove(directory) {
        if begun.elapsed() > LEAVING {
            return Err(error).with_context(|| format!("cannot remove {}", directory.display()));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn try_remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::ResourceBusy => return Err(error),
        Err(_) => {}
        Ok(()) => return Ok(()),
    }
    for entry in fs::read_dir(directory)?.flatten() {
        if entry.file_type().is_ok_and(|ty| ty.is_dir()) {
            try_remove(&entry.path())?;
        }
    }
    fs::remove_dir(directory)
}
