//! The proof that a layout describes the running kernel: our own cgroup, read through it, must match /proc/self/cgroup
//! and the inode number of its directory.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use aya::{
    maps::Array,
    programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _},
};
use memcg_trace_common::{CssFlag, EventHeader, Field, Layout, PathStep};
use thiserror::Error;

use super::{own_cgroup::OwnCgroup, proof_by_kcore};
use crate::kernel::{
    ability::Lack,
    cgroupfs::{
        hierarchy::{Controller, own_path},
        namespace,
    },
    hooks::objects::{self, RunError},
};

/// Result of a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Address of the `cgroup_root` that carries the memory controller.
    pub memory_root: u64,
    /// Path of the root of our cgroup namespace in the hierarchy; `None`: not known.
    pub namespace_root: Option<PathBuf>,
}

/// The reason why there is no proof.
#[derive(Debug, Error)]
pub enum ProofError {
    /// This kernel cannot run a program on demand; says nothing about the layout.
    #[error(
        "our own cgroup cannot be read, neither by a program on demand (Linux 5.10) nor from /proc/kcore: {0}"
    )]
    Impossible(String),
    /// The same where nothing but /proc/kcore can.
    #[error("our own cgroup cannot be read: {0}")]
    Unreadable(String),
    #[error(
        "the struct layout does not describe this kernel: through it, our own cgroup reads as {seen}, but it is {is}; \
         use the BTF file of exactly this kernel"
    )]
    Refuted { seen: String, is: String },
    /// A member that is not used to read our own cgroup.
    #[error(
        "the struct layout does not describe this kernel: through {member}, it has {reads}; use the BTF file of exactly \
         this kernel"
    )]
    WrongMember { member: &'static str, reads: String },
}

impl Lack for ProofError {
    fn next_step(&self) -> String {
        match self {
            Self::Unreadable(_) => "run where /proc/kcore can be read: containers often hide it",
            Self::Impossible(_) => "use the kernel's own BTF, without --btf",
            Self::Refuted { .. } | Self::WrongMember { .. } => "use the BTF file of exactly this kernel",
        }
        .to_owned()
    }
}

/// Proves `layout`, by a program or, where the kernel runs none on demand, by /proc/kcore.
pub fn prove(layout: &Layout, controller: &Controller) -> Result<Proven, ProofError> {
    match read_own(layout) {
        Ok(own) => own.judge(controller),
        Err(program) => by_kcore(layout, controller).map_err(|error| match error {
            ProofError::Impossible(kcore) => ProofError::Impossible(format!("{program}; and {kcore}")),
            refuted => refuted,
        }),
    }
}

/// Proves `layout` by /proc/kcore alone.
pub fn by_kcore(layout: &Layout, controller: &Controller) -> Result<Proven, ProofError> {
    proof_by_kcore::read(layout).map_err(|error| ProofError::Impossible(error.to_string()))?.judge(controller)
}

impl OwnCgroup {
    /// Compares the path and id with our own cgroup.
    fn judge(&self, controller: &Controller) -> Result<Proven, ProofError> {
        let is = own_path();
        let refuted = |seen: String| ProofError::Refuted { seen, is: is.display().to_string() };
        if self.controller != b"memory" {
            return Err(refuted(format!(
                "a cgroup of the controller \"{}\"",
                self.controller.escape_ascii()
            )));
        }
        let is_it = |path: &Path| {
            let directory = fs::metadata(mounted(controller, path));
            // What is beside a cgroup's own node in memory may be that of one of its files.
            directory.is_ok_and(|directory| directory.is_dir() && directory.ino() == self.cgroup_id)
        };
        // v2: the css belongs to the nearest ancestor that enables the controller. In a cgroup namespace, the path that
        // we know is a suffix of the kernel's.
        let ours = |candidate: &&Path| {
            self.path.ends_with(candidate.strip_prefix("/").unwrap_or(candidate)) && is_it(candidate)
        };
        let path = self.path.display();
        if !is_root(&self.root_css) {
            return Err(refuted(format!("{path} below something that is not a root")));
        }
        let proven = |namespace_root| Ok(Proven { memory_root: self.root, namespace_root });
        match is.ancestors().find(ours) {
            Some(candidate) if self.complete => proven(namespace::root(&self.path, candidate)),
            // What is mounted can be more than what our cgroup namespace has.
            None if self.complete && is_it(&self.path) => {
                let inside = |root: &PathBuf| {
                    namespace::is_ours(&mounted(controller, &namespace::whole_path(root, &is)))
                };
                proven(namespace::root(&self.path, &is).filter(inside))
            }
            _ => Err(refuted(format!("{path} with id {}", self.cgroup_id))),
        }
    }
}

/// The directory of a cgroup, if the mount shows the hierarchy from the root that `path` begins with.
fn mounted(controller: &Controller, path: &Path) -> PathBuf {
    controller.mount.join(path.strip_prefix("/").unwrap_or(path))
}

/// The root memcg is the first one created: css id 1, memcg ID 1, level 0, always online.
fn is_root(header: &EventHeader) -> bool {
    let known = |field, is: bool| header.known & field == 0 || is;
    header.known & Field::PARENT == 0
        && known(Field::CSS_ID, header.css_id == 1)
        && known(Field::MEMCG_ID, header.memcg_id == 1)
        && known(Field::LEVEL, header.level == 0)
        && known(Field::CSS_FLAGS, header.css_flags & CssFlag::ONLINE != 0)
}

/// Runs the program `own_cgroup`.
fn read_own(layout: &Layout) -> Result<OwnCgroup, RunError> {
    let mut ebpf = objects::load(objects::WALK, &[])?;
    let values = ebpf.map_mut("LAYOUT").ok_or(RunError::Absent("LAYOUT"))?;
    Array::<_, Layout>::try_from(values)?.set(0, layout, 0)?;
    let program = ebpf.program_mut("own_cgroup").ok_or(RunError::Absent("own_cgroup"))?;
    let program: &mut RawTracePoint = program.try_into()?;
    program.load()?;
    program.test_run(RawTracePointRunOptions::new())?;
    let values = ebpf.map("OWN").ok_or(RunError::Absent("OWN"))?;
    let own = Array::<_, memcg_trace_common::Own>::try_from(values)?.get(&0, 0)?;
    let steps = ebpf.map("OWN_PATH").ok_or(RunError::Absent("OWN_PATH"))?;
    let steps = Array::<_, PathStep>::try_from(steps)?;
    let mut path = PathBuf::from("/");
    for level in (0..own.levels).rev() {
        let step = steps.get(&level, 0)?;
        path.push(OsStr::from_bytes(&step.name[..step.name.len().min(step.length as usize)]));
    }
    let name = own.controller.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(OwnCgroup {
        controller: name.to_vec(),
        path,
        complete: own.complete == 1,
        cgroup_id: own.cgroup_id,
        root: own.root,
        root_css: own.root_css.header,
    })
}
