//! A kernel whose memory controller was switched off at boot.

use crate::support::process::{command, run};

#[test]
#[ignore = "needs a kernel booted for it: cargo xtask test --filter cgroup_disable"]
fn disabled_controller() {
    let output = run(command().args(["trace", "--duration", "1s"]));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{stderr}");
    assert!(stderr.contains("boot without cgroup_disable=memory"), "{stderr}");
    assert_eq!(output.stdout, b"");
}
