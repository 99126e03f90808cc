//! CPUs that come and go.

use std::{fs, io, os::unix::process::CommandExt as _, thread, time::Duration};

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use crate::{
    support::{
        cgroup::Cgroup,
        eventually,
        process::{command, run},
        tracer::Tracer,
    },
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

/// Debian's kernels ask for CAP_SYS_ADMIN from 3 on, which is dropped once the hooks are attached.
const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";

/// The setting for one test.
struct Paranoid(String);

impl Paranoid {
    fn set(level: &str) -> Self {
        let before = fs::read_to_string(PARANOID).expect(PARANOID);
        fs::write(PARANOID, level).expect(PARANOID);
        Self(before)
    }
}

impl Drop for Paranoid {
    fn drop(&mut self) {
        let _ = fs::write(PARANOID, &self.0);
    }
}

/// Perf buffers that a process has open.
fn buffers(pid: u32) -> usize {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("it runs");
    maps.lines().filter(|line| line.ends_with("anon_inode:[perf_event]")).count()
}

/// Takes the CPU offline, until its buffer is closed, and back.
fn go_offline_and_back(tracer: &Tracer) {
    let before = buffers(tracer.pid());
    let offline = Offline::new();
    eventually("its buffer to be closed", || match buffers(tracer.pid()) {
        open if open + 1 == before => Ok(()),
        open => Err(format!("{open} perf buffers")),
    });
    drop(offline);
}

/// Cgroups that come and go on that CPU.
fn churn(home: &Cgroup) -> Vec<Cgroup> {
    let this = Pid::from_raw(0);
    let all = sched_getaffinity(this).expect("an affinity");
    let mut alone = CpuSet::new();
    alone.set(CPU).expect("a CPU");
    sched_setaffinity(this, &alone).expect("run on that CPU");
    let cgroups: Vec<Cgroup> = (0..CGROUPS).map(|number| home.child(number.to_string())).collect();
    cgroups.iter().for_each(Cgroup::remove);
    sched_setaffinity(this, &all).expect("run anywhere");
    cgroups
}

#[test]
fn a_cpu_that_comes_online_is_traced() {
    let _machine = vm();
    let _paranoid = Paranoid::set("2");
    let home = Cgroup::home("cpus");
    let tracer = Tracer::start(&["--no-names"]);
    let before = buffers(tracer.pid());
    go_offline_and_back(&tracer);
    eventually("a buffer to be opened", || match buffers(tracer.pid()) {
        open if open == before => Ok(()),
        open => Err(format!("{open} perf buffers")),
    });
    // It is mapped a moment before the CPU's events are directed to it.
    thread::sleep(Duration::from_millis(500));
    let cgroups = churn(&home);
    let outcome = tracer.stop();
    for cgroup in &cgroups {
        assert!(outcome.life(cgroup.path()).contains(&"online"), "{}: {}", cgroup.path(), outcome.summary);
    }
    outcome.assert_conclusive();
}

#[test]
fn a_cpu_that_cannot_be_traced_any_more_is_reported() {
    let _machine = vm();
    let _paranoid = Paranoid::set("3");
    let home = Cgroup::home("cpus");
    let tracer = Tracer::start(&["--no-names"]);
    go_offline_and_back(&tracer);
    churn(&home);
    let outcome = tracer.stop();
    assert!(outcome.stderr.contains("CPU 1, which came online, are lost"), "{}", outcome.stderr);
    let lost = outcome.summary["lost_events"].as_u64();
    assert!(lost >= Some(CGROUPS as u64), "{}", outcome.summary);
    assert!(outcome.summary["lower_bounds"].as_array().is_some_and(|bounds| !bounds.is_empty()));
}

#[test]
fn the_setting_that_refuses_events_is_named() {
    const CAP_SYS_ADMIN: libc::c_ulong = 21;
    let _machine = vm();
    let _paranoid = Paranoid::set("3");
    let mut traced = command();
    // SAFETY: a system call alone. What is not in the bounding set is lost when root runs a program.
    unsafe {
        traced.pre_exec(|| match libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_ADMIN) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
    let output = run(traced.args(["trace", "--duration", "1ms", "--no-names"]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("sysctl kernel.perf_event_paranoid=2"), "{said}");
}
