//! In a pod on cgroup v2, which has a cgroup namespace of its own: with the node's mount, and with the container's.

use std::process::{Command, Stdio};

use crate::{
    support::{
        cgroup::Cgroup,
        doctor::Doctor,
        eventually,
        pins::TmpfsFile,
        process::command,
        sandbox::{CgroupMount, in_cgroup_namespace},
        scan::Scan,
        tracer::parse,
    },
    vm,
};

#[test]
fn the_nodes_mount_shows_the_node() {
    let _machine = vm();
    let home = Cgroup::home("namespace");
    let (pod, zombie) = (home.child("pod"), home.child("zombie"));
    let _file = TmpfsFile::written_in(&zombie);
    let id = zombie.id();
    zombie.remove();
    let within = |arguments: &[&str]| {
        let mut command = in_pod(&pod, CgroupMount::Node);
        command.args(arguments);
        command
    };

    let doctor = Doctor::of(&mut within(&["doctor", "-o", "json", "--watch", "1ms"]));
    for what in ["layout of kernel structs", "explain", "memcg-trace trace", "memcg-trace scan"] {
        assert_eq!(doctor.ability(what).0, "yes", "{what}: {:?}", doctor.ability(what));
    }
    let scan = Scan::of(&mut within(&["scan", "-o", "json"]));
    assert!(scan.below(&home).contains(&(id, "dying")), "{:?}", scan.below(&home));
    scan.assert_agrees();

    let below = format!("{}/seen", home.path());
    let mut tracing = within(&["trace", "-o", "json", "--count", "1", "--cgroup", &below]);
    let mut tracing = tracing.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("run memcg-trace");
    eventually("an event in the namespace", || {
        let _seen = home.child("seen");
        tracing.try_wait().expect("wait for memcg-trace").ok_or_else(|| "none yet".to_owned())
    });
    let stdout = tracing.wait_with_output().expect("its output").stdout;
    let stdout = String::from_utf8_lossy(&stdout);
    let event = parse(stdout.lines().next().expect("an event"));
    assert_eq!(event["memcg"]["path"], below, "{event}");
}

#[test]
fn the_containers_mount_shows_a_part() {
    let _machine = vm();
    let home = Cgroup::home("namespace");
    let pod = home.child("pod");
    let mut command = in_pod(&pod, CgroupMount::Container);
    let doctor = Doctor::of(command.args(["doctor", "-o", "json", "--watch", "1ms"]));
    let (answer, why) = doctor.ability("the whole cgroup hierarchy");
    assert!(answer == "no" && why.contains("only our own cgroup"), "{answer}: {why}");
    assert!(doctor.next_step("the whole cgroup hierarchy").contains("/sys/fs/cgroup"));
    // The kernel is read, whatever is mounted.
    for what in ["memcg-trace trace", "memcg-trace scan"] {
        assert_eq!(doctor.ability(what).0, "yes", "{what}: {:?}", doctor.ability(what));
    }
}

fn in_pod(pod: &Cgroup, mount: CgroupMount) -> Command {
    let mut command = command();
    pod.hosts(&mut command);
    in_cgroup_namespace(&mut command, mount);
    command
}
