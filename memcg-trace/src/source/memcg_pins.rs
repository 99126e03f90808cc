//! What pins memcgs: looked for when somebody wants to know, as a record.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    cause::{Explanation, Pinned, explain},
    event::Key,
    kernel::{
        Kernel,
        pins::{LookOptions, Pins, PinsError, ScanMemory},
    },
    record,
};

/// A look is followed by a rest of so many times its length.
const REST: u32 = 20;
/// How long a look takes at most while a stream waits to be drained. The map of all pages takes longer, and is left alone.
const BRIEF: Duration = Duration::from_millis(50);
/// How long it takes at most once in a while: the buffers hold more than that of all but the worst storm, whose loss is told.
const NOW_AND_THEN: Duration = Duration::from_millis(250);
/// How long it takes at most where nothing waits.
const LONG: Duration = Duration::from_secs(5);

/// Looks for it.
pub struct MemcgPins {
    kernel: Pins,
    rest_until: Option<Instant>,
}

impl MemcgPins {
    pub fn open(kernel: &Kernel, btf: Option<&Path>) -> Result<Self, PinsError> {
        Ok(Self { kernel: Pins::open(kernel, btf)?, rest_until: None })
    }

    /// How kernel memory is read, in a word.
    pub fn means(&self) -> &'static str {
        self.kernel.means()
    }

    /// A brief look at all of these memcgs in one pass, unless the last one was just now.
    pub fn look_if_rested(&mut self, memcgs: &[Key]) -> Option<Result<record::PinsRead, PinsError>> {
        let rested = self.rest_until.is_none_or(|until| until <= Instant::now());
        let options = LookOptions { scan_memory: ScanMemory::Never, budget: Some(BRIEF) };
        rested.then(|| self.read(memcgs, &options))
    }

    /// A longer look, for those who want to know again what pins all dying memcgs.
    pub fn look_again(&mut self, memcgs: &[Key]) -> Result<record::PinsRead, PinsError> {
        self.read(memcgs, &LookOptions { scan_memory: ScanMemory::Never, budget: Some(NOW_AND_THEN) })
    }

    /// A thorough look.
    pub fn look(&mut self, memcgs: &[Key]) -> Result<record::PinsRead, PinsError> {
        self.read(memcgs, &LookOptions { budget: Some(LONG), ..LookOptions::default() })
    }

    /// A brief look at one memcg that somebody wants to know of now; `None`: it was freed. The looks before leaks do not rest for
    /// it.
    pub fn look_at_one(&mut self, memcg: Key) -> Result<Option<Explanation>, PinsError> {
        let options = LookOptions { scan_memory: ScanMemory::Never, budget: Some(BRIEF) };
        let look = self.kernel.look(&[memcg], &options)?;
        Ok(explain(&look).into_iter().find(|explanation| !explanation.is_freed()))
    }

    fn read(&mut self, memcgs: &[Key], options: &LookOptions) -> Result<record::PinsRead, PinsError> {
        let start = Instant::now();
        let look = self.kernel.look(memcgs, options);
        let took = start.elapsed();
        self.rest_until = Some(Instant::now() + took * REST);
        log::debug!("what pins {} memcgs was looked for in {took:?}", memcgs.len());
        let look = look?;
        // One by one: of 60,000, all that was found takes 100 MB.
        let explanations = look.memcgs.into_iter().map(|referenced| Explanation::of(&referenced));
        let of = explanations.filter(|explanation| !explanation.is_freed());
        let of = of.map(|explanation| (explanation.key, Pinned::of(&explanation))).collect();
        Ok(record::PinsRead { t_ns: look.ended_ns, of })
    }
}
