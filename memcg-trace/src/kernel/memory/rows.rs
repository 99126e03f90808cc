//! The same members of many structs, read level by level: what one pointer leads to is read for all structs at once.

use std::ops::Range;

use memcg_trace_common::{ABSENT, READ_MAX, Request};
use zerocopy::FromBytes;

use super::{Memory, MemoryError};

/// Members of one kind of struct that are read together: as few runs of bytes as have them all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Offset and size of each.
    members: Vec<(u32, u32)>,
    /// Offsets that are read, in order; none is longer than [`READ_MAX`].
    windows: Vec<Range<u32>>,
}

impl Members {
    /// Members that are no larger than a word, by offset; what is [`ABSENT`] is not read.
    pub fn of(offsets: &[u32]) -> Self {
        let members = offsets.iter().map(|offset| (*offset, size_of::<u64>() as u32)).collect();
        Self { members, windows: Vec::new() }.arranged()
    }

    /// One more, of `size` bytes, [`READ_MAX`] at most.
    pub fn with(mut self, offset: u32, size: u32) -> Self {
        self.members.push((offset, size.min(READ_MAX as u32)));
        self.arranged()
    }

    fn arranged(mut self) -> Self {
        self.members.retain(|(offset, _)| *offset != ABSENT);
        self.members.sort_unstable();
        self.windows.clear();
        for &(start, size) in &self.members {
            let end = start.saturating_add(size);
            match self.windows.last_mut() {
                Some(window) if end.saturating_sub(window.start) <= READ_MAX as u32 => {
                    window.end = window.end.max(end);
                }
                _ => self.windows.push(start..end),
            }
        }
        self
    }

    /// Bytes that are read of each struct.
    fn stride(&self) -> usize {
        self.windows.iter().map(|window| window.len()).sum()
    }
}

/// The members of many structs, a row for each.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    windows: Vec<Range<u32>>,
    stride: usize,
    bytes: Vec<u8>,
    /// By row and window: whether it was readable.
    readable: Vec<bool>,
}

impl Rows {
    /// A member of a struct. `None`: absent, not asked for or not readable.
    pub fn get<T: FromBytes>(&self, row: usize, offset: u32) -> Option<T> {
        let bytes = self.bytes(row, offset, size_of::<T>())?;
        T::read_from_bytes(bytes).ok()
    }

    /// A pointer, or any word; 0 where there is none.
    pub fn pointer(&self, row: usize, offset: u32) -> u64 {
        self.get(row, offset).unwrap_or(0)
    }

    /// The same of all structs.
    pub fn pointers(&self, offset: u32) -> Vec<u64> {
        (0..self.len()).map(|row| self.pointer(row, offset)).collect()
    }

    /// A member of `size` bytes.
    pub fn bytes(&self, row: usize, offset: u32, size: usize) -> Option<&[u8]> {
        let end = offset.checked_add(size as u32)?;
        let mut start = row * self.stride;
        for (index, window) in self.windows.iter().enumerate() {
            if window.start <= offset && end <= window.end {
                let readable = *self.readable.get(row * self.windows.len() + index)?;
                let at = start + (offset - window.start) as usize;
                return self.bytes.get(at..at + size).filter(|_| readable);
            }
            start += window.len();
        }
        None
    }

    /// A member that is an array of characters, up to its NUL.
    pub fn text(&self, row: usize, offset: u32, size: usize) -> Option<Box<[u8]>> {
        let bytes = self.bytes(row, offset, size)?;
        Some(bytes.split(|byte| *byte == 0).next().unwrap_or_default().into())
    }

    /// Number of structs.
    pub fn len(&self) -> usize {
        self.readable.len().checked_div(self.windows.len()).unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> dyn Memory + 'a {
    /// Reads the members of the structs at `bases`; of one at 0, nothing.
    pub fn rows(&mut self, bases: &[u64], members: &Members) -> Result<Rows, MemoryError> {
        let windows = members.windows.clone();
        let stride = members.stride();
        let mut rows = Rows {
            stride,
            bytes: vec![0; bases.len() * stride],
            readable: vec![false; bases.len() * windows.len()],
            windows,
        };
        let mut requests = Vec::with_capacity(rows.readable.len());
        // The place of each answer: among the windows, and in the bytes.
        let mut places = Vec::with_capacity(rows.readable.len());
        for (row, base) in bases.iter().enumerate().filter(|(_, base)| **base != 0) {
            let mut at = row * stride;
            for (index, window) in rows.windows.iter().enumerate() {
                let length = window.end - window.start;
                requests.push(Request { address: base.wrapping_add(window.start.into()), length, string: 0 });
                places.push((row * rows.windows.len() + index, at));
                at += length as usize;
            }
        }
        self.read(&requests, &mut |index, bytes| {
            let (window, at) = places[index];
            if let Some(bytes) = bytes {
                rows.bytes[at..at + bytes.len()].copy_from_slice(bytes);
                rows.readable[window] = true;
            }
        })?;
        Ok(rows)
    }

    /// One pointer of each struct; 0 where there is none.
    pub fn pointers(&mut self, bases: &[u64], offset: u32) -> Result<Vec<u64>, MemoryError> {
        if offset == ABSENT {
            return Ok(vec![0; bases.len()]);
        }
        Ok(self.rows(bases, &Members::of(&[offset]))?.pointers(offset))
    }

    /// Follows the pointers at these offsets, one behind the other; 0 where one leads nowhere.
    pub fn chase(&mut self, bases: &[u64], offsets: &[u32]) -> Result<Vec<u64>, MemoryError> {
        let mut addresses = bases.to_vec();
        for offset in offsets {
            addresses = self.pointers(&addresses, *offset)?;
        }
        Ok(addresses)
    }

    /// The strings at `addresses`, cut after [`READ_MAX`] bytes. `None`: not readable.
    pub fn strings(&mut self, addresses: &[u64]) -> Result<Vec<Option<Box<[u8]>>>, MemoryError> {
        let request = |address: &u64| Request { address: *address, length: READ_MAX as u32, string: 1 };
        let requests: Vec<Request> = addresses.iter().map(request).collect();
        let mut strings = vec![None; addresses.len()];
        self.read(&requests, &mut |index, bytes| strings[index] = bytes.map(Into::into))?;
        Ok(strings)
    }

    /// An array of words, however long; `None` where it could not be read.
    pub fn array(&mut self, address: u64, words: usize) -> Result<Vec<Option<u64>>, MemoryError> {
        const EACH: usize = READ_MAX / size_of::<u64>();
        let starts: Vec<u64> =
            (0..words).step_by(EACH).map(|word| address.wrapping_add(8 * word as u64)).collect();
        let request = |(index, address): (usize, &u64)| {
            let length = (words - index * EACH).min(EACH) * size_of::<u64>();
            Request { address: *address, length: length as u32, string: 0 }
        };
        let requests: Vec<Request> = starts.iter().enumerate().map(request).collect();
        let mut array = vec![None; words];
        self.read(&requests, &mut |index, bytes| {
            let words = bytes.unwrap_or_default().chunks_exact(size_of::<u64>());
            for (slot, word) in array[index * EACH..].iter_mut().zip(words) {
                *slot = u64::read_from_bytes(word).ok();
            }
        })?;
        Ok(array)
    }
}
