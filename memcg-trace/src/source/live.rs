//! The running kernel: load and attach the hooks, drain their perf buffers.

use std::{io, os::fd::AsFd as _, thread, time::Duration};

use aya::{
    Ebpf, EbpfLoader,
    maps::{
        Array, Map, MapData, MapError, PerCpuArray, PerCpuValues, PerfEventArray,
        perf::{PerfBufferError, PerfEvent, PerfEventArrayBuffer},
    },
    util::online_cpus,
};
use aya_log::EbpfLogger;
use bytes::BytesMut;
use foldhash::HashMap;
use memcg_trace_common::{ABI, Config, Counters, DentryLayout, Hook, Layout};
use thiserror::Error;

use crate::{
    event::Event,
    kernel::{
        Kernel,
        ability::Lack,
        hooks::{
            attach::{self, AttachError, Attached},
            css_callbacks::Callbacks,
            kprobe_events, objects, perf_wakeups,
            plan::{Kind, Planned},
            unpreempted::unpreempted,
        },
        page_bytes,
    },
    record::{Backend, HookEvent, Merge},
};

/// What to load and attach.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub layout: Layout,
    pub dentry: DentryLayout,
    pub kind: Kind,
    /// Address of the `cgroup_root` that carries the memory controller; 0 when not known.
    pub memory_root: u64,
    /// `None`: the best that this kernel allows.
    pub backend: Option<Backend>,
    /// Pages of each CPU's perf buffer, a power of two; `None`: by the number of CPUs.
    pub perf_pages: Option<usize>,
}

