//! Programs for a VM that has busybox alone, with the shared libraries that they need: this machine's, if they run there.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::foreign;
use crate::arch::Arch;
use crate::process;

/// The first of the VM's PATH.
const DIRECTORY: &str = "/usr/local/bin";

/// The files of these programs, here and in the VM.
pub fn files(arch: &'static Arch, programs: &[&str]) -> Result<Vec<(PathBuf, PathBuf)>> {
    let in_vm = |name: &str| PathBuf::from(DIRECTORY).join(name);
    if !arch.is_host() {
        let mut files = foreign::libraries(arch)?;
        for name in programs {
            files.push((foreign::program(arch, name)?, in_vm(name)));
        }
        return Ok(files);
    }
    let mut files = Vec::new();
    for name in programs {
        let program = process::find(name).with_context(|| format!("{name} is missing"))?;
        files.extend(libraries_of(std::slice::from_ref(&program))?);
        files.push((program, in_vm(name)));
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// The shared libraries of these programs of the host, or libraries, here and in the VM.
pub fn libraries_of(programs: &[PathBuf]) -> Result<Vec<(PathBuf, PathBuf)>> {
    let listed = process::capture(Command::new("ldd").args(programs))?;
    Ok(libraries(&listed).map(|library| (library.clone(), library)).collect())
}

/// Paths in ldd's lines, such as `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)` and `/lib64/ld-linux-x86-64.so.2 (0x…)`.
fn libraries(listed: &str) -> impl Iterator<Item = PathBuf> {
    // Of several programs, each has a line of its own, which ends with a colon.
    let lines = listed.lines().filter(|line| !line.ends_with(':'));
    let words = lines.filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    words.map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_ldd() {
        let listed = "/bin/sh:\n\tlinux-vdso.so.1 (0x00007fff)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x00007f01)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f02)\n";
        let expected = ["/lib/x/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(libraries(listed).collect::<Vec<_>>(), expected);
    }
}
