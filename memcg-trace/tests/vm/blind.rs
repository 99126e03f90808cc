//! What old kernels need, as far as newer ones can show it: no type information, hooks that only old kernels get.

use aya::{Ebpf, programs::Program};
use memcg_trace::kernel::{Kernel, cgroupfs::hierarchy::Controller, hooks::objects, layout::proof};

use crate::{
    support::{
        cgroup::Cgroup,
        process::{command, run},
        sandbox::hiding,
        tracer::Tracer,
    },
    vm,
};

/// Identity by the css's address, the path by the tracepoint of the thread that made the cgroup. What takes an offset is
/// absent.
#[test]
fn traced_without_type_information() {
    let _machine = vm();
    let home = Cgroup::home("blind");
    let mut trace = command();
    hiding(&mut trace, &[c"/sys/kernel/btf"]);
    let mut tracer = Tracer::spawn(trace.args(["trace", "-o", "json"]));
    let cgroup = home.child("one");
    cgroup.run_something();
    cgroup.remove();
    let freed = tracer.event("freed", cgroup.path());
    for absent in ["serial", "cgroup_id", "charged_bytes"] {
        assert!(freed["memcg"][absent].is_null(), "{absent} in {freed}");
    }
    let outcome = tracer.stop();
    assert_eq!(outcome.life(cgroup.path()), ["removed", "offline", "released", "freed"]);
    outcome.assert_conclusive();
    let ids = ["ids_used", "ids_held_by_dying"].map(|count| outcome.summary[count].as_u64());
    assert_eq!(ids, [None, None], "{}", outcome.summary);
    assert!(outcome.stderr.contains("--btf FILE"), "{}", outcome.stderr);

    let mut scan = command();
    hiding(&mut scan, &[c"/sys/kernel/btf"]);
    let scan = run(scan.arg("scan"));
    assert_eq!(scan.status.code(), Some(69), "{scan:?}");
}

/// The verifier of this kernel takes every hook, also those that it has no use for.
#[test]
fn every_hook_loads() {
    let _machine = vm();
    let mut ebpf = Ebpf::load(objects::HOOKS).expect("the object");
    for (name, program) in ebpf.programs_mut() {
        let loaded = match program {
            Program::KProbe(program) => program.load(),
            Program::RawTracePoint(program) => program.load(),
            Program::TracePoint(program) => program.load(),
            _ => panic!("{name} is neither a kprobe nor a tracepoint"),
        };
        loaded.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
}

#[test]
fn both_proofs_agree() {
    let _machine = vm();
    let layout = Kernel::probe(None).expect("what every command needs").layout.layout;
    let controller = Controller::find().expect("the memory controller");
    let proven = proof::prove(&layout, &controller).expect("a proof by the program");
    assert_eq!(proof::by_kcore(&layout, &controller).expect("a proof by /proc/kcore"), proven);
}
