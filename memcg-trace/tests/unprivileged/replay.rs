//! Golden recordings: runs in VMs of several kernels, replayed into every format.
//!
//! `UPDATE_GOLDEN=1 cargo test --test unprivileged replay` writes the outputs anew; tests/recordings/make.sh makes the recordings anew.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::file::File;

fn recordings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")
}

fn replay(recording: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memcg-trace"));
    command.arg("replay").args(arguments).arg(recording).env_remove("NO_COLOR").env_remove("RUST_LOG");
    command.output().unwrap_or_else(|error| panic!("run {command:?}: {error}"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_kernel_in_every_format() {
    let files = fs::read_dir(recordings()).expect("the recordings").flatten().map(|entry| entry.path());
    let mut recordings: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|e| e == "recording")).collect();
    recordings.sort();
    assert!(recordings.len() >= 7, "{recordings:?}");
    for recording in &recordings {
        for (format, extension) in [("text", "txt"), ("json", "jsonl")] {
            let output = replay(recording, &["-o", format]);
            assert_eq!(output.status.code(), Some(0), "{}", said(&output));
            compare(&recording.with_extension(extension), &output.stdout);
        }
        let mut top = Command::new(env!("CARGO_BIN_EXE_memcg-trace"));
        let frame =
            top.args(["top", "--replay"]).arg(recording).env_remove("NO_COLOR").env_remove("RUST_LOG");
        let frame = frame.output().unwrap_or_else(|error| panic!("run {top:?}: {error}"));
        assert_eq!(frame.status.code(), Some(0), "{}", said(&frame));
        compare(&recording.with_extension("top"), &frame.stdout);
    }
}

fn compare(golden: &Path, output: &[u8]) {
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(golden, output).expect("the golden files can be written");
    }
    let expected = fs::read(golden).unwrap_or_default();
    let (output, expected) = (String::from_utf8_lossy(output), String::from_utf8_lossy(&expected));
    assert_eq!(output, expected, "{} differs; UPDATE_GOLDEN=1 writes it anew", golden.display());
}

#[test]
fn options_of_the_view() {
    let recording = recordings().join("6.12-v2.recording");
    let lines = |arguments: &[&str]| {
        let output = replay(&recording, &[&["-o", "json"], arguments].concat());
        (output.status.code(), String::from_utf8(output.stdout).expect("JSON is UTF-8"))
    };
    let (code, leaks) = lines(&["--events", "leaked", "--cgroup", "/home/*", "--fail-on-leak"]);
    assert_eq!(code, Some(3));
    assert!(
        leaks
            .lines()
            .filter(|line| line.contains("\"type\":\"event\""))
            .all(|line| line.contains("\"leaked\""))
    );
    // A grace that nothing outlives: the ledger is kept anew, not only shown otherwise.
    let (code, patient) = lines(&["--grace", "1h", "--fail-on-leak"]);
    assert_eq!(code, Some(0));
    assert!(patient.lines().last().is_some_and(|summary| summary.contains("\"leaked\":0")), "{patient}");
    let (_, all) = lines(&[]);
    let (_, few) = lines(&["--count", "3"]);
    let last = |lines: &str| lines.lines().last().map(str::to_owned);
    assert_eq!(few.lines().filter(|line| line.contains("\"type\":\"event\"")).count(), 3);
    assert_eq!(last(&few), last(&all), "the summary is about the whole run");
}

#[test]
fn cut_off() {
    let recording = recordings().join("6.12-v2.recording");
    let whole = fs::read(&recording).expect("a recording");
    let file = File::with("cut-off", &whole[..whole.len() * 3 / 4]);
    let output = replay(&file.0, &["-o", "json"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert_eq!(said(&output).lines().filter(|line| line.contains("it is truncated")).count(), 1);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let summary = shown.lines().last().unwrap_or_default();
    assert!(
        summary.contains("\"conclusive\":false") && summary.contains("the recording was cut off"),
        "{summary}"
    );
    let golden = replay(&recording, &["-o", "json"]).stdout;
    let events = |lines: &str| -> Vec<String> {
        lines.lines().filter(|line| line.contains("\"type\":\"event\"")).map(str::to_owned).collect()
    };
    let (shown, all) = (events(&shown), events(&String::from_utf8_lossy(&golden)));
    assert!(!shown.is_empty() && shown.len() < all.len() && all.starts_with(&shown), "{shown:?}");
}

#[test]
fn no_recording() {
    let whole = fs::read(recordings().join("6.12-v2.recording")).expect("a recording");
    let mut newer = whole.clone();
    newer[24] += 1;
    for (name, content, complaint) in [
        ("foreign", &b"\x7fELF"[..], "not a memcg-trace recording"),
        ("newer", &newer, "it was written by another version of memcg-trace"),
        ("beginning", &whole[..40], "its header is damaged"),
    ] {
        let file = File::with(name, content);
        let output = replay(&file.0, &[]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert_eq!((output.stdout.len(), said(&output).lines().count()), (0, 1), "{}", said(&output));
        assert!(said(&output).contains(complaint), "{}", said(&output));
    }
    let output = replay(Path::new("/nowhere/at-all"), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("cannot open /nowhere/at-all"), "{}", said(&output));
}
