//! The running kernel: load and attach the hooks, drain their perf buffers.

use std::{thread, time::Duration};

use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray, PerCpuValues},
};
use aya_log::EbpfLogger;
use foldhash::HashMap;
use memcg_trace_common::{Counters, Hook};

use super::{BufferSize, LiveError, Options, loading::load, perf_buffers::PerfBuffers};
use crate::{
    event::Event,
    kernel::hooks::{
        attach::{self, AttachError, Attached, AttachedHook},
        kprobe_events, plan,
        unpreempted::unpreempted,
    },
    record::{Backend, HookEvent, Merge},
};

/// The attached hooks and their buffers. Dropping it detaches them.
pub struct Live<E: HookEvent = Event> {
    backend: Backend,
    /// Why a better backend was not taken.
    fallback: Option<AttachError>,
    attached: Attached<E::Hook>,
    /// Functions that are hooked at both ends.
    returns: &'static [(E::Hook, E::Hook)],
    buffers: PerfBuffers,
    counters: PerCpuArray<MapData, Counters>,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    /// Missed firings that were reported, by hook.
    missed: HashMap<E::Hook, u64>,
    /// Owns the programs and the raw tracepoints' attachments; `None` once detached.
    ebpf: Option<Ebpf>,
    /// Behind what it outlives.
    _own: kprobe_events::OwnKprobes,
}

