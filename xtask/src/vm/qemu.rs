//! QEMU: command line, serial ports, and exit.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::machine::{Init, Vm};
use crate::process;

// Files in the directory of a VM.
pub const INITRAMFS: &str = "initramfs";
pub const CONSOLE: &str = "console";
pub const STATUS: &str = "status";
const MESSAGES: &str = "messages";

/// Kernel parameters of every VM: an oops ends the VM at once, and swap accounting is enabled where it is optional.
const PARAMETERS: &str = "oops=panic panic=-1 swapaccount=1 mitigations=off";

/// Runs the VM and streams the output of its command.
pub fn stream(vm: &Vm, dir: &Path, stdout: &mut (dyn Write + Send)) -> Result<()> {
    let pair = || UnixStream::pair().context("cannot create a socket pair");
    let ((out, their_out), (err, their_err)) = (pair()?, pair()?);
    let mut command = command(vm, dir)?;
    // Sockets as stdin and stdout: the two descriptors that a child inherits anyway, here both used for output.
    command.args(["-chardev", "socket,id=out,fd=0", "-chardev", "socket,id=err,fd=1"]);
    command.stdin(OwnedFd::from(their_out)).stdout(OwnedFd::from(their_err));
    command.stderr(File::create(dir.join(MESSAGES)).context("cannot create a log file for QEMU")?);
    let child = spawn(command)?;
    thread::scope(|scope| {
        scope.spawn(|| copy(out, stdout));
        scope.spawn(|| copy(err, &mut io::stderr()));
        wait(child, vm.timeout)
    })
}

/// Runs the VM on our terminal.
pub fn interact(vm: &Vm, dir: &Path) -> Result<()> {
    let mut command = command(vm, dir)?;
    command.args(["-chardev", "stdio,id=out,signal=off,mux=on", "-chardev", "null,id=err"]);
    spawn(command)?.wait().context("cannot wait for QEMU")?;
    Ok(())
}

/// QEMU with all arguments that do not depend on the output.
fn command(vm: &Vm, dir: &Path) -> Result<Command> {
    let machine = &vm.kernel.arch.qemu;
    let Some(qemu) = process::find(machine.program) else {
        bail!("{} is missing; Debian has it in the package {}", machine.program, machine.package);
    };
    // The VM is killed if we exit for any reason.
    let mut command = match process::find("setpriv") {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL"]).arg(qemu);
            command
        }
        None => Command::new(qemu),
    };
    // File names without a directory: QEMU gives commas in a path a meaning.
    command.current_dir(dir);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot"]);
    // With a thread for each CPU, QEMU 7.2 now and then runs a breakpoint that the kernel's text_poke() has removed already (seen on 6.12:
    // "Oops: int3" in sched_clock_cpu), and hooks patch the kernel's text all the time.
    command.args(["-machine", machine.machine, "-accel", if vm.kvm { "kvm" } else { "tcg,thread=single" }]);
    command.args(["-cpu", machine.cpu]);
    command.args(["-smp", &vm.cpus.to_string(), "-m", &vm.memory_mb.to_string()]);
    let image = fs::canonicalize(&vm.kernel.image)
        .with_context(|| format!("cannot find {}", vm.kernel.image.display()))?;
    command.arg("-kernel").arg(image).args(["-initrd", INITRAMFS]);
    let unit = if vm.init == Init::Systemd { "systemd.unit=vm.service" } else { "" };
    command.args(["-append", &format!("console={} {PARAMETERS} {unit} {}", machine.console, vm.append)]);
    command.args(["-chardev", &format!("file,id=console,path={CONSOLE}")]);
    command.args(["-chardev", &format!("file,id=status,path={STATUS}")]);
    command.args(["-serial", "chardev:console"]);
    let (option, value) = machine.port;
    for channel in ["out", "err", "status"] {
        command.args([option, &format!("{value}{channel}")]);
    }
    Ok(command)
}

fn spawn(mut command: Command) -> Result<Child> {
    command.spawn().context("cannot run QEMU")
}

fn wait(mut child: Child, timeout: Duration) -> Result<()> {
    let start = Instant::now();
    while child.try_wait().context("cannot wait for QEMU")?.is_none() {
        if start.elapsed() > timeout {
            child.kill().context("cannot end QEMU")?;
            child.wait().context("cannot wait for QEMU")?;
            bail!("the command did not end within {} s: see --timeout", timeout.as_secs());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Copies unbuffered. If the reader is gone, the rest is dropped, and the VM continues.
fn copy(mut from: UnixStream, to: &mut dyn Write) {
    let mut buffer = [0; 16 * 1024];
    let mut wanted = true;
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        wanted = wanted && to.write_all(&buffer[..length]).and_then(|()| to.flush()).is_ok();
    }
}

/// The reason why a VM ended, from the messages of QEMU and the kernel: from where a fault begins, else the last ones.
pub fn last_words(dir: &Path) -> String {
    const LINES: usize = 25;
    const OF_A_FAULT: usize = 60;
    const FAULTS: [&str; 4] = ["BUG: ", "Oops: ", "kernel BUG at", "Kernel panic - not syncing"];
    let read = |name| fs::read(dir.join(name)).unwrap_or_default();
    let text = [read(MESSAGES), read(CONSOLE)].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let fault = lines.iter().position(|line| FAULTS.iter().any(|fault| line.contains(fault)));
    let shown = match fault {
        Some(fault) => &lines[fault..lines.len().min(fault + OF_A_FAULT)],
        None => &lines[lines.len().saturating_sub(LINES)..],
    };
    shown.join("\n")
}

/// Rows and columns of our terminal as arguments of stty in the VM.
pub fn terminal_size() -> String {
    let size = Command::new("stty").arg("size").stdin(Stdio::inherit()).output();
    let size = size.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    match size.split_whitespace().collect::<Vec<_>>().as_slice() {
        [rows, columns] => format!("rows {rows} cols {columns}"),
        _ => String::new(),
    }
}
