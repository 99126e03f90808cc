//! How much a recording may unpack to.
//!
//! LZ4 packs up to 255 equal bytes into one. Recordings of `trace` unpack to 3 to 9 times their size.

use std::io::{self, BufReader, Read};

use lz4_flex::frame::FrameDecoder;
use thiserror::Error;

/// Bytes that each byte of the file may unpack to.
const RATIO: u64 = 32;
/// Bytes that any file may unpack to.
const FREE: u64 = 16 << 20;

/// It unpacks to more than any recording does.
#[derive(Debug, Error)]
#[error("it unpacks to more than {RATIO} times its size, which no recording does")]
pub struct Excess;

/// Unpacks a frame, up to what its size allows.
pub struct Unpacked<R: Read> {
    frame: FrameDecoder<CountedBytes<BufReader<R>>>,
    unpacked: u64,
}

/// Counts what is read.
struct CountedBytes<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Unpacked<R> {
    pub fn new(file: BufReader<R>) -> Self {
        Self { frame: FrameDecoder::new(CountedBytes { inner: file, bytes: 0 }), unpacked: 0 }
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.frame.read(buffer)?;
        self.unpacked += read as u64;
        if self.unpacked > FREE + RATIO * self.frame.get_ref().bytes {
            return Err(io::Error::new(io::ErrorKind::InvalidData, Excess));
        }
        Ok(read)
    }
}

impl<R: Read> Read for CountedBytes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}
