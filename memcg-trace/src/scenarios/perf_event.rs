//! A task ends and is reaped; a process outside has a perf event of it open.
//!
//! The event keeps the task_struct (`perf_event.hw.target`), and a task_struct keeps its css_set until it is freed
//! (`cgroup_free` in `__put_task_struct`), not until it is reaped. No process shows it: a profiler that does not close
//! the events of tasks that ended pins each of their containers.

use anyhow::Context as _;

use super::{
    Scenario,
    kept_outside::KeptOutside,
    stage::{ForkedTask, perf_event_of},
};
use crate::cause::Pin;

pub fn scenario() -> impl Scenario {
    KeptOutside::new("the event", &[Pin::PerfEvent], |victim, _| {
        let task = ForkedTask::start(victim, |ready| ready.stay())?;
        Ok(perf_event_of(task.pid())?)
    })
    .if_possible(|| perf_event_of(0).map(drop).context("cannot open a perf event of a task"))
}
