//! A file system with a page cache that is written back: ext4 on a loop device backed by memory.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
    mount::{MntFlags, MsFlags, mount, umount2},
};

use super::module::Module;

/// Overhead of a file system of this size, bytes.
const OWN_BYTES: u64 = 16 << 20;
/// Attempts to get a free loop device: others may take it between query and use.
const ATTEMPTS: u32 = 16;

// include/uapi/linux/loop.h
const LOOP_SET_FD: libc::Ioctl = 0x4c00;
const LOOP_SET_STATUS64: libc::Ioctl = 0x4c04;
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// A mounted file system. The loop device is freed with its last user.
#[derive(Debug)]
pub struct Disk(PathBuf);

/// `struct loop_info64`
#[repr(C)]
struct LoopInfo {
    unused: [u64; 5],
    number: u32,
    encryption: [u32; 2],
    flags: u32,
    names: [u8; 64 + 64 + 32],
    init: [u64; 2],
}

const _: () = assert!(size_of::<LoopInfo>() == 232);

impl Disk {
    /// Creates one below `directory` for files of `bytes` in total. Reading files does not dirty inodes (`noatime`).
    pub fn mount(directory: &Path, bytes: u64) -> Result<Self> {
        let (image, mount_point) = (directory.join("disk.img"), directory.join("disk"));
        fs::create_dir(&mount_point).with_context(|| format!("cannot create {}", mount_point.display()))?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&image)?;
        // If written through the device later, these pages would be charged to the memcg whose page is written back
        // (since 5.14), and pin it.
        let length = i64::try_from(bytes + bytes / 4 + OWN_BYTES)?;
        fallocate(&file, FallocateFlags::empty(), 0, length)
            .with_context(|| format!("cannot create a file of {length} bytes in memory"))?;
        // Without a journal: its pages do not pin anything, but its commits come at any time.
        run("mke2fs", &["-F", "-q", "-b", "4096", "-m", "0"], &image)?;
        let (device, _open) = attach(&file)?;
        let ext4 = Module::load("ext4");
        let mounted = mount(Some(&device), &mount_point, Some("ext4"), MsFlags::MS_NOATIME, None::<&str>);
        ext4.needed_by(mounted.with_context(|| format!("cannot mount {} as ext4", device.display())))?;
        let disk = Self(mount_point);
        disk.warm_up().with_context(|| format!("cannot write to {}", disk.0.display()))?;
        Ok(disk)
    }

    /// Reads bitmap and directory blocks in advance: the first reader is charged for them, and some stay until unmount.
    fn warm_up(&self) -> io::Result<()> {
        let file = self.0.join("first");
        fs::write(&file, [b'm'; 4096])?;
        nix::unistd::sync();
        fs::remove_file(file)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.0, MntFlags::MNT_DETACH) {
            log::error!("cannot unmount {}: {error}", self.0.display());
        }
    }
}

/// An open loop device for the file: freed with its last user.
pub fn attach(file: &File) -> Result<(PathBuf, File)> {
    let module = Module::load("loop");
    module.needed_by(attach_free(file))
}

fn attach_free(file: &File) -> Result<(PathBuf, File)> {
    let open = |path: &Path| {
        let file = OpenOptions::new().read(true).write(true).open(path);
        file.with_context(|| format!("cannot open {}", path.display()))
    };
    let control = open(Path::new("/dev/loop-control"))?;
    let mut info = LoopInfo {
        unused: [0; 5],
        number: 0,
        encryption: [0; 2],
        flags: LO_FLAGS_AUTOCLEAR,
        names: [0; 160],
        init: [0; 2],
    };
    for _ in 0..ATTEMPTS {
        // SAFETY: takes no argument.
        let number = Errno::result(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) });
        let path = PathBuf::from(format!("/dev/loop{}", number.context("no loop device is free")?));
        let device = open(&path)?;
        // SAFETY: takes a descriptor.
        let set = Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_SET_FD, file.as_raw_fd()) });
        match set {
            // Somebody else took it.
            Err(Errno::EBUSY) => continue,
            set => set.with_context(|| format!("cannot set up {}", path.display()))?,
        };
        // SAFETY: takes a `struct loop_info64`, which has this layout.
        let set = Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_SET_STATUS64, &mut info) });
        set.with_context(|| format!("cannot set up {}", path.display()))?;
        return Ok((path, device));
    }
    bail!("every free loop device was taken by others first")
}

fn run(program: &str, arguments: &[&str], file: &Path) -> Result<()> {
    let output = Command::new(program).args(arguments).arg(file).output();
    let output = output.with_context(|| format!("cannot run {program} (Debian has it in e2fsprogs)"))?;
    if !output.status.success() {
        bail!("{program} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
