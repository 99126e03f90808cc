//! The cases that docs/DOCTOR.md shows: what doctor says on each kernel, and where something is missing.

use super::case::{Case, here, vm};
use crate::vm::Cgroup;

/// Text before the cases.
pub const INTRODUCTION: &str = include_str!("doctor.txt");

/// A pod whose container leaves 3 MiB in /dev/shm; then doctor. `$root` is where memory is.
const ONE_POD: &str = "
pods=$root/kubepods pod=$root/kubepods/pod0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9
mkdir $pods
[ ! -e $pods/cgroup.subtree_control ] || echo +memory >$pods/cgroup.subtree_control
mkdir $pod
sh -c \"echo \\$\\$ >$pod/cgroup.procs; exec dd if=/dev/zero of=/dev/shm/cache bs=1M count=3 2>/dev/null\"
rmdir $pod
sleep 1
memcg-trace doctor --self-test";

/// 65,533 cgroups: with the root and `many` all memcg IDs. A directory of v2 that has children holds no tasks, and needs none.
const ALL_IDS: &str = "
mkdir $root/many
echo +memory >$root/many/cgroup.subtree_control
seq -f $root/many/%.0f 1 65533 | xargs mkdir
memcg-trace doctor --self-test";

pub const CASES: &[Case] = &[
    vm(
        "\n## On the kernels of the tests\n\n\
         In each VM one pod wrote 3 MiB to /dev/shm and was removed: where pages pin memcgs, its memcg stays.\n",
        "Linux 5.10, cgroup v1",
        ("5.10", Cgroup::V1, ""),
        ONE_POD,
    ),
    vm("", "Linux 5.10, cgroup v2", ("5.10", Cgroup::V2, ""), ONE_POD),
    vm("", "Linux 6.1, cgroup v1", ("6.1", Cgroup::V1, ""), ONE_POD),
    vm("", "Linux 6.1, cgroup v2", ("6.1", Cgroup::V2, ""), ONE_POD),
    vm("", "Linux 6.12, cgroup v2", ("6.12", Cgroup::V2, ""), ONE_POD),
    vm("", "Linux 7.2, cgroup v2", ("7.2", Cgroup::V2, ""), ONE_POD),
    here("", "On the machine that wrote this page", "memcg-trace doctor --self-test"),
    here(
        "\n## Where something is missing\n",
        "Without privileges",
        "setpriv --reuid 65534 --regid 65534 --clear-groups memcg-trace doctor --self-test",
    ),
    here(
        "",
        "Without BTF",
        "unshare --mount sh -c 'mount -t tmpfs none /sys/kernel/btf; memcg-trace doctor --self-test'",
    ),
    vm(
        "",
        "Locked down (lockdown=confidentiality)",
        ("6.12", Cgroup::V2, "lockdown=confidentiality"),
        "mount -t securityfs securityfs /sys/kernel/security
memcg-trace doctor --self-test",
    ),
    vm("", "All memcg IDs in use (65,533 live cgroups)", ("6.1", Cgroup::V2, ""), ALL_IDS),
];
