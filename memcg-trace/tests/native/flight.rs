//! `--record-dir`: recordings that follow each other, over storms, kills and full disks.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use jiff::Timestamp;
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::Signal,
};
use serde_json::Value;

use crate::support::{
    cgroup::Cgroup,
    eventually,
    exporter::Exporter,
    file::File,
    kubelet::Pod,
    machine,
    pins::TmpfsFile,
    process::{command, run},
    storm::storm,
    tracer::{Tracer, parse},
};

const MAX: u64 = 4 << 20;

/// A directory of recordings, on a tmpfs of so many bytes; both go with the test.
struct Disk(PathBuf);

impl Disk {
    fn new(bytes: u64) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("memcg-trace-flight-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("a directory");
        let options = format!("size={bytes},mode=700");
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some(&*options)).expect("a tmpfs");
        Self(path)
    }

    fn recordings(&self) -> PathBuf {
        self.0.join("recordings")
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.recordings()).expect("the directory").flatten();
        let mut files: Vec<_> = files.map(|entry| entry.path()).collect();
        files.sort();
        files
    }

    fn bytes(&self) -> u64 {
        self.files().iter().map(|file| fs::metadata(file).map_or(0, |found| found.len())).sum()
    }

    /// Traces, and records to it.
    fn trace(&self, max: &str, arguments: &[&str]) -> Tracer {
        let mut command = command();
        command.args(["trace", "-o", "json", "--no-names", "--record-max", max, "--record-dir"]);
        Tracer::spawn(command.arg(self.recordings()).args(arguments))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&self.0);
    }
}

/// The lines of a replay, the last of which is the summary, and its exit code.
fn replay(path: &Path, arguments: &[&str]) -> (Vec<Value>, Option<i32>) {
    let output = run(command().args(["replay", "-o", "json"]).args(arguments).arg(path));
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(!lines.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (lines.lines().map(parse).collect(), output.status.code())
}

fn outages(lines: &[Value]) -> Vec<&str> {
    let outages = lines.iter().filter(|line| line["event"] == "outage");
    outages.map(|outage| outage["reason"].as_str().expect("a reason")).collect()
}

/// What is, at the end.
fn rest(summary: &Value) -> [Option<u64>; 5] {
    ["live", "removed", "dying", "leaked", "ids_used"].map(|name| summary[name].as_u64())
}

#[test]
fn a_rotation_is_the_recording() {
    let _machine = machine();
    let disk = Disk::new(16 << 20);
    let whole = File::named("whole");
    let home = Cgroup::home("flight");
    let tracer = disk.trace("4M", &["--record", whole.0.to_str().expect("UTF-8")]);
    storm(&home, 2, 5_000);
    let half = Timestamp::now();
    storm(&home, 2, 500);
    let outcome = tracer.stop();
    outcome.assert_conclusive();

    let files = disk.files();
    assert!(files.len() >= 3, "{files:?}");
    assert!(
        files
            .iter()
            .all(|file| fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o777 == 0o600))
    );
    assert!(disk.bytes() <= MAX, "{} bytes", disk.bytes());
    let (of_directory, code) = replay(&disk.recordings(), &[]);
    assert_eq!(code, Some(0));
    let (of_file, _) = replay(&whole.0, &[]);
    assert!(of_directory == of_file, "one after the other they are the recording");
    assert_eq!(of_directory.last(), Some(&outcome.summary), "and that is the run");

    // From some time on: what was counted before is not.
    let (since, code) = replay(&disk.recordings(), &["--since", &half.to_string()]);
    let (summary, events) = since.split_last().expect("a summary");
    assert_eq!((code, rest(summary)), (Some(0), rest(&outcome.summary)));
    let of_kind = |kind: &str| events.iter().filter(|event| event["event"] == kind).count() as u64;
    assert_eq!(summary["created"].as_u64(), Some(of_kind("online")), "{summary}");
    assert!((1_000..10_000).contains(&of_kind("online")), "{summary}");
    let page = run(command().arg("report").arg(disk.recordings()).args(["--since", &half.to_string()]));
    let page = String::from_utf8(page.stdout).expect("UTF-8");
    assert!(page.contains("</html>") && !page.contains("nothing was recorded"), "{page}");
}

