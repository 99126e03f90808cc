//! The perf buffers of all CPUs.

use std::os::fd::AsFd as _;

use aya::{
    Ebpf,
    maps::{
        Map, MapData, PerfEventArray,
        perf::{PerfBufferError, PerfEvent, PerfEventArrayBuffer},
    },
    util::online_cpus,
};
use bytes::BytesMut;

use super::{BufferSize, LiveError};
use crate::kernel::{hooks::perf_wakeups, page_bytes};

/// Header and length word that the perf buffer puts before a sample.
const RECORD_OVERHEAD: usize = 12;

/// One for each CPU that was online when they were opened.
pub(super) struct PerfBuffers {
    buffers: Vec<PerfEventArrayBuffer<MapData>>,
    /// Of one of them, as pages and as bytes.
    pages: usize,
    bytes: usize,
    /// Where a record that straddles the end of a buffer is put together.
    straddling: BytesMut,
}

impl PerfBuffers {
    /// Takes the map `EVENTS` of an object. Where a buffer that fits may not be locked in memory (without CAP_IPC_LOCK,
    /// kernel.perf_event_mlock_kb and RLIMIT_MEMLOCK limit it), takes half of it.
    pub fn open(ebpf: &mut Ebpf, size: BufferSize) -> Result<Self, LiveError> {
        let cpus = online_cpus().map_err(|(path, error)| LiveError::Cpus { path, error })?;
        let (mut pages, least) = size.pages(cpus.len());
        // A copy of the very descriptor: the map forgets what was entered through another when that is closed.
        let descriptor = match ebpf.map("EVENTS") {
            Some(Map::PerfEventArray(map)) => map.fd().as_fd().try_clone_to_owned().ok(),
            _ => None,
        };
        let events = ebpf.take_map("EVENTS").ok_or_else(|| LiveError::no_map("EVENTS"))?;
        let mut events: PerfEventArray<MapData> =
            events.try_into().map_err(|error| LiveError::Map { map: "EVENTS", error })?;
        let mut open = |cpu, pages| {
            let buffer = events.open(cpu, Some(pages)).map_err(|error| (cpu, error))?;
            if let Some(map) = &descriptor
                && let Err(error) = perf_wakeups::batch(map, &buffer, cpu)
            {
                log::warn!("each event on CPU {cpu} costs an interrupt: cannot batch the wake-ups: {error}");
            }
            Ok(buffer)
        };
        let buffers = loop {
            match cpus.iter().map(|cpu| open(*cpu, pages)).collect::<Result<_, _>>() {
                Ok(buffers) => break buffers,
                Err((_, PerfBufferError::MMapError { io_error }))
                    if io_error.raw_os_error() == Some(libc::EPERM) && pages > least =>
                {
                    pages /= 2
                }
                Err((cpu, error)) => return Err(LiveError::no_buffer(pages, cpu, error)),
            }
        };
        Ok(Self { buffers, pages, bytes: pages * page_bytes(), straddling: BytesMut::new() })
    }

    pub fn number(&self) -> usize {
        self.buffers.len()
    }

    /// Pages of one of them.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Takes every record that they hold. True: the fullest held at least an eighth of its size, come back at once.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8])) -> bool {
        let mut pressed = false;
        for buffer in &mut self.buffers {
            let mut bytes = 0;
            buffer.for_each(|record| match record {
                PerfEvent::Sample { head, tail } => {
                    let record = if tail.is_empty() {
                        head
                    } else {
                        self.straddling.clear();
                        self.straddling.extend_from_slice(head);
                        self.straddling.extend_from_slice(tail);
                        &self.straddling
                    };
                    bytes += RECORD_OVERHEAD + record.len();
                    take(record);
                }
                // The gaps in the sequence numbers tell which hook lost what; this is only a hint.
                PerfEvent::Lost { count } => log::debug!("the perf buffer dropped {count} records"),
            });
            pressed |= bytes >= self.bytes / 8;
        }
        pressed
    }
}
