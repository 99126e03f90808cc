//! `doctor` on kernels that have everything, and on those that lose it.

use std::process::Command;

use crate::{
    kprobes::KprobesOff,
    support::{
        cgroup::{Version, hierarchy},
        doctor::Doctor,
    },
    vm,
};

/// What no kernel of the matrix has here: securityfs is not mounted, and no runtime is installed.
const LACKS: [&str; 2] = ["kernel not locked down", "container runtimes"];

#[test]
fn says_yes_to_all_that_these_kernels_have() {
    let _machine = vm();
    let doctor = Doctor::run(&["--self-test"]);
    assert_eq!(doctor.lacks(), LACKS);
    let hooks = [
        "mem_cgroup_css_free",
        "mem_cgroup_css_released",
        "mem_cgroup_css_offline (return)",
        "mem_cgroup_css_offline",
        "cgroup_rmdir",
        "mem_cgroup_css_online",
        "mem_cgroup_css_alloc (return)",
        "mem_cgroup_css_alloc",
    ];
    for hook in hooks {
        assert_eq!(doctor.ability(&format!("kprobe: {hook}")).0, "yes", "{hook}");
    }
    assert!(doctor.ability("self-test").1.starts_with("8 of 8"), "{}", doctor.ability("self-test").1);
    assert_eq!(doctor.summary["backend"], "kprobe");
    assert_eq!((doctor.code, &doctor.summary["verdict"]), (Some(0), &"healthy".into()), "{}", doctor.summary);
    let version = if hierarchy().0 == Version::V1 { "cgroup v1 at" } else { "cgroup v2 at" };
    assert!(doctor.summary["controller"].as_str().is_some_and(|controller| controller.starts_with(version)));
}

#[test]
fn kprobes_switched_off_leave_tracepoints() {
    let _machine = vm();
    let off = KprobesOff::now();
    let doctor = Doctor::run(&["--self-test", "--watch", "0s"]);
    drop(off);
    assert_eq!(doctor.ability("kprobe backend"), ("no", "kprobes are switched off"));
    assert!(doctor.next_step("kprobe backend").contains("echo 1 >"));
    assert_eq!(doctor.summary["backend"], "tracepoint");
    assert!(doctor.ability("self-test").1.starts_with("3 of 3"), "{}", doctor.ability("self-test").1);
}

/// The end of a boot: a kernel that was locked down stays so.
pub fn locked_down() {
    let script = "mount -t securityfs none /sys/kernel/security && \
        echo confidentiality > /sys/kernel/security/lockdown";
    let status = Command::new("sh").args(["-c", script]).status().expect("sh");
    assert!(status.success(), "lock the kernel down: {status}");
    let doctor = Doctor::run(&[]);
    let (answer, reason) = doctor.ability("kernel not locked down");
    assert!(answer == "no" && reason.contains("confidentiality"), "{answer}: {reason}");
    assert!(doctor.next_step("memcg-trace trace").contains("boot without lockdown"), "{:?}", doctor.lacks());
    assert_eq!(doctor.ability("kprobe backend").0, "unknown");
}
