//! What `trace` would find with a backend, for `doctor`.

use super::{LiveError, Options, loading::load, perf_buffers::PerfBuffers};
use crate::{
    kernel::hooks::{
        attach::{self, AttachError},
        kprobe_events,
        plan::Planned,
    },
    record::Backend,
};

/// What [`super::Live::open`] would find with one backend.
pub struct Trial {
    /// Perf buffers, one for each CPU that is online, and the pages of each.
    pub buffers: usize,
    pub perf_pages: usize,
    /// Every hook of the plan, and why it cannot be attached.
    pub hooks: Vec<(&'static Planned, Option<AttachError>)>,
}

impl Trial {
    /// Does the same as [`super::Live::open`] with this backend, but goes on behind a hook that cannot be attached, and detaches
    /// them all.
    pub fn run(options: &Options, backend: Backend) -> Result<Self, LiveError> {
        let _own = kprobe_events::OwnKprobes;
        let mut ebpf = load(options)?;
        let buffers = PerfBuffers::open(&mut ebpf, options.buffer_size)?;
        let tried = attach::attach_each(&mut ebpf, backend, options.kind)
            .map_err(|error| LiveError::Backend { backend, error })?
            .map(|(planned, attached)| (planned, attached.err()));
        let hooks = tried.collect();
        Ok(Self { buffers: buffers.number(), perf_pages: buffers.pages(), hooks })
    }

    /// Every hook that is needed can be attached.
    pub fn works(&self) -> bool {
        self.hooks.iter().all(|(planned, error)| error.is_none() || planned.optional.is_some())
    }
}
