//! What following memcgs costs the loader, on the events of a Kubernetes node: pods of two containers, each memcg with
//! all that the kprobe backend sees of its life. `cargo xtask bench` runs it and shows the numbers.
//!
//! - `throughput`: raw records through decode, merge and ledger; events per second of CPU time, one figure a batch.
//! - `memory`: resident memory before and after the ledger holds as many memcgs as there are memcg IDs.
//! - `growth`: CPU time of an event, and what the allocator gave for a memcg, in ledgers of growing size.

use std::{collections::HashMap, fs, iter, mem, time::Duration};

use memcg_trace::{
    event::{Event, ID_LIMIT},
    record::{Backend, Merge},
    tracker::{Tracker, TrackerConfig},
};
use memcg_trace_common::{EventHeader, Field, Hook, NAME_SHORT};
use nix::time::{ClockId, clock_gettime};
use serde_json::json;
use zerocopy::{FromZeros as _, IntoBytes as _};

/// Pods that begin in one batch: with the ends of as many others, what a busy poll finds in the buffers.
const PODS: usize = 500;
const CONTAINERS: usize = 2;
const BATCHES: usize = 200;
/// Memcgs in the ledgers of `growth`.
const SIZES: [usize; 4] = [100, 1_000, 10_000, ID_LIMIT as usize];
/// Pods in a batch of `growth`: they do not add much to the smallest ledger.
const FEW_PODS: usize = 20;

/// Who makes and removes directories runs on one CPU, the kworker that takes memcgs offline on another.
const RUNTIME: usize = 0;
const KWORKER: usize = 1;
const CPUS: usize = 2;

fn main() {
    // cargo adds an argument of its own.
    let result = match std::env::args().nth(1).as_deref() {
        Some("memory") => memory(),
        Some("growth") => growth(),
        _ => throughput(),
    };
    println!("{result}");
}

fn throughput() -> serde_json::Value {
    let (mut kernel, mut loader) = (Kernel::default(), Loader::new());
    let mut old = kernel.make_pods(PODS);
    let mut rates = Vec::new();
    for batch in 0..=BATCHES {
        let new = kernel.make_pods(PODS);
        for (new, old) in new.iter().zip(&old) {
            kernel.begin(new);
            // The first batch has no old ones.
            if batch > 0 {
                kernel.remove(old);
                kernel.free(old);
            }
        }
        old = new;
        let buffers = mem::take(&mut kernel.buffers);
        let start = cpu_time();
        let events = loader.follow(&buffers, kernel.now_ns);
        let elapsed = cpu_time() - start;
        if batch > 0 {
            rates.push(events as f64 / elapsed.as_secs_f64());
        }
    }
    let (totals, conclusive) = (loader.tracker.totals(), loader.tracker.conclusive());
    assert!(conclusive && totals.freed == (BATCHES * PODS * (1 + CONTAINERS)) as u64, "{totals:?}");
    json!({ "events_per_second": rates })
}

/// Every other pod is removed and stays, dying.
fn memory() -> serde_json::Value {
    let before_bytes = resident_bytes();
    let (mut kernel, mut loader) = (Kernel::default(), Loader::new());
    let (mut tracked, mut removed) = (0, false);
    while tracked < ID_LIMIT as usize {
        for pod in kernel.make_pods(PODS.min((ID_LIMIT as usize - tracked) / (1 + CONTAINERS))) {
            tracked += pod.len();
            kernel.begin(&pod);
            if removed {
                kernel.remove(&pod);
            }
            removed = !removed;
        }
        let buffers = mem::take(&mut kernel.buffers);
        loader.follow(&buffers, kernel.now_ns);
    }
    let (totals, conclusive) = (loader.tracker.totals(), loader.tracker.conclusive());
    assert!(conclusive && totals.live + totals.dying == ID_LIMIT, "{totals:?}");
    let paths: usize = loader.tracker.memcgs().filter_map(|memcg| memcg.path.as_ref()).map(|p| p.len()).sum();
    json!({
        "memcgs": tracked, "path_bytes": paths / tracked, "before_bytes": before_bytes, "after_bytes": resident_bytes()
    })
}

