//! Names of cgroups are arbitrary bytes, chosen by anybody who can create cgroups.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, process::Stdio};

use nix::sys::signal::Signal;

use crate::support::{
    cgroup::Cgroup,
    eventually, machine,
    process::{Process, command},
    tracer::Tracer,
};

const LONGEST: [u8; 255] = [b'x'; 255];

/// Names, and the JSON strings that stand for them. The kernel refuses newlines.
const NAMES: &[(&[u8], &str)] = &[
    (b"\x1b[31mred\x1b[2J", "\x1b[31mred\x1b[2J"),
    (b"tab\tbell\x07\rreturn", "tab\tbell\x07\rreturn"),
    (b"\"quotes\" and \\", "\"quotes\" and \\"),
    ("größe-日本".as_bytes(), "größe-日本"),
    ("\u{202e}txt.exe".as_bytes(), "\u{202e}txt.exe"),
    // Not UTF-8: escaped, and marked as such.
    (b"\xff\xfe\\", "\\xff\\xfe\\\\"),
];

#[test]
fn json_has_names_as_they_are() {
    let _machine = machine();
    let home = Cgroup::home("names");
    let mut tracer = Tracer::start(&[]);
    let longest = str::from_utf8(&LONGEST).expect("ASCII");
    for (name, json) in NAMES.iter().copied().chain([(LONGEST.as_slice(), longest)]) {
        let cgroup = home.child(OsStr::from_bytes(name));
        let id = cgroup.id();
        cgroup.remove();
        for kind in ["online", "removed", "offline"] {
            let matches =
                |event: &serde_json::Value| event["event"] == kind && event["memcg"]["cgroup_id"] == id;
            let memcg = &tracer.event_where(&format!("{kind} of {json:?}"), matches)["memcg"];
            assert_eq!(memcg["path"], format!("{}/{json}", home.path()));
            assert_eq!(memcg["path_truncated"], false, "{memcg}");
            assert_eq!(memcg["path_escaped"], str::from_utf8(name).is_err(), "{memcg}");
        }
    }
    tracer.stop().assert_conclusive();
}

#[test]
fn text_keeps_names_from_the_terminal() {
    let _machine = machine();
    let home = Cgroup::home("names-text");
    let process = Process::start(command().args(["trace", "--color", "never"]).stdout(Stdio::piped()));
    for (name, _) in NAMES {
        home.child(OsStr::from_bytes(name)).remove();
    }
    let end = home.child("the-end");
    end.remove();
    let mut text = String::new();
    eventually("the last cgroup's line", || {
        while let Ok(line) = process.line(std::time::Duration::ZERO) {
            text += &line;
            text.push('\n');
        }
        if text.contains("the-end") { Ok(()) } else { Err(text.clone()) }
    });
    process.signal(Signal::SIGINT);
    let (code, rest, stderr) = process.finish();
    assert_eq!(code, Some(0), "{stderr}");
    text += &rest.join("\n");
    let harmful = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202e}' | '\u{fffd}');
    assert_eq!(text.chars().find(|&c| harmful(c)), None, "{text:?}");
    for shown in ["\\x1b[31mred", "\\xff\\xfe", "größe-日本"] {
        assert!(text.contains(shown), "no {shown} in {text}");
    }
}
