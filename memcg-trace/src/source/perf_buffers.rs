//! The perf buffers of all CPUs.

use std::os::fd::{AsFd as _, OwnedFd};

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

/// One for each CPU that is online.
pub(super) struct PerfBuffers {
    events: PerfEventArray<MapData>,
    /// A copy of the very descriptor of `events`: the map forgets what was entered through another when that is closed.
    descriptor: Option<OwnedFd>,
    /// With their CPUs.
    buffers: Vec<(u32, PerfEventArrayBuffer<MapData>)>,
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
        let descriptor = match ebpf.map("EVENTS") {
            Some(Map::PerfEventArray(map)) => map.fd().as_fd().try_clone_to_owned().ok(),
            _ => None,
        };
        let events = ebpf.take_map("EVENTS").ok_or_else(|| LiveError::no_map("EVENTS"))?;
        let events = events.try_into().map_err(|error| LiveError::Map { map: "EVENTS", error })?;
        let (bytes, straddling) = (pages * page_bytes, BytesMut::new());
        let mut opened = Self { events, descriptor, buffers: Vec::new(), pages, bytes, straddling };
        cpus.into_iter().try_for_each(|cpu| opened.open_on(cpu))?;
        Ok(opened)
    }

    /// To be called from time to time: a CPU that comes online gets a buffer, one that is offline has none. The perf event of a
    /// CPU that was offline stays off when it comes back (`perf_event_exit_cpu`).
    pub fn follow_cpus(&mut self) {
        let Ok(online) = online_cpus() else { return };
        self.buffers.retain(|(cpu, _)| online.contains(cpu));
        for cpu in online {
            if self.buffers.iter().all(|(opened, _)| *opened != cpu)
                && let Err(error) = self.open_on(cpu)
            {
                log::warn!("events on CPU {cpu}, which came online, are lost: {error}");
            }
        }
    }

    fn open_on(&mut self, cpu: u32) -> Result<(), LiveError> {
        let pages = self.pages;
        let opened = self.events.open(cpu, Some(pages));
        let buffer = opened.map_err(|error| LiveError::no_buffer(pages, cpu, error))?;
        if let Some(map) = &self.descriptor
            && let Err(error) = perf_wakeups::batch(map, &buffer, cpu)
        {
            log::warn!("each event on CPU {cpu} costs an interrupt: cannot batch the wake-ups: {error}");
        }
        self.buffers.push((cpu, buffer));
        Ok(())
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
        for (_, buffer) in &mut self.buffers {
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