/// Pods come and go beside a number of memcgs that stay.
fn growth() -> serde_json::Value {
    let sizes = SIZES.map(|size| {
        let before_bytes = allocated_bytes();
        let (mut kernel, mut loader) = (Kernel::default(), Loader::new());
        for pod in kernel.make_pods(size / (1 + CONTAINERS)) {
            kernel.begin(&pod);
            loader.follow(&mem::take(&mut kernel.buffers), kernel.now_ns);
        }
        let bytes = allocated_bytes().saturating_sub(before_bytes);
        let tracked = loader.tracker.totals().live as usize;
        let event_ns: Vec<_> = (0..BATCHES)
            .map(|_| {
                let pods = kernel.make_pods(FEW_PODS);
                for pod in &pods {
                    kernel.begin(pod);
                    kernel.remove(pod);
                    kernel.free(pod);
                }
                let buffers = mem::take(&mut kernel.buffers);
                let start = cpu_time();
                let events = loader.follow(&buffers, kernel.now_ns);
                (cpu_time() - start).as_secs_f64() * 1e9 / events as f64
            })
            .collect();
        let (totals, conclusive) = (loader.tracker.totals(), loader.tracker.conclusive());
        assert!(conclusive && totals.live as usize == tracked && totals.dying == 0, "{totals:?}");
        json!({ "memcgs": tracked, "event_ns": event_ns, "memcg_bytes": bytes / tracked })
    });
    json!({ "sizes": sizes })
}

/// The middle of the loader, as `trace` drives it.
struct Loader {
    merge: Merge,
    tracker: Tracker,
}

impl Loader {
    fn new() -> Self {
        let config = TrackerConfig {
            backend: Backend::Kprobe,
            grace_ns: 30_000_000_000,
            live_at_start: Some(1),
            paths: HashMap::from([(
                BURSTABLE,
                b"/kubepods.slice/kubepods-burstable.slice".as_slice().into(),
            )]),
        };
        Self { merge: Merge::new(), tracker: Tracker::new(config) }
    }

    /// Takes what one poll finds, CPU by CPU; how many events that was.
    fn follow(&mut self, buffers: &[Buffer; CPUS], now_ns: u64) -> usize {
        let records = || buffers.iter().flat_map(Buffer::records);
        for record in records() {
            self.merge.push(Event::decode(record).expect("an event of this ABI"));
        }
        let (mut released, mut changes) = (Vec::new(), Vec::new());
        self.merge.release(now_ns, |record| released.push(record));
        for record in &released {
            self.tracker.apply(record, &mut changes);
            changes.clear();
        }
        self.tracker.advance(now_ns, &mut changes);
        released.len()
    }
}

/// The cgroup above all pods; it was there at the start.
const BURSTABLE: u64 = 100;

/// A css and its cgroup. Addresses and cgroup ids follow from the serial number.
struct Memcg {
    serial: u64,
    parent: Option<u64>,
    name: String,
}

/// A pod's memcg, then those of its containers.
type Pod = Vec<Memcg>;

/// What the hooks would have emitted.
#[derive(Default)]
struct Kernel {
    now_ns: u64,
    serials: u64,
    seqs: [[u64; Hook::COUNT]; CPUS],
    buffers: [Buffer; CPUS],
}

#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
}

impl Buffer {
    fn records(&self) -> impl Iterator<Item = &[u8]> {
        let starts = iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }
}

