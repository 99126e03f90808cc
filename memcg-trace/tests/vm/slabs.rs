//! Slab caches: of modules that come and go, of one that leaks them, and what watching costs.

use std::{fs, process::Command, time::Duration};

use memcg_trace::{
    kernel::{clock, slab::listing},
    slab::{Creator, SlabChange, SlabConfig, SlabLedger, SlabRecord, SlabStep, SlabTotals},
    source::slab::SlabSource,
};
use serde_json::{Value, json};

use crate::{
    support::{
        eventually,
        process::{command, run},
        tracer::{Tracer, parse},
    },
    vm,
};

/// Modules that make caches, and how often they come and go: btrfs takes most of a second to load in an emulated machine.
const MODULES: [(&str, usize); 3] = [("xfs", 5), ("btrfs", 2), ("nf_conntrack", 10)];

/// The hooks and a ledger, in this process.
struct Watch {
    source: SlabSource,
    ledger: SlabLedger,
    changes: Vec<SlabChange>,
    /// What other tests have left behind.
    leaked: u64,
}

impl Watch {
    fn start() -> Self {
        let source = SlabSource::open(None).expect("the hooks");
        assert_eq!(source.unknown(), [], "every hook is attached");
        let mut ledger = SlabLedger::new(SlabConfig {
            hooked: true,
            tells_new: true,
            tells_release: true,
            grace_ns: Duration::from_secs(5).as_nanos() as u64,
        });
        let listing = listing::read().expect("the kernel's list");
        ledger.apply(&SlabRecord::Walk(listing), &mut Vec::new());
        let leaked = ledger.totals().leaked;
        let mut watch = Self { source, ledger, changes: Vec::new(), leaked };
        watch.agrees();
        watch
    }

    /// Waits until the ledger has as many caches as the kernel lists, and none on its way out.
    fn agrees(&mut self) {
        eventually("the ledger to have as many caches as the kernel", || {
            // What has returned is in the buffers: as if it had settled long ago.
            let later_ns = clock::monotonic_ns() + 1_000_000_000;
            for record in self.source.poll(later_ns).expect("the buffers") {
                self.ledger.apply(&record, &mut self.changes);
            }
            let listed = directories();
            let SlabTotals { live, destroying, leaked, .. } = *self.ledger.totals();
            let agree = live + leaked == listed && (destroying, leaked) == (0, self.leaked);
            if agree { Ok(()) } else { Err(format!("{listed} listed, {:?}", self.ledger.totals())) }
        });
    }

    /// Who created the caches and aliases since the last call.
    fn creators(&mut self) -> (Vec<Creator>, Vec<Creator>) {
        let (mut new, mut aliases) = (Vec::new(), Vec::new());
        for change in self.changes.drain(..) {
            let cache = |number| self.ledger.get(number).expect("it is there as long as its module");
            match change.what {
                SlabStep::Created(number) => new.push(cache(number).creator().expect("a creator").clone()),
                SlabStep::Aliased(number) => {
                    let asked = cache(number).asked.last().expect("the name that was asked for");
                    aliases.push(asked.creator.clone());
                }
                _ => {}
            }
        }
        (new, aliases)
    }
}

/// Caches have directories, names are links.
fn directories() -> u64 {
    let entries = fs::read_dir("/sys/kernel/slab").expect("/sys/kernel/slab").flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).count() as u64
}

pub fn shell(command: &str) {
    let status = Command::new("sh").args(["-c", command]).status().expect("sh");
    assert!(status.success(), "{command}: {status}");
}

#[test]
fn modules_come_and_go() {
    let _machine = vm();
    // What they depend on stays.
    for (module, _) in MODULES {
        shell(&format!("modprobe {module} && rmmod {module}"));
    }
    let mut watch = Watch::start();
    for (module, rounds) in MODULES {
        let mut made = None;
        for round in 0..rounds {
            shell(&format!("modprobe {module}"));
            watch.agrees();
            let (new, aliases) = watch.creators();
            for creator in new.iter().chain(&aliases) {
                assert_eq!(creator.module(), Some(Some(module.as_bytes())), "round {round}: {creator:?}");
            }
            shell(&format!("rmmod {module}"));
            watch.agrees();
            watch.changes.clear();
            let counts = (new.len(), aliases.len());
            assert!(counts.0 > 0, "{module} makes caches");
            assert_eq!(*made.get_or_insert(counts), counts, "the same in each round");
        }
    }
    let totals = *watch.ledger.totals();
    assert_eq!((totals.created, totals.aliased), (totals.released, totals.unaliased), "{totals:?}");
    assert!(watch.ledger.conclusive());
    println!("{totals:?}");
}

