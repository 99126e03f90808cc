//! A kernel whose memory controller was switched off at boot.

use crate::{
    doctor,
    support::{
        doctor::Doctor,
        process::{command, run},
    },
};

#[test]
#[ignore = "needs a kernel booted for it: cargo xtask test --filter cgroup_disable"]
fn disabled_controller() {
    let output = run(command().args(["trace", "--duration", "1s"]));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{stderr}");
    assert!(stderr.contains("boot without cgroup_disable=memory"), "{stderr}");
    assert_eq!(output.stdout, b"");

    let doctor = Doctor::run(&["--self-test", "--watch", "0s"]);
    assert_eq!(doctor.ability("memory controller").0, "no");
    assert!(doctor.next_step("memory controller").contains("boot without cgroup_disable=memory"));
    assert_eq!(doctor.ability("tracepoint backend").0, "yes", "it goes on: {:?}", doctor.lacks());
    assert_eq!(doctor.code, Some(69));
    doctor::locked_down();
}
