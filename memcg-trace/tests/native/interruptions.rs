//! `verify` interrupted at any moment leaves nothing behind.

use std::{process::Stdio, thread, time::Duration};

use nix::{
    errno::Errno,
    sys::{
        prctl,
        signal::Signal,
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};

use crate::support::{
    eventually, machine,
    process::{Process, command},
    verify::Left,
};

/// Environment variable for the number of rounds: more for acceptance tests.
const ROUNDS: &str = "MEMCG_TRACE_INTERRUPTIONS";
const EVERY_DAY: u64 = 5;

#[test]
fn interrupted_at_any_moment() {
    let _machine = machine();
    // Orphans of it become our children.
    prctl::set_child_subreaper(true).expect("become a subreaper");
    let rounds = std::env::var(ROUNDS).map_or(EVERY_DAY, |rounds| rounds.parse().expect(ROUNDS));
    let whole = {
        let begun = std::time::Instant::now();
        assert!(matches!(verify(None), Some(0 | 3)), "it is not interrupted and judges");
        begun.elapsed()
    };
    // Modules that it loaded stay, and loading zram creates a device.
    let before = Left::now();
    before.assert_nothing_of_verify();
    for round in 0..rounds {
        // Spread over the whole run by multiples of the golden ratio.
        let share = (round as f64 * 0.618_034).fract();
        let delay = whole.mul_f64(share);
        let signal = if round % 2 == 0 { Signal::SIGINT } else { Signal::SIGTERM };
        let code = verify(Some((signal, delay)));
        // It may have finished before.
        assert!(matches!(code, Some(0 | 1 | 3)), "{signal} after {delay:?}: {code:?}");
        eventually(&format!("nothing to be left, {signal} after {delay:?} of {whole:?}"), || {
            let now = Left::now();
            if now == before { Ok(()) } else { Err(format!("{now:#?}, before: {before:#?}")) }
        });
        let children = waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG));
        assert_eq!(children, Err(Errno::ECHILD), "a process is left, {signal} after {delay:?}");
    }
}

fn verify(interruption: Option<(Signal, Duration)>) -> Option<i32> {
    let mut command = command();
    command.args(["verify", "--cgroups", "2", "--settle", "200ms", "--yes"]).stdout(Stdio::null());
    let process = Process::start(&mut command);
    if let Some((signal, delay)) = interruption {
        thread::sleep(delay);
        process.signal(signal);
    }
    process.finish().0
}
