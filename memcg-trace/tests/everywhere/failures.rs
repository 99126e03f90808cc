//! Machines that lack something: one sentence with the reason, and exit code 69.

use std::{os::unix::process::CommandExt as _, process::Command};

use crate::support::{
    btf,
    cgroup::Cgroup,
    file::File,
    machine,
    process::{command, run},
    sandbox::without_mounts,
    tracer::Tracer,
};

/// Runs a command that cannot work here, and returns its error. If it does work, it ends by itself.
fn complaint(command: &mut Command) -> String {
    let output = run(command);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(69), "{stderr}");
    assert_eq!(output.stdout, b"", "messages belong on stderr");
    assert_eq!(stderr.lines().filter(|line| line.starts_with("memcg-trace: ")).count(), 1, "{stderr}");
    stderr
}

#[test]
fn without_privileges() {
    let _machine = machine();
    const NOBODY: u32 = 65534;
    let stderr = complaint(command().args(["trace", "--duration", "1s"]).uid(NOBODY).gid(NOBODY));
    assert!(stderr.contains("CAP_BPF") && stderr.contains("CAP_PERFMON"), "{stderr}");
}

#[test]
fn without_cgroups() {
    let _machine = machine();
    let mut command = command();
    without_mounts(command.args(["trace", "--duration", "1s"]), &[c"/sys/fs/cgroup"]);
    let stderr = complaint(&mut command);
    assert!(stderr.contains("mount -t cgroup2"), "{stderr}");
}

#[test]
fn without_btf_of_that_name() {
    let _machine = machine();
    let stderr = complaint(command().args(["trace", "--duration", "1s", "--btf", "/nowhere/vmlinux"]));
    assert!(stderr.contains("/nowhere/vmlinux"), "{stderr}");
}

#[test]
fn with_a_file_that_is_no_btf() {
    let _machine = machine();
    let file = File::with("no-btf", b"\x7fELF, perhaps");
    let stderr = complaint(command().args(["trace", "--duration", "1s", "--btf"]).arg(&file.0));
    assert!(stderr.contains("no-btf"), "{stderr}");
}

/// The layout is proven on our own cgroup. Each of these members leads there: if one is moved, the proof must fail.
#[test]
fn with_another_kernels_btf() {
    let _machine = machine();
    let home = Cgroup::home("btf");
    let own = home.child("own");
    let members = [
        ("task_struct", "cgroups"),
        ("css_set", "subsys"),
        ("cgroup_subsys_state", "cgroup"),
        ("cgroup", "kn"),
        ("kernfs_node", "id"),
        ("kernfs_node", "name"),
    ];
    for (owner, member) in members {
        let file = File::with("other-btf", &btf::with_moved_member(owner, member));
        let mut command = command();
        own.hosts(&mut command).args(["trace", "--duration", "1s", "--btf"]).arg(&file.0);
        let stderr = complaint(&mut command);
        assert!(stderr.contains("BTF file of exactly this kernel"), "{owner}.{member}: {stderr}");
    }
}

#[test]
fn with_this_kernels_btf_in_a_file() {
    let _machine = machine();
    let file = File::with("own-btf", &btf::own());
    let mut command = command();
    let tracer = Tracer::spawn(command.args(["trace", "-o", "json", "--btf"]).arg(&file.0));
    tracer.stop().assert_conclusive();
}
