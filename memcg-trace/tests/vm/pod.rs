//! In a pod on cgroup v2, which has a cgroup namespace of its own: with the node's mount, and with the container's.
//! The root is read-only, and there are no more capabilities than in the DaemonSet.

use std::process::Command;

use crate::{
    expectations::kernel,
    support::{
        cgroup::Cgroup,
        doctor::Doctor,
        eventually,
        exporter::Exporter,
        in_pod::sees_the_node,
        kubelet::Pod,
        process::command,
        sandbox::{Capability, CgroupMount, in_cgroup_namespace, read_only, with_capabilities},
    },
    vm,
};

/// What the overlay for Debian grants, whose kernels these are.
const DAEMONSET: [Capability; 6] = [
    Capability::DacReadSearch,
    Capability::IpcLock,
    Capability::SysAdmin,
    Capability::Syslog,
    Capability::Perfmon,
    Capability::Bpf,
];

#[test]
fn the_nodes_mount_shows_the_node() {
    let _machine = vm();
    let home = Cgroup::home("namespace");
    let own = home.child("pod");
    let scan = sees_the_node(|arguments| {
        let mut command = in_pod(&own, CgroupMount::Node, &DAEMONSET);
        command.args(arguments);
        command
    });
    scan.assert_agrees();
}

#[test]
fn a_leak_is_served_with_its_pod_and_its_pin() {
    let _machine = vm();
    let pod = Pod::new();
    let home = Cgroup::home("namespace");
    let own = home.child("pod");
    let arguments = ["--grace", "1s", "--refresh", "2s", "--host-root", pod.host_root()];
    let exporter = Exporter::of(&mut in_pod(&own, CgroupMount::Node, &DAEMONSET), &arguments);
    let _file = pod.leak(0..1);
    let series = Pod::series("leaked_memcgs");
    eventually("the leak to show", || match exporter.value(&series) {
        Some(1.0) => Ok(()),
        other => Err(format!("{other:?} leaked")),
    });
    eventually("what pins it to be known", || {
        match exporter.value("memcg_trace_pinned_memcgs{pin=\"tmpfs\"}") {
            Some(pinned) if pinned >= 1.0 => Ok(()),
            other => Err(format!("{other:?} pinned")),
        }
    });
    assert_eq!(exporter.stop(), Some(0));
}

#[test]
fn the_containers_mount_shows_a_part_and_without_syslog_no_kinds() {
    let _machine = vm();
    let home = Cgroup::home("namespace");
    let pod = home.child("pod");
    let mut command =
        in_pod(&pod, CgroupMount::Container, &[Capability::IpcLock, Capability::SysAdmin, Capability::Bpf]);
    let doctor = Doctor::of(command.args(["doctor", "-o", "json", "--watch", "1ms"]));
    let (answer, why) = doctor.ability("the whole cgroup hierarchy");
    assert!(answer == "no" && why.contains("only our own cgroup"), "{answer}: {why}");
    assert!(doctor.next_step("the whole cgroup hierarchy").contains("/sys/fs/cgroup"));
    let kinds = "what memcgs are charged for";
    let hidden = kernel().packs_counters;
    let (answer, why) = doctor.ability(kinds);
    assert_eq!((answer, why.contains("CAP_SYSLOG")), (if hidden { "no" } else { "yes" }, hidden), "{why}");
    // The kernel is read, whatever is mounted.
    for what in ["memcg-trace trace", "memcg-trace scan"] {
        assert_eq!(doctor.ability(what).0, "yes", "{what}: {:?}", doctor.ability(what));
    }
}

/// memcg-trace with the security context of a pod.
fn in_pod(pod: &Cgroup, mount: CgroupMount, capabilities: &'static [Capability]) -> Command {
    let mut command = command();
    pod.hosts(&mut command);
    in_cgroup_namespace(&mut command, mount);
    read_only(&mut command, c"/");
    with_capabilities(&mut command, capabilities);
    command
}
