//! `memcg-trace trace -o json`: its events, and what they add up to.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
    sync::mpsc::RecvTimeoutError,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{
    evict_stocks,
    process::{Process, command, left},
};

/// After so long without an event, a memcg may be waiting for charges of another one.
const PATIENCE: Duration = Duration::from_secs(1);

/// A running tracer; it ends with the test.
pub struct Tracer {
    process: Process,
    /// Every line so far.
    seen: Vec<Value>,
}

/// Everything that it printed, and how it ended.
pub struct Outcome {
    pub code: Option<i32>,
    pub events: Vec<Value>,
    /// The leaked memcgs, listed before the summary.
    pub survivors: Vec<Value>,
    /// Whose they were, with `--by`.
    pub groups: Vec<Value>,
    /// All of the above, in order.
    pub lines: Vec<Value>,
    /// The slab caches that were listed.
    pub slab_caches: Vec<Value>,
    pub summary: Value,
    pub stderr: String,
}

impl Tracer {
    /// Starts it, and waits until it has attached.
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(command().args(["trace", "-o", "json"]).args(arguments))
    }

    /// The same for a command that a test made.
    pub fn spawn(command: &mut Command) -> Self {
        Self { process: Process::start(command.stdout(Stdio::piped())), seen: Vec::new() }
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// The first event of this kind about the cgroup at `path`; waits for it.
    pub fn event(&mut self, kind: &str, path: &str) -> Value {
        let matches = |event: &Value| event["event"] == kind && event["memcg"]["path"] == path;
        self.event_where(&format!("\"{kind}\" of {path}"), matches)
    }

    /// The first event that `matches`; waits for it.
    pub fn event_where(&mut self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        let mut checked = 0;
        loop {
            if let Some(event) = self.seen[checked..].iter().find(|event| matches(event)) {
                return event.clone();
            }
            checked = self.seen.len();
            match self.process.line(left(start).min(PATIENCE)) {
                Ok(line) => self.seen.push(parse(&line)),
                Err(RecvTimeoutError::Timeout) if !left(start).is_zero() => evict_stocks(),
                Err(end) => {
                    panic!("no event {what} ({end}); seen:\n{}{}", listing(&self.seen), self.process.said())
                }
            }
        }
    }

    /// The next line of this type that `matches`; waits for it.
    pub fn next(&mut self, kind: &str, matches: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let line = self.process.line(left(start));
            let line = line.unwrap_or_else(|end| panic!("no {kind} ({end}): {}", self.process.said()));
            let line = parse(&line);
            self.seen.push(line.clone());
            if line["type"] == kind && matches(&line) {
                return line;
            }
        }
    }

    /// Serial numbers of the memcgs that are dying, by the events so far.
    pub fn dying(&mut self) -> BTreeSet<u64> {
        while let Ok(line) = self.process.line(Duration::ZERO) {
            self.seen.push(parse(&line));
        }
        let mut dying = BTreeSet::new();
        for event in &self.seen {
            let serial = event["memcg"]["serial"].as_u64();
            match (event["event"].as_str(), serial) {
                (Some("offline"), Some(serial)) => dying.insert(serial),
                (Some("freed" | "late"), Some(serial)) => dying.remove(&serial),
                _ => continue,
            };
        }
        dying
    }

    /// Ends it as Ctrl-C does.
    pub fn stop(self) -> Outcome {
        self.stop_by(Signal::SIGINT)
    }

    pub fn stop_by(self, signal: Signal) -> Outcome {
        self.signal(signal);
        self.finish()
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Outcome {
        let (code, rest, stderr) = self.process.finish();
        self.seen.extend(rest.iter().map(|line| parse(line)));
        let lines = self.seen.clone();
        let Some(summary) = self.seen.pop().filter(|last| last["type"] == "summary") else {
            panic!("the last line is no summary, exit code {code:?}: {stderr}\n{}", listing(&self.seen));
        };
        let (events, others): (Vec<_>, Vec<_>) =
            self.seen.into_iter().partition(|line| line["type"] == "event");
        let of = |kind: &str| others.iter().filter(|line| line["type"] == kind).cloned().collect();
        let (survivors, groups, slab_caches) = (of("memcg"), of("group"), of("slab_cache"));
        Outcome { code, events, survivors, groups, lines, slab_caches, summary, stderr }
    }
}

impl Outcome {
    /// A count of the summary.
    pub fn count(&self, name: &str) -> u64 {
        self.summary[name].as_u64().unwrap_or_else(|| panic!("no count \"{name}\" in {}", self.summary))
    }

    /// It saw everything there was.
    pub fn assert_conclusive(&self) {
        assert_eq!(self.summary["conclusive"], true, "{}", self.summary);
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        assert_eq!(self.count("lost_events"), 0);
        let books = ["created", "adopted", "live", "removed", "dying", "freed"].map(|name| self.count(name));
        let [created, adopted, live, removed, dying, freed] = books;
        assert_eq!(created + adopted, live + removed + dying + freed, "the books balance: {}", self.summary);
    }

    /// On a machine of our own: so many memcgs were created, and all of them freed.
    pub fn assert_all_freed(&self, created: u64) {
        self.assert_conclusive();
        let counts = ["created", "freed", "dying", "leaked"].map(|name| self.count(name));
        assert_eq!(counts, [created, created, 0, 0], "created, freed, dying, leaked: {}", self.summary);
    }

    /// Kinds of the events about a path, in order.
    pub fn life(&self, path: &str) -> Vec<&str> {
        let about = self.events.iter().filter(|event| event["memcg"]["path"] == path);
        about.filter_map(|event| event["event"].as_str()).collect()
    }

    /// Events of this kind.
    pub fn events_of(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().filter(|event| event["event"] == kind).collect()
    }
}

/// One line of output.
pub fn parse(line: &str) -> Value {
    let value: Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"));
    assert_eq!(value["schema"], 1, "{line}");
    value
}

/// The last lines, in short.
fn listing(seen: &[Value]) -> String {
    const LINES: usize = 60;
    let last = &seen[seen.len().saturating_sub(LINES)..];
    let short = |line: &Value| {
        let memcg = &line["memcg"];
        format!("  {} {} {} of {}\n", line["t_ns"], line["event"], memcg["serial"], memcg["path"])
    };
    last.iter().map(short).collect()
}
