//! The proof that a layout describes the running kernel: our own cgroup, read through it, must be the one that
//! /proc/self/cgroup and the file system name.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    maps::Array,
    programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _},
};
use memcg_trace_common::{CssFlag, EventHeader, Field, Layout, Own, PathStep};
use thiserror::Error;

use super::{
    controller::{self, Controller},
    objects::{self, RunError},
};

/// What the proof brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Address of the `cgroup_root` that carries the memory controller.
    pub memory_root: u64,
}

/// Why there is no proof.
#[derive(Debug, Error)]
pub enum ProofError {
    /// This kernel cannot run a program on demand; says nothing about the layout.
    #[error(
        "this kernel does not run programs on demand (test runs of raw tracepoints came with Linux 5.10): {0}"
    )]
    Impossible(String),
    #[error(
        "the struct layout does not describe this kernel: through it, our own cgroup reads as {seen}, but it is {is}; \
         use the BTF file of exactly this kernel"
    )]
    Refuted { seen: String, is: String },
}

/// Proves `layout`.
pub fn prove(layout: &Layout, controller: &Controller) -> Result<Proven, ProofError> {
    let (own, path) = read_own(layout).map_err(|error| ProofError::Impossible(error.to_string()))?;
    let is = own_path();
    let refuted = |seen: String| ProofError::Refuted { seen, is: is.display().to_string() };
    let name = own.controller.split(|byte| *byte == 0).next().unwrap_or_default();
    if name != b"memory" {
        return Err(refuted(format!("one of the controller \"{}\"", name.escape_ascii())));
    }
    // v2: the css belongs to the nearest ancestor that enables the controller. In a cgroup namespace the path that we know
    // is the end of the kernel's.
    let ours = |candidate: &&Path| {
        let relative = candidate.strip_prefix("/").unwrap_or(candidate);
        let directory = fs::metadata(controller.mount.join(relative));
        path.ends_with(relative) && directory.is_ok_and(|directory| directory.ino() == own.cgroup_id)
    };
    if !is_root(&own.root_css.header) {
        return Err(refuted(format!("{} below a root that is none", path.display())));
    }
    match is.ancestors().find(ours) {
        Some(_) if own.complete == 1 => Ok(Proven { memory_root: own.root }),
        _ => Err(refuted(format!("{} with id {}", path.display(), own.cgroup_id))),
    }
}

/// The root memcg is the first of the boot: css id 1, memcg ID 1, level 0, always online.
fn is_root(header: &EventHeader) -> bool {
    let known = |field, is: bool| header.known & field == 0 || is;
    header.known & Field::PARENT == 0
        && known(Field::CSS_ID, header.css_id == 1)
        && known(Field::MEMCG_ID, header.memcg_id == 1)
        && known(Field::LEVEL, header.level == 0)
        && known(Field::CSS_FLAGS, header.css_flags & CssFlag::ONLINE != 0)
}

/// Runs the program `own_cgroup`; the path as the kernel sees it, from the hierarchy's root.
fn read_own(layout: &Layout) -> Result<(Own, PathBuf), RunError> {
    let mut ebpf = Ebpf::load(objects::WALK)?;
    let values = ebpf.map_mut("LAYOUT").ok_or(RunError::Absent("LAYOUT"))?;
    Array::<_, Layout>::try_from(values)?.set(0, layout, 0)?;
    let program = ebpf.program_mut("own_cgroup").ok_or(RunError::Absent("own_cgroup"))?;
    let program: &mut RawTracePoint = program.try_into()?;
    program.load()?;
    program.test_run(RawTracePointRunOptions::new())?;
    let values = ebpf.map("OWN").ok_or(RunError::Absent("OWN"))?;
    let own = Array::<_, Own>::try_from(values)?.get(&0, 0)?;
    let steps = ebpf.map("OWN_PATH").ok_or(RunError::Absent("OWN_PATH"))?;
    let steps = Array::<_, PathStep>::try_from(steps)?;
    let mut path = PathBuf::from("/");
    for level in (0..own.levels).rev() {
        let step = steps.get(&level, 0)?;
        path.push(OsStr::from_bytes(&step.name[..step.name.len().min(step.length as usize)]));
    }
    Ok((own, path))
}

/// Our own path in the hierarchy of the memory controller, as /proc/self/cgroup has it.
fn own_path() -> PathBuf {
    let lines = fs::read("/proc/self/cgroup").unwrap_or_default();
    PathBuf::from(OsStr::from_bytes(controller::memory_path(&lines).unwrap_or(b"/")))
}
