//! What the kernel refuses, and what we say to do about it.

use std::{os::unix::process::CommandExt as _, process::Command};

use nix::{
    sched::{CloneFlags, unshare},
    sys::resource::{Resource, setrlimit},
};

use crate::support::{
    machine,
    process::{command, run},
    sandbox::without_call,
};

/// What it says when it cannot trace.
fn complaint(command: &mut Command) -> String {
    let output = run(command.args(["trace", "--duration", "1ms", "--no-names"]));
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(69), "{said}");
    said
}

#[test]
fn a_seccomp_filter_is_named() {
    let _machine = machine();
    for number in [libc::SYS_bpf, libc::SYS_perf_event_open] {
        let mut filtered = command();
        without_call(&mut filtered, number);
        let said = complaint(&mut filtered);
        assert!(said.contains("a seccomp filter"), "system call {number}: {said}");
    }
}

#[test]
fn root_of_a_user_namespace_is_none() {
    let _machine = machine();
    for arguments in [&["trace"][..], &["scan"], &["explain"]] {
        let mut contained = command();
        // SAFETY: a system call alone.
        unsafe {
            contained.pre_exec(|| Ok(unshare(CloneFlags::CLONE_NEWUSER)?));
        }
        let output = run(contained.args(arguments));
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(69), "{arguments:?}: {said}");
        assert!(said.contains("root of a user namespace"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_limit_of_open_files_is_named() {
    let _machine = machine();
    let mut limited = command();
    // SAFETY: a system call alone.
    unsafe {
        limited.pre_exec(|| Ok(setrlimit(Resource::RLIMIT_NOFILE, 16, 16)?));
    }
    let said = complaint(&mut limited);
    assert!(said.contains("ulimit -n"), "{said}");
}
