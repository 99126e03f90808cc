//! Real cgroups, real pins and a real memcg-trace: what the tests on a host and in a VM have in common.
//!
//! Nothing here measures time. What the kernel does late is waited for, and a wait that is too long says what was seen.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod btf;
mod bystander;
pub mod cgroup;
pub mod count;
pub mod cri;
pub mod doctor;
pub mod file;
pub mod node;
pub mod oracle;
pub mod pins;
pub mod process;
pub mod sandbox;
pub mod scan;
pub mod storm;
pub mod tracer;
pub mod verify;

pub use bystander::evict_stocks;

use std::{
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use self::cgroup::Cgroup;

/// Longer than anything takes, on an emulated CPU under load.
pub const DEADLINE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(10);

/// The machine, for one test: the kernel counts for all of them together.
pub struct Machine {
    _bystander: Cgroup,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for its turn. Fails without root.
pub fn machine() -> Machine {
    static MACHINE: Mutex<()> = Mutex::new(());
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test needs root: it makes cgroups and loads eBPF programs; run \"cargo xtask test\""
    );
    // A test that failed has cleaned up as well.
    let turn = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    cache_programs();
    Machine { _bystander: bystander::new(), _turn: turn }
}

/// Runs what the tests run inside of cgroups: a page of a program or a library stays charged to the memcg that first read
/// it, and pins it. For each test anew: some drop the page cache.
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

/// Asks until there is an answer. `probe` says why there is none yet.
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