#[test]
fn kills_leave_no_gap_but_themselves() {
    const KILLS: usize = 10;

    let _machine = machine();
    let disk = Disk::new(16 << 20);
    let home = Cgroup::home("killed");
    let mut half = None;
    for kill in 0..KILLS {
        let tracer = disk.trace("4M", &[]);
        if kill == KILLS / 2 {
            half = Some(Timestamp::now());
        }
        thread::scope(|scope| {
            scope.spawn(|| storm(&home, 2, 300));
            // Before it has walked and passed anything on, or after that.
            thread::sleep(Duration::from_millis(if kill % 3 == 0 { 1_200 } else { 20 * kill as u64 }));
            tracer.signal(Signal::SIGKILL);
        });
    }
    let tracer = disk.trace("4M", &["--duration", "3s"]);
    let outcome = tracer.finish();

    assert!(disk.bytes() <= MAX, "{} bytes", disk.bytes());
    let (lines, code) = replay(&disk.recordings(), &[]);
    let summary = lines.last().expect("a summary");
    assert_eq!(outages(&lines), ["cut_off"; KILLS]);
    assert_eq!((code, &summary["conclusive"], &summary["outages"]), (Some(0), &true.into(), &KILLS.into()));
    assert_eq!(rest(summary), rest(&outcome.summary), "what exists is what the last run found");
    let counts = ["created", "adopted", "live", "removed", "dying", "freed"]
        .map(|name| summary[name].as_u64().expect("a count"));
    assert_eq!(counts[0] + counts[1], counts[2..].iter().sum::<u64>(), "the books balance: {summary}");

    // The runs after that are all there is of it, with what was known by then.
    let half = half.expect("a time").to_string();
    let (since, _) = replay(&disk.recordings(), &["--since", &half]);
    assert_eq!(outages(&since).len(), KILLS - KILLS / 2);
    assert_eq!(rest(since.last().expect("a summary")), rest(&outcome.summary));
    let (until, _) = replay(&disk.recordings(), &["--until", &half]);
    assert_eq!(outages(&until).len(), KILLS / 2);
    let page = run(command().arg("report").arg(disk.recordings()));
    let page = String::from_utf8(page.stdout).expect("UTF-8");
    assert!(page.contains("10, nothing was recorded for"), "{page}");
}

#[test]
fn a_full_disk_is_an_outage_and_what_follows_is_right() {
    let _machine = machine();
    // More than it has room for.
    let disk = Disk::new(768 << 10);
    let home = Cgroup::home("full-disk");
    let mut tracer = disk.trace("4M", &[]);
    eventually("the disk to be full and to be written to again", || {
        storm(&home, 2, 500);
        let (lines, _) = replay(&disk.recordings(), &[]);
        // In the middle of a recording, or where one was to begin.
        let is_told = outages(&lines).iter().any(|reason| ["not_written", "missing"].contains(reason));
        if is_told { Ok(()) } else { Err(format!("{:?}", disk.files())) }
    });
    let victim = home.child("victim");
    let file = TmpfsFile::written_in(&victim);
    victim.remove();
    tracer.event("offline", victim.path());
    drop(file);
    let outcome = tracer.stop();

    let told = |what| outcome.stderr.contains(what);
    assert!(told("cannot record to") && told("No space left on device"), "{}", outcome.stderr);
    outcome.assert_conclusive();
    let (lines, code) = replay(&disk.recordings(), &[]);
    assert_eq!(code, Some(0), "{:?}", lines.last());
    assert_eq!(rest(lines.last().expect("a summary")), rest(&outcome.summary));
    assert!(lines.iter().any(|line| line["event"] == "offline" && line["memcg"]["path"] == victim.path()));
}

