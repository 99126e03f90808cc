//! Which slab caches memcgs have, read when somebody wants to know.

use std::time::{Duration, Instant};

use crate::{
    event::Key,
    kernel::{
        Kernel, clock,
        slab::memcg_caches::{CachesError, MemcgCaches},
    },
    record::CacheCopies,
};

/// A read is followed by a rest of so many times its length: with very many caches it takes seconds.
const REST: u32 = 20;

/// Reads them.
pub struct Caches {
    kernel: MemcgCaches,
    rest_until: Option<Instant>,
}

impl Caches {
    /// `None`: this kernel has no slab caches for each memcg, or it is not known where they are.
    pub fn open(kernel: &Kernel) -> Result<Option<Self>, CachesError> {
        Ok(kernel.memcg_caches()?.map(|kernel| Self { kernel, rest_until: None }))
    }

    /// Whether a cache keeps its memcg.
    pub fn hold(&self) -> bool {
        self.kernel.hold()
    }

    /// As [`Caches::read`], unless the last time was just now.
    pub fn read_if_rested(&mut self, memcgs: &[Key]) -> Option<Result<CacheCopies, CachesError>> {
        let rested = self.rest_until.is_none_or(|until| until <= Instant::now());
        rested.then(|| self.read(memcgs))
    }

    /// Reads those of these memcgs.
    pub fn read(&mut self, memcgs: &[Key]) -> Result<CacheCopies, CachesError> {
        let start = Instant::now();
        let names = self.kernel.read(memcgs.iter().map(|key| key.css));
        let took: Duration = start.elapsed();
        self.rest_until = Some(Instant::now() + took * REST);
        log::debug!("slab caches of {} memcgs were read in {took:?}", memcgs.len());
        let mut names = names?;
        let of = memcgs.iter().filter_map(|key| Some((*key, names.remove(&key.css)?.into_iter().collect())));
        Ok(CacheCopies { t_ns: clock::monotonic_ns(), hold: self.kernel.hold(), of: of.collect() })
    }
}
