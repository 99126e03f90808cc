//! Real cgroups, real pins and a real memcg-trace: shared by the tests on a host and in a VM.
//!
//! Nothing here measures time. Tests wait for the kernel, and a timeout reports the last state.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod btf;
mod bystander;
pub mod cgroup;
pub mod count;
pub mod cri;
pub mod doctor;
pub mod explain;
pub mod exporter;
pub mod file;
pub mod forked;
pub mod in_pod;
pub mod kubelet;
pub mod mapping;
pub mod node;
pub mod oracle;
pub mod pins;
pub mod process;
pub mod sandbox;
pub mod scan;
pub mod storm;
pub mod tmux;
pub mod tracer;
pub mod verify;
pub mod web;

pub use bystander::evict_stocks;

use std::{
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use self::cgroup::Cgroup;

/// Timeout for everything, on an emulated CPU under load.
pub const DEADLINE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(10);

/// Exclusive use of the machine by one test, as the kernel's counts are global.
pub struct Machine {
    _bystander: Cgroup,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for exclusive use. Fails without root.
pub fn machine() -> Machine {
    static MACHINE: Mutex<()> = Mutex::new(());
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test needs root: it makes cgroups and loads eBPF programs; run \"cargo xtask test\""
    );
    // Failed tests clean up as well.
    let turn = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    cache_programs();
    Machine { _bystander: bystander::new(), _turn: turn }
}

/// Whether this is an emulated machine of `cargo xtask test`, which names the kernel.
pub fn is_vm() -> bool {
    std::env::var_os("MEMCG_TRACE_KERNEL").is_some()
}

/// Runs the programs that tests run inside cgroups: otherwise their pages and those of libraries would be charged to
/// the memcg that first read them, and pin it. Repeated for each test, as some drop the page cache.
fn cache_programs() {
    let programs: [(&str, &[&str]); 4] = [
        ("true", &[]),
        ("sleep", &["0"]),
        ("dd", &["if=/dev/null", "of=/dev/null"]),
        ("tail", &["-c", "1", "/dev/null"]),
    ];
    for (program, arguments) in programs {
        let output = Command::new(program).args(arguments).output();
        output.unwrap_or_else(|error| panic!("run {program}: {error}"));
    }
}

/// Repeats `probe` until it succeeds; its errors describe what is missing.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match probe() {
            Ok(answer) => return answer,
            Err(last) if start.elapsed() > DEADLINE => panic!("waited in vain for {what}: {last}"),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}
