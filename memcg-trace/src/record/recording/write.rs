//! Writes recordings.

use std::io::{self, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use memcg_trace_common::ABI;
use serde::Serialize;
use zerocopy::IntoBytes as _;

use super::{CACHES, CHECKPOINT, END, EVENT, FORMAT, LOST, MAGIC, MISSED, MISSING, NAMES, PINS, TIME, WALK};
use crate::{
    attribution::Facts,
    event::{Event, Key},
    record::{CacheCopies, Checkpoint, End, Learned, Memcg, PinsRead, Record, Snapshot, Start},
};

/// Writes a recording, block by block. After an error nothing more can be written.
pub struct Writer<W: Write> {
    frame: FrameEncoder<W>,
}

impl<W: Write> Writer<W> {
    /// Starts a recording, and writes the facts from the start of the run to `out`.
    pub fn new(mut out: W, start: &Start) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        out.write_all(&FORMAT.to_le_bytes())?;
        out.write_all(&ABI.to_le_bytes())?;
        // Linked blocks: many are short, as each flush closes one, and would hardly compress on their own.
        let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Linked);
        let mut frame = FrameEncoder::with_frame_info(info.block_checksums(true), out);
        json(&mut frame, start)?;
        u64(&mut frame, start.paths.len() as u64)?;
        for (&cgroup_id, path) in &start.paths {
            u64(&mut frame, cgroup_id)?;
            u32(&mut frame, length(path)?)?;
            frame.write_all(path)?;
        }
        let mut writer = Self { frame };
        writer.flush()?;
        Ok(writer)
    }

    /// Writes what is known already, before anything else. `memcgs`: instead of those in it, lest all are copied.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint, memcgs: &[(&Memcg, &[Facts])]) -> io::Result<()> {
        let out = &mut self.frame;
        tag(out, CHECKPOINT)?;
        json(out, checkpoint)?;
        u64(out, memcgs.len() as u64)?;
        for (memcg, facts) in memcgs {
            json(out, memcg)?;
            tag(out, u8::from(memcg.path.is_some()))?;
            if let Some(path) = &memcg.path {
                u32(out, length(path)?)?;
                out.write_all(path)?;
            }
            json(out, facts)?;
        }
        Ok(())
    }

    /// Writes a record that is applied to the ledger.
    pub fn record(&mut self, record: &Record) -> io::Result<()> {
        let out = &mut self.frame;
        match *record {
            Record::Event(ref seen) => {
                tag(out, EVENT)?;
                event(out, seen)
            }
            Record::Walk(ref snapshot) => walk(out, snapshot),
            Record::Lost { t_ns, hook, cpu, events } => {
                tag(out, LOST)?;
                u64(out, t_ns)?;
                u16(out, hook as u16)?;
                u32(out, cpu)?;
                u64(out, events)
            }
            Record::Missed { t_ns, hook, firings } => {
                tag(out, MISSED)?;
                u64(out, t_ns)?;
                u16(out, hook as u16)?;
                u64(out, firings)
            }
            Record::Learned(Learned::Names { key, ref facts }) => {
                tag(out, NAMES)?;
                u64(out, key.css)?;
                u64(out, key.serial)?;
                json(out, facts)
            }
            Record::Learned(Learned::NamesMissing(ref missing)) => {
                tag(out, MISSING)?;
                u64(out, missing.memcgs)?;
                u64(out, missing.of_slice)?;
                u32(out, length(&missing.slice)?)?;
                out.write_all(&missing.slice)
            }
            Record::Learned(Learned::Copies(ref seen)) => copies(out, seen),
            Record::Learned(Learned::Pins(ref seen)) => pins(out, seen),
        }
    }

    /// Writes a time that is passed to the ledger (`CLOCK_MONOTONIC`, ns).
    pub fn time(&mut self, now_ns: u64) -> io::Result<()> {
        tag(&mut self.frame, TIME)?;
        u64(&mut self.frame, now_ns)
    }

    /// Where it is written to.
    pub fn out(&mut self) -> &mut W {
        self.frame.get_mut()
    }

    /// Makes everything written so far readable, whatever happens later.
    pub fn flush(&mut self) -> io::Result<()> {
        self.frame.flush()?;
        self.frame.get_mut().flush()
    }

    /// Ends the recording.
    pub fn finish(mut self, end: &End) -> io::Result<W> {
        let out = &mut self.frame;
        tag(out, END)?;
        u64(out, end.ended_ns)?;
        out.write_all(&end.clock.boottime_offset_ns.to_le_bytes())?;
        out.write_all(&end.clock.realtime_offset_ns.to_le_bytes())?;
        u64(out, end.undecodable)?;
        let mut out = self.frame.finish()?;
        out.flush()?;
        Ok(out)
    }
}

fn walk(out: &mut impl Write, snapshot: &Snapshot) -> io::Result<()> {
    tag(out, WALK)?;
    u64(out, snapshot.began_ns)?;
    u64(out, snapshot.ended_ns)?;
    u64(out, snapshot.events.len() as u64)?;
    for seen in &snapshot.events {
        event(out, seen)?;
        let header = seen.header();
        let charges = snapshot.charges.get(&Key { css: header.css, serial: header.serial });
        tag(out, u8::from(charges.is_some()))?;
        if let Some(charges) = charges {
            out.write_all(charges.as_bytes())?;
        }
    }
    Ok(())
}

fn copies(out: &mut impl Write, copies: &CacheCopies) -> io::Result<()> {
    tag(out, CACHES)?;
    u64(out, copies.t_ns)?;
    tag(out, u8::from(copies.hold))?;
    u64(out, copies.of.len() as u64)?;
    for (key, names) in &copies.of {
        u64(out, key.css)?;
        u64(out, key.serial)?;
        u64(out, names.len() as u64)?;
        for name in names {
            u32(out, length(name)?)?;
            out.write_all(name)?;
        }
    }
    Ok(())
}

fn pins(out: &mut impl Write, pins: &PinsRead) -> io::Result<()> {
    tag(out, PINS)?;
    u64(out, pins.t_ns)?;
    u64(out, pins.of.len() as u64)?;
    for (key, pinned) in &pins.of {
        u64(out, key.css)?;
        u64(out, key.serial)?;
        json(out, pinned)?;
    }
    Ok(())
}

fn event(out: &mut impl Write, event: &Event) -> io::Result<()> {
    out.write_all(event.header().as_bytes())?;
    out.write_all(event.raw_name())
}

fn json(out: &mut impl Write, value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    let json = serde_json::to_vec(value)?;
    u32(out, length(&json)?)?;
    out.write_all(&json)
}

fn length(bytes: &[u8]) -> io::Result<u32> {
    u32::try_from(bytes.len()).map_err(io::Error::other)
}

fn tag(out: &mut impl Write, value: u8) -> io::Result<()> {
    out.write_all(&[value])
}

fn u16(out: &mut impl Write, value: u16) -> io::Result<()> {
    out.write_all(&value.to_le_bytes())
}

fn u32(out: &mut impl Write, value: u32) -> io::Result<()> {
    out.write_all(&value.to_le_bytes())
}

fn u64(out: &mut impl Write, value: u64) -> io::Result<()> {
    out.write_all(&value.to_le_bytes())
}
