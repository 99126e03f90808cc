//! The size of the perf buffers.

use crate::kernel::page_bytes;

/// The size of each CPU's perf buffer.
#[derive(Clone, Copy, Debug)]
pub enum BufferSize {
    /// In pages; a power of two.
    Pages(usize),
    /// By the number of CPUs, and by the memory that our process may use, in bytes; `None`: not limited.
    Fitting { memory_limit: Option<u64> },
}

/// Memory of all perf buffers together, and the bounds for one CPU's.
const ALL_BYTES: u64 = 64 << 20;
const MAX_BYTES: usize = 2 << 20;
const MIN_BYTES: usize = 128 << 10;
/// The part of a memory limit that the perf buffers may take, which are charged to our cgroup.
const SHARE: u64 = 4;

impl BufferSize {
    /// In pages, and the least that it may become where the kernel does not allow that much.
    pub(super) fn pages(self, cpus: usize) -> (usize, usize) {
        self.pages_of(cpus, page_bytes())
    }

    fn pages_of(self, cpus: usize, page_bytes: usize) -> (usize, usize) {
        match self {
            Self::Pages(pages) => (pages, pages),
            Self::Fitting { memory_limit } => {
                let all = memory_limit.map_or(ALL_BYTES, |limit| ALL_BYTES.min(limit / SHARE));
                let bytes = (all as usize / cpus.max(1)).clamp(MIN_BYTES, MAX_BYTES);
                let pages = |bytes: usize| 1 << (bytes / page_bytes).max(1).ilog2();
                (pages(bytes), pages(MIN_BYTES))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_buffers_fit_the_memory() {
        let (mib, fitting) = (1 << 20, |memory_limit| BufferSize::Fitting { memory_limit });
        let table = [
            (fitting(None), 2, 4096, (512, 32)),
            (fitting(None), 96, 4096, (128, 32)),
            (fitting(None), 4096, 4096, (32, 32)),
            // A pod of 128 MiB on 96 CPUs: 24 MiB in all.
            (fitting(Some(128 * mib)), 96, 4096, (64, 32)),
            (fitting(Some(16 * mib)), 2, 4096, (512, 32)),
            (fitting(Some(mib)), 2, 4096, (32, 32)),
            // Pages of 64 KiB (arm64).
            (fitting(None), 2, 65536, (32, 2)),
            (BufferSize::Pages(4), 96, 4096, (4, 4)),
        ];
        for (size, cpus, page_bytes, expected) in table {
            assert_eq!(size.pages_of(cpus, page_bytes), expected, "{size:?} on {cpus} CPUs");
        }
    }
}
