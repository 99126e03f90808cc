//! `whois` of processes, asked from within a container.

use std::{ffi::OsStr, process::Command};

use serde_json::{Value, json};

use crate::support::{
    cgroup::Cgroup,
    machine,
    process::{command, run},
};

/// `whois -o json OWN OTHER` in a cgroup namespace of its own, whose root is the cgroup; `by` runs it.
fn whois(inside: &Cgroup, by: &[&str], other: u32) -> (Option<i32>, Vec<Value>) {
    let mut unshare = Command::new("unshare");
    unshare.arg("--cgroup").args(by).args(["sh", "-c", "exec \"$0\" whois --no-names -o json $$ \"$1\""]);
    unshare.args([command().get_program(), OsStr::new(&other.to_string())]);
    let output = run(inside.hosts(&mut unshare));
    let lines = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    (output.status.code(), lines.collect::<Result<_, _>>().expect("one object a line"))
}

#[test]
fn whois_in_a_private_cgroup_namespace() {
    let _machine = machine();
    let home = Cgroup::home("whois");
    let (inside, beside) = (home.child("inside"), home.child("beside"));
    let other = beside.spawn(Command::new("sleep").arg("1000"));

    let (code, answers) = whois(&inside, &[], other.pid());
    let paths: Vec<_> = answers.iter().map(|answer| (&answer["path"], &answer["path_source"])).collect();
    let (own, source) = (json!(inside.path()), json!("kernel"));
    assert_eq!(paths, [(&own, &source), (&json!(beside.path()), &source)], "{answers:?}");
    assert_eq!(code, Some(0));

    // Without the privilege to read the kernel it says so, rather than "/".
    let powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    let (code, answers) = whois(&inside, &powerless, other.pid());
    for (answer, relative) in
        answers.iter().zip(["is in / of our cgroup namespace", "is in /../beside of our"])
    {
        assert_eq!(answer["path"], Value::Null, "{answer}");
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(error.contains(relative) && error.contains("CAP_BPF"), "{answer}");
    }
    assert_eq!((code, answers.len()), (Some(1), 2));
}