impl Live {
    /// Loads and attaches the hooks and opens a buffer on every CPU that is online.
    pub fn open(options: &Options) -> Result<Self, LiveError> {
        let backends = options.backend.map_or(vec![Backend::Kprobe, Backend::Tracepoint], |only| vec![only]);
        let mut fallback = None;
        for backend in backends {
            let ebpf = load(options)?;
            match Self::attach(ebpf, backend, options.buffer_size, plan::RETURNS, |ebpf| {
                attach::attach(ebpf, backend, options.kind)
            }) {
                Ok(live) => return Ok(Self { fallback, ..live }),
                Err(LiveError::Backend { error, .. })
                    if options.backend.is_none() && backend != Backend::Tracepoint =>
                {
                    fallback = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        unreachable!("the last backend returns")
    }
}

impl<E: HookEvent> Live<E> {
    /// Opens the buffers of an object that was loaded and configured, and lets `attach` attach its hooks.
    pub(super) fn attach(
        ebpf: Ebpf,
        backend: Backend,
        buffer_size: BufferSize,
        returns: &'static [(E::Hook, E::Hook)],
        attach: impl FnOnce(&mut Ebpf) -> Result<Attached<E::Hook>, AttachError>,
    ) -> Result<Self, LiveError> {
        let own = kprobe_events::OwnKprobes;
        let mut ebpf = ebpf;
        let logger = EbpfLogger::init(&mut ebpf).ok();
        // Buffers first: a hook without one would lose its first events.
        let buffers = PerfBuffers::open(&mut ebpf, buffer_size)?;
        let attached = attach(&mut ebpf).map_err(|error| LiveError::Backend { backend, error })?;
        let counters = ebpf.take_map(COUNTERS).ok_or_else(|| LiveError::no_map(COUNTERS))?;
        let counters = counters.try_into().map_err(|error| LiveError::Map { map: COUNTERS, error })?;
        let mut live = Self {
            backend,
            fallback: None,
            attached,
            returns,
            buffers,
            counters,
            logger,
            missed: HashMap::default(),
            ebpf: Some(ebpf),
            _own: own,
        };
        // A function that was running when its return was hooked has no entry: not a loss.
        thread::sleep(FUNCTION_RUNS);
        live.check()?;
        Ok(live)
    }

    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Why a better backend was not taken.
    pub fn fallback(&self) -> Option<&AttachError> {
        self.fallback.as_ref()
    }

    /// What is not known because an optional hook could not be attached.
    pub fn absent(&self) -> impl Iterator<Item = (&'static str, &AttachError)> {
        self.attached.absent.iter().map(|(unknown, error)| (*unknown, error))
    }

    /// The hook is attached.
    pub fn attached(&self, hook: E::Hook) -> bool {
        self.attached.hooks.iter().any(|attached| attached.hook == hook)
    }

    /// Pages of one CPU's buffer.
    pub fn perf_pages(&self) -> usize {
        self.buffers.pages()
    }

    /// Moves everything that the buffers hold into `merge`.
    ///
    /// Nobody waits on the buffers: the caller comes by on a timer, so that a storm costs the traced processes no
    /// wake-ups.
    pub fn drain(&mut self, merge: &mut Merge<E>) -> Drained {
        let mut undecodable = 0;
        let pressed = self.buffers.drain(|record| match E::decode(record) {
            Ok(event) => merge.push(event),
            Err(error) => {
                undecodable += 1;
                log::warn!("cannot decode a record: {error}");
            }
        });
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
        Drained { undecodable, pressed }
    }

    /// Reads the counters of all hooks.
    pub fn check(&mut self) -> Result<Checked<E::Hook>, LiveError> {
        let mut checked = Checked { missed: Vec::new(), emitted: Vec::new() };
        for hook in self.hooks() {
            let counters = self.counters(hook)?;
            let early: u64 = counters.iter().map(|c| c.no_config + c.no_entry).sum();
            let programs = self.attached.hooks.iter().filter(|attached| attached.hook == hook);
            let now = programs.map(AttachedHook::missed).sum::<u64>() + early;
            let seen = self.missed.insert(hook, now).unwrap_or(0);
            if now > seen {
                checked.missed.push((hook, now - seen));
            }
            checked.emitted.extend(emitted(hook, &counters));
        }
        Ok(checked)
    }

    /// Detaches the hooks: entries of functions first, so that what entered returns. Gives how many events each hook
    /// emitted on each CPU (what the buffers do not hold of them is lost), and the returns that never fired.
    pub fn detach(&mut self) -> Result<Emitted<E::Hook>, LiveError> {
        let (hooks, returns) = (self.hooks(), self.returns);
        let entry = |attached: &mut AttachedHook<_>| returns.iter().any(|(enter, _)| attached.hook == *enter);
        for entry in self.attached.hooks.extract_if(.., entry) {
            if let Some(ebpf) = &mut self.ebpf {
                entry.detach(ebpf);
            }
        }
        thread::sleep(FUNCTION_RUNS);
        self.attached.hooks.clear();
        self.ebpf = None;
        let mut end = Emitted { events: Vec::new(), unreturned: Vec::new() };
        for hook in &hooks {
            end.events.extend(emitted(*hook, &self.counters(*hook)?));
        }
        for (enter, exit) in
            self.returns.iter().filter(|(enter, exit)| hooks.contains(enter) && hooks.contains(exit))
        {
            let entered: u64 =
                self.counters(*enter)?.iter().map(|c| c.fired - c.no_config - c.no_entry).sum();
            let returned: u64 =
                self.counters(*exit)?.iter().map(|c| c.fired - c.no_config - c.no_entry).sum();
            if entered > returned {
                end.unreturned.push((*exit, entered - returned));
            }
        }
        Ok(end)
    }

    /// Each hook that is attached; several programs may be one.
    fn hooks(&self) -> Vec<E::Hook> {
        let mut hooks = Vec::new();
        for attached in &self.attached.hooks {
            if !hooks.contains(&attached.hook) {
                hooks.push(attached.hook);
            }
        }
        hooks
    }

    fn counters(&self, hook: E::Hook) -> Result<PerCpuValues<Counters>, LiveError> {
        let counters = unpreempted(|| self.counters.get(&hook.into(), 0));
        counters.map_err(|error| LiveError::Map { map: COUNTERS, error })
    }
}

/// What one [`Live::drain`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Records that were no events of this ABI.
    pub undecodable: u64,
    /// The fullest buffer held at least an eighth of its size: come back at once.
    pub pressed: bool,
}

/// What the hooks' counters tell.
#[derive(Clone, Debug)]
pub struct Checked<H = Hook> {
    /// Firings that are new since the last check and brought no event although they should have: skipped by the kernel, or
    /// ended early because something could not be looked up.
    pub missed: Vec<(H, u64)>,
    /// How many events each hook emitted on each CPU so far.
    pub emitted: Vec<(H, u32, u64)>,
}

fn emitted<H: Copy>(hook: H, counters: &PerCpuValues<Counters>) -> impl Iterator<Item = (H, u32, u64)> {
    counters.iter().zip(0..).map(move |(counters, cpu)| (hook, cpu, counters.emitted))
}

/// What the hooks did until they were detached.
#[derive(Clone, Debug)]
pub struct Emitted<H = Hook> {
    /// Events by hook and CPU.
    pub events: Vec<(H, u32, u64)>,
    /// Returns that never fired although the function was entered, by hook.
    pub unreturned: Vec<(H, u64)>,
}

const COUNTERS: &str = "COUNTERS";

/// Longer than any hooked function takes.
const FUNCTION_RUNS: Duration = Duration::from_millis(20);