/// Slab caches beside memcgs in one trace.
#[test]
fn in_a_trace() {
    let _machine = vm();
    let mut tracer = Tracer::start(&["--slab", "--fail-on-leak"]);
    shell("modprobe xfs && rmmod xfs");
    let released =
        |event: &Value| event["event"] == "slab_released" && event["slab_cache"]["name"] == "xfs_inode";
    let released = tracer.event_where("release of xfs_inode", released);
    assert_eq!(released["slab_cache"]["module"], "xfs", "{released}");
    let outcome = tracer.stop();
    outcome.assert_conclusive();
    let slab = &outcome.summary["slab"];
    assert_eq!((&slab["created"], &slab["conclusive"]), (&slab["released"], &json!(true)), "{slab}");
    let existing = slab["live"].as_u64().zip(slab["leaked"].as_u64()).map(|(live, leaked)| live + leaked);
    assert_eq!(existing, Some(directories()), "{slab}");
    assert_eq!(slab["per_memcg_caches"], json!(false), "no kernel of the matrix has them: {slab}");
}

pub const PARAMETERS: &str = "/sys/module/leaky/parameters";

/// Each way to leak, told with creator and reason; then what one look still finds.
#[test]
fn leaky_module() {
    let _machine = vm();
    shell("modprobe leaky");
    let arguments = ["slab", "--watch", "1", "--grace", "1s", "--leaked", "--fail-on-leak", "-o", "json"];
    let mut tracer = Tracer::spawn(command().args(arguments));
    shell(&format!("echo 1 > {PARAMETERS}/lose; echo 3 > {PARAMETERS}/churn"));
    for _ in 0..4 {
        shell(&format!("echo 2 > {PARAMETERS}/grow"));
        // From look to look there are more.
        tracer.next("slab_delta", |delta| delta["created"].as_u64() > Some(1));
    }
    let about =
        |event: &Value, kind: &str, name: &str| event["event"] == kind && event["slab_cache"]["name"] == name;
    let lost = tracer.event_where("leaky_lost_0", |event| about(event, "slab_leaked", "leaky_lost_0"));
    assert_eq!(lost["slab_cache"]["leak"], "not_released", "{lost}");
    shell(&format!("echo 1 > {PARAMETERS}/behalf"));
    // A function has a name as long as its module is there.
    tracer.next("slab_delta", |delta| delta["created"].as_u64() > Some(0));
    shell(&format!("echo 1 > {PARAMETERS}/orphan; rmmod leaky"));
    let orphan = tracer.event_where("leaky_grown_7", |event| about(event, "slab_leaked", "leaky_grown_7"));
    assert_eq!(orphan["slab_cache"]["leak"], "module_gone", "{orphan}");
    let outcome = tracer.stop();
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    let counts = ["created", "released", "leaked"].map(|name| outcome.count(name));
    assert_eq!(counts, [13, 3, 10], "created, released, leaked: {}", outcome.summary);
    let leaked: Vec<_> = outcome
        .slab_caches
        .iter()
        .map(|line| {
            let cache = &line["slab_cache"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            // Named by its number up to 5.11, by its size since.
            let name = text(&cache["name"]);
            let name = if name.starts_with("bio-") { "bio-".to_owned() } else { name };
            (name, text(&cache["creator"]["function"]), text(&cache["creator"]["module"]))
        })
        .collect();
    let expected = |name: String, function: &str| (name, function.to_owned(), "leaky".to_owned());
    let grown = (0..8).map(|number| expected(format!("leaky_grown_{number}"), "leaky_grow"));
    let lost = expected("leaky_lost_0".to_owned(), "leaky_lose");
    // bioset_init() of the kernel has created it.
    let behalf = expected("bio-".to_owned(), "leaky_behalf");
    assert_eq!(leaked, [lost].into_iter().chain(grown).chain([behalf]).collect::<Vec<_>>());
    let growing = &outcome.summary["growing"][0];
    assert!(growing["family"].as_str().is_some_and(|family| family.contains("leaky_grow")), "{growing}");
    assert_eq!((&growing["from"], &growing["to"]), (&json!(0), &json!(8)), "{growing}");

    let output = run(command().args(["slab", "--leaked", "--fail-on-leak", "-o", "json"]));
    assert_eq!(output.status.code(), Some(3));
    let lines = String::from_utf8_lossy(&output.stdout).lines().map(parse).collect::<Vec<_>>();
    assert_eq!(
        lines.last().map(|summary| &summary["leaked"]),
        Some(&json!(9)),
        "also before the start: {lines:?}"
    );
}
