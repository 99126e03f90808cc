//! Runs other programs, and reports progress.

use std::env;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail};

/// Runs `work`, and reports its name and duration on stderr.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("xtask: {what} ...");
    let start = Instant::now();
    let result = work();
    let verdict = if result.is_ok() { "done" } else { "failed" };
    eprintln!("xtask: {what}: {verdict} in {:.1} s", start.elapsed().as_secs_f64());
    result
}

/// Runs a command to success. Its output goes to stderr: stdout is for requested output only.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.stdout(io::stderr()).status().map_err(|error| cannot_run(command, &error))?;
    succeeded(command, status)
}

/// Runs a command to success, and copies its output as it comes.
pub fn stream(command: &mut Command, out: &mut dyn Write) -> Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| cannot_run(command, &error))?;
    let copied = child.stdout.take().map(|mut from| io::copy(&mut from, out));
    let status = child.wait().with_context(|| format!("cannot wait for `{}`", display(command)))?;
    copied.transpose().with_context(|| format!("cannot copy the output of `{}`", display(command)))?;
    succeeded(command, status)
}

/// Runs a command to success and returns its output; errors include its error message.
pub fn capture(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| cannot_run(command, &error))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}: {}", display(command), output.status, reason(&stderr));
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("the output of `{}` is not UTF-8", display(command)))
}

/// Runs a filter to success: what it prints for that input.
pub fn pipe(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot_run(command, &error))?;
    let mut stdin = child.stdin.take().context("the filter has no stdin")?;
    let (written, output) = thread::scope(|scope| {
        // It may print before it has read everything.
        let writer = scope.spawn(move || stdin.write_all(input));
        let output = child.wait_with_output();
        (writer.join(), output)
    });
    let output = output.with_context(|| format!("cannot read from `{}`", display(command)))?;
    succeeded(command, output.status)?;
    match written {
        Ok(written) => written.with_context(|| format!("cannot write to `{}`", display(command)))?,
        Err(_) => bail!("cannot write to `{}`: the thread panicked", display(command)),
    }
    Ok(output.stdout)
}

/// Packed by gzip, without a name and a time.
pub fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    pipe(Command::new("gzip").args(["-9", "--no-name"]), content)
}

fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` failed: {status}", display(command));
    }
    Ok(())
}

/// The line of a program's stderr with the reason: the first error, else the last line.
fn reason(stderr: &str) -> &str {
    let mut lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines.clone().find(|line| line.starts_with("error") || line.starts_with("E:"));
    error.or_else(|| lines.next_back()).unwrap_or("no message")
}

fn cannot_run(command: &Command, error: &io::Error) -> anyhow::Error {
    let program = command.get_program().to_string_lossy();
    match error.kind() {
        ErrorKind::NotFound => anyhow!("cannot run `{program}`: it is not installed"),
        _ => anyhow!("cannot run `{program}`: {error}"),
    }
}

/// The command as a person would type it, without its environment.
fn display(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Directories to search for programs. A user's `PATH` often lacks sbin, where runc is.
pub fn program_dirs() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<_> = env::split_paths(&path).collect();
    dirs.extend(["/usr/bin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    dirs
}

/// The first program with this name.
pub fn find(name: &str) -> Option<PathBuf> {
    program_dirs().into_iter().map(|dir| dir.join(name)).find(|path| is_program(path))
}

/// Whether there is an executable file at `path`.
pub fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Whether this process has the effective user id 0.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// A command that runs as root: by sudo unless we are root already.
pub fn as_root(program: impl AsRef<Path>) -> Result<Command> {
    let program = program.as_ref();
    if is_root() {
        return Ok(Command::new(program));
    }
    let Some(sudo) = find("sudo") else {
        bail!("`{}` must run as root: become root or install sudo", program.display());
    };
    let mut command = Command::new(sudo);
    command.arg("--").arg(program);
    Ok(command)
}
