//! The perf buffers of all CPUs.

use std::os::fd::AsFd as _;

use aya::{
    Ebpf,
    maps::{
        Map, MapData, PerfEventArray,
        perf::{PerfEvent, PerfEventArrayBuffer},
    },
    util::online_cpus,
};
use bytes::BytesMut;

use super::LiveError;
use crate::kernel::{hooks::perf_wakeups, page_bytes};

/// Memory of all perf buffers together, unless `--perf-pages` says otherwise, and the bounds for one CPU's.
const BUFFERS_BYTES: usize = 64 << 20;
const PAGES_MAX: usize = 512;
const PAGES_MIN: usize = 32;

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
    /// Takes the map `EVENTS` of an object. `pages`: of each buffer, a power of two; `None`: by the number of CPUs.
    pub fn open(ebpf: &mut Ebpf, pages: Option<usize>) -> Result<Self, LiveError> {
        let page_bytes = page_bytes();
        let cpus = online_cpus().map_err(|(path, error)| LiveError::Cpus { path, error })?;
        let pages = pages.unwrap_or_else(|| {
            let share = BUFFERS_BYTES / page_bytes / cpus.len().max(1);
            (1 << share.max(1).ilog2()).clamp(PAGES_MIN, PAGES_MAX)
        });
        // A copy of the very descriptor: the map forgets what was entered through another when that is closed.
        let descriptor = match ebpf.map("EVENTS") {
            Some(Map::PerfEventArray(map)) => map.fd().as_fd().try_clone_to_owned().ok(),
            _ => None,
        };
        let events = ebpf.take_map("EVENTS").ok_or_else(|| LiveError::no_map("EVENTS"))?;
        let mut events: PerfEventArray<MapData> =
            events.try_into().map_err(|error| LiveError::Map { map: "EVENTS", error })?;
        let open = |cpu| {
            let buffer =
                events.open(cpu, Some(pages)).map_err(|error| LiveError::no_buffer(pages, cpu, error))?;
            if let Some(map) = &descriptor
                && let Err(error) = perf_wakeups::batch(map, &buffer, cpu)
            {
                log::warn!("each event on CPU {cpu} costs an interrupt: cannot batch the wake-ups: {error}");
            }
            Ok(buffer)
        };
        let buffers = cpus.into_iter().map(open).collect::<Result<_, LiveError>>()?;
        Ok(Self { buffers, pages, bytes: pages * page_bytes, straddling: BytesMut::new() })
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
