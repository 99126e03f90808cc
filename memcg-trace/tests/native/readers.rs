//! Readers of our output that stall or go away, and files that take no more.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, PipeReader, Read as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, Command, ExitStatus, Stdio},
};

use nix::{
    sys::{
        resource::{Resource, setrlimit},
        signal::{SigHandler, Signal, kill, signal},
    },
    unistd::Pid,
};

use crate::support::{
    cgroup::Cgroup,
    eventually, machine,
    process::{command, run},
    storm::storm,
    tracer::{Tracer, parse},
};

/// Processes and rounds of a storm that is more than the queue of the output takes.
const PROCESSES: u32 = 2;
const ROUNDS: u32 = 3_000;

/// A tracer whose standard output is read by nobody so far.
struct Unread {
    child: Child,
    stdout: PipeReader,
    said: BufReader<PipeReader>,
}

impl Unread {
    /// Starts it, and lets it tell of more cgroups than it can keep.
    fn start() -> Self {
        let (stdout, theirs) = io::pipe().expect("a pipe");
        let (stderr, messages) = io::pipe().expect("a pipe");
        let mut tracer = command();
        tracer.args(["trace", "-o", "json", "--no-names", "--perf-pages", "4096"]);
        let child = tracer.stdout(theirs).stderr(messages).spawn().expect("run memcg-trace");
        drop(tracer);
        let mut unread = Self { child, stdout, said: BufReader::new(stderr) };
        unread.wait_for("memcg-trace: tracing");
        let home = Cgroup::home("unread");
        storm(&home, PROCESSES, ROUNDS);
        unread.wait_for("lines are dropped");
        unread
    }

