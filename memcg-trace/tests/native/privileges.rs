//! What a tracer may still do once it has attached.

use std::fs;

use crate::support::{eventually, machine, tracer::Tracer};

/// Capabilities of a bounding set or a permitted set, of each thread.
fn status(pid: u32) -> Vec<(String, String)> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let status = |thread: fs::DirEntry| {
        let file = |name| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        (file("comm").trim().to_owned(), file("status"))
    };
    threads.map(|thread| status(thread.expect("a thread"))).collect()
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).trim()
}

#[test]
fn privileges_are_dropped_for_good() {
    const SYS_ADMIN: u32 = 21;
    let _machine = machine();
    let tracer = Tracer::start(&[]);
    let dropped = || {
        for (thread, status) in status(tracer.pid()) {
            let fields =
                ["CapBnd", "CapInh", "CapAmb", "NoNewPrivs", "Seccomp"].map(|name| field(&status, name));
            let nothing = "0000000000000000";
            if fields != [nothing, nothing, nothing, "1", "2"] {
                return Err(format!("thread {thread}: {fields:?}"));
            }
            let permitted = u64::from_str_radix(field(&status, "CapPrm"), 16).expect("a set");
            assert_eq!(permitted >> SYS_ADMIN & 1, 0, "thread {thread} has CAP_SYS_ADMIN");
        }
        Ok(())
    };
    // The thread that looks up names drops its own.
    eventually("each thread to drop its privileges", dropped);
    assert_eq!(tracer.stop().code, Some(0));
}
