//! Kernel memory as a file: /proc/kcore, an ELF core of the running kernel.
//!
//! Nothing holds still while it is read, and what an address means nobody checks: a freed struct reads like a live one,
//! and some kernels give zeros for memory that is not there. Whoever reads through it proves what was read.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _};

use object::{
    NativeEndian,
    elf::{FileHeader64, NT_TASKSTRUCT, PT_LOAD},
    read::{
        ReadCache,
        elf::{FileHeader as _, ProgramHeader as _},
    },
};
use thiserror::Error;
use zerocopy::FromBytes;

use crate::kernel::ability::Lack;

const KCORE: &str = "/proc/kcore";
const PAGE: usize = 4096;

/// Why kernel memory cannot be read as a file.
#[derive(Debug, Error)]
pub enum KcoreError {
    #[error("cannot open {KCORE}: {0}; it takes CONFIG_PROC_KCORE, CAP_SYS_RAWIO and no lockdown")]
    Open(io::Error),
    #[error("{KCORE} is no core of the kernel ({0}); containers often hide it")]
    Format(#[from] object::read::Error),
    #[error("{KCORE} does not tell our own task_struct")]
    NoTask,
}

impl Lack for KcoreError {
    fn next_step(&self) -> String {
        match self {
            Self::Open(_) => "it takes CONFIG_PROC_KCORE, CAP_SYS_RAWIO and no lockdown".to_owned(),
            Self::Format(_) => "run it on the host: containers often hide it".to_owned(),
            Self::NoTask => "none: this core cannot be used".to_owned(),
        }
    }
}

/// The opened file. Opening it takes CAP_SYS_RAWIO, reading it nothing.
pub struct Kcore {
    file: File,
    segments: Vec<Segment>,
}

/// Addresses that the file has, and where the first of them is.
struct Segment {
    addresses: Range<u64>,
    offset: u64,
}

/// The first bytes of a struct, read at once.
#[derive(Clone, Copy)]
pub struct Struct<B>(pub B);

impl Kcore {
    pub fn open() -> Result<Self, KcoreError> {
        let mut kcore = Self { file: File::open(KCORE).map_err(KcoreError::Open)?, segments: Vec::new() };
        kcore.refresh()?;
        Ok(kcore)
    }

    /// A file that has these addresses from its beginning on.
    #[cfg(test)]
    pub fn of(file: File, addresses: Range<u64>) -> Self {
        Self { file, segments: vec![Segment { addresses, offset: 0 }] }
    }

    /// Learns anew where in the file memory is: where memory is added, everything behind it moves.
    pub fn refresh(&mut self) -> Result<(), KcoreError> {
        let file = ReadCache::new(&self.file);
        let header = FileHeader64::<NativeEndian>::parse(&file)?;
        let loaded = header.program_headers(NativeEndian, &file)?.iter();
        let loaded = loaded.filter(|segment| segment.p_type(NativeEndian) == PT_LOAD);
        self.segments = loaded
            .map(|segment| {
                let start = segment.p_vaddr(NativeEndian);
                let end = start.saturating_add(segment.p_memsz(NativeEndian));
                Segment { addresses: start..end, offset: segment.p_offset(NativeEndian) }
            })
            .collect();
        Ok(())
    }

    /// The `task_struct` of this thread, which the core carries as a note: a way into the kernel without any symbol.
    pub fn own_task(&self) -> Result<Struct<Vec<u8>>, KcoreError> {
        let file = ReadCache::new(&self.file);
        let header = FileHeader64::<NativeEndian>::parse(&file)?;
        for segment in header.program_headers(NativeEndian, &file)? {
            let Some(mut notes) = segment.notes(NativeEndian, &file)? else { continue };
            while let Some(note) = notes.next()? {
                if note.n_type(NativeEndian) == NT_TASKSTRUCT {
                    return Ok(Struct(note.desc().to_vec()));
                }
            }
        }
        Err(KcoreError::NoTask)
    }

    /// The first `length` bytes of the struct at `address`. `None`: there is no memory, or not as much.
    pub fn read(&self, address: u64, length: usize) -> Option<Struct<Vec<u8>>> {
        let end = address.checked_add(length as u64)?;
        let within = |segment: &&Segment| segment.addresses.start <= address && end <= segment.addresses.end;
        let segment = self.segments.iter().find(within)?;
        let mut bytes = vec![0; length];
        let offset = segment.offset.checked_add(address - segment.addresses.start)?;
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        Some(Struct(bytes))
    }

    /// One member of the struct at `address`.
    pub fn member<T: FromBytes>(&self, address: u64, offset: u32) -> Option<T> {
        self.read(address.checked_add(offset.into())?, size_of::<T>())?.get(0)
    }

    /// The bytes of a string without its NUL, `limit` at most.
    pub fn string(&self, address: u64, limit: usize) -> Option<Vec<u8>> {
        let mut string = Vec::new();
        while string.len() < limit {
            // Never beyond the page: the next one need not exist.
            let at = address.checked_add(string.len() as u64)?;
            let chunk = (PAGE - at as usize % PAGE).min(limit - string.len());
            let Struct(chunk) = self.read(at, chunk)?;
            match chunk.iter().position(|byte| *byte == 0) {
                Some(end) => {
                    string.extend(&chunk[..end]);
                    break;
                }
                None => string.extend(chunk),
            }
        }
        Some(string)
    }
}

impl<B: AsRef<[u8]>> Struct<B> {
    pub fn borrow(&self) -> Struct<&[u8]> {
        Struct(self.0.as_ref())
    }

    /// The member at `offset`. `None`: it was not read.
    pub fn get<T: FromBytes>(&self, offset: u32) -> Option<T> {
        let (value, _) = T::read_from_prefix(self.0.as_ref().get(offset as usize..)?).ok()?;
        Some(value)
    }
}
