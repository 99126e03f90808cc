//! A VM from its initramfs to its exit code: how a description becomes a run.

use std::error::Error;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::initramfs::Initramfs;
use super::machine::{Cgroup, Init, Vm};
use super::modules::Modules;
use super::{qemu, systemd};
use crate::workspace::Workspace;

/// Modules every VM gets if its kernel has them: a swap device, loop devices, and file systems to charge pages from.
const MODULES: &[&str] = &["zram", "lzo", "lzo-rle", "lz4", "zstd", "loop", "ext4", "xfs", "overlay"];

/// The destination of the command's output.
pub enum Output<'a> {
    /// Its stdout, as it comes; its stderr goes to ours.
    Stdout(&'a mut (dyn Write + Send)),
    /// To and from our terminal, and a shell runs instead of the command.
    Terminal,
}

/// The machine ended before its command did, with its last messages.
#[derive(Debug)]
pub struct Died(String);

impl fmt::Display for Died {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the VM ended before its command did\n{}", self.0)
    }
}

impl Error for Died {}

/// Result of the command.
pub struct Run {
    /// Its exit code, as seen by a shell.
    pub code: u8,
    /// Time from the start of the kernel to the start of the command.
    pub boot: Duration,
}

impl Vm {
    /// Boots, runs the command and waits for it. If the VM does not get that far, the error has its last messages ([`Died`]).
    pub fn run(&self, workspace: &Workspace, output: Output<'_>) -> Result<Run> {
        if self.cgroup == Cgroup::V1 && self.kernel.lacks_memcg_v1() {
            bail!(
                "kernel {} has no memory controller for cgroup v1 (CONFIG_MEMCG_V1 is not set): use --cgroup v2",
                self.kernel.version
            );
        }
        let initramfs = self.initramfs(&output)?;
        let vms = workspace.scratch().join("vm");
        let arch =
            if self.kernel.arch.is_host() { String::new() } else { format!("-{}", self.kernel.arch.debian) };
        let label = format!("{}-{}{arch}", self.kernel.version, self.cgroup.name());
        // Two VMs of one kernel may run at the same time.
        static RUN: AtomicU32 = AtomicU32::new(0);
        let run = RUN.fetch_add(1, Ordering::Relaxed);
        let dir = vms.join(format!("{label}.{run}.{}", process::id()));
        remove_leftovers(&vms);
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        fs::write(dir.join(qemu::INITRAMFS), initramfs).context("cannot write the initramfs")?;

        let result = self.run_in(&dir, output);
        // Kernel messages are kept until the next run with this kernel and hierarchy.
        let console = vms.join(format!("{label}.console"));
        let _ = fs::rename(dir.join(qemu::CONSOLE), &console);
        let _ = fs::remove_dir_all(&dir);
        result.with_context(|| format!("VM {label} (console log: {})", console.display()))
    }

    fn run_in(&self, dir: &Path, output: Output<'_>) -> Result<Run> {
        match output {
            Output::Terminal => qemu::interact(self, dir)?,
            Output::Stdout(stdout) => qemu::stream(self, dir, stdout)?,
        }
        let status = fs::read_to_string(dir.join(qemu::STATUS)).unwrap_or_default();
        let after = |word| status.lines().find_map(|line| line.strip_prefix(word)).map(str::trim);
        if let Some(error) = after("error") {
            bail!("{error}\n{}", qemu::last_words(dir));
        }
        let Some(code) = after("exit").and_then(|code| code.parse().ok()) else {
            return Err(Died(qemu::last_words(dir)).into());
        };
        let boot = after("booted").and_then(|time| time.parse().ok()).unwrap_or_default();
        Ok(Run { code, boot: Duration::from_secs_f64(boot) })
    }

    fn initramfs(&self, output: &Output<'_>) -> Result<Vec<u8>> {
        let mut initramfs = match self.init {
            Init::Busybox => Initramfs::new(self.kernel.arch)?,
            Init::Systemd => Initramfs::with_systemd(&systemd::root()?)?,
        };
        for (host, guest) in &self.files {
            initramfs.add_host_file(host, guest)?;
        }
        if self.init == Init::Busybox
            && let Some(modules) = &self.kernel.modules
        {
            let modules = Modules::below(modules)?;
            let usual = MODULES.iter().map(|&name| name.to_owned());
            initramfs.add_modules(&modules, usual.chain(self.modules.iter().cloned()).collect())?;
            // Of the usual ones a kernel may lack some.
            for missing in modules.missing(&self.modules)? {
                eprintln!("xtask: kernel {} has no module {missing}", self.kernel.version);
            }
        }
        let [out, err, status] = self.kernel.arch.qemu.ports;
        let mut settings =
            format!("cgroup={}\nout=/dev/{out}\nerr=/dev/{err}\nstatus=/dev/{status}\n", self.cgroup.name());
        if matches!(output, Output::Terminal) {
            settings += &format!("interactive=1\nsize='{}'\n", qemu::terminal_size());
        }
        initramfs.add("/vm/settings", settings.as_bytes())?;
        initramfs.add("/vm/command", &self.script())?;
        initramfs.finish()
    }

    /// The command as a shell script, with all arguments quoted.
    fn script(&self) -> Vec<u8> {
        let mut script = Vec::new();
        for (name, value) in &self.environment {
            script.extend(format!("export {name}=").bytes());
            script.extend(quote(value.as_ref()));
            script.push(b'\n');
        }
        script.extend(b"exec");
        for word in &self.command {
            script.push(b' ');
            script.extend(quote(word));
        }
        script.push(b'\n');
        script
    }
}

/// Removes the directories of VMs whose task was killed: they are named after the pid of their owner.
fn remove_leftovers(vms: &Path) {
    for dir in fs::read_dir(vms).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let owner = dir.extension().and_then(|pid| pid.to_str()?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = fs::remove_dir_all(&dir);
        }
    }
}

/// A word in single quotes for the shell.
fn quote(word: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for &byte in word.as_bytes() {
        match byte {
            b'\'' => quoted.extend(br"'\''"),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_survives_quotes() {
        assert_eq!(quote(OsStr::new("it's $x")), br"'it'\''s $x'");
    }
}