    /// Waits for a message.
    fn wait_for(&mut self, message: &str) {
        let mut line = String::new();
        while !line.contains(message) {
            line.clear();
            assert!(self.said.read_line(&mut line).expect("read its messages") > 0, "no \"{message}\"");
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("signal memcg-trace");
    }

    fn end(&mut self) -> ExitStatus {
        eventually("memcg-trace to end", || self.child.try_wait().expect("wait").ok_or_else(String::new))
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_reader_that_stalls_does_not_keep_it_from_stopping() {
    let _machine = machine();
    let mut unread = Unread::start();
    unread.signal(Signal::SIGTERM);
    unread.wait_for("cannot write to standard output: its reader reads nothing");
    assert_eq!(unread.end().code(), Some(1));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let _machine = machine();
    let mut unread = Unread::start();
    unread.signal(Signal::SIGINT);
    eventually("the default action of SIGINT", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", unread.child.id()));
        let status = status.map_err(|error| error.to_string())?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).ok_or("no SigCgt")?;
        let caught = u64::from_str_radix(caught, 16).map_err(|error| error.to_string())?;
        let bit = 1 << (Signal::SIGINT as u64 - 1);
        if caught & bit == 0 { Ok(()) } else { Err(status) }
    });
    unread.signal(Signal::SIGINT);
    assert_eq!(unread.end().signal(), Some(Signal::SIGINT as i32));
}

#[test]
fn a_reader_that_comes_back_is_told_what_it_missed() {
    let _machine = machine();
    let mut unread = Unread::start();
    unread.signal(Signal::SIGTERM);
    let mut text = String::new();
    unread.stdout.read_to_string(&mut text).expect("UTF-8");
    let status = unread.end();
    let lines: Vec<_> = text.lines().map(parse).collect();
    let summary = lines.last().expect("a summary");
    assert_eq!(summary["type"], "summary", "{status}: {summary}");
    assert!(summary["lines_dropped"].as_u64() > Some(0), "{summary}");
    // The ledger has all of them.
    assert_eq!(summary["lost_events"], 0, "{summary}");
    assert!(summary["created"].as_u64() >= Some(u64::from(PROCESSES * ROUNDS)), "{summary}");
}

#[test]
fn a_hangup_ends_it_with_a_summary() {
    let _machine = machine();
    let tracer = Tracer::spawn(&mut with_hangup(SigHandler::SigDfl));
    assert_eq!(tracer.stop_by(Signal::SIGHUP).code, Some(0));
}

/// nohup(1) has it ignored.
#[test]
fn an_ignored_hangup_stays_ignored() {
    let _machine = machine();
    let mut tracer = Tracer::spawn(&mut with_hangup(SigHandler::SigIgn));
    tracer.signal(Signal::SIGHUP);
    let home = Cgroup::home("nohup");
    tracer.event("online", home.path());
    assert_eq!(tracer.stop().code, Some(0));
}

/// A trace that is started with this disposition of SIGHUP, whatever that of the tests is.
fn with_hangup(disposition: SigHandler) -> Command {
    let mut command = command();
    command.args(["trace", "-o", "json", "--no-names"]);
    // SAFETY: a system call alone; no handler is installed.
    unsafe {
        command.pre_exec(move || Ok(signal(Signal::SIGHUP, disposition).map(drop)?));
    }
    command
}

/// What a command says, which fails for the reason that it names.
fn fails(command: &mut Command) -> String {
    let output = run(command);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
    said
}

#[test]
fn a_disk_without_room_is_named() {
    let _machine = machine();
    let full = || File::options().write(true).open("/dev/full").expect("open /dev/full");
    for arguments in [&["scan"][..], &["doctor"], &["whois", "/"], &["trace", "--duration", "1ms"], &["slab"]]
    {
        let said = fails(command().args(arguments).stdout(full()));
        assert!(
            said.contains("cannot write to standard output: No space left on device"),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn a_closed_output_is_an_error() {
    let _machine = machine();
    let mut closed = command();
    closed.args(["whois", "/"]);
    // SAFETY: close takes no pointers.
    unsafe {
        closed.pre_exec(|| {
            libc::close(libc::STDOUT_FILENO);
            Ok(())
        });
    }
    let said = fails(&mut closed);
    assert!(said.contains("cannot write to standard output: Bad file descriptor"), "{said}");
}

/// RLIMIT_FSIZE: SIGXFSZ ends a process that does not ignore it.
#[test]
fn a_file_that_may_grow_no_more_is_an_error() {
    let _machine = machine();
    let path = std::env::temp_dir().join(format!("memcg-trace-limited-{}", std::process::id()));
    let mut limited = command();
    limited.args(["whois", "/"]).stdout(File::create(&path).expect("make a file"));
    // SAFETY: a system call alone.
    unsafe {
        limited.pre_exec(|| Ok(setrlimit(Resource::RLIMIT_FSIZE, 8, 8)?));
    }
    let said = fails(&mut limited);
    std::fs::remove_file(&path).expect("remove it");
    assert!(said.contains("cannot write to standard output: File too large"), "{said}");
}

/// Files without end are given up.
#[test]
fn endless_files_are_errors() {
    let _machine = machine();
    let zeroes = || File::open("/dev/zero").expect("open /dev/zero");
    for option in ["--expect", "--baseline"] {
        let said = fails(command().args(["verify", "churn", "--yes", option, "/dev/zero"]));
        assert!(said.contains("it has more than 16 MiB"), "{option}: {said}");
    }
    let said = fails(command().args(["replay", "/dev/zero"]));
    assert!(said.contains("not a memcg-trace recording"), "{said}");
    let said = fails(command().args(["whois", "-"]).stdin(zeroes()));
    assert!(said.contains("a line of standard input has more than"), "{said}");
    let output = run(command().args(["trace", "--perf-pages", "4611686018427387904"]));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

/// Messages nobody reads are dropped; they were a panic.
#[test]
fn messages_need_no_reader() {
    let _machine = machine();
    let (reader, messages) = io::pipe().expect("a pipe");
    drop(reader);
    let mut traced = command();
    traced.args(["trace", "--duration", "1ms", "-o", "json"]);
    let traced = traced.stdout(Stdio::piped()).stderr(messages).output().expect("run memcg-trace");
    let lines = String::from_utf8(traced.stdout).expect("UTF-8");
    assert_eq!(traced.status.code(), Some(0), "{lines}");
    assert_eq!(parse(lines.lines().last().expect("a summary"))["type"], "summary");
}
