//! Kernel memory by programs that run on demand: 64 reads, 64 entries of a list or 64 KiB a run.

use aya::{
    Ebpf,
    programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _},
};
use memcg_trace_common::{
    Answers, BATCH, Block, ENTRY_WORDS, Entries, LIST_STEPS, List, ListEnd, READ_MAX, Request, Requests,
};

use super::{Mapped, Memory, MemoryError, OnAnswer, OnEntry};
use crate::kernel::hooks::objects;

const READ_BATCH: &str = "read_batch";
const READ_LIST: &str = "read_list";
const READ_BLOCK: &str = "read_block";

/// The loaded programs.
pub struct MemoryPrograms {
    ebpf: Ebpf,
    requests: Mapped<Requests>,
    answers: Mapped<Answers>,
    list: Mapped<List>,
    entries: Mapped<Entries>,
    block: Mapped<Block>,
}

impl MemoryPrograms {
    /// Loads them, and tries whether the kernel runs them. Takes some 100 ms.
    pub fn load() -> Result<Self, MemoryError> {
        let ebpf = objects::load(objects::PINS, &[])?;
        let mut program = Self {
            requests: Mapped::of(&ebpf, "REQUESTS")?,
            answers: Mapped::of(&ebpf, "ANSWERS")?,
            list: Mapped::of(&ebpf, "LIST")?,
            entries: Mapped::of(&ebpf, "ENTRIES")?,
            block: Mapped::of(&ebpf, "BLOCK")?,
            ebpf,
        };
        for name in [READ_BATCH, READ_LIST, READ_BLOCK] {
            program.program(name)?.load()?;
        }
        program.requests.get_mut().count = 0;
        program.run(READ_BATCH, 0)?;
        Ok(program)
    }

    fn program(&mut self, name: &'static str) -> Result<&mut RawTracePoint, MemoryError> {
        let program = self.ebpf.program_mut(name).ok_or(MemoryError::Absent(name))?;
        Ok(program.try_into()?)
    }

    /// Returns the return value of the program: 0 if it succeeded.
    fn run(&mut self, name: &'static str, argument: u64) -> Result<u32, MemoryError> {
        let mut options = RawTracePointRunOptions::new();
        options.args[0] = argument;
        Ok(self.program(name)?.test_run(options)?.return_value)
    }
}

impl Memory for MemoryPrograms {
    fn means(&self) -> &'static str {
        "program"
    }

    fn refresh(&mut self) -> Result<(), MemoryError> {
        Ok(())
    }

    fn read(&mut self, requests: &[Request], answer: OnAnswer<'_>) -> Result<(), MemoryError> {
        for (batch, first) in requests.chunks(BATCH).zip((0..).step_by(BATCH)) {
            let asked = self.requests.get_mut();
            asked.requests[..batch.len()].copy_from_slice(batch);
            asked.count = batch.len() as u64;
            if self.run(READ_BATCH, 0)? != 0 {
                return Err(MemoryError::Failed(READ_BATCH));
            }
            let Answers { lengths, bytes } = self.answers.get();
            for (index, request) in batch.iter().enumerate() {
                let length = usize::try_from(lengths[index]).ok().map(|length| length.min(READ_MAX));
                // Of a string, the NUL counts.
                let length = length.map(|length| length.saturating_sub(request.string as usize));
                answer(first + index, length.map(|length| &bytes[index][..length]));
            }
        }
        Ok(())
    }

    fn follow(&mut self, list: &mut List, entry: OnEntry<'_>) -> Result<ListEnd, MemoryError> {
        *self.list.get_mut() = *list;
        if self.run(READ_LIST, 0)? != 0 {
            return Err(MemoryError::Failed(READ_LIST));
        }
        let Entries { count, end, node, entries } = self.entries.get();
        entries[..LIST_STEPS.min(*count as usize)].iter().for_each(|words: &[u64; ENTRY_WORDS]| entry(words));
        list.node = *node;
        Ok(ListEnd::from_raw(*end))
    }

    fn block(&mut self, address: u64) -> Result<Option<&[u8]>, MemoryError> {
        let readable = self.run(READ_BLOCK, address)? == 0;
        Ok(readable.then_some(&self.block.get().bytes[..]))
    }
}