/// Why there is no live stream.
#[derive(Debug, Error)]
pub enum LiveError {
    #[error("cannot load the eBPF hooks: {0}")]
    Load(#[from] aya::EbpfError),
    #[error("cannot set up the map {map}: {error}")]
    Map { map: &'static str, error: MapError },
    #[error("cannot open a perf buffer of {pages} pages on CPU {cpu}: {error}; try a smaller --perf-pages")]
    Buffer { pages: usize, cpu: u32, error: PerfBufferError },
    #[error("cannot list the CPUs that are online ({path}): {error}")]
    Cpus { path: &'static str, error: io::Error },
    #[error("the {backend} backend does not work here: {error}")]
    Backend { backend: Backend, error: AttachError },
}

impl Lack for LiveError {
    fn next_step(&self) -> String {
        match self {
            Self::Load(_) | Self::Map { .. } => {
                "raise the limit of locked memory (ulimit -l unlimited); in a container, let it call bpf(2)"
                    .to_owned()
            }
            Self::Buffer { .. } => "try a smaller --perf-pages".to_owned(),
            Self::Cpus { path, .. } => format!("mount /sys, and see who may read {path}"),
            Self::Backend { error, .. } => error.next_step(),
        }
    }
}

/// The attached hooks and their buffers. Dropping it detaches them.
pub struct Live<E: HookEvent = Event> {
    backend: Backend,
    /// Why a better backend was not taken.
    fallback: Option<AttachError>,
    attached: Attached<E::Hook>,
    /// Functions that are hooked at both ends.
    returns: &'static [(E::Hook, E::Hook)],
    buffers: Vec<PerfEventArrayBuffer<MapData>>,
    buffer_bytes: usize,
    page_bytes: usize,
    counters: PerCpuArray<MapData, Counters>,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    /// Missed firings that were reported, by hook.
    missed: HashMap<E::Hook, u64>,
    /// Where a record that straddles the end of a buffer is put together.
    straddling: BytesMut,
    /// Owns the programs and the raw tracepoints' attachments; `None` once detached.
    ebpf: Option<Ebpf>,
    /// Behind what it outlives.
    _own: kprobe_events::Own,
}

/// What [`Live::open`] would find with one backend.
pub struct Trial {
    /// Perf buffers, one for each CPU that is online, and the pages of each.
    pub buffers: usize,
    pub perf_pages: usize,
    /// Every hook of the plan, and why it cannot be attached.
    pub hooks: Vec<(&'static Planned, Option<AttachError>)>,
}

impl Trial {
    /// Does the same as [`Live::open`] with this backend, but goes on behind a hook that cannot be attached, and detaches
    /// them all.
    pub fn run(options: &Options, backend: Backend) -> Result<Self, LiveError> {
        let _own = kprobe_events::Own;
        let mut ebpf = load(options)?;
        let page_bytes = page_bytes();
        let (buffers, buffer_bytes) = open_buffers(&mut ebpf, options.perf_pages, page_bytes)?;
        let tried = attach::attach_each(&mut ebpf, backend, options.kind)
            .map_err(|error| LiveError::Backend { backend, error })?
            .map(|(planned, attached)| (planned, attached.err()));
        let hooks = tried.collect();
        Ok(Self { buffers: buffers.len(), perf_pages: buffer_bytes / page_bytes, hooks })
    }

    /// Every hook that is needed can be attached.
    pub fn works(&self) -> bool {
        self.hooks.iter().all(|(planned, error)| error.is_none() || planned.optional.is_some())
    }
}

/// What one [`Live::drain`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    pub events: u64,
    /// Records that were no events of this ABI.
    pub undecodable: u64,
    /// The fullest buffer held at least an eighth of its size: come back at once.
    pub pressed: bool,
}

/// Memory of all perf buffers together, unless `--perf-pages` says otherwise, and the bounds for one CPU's.
const BUFFERS_BYTES: usize = 64 << 20;
const PAGES_MAX: usize = 512;
const PAGES_MIN: usize = 32;

impl Options {
    /// What is known of this kernel, and no wishes.
    pub fn of(kernel: &Kernel) -> Self {
        Self {
            layout: kernel.layout.layout,
            dentry: kernel.dentry,
            kind: kernel.kind(),
            memory_root: kernel.memory_root,
            backend: None,
            perf_pages: None,
        }
    }
}

impl Live {
    /// Loads and attaches the hooks and opens a buffer on every CPU that is online.
    pub fn open(options: &Options) -> Result<Self, LiveError> {
        let backends = options.backend.map_or(vec![Backend::Kprobe, Backend::Tracepoint], |only| vec![only]);
        let mut fallback = None;
        for backend in backends {
            let ebpf = load(options)?;
            match Self::attach(ebpf, backend, options.perf_pages, RETURNS, |ebpf| {
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
        perf_pages: Option<usize>,
        returns: &'static [(E::Hook, E::Hook)],
        attach: impl FnOnce(&mut Ebpf) -> Result<Attached<E::Hook>, AttachError>,
    ) -> Result<Self, LiveError> {
        let own = kprobe_events::Own;
        let mut ebpf = ebpf;
        let page_bytes = page_bytes();
        let logger = EbpfLogger::init(&mut ebpf).ok();
        // Buffers first: a hook without one would lose its first events.
        let (buffers, buffer_bytes) = open_buffers(&mut ebpf, perf_pages, page_bytes)?;
        let attached = attach(&mut ebpf).map_err(|error| LiveError::Backend { backend, error })?;
        let mut live = Self {
            backend,
            fallback: None,
            attached,
            returns,
            buffers,
            buffer_bytes,
            page_bytes,
            counters: map(&mut ebpf, "COUNTERS", PerCpuArray::try_from)?,
            logger,
            missed: HashMap::default(),
            straddling: BytesMut::new(),
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
        self.buffer_bytes / self.page_bytes
    }

    pub fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// Moves everything that the buffers hold into `merge`.
    ///
    /// Nobody waits on the buffers: the caller comes by on a timer, so that a storm costs the traced processes no
    /// wake-ups.
    pub fn drain(&mut self, merge: &mut Merge<E>) -> Drained {
        let mut drained = Drained::default();
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
                    match E::decode(record) {
                        Ok(event) => {
                            drained.events += 1;
                            merge.push(event);
                        }
                        Err(error) => {
                            drained.undecodable += 1;
                            log::warn!("cannot decode a record: {error}");
                        }
                    }
                }
                // The gaps in the sequence numbers tell which hook lost what; this is only a hint.
                PerfEvent::Lost { count } => log::debug!("the perf buffer dropped {count} records"),
            });
            drained.pressed |= bytes >= self.buffer_bytes / 8;
        }
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
        drained
    }

    /// Reads the counters of all hooks.
    pub fn check(&mut self) -> Result<Checked<E::Hook>, LiveError> {
        let mut checked = Checked { missed: Vec::new(), emitted: Vec::new() };
        for attached in &self.attached.hooks {
            let hook = attached.hook;
            let counters = self.counters(hook)?;
            let early: u64 = counters.iter().map(|c| c.no_config + c.no_entry).sum();
            let now = attached.missed() + early;
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
        let hooks: Vec<E::Hook> = self.attached.hooks.iter().map(|attached| attached.hook).collect();
        self.attached.hooks.retain(|attached| !self.returns.iter().any(|(enter, _)| attached.hook == *enter));
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

    fn counters(&self, hook: E::Hook) -> Result<PerCpuValues<Counters>, LiveError> {
        let counters = unpreempted(|| self.counters.get(&hook.into(), 0));
        counters.map_err(|error| LiveError::Map { map: "COUNTERS", error })
    }
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

/// Functions that are hooked at both ends.
const RETURNS: &[(Hook, Hook)] =
    &[(Hook::CssAllocEnter, Hook::CssAlloc), (Hook::CssOfflineEnter, Hook::CssOffline)];

/// Longer than any hooked function takes.
const FUNCTION_RUNS: Duration = Duration::from_millis(20);

/// Cgroups that the hooks can tell apart by address: as many as there can be memcgs.
const CGROUPS_MAX: u32 = 65_536;

/// Threads that are remembered for the path they asked for.
const THREADS_MAX: u32 = 4096;

/// Header and length word that the perf buffer puts before a sample.
const RECORD_OVERHEAD: usize = 12;

fn load(options: &Options) -> Result<Ebpf, LiveError> {
    let cgroups = match options.kind {
        Kind { callbacks: Callbacks::Css, blind: false } => 1,
        _ => CGROUPS_MAX,
    };
    let threads = match options.kind {
        Kind { callbacks: Callbacks::Cgroup, blind: true } => THREADS_MAX,
        _ => 1,
    };
    let loader = |object| {
        EbpfLoader::new().map_max_entries("MEMCGS", cgroups).map_max_entries("ASKED", threads).load(object)
    };
    let mut ebpf = if log::log_enabled!(target: "memcg_trace_ebpf", log::Level::Debug) {
        loader(objects::HOOKS_LOG).or_else(|error| {
            log::warn!("no log lines from the hooks: {error}");
            loader(objects::HOOKS)
        })?
    } else {
        loader(objects::HOOKS)?
    };
    let Options { layout, dentry, memory_root, .. } = *options;
    let config = Config { abi: ABI, dentry, memory_root, layout };
    // Borrowed, not taken: the programs, which are not loaded yet, refer to it by its descriptor.
    let configs = ebpf.map_mut("CONFIG").ok_or_else(|| absent("CONFIG"));
    configs
        .and_then(Array::<_, Config>::try_from)
        .and_then(|mut configs| configs.set(0, config, 0))
        .map_err(|error| LiveError::Map { map: "CONFIG", error })?;
    Ok(ebpf)
}

fn open_buffers(
    ebpf: &mut Ebpf,
    pages: Option<usize>,
    page_bytes: usize,
) -> Result<(Vec<PerfEventArrayBuffer<MapData>>, usize), LiveError> {
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
    let mut events: PerfEventArray<MapData> = map(ebpf, "EVENTS", PerfEventArray::try_from)?;
    let open = |cpu| {
        let buffer =
            events.open(cpu, Some(pages)).map_err(|error| LiveError::Buffer { pages, cpu, error })?;
        if let Some(map) = &descriptor
            && let Err(error) = perf_wakeups::batch(map, &buffer, cpu)
        {
            log::warn!("each event on CPU {cpu} costs an interrupt: cannot batch the wake-ups: {error}");
        }
        Ok(buffer)
    };
    Ok((cpus.into_iter().map(open).collect::<Result<_, LiveError>>()?, pages * page_bytes))
}

fn map<T>(
    ebpf: &mut Ebpf,
    name: &'static str,
    convert: impl FnOnce(Map) -> Result<T, MapError>,
) -> Result<T, LiveError> {
    let map = ebpf.take_map(name).ok_or_else(|| absent(name));
    map.and_then(convert).map_err(|error| LiveError::Map { map: name, error })
}

fn absent(name: &str) -> MapError {
    MapError::InvalidName { name: name.to_owned() }
}
