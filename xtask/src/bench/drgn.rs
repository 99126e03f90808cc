//! drgn in a VM: Python, its standard library, drgn, and the kernel's debug information, as a user of it has them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::{self, find};
use crate::vm::{Vm, host_program};

/// Looks for what `memcg-trace explain` looks for.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bench/explain.py");
/// In the VM.
const HOME: &str = "/drgn";
/// Of the host's Python, not needed.
const UNUSED: [&str; 5] = ["__pycache__", "test", "idlelib", "site-packages", "dist-packages"];

/// Adds it to a VM: `directory` has the package `drgn`, as `pip install --target` puts it there, and `vmlinux` of the VM's kernel.
pub fn add(vm: &mut Vm, directory: &Path) -> Result<()> {
    let vmlinux = directory.join("vmlinux");
    if !vmlinux.is_file() || !directory.join("drgn").is_dir() {
        bail!("{} has no drgn or no vmlinux", directory.display());
    }
    let python = find("python3").context("python3 is missing")?;
    let stdlib = process::capture(
        Command::new(&python).args(["-c", "import os; print(os.path.dirname(os.__file__))"]),
    )?;
    let stdlib = PathBuf::from(stdlib.trim());
    let lib = Path::new("/usr/lib").join(stdlib.file_name().context("Python has no standard library")?);
    let mut files = Vec::new();
    tree(&stdlib, &lib, &mut files)?;
    tree(directory, Path::new(HOME), &mut files)?;
    let objects =
        files.iter().map(|(host, _)| host.clone()).filter(|host| is_shared_object(host)).collect::<Vec<_>>();
    files.extend(host_program::libraries_of(&objects)?);
    files.extend(host_program::files(vm.kernel.arch, &["python3"])?);
    files.push((SCRIPT.into(), Path::new(HOME).join("explain.py")));
    files.sort();
    files.dedup();
    vm.files.extend(files);
    let environment = [("PYTHONHOME", "/usr"), ("PYTHONPATH", HOME), ("PYTHONDONTWRITEBYTECODE", "1")];
    vm.environment.extend(environment.map(|(name, value)| (name.to_owned(), value.to_owned())));
    vm.environment.push(("DRGN".to_owned(), format!("{HOME}/explain.py")));
    Ok(())
}

fn tree(host: &Path, guest: &Path, files: &mut Vec<(PathBuf, PathBuf)>) -> Result<()> {
    let entries = fs::read_dir(host).with_context(|| format!("cannot read {}", host.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", host.display()))?.path();
        let name = path.file_name().unwrap_or_default();
        if UNUSED.iter().any(|unused| name == *unused) {
            continue;
        }
        if path.is_dir() {
            tree(&path, &guest.join(name), files)?;
        } else if path.is_file() {
            files.push((path.clone(), guest.join(name)));
        }
    }
    Ok(())
}

fn is_shared_object(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"))
}
