//! The root file system of a VM: busybox, the command, its files and the kernel's modules, as a cpio archive.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use cpio::newc;

use super::foreign;
use super::modules::{self, Modules};
use crate::arch::Arch;
use crate::process;

/// File types and permissions (`st_mode`).
const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

/// A cpio archive in memory.
#[derive(Default)]
pub struct Initramfs {
    archive: Vec<u8>,
    directories: BTreeSet<PathBuf>,
    entries: u32,
}

impl Initramfs {
    /// The archive with a static busybox and our init.
    pub fn new(arch: &'static Arch) -> Result<Self> {
        let mut initramfs = Self::default();
        let busybox = if arch.is_host() { static_busybox()? } else { foreign::program(arch, "busybox")? };
        initramfs.add_host_file(&busybox, "/bin/busybox")?;
        initramfs.add("/init", include_bytes!("init.sh"))?;
        Ok(initramfs)
    }

    /// A root file system with systemd, as an archive before ours. Its /bin and /lib are symlinks: nothing may be added
    /// below them.
    pub fn with_systemd(root: &Path) -> Result<Self> {
        let archive = fs::read(root).with_context(|| format!("cannot read {}", root.display()))?;
        let mut initramfs = Self { archive, ..Self::default() };
        initramfs.add("/init", include_bytes!("systemd.sh"))?;
        // containerd copies these files into sandboxes.
        initramfs.add("/etc/hosts", b"127.0.0.1 localhost\n")?;
        initramfs.add("/etc/resolv.conf", b"")?;
        initramfs.add("/vm/run", include_bytes!("command.sh"))?;
        initramfs.add("/etc/systemd/system/vm.service", include_bytes!("vm.service"))?;
        Ok(initramfs)
    }

    /// Adds a file of the host.
    pub fn add_host_file(&mut self, host: &Path, guest: impl AsRef<Path>) -> Result<()> {
        let content = fs::read(host).with_context(|| format!("cannot read {}", host.display()))?;
        self.add(guest, &content)
    }

    /// Adds a file; all files are executable.
    pub fn add(&mut self, guest: impl AsRef<Path>, content: &[u8]) -> Result<()> {
        let guest = guest.as_ref();
        let path = guest
            .strip_prefix("/")
            .with_context(|| format!("the path of a file in the VM must be absolute: {}", guest.display()))?;
        let parents: Vec<_> = path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()).collect();
        for dir in parents.into_iter().rev() {
            if self.directories.insert(dir.to_owned()) {
                self.entry(dir, DIRECTORY, &[])?;
            }
        }
        self.entry(path, PROGRAM, content)
    }

    fn entry(&mut self, path: &Path, mode: u32, content: &[u8]) -> Result<()> {
        let context = || format!("cannot put {} into the VM", path.display());
        let name = path.to_str().with_context(context)?;
        let size = u32::try_from(content.len()).with_context(context)?;
        self.entries += 1;
        let builder = newc::Builder::new(name).ino(self.entries).mode(mode);
        let mut writer = builder.write(&mut self.archive, size);
        std::io::Write::write_all(&mut writer, content).with_context(context)?;
        writer.finish().with_context(context)?;
        Ok(())
    }

    /// Adds the named modules, as far as the kernel has them as files, and those they depend on.
    pub fn add_modules(&mut self, modules: &Modules, mut wanted: Vec<String>) -> Result<()> {
        let mut done = BTreeSet::new();
        while let Some(name) = wanted.pop() {
            for (name, file) in modules.called(&name)? {
                if done.insert(name) {
                    let content = modules::read(file)?;
                    wanted.extend(modules::dependencies(&content));
                    self.add(format!("/lib/vm-modules/{name}.ko"), &content)?;
                }
            }
        }
        Ok(())
    }

    /// The finished archive.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        newc::trailer(&mut self.archive).context("cannot finish the initramfs")?;
        Ok(self.archive)
    }
}

/// busybox, if it runs without the host's libraries.
fn static_busybox() -> Result<PathBuf> {
    let Some(busybox) = process::find("busybox") else {
        bail!("busybox is missing: run \"cargo xtask setup\"");
    };
    // A program that needs a dynamic loader contains its path.
    let program = fs::read(&busybox).with_context(|| format!("cannot read {}", busybox.display()))?;
    if program.windows(9).any(|window| window == b"/ld-linux") {
        bail!("{} is not static: install busybox-static", busybox.display());
    }
    Ok(busybox)
}
