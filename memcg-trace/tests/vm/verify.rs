//! `verify` on the kernels of the matrix: every scenario, beside what is known of each kernel.

use std::fmt::Write as _;

use crate::{
    expectations::kernel,
    support::{cgroup::hierarchy, file::File, verify::Verified},
    vm,
};

#[test]
fn verdicts_of_verify() {
    let _machine = vm();
    let known = kernel().verdicts(hierarchy().0);
    let mut text = String::new();
    for (scenario, verdict, ..) in &known {
        let _ = writeln!(text, "{scenario} {verdict}");
    }
    let expectations = File::with("expectations", text.as_bytes());
    let path = expectations.0.to_str().expect("UTF-8");
    let verified = Verified::run(&["--cgroups", "3", "--settle", "5s", "--expect", path]);
    assert_eq!(verified.table(), known, "{:#?}\n{}", verified.verdicts, verified.stderr);
    verified.assert_pins_are_named();
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
    assert_eq!(verified.summary["as_expected"], true, "{}", verified.summary);
    assert_eq!(verified.summary["backend"], "kprobe", "{}", verified.summary);
}
