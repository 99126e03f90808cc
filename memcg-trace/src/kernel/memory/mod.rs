//! Kernel memory by address, many reads at once: by a program that runs on demand, or through /proc/kcore.
//!
//! Nothing holds still while it is read, and nobody vouches for what an address means. A read of what is not there fails by
//! itself and spoils no other. Whoever follows pointers does it for many things at once, level by level: [`rows`].

mod by_kcore;
pub mod kcore;
mod lists;
mod mapped;
mod program;
pub mod rows;
pub mod symbols;
#[cfg(test)]
mod tests;
mod trees;

use aya::{EbpfError, programs::ProgramError};
use memcg_trace_common::{ENTRY_WORDS, List, ListEnd, Request};
use thiserror::Error;

use self::kcore::{Kcore, KcoreError};
pub use self::{
    by_kcore::ByKcore,
    lists::{Listed, Lists},
    mapped::{Mapped, MappedError},
    program::MemoryPrograms,
    rows::{Members, Rows},
};

/// The reason why kernel memory cannot be read.
#[derive(Debug, Error)]
pub enum MemoryError {
    #[error("cannot load the programs that read memory: {0}")]
    Load(#[from] EbpfError),
    #[error("this kernel runs no program on demand (test runs of raw tracepoints came with Linux 5.10): {0}")]
    Program(#[from] ProgramError),
    #[error("the eBPF object has no {0}")]
    Absent(&'static str),
    #[error(transparent)]
    Mapped(#[from] MappedError),
    #[error("the eBPF program {0} failed")]
    Failed(&'static str),
    #[error(transparent)]
    Kcore(#[from] KcoreError),
    #[error("{program}; and {kcore}")]
    Neither { program: Box<MemoryError>, kcore: Box<MemoryError> },
}

/// Callback for each answer: its number among the requests, and the bytes; `None`: not readable.
pub type OnAnswer<'a> = &'a mut dyn FnMut(usize, Option<&[u8]>);

/// Callback for the words of each entry of a list.
pub type OnEntry<'a> = &'a mut dyn FnMut(&[u64; ENTRY_WORDS]);

/// A way to read kernel memory.
pub trait Memory {
    /// The way memory is read, in a word for outputs.
    fn means(&self) -> &'static str;

    /// To be called before memory is read anew, after some time.
    fn refresh(&mut self) -> Result<(), MemoryError>;

    /// Answers all requests, in their order. A string comes without its NUL; one that is longer is cut.
    fn read(&mut self, requests: &[Request], answer: OnAnswer<'_>) -> Result<(), MemoryError>;

    /// Follows a list for as many steps as are done at once. `list` is what it is to be called with to go on.
    fn follow(&mut self, list: &mut List, entry: OnEntry<'_>) -> Result<ListEnd, MemoryError>;

    /// Reads [`memcg_trace_common::BLOCK_BYTES`] at `address`; `None`: some of it is not readable.
    fn block(&mut self, address: u64) -> Result<Option<&[u8]>, MemoryError>;
}

/// The programs, and /proc/kcore where the kernel does not run them.
pub fn open() -> Result<Box<dyn Memory>, MemoryError> {
    let program = match MemoryPrograms::load() {
        Ok(program) => return Ok(Box::new(program)),
        Err(error) => error,
    };
    match by_kcore() {
        Ok(memory) => {
            log::debug!("memory is read from /proc/kcore: {program}");
            Ok(memory)
        }
        Err(kcore) => Err(MemoryError::Neither { program: program.into(), kcore: kcore.into() }),
    }
}

/// /proc/kcore alone. Opening it takes CAP_SYS_RAWIO, reading it nothing.
pub fn by_kcore() -> Result<Box<dyn Memory>, MemoryError> {
    Ok(Box::new(ByKcore::new(Kcore::open()?)))
}
