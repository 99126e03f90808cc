//! What the kernel refuses, and what we say to do about it.

use std::{os::unix::process::CommandExt as _, process::Command};

use nix::{
    sched::{CloneFlags, unshare},
    sys::resource::{Resource, setrlimit},
};

use crate::support::{
    cgroup::{Cgroup, Version, hierarchy},
    doctor::Doctor,
    machine,
    process::{command, run},
    sandbox::without_call,
};

/// More than the address space of the test has room for.
const PAGES: &str = "32768";

/// What it says when it cannot trace.
fn complaint(command: &mut Command) -> String {
    let output = run(command.args(["trace", "--duration", "1ms", "--no-names", "--perf-pages", PAGES]));
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
        let output = run(in_user_namespace().args(arguments));
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(69), "{arguments:?}: {said}");
        assert!(said.contains("root of a user namespace"), "{arguments:?}: {said}");
    }
    let doctor = Doctor::of(in_user_namespace().args(["doctor", "-o", "json", "--watch", "1ms"]));
    let (answer, reason) = doctor.ability("privileges");
    assert!(answer == "no" && reason.contains("root of a user namespace"), "{answer}: {reason}");
    assert!(doctor.next_step("privileges").contains("outside the user namespace"));
}

fn in_user_namespace() -> Command {
    let mut contained = command();
    // SAFETY: a system call alone.
    unsafe {
        contained.pre_exec(|| Ok(unshare(CloneFlags::CLONE_NEWUSER)?));
    }
    contained
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

#[test]
fn a_limit_of_the_address_space_is_named() {
    const BYTES: u64 = 96 << 20;
    let _machine = machine();
    let mut limited = command();
    // SAFETY: a system call alone.
    unsafe {
        limited.pre_exec(|| Ok(setrlimit(Resource::RLIMIT_AS, BYTES, BYTES)?));
    }
    let said = complaint(&mut limited);
    assert!(said.contains("ulimit -v"), "{said}");
}

/// Whoever is killed for lack of memory has said before what to do.
#[test]
fn a_small_memory_cgroup_is_named() {
    let _machine = machine();
    let small = Cgroup::below_root(&format!("memcg-trace-test-small-{}", std::process::id()));
    let file = match hierarchy().0 {
        Version::V1 => "memory.limit_in_bytes",
        Version::V2 => "memory.max",
    };
    small.write(file, "12M");
    let mut limited = command();
    small.hosts(limited.args(["trace", "--duration", "1ms", "--no-names"]));
    let output = run(&mut limited);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the memory limit of our own cgroup is 12.0 MiB"), "{}: {said}", output.status);
    small.write(file, "128M");
    let output = run(&mut limited);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("memory limit"), "{}: {said}", output.status);
}
