//! The memory that our own process may use: everything charged to it counts, perf buffers and maps included.

use std::{fs, path::Path};

use super::{
    hierarchy::{Controller, own_path},
    namespace,
};
use crate::{record::Version, units::Size};

/// With less than this, the kernel may kill us while we read its type information: by then 10 MiB are charged
/// (`scan`, 6.18 on x86-64).
const ENOUGH: u64 = 16 << 20;
/// What the manifests in deploy/ allow.
const USUAL: u64 = 256 << 20;

/// The lowest limit of the process's own cgroup and its ancestors, as far as they are mounted, in bytes; `None`: no
/// limit is seen. `root` is the path of our cgroup namespace's root in the hierarchy, if known.
pub fn own_limit(controller: &Controller, root: Option<&Path>) -> Option<u64> {
    let own = own_path();
    let whole = root.map(|root| namespace::whole_path(root, &own));
    let paths = [whole.as_deref(), Some(&*own)].into_iter().flatten();
    let mut directories = paths.map(|path| controller.mount.join(path.strip_prefix("/").unwrap_or(path)));
    let directory = directories.find(|directory| namespace::is_ours(directory))?;
    let file = match controller.version {
        Version::V1 => "memory.limit_in_bytes",
        Version::V2 => "memory.max",
    };
    // "max" is no number; the highest number of v1 is higher than any other.
    let limit = |directory: &Path| fs::read_to_string(directory.join(file)).ok()?.trim().parse().ok();
    let shown = |path: &&Path| path.starts_with(&controller.mount);
    directory.ancestors().take_while(shown).filter_map(limit).min()
}

/// Says so if the limit is too low: the OOM killer leaves no time to.
pub fn warn_if_low(controller: &Controller) {
    if let Some(limit) = own_limit(controller, None).filter(|limit| *limit < ENOUGH) {
        let [limit, enough, usual] = [limit, ENOUGH, USUAL].map(|bytes| Size { bytes });
        log::warn!(
            "the memory limit of our own cgroup is {limit}: with less than {enough} the kernel may kill this process; raise it to {usual} \
             (memory.max; in Kubernetes, resources.limits.memory)"
        );
    }
}
