//! CPUs that come and go.

use std::{fs, path::Path};

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use crate::{
    support::{cgroup::Cgroup, eventually, tracer::Tracer},
    vm,
};

const CPU: usize = 1;
const SWITCH: &str = "/sys/devices/system/cpu/cpu1/online";
const CGROUPS: usize = 20;

/// A CPU that is offline until the end of the test at most.
struct Offline;

impl Offline {
    fn new() -> Self {
        fs::write(SWITCH, "0").expect("take the CPU offline");
        Self
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        let _ = fs::write(SWITCH, "1");
    }
}

/// Perf buffers that a process has open.
fn buffers(pid: u32) -> usize {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("it runs");
    maps.lines().filter(|line| line.ends_with("anon_inode:[perf_event]")).count()
}

#[test]
fn a_cpu_that_comes_online_is_traced() {
    let _machine = vm();
    assert!(Path::new(SWITCH).exists(), "this kernel takes no CPU offline");
    let home = Cgroup::home("cpus");
    let tracer = Tracer::start(&["--no-names"]);
    let before = buffers(tracer.pid());
    let are_open = |number: usize| match buffers(tracer.pid()) {
        open if open == number => Ok(()),
        open => Err(format!("{open} perf buffers")),
    };
    let offline = Offline::new();
    eventually("its buffer to be closed", || are_open(before - 1));
    drop(offline);
    eventually("a buffer to be opened", || are_open(before));

    let this = Pid::from_raw(0);
    let all = sched_getaffinity(this).expect("an affinity");
    let mut alone = CpuSet::new();
    alone.set(CPU).expect("a CPU");
    sched_setaffinity(this, &alone).expect("run on that CPU");
    let cgroups: Vec<Cgroup> = (0..CGROUPS).map(|number| home.child(number.to_string())).collect();
    cgroups.iter().for_each(Cgroup::remove);
    sched_setaffinity(this, &all).expect("run anywhere");

    let outcome = tracer.stop();
    for cgroup in &cgroups {
        assert!(outcome.life(cgroup.path()).contains(&"online"), "{}: {}", cgroup.path(), outcome.summary);
    }
    outcome.assert_conclusive();
}
