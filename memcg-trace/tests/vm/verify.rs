//! `verify` on the kernels of the matrix: every scenario, beside what is known of each kernel.

use std::fmt::Write as _;

use crate::{
    expectations::kernel,
    support::{
        cgroup::{Version, hierarchy},
        file::File,
        verify::Verified,
    },
    vm,
};

/// Scenarios that show the same on both hierarchies of a kernel: run where [`TRIED`].
const ALIKE: [&str; 11] = [
    "memfd",
    "sysv-shm",
    "deleted-file",
    "mlocked",
    "huge-page",
    "socket-in-flight",
    "orphan-socket",
    "network-namespace",
    "inotify",
    "perf-event",
    "pipe",
];
const TRIED: [(&str, Version); 3] = [("5.10", Version::V1), ("6.12", Version::V2), ("7.2", Version::V2)];

#[test]
fn verdicts_of_verify() {
    let _machine = vm();
    let mut known = kernel().verdicts(hierarchy().0);
    let tried = TRIED.contains(&(kernel().series, hierarchy().0));
    known.retain(|(scenario, ..)| tried || !ALIKE.contains(scenario));
    let mut text = String::new();
    for (scenario, verdict, ..) in &known {
        let _ = writeln!(text, "{scenario} {verdict}");
    }
    let expectations = File::with("expectations", text.as_bytes());
    let path = expectations.0.to_str().expect("UTF-8");
    let scenarios = known.iter().map(|(scenario, ..)| *scenario);
    let options = ["--cgroups", "3", "--settle", "5s", "--expect", path];
    let verified = Verified::run(&options.into_iter().chain(scenarios).collect::<Vec<_>>());
    assert_eq!(verified.table(), known, "{:#?}\n{}", verified.verdicts, verified.stderr);
    verified.assert_pins_are_named();
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
    assert_eq!(verified.summary["as_expected"], true, "{}", verified.summary);
    assert_eq!(verified.summary["backend"], "kprobe", "{}", verified.summary);
}
