//! What must work in a pod, however it is made.

use std::process::{Command, Stdio};

use serde_json::json;

use super::{
    cgroup::Cgroup, doctor::Doctor, eventually, pins::TmpfsFile, process::run, scan::Scan, tracer::parse,
};

/// `doctor`, `scan`, `explain` and `trace` see the whole node. `within` is memcg-trace with these arguments, in the pod.
/// Returns what was scanned.
pub fn sees_the_node(within: impl Fn(&[&str]) -> Command) -> Scan {
    let home = Cgroup::home("pod");
    let zombie = home.child("zombie");
    let _file = TmpfsFile::written_in(&zombie);
    let id = zombie.id();
    zombie.remove();

    let doctor = Doctor::of(&mut within(&["doctor", "-o", "json", "--watch", "1ms"]));
    for what in [
        "privileges",
        "layout of kernel structs",
        "what memcgs are charged for",
        "explain",
        "memcg-trace trace",
        "memcg-trace scan",
    ] {
        assert_eq!(doctor.ability(what).0, "yes", "{what}: {:?}", doctor.ability(what));
    }
    let scan = Scan::of(&mut within(&["scan", "-o", "json"]));
    assert_eq!(scan.below(&home), [(id, "dying")]);
    let explained = run(&mut within(&["explain", "-o", "json", zombie.path()]));
    let explained = String::from_utf8_lossy(&explained.stdout);
    let pin = parse(explained.lines().next().expect("a pin"));
    assert_eq!((&pin["pin"], &pin["refs"]), (&json!("tmpfs"), &json!(256)), "{explained}");

    let seen = format!("{}/seen", home.path());
    let mut tracing = within(&["trace", "-o", "json", "--count", "1", "--cgroup", &seen]);
    let mut tracing = tracing.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run it");
    let ended = eventually("an event in the pod", || {
        let _seen = home.child("seen");
        tracing.try_wait().expect("wait for it").ok_or_else(|| "none yet".to_owned())
    });
    let output = tracing.wait_with_output().expect("its output");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let event = parse(stdout.lines().next().unwrap_or_else(|| panic!("{ended}: {stderr}")));
    assert_eq!(event["memcg"]["path"], seen, "{event}");
    scan
}
