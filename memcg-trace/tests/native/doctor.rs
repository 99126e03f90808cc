//! `doctor` continues after a no, and changes nothing.

use std::{fs, os::unix::process::CommandExt as _};

use crate::support::{
    cgroup::hierarchy,
    doctor::Doctor,
    machine,
    process::command,
    sandbox::{without_mounts, without_test_runs},
};

/// Features probed on every machine.
const ALWAYS: &[&str] = &[
    "privileges",
    "kernel not locked down",
    "memory controller",
    "type information (BTF)",
    "walk by program",
    "walk through /proc/kcore",
    "kprobe backend",
    "tracepoint backend",
    "memcg-trace trace",
    "memcg-trace scan",
];

#[test]
fn self_test_sees_every_hook_and_leaves_nothing() {
    let _machine = machine();
    let doctor = Doctor::run(&["--self-test"]);
    let (answer, detail) = doctor.ability("self-test");
    assert_eq!(answer, "yes", "{detail}");
    assert_eq!(doctor.ability("layout of kernel structs").0, "yes");
    assert_eq!(doctor.ability("tracepoint: cgroup_release").0, "yes");
    for what in ["no_new_privs", "seccomp", "bounding_set_empty"] {
        assert_eq!(doctor.summary["confinement"][what], true, "{what}: {}", doctor.summary);
    }
    let left = fs::read_dir(hierarchy().1).expect("the hierarchy's root");
    let left: Vec<_> =
        left.flatten().filter(|entry| entry.file_name().to_string_lossy().contains("doctor")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn goes_on_without_privileges() {
    let _machine = machine();
    const NOBODY: u32 = 65534;
    let doctor = Doctor::of(command().args(["doctor", "-o", "json", "--self-test"]).uid(NOBODY).gid(NOBODY));
    let (answer, reason) = doctor.ability("privileges");
    assert!(answer == "no" && reason.contains("CAP_BPF"), "{answer}: {reason}");
    assert_eq!(doctor.next_step("memcg-trace trace"), "run it as root");
    for what in ["walk by program", "kprobe backend", "layout of kernel structs", "self-test"] {
        assert_eq!(doctor.ability(what).0, "unknown", "{what}");
    }
    assert_eq!(doctor.ability("type information (BTF)").0, "yes");
    assert!(doctor.summary["node"]["live"].as_u64() >= Some(1), "the kernel's counts: {}", doctor.summary);
    assert_eq!(doctor.code, Some(4), "how many IDs are used cannot be told");
}

#[test]
fn goes_on_without_cgroups() {
    let _machine = machine();
    let mut command = command();
    without_mounts(command.args(["doctor", "-o", "json", "--self-test"]), &[c"/sys/fs/cgroup"]);
    let doctor = Doctor::of(&mut command);
    ALWAYS.iter().for_each(|what| _ = doctor.ability(what));
    assert!(doctor.next_step("memory controller").contains("mount -t cgroup2"));
    assert_eq!(doctor.summary["node"], serde_json::Value::Null);
    assert_eq!(doctor.code, Some(69));
}

#[test]
fn goes_on_without_test_runs() {
    let _machine = machine();
    let mut command = command();
    without_test_runs(command.args(["doctor", "-o", "json"]));
    let doctor = Doctor::of(&mut command);
    let (answer, reason) = doctor.ability("walk by program");
    assert!(answer == "no" && reason.contains("5.10"), "{answer}: {reason}");
    let (answer, reason) = doctor.ability("layout of kernel structs");
    assert!(answer == "unknown" && reason.contains("unproven"), "{answer}: {reason}");
    assert_eq!(doctor.ability("tracepoint: cgroup_release").0, "yes");
}
