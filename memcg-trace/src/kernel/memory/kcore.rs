//! Kernel memory through /proc/kcore, an ELF core of the running kernel.
//!
//! Memory changes while it is read, and addresses are not checked: a freed struct reads like a live one, and some
//! kernels return zeros for unmapped memory. Callers must verify what they read.

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
/// The smallest page of any architecture: where a larger one ends, one of these does.
const PAGE: u64 = 4096;

/// The reason why /proc/kcore cannot be used.
#[derive(Debug, Error)]
pub enum KcoreError {
    #[error("cannot open {KCORE}: {0}; it requires CONFIG_PROC_KCORE, CAP_SYS_RAWIO and no lockdown")]
    Open(io::Error),
    #[error("{KCORE} is no core of the kernel ({0}); containers often hide it")]
    Format(#[from] object::read::Error),
    #[error("{KCORE} has no note with our own task_struct")]
    NoTask,
}

impl Lack for KcoreError {
    fn next_step(&self) -> String {
        match self {
            Self::Open(_) => "it requires CONFIG_PROC_KCORE, CAP_SYS_RAWIO and no lockdown".to_owned(),
            Self::Format(_) => "run it on the host: containers often hide it".to_owned(),
            Self::NoTask => "none: this /proc/kcore cannot be used".to_owned(),
        }
    }
}

/// The open file. Opening it requires CAP_SYS_RAWIO, reading does not.
pub struct Kcore {
    file: File,
    segments: Vec<Segment>,
}

/// A range of addresses, and the offset of its start in the file.
struct Segment {
    addresses: Range<u64>,
    offset: u64,
}

/// The first bytes of a struct, read in one go.
#[derive(Clone, Copy)]
pub struct Struct<B>(pub B);

impl Kcore {
    pub fn open() -> Result<Self, KcoreError> {
        Self::of_file(File::open(KCORE).map_err(KcoreError::Open)?)
    }

    /// A file like it: an ELF core whose segments say which addresses it has.
    pub fn of_file(file: File) -> Result<Self, KcoreError> {
        let mut kcore = Self { file, segments: Vec::new() };
        kcore.refresh()?;
        Ok(kcore)
    }

    /// A file with these addresses, starting at offset 0.
    #[cfg(test)]
    pub fn of(file: File, addresses: Range<u64>) -> Self {
        Self { file, segments: vec![Segment { addresses, offset: 0 }] }
    }

    /// Re-reads the segments: when memory is added, the offsets of all following segments change.
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

    /// The `task_struct` of this thread, from a note in the core: an entry point that needs no symbols.
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

    /// The first `length` bytes of the struct at `address`. `None`: not mapped, or not that much.
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

    /// A string without its NUL, at most `limit` bytes.
    pub fn string(&self, address: u64, limit: usize) -> Option<Vec<u8>> {
        let mut string = Vec::new();
        while string.len() < limit {
            // Do not cross the page: the next one may not be mapped.
            let at = address.checked_add(string.len() as u64)?;
            let chunk = ((PAGE - at % PAGE) as usize).min(limit - string.len());
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

    /// The member at `offset`. `None`: beyond the bytes that were read.
    pub fn get<T: FromBytes>(&self, offset: u32) -> Option<T> {
        let (value, _) = T::read_from_prefix(self.0.as_ref().get(offset as usize..)?).ok()?;
        Some(value)
    }
}
