//! A run and its recording.

use std::{fs, os::unix::process::CommandExt as _, path::Path, process::Output};

use nix::sys::signal::Signal;

use crate::support::{
    cgroup::Cgroup,
    eventually,
    file::File,
    machine,
    pins::TmpfsFile,
    process::{Process, command, run},
    storm::storm,
    tracer::Tracer,
};

fn text(file: &File) -> String {
    String::from_utf8_lossy(&fs::read(&file.0).unwrap_or_default()).into_owned()
}

fn replay(recording: &Path, format: &str) -> Output {
    run(command().args(["replay", "-o", format]).arg(recording))
}

/// A run that shows what it sees in a file.
fn record(recording: &File, shown: &File, format: &str) -> Process {
    let stdout = fs::File::create(&shown.0).expect("a file for the output");
    let mut command = command();
    command.args(["trace", "--grace", "2s", "-o", format, "--record"]).arg(&recording.0);
    Process::start(command.stdout(stdout))
}

/// Waits for text in what is shown.
fn expect(shown: impl Fn() -> String, text: &str) {
    eventually(text, || {
        let shown = shown();
        if shown.contains(text) { Ok(()) } else { Err(shown) }
    });
}

#[test]
fn replay_shows_what_the_run_showed() {
    let _machine = machine();
    let home = Cgroup::home("record");
    for (format, leaked) in [("text", "LEAKED"), ("json", "\"leaked\"")] {
        let (recording, shown) = (File::named("recording"), File::named("shown"));
        let process = record(&recording, &shown, format);
        storm(&home, 2, 200);
        let victim = home.child(format);
        // Whether it leaks depends on the kernel, that it is seen does not.
        let file = TmpfsFile::written_in(&victim);
        victim.remove();
        eventually("an end of the victim", || {
            let shown = text(&shown);
            let ended = shown.contains(leaked)
                || shown.lines().any(|line| line.contains("freed") && line.contains(victim.path()));
            if ended { Ok(()) } else { Err(shown) }
        });
        drop(file);
        process.signal(Signal::SIGINT);
        let (code, _, stderr) = process.finish();
        assert_eq!(code, Some(0), "{stderr}");
        let replayed = replay(&recording.0, format);
        assert_eq!(replayed.status.code(), Some(0), "{}", String::from_utf8_lossy(&replayed.stderr));
        assert_eq!(String::from_utf8_lossy(&replayed.stdout), text(&shown));
    }
}

#[test]
fn a_killed_run_can_be_replayed() {
    let _machine = machine();
    let home = Cgroup::home("killed");
    let (recording, shown) = (File::named("recording"), File::named("shown"));
    let process = record(&recording, &shown, "text");
    let victim = home.child("victim");
    victim.remove();
    expect(|| String::from_utf8_lossy(&replay(&recording.0, "text").stdout).into_owned(), victim.path());
    process.signal(Signal::SIGKILL);
    process.finish();
    let replayed = replay(&recording.0, "text");
    assert_eq!(replayed.status.code(), Some(4), "inconclusive");
    let text = String::from_utf8_lossy(&replayed.stdout);
    assert!(text.contains(victim.path()) && text.contains("the recording was cut off"), "{text}");
}

#[test]
fn a_full_disk_ends_the_recording_and_nothing_else() {
    let _machine = machine();
    let home = Cgroup::home("full");
    let recording = File::named("recording");
    let mut command = command();
    command.args(["trace", "-o", "json", "--record"]).arg(&recording.0);
    let limit = || {
        let limit = libc::rlimit { rlim_cur: 8192, rlim_max: 8192 };
        // SAFETY: both take plain values, the second a pointer to one that outlives the call.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            libc::setrlimit(libc::RLIMIT_FSIZE, &limit);
        }
        Ok(())
    };
    // SAFETY: after the fork it makes two system calls.
    unsafe { command.pre_exec(limit) };
    let mut tracer = Tracer::spawn(&mut command);
    storm(&home, 2, 500);
    let victim = home.child("victim");
    victim.remove();
    tracer.event("freed", victim.path());
    let outcome = tracer.stop();
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.matches("any more").count(), 1, "{}", outcome.stderr);
    assert_eq!(outcome.summary["conclusive"], true, "{}", outcome.summary);
    assert_eq!(outcome.count("created"), 1001, "{}", outcome.summary);
    assert_eq!(replay(&recording.0, "json").status.code(), Some(4), "inconclusive");
}
