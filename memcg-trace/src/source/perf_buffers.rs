//! The perf buffers of all CPUs.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    maps::{
        Map, MapData, PerfEventArray,
        perf::{PerfEvent, PerfEventArrayBuffer},
    },
    util::online_cpus,
};
use bytes::BytesMut;

use super::{BufferSize, LiveError, online_cpus::OnlineCpus};
use crate::kernel::{hooks::perf_wakeups, page_bytes};

/// Header and length word that the perf buffer puts before a sample.
const RECORD_OVERHEAD: usize = 12;

/// Interval for looking which CPUs are online. Taking one offline and back takes longer.
const LOOK: Duration = Duration::from_millis(40);

/// One for each CPU that is online.
pub(super) struct PerfBuffers {
    events: PerfEventArray<MapData>,
    /// A copy of the very descriptor of `events`: the map forgets what was entered through another when that is closed.
    descriptor: Option<OwnedFd>,
    /// With their CPUs.
    buffers: Vec<(u32, PerfEventArrayBuffer<MapData>)>,
    /// CPUs that are online without one: none could be opened.
    blind: Vec<u32>,
    online: OnlineCpus,
    looked: Instant,
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
        let cpus = online_cpus().map_err(LiveError::no_cpus)?;
        let (mut pages, least) = size.pages(cpus.len());
        let descriptor = match ebpf.map("EVENTS") {
            Some(Map::PerfEventArray(map)) => map.fd().as_fd().try_clone_to_owned().ok(),
            _ => None,
        };
        let events = ebpf.take_map("EVENTS").ok_or_else(|| LiveError::no_map("EVENTS"))?;
        let mut events = events.try_into().map_err(|error| LiveError::Map { map: "EVENTS", error })?;
        let buffers = loop {
            let open = |cpu: &u32| Ok((*cpu, open(&mut events, descriptor.as_ref(), *cpu, pages)?));
            match cpus.iter().map(open).collect::<Result<_, LiveError>>() {
                Err(error) if error.is_mlock_limit() && pages > least => pages /= 2,
                buffers => break buffers?,
            }
        };
        let (bytes, straddling) = (pages * page_bytes(), BytesMut::new());
        Ok(Self {
            events,
            descriptor,
            buffers,
            blind: Vec::new(),
            online: OnlineCpus::open(),
            looked: Instant::now(),
            pages,
            bytes,
            straddling,
        })
    }

    /// The CPUs that are online, if they changed, from time to time.
    fn look(&mut self) -> Option<Vec<u32>> {
        if self.looked.elapsed() < LOOK {
            return None;
        }
        self.looked = Instant::now();
        self.online.changed()
    }

    /// A CPU that came online gets a buffer. One that went offline needs another when it comes back: its perf event
    /// stays off (`perf_event_exit_cpu`, kernel/events/core.c).
    fn follow(&mut self, online: &[u32]) {
        self.buffers.retain(|(cpu, _)| online.contains(cpu));
        self.blind.retain(|cpu| online.contains(cpu));
        for cpu in online {
            if self.blind.contains(cpu) || self.buffers.iter().any(|(opened, _)| opened == cpu) {
                continue;
            }
            match open(&mut self.events, self.descriptor.as_ref(), *cpu, self.pages) {
                Ok(buffer) => self.buffers.push((*cpu, buffer)),
                Err(error) => {
                    log::warn!("events on CPU {cpu}, which came online, are lost: {error}");
                    self.blind.push(*cpu);
                }
            }
        }
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
        // Before: a CPU that is offline by now adds nothing to its buffer any more.
        let online = self.look();
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
        if let Some(online) = online {
            self.follow(&online);
        }
        pressed
    }
}

/// Opens the buffer of a CPU.
fn open(
    events: &mut PerfEventArray<MapData>,
    descriptor: Option<&OwnedFd>,
    cpu: u32,
    pages: usize,
) -> Result<PerfEventArrayBuffer<MapData>, LiveError> {
    let buffer = events.open(cpu, Some(pages)).map_err(|error| LiveError::no_buffer(pages, cpu, error))?;
    if let Some(map) = descriptor
        && let Err(error) = perf_wakeups::batch(map, &buffer, cpu)
    {
        log::warn!("each event on CPU {cpu} costs an interrupt: cannot batch the wake-ups: {error}");
    }
    Ok(buffer)
}