/// While it is recorded, it ends where it is.
#[test]
fn what_is_being_recorded_can_be_shown() {
    let _machine = machine();
    let disk = Disk::new(16 << 20);
    let home = Cgroup::home("recorded");
    let tracer = disk.trace("4M", &[]);
    let victim = home.child("victim");
    victim.remove();
    eventually("the victim in the recording", || {
        let (lines, code) = replay(&disk.recordings(), &[]);
        assert_eq!(code, Some(0), "it is not cut off: {:?}", lines.last());
        let removed = |line: &Value| line["event"] == "removed" && line["memcg"]["path"] == victim.path();
        if lines.iter().any(removed) { Ok(()) } else { Err("not yet".to_owned()) }
    });
    let mut second = command();
    second.args(["trace", "--record-dir"]).arg(disk.recordings());
    assert!(fails(&mut second).contains("another memcg-trace records to it"));
    tracer.stop();
}

/// The pod is gone when the service starts again, and its zombie is not.
#[test]
fn whose_a_leak_is_survives_a_restart() {
    let _machine = machine();
    let disk = Disk::new(16 << 20);
    let pod = Pod::new();
    let recordings = disk.recordings();
    let recordings = recordings.to_str().expect("a path in ASCII");
    let node = ["--grace", "1s", "--host-root", pod.host_root(), "--record-dir", recordings];
    let is_named = |exporter: &Exporter| {
        // More, if an earlier test's are pinned by whatever its tasks were the first to read.
        eventually("the leak of the workload", || match exporter.value(&Pod::series("leaked_memcgs")) {
            Some(1.0..) => Ok(()),
            other => Err(format!("{other:?} leaked: {}", exporter.get("/leaks.json"))),
        });
    };
    let exporter = Exporter::start(&node);
    let _file = pod.leak(0..1);
    is_named(&exporter);
    assert_eq!(exporter.stop(), Some(0));
    pod.forget();
    // What the second run took over it has recorded itself: the third finds it there.
    for _ in 0..2 {
        let exporter = Exporter::start(&node);
        is_named(&exporter);
        assert_eq!(exporter.stop(), Some(0));
    }
}

/// It may be all that there is of what happened, and it is nobody else's business.
#[test]
fn no_recording_is_written_over_or_left_open_to_others() {
    let _machine = machine();
    let recording = File::with("once", b"");
    fs::set_permissions(&recording.0, fs::Permissions::from_mode(0o644)).expect("a mode");
    let trace = || {
        let mut command = command();
        command.args(["trace", "--duration", "1ms", "--record"]).arg(&recording.0);
        command
    };
    assert_eq!(run(&mut trace()).status.code(), Some(0));
    let found = fs::metadata(&recording.0).expect("the recording");
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    assert!(fails(&mut trace()).contains("it has something in it; remove it"));
    assert_eq!(fs::metadata(&recording.0).expect("the recording").len(), found.len());
}

/// A directory is one's own, or none for recordings.
#[test]
fn nobody_else_decides_what_is_written_where() {
    let _machine = machine();
    let disk = Disk::new(1 << 20);
    let trace = |directory: &Path| {
        let mut command = command();
        command.args(["trace", "--duration", "1ms", "--record-dir"]).arg(directory);
        command
    };
    let open = disk.0.join("open");
    fs::create_dir(&open).expect("a directory");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("a mode");
    assert!(fails(&mut trace(&open)).contains("others can write to it"));
    let link = disk.0.join("link");
    std::os::unix::fs::symlink(&disk.0, &link).expect("a link");
    std::os::unix::fs::lchown(&link, Some(65_534), None).expect("another owner");
    assert!(fails(&mut trace(&link)).contains("it is a link of user 65534"));
    std::os::unix::fs::chown(&open, Some(65_534), None).expect("another owner");
    assert!(fails(&mut trace(&open)).contains("it belongs to user 65534"));
}

fn fails(command: &mut Command) -> String {
    let output = run(command);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
    said
}
