//! How a run ends.

use std::{io, process::Stdio};

use nix::sys::signal::Signal;

use crate::support::{
    cgroup::Cgroup,
    machine,
    process::{Process, command},
    tracer::Tracer,
};

#[test]
fn signals_end_it_with_a_summary() {
    let _machine = machine();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let outcome = Tracer::start(&[]).stop_by(signal);
        assert_eq!(outcome.code, Some(0), "{signal}: {}", outcome.stderr);
        assert_eq!(outcome.summary["schema"], 1);
    }
}

/// The same for text: the summary is the last output on stdout, messages go to stderr.
#[test]
fn text_ends_with_a_summary() {
    let _machine = machine();
    let home = Cgroup::home("text");
    let process = Process::start(command().arg("trace").stdout(Stdio::piped()));
    let victim = home.child("victim");
    victim.remove();
    process.signal(Signal::SIGTERM);
    let (code, lines, stderr) = process.finish();
    assert_eq!(code, Some(0), "{stderr}");
    let text = lines.join("\n");
    assert!(text.contains(victim.path()), "{text}");
    assert!(text.contains("created"), "{text}");
    assert!(!text.contains('\x1b'), "colours into a pipe: {text}");
}

#[test]
fn reader_that_has_enough_is_no_failure() {
    let _machine = machine();
    let home = Cgroup::home("pipe");
    for format in ["text", "json"] {
        let (reader, writer) = io::pipe().expect("a pipe");
        let process = Process::start(command().args(["trace", "-o", format]).stdout(writer));
        drop(reader);
        let victim = home.child(format);
        victim.remove();
        let (code, _, stderr) = process.finish();
        assert_eq!(code, Some(0), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}