impl Kernel {
    /// Named as kubelet and containerd do with the systemd driver, which has the longest paths.
    fn make_pods(&mut self, count: usize) -> Vec<Pod> {
        let mut pods = Vec::new();
        for _ in 0..count {
            let pod = self.serials + 1;
            self.serials += 1 + CONTAINERS as u64;
            let uid = format!("9b3b6c1e_5f0a_4d7e_8a55_{pod:012x}");
            let name = format!("kubepods-burstable-pod{uid}.slice");
            let containers = (pod + 1..=self.serials).map(|serial| Memcg {
                serial,
                parent: Some(pod),
                name: format!("cri-containerd-{serial:064x}.scope"),
            });
            pods.push(iter::once(Memcg { serial: pod, parent: None, name }).chain(containers).collect());
        }
        pods
    }

    fn begin(&mut self, pod: &Pod) {
        for memcg in pod {
            self.fire(RUNTIME, Hook::CssAlloc, memcg);
            self.fire(RUNTIME, Hook::CssOnline, memcg);
        }
    }

    fn remove(&mut self, pod: &Pod) {
        for memcg in pod.iter().rev() {
            self.fire(RUNTIME, Hook::CgroupRmdir, memcg);
            self.fire(KWORKER, Hook::CssOfflineEnter, memcg);
            self.fire(KWORKER, Hook::CssOffline, memcg);
        }
    }

    fn free(&mut self, pod: &Pod) {
        for memcg in pod.iter().rev() {
            self.fire(KWORKER, Hook::CssReleased, memcg);
            self.fire(KWORKER, Hook::CssFree, memcg);
        }
    }

    fn fire(&mut self, cpu: usize, hook: Hook, memcg: &Memcg) {
        self.now_ns += 5_000;
        let seq = &mut self.seqs[cpu][hook as usize];
        *seq += 1;
        let mut header = EventHeader::new_zeroed();
        header.t_ns = self.now_ns;
        header.seq = *seq;
        header.hook = hook as u16;
        header.cpu = cpu as u32;
        (header.pid, header.tgid) = (4321, 4321);
        header.comm[..4].copy_from_slice(b"runc");
        header.css = css(memcg.serial);
        header.memcg_id = (memcg.serial % ID_LIMIT) as u32 + 1;
        header.id_refs = 1;
        header.known = Field::CSS | Field::MEMCG_ID | Field::ID_REFS;
        let parent = memcg.parent.map_or((css(0), 0, BURSTABLE), |pod| (css(pod), pod, cgroup_id(pod)));
        (header.parent_css, header.parent_serial, header.parent_cgroup_id) = parent;
        header.known |= Field::PARENT | Field::PARENT_SERIAL | Field::PARENT_CGROUP_ID;
        let buffer = &mut self.buffers[cpu];
        if hook == Hook::CssAlloc {
            buffer.bytes.extend(header.as_bytes());
        } else {
            header.serial = memcg.serial;
            header.cgroup_id = cgroup_id(memcg.serial);
            header.level = 3 + u32::from(memcg.parent.is_some());
            header.charged_pages = 17;
            header.css_refs = 3;
            // CSS_RELEASED
            header.css_flags = 4;
            header.name_len = memcg.name.len() as u16;
            header.known |= Field::SERIAL | Field::CSS_ID | Field::CSS_FLAGS | Field::CHARGED;
            header.known |= Field::CGROUP_ID | Field::LEVEL | Field::NAME;
            if cpu == KWORKER {
                header.known |= Field::CSS_REFS;
            }
            buffer.bytes.extend(header.as_bytes());
            buffer.bytes.extend(memcg.name.as_bytes());
            buffer.bytes.extend(iter::repeat_n(0, NAME_SHORT - memcg.name.len()));
        }
        buffer.ends.push(buffer.bytes.len());
    }
}

fn css(serial: u64) -> u64 {
    0xffff_8880_0000_0000 + serial * 0x1000
}

fn cgroup_id(serial: u64) -> u64 {
    1000 + serial
}

/// CPU time of this thread: what others do on the machine does not count.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock that every kernel has").into()
}

fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = rss.and_then(|rss| rss.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.expect("VmRSS in kB") * 1024
}

/// What the allocator gave and did not get back.
fn allocated_bytes() -> usize {
    // SAFETY: takes no pointers; glibc locks its arenas.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}
