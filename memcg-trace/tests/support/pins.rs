//! Pins of removed memcgs. Dropping a pin releases the memcg.

use std::{
    ffi::{CString, OsStr, OsString},
    fs,
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use nix::sys::utsname::uname;

use super::{
    cgroup::{Cgroup, Task, Version, hierarchy},
    eventually,
};

pub const PAGE: u64 = 4096;

/// Since 7.1 pages move to the parent when a memcg goes offline.
pub fn memory_pins() -> bool {
    let release = uname().expect("uname").release().to_string_lossy().into_owned();
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) < (Some(7), Some(1))
}

/// A tmpfs file, written by a task of the cgroup that has exited since: its pages stay charged.
pub struct TmpfsFile(PathBuf);

impl TmpfsFile {
    pub const BYTES: u64 = 1 << 20;

    pub fn written_in(cgroup: &Cgroup) -> Self {
        Self::of(cgroup, Self::BYTES)
    }

    pub fn of(cgroup: &Cgroup, bytes: u64) -> Self {
        let name = cgroup.path().replace('/', "-");
        let file = Self(Path::new("/dev/shm").join(format!("pin{name}-{}", process::id())));
        let mut of = OsString::from("of=");
        of.push(&file.0);
        let dd = |of: &OsStr| {
            let mut dd = Command::new("dd");
            dd.args(["if=/dev/zero", "bs=65536"]).arg(format!("count={}", bytes >> 16)).arg(of);
            dd.stderr(Stdio::null());
            dd
        };
        // Whatever of the program nobody has read so far would be charged to the cgroup, and pin it as well.
        assert!(dd(OsStr::new("of=/dev/null")).status().expect("run dd").success());
        cgroup.run(&mut dd(&of));
        file
    }
}

impl TmpfsFile {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TmpfsFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A zombie task.
pub fn unreaped_task(cgroup: &Cgroup) -> Task {
    let task = cgroup.spawn(&mut Command::new("true"));
    eventually("a zombie task", || {
        let stat =
            fs::read_to_string(format!("/proc/{}/stat", task.pid())).map_err(|error| error.to_string())?;
        if stat.contains(") Z ") { Ok(()) } else { Err(stat) }
    });
    task
}

/// A cgroup namespace whose root is the cgroup, with its only task moved out of the cgroup.
pub fn namespace(cgroup: &Cgroup) -> Task {
    let mut command = Command::new("sleep");
    command.arg("100000").stdin(Stdio::null());
    // SAFETY: the call takes no pointers.
    let enter = || match unsafe { libc::unshare(libc::CLONE_NEWCGROUP) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    };
    cgroup.hosts(&mut command);
    // SAFETY: after the fork it makes a system call, nothing else.
    unsafe { command.pre_exec(enter) };
    let task = Task(command.spawn().expect("a task with a cgroup namespace"));
    task.move_to_root();
    task
}

/// A swap device in memory.
pub struct Swap {
    /// Such as `zram0`.
    name: String,
}

/// The lower bits are the priority (include/linux/swap.h); devices without one come last.
const SWAP_FLAG_PREFER: i32 = 0x8000;

impl Swap {
    const BYTES: u64 = 64 << 20;

    pub fn on_zram() -> Self {
        run("modprobe", &["zram"]);
        Self::on("zram0".to_owned(), 0)
    }

    /// One more, which is used before others.
    pub fn before_others() -> Self {
        let number = fs::read_to_string("/sys/class/zram-control/hot_add").expect("a zram device");
        Self::on(format!("zram{}", number.trim()), SWAP_FLAG_PREFER | 1)
    }

    /// busybox's swapon knows no priorities.
    fn on(name: String, flags: i32) -> Self {
        let swap = Self { name };
        fs::write(swap.control("disksize"), Self::BYTES.to_string()).expect("size of the zram device");
        run("mkswap", &[&swap.device()]);
        let device = CString::new(swap.device()).expect("a path");
        // SAFETY: a path that ends with NUL.
        let done = unsafe { libc::swapon(device.as_ptr(), flags) };
        assert_eq!(done, 0, "swapon {}: {}", swap.device(), std::io::Error::last_os_error());
        swap
    }

    pub fn device(&self) -> String {
        format!("/dev/{}", self.name)
    }

    fn control(&self, file: &str) -> PathBuf {
        Path::new("/sys/block").join(&self.name).join(file)
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        let _ = Command::new("swapoff").arg(self.device()).status();
        let _ = fs::write(self.control("reset"), "1");
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("run {program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A task whose memory was swapped out while it was in the cgroup, and that was moved out since; with the number of
/// swapped pages.
pub fn swapped_task(cgroup: &Cgroup, _: &Swap) -> (Task, u64) {
    const BYTES: usize = 4 << 20;
    // It keeps the tail of its input in memory until EOF.
    let mut tail = Command::new("tail");
    tail.args(["-c", &BYTES.to_string()]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut task = cgroup.spawn(&mut tail);
    let input = task.0.stdin.as_mut().expect("tail's input");
    input.write_all(&vec![b'x'; BYTES]).expect("write to tail");
    eventually("pages in swap", || {
        // Reclaims as much as possible, and returns an error if that was not enough.
        let _ = match hierarchy().0 {
            Version::V1 => cgroup.try_write("memory.force_empty", "0"),
            Version::V2 => cgroup.try_write("memory.high", "0"),
        };
        let pages = swapped_pages(cgroup);
        if pages * PAGE > BYTES as u64 / 2 { Ok(()) } else { Err(format!("{pages} pages swapped")) }
    });
    task.move_to_root();
    (task, swapped_pages(cgroup))
}

/// Pages of a cgroup in swap. Counted exactly, unlike memory.stat. v1 charges a swapped page to memsw alone.
pub fn swapped_pages(cgroup: &Cgroup) -> u64 {
    let bytes = |file| cgroup.read(file).trim().parse::<u64>().expect("a number of bytes");
    let swapped = match hierarchy().0 {
        Version::V1 => bytes("memory.memsw.usage_in_bytes").saturating_sub(bytes("memory.usage_in_bytes")),
        Version::V2 => bytes("memory.swap.current"),
    };
    swapped / PAGE
}
