//! The bytes of a recording, on their way to the thread that writes them.

use std::{
    io::{self, Write},
    mem,
};

use jiff::Timestamp;

use super::disk::{Order, Orders};

/// Bytes that are passed on at the latest.
const CHUNK: usize = 64 << 10;

/// Collects them. Never waits: what finds too much before it is an error.
pub struct Chunks {
    orders: Orders,
    begun: bool,
    chunk: Vec<u8>,
    /// Passed on so far.
    passed_on: u64,
}

impl Chunks {
    pub fn new(orders: Orders) -> Self {
        Self { orders, begun: false, chunk: Vec::new(), passed_on: 0 }
    }

    /// All that was written so far is what recording `number` begins with; it is written as a whole, or not at all. Returns
    /// its bytes.
    pub fn begin(&mut self, number: u32, at: Timestamp) -> io::Result<u64> {
        self.begun = true;
        let head = mem::take(&mut self.chunk);
        self.passed_on = head.len() as u64;
        self.orders.give(Order::Begin { number, at, head })?;
        Ok(self.passed_on)
    }

    /// Number of bytes so far.
    pub fn bytes(&self) -> u64 {
        self.passed_on + self.chunk.len() as u64
    }

    pub fn close(mut self) -> io::Result<()> {
        self.flush()?;
        self.orders.give(Order::Close)
    }

    fn pass_on(&mut self) -> io::Result<()> {
        let chunk = mem::take(&mut self.chunk);
        self.passed_on += chunk.len() as u64;
        self.orders.give(Order::More(chunk))
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.begun && self.chunk.len() >= CHUNK {
            self.pass_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.begun && !self.chunk.is_empty() { self.pass_on() } else { Ok(()) }
    }
}
