//! The object with the hooks on memcgs, loaded and configured for this kernel.

use aya::{Ebpf, maps::Array};
use memcg_trace_common::{ABI, Config, DentryLayout, Layout};

use super::{BufferSize, LiveError};
use crate::{
    kernel::{
        Kernel,
        hooks::{css_callbacks::Callbacks, objects, plan::KernelKind},
    },
    record::Backend,
};

/// What to load and attach.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub layout: Layout,
    pub dentry: DentryLayout,
    pub kind: KernelKind,
    /// Address of the `cgroup_root` that carries the memory controller; 0 when not known.
    pub memory_root: u64,
    /// `None`: the best that this kernel allows.
    pub backend: Option<Backend>,
    pub buffer_size: BufferSize,
}

/// Cgroups that the hooks can tell apart by address: as many as there can be memcgs.
const CGROUPS_MAX: u32 = 65_536;

/// Threads that are remembered for the path they asked for.
const THREADS_MAX: u32 = 4096;

impl Options {
    /// What is known of this kernel, and no wishes.
    pub fn of(kernel: &Kernel) -> Self {
        Self {
            layout: kernel.layout.layout,
            dentry: kernel.dentry,
            kind: kernel.kind(),
            memory_root: kernel.memory_root,
            backend: None,
            buffer_size: BufferSize::Fitting { memory_limit: kernel.memory_limit() },
        }
    }
}

/// Loads it; programs are loaded when they are attached.
pub(super) fn load(options: &Options) -> Result<Ebpf, LiveError> {
    let cgroups = match options.kind {
        KernelKind { callbacks: Callbacks::Css, blind: false } => 1,
        _ => CGROUPS_MAX,
    };
    let threads = match options.kind {
        KernelKind { callbacks: Callbacks::Cgroup, blind: true } => THREADS_MAX,
        _ => 1,
    };
    let loader = |object| objects::load(object, &[("MEMCGS", cgroups), ("ASKED", threads)]);
    let mut ebpf = if log::log_enabled!(target: "memcg_trace_ebpf", log::Level::Debug) {
        loader(objects::HOOKS_LOG).or_else(|error| {
            log::warn!("no log lines from the hooks: {error}");
            loader(objects::HOOKS)
        })?
    } else {
        loader(objects::HOOKS)?
    };
    let Options { layout, dentry, memory_root, .. } = *options;
    let config = Config { abi: ABI, dentry, memory_root, layout };
    // Borrowed, not taken: the programs, which are not loaded yet, refer to it by its descriptor.
    let configs = ebpf.map_mut("CONFIG").ok_or_else(|| LiveError::no_map("CONFIG"))?;
    Array::<_, Config>::try_from(configs)
        .and_then(|mut configs| configs.set(0, config, 0))
        .map_err(|error| LiveError::Map { map: "CONFIG", error })?;
    Ok(ebpf)
}
