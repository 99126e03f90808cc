//! Loads and attaches the hooks on slab caches.

use std::path::Path;

use aya::{Ebpf, maps::Array};
use memcg_trace_common::{ABSENT, SlabHook, SlabLayout};

use super::{
    attach::{self, AttachError, Attached},
    css_callbacks::Callbacks,
    kprobe_events,
    objects::{self, RunError},
    slab_plan,
};
use crate::kernel::{
    layout::{self, LayoutError},
    slab::memcg_caches::{self, CachesError, MemcgCaches},
};

/// Loads the hooks. Without BTF they only have addresses and requested names.
pub fn load(btf: Option<&Path>) -> Result<Ebpf, RunError> {
    let mut ebpf = objects::load(objects::SLAB, &[])?;
    let config = ebpf.map_mut("CONFIG").ok_or(RunError::Absent("CONFIG"))?;
    Array::<_, SlabLayout>::try_from(config)?.set(0, layout(btf), 0)?;
    Ok(ebpf)
}

/// The attached hooks.
pub struct Attachment {
    pub attached: Attached<SlabHook>,
    /// Memcgs have their own caches on this kernel.
    pub per_memcg: bool,
}

/// Attaches the hooks.
pub fn attach(ebpf: &mut Ebpf) -> Result<Attachment, AttachError> {
    attach::kprobes_usable()?;
    kprobe_events::remove_leftovers();
    let memcg = attach::attach_plan(ebpf, slab_plan::MEMCG);
    let per_memcg = memcg.is_ok();
    let mut attached = attach::attach_plan(ebpf, slab_plan::ALL)?;
    attached.hooks.extend(memcg.into_iter().flat_map(|memcg| memcg.hooks));
    Ok(Attachment { attached, per_memcg })
}

const UNKNOWN: SlabLayout = SlabLayout {
    name: ABSENT,
    size: ABSENT,
    object_size: ABSENT,
    flags: ABSENT,
    refcount: ABSENT,
    css_serial: ABSENT,
    module_name: ABSENT,
    reserved: 0,
};

/// Layout of 3.10 in RHEL 7: include/linux/slub_def.h. `module.name` is absent, as there is no way to prove it.
const BY_CGROUP: SlabLayout = SlabLayout {
    name: memcg_caches::BY_CGROUP.name,
    size: 24,
    object_size: 28,
    flags: 8,
    refcount: 68,
    ..UNKNOWN
};

fn layout(btf: Option<&Path>) -> SlabLayout {
    let resolved = match layout::resolve_slab(btf) {
        Err(LayoutError::NoBtf) if Callbacks::find() == Callbacks::Cgroup => {
            by_cgroup().map_err(|error| error.to_string())
        }
        resolved => resolved.map_err(|error| error.to_string()),
    };
    resolved.unwrap_or_else(|error| {
        log::warn!("identifying caches by address only: {error}");
        UNKNOWN
    })
}

/// The built-in layout of 3.10, if the caches read through it match /proc/slabinfo.
fn by_cgroup() -> Result<SlabLayout, CachesError> {
    let proven = MemcgCaches::open(memcg_caches::BY_CGROUP)?.proves_size(BY_CGROUP.size)?;
    proven.then_some(BY_CGROUP).ok_or(CachesError::Refuted)
}
