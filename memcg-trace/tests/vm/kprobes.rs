//! The kprobe backend beside the tracepoint backend, and what it needs of the kernel.

use std::{fs, path::PathBuf};

use crate::{
    support::{
        cgroup::Cgroup,
        oracle,
        pins::unreaped_task,
        process::{command, run},
        sandbox::without_mounts,
        tracer::{Outcome, Tracer},
    },
    vm,
};

#[test]
fn backends_agree() {
    let _machine = vm();
    let home = Cgroup::home("agree");
    let mut tracers =
        ["kprobe", "tracepoint"].map(|backend| Tracer::start(&["--backend", backend, "--grace", "1s"]));
    for round in 0..50 {
        let cgroup = home.child(round.to_string());
        cgroup.run_something();
        cgroup.remove();
    }
    let zombie = home.child("zombie");
    let task = unreaped_task(&zombie);
    zombie.remove();
    for tracer in &mut tracers {
        tracer.event("leaked", zombie.path());
    }
    oracle::expect_dying(1);
    drop(task);
    for tracer in &mut tracers {
        tracer.event("late", zombie.path());
    }
    let outcomes = tracers.map(Tracer::stop);
    for (outcome, backend) in outcomes.iter().zip(["kprobe", "tracepoint"]) {
        assert_eq!(outcome.summary["backend"], backend);
        outcome.assert_all_freed(51);
    }
    let [kprobe, tracepoint] = outcomes.each_ref().map(births_and_deaths);
    assert_eq!(kprobe, tracepoint);
}

/// Which memcg (css, serial, path) was seen to begin and to end.
fn births_and_deaths(outcome: &Outcome) -> Vec<String> {
    let mut seen: Vec<_> = ["online", "freed", "late"]
        .into_iter()
        .flat_map(|kind| outcome.events_of(kind))
        .map(|event| {
            let memcg = &event["memcg"];
            format!("{} {} {} {}", event["event"], memcg["path"], memcg["serial"], memcg["css"])
        })
        .collect();
    seen.sort();
    seen
}

#[test]
fn kprobes_are_taken_where_they_work() {
    let _machine = vm();
    let outcome = Tracer::start(&[]).stop();
    outcome.assert_conclusive();
    assert_eq!(outcome.summary["backend"], "kprobe", "{}", outcome.stderr);
    assert_eq!(outcome.summary["backend_reason"], serde_json::Value::Null);
    assert_eq!(outcome.summary["unknown"], serde_json::json!([]), "every hook is attached");
}

/// The switch of debugfs, thrown for one test.
pub struct KprobesOff(PathBuf);

impl KprobesOff {
    pub fn now() -> Self {
        let switch = PathBuf::from("/sys/kernel/debug/kprobes/enabled");
        fs::write(&switch, "0").expect("switch kprobes off");
        Self(switch)
    }
}

impl Drop for KprobesOff {
    fn drop(&mut self) {
        fs::write(&self.0, "1").expect("switch kprobes on");
    }
}

#[test]
fn kprobes_switched_off() {
    let _machine = vm();
    let home = Cgroup::home("kprobes-off");
    let off = KprobesOff::now();
    let output = run(command().args(["trace", "--duration", "1s", "--backend", "kprobe"]));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{stderr}");
    assert!(stderr.contains("echo 1 > /sys/kernel/debug/kprobes/enabled"), "{stderr}");

    let mut tracer = Tracer::start(&[]);
    let victim = home.child("victim");
    victim.remove();
    tracer.event("freed", victim.path());
    let outcome = tracer.stop();
    outcome.assert_conclusive();
    assert_eq!(outcome.summary["backend"], "tracepoint");
    let reason = outcome.summary["backend_reason"].as_str().unwrap_or_default();
    assert!(reason.contains("kprobes are switched off"), "{}", outcome.summary);
    assert!(outcome.stderr.contains("tracepoint") && outcome.stderr.contains(reason), "{}", outcome.stderr);
    drop(off);
}

/// perf_event_open needs neither: nothing has to be mounted but cgroups.
#[test]
fn works_without_tracefs_and_debugfs() {
    let _machine = vm();
    let mut command = command();
    without_mounts(command.args(["trace", "-o", "json"]), &[c"/sys/kernel/tracing", c"/sys/kernel/debug"]);
    let outcome = Tracer::spawn(&mut command).stop();
    outcome.assert_conclusive();
    assert_eq!(outcome.summary["backend"], "kprobe", "{}", outcome.stderr);
}

/// aya-log, from the hook to env_logger.
#[test]
fn hooks_log_where_asked() {
    let _machine = vm();
    let home = Cgroup::home("log");
    let mut command = command();
    let mut tracer = Tracer::spawn(command.args(["trace", "-o", "json"]).env("RUST_LOG", "debug"));
    let victim = home.child("victim");
    victim.remove();
    tracer.event("freed", victim.path());
    let outcome = tracer.stop();
    let line =
        outcome.stderr.lines().find(|line| line.contains("memcg_trace_ebpf") || line.contains("hooks"));
    assert!(line.is_some_and(|line| line.contains("DEBUG")), "{}", outcome.stderr);
}
